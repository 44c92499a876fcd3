package httpclient

import (
	"context"
	"fmt"
	"maps"
	"math"
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
	// PerSecond is how many calls there may be in any second, those of a
	// hundredth of one (and at least one) at once; 0 means no limit.
	PerSecond float64
	// PerDay is how many calls in a day of Zone; 0 means no limit.
	PerDay int
	// Zone is that of the day; nil is UTC.
	Zone *time.Location
}

// burst is how many calls of so many a second may come at once.
func burst(perSecond float64) int { return max(1, int(perSecond/100)) }

// A Keeper keeps what was used of the quotas and which bans stand, beyond the
// process and for all that share them. It may be used concurrently.
type Keeper interface {
	// Take asks for n calls under a name of the day that ends then, in the zone
	// of that time, of which there are to be no more than limit in all, and
	// returns how many of them are granted; 0 when there are that many. The
	// day's whole quota, of which limit may be a part, is kept to be shown.
	Take(ctx context.Context, name string, ends time.Time, n, limit, quota int) (int, error)
	// Ban notes until when nothing may be called under a name.
	Ban(ctx context.Context, name string, until time.Time) error
	// Banned is until when nothing may be called under a name; zero: no ban.
	Banned(name string) time.Time
	// Join returns once a part of a name's rate is this process's.
	Join(ctx context.Context, name string, demand Demand) error
	// Share is how many of a name's calls a second are this process's at this
	// moment; 0 until it joins, and when it is to join anew. It is cheap.
	Share(name string, demand Demand) float64
}

// Urgency is what a process calls for under a name.
type Urgency int

const (
	// Patient calls only for what can wait.
	Patient Urgency = iota
	// Urgent calls for what cannot wait.
	Urgent
	// Pressed is Urgent, and had to wait for its share.
	Pressed
)

// Demand is what a process needs of a rate.
type Demand struct {
	Urgency Urgency
	// Rate is how many calls a second all processes may make, and Need how many
	// of them this one would: all of them if it uses what it gets.
	Rate, Need float64
}

type patientKey struct{}

// WithPatience is a context whose calls can wait: they are made with what other
// calls under the same limits leave, of the rate at each moment and of the
// day's quota.
func WithPatience(ctx context.Context) context.Context {
	return context.WithValue(ctx, patientKey{}, true)
}

// WithoutPatience is a context whose calls cannot wait, though those around them
// can, and that are repeated as usual: a token that must be renewed for them is
// everybody's.
func WithoutPatience(ctx context.Context) context.Context {
	return context.WithValue(context.WithValue(ctx, patientKey{}, false), onceKey{}, false)
}

func isPatient(ctx context.Context) bool { return ctx.Value(patientKey{}) == true }

const (
	// urgentLasts is how long a process counts as one that calls for what cannot
	// wait after it did.
	urgentLasts = 90 * time.Second
	// pressedWait is the wait for a rate after which a process is pressed, and
	// pressedLasts how long it is so after that.
	pressedWait  = 500 * time.Millisecond
	pressedLasts = 30 * time.Second
	// needEvery is how long calls are counted to know what a process needs, and
	// needFull the part of its share from which on it uses all it gets. It needs less
	// from the part needLess of its need on: each change takes seconds from somebody.
	needEvery = 5 * time.Second
	needFull  = 0.95
	needLess  = 0.8
	// lookEvery is how often who waits for a rate looks whether its share is
	// another.
	lookEvery = 500 * time.Millisecond
	// keptPart is the part of the quota of the rest of a day that is kept for
	// what cannot wait: one in keptPart.
	keptPart = 2
	// keptLast is the part of a day's quota that is kept to its end.
	keptLast = 0.04
)

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
	share     float64   // how many calls a second are this process's
	lost      bool      // it had none since, and others may have called
	need      float64   // how many it would make
	made      int       // calls since counted
	counted   time.Time // when made was 0
	full      bool      // whether it made all it could before that
	urgent    int       // calls that cannot wait, and wait for the rate
	urgentAt  time.Time // when the last such call was made
	pressedAt time.Time // when such a call had to wait
	notBefore time.Time // the end of a ban
	why       string    // what banned it
	day       string    // the day that granted is of
	granted   int       // calls of day that may be made without asking
	patient   int       // of those, how many were granted for what can wait
	usedUp    bool      // day has no more
	keptUntil time.Time // what is left until then is for what cannot wait

	// turn is held by the one patient call that waits for the rate, and first by
	// the one of the others: what is reserved ahead would come at a share that is
	// lost by then.
	turn, first chan struct{}
}

// bucket is that of a limit. Of several limits of one name the first counts.
func (l *Limits) bucket(limit Limit) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[limit.Name]
	if b == nil {
		b = &bucket{limit: limit, rate: rate.NewLimiter(rate.Inf, 1), share: limit.PerSecond, need: limit.PerSecond, turn: make(chan struct{}, 1), first: make(chan struct{}, 1)}
		if limit.Zone == nil {
			b.limit.Zone = time.UTC
		}
		if limit.PerSecond > 0 {
			b.rate = rate.NewLimiter(b.perSecond(), burst(limit.PerSecond))
		}
		l.buckets[limit.Name] = b
	}
	return b
}

// perSecond is the rate at which tokens come, for this process's share of the
// limit: what comes at once is taken off it, so that no second has more than
// a share of whole calls.
func (b *bucket) perSecond() rate.Limit {
	// A thousandth less, so that rounding puts no call into the second before.
	return rate.Limit(0.999 * max(b.share-float64(burst(b.share)-1), b.share/2))
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
	// A shorter one is over before others have heard of it.
	if longer && l.keeper != nil && time.Until(until) > keptBan {
		_ = l.keeper.Ban(ctx, b.limit.Name, until)
	}
}

const (
	// keptBan is the longest ban that is this process's alone: the others look
	// every second what was kept.
	keptBan = 2 * time.Second
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
func (l *Limits) held(b *bucket, now time.Time, patient bool) Wait {
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
	if patient && b.keptUntil.After(w.Until) {
		w.Why, w.Until = fmt.Sprintf("what is left of the day's %d calls is kept for what changes now", b.limit.PerDay), b.keptUntil
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

// kept is how many calls of a day are left to those that cannot wait: of the
// quota a part that shrinks with the rest of the day, and a few until its end.
func (b *bucket) kept(now time.Time) int {
	rest := float64(b.midnight(now).Sub(now)) / float64(24*time.Hour)
	return int(math.Ceil(float64(b.limit.PerDay) * (rest/keptPart + keptLast)))
}

// take takes one call of the day's quota; false when it is used up, or what is
// left is kept for others.
func (l *Limits) take(ctx context.Context, b *bucket, patient bool) (bool, error) {
	if b.limit.PerDay == 0 {
		return true, nil
	}
	b.taking.Lock()
	defer b.taking.Unlock()
	now := time.Now()
	day, limit := b.today(now), b.limit.PerDay
	if patient {
		limit -= b.kept(now)
	}
	b.mu.Lock()
	if b.day != day {
		b.day, b.granted, b.patient, b.usedUp = day, 0, 0, false
		if l.keeper == nil {
			b.granted = b.limit.PerDay
		}
	}
	// Where others have a part, what they leave to patient calls is apart: or
	// those would use up what was asked for the others.
	pool, left := &b.granted, 0
	if patient && l.keeper != nil {
		pool = &b.patient
	} else if patient {
		left = b.kept(now)
	}
	ask := *pool == 0 && !b.usedUp && l.keeper != nil
	b.mu.Unlock()
	granted := 0
	if ask {
		var err error
		if granted, err = l.keeper.Take(ctx, b.limit.Name, b.midnight(now), b.chunk(), limit, b.limit.PerDay); err != nil {
			return false, fmt.Errorf("ask for calls of %s's quota: %w", b.limit.Name, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	*pool += granted
	switch {
	case *pool > left:
		*pool--
		return true, nil
	case patient && b.kept(now) > 0:
		// A chunk more is left to patient calls after this long.
		wait := time.Duration(float64(24*time.Hour) * keptPart * float64(b.chunk()) / float64(b.limit.PerDay))
		b.keptUntil = now.Add(max(wait, time.Second))
		if midnight := b.midnight(now); b.keptUntil.After(midnight) {
			b.keptUntil = midnight
		}
	default:
		b.usedUp = true
	}
	return false, nil
}

// await waits until a call may be made under all of the buckets, and counts it.
// It returns a *Error that says until when to wait, where ctx ends before.
func (l *Limits) await(ctx context.Context, host string, buckets []*bucket) error {
	patient := isPatient(ctx)
	for {
		if err := l.awaitHeld(ctx, host, buckets); err != nil {
			return err
		}
		if err := l.awaitRate(ctx, buckets); err != nil {
			return err
		}
		now := time.Now()
		if slices.ContainsFunc(buckets, func(b *bucket) bool { return l.held(b, now, patient).Until.After(now) }) {
			continue // banned while it waited for its turn
		}
		for _, b := range buckets {
			ok, err := l.take(ctx, b, patient)
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
			if w := l.held(b, now, isPatient(ctx)); w.Until.After(longest.Until) {
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
	return pause(ctx, left)
}

// awaitRate waits for the buckets' tokens: for none while the process joins a rate,
// or those that were had by then would be used all at once.
func (l *Limits) awaitRate(ctx context.Context, buckets []*bucket) error {
	patient := isPatient(ctx)
	for _, b := range buckets {
		if b.limit.PerSecond == 0 {
			continue
		}
		if err := l.join(ctx, b, patient); err != nil {
			return err
		}
	}
	for _, b := range buckets {
		if b.limit.PerSecond == 0 {
			continue
		}
		wait := l.wait
		if patient {
			wait = l.waitPatiently
		}
		if err := wait(ctx, b); err != nil {
			return err
		}
		b.mu.Lock()
		b.made++
		b.mu.Unlock()
	}
	return nil
}

// join returns once a part of a bucket's rate is this process's, and takes it.
func (l *Limits) join(ctx context.Context, b *bucket, patient bool) error {
	demand := b.demand(patient)
	if l.keeper == nil {
		return nil
	}
	for !l.reshare(b, demand) {
		if err := l.keeper.Join(ctx, b.limit.Name, demand); err != nil {
			return fmt.Errorf("share the rate of %s: %w", b.limit.Name, err)
		}
		b.mu.Lock()
		b.made, b.counted = 0, time.Now() // what could not be made says nothing of what is needed
		b.mu.Unlock()
	}
	return nil
}

// demand is what the process calls for, with this call.
func (b *bucket) demand(patient bool) Demand {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if !patient {
		b.urgentAt = now
	}
	b.count(now)
	// Who calls needs some, also where none of its calls came through of late: who needs
	// none gets none while others need all.
	d := Demand{Urgency: Patient, Rate: b.limit.PerSecond, Need: max(b.need, min(b.limit.PerSecond, 1/needEvery.Seconds()))}
	switch {
	case now.Sub(b.pressedAt) < pressedLasts:
		d.Urgency = Pressed
	case now.Sub(b.urgentAt) < urgentLasts:
		d.Urgency = Urgent
	}
	return d
}

// count says, every now and then, what the calls since the last time need: all of
// the rate at first, then a little more than they were. Who made all that were
// given needs twice as many, and who did so again all there are: a crowd of calls
// once takes little from others. mu is held.
func (b *bucket) count(now time.Time) {
	if b.counted.IsZero() {
		b.counted = now
	}
	since := now.Sub(b.counted)
	if since < needEvery {
		return
	}
	made := float64(b.made) / since.Seconds()
	switch full := made >= needFull*b.share; {
	case full && b.full:
		b.need = b.limit.PerSecond
	case full:
		b.need, b.full = 2*b.share, true
	case made < needLess*needFull*b.need:
		b.need, b.full = made/needFull, false
	default:
		b.full = false
	}
	b.need = min(b.need, b.limit.PerSecond)
	b.made, b.counted = 0, now
}

// reshare takes this process's part of the rate as it is now; false if it has none.
func (l *Limits) reshare(b *bucket, demand Demand) bool {
	if l.keeper == nil {
		return true
	}
	b.mu.Lock() // or an older, larger part could be set after a newer one
	defer b.mu.Unlock()
	share := l.keeper.Share(b.limit.Name, demand)
	if share == 0 {
		b.lost = true
		return false
	}
	if share != b.share {
		if share > b.share {
			b.made, b.counted = 0, time.Now() // nor did a smaller share
		}
		b.share = share
		b.rate.SetLimit(b.perSecond())
		b.rate.SetBurst(burst(share))
	}
	if b.lost {
		// Whose share it was called a moment ago, maybe. A debt says that of this process
		// already: another with each loss would add up to more than any call makes good.
		b.lost = false
		if now := time.Now(); b.rate.TokensAt(now) > 0 {
			b.rate.ReserveN(now, b.rate.Burst())
		}
	}
	return true
}

// wait waits for a token, before all patient calls and after those that came
// before it.
func (l *Limits) wait(ctx context.Context, b *bucket) error {
	begun := time.Now()
	b.mu.Lock()
	b.urgent++
	b.mu.Unlock()
	err := l.waitFirst(ctx, b)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.urgent--
	if now := time.Now(); now.Sub(begun) >= pressedWait {
		b.pressedAt = now
	}
	return err
}

func (l *Limits) waitFirst(ctx context.Context, b *bucket) error {
	select {
	case b.first <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.first }()
	for {
		if err := l.join(ctx, b, false); err != nil {
			return err
		}
		token := b.rate.Reserve()
		had := b.rate.Limit()
		left := token.Delay()
		if end, ok := ctx.Deadline(); ok && time.Until(end) < left {
			token.Cancel()
			return fmt.Errorf("the rate of %s leaves no call before: %w", b.limit.Name, context.DeadlineExceeded)
		}
		for left > 0 && b.rate.Limit() == had {
			if err := pause(ctx, min(left, lookEvery)); err != nil {
				token.Cancel()
				return err
			}
			left = token.Delay()
			if !l.reshare(b, b.demand(false)) {
				break
			}
		}
		// What was frozen meanwhile, or has another share now, asks again.
		if left <= 0 && l.reshare(b, b.demand(false)) && b.rate.Limit() == had {
			return nil
		}
		token.Cancel()
	}
}

// pause sleeps, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// waitPatiently waits for a token that nobody else waits for. It takes none
// before there is one, so that others never wait for it.
func (l *Limits) waitPatiently(ctx context.Context, b *bucket) error {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-b.turn }()
	for {
		if err := l.join(ctx, b, true); err != nil {
			return err
		}
		b.mu.Lock()
		free := b.urgent == 0 && b.rate.Allow()
		b.mu.Unlock()
		if free {
			return nil
		}
		lacks := 1 - b.rate.Tokens()
		lasts := time.Duration(lacks / float64(b.rate.Limit()) * float64(time.Second))
		if err := pause(ctx, min(max(lasts, time.Millisecond), lookEvery)); err != nil {
			return err
		}
	}
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
