package resolve

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"oneid/internal/kafka"
)

// membership keeps the generation of the group that this process is in.
type membership struct {
	group *kafka.Group

	mu      sync.Mutex
	current *kafka.Generation // nil until there was one
	fault   error             // why there is no newer one
	changed chan struct{}     // closed, and made anew, with each change
}

func newMembership(group *kafka.Group) *membership {
	return &membership{group: group, changed: make(chan struct{})}
}

// run follows the group until the membership is closed.
func (m *membership) run() {
	for {
		generation, err := m.group.Next(context.Background()) // it ends with the membership
		if errors.Is(err, kafka.ErrLeft) {
			return
		}
		m.mu.Lock()
		if err == nil {
			m.current, m.fault = generation, nil
		} else {
			m.fault = &groupError{err}
		}
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

// now is the latest generation, or why there is none (both nil: it is being
// joined), and a channel that is closed when this changes. A generation that
// has ended counts until there is another: the journal, not the group, keeps
// two from acting at once, and who is active need not pause whenever another
// comes or goes.
func (m *membership) now() (*kafka.Generation, error, <-chan struct{}) { //nolint:staticcheck // ST1008: the error is a value here
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.current, m.fault, m.changed
}

// lost returns errStoodDown once the partitions are another's, and nil when
// ctx ends. On each new generation that leaves them here it calls kept.
func (m *membership) lost(ctx context.Context, kept func(*kafka.Generation) error) error {
	for {
		generation, _, changed := m.now()
		if generation != nil && !generation.Active {
			return errStoodDown
		}
		if err := kept(generation); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// errStoodDown says that another member of the group is active now.
var errStoodDown = errors.New("resolve: another resolver is active now")

// groupError says why the group could not be joined. The membership goes on
// trying.
type groupError struct{ err error }

func (e *groupError) Error() string {
	return fmt.Sprintf("resolve: be a member of the group: %v", e.err)
}
func (e *groupError) Unwrap() error { return e.err }
