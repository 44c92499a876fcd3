package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// anyOrder compares lists of texts as sets.
var anyOrder = cmpopts.SortSlices(cmp.Less[string])

const (
	cdnowMapping = "../../deploy/examples/cdnow/mapping.yaml"
	// cdnowSample is real purchases; it lies beside a checkout or nowhere.
	cdnowSample = "../../../shared/data/cdnow_sample.csv"
	cdnowHeader = "customer_id,date,quantity,amount\n"
)

// purchases are invented rows in the form of CDNOW's: some equal in every
// column, some of 0.00.
func purchases(seed uint64, n int) []string {
	r := rand.New(rand.NewPCG(seed, 1))
	list := make([]string, 0, n)
	for len(list) < n {
		cents := r.IntN(20000)
		if r.IntN(50) == 0 {
			cents = 0
		}
		row := fmt.Sprintf("%05d,199%d-%02d-%02d,%d,%d.%02d\n", 1+r.IntN(n/3), 7+r.IntN(2), 1+r.IntN(12), 1+r.IntN(28), 1+r.IntN(5), cents/100, cents%100)
		for range 1 + max(0, r.IntN(40)-37) { // now and then two or three of it
			list = append(list, row)
		}
	}
	return list[:n]
}

// sums is what the view has to say of rows, by arithmetic on their texts:
// orders, customers, cents, orders of 0.00.
func sums(list []string) string {
	customers := make(map[string]bool)
	cents, zero := 0, 0
	for _, row := range list {
		fields := strings.Split(strings.TrimSpace(row), ",")
		var whole, part int
		if _, err := fmt.Sscanf(fields[3], "%d.%02d", &whole, &part); err != nil {
			panic(err) // the row was made above, in this form
		}
		customers[fields[0]] = true
		cents += 100*whole + part
		if whole+part == 0 {
			zero++
		}
	}
	return fmt.Sprintf("%d %d %d.%02d USD %d", len(list), len(customers), cents/100, cents%100, zero)
}

// imported is what the views say, in the form of sums.
func imported(t *testing.T, dir string) string {
	t.Helper()
	return one(t, dir, `SELECT sum(orders), count(), toDecimalString(sum(paid_amount), 2), any(currency),
		(SELECT countIf(paid_amount = 0 AND paid_at IS NOT NULL) FROM customer_orders) FROM customer_360`)
}

// facts is everything that an import may not change when repeated.
func facts(t *testing.T, dir string) [][]string {
	t.Helper()
	return rows(t, dir, "SELECT * FROM customer_orders ORDER BY order_id")
}

func load(t *testing.T, dir string, files ...string) importReport {
	t.Helper()
	return decode[importReport](t, must(t, append([]string{"import", "--dir", dir, "--json", "--mapping", cdnowMapping}, files...)...).stdout)
}

// Purchases with no number of their own are in the views to the cent, and
// stay so whatever is imported again.
func TestImportPurchases(t *testing.T) {
	t.Parallel()
	dir, in := filepath.Join(t.TempDir(), "data"), t.TempDir()
	list := purchases(1, 2000)
	if distinct := slices.Compact(slices.Sorted(slices.Values(list))); len(distinct) == len(list) {
		t.Fatal("no two rows are equal: the file proves nothing")
	}
	file := filepath.Join(in, "purchases.csv")
	writeText(t, file, cdnowHeader+strings.Join(list, ""))
	if r := load(t, dir, file); r.Rows != 2000 || r.Loaded != 2000 || r.Refused != 0 {
		t.Errorf("the report says %+v, want 2000 rows loaded", r)
	}
	if got, want := imported(t, dir), sums(list); got != want {
		t.Errorf("the views have %s, the file %s", got, want)
	}
	before := facts(t, dir)

	load(t, dir, file)
	if d := diff.Diff(before, facts(t, dir)); d != "" {
		t.Errorf("importing it again changed:\n%s", d)
	}
	shuffled := slices.Clone(list)
	rand.New(rand.NewPCG(2, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	other := filepath.Join(in, "shuffled.csv")
	writeText(t, other, cdnowHeader+strings.Join(shuffled, ""))
	load(t, dir, other)
	if d := diff.Diff(before, facts(t, dir)); d != "" {
		t.Errorf("importing it shuffled changed:\n%s", d)
	}
	if got, want := imported(t, dir), sums(list); got != want {
		t.Errorf("after that the views have %s, the file %s", got, want)
	}
}

// Of files that overlap, each row is there as often as in the file that has it
// most often, in whatever order and company they come.
func TestImportOverlappingFiles(t *testing.T) {
	t.Parallel()
	all, in := purchases(3, 300), t.TempDir()
	twice := all[100] // once in one of the files, three times in the other
	a, b := append(slices.Clone(all[:200]), twice), append(slices.Clone(all[100:]), twice, twice)
	fileA, fileB := filepath.Join(in, "a.csv"), filepath.Join(in, "b.csv")
	writeText(t, fileA, cdnowHeader+strings.Join(a, ""))
	writeText(t, fileB, cdnowHeader+strings.Join(b, ""))
	most := make(map[string]int)
	for _, list := range [][]string{a, b} {
		times := make(map[string]int)
		for _, row := range list {
			times[row]++
			most[row] = max(most[row], times[row])
		}
	}
	var want []string
	for row, times := range most {
		want = append(want, slices.Repeat([]string{row}, times)...)
	}
	var last [][]string
	for name, calls := range map[string][][]string{"one after the other": {{fileA}, {fileB}}, "in one call": {{fileB, fileA}}} {
		dir := begunFolder(t)
		for _, files := range calls {
			load(t, dir, files...)
		}
		if got := imported(t, dir); got != sums(want) {
			t.Errorf("%s: the views have %s, want %s", name, got, sums(want))
		}
		ids := rows(t, dir, "SELECT account, paid_amount, created_at FROM customer_orders ORDER BY ALL")
		if d := diff.Diff(last, ids); last != nil && d != "" {
			t.Errorf("the two ways differ:\n%s", d)
		}
		last = ids
	}
}

// Bad lines are listed with their numbers, and all others loaded.
func TestImportBadLines(t *testing.T) {
	t.Parallel()
	dir, file := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "bad.csv")
	good := purchases(4, 20)
	lines := slices.Clone(good)
	bad := map[int]string{ // by the line of the file, the header is 1
		4:  "00001,1997-13-01,1,10.00\n",
		9:  "00001,1997-01-01,1,ten\n",
		12: "00001,1997-01-01,-,10.00\n",
		15: "00001,1997-01-01\n",
	}
	for _, line := range slices.Sorted(func(yield func(int) bool) {
		for line := range bad {
			if !yield(line) {
				return
			}
		}
	}) {
		lines = slices.Insert(lines, line-2, bad[line])
	}
	writeText(t, file, cdnowHeader+strings.Join(lines, ""))
	a := oneid(t, "import", "--dir", dir, "--mapping", cdnowMapping, file)
	wantRefused(t, a, 3, "4 rows were refused", "bad.csv line 4:", "bad.csv line 9:", "bad.csv line 12:", "bad.csv line 15:")
	if !strings.Contains(a.stdout, "24 rows") || !strings.Contains(a.stdout, "20 loaded, 4 refused") {
		t.Errorf("it sums up as %q", a.stdout)
	}
	if got := imported(t, dir); got != sums(good) {
		t.Errorf("the views have %s, want %s", got, sums(good))
	}
	again := oneid(t, "import", "--dir", dir, "--json", "--mapping", cdnowMapping, file)
	report := decode[importReport](t, again.stdout)
	if again.code != 3 || report.Rows != 24 || report.Loaded != 20 || report.Refused != 4 || len(report.Bad) != 4 || report.Bad[0].Origin != "bad.csv line 4" {
		t.Errorf("as JSON: exit code %d, %+v", again.code, report)
	}
	if got := imported(t, dir); got != sums(good) {
		t.Errorf("again, the views have %s, want %s", got, sums(good))
	}
}

// Where the settings name shops of a platform, a file is loaded into one of them, or into
// one that was said to be another.
func TestImportShop(t *testing.T) {
	t.Parallel()
	in, dir := t.TempDir(), begunFolder(t)
	file, err := os.OpenFile(filepath.Join(dir, settingsFile), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(file, "\nshops:\n  - platform: tmall\n    shop: my-flagship\n  - platform: tmall\n    shop: second\n  - platform: weidian\n    shop: '1'\n")
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	orders, users, mapping := filepath.Join(in, "orders.csv"), filepath.Join(in, "users.csv"), filepath.Join(in, "mapping.yaml")
	writeText(t, orders, "订单编号,买家应付货款,买家实际支付金额,订单状态,订单创建时间,订单付款时间\n")
	writeText(t, users, "account\nb1\n")
	writeText(t, mapping, "platform: tmall\nshop: my-flagshp\nkind: users\ncolumns: {account: account}\n")
	for name, c := range map[string]struct {
		args  []string
		texts []string
	}{
		"a typo, by export":       {[]string{"--shop", "tmall/my-flagshp", orders}, []string{"tmall/my-flagshp", "tmall/my-flagship, tmall/second", "hint: ", "--new-shop"}},
		"a typo, by kind":         {[]string{"--shop", "tmall/my-flagshp", "--kind", "users", users}, []string{"tmall/my-flagshp", "tmall/my-flagship, tmall/second"}},
		"a typo, by mapping":      {[]string{"--mapping", mapping, users}, []string{"tmall/my-flagshp", "tmall/my-flagship, tmall/second"}},
		"a space":                 {[]string{"--shop", "tmall/ ", "--new-shop", orders}, []string{"name is empty"}},
		"a line break":            {[]string{"--shop", "tmall/my\nflagship", "--new-shop", orders}, []string{"nobody sees"}},
		"a line break, by kind":   {[]string{"--shop", "tmall/my\nflagship", "--new-shop", "--kind", "users", users}, []string{"nobody sees"}},
		"a folder":                {[]string{"--shop", "tmall/..", "--new-shop", orders}, []string{"is none"}},
		"a space behind the name": {[]string{"--shop", "tmall/my-flagship ", orders}, []string{"ends with a space"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, oneid(t, append([]string{"import", "--dir", dir}, c.args...)...), 1, c.texts...)
		})
	}
	for name, c := range map[string]struct {
		cmd            importCmd
		platform, shop string
	}{
		"one that is named":             {importCmd{}, "tmall", "second"},
		"one more":                      {importCmd{NewShop: true}, "tmall", "third"},
		"of a platform without any":     {importCmd{}, "douyin", "4463798"},
		"of a file's own":               {importCmd{}, "file", "counter"},
		"of a platform that begins so":  {importCmd{}, "tmall2", "x"},
		"of another that has that name": {importCmd{}, "weidian", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.cmd.checkShop(folder(dir), c.platform, c.shop); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	in := t.TempDir()
	at := func(name, text string) string {
		path := filepath.Join(in, name)
		writeText(t, path, text)
		return path
	}
	dir := filepath.Join(in, "data")
	good := at("good.csv", cdnowHeader+"00001,1997-01-01,1,10.00\n")
	for name, c := range map[string]struct {
		args  []string
		code  int
		texts []string
	}{
		"missing column":       {[]string{"--mapping", cdnowMapping, at("short.csv", "customer_id,date,quantity\n00001,1997-01-01,1\n")}, 1, []string{"short.csv", "amount"}},
		"empty file":           {[]string{"--mapping", cdnowMapping, at("empty.csv", "")}, 1, []string{"empty.csv"}},
		"missing file":         {[]string{"--mapping", cdnowMapping, filepath.Join(in, "none.csv")}, 1, []string{"none.csv"}},
		"missing mapping":      {[]string{"--mapping", filepath.Join(in, "none.yaml"), good}, 1, []string{"none.yaml"}},
		"broken mapping":       {[]string{"--mapping", at("bad.yaml", "platform: file\nshop: x\nkind: orders\ncolours: {}\n"), good}, 1, []string{"bad.yaml", "colours"}},
		"no mapping, no kind":  {[]string{good}, 1, []string{"kind", "hint: "}},
		"unknown kind":         {[]string{"--kind", "sheep", good}, 2, []string{"--kind", "orders"}},
		"no file":              {[]string{"--mapping", cdnowMapping}, 2, []string{"<file>"}},
		"one of two is broken": {[]string{"--mapping", cdnowMapping, good, filepath.Join(in, "short.csv")}, 1, []string{"short.csv", "amount"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := oneid(t, append([]string{"import", "--dir", dir}, c.args...)...)
			wantRefused(t, a, c.code, c.texts...)
			if a.stdout != "" {
				t.Errorf("it printed %q", a.stdout)
			}
		})
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a data folder is there, though all was refused before anything started")
	}
	// A file with a header and no row is whole.
	if r := load(t, dir, at("header.csv", cdnowHeader)); r.Rows != 0 || r.Refused != 0 {
		t.Errorf("a header alone: %+v", r)
	}
}

// A file in GBK, with OneID's own column names, as a spreadsheet in China
// saves it.
func TestImportGBK(t *testing.T) {
	t.Parallel()
	dir, in := begunFolder(t), t.TempDir()
	text, err := simplifiedchinese.GBK.NewEncoder().String("会员,日期,件数,金额\n甲一,2026-03-01,1,12.30\n乙二,2026-03-02,2,7.70\n")
	if err != nil {
		t.Fatal(err)
	}
	file, mapping := filepath.Join(in, "gbk.csv"), filepath.Join(in, "mapping.yaml")
	writeText(t, file, text)
	writeText(t, mapping, `platform: file
shop: till
kind: orders
timezone: Asia/Shanghai
currency: CNY
order_id:
  row: [会员, 日期, 件数, 金额]
columns:
  account: 会员
  created_at: {column: 日期, format: YYYY-MM-DD}
  quantity: 件数
  paid: 金额
  status: {const: paid}
`)
	must(t, "import", "--dir", dir, "--mapping", mapping, file)
	got := rows(t, dir, "SELECT account, paid_amount, created_at FROM customer_orders ORDER BY account")
	want := [][]string{{"file/till/乙二", "7.7", "2026-03-02 00:00:00"}, {"file/till/甲一", "12.3", "2026-03-01 00:00:00"}}
	if d := diff.Diff(want, got); d != "" {
		t.Errorf("orders of the file in GBK:\n%s", d)
	}
}

// The real file, where it lies beside the checkout.
func TestImportCDNOW(t *testing.T) {
	if _, err := os.Stat(cdnowSample); err != nil {
		t.Logf("%s is not there; TestImportPurchases does the same with invented rows", cdnowSample)
		return
	}
	t.Parallel()
	dir := begunFolder(t)
	load(t, dir, cdnowSample)
	if got, want := imported(t, dir), "6919 2357 244091.94 USD 8"; got != want {
		t.Errorf("the views have %s, the file %s", got, want)
	}
}
