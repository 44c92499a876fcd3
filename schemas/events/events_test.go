package events

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"math"
	"math/big"
	randv2 "math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// sealer is AES-256-GCM under a key of its own.
type sealer struct{ aead cipher.AEAD }

func newSealer() sealer {
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	return sealer{aead}
}

func (s sealer) Seal(to, plain, context []byte) []byte { return s.aead.Seal(to, nil, plain, context) }

func (s sealer) Open(to, sealed, context []byte) ([]byte, error) {
	return s.aead.Open(to, nil, sealed, context)
}

func order() *Event {
	return &Event{
		Header: &Header{
			Platform: "tmall", Shop: "flagship", EntityId: "3700000000000000101", Account: "AAGdemo1",
			Version: &Version{ModifiedMs: 1716134501000, Source: Source_SOURCE_API, ObservedMs: 1716134560000, Revision: 1},
			Raw:     bytes.Repeat([]byte(`{"tid":3700000000000000101,"payment":"108.00"}`), 20),
			Person:  &Person{Sightings: []*Sighting{{Type: "phone", Value: "13800001111", Role: Role_ROLE_MEMBER}}},
		},
		Body: &Event_Order{Order: &Order{Status: OrderStatus_ORDER_STATUS_PAID, Currency: "CNY", PaidMinor: 10800,
			Items: []*OrderItem{{ItemId: "1", PaidMinor: 5400}, {ItemId: "2", PaidMinor: 5400}}}},
	}
}

func TestSealHidesAndOpensAgain(t *testing.T) {
	s := newSealer()
	e := order()
	raw, person := bytes.Clone(e.Header.Raw), proto.Clone(e.Header.Person)
	if err := Seal(e, s); err != nil {
		t.Fatal(err)
	}
	value, err := Marshal(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(value, []byte("13800001111")) || bytes.Contains(value, []byte("payment")) {
		t.Error("a personal value is readable in the message")
	}
	var got Event
	if err := Decode(value, &got); err != nil {
		t.Fatal(err)
	}
	if opened, err := OpenRaw(&got, s); err != nil || !bytes.Equal(opened, raw) {
		t.Errorf("OpenRaw = %q, %v; want what was sealed", opened, err)
	}
	if opened, err := OpenPerson(&got, s); err != nil || !proto.Equal(opened, person) {
		t.Errorf("OpenPerson = %v, %v; want what was sealed", opened, err)
	}
	got.Header.EntityId = "another"
	if _, err := OpenPerson(&got, s); err == nil {
		t.Error("a person that was moved to another entity still opens")
	}
	if _, err := OpenRaw(&got, newSealer()); err == nil {
		t.Error("another key opens the payload")
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Event){
		"no header":  func(e *Event) { e.Header = nil },
		"no entity":  func(e *Event) { e.Header.EntityId = "" },
		"no shop":    func(e *Event) { e.Header.Shop = "" },
		"no body":    func(e *Event) { e.Body = nil },
		"no account": func(e *Event) { e.Header.Account = "" },
		"no version": func(e *Event) { e.Header.Version = nil },
		"a slash":    func(e *Event) { e.Header.Shop = "a/b" },
	} {
		t.Run(name, func(t *testing.T) {
			e := order()
			spoil(e)
			value, err := Marshal(nil, e)
			if err != nil {
				t.Fatal(err)
			}
			if err := Decode(value, new(Event)); err == nil {
				t.Error("Decode gave no error")
			}
		})
	}
	if err := Decode([]byte("no protobuf at all"), new(Event)); err == nil {
		t.Error("Decode of noise gave no error")
	}
}

// Packed versions are ordered as their fields are, and unpack to them.
func TestPackVersionKeepsTheOrder(t *testing.T) {
	r := randv2.New(randv2.NewPCG(1, 2))
	// Few values of each field, so that ties in the first ones are common.
	random := func() *Version {
		times := [...]int64{0, 1, 1716134501000, 1716134501001, maxTime}
		return &Version{
			ModifiedMs: times[r.IntN(len(times))], Source: Source(r.IntN(3)),
			ObservedMs: times[r.IntN(len(times))], Revision: uint32(r.IntN(3)),
		}
	}
	compare := func(a, b *Version) int {
		for _, pair := range [][2]int64{{a.ModifiedMs, b.ModifiedMs}, {int64(a.Source), int64(b.Source)}, {a.ObservedMs, b.ObservedMs}, {int64(a.Revision), int64(b.Revision)}} {
			if pair[0] != pair[1] {
				if pair[0] < pair[1] {
					return -1
				}
				return 1
			}
		}
		return 0
	}
	for range 20000 {
		a, b := random(), random()
		ah, al := PackVersion(a)
		bh, bl := PackVersion(b)
		packed := 0
		switch {
		case ah < bh || ah == bh && al < bl:
			packed = -1
		case ah > bh || ah == bh && al > bl:
			packed = 1
		}
		if packed != compare(a, b) {
			t.Fatalf("%v and %v compare %d packed, %d by fields", a, b, packed, compare(a, b))
		}
		if back := UnpackVersion(ah, al); !proto.Equal(back, a) {
			t.Fatalf("UnpackVersion(PackVersion(%v)) = %v", a, back)
		}
	}
}

func TestParseMinor(t *testing.T) {
	for name, c := range map[string]struct {
		text, currency string
		want           int64
		bad            bool
	}{
		"two digits":            {"108.00", "CNY", 10800, false},
		"one digit":             {"1.5", "CNY", 150, false},
		"none":                  {"7", "CNY", 700, false},
		"no whole part":         {".05", "CNY", 5, false},
		"negative":              {"-0.01", "CNY", -1, false},
		"spaces around":         {" 2.00 ", "CNY", 200, false},
		"zeros too many":        {"1.5000", "CNY", 150, false},
		"yen have no fraction":  {"500", "JPY", 500, false},
		"dinars have three":     {"1.234", "KWD", 1234, false},
		"largest":               {"92233720368547758.07", "CNY", math.MaxInt64, false},
		"too large":             {"92233720368547758.08", "CNY", 0, true},
		"much too large":        {"99999999999999999999", "CNY", 0, true},
		"a digit would be lost": {"1.005", "CNY", 0, true},
		"thousands":             {"1,000.00", "CNY", 0, true},
		"exponent":              {"1e3", "CNY", 0, true},
		"word":                  {"free", "CNY", 0, true},
		"empty":                 {"", "CNY", 0, true},
		"point alone":           {".", "CNY", 0, true},
		"two signs":             {"--1", "CNY", 0, true},
		"two points":            {"1.2.3", "CNY", 0, true},
		"full-width numeral":    {"１２", "CNY", 0, true},
		"a plus":                {"+3.10", "CNY", 310, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseMinor(c.text, c.currency)
			if got != c.want || (err != nil) != c.bad {
				t.Errorf("ParseMinor(%q, %s) = %d, %v; want %d, error %v", c.text, c.currency, got, err, c.want, c.bad)
			}
		})
	}
}

func FuzzMoney(f *testing.F) {
	f.Add("108.00", "CNY")
	f.Add("-.5", "JPY")
	f.Fuzz(func(t *testing.T, text, currency string) {
		n, err := ParseMinor(text, currency)
		if err != nil {
			return
		}
		if again, err := ParseMinor(FormatMinor(n, currency), currency); err != nil || again != n {
			t.Errorf("ParseMinor(FormatMinor(%d)) = %d, %v", n, again, err)
		}
	})
}

// Of any amounts, the shares add up, have the total's sign, lie less than one
// from the exact part, and nobody without a weight gets any.
func TestSpreadIsExact(t *testing.T) {
	r := randv2.New(randv2.NewPCG(3, 4))
	for range 5000 {
		weights := make([]int64, 1+r.IntN(8))
		sum := new(big.Int)
		for i := range weights {
			switch r.IntN(8) {
			case 0:
				weights[i] = math.MaxInt64 - r.Int64N(3)
			case 1:
				weights[i] = -r.Int64N(math.MaxInt64)
			case 2:
			default:
				weights[i] = r.Int64N(20000)
			}
			sum.Add(sum, big.NewInt(max(weights[i], 0)))
		}
		total := []int64{r.Int64N(200000) - 20000, math.MaxInt64, math.MinInt64, r.Int64() - r.Int64()}[r.IntN(4)]
		shares := Spread(total, weights)
		if len(shares) != len(weights) {
			t.Fatalf("Spread(%d, %v) = %v", total, weights, shares)
		}
		added := new(big.Int)
		for i, share := range shares {
			added.Add(added, big.NewInt(share))
			if sum.Sign() == 0 {
				continue
			}
			weight := max(weights[i], 0)
			exact := new(big.Int).Mul(big.NewInt(total), big.NewInt(weight))
			off := new(big.Int).Sub(new(big.Int).Mul(big.NewInt(share), sum), exact)
			if off.CmpAbs(sum) >= 0 || weight == 0 && share != 0 || share != 0 && (share > 0) != (total > 0) {
				t.Fatalf("Spread(%d, %v)[%d] = %d, which is not its part", total, weights, i, share)
			}
		}
		if added.Cmp(big.NewInt(total)) != 0 {
			t.Fatalf("Spread(%d, %v) adds up to %v", total, weights, added)
		}
	}
	for name, c := range map[string]struct {
		total         int64
		weights, want []int64
	}{
		"the earlier of equals":   {5, []int64{1, 1}, []int64{3, 2}},
		"the one cut most":        {10, []int64{3, 3, 1}, []int64{4, 4, 2}},
		"negative":                {-5, []int64{1, 1}, []int64{-3, -2}},
		"no weight at all":        {3, []int64{0, 0}, []int64{2, 1}},
		"nobody":                  {3, nil, nil},
		"product beyond 64 bits":  {math.MaxInt64, []int64{math.MaxInt64, math.MaxInt64}, []int64{1 << 62, 1<<62 - 1}},
		"negative counts as none": {7, []int64{-5, 1}, []int64{0, 7}},
	} {
		if got := Spread(c.total, c.weights); !slices.Equal(got, c.want) {
			t.Errorf("%s: Spread(%d, %v) = %v, want %v", name, c.total, c.weights, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	value, err := Marshal(nil, order())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		var e Event
		if Decode(value, &e) != nil {
			return
		}
		again, err := Marshal(nil, &e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := Decode(again, &back); err != nil || !proto.Equal(&e, &back) {
			t.Errorf("the event does not survive its codec: %v", err)
		}
		_, _ = OpenRaw(&e, newSealer())
	})
}

func BenchmarkDecode(b *testing.B) {
	s := newSealer()
	e := order()
	if err := Seal(e, s); err != nil {
		b.Fatal(err)
	}
	value, err := Marshal(nil, e)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		var got Event
		if err := Decode(value, &got); err != nil {
			b.Fatal(err)
		}
		if _, err := OpenPerson(&got, s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	s := newSealer()
	template := order()
	b.ReportAllocs()
	for b.Loop() {
		e := proto.Clone(template).(*Event)
		if err := Seal(e, s); err != nil {
			b.Fatal(err)
		}
		if _, err := Marshal(nil, e); err != nil {
			b.Fatal(err)
		}
	}
}

// A number that became a floating-point number on its way names any of a thousand
// orders; a number or a name that merely looks a little like one does not.
func TestCheckRefusesAFloatForANumber(t *testing.T) {
	t.Parallel()
	for id, refused := range map[string]bool{
		"3.7E+18": true, "3.7000000000000001e18": true, "37e+17": true, "6.91e18": true,
		"3700000000000000101": false, "service:88": false, "4781320682406083640A": false, "12E5": false, "e.5": false, "1.5": false, "2e+": false, "a.1e5": false, "E+": false,
	} {
		e := &Event{Header: &Header{Platform: "p", Shop: "s", EntityId: id, Account: "a", Version: &Version{}}, Body: &Event_Order{Order: &Order{}}}
		if err := Check(e); (err != nil) != refused {
			t.Errorf("%q: %v", id, err)
		} else if err != nil && strings.Contains(err.Error(), id) && id != "3.7E+18" {
			t.Errorf("the error repeats %q", id)
		}
	}
}
