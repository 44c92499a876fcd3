package simulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sameShape says where got lacks a name of want, or has another JSON type
// there. Of a list the first elements are compared; null fits everything.
func sameShape(path string, want, got any) []string {
	switch want := want.(type) {
	case nil:
		return nil
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return []string{path + " is not an object"}
		}
		var faults []string
		for _, name := range slices.Sorted(maps.Keys(want)) {
			value, there := object[name]
			if !there {
				faults = append(faults, path+"."+name+" is missing")
				continue
			}
			faults = append(faults, sameShape(path+"."+name, want[name], value)...)
		}
		return faults
	case []any:
		list, ok := got.([]any)
		if !ok {
			return []string{path + " is not a list"}
		}
		if len(want) == 0 || len(list) == 0 {
			return nil
		}
		return sameShape(path+"[0]", want[0], list[0])
	case string:
		if _, ok := got.(string); !ok {
			return []string{path + " is not a text"}
		}
	case float64:
		if _, ok := got.(float64); !ok {
			return []string{path + " is not a number"}
		}
	case bool:
		if _, ok := got.(bool); !ok {
			return []string{path + " is not true or false"}
		}
	}
	return nil
}

func decoded(t testing.TB, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

// The examples of the platform's documents, invented values in their shapes.
const (
	douyinOrderExample = `{"page":0,"size":100,"total":1,"shop_order_list":[{
"order_id":"6910000000000000001","order_level":2,"shop_id":4463798,"shop_name":"示例旗舰店","open_id":"","doudian_open_id":"1@#q04a","open_address_id":"#Vg1",
"biz":2,"biz_desc":"小店","order_type":0,"order_type_desc":"普通订单","b_type":2,"b_type_desc":"抖音","sub_b_type":3,"sub_b_type_desc":"H5",
"order_status":2,"order_status_desc":"待发货","main_status":2,"main_status_desc":"备货中","cancel_reason":"","buyer_words":"","seller_words":"","seller_remark_stars":0,
"create_time":1767225000,"update_time":1767225605,"pay_time":1767225600,"finish_time":0,"order_expire_time":1800,"exp_ship_time":1767398400,"ship_time":0,
"pay_type":2,"channel_payment_no":"2026010100000000000001","order_amount":13900,"pay_amount":12900,"post_amount":0,"promotion_amount":1000,"promotion_shop_amount":1000,"promotion_platform_amount":0,"promotion_talent_amount":0,
"post_tel":"","post_receiver":"","encrypt_post_tel":"$$RJUT$1$$","encrypt_post_receiver":"##4H8D#1##","mask_post_tel":"1********35","mask_post_receiver":"王**",
"post_addr":{"province":{"name":"浙江省","id":"33"},"city":{"name":"杭州市","id":"330100"},"town":{"name":"西湖区","id":"330106"},"street":{"name":"文新街道","id":"330106012"},"detail":"","encrypt_detail":"##…#1##"},
"mask_post_addr":{"province":{"name":"浙江省","id":"33"},"city":{"name":"杭州市","id":"330100"},"town":{"name":"西湖区","id":"330106"},"street":{"name":"文新街道","id":"330106012"},"detail":"文**路**号"},
"logistics_info":[],"order_phase_list":[],
"sku_order_list":[{"order_id":"6910000000000000001","parent_order_id":"6910000000000000001","order_level":3,"order_status":2,"trade_type":0,"product_id":3660000000000000001,"product_id_str":"3660000000000000001","product_name":"示例洗面奶","sku_id":3410000000000001,"code":"SKU-001","spec":[{"name":"规格","value":"100g"}],"origin_amount":13900,"item_num":1,"sum_amount":13900,"order_amount":13900,"pay_amount":12900,"author_id":0,"c_biz":8,"c_biz_desc":"小店自卖","create_time":1767225000,"update_time":1767225605,"after_sale_info":{"after_sale_status":0,"after_sale_type":0,"refund_status":0}}]}]}`
	douyinAfterSaleExample = `{"has_more":false,"total":1,"page":0,"size":1,"items":[{
"aftersale_info":{"aftersale_id":"7100000000000000001","aftersale_order_type":1,"related_id":"6910000000000000001","aftersale_type":1,"aftersale_status":6,"refund_status":1,"apply_time":1767229000,"create_time":1767229000,"update_time":1767229100,"status_deadline":1767401800,"aftersale_status_to_final_time":0,"refund_amount":12900,"refund_post_amount":0,"aftersale_num":1,"part_type":0,"got_pkg":1,"arbitrate_status":0,"remark":"","reason_second_labels":[{"code":7,"name":"包装破损"}]},
"order_info":{"shop_order_id":"6910000000000000001","order_flag":0,"related_order_info":[{"sku_order_id":"6910000000000000001","order_status":3,"pay_amount":12900,"item_num":1,"create_time":1767225000,"product_name":"示例洗面奶","product_id":3660000000000000001,"aftersale_pay_amount":12900,"aftersale_item_num":1}]},
"text_part":{"aftersale_status_text":"待商家处理","aftersale_type_text":"仅退款","reason_text":"商品破损"},"seller_logs":[]}]}`
	douyinServiceExample = `{"total":1,"list":[{"id":880000000000001,"order_id":6910000000000000001,"shop_id":4463798,"service_type":1,"operate_status":0,"operate_status_desc":"待处理","detail":"用户反馈未收到货","reply":"","create_time":"2026-01-02 10:00:00","update_time":"2026-01-02 10:00:00","reply_time":""}]}`
	douyinMemberExample  = `{"member_infos":[{"success":true,"open_id":"1@#A","mobile":"13900000001","mix_mobile":"x","union_id":"","level":2,"point_cent":12300,"extend":"","err_code":0,"err_msg":""}]}`
	douyinDecryptExample = `{"decrypt_infos":[{"auth_id":"6910000000000000001","cipher_text":"$$RJUT$1$$","decrypt_text":"18400000000-1234","data_type":3,"is_virtual_tel":true,"phone_no_a":"18400000000","phone_no_b":"1234","expire_time":1767830400,"err_no":0,"err_msg":""}],"custom_err":{"err_code":0,"err_msg":""}}`
	douyinTokenExample   = `{"access_token":"5a3b","expires_in":604800,"refresh_token":"50b6","scope":"SCOPE","shop_id":4463798,"shop_name":"示例旗舰店","authority_id":"4463798","auth_subject_type":""}`
)

// window is the whole of the data as a client asks for it.
func window(w *World, names ...string) map[string]any {
	params := map[string]any{"page": 0, "size": 100}
	for i, at := range []time.Time{w.Config().From, w.Config().Until} {
		params[names[i]] = at.Unix()
	}
	return params
}

func TestDouyinAnswersTheExamples(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 300, 5)
	c := newDouyinClient(t, world, DouyinOptions{}).signIn()
	orders := c.call("order.searchList", window(world, "update_time_start", "update_time_end"))
	var page douyinOrderPage
	if err := json.Unmarshal(orders.Data, &page); err != nil {
		t.Fatal(err)
	}
	services := window(world, "start_time", "end_time")
	services["page"] = 1
	for name, example := range map[string]struct {
		method string
		params any
		want   string
	}{
		"orders":      {"order.searchList", window(world, "update_time_start", "update_time_end"), douyinOrderExample},
		"after-sales": {"afterSale.List", window(world, "update_start_time", "update_end_time"), douyinAfterSaleExample},
		"services":    {"order.getServiceList", services, douyinServiceExample},
		"members": {"member.mGetMemberInfoByOpenIdList", map[string]any{"app_id": 1, "open_id_list": []string{
			page.Orders[0].DoudianOpenID}}, douyinMemberExample},
		"decrypt": {"order.batchDecrypt", map[string]any{"cipher_infos": []any{map[string]any{"auth_id": page.Orders[0].OrderID,
			"cipher_text": page.Orders[0].EncryptPostTel}}}, douyinDecryptExample},
		"token": {"token.create", map[string]any{"grant_type": "authorization_self"}, douyinTokenExample},
	} {
		t.Run(name, func(t *testing.T) {
			answer := c.call(example.method, example.params)
			for _, fault := range sameShape("data", decoded(t, example.want), decoded(t, string(answer.Data))) {
				t.Error(fault)
			}
		})
	}
}

// Whoever reads all pages has what the world counts, whatever the direction,
// the window's time and the size of a page.
func TestDouyinPagesHoldAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		world := faceWorld(t, 200, seed)
		counts := world.Counts()[PlatformDouyin]
		c := newDouyinClient(t, world, DouyinOptions{}).signIn()
		for _, byUpdate := range []bool{false, true} {
			for _, ascending := range []bool{false, true} {
				got, buyers := map[string]bool{}, map[string]bool{}
				name := map[bool]string{false: "create_time", true: "update_time"}[byUpdate]
				params := window(world, name+"_start", name+"_end")
				params["order_by"], params["order_asc"], params["size"] = name, ascending, 7
				last, pages := int64(-1), 0
				for total := 1; pages*7 < total; pages++ {
					params["page"] = pages
					var page douyinOrderPage
					c.ok("order.searchList", params, &page)
					for _, order := range page.Orders {
						at := map[bool]int64{false: order.CreateTime, true: order.UpdateTime}[byUpdate]
						if last >= 0 && at != last && ascending != (at > last) {
							t.Fatalf("seed %d, %s, ascending %v: %d after %d", seed, name, ascending, at, last)
						}
						last, got[order.OrderID], buyers[order.DoudianOpenID] = at, true, true
					}
					total = page.Total
				}
				if len(got) != counts.Orders || len(buyers) != counts.Users {
					t.Errorf("seed %d, by %s, ascending %v: %d orders of %d buyers, want %d of %d", seed, name, ascending,
						len(got), len(buyers), counts.Orders, counts.Users)
				}
			}
		}
		afterSales := map[string]bool{}
		params := window(world, "update_start_time", "update_end_time")
		params["size"], params["order_by"] = 3, []string{"update_time asc"}
		for more, page := true, 0; more; page++ {
			var answer douyinAfterSalePage
			params["page"] = page
			c.ok("afterSale.List", params, &answer)
			for _, item := range answer.Items {
				afterSales[item.Info.AfterSaleID] = true
			}
			if more = answer.HasMore; answer.Size != len(answer.Items) || answer.Total != counts.Refunds {
				t.Fatalf("seed %d: after-sales size %d, total %d, want %d, %d", seed, answer.Size, answer.Total, len(answer.Items), counts.Refunds)
			}
		}
		if len(afterSales) != counts.Refunds {
			t.Errorf("seed %d: %d after-sales, want %d", seed, len(afterSales), counts.Refunds)
		}
		services := map[int64]bool{}
		params = window(world, "start_time", "end_time")
		params["size"] = 2
		for page := 1; page <= counts.Services; page++ {
			var answer struct {
				Total int
				List  []douyinService
			}
			params["page"] = page
			c.ok("order.getServiceList", params, &answer)
			for _, service := range answer.List {
				services[service.ID] = true
			}
		}
		if len(services) != counts.Services {
			t.Errorf("seed %d: %d service tickets, want %d", seed, len(services), counts.Services)
		}
	}
}

func TestDouyinWindows(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 200, 2)
	c := newDouyinClient(t, world, DouyinOptions{}).signIn()
	total := func(method string, params map[string]any) int {
		t.Helper()
		var answer struct{ Total int }
		maps.Copy(params, map[string]any{"page": 1, "size": 1})
		c.ok(method, params, &answer)
		return answer.Total
	}
	from, until := world.Config().From, world.Config().Until
	order := world.OrderKeys(PlatformDouyin, ByModified, from, until)[5]
	made := world.OrderKeys(PlatformDouyin, ByCreated, from, until)[5]
	asked := world.RefundKeys(PlatformDouyin, ByCreated, from, until)[2]
	answered := world.RefundKeys(PlatformDouyin, ByModified, from, until)[2]
	oneOrder, _ := world.OrderAt(PlatformDouyin, made.Index)
	for name, c := range map[string]struct {
		method string
		params map[string]any
		least  int
		most   int
	}{
		"orders: update window, both ends": {"order.searchList", map[string]any{"update_time_start": order.At, "update_time_end": order.At}, 1, 9},
		"orders: create window, both ends": {"order.searchList", map[string]any{"create_time_start": made.At, "create_time_end": made.At}, 1, 9},
		"orders: both windows, none in both": {"order.searchList", map[string]any{"create_time_start": made.At, "create_time_end": made.At,
			"update_time_start": oneOrder.Modified.Unix() + 1}, 0, 0},
		"orders: both windows": {"order.searchList", map[string]any{"create_time_start": made.At, "create_time_end": made.At,
			"update_time_start": oneOrder.Modified.Unix()}, 1, 9},
		"after-sales: apply window, its end":     {"afterSale.List", map[string]any{"start_time": asked.At - 1, "end_time": asked.At}, 0, 0},
		"after-sales: apply window, its start":   {"afterSale.List", map[string]any{"start_time": asked.At, "end_time": asked.At + 1}, 1, 9},
		"after-sales: update window, both ends":  {"afterSale.List", map[string]any{"update_start_time": answered.At, "update_end_time": answered.At}, 1, 9},
		"after-sales: one second before":         {"afterSale.List", map[string]any{"update_start_time": answered.At - 1, "update_end_time": answered.At - 1}, 0, 0},
		"after-sales: without times half a year": {"afterSale.List", map[string]any{}, 5, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			if got := total(c.method, c.params); got < c.least || got > c.most {
				t.Errorf("total = %d, want %d to %d", got, c.least, c.most)
			}
		})
	}
	services := window(world, "start_time", "end_time")
	var open, closed, both struct{ Total int }
	services["page"] = 1
	c.ok("order.getServiceList", services, &both)
	services["status"] = 0
	c.ok("order.getServiceList", services, &open)
	services["status"] = 100
	c.ok("order.getServiceList", services, &closed)
	if both.Total == 0 || closed.Total == 0 || open.Total+closed.Total != both.Total {
		t.Errorf("service tickets: %d open and %d closed of %d", open.Total, closed.Total, both.Total)
	}
	var all, some int
	for _, status := range []string{"1", "2", "3", "4", "5"} {
		params := map[string]any{"update_time_start": from.Unix(), "combine_status": []any{map[string]any{"order_status": status}}}
		n := total("order.searchList", params)
		all += n
		if n > 0 {
			some++
		}
	}
	if want := world.Counts()[PlatformDouyin].Orders; all != want || some < 4 {
		t.Errorf("the statuses together have %d orders in %d statuses, want %d in 4 or 5", all, some, want)
	}
}

// An order that changes between two pages leaves its place: a reader from the
// front misses the row behind it, one from the back does not.
func TestDouyinRowsMoveWhilePaging(t *testing.T) {
	t.Parallel()
	read := func(fromBack bool) (seen, want int) {
		world := faceWorld(t, 300, 11)
		var change func()
		c := newDouyinClient(t, world, DouyinOptions{BeforePage: func(string) { change() }}).signIn()
		change = func() {}
		params := window(world, "update_time_start", "update_time_end")
		params["order_by"], params["order_asc"], params["size"] = "update_time", true, 10
		var page douyinOrderPage
		c.ok("order.searchList", params, &page)
		before := map[string]bool{}
		for _, key := range world.OrderKeys(PlatformDouyin, ByModified, world.Config().From, world.Config().Until) {
			o, _ := world.OrderAt(PlatformDouyin, key.Index)
			before[o.Number] = true
		}
		last := (page.Total - 1) / 10
		changed := map[string]bool{}
		change = func() {
			o, err := world.Change(PlatformDouyin, "", c.clock.Now())
			if err == nil {
				changed[o.Number] = true
			}
		}
		got := map[string]bool{}
		for i := range last + 1 {
			params["page"] = i
			if fromBack {
				params["page"] = last - i
			}
			c.ok("order.searchList", params, &page)
			for _, order := range page.Orders {
				got[order.OrderID] = true
			}
		}
		for number := range before {
			if !changed[number] { // the next window has those
				want++
				if got[number] {
					seen++
				}
			}
		}
		return seen, want
	}
	if seen, want := read(true); seen != want {
		t.Errorf("from the back: %d of %d", seen, want)
	}
	if seen, want := read(false); seen >= want {
		t.Errorf("from the front: %d of %d: rows did not move", seen, want)
	}
}

// Ciphertexts differ each time, masks hide, and what is decrypted is the
// receiver.
func TestDouyinPersonalFields(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 100, 4)
	c := newDouyinClient(t, world, DouyinOptions{DecryptQuota: 4, WithIndex: true}).signIn()
	key := world.OrderKeys(PlatformDouyin, ByCreated, world.Config().From, world.Config().Until)[0]
	order, _ := world.OrderAt(PlatformDouyin, key.Index)
	detail := func() (shown struct {
		Order douyinOrder `json:"shop_order_detail"`
	}, text string) {
		answer := c.call("order.orderDetail", map[string]any{"shop_order_id": order.Number})
		if err := json.Unmarshal(answer.Data, &shown); err != nil {
			t.Fatal(err)
		}
		return shown, string(answer.Data)
	}
	first, text := detail()
	second, _ := detail()
	for name, pair := range map[string][2]string{
		"again":      {first.Order.EncryptPostTel, second.Order.EncryptPostTel},
		"its line":   {first.Order.EncryptPostTel, first.Order.SKUOrders[0].EncryptPostTel},
		"name again": {first.Order.EncryptPostReceiver, second.Order.EncryptPostReceiver},
	} {
		if pair[0] == pair[1] {
			t.Errorf("%s: equal ciphertexts %s", name, pair[0])
		}
	}
	for name, plain := range map[string]string{"phone": order.Receiver.Phone, "name": order.Receiver.Name, "street": order.Receiver.Address.Detail} {
		if strings.Contains(text, plain) {
			t.Errorf("the answer holds the receiver's %s in clear", name)
		}
	}
	if first.Order.DoudianOpenID != order.Account.ID || first.Order.PayAmount != order.Amount {
		t.Errorf("shown %s, %d, want %s, %d", first.Order.DoudianOpenID, first.Order.PayAmount, order.Account.ID, order.Amount)
	}
	var sum int64
	for _, line := range first.Order.SKUOrders {
		sum += line.PayAmount
	}
	if sum != order.Amount {
		t.Errorf("the lines' pay_amount sum to %d, want %d", sum, order.Amount)
	}
	type infos struct {
		Infos []struct {
			Text      string `json:"decrypt_text"`
			Kind      int    `json:"data_type"`
			IsVirtual bool   `json:"is_virtual_tel"`
			ErrNo     int    `json:"err_no"`
		} `json:"decrypt_infos"`
	}
	ask := func(virtual bool, texts ...string) map[string]any {
		list := []any{}
		for _, text := range texts {
			list = append(list, map[string]any{"auth_id": order.Number, "cipher_text": text})
		}
		return map[string]any{"cipher_infos": list, "need_virtual_phone": virtual, "account_id": "1", "account_type": "main_account"}
	}
	var open infos
	c.ok("order.batchDecrypt", ask(false, first.Order.EncryptPostTel, first.Order.EncryptPostReceiver, first.Order.PostAddr.EncryptDetail), &open)
	got := []string{open.Infos[0].Text, open.Infos[1].Text, open.Infos[2].Text}
	if d := cmp.Diff([]string{order.Receiver.Phone, order.Receiver.Name, order.Receiver.Address.Detail}, got); d != "" {
		t.Error(d)
	}
	c.ok("order.batchDecrypt", ask(true, second.Order.EncryptPostTel), &open)
	if one := open.Infos[0]; !one.IsVirtual || !strings.HasPrefix(one.Text, "18400000000-") || strings.Contains(one.Text, order.Receiver.Phone) {
		t.Errorf("virtual number = %+v", one)
	}
	if got, want := c.fault("order.batchDecrypt", ask(false, second.Order.EncryptPostTel)), "50002 isv.business-failed:300003"; got != want {
		t.Errorf("above the quota = %s, want %s", got, want)
	}
	c.clock.add(24 * time.Hour)
	if got := c.fault("order.batchDecrypt", ask(false, second.Order.EncryptPostTel)); got != "10000 " {
		t.Errorf("the next day = %s, want success", got)
	}
	partly := c.call("order.batchDecrypt", ask(false, second.Order.EncryptPostTel, "##no#1##"))
	if err := json.Unmarshal(partly.Data, &open); err != nil || partly.SubCode != "isv.business-failed:300008" {
		t.Fatalf("partly = %d %s, %s", partly.Code, partly.SubCode, partly.Data)
	}
	if open.Infos[0].Text != order.Receiver.Phone || open.Infos[1].ErrNo == 0 {
		t.Errorf("partly = %+v", open)
	}
	other, _ := world.OrderAt(PlatformDouyin, world.OrderKeys(PlatformDouyin, ByCreated, world.Config().From, world.Config().Until)[1].Index)
	foreign := c.call("order.batchDecrypt", map[string]any{"cipher_infos": []any{map[string]any{"auth_id": other.Number, "cipher_text": first.Order.EncryptPostTel}}})
	if err := json.Unmarshal(foreign.Data, &open); err != nil || open.Infos[0].Text != "" || open.Infos[0].ErrNo == 0 {
		t.Errorf("a text under another order's number = %d %s", foreign.Code, foreign.SubCode)
	}
	var index struct {
		List []struct {
			SearchIndex string `json:"search_index"`
		} `json:"plain_to_encrypt_index_list"`
	}
	c.ok("order.BatchSearchIndex", map[string]any{"plain_text_list": []any{map[string]any{"encrypt_type": 3, "plain_text": order.Receiver.Phone}}}, &index)
	if want := strings.Split(first.Order.EncryptPostTel, "$")[1]; index.List[0].SearchIndex != want {
		t.Errorf("index = %s, the ciphertext has %s", index.List[0].SearchIndex, want)
	}
}

// A member's phone is plain with a paid order within 90 days, else only mixed.
func TestDouyinMembers(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 200, 6)
	c := newDouyinClient(t, world, DouyinOptions{}).signIn()
	ask := func(ids ...string) []douyinMember {
		var answer struct {
			Infos []douyinMember `json:"member_infos"`
		}
		c.ok("member.mGetMemberInfoByOpenIdList", map[string]any{"app_id": 1, "open_id_list": ids}, &answer)
		return answer.Infos
	}
	var member string
	var plain, mixed int
	for account := range world.Accounts(PlatformDouyin) {
		got := ask(account.ID)[0]
		paid := slices.ContainsFunc(world.OrdersOf(account), func(o Order) bool { return !o.PaidAt.IsZero() })
		switch {
		case !account.Member:
			if got.Success || got.ErrCode != 628145004 || got.Mobile != "" || got.UnionID != "" {
				t.Errorf("not a member: %+v", got)
			}
		case paid:
			plain++
			member = account.ID
			if !got.Success || got.Mobile != account.Phone || got.MixMobile == "" || got.UnionID != account.UnionID {
				t.Errorf("member with a paid order: success %v, mobile given %v", got.Success, got.Mobile != "")
			}
		default:
			mixed++
			if !got.Success || got.Mobile != "" || got.MixMobile == "" {
				t.Errorf("member without a paid order: success %v, mobile given %v", got.Success, got.Mobile != "")
			}
		}
	}
	if plain == 0 || mixed == 0 {
		t.Fatalf("the world has %d members with and %d without a paid order: choose another seed", plain, mixed)
	}
	if got := ask("nobody", member); got[0].ErrCode != 628145003 || !got[1].Success {
		t.Errorf("an unknown id beside a member: %d, %v", got[0].ErrCode, got[1].Success)
	}
	var union struct {
		IDs map[string]string `json:"union_id_info"`
	}
	c.ok("member.batchGetUnionIdByOpenIdList", map[string]any{"app_id": 1, "open_id_list": []string{member, "nobody"}}, &union)
	if account, _ := world.AccountByID(PlatformDouyin, member); len(union.IDs) != 1 || union.IDs[member] != account.UnionID {
		t.Errorf("union ids = %v", union.IDs)
	}
	c.clock.add(100 * 24 * time.Hour)
	c.signIn()
	if got := ask(member)[0]; !got.Success || got.Mobile != "" || got.MixMobile == "" {
		t.Errorf("a hundred days on: success %v, mobile given %v, want the mixed one alone", got.Success, got.Mobile != "")
	}
}

func TestDouyinDetails(t *testing.T) {
	t.Parallel()
	world := faceWorld(t, 200, 8)
	c := newDouyinClient(t, world, DouyinOptions{}).signIn()
	from, until := world.Config().From, world.Config().Until
	for _, key := range world.RefundKeys(PlatformDouyin, ByModified, from, until) {
		order, _ := world.OrderAt(PlatformDouyin, key.Index)
		var answer struct {
			Process struct {
				Info struct {
					ID     json.Number `json:"after_sale_id"`
					Status int         `json:"after_sale_status"`
					Amount int64       `json:"refund_amount"`
				} `json:"after_sale_info"`
				Records []any `json:"record_logs_list"`
			} `json:"process_info"`
			Order struct {
				Number string `json:"shop_order_id"`
			} `json:"order_info"`
		}
		c.ok("afterSale.Detail", map[string]any{"after_sale_id": order.Refund.Number, "need_operation_record": true}, &answer)
		if answer.Process.Info.ID.String() != order.Refund.Number || answer.Order.Number != order.Number ||
			answer.Process.Info.Amount != order.Refund.Amount || len(answer.Process.Records) == 0 {
			t.Errorf("after-sale %s = %+v", order.Refund.Number, answer)
		}
	}
	for _, key := range world.ServiceKeys(PlatformDouyin, ByCreated, from, until) {
		service, _ := world.ServiceAt(PlatformDouyin, key.Index)
		var answer struct {
			Detail struct {
				ID     json.Number
				Status int `json:"operate_status"`
			}
			Logs []any
		}
		c.ok("order.serviceDetail", map[string]any{"service_id": service.Number}, &answer)
		if answer.Detail.ID.String() != service.Number || (answer.Detail.Status == 0) != service.Open || len(answer.Logs) == 0 {
			t.Errorf("service ticket %s = %+v", service.Number, answer)
		}
	}
}

// Two faces of one seed say the same of their orders but for the ciphertexts;
// another seed says something else.
func TestDouyinFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	ask := func(seed uint64) douyinOrderPage {
		world := faceWorld(t, 100, seed)
		var page douyinOrderPage
		newDouyinClient(t, world, DouyinOptions{}).signIn().ok("order.searchList", window(world, "update_time_start", "update_time_end"), &page)
		for i := range page.Orders {
			bare(&page.Orders[i].douyinReceiver)
			for k := range page.Orders[i].SKUOrders {
				bare(&page.Orders[i].SKUOrders[k].douyinReceiver)
			}
		}
		return page
	}
	text := func(page douyinOrderPage) string { return jsonText(page) }
	if d := cmp.Diff(text(ask(1)), text(ask(1))); d != "" {
		t.Error(d)
	}
	if text(ask(1)) == text(ask(2)) {
		t.Error("two seeds gave the same orders")
	}
}

func bare(r *douyinReceiver) {
	r.EncryptPostTel, r.EncryptPostReceiver, r.PostAddr.EncryptDetail = "", "", ""
}
