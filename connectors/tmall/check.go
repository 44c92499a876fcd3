package tmall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oneid/connectors"
)

// maxSkew is how far the clocks may be apart before Check says so: the
// platform refuses ten minutes, and the mend must come before.
const maxSkew = 2 * time.Minute

// Check asks for the platform's clock, the seller behind the session, and one
// row of each list that the streams read. It names every fault at once; where that is a missing
// right for the orders' history alone, it is a connectors.LesserError.
func (c *Connector) Check(ctx context.Context) error {
	server, err := c.client.serverTime(ctx)
	if err != nil {
		// Without the clock nothing else will answer.
		return fmt.Errorf("tmall: check shop %s: ask %s for its clock: %w", c.shop, c.client.http.Host(), err)
	}
	var faults []error
	if err := c.client.clock.Check(maxSkew); err != nil {
		faults = append(faults, err)
	}
	var seller struct {
		User struct {
			UserID text `json:"user_id"`
		} `json:"user"`
	}
	if err := c.client.call(ctx, "taobao.user.seller.get", map[string]string{"fields": "user_id,nick,type"}, &seller); err != nil {
		faults = append(faults, fmt.Errorf("who the seller is: %w", err))
		if connectors.ClassOf(err) == connectors.StopShop {
			return c.checked(faults)
		}
	}
	w := connectors.Window{From: server.Add(-10 * time.Minute), To: server.Add(-5 * time.Minute)}
	simple := changedOrders(c.cfg, simpleOrderList, "tid,ouid")
	for _, probe := range []struct {
		what string
		l    listing
	}{
		{"orders", c.orderListing()},
		{"the buyers' ouid (without it orders are not joined to members)", simple},
		{"changed members", c.memberListing()},
		{"refunds", c.refundListing()},
	} {
		a, err := c.list(ctx, probe.l, w, 1, false)
		if err == nil && probe.l.method == refundList && len(a.Rows) > 0 {
			err = c.mayReadThread(ctx, a.Rows[0])
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", probe.what, err))
		}
	}
	if _, err := c.rows(ctx, memberSearch, map[string]string{"current_page": "1", "page_size": "1"}, "members", "crm_member", "total_result"); err != nil {
		faults = append(faults, fmt.Errorf("members: %w", err))
	}
	// Nothing else depends on the history.
	long := connectors.Window{From: server.Add(-surelyHistory - 10*time.Minute), To: server.Add(-surelyHistory)}
	_, history := c.list(ctx, c.past(nil).old, long, 1, true)
	if history != nil {
		history = fmt.Errorf("orders of more than three months ago, which a backfill and a shop that was away for so long read: %w", history)
		if len(faults) == 0 && isMissing(history) {
			return &connectors.LesserError{Err: c.checked([]error{history})}
		}
		faults = append(faults, history)
	}
	return c.checked(faults)
}

func (c *Connector) checked(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("tmall: check shop %s: %w", c.shop, errors.Join(faults...))
}
