package connectors

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Token is what a platform gave for one shop. It is secret: it prints as when
// it ends, and whoever keeps its JSON seals it.
type Token struct {
	Access string `json:"access"`
	// Refresh renews it; empty where the platform gives none.
	Refresh string `json:"refresh,omitempty"`
	// Obtained is when it was given; zero for one of the settings.
	Obtained time.Time `json:"obtained,omitzero"`
	// Expires is when Access ends, and RefreshExpires when Refresh does; zero
	// where the platform does not say.
	Expires        time.Time `json:"expires,omitzero"`
	RefreshExpires time.Time `json:"refresh_expires,omitzero"`
	// Holder is the shop's id at the platform, and HolderName its name there;
	// empty where the platform does not say.
	Holder     string `json:"holder,omitempty"`
	HolderName string `json:"holder_name,omitempty"`
	// Rights are what the token may do, in the platform's words, each with its
	// end (zero: that of Access). Nil where the platform does not say.
	Rights map[string]time.Time `json:"rights,omitempty"`
	// Settings is the fingerprint of the token of the settings that stood there
	// when this one was kept: another one there is newer than this.
	Settings string `json:"settings,omitempty"`
}

// EndsAt is when a token ends of which a platform says so in milliseconds since
// 1970; zero, which is unknown, for what is no moment: it could not be kept.
func EndsAt(ms int64) time.Time {
	const year9999 = 253_402_300_799_999
	if ms <= 0 || ms > year9999 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// EndsIn is when a token ends that was given at a moment for so many seconds.
func EndsIn(given time.Time, seconds int64) time.Time {
	const longest = 1 << 30 // 34 years
	return given.Add(time.Duration(min(seconds, longest)) * time.Second).UTC()
}

// HolderName is a shop's name as a platform says it, without what would write
// elsewhere on a terminal.
func HolderName(said string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, said)
}

// String tells nothing of what is secret.
func (t Token) String() string {
	switch {
	case t.Access == "":
		return "no token"
	case t.Expires.IsZero():
		return "a token without an end"
	}
	return "a token until " + t.Expires.UTC().Format(time.RFC3339)
}

// GoString is String.
func (t Token) GoString() string { return t.String() }

// LogValue is String.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// RightsText is the rights for people: "r1, r2 (until 2027-01-01)".
func (t Token) RightsText() string {
	var said []string
	for _, name := range slices.Sorted(maps.Keys(t.Rights)) {
		if end := t.Rights[name]; !end.IsZero() && end.Sub(t.Expires).Abs() >= time.Minute {
			name += " (until " + end.UTC().Format(time.RFC3339) + ")"
		}
		said = append(said, name)
	}
	return strings.Join(said, ", ")
}

// A TokenStore keeps one shop's token for all processes of a brand. It may be
// used concurrently.
type TokenStore interface {
	// Load gives the newest token; the zero Token where there is none.
	Load(ctx context.Context) (Token, error)
	// Renew calls renew with the newest token while nobody else of the brand is
	// in Renew for the shop. A token that renew gives and that differs is kept,
	// durably, before Renew returns it: until then nobody uses it. ctx ends the
	// waiting for others; what renew gave is kept all the same.
	Renew(ctx context.Context, renew func(ctx context.Context, newest Token) (Token, error)) (Token, error)
}

// A TokenUser is a connector that keeps its token in a store. UseTokens is
// called before the first call; without it the token lives in memory.
type TokenUser interface {
	UseTokens(store TokenStore)
}

// An Authoriser is a connector whose platform hands out tokens by consent.
type Authoriser interface {
	TokenUser
	// Consent says where the shop's owner consents; state comes back beside the
	// code. Its address is empty where the app needs no consent of its own:
	// then Authorise takes no code.
	Consent(state string) Consent
	// Authorise trades the code for a token and keeps it, in place of any other,
	// unless accept refuses it: then nothing is kept, and accept's error is
	// returned. No other error holds the code or a token.
	Authorise(ctx context.Context, code string, accept Accept) (Token, error)
}

// Accept says whether a token that was given may take the place of the newest
// that is kept (the zero Token where there is none or it cannot be opened), which
// nobody renews meanwhile. The error says why not.
type Accept func(newest, given Token) error

// Consent is where a shop's owner consents.
type Consent struct {
	// Address to open in a browser; it holds no secret.
	Address string
	// Redirect is where the platform sends the browser then, with the code; ""
	// where only the platform knows.
	Redirect string
	// CodeLasts is how long the code is taken, for people.
	CodeLasts time.Duration
}

// ErrReauthorise says that the token is dead and nothing but the consent of the
// shop's owner brings another.
var ErrReauthorise = fmt.Errorf("re-authorise: %w", ErrUnauthorized)

// connectMend is what to do where a consent alone brings a token.
func connectMend(platform, shop string) string {
	return fmt.Sprintf("run `oneid connect %s --shop %s` and let the shop's owner consent; the other shops go on", platform, cmp.Or(shop, "SHOP"))
}

// reauthoriseMend is what to do about ErrReauthorise.
func reauthoriseMend(platform, shop string) string {
	return "re-authorise: " + connectMend(platform, shop)
}

// NoRefresh is the error of a shop for whose token no other can be asked for: it is
// not connected yet where old is the zero Token, and otherwise its token is dead.
// Nothing was called for it.
func NoRefresh(platform, shop string, old Token) error {
	e := &Error{Platform: platform, Shop: shop, Class: StopShop, Kind: ErrReauthorise, Message: "the token is no longer taken", Mend: reauthoriseMend(platform, shop)}
	if old.Access == "" {
		e.Message, e.Mend = "it is not connected: there is no token of it", connectMend(platform, shop)
	}
	return e
}

// Reauthorise is the error of a shop whose token is dead. cause may be a refusal
// of the platform, whose codes it keeps.
func Reauthorise(platform, shop, op string, cause error) error {
	e := &Error{Platform: platform, Shop: shop, Op: op, Message: "the token is no longer taken"}
	var refusal *Error
	if errors.As(cause, &refusal) {
		*e = *refusal
	}
	e.Class, e.Kind, e.Wait, e.Limit, e.Tries = StopShop, ErrReauthorise, 0, "", 0
	e.Mend = reauthoriseMend(platform, shop)
	return e
}

const (
	// renewalTakes bounds one renewal, with what it has to wait for.
	renewalTakes = 45 * time.Second
	// deadFor is how long a refused renewal is not asked for again by the same
	// process, so that many calls which find the token dead ask once.
	deadFor = 30 * time.Second
	// deadRefused is that of a token that was new and is refused all the same. One that is
	// taken again is used at once.
	deadRefused = 10 * time.Minute
	// aheadAgain is how long after a renewal ahead of time that failed, or brought
	// the same token, the next is tried, at most: until then the token that still
	// works is used.
	aheadAgain = time.Minute
)

// Tokens hands a connector its shop's token and renews it: ahead of time where
// it knows when, or when the platform refused it. Of all callers, in all
// processes that share the Store, one renews, and the others take what it got.
// Fill it before the first call; it may be used concurrently then.
type Tokens struct {
	// Platform and Shop name whose token it is, in errors.
	Platform, Shop string
	// Given is the token of the settings, if there is one: it is used until a
	// newer one is in Store.
	Given Token
	// Mend is what to do about a token that is dead, where nobody consents to
	// another; "" is to let the shop's owner consent.
	Mend string
	// Now is the platform's clock.
	Now func() time.Time
	// RenewAt is when a token is to be renewed although it still works; the zero
	// time means not before it is refused.
	RenewAt func(Token) time.Time
	// Renew gets a token in place of one, which is the zero Token where there is
	// none. ErrReauthorise says that the platform gives none without consent.
	Renew func(ctx context.Context, old Token) (Token, error)
	// Create gets a token by the app's own keys, where Renew was refused or brought
	// the very token back that the platform refuses; nil where a consent alone does.
	Create func(ctx context.Context) (Token, error)
	// Renewed is told of each token that Renew got, once it is kept; may be nil.
	Renewed func(Token)

	renewing chan struct{} // holds one thing while somebody renews: a lock that a context can give up on

	mu sync.Mutex
	// The fields below are guarded by mu.
	store   TokenStore
	current Token
	// ahead is when a renewal ahead of time may be tried again, after one that
	// failed or changed nothing.
	ahead time.Time
	// dead is why deadToken cannot be renewed, until deadUntil.
	dead      error
	deadToken Token
	deadUntil time.Time
}

// Use sets where the token is kept; nil is in memory. Call it before the first
// call.
func (t *Tokens) Use(store TokenStore) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.store = store
}

// kept is the store, and the lock of those who renew.
func (t *Tokens) kept() (TokenStore, chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil {
		t.store = new(memoryTokens)
	}
	if t.renewing == nil {
		t.renewing = make(chan struct{}, 1)
	}
	return t.store, t.renewing
}

// Access is the token in use, which may have ended; "" before the first.
func (t *Tokens) Access() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current.Access
}

// Valid gives a token to call with, renewing it if it is time.
func (t *Tokens) Valid(ctx context.Context) (string, error) {
	if access, ok := t.fresh(); ok {
		return access, nil
	}
	_, renewing := t.kept()
	if access, ok := t.working(); ok && len(renewing) > 0 {
		return access, nil // somebody renews it ahead of time; it still works
	}
	return t.renew(ctx, "")
}

// working is the present token if it has not ended.
func (t *Tokens) working() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current.Access, works(t.current, t.Now())
}

// Replace renews the token that a call used and found refused. When somebody
// has renewed it since, here or elsewhere, theirs is taken. refusal is what the
// platform said: an error that wants a consent keeps its codes.
func (t *Tokens) Replace(ctx context.Context, used string, refusal error) error {
	_, err := t.renew(ctx, used)
	var e *Error
	if errors.Is(err, ErrReauthorise) && errors.As(err, &e) && e.SystemCode == "" {
		said := *e
		if errors.As(refusal, &e) {
			said.Op, said.SystemCode, said.SubCode, said.RequestID = e.Op, e.SystemCode, e.SubCode, e.RequestID
		}
		return &said
	}
	return err
}

// freshFor is how long a token that was renewed is a new one: refused sooner, it
// is dead, and a person has to act. Later it has ended in its turn, as while a
// slow call was repeated.
const freshFor = 3 * time.Second

// maxRenewals bounds how often a call is repeated for another token.
const maxRenewals = 3

// Call makes a call that wants a token. Each attempt of it takes the token of
// its time from access: while it waits, another call may renew it. Refused for
// its token (class Refresh), the call is repeated with a new one: a second time
// only where another call renewed it, or the new one was taken for a while.
func (t *Tokens) Call(ctx context.Context, call func(access func() string) error) error {
	var renewed time.Time
	var refused string // the token that was replaced
	for tries := 1; ; tries++ {
		if _, err := t.Valid(ctx); err != nil {
			return err
		}
		var used string
		err := call(func() string {
			used = t.Access()
			return used
		})
		switch {
		case err == nil || ClassOf(err) != Refresh:
			return err
		case t.Access() != used && tries < maxRenewals: // another call renewed it meanwhile
		case !renewed.IsZero() && (time.Since(renewed) < freshFor || tries >= maxRenewals):
			return t.refusedAnew(used, used == refused, err)
		default:
			if err := t.Replace(ctx, used, err); err != nil {
				return err
			}
			renewed, refused = time.Now(), used
		}
	}
}

// refusedAnew is a refusal of a token that is new, or that each way to another brought
// back (same): a platform that asks for another one once more wants a person to act. In
// place of one that is brought back none is asked for until deadRefused is over, or
// somebody else brings another: of one that was brought meanwhile nothing is known.
func (t *Tokens) refusedAnew(used string, same bool, refusal error) error {
	err := Reauthorise(t.Platform, t.Shop, "", refusal)
	var e *Error
	switch errors.As(err, &e); {
	case t.Mend != "":
		e.Mend = t.Mend
	case t.Create != nil: // a consent is not what it lacks
		e.Mend = "the token that the app's own keys bring is refused: look in the platform's console whether the shop still authorises the app, then " + connectMend(t.Platform, t.Shop)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if same && t.current.Access == used {
		t.dead, t.deadToken, t.deadUntil = err, t.current, t.Now().Add(deadRefused)
	}
	return err
}

// Put keeps a token that the shop's owner consented to, in place of any other,
// if it is accepted.
func (t *Tokens) Put(ctx context.Context, token Token, accept Accept) error {
	store, renewing := t.kept()
	if err := lock(ctx, renewing); err != nil {
		return err
	}
	defer func() { <-renewing }()
	token.Settings = fingerprint(t.Given.Access)
	kept, err := store.Renew(ctx, func(_ context.Context, newest Token) (Token, error) { return token, accept(newest, token) })
	if err != nil {
		return err
	}
	t.take(kept)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = nil
	return nil
}

// fresh gives the present token if it need not be renewed.
func (t *Tokens) fresh() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.Now()
	return t.current.Access, t.current.Access != "" && (!t.due(t.current, now) || now.Before(t.ahead) && works(t.current, now))
}

// due says that a token is to be renewed.
func (t *Tokens) due(token Token, now time.Time) bool {
	if t.RenewAt == nil {
		return false
	}
	at := t.RenewAt(token)
	return !at.IsZero() && !now.Before(at)
}

// works says that a token has not ended, as far as one knows.
func works(token Token, now time.Time) bool {
	return token.Access != "" && (token.Expires.IsZero() || now.Before(token.Expires))
}

func lock(ctx context.Context, renewing chan struct{}) error {
	select {
	case renewing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// renew gives a token that is neither due nor the one that was found refused.
func (t *Tokens) renew(ctx context.Context, refused string) (string, error) {
	store, renewing := t.kept()
	if err := lock(ctx, renewing); err != nil {
		return "", err
	}
	defer func() { <-renewing }()
	if access, ok := t.fresh(); ok && access != refused {
		return access, nil // another one renewed it meanwhile
	}
	ahead, renewed := false, false
	token, err := store.Renew(ctx, func(ctx context.Context, newest Token) (Token, error) {
		newest = t.newer(newest)
		now := t.Now()
		if newest.Access != "" && newest.Access != refused && !t.due(newest, now) {
			return newest, nil // another process has renewed it, or it is the first look
		}
		ahead = newest.Access != refused && works(newest, now)
		if err := t.isDead(newest, now); err != nil {
			return newest, err
		}
		// A renewal that was begun is ended whatever becomes of the call that
		// needed it: the platform may have ended the old token already.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewalTakes)
		defer cancel()
		next, err := t.another(ending, newest, refused)
		if ahead && (err != nil || next.Access == newest.Access) {
			t.waits(newest, now)
		}
		if err != nil {
			t.notes(newest, err, now)
			return newest, err
		}
		renewed = true
		next.Obtained, next.Settings = now.UTC(), newest.Settings
		return next.after(newest), nil
	})
	if err == nil && renewed && t.Renewed != nil {
		t.Renewed(token)
	}
	if err == nil || ahead {
		t.take(token) // one that could not be renewed ahead of time still works
		return token.Access, nil
	}
	if access, ok := t.working(); ok && access != refused {
		return access, nil // the store is away
	}
	return "", err
}

// another asks the platform for a token in place of newest, in each way that
// there is until one brings one that is not refused.
func (t *Tokens) another(ctx context.Context, newest Token, refused string) (Token, error) {
	next, err := t.Renew(ctx, newest)
	if given := t.Given; errors.Is(err, ErrReauthorise) && given.Refresh != "" && given.Refresh != newest.Refresh {
		next, err = t.Renew(ctx, given) // what the settings hold may still be taken
	}
	if t.Create != nil && ctx.Err() == nil && (ClassOf(err) >= Refresh || err == nil && refused != "" && next.Access == refused) {
		return t.Create(ctx)
	}
	return next, err
}

// newer is the token of the settings where the one that is kept was not made
// from it, and otherwise the one that is kept.
func (t *Tokens) newer(kept Token) Token {
	if mark := fingerprint(t.Given.Access); mark != "" && kept.Settings != mark {
		given := t.Given
		given.Settings = mark
		return given
	}
	return kept
}

// same says that two are one token, given at the same time.
func (t Token) same(o Token) bool {
	return t.Access == o.Access && t.Refresh == o.Refresh && t.Obtained.Equal(o.Obtained)
}

// after fills in what a renewal does not say again.
func (t Token) after(old Token) Token {
	t.Refresh = cmp.Or(t.Refresh, old.Refresh)
	t.Holder, t.HolderName = cmp.Or(t.Holder, old.Holder), cmp.Or(t.HolderName, old.HolderName)
	if t.RefreshExpires.IsZero() && t.Refresh == old.Refresh {
		t.RefreshExpires = old.RefreshExpires
	}
	if t.Rights == nil {
		t.Rights = old.Rights
	}
	return t
}

func (t *Tokens) take(token Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current = token
}

// isDead is why a token cannot be renewed, if that was found out just now.
func (t *Tokens) isDead(old Token, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dead != nil && t.deadToken.same(old) && now.Before(t.deadUntil) {
		return t.dead
	}
	return nil
}

// waits notes that a token which still works is used for a while before it is
// tried again to renew it.
func (t *Tokens) waits(old Token, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := aheadAgain
	if !old.Expires.IsZero() {
		wait = min(wait, old.Expires.Sub(now)/4)
	}
	t.ahead = now.Add(wait)
}

// notes notes a renewal that failed.
func (t *Tokens) notes(old Token, err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ClassOf(err) == StopShop {
		t.dead, t.deadToken, t.deadUntil = err, old, now.Add(deadFor)
	}
}

// fingerprint tells one token of the settings from another.
func fingerprint(access string) string {
	if access == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("token of the settings|" + access))
	return hex.EncodeToString(sum[:8])
}

// memoryTokens keeps a token in this process alone.
type memoryTokens struct {
	mu    sync.Mutex
	token Token // guarded by mu
}

// Load implements TokenStore.
func (m *memoryTokens) Load(context.Context) (Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.token, nil
}

// Renew implements TokenStore. One Tokens renews once at a time, so that nobody
// else is there to wait for.
func (m *memoryTokens) Renew(ctx context.Context, renew func(context.Context, Token) (Token, error)) (Token, error) {
	newest, err := m.Load(ctx)
	if err != nil {
		return Token{}, err
	}
	next, err := renew(ctx, newest)
	if err != nil {
		return next, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token = next
	return next, nil
}
