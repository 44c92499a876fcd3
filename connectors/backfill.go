package connectors

import "time"

// A Backfiller is a connector that can read a stretch of the past: from the
// cursor that Since gives to the moment of Until.
type Backfiller interface {
	Seeker
	// Until is the connector itself, but for its Read and its Estimate, which
	// end with what was changed before a moment. Both share limits and tokens.
	Until(moment time.Time) Connector
}
