package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/file"
	"oneid/pipelines/pull"
	"oneid/pipelines/replay"
	"oneid/schemas/events"
)

// replayCmd runs stored payloads through today's mapping again.
type replayCmd struct {
	From    string   `required:"" help:"Changes at the platform from this time on: 2026-11-11 (in the brand's zone) or RFC 3339." placeholder:"TIME"`
	To      string   `help:"Changes before this time; default: now." placeholder:"TIME"`
	Stream  []string `help:"These streams only, such as orders." placeholder:"NAME"`
	Shop    []string `help:"These shops only." placeholder:"PLATFORM/SHOP"`
	Mapping string   `help:"Mapping of the rows that came from files of one shop and kind." placeholder:"FILE"`
	DryRun  bool     `help:"Map, count and publish nothing."`
	JSON    bool     `help:"Print one JSON object with the counts."`
}

// Help shows below the usage.
func (replayCmd) Help() string {
	return "Takes the payloads that ClickHouse keeps, however long ago Kafka let go of them, through the mapping of this version again, and the resolver takes the events like any other: after a mapping was mended. An event keeps the times of what the platform said and bears a higher revision: it replaces what the old mapping made of the same change, and nothing newer. It runs beside the live flow; a second replay changes nothing. One replay runs at a time. Stopped at any moment, the same command goes on from where it was.\n\nA payload that cannot be mapped goes to the dead letter. Evidence that the old mapping found stays: a mapping that finds less takes no evidence back.\n\nExit code: 0 all that has a mapping is replayed, 3 some could not be mapped, 1 failed.\n\nTry: oneid replay --from 2026-11-11 --stream orders --dry-run"
}

// replayReport is what --json prints.
type replayReport struct {
	Number  uint32  `json:"replay"`
	Rows    int     `json:"rows"`
	Events  int     `json:"events"`
	Refused int     `json:"refused"`
	Skipped uint64  `json:"skipped"`
	Seconds float64 `json:"seconds"`
	DryRun  bool    `json:"dry_run"`

	others []string // what is stored of that time and was not asked for
}

// replayKey is that of the last replay among the cursors.
const replayKey = "replay"

// killedReplay is longer than one that was killed is taken to be at it still.
const killedReplay = 15 * time.Second

// Run replays.
func (c replayCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	show := newProgress(c.JSON)
	n, err := openNode(ctx, f, need{quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	var report replayReport
	work := func(ctx context.Context) error {
		return n.withShops(ctx, func(ctx context.Context, shops []shop) error {
			report, err = c.replay(ctx, n, shops, show, n.resolving)
			return err
		})
	}
	if c.DryRun {
		err = work(ctx)
	} else { // one at a time, as in a pipeline: their numbers say which wins
		err = n.byHand(ctx, taskReplay, killedReplay, work)
	}
	if err != nil {
		return err
	}
	return c.print(report)
}

// replay replays within resolving.
func (c replayCmd) replay(ctx context.Context, n *node, shops []shop, show *progress, resolving func(context.Context, func(context.Context) error) error) (replayReport, error) {
	if err := n.cursors.Refresh(ctx); err != nil { // another process may have replayed meanwhile
		return replayReport{}, err
	}
	run, err := c.begin(n)
	if err != nil {
		return replayReport{}, err
	}
	mappers, err := c.mappers(n, shops)
	if err != nil {
		return replayReport{}, err
	}
	found, err := replay.Find(ctx, n.clickhouse, run.From, run.To)
	if err != nil {
		return replayReport{}, err
	}
	report := replayReport{Number: run.Number, DryRun: c.DryRun}
	began := time.Now()
	err = resolving(ctx, func(ctx context.Context) error {
		if !c.DryRun {
			if err := n.putReplay(ctx, run); err != nil {
				return err
			}
		}
		for _, one := range found {
			if !c.wants(one) {
				report.others = append(report.others, one.Platform+"/"+one.Shop+" "+one.Stream)
				continue
			}
			mapper := mappers[mapperKey{one.Platform + "/" + one.Shop, one.Source}]
			if exports := all.Exports[one.Platform]; exports != nil && one.Source == events.Source_SOURCE_FILE {
				if mapper, err = withExports(mapper, exports, one, &report.Skipped); err != nil {
					return err
				}
			}
			if mapper == nil || one.Source == events.Source_SOURCE_FILE && !slices.ContainsFunc(mapper.Spec().Streams, func(s connectors.Stream) bool { return s.Name == one.Stream }) {
				report.Skipped += one.Rows
				n.log.Warn("no mapping for these payloads; they are left as they are", "shop", one.Platform+"/"+one.Shop, "stream", one.Stream, "rows", one.Rows, "from_files", one.Source == events.Source_SOURCE_FILE)
				continue
			}
			stream := &replay.Stream{Connector: mapper, ClickHouse: n.clickhouse, Keys: n.keys, Platform: one.Platform, Shop: one.Shop, Source: one.Source, Run: run}
			if err := c.stream(ctx, n, stream, one, show, &report); err != nil {
				return err
			}
		}
		if c.DryRun {
			return nil
		}
		run.Done = true
		return errors.Join(n.settle(ctx), n.putReplay(ctx, run))
	})
	report.Seconds = time.Since(began).Seconds()
	return report, err
}

// begin is the replay to run: the last one, if it was not ended and asked for
// the same, or the next.
func (c replayCmd) begin(n *node) (replay.Run, error) {
	var last replay.Run
	if text := n.cursors.Get(replayKey); text != "" {
		if err := json.Unmarshal([]byte(text), &last); err != nil {
			return last, fmt.Errorf("read what the last replay was: %w", err)
		}
	}
	zone, err := time.LoadLocation(n.settings.Timezone)
	if err != nil {
		return last, err
	}
	next := replay.Run{Number: last.Number + 1, To: time.Now().UTC().Truncate(time.Millisecond)}
	if next.From, err = parseWhen(c.From, zone); err != nil {
		return last, err
	}
	if c.To != "" {
		if next.To, err = parseWhen(c.To, zone); err != nil {
			return last, err
		}
	}
	if !next.From.Before(next.To) {
		return last, errors.New("--from must lie before --to")
	}
	next.Selection = strings.Join([]string{c.From, c.To, strings.Join(c.Stream, ","), strings.Join(c.Shop, ","), c.Mapping}, "|")
	if !last.Done && last.Number > 0 && last.Selection == next.Selection && !c.DryRun {
		fmt.Fprintf(os.Stderr, "replay %d goes on from where it was\n", last.Number)
		return last, nil
	}
	return next, nil
}

// parseWhen reads a time, or a day in the brand's zone.
func parseWhen(text string, zone *time.Location) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return day.UTC(), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, hinted{fmt.Errorf("%q is no time", text), "write a day such as 2026-11-11, or a time such as 2026-11-11T20:00:00+08:00"}
	}
	return at.UTC(), nil
}

func (n *node) putReplay(ctx context.Context, run replay.Run) error {
	text, err := json.Marshal(run)
	if err != nil {
		return err
	}
	return n.cursors.Put(ctx, replayKey, connectors.Cursor(text))
}

// mapperKey says what a connector maps: what a shop's API said, or the files
// of a shop.
type mapperKey struct {
	shop   string
	source events.Source
}

// mappers are the connectors whose mappings there are: those of the shops, and of
// --mapping.
func (c replayCmd) mappers(n *node, shops []shop) (map[mapperKey]connectors.Connector, error) {
	mappers := make(map[mapperKey]connectors.Connector)
	for _, s := range shops {
		mappers[mapperKey{s.platform + "/" + s.name, events.Source_SOURCE_API}] = s.connector
	}
	if c.Mapping == "" {
		return mappers, nil
	}
	data, err := os.ReadFile(c.Mapping)
	if err != nil {
		return nil, fmt.Errorf("read the mapping: %w", err)
	}
	mapping, err := file.ParseMapping(c.Mapping, data, "", "")
	if err != nil {
		return nil, err
	}
	rows, err := file.New(file.Config{Mapping: mapping, Hash: func(row []byte) []byte {
		hash := n.keys.Hash("row", "", string(row))
		return hash[:]
	}})
	if err != nil {
		return nil, err
	}
	mappers[mapperKey{mapping.Platform + "/" + mapping.Shop, events.Source_SOURCE_FILE}] = rows
	return mappers, nil
}

// exportsBeside maps the payloads of files of a platform's shop: exports by
// the platform's own mapping, others by the mapping that was named.
type exportsBeside struct {
	*file.Export
	rows    connectors.Connector // nil without a mapping of this shop and stream
	skipped *uint64
}

func withExports(rows connectors.Connector, exports *connectors.Exports, one replay.Found, skipped *uint64) (connectors.Connector, error) {
	export, err := file.NewExport(file.ExportConfig{Exports: exports, Shop: one.Shop})
	if err != nil {
		return nil, err
	}
	if rows != nil && rows.Spec().Streams[0].Name != one.Stream {
		rows = nil
	}
	return &exportsBeside{export, rows, skipped}, nil
}

// Spec describes the streams of both.
func (x *exportsBeside) Spec() connectors.Spec {
	spec := x.Export.Spec()
	if x.rows != nil {
		spec.Streams = append(spec.Streams, x.rows.Spec().Streams...)
	}
	return spec
}

// Map gives no event for a row whose mapping is not at hand.
func (x *exportsBeside) Map(r connectors.Record) ([]*events.Event, error) {
	switch {
	case connectors.IsExport(r.Raw):
		return x.Export.Map(r)
	case x.rows != nil:
		return x.rows.Map(r)
	}
	*x.skipped++
	return nil, nil
}

func (c replayCmd) wants(one replay.Found) bool {
	return (len(c.Stream) == 0 || slices.Contains(c.Stream, one.Stream)) && (len(c.Shop) == 0 || slices.Contains(c.Shop, one.Platform+"/"+one.Shop))
}

// stream replays one stream, or only counts.
func (c replayCmd) stream(ctx context.Context, n *node, s *replay.Stream, one replay.Found, show *progress, report *replayReport) (err error) {
	show.start("replaying "+one.Platform+"/"+one.Shop+" "+one.Stream, int64(one.Rows))
	defer func() { show.fail(err) }()
	before := *report
	add := func(sum pull.Summary) {
		report.Rows, report.Events, report.Refused = before.Rows+sum.Records, before.Events+sum.Events, before.Refused+sum.DeadLetters
		show.set(int64(sum.Records), int64(sum.Total))
	}
	if c.DryRun {
		var sum pull.Summary
		for page, err := range s.Read(ctx, one.Stream, "") {
			if err != nil {
				return err
			}
			sum.Total = cmp.Or(page.Total, sum.Total)
			sum.Records += len(page.Records) + len(page.Bad)
			sum.DeadLetters += len(page.Bad)
			for _, record := range page.Records {
				mapped, err := s.Map(record)
				if err != nil {
					sum.DeadLetters++
				}
				sum.Events += len(mapped)
			}
			add(sum)
		}
		return nil
	}
	p := n.puller(s, one.Platform, one.Shop, one.Stream)
	p.CursorKey = fmt.Sprintf("%s/%d/%s/%s/%s/%d", replayKey, s.Run.Number, one.Platform, one.Shop, one.Stream, one.Source)
	p.Progress = add
	p.Source = s.Source
	p.Ended = nil // it says nothing of how the stream is read, nor of what that lacks
	_, err = p.Once(ctx)
	return err
}

// notAskedFor names each shop and stream once, also those that both files and an API told of.
func (r replayReport) notAskedFor() []string {
	return slices.Compact(slices.Sorted(slices.Values(r.others)))
}

func (c replayCmd) print(r replayReport) error {
	if others := r.notAskedFor(); r.Rows == 0 && r.Skipped == 0 && len(others) > 0 {
		fmt.Fprintf(os.Stderr, "no payload of that time is of these shops and streams; there are those of %s\n", strings.Join(others, ", "))
	}
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	} else {
		what := fmt.Sprintf("replay %d", r.Number)
		if r.DryRun {
			what = "dry run, nothing was published"
		}
		fmt.Printf("%s: %d payloads, %d events, %d refused, %d without a mapping, %.1f s\n", what, r.Rows, r.Events, r.Refused, r.Skipped, r.Seconds)
	}
	if r.Refused > 0 {
		return &partlyRefusedError{r.Refused}
	}
	return nil
}
