package tmall_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// What the connector reads of an invented shop is what the shop has.
func TestReadsAllOfTheSimulatedShop(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		world, err := simulator.New(simulator.Config{People: 500, Seed: seed, Until: time.Now().Add(-5 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(simulator.Tmall(world, simulator.TmallOptions{Kinds: true}))
		keys := simulator.TmallCredentialsOf(world)
		c, err := tmall.New(keys.Shop, tmall.Config{
			URL: server.URL, AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, RequestsPerSecond: 1e6,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("Check: %v", err)
		}
		counts := world.Counts()["tmall"]
		start, subsidised := time.Now(), 0
		for stream, want := range map[string]int{"orders": counts.Orders, "users": counts.Users, "tickets": counts.Tickets} {
			found := make(map[string]bool)
			nameless := 0
			for page, err := range c.Read(t.Context(), stream, "") {
				if err != nil {
					t.Fatal(err)
				}
				for _, record := range page.Records {
					list, err := c.Map(record)
					if err != nil {
						t.Fatalf("%s: %v", record.Origin, err)
					}
					h := list[0].GetHeader()
					if order := list[0].GetOrder(); order != nil {
						o, _ := world.OrderByNumber("tmall", h.GetEntityId())
						if order.GetPlatformDiscountMinor() != o.PlatformDiscount || order.GetSellerDiscountMinor() != o.Discount-o.PlatformDiscount {
							t.Fatalf("order %d: the platform pays %d and the seller %d; in truth %d of %d", o.Index, order.GetPlatformDiscountMinor(), order.GetSellerDiscountMinor(), o.PlatformDiscount, o.Discount)
						}
						if o.PlatformDiscount > 0 {
							subsidised++
						}
					}
					found[h.GetEntityId()] = true
					if len(h.GetAccount()) > 6 && h.GetAccount()[:6] == "order:" {
						nameless++
					}
				}
			}
			if len(found) != want || nameless != 0 {
				t.Errorf("seed %d: %s: read %d, %d without a buyer; the shop has %d", seed, stream, len(found), nameless, want)
			}
		}
		if subsidised == 0 {
			t.Errorf("seed %d: the platform pays for nothing", seed)
		}
		t.Logf("seed %d: %+v in %s", seed, counts, time.Since(start))
		server.Close()
	}
}
