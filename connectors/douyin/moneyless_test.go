package douyin_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/schemas/events"
)

// Of after-sales that succeed, those have a refund that succeeded by which money went
// back, and that is of the money: exchanges, goods that are sent again and payments that
// failed have none.
func TestWhatWentBack(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-5 * time.Minute)
	world, err := simulator.New(simulator.Config{People: 3000, Seed: 6, From: until.Add(-60 * 24 * time.Hour), Until: until, Moneyless: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(simulator.Douyin(world, simulator.DouyinOptions{}))
	t.Cleanup(server.Close)
	e := simulator.EndpointsOf(world, "", server.URL, "").Douyin
	c, err := douyin.New(e.Shop, douyin.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, RequestsPerSecond: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	back := make(map[string]int64)
	for page, err := range c.Read(t.Context(), douyin.Aftersales, connectors.CursorAt(until.Add(-61*24*time.Hour))) {
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range page.Records {
			list, err := c.Map(record)
			if err != nil {
				t.Fatal(err)
			}
			if r := list[0].GetRefund(); r.GetStatus() == events.RefundStatus_REFUND_STATUS_SUCCEEDED {
				back[list[0].GetHeader().GetEntityId()] = r.GetRefundMinor()
			}
		}
	}
	given, without := 0, make(map[simulator.Moneyless]int)
	for i := range world.OrderCount(simulator.PlatformDouyin) {
		o, _ := world.OrderAt(simulator.PlatformDouyin, i)
		r := o.Refund
		switch {
		case r == nil || r.Status != simulator.RefundSuccess:
			continue
		case r.Without != "":
			without[r.Without]++
			if amount, is := back[r.Number]; is {
				t.Errorf("%s: %d went back", r.Without, amount)
			}
		default:
			given++
			if back[r.Number] != r.Amount {
				t.Errorf("of %d %d went back", r.Amount, back[r.Number])
			}
		}
	}
	if given < 10 || len(without) < 4 || len(back) != given {
		t.Errorf("%d refunds succeeded of %d that gave money, and %v gave none", len(back), given, without)
	}
}
