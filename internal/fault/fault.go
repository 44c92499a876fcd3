// Package fault names the points between two steps at which a program may
// die, so that tests can stop it exactly there. A point that no test armed
// costs one atomic load.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Point is a place between two steps. Make it as a package variable, so that
// it is known before anything runs.
type Point struct{ name string }

var (
	mu    sync.Mutex
	names []string

	armed atomic.Pointer[func(name string) error]
)

// New names a point "package/what was just done". A name that is there
// already is a broken program.
func New(name string) *Point {
	mu.Lock()
	defer mu.Unlock()
	if slices.Contains(names, name) {
		panic(fmt.Sprintf("fault: the point %s is named twice", name))
	}
	names = append(names, name)
	return &Point{name}
}

// Hit is called where the point lies; it returns what the test that armed it
// says, and nil otherwise.
func (p *Point) Hit() error {
	if f := armed.Load(); f != nil {
		if err := (*f)(p.name); err != nil {
			return fmt.Errorf("fault: at %s: %w", p.name, err)
		}
	}
	return nil
}

// Points are the names of a package's points, sorted.
func Points(pkg string) []string {
	mu.Lock()
	defer mu.Unlock()
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, pkg+"/") {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// ErrStop is what StopAt's point returns: stop here as if killed.
var ErrStop = errors.New("stopped by a test")

// Arm lets f decide at every point; disarm ends that. One test at a time.
func Arm(f func(name string) error) (disarm func()) {
	armed.Store(&f)
	return func() { armed.Store(nil) }
}

// StopAt arms one point: it returns ErrStop the n-th time that it is hit (1
// is the first), and from then on every point does. Stopped tells whether it
// came to that.
func StopAt(name string, n int) (disarm func(), stopped func() bool) {
	var left atomic.Int64
	left.Store(int64(n))
	disarm = Arm(func(hit string) error {
		if left.Load() <= 0 || hit == name && left.Add(-1) <= 0 {
			return ErrStop
		}
		return nil
	})
	return disarm, func() bool { return left.Load() <= 0 }
}
