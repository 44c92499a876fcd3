package tap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
	"oneid/internal/httpclient"
)

// inProcess carries calls to a face.
type inProcess struct{ face http.Handler }

func (n inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	n.face.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// shop is a simulated Douyin shop; before may answer in place of its face.
func shop(t *testing.T, people int, before func(w http.ResponseWriter, r *http.Request) bool) (*simulator.World, connectors.Connector) {
	t.Helper()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: people, Seed: 1, From: until.Add(-3 * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	e := simulator.EndpointsOf(world, "", "http://douyin.example", "").Douyin
	face := simulator.Douyin(world, simulator.DouyinOptions{})
	c, err := douyin.New(e.Shop, douyin.Config{
		URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, BackfillDays: 4, PageSize: 10, RequestsPerSecond: 1e6,
		Transport: inProcess{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if before == nil || !before(w, r) {
				face.ServeHTTP(w, r)
			}
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	return world, c
}

// names are all streams of a connector.
func names(c connectors.Connector) []string {
	var out []string
	for _, s := range StreamsOf(c.Spec()) {
		out = append(out, s.Name)
	}
	return out
}

// said reads a writer's lines as JSON.
func said(t *testing.T, out *bytes.Buffer) []object {
	t.Helper()
	var all []object
	for line := range strings.Lines(out.String()) {
		var message object
		if err := json.Unmarshal([]byte(line), &message); err != nil {
			t.Fatalf("a line is no JSON: %v", err)
		}
		all = append(all, message)
	}
	return all
}

// at digs in JSON.
func at(value any, path ...string) any {
	for _, name := range path {
		inner, ok := value.(object)
		if !ok {
			return nil
		}
		value = inner[name]
	}
	return value
}

// protocolSchema is the protocol as JSON Schema: what of it is used, in our own
// words, or the protocol's own where its file is named (see decision 036).
func protocolSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file := os.Getenv("ONEID_AIRBYTE_SCHEMA")
	if file == "" {
		file = "testdata/airbyte_protocol.schema.json"
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".yaml") {
		if text, err = yaml.YAMLToJSON(text); err != nil {
			t.Fatal(err)
		}
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("protocol.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("protocol.json#/definitions/AirbyteMessage")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// valid holds each message against the protocol.
func valid(t *testing.T, messages []object) {
	t.Helper()
	schema := protocolSchema(t)
	for _, m := range messages {
		if err := schema.Validate(any(m)); err != nil {
			t.Errorf("%v message: %v", m["type"], err)
		}
		key := map[any]string{"SPEC": "spec", "CONNECTION_STATUS": "connectionStatus", "CATALOG": "catalog", "RECORD": "record", "STATE": "state", "TRACE": "trace", "LOG": "log", "CONTROL": "control"}[m["type"]]
		if m[key] == nil || len(m) != 2 {
			t.Errorf("%v message without its %q, or with more", m["type"], key)
		}
	}
}

func TestWhatAirbyteIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c := shop(t, 150, nil)
		var out bytes.Buffer
		a := NewAirbyte(&out)
		if err := errors.Join(
			a.Spec(c.Spec()), a.Check(nil), a.Check(errors.New("no")), a.Catalog(StreamsOf(c.Spec()), false),
			a.Renewed(object{"shop": "1", "session": "new"}), a.Failed(&SettingsError{errors.New("bad")}),
			Read(t.Context(), Config{Connector: c, Streams: names(c)}, a),
		); err != nil {
			t.Fatal(err)
		}
		messages := said(t, &out)
		valid(t, messages)
		kinds, statuses := make(map[any]int), make(map[string][]any)
		for _, m := range messages {
			kinds[m["type"]]++
			if s := at(m, "trace", "stream_status"); s != nil {
				name := at(s, "stream_descriptor", "name").(string)
				statuses[name] = append(statuses[name], at(s, "status"))
			}
		}
		for _, kind := range []string{"SPEC", "CONNECTION_STATUS", "CATALOG", "RECORD", "STATE", "TRACE", "CONTROL"} {
			if kinds[kind] == 0 {
				t.Errorf("no message of type %s", kind)
			}
		}
		for _, name := range names(c) {
			if got := fmt.Sprint(statuses[name]); got != "[STARTED RUNNING COMPLETE]" {
				t.Errorf("%s: status %s", name, got)
			}
		}
	})
}

// Each record is as its stream's schema in the catalogue says, and nothing of
// an event's body is left out.
func TestRecordsAreOfTheirSchema(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c := shop(t, 150, nil)
		for _, personal := range []bool{false, true} {
			var out bytes.Buffer
			a := NewAirbyte(&out)
			if err := errors.Join(a.Catalog(StreamsOf(c.Spec()), personal), Read(t.Context(), Config{Connector: c, Streams: names(c), Personal: personal}, a)); err != nil {
				t.Fatal(err)
			}
			messages := said(t, &out)
			schemas := make(map[any]*jsonschema.Schema)
			for _, s := range at(messages[0], "catalog", "streams").([]any) {
				compiler := jsonschema.NewCompiler()
				compiler.AssertFormat()
				if err := compiler.AddResource("s.json", at(s, "json_schema")); err != nil {
					t.Fatal(err)
				}
				schema, err := compiler.Compile("s.json")
				if err != nil {
					t.Fatal(err)
				}
				schemas[at(s, "name")] = schema
			}
			came := make(map[any]int)
			for _, m := range messages {
				if m["type"] != "RECORD" {
					continue
				}
				stream := at(m, "record", "stream")
				came[stream]++
				if err := schemas[stream].Validate(at(m, "record", "data")); err != nil {
					t.Fatalf("%v: %v", stream, err)
				}
			}
			if len(came) != len(schemas) {
				t.Errorf("records of %v, and there are %d streams", came, len(schemas))
			}
		}
	})
}

// Personal values leave masked unless they are asked for.
func TestPersonalValuesAreMasked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(-time.Minute)
		world, err := simulator.New(simulator.Config{People: 60, Seed: 1, From: until.Add(-3 * 24 * time.Hour), Until: until})
		if err != nil {
			t.Fatal(err)
		}
		e := simulator.EndpointsOf(world, "http://tmall.example", "", "").Tmall
		c, err := tmall.New("1", tmall.Config{
			URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, Session: e.Session, BackfillDays: 4, RequestsPerSecond: 1e6,
			Transport: inProcess{simulator.Tmall(world, simulator.TmallOptions{})},
		})
		if err != nil {
			t.Fatal(err)
		}
		// What the connector itself knows of persons.
		values := make(map[string]bool)
		for _, stream := range c.Spec().Streams {
			for page, err := range c.Read(t.Context(), stream.Name, "") {
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Records {
					list, err := c.Map(r)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range list {
						p := e.GetHeader().GetPerson()
						for _, s := range p.GetSightings() {
							values[s.GetValue()] = true
						}
						values[p.GetReceiver().GetName()], values[p.GetReceiver().GetPhone()], values[p.GetReceiver().GetDetail()] = true, true, true
						// The account is the platform's pseudonym, and names the record.
						delete(values, e.GetHeader().GetAccount())
					}
				}
			}
		}
		delete(values, "")
		found := func(personal bool) int {
			var out bytes.Buffer
			if err := Read(t.Context(), Config{Connector: c, Streams: names(c), Personal: personal}, NewAirbyte(&out)); err != nil {
				t.Fatal(err)
			}
			n := 0
			for value := range values {
				if quoted, _ := json.Marshal(value); strings.Contains(out.String(), string(quoted)) {
					n++
				}
			}
			return n
		}
		if masked, plain := found(false), found(true); masked != 0 || plain != len(values) || plain < 20 {
			t.Errorf("of %d values %d can be read, and %d where they were asked for", len(values), masked, plain)
		}
	})
}

// heard is what a scheduler knows after some of a reading's lines.
type heard struct {
	records map[string]bool // stream and id
	state   []byte
	since   map[string]int // records of each stream since its last state
}

// hear takes lines as a scheduler does, and checks the counts of states.
func hear(t *testing.T, messages []object, singer bool) heard {
	t.Helper()
	h := heard{records: make(map[string]bool), since: make(map[string]int)}
	latest := make(map[string]any)
	for _, m := range messages {
		switch m["type"] {
		case "RECORD":
			stream, data := at(m, "record", "stream"), at(m, "record", "data")
			if singer {
				stream, data = m["stream"], m["record"]
			}
			h.records[fmt.Sprint(stream, " ", at(data, "id"))] = true
			h.since[stream.(string)]++
		case "STATE":
			if singer {
				h.state, _ = json.Marshal(m["value"])
				continue
			}
			name := at(m, "state", "stream", "stream_descriptor", "name").(string)
			if got := at(m, "state", "sourceStats", "recordCount").(float64); int(got) != h.since[name] {
				t.Errorf("%s: a state counts %v records, and %d came", name, got, h.since[name])
			}
			h.since[name] = 0
			latest[name] = m["state"]
		}
	}
	if !singer {
		var list []any
		for _, state := range latest {
			list = append(list, state)
		}
		h.state, _ = json.Marshal(list)
	}
	return h
}

// A reading that is cut after any line, and gone on with from the last state
// that came, gives every record at least once.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, singer := range []bool{false, true} {
		t.Run(fmt.Sprintf("singer %t", singer), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, c := shop(t, 80, nil)
				// The state is what a scheduler would hand over: bytes.
				readFrom := func(state []byte) []object {
					parse := AirbyteState
					if singer {
						parse = SingerState
					}
					from, err := parse(state)
					if err != nil {
						t.Fatal(err)
					}
					var out bytes.Buffer
					var p Protocol = NewAirbyte(&out)
					if singer {
						p = NewSinger(&out, slog.New(slog.DiscardHandler), from)
					}
					if err := Read(t.Context(), Config{Connector: c, Streams: names(c), From: from}, p); err != nil {
						t.Fatal(err)
					}
					return said(t, &out)
				}
				all := readFrom(nil)
				want := hear(t, all, singer)
				for stream, n := range want.since {
					if n != 0 && !singer {
						t.Errorf("%s: %d records came after the last state", stream, n)
					}
				}
				if len(want.records) < 50 {
					t.Fatalf("%d records: too few to tell anything", len(want.records))
				}
				fewer := 0
				for cut := range all {
					if cut%5 > 0 && all[cut]["type"] == "RECORD" && all[max(cut-1, 0)]["type"] == "RECORD" {
						continue // among records it makes little difference where
					}
					first := hear(t, all[:cut], singer)
					rest := readFrom(first.state)
					got := hear(t, rest, singer)
					if len(got.records) < len(want.records) {
						fewer++
					}
					for key := range want.records {
						if !first.records[key] && !got.records[key] {
							t.Fatalf("cut after line %d of %d: %s never came", cut, len(all), key)
						}
					}
				}
				if fewer == 0 {
					t.Error("each reading began anew: the state tells nothing")
				}
			})
		})
	}
}

// A wait for a limit is a state of the stream, with its end.
func TestWaitsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		_, c := shop(t, 150, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("method") == "order.searchList" {
				calls++
			}
			if calls != 4 {
				return false
			}
			_, _ = w.Write([]byte(`{"code":60000,"msg":"no","sub_code":"isv.traffic-limited"}`))
			return true
		})
		var out bytes.Buffer
		start := time.Now().UnixMilli()
		if err := Read(t.Context(), Config{Connector: c, Streams: []string{"orders"}}, NewAirbyte(&out)); err != nil {
			t.Fatal(err)
		}
		messages := said(t, &out)
		valid(t, messages)
		var limited []any
		for _, m := range messages {
			for _, reason := range asList(at(m, "trace", "stream_status", "reasons")) {
				if at(reason, "type") == "RATE_LIMITED" && at(reason, "rate_limited", "quota_reset").(float64) > float64(start) {
					limited = append(limited, reason)
				}
			}
		}
		if len(limited) != 1 {
			t.Errorf("told of %d waits, want 1: %s", len(limited), out.String())
		}
	})
}

// Of several waits at the same time the stream says the first, and that it goes on
// when the last has ended.
func TestSeveralWaitsAreOne(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	streams := StreamsOf(douyinSpec(t))[:2]
	r := reading{out: NewAirbyte(&out), group: streams}
	for i, step := range []struct {
		begins bool
		lines  int // of each stream, in all
	}{{true, 1}, {true, 1}, {true, 1}, {false, 1}, {true, 1}, {false, 1}, {false, 1}, {false, 2}, {true, 3}, {false, 4}} {
		r.waits(httpclient.Wait{Until: time.UnixMilli(1767603600000)}, step.begins)
		if got := len(said(t, &out)); got != step.lines*len(streams) {
			t.Fatalf("after step %d (begins %t) %d lines were said of %d streams, want %d of each:\n%s", i, step.begins, got, len(streams), step.lines, out.String())
		}
	}
	for i, m := range said(t, &out) {
		limited := len(asList(at(m, "trace", "stream_status", "reasons"))) == 1
		if limited != (i/len(streams)%2 == 0) {
			t.Errorf("line %d is %v", i, m)
		}
	}
}

// douyinSpec is a connector's of several streams.
func douyinSpec(t *testing.T) connectors.Spec {
	t.Helper()
	_, c := shop(t, 1, nil)
	return c.Spec()
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// A stream that is refused leaves the others alone; the error says who can mend
// it.
func TestOneStreamIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal, kind string
		others        any // nil: it is not begun
	}{
		"a right is missing":   {`{"code":30001,"msg":"no","sub_code":"dop.no-permissions"}`, "config_error", "COMPLETE"},
		"the secret is wrong":  {`{"code":40003,"msg":"no","sub_code":"isv.signature-invalid"}`, "config_error", nil},
		"nobody knows":         {`{"code":999999,"msg":"no","sub_code":"isv.what"}`, "system_error", "COMPLETE"},
		"the platform is away": {`<html>`, "transient_error", "COMPLETE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, connector := shop(t, 150, func(w http.ResponseWriter, r *http.Request) bool {
					if r.URL.Query().Get("method") != "order.searchList" {
						return false
					}
					_, _ = w.Write([]byte(c.refusal))
					return true
				})
				var out bytes.Buffer
				err := Read(t.Context(), Config{Connector: connector, Streams: []string{"orders", "aftersales"}}, NewAirbyte(&out))
				if err == nil {
					t.Fatal("no error")
				}
				messages := said(t, &out)
				valid(t, messages)
				last := make(map[any]any)
				kind := any("")
				for _, m := range messages {
					if s := at(m, "trace", "stream_status"); s != nil {
						last[at(s, "stream_descriptor", "name")] = at(s, "status")
					}
					if f := at(m, "trace", "error", "failure_type"); f != nil {
						kind = f
					}
				}
				if last["orders"] != "INCOMPLETE" || last["aftersales"] != c.others || kind != c.kind {
					t.Errorf("orders end as %v, aftersales as %v, the failure is a %v; want INCOMPLETE, %v, %s: %v", last["orders"], last["aftersales"], kind, c.others, c.kind, err)
				}
			})
		})
	}
}

// mixed is a connector that gives one page: a good record, a broken one, and a
// row that is none; and, if told, another page after its context ended.
type mixed struct {
	connectors.Connector
	stop func()
	// sound leaves out what cannot be mapped, and bare the rows that are none.
	sound, bare bool
}

func (m mixed) Read(_ context.Context, stream string, _ connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		record := func(raw string) connectors.Record {
			return connectors.Record{Stream: stream, Shop: "1", Raw: json.RawMessage(raw), Origin: "page 1"}
		}
		page := connectors.Page{
			Records: []connectors.Record{record(`{"order_id":"1","update_time":1000,"order_status":2}`), record(`{"order_id":5}`)},
			Bad:     []connectors.BadRecord{{Raw: []byte("x"), Origin: "page 1", Err: errors.New("the row is not a JSON object")}},
			Next:    "1 2026-01-01T00:00:00Z",
		}
		if m.sound {
			page.Records = page.Records[:1]
		}
		if m.bare {
			page.Bad = nil
		}
		if yield(page, nil) && m.stop != nil {
			m.stop()
		}
	}
}

func TestRefusedRecordsAreCounted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shop     mixed
		rejected any
		logs     int
	}{
		"two":                     {mixed{}, 2.0, 2},
		"one that is not mapped":  {mixed{bare: true}, 1.0, 1},
		"one row that is none":    {mixed{sound: true}, 1.0, 1},
		"none, and no count of 0": {mixed{sound: true, bare: true}, nil, 0},
	} {
		c.shop.Connector = new(douyin.Connector)
		var out bytes.Buffer
		if err := Read(t.Context(), Config{Connector: c.shop, Streams: []string{"orders"}}, NewAirbyte(&out)); err != nil {
			t.Fatal(err)
		}
		messages := said(t, &out)
		valid(t, messages)
		logs, stats := 0, any(nil)
		for _, m := range messages {
			if m["type"] == "LOG" {
				logs++
			}
			if s := at(m, "state", "sourceStats"); s != nil {
				stats = s
			}
		}
		if logs != c.logs || at(stats, "recordCount") != 1.0 || at(stats, "rejectedRecordCount") != c.rejected || !strings.Contains(out.String(), `"recordCount":1.0`) {
			t.Errorf("%s: %d lines for people, counts %v; want %d, and 1.0 and %v:\n%s", name, logs, stats, c.logs, c.rejected, out.String())
		}
	}
}

// Ctrl-C: what came is stated, the stream is incomplete, and that is no fault.
func TestAskedToStop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	err := Read(ctx, Config{Connector: mixed{Connector: new(douyin.Connector), stop: cancel}, Streams: []string{"orders", "aftersales"}}, NewAirbyte(&out))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	text := out.String()
	if !strings.Contains(text, "INCOMPLETE") || strings.Contains(text, `"ERROR"`) || strings.Contains(text, "aftersales") || !strings.Contains(text, `"STATE"`) {
		t.Errorf("it said:\n%s", text)
	}
}

// Whoever reads has gone: the reading ends.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	c := mixed{Connector: new(douyin.Connector)}
	err := Read(t.Context(), Config{Connector: c, Streams: []string{"orders", "aftersales"}}, NewAirbyte(gone{}))
	if !errors.Is(err, errGone) || strings.Count(err.Error(), errGone.Error()) != 1 {
		t.Errorf("the error is %v", err)
	}
}

var errGone = errors.New("the pipe is closed")

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, errGone }

func TestWhatSchedulersGive(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: "map[]", `[]`: "map[]", `{}`: "map[]",
		`[{"type":"STREAM","stream":{"stream_descriptor":{"name":"orders"},"stream_state":{"cursor":"1 x"}}},{"type":"STREAM","stream":{"stream_descriptor":{"name":"users"}}}]`: "map[orders:1 x]",
		`[{"type":"GLOBAL","global":{"stream_states":[{"stream_descriptor":{"name":"orders"},"stream_state":{"cursor":"1 y"}}]}}]`:                                               "map[orders:1 y]",
		`{"a`: "error", `[5]`: "error",
	} {
		got, err := AirbyteState([]byte(text))
		if said := fmt.Sprint(got); err == nil && said != want || (err != nil) != (want == "error") {
			t.Errorf("%s: %s, %v, want %s", text, said, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"streams":[{"tap_stream_id":"a","metadata":[{"breadcrumb":[],"metadata":{"selected":true}}]},{"tap_stream_id":"b","metadata":[{"breadcrumb":[],"metadata":{"selected":false,"selected-by-default":true}}]}]}`: "[a]",
		`{"streams":[{"tap_stream_id":"a","metadata":[{"breadcrumb":[],"metadata":{"selected-by-default":true}}]},{"stream":"b","schema":{"selected":true}},{"stream":"c"}]}`:                                           "[a b]",
		`[`: "error",
	} {
		got, err := SingerStreams([]byte(text))
		if said := fmt.Sprint(got); err == nil && said != want || (err != nil) != (want == "error") {
			t.Errorf("%s: %s, %v, want %s", text, said, err, want)
		}
	}
	if got, err := SingerState([]byte(`{"bookmarks":{"orders":{"cursor":"1 z"}},"currently_syncing":null}`)); err != nil || got["orders"] != "1 z" {
		t.Errorf("%v, %v", got, err)
	}
}

// A catalogue of Singer's that is handed back as it was selects all; each
// stream's schema comes before its records.
func TestWhatSingerIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c := shop(t, 150, nil)
		var catalog, out bytes.Buffer
		log := slog.New(slog.DiscardHandler)
		if err := NewSinger(&catalog, log, nil).Catalog(StreamsOf(c.Spec()), false); err != nil {
			t.Fatal(err)
		}
		streams, err := SingerStreams(catalog.Bytes())
		if err != nil || !slices.Equal(streams, names(c)) {
			t.Fatalf("streams %v, %v", streams, err)
		}
		if err := Read(t.Context(), Config{Connector: c, Streams: streams}, NewSinger(&out, log, nil)); err != nil {
			t.Fatal(err)
		}
		schemas := make(map[any]any)
		for _, m := range said(t, &out) {
			switch m["type"] {
			case "SCHEMA":
				schemas[m["stream"]] = m["schema"]
				if fmt.Sprint(m["key_properties"]) != "[platform shop id]" {
					t.Errorf("keys %v", m["key_properties"])
				}
			case "RECORD":
				if schemas[m["stream"]] == nil {
					t.Fatalf("a record of %v before its schema", m["stream"])
				}
				if _, err := time.Parse(time.RFC3339, m["time_extracted"].(string)); err != nil {
					t.Fatal(err)
				}
			case "STATE":
			default:
				t.Errorf("a message of type %v", m["type"])
			}
		}
		if len(schemas) != len(streams) {
			t.Errorf("%d schemas of %d streams", len(schemas), len(streams))
		}
	})
}

// Every state of Singer's says it of all streams: also of one that this reading
// leaves out, of one that is new in it, and of one whose reading fails.
func TestNoStateForgetsAStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := false
		_, c := shop(t, 150, func(w http.ResponseWriter, r *http.Request) bool {
			if away && strings.Contains(r.URL.Path, "order") {
				http.Error(w, "away", http.StatusForbidden)
				return true
			}
			return false
		})
		streams := names(c)
		kept := make(map[string]connectors.Cursor)
		read := func(chosen []string) error {
			var out bytes.Buffer
			err := Read(t.Context(), Config{Connector: c, Streams: chosen, From: kept}, NewSinger(&out, slog.New(slog.DiscardHandler), kept))
			before := kept
			for _, m := range said(t, &out) {
				if m["type"] != "STATE" {
					continue
				}
				text, err := json.Marshal(m["value"])
				if err != nil {
					t.Fatal(err)
				}
				if kept, err = SingerState(text); err != nil {
					t.Fatal(err)
				}
				for name, cursor := range before {
					if kept[name] == "" || !slices.Contains(chosen, name) && kept[name] != cursor {
						t.Fatalf("a state says %q of %s, and was %q", kept[name], name, cursor)
					}
				}
			}
			return err
		}
		for i := range streams { // each is new once
			if err := read(streams[i : i+1]); err != nil || kept[streams[i]] == "" || len(kept) != i+1 {
				t.Fatalf("%s: %v; the state has %d streams", streams[i], err, len(kept))
			}
		}
		away = true
		if err := read(streams); err == nil || len(kept) != len(streams) {
			t.Errorf("the platform is away: %v; the state has %d streams of %d", err, len(kept), len(streams))
		}
	})
}

// A renewed token is told with all settings, once for each renewal.
func TestRenewedTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(-time.Minute)
		world, err := simulator.New(simulator.Config{People: 20, Seed: 1, From: until.Add(-24 * time.Hour), Until: until})
		if err != nil {
			t.Fatal(err)
		}
		keys := simulator.TmallCredentialsOf(world)
		c, err := tmall.New("1", tmall.Config{
			URL: "http://tmall.example/router/rest", AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, RefreshToken: keys.RefreshToken,
			BackfillDays: 2, RequestsPerSecond: 1e6, Transport: inProcess{simulator.Tmall(world, simulator.TmallOptions{SessionExpires: time.Now()})},
		})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		a, told := NewAirbyte(&out), 0
		c.OnRenewed(func(changed map[string]string) {
			told++
			if changed["session"] == "" || changed["session"] == keys.Session || changed["refresh_token"] == "" {
				t.Error("the new tokens are not there")
			}
			if err := a.Renewed(object{"shop": "1", "session": changed["session"]}); err != nil {
				t.Error(err)
			}
		})
		if err := Read(t.Context(), Config{Connector: c, Streams: []string{"orders"}}, a); err != nil {
			t.Fatal(err)
		}
		messages := said(t, &out)
		valid(t, messages)
		if told != 1 || !slices.ContainsFunc(messages, func(m object) bool {
			return m["type"] == "CONTROL" && at(m, "control", "connectorConfig", "config", "session") != nil
		}) {
			t.Errorf("told %d times", told)
		}
	})
}

// Whatever a scheduler gives as catalogue or state is read or refused, by a fault
// that is its own; what it is said back means the same.
func FuzzWhatSchedulersGive(f *testing.F) {
	f.Add([]byte(`{"streams":[{"stream":{"name":"orders"}}]}`))
	f.Add([]byte(`[{"type":"STREAM","stream":{"stream_descriptor":{"name":"orders"},"stream_state":{"cursor":"c"}}}]`))
	f.Add([]byte(`[{"global":{"stream_states":[{"stream_descriptor":{"name":"orders"}},null]}},null]`))
	f.Add([]byte(`{"bookmarks":{"orders":{"cursor":"c"},"users":null}}`))
	f.Add([]byte(`{"streams":[{"stream":"orders","tap_stream_id":"orders","metadata":[{"breadcrumb":[],"metadata":{"selected":true}}]},null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, catalog := AirbyteStreams(text)
		_, state := AirbyteState(text)
		_, singerCatalog := SingerStreams(text)
		_, singerState := SingerState(text)
		for what, err := range map[string]error{"catalogue": catalog, "state": state, "Singer's catalogue": singerCatalog, "Singer's state": singerState} {
			if err != nil && !errors.As(err, new(*SettingsError)) {
				t.Errorf("%s: %v is not told as a fault of what was given", what, err)
			}
		}
	})
}

// A shop of which a part of the past alone cannot be read can be read, and says what
// is missing.
func TestCheckOfALesserFault(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]error{
		"SUCCEEDED ":        nil,
		"SUCCEEDED no past": &connectors.LesserError{Err: errors.New("no past")},
		"FAILED no":         errors.New("no"),
	} {
		var out bytes.Buffer
		if err := NewAirbyte(&out).Check(fault); err != nil {
			t.Fatal(err)
		}
		messages := said(t, &out)
		valid(t, messages)
		message, _ := at(messages[0], "connectionStatus", "message").(string)
		if got := fmt.Sprint(at(messages[0], "connectionStatus", "status"), " ", message); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What is not of the protocol's form is told in the protocol's words: no type of ours,
// and no value of the file.
func TestGivenInAnotherForm(t *testing.T) {
	t.Parallel()
	airbyteState := func(text []byte) error { _, err := AirbyteState(text); return err }
	airbyteStreams := func(text []byte) error { _, err := AirbyteStreams(text); return err }
	singerState := func(text []byte) error { _, err := SingerState(text); return err }
	singerStreams := func(text []byte) error { _, err := SingerStreams(text); return err }
	for name, c := range map[string]struct {
		read func([]byte) error
		text string
		want []string
	}{
		"a lone state":              {airbyteState, `{"type":"STREAM","stream":{}}`, []string{"what stands there is of the JSON type object", "a list of AirbyteStateMessage", "stream_descriptor"}},
		"a cursor that is a number": {airbyteState, `[{"stream":{"stream_descriptor":{"name":"orders"},"stream_state":{"cursor":13800138}}}]`, []string{"stream_state.cursor is of the JSON type number;"}},
		"no JSON":                   {airbyteState, `orders`, []string{"a list of AirbyteStateMessage"}},
		"streams that are names":    {airbyteStreams, `{"streams":["orders"]}`, []string{"of the JSON type string", "a ConfiguredAirbyteCatalog"}},
		"a list of bookmarks":       {singerState, `{"bookmarks":[1]}`, []string{"bookmarks is of the JSON type array", `{"bookmarks":{STREAM:`}},
		"a list of streams":         {singerStreams, `[{"tap_stream_id":"orders"}]`, []string{"of the JSON type array", "a Singer catalogue"}},
	} {
		err := c.read([]byte(c.text))
		if !errors.As(err, new(*SettingsError)) {
			t.Errorf("%s: %v is not told as a fault of what was given", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		for _, no := range []string{"Go ", "struct", "tap.", "13800138"} {
			if strings.Contains(err.Error(), no) {
				t.Errorf("%s: %v tells of %q", name, err, no)
			}
		}
	}
}
