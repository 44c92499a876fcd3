package httpclient

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limit bounds the calls that are made under one name.
type Limit struct {
	// Name of what is limited; clients that share Limits share what bears the
	// same name. It appears in messages: no secret.
	Name string
	// PerSecond is how many calls there may be in any second; 0 means no limit.
	// Burst is how many of them may come at once; default 1.
	PerSecond float64
	Burst     int
	// PerDay is how many calls in a day of Zone; 0 means no limit.
	PerDay int
	// Zone is that of the day; nil is UTC.
	Zone *time.Location
}

// A Keeper keeps what was used of the quotas and which bans stand, beyond the
// process and for all that share them. It may be used concurrently.
type Keeper interface {
	// Take asks for n calls of a day's quota under a name and returns how many
	// of them are granted, 0 when the quota is used up.
	Take(ctx context.Context, name, day string, n, perDay int) (int, error)
	// Ban notes until when nothing may be called under a name.
	Ban(ctx context.Context, name string, until time.Time) error
	// Banned is until when nothing may be called under a name; zero: no ban.
	Banned(name string) time.Time
	// Share is how many processes call under a name now, this one included.
	Share(name string) int
}

// Limits holds token buckets, bans and quotas by name. It may be used
// concurrently.
type Limits struct {
	keeper Keeper

	mu      sync.Mutex
	buckets map[string]*bucket
	waits   map[*Wait]bool
}

// NewLimits makes limits; without a keeper (nil) they last as long as the
// process and are its own.
func NewLimits(keeper Keeper) *Limits {
	return &Limits{keeper: keeper, buckets: make(map[string]*bucket), waits: make(map[*Wait]bool)}
}

// bucket is what is known of one name.
type bucket struct {
	limit Limit
	rate  *rate.Limiter

	taking sync.Mutex // held by the one who asks for more of the quota

	mu sync.Mutex
	// The fields below are guarded by mu.
	share     int       // of how many processes this is one
	notBefore time.Time // the end of a ban
	why       string    // what banned it
	day       string    // the day that granted is of
	granted   int       // calls of day that may be made without asking
	usedUp    bool      // day has no more
}

// bucket is that of a limit. Of several limits of one name the first counts.
func (l *Limits) bucket(limit Limit) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[limit.Name]
	if b == nil {
		b = &bucket{limit: limit, rate: rate.NewLimiter(rate.Inf, 1), share: 1}
		if limit.Zone == nil {
			b.limit.Zone = time.UTC
		}
		if limit.PerSecond > 0 {
			b.rate = rate.NewLimiter(b.perSecond(), max(limit.Burst, 1))
		}
		l.buckets[limit.Name] = b
	}
	return b
}

// perSecond is the rate at which tokens come, for this process's share of the
// limit: what comes at once is taken off it, so that no second has more than
// the limit.
func (b *bucket) perSecond() rate.Limit {
	all := b.limit.PerSecond / float64(b.share)
	// A thousandth less, so that rounding puts no call into the second before.
	return rate.Limit(0.999 * max(all-float64(max(b.limit.Burst, 1)-1), all/2))
}

// ban holds all calls under a name until then; a shorter ban than the one that
// stands changes nothing. What could not be kept holds this process alone.
func (l *Limits) ban(ctx context.Context, b *bucket, until time.Time, why string) {
	b.mu.Lock()
	longer := until.After(b.notBefore)
	if longer {
		b.notBefore, b.why = until, why
	}
	b.mu.Unlock()
	// A pause of seconds is over before others hear of it.
	if longer && l.keeper != nil && time.Until(until) > keptBan {
		_ = l.keeper.Ban(ctx, b.limit.Name, until)
	}
}

const (
	// keptBan is the shortest ban that is kept beyond the process.
	keptBan = 10 * time.Second
	// toldWait is the shortest wait that is told.
	toldWait = time.Second
)

// Wait is a wait for a limit.
type Wait struct {
	// Name of the limit, and why it holds.
	Name, Why string
	Until     time.Time
}

func (w Wait) String() string {
	return fmt.Sprintf("%s: %s, until %s", w.Name, w.Why, w.Until.Format(time.RFC3339))
}

type observerKey struct{}

// WithWaits is a context in which f is told each wait of a second and more,
// and, with false, its end. It is called concurrently.
func WithWaits(ctx context.Context, f func(w Wait, begins bool)) context.Context {
	return context.WithValue(ctx, observerKey{}, f)
}

// held is until when no call may be made under a name, as known now.
func (l *Limits) held(b *bucket, now time.Time) Wait {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.keeper != nil {
		if until := l.keeper.Banned(b.limit.Name); until.After(b.notBefore) {
			b.notBefore, b.why = until, "the platform allows no calls"
		}
	}
	w := Wait{Name: b.limit.Name, Why: b.why, Until: b.notBefore}
	if b.usedUp && b.day == b.today(now) {
		if midnight := b.midnight(now); midnight.After(w.Until) {
			w.Why, w.Until = fmt.Sprintf("the day's %d calls are used up", b.limit.PerDay), midnight
		}
	}
	return w
}

func (b *bucket) today(now time.Time) string { return now.In(b.limit.Zone).Format(time.DateOnly) }

// midnight is the end of the day.
func (b *bucket) midnight(now time.Time) time.Time {
	year, month, day := now.In(b.limit.Zone).Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, b.limit.Zone)
}

// chunk is how many calls of a quota are asked for at a time: few enough that
// what a killed process has not used is no loss.
func (b *bucket) chunk() int { return min(max(b.limit.PerDay/500, 1), 1000) }

// take takes one call of the day's quota; false when it is used up.
func (l *Limits) take(ctx context.Context, b *bucket) (bool, error) {
	if b.limit.PerDay == 0 {
		return true, nil
	}
	b.taking.Lock()
	defer b.taking.Unlock()
	day := b.today(time.Now())
	b.mu.Lock()
	if b.day != day {
		b.day, b.granted, b.usedUp = day, 0, false
		if l.keeper == nil {
			b.granted = b.limit.PerDay
		}
	}
	ask := b.granted == 0 && !b.usedUp && l.keeper != nil
	b.mu.Unlock()
	granted := 0
	if ask {
		var err error
		if granted, err = l.keeper.Take(ctx, b.limit.Name, day, b.chunk(), b.limit.PerDay); err != nil {
			return false, fmt.Errorf("ask for calls of %s's quota: %w", b.limit.Name, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.granted += granted
	if b.granted == 0 {
		b.usedUp = true
		return false, nil
	}
	b.granted--
	return true, nil
}

// await waits until a call may be made under all of the buckets, and counts it.
// It returns a *Error that says until when to wait, where ctx ends before.
func (l *Limits) await(ctx context.Context, host string, buckets []*bucket) error {
	for {
		if err := l.awaitHeld(ctx, host, buckets); err != nil {
			return err
		}
		if err := l.awaitRate(ctx, buckets); err != nil {
			return err
		}
		now := time.Now()
		if slices.ContainsFunc(buckets, func(b *bucket) bool { return l.held(b, now).Until.After(now) }) {
			continue // banned while it waited for its turn
		}
		for _, b := range buckets {
			ok, err := l.take(ctx, b)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if b == buckets[len(buckets)-1] {
				return nil
			}
		}
	}
}

// awaitHeld waits for the end of bans and of a day whose quota is used up.
func (l *Limits) awaitHeld(ctx context.Context, host string, buckets []*bucket) error {
	for {
		now := time.Now()
		var longest Wait
		for _, b := range buckets {
			if w := l.held(b, now); w.Until.After(longest.Until) {
				longest = w
			}
		}
		left := longest.Until.Sub(now)
		if left <= 0 {
			return nil
		}
		if end, ok := ctx.Deadline(); ok && end.Before(longest.Until) {
			return &Error{Host: host, Reason: longest.String(), Wait: left}
		}
		if err := l.sleep(ctx, longest, left); err != nil {
			return err
		}
	}
}

// sleep waits, and tells of it.
func (l *Limits) sleep(ctx context.Context, w Wait, left time.Duration) error {
	tell, _ := ctx.Value(observerKey{}).(func(Wait, bool))
	if left >= toldWait {
		l.mu.Lock()
		l.waits[&w] = true
		l.mu.Unlock()
		if tell != nil {
			tell(w, true)
		}
		defer func() {
			l.mu.Lock()
			delete(l.waits, &w)
			l.mu.Unlock()
			if tell != nil {
				tell(w, false)
			}
		}()
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// awaitRate waits for the buckets' tokens.
func (l *Limits) awaitRate(ctx context.Context, buckets []*bucket) error {
	for _, b := range buckets {
		if b.limit.PerSecond > 0 && l.keeper != nil {
			b.mu.Lock()
			if share := max(l.keeper.Share(b.limit.Name), 1); share != b.share {
				b.share = share
				b.rate.SetLimit(b.perSecond())
			}
			b.mu.Unlock()
		}
		if err := b.rate.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Waits are the waits of now, those of one name once, by name.
func (l *Limits) Waits() []Wait {
	l.mu.Lock()
	defer l.mu.Unlock()
	byName := make(map[string]Wait)
	for w := range l.waits {
		if w.Until.After(byName[w.Name].Until) {
			byName[w.Name] = *w
		}
	}
	waits := make([]Wait, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		waits = append(waits, byName[name])
	}
	return waits
}
