package simulator

import (
	"testing"
	"time"
)

// A world that ended long ago is seen as the platforms would show it now: what
// the help of --until promises.
func TestAWorldOfLongAgo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		ago                    time.Duration
		tmall, history, douyin bool // some are listed
	}{
		"now":         {0, true, false, true},
		"10 days ago": {10 * 24 * time.Hour, true, false, true},
		"50 days ago": {50 * 24 * time.Hour, true, true, true},
		"93 days ago": {93 * 24 * time.Hour, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := faceWorld(t, 100, 41)
			now := faceUntil.Add(tc.ago + time.Minute)
			tmall := newTmallAsker(t, w, now)
			listed := len(tmall.all("taobao.trades.sold.get", "trades.trade", map[string]string{"fields": "tid"}))
			old := len(tmall.all("taobao.trades.sold.history.get", "trades.trade", map[string]string{"fields": "tid"}))
			if listed > 0 != tc.tmall || old > 0 != tc.history || listed+old != w.Counts()[PlatformTmall].Orders {
				t.Errorf("Tmall lists %d and %d in its history", listed, old)
			}
			douyin := newDouyinClient(t, w, DouyinOptions{})
			douyin.clock.now = now
			douyin.signIn()
			var page douyinOrderPage
			douyin.ok("order.searchList", map[string]any{"page": 0, "size": 1, "update_time_start": 1}, &page)
			if page.Total > 0 != tc.douyin || page.Total > w.Counts()[PlatformDouyin].Orders {
				t.Errorf("Douyin lists %d", page.Total)
			}
			var afterSales douyinAfterSalePage // explicit times reach back further
			douyin.ok("afterSale.List", window(w, "update_start_time", "update_end_time"), &afterSales)
			if afterSales.Total != w.Counts()[PlatformDouyin].Refunds {
				t.Errorf("Douyin lists %d after-sales", afterSales.Total)
			}
			weidian := newWeidianClient(t, w, WeidianOptions{})
			weidian.clock.now = now
			var orders weidianOrderPage
			weidian.ok("vdian.order.list.get", "1.5", weidianWindow(w, "update_start", "update_end"), &orders)
			if orders.TotalNum != w.Counts()[PlatformWeidian].Orders {
				t.Errorf("Weidian lists %d", orders.TotalNum)
			}
		})
	}
}
