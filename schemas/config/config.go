// Package config holds what people read about oneid.yaml: the commented
// sample and the JSON Schema. Both are checked against the program's own
// settings in cmd/oneid.
package config

import _ "embed"

// Sample is the commented oneid.yaml that `oneid init` writes.
//
//go:embed oneid.yaml
var Sample []byte

// Schema is the JSON Schema (draft 2020-12) of oneid.yaml.
//
//go:embed oneid.schema.json
var Schema []byte

// PipelineSample is a commented file of pipelines/.
//
//go:embed pipeline.yaml
var PipelineSample []byte

// PipelineSchema is the JSON Schema (draft 2020-12) of a file of pipelines/.
//
//go:embed pipeline.schema.json
var PipelineSchema []byte
