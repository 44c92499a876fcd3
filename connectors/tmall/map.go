package tmall

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// revision of the mapping below: raised with each change of what it gives.
const revision = 3

// text is a value that the platform writes as JSON text or as a number.
type text string

// UnmarshalJSON takes text, a number, true, false or null.
func (t *text) UnmarshalJSON(raw []byte) error {
	switch {
	case len(raw) > 0 && raw[0] == '"':
		s, ok := connectors.Text(raw)
		if !ok {
			return errors.New("a text is cut off")
		}
		*t = text(s)
	case string(raw) == "null":
		*t = ""
	case len(raw) > 0 && (raw[0] == '{' || raw[0] == '['):
		return errors.New("want text or a number")
	default:
		*t = text(raw)
	}
	return nil
}

// Map turns a record into events; it is pure.
func (c *Connector) Map(record connectors.Record) ([]*events.Event, error) {
	m := mapper{shop: c.shop, appKey: c.cfg.AppKey, brand: c.cfg.BrandID}
	return m.mapRecord(record)
}

// mapper holds what of the settings the events depend on.
type mapper struct{ shop, appKey, brand string }

func (m mapper) mapRecord(record connectors.Record) ([]*events.Event, error) {
	var list []*events.Event
	var err error
	switch record.Stream {
	case Orders:
		list, err = m.order(record)
	case Users:
		list, err = m.user(record)
	case Tickets:
		list, err = m.refund(record)
	case connectors.MembershipStream:
		list, err = m.membership(record)
	default:
		err = connectors.ErrNoStream
	}
	if err != nil {
		return nil, fmt.Errorf("tmall: map a record of %s of shop %s: %w", record.Stream, m.shop, err)
	}
	return list, nil
}

// header is what all events of a record have in common.
func (m mapper) header(record connectors.Record, entity, account string, modified int64) *events.Header {
	return &events.Header{
		Platform: Platform, Shop: m.shop, EntityId: entity, Account: account, Stream: record.Stream,
		Raw: record.Raw,
		Version: &events.Version{
			ModifiedMs: modified, Source: events.Source_SOURCE_API,
			ObservedMs: record.Observed.UnixMilli(), Revision: revision,
		},
	}
}

// buyer gives the account of an order's or a refund's buyer, and what was
// seen of it. An order whose buyer the platform does not name is an account
// of its own.
func (m mapper) buyer(ouid, openUID, orderID string) (account string, sightings []*events.Sighting) {
	if ouid != "" {
		sightings = append(sightings, &events.Sighting{Type: "tmall_ouid", Value: ouid, Role: events.Role_ROLE_BUYER, Scope: m.shop})
	}
	if openUID != "" {
		sightings = append(sightings, &events.Sighting{Type: "tmall_open_uid", Value: openUID, Role: events.Role_ROLE_BUYER, Scope: m.appKey})
	}
	if !connectors.Names(ouid) {
		return "order:" + orderID, sightings
	}
	return ouid, sightings
}

// plainPhone is a mainland mobile number in clear. A masked one holds stars;
// a virtual one has an extension and ends with it.
var plainPhone = regexp.MustCompile(`^(\+?86[- ]?)?1[3-9][0-9]{9}$`)

// receiverPhone is the phone as a sighting, nil unless it is in clear.
func receiverPhone(values ...text) []*events.Sighting {
	for _, v := range values {
		if s := strings.TrimSpace(string(v)); plainPhone.MatchString(s) {
			return []*events.Sighting{{Type: "phone", Value: s, Role: events.Role_ROLE_RECEIVER}}
		}
	}
	return nil
}

// shown is a value that is no ciphertext; "" for one that is. Apps outside of the
// oaid scheme get receivers encrypted; that such a text stands between two signs
// (~ or $) is assumed: no name, phone or address does.
func shown(value text) string {
	s := strings.TrimSpace(string(value))
	if len(s) > 2 && strings.ContainsAny(s[:1], "~$") && s[:1] == s[len(s)-1:] {
		return ""
	}
	return string(value)
}

// fields reads the values of one entity and remembers the first that has not
// the form it should have, by name and not by value.
type fields struct{ err error }

func (f *fields) fail(name, why string) {
	if f.err == nil {
		f.err = fmt.Errorf("field %s %s", name, why)
	}
}

// money is an amount in fen; 0 when the field is absent.
func (f *fields) money(name string, value text) int64 {
	if value == "" {
		return 0
	}
	minor, err := events.ParseMinor(string(value), "CNY")
	if err != nil {
		f.fail(name, "is not an amount of yuan")
	}
	return minor
}

// time is a moment in Unix milliseconds; 0 when the field is absent.
func (f *fields) time(name string, value text) int64 {
	if value == "" {
		return 0
	}
	t, err := time.ParseInLocation(timeLayout, string(value), zone)
	if err != nil || t.Year() < 1990 {
		f.fail(name, "is not a time such as 2024-05-20 00:01:02")
		return 0
	}
	return t.UnixMilli()
}

// must is an error when the field is absent.
func (f *fields) must(name string, value text) string {
	if value == "" {
		f.fail(name, "is missing")
	}
	return string(value)
}

// count is a whole number, not negative.
func (f *fields) count(name string, value text) int64 {
	if value == "" {
		return 0
	}
	n, err := events.ParseFixed(string(value), 0)
	if err != nil || n < 0 {
		f.fail(name, "is not a count")
		return 0
	}
	return n
}
