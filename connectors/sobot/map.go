package sobot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// revision of the mapping below; raise it with every change of what comes out.
const revision = 2

// zone is taken to be the desk's, for times that it gives as texts.
var zone = time.FixedZone("GMT+8", 8*60*60)

// ticket is what is read of a ticket, in the list's form, in that of a ticket
// by itself and in that of a push: the later ones hold more of the same names.
type ticket struct {
	ID        text       `json:"ticketid"`
	From      text       `json:"ticket_from"`
	Level     text       `json:"ticket_level"`
	Status    text       `json:"ticket_status"`
	StartType text       `json:"start_type"`
	TypeName  text       `json:"ticket_type_name"`
	Agent     text       `json:"deal_agent_name"`
	Group     text       `json:"deal_group_name"`
	CreatedMs whole      `json:"create_datetime_ms"`
	Created   text       `json:"create_datetime"`
	UpdatedMs whole      `json:"update_datetime_ms"`
	Updated   text       `json:"update_datetime"`
	UserID    text       `json:"userid"`
	PartnerID text       `json:"user_partnerid"`
	Phones    text       `json:"user_tels"`
	Emails    text       `json:"user_emails"`
	Score     text       `json:"score"`
	Deals     list[deal] `json:"deal_list"`
}

// deal is one thing that was done about a ticket. Its names are assumed.
type deal struct {
	StartType text  `json:"start_type"`
	AtMs      whole `json:"create_datetime_ms"`
}

// statuses: a ticket is open while nobody has it or somebody works on it,
// pending while it waits for an answer.
var statuses = map[text]events.TicketStatus{
	"0":  events.TicketStatus_TICKET_STATUS_OPEN,    // not claimed
	"1":  events.TicketStatus_TICKET_STATUS_OPEN,    // in work
	"2":  events.TicketStatus_TICKET_STATUS_PENDING, // waiting
	"3":  events.TicketStatus_TICKET_STATUS_SOLVED,
	"98": events.TicketStatus_TICKET_STATUS_DELETED,
	"99": events.TicketStatus_TICKET_STATUS_CLOSED,
}

// source is the way on which a ticket came.
type source struct{ kind, channel string }

// sources are the numbers of ticket_from, as a copy of the older interface's
// page lists them; that the present one means the same is assumed.
var sources = map[text]source{
	"0":  {"workorder", "desk"}, // typed in the centre of tickets
	"1":  {"workorder", "web"},
	"2":  {"workorder", "h5"},
	"3":  {"workorder", "wechat"},
	"4":  {"workorder", "app"},
	"5":  {"workorder", "weibo"},
	"6":  {"chat", "web"},
	"7":  {"workorder", "customers"}, // typed in the centre of customers
	"8":  {"call", "call"},
	"9":  {"chat", "wechat"},
	"10": {"chat", "h5"},
	"11": {"chat", "app"},
}

// sourceOf is the way of a ticket; an unknown number stays as it is.
func sourceOf(from text) source {
	if s, ok := sources[from]; ok {
		return s
	}
	return source{"workorder", string(from)}
}

// levels are the words of ticket_level, with the same caveat.
var levels = map[text]string{"0": "low", "1": "medium", "2": "high", "3": "urgent"}

// byCustomer says that a customer opened a ticket or did something about it,
// and not the staff; the numbers have the same caveat.
func byCustomer(startType text) bool { return startType == "1" }

// Map turns a record into events. It is pure: what it needs is in the record
// and in the settings.
func (c *Connector) Map(r connectors.Record) ([]*events.Event, error) {
	if r.Stream != Tickets {
		return nil, fmt.Errorf("sobot: map %s of shop %s: %w", r.Stream, r.Shop, connectors.ErrNoStream)
	}
	e, err := c.mapper.ticket(r)
	if err != nil {
		return nil, fmt.Errorf("sobot: map a ticket of shop %s: %w", r.Shop, err)
	}
	return []*events.Event{e}, nil
}

// mapper is what of the settings the mapping needs.
type mapper struct {
	contactKey                []byte
	partnerType, partnerScope string
	staffJoins                bool
}

// ticket maps one ticket. Its title, its content and the remark of a rating
// are free texts of persons: they stay in the raw payload.
func (m mapper) ticket(r connectors.Record) (*events.Event, error) {
	var t ticket
	if err := connectors.Decode(r.Raw, &t); err != nil {
		return nil, errors.New("the ticket is not of the form that the desk promises: " + connectors.Fault(err))
	}
	if t.ID == "" {
		return nil, errors.New("the ticket has no ticketid")
	}
	created, updated := moment(t.CreatedMs, t.Created), moment(t.UpdatedMs, t.Updated)
	modified := max(updated, created)
	if modified == 0 {
		return nil, errors.New("the ticket has neither update_datetime_ms nor create_datetime_ms")
	}
	status, known := statuses[t.Status]
	if !known {
		status = events.TicketStatus_TICKET_STATUS_UNKNOWN
	}
	way := sourceOf(t.From)
	priority, known := levels[t.Level]
	if !known {
		priority = string(t.Level)
	}
	account, person := m.customer(&t)
	return &events.Event{
		Header: &events.Header{
			Platform: Platform, Shop: r.Shop, EntityId: string(t.ID), Account: account, Raw: r.Raw, Stream: r.Stream, Person: person,
			Version: &events.Version{
				ModifiedMs: modified, Source: events.Source_SOURCE_API, ObservedMs: max(r.Observed.UnixMilli(), 0), Revision: revision,
			},
		},
		Body: &events.Event_Ticket{Ticket: &events.Ticket{
			Kind: way.kind, Status: status, PlatformStatus: string(t.Status), Priority: priority, Channel: way.channel, Subject: string(t.TypeName),
			CreatedMs: created, FirstAnswerMs: firstAnswer(&t), SolvedMs: solvedAt(status, modified), Agent: string(t.Agent), Group: string(t.Group),
			Satisfaction: rating(t.Score),
		}},
	}, nil
}

// firstAnswer is when staff first did something about a ticket; 0 where the
// desk does not say. That what was done is listed in these words is assumed.
func firstAnswer(t *ticket) int64 {
	var first int64
	for _, d := range t.Deals {
		if at := moment(d.AtMs, ""); !byCustomer(d.StartType) && at > 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}

// solvedAt is when a ticket was solved: its last change, since the desk names
// no other time. A later change of a solved ticket moves it.
func solvedAt(status events.TicketStatus, modified int64) int64 {
	if status == events.TicketStatus_TICKET_STATUS_SOLVED || status == events.TicketStatus_TICKET_STATUS_CLOSED {
		return modified
	}
	return 0
}

// rating is a score of 1 to 5; any other is none.
func rating(score text) int32 {
	n, err := score.Whole()
	if err != nil || n < 1 || n > 5 {
		return 0
	}
	return int32(n)
}

// year9999 is the last millisecond that is taken for a time.
const year9999 = 253_402_300_799_999

// moment is a time in milliseconds, or the text beside it where it is missing;
// 0 for none.
func moment(ms whole, beside text) int64 {
	if ms > 0 && ms <= year9999 {
		return int64(ms)
	}
	if at, err := time.ParseInLocation(time.DateTime, strings.TrimSpace(string(beside)), zone); err == nil {
		return max(at.UnixMilli(), 0)
	}
	return 0
}

// plainPhone is a mainland mobile number in clear, or one of another country
// with its +. A masked one holds stars.
var plainPhone = regexp.MustCompile(`^((\+?86[- ]?)?1[3-9][0-9]{9}|\+[1-9][0-9]{6,14})$`)

// mainland is what a mainland number may have before its 11 digits.
var mainland = regexp.MustCompile(`^\+?86[- ]?(1[3-9][0-9]{9})$`)

// mainlandForm is a mainland number as its 11 digits alone, any other as it is.
func mainlandForm(phone string) string { return mainland.ReplaceAllString(phone, "$1") }

// plainEmail is an address in clear.
var plainEmail = regexp.MustCompile(`^[^\s@*]+@[^\s@*]+\.[^\s@*]+$`)

// contacts are the values of a comma list that are in clear, in one form each,
// sorted, so that their order in the list does not matter.
func contacts(list text, plain *regexp.Regexp, form func(string) string) []string {
	var out []string
	for value := range strings.FieldsFuncSeq(string(list), func(r rune) bool { return r == ',' || r == '，' || r == ';' }) {
		if value = strings.TrimSpace(value); plain.MatchString(value) {
			out = append(out, form(value))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// customer is the account of a ticket's customer, and what is known of him.
func (m mapper) customer(t *ticket) (string, *events.Person) {
	phones := contacts(t.Phones, plainPhone, mainlandForm)
	emails := contacts(t.Emails, plainEmail, strings.ToLower)
	role := events.Role_ROLE_AGENT
	if byCustomer(t.StartType) || m.staffJoins {
		role = events.Role_ROLE_BUYER
	}
	var seen []*events.Sighting
	see := func(typ, value, scope string) {
		seen = append(seen, &events.Sighting{Type: typ, Value: value, Role: role, Scope: scope})
	}
	for _, phone := range phones {
		see("phone", phone, "")
	}
	for _, email := range emails {
		see("email", email, "")
	}
	if t.PartnerID != "" {
		// The brand itself gave it to the desk, whoever opened the ticket.
		seen = append(seen, &events.Sighting{Type: m.partnerType, Value: string(t.PartnerID), Role: events.Role_ROLE_BUYER, Scope: m.partnerScope})
	}
	var person *events.Person
	if len(seen) > 0 {
		person = &events.Person{Sightings: seen}
	}
	return m.accountOf(t, phones, emails), person
}

// accountOf is the desk's id of the customer, where it gives one (which names
// it has in a ticket is assumed); else the brand's own, unless that is a phone or
// an e-mail; else a name made of that, or of the first phone or e-mail, under a
// key, which tells neither and is the same in each of his tickets. One account for each ticket would not do: several
// accounts of one shop with one phone are held to be several persons. A ticket
// that names nobody stands for itself.
func (m mapper) accountOf(t *ticket, phones, emails []string) string {
	switch {
	case connectors.Names(string(t.UserID)):
		return m.named("user:", string(t.UserID))
	case connectors.Names(string(t.PartnerID)):
		return m.named("partner:", string(t.PartnerID))
	case len(phones) > 0:
		return m.contact("phone", phones[0])
	case len(emails) > 0:
		return m.contact("email", emails[0])
	}
	return "order:ticket-" + string(t.ID)
}

// named is an account by an id. An account stands in clear wherever it is stored
// or shown, so that an id which is a phone or an e-mail is a contact.
func (m mapper) named(whose, id string) string {
	if phones := contacts(text(unspaced.Replace(id)), plainPhone, mainlandForm); len(phones) > 0 {
		return m.contact("phone", phones[0])
	}
	if emails := contacts(text(id), plainEmail, strings.ToLower); len(emails) > 0 {
		return m.contact("email", emails[0])
	}
	return whose + id
}

// unspaced takes out what people part a phone's digits by.
var unspaced = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "")

func (m mapper) contact(typ, value string) string {
	mac := hmac.New(sha256.New, m.contactKey)
	_, _ = mac.Write([]byte("sobot contact\x00" + typ + "\x00" + value)) // a hash takes everything
	return "contact:" + hex.EncodeToString(mac.Sum(nil)[:16])
}
