package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
	cryptzip "github.com/yeka/zip"
	"golang.org/x/text/encoding/simplifiedchinese"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/simulator"
	"oneid/pipelines/replay"
	"oneid/schemas/events"
)

// worldOf is the world whose platforms a demo's folder was pulled from.
func worldOf(t *testing.T, dir string) *simulator.World {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "simulator.json"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := simulator.New(decode[simulator.Config](t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// exportsOf writes what the platforms' back-offices export: a folder each.
func exportsOf(t *testing.T, w *simulator.World) (folders map[string]string) {
	t.Helper()
	folders = make(map[string]string)
	for platform, names := range simulator.ExportNames {
		folders[platform] = t.TempDir()
		for _, name := range names {
			var b bytes.Buffer
			if err := w.WriteExport(&b, platform, name); err != nil {
				t.Fatal(err)
			}
			writeText(t, filepath.Join(folders[platform], name+".csv"), b.String())
		}
	}
	return folders
}

func importAll(t *testing.T, dir string, w *simulator.World, folders map[string]string) {
	t.Helper()
	for platform, folder := range folders {
		r := decode[importReport](t, must(t, "import", "--dir", dir, "--json", "--shop", platform+"/"+w.Shop(platform).ID, folder).stdout)
		if r.Refused != 0 || len(r.Left) != 0 || r.Entities["orders"] == 0 {
			t.Errorf("%s: %+v", platform, r)
		}
	}
}

// stored is all that the views say of orders, refunds and tickets, but for the
// customers' ids, which follow from who was seen first; and what customersOf
// says.
func stored(t *testing.T, dir string) (all, customers [][]string) {
	t.Helper()
	var queries []string
	for _, view := range []string{"customer_orders", "customer_order_items", "customer_refunds", "customer_tickets"} {
		queries = append(queries, "SELECT * EXCEPT customer_id FROM "+view+" ORDER BY ALL")
	}
	answers := rowsOf(t, dir, append(queries, customersOf)...)
	return slices.Concat(answers[:len(queries)]...), answers[len(queries)]
}

const customersOf = "SELECT identified, count(), sum(orders), sum(paid_amount) FROM customer_360 GROUP BY 1 ORDER BY 1"

// An order that the platform's API and an export both give is one order, in
// whichever order they come: the rows are those of the API alone.
func TestExportsAndAPIAreOne(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	w := worldOf(t, dir)
	want, wantCustomers := stored(t, dir)
	folders := exportsOf(t, w)

	t.Run("API first", func(t *testing.T) {
		// The exports are newer than what was pulled, and still say less.
		later := worldOf(t, dir)
		for platform := range folders {
			changed := 0
			for ; changed < 5; changed++ {
				if _, err := later.Change(platform, "", time.Now()); errors.Is(err, simulator.ErrNoOrder) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if changed == 0 {
				t.Errorf("no order of %s could change: its export is no newer", platform)
			}
		}
		importAll(t, dir, w, exportsOf(t, later))
		got, gotCustomers := stored(t, dir)
		if d := diff.Diff(want, got); d != "" {
			t.Errorf("the exports changed what the API said (-API +both):\n%s", d)
		}
		if d := diff.Diff(wantCustomers, gotCustomers); d != "" {
			t.Errorf("customers (-API +both):\n%s", d)
		}
	})
	t.Run("exports first", func(t *testing.T) {
		other := filepath.Join(t.TempDir(), "data")
		// It is the demo's folder, whose shops OneID may not ask yet.
		if err := os.MkdirAll(other, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := w.Config().Save(other); err != nil {
			t.Fatal(err)
		}
		importAll(t, other, w, folders)
		// The exports alone know each order, its status and what was paid.
		const known = "SELECT platform, order_id, status, paid_amount, created_at, paid_at IS NULL FROM customer_orders ORDER BY ALL"
		answers := rowsOf(t, other, known, "SELECT countIf(identified != 0) FROM customer_360")
		if d := diff.Diff(rows(t, dir, known), answers[0]); d != "" {
			t.Errorf("what the exports say of orders (-API +exports):\n%s", d)
		}
		if got := answers[1][0][0]; got != "0" {
			t.Errorf("%s customers are identified, and no export names a buyer", got)
		}
		must(t, demoArgs(other, 100, 4)...)
		got, gotCustomers := stored(t, other)
		if d := diff.Diff(want, got); d != "" {
			t.Errorf("after the API, too (-API +both):\n%s", d)
		}
		if d := diff.Diff(wantCustomers, gotCustomers); d != "" {
			t.Errorf("customers (-API +both):\n%s", d)
		}
	})
}

// tmallOrders is an order list as Tmall exports it, of n orders.
func tmallOrders(n int) string {
	var b strings.Builder
	b.WriteString("订单编号,买家实际支付金额,订单状态,收货人姓名,收货地址,订单创建时间,订单付款时间\r\n")
	for i := range n {
		fmt.Fprintf(&b, "=\"%d\",\"%d.00\",\"交易成功\",\"甲**\",\"浙江省 杭州市 西湖区 演示路**号(000000)\",\"2026-01-02 03:04:05\",\"2026-01-02 03:05:00\"\r\n", 3_700_000_000_000_000_001+i, 10+i%90)
	}
	return b.String()
}

func gbkText(t *testing.T, text string) string {
	t.Helper()
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	return gbk
}

// Lines that say nothing that can be believed are refused, each with its line
// and why, and lie in the dead letter; all others are loaded.
func TestExportRefusesLines(t *testing.T) {
	t.Parallel()
	dir, in := begunFolder(t), t.TempDir()
	head, rest, _ := strings.Cut(tmallOrders(3), "\r\n")
	bad := []string{
		`3.7E+18,"8.00","交易成功","甲**","x","2026-01-02 03:04:05",""`,
		`3700000000000000000,"8.00","交易成功","甲**","x","2026-01-02 03:04:05",""`,
		`="3700000000000009001","八元8","交易成功","甲**","x","2026-01-02 03:04:05",""`,
		`="3700000000000009002","8.00","交易成功","甲**","x","02/01/26",""`,
		`="3700000000000009003","8.00"`,
		`合计,"90.00","","","","",""`,
		`,"90.00","","","","",""`,
	}
	file := filepath.Join(in, "ExportOrderList202601031200.csv")
	writeText(t, file, gbkText(t, "演示店铺\r\n"+head+"\r\n"+rest+strings.Join(bad, "\r\n")+"\r\n"))
	writeText(t, filepath.Join(in, "readme.txt"), "no table\n")
	a := oneid(t, "import", "--dir", dir, "--shop", "tmall/s", in)
	wantRefused(t, a, 3, "7 rows were refused", "line 6: ", "rounded", "line 7: ", "line 8: ", "买家实际支付金额 is not an amount", "line 9: ", "订单创建时间 is not a time",
		"line 10: ", "has 2 fields", "line 11: ", "no number of an order", "line 12: ", "is empty", "left out: readme.txt")
	if !strings.Contains(a.stdout, "10 rows") || !strings.Contains(a.stdout, "3 orders loaded, 7 refused") {
		t.Errorf("it sums up as %q", a.stdout)
	}
	for _, secret := range []string{"3.7E+18", "八元8", "02/01/26"} {
		if strings.Contains(a.stderr, secret+"\"") || strings.Contains(a.stderr, secret+" ") && secret != "3.7E+18" {
			t.Errorf("the report tells the value %s", secret)
		}
	}
	if got := rows(t, dir, "SELECT order_id, account, status, paid_amount, created_at FROM customer_orders ORDER BY 1"); len(got) != 3 ||
		diff.Diff(got[0], []string{"3700000000000000001", "tmall/s/order:3700000000000000001", "finished", "10", "2026-01-02 03:04:05"}) != "" {
		t.Errorf("orders: %v", got)
	}
	if got := one(t, dir, "SELECT count() FROM dead_letters"); got != "7" {
		t.Errorf("%s dead letters, want 7", got)
	}
	// A mapping of exports that was mended takes the letters: these are still
	// wrong, and none is lost.
	replay := oneid(t, "deadletter", "replay", "--dir", dir, "--all", "--json")
	if replay.code == 1 || one(t, dir, "SELECT count() FROM dead_letters") != "7" {
		t.Errorf("replaying: exit code %d, %s%s", replay.code, replay.stdout, replay.stderr)
	}
}

// Cut off at any moment and begun again, an import loads each order once.
func TestExportCutOff(t *testing.T) {
	t.Parallel()
	const orders = 15_000
	dir, file := begunFolder(t), filepath.Join(t.TempDir(), "ExportOrderList202601031200.csv")
	writeText(t, file, gbkText(t, tmallOrders(orders)))
	args := []string{"import", "--dir", dir, "--shop", "tmall/s", file}
	cut := 0
	for _, signal := range []os.Signal{syscall.SIGINT, syscall.SIGKILL, syscall.SIGINT} {
		p := start(t, args...)
		eventually(t, time.Minute, "it loads", func() (bool, string) {
			return strings.Contains(p.stderr.String(), "loading orders …"), p.stderr.String()
		})
		a := p.signal(t, signal)
		if signal == syscall.SIGINT && a.code == 130 && !strings.Contains(a.stderr, "the same command goes on from here") {
			t.Errorf("it ends with %q", a.stderr)
		}
		if a.code != 0 {
			cut++
		}
	}
	if cut == 0 {
		t.Error("no import was cut off: the test proves nothing")
	}
	must(t, args...)
	want := fmt.Sprintf("%d %d", orders, orders)
	if got := one(t, dir, "SELECT count(), uniqExact(order_id) FROM customer_orders"); got != want {
		t.Errorf("orders: %s, want %s", got, want)
	}
	var r importReport
	if err := json.Unmarshal([]byte(must(t, append(args, "--json")...).stdout), &r); err != nil || r.Entities["orders"] != orders {
		t.Errorf("once more: %+v, %v", r, err)
	}
	if got := one(t, dir, "SELECT count(), uniqExact(order_id) FROM customer_orders"); got != want {
		t.Errorf("once more, orders: %s, want %s", got, want)
	}
}

// An encrypted zip is opened with a password from a file or the environment,
// and asked for where there is none.
func TestExportInAnEncryptedZip(t *testing.T) {
	t.Parallel()
	dir, in := begunFolder(t), t.TempDir()
	var sealed bytes.Buffer
	w := cryptzip.NewWriter(&sealed)
	f, err := w.Encrypt("订单/ExportOrderList202601031200.csv", "一个 s3cret", cryptzip.AES256Encryption)
	if err == nil {
		_, err = f.Write([]byte(gbkText(t, tmallOrders(3))))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	file, password := filepath.Join(in, "orders.zip"), filepath.Join(in, "password")
	writeText(t, file, sealed.String())
	args := []string{"import", "--dir", dir, "--json", "--shop", "tmall/s", file}
	wantRefused(t, oneid(t, args...), 1, "orders.zip/订单/ExportOrderList202601031200.csv: the file is encrypted: its password is needed", "hint: ", "--password-file", "ONEID_IMPORT_PASSWORD")
	writeText(t, password, "wrong\n")
	wantRefused(t, oneid(t, append(args, "--password-file", password)...), 1, "the password is wrong", "hint: ")
	writeText(t, password, "一个 s3cret\n")
	for name, a := range map[string]answer{
		"file":        oneid(t, append(args, "--password-file", password)...),
		"environment": startWith(t, "", environment("ONEID_IMPORT_PASSWORD=一个 s3cret"), args...).wait(t),
	} {
		if a.code != 0 || decode[importReport](t, a.stdout).Entities["orders"] != 3 {
			t.Errorf("the password by %s: exit code %d, %s%s", name, a.code, a.stdout, a.stderr)
		}
	}
}

// What --guess writes of a till's file loads it.
func TestImportGuess(t *testing.T) {
	t.Parallel()
	dir, in := begunFolder(t), t.TempDir()
	const till = "../../deploy/examples/till/till.csv"
	mapping := filepath.Join(in, "mapping.yaml")
	writeText(t, mapping, must(t, "import", "--guess", till).stdout)
	must(t, "import", "--dir", dir, "--mapping", mapping, till)
	got := rows(t, dir, "SELECT account, order_id, status, paid_amount FROM customer_orders ORDER BY order_id")
	want := [][]string{
		{"file/counter/V0001", "0001202603010001", "finished", "1199"},
		{"file/counter/order:0001202603010002", "0001202603010002", "finished", "158"},
		{"file/counter/V0002", "0001202603010003", "closed", "0"},
		{"file/counter/V0001", "0001202603020001", "finished", "59"},
	}
	if d := diff.Diff(want, got); d != "" {
		t.Errorf("orders of the till (-want +got):\n%s", d)
	}
	wantRefused(t, oneid(t, "import", "--dir", dir, "--shop", "tmall/s", till), 1, "till.csv", "hint: ", "--guess")
}

// A replay maps the stored payloads of exports by the platform's mapping, and
// counts other rows of files of the shop as left where no mapping is named.
func TestReplayMapsExports(t *testing.T) {
	t.Parallel()
	var skipped uint64
	c, err := withExports(nil, all.Exports["douyin"], replay.Found{Platform: "douyin", Shop: "s", Stream: "orders", Source: events.Source_SOURCE_FILE}, &skipped)
	if err != nil {
		t.Fatal(err)
	}
	record := func(raw string) connectors.Record {
		return connectors.Record{Stream: "orders", Shop: "s", Raw: []byte(raw), Observed: time.Unix(1_767_225_600, 0)}
	}
	list, err := c.Map(record(`{"export":"6910000000000000001","rows":[{"sheet":"order list","row":{"主订单编号":"\t6910000000000000001","子订单编号":"1","订单应付金额":"8.00","订单提交时间":"2026-01-01 07:50:00","支付完成时间":"-","订单状态":"待支付"}}]}`))
	if err != nil || len(list) != 1 || list[0].GetHeader().GetEntityId() != "6910000000000000001" || list[0].GetOrder().GetPayableMinor() != 800 {
		t.Errorf("Map = %v, %v", list, err)
	}
	list, err = c.Map(record(`{"row":{"order_id":"1"}}`))
	if err != nil || list != nil || skipped != 1 {
		t.Errorf("a row without a mapping: %v, %v, %d left", list, err, skipped)
	}
}
