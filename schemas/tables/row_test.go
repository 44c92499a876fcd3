package tables

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/schemas/events"
)

// A row of each table of who is who comes back as it was, bytes that are no
// text included, and is written the same each time.
func TestARowComesBack(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_123).UTC()
	a, id := Account{"tmall", "店", "a|b\"c"}, [16]byte{0xff, 0, 1, 0x80}
	for _, b := range Who() {
		switch b := b.(type) {
		case *IdentifierValues:
			b.Append("phone", id, []byte{0xff, 0, 0xfe})
		case *Evidence:
			b.Append(a, "phone", id, "member", "api", 1, 1_700_000_000)
		case *IdentityMap:
			b.Append(a, id, at, "born", 7, 1<<63|9)
		case *IdentityHistory:
			b.Append(a, id, [16]byte{1}, at, "merge", 1<<62)
		case *Redirects:
			b.Append(id, [16]byte{2}, at, 3)
		case *Overrides:
			b.Append(a, id, WatchVersion(at))
		case *Decisions:
			b.Append(&events.Decision{DecisionId: "d", Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{"a/b/c", "d/e/f"}, Who: "Ada", Why: "x", DecidedMs: 5}, 4)
		case *Resemblances:
			b.Append(a, Account{"douyin", "s", "1"}, "model", 3.25, []string{"name equal +4.0", ""}, at, 6)
		default:
			t.Fatalf("%T is not tried here", b)
		}
		data, err := EncodeRow(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := EncodeRow(b, 0); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s is written as %s, then as %s (%v)", b.Table(), data, again, err)
		}
		back, err := DecodeRow(data)
		if err != nil {
			t.Fatal(err)
		}
		names, values := b.Columns()
		gotNames, gotValues := back.Columns()
		if d := cmp.Diff(names, gotNames); d != "" || back.Table() != b.Table() || back.Rows() != 1 {
			t.Errorf("%s comes back as %s of %d rows, with other columns:\n%s", b.Table(), back.Table(), back.Rows(), d)
		}
		for i := range values {
			if d := cmp.Diff(Plain(values[i]), Plain(gotValues[i])); d != "" {
				t.Errorf("%s.%s comes back with another value:\n%s", b.Table(), names[i], d)
			}
		}
	}
}

func TestRowsThatAreNone(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":              "x",
		"a table of facts":     `{"table":"orders","columns":{}}`,
		"a column of tomorrow": `{"table":"redirects","columns":{"mood":"eA=="}}`,
		"a value of no kind":   `{"table":"redirects","columns":{"version":"many"}}`,
	} {
		if b, err := DecodeRow([]byte(text)); err == nil {
			t.Errorf("%s is read as a row of %s", name, b.Table())
		}
	}
	if b, err := DecodeRow([]byte(`{"table":"redirects","columns":{"version":3}}`)); err != nil || b.Rows() != 1 {
		t.Errorf("a row of before a column was there is an error: %v", err)
	}
}
