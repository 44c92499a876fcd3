package all

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/connectors/file"
	"oneid/connectors/simulator"
	"oneid/internal/golden"
	"oneid/internal/tablefile"
	"oneid/schemas/events"
)

// What each platform's documented (or assumed) exports become: the files of a
// platform together, in the platform's testdata/exports.
func TestExportsGolden(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for platform, exports := range Exports {
		folder := "../" + platform + "/testdata/exports"
		paths, err := filepath.Glob(folder + "/*.csv")
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: no files (%v)", folder, err)
		}
		// A file's own time counts where its name says none: give it one.
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
			t.Fatal(err)
		}
		for i, path := range paths {
			paths[i] = filepath.Join(dir, filepath.Base(path))
			if err := os.Chtimes(paths[i], day, day); err != nil {
				t.Fatal(err)
			}
		}
		x, err := file.NewExport(file.ExportConfig{Files: tablefile.Files{Paths: paths}, Exports: exports, Shop: "demo"})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, stream := range x.Spec().Streams {
			for page, err := range x.Read(t.Context(), stream.Name, "") {
				if err != nil || len(page.Bad) > 0 {
					t.Fatalf("%s: %v %v", platform, err, page.Bad)
				}
				for _, record := range page.Records {
					list, err := x.Map(record)
					if err != nil {
						t.Errorf("%s: %s: %v", platform, record.Origin, err)
					}
					for _, e := range list {
						wantWhole(t, e)
						e.Header.Raw = nil
						text, err := protojson.Marshal(e)
						if err == nil { // protojson varies its blanks on purpose
							err = json.Indent(&out, text, "", " ")
						}
						if err != nil {
							t.Fatal(err)
						}
						out.WriteByte('\n')
					}
				}
			}
		}
		golden.Equal(t, folder+"/events.json", out.Bytes())
	}
}

// wantWhole checks what is so of every event of an export: it can be stored,
// it is by a file, and as old as what it tells of; an order's items add up.
func wantWhole(t testing.TB, e *events.Event) {
	t.Helper()
	v, order := e.GetHeader().GetVersion(), e.GetOrder()
	if err := events.Check(e); err != nil {
		t.Errorf("%v", err)
	}
	if v.GetSource() != events.Source_SOURCE_FILE || v.GetModifiedMs() != events.Born(e) {
		t.Errorf("the version %v is not a file's of the moment %d", v, events.Born(e))
	}
	if order == nil {
		return
	}
	var sum int64
	for _, item := range order.GetItems() {
		sum += item.GetPaidMinor()
	}
	if sum != order.GetPaidMinor() || order.GetPaidMinor() < 0 || order.GetPaidMinor() > 0 && order.GetPaidMs() == 0 {
		t.Errorf("of %d paid at %d the items have %d", order.GetPaidMinor(), order.GetPaidMs(), sum)
	}
}

// Of each order of the simulator's exports whose files tell it, the parts make the whole.
func TestExportsAddUp(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	world, err := simulator.New(simulator.Config{People: 300, Seed: 2, From: until.Add(-30 * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	for platform, exports := range Exports {
		dir, paths := t.TempDir(), []string(nil)
		for _, name := range simulator.ExportNames[platform] {
			var b bytes.Buffer
			if err := world.WriteExport(&b, platform, name); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, filepath.Join(dir, name+".csv"))
			if err := os.WriteFile(paths[len(paths)-1], b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		x, err := file.NewExport(file.ExportConfig{Files: tablefile.Files{Paths: paths}, Exports: exports, Shop: "demo"})
		if err != nil {
			t.Fatal(err)
		}
		orders, discounted := 0, 0
		for page, err := range x.Read(t.Context(), "orders", "") {
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range page.Records {
				list, err := x.Map(record)
				if err != nil {
					t.Fatalf("%s: %s: %v", platform, record.Origin, err)
				}
				o := list[0].GetOrder()
				wantAddsUp(t, list[0])
				if orders++; o.GetSellerDiscountMinor()+o.GetPlatformDiscountMinor() > 0 {
					discounted++
				}
			}
		}
		if orders < 50 || platform != "weidian" && discounted < 10 { // whose files tell of no discount
			t.Errorf("%s: %d of %d orders have a discount: too few to tell anything", platform, discounted, orders)
		}
	}
}

// wantAddsUp checks of an order whose file tells what the goods cost that these and the
// freight, less what each side gives, are what the buyer owes.
func wantAddsUp(t *testing.T, e *events.Event) {
	t.Helper()
	o := e.GetOrder()
	if o.GetGoodsMinor() == 0 {
		return
	}
	if owed := o.GetGoodsMinor() + o.GetFreightMinor() - o.GetSellerDiscountMinor() - o.GetPlatformDiscountMinor() - o.GetTalentDiscountMinor(); owed != o.GetPayableMinor() {
		t.Errorf("%s order %s: its parts make %d, and %d is to be paid: %v", e.GetHeader().GetPlatform(), e.GetHeader().GetEntityId(), owed, o.GetPayableMinor(), o)
	}
}

// FuzzMapExports gives each platform's mapping cells of any content: no panic,
// and what is mapped is whole.
func FuzzMapExports(f *testing.F) {
	f.Add("3700000000000000101", "108.00", "2026-01-02 03:04:05", "交易成功", "a;b", uint8(1))
	f.Add("1", "1,234.50元", "46024.5", "已关闭", "\t6910", uint8(2))
	f.Add("=cmd|' /C calc'!A0", "-1", "2026/1/2 3:04", "", "3.7E+18", uint8(0))
	f.Fuzz(func(t *testing.T, number, money, at, word, id string, which uint8) {
		platform := slices.Sorted(maps.Keys(Exports))[int(which)%len(Exports)]
		exports := Exports[platform]
		for _, sheet := range exports.Sheets {
			row := map[string]string{}
			for _, column := range columns[platform] {
				row[column.name] = map[string]string{"money": money, "time": at, "word": word, "id": id}[column.is]
			}
			raw, err := json.Marshal(connectors.ExportPayload{Entity: number, Rows: []connectors.ExportRow{{Sheet: sheet.Name, Row: row}, {Sheet: sheet.Name, Row: row}}})
			if err != nil {
				t.Fatal(err)
			}
			list, err := exports.Map(connectors.Record{Stream: sheet.Stream, Shop: "s", Raw: raw, Observed: time.Unix(1, 0)})
			if (err == nil) == (len(list) == 0) {
				t.Fatalf("%d events, %v", len(list), err)
			}
			for _, e := range list {
				wantWhole(t, e)
			}
		}
	})
}

// columns that the mappings read, and what kind of value they hold.
var columns = map[string][]struct{ name, is string }{
	"tmall": {
		{"订单编号", "id"}, {"子订单编号", "id"}, {"商品ID", "id"}, {"买家实际支付金额", "money"}, {"买家应付货款", "money"},
		{"买家实付金额", "money"}, {"买家退款金额", "money"}, {"商品价格", "money"}, {"购买数量", "money"}, {"订单创建时间", "time"},
		{"订单付款时间", "time"}, {"退款申请时间", "time"}, {"订单状态", "word"}, {"退款状态", "word"}, {"收货地址 ", "word"}, {"联系手机", "id"},
	},
	"douyin": {
		{"子订单编号", "id"}, {"订单号", "id"}, {"商品单号", "id"}, {"商品ID", "id"}, {"商家编码", "word"}, {"订单应付金额", "money"},
		{"商品单价", "money"}, {"商品数量", "money"}, {"运费", "money"}, {"退商品金额(元)", "money"}, {"订单提交时间", "time"},
		{"支付完成时间", "time"}, {"售后申请时间", "time"}, {"订单状态", "word"}, {"售后状态", "word"}, {"收件人", "word"},
	},
	"weidian": {
		{"子订单编号", "id"}, {"商品ID", "id"}, {"实付金额", "money"}, {"商品单价", "money"}, {"商品数量", "money"},
		{"下单时间", "time"}, {"付款时间", "time"}, {"订单状态", "word"}, {"收货人", "word"},
	},
}

// A later import that tells of an earlier time of the order is the later version.
func TestALaterImportIsTheLaterVersion(t *testing.T) {
	t.Parallel()
	told := make(map[string]file.Told)
	imported := func(name, text string) *events.Header {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := file.NewExport(file.ExportConfig{Files: tablefile.Files{Paths: []string{path}}, Exports: Exports["douyin"], Shop: "s",
			Told: func(context.Context, string, []string) (map[string]file.Told, error) { return told, nil }})
		if err != nil {
			t.Fatal(err)
		}
		var header *events.Header
		for page, err := range x.Read(t.Context(), "orders", "") {
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				list, err := x.Map(r)
				if err != nil {
					t.Fatal(err)
				}
				header = list[0].GetHeader()
				told[header.GetEntityId()] = file.Told{Raw: r.Raw, Modified: time.UnixMilli(header.GetVersion().GetModifiedMs()), Observed: r.Observed}
			}
		}
		if header == nil {
			t.Fatalf("%s tells nothing", name)
		}
		return header
	}
	paid := imported("1767350000.csv", "主订单编号,子订单编号,订单状态,订单应付金额,支付完成时间\n1,1,待发货,9.00,2026-01-02 03:05:00\n")
	made := imported("1767360000.csv", "主订单编号,子订单编号,订单状态,订单应付金额,订单提交时间\n1,1,已完成,9.00,2026-01-02 03:04:05\n")
	high, low := events.PackVersion(paid.GetVersion())
	laterHigh, laterLow := events.PackVersion(made.GetVersion())
	if laterHigh < high || laterHigh == high && laterLow <= low {
		t.Errorf("the later import has the version %v, the first %v", made.GetVersion(), paid.GetVersion())
	}
	before := told["1"]
	again := imported("1767360000.csv", "主订单编号,子订单编号,订单状态,订单应付金额,订单提交时间\n1,1,已完成,9.00,2026-01-02 03:04:05\n")
	if !proto.Equal(again.GetVersion(), made.GetVersion()) || !bytes.Equal(told["1"].Raw, before.Raw) {
		t.Errorf("imported again it is %v, want %v", again.GetVersion(), made.GetVersion())
	}
}

// What an older file of a platform names otherwise than the newer one is out of date.
func TestALaterFileOfOtherNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		platform, older, newer string
		paid, items            int64
		status                 events.OrderStatus
	}{
		"tmall, an order paid since": {"tmall",
			"订单编号,买家实际支付金额,订单状态,订单创建时间\n1,0.00,等待买家付款,2026-01-02 03:04:05\n",
			"订单编号,总金额,订单状态,订单创建时间,订单付款时间\n1,108.00,等待卖家发货,2026-01-02 03:04:05,2026-01-02 03:05:00\n",
			10800, 1, events.OrderStatus_ORDER_STATUS_PAID},
		"weidian, other words": {"weidian",
			"订单编号,订单状态,下单时间,实付金额\n1,待付款,2026-01-02 03:04:05,1.00\n",
			"订单号,状态,创建时间,订单金额\n1,已完成,2026-01-02 03:04:05,9.00\n",
			900, 1, events.OrderStatus_ORDER_STATUS_FINISHED},
		"weidian, numbers of lines since": {"weidian",
			"订单编号,订单状态,下单时间,实付金额\n1,待发货,2026-01-02 03:04:05,9.00\n1,待发货,2026-01-02 03:04:05,9.00\n",
			"订单编号,子订单编号,订单状态,下单时间,实付金额\n1,11,已完成,2026-01-02 03:04:05,9.00\n1,12,已完成,2026-01-02 03:04:05,9.00\n",
			900, 2, events.OrderStatus_ORDER_STATUS_FINISHED},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var paths []string
			for i, text := range []string{c.older, c.newer} {
				path, day := filepath.Join(dir, string(rune('a'+i))+".csv"), time.Date(2026, 2, 1+i, 0, 0, 0, 0, time.UTC)
				paths = append(paths, path)
				if os.WriteFile(path, []byte(text), 0o600) != nil || os.Chtimes(path, day, day) != nil {
					t.Fatal("the file cannot be written")
				}
			}
			x, err := file.NewExport(file.ExportConfig{Files: tablefile.Files{Paths: paths}, Exports: Exports[c.platform], Shop: "s"})
			if err != nil {
				t.Fatal(err)
			}
			orders := 0
			for page, err := range x.Read(t.Context(), "orders", "") {
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Records {
					list, err := x.Map(r)
					if err != nil {
						t.Fatal(err)
					}
					orders++
					if o := list[0].GetOrder(); o.GetPaidMinor() != c.paid || o.GetStatus() != c.status || int64(len(o.GetItems())) != c.items {
						t.Errorf("%v", o)
					}
				}
			}
			if orders != 1 {
				t.Errorf("%d orders, want one", orders)
			}
		})
	}
}
