package file

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/connectors"
	"oneid/internal/tablefile"
	"oneid/schemas/events"
)

func testHash(b []byte) []byte {
	mac := hmac.New(sha256.New, []byte("test key"))
	mac.Write(b)
	return mac.Sum(nil)
}

func mustParse(t testing.TB, text, shop string) *Mapping {
	t.Helper()
	m, err := ParseMapping("mapping.yaml", []byte(text), shop, "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func example(t testing.TB, name, shop string) *Mapping {
	t.Helper()
	text, err := os.ReadFile("../../deploy/examples/" + name + "/mapping.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, string(text), shop)
}

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load reads files from a cursor and maps them: events by id, and what was
// refused by origin.
func load(t testing.TB, cfg Config, from connectors.Cursor) (map[string]*events.Event, map[string]string) {
	t.Helper()
	if cfg.Hash == nil {
		cfg.Hash = testHash
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got, refused := make(map[string]*events.Event), make(map[string]string)
	for page, err := range c.Read(context.Background(), cfg.Mapping.Kind, from) {
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range page.Bad {
			refused[bad.Origin] = bad.Err.Error()
		}
		for _, record := range page.Records {
			list, err := c.Map(record)
			if err != nil {
				refused[record.Origin] = err.Error()
				continue
			}
			got[list[0].GetHeader().GetEntityId()] = list[0]
		}
	}
	return got, refused
}

// purchases invents rows of the purchases example with equal ones among them.
func purchases(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("%05d,1997-%02d-%02d,%d,%d.%02d", r.IntN(20), 1+r.IntN(12), 1+r.IntN(3), 1+r.IntN(2), r.IntN(3), 10*r.IntN(2))
	}
	return rows
}

const purchasesHeader = "customer_id,date,quantity,amount\n"

func TestRowsWithoutNumbers(t *testing.T) {
	t.Parallel()
	m := example(t, "cdnow", "")
	for seed := range uint64(20) {
		rows := purchases(seed, 400)
		want, refused := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{write(t, purchasesHeader+strings.Join(rows, "\n"))}}}, "")
		if len(want) != len(rows) || len(refused) != 0 {
			t.Fatalf("seed %d: %d rows became %d orders, %d refused", seed, len(rows), len(want), len(refused))
		}
		r := rand.New(rand.NewPCG(seed, 2))
		shuffled := slices.Clone(rows)
		r.Shuffle(len(rows), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got, _ := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{write(t, purchasesHeader+strings.Join(shuffled, "\n")+"\n")}}}, "")
		if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); d != "" {
			t.Fatalf("seed %d: shuffling changed the orders:\n%s", seed, d)
		}
		// Two files that overlap: each row as often as in the one that has
		// it most often.
		first, second := shuffled[:300], shuffled[100:]
		counts := make(map[string]int)
		for _, part := range [][]string{first, second} {
			here := make(map[string]int)
			for _, row := range part {
				here[row]++
				counts[row] = max(counts[row], here[row])
			}
		}
		total := 0
		for _, n := range counts {
			total += n
		}
		both, _ := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{
			write(t, purchasesHeader+strings.Join(first, "\n")), write(t, purchasesHeader+strings.Join(second, "\n")),
		}}}, "")
		if len(both) != total {
			t.Fatalf("seed %d: overlapping files gave %d orders, want %d", seed, len(both), total)
		}
	}
}

func TestResumeGivesTheRest(t *testing.T) {
	t.Parallel()
	m := example(t, "cdnow", "")
	paths := []string{write(t, purchasesHeader+strings.Join(purchases(1, 95), "\n")), write(t, purchasesHeader+strings.Join(purchases(2, 35), "\n"))}
	cfg := Config{Mapping: m, Files: tablefile.Files{Paths: paths}, PageRows: 10, Hash: testHash}
	want, _ := load(t, cfg, "")
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]*events.Event)
	var cursor connectors.Cursor
	for runs := 0; ; runs++ { // one page a run
		moved := false
		for page, err := range c.Read(t.Context(), "orders", cursor) {
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range page.Records {
				list, err := c.Map(record)
				if err != nil {
					t.Fatal(err)
				}
				got[list[0].GetHeader().GetEntityId()] = list[0]
			}
			cursor, moved = page.Next, true
			break
		}
		if !moved {
			if runs != 14 {
				t.Errorf("runs = %d, want 14 pages", runs)
			}
			break
		}
	}
	if len(got) != len(want) {
		t.Fatalf("resumed runs gave %d orders, one run %d", len(got), len(want))
	}
}

func TestOrderFromRow(t *testing.T) {
	t.Parallel()
	m := example(t, "cdnow", "")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	got, _ := load(t, Config{Mapping: m, ExportedAt: at, Files: tablefile.Files{Paths: []string{write(t, purchasesHeader+"00004,1997-01-01,2,0.00\n")}}}, "")
	for id, e := range got {
		o := e.GetOrder()
		day := time.Date(1997, 1, 1, 5, 0, 0, 0, time.UTC).UnixMilli()
		if o.GetPaidMs() != day || o.GetCreatedMs() != day || o.GetPaidMinor() != 0 || o.GetCurrency() != "USD" || o.GetStatus() != events.OrderStatus_ORDER_STATUS_PAID {
			t.Errorf("order = %v, want one of 0.00 paid on its day", o)
		}
		if o.GetItems()[0].GetQuantity() != 2 {
			t.Errorf("quantity = %d, want 2", o.GetItems()[0].GetQuantity())
		}
		h := e.GetHeader()
		if h.GetAccount() != "00004" || h.GetPlatform() != "file" || h.GetShop() != "cdnow" || !strings.HasSuffix(id, "-1") {
			t.Errorf("header = %v", h)
		}
		if v := h.GetVersion(); v.GetModifiedMs() != day || v.GetObservedMs() != at.UnixMilli() || v.GetSource() != events.Source_SOURCE_FILE {
			t.Errorf("version = %v", v)
		}
	}
	if len(got) != 1 {
		t.Fatalf("%d orders, want 1", len(got))
	}
}

func TestBadLinesAmongTheGood(t *testing.T) {
	t.Parallel()
	m := example(t, "cdnow", "")
	text := purchasesHeader +
		"00001,1997-01-01,1,10.00\n" +
		"00002,not a date,1,10.00\n" +
		"00003,1997-01-01,1\n" +
		"\"00004,1997-01-01,1,10.00\n" +
		"00005,1997-01-01,1,10.00\n" +
		"00006,1997-01-01,1,\n" +
		"00007,1997-01-01,1,1.005\n" +
		"\n" +
		"00008,1997-01-01,1,\"1,000.00\"\n"
	got, refused := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{write(t, text)}}}, "")
	accounts := make([]string, 0)
	for _, e := range got {
		accounts = append(accounts, e.GetHeader().GetAccount())
	}
	slices.Sort(accounts)
	if d := cmp.Diff([]string{"00001", "00005", "00008"}, accounts); d != "" {
		t.Errorf("accounts:\n%s", d)
	}
	want := []string{"rows.csv line 3", "rows.csv line 4", "rows.csv line 5", "rows.csv line 7", "rows.csv line 8"}
	if d := cmp.Diff(want, slices.Sorted(maps.Keys(refused))); d != "" {
		t.Errorf("refused:\n%s", d)
	}
	for origin, reason := range refused {
		if strings.Contains(reason, "not a date") || strings.Contains(reason, "0000") {
			t.Errorf("%s: the reason repeats a value: %s", origin, reason)
		}
	}
}

// Under a masked account many people would be one: an order stands for itself, a
// member or a ticket is refused.
func TestMaskedAccounts(t *testing.T) {
	t.Parallel()
	for _, masked := range []string{"t**1", "t＊＊1", "t●●1", "李某", "12xxxx89", "$AAE=$1$$", "null", "0"} {
		m := example(t, "cdnow", "")
		got, _ := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{write(t, purchasesHeader+masked+",1997-01-01,2,1.00\n")}}}, "")
		for _, e := range got {
			if account := e.GetHeader().GetAccount(); !strings.HasPrefix(account, "order:") {
				t.Errorf("an order of %q is of the account %q", masked, account)
			}
		}
		if len(got) != 1 {
			t.Errorf("%q: %d orders", masked, len(got))
		}
		for kind, text := range map[string]string{
			"users":   "account,phone\n" + masked + ",13800001111\n",
			"tickets": "ticket_id,account,created_at\n7," + masked + ",2026-01-02 03:04:05\n",
		} {
			header, _, _ := strings.Cut(text, "\n")
			m, err := DefaultMapping("tmall/demo", kind, strings.Split(header, ","))
			if err != nil {
				t.Fatal(err)
			}
			got, refused := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{write(t, text)}}}, "")
			if len(got) != 0 || len(refused) != 1 || strings.Contains(strings.Join(slices.Collect(maps.Values(refused)), ""), masked) && masked != "0" && masked != "null" {
				t.Errorf("%s of %q: %d events, %v refused", kind, masked, len(got), refused)
			}
		}
	}
}

func TestMembersExample(t *testing.T) {
	t.Parallel()
	const header = "account,phone,unionid,omid,member_card,joined_at\n"
	path := write(t, header+"AAG1,13800001111,u-1,,C-1,2026-01-02 03:04:05\nAAG2,138****1111,,,,\n")
	byExample := example(t, "members", "tmall/demo")
	byDefault, err := DefaultMapping("tmall/demo", "users", strings.Split(strings.TrimSpace(header), ","))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Mapping{byExample, byDefault} {
		got, refused := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{path}}}, "")
		if len(refused) != 0 || len(got) != 2 {
			t.Fatalf("%d users, %v refused", len(got), refused)
		}
		h := got["AAG1"].GetHeader()
		if h.GetPlatform() != "tmall" || h.GetShop() != "demo" || h.GetAccount() != "AAG1" {
			t.Errorf("header = %v", h)
		}
		kinds := make([]string, 0)
		for _, s := range h.GetPerson().GetSightings() {
			if s.GetRole() != events.Role_ROLE_MEMBER {
				t.Errorf("role of %s = %v", s.GetType(), s.GetRole())
			}
			kinds = append(kinds, s.GetType())
		}
		if d := cmp.Diff([]string{"phone", "unionid", "member_card"}, kinds); d != "" {
			t.Errorf("sightings:\n%s", d)
		}
		if n := len(got["AAG2"].GetHeader().GetPerson().GetSightings()); n != 0 {
			t.Errorf("a masked phone became a sighting")
		}
	}
}

func TestMappingFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":    {"shop: a\nkindd: users\n", "m.yaml:2:1"},
		"wrong type":     {"shop: a\ncolumns: 3\n", "m.yaml:2:"},
		"no shop":        {"kind: users\ncolumns: {account: a}\n", "shop is missing"},
		"unknown field":  {"shop: a\nkind: users\ncolumns: {account: a, fone: b}\n", `no field "fone"`},
		"its place":      {"shop: a\nkind: users\ncolumns:\n  account: a\n  fone: b\n", `5:9: columns: users has no field "fone"`},
		"kind's place":   {"shop: a\nkind: people\n", `2:7: kind must be`},
		"platform":       {"platform: TMALL\nshop: a\nkind: users\ncolumns: {account: a}\n", `small letters`},
		"unknown kind":   {"shop: a\nkind: user\n", "kind must be"},
		"missing field":  {"shop: a\ncolumns: {order_id: a, paid: b}\n", "needs the field created_at"},
		"both":           {"shop: a\nkind: users\ncolumns: {account: {column: a, const: b}}\n", "either a column or a const"},
		"bad format":     {"shop: a\ncolumns: {order_id: a, paid: b, created_at: {column: c, format: soon}}\n", "format must be"},
		"bad zone":       {"shop: a\ntimezone: Beijing\nkind: users\ncolumns: {account: a}\n", "timezone"},
		"two ids":        {"shop: a\norder_id: {row: [a]}\ncolumns: {order_id: a, paid: b, created_at: c}\n", "leave either"},
		"long delimiter": {"shop: a\ndelimiter: \"::\"\nkind: users\ncolumns: {account: a}\n", "one character"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseMapping("m.yaml", []byte(c.text), "", "")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestFilesThatWillNotDo(t *testing.T) {
	t.Parallel()
	m := example(t, "cdnow", "")
	for name, c := range map[string]struct{ text, want string }{
		"empty":           {"", "the file is empty"},
		"only blank":      {"\n\n", "the file is empty"},
		"missing columns": {"customer_id,day,quantity,amount\n", `no column "date"`},
		"utf-16":          {"a\x00b\x00", "UTF-16"},
		"cut-off archive": {"PK\x03\x04", "cut off or damaged"},
		"twice the name":  {"customer_id,customer_id\n", "name of an earlier one"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, err := New(Config{Mapping: m, Hash: testHash, Files: tablefile.Files{Paths: []string{write(t, c.text)}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := c2.Check(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check = %v, want %q", err, c.want)
			}
		})
	}
}

// A file without a header has a person in its first line: nothing of it is told.
func TestAHeaderThatIsAPersonIsNotTold(t *testing.T) {
	t.Parallel()
	values := []string{"李小明", "浙江省杭州市西湖区文三路", "xiaoming", "xiaoming.li@mail.invalid", "oX7YzUNIONID_abcd", "13900001112", "Li Xiaoming"}
	c, err := New(Config{Mapping: example(t, "cdnow", ""), Hash: testHash, Files: tablefile.Files{Paths: []string{write(t, "customer_id,"+strings.Join(values, ",")+"\n1,2,3,4,5,6,7,8\n")}}})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), `"customer_id" and 7 by other names (is its first line the header?)`) {
		t.Fatalf("Check = %v", err)
	}
	for _, value := range values {
		if strings.Contains(err.Error(), value) {
			t.Errorf("the error tells %q", value)
		}
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add("shop: a\nkind: users\ncolumns: {account: a}\n")
	f.Add(sample)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMapping("m.yaml", []byte(text), "", "")
		if (m == nil) == (err == nil) {
			t.Fatalf("mapping %v, error %v", m, err)
		}
	})
}

func FuzzMapRow(f *testing.F) {
	m := example(f, "cdnow", "")
	f.Add([]byte(`{"id":"a-1","row":{"customer_id":"1","date":"1997-01-01","quantity":"1","amount":"1.00"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := mapper{m}.Map(connectors.Record{Stream: "orders", Raw: raw})
		if err != nil {
			return
		}
		o := list[0].GetOrder()
		if o.GetPaidMinor() < 0 || o.GetItems()[0].GetPaidMinor() != o.GetPaidMinor() || (o.GetPaidMs() == 0 && o.GetPaidMinor() != 0) {
			t.Fatalf("order = %v", o)
		}
	})
}
