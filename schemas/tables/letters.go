package tables

import (
	"time"

	"oneid/schemas/events"
)

// DeadLetters fills the table dead_letters: what is known of each letter,
// without its bytes.
type DeadLetters struct {
	columns
	letter, platform, shop, stream, reason, detail, origin *[]string
	attempts                                               *[]uint32
	first                                                  *[]time.Time
}

// NewDeadLetters makes an empty block.
func NewDeadLetters() *DeadLetters {
	d := new(DeadLetters)
	c := &d.columns
	d.letter, d.platform, d.shop, d.stream = slice[string](c, "letter_id"), slice[string](c, "platform"), slice[string](c, "shop"), slice[string](c, "stream")
	d.reason, d.detail, d.origin = slice[string](c, "reason"), slice[string](c, "detail"), slice[string](c, "origin")
	d.attempts, d.first = slice[uint32](c, "attempts"), slice[time.Time](c, "first_seen_at")
	return d
}

// Table implements Block.
func (*DeadLetters) Table() string { return "dead_letters" }

// Append adds a letter.
func (d *DeadLetters) Append(l *events.DeadLetter) {
	d.rows++
	add(d.letter, l.GetLetterId())
	add(d.platform, l.GetPlatform())
	add(d.shop, l.GetShop())
	add(d.stream, l.GetStream())
	add(d.reason, l.GetReason())
	add(d.detail, l.GetDetail())
	add(d.origin, l.GetOrigin())
	add(d.attempts, l.GetAttempts())
	add(d.first, time.UnixMilli(max(l.GetFirstSeenMs(), 0)).UTC())
}
