package events

import "fmt"

// Reasons of dead letters.
const (
	// ReasonRead: what the source gave could not be cut into a record.
	ReasonRead = "read"
	// ReasonMap: a record could not be mapped to events.
	ReasonMap = "map"
	// ReasonTooLarge: a message would be larger than Kafka takes; its bytes
	// are not in the letter.
	ReasonTooLarge = "too_large"
	// ReasonDecode: a message in a topic could not be read.
	ReasonDecode = "decode"
	// ReasonOpen: what is sealed in a message could not be opened.
	ReasonOpen = "open"
)

// SealLetter puts the bytes that a dead letter is about into it, sealed and
// bound to its LetterId, which must be set.
func SealLetter(l *DeadLetter, raw []byte, s Sealer) {
	l.SealedRaw = s.Seal(raw, letterContext(l))
}

// OpenLetter gives the bytes that a dead letter is about; nil if it has none.
func OpenLetter(l *DeadLetter, s Sealer) ([]byte, error) {
	if len(l.GetSealedRaw()) == 0 {
		return nil, nil
	}
	raw, err := s.Open(l.GetSealedRaw(), letterContext(l))
	if err != nil {
		return nil, fmt.Errorf("events: open a dead letter: %w", err)
	}
	return raw, nil
}

func letterContext(l *DeadLetter) []byte { return []byte("deadletter|" + l.GetLetterId()) }
