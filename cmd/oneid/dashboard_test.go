package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/goccy/go-yaml"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// exported is what a program exports: the values of each label, by series.
type exported map[string]map[string]map[string]bool

// metricsText asks a program for its metrics, as Prometheus does.
func metricsText(t *testing.T, url, key string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics answers %s: %s (%v)", response.Status, body, err)
	}
	return string(body)
}

// scrape is what a program exports.
func scrape(t *testing.T, url, key string) exported {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metricsText(t, url, key)))
	if err != nil {
		t.Fatal(err)
	}
	found := make(exported)
	for name, family := range families {
		series := []string{name}
		if strings.Contains(family.GetType().String(), "HISTOGRAM") {
			series = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, name := range series {
			// What Prometheus adds itself.
			found[name] = map[string]map[string]bool{"instance": nil, "job": nil}
			if strings.HasSuffix(name, "_bucket") {
				found[name]["le"] = nil
			}
			for _, sample := range family.GetMetric() {
				for _, l := range sample.GetLabel() {
					if found[name][l.GetName()] == nil {
						found[name][l.GetName()] = make(map[string]bool)
					}
					found[name][l.GetName()][l.GetValue()] = true
				}
			}
		}
	}
	return found
}

// labelsOf are the labels that the answer of a query has; nil for a number. An
// error names what of the query is not exported.
func (e exported) labelsOf(query metricsql.Expr) (map[string]bool, error) {
	switch q := query.(type) {
	case *metricsql.MetricExpr:
		labels := make(map[string]bool)
		for _, filters := range q.LabelFilterss {
			if len(filters) == 0 || filters[0].Label != "__name__" || filters[0].IsRegexp {
				return nil, errors.New("a series without a name")
			}
			name := filters[0].Value
			series, ok := e[name]
			if !ok {
				return nil, fmt.Errorf("%s is not exported", name)
			}
			for _, f := range filters[1:] {
				values, ok := series[f.Label]
				if !ok {
					return nil, fmt.Errorf("%s has no label %s", name, f.Label)
				}
				if values != nil && !f.IsRegexp && !values[f.Value] {
					return nil, fmt.Errorf("%s is never exported with %s=%q", name, f.Label, f.Value)
				}
			}
			for label := range series {
				labels[label] = true
			}
		}
		return labels, nil
	case *metricsql.RollupExpr:
		return e.labelsOf(q.Expr)
	case *metricsql.AggrFuncExpr:
		left, err := e.ofAll(q.Args)
		if err != nil {
			return nil, err
		}
		kept := make(map[string]bool)
		if q.Modifier.Op != "" && q.Modifier.Op != "by" {
			return nil, fmt.Errorf("%s %s: only by is known here", q.Name, q.Modifier.Op)
		}
		for _, label := range q.Modifier.Args {
			if !left[label] {
				return nil, fmt.Errorf("%s by %s: there is no such label in it", q.Name, label)
			}
			kept[label] = true
		}
		return kept, nil
	case *metricsql.FuncExpr:
		labels, err := e.ofAll(q.Args)
		if err == nil && q.Name == "histogram_quantile" {
			if !labels["le"] {
				return nil, errors.New("histogram_quantile of what has no buckets")
			}
			delete(labels, "le")
		}
		return labels, err
	case *metricsql.BinaryOpExpr:
		return e.ofAll([]metricsql.Expr{q.Left, q.Right})
	case *metricsql.NumberExpr, *metricsql.DurationExpr, *metricsql.StringExpr:
		return nil, nil
	}
	return nil, fmt.Errorf("%T is not known here", query)
}

// ofAll are the labels that all have which have any.
func (e exported) ofAll(queries []metricsql.Expr) (map[string]bool, error) {
	var all map[string]bool
	for _, q := range queries {
		labels, err := e.labelsOf(q)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = labels
			continue
		}
		if labels != nil {
			maps.DeleteFunc(all, func(label string, _ bool) bool { return !labels[label] })
		}
	}
	return all, nil
}

var legendLabel = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)

// check says what of a query, or of the text that is shown with its answer, is
// not exported.
func (e exported) check(query, legend string) error {
	parsed, err := metricsql.Parse(strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(query))
	if err != nil {
		return err
	}
	labels, err := e.labelsOf(parsed)
	if err != nil {
		return err
	}
	for _, m := range legendLabel.FindAllStringSubmatch(legend, -1) {
		if !labels[m[1]] {
			return fmt.Errorf("%q is shown, and the answer has no label %s", legend, m[1])
		}
	}
	return nil
}

// question is a query of a file in deploy, where it stands, and the text
// that is shown with the answer.
type question struct{ at, expr, shown string }

func dashboardQueries(t *testing.T, text []byte) []question {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct{ Name, Type, Query string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var found []question
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			found = append(found, question{p.Title, target.Expr, target.LegendFormat})
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Type != "query" {
			continue
		}
		series, label, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(v.Query, "label_values("), ")"), ", ")
		if !ok {
			t.Errorf("the variable %s asks %q", v.Name, v.Query)
		}
		found = append(found, question{"$" + v.Name, series, "{{" + label + "}}"})
	}
	// Each query stands under this key, wherever it is: none is overlooked.
	if n := strings.Count(string(text), `"expr"`); n != len(found)-1 || n < 30 {
		t.Errorf("%d queries in the dashboard, %d were found with the variable", n, len(found))
	}
	return found
}

func alertQueries(t *testing.T, text []byte) []question {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	var found []question
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			found = append(found, question{r.Alert, r.Expr, r.Annotations["summary"]})
		}
	}
	if len(found) == 0 {
		t.Error("no alerts")
	}
	return found
}

// Whatever the dashboard and the alerts ask for, a real `oneid up` exports,
// with the labels that they use; and docs/operate.md lists just that.
func TestDashboardAsksForWhatIsExported(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	key := strings.TrimSpace(must(t, "apikey", "create", "prometheus", "--dir", dir, "--scope", "metrics:read").stdout)
	p, e := up(t, dir, "ONEID_RECONCILE_EVERY=1s", "ONEID_CALLBACKS_LISTEN=127.0.0.1:0")
	tellMembers(t, dir, p)
	var seen exported
	eventually(t, 30*time.Second, "all was pulled and reconciled once", func() (bool, string) {
		seen = scrape(t, e.API.URL, key)
		return seen["oneid_reconcile_difference"] != nil, fmt.Sprint(slices.Sorted(maps.Keys(seen)))
	})
	text := func(path string) []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	asked := append(dashboardQueries(t, text("../../deploy/grafana/oneid.json")), alertQueries(t, text("../../deploy/prometheus/alerts.yaml"))...)
	for _, q := range asked {
		if err := seen.check(q.expr, q.shown); err != nil {
			t.Errorf("%s: %s: %v", q.at, q.expr, err)
		}
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `(oneid_[a-z_]+)` \\| ([a-z]+) ").FindAllStringSubmatch(string(text("../../docs/operate.md")), -1) {
		series := []string{m[1]}
		if m[2] == "histogram" {
			series = []string{m[1] + "_bucket", m[1] + "_sum", m[1] + "_count"}
		}
		for _, name := range series {
			listed[name] = true
			if seen[name] == nil {
				t.Errorf("docs/operate.md lists %s, which is not exported", name)
			}
		}
	}
	for name := range seen {
		if strings.HasPrefix(name, "oneid_") && !listed[name] {
			t.Errorf("%s is exported, and docs/operate.md does not list it", name)
		}
	}
	down(t, dir, p)
}

// The check finds what is wrong with a query.
func TestDashboardCheck(t *testing.T) {
	e := exported{
		"oneid_a_total":          {"instance": nil, "job": nil, "stage": {"insert": true}},
		"oneid_b_seconds_bucket": {"instance": nil, "le": nil},
	}
	for query, want := range map[string]string{
		`sum by (stage) (rate(oneid_a_total{instance=~"$instance",stage="insert"}[$__rate_interval]))`: "",
		`histogram_quantile(0.9, sum by (le) (rate(oneid_b_seconds_bucket[5m]))) > 0`:                  "",
		`rate(oneid_c_total[1m])`:                                        "oneid_c_total is not exported",
		`1 - sum(oneid_c_total)`:                                         "oneid_c_total is not exported",
		`oneid_a_total{shop="x"}`:                                        "no label shop",
		`oneid_a_total{stage="inserts"}`:                                 "never exported",
		`sum by (shop) (oneid_a_total)`:                                  "by shop",
		`sum by (stage) (sum by (instance) (oneid_a_total))`:             "by stage",
		`histogram_quantile(0.9, sum(rate(oneid_b_seconds_bucket[5m])))`: "no buckets",
		`sum(oneid_a_total`:                                              "unexpected",
		`{job="oneid"}`:                                                  "without a name",
	} {
		err := e.check(query, "")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
	if err := e.check("sum(oneid_a_total)", "{{stage}}"); err == nil {
		t.Error("a legend may show a label that is not there")
	}
}
