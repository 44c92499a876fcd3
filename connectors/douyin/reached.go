package douyin

import (
	"strings"
	"time"

	"oneid/connectors"
)

// Reached implements connectors.Dated.
func (c *Connector) Reached(cursor connectors.Cursor) (time.Time, bool) {
	text, ok := strings.CutPrefix(string(cursor), cursorPrefix)
	moment, err := time.Parse(time.RFC3339, text)
	return moment, ok && err == nil
}

var _ connectors.Dated = (*Connector)(nil)
