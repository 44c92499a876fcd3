package identity

import "fmt"

// AppearanceType is the type of the identifier that stands for one appearance
// of a receiver: the keyed hash of its masked fields. It joins nobody by
// itself; what a Scorer makes of two appearances may.
const AppearanceType IdentifierType = "appearance"

// Appearance is a receiver as an order shows him, each field masked at least
// as much as normalize.AsSeen masks it: nothing here tells a whole name, number or
// address. An empty field was not shown.
type Appearance struct {
	Name     string // 王**
	Phone    string // *******1135, 1********35, 138****1135
	Province string
	City     string
	District string
	Town     string
	Detail   string // masked: 文*西*1*8*
}

// Receiver is what tells one of an account's receivers from another, wherever he has
// it sent: the name and the number. Appearances of one account whose Receivers are
// equal are one receiver. One whose name or number is not shown is told by all that is.
func (a Appearance) Receiver() Appearance {
	if a.Name == "" || a.Phone == "" {
		return a
	}
	return Appearance{Name: a.Name, Phone: a.Phone}
}

// Receivers are from when to when an account was seen with each Receiver, in Unix
// seconds.
type Receivers map[Appearance][2]int64

// See adds that the account was seen with an appearance.
func (r Receivers) See(a Appearance, first, last int64) {
	of := a.Receiver()
	if times, ok := r[of]; ok {
		first, last = min(first, times[0]), max(last, times[1])
	}
	r[of] = [2]int64{first, last}
}

// Scorer is the model as the flow asks it: which appearances are to be
// compared, and what speaks for two being one person. It is a function of its
// arguments: no clock, no memory, safe for concurrent use.
type Scorer interface {
	// Blocks appends the keys under which an appearance meets others to keys.
	// Two appearances that share no key are never compared.
	Blocks(keys []uint64, a Appearance) []uint64
	// Compare gives the levels on which the two agree, and the bits that are added
	// because what is equal is rare. Compare(a, b) = Compare(b, a).
	Compare(a, b Appearance) (levels Levels, rare float64)
	// Worths are what levels are worth. They are not to be changed.
	Worths() *Worths
	// Weigh gives the weight, in bits with the prior, that the two are one
	// person: that which Worths give to what Compare gives.
	Weigh(a, b Appearance) float32
	// Explain gives Weigh's parts, best first, with no value in them: "district
	// equal +7.1".
	Explain(a, b Appearance) []string
}

// Scorers are the models that a program has, by the name under which rules use
// them. Under one name a Scorer never changes: customers that it has joined
// would not be those that it would join.
type Scorers map[string]Scorer

// UnknownModelError says that rules use a model that the program does not have.
type UnknownModelError struct{ Name string }

func (e *UnknownModelError) Error() string {
	return fmt.Sprintf("identity: the rules use the model %q, which this program does not have", e.Name)
}

// Code names the kind of error.
func (e *UnknownModelError) Code() string { return "model_unknown" }

// Hint says what to do.
func (e *UnknownModelError) Hint() string {
	return "name its file under identity.models in oneid.yaml, if it is one of your own; else use the version of oneid that adopted these rules, or a later one; or mend the name under model: in the rules"
}

// Of is the Scorer that rules use; nil if they use none.
func (s Scorers) Of(r *Rules) (Scorer, error) {
	if r.Model == nil {
		return nil, nil
	}
	if scorer := s[r.Model.Use]; scorer != nil {
		return scorer, nil
	}
	return nil, &UnknownModelError{r.Model.Use}
}
