package engine_test

import (
	"fmt"
	"runtime"
	"testing"
	"weak"

	"oneid/identity"
	"oneid/identity/engine"
)

// What a batch changed is let go of with who asked for it, not with the next batch, which
// may be long in coming.
func TestChangesAreNotKept(t *testing.T) {
	t.Parallel()
	e := open(t, engine.NewMemory(), rules(t))
	var updates []engine.Update
	for i := range 1000 {
		updates = append(updates, shared(fmt.Sprint("tmall/1/", i), byte(i)))
	}
	apply := func() (weak.Pointer[engine.Birth], weak.Pointer[identity.Evidence]) {
		changes, err := e.Apply(1, updates, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(changes.Born) != len(updates) || len(changes.Evidence) != len(updates) {
			t.Fatalf("%d accounts were born with %d pieces of evidence, want %d", len(changes.Born), len(changes.Evidence), len(updates))
		}
		return weak.Make(&changes.Born[0]), weak.Make(&changes.Evidence[0])
	}
	born, evidence := apply()
	runtime.GC()
	if born.Value() != nil || evidence.Value() != nil {
		t.Error("nobody has the changes any more, and they are kept")
	}
	runtime.KeepAlive(e)
}
