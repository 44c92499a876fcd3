package connectors

import "context"

// Estimate is about what a reading will cost, as far as the platform says
// beforehand. Calls are rather too many than too few: what one stream learns
// spares another calls.
type Estimate struct {
	Records, Calls int
	// PerSecond is how many calls a second the settings allow, and PerDay how
	// many a day; 0 where they do not say. Both are the shop's, and shared by
	// its streams.
	PerSecond float64
	PerDay    int
}

// An Estimator is a connector that can say what a reading will cost.
type Estimator interface {
	// Estimate asks the platform, with few calls, what Read of a stream from
	// a cursor will cost.
	Estimate(ctx context.Context, stream string, from Cursor) (Estimate, error)
}

// PagedCalls is how many calls it takes to read rows that are spread over so
// many windows, from the last page to the first: one tells how many there are,
// and is all of a window of one page.
func PagedCalls(windows, rows, pageSize int) int {
	if windows < 1 {
		return 0
	}
	pages := (rows + windows*pageSize - 1) / (windows * pageSize)
	if pages <= 1 {
		return windows
	}
	return windows * (1 + pages)
}
