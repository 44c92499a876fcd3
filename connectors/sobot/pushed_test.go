package sobot

import (
	"errors"
	"testing"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/schemas/events"
)

// A push tells of a ticket; what is then fetched has the ce_id that a reading
// gives it.
func TestAPushTellsWhichTicketToFetch(t *testing.T) {
	t.Parallel()
	c, d := desk(t, Config{}, simulator.SobotOptions{})
	records, _, err := read(t, c, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	pulled := make(map[string]bool)
	for _, r := range records {
		mapped, err := c.Map(r)
		if err != nil {
			t.Fatal(err)
		}
		pulled[events.Describe(mapped[0]).ID] = true
	}
	for _, ticket := range d.Tickets()[:10] {
		header, body := d.Push(ticket)
		messages, err := c.Open(connectors.Push{Header: header, Body: body})
		if err != nil || len(messages) != 1 || messages[0].Stream != Tickets || messages[0].ID != ticket.ID || messages[0].Err != nil {
			t.Fatalf("%+v, %v", messages, err)
		}
		page, err := c.Fetch(t.Context(), messages[0].Stream, messages[0].ID)
		if err != nil || len(page.Records) != 1 {
			t.Fatalf("%+v, %v", page, err)
		}
		mapped, err := c.Map(page.Records[0])
		if err != nil || !pulled[events.Describe(mapped[0]).ID] {
			t.Errorf("%v, %v: no reading gave it", mapped, err)
		}
		header.Set("sign", "0")
		if _, err := c.Open(connectors.Push{Header: header, Body: body}); !errors.Is(err, connectors.ErrRefused) || c.Answer(err).Status != 403 {
			t.Errorf("with a wrong signature: %v", err)
		}
	}
	if c.Answer(nil).Status != 200 || c.Answer(errors.New("kafka is away")).Status < 500 {
		t.Error("the desk is told another thing than what happened")
	}
}

// A push bears the desk's time: once that is known, a clock of ours that is wrong
// refuses none.
func TestPushesGoByTheDesksClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []int{900, -900} {
		c, d := desk(t, Config{}, simulator.SobotOptions{Faults: simulator.Faults{SkewSeconds: skew}})
		ticket := d.Tickets()[0]
		open := func() error {
			header, body := d.Push(ticket)
			_, err := c.Open(connectors.Push{Header: header, Body: body})
			return err
		}
		if err := open(); !errors.Is(err, ErrPushTime) {
			t.Errorf("%d seconds off, before a call: %v", skew, err)
		}
		if _, _, err := read(t, c, "", 1); err != nil {
			t.Fatal(err)
		}
		if err := open(); err != nil {
			t.Errorf("%d seconds off, after one: %v", skew, err)
		}
	}
}
