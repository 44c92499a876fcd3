// Package tap reads a shop for somebody else's scheduler: no Kafka, no
// ClickHouse, no folder, only the connector, a cursor that the scheduler keeps,
// and lines on a writer, in the Airbyte protocol (0.3.2) or Singer's.
//
// What it promises: a stream's state is written after the records that it
// stands for, so that a reading that is cut anywhere and gone on with from the
// last state that came gives every record at least once; each state says how
// many records came since the one before it. Personal values (what events.Seal
// would seal) leave masked unless they are asked for. A record that cannot be
// mapped is told and counted, without a value of it, and the rest goes on.
//
// It leaves to its caller where the settings come from, and what to do with
// the error.
package tap

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// A Stream is one kind of record of a connector's stream: the scheduler's
// streams have one schema each.
type Stream struct {
	// Name is the connector's for the kind that its stream is mainly about,
	// "tickets", and for the others followed by the kind: "tickets_refund".
	Name string
	// Of is the connector's stream.
	Of   string
	Kind events.Kind
}

// StreamsOf are the streams of a connector.
func StreamsOf(spec connectors.Spec) []Stream {
	var all []Stream
	for _, stream := range spec.Streams {
		for i, kind := range stream.Kinds {
			name := stream.Name
			if i > 0 {
				name += "_" + string(kind)
			}
			all = append(all, Stream{name, stream.Name, kind})
		}
	}
	return all
}

// keys are the fields that name a record among those of its stream.
var keys = []string{"platform", "shop", "id"}

// cursorField orders the versions of a record.
const cursorField = "modified_at"

// Config says what is read.
type Config struct {
	Connector connectors.Connector
	// Streams are the names of those that are wanted; they must be among
	// StreamsOf.
	Streams []string
	// From is how far each was read; one without begins at the beginning.
	From map[string]connectors.Cursor
	// Personal lets personal values leave in clear, and each record's payload.
	Personal bool
}

// A Protocol says in a scheduler's words what a reading does. Its methods are
// called one at a time; their errors are those of writing, and final.
type Protocol interface {
	// begin comes before anything of a stream.
	begin(s Stream, personal bool) error
	record(s Stream, data object) error
	// refused: a record could not be mapped.
	refused(s Stream, origin string, cause error) error
	// state: the stream was read up to a cursor, and so many records came, and
	// were refused, since the last state.
	state(s Stream, at connectors.Cursor, count, rejected int) error
	// total is how many records there will be, as far as the platform says.
	total(s Stream, records int) error
	// waits and goesOn: the platform allows no calls for a while.
	waits(s Stream, w httpclient.Wait) error
	goesOn(s Stream) error
	// end of a stream; err is nil when it was read to its end.
	end(s Stream, err error) error
	flush() error
}

// Read reads the wanted streams one after the other. A SettingsError says that it
// read nothing, and told the protocol nothing. What stops a stream leaves
// the others alone, what stops the shop ends the reading; the error is all
// streams'.
func Read(ctx context.Context, cfg Config, out Protocol) error {
	var faults []error
	groups, err := group(cfg)
	if err != nil {
		return err
	}
	for _, g := range groups {
		r := reading{cfg: cfg, out: out, group: g}
		err := r.run(ctx)
		if err == nil {
			continue
		}
		faults = append(faults, err)
		if ctx.Err() != nil || errors.As(err, new(*writeError)) || connectors.ClassOf(err) == connectors.StopShop {
			break
		}
	}
	return errors.Join(faults...)
}

// Check tries a shop's settings.
func Check(ctx context.Context, c connectors.Connector) error { return inSettings(c, c.Check(ctx)) }

// tokenSettings are the names of settings that hold a token.
var tokenSettings = []string{"session", "access_token", "refresh_token"}

// deadTokenError is the refusal of a shop's token with what to do about it here, in
// place of what its words say elsewhere.
type deadTokenError struct {
	error
	elsewhere, mend string
}

func (d deadTokenError) Unwrap() error { return d.error }

func (d deadTokenError) Error() string {
	return strings.ReplaceAll(d.error.Error(), d.elsewhere, d.mend)
}

// Hint says what a person can do about it.
func (d deadTokenError) Hint() string { return d.mend }

// inSettings is an error in whose hint `oneid connect` stands, which would keep a
// token where no tap looks for it: here another one goes into the settings.
func inSettings(c connectors.Connector, err error) error {
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "`oneid connect") {
		return err
	}
	spec := c.Spec()
	var known struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if wrong := json.Unmarshal(spec.Settings, &known); wrong != nil {
		return errors.Join(err, fmt.Errorf("the settings' schema of %s: %w", spec.Platform, wrong))
	}
	var names []string
	for _, name := range tokenSettings {
		if _, ok := known.Properties[name]; ok {
			names = append(names, name)
		}
	}
	mend := "let the shop's owner consent to the app anew, and put the new token into these settings: " + strings.Join(names, " and ")
	if len(names) == 0 {
		mend = "these settings hold no token: use the brand's own app, which gets its tokens by its key and secret"
	}
	return deadTokenError{err, hint.Hint(), mend}
}

// group puts together the streams that one reading of the connector's gives:
// those of the same stream that were read equally far.
func group(cfg Config) ([][]Stream, error) {
	all := StreamsOf(cfg.Connector.Spec())
	var groups [][]Stream
	for _, name := range cfg.Streams {
		i := slices.IndexFunc(all, func(s Stream) bool { return s.Name == name })
		if i < 0 {
			return nil, &SettingsError{fmt.Errorf("the catalogue names a stream that there is not: %q: %w", name, connectors.ErrNoStream)}
		}
		s := all[i]
		at := slices.IndexFunc(groups, func(g []Stream) bool { return g[0].Of == s.Of && cfg.From[g[0].Name] == cfg.From[name] })
		if at < 0 {
			groups = append(groups, []Stream{s})
			continue
		}
		groups[at] = append(groups[at], s)
	}
	return groups, nil
}

// reading is one reading of a connector's stream.
type reading struct {
	cfg   Config
	out   Protocol
	group []Stream

	mu sync.Mutex
	// The fields below are guarded by mu, as is out: a wait is told while a page
	// is on its way.
	waiting int
	broken  error
}

// writeError: nobody reads what is written any more.
type writeError struct{ err error }

func (e *writeError) Error() string { return "write: " + e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }

// each tells the protocol something of each stream of the group.
func (r *reading) each(tell func(i int, s Stream) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.broken
	for i, s := range r.group {
		if err == nil {
			err = tell(i, s)
		}
	}
	if err == nil {
		err = r.out.flush()
	}
	if err != nil && r.broken == nil {
		r.broken = &writeError{err}
	}
	return r.broken
}

// waits tells of a wait for a limit; of several at the same time the first.
func (r *reading) waits(w httpclient.Wait, begins bool) {
	// What cannot be written is noticed by the next page.
	_ = r.each(func(i int, s Stream) error {
		if i == 0 {
			if begins {
				r.waiting++
			} else {
				r.waiting--
			}
		}
		switch {
		case begins && r.waiting == 1:
			return r.out.waits(s, w)
		case !begins && r.waiting == 0:
			return r.out.goesOn(s)
		}
		return nil
	})
}

// since counts what came of a stream after its last state.
type since struct{ records, rejected int }

func (r *reading) run(ctx context.Context) error {
	if err := r.each(func(_ int, s Stream) error { return r.out.begin(s, r.cfg.Personal) }); err != nil {
		return err
	}
	reached := r.cfg.From[r.group[0].Name]
	counts, expected, stated := make([]since, len(r.group)), false, false
	state := func(i int, s Stream) error {
		err := r.out.state(s, reached, counts[i].records, counts[i].rejected)
		counts[i] = since{}
		return err
	}
	var failed error
	for page, err := range r.cfg.Connector.Read(httpclient.WithWaits(ctx, r.waits), r.group[0].Of, reached) {
		if failed = err; err != nil {
			break
		}
		mapped, refused := r.mapped(page)
		tellTotal := page.Total > 0 && !expected
		expected = expected || tellTotal
		if page.Next != "" {
			reached = page.Next
		}
		failed = r.each(func(i int, s Stream) error {
			if tellTotal {
				if err := r.out.total(s, page.Total); err != nil {
					return err
				}
			}
			for _, data := range mapped[s.Kind] {
				if err := r.out.record(s, data); err != nil {
					return err
				}
				counts[i].records++
			}
			if i == 0 { // of which kind they would have been, nobody knows
				for _, bad := range refused {
					if err := r.out.refused(s, bad.Origin, bad.Err); err != nil {
						return err
					}
					counts[i].rejected++
				}
			}
			if page.Next == "" {
				return nil
			}
			stated = true
			return state(i, s)
		})
		if failed != nil {
			break
		}
	}
	failed = inSettings(r.cfg.Connector, failed)
	if failed == nil {
		failed = ctx.Err() // a connector that stops without a word has not read to the end
	}
	if failed == nil && (!stated || slices.ContainsFunc(counts, func(c since) bool { return c != since{} })) {
		failed = r.each(state)
	}
	if err := r.each(func(_ int, s Stream) error { return r.out.end(s, failed) }); err != nil && failed == nil {
		failed = err
	}
	return failed
}

// mapped are a page's records by kind, and what could not be mapped.
func (r *reading) mapped(page connectors.Page) (map[events.Kind][]object, []connectors.BadRecord) {
	all := make(map[events.Kind][]object)
	refused := slices.Clone(page.Bad)
	for _, record := range page.Records {
		list, err := r.cfg.Connector.Map(record)
		for _, e := range list {
			if err == nil {
				err = errors.Join(events.Check(e), events.Storable(e))
			}
		}
		if err != nil {
			refused = append(refused, connectors.BadRecord{Origin: record.Origin, Err: err})
			continue
		}
		for _, e := range list {
			kind := events.KindOf(e)
			all[kind] = append(all[kind], recordOf(e, r.cfg.Personal))
		}
	}
	return all, refused
}

// lines writes one JSON value a line.
type lines struct{ out *bufio.Writer }

func newLines(w io.Writer) lines { return lines{bufio.NewWriterSize(w, 1<<16)} }

func (l lines) write(value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	_, err := l.out.Write(b.Bytes())
	return err
}

func (l lines) flush() error { return l.out.Flush() }
