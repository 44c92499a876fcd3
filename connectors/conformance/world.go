package conformance

import (
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
)

// World makes an invented population for a platform of the simulator, and what
// of its Shop follows from it. The caller adds Face, Open and Secrets.
func World(t *testing.T, platform string, ask Ask) (*simulator.World, Shop) {
	t.Helper()
	until := ask.Now().Add(-time.Minute)
	cfg := simulator.Config{Seed: ask.Seed, From: until.Add(-3 * 24 * time.Hour), Until: until, Moneyless: true}
	var world *simulator.World
	for cfg.People = 10; ; cfg.People += 10 {
		var err error
		if world, err = simulator.New(cfg); err != nil {
			t.Fatal(err)
		}
		if world.OrderCount(platform) >= ask.Orders && (platform != simulator.PlatformDouyin || hasService(world)) {
			break
		}
	}
	return world, Shop{
		Truth:    func() map[string]int64 { return truth(world, platform) },
		Refunded: func() map[string]int64 { return refunded(world, platform) },
		Change:   func(h uint64) { _, _ = world.ChangeAny(platform, h, ask.Now()) }, // all may have changed as far as they can
	}
}

// Pushes is how a platform of the simulator tells of orders; key is what the address
// ends with. Of one that changed longer than within ago it tells nothing here; 0 is
// any time.
func Pushes(t *testing.T, world *simulator.World, platform, key string, now func() time.Time, within time.Duration) func(stream, id string) (connectors.Push, bool) {
	pusher := &simulator.Pusher{World: world, Platform: platform}
	return func(stream, id string) (connectors.Push, bool) {
		o, ok := world.OrderByNumber(platform, id)
		if !ok || stream != "orders" || within > 0 && now().Sub(o.Modified) > within {
			return connectors.Push{}, false
		}
		header, body, ok := pusher.Of(t.Context(), id)
		return connectors.Push{Header: header, Body: body, Key: key}, ok
	}
}

// Desk makes an invented population for a help-desk, and what of its Shop
// follows from it. The caller adds Open and Secrets.
func Desk(t *testing.T, ask Ask) (*simulator.World, Shop) {
	t.Helper()
	until := ask.Now().Add(-time.Minute)
	cfg := simulator.Config{Seed: ask.Seed, From: until.Add(-3 * 24 * time.Hour), Until: until}
	for cfg.People = 20; ; cfg.People += 20 {
		world, err := simulator.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		desk := simulator.Sobot(world, simulator.SobotOptions{Now: ask.Now, Faults: simulator.Faults{PerSecond: ask.PerSecond}})
		if len(desk.Tickets()) < ask.Orders {
			continue
		}
		return world, Shop{
			Face: desk,
			Truth: func() map[string]int64 {
				all := make(map[string]int64)
				for _, ticket := range desk.Tickets() {
					all["ticket "+ticket.ID] = ticket.Modified.UnixMilli()
				}
				return all
			},
			Change: func(h uint64) { _, _ = desk.Change(h, ask.Now()) }, // all may have changed as far as they can
			Push: func(_, id string) (connectors.Push, bool) {
				for _, ticket := range desk.Tickets() {
					if ticket.ID == id {
						header, body := desk.Push(ticket)
						return connectors.Push{Header: header, Body: body}, true
					}
				}
				return connectors.Push{}, false
			},
		}
	}
}

// hasService says that a world has a service ticket: few orders have one.
func hasService(world *simulator.World) bool {
	for i := range world.OrderCount(simulator.PlatformDouyin) {
		if _, ok := world.ServiceAt(simulator.PlatformDouyin, i); ok {
			return true
		}
	}
	return false
}

// truth is what the platform has of a world.
func truth(world *simulator.World, platform string) map[string]int64 {
	all := make(map[string]int64)
	for i := range world.OrderCount(platform) {
		o, ok := world.OrderAt(platform, i)
		if !ok {
			continue
		}
		all["order "+o.Number] = o.Modified.UnixMilli()
		if o.Refund != nil {
			all["refund "+o.Refund.Number] = o.Refund.Modified.UnixMilli()
			all["ticket "+o.Refund.Number] = o.Refund.Modified.UnixMilli()
		}
		if s, ok := world.ServiceAt(platform, i); ok && platform == simulator.PlatformDouyin {
			all["ticket service:"+s.Number] = s.Modified.UnixMilli()
		}
	}
	for a := range world.Accounts(platform) {
		all["user "+a.ID] = 0 // the platforms give users no version
	}
	return all
}

// refunded is what has gone back by each refund of a world.
func refunded(world *simulator.World, platform string) map[string]int64 {
	all := make(map[string]int64)
	for i := range world.OrderCount(platform) {
		o, ok := world.OrderAt(platform, i)
		if !ok || o.Refund == nil {
			continue
		}
		all[o.Refund.Number] = 0
		if o.Refund.Status == simulator.RefundSuccess && o.Refund.Without == "" {
			all[o.Refund.Number] = o.Refund.Amount
		}
	}
	return all
}
