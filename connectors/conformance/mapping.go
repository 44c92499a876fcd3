package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/schemas/events"
)

func testSpec(t *testing.T, s Subject) {
	spec := open(t, s, nil).Spec()
	if spec.Platform != s.Platform || spec.Title == "" || spec.TitleZH == "" || spec.Sample == "" || len(spec.Rights) == 0 {
		t.Errorf("the spec lacks its platform's name, a title, a sample or the rights to apply for: %+v", spec)
	}
	var settings struct {
		Type       string   `json:"type"`
		Required   []string `json:"required"`
		Additional *bool    `json:"additionalProperties"`
		Properties map[string]struct {
			WriteOnly   bool   `json:"writeOnly"`
			Description string `json:"description"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(spec.Settings, &settings); err != nil {
		t.Fatalf("the settings' schema: %v", err)
	}
	if settings.Type != "object" || settings.Additional == nil || *settings.Additional {
		t.Error(`the settings' schema must be of "type": "object" with "additionalProperties": false`)
	}
	for name, p := range settings.Properties {
		secret := strings.Contains(name, "secret") || strings.Contains(name, "token") && !strings.Contains(name, "url") || strings.Contains(name, "password")
		if secret && !p.WriteOnly {
			t.Errorf(`setting %s looks like a secret, and is not marked "writeOnly": true`, name)
		}
		if p.Description == "" && name != "sign_method" {
			t.Errorf("setting %s has no description", name)
		}
		if (secret || slices.Contains(settings.Required, name)) && !strings.Contains(spec.Sample, name) {
			t.Errorf("setting %s must be given, or is a secret, and does not stand in the sample", name)
		}
	}
	seen := make(map[string]bool)
	for _, stream := range spec.Streams {
		if seen[stream.Name] || stream.Name == "" || len(stream.Kinds) == 0 {
			t.Errorf("stream %q: there are two of it, or it has no name or no kinds", stream.Name)
		}
		seen[stream.Name] = true
	}
	if len(seen) == 0 {
		t.Error("there is no stream")
	}
}

func testCheck(t *testing.T, s Subject) {
	b := open(t, s, nil)
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("Check of a sound shop: %v", err)
	}
}

// sample are some records of each stream, of different shapes where there are.
func sample(t *testing.T, c connectors.Connector, most int) map[string][]connectors.Record {
	t.Helper()
	out := make(map[string][]connectors.Record)
	for _, stream := range c.Spec().Streams {
		shapes := make(map[string]bool)
		for _, r := range whole(t, c, stream.Name, "").records {
			var value any
			if err := json.Unmarshal(r.Raw, &value); err != nil {
				t.Fatalf("%s, %s: the record is no JSON: %v", stream.Name, r.Origin, err)
			}
			if shape := fmt.Sprint(paths(value, nil)); !shapes[shape] && len(shapes) < most {
				shapes[shape] = true
				out[stream.Name] = append(out[stream.Name], r)
			}
		}
		if len(out[stream.Name]) == 0 {
			t.Fatalf("%s: there is no record to try", stream.Name)
		}
	}
	return out
}

// mapped is what Map says of a record; a panic is an error that says so.
func mapped(c connectors.Connector, r connectors.Record) (list []*events.Event, err error, panicked any) { //nolint:staticcheck // ST1008: what Map said, and beside it that it did not
	defer func() { panicked = recover() }()
	list, err = c.Map(r)
	return list, err, nil
}

// The same record gives the same events at any time, sound ones, of the
// stream's kinds, with the payload that they were made of.
func testMapIsPure(t *testing.T, s Subject) {
	b := open(t, s, nil)
	for _, stream := range b.Spec().Streams {
		records := whole(t, b, stream.Name, "").records
		first := make([][]*events.Event, len(records))
		for i, r := range records {
			before := bytes.Clone(r.Raw)
			list, err := b.Map(r)
			if err != nil {
				t.Fatalf("%s, %s: %v", stream.Name, r.Origin, err)
			}
			if !bytes.Equal(before, r.Raw) {
				t.Fatalf("%s: Map changes the record", stream.Name)
			}
			first[i] = list
			for _, e := range list {
				h := e.GetHeader()
				if err := events.Check(e); err != nil {
					t.Fatalf("%s, %s: %v", stream.Name, r.Origin, err)
				}
				if h.GetPlatform() != s.Platform || h.GetShop() != r.Shop || h.GetStream() != stream.Name || !slices.Contains(stream.Kinds, events.KindOf(e)) || h.GetVersion().GetSource() != events.Source_SOURCE_API || len(h.GetRaw()) == 0 {
					t.Fatalf("%s, %s: platform %q, shop %q, stream %q, kind %q, source %v, %d bytes of payload", stream.Name, r.Origin,
						h.GetPlatform(), h.GetShop(), h.GetStream(), events.KindOf(e), h.GetVersion().GetSource(), len(h.GetRaw()))
				}
			}
		}
		time.Sleep(100 * 24 * time.Hour)
		other := b.again()
		for i, r := range records {
			list, err := other.Map(r)
			if err != nil || len(list) != len(first[i]) {
				t.Fatalf("%s, %s: the second time %d events, %v", stream.Name, r.Origin, len(list), err)
			}
			for j := range list {
				if !proto.Equal(list[j], first[i][j]) {
					t.Fatalf("%s, %s: another event the second time", stream.Name, r.Origin)
				}
			}
		}
	}
}

// What a platform adds changes nothing.
func testMapTolerates(t *testing.T, s Subject) {
	b := open(t, s, nil)
	for stream, records := range sample(t, b, 10) {
		for _, r := range records {
			want, err := b.Map(r)
			if err != nil {
				t.Fatal(err)
			}
			var value any
			decodeExactly(t, r.Raw, &value)
			grow(value)
			r.Raw = encode(t, value)
			got, err, panicked := mapped(b, r)
			if err != nil || panicked != nil || len(got) != len(want) {
				t.Errorf("%s, %s: with fields that it does not know: %d events of %d, %v %v", stream, r.Origin, len(got), len(want), err, panicked)
				continue
			}
			for i := range got {
				a, b := proto.CloneOf(want[i]), proto.CloneOf(got[i])
				a.GetHeader().Raw, b.GetHeader().Raw = nil, nil
				if !proto.Equal(a, b) {
					t.Errorf("%s, %s: fields that it does not know change the event", stream, r.Origin)
				}
			}
		}
	}
}

// mark stands in values that are of no form that a platform promises: it looks like a
// phone, which an error must not repeat.
const mark = "13800138000"

// odd are values that stand where others are promised.
var odd = []string{`"+86 ` + mark + `"`, `"2026-10-01 ` + mark + `"`, mark + `138001.5`, `[{"` + mark + `":"x` + mark + `"}]`,
	`null`, `7`, `-1`, `1.5`, `1e400`, `99999999999999999999`, `true`, `""`, `"text"`, `"\ud800"`, `{}`, `[]`, `[null]`, `[1]`, `{"a":1}`, `["x",{}]`}

// A field that is missing or of another kind gives an error or an event, never
// a panic; and the error repeats no value of the record.
func testMapNeverPanics(t *testing.T, s Subject) {
	b := open(t, s, nil)
	refused := 0
	for stream, records := range sample(t, b, 3) {
		for _, r := range records {
			var value any
			decodeExactly(t, r.Raw, &value)
			// The shop's number is no value of a record: errors name it.
			values := append(slices.DeleteFunc(leaves(value), func(v string) bool { return strings.Contains(r.Shop, v) }), mark)
			try := func(what string, raw json.RawMessage) {
				if t.Failed() {
					return
				}
				r.Raw = raw
				list, err, panicked := mapped(b, r)
				if panicked != nil {
					t.Errorf("%s: %s: Map panics: %v", stream, what, panicked)
				}
				for _, e := range list {
					if e.GetHeader().GetAccount() == "order:" {
						t.Errorf("%s: %s: the account is %q, which all such records would share: give an error, or a name of the record's own", stream, what, "order:")
					}
					if stars := e.GetTicket().GetSatisfaction(); stars < 0 || stars > 5 {
						t.Errorf("%s: %s: the satisfaction is %d, and means 1 to 5, or 0 for none", stream, what, stars)
					}
				}
				if err == nil {
					return
				}
				refused++
				for _, v := range values {
					if strings.Contains(err.Error(), v) {
						t.Errorf("%s: %s: the error repeats a value of the record: %v", stream, what, err)
						return
					}
				}
			}
			for _, path := range paths(value, nil) {
				try("without "+strings.Join(path, "."), encode(t, without(value, path)))
				for _, o := range odd {
					try(o+" as "+strings.Join(path, "."), encode(t, with(value, path, json.RawMessage(o))))
				}
			}
			for _, whole := range append(odd, "", "{", `{"a":`, "\xff") {
				try(fmt.Sprintf("%q as the record", whole), json.RawMessage(whole))
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was ever refused: a record without its number becomes an event")
	}
}

// A row of a page is broken: it goes to the dead letter, and the others come.
func testBrokenRow(t *testing.T, s Subject) {
	for _, garbage := range []string{`"broken"`, `null`, `[]`, `{}`, `{"unknown":{"shape":1}}`} {
		for _, stream := range open(t, s, nil).Spec().Streams {
			b := open(t, s, nil)
			want := whole(t, b, stream.Name, "")
			b = open(t, s, nil)
			breaker := rowBreaker{names: s.Rows, garbage: json.RawMessage(garbage)}
			b.net.after = func(c Call, a *answer) {
				if c.Stream == stream.Name {
					a.body = breaker.spoil(a.body)
				}
			}
			r, err := read(t.Context(), b, stream.Name, "", -1)
			if err != nil {
				t.Errorf("%s: one row is %s, and the reading ends: %v", stream.Name, garbage, err)
				continue
			}
			if breaker.row == nil {
				if len(b.net.made(lists(stream.Name))) > 0 {
					t.Errorf("%s: no list had a row to break: are the names in Rows right?", stream.Name)
				}
				continue // the stream has no list of its own
			}
			lost := missing(want.newest, r.newest)
			if len(lost) > 2 {
				t.Errorf("%s: one row is %s, and %d entities are missing: %v", stream.Name, garbage, len(lost), lost)
			}
			if len(lost) > 0 && r.bad == 0 {
				t.Errorf("%s: one row is %s; %v did not come, and there is no dead letter", stream.Name, garbage, lost)
			}
		}
	}
}

// A page whose first row is no JSON once, after the platform was away twice, is
// asked for once more: what was broken on its way is no dead letter.
func testBrokenOnce(t *testing.T, s Subject) {
	begin := regexp.MustCompile(`"(?:` + strings.Join(s.Rows, "|") + `)"\s*:\s*\[\s*\{`)
	spoiled := 0
	for _, stream := range open(t, s, nil).Spec().Streams {
		want := whole(t, open(t, s, nil), stream.Name, "")
		b := open(t, s, func(_ *Ask, o *Options) { o.Serial = true })
		calls := 0
		b.net.after = func(c Call, a *answer) {
			if c.Stream != stream.Name {
				return
			}
			calls++
			switch at := begin.FindIndex(a.body); {
			case at == nil:
				calls = 0
			case calls < 3:
				networkFaults["502 with a page"](a)
			case calls == 3:
				spoiled++
				a.body = slices.Concat(a.body[:at[1]], []byte(`nul,`), a.body[at[1]:])
			default:
				calls = 0
			}
		}
		r, err := read(t.Context(), b, stream.Name, "", -1)
		if err != nil {
			t.Errorf("%s: %v", stream.Name, err)
			continue
		}
		if lost := missing(want.newest, r.newest); len(lost) > 0 || r.bad > 0 {
			t.Errorf("%s: %d dead letters, and %d entities are missing: %v", stream.Name, r.bad, len(lost), lost)
		}
	}
	if spoiled == 0 {
		t.Error("no list had a row to break: are the names in Rows right?")
	}
}

// rowBreaker puts something else in place of one row, the first that it sees,
// wherever that is shown.
type rowBreaker struct {
	names   []string
	garbage json.RawMessage

	mu  sync.Mutex
	row []byte // guarded by mu
}

func (b *rowBreaker) spoil(body []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return body
	}
	var walk func(value any)
	walk = func(value any) {
		object, ok := value.(map[string]any)
		if !ok {
			return
		}
		for name, inner := range object {
			rows, ok := inner.([]any)
			if !ok || !slices.Contains(b.names, name) {
				walk(inner)
				continue
			}
			for i := range rows {
				row, err := marshal(rows[i])
				if err == nil && b.row == nil {
					b.row = row
				}
				if bytes.Equal(row, b.row) {
					rows[i] = b.garbage
				}
			}
		}
	}
	walk(value)
	out, err := marshal(value)
	if err != nil {
		return body
	}
	return out
}

// decodeExactly decodes JSON and keeps each number as it stands.
func decodeExactly(t *testing.T, raw []byte, value *any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(value); err != nil {
		t.Fatal(err)
	}
}

func marshal(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(value)
	return bytes.TrimSpace(b.Bytes()), err
}

func encode(t *testing.T, value any) json.RawMessage {
	t.Helper()
	raw, err := marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// paths are the ways to each field of objects; of a list only its first entry.
func paths(value any, at []string) [][]string {
	var out [][]string
	switch v := value.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			way := append(slices.Clone(at), name)
			out = append(append(out, way), paths(v[name], way)...)
		}
	case []any:
		if len(v) > 0 {
			out = paths(v[0], append(slices.Clone(at), "0"))
		}
	}
	return out
}

// with is a copy of a value with another one at the end of a path.
func with(value any, path []string, put any) any {
	return edited(value, path, func(object map[string]any, name string) { object[name] = put })
}

// without is a copy of a value without what stands at the end of a path.
func without(value any, path []string) any {
	return edited(value, path, func(object map[string]any, name string) { delete(object, name) })
}

func edited(value any, path []string, edit func(object map[string]any, name string)) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, inner := range v {
			out[name] = inner
		}
		if len(path) == 1 {
			edit(out, path[0])
			return out
		}
		out[path[0]] = edited(v[path[0]], path[1:], edit)
		return out
	case []any:
		out := slices.Clone(v)
		out[0] = edited(v[0], path[1:], edit)
		return out
	}
	return value
}

// grow adds a field to each object.
func grow(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			grow(inner)
		}
		v["a_field_of_tomorrow"] = map[string]any{"list": []any{1, "text", nil}}
	case []any:
		for _, inner := range v {
			grow(inner)
		}
	}
}

// leaves are the texts of a record that are long enough to be told from words
// of a message.
func leaves(value any) []string {
	var out []string
	switch v := value.(type) {
	case map[string]any:
		for _, inner := range v {
			out = append(out, leaves(inner)...)
		}
	case []any:
		for _, inner := range v {
			out = append(out, leaves(inner)...)
		}
	case string:
		if len(v) >= 8 {
			out = append(out, v)
		}
	case json.Number:
		if len(v) >= 8 {
			out = append(out, v.String())
		}
	}
	return out
}
