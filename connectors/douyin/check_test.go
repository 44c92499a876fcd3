package douyin

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
)

// The rights to what only adds to a stream are looked for, also when the last row was
// weeks ago; a lack of them alone is a warning that names them, as is that nothing was
// there to ask about.
func TestCheckTellsLesserFaults(t *testing.T) {
	t.Parallel()
	type answer = func(int, map[string]any, http.ResponseWriter)
	refusing := func(code int, sub string) answer {
		return func(_ int, _ map[string]any, w http.ResponseWriter) { refuse(w, code, sub) }
	}
	const aftersale = `[{"aftersale_info":{"aftersale_id":"7101","update_time":1},"order_info":{"shop_order_id":"1"}}]`
	const service = `[{"id":7101,"order_id":1,"update_time":"2026-01-02 10:00:00"}]`
	const order = `[{"order_id":"1","doudian_open_id":"1@#a"}]`
	denied := refusing(30001, "dop.no-permissions")
	for name, c := range map[string]struct {
		appID   int64
		rows    map[string]string // of the lists, all of weeks ago
		answers map[string]answer
		want    string // "": no fault
		graver  bool
	}{
		"all rights": {},
		"no right to an after-sale": {answers: map[string]answer{"afterSale.Detail": denied},
			want: "stream aftersales: the first answers are missing until the app has the right to afterSale.Detail: apply for it"},
		"no right to a service ticket": {answers: map[string]answer{"order.serviceDetail": denied},
			want: "stream services: the first answers are missing until the app has the right to order.serviceDetail: apply for it"},
		"a detail that is gone": {answers: map[string]answer{"afterSale.Detail": refusing(70000, "")},
			want: "stream aftersales: the first answers are missing until"},
		"neither right": {answers: map[string]answer{"afterSale.Detail": denied, "order.serviceDetail": denied},
			want: "afterSale.Detail: apply for it"},
		"no right to members": {appID: 7, answers: map[string]answer{membersMethod: denied},
			want: "stream users: the phones of members are missing until the app has the right to " + membersMethod},
		"a detail, and a list": {answers: map[string]answer{"afterSale.Detail": denied, "order.searchList": denied},
			want: "stream orders", graver: true},
		"a detail that would stop the stream": {answers: map[string]answer{"afterSale.Detail": refusing(40004, "isv.parameter-invalid:20008")},
			want: "stream aftersales: the first answers: ", graver: true},
		"a row that cannot be had": {answers: map[string]answer{"afterSale.Detail": refusing(40004, "isv.parameter-invalid:11003")}},
		"nothing to ask about": {rows: map[string]string{"afterSale.List": "[]"},
			want: "stream aftersales: whether the app may call afterSale.Detail, without which the first answers are missing, could not be tried: the shop lists nothing"},
		"no order to ask about": {appID: 7, rows: map[string]string{"order.searchList": "[]"},
			want: "stream users: whether the app may call " + membersMethod},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, conn := newFakeWith(t, Config{AppID: c.appID})
			for method, list := range map[string]struct{ from, rows string }{
				"order.searchList": {"update_time_start", order}, "afterSale.List": {"update_start_time", aftersale}, "order.getServiceList": {"start_time", service},
			} {
				if rows, ok := c.rows[method]; ok {
					list.rows = rows
				}
				f.answer[method] = func(_ int, param map[string]any, w http.ResponseWriter) {
					rows := "[]"
					if from, _ := param[list.from].(float64); time.Since(time.Unix(int64(from), 0)) > 60*24*time.Hour {
						rows = list.rows
					}
					_, _ = w.Write([]byte(`{"code":10000,"data":{"total":0,"list":` + rows + `}}`))
				}
			}
			for method, answer := range c.answers {
				f.answer[method] = answer
			}
			err := conn.Check(t.Context())
			if (err != nil) != (c.want != "") || err != nil && (errors.As(err, new(*connectors.LesserError)) == c.graver || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("Check says %v", err)
			}
		})
	}
}
