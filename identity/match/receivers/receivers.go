// Package receivers is the model of receivers that OneID ships: which of those
// that orders show masked are one person. It was learned without labels from
// invented people, of a seed that nothing is measured on; see model.yaml and
// rules-model.yaml beside it for what it compares and from when it is believed.
package receivers

import (
	_ "embed" // the model
	"sync"

	"oneid/identity/match"
)

//go:generate go test . -run TestShippedModelIsWhatIsLearned -update

var (
	//go:embed model.yaml
	modelFile []byte
	//go:embed receivers-1.learned.json
	learnedFile []byte
	//go:embed rules-model.yaml
	rulesFile []byte
)

// Name under which rules use the model. Another model gets another name: what
// was joined under one must be found again under it.
const Name = "receivers-1"

// Scorer is the shipped model.
var Scorer = sync.OnceValues(func() (*match.Scorer, error) {
	m, err := match.ParseModel("model.yaml", modelFile)
	if err != nil {
		return nil, err
	}
	l, err := match.ParseLearned(Name+".learned.json", learnedFile)
	if err != nil {
		return nil, err
	}
	return match.NewScorer(m, l)
})

// ModelYAML is what the model compares, with comments: to train one of one's
// own with.
func ModelYAML() []byte { return append([]byte{}, modelFile...) }

// RulesYAML is the part of the rules that uses the model, with comments.
func RulesYAML() []byte { return append([]byte{}, rulesFile...) }

// LearnedJSON is what the model's comparisons were found to be worth.
func LearnedJSON() []byte { return append([]byte{}, learnedFile...) }
