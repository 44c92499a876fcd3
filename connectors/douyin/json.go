package douyin

import "oneid/connectors"

// What the platform writes loosely, under short names.
type (
	text          = connectors.LenientText
	whole         = connectors.LenientWhole
	truth         = connectors.LenientTruth
	object[T any] = connectors.LenientObject[T]
	list[T any]   = connectors.LenientList[T]
)
