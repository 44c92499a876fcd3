// Package connectors says what a connector is: something that reads one shop
// of one platform, page by page, and maps what it read to events.
//
// Reading and mapping are apart, so that a dead letter, a replay and a mended
// mapping take the very function that a fresh page takes. A connector never
// writes anything: pipelines/pull publishes its pages and then keeps its
// cursor, so a crash between the two repeats a page and loses nothing.
package connectors

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"oneid/schemas/events"
)

// A Connector reads one shop of one platform. Read touches the network, Map
// touches nothing. All methods may be called concurrently.
type Connector interface {
	// Spec describes the connector: its streams, its settings as JSON Schema
	// and the rights that it needs.
	Spec() Spec
	// Check tries address, keys, rights and clock, and names every fault at
	// once (errors.Join), each with what to do about it. What keeps no stream from
	// being read is a LesserError.
	Check(ctx context.Context) error
	// Read yields the pages of a stream that follow from. It ends after the
	// last page up to the server's present (less a settle margin), or with
	// the first error that retries did not cure. A page's Next cursor is
	// valid only once all the records up to and including that page were
	// published.
	Read(ctx context.Context, stream string, from Cursor) iter.Seq2[Page, error]
	// Map turns a record into events; it is pure: the same record gives the
	// same events on any day. Its error names what is wrong with the record
	// without repeating a value of it.
	Map(record Record) ([]*events.Event, error)
}

// A Seeker is a connector that can read a stream from any moment on.
type Seeker interface {
	// Since is the cursor from which Read yields what was changed at or after
	// a moment; the moment is a later one where the platform lists nothing as
	// old, or the connector's settings do not reach so far.
	Since(moment time.Time) (Cursor, time.Time)
}

// A StreamSeeker is a Seeker whose streams reach back differently far. SinceOf is
// Since for one of them.
type StreamSeeker interface {
	SinceOf(stream string, moment time.Time) (Cursor, time.Time)
}

// A Dated connector can say up to which moment a cursor has read: what was
// changed before it has come. ok is false for a cursor that it cannot read.
type Dated interface {
	Reached(cursor Cursor) (moment time.Time, ok bool)
}

// A Lacking connector can say what a reading up to a cursor left out, for want of a right
// or since the platform did not give what it counts, and went on without: what is missing, why, and what to do; empty where nothing is.
// A backfill of the window that lacks nothing has read all of it; zero where none does.
type Lacking interface {
	Lacks(stream string, cursor Cursor) (says string, of Window)
}

// Cursor says how far a stream was read: a text that only its connector
// understands. The zero Cursor reads from the stream's configured beginning.
type Cursor string

// Record is one entity as the platform gave it, before mapping.
type Record struct {
	Stream string
	Shop   string
	// Raw is the platform's own payload for this entity. Whatever Map needs
	// is in here, so that a replay needs nothing else.
	Raw json.RawMessage
	// checked is what of Raw is known to be Valid: all of it, or, of a record
	// whose Raw was replaced since, nothing. See Page.Checked.
	checked json.RawMessage
	// Observed is when it was read, by the server's clock where it has one.
	Observed time.Time
	// Origin names where it came from for people: "page 3 of [from, to)" or
	// "orders.csv line 17". It holds no personal value.
	Origin string
}

// Decode reads Raw into out, as the function Decode does.
func (r Record) Decode(out any) error {
	if n := len(r.Raw); n > 0 && n == len(r.checked) && &r.Raw[0] == &r.checked[0] {
		return DecodeValid(r.Raw, out)
	}
	return Decode(r.Raw, out)
}

// Page is a batch of records and the cursor that follows it.
type Page struct {
	Records []Record
	// Bad holds what could not even be cut into a record (a broken line of a
	// file, a row of the wrong shape): for the dead letter.
	Bad []BadRecord
	// Next is the cursor once this page is published; empty when the cursor
	// does not move yet (a window is read from its last page to its first,
	// and only its end moves the cursor).
	Next Cursor
	// Server is the platform's clock when it answered.
	Server time.Time
	// Short is how many rows the platform counted in the window that ends with this page
	// and did not give.
	Short int
	// Total is how many records the run is expected to read in all, as far
	// as the platform says; 0 when unknown. For progress only.
	Total int
}

// BadRecord is what could not be read as a record.
type BadRecord struct {
	Raw    []byte
	Origin string
	// Err says what is wrong, without a value of the record.
	Err error
}

// Spec describes a connector.
type Spec struct {
	// Platform is the name of the platform in accounts, tables and settings.
	Platform string
	// Title names it for people, in both languages.
	Title, TitleZH string
	Streams        []Stream
	// Settings is the JSON Schema (draft 2020-12) of one shop's settings;
	// secrets are marked with "writeOnly": true.
	Settings json.RawMessage
	// Rights are the permissions to apply for at the platform.
	Rights []string
	// Sample is the commented YAML of one shop's settings.
	Sample string
}

// Stream is one kind of thing that a connector reads.
type Stream struct {
	Name string
	// Kinds of the events that its records map to; the first is what the
	// stream is mainly about.
	Kinds []events.Kind
}
