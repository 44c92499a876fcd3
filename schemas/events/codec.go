package events

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"
)

// A Sealer encrypts and authenticates; internal/keyring has one. Context
// binds a sealed value to its place: opening it with another context fails. What
// comes of either is appended to to, whose room it takes if there is enough.
type Sealer interface {
	Seal(to, plain, context []byte) []byte
	Open(to, sealed, context []byte) ([]byte, error)
}

// MaxRawBytes bounds a payload after decompression.
const MaxRawBytes = 16 << 20

var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err) // wrong options: a broken program
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(MaxRawBytes), zstd.WithDecoderConcurrency(0))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// rooms are where payloads are compressed before they are sealed.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// context binds sealed bytes to the entity they belong to and to what they are.
func context(h *Header, part string) []byte { return appendContext(nil, h, part) }

func appendContext(to []byte, h *Header, part string) []byte {
	to = append(append(to, part...), '|')
	to = append(append(to, h.GetPlatform()...), '|')
	to = append(append(to, h.GetShop()...), '|')
	return append(to, h.GetEntityId()...)
}

// Seal turns an event as a connector mapped it into the form that leaves the
// process: raw compressed and sealed, person sealed. It changes e.
func Seal(e *Event, s Sealer) error {
	h := e.GetHeader()
	if h == nil {
		return errors.New("events: seal: the event has no header")
	}
	if len(h.Raw) > 0 {
		packed := rooms.Get().(*[]byte)
		*packed = encoder().EncodeAll(h.Raw, (*packed)[:0])
		h.Raw = s.Seal(nil, *packed, context(h, "raw"))
		rooms.Put(packed)
	}
	if h.Person != nil {
		plain, err := proto.Marshal(h.Person)
		if err != nil {
			return fmt.Errorf("events: seal: %w", err)
		}
		h.SealedPerson, h.Person = s.Seal(nil, plain, context(h, "person")), nil
	}
	return nil
}

// OpenPerson opens what the event says of persons; nil if it says nothing.
func OpenPerson(e *Event, s Sealer) (*Person, error) {
	h := e.GetHeader()
	if len(h.GetSealedPerson()) == 0 {
		return h.GetPerson(), nil
	}
	plain, err := s.Open(nil, h.GetSealedPerson(), context(h, "person"))
	if err != nil {
		return nil, fmt.Errorf("events: open the person: %w", err)
	}
	person := new(Person)
	if err := proto.Unmarshal(plain, person); err != nil {
		return nil, fmt.Errorf("events: open the person: %w", err)
	}
	return person, nil
}

// OpenRaw opens the platform's payload of a sealed event.
func OpenRaw(e *Event, s Sealer) ([]byte, error) {
	h := e.GetHeader()
	if len(h.GetRaw()) == 0 {
		return nil, nil
	}
	packed, err := s.Open(nil, h.GetRaw(), context(h, "raw"))
	if err != nil {
		return nil, fmt.Errorf("events: open the payload: %w", err)
	}
	plain, err := decoder().DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("events: open the payload: %w", err)
	}
	return plain, nil
}

// Marshal appends an event's wire form to b.
func Marshal(b []byte, e *Event) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, e)
}

// Decode reads an event and refuses one that nothing can be done with; see
// Check.
func Decode(value []byte, e *Event) error {
	if err := proto.Unmarshal(value, e); err != nil {
		return fmt.Errorf("events: decode: %w", err)
	}
	return Check(e)
}

// Check refuses an event that nothing can be done with: no body, no entity,
// no account (spend excepted), no version, a platform or shop that would not
// survive being written platform/shop/id. Its error repeats no value.
func Check(e *Event) error {
	h := e.GetHeader()
	switch {
	case h == nil || h.GetPlatform() == "" || h.GetShop() == "" || h.GetEntityId() == "":
		return errors.New("events: the event names no entity")
	case strings.Contains(h.GetPlatform(), "/") || strings.Contains(h.GetShop(), "/"):
		return errors.New("events: the name of the platform or the shop holds a slash")
	case wasFloat(h.GetEntityId()):
		return errors.New("events: the entity's number is written with an exponent (3.7E+18): its last digits are lost")
	case KindOf(e) == "":
		return errors.New("events: the event has no body that this version knows")
	case h.GetAccount() == "" && KindOf(e) != KindSpend:
		return errors.New("events: the event names no account")
	case h.GetVersion() == nil:
		return errors.New("events: the event has no version")
	}
	return nil
}

// wasFloat says that an id is a number that a floating-point number has been made
// of on its way: any order of the same first digits would be taken for it.
func wasFloat(id string) bool {
	at := strings.IndexAny(id, "eE")
	if at <= 0 || !strings.ContainsAny(id, ".+") {
		return false
	}
	exponent := strings.TrimLeft(id[at+1:], "+")
	return exponent != "" && strings.Trim(exponent, "0123456789") == "" && strings.Trim(id[:at], "0123456789.") == ""
}

// latest is the last moment that a version may name: 2200, well inside what
// ClickHouse's times hold.
var latest = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// maxName is how many bytes the name of a platform, a shop, an account or an
// entity may have. What is told of an account repeats its name, and has to fit
// into a message.
const maxName = 1000

// Storable refuses an event that no table can hold, or of whose account nothing
// could be told: a version of a time after 2199, a spend whose day is none, a
// name of more than 1,000 bytes. Its error repeats no value.
func Storable(e *Event) error {
	h := e.GetHeader()
	for _, name := range []string{h.GetPlatform(), h.GetShop(), h.GetAccount(), h.GetEntityId()} {
		if len(name) > maxName {
			return errors.New("events: the name of the platform, the shop, the account or the entity has more than 1000 bytes")
		}
	}
	v := h.GetVersion()
	if v.GetModifiedMs() >= latest || v.GetObservedMs() >= latest {
		return errors.New("events: the version names a time after the year 2199")
	}
	if spend := e.GetSpend(); spend != nil {
		if _, err := time.Parse(time.DateOnly, spend.GetDay()); err != nil {
			return errors.New("events: the spend's day is not written YYYY-MM-DD")
		}
	}
	return nil
}
