package state

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
)

func update(r *rand.Rand) engine.Update {
	u := engine.Update{Account: identity.Account{Platform: "tmall", Shop: fmt.Sprint(r.IntN(3)), ID: fmt.Sprint(r.IntN(12))}}
	for range r.IntN(3) {
		u.Evidence = append(u.Evidence, identity.Evidence{
			Identifier: identity.Identifier{Type: identity.Phone, Hash: identity.Hash{byte(r.IntN(8))}}, Role: identity.RoleMember, Source: "tmall", First: 1, Last: 2})
	}
	return u
}

func held(e *engine.Engine) (all []engine.Customer) {
	return slices.Collect(e.Customers)
}

// After a crash at any moment the state is that of the last batch that was
// acknowledged, or of the one in hand; going on from there ends where an
// engine that never crashed does.
func TestCrashLosesNoBatch(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		var batches [][]engine.Update
		var decisions [][]identity.Decision
		for i := range 10 {
			var batch []engine.Update
			for range r.IntN(6) {
				batch = append(batch, update(r))
			}
			batches = append(batches, batch)
			var d []identity.Decision
			if r.IntN(3) == 0 {
				d = append(d, identity.Decision{ID: fmt.Sprint(i), Kind: identity.DecisionKind(1 + r.IntN(2)), A: update(r).Account, B: update(r).Account, At: int64(i)})
			}
			decisions = append(decisions, d)
		}
		steady, err := engine.New(engine.NewMemory(), identity.DefaultRules())
		if err != nil {
			t.Fatal(err)
		}
		fs := vfs.NewCrashableMem()
		store, err := open("state", fs)
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(store, identity.DefaultRules())
		if err != nil {
			t.Fatal(err)
		}
		for i, batch := range batches {
			want, err := steady.Apply(uint64(i), batch, decisions[i])
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.Apply(uint64(i), batch, decisions[i]); err != nil {
				t.Fatal(err)
			}
			if r.IntN(2) == 0 { // forget what was not synced, or half of it
				fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
				if store, err = open("state", fs); err != nil {
					t.Fatalf("seed %d: open after a crash: %v", seed, err)
				}
				if e, err = engine.New(store, identity.DefaultRules()); err != nil {
					t.Fatalf("seed %d: load after a crash: %v", seed, err)
				}
			}
			got, err := e.Apply(uint64(i), batch, decisions[i])
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d: changes of sequence %d after a crash:\n%s", seed, i, d)
			}
		}
		if d := cmp.Diff(held(steady), held(e)); d != "" {
			t.Fatalf("seed %d: customers after crashes (-steady +crashed):\n%s", seed, d)
		}
		pending := 0
		for range e.Pending() {
			pending++
		}
		if pending != len(batches) {
			t.Fatalf("seed %d: %d batches pending, want %d", seed, pending, len(batches))
		}
	}
}

// A bookmark is there with the commit behind it, after a restart too, and is no
// row and no value.
func TestBookmark(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, want := range []string{"", "first", "second"} {
		store, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		got, err := store.Bookmark()
		if err != nil || string(got) != want || (got == nil) != (want == "") {
			t.Errorf("Bookmark = %q, %v, want %q", got, err, want)
		}
		for id, err := range store.Values() {
			t.Errorf("there is a value of %v (%v)", id, err)
		}
		next := map[string]string{"": "first", "first": "second", "second": "third"}[want]
		if err := errors.Join(store.SetBookmark([]byte(next)), store.Commit(nil), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockedSaysSo(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	_, err = Open(folder)
	var failed *Error
	if !errors.As(err, &failed) || failed.Code() != "state_locked" || !strings.Contains(err.Error(), folder) {
		t.Fatalf("second Open = %v, want state_locked", err)
	}
}
