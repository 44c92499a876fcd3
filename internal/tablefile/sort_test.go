package tablefile

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	diff "github.com/google/go-cmp/cmp"
)

// However little memory there is, values come out as a stable sort gives them.
func TestSorterIsAStableSort(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 3))
		s, err := NewSorter(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.memory = 1 + r.IntN(2000)
		type pair struct{ Key, Value string }
		var want, got []pair
		for n := range r.IntN(300) {
			p := pair{fmt.Sprint(r.IntN(40)), fmt.Sprint(n, string(bytes.Repeat([]byte("x"), r.IntN(100))))}
			want = append(want, p)
			if err := s.Add(p.Key, []byte(p.Value)); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortStableFunc(want, func(a, b pair) int { return cmp.Compare(a.Key, b.Key) })
		for sorted, err := range s.Sorted() {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, pair{sorted.Key, string(sorted.Value)})
		}
		if d := diff.Diff(want, got); d != "" {
			t.Fatalf("seed %d, memory %d, %d runs (-want +got):\n%s", seed, s.memory, len(s.runs), d)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What lies on disk has no name, and says nothing.
func TestSorterFileSaysNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := NewSorter(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.memory = 100
	for range 100 {
		if err := s.Add("key", []byte("甲一 13800001111")); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 || len(s.runs) == 0 {
		t.Errorf("%d runs in files with names: %v", len(s.runs), left)
	}
	all := make([]byte, s.end)
	if _, err := s.file.ReadAt(all, 0); err != nil {
		t.Fatal(err)
	}
	if a, b := s.runs[0], s.runs[1]; bytes.Equal(all[a.from:a.to], all[b.from:b.to]) {
		t.Error("two runs of the same values are the same in the file")
	}
	if bytes.Contains(all, []byte("1380000")) {
		t.Error("the file holds a value in clear")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
