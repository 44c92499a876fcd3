package state

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"oneid/identity"
	"oneid/identity/engine"
)

// A disk that is full makes the writer wait, and says so; with room again it
// goes on, and nothing is missing.
func TestFullDiskWaits(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	})
	memory := vfs.NewMem()
	store, err := open("state", errorfs.Wrap(memory, injector))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(store, identity.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	apply := func(sequence uint64) error {
		account := identity.Account{Platform: "tmall", Shop: "s", ID: strconv.FormatUint(sequence, 10)}
		_, err := e.Apply(sequence, []engine.Update{{Account: account}}, nil)
		return err
	}
	if err := apply(1); err != nil || store.Full() != nil {
		t.Fatalf("with room: %v, %v", err, store.Full())
	}
	full.Store(true)
	applied := make(chan error, 1)
	go func() { applied <- apply(2) }()
	for store.Full() == nil {
		time.Sleep(time.Millisecond)
	}
	var failed *Error
	if err := store.Full(); !errors.As(err, &failed) || failed.Code() != "state_full" || !strings.Contains(failed.Hint(), "goes on by itself") {
		t.Errorf("Full = %v, want an error with the code state_full that asks for room alone", err)
	}
	select {
	case err := <-applied:
		t.Fatalf("Apply ended on a full disk: %v", err)
	case <-time.After(3 * roomEvery):
	}
	full.Store(false)
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(apply(3), store.Full(), store.Close()); err != nil {
		t.Fatal(err)
	}
	if store, err = open("state", memory); err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if e, err = engine.New(store, identity.DefaultRules()); err != nil {
		t.Fatal(err)
	}
	if got := e.Size().Accounts; got != 3 {
		t.Errorf("%d accounts after all, want 3", got)
	}
}
