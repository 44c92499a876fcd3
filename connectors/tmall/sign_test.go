package tmall

import "testing"

func TestSign(t *testing.T) {
	t.Parallel()
	item := map[string]string{"method": "taobao.item.seller.get", "app_key": "12345678", "session": "test", "timestamp": "2016-01-01 12:00:00",
		"format": "json", "v": "2.0", "fields": "num_iid,title,nick,price,num", "num_iid": "11223344"}
	trades := map[string]string{"app_key": "23000001", "method": "taobao.trades.sold.increment.get", "session": "6200000testsession",
		"timestamp": "2024-05-20 00:35:00", "format": "json", "v": "2.0", "fields": "tid,status,payment,modified,buyer_open_uid,orders",
		"start_modified": "2024-05-20 00:00:00", "end_modified": "2024-05-20 00:30:00", "page_no": "1", "page_size": "50", "use_has_next": "true"}
	members := map[string]string{"app_key": "23000001", "method": "taobao.crm.members.search", "session": "6200000testsession",
		"timestamp": "2024-05-20 00:35:00", "format": "json", "simplify": "true", "v": "2.0", "buyer_nick": "测试买家01", "current_page": "1", "page_size": ""}
	for name, c := range map[string]struct {
		secret string
		params map[string]string
		want   map[string]string
	}{
		"documented": {"helloworld", item, map[string]string{"md5": "66987CB115214E59E6EC978214934FB8", "hmac": "D56D7858309C31B6251083A874D48273",
			"hmac-sha256": "04DB15AD0774D5CFCE2C837DE43E3FCEA9011ED74F3038FB6AB5F3C4CEA119E8"}},
		"orders": {"secret-demo-0001", trades, map[string]string{"md5": "E5DBC76684F254CBD8214588FAFA6B8C", "hmac": "0D645500E428B045D3DFE44A91793B11",
			"hmac-sha256": "41C5B095E5DAE7CD54B56068A8DDC164BB9238122460429AE4E8F5E19D282C98"}},
		"Chinese text, an empty value": {"secret-demo-0001", members, map[string]string{"md5": "5C3E6784EFD5582024D4E87747F70731", "hmac": "25755A870DCF5528474E350E6BB07515",
			"hmac-sha256": "E1C54129ED477B779A6DABBB7DF5E7F8941979627B975FE4F84EFE512D33BA1F"}},
	} {
		for method, want := range c.want {
			t.Run(name+" "+method, func(t *testing.T) {
				params := map[string]string{"sign_method": method, "sign": "left out"}
				for k, v := range c.params {
					params[k] = v
				}
				if got := sign(c.secret, params); got != want {
					t.Errorf("sign = %s, want %s", got, want)
				}
			})
		}
	}
}
