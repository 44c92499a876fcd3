package events

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// anyMessage fills a message's fields at random; of several of which one can
// be there, each has the same chance.
func anyMessage(r *rand.Rand, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if of := f.ContainingOneof(); of != nil {
			if f != of.Fields().Get(0) {
				continue
			}
			f = of.Fields().Get(r.IntN(of.Fields().Len()))
		}
		if r.IntN(4) == 0 || f.Kind() == protoreflect.MessageKind && depth == 0 {
			continue
		}
		switch {
		case f.IsList():
			list := m.Mutable(f).List()
			for range r.IntN(4) {
				anyMessage(r, list.AppendMutable().Message(), depth-1)
			}
		case f.Kind() == protoreflect.MessageKind:
			anyMessage(r, m.Mutable(f).Message(), depth-1)
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(strings.Repeat("字", r.IntN(60))+"a"))
		case f.Kind() == protoreflect.BytesKind:
			m.Set(f, protoreflect.ValueOfBytes(bytes.Repeat([]byte{0xff, 0}, r.IntN(200))))
		case f.Kind() == protoreflect.BoolKind:
			m.Set(f, protoreflect.ValueOfBool(r.IntN(2) == 0))
		case f.Kind() == protoreflect.EnumKind:
			m.Set(f, protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.Int32N(12)-1)))
		case f.Kind() == protoreflect.Int64Kind:
			m.Set(f, protoreflect.ValueOfInt64(r.Int64()-r.Int64()))
		case f.Kind() == protoreflect.Int32Kind:
			m.Set(f, protoreflect.ValueOfInt32(r.Int32()-r.Int32()))
		case f.Kind() == protoreflect.Uint32Kind:
			m.Set(f, protoreflect.ValueOfUint32(r.Uint32()))
		default:
			panic("the slab does not know " + f.Kind().String())
		}
	}
}

// wantSame compares what the slab and what proto.Unmarshal read in a value.
func wantSame(t *testing.T, s *Slab, value []byte) {
	t.Helper()
	want := new(Event)
	wantErr := Decode(value, want)
	got, err := s.Decode(value)
	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("%x: the slab says %v, want %v", value, err, wantErr)
	}
	if err != nil {
		return
	}
	dropUnknown(want.ProtoReflect())
	dropUnknown(got.ProtoReflect()) // what it left to proto.Unmarshal
	if !proto.Equal(got, want) {
		t.Fatalf("%x:\n got %v\nwant %v", value, got, want)
	}
}

func dropUnknown(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				dropUnknown(v.List().Get(i).Message())
			}
		default:
			dropUnknown(v.Message())
		}
		return true
	})
}

func TestSlabReadsWhatProtobufReads(t *testing.T) {
	s := new(Slab)
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 7))
		e := new(Event)
		anyMessage(r, e.ProtoReflect(), 4)
		value, err := Marshal(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		wantSame(t, s, value)
		// A body in two parts, or two bodies.
		other := new(Event)
		anyMessage(r, other.ProtoReflect(), 4)
		other.Header = nil
		if more, err := Marshal(bytes.Clone(value), other); err != nil {
			t.Fatal(err)
		} else {
			wantSame(t, s, more)
		}
		// Spoilt anywhere, both read the same or refuse it alike.
		if len(value) > 0 {
			value = bytes.Clone(value)
			for range 1 + r.IntN(3) {
				value[r.IntN(len(value))] = byte(r.Uint32())
			}
			wantSame(t, s, value[:1+r.IntN(len(value))])
			wantSame(t, s, append(value, value...)) // each message in two parts
		}
	}
}

// A number where a message belongs is no message: least of all the field before it.
func TestSlabReadsNoNumberAsAMessage(t *testing.T) {
	field := func(number protowire.Number, message []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), message)
	}
	number := func(n protowire.Number) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), 1)
	}
	text := field(1, []byte("\x0a\x01a")) // is a message as well
	header := slices.Concat(field(1, []byte("p")), field(2, []byte("s")), field(3, []byte("e")), field(5, []byte("a")))
	version := field(4, number(1))
	for name, value := range map[string][]byte{
		"version":  slices.Concat(field(1, slices.Concat(header, field(5, []byte("\x08\x07")), number(4))), field(2, nil)),
		"item":     slices.Concat(field(1, slices.Concat(header, version)), field(2, slices.Concat(field(2, []byte("\x0a\x01a")), number(16)))),
		"sighting": slices.Concat(field(1, slices.Concat(header, version, field(8, slices.Concat(text, number(1))))), field(2, nil)),
		"receiver": slices.Concat(field(1, slices.Concat(header, version, field(8, slices.Concat(text, number(2))))), field(2, nil)),
	} {
		t.Run(name, func(t *testing.T) { wantSame(t, new(Slab), value) })
	}
}

func FuzzSlab(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 7))
	for range 20 {
		e := new(Event)
		anyMessage(r, e.ProtoReflect(), 4)
		value, err := Marshal(nil, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) { wantSame(t, new(Slab), value) })
}

func BenchmarkSlab(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 7))
	values := make([][]byte, 1000)
	size := 0
	for i := range values {
		e := &Event{Body: &Event_Order{Order: new(Order)}, Header: &Header{Platform: "p", Shop: "s", EntityId: "e", Account: "a"}}
		anyMessage(r, e.GetOrder().ProtoReflect(), 2)
		e.Header.Raw, e.Header.Version = make([]byte, 400), &Version{ModifiedMs: 1}
		values[i], _ = Marshal(nil, e)
		size += len(values[i])
	}
	for name, decode := range map[string]func(s *Slab, value []byte) error{
		"protobuf": func(_ *Slab, value []byte) error { return Decode(value, new(Event)) },
		"slab":     func(s *Slab, value []byte) error { _, err := s.Decode(value); return err },
	} {
		b.Run(name, func(b *testing.B) {
			s := new(Slab)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for _, value := range values {
					if err := decode(s, value); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// What is decoded into a slab that was used before is what a new one decodes, and of
// what it was used for nothing is left.
func TestSlabIsUsedAgain(t *testing.T) {
	s := new(Slab)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 8))
		var before []*Event
		for range 1 + r.IntN(40) {
			e := new(Event)
			anyMessage(r, e.ProtoReflect(), 4)
			value, err := Marshal(nil, e)
			if err != nil {
				t.Fatal(err)
			}
			wantSame(t, s, value)
			if got, ok := s.event(value); ok {
				before = append(before, got)
			}
		}
		s.Reset()
		for _, e := range before {
			if e.Header != nil || e.Body != nil {
				t.Fatalf("after Reset an event still says %v", e)
			}
		}
	}
}

// A person that is opened into the slab is the one that protobuf reads, whatever is opened
// before and after it; what cannot be opened is refused alike; and after Reset nothing of
// what was sealed is left.
func TestSlabOpensPersons(t *testing.T) {
	keys, s := newSealer(), new(Slab)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 9))
		type pair struct{ got, want *Person }
		var pairs []pair
		for range 1 + r.IntN(40) {
			e := &Event{Header: &Header{Platform: "tmall", Shop: "s", EntityId: strings.Repeat("7", r.IntN(40))}}
			person := new(Person)
			anyMessage(r, person.ProtoReflect(), 4)
			if r.IntN(9) > 0 {
				e.Header.Person = person
			}
			if r.IntN(5) > 0 {
				if err := Seal(e, keys); err != nil {
					t.Fatal(err)
				}
			}
			if sealed := e.Header.SealedPerson; len(sealed) > 0 && r.IntN(9) == 0 {
				sealed[r.IntN(len(sealed))] ^= 1
			}
			if r.IntN(9) == 0 { // what is no person
				e.Header.SealedPerson = keys.Seal(nil, bytes.Repeat([]byte{8}, r.IntN(4000)), context(e.Header, "person"))
			}
			want, wantErr := OpenPerson(e, keys)
			got, err := s.OpenPerson(e, keys)
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("seed %d: the slab says %v, want %v", seed, err, wantErr)
			}
			pairs = append(pairs, pair{got, want})
		}
		for _, p := range pairs {
			if p.want != nil {
				dropUnknown(p.want.ProtoReflect())
				dropUnknown(p.got.ProtoReflect())
			}
			if !proto.Equal(p.got, p.want) {
				t.Fatalf("seed %d: \n got %v\nwant %v", seed, p.got, p.want)
			}
		}
		s.Reset()
		for _, piece := range s.plain.pieces {
			if bytes.ContainsFunc(piece, func(c rune) bool { return c != 0 }) {
				t.Fatalf("seed %d: after Reset the slab still holds %q", seed, piece)
			}
		}
	}
}

func BenchmarkSlabOpensPersons(b *testing.B) {
	keys, s := newSealer(), new(Slab)
	list := make([]*Event, 1000)
	for i := range list {
		list[i] = order()
		list[i].Header.Person.Receiver = &Receiver{Name: "李*", Phone: "138****1111", Province: "浙江省", City: "杭州市", District: "余杭区", Detail: "文一西路****"}
		if err := Seal(list[i], keys); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, e := range list {
			if _, err := s.OpenPerson(e, keys); err != nil {
				b.Fatal(err)
			}
		}
		s.Reset()
	}
}

// However many persons are large, a slab has no more pieces for it.
func TestSlabDoesNotGrowByLargePieces(t *testing.T) {
	var s slab[byte]
	round := func() int {
		for range 100 {
			s.some(s.most() / 2)
		}
		s.some(10 * s.most())
		for range 100 {
			s.some(s.most() / 2)
		}
		s.reset()
		return len(s.pieces)
	}
	round()
	first := round()
	for range 10 {
		if n := round(); n > first {
			t.Fatalf("a slab of %d pieces has %d, used as before", first, n)
		}
	}
}
