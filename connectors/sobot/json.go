package sobot

import "oneid/connectors"

// What the desk writes loosely, under short names.
type (
	text        = connectors.LenientText
	whole       = connectors.LenientWhole
	list[T any] = connectors.LenientList[T]
)
