package receivers_test

import (
	"bytes"
	"context"
	"flag"
	"math"
	"testing"

	"oneid/identity"
	"oneid/identity/match"
	"oneid/identity/match/receivers"
	"oneid/internal/golden"
)

// The people whom the shipped model was learned from: none of a seed below 100
// is ever measured.
const trainedPeople, trainedSeed = 20_000, 7

// sightingsOf is what the flow would keep of a population.
func sightingsOf(p *population) []receivers.Sighting {
	var out []receivers.Sighting
	for _, s := range p.sightings {
		a := p.accounts[s.account]
		out = append(out, receivers.Sighting{Account: identity.Account{Platform: a.Platform, Shop: "one", ID: a.ID}, Seen: s.shown})
	}
	return out
}

// train does what `oneid identity train --receivers` does.
func train(t testing.TB, people int, seed uint64) *match.Learned {
	m, err := match.ParseModel("model.yaml", receivers.ModelYAML())
	if err != nil {
		t.Fatal(err)
	}
	trained, err := receivers.Train(context.Background(), sightingsOf(newPopulation(t, people, seed)), m, match.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return trained.Learned
}

// The learned file beside the model is what the model learns. With -update it
// is written anew; then measure again, and give it another name if customers
// were joined by it anywhere.
func TestShippedModelIsWhatIsLearned(t *testing.T) {
	t.Parallel()
	l := train(t, trainedPeople, trainedSeed)
	for _, f := range l.Fields {
		for i, name := range f.Levels {
			t.Logf("%-9s %-32s m %.4f u %.3g bits %+.2f", f.Name, name, f.M[i], f.U[i], f.Weight(i+1))
		}
	}
	t.Logf("prior %.2f bits, %d rounds, converged: %v; %q", l.PriorBits(), l.Rounds, l.Converged, l.Warnings)
	const file = receivers.Name + ".learned.json"
	if flag.Lookup("update").Value.String() == "true" {
		var text bytes.Buffer
		if err := l.Write(&text); err != nil {
			t.Fatal(err)
		}
		golden.Equal(t, file, text.Bytes())
		return
	}
	shipped, err := match.ParseLearned(file, receivers.LearnedJSON())
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(shipped.PriorBits()-l.PriorBits()) > 0.01 || shipped.Data.Fingerprint != l.Data.Fingerprint {
		t.Errorf("%s was learned from other records: run go generate", file)
	}
	for i, f := range l.Fields {
		for level := range f.Levels {
			if got, want := shipped.Fields[i].Weight(level+1), f.Weight(level+1); math.Abs(got-want) > 0.01 {
				t.Errorf("%s, %s: %+.2f bits shipped, %+.2f learned: run go generate", f.Name, f.Levels[level], got, want)
			}
		}
	}
}
