package api

import (
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two processes share the file: one makes and revokes, the other serves.
func TestKeysOfAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api-keys.json")
	synctest.Test(t, func(t *testing.T) {
		serving, managing := NewKeys(path), NewKeys(path)
		found := func(key string) bool {
			_, ok, err := serving.find(key)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		if found("oneid_unknown") {
			t.Error("a key was found where there is none")
		}
		key, made, err := managing.Create("desk", []Scope{ScopeRead}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if list, err := NewKeys(path).List(); err != nil || len(list) != 1 || list[0].ID != made.ID {
			t.Errorf("a new process lists %v, %v; want the one key", list, err)
		}
		if !found(key) {
			t.Error("a key that another process made is not known")
		}
		if err := managing.Revoke(made.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if found(key) {
			t.Error("a key that another process revoked still opens after a second")
		}
	})
}

// Processes that change the keys at the same time lose none of each other's
// changes.
func TestKeysOfManyWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api-keys.json")
	_, old, err := NewKeys(path).Create("old", []Scope{ScopeRead}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, _, err := NewKeys(path).Create("new", []Scope{ScopeRead}, time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() {
		if err := NewKeys(path).Revoke(old.ID); err != nil {
			t.Error(err)
		}
	})
	all.Wait()
	list, err := NewKeys(path).List()
	if err != nil || len(list) != 16 || slices.ContainsFunc(list, func(k Key) bool { return k.ID == old.ID }) {
		t.Errorf("%d keys are there (%v), want 16 and not the one that was revoked", len(list), err)
	}
}
