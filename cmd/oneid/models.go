package main

import "oneid/identity"

// models are the models that rules may use under model.use. Under one name a
// model never changes, since a state holds what it has joined: a better one gets
// another name, and is adopted.
func models() identity.Scorers { return identity.Scorers{} }
