package main

import (
	"fmt"

	"oneid/identity"
	"oneid/identity/match/receivers"
)

// models are the models that rules may use under model.use. Under one name a
// model never changes, since a state holds what it has joined: a better one gets
// another name, and is adopted.
func models() identity.Scorers {
	shipped, err := receivers.Scorer()
	if err != nil {
		panic(fmt.Sprintf("the model %s that ships with this program: %v", receivers.Name, err)) // its test reads it
	}
	return identity.Scorers{receivers.Name: shipped}
}
