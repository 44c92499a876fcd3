package resolve

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"oneid/internal/crashtest"
	"oneid/pipelines"
)

func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// long says whether the longest tests are asked for.
func long() bool { return os.Getenv("ONEID_TEST_LONG") != "" }

// takeover is how long after a death rows must flow again.
const takeover = 10 * time.Second

// The active one is killed under load: one that stood by takes over, and then,
// when that one is killed too, one with an empty disk. The ids are those of an
// undisturbed run, and nothing was written twice.
func TestTakeover(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.start(s.folder("a"), s.database.URL)
	first.is(pipelines.Working)
	second := s.start(s.folder("b"), s.database.URL)
	second.is(pipelines.Standby)
	s.come(300)
	s.shows()
	for _, c := range []struct {
		dies, follows *child
		people        int
	}{{first, second, 300}, {second, nil, 500}} {
		if c.follows == nil {
			c.follows = s.start(s.folder("empty"), s.database.URL)
			c.follows.is(pipelines.Standby)
		}
		s.meet(c.people-200, c.people-100)
		s.come(200)
		c.dies.end(syscall.SIGKILL)
		dead := time.Now()
		s.meet(c.people-100, c.people)
		s.shows()
		crashtest.Within(t, "rows of the one that took over", time.Since(dead), takeover)
		s.wantOracle()
	}
	s.wantOnce()
}

// Three resolvers, killed, stopped, frozen and started at random under load,
// one of them now and then with an empty disk: each event that was acknowledged
// is there once, and the customers are those of an undisturbed run.
func TestRebalanceStorm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	lasts := 15 * time.Second
	if long() {
		lasts = 2 * time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var running [3]*child
	folder := [3]string{s.folder("0"), s.folder("1"), s.folder("2")}
	met := 0
	for ends := time.Now().Add(lasts); time.Now().Before(ends); {
		i := random.IntN(len(running))
		switch c := running[i]; {
		case c == nil:
			running[i] = s.start(folder[i], s.database.URL)
		case random.IntN(3) == 0:
			c.end(syscall.SIGKILL)
			running[i] = nil
			if random.IntN(3) == 0 {
				folder[i] = s.folder(fmt.Sprint("empty", s.people))
			}
		case random.IntN(2) == 0:
			c.end(syscall.SIGTERM)
			running[i] = nil
		default:
			_ = c.cmd.Process.Signal(syscall.SIGSTOP)
			time.AfterFunc(time.Duration(random.IntN(8000))*time.Millisecond, func() { _ = c.cmd.Process.Signal(syscall.SIGCONT) })
		}
		for range 1 + random.IntN(20) {
			s.come(1 + random.IntN(30))
			for met < s.people-1 && random.IntN(4) > 0 {
				s.meet(met, met+1)
				met++
			}
			time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		}
	}
	for i, c := range running {
		if c == nil {
			running[i] = s.start(folder[i], s.database.URL)
		}
	}
	s.shows()
	s.settled()
	s.wantOracle()
	s.wantOnce()
	for _, c := range running {
		if strings.Contains(c.log(), "failed") {
			t.Errorf("a resolver gave up:\n%s", c.log())
		}
	}
}

// One that is frozen inside an insert is declared dead; another takes over,
// and what follows moves the very accounts of that insert. The first wakes up
// and finishes its insert: nothing that a view or a subscriber sees is changed
// by it, whether ClickHouse knows its token still or not, whether the moves
// were folded into the facts meanwhile or not. It stands by then, and takes
// over in its turn.
func TestFrozenInsideAnInsert(t *testing.T) {
	for name, c := range map[string]struct {
		table              string
		moves              bool // the batch that is held moves accounts
		forget, fold, long bool
	}{
		"facts, the token is known":                        {table: "orders"},
		"facts, folded, the token is forgotten":            {table: "orders", forget: true, fold: true},
		"a mapping, the token is forgotten":                {table: "identity_map", forget: true, long: true},
		"an override, folded, the token is forgotten":      {table: "identity_overrides", moves: true, forget: true, fold: true},
		"moved, a mapping, folded, the token is forgotten": {table: "identity_map", moves: true, forget: true, fold: true, long: true},
	} {
		if c.long && !long() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if c.forget {
				for _, table := range []string{"orders", "identity_map", "identity_overrides", "identity_history"} {
					s.ask("ALTER TABLE " + table + " MODIFY SETTING non_replicated_deduplication_window = 2")
				}
			}
			g := s.gate()
			first := s.start(s.folder("a"), g.url)
			first.is(pipelines.Working)
			second := s.start(s.folder("b"), s.database.URL)
			second.is(pipelines.Standby)
			s.come(20)
			s.shows()

			g.table.Store(&c.table)
			if c.moves {
				s.meet(0, 20)
			} else {
				s.come(20)
			}
			<-g.held
			if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			frozen := time.Now()
			s.shows()
			crashtest.Within(t, "rows of the one that took over", time.Since(frozen), takeover)
			// What the held insert says is moved away from, and its token leaves
			// the window.
			if c.moves {
				s.part(0, 20)
			} else {
				s.meet(20, 40)
			}
			s.shows()
			for range 4 {
				s.come(2)
				s.shows()
				s.meet(s.people-2, s.people)
				s.shows()
			}
			s.settled()
			if c.fold {
				s.squash(Version(maxEpoch, 0))
			}
			s.wantOracle()

			close(g.open)
			<-g.passed
			if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			first.is(pipelines.Standby)
			s.come(5)
			s.shows()
			s.settled()
			s.wantOracle()
			if c.fold {
				s.squash(Version(maxEpoch, 0))
				s.wantOracle()
			}
			if !c.forget {
				s.wantOnce()
			}
			second.end(syscall.SIGTERM)
			s.come(5)
			s.shows()
			s.settled()
			s.wantOracle()
		})
	}
}
