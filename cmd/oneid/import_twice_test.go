package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"
)

// What two exports tell of the same orders, of which the later says less.
const (
	fullOrders = "订单编号,买家实际支付金额,买家应付邮费,订单状态,收货人姓名,收货地址,订单创建时间,订单付款时间\n" +
		"=\"3700000000000000001\",108.00,8.00,等待卖家发货,甲**,浙江省 杭州市 西湖区 演示路**号(000000),2026-01-02 03:04:05,2026-01-02 03:05:00\n"
	lateOrders = "订单编号,买家实际支付金额,订单状态,订单创建时间\n" +
		"=\"3700000000000000001\",108.00,交易成功,2026-01-02 03:04:05\n"
	itsDetails = "主订单编号,子订单编号,商品标题,商品价格,购买数量,买家实付金额\n" +
		"=\"3700000000000000001\",=\"3700000000000000011\",演示商品甲,60.00,1,64.80\n" +
		"=\"3700000000000000001\",=\"3700000000000000012\",演示商品乙,40.00,1,43.20\n"
)

// toldOnce is what the three files tell.
var toldOnce = []string{"SELECT order_id, status, paid_amount, paid_at FROM customer_orders", "SELECT item_id, title, paid_amount FROM customer_order_items ORDER BY 1"}

var wantToldOnce = [][][]string{
	{{"3700000000000000001", "finished", "108", "2026-01-02 03:05:00"}},
	{{"3700000000000000011", "演示商品甲", "64.8"}, {"3700000000000000012", "演示商品乙", "43.2"}},
}

// One export told in several commands is one: a later file that lacks columns or
// tables empties nothing, and what it changes wins.
func TestImportsOfOneExport(t *testing.T) {
	t.Parallel()
	dir, in := begunFolder(t), t.TempDir()
	files := map[string]string{"ExportOrderList202601031200.csv": fullOrders, "ExportItemlList202601031205.csv": itsDetails, "ExportOrderList202601041200.csv": lateOrders}
	for name, text := range files {
		writeText(t, filepath.Join(in, name), text)
	}
	load := func(name string) answer {
		return must(t, "import", "--dir", dir, "--shop", "tmall/s", filepath.Join(in, name))
	}
	load("ExportOrderList202601031200.csv")
	load("ExportOrderList202601041200.csv")
	// Its details lack the order list, which was told before; they are older than it is.
	if a := load("ExportItemlList202601031205.csv"); !strings.Contains(a.stderr, "warning: ExportItemlList202601031205.csv is the sales detail without the order list") {
		t.Errorf("the details alone are not warned of: %q", a.stderr)
	}
	check := func(when string) {
		t.Helper()
		if d := diff.Diff(wantToldOnce, rowsOf(t, dir, toldOnce...)); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	check("one by one")
	load("ExportOrderList202601031200.csv")
	check("the first once more")
}

// The files of a watched folder that come in two rounds are one import, too, and
// one that cannot be read to its end takes none of the others with it.
func TestInboxInTwoRounds(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	box := filepath.Join(dir, "inbox")
	if err := os.MkdirAll(filepath.Join(dir, pipelinesFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, pipelinesFolder, "exports.yaml"), "task: import\nevery: 1h\nfolder: inbox\nshop: tmall/s\n")
	drop := func(name, text string) {
		path := filepath.Join(box, name)
		writeText(t, path, text)
		if old := time.Now().Add(-time.Minute); os.Chtimes(path, old, old) != nil {
			t.Fatal("the file cannot be made old")
		}
	}
	if err := os.MkdirAll(box, 0o700); err != nil {
		t.Fatal(err)
	}
	drop("ExportOrderList202601031200.csv", fullOrders)
	drop("ExportItemlList202601031205.csv", itsDetails)
	must(t, "run", "exports", "--dir", dir)
	drop("ExportOrderList202601041200.csv", lateOrders)
	drop("ExportOrderList202601051200.xlsx", "PK\x03\x04 cut off")
	wantRefused(t, oneid(t, "run", "exports", "--dir", dir), 1, "ExportOrderList202601051200.xlsx", "damaged")
	must(t, "resolve", "--once", "--dir", dir)
	if d := diff.Diff(wantToldOnce, rowsOf(t, dir, toldOnce...)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, path := range []string{"done/ExportOrderList202601041200.csv", "failed/ExportOrderList202601051200.xlsx"} {
		if _, err := os.Stat(filepath.Join(box, path)); err != nil {
			t.Error(err)
		}
	}
}
