// Package pipelines is where the parts are joined into flows, one folder
// each: pull (platform to Kafka), resolve (Kafka through identity to
// ClickHouse), squash (upkeep). A pipeline reads from top to bottom in its
// own package; none imports another. What all of them agree upon stands here.
package pipelines

import (
	"fmt"

	"oneid/schemas/events"
)

// JournalError says that a record of the journal cannot be read. Nobody knows what
// it took, so nothing can be taken behind it.
type JournalError struct {
	Topic  string // it has one partition
	Offset int64
	Err    error
}

func (e *JournalError) Error() string {
	return fmt.Sprintf("the journal cannot be read: the record in the topic %s, partition 0, at offset %d is damaged, or is none of OneID's: %v", e.Topic, e.Offset, e.Err)
}
func (e *JournalError) Unwrap() error { return e.Err }

// Code names the kind of error.
func (e *JournalError) Code() string { return "journal_damaged" }

// Hint says what to do; a rebuild reads the same record.
func (e *JournalError) Hint() string {
	return "end what else writes into that topic; then restore the topic from a copy, or all of the instance from a backup (`oneid restore`) that was taken before that record"
}

// ResolverGroup is the consumer group under which the resolver commits how
// far it is: what lies below its offsets is in ClickHouse.
func ResolverGroup(brand string) string { return brand + ".resolver" }

// LettersGroup is the consumer group under which is committed how much of the
// dead-letter topic lies in ClickHouse.
func LettersGroup(brand string) string { return brand + ".deadletters" }

// Topic is a topic that an instance needs, with Kafka's settings for it.
type Topic struct {
	Name       string
	Partitions int
	Config     map[string]string
}

// fifteenDays is how long event topics are kept unless configured: what is
// older lies in ClickHouse.
const fifteenDays = "1296000000"

// Topics lists the topics of a brand; the event topics have partitions each.
func Topics(brand string, partitions int) []Topic {
	t := events.TopicsOf(brand)
	kept := map[string]string{"retention.ms": fifteenDays}
	forever := map[string]string{"retention.ms": "-1"}
	compacted := map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}
	return []Topic{
		{t.Orders, partitions, kept}, {t.Users, partitions, kept}, {t.Tickets, partitions, kept}, {t.Spend, partitions, kept},
		{t.Journal, 1, forever}, {t.Decisions, 1, forever}, {t.DeadLetter, 1, forever},
		{t.Identity, partitions, compacted}, {t.Cursors, 1, compacted},
		// An alert stands for as long as it does: the last word of each subject stays.
		{t.Alerts, 1, compacted}, {t.Redeliver, 1, kept}, {t.Pushes, 1, kept},
	}
}
