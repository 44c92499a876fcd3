package tmall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oneid/connectors"
)

// maxSkew is how far the clocks may be apart before Check says so: the
// platform refuses ten minutes, and the mend must come before.
const maxSkew = 2 * time.Minute

// Check asks for the platform's clock, the seller behind the session, and one
// row of each list that the streams read. It names every fault at once; where no more is
// missing than the right for the orders' history or for refunds' threads, or nothing told
// whether it is there, it is a connectors.LesserError.
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
		if err == nil && probe.l.method == refundList {
			err = c.mayReadThreads(ctx, probe.l, a.Rows, server)
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
		fault := fmt.Errorf("orders of more than three months ago, which a backfill and a shop that was away for so long read: %w", history)
		if isMissing(history) {
			fault = &connectors.LesserError{Err: fault}
		}
		faults = append(faults, fault)
	}
	return c.checked(faults)
}

func (c *Connector) checked(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("tmall: check shop %s: %w", c.shop, connectors.JoinChecked(faults))
}

// firstAnswers are what refunds lack without their threads.
const firstAnswers = "the first answers of refunds"

// errNoRefund: a thread is of a refund.
var errNoRefund = errors.New("the shop lists no refund of the last 89 days to ask about")

// mayReadThreads says what is wrong with reading refunds' threads, by one of these refunds
// or, where there are none, of those that the platform lists at its present.
func (c *Connector) mayReadThreads(ctx context.Context, l listing, refunds []json.RawMessage, server time.Time) error {
	refunds, err := connectors.RowsToTry(refunds, connectors.Window{From: server.Add(-listed), To: server}, errNoRefund,
		func(w connectors.Window) (connectors.Rows, error) { return c.list(ctx, l, w, 1, true) }, narrower)
	if err != nil {
		return connectors.Untried(refundThread, firstAnswers, err)
	}
	return connectors.CheckExtra(refundThread, firstAnswers, c.mayReadThread(ctx, refunds[0]))
}

// mayReadThread is how a call for a refund's thread ended.
func (c *Connector) mayReadThread(ctx context.Context, row json.RawMessage) error {
	var id, phase text
	for i, value := range connectors.Find(row, "refund_id", "refund_phase") {
		if value != nil {
			if err := [...]*text{&id, &phase}[i].UnmarshalJSON(value); err != nil {
				return err
			}
		}
	}
	_, err := c.said(ctx, id, phase)
	if ofThisRefund(err) {
		return nil
	}
	return err
}
