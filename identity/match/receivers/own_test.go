package receivers_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"oneid/identity"
	"oneid/identity/match"
	"oneid/identity/match/receivers"
)

func shippedModel(t *testing.T) *match.Model {
	t.Helper()
	m, err := match.ParseModel("model.yaml", receivers.ModelYAML())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func written(t *testing.T, l *match.Learned) []byte {
	t.Helper()
	var text bytes.Buffer
	if err := l.Write(&text); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// What was learned is all that the flow needs: read from its file it weighs and
// blocks as with the model beside it.
func TestOwnNeedsTheFileAlone(t *testing.T) {
	t.Parallel()
	shipped, err := receivers.Scorer()
	if err != nil {
		t.Fatal(err)
	}
	name, own, _, err := receivers.ReadOwn("own.json", receivers.LearnedJSON())
	if err != nil || !strings.HasPrefix(name, "receivers-") || name == receivers.Name {
		t.Fatalf("ReadOwn = %q, %v", name, err)
	}
	p := newPopulation(t, 60, 205)
	for i, a := range p.sightings {
		b := p.sightings[(i*7+1)%len(p.sightings)]
		if got, want := own.Weigh(a.shown, b.shown), shipped.Weigh(a.shown, b.shown); got != want {
			t.Fatalf("weight %v, and %v with the model at hand", got, want)
		}
		if got, want := own.Blocks(nil, a.shown), shipped.Blocks(nil, a.shown); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("keys %v, and %v with the model at hand", got, want)
		}
	}
}

// A name never means two things, and what is the same has one name whenever it
// was learned.
func TestOwnName(t *testing.T) {
	t.Parallel()
	name := func(change func(*match.Learned)) string {
		l, err := match.ParseLearned("own.json", receivers.LearnedJSON())
		if err != nil {
			t.Fatal(err)
		}
		change(l)
		got, _, err := receivers.Own(l)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	plain := name(func(*match.Learned) {})
	if later := name(func(l *match.Learned) { l.At = "2026-11-12T00:00:00Z" }); later != plain {
		t.Errorf("learned again on another day it is %s, first %s", later, plain)
	}
	seen := map[string]string{plain: "as it is"}
	for what, change := range map[string]func(*match.Learned){
		"prior":    func(l *match.Learned) { l.Prior *= 2 },
		"m":        func(l *match.Learned) { l.Fields[1].M[0] += 1e-9 },
		"blocking": func(l *match.Learned) { l.Blocking = l.Blocking[:1] },
	} {
		got := name(change)
		if seen[got] != "" {
			t.Errorf("with another %s it is called %s, as %s", what, got, seen[got])
		}
		seen[got] = what
	}
}

// Warehouses and orders whose buyer is not named change nothing of what is
// learned.
func TestTrainLeavesOutWhoTellsNothing(t *testing.T) {
	t.Parallel()
	all := sightingsOf(newPopulation(t, 400, 8))
	plain, err := receivers.Train(t.Context(), all, shippedModel(t), match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"tmall/one", "douyin/one", "weidian/one"}; len(plain.Sources) != 3 || plain.Learned.Data.Records+plain.Shared > len(all) {
		t.Errorf("sources %q (want those of %q), %d records and %d shared of %d", plain.Sources, want, plain.Learned.Data.Records, plain.Shared, len(all))
	}
	warehouse := identity.Appearance{Name: "仓**", Phone: "*******0000", District: "西湖区", Detail: "仓*路*1*"}
	for i := range receivers.Shared + 1 {
		all = append(all, receivers.Sighting{Account: identity.Account{Platform: "tmall", Shop: "one", ID: fmt.Sprint("w", i)}, Seen: warehouse})
	}
	for i := range 50 {
		all = append(all, receivers.Sighting{Account: identity.Account{Platform: "douyin", Shop: "one", ID: fmt.Sprint("order:", i)}, Seen: all[i].Seen})
	}
	more, err := receivers.Train(t.Context(), all, shippedModel(t), match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if more.Name != plain.Name || more.Shared != plain.Shared+receivers.Shared+1 {
		t.Errorf("with a warehouse and unnamed buyers it is %s with %d left out, without %s with %d", more.Name, more.Shared, plain.Name, plain.Shared)
	}
	// No value stands in what is written.
	text := string(written(t, more.Learned))
	for _, s := range all[:200] {
		for _, value := range []string{s.Seen.Detail, s.Seen.Name, s.Seen.District} {
			if len(value) > 3 && strings.Contains(text, value) {
				t.Fatalf("what was learned holds a value of %d bytes", len(value))
			}
		}
	}
}

func TestTrainTakesTwoShops(t *testing.T) {
	t.Parallel()
	one := sightingsOf(newPopulation(t, 50, 8))
	n := 0
	for _, s := range one {
		if s.Account.Platform == "tmall" {
			one[n] = s
			n++
		}
	}
	if _, err := receivers.Train(t.Context(), one[:n], shippedModel(t), match.Options{}); !errors.Is(err, receivers.ErrOneSource) {
		t.Errorf("of one shop: %v", err)
	}
	if _, err := receivers.Train(t.Context(), nil, shippedModel(t), match.Options{}); !errors.Is(err, receivers.ErrOneSource) {
		t.Errorf("of nobody: %v", err)
	}
}

// A file that cannot be used says so, and what to do.
func TestReadOwnRefuses(t *testing.T) {
	t.Parallel()
	text := string(receivers.LearnedJSON())
	for name, c := range map[string]struct{ text, want string }{
		"newer":    {strings.Replace(text, `"version": 1`, `"version": 2`, 1), "own.json: it is of version 2; this oneid reads up to version 1"},
		"cut off":  {text[:len(text)/2], "own.json line"},
		"no model": {`{"people": []}`, "own.json: it does not hold what was learned"},
		"of a file": {strings.Replace(text, `"columns": [
        "name"`, `"columns": [
        "surname"`, 1), "own.json: receivers: the model cannot be used for receivers"},
	} {
		if _, _, _, err := receivers.ReadOwn("own.json", []byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
