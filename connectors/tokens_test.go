package connectors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// granter is a platform that gives tokens of two hours, each with the next
// number.
type granter struct {
	renewals atomic.Int64
	takes    time.Duration
	refuse   atomic.Pointer[error]
}

// shared is a store that two processes share.
type shared struct {
	memoryTokens
	held chan struct{}
}

func newShared() *shared { return &shared{held: make(chan struct{}, 1)} }

// Renew implements TokenStore.
func (s *shared) Renew(ctx context.Context, renew func(context.Context, Token) (Token, error)) (Token, error) {
	s.held <- struct{}{}
	defer func() { <-s.held }()
	return s.memoryTokens.Renew(ctx, renew)
}

func (g *granter) tokens(store TokenStore) *Tokens {
	t := &Tokens{
		Platform: "p", Shop: "s", Now: time.Now,
		RenewAt: func(t Token) time.Time { return t.Expires.Add(-10 * time.Minute) },
		Renew:   g.renew,
	}
	t.Use(store)
	return t
}

func (g *granter) renew(ctx context.Context, _ Token) (Token, error) {
	n := g.renewals.Add(1)
	select {
	case <-time.After(g.takes):
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
	if err := g.refuse.Load(); err != nil {
		return Token{}, *err
	}
	return Token{Access: fmt.Sprint("token-", n), Refresh: fmt.Sprint("refresh-", n), Expires: time.Now().Add(2 * time.Hour)}, nil
}

// Many calls of two processes over a day: one renewal for each two hours less
// ten minutes, before the token ends, and nobody is handed one that has ended.
func TestTokensAreRenewedOnceAndAheadOfTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &granter{takes: 3 * time.Second}
		store := newShared()
		processes := []*Tokens{g.tokens(store), g.tokens(store)}
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				for range 24 * 60 {
					access, err := processes[i%2].Valid(t.Context())
					kept, _ := store.Load(t.Context())
					if err != nil || access == "" || access == kept.Access && !time.Now().Before(kept.Expires) {
						t.Errorf("got %q, %v, when %v was kept", access, err, kept)
					}
					time.Sleep(time.Minute)
				}
			})
		}
		all.Wait()
		if got := g.renewals.Load(); got != 14 { // 1440 minutes: the first, and one each 110 and some
			t.Errorf("%d renewals in a day, want 14", got)
		}
	})
}

// Calls that find the same token refused, in both processes, renew it once.
func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &granter{takes: time.Second}
		store := newShared()
		a, b := g.tokens(store), g.tokens(store)
		first, err := a.Valid(t.Context())
		if other, err2 := b.Valid(t.Context()); errors.Join(err, err2) != nil || other != first || g.renewals.Load() != 1 {
			t.Fatalf("%q and %q after %d renewals: %v", first, other, g.renewals.Load(), errors.Join(err, err2))
		}
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				tokens := []*Tokens{a, b}[i%2]
				if err := tokens.Replace(t.Context(), first, nil); err != nil || tokens.Access() != "token-2" {
					t.Errorf("%q, %v", tokens.Access(), err)
				}
			})
		}
		all.Wait()
		if got := g.renewals.Load(); got != 2 {
			t.Errorf("%d renewals, want 2", got)
		}
	})
}

// A call that gives up does not end the renewal that it began: the platform may
// have ended the old token already, and the new one would be lost.
func TestARenewalOutlivesTheCallThatBeganIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &granter{takes: 5 * time.Second}
		store := newShared()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = g.tokens(store).Valid(ctx)
		if kept, _ := store.Load(t.Context()); kept.Access != "token-1" {
			t.Errorf("%v is kept, want the first", kept)
		}
	})
}

// A renewal ahead of time that fails costs no call: the token works on, and it
// is tried again after a while. One that is refused ends the shop, asks the
// platform no more for a while, and a new consent brings it back.
func TestRenewalsThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := new(granter)
		tokens := g.tokens(new(memoryTokens))
		if _, err := tokens.Valid(t.Context()); err != nil {
			t.Fatal(err)
		}
		away := errors.New("away")
		g.refuse.Store(&away)
		time.Sleep(115 * time.Minute)
		for range 100 {
			if access, err := tokens.Valid(t.Context()); access != "token-1" || err != nil {
				t.Fatalf("%q, %v", access, err)
			}
		}
		if got := g.renewals.Load(); got != 2 {
			t.Errorf("%d renewals, want one more", got)
		}
		time.Sleep(5 * time.Minute)
		if _, err := tokens.Valid(t.Context()); !errors.Is(err, away) {
			t.Errorf("after its end: %v", err)
		}
		dead := Reauthorise("p", "s", "refresh", nil)
		g.refuse.Store(&dead)
		asked := g.renewals.Load()
		for range 100 {
			_, err := tokens.Valid(t.Context())
			if !errors.Is(err, ErrReauthorise) || !errors.Is(err, ErrUnauthorized) || ClassOf(err) != StopShop || !strings.Contains(err.Error(), "oneid connect p --shop s") {
				t.Fatal(err)
			}
		}
		if got := g.renewals.Load() - asked; got != 1 {
			t.Errorf("a dead token was asked for %d times, want once", got)
		}
		if err := tokens.Put(t.Context(), Token{Access: "new", Expires: time.Now().Add(time.Hour)}, anyToken); err != nil {
			t.Fatal(err)
		}
		if access, err := tokens.Valid(t.Context()); access != "new" || err != nil {
			t.Errorf("after a new consent: %q, %v", access, err)
		}
	})
}

// A renewal ahead of time that brings the same token is not asked for again at
// once: the token works, and each call would ask.
func TestRenewalsThatChangeNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := new(granter)
		tokens := g.tokens(new(memoryTokens))
		if _, err := tokens.Valid(t.Context()); err != nil {
			t.Fatal(err)
		}
		first, renewals := tokens.current, 0
		tokens.Renew = func(context.Context, Token) (Token, error) { renewals++; return first, nil }
		time.Sleep(111 * time.Minute)
		for range 15 {
			if access, err := tokens.Valid(t.Context()); access != first.Access || err != nil {
				t.Fatalf("%q, %v", access, err)
			}
		}
		if renewals != 1 {
			t.Errorf("%d renewals for 15 calls, want one", renewals)
		}
		time.Sleep(aheadAgain)
		if _, err := tokens.Valid(t.Context()); err != nil || renewals != 2 {
			t.Errorf("after a while: %d renewals, %v; want one more", renewals, err)
		}
	})
}

// A renewal that is refused, or brings back the very token that the platform
// refuses, is followed by a token of the app's own where there is one, and by that
// alone: one ahead of time that changes nothing is not.
func TestATokenIsCreatedWhereARenewalBringsNone(t *testing.T) {
	t.Parallel()
	refused := &Error{Class: StopShop, Kind: ErrReauthorise}
	away := errors.New("away")
	for name, c := range map[string]struct {
		next    Token
		err     error
		refused string
		created int
		want    string
	}{
		"the refused one comes back": {Token{Access: "a"}, nil, "a", 1, "created"},
		"another comes":              {Token{Access: "b"}, nil, "a", 0, "b"},
		"the renewal is refused":     {Token{}, refused, "a", 1, "created"},
		"the platform is away":       {Token{}, away, "a", 0, ""},
		"ahead of time":              {Token{Access: "a"}, nil, "", 0, "a"},
	} {
		created := 0
		tokens := &Tokens{
			Now:    time.Now,
			Renew:  func(context.Context, Token) (Token, error) { return c.next, c.err },
			Create: func(context.Context) (Token, error) { created++; return Token{Access: "created"}, nil },
		}
		got, err := tokens.another(t.Context(), Token{Access: "a"}, c.refused)
		if created != c.created || got.Access != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %d created, got %q, %v; want %d and %q", name, created, got.Access, err, c.created, c.want)
		}
		tokens.Create = nil
		if got, err := tokens.another(t.Context(), Token{Access: "a"}, c.refused); got.Access != c.next.Access || !errors.Is(err, c.err) {
			t.Errorf("%s, and a consent alone brings a token: %q, %v", name, got.Access, err)
		}
	}
}

// A refusal of a token says nothing of another, which was brought while the call was made.
func TestARefusedTokenIsDeadAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		used       string
		same, dead bool
	}{"the one in use": {"b", true, true}, "the one before": {"a", true, false}, "one that was new": {"b", false, false}} {
		tokens := &Tokens{Platform: "p", Shop: "s", Now: time.Now}
		newest := Token{Access: "b"}
		tokens.take(newest)
		err := tokens.refusedAnew(c.used, c.same, &Error{Platform: "p", Shop: "s", Op: "orders", Class: Refresh})
		if dead := tokens.isDead(newest, time.Now()); !errors.Is(err, ErrReauthorise) || (dead != nil) != c.dead {
			t.Errorf("%s was refused: %v; the one in use is dead: %v", name, err, dead)
		}
	}
}

// A shop that was never connected is said to be that: no token was refused, and
// nothing was called. One whose token was refused says so in the platform's words.
func TestAShopThatIsNotConnected(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given Token
		want  string
	}{
		"never connected": {Token{}, "p: shop s: it is not connected: there is no token of it; run `oneid connect p --shop s` and let the shop's owner consent; the other shops go on"},
		"of the settings, and refused": {Token{Access: "sesame"},
			"p: call orders of shop s: refused with code 27: the token is no longer taken, request r; re-authorise: run `oneid connect p --shop s` and let the shop's owner consent; the other shops go on"},
	} {
		tokens := &Tokens{Platform: "p", Shop: "s", Now: time.Now, Given: c.given}
		tokens.Renew = func(_ context.Context, old Token) (Token, error) { return old, NoRefresh("p", "s", old) }
		err := tokens.Call(t.Context(), func(access func() string) error {
			if access() == "" {
				t.Errorf("%s: called without a token", name)
			}
			return &Error{Platform: "p", Shop: "s", Op: "orders", SystemCode: "27", RequestID: "r", Class: Refresh}
		})
		if err == nil || err.Error() != c.want || !errors.Is(err, ErrReauthorise) || ClassOf(err) != StopShop {
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		}
	}
}

// The token of the settings is used until there is a newer one; one that is put
// into the settings later is newer than what is kept, and a consent newer than
// both.
func TestSettingsAndStore(t *testing.T) {
	t.Parallel()
	g, store := new(granter), new(memoryTokens)
	valid := func(given, want string) *Tokens {
		t.Helper()
		tokens := g.tokens(store)
		tokens.RenewAt = nil
		tokens.Given = Token{Access: given}
		if access, err := tokens.Valid(t.Context()); access != want || err != nil {
			t.Errorf("with %q in the settings: %q, %v; want %q", given, access, err, want)
		}
		return tokens
	}
	if err := valid("old", "old").Replace(t.Context(), "old", nil); err != nil {
		t.Fatal(err)
	}
	valid("old", "token-1")
	if err := valid("mended", "mended").Put(t.Context(), Token{Access: "consented"}, anyToken); err != nil {
		t.Fatal(err)
	}
	valid("mended", "consented")
	valid("", "consented")
}

func TestATokenPrintsNothingSecret(t *testing.T) {
	t.Parallel()
	token := Token{Access: "sesame", Refresh: "sesame", Expires: time.Unix(0, 0)}
	if text := fmt.Sprintf("%v %+v %#v %s %v", token, token, token, token, []Token{token}); strings.Contains(text, "sesame") {
		t.Error(text)
	}
}

// awayStore is a keeping that is away from a moment on.
type awayStore struct {
	memoryTokens
	away bool
}

func (s *awayStore) Renew(ctx context.Context, renew func(context.Context, Token) (Token, error)) (Token, error) {
	if s.away {
		return Token{}, errors.New("the keeping is away")
	}
	return s.memoryTokens.Renew(ctx, renew)
}

// While the keeping is away a token that still works is used; one that the platform
// refused, or that has ended, is not.
func TestAKeepingThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, store := new(granter), new(awayStore)
		tokens := g.tokens(store)
		if _, err := tokens.Valid(t.Context()); err != nil {
			t.Fatal(err)
		}
		store.away = true
		time.Sleep(115 * time.Minute) // it is time to renew it
		if access, err := tokens.Valid(t.Context()); access != "token-1" || err != nil {
			t.Errorf("a token that works: %q, %v", access, err)
		}
		if err := tokens.Replace(t.Context(), "token-1", nil); err == nil {
			t.Error("a token that the platform refused is used again")
		}
		time.Sleep(10 * time.Minute)
		if access, err := tokens.Valid(t.Context()); err == nil {
			t.Errorf("a token that has ended: %q", access)
		}
	})
}

// anyToken accepts all.
func anyToken(_, _ Token) error { return nil }

// A token that is not accepted is not kept, and the one that is there stays; who
// judges sees both.
func TestWhatIsNotAcceptedIsNotKept(t *testing.T) {
	t.Parallel()
	tokens := &Tokens{Platform: "p", Shop: "s", Now: time.Now}
	if err := tokens.Put(t.Context(), Token{Access: "ours", Holder: "1"}, anyToken); err != nil {
		t.Fatal(err)
	}
	foreign := errors.New("another seller's")
	err := tokens.Put(t.Context(), Token{Access: "theirs", Holder: "2"}, func(newest, given Token) error {
		if newest.Holder != "1" || given.Holder != "2" {
			t.Errorf("it is to judge %q in place of %q", given.Holder, newest.Holder)
		}
		return foreign
	})
	if !errors.Is(err, foreign) {
		t.Errorf("what is not accepted: %v", err)
	}
	if access, err := tokens.Valid(t.Context()); access != "ours" || err != nil {
		t.Errorf("after it: %q, %v", access, err)
	}
}
