package connectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Read forwards, a list gives each of its rows once and in order, whatever its pages
// say of others, and whatever the platform answers behind the last.
func TestForwards(t *testing.T) {
	t.Parallel()
	behinds := map[string]func(last Rows) (Rows, error){
		"empty":   func(Rows) (Rows, error) { return Rows{}, nil },
		"refused": func(Rows) (Rows, error) { return Rows{}, &Error{Class: StopStream} },
		"again":   func(last Rows) (Rows, error) { return last, nil },
	}
	for seed := range uint64(500) {
		chance := rand.New(rand.NewPCG(seed, 1))
		for name, behind := range behinds {
			total, size := chance.IntN(30), 1+chance.IntN(8)
			given := max(1, size-chance.IntN(3)) // rows a page has, whatever was asked for
			says := [...]string{"total", "more", "nothing", "that none follow"}[chance.IntN(4)]
			if says == "that none follow" || name == "again" && says == "total" {
				given = size // nothing tells then that fewer are given
			}
			calls := 0
			page := func(number int) Rows {
				var p Rows
				for i := (number - 1) * given; i < min(number*given, total); i++ {
					p.Rows = append(p.Rows, json.RawMessage(strconv.Itoa(i)))
				}
				switch says {
				case "total":
					p.Total = total
				case "more":
					p.More = number*given < total
				case "nothing":
					p.Silent = true
				}
				return p
			}
			l := &Listing{Size: size, Page: func(_ context.Context, _ Window, number int, _ bool) (Rows, error) {
				calls++
				if last := max(1, (total+given-1)/given); number > last {
					return behind(page(last))
				}
				return page(number), nil
			}}
			var got []json.RawMessage
			ends := 0
			err := l.Forwards(t.Context(), Window{}, func(p Part) error {
				got = append(got, p.Rows...)
				if p.Last {
					ends++
				}
				return nil
			})
			about := fmt.Sprintf("seed %d: %d rows of pages of %d, asked for %d, that say %s; behind them %s", seed, total, given, size, says, name)
			if err != nil || len(got) != total || ends != 1 || calls > (total+given-1)/given+2 {
				t.Errorf("%s: %d rows, %d ends, %d calls, %v", about, len(got), ends, calls, err)
			}
			for i, row := range got {
				if string(row) != strconv.Itoa(i) {
					t.Fatalf("%s: row %d is %s", about, i, row)
				}
			}
		}
	}
}

// A page that says that more follow, and a refusal of it, is no end; nor are pages
// without rows for ever, nor a shop that stops behind a full page.
func TestForwardsThatContradict(t *testing.T) {
	t.Parallel()
	row := []json.RawMessage{json.RawMessage("1")}
	for name, c := range map[string]struct {
		more bool
		next Rows
		err  error
		want error
	}{
		"refused":          {more: true, err: &Error{Class: StopStream}},
		"away":             {more: true, err: errors.New("away")},
		"empty for ever":   {more: true, next: Rows{More: true}, want: ErrNoEnd},
		"the shop stopped": {err: &Error{Class: StopShop, Kind: ErrReauthorise}, want: ErrReauthorise},
		"a right is gone":  {err: &Error{Class: StopStream, Kind: ErrForbidden}, want: ErrForbidden},
		"the method gone":  {err: &Error{Class: StopStream, Kind: ErrGone}, want: ErrGone},
	} {
		calls := 0
		l := &Listing{Size: 1, Page: func(_ context.Context, _ Window, number int, _ bool) (Rows, error) {
			calls++
			if number == 1 {
				return Rows{Rows: row, More: c.more}, nil
			}
			return c.next, c.err
		}}
		err := l.Forwards(t.Context(), Window{}, func(p Part) error {
			if p.Last {
				t.Errorf("%s: page %d is the last", name, p.Number)
			}
			return nil
		})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || calls > 2*EmptyPages {
			t.Errorf("%s: %v after %d calls", name, err, calls)
		}
	}
}
