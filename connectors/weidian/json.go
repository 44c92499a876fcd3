package weidian

import "oneid/connectors"

// What the platform writes loosely, under short names.
type (
	text          = connectors.LenientText
	whole         = connectors.LenientWhole
	object[T any] = connectors.LenientObject[T]
	list[T any]   = connectors.LenientList[T]
)
