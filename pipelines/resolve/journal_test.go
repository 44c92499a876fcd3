package resolve

import (
	"errors"
	"testing"

	"oneid/internal/kafka"
	"oneid/pipelines"
)

// A record of the journal that cannot be read ends each resolver with where it
// lies and what helps, at every start the same; what lies before it is done.
func TestADamagedRecordOfTheJournal(t *testing.T) {
	t.Parallel()
	f, work := newFlow(t), newLedger()
	f.publish(t, f.message(t, user(0)))
	if err := run(t, f.resolver(work)); err != nil {
		t.Fatal(err)
	}
	_, next, err := f.client.Ends(t.Context(), f.topics.Journal)
	if err != nil {
		t.Fatal(err)
	}
	f.publish(t, kafka.Message{Topic: f.topics.Journal, Value: []byte("\xffwritten by a stranger")}, f.message(t, user(1)))
	for name, work := range map[string]*ledger{"one that has all before it": work, "one that has it again": work, "a new one": newLedger()} {
		r := f.resolver(work)
		err := run(t, r)
		var damaged *pipelines.JournalError
		if !errors.As(err, &damaged) || damaged.Topic != f.topics.Journal || damaged.Offset != next[0] || damaged.Hint() == "" {
			t.Errorf("%s ended with %v, want JournalError at %s@%d", name, err, f.topics.Journal, next[0])
		}
		if state, why, _ := r.Health(); state != pipelines.Stopped || why == nil {
			t.Errorf("%s is %s, %v; want stopped, and why", name, state, why)
		}
	}
	work.wantAllOnce(t, 1)
}
