package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/internal/kafka"
	"oneid/pipelines/alert"
	"oneid/pipelines/pull"
)

// driftCmd shows how payloads differ from what their connectors know.
type driftCmd struct {
	Stream []string `arg:"" optional:"" help:"PLATFORM/SHOP/STREAM; none means all."`
	Accept bool     `help:"Take what differs as known from now on: the alert ends."`
	All    bool     `help:"Show also what was accepted."`
	JSON   bool     `help:"Print a JSON array."`
}

// Help shows below the usage.
func (driftCmd) Help() string {
	return "A field that a platform's payloads gain, lose, or give another kind is the first sign of a rule that the platform changed. Pulling looks at a part of the payloads, counts what differs (oneid_pull_drift_total), and raises an alert when it is new. A status whose word the mapping does not know counts too, in each record; the word is kept as platform_status. A field counts as lost when ten payloads in a row lack it. Look what the platform announced; if OneID needs nothing of it, accept it. A difference that a thousand payloads no longer show ends by itself.\n\nNames of fields are shown and kept, and words of statuses; other values never.\n\nExit code: 0 nothing differs or it was accepted, 3 something differs."
}

// driftLine is what --json prints of one difference.
type driftLine struct {
	Stream string `json:"stream"`
	pull.Drift
}

// Run shows, or accepts.
func (c driftCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	i, err := open(ctx, f, need{kafka: true, quiet: true}, newProgress(true))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	publisher := i.kafka.Publisher()
	i.closers = append(i.closers, publisher.Close)
	drifts, err := pull.OpenDrifts(ctx, i.kafka, publisher, i.topics.Cursors)
	if err != nil {
		return err
	}
	all := drifts.All()
	lines := []driftLine{}
	for _, stream := range slices.Sorted(maps.Keys(all)) {
		if len(c.Stream) > 0 && !slices.Contains(c.Stream, stream) {
			continue
		}
		open := drifts.Open(stream)
		if c.Accept && len(open) > 0 {
			if err := drifts.Accept(ctx, stream, open); err != nil {
				return err
			}
		}
		for _, drift := range all[stream] {
			drift.Accepted = drift.Accepted || c.Accept
			if c.All || c.Accept || !drift.Accepted {
				lines = append(lines, driftLine{stream, drift})
			}
		}
	}
	return c.print(lines)
}

func (c driftCmd) print(lines []driftLine) error {
	differ := 0
	for _, l := range lines {
		if !l.Accepted {
			differ++
		}
	}
	if c.JSON {
		if err := printJSON(lines); err != nil {
			return err
		}
	} else if len(lines) == 0 {
		fmt.Println("the payloads that were looked at are as their connectors know them")
	} else {
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "STREAM\tSINCE\tCHANGE\tSTATE")
		for _, l := range lines {
			state := "open"
			if l.Accepted {
				state = "accepted"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Stream, l.Since.Format(time.RFC3339), l.Change, state)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if differ > 0 {
		return &driftError{differ}
	}
	return nil
}

// driftError says that payloads differ.
type driftError struct{ fields int }

func (d *driftError) Error() string {
	return fmt.Sprintf("%d fields are not as their connectors know them; look what the platform announced, then `oneid drift --accept`", d.fields)
}

// ExitCode says that the command did its work, and found a difference.
func (*driftError) ExitCode() int { return 3 }

// driftSaid says how a stream's payloads differ; empty if they do not.
func driftSaid(drifts []pull.Drift) string {
	texts := make([]string, len(drifts))
	for i, drift := range drifts {
		texts[i] = drift.String()
	}
	return strings.Join(texts, "; ")
}

// alertDrift notes how a stream's payloads differ.
func (n *node) alertDrift(platform, shop, stream string, drifts []pull.Drift) {
	if n.alerts == nil {
		return
	}
	detail := ""
	if len(drifts) > 0 {
		detail = "`oneid drift` shows how the payloads differ from what OneID knows, and ends this with --accept: " + driftSaid(drifts)
	}
	n.alerts.Set(alert.Drift, platform+"/"+shop+"/"+stream, detail)
}

// drift checks whether payloads differ from what their connectors know.
func (d *doctor) drift(ctx context.Context, client *kafka.Client, topic string) {
	const name = "payloads"
	drifts, err := pull.OpenDrifts(ctx, client, nil, topic) // nothing is written
	if err != nil {
		return // there is no topic yet, and nothing was pulled
	}
	differ := false
	all := drifts.All()
	for _, stream := range slices.Sorted(maps.Keys(all)) {
		if open := drifts.Open(stream); len(open) > 0 {
			differ = true
			d.warn(name, "look what the platform announced; `oneid drift --accept` takes it as known", "%s: %s", stream, driftSaid(open))
		}
	}
	if !differ {
		d.ok(name, "those that were looked at are as their connectors know them")
	}
}
