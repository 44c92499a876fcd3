package connectors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/normalize"
)

// What a platform says of how many rows there are is not always so: totals that are
// too low or missing, pages of fewer rows than were asked for, pages that are empty
// before others, numbers behind the last page that give it again or are refused.
// What is in the window comes all the same, and each lie costs few calls.
func TestTotalsThatLie(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		chance := rand.New(rand.NewPCG(seed, 2))
		in, size := chance.IntN(120), 2+chance.IntN(20)
		served, says := size, func(total int) int { return total }
		lie := chance.IntN(6)
		switch lie {
		case 0:
			says = func(total int) int { return total / 3 }
		case 1:
			says = func(int) int { return 0 }
		case 2:
			served = 1 + chance.IntN(size) // fewer rows a page than were asked for
		case 3:
			says = func(total int) int { return total + size*chance.IntN(3) }
		}
		behind := chance.IntN(3) // what a number behind the last page gives
		calls, late := 0, 0
		l := Listing{Size: size, Page: func(_ context.Context, _ Window, number int, first bool) (Rows, error) {
			calls++
			at, total := (number-1)*served, in
			if at >= in && in > 0 {
				late++
				switch behind {
				case 0:
					return Rows{}, &Error{Class: StopStream, Message: "no such page"}
				case 1:
					at = (in - 1) / served * served
				}
			}
			page := Rows{Rows: rowsOf(numbers(min(at, in), min(at+served, in)))}
			if first || lie%2 == 0 {
				page.Total = says(total)
			}
			return page, nil
		}}
		if lie == 3 && behind == 0 {
			continue // it refuses what it says that it has
		}
		came := make(map[string]bool)
		err := l.Window(t.Context(), Window{time.Unix(100, 0), time.Unix(200, 0)}, func(p Part) error {
			for _, row := range p.Rows {
				came[string(row)] = true
			}
			return nil
		})
		if lie == 3 && in == 0 && errors.Is(err, errNoRows) {
			continue // it counts rows and gives none
		}
		if err != nil || len(came) != in {
			t.Fatalf("seed %d, lie %d, behind %d: %d rows of %d came, pages of %d for %d: %v", seed, lie, behind, len(came), in, served, size, err)
		}
		if pages := in/served + 1; calls > 4*pages+6 || lie > 3 && in%size != 0 && late > 0 {
			t.Errorf("seed %d, lie %d, behind %d: %d calls, %d of them behind the last of %d pages", seed, lie, behind, calls, late, pages)
		}
	}
}

func numbers(from, to int) []int {
	var all []int
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

// A page without rows that says that more follow is passed over; a platform that
// says so for ever is an error, and no calls without an end. One that counts rows
// and gives none has not read the window.
func TestPagesWithoutRows(t *testing.T) {
	t.Parallel()
	window := Window{time.Unix(100, 0), time.Unix(200, 0)}
	for name, c := range map[string]struct {
		page  func(number int) Rows
		came  int
		error error
	}{
		"a page between": {func(number int) Rows {
			switch number {
			case 1, 3:
				return Rows{Rows: rowsOf(numbers(number*10, number*10+2)), More: number < 3}
			}
			return Rows{More: number < 3}
		}, 4, nil},
		"more for ever":   {func(int) Rows { return Rows{More: true} }, 0, ErrNoEnd},
		"the same again":  {func(int) Rows { return Rows{Rows: rowsOf([]int{1, 2}), More: true} }, 2, nil},
		"counted, absent": {func(int) Rows { return Rows{Total: 7} }, 0, errNoRows},
	} {
		calls := 0
		l := Listing{Size: 5, Page: func(_ context.Context, _ Window, number int, _ bool) (Rows, error) {
			if calls++; calls > 100 {
				t.Fatalf("%s: it asks for ever", name)
			}
			return c.page(number), nil
		}}
		came := make(map[string]bool)
		last := false
		err := l.Window(t.Context(), window, func(p Part) error {
			for _, row := range p.Rows {
				came[string(row)] = true
			}
			last = p.Last
			return nil
		})
		if !errors.Is(err, c.error) || len(came) != c.came || last != (c.error == nil) {
			t.Errorf("%s: %d rows of %d, the window read: %v, %v", name, len(came), c.came, last, err)
		}
		if ClassOf(c.error) != Retry {
			t.Errorf("%s: its class is %s", name, ClassOf(c.error))
		}
	}
}

// More rows than a window may have are found out while it is read, too.
func TestAWindowThatIsFullerThanItSays(t *testing.T) {
	t.Parallel()
	came := make(map[string]bool)
	widest := 0
	l := Listing{Size: 5, MaxRows: 20, Page: func(_ context.Context, w Window, number int, _ bool) (Rows, error) {
		in := numbers(int(w.From.Unix()), int(w.To.Unix()))
		widest = max(widest, number)
		return Rows{Total: 5, Rows: rowsOf(in[min((number-1)*5, len(in)):min(number*5, len(in))])}, nil
	}}
	if err := l.Window(t.Context(), Window{time.Unix(100, 0), time.Unix(200, 0)}, func(p Part) error {
		for _, row := range p.Rows {
			came[string(row)] = true
		}
		return nil
	}); err != nil || len(came) != 100 || widest > 6 {
		t.Errorf("%d rows of 100, page %d: %v", len(came), widest, err)
	}
}

// Behind a page that is full a refusal ends the list, unless a shorter window is
// answered: then the window is cut, and what lies behind the page comes.
func TestARefusalBehindAFullPage(t *testing.T) {
	t.Parallel()
	tooMany := &Error{Platform: "jd", Class: StopStream, SystemCode: "too many"}
	for name, shorter := range map[string]bool{"takes no number behind the last": false, "has too many rows": true} {
		whole := Window{From: time.Unix(0, 0), To: time.Unix(100, 0)}
		l := Listing{
			Size: 2, Shorter: func(err error) bool { return shorter && errors.Is(err, tooMany) },
			Page: func(_ context.Context, w Window, number int, _ bool) (Rows, error) {
				switch {
				case w != whole:
					id := int(w.From.Unix())
					return Rows{Rows: rowsOf([]int{id}), Total: 1}, nil
				case number > 1:
					return Rows{}, tooMany
				}
				return Rows{Rows: rowsOf([]int{100, 101}), Total: 2}, nil
			},
		}
		var got []string
		err := l.Window(t.Context(), whole, func(p Part) error {
			for _, row := range p.Rows {
				got = append(got, string(row))
			}
			return nil
		})
		cut := !slices.Contains(got, string(rowsOf([]int{100})[0]))
		if err != nil || len(got) != 2 || cut != shorter {
			t.Errorf("%s: rows %v, %v", name, got, err)
		}
	}
}

func TestMendMember(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ raw, want string }{
		"one value is broken":  {`{"status":{"code":0},"result":{"a":01},"b":1}`, `{"status":{"code":0},"result":"{\"a\":01}","b":1}`},
		"a control character":  {"{\"result\":{\"a\":\"x\x01\"}}", `{"result":"{\"a\":\"x\u0001\"}"}`},
		"another one as well":  {`{"status":{"code":00},"result":{"a":01}}`, ""},
		"cut off":              {`{"status":{"code":0},"result":{"a":01`, ""},
		"cut off behind it":    {`{"status":{"code":0},"result":{"a":01}`, ""},
		"there is none":        {`{"status":{"code":0}}`, ""},
		"no object":            {`<html>`, ""},
		"it stands there more": {`{"result":{"a":01},"result":{"a":2}}`, `{"result":"{\"a\":01}","result":{"a":2}}`},
	} {
		got, ok := MendMember([]byte(c.raw), "result")
		if ok != (c.want != "") || ok && string(got) != c.want {
			t.Errorf("%s: %s, %t, want %s", name, got, ok, c.want)
		}
	}
}

// The lists of an answer are mended however deep its envelope puts them.
func TestMendInAnEnvelope(t *testing.T) {
	t.Parallel()
	broken := "{\"id\":2,\"note\":\"a\tb\"}"
	envelope := fmt.Sprintf(`{"a_response":{"has_next":false,"rows":{"row":[{"id":1},%s,{"id":3,"in":[{"x":1}]}]}}}`, broken)
	mended, ok := Mend([]byte(envelope))
	if !ok {
		t.Fatal("it is not mended")
	}
	rows := Elements(Find(Find(Find(mended, "a_response")[0], "rows")[0], "row")[0])
	whole, bad := Unbroken(rows, "page 1")
	if len(whole) != 2 || len(bad) != 1 || !bytes.Equal(bad[0].Raw, []byte(broken)) || !errors.Is(bad[0].Err, ErrBroken) || bad[0].Origin != "page 1" {
		t.Errorf("%q, %q", whole, bad)
	}
	for cut := range envelope {
		if mended, ok := Mend([]byte(envelope[:cut])); ok {
			t.Errorf("cut off after %d bytes it became %s", cut, mended)
		}
	}
	if mended, ok := Mend([]byte(strings.Repeat(`{"a":`, 40) + `[01]` + strings.Repeat(`}`, 40))); ok {
		t.Errorf("forty objects deep it is mended: %s", mended)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{"": false, "0": false, "000": false, "null": false, "Undefined": false, "AAG**": false, "t**": false, "AAGx0": true, "10": true, "1@#q04a=": true,
		"t●●1": false, "t••1": false, "t＊＊1": false, "李某": false, "12xxxx89": false, "12....89": false, "$AAE=$1$$": false, "xx12": true, "AAxx0": true} {
		if Names(id) != want {
			t.Errorf("Names(%q) = %t", id, !want)
		}
	}
}

// What identity holds to be masked is no account.
func TestNamesKnowsTheMasksOfIdentity(t *testing.T) {
	t.Parallel()
	signs, masked := []rune("*∗✱﹡＊•●×✕■█某·○□….#?~$xX12A"), 0
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 1))
		id := make([]rune, 1+r.IntN(6))
		for i := range id {
			id[i] = signs[r.IntN(len(signs))]
		}
		_, reason := normalize.Check(identity.WeidianBuyerID, string(id))
		if reason != normalize.Masked {
			continue
		}
		if masked++; Names(string(id)) {
			t.Errorf("seed %d: %q is masked, and names somebody", seed, string(id))
		}
	}
	for _, id := range []string{"", " ", "-", "--", "0", "000", "None", "NULL", "undefined", "nil", "NaN", "N/A", "na", "#N/A", `\N`, "Unknown", "false", "空", "无", " 暂无 ", "没有", "未知", "未填写", "未绑定"} {
		if _, reason := normalize.Check(identity.WeidianBuyerID, id); reason != normalize.Empty || Names(id) {
			t.Errorf("%q is %q, and names somebody: %v", id, reason, Names(id))
		}
	}
	if masked < 1000 {
		t.Fatalf("only %d were masked", masked)
	}
}

func TestLenientTruth(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{`true`: true, `"true"`: true, `1`: true, `"1"`: true, `false`: false, `"false"`: false, `0`: false, `""`: false, `null`: false} {
		var got LenientTruth
		if err := json.Unmarshal([]byte(raw), &got); err != nil || bool(got) != want {
			t.Errorf("%s is %t, %v", raw, got, err)
		}
	}
	if err := json.Unmarshal([]byte(`"yes"`), new(LenientTruth)); err == nil {
		t.Error("yes is taken")
	}
}
