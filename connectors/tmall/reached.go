package tmall

import (
	"time"

	"oneid/connectors"
)

// Reached implements connectors.Dated.
func (c *Connector) Reached(cursor connectors.Cursor) (time.Time, bool) {
	moment, err := parseCursor(cursor)
	return moment, err == nil
}

var _ connectors.Dated = (*Connector)(nil)
