package sobot

import (
	_ "embed"

	"oneid/connectors"
)

//go:embed shape.json
var shapeText []byte

// shapes are what is known of the form of the platform's payloads, from its
// documents' examples, the test data and the simulator; README.md says how to
// tell of more.
var shapes = connectors.MustShapes(shapeText)

// Shape implements connectors.Shaped.
func (c *Connector) Shape(stream string) *connectors.Shape { return shapes[stream] }
