package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allOrders are the orders of the last month, allAfterSales all after-sales.
func allOrders(c *douyinClient, w *World, more map[string]any) (rows []douyinOrder, total int) {
	c.t.Helper()
	for page := 0; ; page++ {
		params := window(w, "create_time_start", "create_time_end")
		params["page"], params["create_time_start"] = page, faceUntil.AddDate(0, -1, 0).Unix()
		maps.Copy(params, more)
		var answer douyinOrderPage
		c.ok("order.searchList", params, &answer)
		rows = append(rows, answer.Orders...)
		if (page+1)*100 >= answer.Total {
			return rows, answer.Total
		}
	}
}

func allAfterSales(c *douyinClient, w *World, more map[string]any) (rows []douyinAfterSale, total int) {
	c.t.Helper()
	for page := 0; ; page++ {
		params := window(w, "update_start_time", "update_end_time")
		params["page"] = page
		maps.Copy(params, more)
		var answer douyinAfterSalePage
		c.ok("afterSale.List", params, &answer)
		rows = append(rows, answer.Items...)
		if !answer.HasMore {
			return rows, answer.Total
		}
	}
}

// Each filter keeps exactly the orders whose own row says that it fits, and
// the total counts no other.
func TestDouyinOrderFilters(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 700, 21)
	c := newDouyinClient(t, world, DouyinOptions{}).signIn()
	all, total := allOrders(c, world, nil)
	if len(all) != total || total != len(world.OrderKeys(PlatformDouyin, ByCreated, faceUntil.AddDate(0, -1, 0), faceUntil)) {
		t.Fatalf("%d orders, total %d", len(all), total)
	}
	shipped := all[slices.IndexFunc(all, func(o douyinOrder) bool { return len(o.LogisticsInfo) > 0 })]
	status := func(codes ...int) func(douyinOrder) bool {
		return func(o douyinOrder) bool { return slices.Contains(codes, o.SKUOrders[0].AfterSaleInfo.Status) }
	}
	every, none := func(douyinOrder) bool { return true }, func(douyinOrder) bool { return false }
	sells := func(word string) func(douyinOrder) bool {
		return func(o douyinOrder) bool {
			return slices.ContainsFunc(o.SKUOrders, func(s douyinSKUOrder) bool {
				return s.ProductIDStr == word || strings.Contains(s.ProductName, word)
			})
		}
	}
	for name, tc := range map[string]struct {
		filter map[string]any
		fits   func(douyinOrder) bool
		empty  bool // nothing fits
	}{
		"product by number":         {map[string]any{"product": all[0].SKUOrders[0].ProductIDStr}, sells(all[0].SKUOrders[0].ProductIDStr), false},
		"product by name":           {map[string]any{"product": "围巾"}, sells("围巾"), false},
		"product of nobody":         {map[string]any{"product": "家具"}, none, true},
		"the app":                   {map[string]any{"b_type": 2}, every, false},
		"another app":               {map[string]any{"b_type": 11}, none, true},
		"ordinary goods":            {map[string]any{"order_type": 0}, every, false},
		"number as text":            {map[string]any{"order_type": "0"}, every, false},
		"virtual goods":             {map[string]any{"order_type": 2}, none, true},
		"ordinary trade":            {map[string]any{"trade_type": 0}, every, false},
		"group buying":              {map[string]any{"trade_type": 1}, none, true},
		"presale":                   {map[string]any{"presell_type": 1}, none, true},
		"abnormal":                  {map[string]any{"abnormal_order": 1}, none, true},
		"fulfilment":                {map[string]any{"fulfil_status": 1}, none, true},
		"null is absent":            {map[string]any{"order_type": nil, "product": nil, "after_sale_status_desc": nil}, every, false},
		"after-sale: all":           {map[string]any{"after_sale_status_desc": "all"}, every, false},
		"after-sale: open":          {map[string]any{"after_sale_status_desc": "in_aftersale"}, status(6, 7, 8, 11, 13), false},
		"after-sale: being paid":    {map[string]any{"after_sale_status_desc": "refund"}, status(6, 7, 11), false},
		"after-sale: success":       {map[string]any{"after_sale_status_desc": "refund_success"}, status(12), false},
		"after-sale: fail":          {map[string]any{"after_sale_status_desc": "refund_fail"}, status(27, 29), false},
		"after-sale: closed":        {map[string]any{"after_sale_status_desc": "aftersale_close"}, status(28, 51), false},
		"after-sale: exchange":      {map[string]any{"after_sale_status_desc": "exchange_success"}, status(14), true},
		"waybill":                   {map[string]any{"tracking_no": shipped.LogisticsInfo[0].TrackingNo}, func(o douyinOrder) bool { return o.OrderID == shipped.OrderID }, false},
		"status and after-sale":     {map[string]any{"combine_status": []any{map[string]any{"order_status": "4"}}, "after_sale_status_desc": "refund_success"}, func(o douyinOrder) bool { return o.OrderStatus == 4 && status(12)(o) }, false},
		"status and another filter": {map[string]any{"combine_status": []any{map[string]any{"order_status": "5"}}, "order_type": 2}, none, true},
	} {
		t.Run(name, func(t *testing.T) {
			rows, total := allOrders(c, world, tc.filter)
			var got, want []string
			for _, o := range rows {
				got = append(got, o.OrderID)
			}
			for _, o := range all {
				if tc.fits(o) {
					want = append(want, o.OrderID)
				}
			}
			if !slices.Equal(got, want) || total != len(want) || (len(want) == 0) != tc.empty {
				t.Errorf("%d rows, total %d, want %d", len(got), total, len(want))
			}
		})
	}
	for name, filter := range map[string]map[string]any{
		"word":                {"b_type": "抖音"},
		"app":                 {"b_type": 10},
		"order type":          {"order_type": 1},
		"trade type":          {"trade_type": 8},
		"after-sale":          {"after_sale_status_desc": "refunding"},
		"abnormal is no flag": {"abnormal_order": true},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			params := window(world, "create_time_start", "create_time_end")
			maps.Copy(params, filter)
			if got := c.fault("order.searchList", params); got != "40004 isv.parameter-invalid:20001" {
				t.Error(got)
			}
		})
	}
}

func TestDouyinAfterSaleFilters(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 600, 22)
	c := newDouyinClient(t, world, DouyinOptions{}).signIn()
	all, total := allAfterSales(c, world, nil)
	if len(all) != total || total != world.Counts()[PlatformDouyin].Refunds {
		t.Fatalf("%d after-sales, total %d", len(all), total)
	}
	some := all[slices.IndexFunc(all, func(r douyinAfterSale) bool { return r.Info.AfterSaleType == 0 && r.Info.FinalTime > 0 })]
	o, _ := world.OrderByNumber(PlatformDouyin, some.OrderInfo.ShopOrderID)
	every, none := func(douyinAfterSale) bool { return true }, func(douyinAfterSale) bool { return false }
	own := func(r douyinAfterSale) bool { return r.Info.AfterSaleID == some.Info.AfterSaleID }
	status := func(codes ...int) func(douyinAfterSale) bool {
		return func(r douyinAfterSale) bool { return slices.Contains(codes, r.Info.AfterSaleStatus) }
	}
	for name, tc := range map[string]struct {
		filter map[string]any
		fits   func(douyinAfterSale) bool
		empty  bool
	}{
		"type":                     {map[string]any{"aftersale_type": 0}, func(r douyinAfterSale) bool { return r.Info.AfterSaleType == 0 }, false},
		"type of none":             {map[string]any{"aftersale_type": 3}, none, true},
		"order":                    {map[string]any{"order_id": some.OrderInfo.ShopOrderID}, own, false},
		"number":                   {map[string]any{"aftersale_id": some.Info.AfterSaleID}, own, false},
		"waybill":                  {map[string]any{"order_logistics_tracking_no": []string{o.Tracking}}, own, false},
		"statuses":                 {map[string]any{"standard_aftersale_status": []int{12, 28}}, status(12, 28), false},
		"a wrong status beside":    {map[string]any{"standard_aftersale_status": []any{12, 999}}, status(12), false},
		"all statuses wrong":       {map[string]any{"standard_aftersale_status": []any{998, 999}}, every, false},
		"reason":                   {map[string]any{"reason": 1 + slices.Index(reasons, some.TextPart.Reason)}, func(r douyinAfterSale) bool { return r.TextPart.Reason == some.TextPart.Reason }, false},
		"amount":                   {map[string]any{"amount_start": some.Info.RefundAmount, "amount_end": some.Info.RefundAmount}, func(r douyinAfterSale) bool { return r.Info.RefundAmount == some.Info.RefundAmount }, false},
		"amount from":              {map[string]any{"amount_start": some.Info.RefundAmount}, func(r douyinAfterSale) bool { return r.Info.RefundAmount >= some.Info.RefundAmount }, false},
		"ended":                    {map[string]any{"aftersale_status_to_final_start_time": 1, "aftersale_status_to_final_end_time": some.Info.FinalTime}, func(r douyinAfterSale) bool { return r.Info.FinalTime > 0 && r.Info.FinalTime <= some.Info.FinalTime }, false},
		"no arbitration":           {map[string]any{"arbitrate_status": []int{0, 1}}, every, false},
		"arbitration":              {map[string]any{"arbitrate_status": []int{1, 2}}, none, true},
		"paid by card":             {map[string]any{"pay_type": 4}, none, true},
		"quick refund":             {map[string]any{"refund_type": 1}, none, true},
		"risk":                     {map[string]any{"risk_flag": 1}, none, true},
		"store":                    {map[string]any{"store_id_list": []int{7}}, none, true},
		"flag":                     {map[string]any{"order_flag": 0}, every, false},
		"special ones too":         {map[string]any{"need_special_type": true}, every, false},
		"type and status together": {map[string]any{"aftersale_type": 1, "standard_aftersale_status": []int{12}}, func(r douyinAfterSale) bool { return r.Info.AfterSaleType == 1 && r.Info.AfterSaleStatus == 12 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			rows, total := allAfterSales(c, world, tc.filter)
			var got, want []string
			for _, r := range rows {
				got = append(got, r.Info.AfterSaleID)
			}
			for _, r := range all {
				if tc.fits(r) {
					want = append(want, r.Info.AfterSaleID)
				}
			}
			if slices.Sort(got); !slices.Equal(got, sorted(want)) || total != len(want) || (len(want) == 0) != tc.empty {
				t.Errorf("%d rows, total %d, want %d", len(got), total, len(want))
			}
		})
	}
	for name, filter := range map[string]map[string]any{
		"type":        {"aftersale_type": 4},
		"pay type":    {"pay_type": 6},
		"arbitration": {"arbitrate_status": []int{0, 9}},
		"amount":      {"amount_start": "ten"},
		"turned":      {"amount_start": 10, "amount_end": 9},
		"reason":      {"reason": "质量问题"},
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			params := window(world, "update_start_time", "update_end_time")
			maps.Copy(params, filter)
			if got := c.fault("afterSale.List", params); got != "40004 isv.parameter-invalid:11000" {
				t.Error(got)
			}
		})
	}
	t.Run("in the order of the deadlines", func(t *testing.T) {
		rows, _ := allAfterSales(c, world, map[string]any{"order_by": []string{"status_deadline asc"}})
		at := func(r douyinAfterSale) int64 { return r.Info.StatusDeadline }
		if !slices.IsSortedFunc(rows, func(a, b douyinAfterSale) int { return int(at(a) - at(b)) }) || at(rows[0]) != 0 || at(rows[len(rows)-1]) == 0 || len(rows) != total {
			t.Errorf("%d rows from %d to %d", len(rows), at(rows[0]), at(rows[len(rows)-1]))
		}
	})
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return texts
}

// The methods that answer small questions.
func TestDouyinSmallMethods(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 23)
	c := newDouyinClient(t, world, DouyinOptions{WithIndex: true}).signIn()
	var member, other Account
	for a := range world.Accounts(PlatformDouyin) {
		if a.Member {
			member = a
		} else {
			other = a
		}
	}
	var indexed struct {
		List []struct {
			Index string `json:"search_index"`
		} `json:"plain_to_encrypt_index_list"`
	}
	c.ok("order.BatchSearchIndex", map[string]any{"plain_text_list": []any{map[string]any{"plain_text": "13800138000", "encrypt_type": 3}}}, &indexed)
	shop := strconv.FormatInt(c.app.ShopID, 10)
	for name, tc := range map[string]struct {
		method string
		params any
		want   string // the data, or code and sub_code of a refusal
	}{
		"brands of the signing vector": {"shop.brandList", map[string]any{}, `[]`},
		"index":                        {"order.getSearchIndex", map[string]any{"plain_text": "13800138000", "sensitive_type": 3}, `{"encrypt_index_text":"` + indexed.List[0].Index + `"}`},
		"index of what":                {"order.getSearchIndex", map[string]any{"plain_text": "13800138000", "sensitive_type": 9}, "40004 isv.parameter-invalid"},
		"open ids": {"member.batchGetOpenIdListByUnionId", map[string]any{"union_id_list": []string{member.UnionID}},
			`{"open_ids_info_list":[{"open_id_list":[{"open_id":"` + member.ID + `","shop_id":` + shop + `}],"success":true,"union_id":"` + member.UnionID + `"}]}`},
		"open ids, one wrong":       {"member.batchGetOpenIdListByUnionId", map[string]any{"union_id_list": []string{member.UnionID, "du1"}}, "50002 isv.business-failed:628145021"},
		"open ids of no member":     {"member.batchGetOpenIdListByUnionId", map[string]any{"union_id_list": []string{other.UnionID}}, "50002 isv.business-failed:628145021"},
		"open ids of nobody":        {"member.batchGetOpenIdListByUnionId", map[string]any{}, "40002 isv.missing-parameter"},
		"open ids of many":          {"member.batchGetOpenIdListByUnionId", map[string]any{"union_id_list": slices.Repeat([]string{member.UnionID}, 11)}, "40004 isv.parameter-invalid"},
		"mini-app":                  {"open.openIdSwitch", map[string]any{"open_id": other.ID, "open_id_type": 2}, "50002 isv.business-failed:300010"},
		"mini-app of another kind":  {"open.openIdSwitch", map[string]any{"open_id": other.ID, "open_id_type": 3}, "40004 isv.parameter-invalid"},
		"successors":                {"open.openId.replace", map[string]any{"open_ids": []string{other.ID, "#old"}}, `{"open_id_old_to_new_map":{"` + other.ID + `":"` + other.ID + `"}}`},
		"successors of too many":    {"open.openId.replace", map[string]any{"open_ids": slices.Repeat([]string{other.ID}, 101)}, "40004 isv.parameter-invalid"},
		"a method that is gone":     {"member.searchList", map[string]any{}, "70000 isp.api-service-off"},
		"a method without a shape":  {"order.searchByReceiver", map[string]any{}, "70000 isp.api-service-off"},
		"a method that only writes": {"order.addOrderRemark", map[string]any{}, "70000 isp.api-service-off"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := c.call(tc.method, tc.params)
			got := string(answer.Data)
			if answer.Code != 10000 {
				got = strconv.Itoa(answer.Code) + " " + answer.SubCode
			} else if !json.Valid(answer.Data) {
				t.Fatal("no JSON")
			}
			if got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
		})
	}
}
