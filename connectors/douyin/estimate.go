package douyin

import (
	"context"
	"time"

	"oneid/connectors"
)

// Estimate implements connectors.Estimator: a list says how many rows there
// are; those that name no buyer take a call each and their details another, and
// members one for ten.
func (c *Connector) Estimate(ctx context.Context, stream string, from connectors.Cursor) (connectors.Estimate, error) {
	l := listings[stream]
	plan := c.windows(l)
	reached, err := plan.Start(from, c.client.now())
	if err != nil {
		return connectors.Estimate{}, err
	}
	rows, err := c.count(ctx, l, reached)
	if err != nil {
		return connectors.Estimate{}, err
	}
	windows := int(max(plan.End(c.client.now()).Sub(reached), 0)/(24*time.Hour)) + 1
	e := connectors.Estimate{
		Records: rows, Calls: 1 + connectors.PagedCalls(windows, rows, c.cfg.PageSize),
		PerSecond: c.cfg.RequestsPerSecond, PerDay: c.cfg.CallsPerDay,
	}
	switch {
	case stream == Aftersales, stream == Services:
		e.Calls += 2 * rows
	case stream == Users && c.cfg.AppID != 0:
		e.Calls += (rows + memberBatch - 1) / memberBatch
	}
	return e, nil
}
