package identity

// AppearanceType is the type of the identifier that stands for one appearance
// of a receiver: the keyed hash of its masked fields. It joins nobody by
// itself; what a Scorer makes of two appearances may.
const AppearanceType IdentifierType = "appearance"

// Appearance is a receiver as an order shows him, each field masked at least
// as much as AsSeen masks it: nothing here tells a whole name, number or
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

// Scorer is the model as the flow asks it: which appearances are to be
// compared, and what speaks for two being one person. It is a function of its
// arguments: no clock, no memory, safe for concurrent use.
type Scorer interface {
	// Blocks appends the keys under which an appearance meets others to keys.
	// Two appearances that share no key are never compared.
	Blocks(keys []uint64, a Appearance) []uint64
	// Weigh gives the weight, in bits with the prior, that the two are one
	// person. Weigh(a, b) = Weigh(b, a).
	Weigh(a, b Appearance) float32
	// Explain gives Weigh's parts, best first, with no value in them: "district
	// equal +7.1".
	Explain(a, b Appearance) []string
}
