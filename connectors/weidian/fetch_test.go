package weidian_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/connectors/weidian"
)

// The refunds of an order that a push names are that order's, of a shop that has
// more of them than a page.
func TestFetchedRefundsAreOfTheOrder(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(-time.Minute)
	world, err := simulator.New(simulator.Config{People: 300, Seed: 1, From: until.Add(-20 * 24 * time.Hour), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(simulator.Weidian(world, simulator.WeidianOptions{}))
	t.Cleanup(server.Close)
	e := simulator.EndpointsOf(world, "", "", server.URL).Weidian
	c, err := weidian.New(e.Shop, weidian.Config{URL: e.URL, AppKey: e.AppKey, AppSecret: e.AppSecret, PageSize: 5, RequestsPerSecond: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	refunds := 0
	for i := range world.OrderCount(weidian.Platform) {
		order, ok := world.OrderAt(weidian.Platform, i)
		if !ok {
			continue
		}
		if i%5 != 0 && order.Refund == nil {
			continue
		}
		page, err := c.Fetch(t.Context(), weidian.Tickets, order.Number)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		if order.Refund != nil {
			want, refunds = 1, refunds+1
		}
		if len(page.Records) != want {
			t.Fatalf("order %d has %d refunds, and %d are fetched", i, want, len(page.Records))
		}
	}
	if refunds < 6 {
		t.Errorf("the shop has %d refunds: no more than a page", refunds)
	}
}
