package receivers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"

	"oneid/identity"
	"oneid/identity/match"
)

// Shared is how many accounts of one source may send to a receiver who is one
// person. More is a warehouse, whose pairs would be learned from instead of
// people's.
const Shared = 8

// mostSources bounds the sources of a table.
const mostSources = 256

// Columns are those of the table that is learned from, in the order in which
// Train fills them.
var Columns = []string{"name", "phone", "province", "city", "district", "town", "detail"}

// Sighting is an account and a receiver whom it has sent something to.
type Sighting struct {
	Account identity.Account
	Seen    identity.Appearance
}

// Trained is what a model of a brand's own receivers was learned from.
type Trained struct {
	Learned *match.Learned
	// Candidates are the pairs that were compared.
	Candidates int64
	// Name under which rules use it; see Own.
	Name string
	// Sources are those whose receivers were compared with each other: shops, or
	// platforms where there are more than 256 shops.
	Sources []string
	// Shared are the sightings that were left out: so many accounts of their
	// source send there that it is no person.
	Shared int
}

// ErrOneSource says that there is nothing to compare: two accounts of one shop
// are two persons.
var ErrOneSource = errors.New("receivers: they are all of one shop, and a model is learned from pairs of two")

// Train learns from sightings, each once, without labels. Only receivers of
// different shops are compared. Accounts that are not Identified are left out:
// each of their orders is an account of its own. The same sightings in the same
// order and the same model give the same result.
func Train(ctx context.Context, sightings []Sighting, m *match.Model, o match.Options) (Trained, error) {
	sightings = slices.DeleteFunc(slices.Clone(sightings), func(s Sighting) bool { return !s.Account.Identified() })
	source := func(a identity.Account) string { return a.Platform + "/" + a.Shop }
	sources := numbered(sightings, source)
	if len(sources) > mostSources {
		source = func(a identity.Account) string { return a.Platform }
		sources = numbered(sightings, source)
	}
	if len(sources) < 2 {
		return Trained{}, ErrOneSource
	}
	type place struct {
		source string
		seen   identity.Appearance
	}
	senders := map[place]int{}
	for _, s := range sightings {
		senders[place{source(s.Account), s.Seen}]++
	}
	out := Trained{Sources: sources}
	table := match.NewTable(Columns)
	for _, s := range sightings {
		of := source(s.Account)
		if senders[place{of, s.Seen}] > Shared {
			out.Shared++
			continue
		}
		a := s.Seen
		table.Add(uint8(slices.Index(sources, of)), []string{a.Name, a.Phone, a.Province, a.City, a.District, a.Town, a.Detail})
	}
	if !table.Linked() {
		return Trained{}, ErrOneSource
	}
	result, err := match.Run(ctx, table, m, o)
	if err != nil {
		return Trained{}, err
	}
	out.Learned, out.Candidates = result.Learned, result.Candidates
	// What the flow could not use is said now.
	out.Name, _, err = Own(result.Learned)
	return out, err
}

// numbered are the sources of sightings, that with most of them first.
func numbered(sightings []Sighting, source func(identity.Account) string) []string {
	counts := map[string]int{}
	for _, s := range sightings {
		counts[source(s.Account)]++
	}
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}

// Own is a model of one's own receivers, as the flow asks it, and the name under
// which rules use it. The name is made of what was learned, so it never means
// anything else; when it was learned does not count.
func Own(l *match.Learned) (string, *match.Scorer, error) {
	scorer, err := match.NewScorer(l.Model(), l)
	if err != nil {
		return "", nil, fmt.Errorf("receivers: the model cannot be used for receivers: %w", err)
	}
	same := *l
	same.At = ""
	sum := sha256.New()
	if err := same.Write(sum); err != nil {
		return "", nil, fmt.Errorf("receivers: name the model: %w", err)
	}
	return "receivers-" + hex.EncodeToString(sum.Sum(nil)[:6]), scorer, nil
}

// ReadOwn reads a file of Train's. file is how errors call it.
func ReadOwn(file string, text []byte) (string, *match.Scorer, *match.Learned, error) {
	l, err := match.ParseLearned(file, text)
	if err != nil {
		return "", nil, nil, err
	}
	name, scorer, err := Own(l)
	if err != nil {
		return "", nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return name, scorer, l, nil
}
