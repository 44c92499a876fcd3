package tmall

import (
	"context"
	"slices"
	"time"

	"oneid/connectors"
)

// sampled is how many windows an estimate asks for: each costs a call.
const sampled = 10

// Estimate implements connectors.Estimator: a few of the windows say how many
// rows there are in all. Each page of orders takes another of the simple list,
// which names the buyers, and each refund a call for its thread.
func (c *Connector) Estimate(ctx context.Context, stream string, from connectors.Cursor) (connectors.Estimate, error) {
	e := connectors.Estimate{PerSecond: c.cfg.RequestsPerSecond, PerDay: c.cfg.CallsPerDay}
	l := c.orderListing()
	switch {
	case stream == Users && from == "":
		a, err := c.rows(ctx, memberSearch, map[string]string{"current_page": "1", "page_size": "1"}, "members", "crm_member", "total_result")
		e.Records, e.Calls = a.Total, 1+(a.Total+c.cfg.PageSize-1)/c.cfg.PageSize
		return e, err
	case stream == Users:
		l = c.memberListing()
	case stream == Tickets:
		l = c.refundListing()
	}
	windows, err := c.planned(ctx, l, from)
	if err != nil {
		return e, err
	}
	perDay, err := c.perDay(ctx, l, windows)
	if err != nil {
		return e, err
	}
	var span time.Duration
	for _, w := range windows {
		span += w.Length()
	}
	e.Records = int(perDay * span.Hours() / day.Hours())
	e.Calls = 1 + connectors.PagedCalls(len(windows), e.Records, c.cfg.PageSize)
	if stream == Tickets {
		e.Calls += e.Records // each refund's thread
	}
	if stream != Orders {
		return e, nil
	}
	e.Calls += len(windows) * (e.Records / max(len(windows)*c.cfg.PageSize, 1))
	if e.Records > 0 {
		e.Calls += len(windows)
	}
	if from == "" {
		return e, nil
	}
	if len(windows) == 0 { // nothing but history: as many as were lately
		recent := c.windows()
		recent.Until = time.Time{}
		now := c.client.now()
		if perDay, err = c.perDay(ctx, l, slices.Collect(recent.Between(now.Add(-listed), now))); err != nil {
			return e, err
		}
	}
	return e, c.historyEstimate(&e, from, perDay)
}

// perDay asks how many rows some of the windows have, and says how many that are a
// day.
func (c *Connector) perDay(ctx context.Context, l listing, windows []connectors.Window) (float64, error) {
	rows, span := 0, time.Duration(0)
	for i := 0; i < len(windows); i += max(len(windows)/sampled, 1) {
		a, err := c.list(ctx, l, windows[i], 1, false)
		if l.ageless && c.isTooOld(windows[i], err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		rows, span = rows+a.Total, span+windows[i].Length()
	}
	if span == 0 {
		return 0, nil
	}
	return float64(rows) / span.Hours() * day.Hours(), nil
}

// planned are the windows that a reading from a cursor begins with.
func (c *Connector) planned(ctx context.Context, l listing, from connectors.Cursor) ([]connectors.Window, error) {
	var reached time.Time
	if from != "" { // a foreign one is refused before anything is asked
		var err error
		if reached, err = parseCursor(from); err != nil {
			return nil, err
		}
	}
	server, err := c.client.serverTime(ctx)
	if err != nil {
		return nil, err
	}
	plan := c.plan(l)
	if from == "" {
		reached = server.Add(-plan.First)
	}
	return slices.Collect(plan.Between(reached, server)), nil
}
