package weidian

import (
	"context"
	"time"

	"oneid/connectors"
)

// Estimate implements connectors.Estimator: the list says how many orders there
// are, and each takes a call of its own.
func (c *Connector) Estimate(ctx context.Context, stream string, from connectors.Cursor) (connectors.Estimate, error) {
	l := orderListing
	if stream == Tickets {
		l = refundListing
	}
	reached, err := c.windows().Start(from, c.client.now())
	if err != nil {
		return connectors.Estimate{}, err
	}
	rows, err := c.count(ctx, l, reached)
	if err != nil {
		return connectors.Estimate{}, err
	}
	windows := int(max(c.windows().End(c.client.now()).Sub(reached), 0)/(24*time.Hour)) + 1
	e := connectors.Estimate{
		Records: rows, Calls: 1 + connectors.PagedCalls(windows, rows, c.cfg.PageSize),
		PerSecond: c.cfg.RequestsPerSecond, PerDay: c.cfg.CallsPerDay,
	}
	if stream != Tickets {
		e.Calls += rows
	}
	return e, nil
}
