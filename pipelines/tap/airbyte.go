package tap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// protocolVersion is that of the Airbyte protocol which Airbyte speaks.
const protocolVersion = "0.3.2"

// Airbyte speaks the Airbyte protocol. It may be told of a renewed token while
// a reading goes on.
type Airbyte struct {
	mu    sync.Mutex // guards lines
	lines lines
}

// NewAirbyte writes to w.
func NewAirbyte(w io.Writer) *Airbyte { return &Airbyte{lines: newLines(w)} }

func (a *Airbyte) write(message object) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lines.write(message)
}

func (a *Airbyte) flush() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lines.flush()
}

func (a *Airbyte) say(message object) error {
	if err := a.write(message); err != nil {
		return err
	}
	return a.flush()
}

func emittedAt() int64 { return time.Now().UnixMilli() }

// The settings that a tap has beside those of its connector.
const (
	SettingShop     = "shop"
	SettingPersonal = "personal"
)

// Spec says which settings there are: the connector's, its secrets marked, the
// shop, and whether personal values may leave in clear.
func (a *Airbyte) Spec(spec connectors.Spec) error {
	settings, err := specification(spec)
	if err != nil {
		return err
	}
	return a.say(object{"type": "SPEC", "spec": object{
		"protocol_version": protocolVersion, "supportsIncremental": true, "connectionSpecification": settings,
	}})
}

// specification is a connector's settings as a scheduler's form shows them.
func specification(spec connectors.Spec) (object, error) {
	var schema object
	d := json.NewDecoder(bytes.NewReader(spec.Settings))
	d.UseNumber()
	if err := d.Decode(&schema); err != nil {
		return nil, fmt.Errorf("the settings' schema of %s: %w", spec.Platform, err)
	}
	properties, _ := schema["properties"].(object)
	properties = maps.Clone(properties)
	for name, value := range properties {
		property, ok := value.(object)
		if !ok {
			continue
		}
		property = maps.Clone(property)
		if property["writeOnly"] == true {
			property["airbyte_secret"] = true
		}
		properties[name] = property
	}
	properties[SettingShop] = object{
		"type": "string", "minLength": 1, "order": 0, "title": "Shop",
		"description": "The shop's number or name: part of every account, and never changed. Douyin wants the platform's number, as do Weidian's pushes and its apps that merchants authorise.",
	}
	properties[SettingPersonal] = object{
		"type": "boolean", "default": false, "title": "Personal values in clear",
		"description": "Names, phones, addresses and identifiers leave in clear, and each record with the platform's payload. Otherwise they are masked.",
	}
	required, _ := schema["required"].([]any)
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"], schema["properties"] = spec.Title+" ("+spec.TitleZH+")", properties
	schema["required"] = append([]any{SettingShop}, required...)
	// The platform that calls may add keys of its own.
	schema["additionalProperties"] = true
	return schema, nil
}

// Check says whether the shop can be read; a fault is an answer, and no error. One
// beside which all streams can be read is told, and succeeds.
func (a *Airbyte) Check(fault error) error {
	status := object{"status": "SUCCEEDED"}
	if fault != nil {
		status = object{"status": "FAILED", "message": withHint(fault)}
	}
	if errors.As(fault, new(*connectors.LesserError)) {
		status["status"] = "SUCCEEDED"
	}
	return a.say(object{"type": "CONNECTION_STATUS", "connectionStatus": status})
}

// withHint is an error with what to do about it.
func withHint(err error) string {
	var hint interface{ Hint() string }
	if errors.As(err, &hint) && hint.Hint() != "" {
		return err.Error() + "\n" + hint.Hint()
	}
	return err.Error()
}

// Catalog lists the streams.
func (a *Airbyte) Catalog(streams []Stream, personal bool) error {
	primary := make([][]string, len(keys))
	for i, key := range keys {
		primary[i] = []string{key}
	}
	list := make([]object, len(streams))
	for i, s := range streams {
		list[i] = object{
			"name": s.Name, "json_schema": schemaOf(s.Kind, personal), "supported_sync_modes": []string{"full_refresh", "incremental"},
			"source_defined_cursor": true, "default_cursor_field": []string{cursorField}, "source_defined_primary_key": primary, "is_resumable": true,
		}
	}
	return a.say(object{"type": "CATALOG", "catalog": object{"streams": list}})
}

// Renewed says that the platform gave new tokens: settings are all of them, as
// they are to be kept.
func (a *Airbyte) Renewed(settings object) error {
	return a.say(object{"type": "CONTROL", "control": object{
		"type": "CONNECTOR_CONFIG", "emitted_at": emittedAt(), "connectorConfig": object{"config": settings},
	}})
}

// Failed says why nothing could be read at all.
func (a *Airbyte) Failed(err error) error { return a.failed("", err) }

func (a *Airbyte) failed(stream string, err error) error {
	fault := object{"message": withHint(err), "failure_type": failureType(err)}
	if stream != "" {
		fault["stream_descriptor"] = object{"name": stream}
	}
	return a.trace("ERROR", "error", fault)
}

// SettingsError is a fault of what the scheduler gave: settings, catalogue or
// state.
type SettingsError struct{ Err error }

func (e *SettingsError) Error() string { return e.Err.Error() }

// Unwrap gives the fault.
func (e *SettingsError) Unwrap() error { return e.Err }

// failureType says who can mend an error: whoever wrote the settings, time, or
// the program's makers.
func failureType(err error) string {
	var refused *connectors.Error
	switch {
	case errors.As(err, new(*SettingsError)), errors.Is(err, connectors.ErrUnauthorized), errors.Is(err, connectors.ErrForbidden),
		errors.Is(err, connectors.ErrCursor), errors.Is(err, connectors.ErrNoStream):
		return "config_error"
	case errors.As(err, &refused) && refused.Class > connectors.Throttle:
		return "system_error"
	}
	return "transient_error"
}

func (a *Airbyte) trace(kind, key string, value object) error {
	return a.say(object{"type": "TRACE", "trace": object{"type": kind, "emitted_at": emittedAt(), key: value}})
}

func (a *Airbyte) status(s Stream, status string, reasons ...object) error {
	value := object{"stream_descriptor": object{"name": s.Name}, "status": status}
	if len(reasons) > 0 {
		value["reasons"] = reasons
	}
	return a.trace("STREAM_STATUS", "stream_status", value)
}

func (a *Airbyte) begin(s Stream, _ bool) error {
	if err := a.status(s, "STARTED"); err != nil {
		return err
	}
	return a.status(s, "RUNNING")
}

func (a *Airbyte) record(s Stream, data object) error {
	return a.write(object{"type": "RECORD", "record": object{"stream": s.Name, "emitted_at": emittedAt(), "data": data}})
}

func (a *Airbyte) refused(s Stream, origin string, cause error) error {
	return a.write(object{"type": "LOG", "log": object{
		"level": "WARN", "message": fmt.Sprintf("stream %s, %s: the record is left out: %v", s.Name, origin, cause),
	}})
}

// decimal is a count as the protocol wants it: with a point.
func decimal(n int) json.RawMessage { return json.RawMessage(fmt.Sprintf("%d.0", n)) }

func (a *Airbyte) state(s Stream, at connectors.Cursor, count, rejected int) error {
	kept := object{}
	if at != "" {
		kept["cursor"] = string(at)
	}
	stats := object{"recordCount": decimal(count)}
	if rejected > 0 {
		stats["rejectedRecordCount"] = decimal(rejected)
	}
	return a.write(object{"type": "STATE", "state": object{
		"type": "STREAM", "sourceStats": stats, "stream": object{"stream_descriptor": object{"name": s.Name}, "stream_state": kept},
	}})
}

func (a *Airbyte) total(s Stream, records int) error {
	return a.trace("ESTIMATE", "estimate", object{"name": s.Name, "type": "STREAM", "row_estimate": records})
}

func (a *Airbyte) waits(s Stream, w httpclient.Wait) error {
	return a.status(s, "RUNNING", object{"type": "RATE_LIMITED", "rate_limited": object{"quota_reset": w.Until.UnixMilli()}})
}

func (a *Airbyte) goesOn(s Stream) error { return a.status(s, "RUNNING") }

func (a *Airbyte) end(s Stream, err error) error {
	if err == nil {
		return a.status(s, "COMPLETE")
	}
	// One that was asked to stop has no fault.
	if !errors.Is(err, context.Canceled) && !errors.As(err, new(*writeError)) {
		if err := a.failed(s.Name, err); err != nil {
			return err
		}
	}
	return a.status(s, "INCOMPLETE")
}

// unreadable is the fault of a file that is not of the protocol's form, in the protocol's
// words: it tells no type of ours, and no value of the file.
func unreadable(file, wanted string, err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		at, is := wrong.Field, wrong.Value
		if at == "" {
			at = "what stands there"
		}
		is, _, _ = strings.Cut(is, " ") // of a number the number itself follows
		err = fmt.Errorf("%s is of the JSON type %s", at, is)
	}
	return &SettingsError{fmt.Errorf("the %s cannot be read: %w; wanted is %s", file, err, wanted)}
}

// AirbyteStreams are the names of the streams of a configured catalogue.
func AirbyteStreams(catalog []byte) ([]string, error) {
	var configured struct {
		Streams []struct {
			Stream struct {
				Name string `json:"name"`
			} `json:"stream"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(catalog, &configured); err != nil {
		return nil, unreadable("catalogue", `a ConfiguredAirbyteCatalog, {"streams":[{"stream":{"name":…},…},…]}`, err)
	}
	names := make([]string, len(configured.Streams))
	for i, s := range configured.Streams {
		names[i] = s.Stream.Name
	}
	return names, nil
}

// streamState is a state of one stream, as it was written.
type streamState struct {
	Descriptor struct {
		Name string `json:"name"`
	} `json:"stream_descriptor"`
	State *struct {
		Cursor connectors.Cursor `json:"cursor"`
	} `json:"stream_state"`
}

// AirbyteState is how far each stream was read: a list of states as they were
// written, or nothing at all.
func AirbyteState(text []byte) (map[string]connectors.Cursor, error) {
	from := make(map[string]connectors.Cursor)
	text = bytes.TrimSpace(text)
	if len(text) == 0 || string(text) == "{}" || string(text) == "null" {
		return from, nil
	}
	var states []struct {
		Stream *streamState `json:"stream"`
		Global *struct {
			States []streamState `json:"stream_states"`
		} `json:"global"`
	}
	if err := json.Unmarshal(text, &states); err != nil {
		return nil, unreadable("state", `a list of AirbyteStateMessage as STATE said them, [{"type":"STREAM","stream":{"stream_descriptor":{"name":…},"stream_state":{…}}},…]`, err)
	}
	for _, s := range states {
		var all []streamState
		if s.Stream != nil {
			all = append(all, *s.Stream)
		}
		if s.Global != nil {
			all = append(all, s.Global.States...)
		}
		for _, one := range all {
			if one.State != nil {
				from[one.Descriptor.Name] = one.State.Cursor
			}
		}
	}
	return from, nil
}
