package resolve

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/pipelines"
)

// road is a TCP way to ClickHouse that can be closed, and cut in the middle of
// what is being sent.
type road struct {
	t      testing.TB
	target string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	cut      atomic.Int64 // bytes until the next cut; not above 0: none
	cuts     atomic.Int64
}

func (s *site) road() *road {
	r := &road{t: s.t, target: s.database.Address, open: map[net.Conn]bool{}}
	r.serve(listen(s.t, crashtest.Address(s.t)))
	s.t.Cleanup(r.close)
	return r
}

func (r *road) url() string { return "http://" + r.listener.Addr().String() }

func (r *road) serve(l net.Listener) {
	r.mu.Lock()
	r.listener = l
	r.mu.Unlock()
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", r.target)
			if err != nil {
				_ = near.Close()
				continue
			}
			r.mu.Lock()
			r.open[near], r.open[far] = true, true
			r.mu.Unlock()
			go r.carry(near, far, true)
			go r.carry(far, near, false)
		}
	}()
}

// carry copies one way; of what goes to ClickHouse a cut loses the rest.
func (r *road) carry(from, to net.Conn, counted bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if counted && r.cut.Load() > 0 && r.cut.Add(-int64(n)) <= 0 {
				r.cuts.Add(1)
				_, _ = to.Write(buffer[:n/2])
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// close ends all that goes over the road; reopen gives it back.
func (r *road) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.listener.Close()
	for c := range r.open {
		_ = c.Close()
	}
	clear(r.open)
}

func (r *road) reopen() {
	r.serve(listen(r.t, r.listener.Addr().String()))
}

// letters counts what is in the dead letter.
func (s *site) letters() int64 {
	s.t.Helper()
	_, next, err := s.client.Ends(s.t.Context(), s.topics.DeadLetter)
	if err != nil {
		s.t.Fatal(err)
	}
	return next[0]
}

// ClickHouse absent, a connection cut in mid-insert, a full disk under the
// state, a broker that is away: the flow waits, says so, goes on by itself, and
// nothing is lost, doubled or put away.
func TestStoresAway(t *testing.T) {
	t.Parallel()
	s := newSiteOn(t, newOwnFlow(t, 1)) // its broker goes away too
	way := s.road()
	disk := smallDisk(t, 48)
	c := s.start(filepath.Join(disk.dir, "state"), way.url())
	c.is(pipelines.Working)
	s.come(20)
	s.shows()

	t.Log("ClickHouse is absent")
	way.close()
	s.come(20)
	c.is(pipelines.Waiting)
	s.meet(0, 20)
	way.reopen()
	c.is(pipelines.Working)
	s.shows()

	t.Log("the connection is cut in mid-insert")
	for _, after := range []int64{300, 2000, 9000, 20000} {
		way.cut.Store(after)
		for before := way.cuts.Load(); way.cuts.Load() == before; {
			s.come(40)
			s.shows()
		}
	}

	if disk.real {
		s.fullDisk(c, disk.dir)
	}

	t.Log("the broker is away")
	c.drain()
	s.broker.Close()
	c.is(pipelines.Waiting)
	s.restart()
	s.come(20)
	s.shows()
	s.settled()
	s.wantOracle()
	s.wantOnce()
	if n := s.letters(); n != 0 {
		t.Errorf("%d messages are in the dead letter: a store was away", n)
	}
	for _, said := range []string{"resolver waits for a store that is away", "resolver goes on"} {
		if n := strings.Count(c.log(), said); n < 3 || n > 12 {
			t.Errorf("the log says %q %d times, want it once a change:\n%s", said, n, c.log())
		}
	}
}

// fullDisk fills the disk of a resolver's state, and empties it again.
func (s *site) fullDisk(c *child, dir string) {
	s.t.Log("the disk is full")
	ballast := fill(s.t, dir)
	for !strings.Contains(c.log(), "the disk is full") {
		s.come(100)
		time.Sleep(20 * time.Millisecond)
	}
	c.drain()
	s.meet(20, 40)
	if err := os.Remove(ballast); err != nil {
		s.t.Fatal(err)
	}
	c.is(pipelines.Working)
	s.shows()
	s.settled()
}

// restart starts the broker again on its data and address.
func (s *site) restart() {
	s.t.Helper()
	b, err := broker.Start(s.brokerDir, s.brokers[0])
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(b.Close)
}

// disk is a folder that has a small file system to itself, if it is real.
type disk struct {
	dir  string
	real bool
}

// smallDisk mounts one. Where the system does not let it, the full disk is left
// to the test of internal/state, which needs none.
func smallDisk(t testing.TB, mib int) disk {
	t.Helper()
	dir := t.TempDir()
	if err := mountSmall(dir, mib); err != nil {
		t.Logf("no small disk can be mounted: %v", err)
		return disk{dir: dir}
	}
	t.Cleanup(func() { _ = unmount(dir) })
	return disk{dir, true}
}

// fill leaves no room on a disk, and returns the file that takes it.
func fill(t testing.TB, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	return name
}
