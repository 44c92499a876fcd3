package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"oneid/connectors/simulator"
	"oneid/internal/crashtest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines/deadletter"
	"oneid/pipelines/deliver"
	"oneid/schemas/events"
)

// The life of one `up` on a folder that a demo made, from its start to
// SIGTERM, with all that works beside it.
func TestUp(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	// What an up that was killed says of itself is no obstacle.
	writeText(t, filepath.Join(dir, endpointsFile), `{"api":{"url":"http://127.0.0.1:1"}}`)
	p, e := up(t, dir, "ONEID_CALLBACKS_LISTEN=127.0.0.1:0")

	t.Run("endpoints.json has the documented shape", func(t *testing.T) { wantEndpoints(t, dir) })
	t.Run("API says that it is ready", func(t *testing.T) {
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/openapi.json": 200, "/metrics": 401, "/v1/customers/x": 401} {
			response, err := http.Get(e.API.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s answers %s, want %d", path, response.Status, want)
			}
		}
	})
	t.Run("every message is a CloudEvent", func(t *testing.T) { wantCloudEvents(t, e.Kafka.Brokers) })
	t.Run("a changed order is there within 5 s of being read", func(t *testing.T) { wantChange(t, dir) })
	t.Run("the platforms told of it too", func(t *testing.T) {
		key := strings.TrimSpace(must(t, "apikey", "create", "pushes", "--dir", dir, "--scope", "metrics:read").stdout)
		for _, platform := range simulator.Platforms {
			told := regexp.MustCompile(`oneid_pushes_total\{outcome="(read|left_to_pull)",platform="` + platform + `",shop="[0-9]+"\} [1-9]`)
			eventually(t, 20*time.Second, platform+": the push is read", func() (bool, string) {
				text := metricsText(t, e.API.URL, key)
				return told.MatchString(text), text
			})
		}
	})
	t.Run("a second up refuses", func(t *testing.T) {
		wantRefused(t, oneid(t, "up", "--dir", dir), 1, "another oneid process owns the data folder", "hint: ")
		wantRefused(t, oneid(t, "resolve", "--dir", dir), 1, "another oneid process owns the data folder", "hint: ")
		wantRefused(t, oneid(t, demoArgs(dir, 100, 4)...), 1, "another oneid process owns the data folder", "hint: ")
	})
	t.Run("import works beside it", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "till.csv")
		writeText(t, file, "customer_id,date,quantity,amount\n00007,2026-01-02,1,12.30\n00007,2026-01-02,1,12.30\n00008,2026-01-03,2,0.00\n")
		for range 2 {
			must(t, "import", "--dir", dir, "--mapping", cdnowMapping, file)
			if got := one(t, dir, "SELECT count(), sum(paid_amount) FROM customer_orders WHERE platform = 'file'"); got != "3 24.6" {
				t.Errorf("after the import: %s, want 3 orders of 24.6", got)
			}
		}
	})
	t.Run("explain works beside it", func(t *testing.T) {
		account := readCSV(t, filepath.Join(dir, "bridges.csv"))[1]
		for _, part := range []string{account[0], account[1]} {
			if out := must(t, "explain", "--dir", dir, "--account", part).stdout; !strings.Contains(out, account[0]) || !strings.Contains(out, account[2]) {
				t.Errorf("explain does not name the bridge %v:\n%s", account, out)
			}
		}
	})
	down(t, dir, p)
}

// wantEndpoints checks the shape of endpoints.json, which other programs read.
func wantEndpoints(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, endpointsFile))
	if err != nil {
		t.Fatal(err)
	}
	tree := decode[map[string]map[string]any](t, string(text))
	got := make(map[string][]string)
	for part, values := range tree {
		for name, value := range values {
			got[part] = append(got[part], name)
			text, _ := value.(string)
			switch name {
			case "url":
				if !strings.HasPrefix(text, "http://127.0.0.1:") {
					t.Errorf("%s.url is %q, want an http address on loopback", part, text)
				}
			case "key_file", "secret_file":
				if filepath.IsAbs(text) || strings.HasPrefix(text, "..") {
					t.Errorf("%s.%s is %q, want a path in the folder", part, name, text)
				}
				stat, err := os.Stat(filepath.Join(dir, text))
				if err != nil {
					t.Errorf("%s.%s: %v", part, name, err)
				} else if stat.Mode().Perm() != 0o600 || stat.Size() < 16 {
					t.Errorf("%s has mode %s and %d bytes, want 0600 and a secret", text, stat.Mode(), stat.Size())
				}
			case "brokers":
				if list, ok := value.([]any); !ok || len(list) == 0 {
					t.Errorf("kafka.brokers is %v, want a list", value)
				}
			}
		}
	}
	want := map[string][]string{
		"api": {"url", "key_file"}, "clickhouse": {"url", "user", "database", "secret_file"},
		"bi": {"url", "user", "database", "secret_file"}, "kafka": {"brokers"}, "callbacks": {"url"},
	}
	if d := cmp.Diff(want, got, anyOrder); d != "" {
		t.Errorf("the keys of endpoints.json: %s", d)
	}
	// The endpoint of the application wants its password.
	for _, part := range []string{"clickhouse", "bi"} {
		url, _ := tree[part]["url"].(string)
		response, err := http.Post(url, "text/plain", strings.NewReader("SELECT 1"))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Errorf("%s answers without a password", part)
		}
	}
}

// wantChange moves one order of each platform on and waits for it.
func wantChange(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, simulatorsFile))
	if err != nil {
		t.Fatal(err)
	}
	e := decode[simulator.Endpoints](t, string(text))
	tmall, _ := strings.CutSuffix(e.Tmall.URL, "/router/rest")
	for _, c := range []struct{ platform, shop, url string }{{"tmall", e.Tmall.Shop, tmall}, {"douyin", e.Douyin.Shop, e.Douyin.URL}, {"weidian", e.Weidian.Shop, e.Weidian.URL}} {
		order := rows(t, dir, "SELECT order_id, status, platform_status, account FROM customer_orders WHERE platform = '"+c.platform+"' AND status = 'shipped' AND refunded_amount = 0 ORDER BY created_at DESC LIMIT 1")
		if len(order) == 0 {
			order = rows(t, dir, "SELECT order_id, status, platform_status, account FROM customer_orders WHERE platform = '"+c.platform+"' AND status IN ('created', 'paid', 'received') ORDER BY created_at DESC LIMIT 1")
		}
		if len(order) == 0 {
			t.Errorf("%s: no order is on its way", c.platform)
			continue
		}
		number, was, account := order[0][0], order[0][2], order[0][3]
		body, err := json.Marshal(map[string]string{"platform": c.platform, "shop": c.shop, "order": number})
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.Post(c.url+"/_simulator/change", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: the change is answered with %s: %s", c.platform, response.Status, said)
		}
		// The connector reads it after pull.every and the settling second at
		// the latest; from there it has 5 s.
		took := eventually(t, time.Minute, c.platform+": the change in customer_orders", func() (bool, string) {
			now := one(t, dir, "SELECT platform_status FROM customer_orders WHERE platform = '"+c.platform+"' AND order_id = '"+number+"'")
			return now != was, now + " after " + string(said)
		})
		var profile struct {
			Orders []struct {
				ID     string `json:"order_id"`
				Status string `json:"platform_status"`
			} `json:"last_orders"`
		}
		for _, by := range [][]string{{"--order", c.platform + "/" + c.shop + "/" + number}, {"--account", account}} {
			// The table of look-ups is filled by the insert that fills the view's, right
			// behind it.
			eventually(t, time.Minute, c.platform+": the change in lookup "+by[0], func() (bool, string) {
				profile.Orders = nil
				out := must(t, append([]string{"lookup", "--dir", dir, "--json"}, by...)...).stdout
				if err := json.Unmarshal([]byte(out), &profile); err != nil {
					t.Fatal(err)
				}
				for _, o := range profile.Orders {
					if o.ID == number && o.Status == was {
						return false, "it still shows the order as " + was
					}
				}
				return true, ""
			})
		}
		crashtest.Within(t, c.platform+": a change is in customer_orders", took, 3*time.Second+5*time.Second)
	}
}

// wantCloudEvents looks at the headers of every message of every topic.
func wantCloudEvents(t *testing.T, brokers []string) {
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topics := events.TopicsOf("oneid")
	for topic, kinds := range map[string][]string{
		topics.Orders: {"order", "refund"}, topics.Users: {"user"}, topics.Tickets: {"ticket"}, topics.Spend: nil,
		topics.Identity: {"identity_change"}, topics.Journal: {"journal_record"}, topics.Cursors: {"cursor"}, topics.Decisions: nil, topics.DeadLetter: nil,
	} {
		var seen []string
		err := client.ReadAll(t.Context(), topic, func(_ int, m kafka.Fetched) error {
			has := make(map[string]string)
			for _, h := range m.Headers {
				has[h.Key] = string(h.Value)
			}
			kind := strings.TrimSuffix(strings.TrimPrefix(has["ce_type"], "oneid."), ".v1")
			if !slices.Contains(seen, kind) {
				seen = append(seen, kind)
			}
			for _, name := range []string{"ce_id", "ce_source"} {
				if has[name] == "" {
					t.Errorf("%s@%d: the header %s is empty", topic, m.Offset, name)
				}
			}
			if _, err := time.Parse(time.RFC3339Nano, has["ce_time"]); err != nil || has["ce_specversion"] != "1.0" || has["content-type"] != events.ContentType {
				t.Errorf("%s@%d: the headers are %v", topic, m.Offset, has)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(seen)
		if !slices.Equal(seen, kinds) {
			t.Errorf("%s holds the kinds %v, want %v", topic, seen, kinds)
		}
	}
}

// Killed with no chance to clean up, up leaves no engine behind, and the next
// one starts within 10 s and has everything.
func TestUpKilled(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	p, _ := up(t, dir)
	counts := "SELECT (SELECT count() FROM customer_orders), (SELECT count() FROM customer_tickets), (SELECT count() FROM identity_map_current)"
	before := one(t, dir, counts)
	children := childrenOf(t, p.cmd.Process.Pid)
	if len(children) == 0 {
		t.Fatal("up has no child: where is the engine?")
	}
	p.signal(t, syscall.SIGKILL)
	if _, err := os.Stat(filepath.Join(dir, endpointsFile)); err != nil {
		t.Errorf("the killed up should have left its endpoints.json: %v", err)
	}
	began := time.Now()
	next, _ := up(t, dir)
	crashtest.Within(t, "the next up", time.Since(began), rowsFlowWithin)
	eventually(t, time.Minute, "the engine ends with its parent", func() (bool, string) {
		for _, child := range children {
			if _, err := os.Stat("/proc/" + child); err == nil {
				return false, "process " + child + " lives"
			}
		}
		return true, ""
	})
	if after := one(t, dir, counts); after != before {
		t.Errorf("orders, tickets, accounts after the kill: %s, before: %s", after, before)
	}
	down(t, dir, next)
}

// childrenOf are the processes that a process has started.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var children []string
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has just ended
		}
		// pid (name) state parent …: the name may hold anything, the rest not.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			children = append(children, filepath.Base(filepath.Dir(stat)))
		}
	}
	return children
}

// A profile is the same from up, whose resolver holds it in memory, and from a
// command that reads ClickHouse alone, for every account and every order there
// is.
func TestSameProfileWithAndWithoutResolver(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	accounts := readCSV(t, filepath.Join(dir, "truth.csv"))[1:]
	orders := rows(t, dir, "SELECT concat(platform, '/', shop, '/', order_id) FROM customer_orders ORDER BY 1")
	p, e := up(t, dir)
	// A key that both servers take.
	key := strings.TrimSpace(must(t, "apikey", "create", "--dir", dir, "--scope", "customers:read,customers:explain", "the test").stdout)
	// up pulls once more what the demo has pulled: nothing must change by it.
	with := profiles(t, e.API.URL, key, "account", accounts)
	maps.Copy(with, profiles(t, e.API.URL, key, "order", orders))
	down(t, dir, p)
	s := start(t, "serve", "--dir", dir)
	url := served(t, s)
	decider := strings.TrimSpace(must(t, "apikey", "create", "--dir", dir, "--scope", "customers:decide", "desk").stdout)
	if code, said := askAPI(t, http.MethodGet, url+"/v1/decisions", decider, ""); code != http.StatusServiceUnavailable || !strings.Contains(said, "kafka.brokers") {
		t.Errorf("with no Kafka serve answers a question about decisions with %d, and does not say what to do: %s", code, said)
	}
	without := profiles(t, url, key, "account", accounts)
	maps.Copy(without, profiles(t, url, key, "order", orders))
	if a := s.signal(t, syscall.SIGINT); a.code != 0 && a.code != 130 {
		t.Errorf("serve exits with %d:\n%s", a.code, a.stderr)
	}
	differ := 0
	for key := range with {
		if d := cmp.Diff(with[key], without[key]); d != "" {
			differ++
			if differ <= 3 {
				t.Errorf("%s differs with (-) and without (+) a resolver:\n%s", key, d)
			}
		}
	}
	if differ > 0 || len(with) != len(accounts)+len(orders) {
		t.Errorf("%d of %d profiles differ; want %d and none", differ, len(with), len(accounts)+len(orders))
	}
	// And so it is for a command on the resting folder, which has its own way in.
	for _, row := range accounts[:3] {
		cli := decode[any](t, must(t, "lookup", "--dir", dir, "--json", "--account", row[0]).stdout)
		if d := cmp.Diff(with["account "+row[0]], cli); d != "" {
			t.Errorf("lookup %s on the resting folder (+):\n%s", row[0], d)
		}
	}
}

// profiles asks the API for each account or order, many at once, as those who
// wait together are answered by one statement.
func profiles(t *testing.T, url, key, by string, values [][]string) map[string]any {
	t.Helper()
	var mu sync.Mutex
	found := make(map[string]any)
	var asking errgroup.Group
	asking.SetLimit(16)
	for _, row := range values {
		asking.Go(func() error {
			profile, err := profileOf(t.Context(), url, key, by, row[0])
			if err != nil {
				return fmt.Errorf("%s %s: %w", by, row[0], err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[by+" "+row[0]] = profile
			return nil
		})
	}
	if err := asking.Wait(); err != nil {
		t.Fatal(err)
	}
	return found
}

// profileOf looks one up, again and again while ClickHouse is slower than
// look-ups wait for it and the answer says to try again.
func profileOf(ctx context.Context, url, key, by, value string) (map[string]any, error) {
	for tries := 0; ; tries++ {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/customers:lookup", strings.NewReader(fmt.Sprintf("{%q:%q}", by, value)))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode == http.StatusServiceUnavailable && tries < 100 {
			time.Sleep(200 * time.Millisecond)
			continue
		}
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s %s", response.Status, text)
		}
		var profile map[string]any
		err = json.Unmarshal(text, &profile)
		delete(profile, "$schema") // where the server's own schema lies
		return profile, err
	}
}

// A folder at rest can be copied anywhere and started there; the first is as
// it was.
func TestCopiedFolderStarts(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t) // itself a copy: of what the demo left
	account := readCSV(t, filepath.Join(dir, "truth.csv"))[1][0]
	first := must(t, "lookup", "--dir", dir, "--json", "--account", account).stdout
	moved := filepath.Join(t.TempDir(), "another place", "数据")
	copyFolder(t, dir, moved)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p, _ := up(t, moved)
	if second := must(t, "lookup", "--dir", moved, "--json", "--account", account).stdout; second != first {
		t.Errorf("the copy answers %s, the first %s", second, first)
	}
	if one(t, moved, "SELECT count() FROM customer_360") == "0" {
		t.Error("the copy has no customers")
	}
	down(t, moved, p)
	if _, err := os.Stat(dir); err == nil {
		t.Error("the copy wrote into the place it came from")
	}
}

// A webhook is told which customer each account is, and once more what it had
// refused, when a person replays that letter.
func TestUpTellsWebhooks(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	var mu sync.Mutex
	told, times := make(map[string]string), make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Data struct {
				Account    string `json:"account"`
				CustomerID string `json:"customer_id"`
			} `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil || r.Header.Get("Webhook-Signature") == "" {
			t.Errorf("an event came that is none: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		told[event.Data.Account] = event.Data.CustomerID
		times[event.Data.Account]++
	}))
	defer server.Close()
	writeText(t, filepath.Join(dir, "secrets", "desk"), "a secret of the test's")
	writeText(t, filepath.Join(dir, settingsFile), "deliver:\n  webhooks:\n    - name: desk\n      url: "+server.URL+"\n      secret_file: secrets/desk\n")
	p, e := up(t, dir)
	want := make(map[string]string)
	for _, row := range rows(t, dir, "SELECT account, toString(customer_id) FROM identity_map_current") {
		want[row[0]] = row[1]
	}
	client, err := kafka.New(kafka.Config{Brokers: e.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	identity := events.TopicsOf("oneid").Identity
	eventually(t, time.Minute, "the webhook is told all", func() (bool, string) {
		// What the resolver tells again after its restart comes again: it must be over
		// before anything is counted.
		_, next, err := client.Ends(t.Context(), identity)
		if err != nil {
			return false, err.Error()
		}
		have, err := client.Committed(t.Context(), deliver.Group("oneid", "desk"), []string{identity})
		if err != nil || !reached(have, kafka.Position{identity: next}) {
			return false, fmt.Sprintf("it is at %v of %v (%v)", have, next, err)
		}
		mu.Lock()
		defer mu.Unlock()
		d := cmp.Diff(want, told)
		return d == "", d
	})
	account := refusedDelivery(t, dir, client)
	mu.Lock()
	before := times[account]
	mu.Unlock()
	eventually(t, time.Minute, "the letter is listed", func() (bool, string) {
		out := must(t, "deadletter", "list", "--dir", dir, "--reason", "deliver", "--json").stdout
		return len(decode[[]deadletter.Letter](t, out)) == 1, out
	})
	if report := decode[deadletter.Report](t, must(t, "deadletter", "replay", "--dir", dir, "--reason", "deliver", "--json").stdout); report.Replayed != 1 {
		t.Errorf("the replay says %+v", report)
	}
	eventually(t, time.Minute, "the webhook is told again", func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return times[account] == before+1 && told[account] == want[account], fmt.Sprintf("told %d times, before %d times", times[account], before)
	})
	if left := must(t, "deadletter", "list", "--dir", dir, "--reason", "deliver").stdout; strings.Count(left, "\n") != 1 {
		t.Errorf("after the replay there are\n%s", left)
	}
	down(t, dir, p)
}

// refusedDelivery writes the letter that the webhook desk would have brought
// about by refusing the last change of an account, which it gives.
func refusedDelivery(t *testing.T, dir string, client *kafka.Client) (account string) {
	t.Helper()
	topics := events.TopicsOf("oneid")
	var last kafka.Fetched
	var place string
	if err := client.ReadAll(t.Context(), topics.Identity, func(partition int, m kafka.Fetched) error {
		last, place = m, fmt.Sprintf("%s/%d@%d", topics.Identity, partition, m.Offset)
		last.Key, last.Value = bytes.Clone(m.Key), bytes.Clone(m.Value)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := events.Letters(&events.DeadLetter{
		LetterId: events.DeliveryLetter("desk", place), Stream: events.StreamIdentity, Reason: events.ReasonDeliver, Detail: "it was refused",
		Origin: place, Attempts: 1, FirstSeenMs: time.Now().UnixMilli(),
	}, last.Value, keys)
	if err != nil {
		t.Fatal(err)
	}
	parts[0].Topic, parts[0].Key = topics.DeadLetter, last.Key
	publisher := client.Publisher()
	if err := errors.Join(publisher.Publish(t.Context(), []kafka.Message{kafka.MessageOf(parts[0])}), publisher.Close()); err != nil {
		t.Fatal(err)
	}
	return string(last.Key)
}

// A webhook that is set wrongly is a fault that up names before it starts.
func TestUpRefusesAWrongWebhook(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	writeText(t, filepath.Join(dir, settingsFile), "deliver:\n  webhooks:\n    - name: desk\n      url: https://desk.example.com\n")
	wantRefused(t, oneid(t, "up", "--dir", dir), 1, `webhook "desk"`, "secret", "hint: mend deliver")
}

// A wrong pipeline is named before anything is pulled or served.
func TestUpRefusesAWrongPipeline(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	if err := os.MkdirAll(filepath.Join(dir, pipelinesFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, pipelinesFolder, "a.yaml"), "task: dance\nevery: 1m\n")
	r := oneid(t, "up", "--dir", dir)
	wantRefused(t, r, 1, "a.yaml:1:1: task must be", "oneid run --sample")
	if strings.Contains(r.stderr, "Ctrl-C stops") || strings.Contains(r.stderr, "look-ups by order are slow") {
		t.Errorf("it was up before it said so:\n%s", r.stderr)
	}
}
