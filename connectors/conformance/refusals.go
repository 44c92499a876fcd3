package conformance

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
)

// refusalWait is what a platform asks for that can say how long a refusal lasts.
const refusalWait = 20 * time.Second

// refused is an answer with a code; one that throttles says how long, where the
// platform can.
func (s Subject) refused(code connectors.Code) *answer {
	wait := time.Duration(0)
	if s.Waits && code.Class == connectors.Throttle {
		wait = refusalWait
	}
	status, body := s.Refusal(code, wait)
	return &answer{status: status, body: []byte(body)}
}

// codes are the table's, and one that it does not know. Of one that stands for
// whatever begins so, something that does.
func (s Subject) codes(t *testing.T) []connectors.Code {
	t.Helper()
	table, err := connectors.ParseCodes(s.Codes)
	if err != nil {
		t.Fatal(err)
	}
	all := append(table.All(), table.Find("987654", ""))
	for i := range all {
		all[i].Sub = strings.Replace(all[i].Sub, "*", "something", 1)
	}
	return all
}

// ofClass is a code of a class; false where the table has none that is tried
// as its class says.
func (s Subject) ofClass(t *testing.T, class connectors.Class) (connectors.Code, bool) {
	t.Helper()
	for _, code := range s.codes(t) {
		if code.Class == class && code.Tries <= 1 && !errors.Is(code.Kind, connectors.ErrClock) && (s.Halves == nil || !s.Halves(code)) {
			return code, true
		}
	}
	return connectors.Code{}, false
}

// tries is how often a call is made in all that is always refused with a code.
func (s Subject) tries(code connectors.Code) int {
	switch {
	case code.Class == connectors.Retry:
		return 5
	case code.Class == connectors.Refresh, errors.Is(code.Kind, connectors.ErrClock) && !s.OwnClock:
		return 2
	case code.Tries > 0:
		return code.Tries
	}
	return 1
}

// Each code of the table: how often the call is made, each time signed anew,
// whether the token is renewed, and what the error says at last.
func testCodes(t *testing.T, s Subject) {
	for _, code := range s.codes(t) {
		if code.Class > connectors.SkipRecord && code.Mend == "" {
			t.Errorf("%s: the table has no mend for it: say what a person is to do", code.Name())
		}
		synctest.Test(t, func(t *testing.T) { testCode(t, s, code) })
	}
}

func testCode(t *testing.T, s Subject, code connectors.Code) {
	b := open(t, s, func(ask *Ask, o *Options) { ask.Orders, o.Serial = 10, true })
	stream := b.Spec().Streams[0].Name
	listing := lists(stream)
	throttle := code.Class == connectors.Throttle
	b.net.late = 1100 * time.Millisecond // so that each attempt has another timestamp
	var times atomic.Int32
	b.net.before = func(c Call) *answer {
		if listing(c) && (!throttle || times.Add(1) <= 2) {
			return s.refused(code)
		}
		return nil
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour) // one that asks for ever
	defer cancel()
	_, err := read(ctx, b, stream, "", -1)
	b.quiet(t, err)
	calls := b.net.made(listing)
	switch {
	case len(calls) == 0:
		t.Errorf("%s: no list was asked for: %v", code.Name(), err)
		return
	case throttle:
		if took := time.Since(start) - time.Duration(len(b.net.made(func(Call) bool { return true })))*b.net.late; err != nil || took < 0 {
			t.Errorf("%s: %v: it is called too often, and goes on after a wait", code.Name(), err)
		}
		if len(calls) < 3 || calls[2].at.Sub(calls[0].at) < 2*time.Second+2*b.net.late {
			t.Errorf("%s: refused for rate twice, and called again at once", code.Name())
		}
		if len(calls) > 1 && s.Waits && calls[1].at.Sub(calls[0].at) < refusalWait {
			t.Errorf("%s: the platform asks to wait %s, and is called again after %s: set Error.Wait from its answer", code.Name(), refusalWait, calls[1].at.Sub(calls[0].at))
		}
		return
	case s.Halves != nil && s.Halves(code):
		if len(calls) < 10 || connectors.ClassOf(err) != code.Class {
			t.Errorf("%s: %d calls, then %v: want shorter windows", code.Name(), len(calls), err)
		}
		return
	}
	want, signatures := s.tries(code), make(map[string]bool)
	for _, c := range calls {
		signatures[c.Signature] = true
	}
	if len(calls) != want || !s.Unsigned && len(signatures) != want {
		t.Errorf("%s: called %d times with %d signatures, want %d of both: build and sign each attempt inside httpclient's Do, and let codes.yaml say how often", code.Name(), len(calls), len(signatures), want)
	}
	class := code.Class
	if class == connectors.Refresh {
		class = connectors.StopShop
		if renewals := renewalsIn(b.net.made(func(c Call) bool { return c.Token }), calls[0].at); renewals != 1 {
			t.Errorf("%s: a new token was asked for %d times, want once", code.Name(), renewals)
		}
	}
	var refused *connectors.Error
	if !errors.As(err, &refused) || connectors.ClassOf(err) != class || code.Kind != nil && !errors.Is(refused, code.Kind) || (refused.Kind == nil) != (code.Kind == nil) {
		t.Errorf("%s: %v; want class %s, kind %v", code.Name(), err, class, code.Kind)
		return
	}
	if !strings.Contains(err.Error(), code.Text) {
		t.Errorf("%s: the error says %v", code.Name(), err)
	}
}

// renewalsIn is how often a new token was asked for after a moment, in the way that
// was asked most: where one brings the refused token back, another may follow.
func renewalsIn(calls []seen, after time.Time) int {
	ways, most := make(map[string]int), 0
	for _, c := range calls {
		if c.at.After(after) {
			ways[c.Method]++
			most = max(most, ways[c.Method])
		}
	}
	return most
}

// A token ends in the middle of a reading: one new one, and nothing is lost.
func testTokenEnds(t *testing.T, s Subject) {
	code, ok := s.ofClass(t, connectors.Refresh)
	if !ok {
		return // the platform has no tokens that end
	}
	b := open(t, s, func(_ *Ask, o *Options) { o.Serial = true })
	truth, stream := b.Truth(), b.Spec().Streams[0]
	want := whole(t, b, stream.Name, "").newest
	calls := 0
	var mu sync.Mutex
	b.net.before = func(c Call) *answer {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls == 8 && !c.Token {
			return s.refused(code)
		}
		return nil
	}
	tokens := len(b.net.made(func(c Call) bool { return c.Token }))
	r := whole(t, b, stream.Name, "")
	if n := renewalsIn(b.net.made(func(c Call) bool { return c.Token })[tokens:], time.Time{}); n != 1 {
		t.Errorf("a token ended once, and %d new ones were asked for: let connectors.Tokens.Call make the calls", n)
	}
	complete(t, want, r.newest)
	if len(truth) == 0 {
		t.Fatal("the shop is empty")
	}
}

// A token that ended while a slow call was repeated with it has ended in its
// turn: it is renewed once more, and not called dead.
func testTokenEndsAgain(t *testing.T, s Subject) {
	code, ok := s.ofClass(t, connectors.Refresh)
	if !ok {
		return // the platform has no tokens that end
	}
	b := open(t, s, func(_ *Ask, o *Options) { o.Serial = true })
	stream := b.Spec().Streams[0].Name
	b.net.late = 6 * time.Second
	var refused atomic.Int32
	b.net.before = func(c Call) *answer {
		if c.Stream == stream && refused.Add(1) <= 2 {
			return s.refused(code)
		}
		return nil
	}
	whole(t, b, stream, "")
	pages := b.net.made(lists(stream))
	if len(pages) == 0 {
		t.Fatal("nothing was asked for")
	}
	if renewals := renewalsIn(b.net.made(func(c Call) bool { return c.Token }), pages[0].at); renewals != 2 {
		t.Errorf("a token ended twice, each time after a while, and %d new ones were asked for", renewals)
	}
}

// keptToken is a shop's token, kept for several processes.
type keptToken struct {
	mu    sync.Mutex
	token connectors.Token // guarded by mu
}

// Load implements connectors.TokenStore.
func (k *keptToken) Load(context.Context) (connectors.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.token, nil
}

// Renew implements connectors.TokenStore.
func (k *keptToken) Renew(ctx context.Context, renew func(context.Context, connectors.Token) (connectors.Token, error)) (connectors.Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	token, err := renew(ctx, k.token)
	if err == nil {
		k.token = token
	}
	return token, err
}

// A token that one process got is used by the next.
func testSharedToken(t *testing.T, s Subject) {
	tokens := func(c Call) bool { return c.Token }
	b := open(t, s, func(_ *Ask, o *Options) { o.Serial = true })
	stream := b.Spec().Streams[0].Name
	if code, ok := s.ofClass(t, connectors.Refresh); ok { // so that one is asked for, though the settings may have one
		var calls atomic.Int32
		b.net.before = func(c Call) *answer {
			if !c.Token && calls.Add(1) == 3 {
				return s.refused(code)
			}
			return nil
		}
	}
	store := new(keptToken)
	asked := 0
	for process := range 2 {
		c := b.again()
		user, ok := c.(connectors.TokenUser)
		if ok {
			user.UseTokens(store)
		}
		whole(t, c, stream, "")
		now := len(b.net.made(tokens))
		switch kept, _ := store.Load(t.Context()); {
		case now == 0:
			return // the platform has no tokens that one asks for
		case !ok:
			t.Fatal("the connector is no connectors.TokenUser: each process would get a token of its own; give what UseTokens is given to Use of connectors.Tokens")
		case kept.Access == "":
			t.Error("a token was asked for and is not in the store: UseTokens is to give that to Use of connectors.Tokens")
		case process == 1 && now > asked:
			t.Errorf("a second process, which has the first one's store, asked for %d tokens of its own", now-asked)
		}
		asked = now
	}
}

// Refused for rate again and again by a platform that does not say how long, a call
// waits longer and longer, and goes on at last: that is no failure which one tries a
// few times.
func testThrottled(t *testing.T, s Subject) {
	const refusals = 8
	code, ok := s.ofClass(t, connectors.Throttle)
	if !ok {
		return // the table has no such code
	}
	b := open(t, s, func(ask *Ask, o *Options) { ask.Orders, o.Serial = 10, true })
	stream := b.Spec().Streams[0].Name
	var times atomic.Int32
	b.net.before = func(c Call) *answer {
		if c.Stream == stream && times.Add(1) <= refusals {
			status, body := s.Refusal(code, 0)
			return &answer{status: status, body: []byte(body)}
		}
		return nil
	}
	_, err := read(t.Context(), b, stream, "", -1)
	b.quiet(t, err)
	calls := b.net.made(lists(stream))
	if err != nil || len(calls) <= refusals {
		t.Fatalf("%s, %d times, without a word how long: %d calls, then %v; want waits and then the rest", code.Name(), refusals, len(calls), err)
	}
	if last := calls[refusals].at.Sub(calls[refusals-1].at); last < 10*time.Second {
		t.Errorf("%s, %d times, without a word how long: after the last one it was called again within %s, no later than after the first; let connectors.Pauses note each answer, and leave Error.Wait alone where the platform says nothing", code.Name(), refusals, last)
	}
}

// What stops one stream leaves the others alone.
func testOneStreamStops(t *testing.T, s Subject) {
	code, ok := s.ofClass(t, connectors.StopStream)
	if !ok { // a table of few codes: what it does not know stops a stream
		all := s.codes(t)
		code = all[len(all)-1]
	}
	b := open(t, s, nil)
	streams := b.Spec().Streams
	stopped := streams[0].Name
	b.net.before = func(c Call) *answer {
		if c.Stream == stopped {
			return s.refused(code)
		}
		return nil
	}
	_, err := read(t.Context(), b, stopped, "", -1)
	if connectors.ClassOf(err) != connectors.StopStream || !connectors.Stops(err) {
		t.Errorf("%s: %v, want class %s", stopped, err, connectors.StopStream)
	}
	for _, stream := range streams[1:] {
		if len(b.net.made(lists(stream.Name))) > 0 {
			whole(t, b, stream.Name, "")
		}
	}
	if len(b.net.made(lists(stopped))) == 0 {
		t.Fatal("nothing was asked for")
	}
}

// One entity of a list cannot be had: the rest comes, and it goes to the dead
// letter, or comes without what was asked for.
func testMissingEntity(t *testing.T, s Subject) {
	gone := s.Gone
	if code, ok := s.ofClass(t, connectors.SkipRecord); ok && gone == nil {
		gone = func() (int, string) { return s.Refusal(code, 0) }
	}
	if gone == nil || !s.Details {
		return // the platform has no such answer, or lists say all
	}
	tried := false
	for _, stream := range open(t, s, nil).Spec().Streams {
		b := open(t, s, nil)
		want := whole(t, b, stream.Name, "")
		b = open(t, s, nil)
		var once atomic.Bool
		b.net.before = func(c Call) *answer {
			if c.Detail && once.CompareAndSwap(false, true) {
				status, body := gone()
				return &answer{status: status, body: []byte(body)}
			}
			return nil
		}
		r, err := read(t.Context(), b, stream.Name, "", -1)
		if err != nil {
			t.Errorf("%s: one entity cannot be had, and the reading ends: %v", stream.Name, err)
			continue
		}
		tried = tried || once.Load()
		if r.next != want.next {
			t.Errorf("%s: the cursor ends at %q, want %q", stream.Name, r.next, want.next)
		}
		// A stream without a list of its own leaves it to the one whose list it is.
		own := len(b.net.made(lists(stream.Name))) > 0
		if lost := missing(want.newest, r.newest); len(lost) > 2 || own && len(lost) > 0 && r.bad == 0 {
			t.Errorf("%s: one entity cannot be had, and there are %d dead letters; these did not come: %v", stream.Name, r.bad, lost)
		}
	}
	if !tried {
		t.Error("no stream asks for details: Call.Detail is never true")
	}
}

// networkFaults are the ways in which calls go wrong on the way.
var networkFaults = map[string]func(a *answer){
	"502 with a page": func(a *answer) { a.status, a.body = 502, []byte("<html>502 Bad Gateway</html>") },
	"503, no body":    func(a *answer) { a.status, a.body = 503, nil },
	"HTML for JSON":   func(a *answer) { a.body = []byte("<html>busy</html>") },
	"truncated":       func(a *answer) { a.body = a.body[:len(a.body)/2] },
	"cut":             func(a *answer) { a.body, a.cut = a.body[:len(a.body)/2], true },
	"nothing":         func(a *answer) { a.body = nil },
	"slow":            func(*answer) { time.Sleep(20 * time.Second) },
	"timeout":         func(a *answer) { time.Sleep(2 * time.Minute); a.cut = true },
}

// One call in eight goes wrong, in every way in turn: all comes.
func testNetwork(t *testing.T, s Subject) {
	names := make([]string, 0, len(networkFaults))
	for name := range networkFaults {
		names = append(names, name)
	}
	b := open(t, s, nil)
	chance, done := rand.New(rand.NewPCG(1, 1)), make(map[string]int)
	var mu sync.Mutex
	b.net.after = func(c Call, a *answer) {
		mu.Lock()
		hit, name := chance.IntN(8) == 0, names[chance.IntN(len(names))]
		if hit && !c.Token { // what becomes of a token whose answer is lost is another matter
			done[name]++
		}
		mu.Unlock()
		if hit && !c.Token {
			networkFaults[name](a)
		}
	}
	truth := b.Truth()
	for round := 0; len(done) < len(networkFaults); round++ {
		if round == 20 {
			t.Fatalf("of %d faults there were %v", len(networkFaults), done)
		}
		complete(t, truth, everything(t, b.again()))
	}
	// And one that lasts ends the reading, after a few attempts.
	b = open(t, s, func(_ *Ask, o *Options) { o.Serial = true })
	stream := b.Spec().Streams[0].Name
	b.net.after = func(c Call, a *answer) {
		if c.Stream == stream {
			networkFaults["502 with a page"](a)
		}
	}
	_, err := read(t.Context(), b, stream, "", -1)
	if n := len(b.net.made(lists(stream))); connectors.ClassOf(err) != connectors.Retry || err == nil || n < 3 || n > 10 {
		t.Errorf("a platform that is away: %d calls, then %v", n, err)
	}
	b.quiet(t, err)
}

// One answer with the status of somebody on the way (a proxy, a platform that is
// being renewed) is no reason to stop: all comes. One that lasts is asked for a
// little, stops that stream, and leaves the others alone.
func testStrayStatus(t *testing.T, s Subject) {
	const page = "<html>no platform's words</html>"
	for _, status := range []int{302, 403, 404} {
		b := open(t, s, nil)
		stream := b.Spec().Streams[0].Name
		want := whole(t, b, stream, "")
		b = open(t, s, nil)
		var once atomic.Bool
		b.net.before = func(c Call) *answer {
			if c.Stream == stream && once.CompareAndSwap(false, true) {
				return &answer{status: status, body: []byte(page)}
			}
			return nil
		}
		r, err := read(t.Context(), b, stream, "", -1)
		if err != nil || len(missing(want.newest, r.newest)) > 0 {
			t.Errorf("%s: one answer has status %d, and %d of %d entities come: %v", stream, status, len(r.newest), len(want.newest), err)
		}
		if !once.Load() {
			t.Fatal("nothing was asked for")
		}
		b = open(t, s, func(_ *Ask, o *Options) { o.Serial = true })
		b.net.before = func(c Call) *answer {
			if c.Stream == stream {
				return &answer{status: status, body: []byte(page)}
			}
			return nil
		}
		_, err = read(t.Context(), b, stream, "", -1)
		if n := len(b.net.made(lists(stream))); connectors.ClassOf(err) != connectors.StopStream || n != 3 {
			t.Errorf("%s: every answer has status %d: %d calls, then %v; want 3 and class %s. Does classify leave a status that is none of the platform's to StatusError?", stream, status, n, err, connectors.StopStream)
		}
		b.quiet(t, err)
	}
}

// A wrong secret reads nothing, and says so; a request that is changed on its
// way is refused.
func testSignature(t *testing.T, s Subject) {
	b := open(t, s, func(_ *Ask, o *Options) { o.WrongSecret = true })
	for _, stream := range b.Spec().Streams {
		r, err := read(t.Context(), b, stream.Name, "", -1)
		if len(r.records) > 0 || !errors.Is(err, connectors.ErrUnauthorized) || connectors.ClassOf(err) != connectors.StopShop {
			t.Errorf("%s: a wrong secret read %d records, %v; want none, connectors.ErrUnauthorized and class %s. What does codes.yaml say of the code for a wrong signature?", stream.Name, len(r.records), err, connectors.StopShop)
		}
		b.quiet(t, err)
	}
	if err := b.Check(t.Context()); !errors.Is(err, connectors.ErrUnauthorized) {
		t.Errorf("Check with a wrong secret: %v", err)
	} else {
		b.quiet(t, err)
	}
	if s.Unsigned {
		return
	}
	b = open(t, s, nil)
	whole(t, b, b.Spec().Streams[0].Name, "")
	for _, c := range b.net.made(lists(b.Spec().Streams[0].Name)) {
		if c.Signature == "" {
			t.Error(fmt.Errorf("a call of %s without a signature, of a platform that wants one", c.Method))
			return
		}
	}
}
