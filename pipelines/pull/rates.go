package pull

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"oneid/internal/httpclient"
	"oneid/pipelines"
)

// How a rate is parted. What each process needs stands in the topic, which has one
// order: after each message of it everybody knows the part of everybody, and those
// of one moment of the topic are together no more than the rate. A process uses the
// least of the parts that it had in the topic of the last seconds (heard), and none
// if it has not heard the topic's end within hears: so whoever calls has heard of
// each part that somebody else may have begun to use. No clock of one process is
// compared with another's, and one that dies, or stands still and goes on, uses
// nothing that others have. That a silent one is left out says one of the others,
// in the topic. Where a rate has no whole calls for everybody, they take turns
// (turns.go).

const (
	// hears is for how long what was heard holds. Run hears every second.
	hears = 2 * time.Second
	// heard is after what time everybody uses no more than what one said: a second
	// more than hears, so that no second has calls of before and after.
	heard = hears + time.Second
	// sayEvery is how often a process among others that call says that it is there,
	// and silentFor how long nothing is heard of one that is left out; of one that
	// needs nothing, and need not speak, idleSilent.
	sayEvery   = 3 * time.Second
	silentFor  = 3 * sayEvery
	idleSilent = 90 * time.Second
	// idleAfter is how long after its last call a process needs nothing, and
	// leaveAfter how long after it it is gone.
	idleAfter  = 5 * time.Second
	leaveAfter = time.Minute
	// patientPart is the part of a rate of those that can wait while the others
	// do with the rest, and pressedPart while they do not.
	patientPart = 0.8
	pressedPart = 0.05
)

// shared is what this process knows of a rate under which it called.
type shared struct {
	called time.Time // when, last
	demand httpclient.Demand
	told   time.Time // when it said so last
	held   time.Time // since when it has the turn
	giving bool      // it is about to say what takes its turn: it uses nothing until it has read that
	// parts are this process's in calls a second, by when it read that they are:
	// those of the last seconds, and the one before.
	parts []partSince
}

type partSince struct {
	since  time.Time
	calls  float64
	holder string // whose turn it was; empty where nobody had the whole
}

// note notes what this process's part is, and whose turn, as it was read at a moment.
func (r *shared) note(calls float64, holder string, now time.Time) {
	// The first one within heard says what holds until then.
	for len(r.parts) > 1 && elapsed(r.parts[1].since, now) >= heard {
		r.parts = r.parts[1:]
	}
	if n := len(r.parts); n == 0 || r.parts[n-1].calls != calls || r.parts[n-1].holder != holder {
		r.parts = append(r.parts, partSince{now, calls, holder})
	}
}

// part is what may be used at a moment: the least of what was this process's since
// heard ago.
func (r *shared) part(now time.Time) float64 {
	least := math.Inf(1)
	for _, p := range slices.Backward(r.parts) {
		least = min(least, p.calls)
		if elapsed(p.since, now) >= heard {
			return least
		}
	}
	return 0 // it does not reach back so far
}

// elapsed is how long ago a moment was. A machine that slept knows it by one of its
// clocks only.
func elapsed(since, now time.Time) time.Duration {
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// caller is a process that calls under a name.
type caller struct {
	process string
	urgency httpclient.Urgency
	need    float64 // calls a second
	turn    int64
}

// callers are those of a name, in the order of their ids, and its rate: the lowest
// that any of them goes by. mu is held.
func (q *Quotas) callers(name string) ([]caller, float64) {
	rate := math.Inf(1)
	var list []caller
	for _, process := range slices.Sorted(maps.Keys(q.shares[name])) {
		s := q.shares[name][process]
		if s.Gone || q.leftOut(name, process) {
			continue
		}
		c := caller{process, s.Demand, s.Need, s.Turn}
		if s.Rate > 0 {
			rate = min(rate, s.Rate)
		} else {
			c.need = math.Inf(1) // a version that does not say what it needs
		}
		list = append(list, c)
	}
	return list, rate
}

// leftOut says that somebody said of a process that it is silent since what it said
// last. mu is held.
func (q *Quotas) leftOut(name, process string) bool {
	for _, s := range q.shares[name] {
		if at, ok := s.Silent[process]; ok && at == q.shares[name][process].offset {
			return true
		}
	}
	return false
}

// partOf is a process's part of a rate, in whole calls a second. All of them together
// are no more than the rate. Everybody who needs some has some; the rest goes to who
// needs it, and what nobody needs is parted evenly, so that who needs more than he said
// has it at once. Of a rate that is taken in turns all is the holder's.
func partOf(process string, all []caller, rate float64) float64 {
	i := slices.IndexFunc(all, func(c caller) bool { return c.process == process })
	switch {
	case i < 0 || math.IsInf(rate, 1):
		return 0
	case inTurns(all, rate):
		if holder(all, rate) == process {
			return rate
		}
		return 0
	}
	rate = math.Floor(rate)
	parts, lacks := make([]float64, len(all)), make([]float64, len(all))
	left := rate
	for i, c := range all {
		if c.need <= 0 {
			continue
		}
		parts[i] = 1
		lacks[i] = max(math.Ceil(min(c.need, rate))-1, 0)
		left--
	}
	for _, class := range classes(all, lacks, left) {
		left -= fill(parts, lacks, class.among, min(class.calls, left))
	}
	for i := range parts {
		parts[i] += left / float64(len(all))
	}
	round(parts, rate)
	return parts[i]
}

// class is how many calls those among a rate's callers have that call for one thing.
type class struct {
	among []int
	calls float64
}

// classes part what is left of a rate: those that can wait have a part while others
// call, and each class what the other does not need.
func classes(all []caller, lacks []float64, left float64) []class {
	var patient, urgent []int
	pressed, lackPatient, lackUrgent := false, 0.0, 0.0
	for i, c := range all {
		switch {
		case c.need <= 0:
		case c.urgency == httpclient.Patient:
			patient, lackPatient = append(patient, i), lackPatient+lacks[i]
		default:
			urgent, lackUrgent = append(urgent, i), lackUrgent+lacks[i]
			pressed = pressed || c.urgency == httpclient.Pressed
		}
	}
	patients := left * part(len(patient), len(urgent), pressed)
	return []class{
		{urgent, max(left-patients, left-lackPatient)},
		{patient, max(patients, left-lackUrgent)},
	}
}

// part is the part of a rate of those that can wait.
func part(patient, urgent int, pressed bool) float64 {
	switch {
	case patient == 0:
		return 0
	case urgent == 0:
		return 1
	case pressed:
		return pressedPart
	}
	return patientPart
}

// fill gives so many calls to those who lack some, the same to each or what he
// lacks, and returns how many it gave.
func fill(parts, lacks []float64, among []int, calls float64) (gave float64) {
	among = slices.Clone(among)
	slices.SortStableFunc(among, func(a, b int) int {
		switch {
		case lacks[a] < lacks[b]:
			return -1
		case lacks[a] > lacks[b]:
			return 1
		}
		return 0
	})
	for n, i := range among {
		more := min(lacks[i], (calls-gave)/float64(len(among)-n))
		parts[i] += more
		gave += more
	}
	return gave
}

// round makes parts whole, with the sum of a whole rate: those that come closest to
// one more have it.
func round(parts []float64, rate float64) {
	order := make([]int, len(parts))
	over := make([]float64, len(parts))
	for i, p := range parts {
		order[i] = i
		parts[i] = math.Floor(p + 1e-9)
		over[i] = p - parts[i]
		rate -= parts[i]
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case over[a] > over[b]+1e-9:
			return -1
		case over[b] > over[a]+1e-9:
			return 1
		}
		return 0
	})
	for _, i := range order {
		if rate < 1 {
			return
		}
		parts[i]++
		rate--
	}
}

// noteParts notes what the part of a name's rate is after a message of a process. mu
// is held. alone says that nobody called before that: all were gone by their own
// word, so that a first one need not wait for anybody to hear of it; had is whose turn
// it was.
func (q *Quotas) noteParts(name, process string, alone bool, had string) {
	r := q.rates[name]
	if r == nil {
		return
	}
	all, rate := q.callers(name)
	calls, has, now := partOf(q.process, all, rate), holder(all, rate), time.Now()
	if process == q.process {
		r.giving = false
	}
	if has == q.process && had != has {
		r.held = now
	}
	if had == process && has != had && q.shares[name][process].Gives {
		r.free(process)
	}
	if alone && process == q.process {
		r.parts = []partSince{{time.Time{}, calls, has}}
		return
	}
	r.note(calls, has, now)
}

// nobody says that everybody who ever called under a name is gone by his own word.
// mu is held.
func (q *Quotas) nobody(name string) bool {
	for _, s := range q.shares[name] {
		if !s.Gone {
			return false
		}
	}
	return true
}

// deaf says that this process has not heard the topic's end for too long. mu is held.
func (q *Quotas) deaf(now time.Time) bool { return elapsed(q.heardAt, now) >= hears }

// Share implements httpclient.Keeper.
func (q *Quotas) Share(name string, demand httpclient.Demand) float64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	r := q.rates[name]
	if r == nil {
		r = new(shared)
		q.rates[name] = r
	}
	r.called, r.demand = now, demand
	if q.deaf(now) || r.giving {
		return 0
	}
	return r.part(now)
}

// Join implements httpclient.Keeper. A process that finds others in the topic
// before its own word waits until they have read that; one that finds nobody
// calls at once, and who comes after it waits for it.
func (q *Quotas) Join(ctx context.Context, name string, demand httpclient.Demand) error {
	for q.Share(name, demand) == 0 {
		if err := q.ask(ctx, name); err != nil {
			return err
		}
		if q.Share(name, demand) > 0 {
			return nil
		}
		// Somebody else in this process may have said it; the others have to hear it.
		if err := pipelines.Sleep(ctx, heard/40); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// ask says that this process calls, unless it did, and hears what others said.
func (q *Quotas) ask(ctx context.Context, name string) error {
	q.asking <- struct{}{}
	defer func() { <-q.asking }()
	q.mu.Lock()
	_, waits := q.says(name)
	late := q.deaf(time.Now()) || waits && elapsed(q.heardAt, time.Now()) >= turnLook
	q.mu.Unlock()
	if late {
		if err := q.catchUp(ctx); err != nil {
			return err
		}
	}
	q.mu.Lock()
	said, _ := q.says(name)
	q.mu.Unlock()
	if said {
		return nil
	}
	if err := q.write(ctx, name, q.share(name, mayEndTurn)); err != nil {
		return err
	}
	return q.catchUp(ctx)
}

// says says that the others know of this process's need, and whether it waits for its
// turn. mu is held.
func (q *Quotas) says(name string) (said, waits bool) {
	r := q.rates[name]
	all, rate := q.callers(name)
	i := slices.IndexFunc(all, func(c caller) bool { return c.process == q.process })
	if i < 0 || len(r.parts) == 0 || r.giving {
		return false, false
	}
	waits = all[i].need > 0 && inTurns(all, rate) && holder(all, rate) != q.process
	return waits || partOf(q.process, all, rate) > 0, waits
}

// toTell are the names under which this process has something to say.
func (q *Quotas) toTell(now time.Time) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var names []string
	for name, r := range q.rates {
		if q.hasToTell(name, r, now) {
			names = append(names, name)
		}
	}
	return names
}

func (q *Quotas) hasToTell(name string, r *shared, now time.Time) bool {
	mine, ok := q.shares[name][q.process]
	if !ok || mine.Gone || q.leftOut(name, q.process) {
		return false // it joins, with its next call
	}
	if now.Sub(r.called) >= leaveAfter {
		return true
	}
	wants := q.demandOf(r, now)
	all, _ := q.callers(name)
	if len(all) < 2 {
		return wants.Need > 0 && now.Sub(r.told) >= shareEvery
	}
	for _, c := range all {
		if q.isSilent(name, c.process, now) {
			return true
		}
	}
	return q.turnEnds(name, now) || wants.Urgency != mine.Demand || math.Ceil(wants.Need) != math.Ceil(mine.Need) || wants.Need > 0 && now.Sub(r.told) >= sayEvery
}

// demandOf is what this process needs now: nothing, some time after its last call.
func (q *Quotas) demandOf(r *shared, now time.Time) httpclient.Demand {
	d := r.demand
	if now.Sub(r.called) >= idleAfter {
		d.Need = 0
	}
	return d
}

// isSilent says that nothing was heard of another process for so long that it is
// left out. mu is held.
func (q *Quotas) isSilent(name, process string, now time.Time) bool {
	s, ok := q.shares[name][process]
	lasts := silentFor
	if s.Need <= 0 && s.Rate > 0 {
		lasts = idleSilent
	} else if s.Rate == 0 {
		lasts = shareLasts
	}
	return ok && process != q.process && !s.Gone && now.Sub(s.read) >= lasts
}

// What is written may end this process's turn, if it was long enough, or keeps it: for a
// call that is about to be made, which has waited for the rate already, or was just made.
const (
	mayEndTurn = true
	keepsTurn  = false
)

// share is this process's under a name, as it is to be written now.
func (q *Quotas) share(name string, mayEnd bool) processShare {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	mine := q.shares[name][q.process]
	mine.Silent = nil
	r := q.rates[name]
	if r == nil { // of a quota alone
		mine.Gone, mine.Gives = true, true
		return mine
	}
	wants := q.demandOf(r, now)
	if mine.Gone || mine.Need <= 0 || q.leftOut(name, q.process) || mayEnd && q.turnEnds(name, now) {
		mine.Turn = q.lastTurn(name) + 1
	}
	mine.Demand, mine.Rate, mine.Need = wants.Urgency, wants.Rate, wants.Need
	if mine.Gone = now.Sub(r.called) >= leaveAfter; mine.Gone {
		r.parts = nil // whoever reads that nobody calls calls at once
	}
	for process, s := range q.shares[name] {
		if q.isSilent(name, process, now) {
			if mine.Silent == nil {
				mine.Silent = make(map[string]int64)
			}
			mine.Silent[process] = s.offset
		}
	}
	r.told = now
	r.giving = r.giving || q.gives(name, mine)
	mine.Gives = r.giving || mine.Gone
	return mine
}

// leave says that this process calls no more, so that the others have its part
// soon; unsaid, they have it after silentFor.
func (q *Quotas) leave(ctx context.Context) error {
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTakes)
	defer cancel()
	q.asking <- struct{}{}
	defer func() { <-q.asking }()
	q.mu.Lock()
	var names []string
	for name, r := range q.rates {
		names = append(names, name)
		r.parts = nil
	}
	q.mu.Unlock()
	var errs []error
	for _, name := range names {
		mine := q.share(name, mayEndTurn)
		mine.Gone, mine.Gives = true, true
		errs = append(errs, q.write(leaving, name, mine))
	}
	return errors.Join(errs...)
}
