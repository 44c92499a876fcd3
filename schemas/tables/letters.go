package tables

import (
	"time"

	"github.com/google/uuid"

	"oneid/schemas/events"
)

// DeadLetters fills the table dead_letter_states: what is known of each
// letter, without its bytes.
type DeadLetters struct {
	columns
	letter, platform, shop, stream, reason, detail, origin, state, by *Texts
	attempts                                                          *[]uint32
	first, changed                                                    *[]time.Time
	at                                                                *[]int64
	version                                                           *[]uint64
}

// NewDeadLetters makes an empty block.
func NewDeadLetters() *DeadLetters {
	d := new(DeadLetters)
	c := &d.columns
	d.letter, d.platform, d.shop, d.stream = texts(c, "letter_id"), texts(c, "platform"), texts(c, "shop"), texts(c, "stream")
	d.reason, d.detail, d.origin = texts(c, "reason"), texts(c, "detail"), texts(c, "origin")
	d.attempts, d.first = slice[uint32](c, "attempts"), slice[time.Time](c, "first_seen_at")
	d.state, d.changed, d.by = texts(c, "state"), slice[time.Time](c, "changed_at"), texts(c, "changed_by")
	d.at, d.version = slice[int64](c, "bytes_at"), slice[uint64](c, "version")
	return d
}

// Table implements Block.
func (*DeadLetters) Table() string { return "dead_letter_states" }

var letterState = [...]string{"open", "replayed", "dropped"}

// Append adds a state of a letter, read at an offset of its topic.
func (d *DeadLetters) Append(l *events.DeadLetter, offset int64) {
	if l.GetBytesAt() > 0 {
		offset = l.GetBytesAt() - 1
	}
	d.rows++
	d.letter.add(l.GetLetterId())
	d.platform.add(l.GetPlatform())
	d.shop.add(l.GetShop())
	d.stream.add(l.GetStream())
	d.reason.add(l.GetReason())
	d.detail.add(l.GetDetail())
	d.origin.add(l.GetOrigin())
	add(d.attempts, l.GetAttempts())
	add(d.first, time.UnixMilli(max(l.GetFirstSeenMs(), 0)).UTC())
	d.state.add(name(letterState[:], l.GetState()))
	add(d.changed, time.UnixMilli(max(l.GetChangedMs(), 0)).UTC())
	d.by.add(l.GetChangedBy())
	add(d.at, offset)
	add(d.version, events.LetterVersion(l, offset))
}

// Audit fills the table audit.
type Audit struct {
	columns
	at                  *[]time.Time
	who, action, object *Texts
	id                  *[]uuid.UUID
}

// NewAudit makes an empty block.
func NewAudit() *Audit {
	a := new(Audit)
	c := &a.columns
	a.at, a.who, a.action, a.object = slice[time.Time](c, "at"), texts(c, "who"), texts(c, "action"), texts(c, "object")
	a.id = slice[uuid.UUID](c, "id")
	return a
}

// Table implements Block.
func (*Audit) Table() string { return "audit" }

// Append notes that somebody did something to an object, which is named by its
// id alone.
func (a *Audit) Append(at time.Time, who, action, object string, id uuid.UUID) {
	a.rows++
	add(a.at, at.UTC())
	a.who.add(who)
	a.action.add(action)
	a.object.add(object)
	add(a.id, id)
}
