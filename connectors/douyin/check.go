package douyin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oneid/connectors"
)

// Check tries the address, the keys, the clock and the right to each stream. It names
// every fault at once; where no more is missing than a right to what only adds to a
// stream (first answers, phones of members), or nothing told whether it is there, it is
// a connectors.LesserError.
func (c *Connector) Check(ctx context.Context) error {
	if _, err := c.client.tokens.Valid(ctx); err != nil {
		return fmt.Errorf("douyin: shop %s: get a token: %w", c.shop, err)
	}
	var faults []error
	note := func(stream string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("douyin: shop %s: stream %s: %w", c.shop, stream, err))
		}
	}
	now := c.client.now()
	hour := connectors.Window{From: now.Add(-time.Hour), To: now}
	for _, l := range []listing{orderListing, aftersaleListing, serviceListing} {
		page, err := c.page(ctx, l, hour, 1, 1)
		note(l.stream, err)
		if e := c.extraOf(l); e != nil && err == nil {
			note(e.stream, c.mayCall(ctx, l, e, page.Rows))
		}
	}
	if err := c.client.clock.Check(maxSkew); err != nil {
		faults = append(faults, fmt.Errorf("douyin: shop %s: %w", c.shop, err))
	}
	return connectors.JoinChecked(faults)
}

// extra is a method that adds something to a stream, and how it is called about a row of
// a listing.
type extra struct {
	stream, method, adds string
	// try is how a call ended; ok is false for a row that it cannot be called about.
	try func(ctx context.Context, row json.RawMessage) (ok bool, err error)
}

// extraOf is the extra that is called about a listing's rows; nil where none is.
func (c *Connector) extraOf(l listing) *extra {
	if l.stream != Orders {
		return &extra{l.stream, l.detail.method, "the first answers", func(ctx context.Context, row json.RawMessage) (bool, error) {
			id := number(readListed(row).id)
			if id == "" {
				return false, nil
			}
			var answer entity
			err := c.client.call(ctx, l.detail.method, l.detail.ask(id), &answer)
			if ofThisRow(err) {
				err = nil
			}
			return true, err
		}}
	}
	if c.cfg.AppID == 0 {
		return nil
	}
	return &extra{Users, membersMethod, "the phones of members", func(ctx context.Context, row json.RawMessage) (bool, error) {
		_, buyer, _ := orderKey(row)
		if buyer == "" {
			return false, nil
		}
		_, err := c.members(ctx, []string{buyer})
		return true, err
	}}
}

// errNothingListed: there is nothing that an extra could be called about.
var errNothingListed = errors.New("the shop lists nothing of the last 90 days to ask about")

// mayCall says what is wrong with calling an extra, by one of these rows of its listing
// or, where there are none, of those that the platform lists at its present.
func (c *Connector) mayCall(ctx context.Context, l listing, e *extra, rows []json.RawMessage) error {
	now := c.client.now()
	rows, err := connectors.RowsToTry(rows, connectors.Window{From: now.Add(time.Hour - maxBackfillDays*24*time.Hour), To: now}, errNothingListed,
		func(w connectors.Window) (connectors.Rows, error) { return c.page(ctx, l, w, 1, 1) }, isTooMany)
	if err != nil {
		return connectors.Untried(e.method, e.adds, err)
	}
	ok, err := e.try(ctx, rows[0])
	if !ok {
		return connectors.Untried(e.method, e.adds, errNothingListed)
	}
	return connectors.CheckExtra(e.method, e.adds, err)
}
