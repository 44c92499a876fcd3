package pull

import (
	"math"
	"time"

	"oneid/internal/httpclient"
)

// A rate of less than two calls a second for each process that calls is not parted:
// parts of a call add up to one too many now and then. One process has the whole of it
// until it says in the topic that its turn is over, and uses nothing before it says so;
// the next one begins once it has read that, and need not wait for others to hear it.
// From who fell silent the turn goes as a part does: after everybody heard of it.
// The lowest Turn has it. Who gives it away, or begins to need some, is last.

const (
	// A turn lasts turnCalls calls and no less than turnLasts while another waits: a
	// change costs up to a call, and of who then needs a single call up to three seconds.
	// That of one that can wait, while one waits that cannot, lasts a part of that.
	turnCalls   = 50
	turnLasts   = 75 * time.Second
	patientTurn = 0.25
	// turnUnused is how long after its last call one gives its turn away.
	turnUnused = time.Second
	// turnLook is how often who waits for its turn looks whether it has it.
	turnLook = 250 * time.Millisecond
)

// inTurns says that a rate is not parted among its callers.
func inTurns(all []caller, rate float64) bool {
	return len(all) == 1 || rate < float64(2*len(all))
}

// holder is the process that has the whole of a rate; empty where it is parted, or
// nobody needs any.
func holder(all []caller, rate float64) string {
	if math.IsInf(rate, 1) || !inTurns(all, rate) {
		return ""
	}
	has := caller{turn: math.MaxInt64}
	for _, c := range all { // by their ids: of one turn the first has it
		if (c.need > 0 || len(all) == 1) && c.turn < has.turn {
			has = c
		}
	}
	return has.process
}

// holder is whose turn it is under a name. mu is held.
func (q *Quotas) holder(name string) string {
	all, rate := q.callers(name)
	return holder(all, rate)
}

// free notes that a process uses no more what was its turn, by its own word.
func (r *shared) free(process string) {
	for i := range r.parts {
		if r.parts[i].holder == process {
			r.parts[i].calls = math.Inf(1)
		}
	}
}

// lastTurn is the highest turn under a name. mu is held.
func (q *Quotas) lastTurn(name string) int64 {
	var last int64
	for _, s := range q.shares[name] {
		last = max(last, s.Turn)
	}
	return last
}

// turnEnds says that this process has the turn, another waits for it, and it was long
// enough, or is not used. mu is held.
func (q *Quotas) turnEnds(name string, now time.Time) bool {
	all, rate := q.callers(name)
	if holder(all, rate) != q.process {
		return false
	}
	lasts := max(time.Duration(turnCalls/rate*float64(time.Second)), turnLasts)
	waits, urgent, patient := false, false, false
	for _, c := range all {
		switch {
		case c.process == q.process:
			patient = c.urgency == httpclient.Patient
		case c.need > 0:
			waits, urgent = true, urgent || c.urgency != httpclient.Patient
		}
	}
	if patient && urgent {
		lasts = time.Duration(float64(lasts) * patientTurn)
	}
	r := q.rates[name]
	return waits && (elapsed(r.held, now) >= lasts || elapsed(r.called, now) >= turnUnused)
}

// gives says that with what this process is about to say it has its turn no more. mu
// is held.
func (q *Quotas) gives(name string, mine processShare) bool {
	if q.holder(name) != q.process {
		return false
	}
	said := q.shares[name][q.process]
	q.shares[name][q.process] = mine
	has := q.holder(name)
	q.shares[name][q.process] = said
	return has != q.process
}
