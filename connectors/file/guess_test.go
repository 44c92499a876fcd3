package file

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"google.golang.org/protobuf/testing/protocmp"

	"oneid/internal/tablefile"
)

func guessOf(t *testing.T, shop, kind string, paths ...string) (string, *Mapping) {
	t.Helper()
	text, err := Guess(t.Context(), tablefile.Files{Paths: paths, Temp: t.TempDir()}, shop, kind)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping("guess.yaml", []byte(text), "", "")
	if err != nil {
		t.Fatalf("what was guessed is no mapping: %v\n%s", err, text)
	}
	return text, m
}

// The mapping that is guessed of the till's file loads what the one that a
// person wrote loads.
func TestGuessTill(t *testing.T) {
	t.Parallel()
	const till = "../../deploy/examples/till/till.csv"
	text, m := guessOf(t, "file/till-hangzhou", "", till)
	for _, secret := range []string{"13800001111", "V0001", "1,199"} {
		if strings.Contains(text, secret) {
			t.Errorf("the mapping tells the value %s:\n%s", secret, text)
		}
	}
	want, refused := load(t, Config{Mapping: example(t, "till", ""), Files: tablefile.Files{Paths: []string{till}}}, "")
	if len(want) != 4 || len(refused) != 0 {
		t.Fatalf("the example loads %d of 4, refuses %v", len(want), refused)
	}
	got, refused := load(t, Config{Mapping: m, Files: tablefile.Files{Paths: []string{till}}}, "")
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" || len(refused) != 0 {
		t.Errorf("refused %v, loaded otherwise (-by hand +guessed):\n%s\n%s", refused, d, text)
	}
}

func TestGuess(t *testing.T) {
	t.Parallel()
	book := excelize.NewFile()
	for i, row := range [][]any{{"会员一览"}, {"会员编号", "手机号", "注册时间", "积分", "备注"}, {"M1", "13800001111", 46000.5, 12, "甲"}} {
		if err := book.SetSheetRow("Sheet1", []string{"A1", "A2", "A3"}[i], &row); err != nil {
			t.Fatal(err)
		}
	}
	members := t.TempDir() + "/members.xlsx"
	if err := book.SaveAs(members); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, kind string
		want       []string
	}{
		"no number of orders": {write(t, "客户,日期,件数,金额\n甲,01.02.2026,1,8.00\n"), "", []string{"row: [", `created_at: {column: "日期", format: "DD.MM.YYYY"}`, "kind: orders"}},
		"Unix seconds":        {write(t, "order_no,create_time,amount\n1,1767225600,8\n"), "", []string{`created_at: {column: "create_time", format: "unix"}`}},
		"a ruined number":     {write(t, "订单号,时间,金额\n3.7E+18,2026-01-01,8\n"), "", []string{"has rounded some of its numbers"}},
		"bad amounts":         {write(t, "订单号,时间,金额\n1,2026-01-01,many\n"), "", []string{"1 of the first 1 values are no numbers"}},
		"members, XLSX":       {members, "", []string{"kind: users", `account: "会员编号"`, `phone: "手机号"`, `#   "备注"`}},
		"spend":               {write(t, "渠道,日期,消耗,点击量\na,2026-01-01,8.00,3\n"), "", []string{"kind: spend", `spend: "消耗"`, `day: "日期"`}},
		"statuses":            {write(t, "订单号,时间,金额,状态\n1,2026-01-01,8,待发货\n2,2026-01-01,8,怪\n"), "", []string{`"待发货": paid`, `# "怪": …`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, _ := guessOf(t, "", c.kind, c.path)
			for _, want := range c.want {
				if !strings.Contains(text, want) {
					t.Errorf("it has not %q:\n%s", want, text)
				}
			}
		})
	}
	if _, err := Guess(t.Context(), tablefile.Files{Paths: []string{write(t, "")}}, "", ""); err == nil {
		t.Error("of an empty file something is guessed")
	}
}

// Times of which the values fit the day before the month and after it are left to a
// person, unless other times of the table tell; a status that says only a part is no
// status of the whole.
func TestGuessLeavesWhatItCannotKnow(t *testing.T) {
	t.Parallel()
	const open = "# day or month first? its values fit both"
	for name, c := range map[string]struct {
		content string
		wants   []string
		lacks   []string
	}{
		"either way": {"订单号,时间,金额\n1,05/01/2026 09:30,8\n2,12/11/2026 10:00,8\n",
			[]string{open, `# created_at: {column: "时间", format: "DD/MM/YYYY HH:mm"}`, `# created_at: {column: "时间", format: "MM/DD/YYYY HH:mm"}`}, []string{"\n  created_at:"}},
		"either way, of one digit": {"订单号,时间,金额\n1,5/1/2026 9:30,8\n",
			[]string{open, `format: "D/M/YYYY HH:mm"`, `format: "M/D/YYYY HH:mm"`}, []string{"\n  created_at:"}},
		"either way, with dashes": {"订单号,时间,金额\n1,05-01-2026,8\n", []string{open}, []string{"\n  created_at:"}},
		"the day first":           {"订单号,时间,金额\n1,05/01/2026 09:30,8\n2,13/01/2026 10:00,8\n", []string{"\n" + `  created_at: {column: "时间", format: "DD/MM/YYYY HH:mm"}`}, []string{open}},
		"the month first":         {"订单号,时间,金额\n1,05/01/2026 09:30:01,8\n2,01/13/2026 10:00:00,8\n", []string{"\n" + `  created_at: {column: "时间", format: "MM/DD/YYYY HH:mm:ss"}`}, []string{open}},
		"the same day and month":  {"订单号,时间,金额\n1,05/05/2026,8\n", []string{open}, []string{"\n  created_at:"}},
		"another column tells": {"订单号,下单时间,付款时间,金额\n1,05/01/2026 09:30,05/01/2026 09:31,8\n2,05/12/2026 09:30,05/13/2026 00:31,8\n",
			[]string{"\n" + `  created_at: {column: "下单时间", format: "MM/DD/YYYY HH:mm"}`, "\n" + `  paid_at: {column: "付款时间", format: "MM/DD/YYYY HH:mm"}`}, []string{open}},
		"columns that disagree": {"订单号,下单时间,付款时间,发货时间,金额\n1,05/01/2026,13/01/2026,01/13/2026,8\n",
			[]string{open, `paid_at: {column: "付款时间", format: "DD/MM/YYYY"}`, `shipped_at: {column: "发货时间", format: "MM/DD/YYYY"}`}, []string{"\n  created_at:"}},
		"statuses of a part": {"订单号,时间,金额,状态\n1,2026-01-01,8,部分退款\n2,2026-01-01,8,退款中\n3,2026-01-01,8,未完成\n4,2026-01-01,8,退款成功\n5,2026-01-01,8,partially refunded\n6,2026-01-01,8,unshipped\n7,2026-01-01,8,拒绝退款\n8,2026-01-01,8,部分发货\n9,2026-01-01,8,未退款\n",
			[]string{`# "部分退款": …`, `# "退款中": …`, `# "未完成": …`, `# "partially refunded": …`, `# "unshipped": …`, `# "拒绝退款": …`, `# "未退款": …`, `      "退款成功": closed`, `      "部分发货": part_shipped`}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := Guess(t.Context(), tablefile.Files{Paths: []string{write(t, c.content)}, Temp: t.TempDir()}, "", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.wants {
				if !strings.Contains(text, want) {
					t.Errorf("it has not %q:\n%s", want, text)
				}
			}
			for _, no := range c.lacks {
				if strings.Contains(text, no) {
					t.Errorf("it has %q:\n%s", no, text)
				}
			}
			// Until a person has chosen, nothing is loaded; either choice is a mapping.
			_, err = ParseMapping("guess.yaml", []byte(text), "", "")
			if chosen := !strings.Contains(text, open); chosen != (err == nil) || err != nil && !strings.Contains(err.Error(), "needs the field created_at") {
				t.Errorf("it is a mapping: %v\n%s", err, text)
			}
			for line := range strings.Lines(text) {
				if choice, ok := strings.CutPrefix(line, "  # created_at: {"); ok {
					if _, err := ParseMapping("guess.yaml", []byte(strings.Replace(text, line, "  created_at: {"+choice, 1)), "", ""); err != nil {
						t.Errorf("%s is no choice: %v", line, err)
					}
				}
			}
		})
	}
}

// A mapping reads the workbooks and zips that it fits, and leaves other sheets
// out, told by name.
func TestMappingOfAWorkbook(t *testing.T) {
	t.Parallel()
	book := excelize.NewFile()
	for i, row := range [][]any{{"演示门店"}, {"小票号", "交易时间", "门店", "会员卡号", "会员手机", "商品名称", "件数", "应收金额", "实收金额", "状态"},
		{"A1", 46082.4201388889, "店", "V1", nil, "示例大衣", 1, 1299, 1199.1000000000001, "销售"}} {
		if err := book.SetSheetRow("Sheet1", []string{"A1", "A2", "A3"}[i], &row); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := book.NewSheet("说明"); err != nil {
		t.Fatal(err)
	}
	if err := book.SetCellStr("说明", "A1", "一些说明"); err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/till.xlsx"
	if err := book.SaveAs(path); err != nil {
		t.Fatal(err)
	}
	var left []string
	cfg := Config{Mapping: example(t, "till", ""), Files: tablefile.Files{Paths: []string{path}, Temp: t.TempDir()}, Left: func(name string, _ error) { left = append(left, name) }}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); err != nil || cmp.Diff([]string{"till.xlsx/说明"}, left) != "" {
		t.Errorf("Check = %v, left out %v", err, left)
	}
	for page, err := range c.Read(t.Context(), KindOrders, "") {
		if err != nil || len(page.Records) != 1 {
			t.Fatalf("%d records, %v", len(page.Records), err)
		}
		list, err := c.Map(page.Records[0])
		if err != nil {
			t.Fatal(err)
		}
		o := list[0].GetOrder()
		if o.GetPaidMinor() != 119910 || o.GetCreatedMs() != time.Date(2026, 3, 1, 2, 5, 0, 0, time.UTC).UnixMilli() {
			t.Errorf("paid %d at %d", o.GetPaidMinor(), o.GetCreatedMs())
		}
	}
}

// Whatever the file, what is guessed is a mapping, but for what it says is
// missing.
func FuzzGuess(f *testing.F) {
	f.Add([]byte("订单号,时间,金额,状态\n1,2026-01-01,8,待发货\n"), "")
	f.Add([]byte("会员编号,\"手机\n号\",\x00\n"), "users")
	f.Fuzz(func(t *testing.T, content []byte, kind string) {
		if _, ok := fieldsOf[kind]; !ok {
			kind = ""
		}
		text, err := Guess(t.Context(), tablefile.Files{Paths: []string{putFile(t, t.TempDir(), "a.csv", string(content))}, Temp: t.TempDir()}, "", kind)
		if err != nil {
			return
		}
		if _, err := ParseMapping("guess.yaml", []byte(text), "", ""); err != nil && !strings.Contains(err.Error(), "needs the field") {
			t.Fatalf("%v:\n%s", err, text)
		}
	})
}

// What parts the fields of a file is guessed too, and the mapping reads it so.
func TestGuessOfWhatPartsTheFields(t *testing.T) {
	t.Parallel()
	for delimiter, want := range map[string]bool{",": false, "\t": true, ";": true} {
		path := write(t, strings.NewReplacer("|", delimiter).Replace("订单号|下单时间|实付金额\nA1|2026-01-01 10:00:00|8.50\nA2|2026-01-02 10:00:00|9.00\n"))
		text, mapping := guessOf(t, "", "", path)
		if strings.Contains(text, "delimiter: ") != want {
			t.Errorf("of %q the guess is\n%s", delimiter, text)
		}
		orders, bad := load(t, Config{Files: tablefile.Files{Paths: []string{path}}, Mapping: mapping}, "")
		if len(orders) != 2 || len(bad) != 0 {
			t.Errorf("of %q the mapping reads %d orders, %v", delimiter, len(orders), bad)
		}
	}
}
