package events

import (
	"fmt"
	"slices"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// A Slab decodes many events with few allocations: messages are cut from
// pieces of memory that hold many, and texts and bytes are parts of the value
// that was decoded, which must not change while the event is used, or lie with what
// was opened. It is for one goroutine. Fields that this version does not know are left out. What it was
// used for stays in it until Reset.
//
// It reads what writers really write; anything else (a message given in two
// parts, a field of another type, text that is no UTF-8) it leaves to
// proto.Unmarshal, whose word is last.
type Slab struct {
	events    slab[decoded]
	orders    slab[Order]
	users     slab[User]
	tickets   slab[Ticket]
	items     slab[OrderItem]
	lines     slab[*OrderItem]
	persons   slab[Person]
	receivers slab[Receiver]
	sightings slab[Sighting]
	seen      slab[*Sighting]
	plain     slab[byte] // what persons were sealed
	context   []byte
}

// decoded is what every event has.
type decoded struct {
	event   Event
	header  Header
	version Version
	order   Event_Order
	user    Event_User
	ticket  Event_Ticket
}

// slab cuts values from pieces of memory, small ones at first.
type slab[T any] struct {
	pieces [][]T // of the last one that is used, what lies before next is
	used   int   // pieces
	next   int
}

// A piece has so many values at most, or as many as take so many bytes, unless more are
// asked for at once.
const (
	mostPiece      = 512
	mostPieceBytes = 64 << 10
)

func (s *slab[T]) most() int {
	var one T
	return max(mostPiece, mostPieceBytes/int(unsafe.Sizeof(one)))
}

func (s *slab[T]) one() *T { return &s.some(1)[0] }

// some cuts n values in a row.
func (s *slab[T]) some(n int) []T {
	s.fit(n)
	t := s.pieces[s.used-1][s.next : s.next+n : s.next+n]
	s.next += n
	return t
}

// more appends one to a list that was cut before.
func (s *slab[T]) more(list []T, one T) []T {
	n := len(list)
	if s.used > 0 && n > 0 && n <= s.next && s.next < len(s.pieces[s.used-1]) && &s.pieces[s.used-1][s.next-n] == &list[0] {
		s.next++ // behind it nothing was cut
		list = s.pieces[s.used-1][s.next-n-1 : s.next : s.next]
	} else {
		s.fit(2 * (n + 1)) // many move seldom
		longer := s.some(n + 1)
		copy(longer, list)
		list = longer
	}
	list[n] = one
	return list
}

// fit makes room for n values in a row.
func (s *slab[T]) fit(n int) {
	if n > s.most() && (s.used == 0 || len(s.pieces[s.used-1])-s.next < n) {
		// A piece of its own, before those that nothing is in yet: they are for what follows.
		s.pieces = slices.Insert(s.pieces, s.used, make([]T, n))
		s.used, s.next = s.used+1, 0
		return
	}
	for s.used == 0 || len(s.pieces[s.used-1])-s.next < n {
		if s.used == len(s.pieces) {
			size := 8
			if s.used > 0 {
				size = min(2*len(s.pieces[s.used-1]), s.most())
			}
			s.pieces = append(s.pieces, make([]T, max(size, n)))
		}
		s.used, s.next = s.used+1, 0
	}
}

// reset empties what was cut, all of it or nothing but what is usual.
func (s *slab[T]) reset() {
	for i, piece := range s.pieces[:s.used] {
		if i == s.used-1 {
			piece = piece[:s.next]
		}
		clear(piece)
	}
	s.pieces = slices.DeleteFunc(s.pieces, func(piece []T) bool { return len(piece) > s.most() })
	s.used, s.next = 0, 0
}

// Reset empties all events that were decoded since the last time, for their memory
// is used again: none of them may be used from then on.
func (s *Slab) Reset() {
	s.events.reset()
	s.orders.reset()
	s.users.reset()
	s.tickets.reset()
	s.items.reset()
	s.lines.reset()
	s.persons.reset()
	s.receivers.reset()
	s.sightings.reset()
	s.seen.reset()
	s.plain.reset()
}

// Decode is Decode into the slab.
func (s *Slab) Decode(value []byte) (*Event, error) {
	e, ok := s.event(value)
	if !ok {
		e = new(Event)
		return e, Decode(value, e)
	}
	return e, Check(e)
}

// OpenPerson is OpenPerson into the slab, from where its texts are parts too.
func (s *Slab) OpenPerson(e *Event, keys Sealer) (*Person, error) {
	h := e.GetHeader()
	if len(h.GetSealedPerson()) == 0 {
		return h.GetPerson(), nil
	}
	s.context = appendContext(s.context[:0], h, "person")
	plain, err := keys.Open(s.plain.some(len(h.GetSealedPerson()))[:0], h.GetSealedPerson(), s.context)
	if err != nil {
		return nil, fmt.Errorf("events: open the person: %w", err)
	}
	person, ok := s.person(plain)
	if !ok {
		person = new(Person)
		if err := proto.Unmarshal(plain, person); err != nil {
			return nil, fmt.Errorf("events: open the person: %w", err)
		}
	}
	return person, nil
}

// cursor goes through a message's fields. It moves by numbers: a slice that is
// written through a pointer at each field has to be told to the garbage collector
// each time while that runs, which was a twelfth of the flow's time.
type cursor struct {
	message  []byte
	at       int
	number   int
	kind     protowire.Type
	value    uint64 // of a varint, or a length
	from, to int    // of what has a length
	odd      bool   // there is something that is left to proto.Unmarshal
}

// next goes to the next field; false at the end.
func (c *cursor) next() bool {
	if c.odd || c.at >= len(c.message) {
		return false
	}
	var n int
	// Nearly always one byte: a number up to 15.
	if tag := c.message[c.at]; tag < 0x80 && tag >= 8 {
		c.number, c.kind, n = int(tag>>3), protowire.Type(tag&7), 1
	} else {
		var number protowire.Number
		if number, c.kind, n = protowire.ConsumeTag(c.message[c.at:]); n < 0 || number > protowire.MaxValidNumber {
			c.odd = true
			return false
		}
		c.number = int(number)
	}
	c.at += n
	if c.kind != protowire.VarintType && c.kind != protowire.BytesType || c.at == len(c.message) {
		c.odd = true // no field of ours
		return false
	}
	// A number, or how many bytes there are: mostly one byte too.
	if b := c.message[c.at]; b < 0x80 {
		c.value = uint64(b)
		c.at++
	} else {
		if c.value, n = protowire.ConsumeVarint(c.message[c.at:]); n < 0 {
			c.odd = true
			return false
		}
		c.at += n
	}
	if c.kind == protowire.BytesType {
		if c.value > uint64(len(c.message)-c.at) {
			c.odd = true
			return false
		}
		c.from, c.to = c.at, c.at+int(c.value)
		c.at = c.to
	}
	return true
}

func (c *cursor) bytes() []byte {
	c.odd = c.odd || c.kind != protowire.BytesType
	return c.message[c.from:c.to:c.to]
}

func (c *cursor) text() string {
	b := c.bytes()
	if !utf8.Valid(b) {
		c.odd = true
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (c *cursor) int() int64 {
	c.odd = c.odd || c.kind != protowire.VarintType
	return int64(c.value)
}

func (c *cursor) bool() bool { return c.int() != 0 }

func (s *Slab) event(b []byte) (*Event, bool) {
	d := s.events.one()
	e := &d.event
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return e, !c.odd
		}
		ok := true
		switch c.number {
		case 1:
			ok = e.Header == nil && s.header(c.bytes(), d)
			e.Header = &d.header
		case 2:
			d.order.Order = s.orders.one()
			ok = e.Body == nil && s.order(c.bytes(), d.order.Order)
			e.Body = &d.order
		case 4:
			d.user.User = s.users.one()
			ok = e.Body == nil && user(c.bytes(), d.user.User)
			e.Body = &d.user
		case 5:
			d.ticket.Ticket = s.tickets.one()
			ok = e.Body == nil && ticket(c.bytes(), d.ticket.Ticket)
			e.Body = &d.ticket
		case 3, 6: // few: refunds and spend
			return nil, false
		}
		c.odd = c.odd || !ok
	}
}

func (s *Slab) header(b []byte, d *decoded) bool {
	h := &d.header
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			h.Platform = c.text()
		case 2:
			h.Shop = c.text()
		case 3:
			h.EntityId = c.text()
		case 4:
			ok := h.Version == nil && version(c.bytes(), &d.version)
			c.odd = c.odd || !ok // bytes too says that it is
			h.Version = &d.version
		case 5:
			h.Account = c.text()
		case 6:
			h.Deleted = c.bool()
		case 7:
			h.Raw = c.bytes()
		case 8:
			person, ok := s.person(c.bytes())
			c.odd = c.odd || h.Person != nil || !ok
			h.Person = person
		case 9:
			h.SealedPerson = c.bytes()
		case 10:
			h.Stream = c.text()
		}
	}
}

func version(b []byte, v *Version) bool {
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			v.ModifiedMs = c.int()
		case 2:
			v.Source = Source(c.int())
		case 3:
			v.ObservedMs = c.int()
		case 4:
			v.Revision = uint32(c.int())
		}
	}
}

func (s *Slab) order(b []byte, o *Order) bool {
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			o.Status = OrderStatus(c.int())
		case 2:
			o.PlatformStatus = c.text()
		case 3:
			o.OrderType = c.text()
		case 4:
			o.CreatedMs = c.int()
		case 5:
			o.PaidMs = c.int()
		case 6:
			o.ShippedMs = c.int()
		case 7:
			o.FinishedMs = c.int()
		case 8:
			o.Currency = c.text()
		case 9:
			o.GoodsMinor = c.int()
		case 10:
			o.FreightMinor = c.int()
		case 11:
			o.SellerDiscountMinor = c.int()
		case 12:
			o.PlatformDiscountMinor = c.int()
		case 13:
			o.TalentDiscountMinor = c.int()
		case 14:
			o.PayableMinor = c.int()
		case 15:
			o.PaidMinor = c.int()
		case 16:
			item := s.items.one()
			ok := orderItem(c.bytes(), item)
			c.odd = c.odd || !ok
			o.Items = s.lines.more(o.Items, item)
		case 17:
			o.Channel = c.text()
		case 18:
			o.LiveRoom = c.text()
		case 19:
			o.Referrer = c.text()
		case 20:
			o.Province = c.text()
		case 21:
			o.City = c.text()
		case 22:
			o.District = c.text()
		}
	}
}

func orderItem(b []byte, i *OrderItem) bool {
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			i.ItemId = c.text()
		case 2:
			i.ProductId = c.text()
		case 3:
			i.SkuId = c.text()
		case 4:
			i.MerchantSku = c.text()
		case 5:
			i.Title = c.text()
		case 6:
			i.Quantity = c.int()
		case 7:
			i.UnitPriceMinor = c.int()
		case 8:
			i.PaidMinor = c.int()
		case 9:
			i.Status = OrderStatus(c.int())
		case 10:
			i.PlatformStatus = c.text()
		case 11:
			i.RefundStatus = c.text()
		}
	}
}

func user(b []byte, u *User) bool {
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			u.Nick = c.text()
		case 2:
			u.Member = c.bool()
		case 3:
			u.MemberLevel = c.text()
		case 4:
			u.MemberSinceMs = c.int()
		case 5:
			u.Points = c.int()
		case 6:
			u.Province = c.text()
		case 7:
			u.City = c.text()
		case 8:
			u.CreatedMs = c.int()
		}
	}
}

func ticket(b []byte, t *Ticket) bool {
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			t.Kind = c.text()
		case 2:
			t.Status = TicketStatus(c.int())
		case 3:
			t.PlatformStatus = c.text()
		case 4:
			t.Priority = c.text()
		case 5:
			t.Channel = c.text()
		case 6:
			t.Subject = c.text()
		case 7:
			t.OrderId = c.text()
		case 8:
			t.ItemId = c.text()
		case 9:
			t.Currency = c.text()
		case 10:
			t.AmountMinor = c.int()
		case 11:
			t.CreatedMs = c.int()
		case 12:
			t.FirstAnswerMs = c.int()
		case 13:
			t.SolvedMs = c.int()
		case 14:
			t.Agent = c.text()
		case 15:
			t.Group = c.text()
		case 16:
			t.Satisfaction = int32(c.int())
		}
	}
}

func (s *Slab) person(b []byte) (*Person, bool) {
	p := s.persons.one()
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return p, !c.odd
		}
		switch c.number {
		case 1:
			one := s.sightings.one()
			ok := sighting(c.bytes(), one)
			c.odd = c.odd || !ok
			p.Sightings = s.seen.more(p.Sightings, one)
		case 2:
			one := s.receivers.one()
			ok := p.Receiver == nil && receiver(c.bytes(), one)
			c.odd = c.odd || !ok
			p.Receiver = one
		}
	}
}

func sighting(b []byte, s *Sighting) bool {
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			s.Type = c.text()
		case 2:
			s.Value = c.text()
		case 3:
			s.Role = Role(c.int())
		case 4:
			s.Scope = c.text()
		}
	}
}

func receiver(b []byte, r *Receiver) bool {
	for c := (cursor{message: b}); ; {
		if !c.next() {
			return !c.odd
		}
		switch c.number {
		case 1:
			r.Name = c.text()
		case 2:
			r.Phone = c.text()
		case 3:
			r.Province = c.text()
		case 4:
			r.City = c.text()
		case 5:
			r.District = c.text()
		case 6:
			r.Town = c.text()
		case 7:
			r.Detail = c.text()
		}
	}
}
