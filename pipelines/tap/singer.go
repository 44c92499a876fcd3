package tap

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// Singer speaks as a tap of Singer's. What its protocol has no words for goes
// to the log.
type Singer struct {
	lines lines
	log   *slog.Logger
	// at is how far each stream was read: each state says it of all.
	at map[string]connectors.Cursor
}

// NewSinger writes to w; from is the state that the reading begins with.
func NewSinger(w io.Writer, log *slog.Logger, from map[string]connectors.Cursor) *Singer {
	at := maps.Clone(from)
	if at == nil {
		at = make(map[string]connectors.Cursor)
	}
	return &Singer{lines: newLines(w), log: log, at: at}
}

// Catalog lists the streams.
func (s *Singer) Catalog(streams []Stream, personal bool) error {
	list := make([]object, len(streams))
	for i, stream := range streams {
		schema := schemaOf(stream.Kind, personal)
		metadata := []object{{"breadcrumb": []string{}, "metadata": object{
			"inclusion": "available", "selected-by-default": true, "table-key-properties": keys,
			"forced-replication-method": "INCREMENTAL", "valid-replication-keys": []string{cursorField},
		}}}
		for name := range schema["properties"].(object) {
			metadata = append(metadata, object{"breadcrumb": []string{"properties", name}, "metadata": object{"inclusion": "automatic"}})
		}
		list[i] = object{"stream": stream.Name, "tap_stream_id": stream.Name, "schema": schema, "key_properties": keys, "metadata": metadata}
	}
	if err := s.lines.write(object{"streams": list}); err != nil {
		return err
	}
	return s.lines.flush()
}

func (s *Singer) begin(stream Stream, personal bool) error {
	return s.lines.write(object{
		"type": "SCHEMA", "stream": stream.Name, "schema": schemaOf(stream.Kind, personal), "key_properties": keys, "bookmark_properties": []string{cursorField},
	})
}

func (s *Singer) record(stream Stream, data object) error {
	return s.lines.write(object{"type": "RECORD", "stream": stream.Name, "record": data, "time_extracted": time.Now().UTC().Format(time.RFC3339Nano)})
}

func (s *Singer) refused(stream Stream, origin string, cause error) error {
	s.log.Warn("a record is left out", "stream", stream.Name, "origin", origin, "error", cause)
	return nil
}

func (s *Singer) state(stream Stream, at connectors.Cursor, _, _ int) error {
	if at != "" {
		s.at[stream.Name] = at
	}
	bookmarks := object{}
	for name, cursor := range s.at {
		bookmarks[name] = object{"cursor": string(cursor)}
	}
	return s.lines.write(object{"type": "STATE", "value": object{"bookmarks": bookmarks}})
}

func (s *Singer) total(stream Stream, records int) error {
	s.log.Info("records to read", "stream", stream.Name, "about", records)
	return nil
}

func (s *Singer) waits(stream Stream, w httpclient.Wait) error {
	s.log.Info("waits for a limit of the platform", "stream", stream.Name, "limit", w.Name, "why", w.Why, "until", w.Until.Format(time.RFC3339))
	return nil
}

func (s *Singer) goesOn(stream Stream) error {
	s.log.Info("goes on after its wait", "stream", stream.Name)
	return nil
}

func (*Singer) end(Stream, error) error { return nil }

func (s *Singer) flush() error { return s.lines.flush() }

// SingerStreams are the names of a catalogue's streams that are selected: by
// the metadata of the stream, or by the older selected beside it; where neither
// says anything, by default.
func SingerStreams(catalog []byte) ([]string, error) {
	var given struct {
		Streams []struct {
			ID       string `json:"tap_stream_id"`
			Stream   string `json:"stream"`
			Selected *bool  `json:"selected"`
			Schema   struct {
				Selected *bool `json:"selected"`
			} `json:"schema"`
			Metadata []struct {
				Breadcrumb []string `json:"breadcrumb"`
				Metadata   struct {
					Selected  *bool `json:"selected"`
					ByDefault *bool `json:"selected-by-default"`
				} `json:"metadata"`
			} `json:"metadata"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(catalog, &given); err != nil {
		return nil, unreadable("catalogue", `a Singer catalogue as --discover prints it, {"streams":[{"tap_stream_id":…,"schema":{…},"metadata":[…]},…]}`, err)
	}
	var names []string
	for _, s := range given.Streams {
		var said, byDefault *bool
		for _, m := range s.Metadata {
			if len(m.Breadcrumb) == 0 {
				said, byDefault = m.Metadata.Selected, m.Metadata.ByDefault
			}
		}
		for _, b := range []*bool{said, s.Selected, s.Schema.Selected, byDefault} {
			if b == nil {
				continue
			}
			if *b {
				name := s.ID
				if name == "" {
					name = s.Stream
				}
				names = append(names, name)
			}
			break
		}
	}
	return names, nil
}

// SingerState is how far each stream was read, from the value of a STATE.
func SingerState(text []byte) (map[string]connectors.Cursor, error) {
	from := make(map[string]connectors.Cursor)
	if len(bytes.TrimSpace(text)) == 0 {
		return from, nil
	}
	var state struct {
		Bookmarks map[string]struct {
			Cursor connectors.Cursor `json:"cursor"`
		} `json:"bookmarks"`
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, unreadable("state", `the value of the last STATE, {"bookmarks":{STREAM:{"cursor":…}}}`, err)
	}
	for name, bookmark := range state.Bookmarks {
		from[name] = bookmark.Cursor
	}
	return from, nil
}
