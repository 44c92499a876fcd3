package resolve

import (
	"errors"
	"testing"

	"oneid/internal/kafka"
)

// One whose partitions are another's stands down at once, also while nothing comes
// that would show it in the journal; one that keeps them goes on.
func TestStandsDownWithItsPartitions(t *testing.T) {
	t.Parallel()
	m := newMembership(nil)
	next := func(g *kafka.Generation) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.current = g
		close(m.changed)
		m.changed = make(chan struct{})
	}
	next(&kafka.Generation{Number: 1, Active: true})
	kept, ended := make(chan uint64, 1), make(chan error, 1)
	go func() {
		ended <- m.lost(t.Context(), func(g *kafka.Generation) error {
			kept <- g.Number
			return nil
		})
	}()
	for number := uint64(1); number <= 2; number++ {
		select {
		case got := <-kept:
			if got != number {
				t.Fatalf("generation %d is kept, want %d", got, number)
			}
		case err := <-ended:
			t.Fatalf("it stands down in generation %d: %v", number, err)
		}
		next(&kafka.Generation{Number: number + 1, Active: number < 2})
	}
	select {
	case err := <-ended:
		if !errors.Is(err, errStoodDown) {
			t.Errorf("it ends with %v, want errStoodDown", err)
		}
	case number := <-kept:
		t.Errorf("generation %d, in which it has nothing, is kept", number)
	}
}
