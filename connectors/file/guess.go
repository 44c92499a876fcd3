package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/tablefile"
)

// words are the names of columns by which a field is known, in Chinese and
// English, in small letters without blanks; the first fields of the list are
// looked for first. A word that ends with * may have more behind it.
var words = []struct {
	field string
	names []string
}{
	{"order_id", []string{"订单编号", "订单号", "主订单编号", "单号", "小票号", "流水号", "交易号", "销售单号", "order_id", "orderid", "order_no", "orderno", "order", "receipt*"}},
	{"ticket_id", []string{"工单号", "工单编号", "会话id", "ticket_id", "ticketid", "ticket"}},
	{"account", []string{"会员号", "会员id", "会员编号", "买家id", "用户id", "客户id", "客户编号", "顾客号", "account", "customer_id", "customerid", "customer", "user_id", "userid", "member_id", "buyer_id"}},
	{"member_card", []string{"会员卡号", "卡号", "member_card", "card_no", "card"}},
	{"member_phone", []string{"会员手机*", "会员电话", "member_phone"}},
	{"receiver_phone", []string{"收货人手机*", "收件人手机*", "收货人电话", "收件人电话", "联系手机", "联系电话", "receiver_phone"}},
	{"buyer_phone", []string{"手机*", "电话", "买家手机*", "phone", "mobile", "tel"}},
	{"phone", []string{"手机*", "电话", "会员手机*", "phone", "mobile", "tel"}},
	{"email", []string{"邮箱", "电子邮箱", "email", "e-mail", "mail"}},
	{"unionid", []string{"unionid", "union_id", "微信unionid"}},
	{"openid", []string{"openid", "open_id"}},
	{"created_at", []string{"下单时间", "订单创建时间", "创建时间", "交易时间", "销售时间", "销售日期", "交易日期", "下单日期", "注册时间", "日期", "时间", "created_at", "create_time", "created", "date", "time", "datetime"}},
	{"paid_at", []string{"付款时间", "支付时间", "订单付款时间", "paid_at", "pay_time"}},
	{"shipped_at", []string{"发货时间", "shipped_at", "ship_time"}},
	{"finished_at", []string{"完成时间", "确认收货时间", "订单完成时间", "finished_at", "finish_time"}},
	{"updated_at", []string{"更新时间", "修改时间", "最后修改时间", "updated_at", "update_time", "modified"}},
	{"joined_at", []string{"入会时间", "加入时间", "开卡时间", "注册时间", "joined_at"}},
	{"solved_at", []string{"解决时间", "关闭时间", "solved_at"}},
	{"first_answer_at", []string{"首次响应时间", "首次回复时间", "first_answer_at"}},
	{"day", []string{"日期", "day", "date"}},
	{"paid", []string{"实付金额", "实收金额", "买家实际支付金额", "实付", "实收", "付款金额", "支付金额", "成交金额", "销售金额", "金额", "总金额", "订单金额", "paid", "amount", "total", "payment", "sales"}},
	{"payable", []string{"应付金额", "应收金额", "payable"}},
	{"goods", []string{"商品金额", "商品总价", "原价金额", "goods"}},
	{"freight", []string{"运费", "邮费", "freight", "shipping"}},
	{"spend", []string{"消耗", "花费", "投放金额", "消费", "spend", "cost"}},
	{"impressions", []string{"展现量", "曝光量", "展示次数", "impressions"}},
	{"clicks", []string{"点击量", "点击次数", "clicks"}},
	{"campaign", []string{"计划", "计划名称", "推广计划", "campaign"}},
	{"channel", []string{"渠道", "渠道名称", "来源", "门店", "门店名称", "店铺", "channel", "store"}},
	{"quantity", []string{"数量", "购买数量", "商品数量", "件数", "宝贝总数量", "quantity", "qty"}},
	{"unit_price", []string{"单价", "商品单价", "价格", "unit_price", "price"}},
	{"product_id", []string{"商品id", "商品编号", "货号", "款号", "product_id", "productid"}},
	{"merchant_sku", []string{"商家编码", "商品编码", "sku编码", "条码", "sku", "barcode"}},
	{"title", []string{"商品名称", "商品标题", "宝贝标题", "品名", "商品", "title", "product", "item"}},
	{"status", []string{"订单状态", "状态", "交易状态", "工单状态", "status", "state"}},
	{"currency", []string{"币种", "货币", "currency"}},
	{"receiver_name", []string{"收货人", "收件人", "收货人姓名", "收件人姓名", "receiver_name"}},
	{"province", []string{"省", "省份", "province"}},
	{"city", []string{"市", "城市", "city"}},
	{"district", []string{"区", "区县", "district"}},
	{"address", []string{"收货地址", "详细地址", "地址", "address"}},
	{"nick", []string{"昵称", "nick", "nickname"}},
	{"level", []string{"会员等级", "等级", "level"}},
	{"points", []string{"积分", "会员积分", "points"}},
	{"subject", []string{"问题分类", "问题类型", "主题", "subject"}},
	{"amount", []string{"退款金额", "amount"}},
	{"satisfaction", []string{"满意度", "评分", "satisfaction", "rating"}},
	{"agent", []string{"客服", "坐席", "agent"}},
}

// statusWords are what the words of a column of statuses mean; those that mean
// nothing say a part, or what is not so, and are left to a person.
var statusWords = []struct{ part, is string }{
	{"部分发货", "part_shipped"}, {"part_shipped", "part_shipped"}, {"部分", ""}, {"partial", ""}, {"退款中", ""}, {"退货中", ""}, {"申请", ""}, {"待退", ""}, {"拒绝", ""},
	{"未退", ""}, {"无退", ""}, {"退款关闭", ""}, {"退款取消", ""}, {"退款失败", ""}, {"未完成", ""}, {"不成功", ""}, {"unshipped", ""}, {"incomplete", ""}, {"unfinished", ""}, {"not ", ""},
	{"待付", "created"}, {"未付", "created"}, {"等待买家付款", "created"}, {"待支付", "created"}, {"unpaid", "created"}, {"pending", "created"},
	{"退货", "closed"}, {"退款", "closed"}, {"关闭", "closed"}, {"取消", "closed"}, {"作废", "closed"}, {"cancel", "closed"}, {"closed", "closed"}, {"refund", "closed"},
	{"待发货", "paid"}, {"等待卖家发货", "paid"}, {"已付", "paid"}, {"已支付", "paid"}, {"paid", "paid"},
	{"已发货", "shipped"}, {"待收货", "shipped"}, {"shipped", "shipped"}, {"已收货", "received"}, {"已签收", "received"},
	{"完成", "finished"}, {"成功", "finished"}, {"销售", "finished"}, {"complete", "finished"}, {"finished", "finished"},
}

// Guess writes a first mapping of a file, with comments: which column is
// probably what, by its name and by the form of its values, and what a person
// has to decide. No value of the file is in it but the words of a column of
// statuses. shop and kind may be empty.
func Guess(ctx context.Context, files tablefile.Files, shop, kind string) (string, error) {
	var text string
	files.Options = tablefile.Options{IsHeader: func(fields []string) bool { return len(guessFields(guessKind(fields, kind), fields)) >= 2 }}
	err := files.Each(ctx, tablefile.Visitor{Left: func(string, error) {}, Table: func(t *tablefile.Table) error {
		g := guessing{table: t, shop: shop, kind: guessKind(t.Header(), kind)}
		if err := g.sample(); err != nil {
			return fmt.Errorf("read %s: %w", t.Name, err)
		}
		text = g.mapping()
		return errStopped
	}})
	if err != nil && !errors.Is(err, errStopped) {
		return "", fmt.Errorf("file: %w", err)
	}
	if text == "" {
		return "", errors.New("file: there is no table in it of which columns could be guessed")
	}
	return text, nil
}

// guessKind is the kind that has the most columns.
func guessKind(header []string, kind string) string {
	if kind != "" {
		return kind
	}
	best, most := KindOrders, -1
	for _, kind := range []string{KindOrders, KindUsers, KindTickets, KindSpend} {
		found, score := guessFields(kind, header), 0
		for _, field := range required[kind] {
			if _, ok := found[field]; ok {
				score += 3
			} else if field != "order_id" {
				score -= 3
			}
		}
		if score += len(found); score > most {
			best, most = kind, score
		}
	}
	return best
}

// guessFields is which column is which field, by their names alone. The words
// of a field are tried from the best to the worst; no column is two fields.
func guessFields(kind string, header []string) map[string]string {
	found := make(map[string]string)
	taken := make(map[string]bool)
	for _, w := range words {
		if _, ok := fieldsOf[kind][w.field]; !ok {
			continue
		}
		for _, name := range w.names {
			i := slices.IndexFunc(header, func(column string) bool {
				plain := strings.ToLower(connectors.ColumnName(column))
				prefix, open := strings.CutSuffix(name, "*")
				return column != "" && !taken[column] && (plain == name || open && strings.HasPrefix(plain, prefix))
			})
			if i >= 0 {
				found[w.field], taken[header[i]] = header[i], true
				break
			}
		}
	}
	// Who is known by a card has an account by it.
	if card, ok := found["member_card"]; ok && found["account"] == "" {
		found["account"] = card
	}
	return found
}

// guessing looks at one table.
type guessing struct {
	table      *tablefile.Table
	shop, kind string
	rows       [][]string
}

// sampled is how many rows are looked at.
const sampled = 500

func (g *guessing) sample() error {
	for len(g.rows) < sampled {
		row, err := g.table.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if row.Err == nil {
			g.rows = append(g.rows, slices.Clone(row.Fields))
		}
	}
	return nil
}

// values of a column that are not empty.
func (g *guessing) values(column string) (list []string) {
	i := slices.Index(g.table.Header(), column)
	for _, row := range g.rows {
		if v := connectors.CellText(row[i]); v != "" && v != "-" {
			list = append(list, v)
		}
	}
	return list
}

// Formats that a column of times may have, besides those that are read
// without one.
var guessFormats = []string{"DD.MM.YYYY HH:mm:ss", "DD.MM.YYYY HH:mm", "DD.MM.YYYY", "YYYYMMDDHHmmss", "YYYY年M月D日 HH:mm:ss", "YYYY年M月D日"}

// dayOrMonth are the dates that some write with the day first and some with the month
// first, each with any of guessHours behind.
var (
	dayOrMonth = [][2]string{{"DD/MM/YYYY", "MM/DD/YYYY"}, {"D/M/YYYY", "M/D/YYYY"}, {"DD-MM-YYYY", "MM-DD-YYYY"}, {"D-M-YYYY", "M-D-YYYY"}}
	guessHours = []string{"", " HH:mm", " HH:mm:ss"}
)

var (
	guessSeconds = regexp.MustCompile(`^1[0-9]{9}$`)
	guessMillis  = regexp.MustCompile(`^1[0-9]{12}$`)
)

// formats are those that all values of a column of times have: one, "" where none is
// to be written; two, the day first and the month first, where the values fit both
// and no other column of times tells; none where they have none.
func (g *guessing) formats(column string) []string {
	formats := g.fitting(column)
	if len(formats) != 2 {
		return formats
	}
	var told [2]bool
	for field, other := range guessFields(g.kind, g.table.Header()) {
		if fieldsOf[g.kind][field] != timeField {
			continue
		}
		if only := g.fitting(other); len(only) == 1 {
			for _, pair := range dayOrMonth {
				for first, date := range pair {
					told[first] = told[first] || strings.HasPrefix(only[0], date)
				}
			}
		}
	}
	if told[0] == told[1] {
		return formats
	}
	return formats[slices.Index(told[:], true):][:1]
}

func (g *guessing) fitting(column string) []string {
	values := g.values(column)
	fits := func(format string) bool {
		layout, err := layoutOf(format)
		return err == nil && !slices.ContainsFunc(values, func(v string) bool {
			_, err := parseTime(v, layout, time.UTC)
			return err != nil
		})
	}
	switch {
	case !slices.ContainsFunc(values, func(v string) bool { return !guessSeconds.MatchString(v) }):
		return []string{unixSeconds}
	case !slices.ContainsFunc(values, func(v string) bool { return !guessMillis.MatchString(v) }):
		return []string{unixMillis}
	case fits(""):
		return []string{""}
	}
	for _, pair := range dayOrMonth {
		for _, hours := range guessHours {
			var formats []string
			for _, date := range pair {
				if fits(date + hours) {
					formats = append(formats, date+hours)
				}
			}
			if formats != nil {
				return formats
			}
		}
	}
	for _, format := range guessFormats {
		if fits(format) {
			return []string{format}
		}
	}
	return nil
}

// mapping is the text of the mapping.
func (g *guessing) mapping() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	found := guessFields(g.kind, g.table.Header())
	line("# A first mapping, guessed from the columns of a file. Look at each line, then:")
	line("#   oneid import --mapping THIS-FILE FILE…")
	if platform, shop, ok := strings.Cut(g.shop, "/"); ok {
		line("platform: %s", quoted(platform))
		line("shop: %s", quoted(shop))
	} else {
		line("shop: counter              # a name of yours that stands in every account; or --shop PLATFORM/SHOP")
	}
	line("kind: %s               # orders, users, tickets or spend", g.kind)
	line("timezone: Asia/Shanghai    # of times that name no zone")
	line("currency: CNY")
	if d := g.table.Delimiter; d != 0 && d != ',' {
		line("delimiter: %s", quoted(string(d)))
	}
	var missing []string
	for _, field := range required[g.kind] {
		if _, ok := found[field]; !ok {
			missing = append(missing, field)
		}
	}
	if slices.Contains(missing, "order_id") {
		var row []string
		for _, field := range []string{"account", "member_card", "created_at", "quantity", "paid", "title"} {
			if column, ok := found[field]; ok {
				row = append(row, quoted(column))
			}
		}
		if len(row) > 0 {
			line("# No column looks like the number of an order: each row is a purchase, known by")
			line("# these columns. Name all that make it what it is.")
			line("order_id:")
			line("  row: [%s]", strings.Join(row, ", "))
			missing = slices.DeleteFunc(missing, func(f string) bool { return f == "order_id" })
		}
	}
	line("columns:")
	for _, field := range missing {
		line("  # %s is needed, and no column looks like it: name it here", field)
		line("  # %s: …", field)
	}
	for _, w := range words {
		if column, ok := found[w.field]; ok {
			g.field(line, w.field, column)
		}
	}
	var rest []string
	for _, column := range g.table.Header() {
		used := false
		for _, have := range found {
			used = used || have == column
		}
		if column != "" && !used {
			rest = append(rest, column)
		}
	}
	if len(rest) > 0 {
		line("# Columns that are kept in the raw payload only:")
		for _, name := range rest[:min(len(rest), 40)] {
			line("#   %s", strconv.Quote(name))
		}
		line("# Fields that %s may have: %s", g.kind, strings.Join(sortedFields(g.kind), ", "))
	}
	return b.String()
}

func sortedFields(kind string) (names []string) {
	for name := range fieldsOf[kind] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// quoted is a text as YAML takes it.
func quoted(text string) string { return strconv.Quote(text) }

// field writes one field with what was seen of its column.
func (g *guessing) field(line func(string, ...any), field, column string) {
	values := g.values(column)
	if len(values) == 0 {
		line("  %s: %s  # the first rows are empty", field, quoted(column))
		return
	}
	switch fieldsOf[g.kind][field] {
	case timeField:
		formats := g.formats(column)
		switch {
		case len(formats) == 0:
			line("  %s: %s  # not all of its values are times of one form: add a format", field, quoted(column))
		case len(formats) == 2:
			line("  # day or month first? its values fit both: take the # off the right one")
			for _, format := range formats {
				line("  # %s: {column: %s, format: %s}", field, quoted(column), quoted(format))
			}
		case formats[0] != "":
			line("  %s: {column: %s, format: %s}", field, quoted(column), quoted(formats[0]))
		default:
			line("  %s: %s", field, quoted(column))
		}
	case moneyField, countField:
		bad := 0
		for _, v := range values {
			if _, err := strconv.ParseFloat(amountText(v), 64); err != nil {
				bad++
			}
		}
		if bad > 0 {
			line("  %s: %s  # %d of the first %d values are no numbers", field, quoted(column), bad, len(values))
			return
		}
		line("  %s: %s", field, quoted(column))
	case statusField:
		g.status(line, field, column, values)
	default:
		if slices.ContainsFunc(values, connectors.Ruined) {
			line("  %s: %s  # a spreadsheet has rounded some of its numbers (3.7E+18): export the file anew", field, quoted(column))
			return
		}
		line("  %s: %s", field, quoted(column))
	}
}

// status writes the words of the column and what they probably mean.
func (g *guessing) status(line func(string, ...any), field, column string, values []string) {
	slices.Sort(values)
	distinct := slices.Compact(values)
	if len(distinct) > 20 || g.kind != KindOrders {
		line("  %s: %s  # say what its words mean: {column: …, values: {WORD: …}}", field, quoted(column))
		return
	}
	line("  %s:", field)
	line("    column: %s", quoted(column))
	line("    values:  # created, paid, part_shipped, shipped, received, finished, closed; other words stay unknown")
	for _, word := range distinct {
		if len(word) > 60 {
			continue
		}
		is := ""
		for _, w := range statusWords {
			if strings.Contains(strings.ToLower(word), w.part) {
				is = w.is
				break
			}
		}
		if is == "" {
			line("      # %s: …", quoted(word))
			continue
		}
		line("      %s: %s", quoted(word), is)
	}
}
