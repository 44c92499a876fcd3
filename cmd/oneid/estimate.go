package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"oneid/connectors"
	"oneid/pipelines/pull"
)

// estimatePatience is how long a first reading waits for its estimate.
const estimatePatience = 30 * time.Second

// estimate says what reading a shop's streams from where they were left will
// cost; with firstOnly, those alone that were never read. It gives about how
// many records each of them has.
func (n *node) estimate(ctx context.Context, out io.Writer, s shop, firstOnly bool) (map[string]int, error) {
	n.share(s.connector, s.platform, s.name)
	var readings []reading
	for _, stream := range s.connector.Spec().Streams {
		from := n.cursors.Get(s.platform + "/" + s.name + "/" + stream.Name)
		if !firstOnly || from == "" {
			readings = append(readings, reading{s.connector, stream.Name, from})
		}
	}
	records, faults := estimate(ctx, out, s.platform+"/"+s.name, readings)
	var all []error
	for _, stream := range slices.Sorted(maps.Keys(faults)) {
		all = append(all, faults[stream])
	}
	return records, errors.Join(all...)
}

// reading is what an estimate is about: a stream, from a cursor on.
type reading struct {
	connector connectors.Connector
	stream    string
	from      connectors.Cursor
}

// estimate says what readings of a shop will cost, each and all together. It
// gives about how many records each stream has, and of which streams that cannot be
// said, and why.
func estimate(ctx context.Context, out io.Writer, name string, readings []reading) (records map[string]int, faults map[string]error) {
	records, faults = make(map[string]int), make(map[string]error)
	var all connectors.Estimate
	for _, r := range readings {
		estimator, ok := r.connector.(connectors.Estimator)
		if !ok {
			continue
		}
		e, err := estimator.Estimate(ctx, r.stream, r.from)
		if err != nil {
			faults[r.stream] = fmt.Errorf("estimate %s/%s: %w", name, r.stream, err)
			continue
		}
		fmt.Fprintf(out, "%s %s: about %d records in %d calls\n", name, r.stream, e.Records, e.Calls)
		all.Records, all.Calls, all.PerSecond, all.PerDay = all.Records+e.Records, all.Calls+e.Calls, e.PerSecond, e.PerDay
		records[r.stream] = max(e.Records, 1)
	}
	if len(records) > 0 {
		fmt.Fprintf(out, "%s in all: %s\n", name, cost(all))
	}
	return records, faults
}

// progressEvery is how often a first reading says how far it is.
const progressEvery = 10 * time.Second

// readingFirst lets a puller say now and then how far its first reading is, of
// about so many records.
func (n *node) readingFirst(p *pull.Puller, about int) {
	said := time.Now()
	ended := p.Ended
	first := true // Ended and Progress are called one after the other
	p.Ended = func(err error) {
		first = first && err != nil
		ended(err)
	}
	p.Progress = func(sum pull.Summary) {
		if first && time.Since(said) >= progressEvery {
			said = time.Now()
			n.log.Info("a first reading goes on", "platform", p.Platform, "shop", p.Shop, "stream", p.Stream, "records", sum.Records, "of_about", max(about, sum.Total))
		}
	}
}

// cost says how long an estimated reading takes, as far as the limits say.
func cost(e connectors.Estimate) string {
	text := fmt.Sprintf("about %d records in %d calls", e.Records, e.Calls)
	if e.PerSecond > 0 {
		takes := time.Duration(float64(e.Calls) / e.PerSecond * float64(time.Second)).Round(time.Second)
		text += fmt.Sprintf(", at least %s at %g a second", takes, e.PerSecond)
	}
	if e.PerDay > 0 {
		text += fmt.Sprintf(", %d days of the quota of %d a day", (e.Calls+e.PerDay-1)/e.PerDay, e.PerDay)
	}
	return text
}
