package tmall

import (
	"encoding/json"
	"fmt"
	"time"

	"oneid/connectors"
)

// position is what a cursor of this connector holds: all that was changed before
// Reached was read. The rest is of orders alone; see history.go.
type position struct {
	V       int       `json:"v"`
	Reached time.Time `json:"reached"`
	// Created: the orders that were created before it were read when they were too old
	// to change any more. Zero: none was read by its creation.
	Created time.Time `json:"created,omitzero"`
	// MissingFrom and MissingTo: the orders that were created in this time are still to
	// be read, since the app was not allowed to. Zero: nothing is missing.
	MissingFrom time.Time `json:"missing_from,omitzero"`
	MissingTo   time.Time `json:"missing_to,omitzero"`
	// Short is what the lists counted and did not give.
	Short connectors.Shortfall `json:"short,omitzero"`
	// Gap is what was too old to be shown. Zero: nothing was.
	Gap connectors.Gap `json:"gap,omitzero"`
	// Members, where the last listing of all members left some out: how many the platform
	// counted in all, and Listed how many in what was listed.
	Members int `json:"members,omitzero"`
	Listed  int `json:"listed,omitzero"`
}

// cursorVersion is raised when an old cursor can no longer be read.
const cursorVersion = 1

func (p position) cursor() connectors.Cursor {
	p.V, p.Reached, p.Created = cursorVersion, p.Reached.UTC(), p.Created.UTC()
	p.MissingFrom, p.MissingTo = p.MissingFrom.UTC(), p.MissingTo.UTC()
	text, _ := json.Marshal(p)
	return connectors.Cursor(text)
}

func cursorAt(reached time.Time) connectors.Cursor { return position{Reached: reached}.cursor() }

func parsePosition(cursor connectors.Cursor) (position, error) {
	var p position
	if err := json.Unmarshal([]byte(cursor), &p); err != nil || p.V != cursorVersion || p.Reached.IsZero() {
		return position{}, fmt.Errorf("%w: it was not written by this version of the connector; remove it to read anew", connectors.ErrCursor)
	}
	return p, nil
}

func parseCursor(cursor connectors.Cursor) (time.Time, error) {
	p, err := parsePosition(cursor)
	return p.Reached, err
}
