package events

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
)

// Reasons of dead letters.
const (
	// ReasonRead: what the source gave could not be cut into a record.
	ReasonRead = "read"
	// ReasonMap: a record could not be mapped to events.
	ReasonMap = "map"
	// ReasonTooLarge: an event would be larger than a message may be.
	ReasonTooLarge = "too_large"
	// ReasonDecode: a message in a topic could not be read.
	ReasonDecode = "decode"
	// ReasonOpen: what is sealed in a message could not be opened.
	ReasonOpen = "open"
	// ReasonStore: a message holds what no table can.
	ReasonStore = "store"
	// ReasonDeliver: a webhook refused an identity change or an alert, or failed
	// at it.
	ReasonDeliver = "deliver"
)

// Reasons are all there are.
var Reasons = []string{ReasonRead, ReasonMap, ReasonTooLarge, ReasonDecode, ReasonOpen, ReasonStore, ReasonDeliver}

// What is delivered to webhooks, as letters of ReasonDeliver name it in Stream.
const (
	StreamIdentity = "identity"
	StreamAlerts   = "alerts"
	// StreamRows names the letters of ReasonStore that hold no message, but a
	// row of a table of who is who that ClickHouse refused.
	StreamRows = "identity_rows"
)

// DeliveryLetter is the id of the letter of a webhook that refused the message
// at a place: a repetition counts once.
func DeliveryLetter(webhook, place string) string { return "deliver|" + webhook + "|" + place }

// WebhookOf is the webhook of such an id; empty if it is none.
func WebhookOf(letterID string) string {
	rest, of := strings.CutPrefix(letterID, "deliver|")
	webhook, _, _ := strings.Cut(rest, "|")
	if !of {
		return ""
	}
	return webhook
}

// MaxMessage bounds a message's value: brokers take 1 MB unless configured,
// with key and headers in it.
const MaxMessage = 900 << 10

// letterPart is how many bytes one message of a letter takes: sealed, and
// with all that is said of the letter, well below MaxMessage.
const letterPart = 512 << 10

// maxDetail bounds the texts of a letter: an error may be a long one, and what a
// message calls its shop may be anything.
const maxDetail = 2000

// maxLetterKey bounds the key of a letter.
const maxLetterKey = 64 << 10

// AttemptsHeader is the header of a message that was put into its topic again by a
// replay: how often it was tried with that, should it be refused once more.
const AttemptsHeader = "ce_attempts"

// LetterHeader is the header of such a message that names the letter: one letter may
// make several messages.
const LetterHeader = "ce_letter"

// LetterKey is the key of a letter's messages, as it is of what the letter is
// about. One that leaves no room in a message for anything else is left out.
func LetterKey(key []byte) []byte {
	if len(key) > maxLetterKey {
		return nil
	}
	return key
}

// pushOrigin begins the origin of a letter of a push.
const pushOrigin = "a push"

// PushOrigin is the origin of a letter of a push, which names an entity of a
// stream; both are empty where it could not be understood.
func PushOrigin(stream, id string) string {
	if stream == "" || id == "" {
		return pushOrigin
	}
	return pushOrigin + " of " + stream + " " + id
}

// PushOf is what PushOrigin was made of; push is false for another origin.
func PushOf(origin string) (stream, id string, push bool) {
	rest, push := strings.CutPrefix(origin, pushOrigin)
	if !push || rest == "" {
		return "", "", push
	}
	rest, named := strings.CutPrefix(rest, " of ")
	stream, id, _ = strings.Cut(rest, " ")
	if !named || id == "" {
		return "", "", false
	}
	return stream, id, true
}

// Letters makes the values and headers of the messages that carry a letter and
// the bytes that it is about; topic and key are the caller's to fill in. There
// is one, or several where the bytes are too many for one. The bytes are
// sealed, bound to LetterId and to their place. It fills in the fields of l
// that say so.
func Letters(l *DeadLetter, raw []byte, s Sealer) ([]Wire, error) {
	if l.GetLetterId() == "" {
		return nil, errors.New("events: a dead letter has no id")
	}
	// An error may repeat the bytes of a file's name, in any encoding.
	for _, text := range []*string{&l.Platform, &l.Shop, &l.Stream, &l.Detail, &l.Origin} {
		*text = Cut(strings.ToValidUTF8(*text, "\uFFFD"), maxDetail)
	}
	l.Parts = uint32(max(1, (len(raw)+letterPart-1)/letterPart)) // bytes in memory: not that many
	values := make([]Wire, 0, l.GetParts())
	for part := range l.GetParts() {
		message := &DeadLetter{LetterId: l.GetLetterId(), Part: part, Parts: l.GetParts()}
		if part == 0 {
			message = l
		}
		if piece := raw[:min(len(raw), letterPart)]; len(piece) > 0 {
			message.SealedRaw = s.Seal(nil, piece, letterContext(message))
			raw = raw[len(piece):]
		}
		value, err := proto.Marshal(message)
		if err != nil {
			return nil, fmt.Errorf("events: make a dead letter: %w", err)
		}
		values = append(values, Wire{Value: value, Headers: DescribeLetter(l, part).Headers()})
	}
	return values, nil
}

// Cut shortens a text to at most so many bytes, at the border of a character:
// no message takes half of one.
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// OpenLetter gives the bytes that a letter is about, of all its parts in
// their order; nil if it has none.
func OpenLetter(parts []*DeadLetter, s Sealer) ([]byte, error) {
	var raw bytes.Buffer
	for _, l := range parts {
		if len(l.GetSealedRaw()) == 0 {
			continue
		}
		piece, err := s.Open(nil, l.GetSealedRaw(), letterContext(l))
		if err != nil {
			return nil, fmt.Errorf("events: open a dead letter: %w", err)
		}
		raw.Write(piece)
	}
	return raw.Bytes(), nil
}

func letterContext(l *DeadLetter) []byte {
	context := "deadletter|" + l.GetLetterId()
	if l.GetPart() > 0 {
		context += "|" + strconv.FormatUint(uint64(l.GetPart()), 10)
	}
	return []byte(context)
}

// NamedByPush says that a letter is of a push that named an entity. Such a letter is
// of the entity: all messages that could not be followed are one letter, which is
// open again with each that comes once it was closed.
func (l *DeadLetter) NamedByPush() bool {
	_, id, push := PushOf(l.GetOrigin())
	return push && id != "" && l.GetReason() == ReasonRead
}

// LetterVersion orders the states of one letter, whatever the order in which
// they are read: closed over open, then by attempts, then the one first seen.
// That of an entity that a push named is ordered first by at, the offset of the
// bytes that a state is about: what closes it closes no message behind those.
func LetterVersion(l *DeadLetter, at int64) uint64 {
	const attemptsBits = 19
	closed := l.GetState() != LetterState_LETTER_STATE_UNSPECIFIED
	attempts := uint64(min(l.GetAttempts(), 1<<attemptsBits-1))
	if l.NamedByPush() {
		// Above what letters of pushes had before they were of the entity.
		version := uint64(1)<<62 | uint64(at)<<(attemptsBits+1) | attempts
		if closed {
			version |= 1 << attemptsBits
		}
		return version
	}
	version := attempts<<timeBits | (maxTime - clampTime(l.GetFirstSeenMs()))
	if closed {
		version |= 1 << 63
	}
	return version
}
