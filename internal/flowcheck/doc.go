// Package flowcheck is a load for the flow and the judge of what came of it.
//
// A Load invents a small brand's days: users of three platforms who share
// phones and unionids, or not; orders, refunds and tickets in ever newer
// versions, now and then an older one late; people's decisions, some taken
// back; and about one message in a hundred that nobody can read. What it
// invents are Facts, plain values with nothing of the flow's in them. A
// Producer publishes them and writes each into a log before it is sent, and
// that it was acknowledged after.
//
// An Oracle reads that log alone. It shares no code with the flow: not
// identity.Resolve, not the tables, not the engine. Who is one customer it
// finds by a union–find of its own. Check asks ClickHouse and says what
// differs.
package flowcheck
