package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// wantGolden compares an output with a file, after what differs from run to
// run is taken out: the folder, the time and the memory.
func wantGolden(t *testing.T, name, dir, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, dir, "DIR")
	got = regexp.MustCompile(`[0-9.]+ s, at most [0-9]+ MiB`).ReplaceAllString(got, "N s, at most N MiB")
	if filepath.Ext(name) == ".json" { // what is learned is the same to more digits than this on all machines
		got = regexp.MustCompile(`[0-9]+\.[0-9]+(e-?[0-9]+)?`).ReplaceAllStringFunc(got, func(number string) string {
			x, _ := strconv.ParseFloat(number, 64) // the expression is that of a number
			return fmt.Sprintf("%.3g", x)
		})
	}
	got = regexp.MustCompile(`"(at|seconds|peak_mib)": ?("[^"]*"|[0-9.]+)`).ReplaceAllString(got, `"$1": "N"`)
	file := filepath.Join("testdata", "identity", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run the test with -update to write it, then read it", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// Train and link are match in two steps: the same clusters and pairs, byte for
// byte. Evaluate says of them what link says, and explain of a pair what
// stands in pairs.csv. None shows a value unless it is asked to.
func TestTrainAndLinkAreMatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	const in, model = "../../deploy/examples/match/customers.csv", "../../deploy/examples/match/model.yaml"
	learned := file("learned.json")
	rows := readTable(t, in)
	same := func(a, b string) {
		t.Helper()
		x, errX := os.ReadFile(a)
		y, errY := os.ReadFile(b)
		if errX != nil || errY != nil || string(x) != string(y) {
			t.Errorf("%s and %s differ (%v, %v)", a, b, errX, errY)
		}
	}
	const seed = "7" // also the model's
	must(t, "match", in, "--model", model, "--out", file("whole.csv"), "--pairs", file("whole.pairs.csv"))
	trained := must(t, "identity", "train", in, "--model", model, "--out", learned, "--seed", seed)
	linked := must(t, "identity", "link", in, "--model", model, "--learned", learned, "--out", file("clusters.csv"), "--pairs", file("pairs.csv"), "--truth", "person")
	same(file("whole.csv"), file("clusters.csv"))
	same(file("whole.pairs.csv"), file("pairs.csv"))
	wantGolden(t, "train.txt", dir, trained.stdout)
	wantGolden(t, "link.txt", dir, linked.stdout)
	for _, l := range []string{learned, file("whole.learned.json")} {
		text, err := os.ReadFile(l)
		if err != nil {
			t.Fatal(err)
		}
		wantGolden(t, "learned.json", dir, string(text))
	}

	var truth strings.Builder
	truth.WriteString("id,cluster\n")
	for _, row := range rows[1:] {
		fmt.Fprintf(&truth, "%s,%s\n", row[0], row[1])
	}
	if err := os.WriteFile(file("truth.csv"), []byte(truth.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{in, "--model", model, "--learned", learned}
	clusters := []string{"identity", "evaluate", "--clusters", file("clusters.csv"), "--truth", file("truth.csv")}
	evaluated := must(t, append([]string{"identity", "evaluate", "--truth", "person", "--picture", file("curve.svg")}, flags...)...)
	wantGolden(t, "evaluate.txt", dir, evaluated.stdout)
	wantGolden(t, "evaluate_clusters.txt", dir, must(t, append(clusters, "--pairs", file("pairs.csv"))...).stdout)
	same(file("curve.svg"), file("clusters.curve.svg"))
	var report matchReport
	decodeInto(t, must(t, append([]string{"identity", "link", "--out", file("again.csv"), "--truth", "person", "--json"}, flags...)...).stdout, &report)
	for name, args := range map[string][]string{
		"tables":                append([]string{"identity", "evaluate", "--truth", "person", "--json"}, flags...),
		"tables, truth in file": append([]string{"identity", "evaluate", "--truth", file("truth.csv"), "--json"}, flags...),
		"clusters":              append(clusters, "--json"),
	} {
		var e evaluation
		decodeInto(t, must(t, args...).stdout, &e)
		if !cmp.Equal([]quality{e.Pairwise, e.BCubed}, []quality{report.Truth.Pairwise, report.Truth.BCubed}, cmpopts.EquateApprox(0, 1e-9)) || e.Clusters != report.Clusters || e.Records != report.Records {
			t.Errorf("%s: evaluate says %+v and %+v, link %+v and %+v", name, e.Pairwise, e.BCubed, report.Truth.Pairwise, report.Truth.BCubed)
		}
		if name != "clusters" {
			if !slices.Equal(report.Truth.Curve, e.Curve) {
				t.Errorf("%s: another curve than link's:\n%+v\n%+v", name, e.Curve, report.Truth.Curve)
			}
			if e.BlockingRecall == nil || *e.BlockingRecall != *report.Truth.BlockingRecall {
				t.Errorf("%s: another recall of blocking than link's %v", name, *report.Truth.BlockingRecall)
			}
		} else if e.BlockingRecall != nil {
			t.Errorf("%s: a recall of blocking where nothing says what was compared", name)
		}
		if len(e.Joined)+len(e.Apart) == 0 {
			t.Errorf("%s: no wrong pair: the test shows less than it should", name)
		}
	}

	number := map[string]string{}
	for i, row := range rows[1:] {
		number[row[0]] = fmt.Sprint(i + 1)
	}
	pairs := readTable(t, file("pairs.csv"))[1:]
	explain := func(args ...string) string {
		t.Helper()
		return must(t, append(append([]string{"identity", "explain"}, flags...), args...)...).stdout
	}
	for _, k := range []int{0, len(pairs) / 2, len(pairs) - 1} {
		var e explained
		decodeInto(t, explain("--pair", pairs[k][0], pairs[k][1], "--json"), &e)
		got := []string{strconv.FormatFloat(e.Probability, 'f', 6, 64), strconv.FormatFloat(float64(e.Weight), 'f', 3, 64)}
		if d := cmp.Diff(pairs[k][2:], got); d != "" || !e.Compared || fmt.Sprint(e.Left.Record) != number[pairs[k][0]] {
			t.Errorf("pair %d is explained otherwise than linked: %+v\n%s", k, e, d)
		}
	}
	hidden := explain("--records", number[pairs[len(pairs)/2][0]], number[pairs[len(pairs)/2][1]])
	wantGolden(t, "explain.txt", dir, hidden)
	open := explain("--pair", pairs[len(pairs)/2][0], pairs[len(pairs)/2][1], "--show-values")
	wantGolden(t, "explain_values.txt", dir, open)
	// A pair that nothing links, in two clusters.
	wantGolden(t, "explain_apart.txt", dir, explain("--records", "1", fmt.Sprint(len(rows)-1)))

	shown := 0
	for _, row := range rows[1:] {
		for _, value := range append(row[2:], row[0]+" ", "("+row[0]+")") {
			if len(value) < 4 {
				continue
			}
			for _, text := range []string{trained.stdout, linked.stdout, evaluated.stdout, hidden} {
				if strings.Contains(text, value) {
					t.Fatalf("%q is shown:\n%s", value, text)
				}
			}
			if strings.Contains(open, value) {
				shown++
			}
		}
	}
	if shown == 0 {
		t.Errorf("--show-values shows none:\n%s", open)
	}
	must(t, append([]string{"identity", "evaluate", "--truth", "person", "--show-values"}, flags...)...)
}

func decodeInto(t *testing.T, text string, into any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil || decoder.More() {
		t.Fatalf("not one JSON object (%v):\n%s", err, text)
	}
}

func TestTablesAndModelsThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	in, learned := filepath.Join(dir, "people.csv"), filepath.Join(dir, "learned.json")
	const people = "../../deploy/examples/match/customers.csv"
	text, err := os.ReadFile(people)
	if err == nil {
		err = os.WriteFile(in, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	const model = "../../deploy/examples/match/model.yaml"
	must(t, "identity", "train", in, "--model", model, "--out", learned)
	text, err = os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	changed := write("changed.yaml", strings.Replace(string(text), "kind: phone", "kind: code", 1))
	with := func(command string, more ...string) []string {
		return append([]string{"identity", command, "--model", model, "--learned", learned}, more...)
	}
	out := filepath.Join(dir, "out.csv")
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"train: no model there":     {[]string{"identity", "train", in, "--model", filepath.Join(dir, "none.yaml")}, []string{"none.yaml", "oneid match TABLE"}},
		"train: a table as model":   {[]string{"identity", "train", in, "--model", in}, []string{"people.csv", "it is no model"}},
		"link: another model":       {[]string{"identity", "link", in, "--model", changed, "--learned", learned, "--out", out}, []string{`"phone" was trained with kind "phone", and has "code"`, "train anew"}},
		"link: columns missing":     {with("link", write("few.csv", "id,first_name\n1,anna\n2,anne\n"), "--out", out), []string{`"surname" "born" "town" "phone" "email"`, "not there"}},
		"link: learned is a table":  {[]string{"identity", "link", in, "--model", model, "--learned", in, "--out", out}, []string{"people.csv line 1, column", "it is no JSON", "identity train"}},
		"link: nothing learned":     {[]string{"identity", "link", in, "--model", model, "--learned", filepath.Join(dir, "l.json"), "--out", out}, []string{"l.json", "identity train"}},
		"link: newer":               {[]string{"identity", "link", in, "--model", model, "--learned", write("newer.json", `{"format":"oneid learned","version":9}`), "--out", out}, []string{"version 9; this oneid reads up to version 1", "newer oneid"}},
		"explain: unknown id":       {with("explain", in, "--pair", "c1", "13800001111"), []string{"no record has the second id", "clusters.csv"}},
		"explain: no such number":   {with("explain", in, "--records", "0", "3"), []string{"first of --records", "from 1 to"}},
		"explain: one record":       {with("explain", in, "--pair", "c1", "c1"), []string{"both are one record"}},
		"evaluate: nothing":         {[]string{"identity", "evaluate", "--truth", in}, []string{"either --clusters or files"}},
		"evaluate: both":            {with("evaluate", in, "--clusters", in, "--truth", in), []string{"either --clusters or files"}},
		"evaluate: no model":        {[]string{"identity", "evaluate", in, "--truth", "person"}, []string{"--model and --learned"}},
		"evaluate: no clusters":     {[]string{"identity", "evaluate", "--clusters", in, "--truth", in}, []string{"two columns"}},
		"evaluate: pairs of others": {[]string{"identity", "evaluate", "--clusters", write("c.csv", "id,cluster\na,a\nb,a\n"), "--truth", write("t.csv", "id,cluster\na,1\nb,1\n"), "--pairs", write("p.csv", "id_l,id_r,probability,weight\na,c,0.9,3\n")}, []string{"p.csv line 2", "same run"}},
		"evaluate: no curve":        {[]string{"identity", "evaluate", "--clusters", write("c2.csv", "id,cluster\na,a\nb,a\n"), "--truth", write("t2.csv", "id,cluster\na,1\nb,1\n"), "--picture", filepath.Join(dir, "p.svg")}, []string{"no curve", "--pairs"}},
		"evaluate: one id twice":    {[]string{"identity", "evaluate", "--clusters", write("c3.csv", "id,cluster\na,a\na,a\n"), "--truth", write("t3.csv", "id,cluster\na,1\n")}, []string{"records 1 and 2 have one id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := oneid(t, c.args...)
			wantRefused(t, got, 1, c.want...)
			if strings.Contains(got.stderr, "13800001111") {
				t.Errorf("an id is repeated: %s", got.stderr)
			}
		})
	}
	wantRefused(t, oneid(t, with("explain", in)...), 2, "--pair=ID_L ID_R", "--records=N M", "see: oneid identity explain --help")
	wantRefused(t, oneid(t, with("explain", in, "--pair", "c1")...), 2, "two values")
	// Records that differ much are linked, with a note.
	few := write("other.csv", "id,first_name,surname,born,town,phone,email\n1,anna,,1980-01-01,,,\n2,anne,,1980-01-01,,,\n3,otto,,1970-01-01,,,\n")
	if got := must(t, with("link", few, "--out", out)...); !strings.Contains(got.stdout, "note: surname has a value in 0 % of the records, in training in 100 %") || !strings.Contains(got.stdout, "note: there are 3 records") {
		t.Errorf("no note about other data:\n%s", got.stdout)
	}
}

// What reads tables says alike which, and a usage shows no two flags of which one is
// needed.
func TestHelpOfTables(t *testing.T) {
	t.Parallel()
	help := func(command any) string {
		input, _ := reflect.TypeOf(command).FieldByName("Input")
		return input.Tag.Get("help")
	}
	want := help(matchCmd{})
	for name, got := range map[string]string{"train": help(identityTrainCmd{}), "link": help(identityLinkCmd{})} {
		if got != want || got == "" {
			t.Errorf("%s reads %q, and match %q", name, got, want)
		}
	}
	usage, _, _ := strings.Cut(must(t, "identity", "explain", "--help").stdout, "\n\n")
	if strings.Contains(usage, "--records") || strings.Contains(usage, "--pair") || !strings.Contains(usage, "--learned=FILE") {
		t.Errorf("the usage is %q, want the flags that are always needed alone", usage)
	}
}

// The commands of the guide work, in its order, and print what it shows.
func TestMatchGuide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := os.ReadFile("../../docs/match.md")
	if err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("deploy/", "../../deploy/", "oneid-data/match", dir)
	var block, printed string
	commands, shown := 0, 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if kind, ok := strings.CutPrefix(line, "```"); ok {
			if block = kind; kind == "sh" {
				printed = ""
			}
			continue
		}
		switch block {
		case "sh":
			if args := strings.Fields(here.Replace(line)); args[0] == "bin/oneid" {
				for line := range strings.Lines(must(t, args[1:]...).stdout) {
					printed += strings.TrimRight(line, " \n") + "\n" // an empty last cell
				}
				commands++
			}
		case "text":
			if shown++; !strings.Contains(printed, line+"\n") {
				t.Errorf("the guide shows %q, which is not in\n%s", line, printed)
			}
		}
	}
	if commands < 6 || shown < 10 {
		t.Errorf("%d commands and %d lines of output: the test shows less than it should", commands, shown)
	}
}
