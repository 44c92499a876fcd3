package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"oneid/connectors"
	"oneid/pipelines/pull"
)

// missingCmd shows what streams lack.
type missingCmd struct {
	Stream   []string `arg:"" optional:"" help:"PLATFORM/SHOP/STREAM; none means all."`
	Accept   bool     `help:"Go on without it, of the streams that are named: the alert ends with the stream's next reading. More of the same is accepted too." xor:"accept"`
	TakeBack bool     `help:"Raise it again: take back what was accepted of the streams that are named." xor:"accept"`
	JSON     bool     `help:"Print a JSON array."`
}

// Help shows below the usage.
func (missingCmd) Help() string {
	return "A stream goes on without what the platform keeps from it: rows that its lists count and do not give, orders of long ago for want of a right, members whom no list shows. It is an alert (kind missing), which ends by itself when a later reading has all of it, or `oneid backfill` from that day on, without an end, that lacks nothing. What never comes can be accepted: another cause, such as a right that was lost, is an alert all the same.\n\nExit code: 0 nothing is missing or it was accepted, 3 something is missing."
}

// lack is what a stream goes on without.
type lack struct {
	Stream string `json:"stream"` // platform/shop/stream
	Lacks  string `json:"lacks"`  // what, why, and what to do; empty where it is nothing
	State  string `json:"state"`  // open, accepted, or read by a backfill
	of     connectors.Window
}

// Run shows, or accepts.
func (c missingCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	if (c.Accept || c.TakeBack) && len(c.Stream) == 0 {
		return hinted{errors.New("no stream is named"), "name each as PLATFORM/SHOP/STREAM; `oneid missing` shows what they lack"}
	}
	n, err := openMover(ctx, f, need{quiet: true}, newProgress(true))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	shops, err := f.shopsBeside(n.settings)
	if err != nil {
		return err
	}
	list, known := []lack{}, []string{}
	for _, s := range shops {
		for _, stream := range s.connector.Spec().Streams {
			l := n.lacks(s.connector, s.platform, s.name, stream.Name)
			known = append(known, l.Stream)
			if l.Lacks != "" && (len(c.Stream) == 0 || slices.Contains(c.Stream, l.Stream)) {
				list = append(list, l)
			}
		}
	}
	for _, wanted := range c.Stream { // before anything is accepted
		if !slices.Contains(known, wanted) {
			return hinted{fmt.Errorf("there is no stream %s", wanted), "name it as PLATFORM/SHOP/STREAM, as `oneid status` does"}
		}
	}
	for i := range list {
		if list[i], err = c.decide(ctx, n, list[i]); err != nil {
			return err
		}
	}
	return c.print(list)
}

// decide accepts what a stream lacks, or takes that back, if it is asked for.
func (c missingCmd) decide(ctx context.Context, n *node, l lack) (lack, error) {
	switch {
	case c.Accept && l.State == lackOpen:
		l.State = lackAccepted
		return l, n.cursors.Put(ctx, lackPrefix+l.Stream, connectors.Cursor(cause(l.Lacks)))
	case c.TakeBack && l.State == lackAccepted:
		l.State = lackOpen
		return l, n.cursors.Remove(ctx, lackPrefix+l.Stream)
	}
	return l, nil
}

func (c missingCmd) print(list []lack) error {
	open := 0
	for _, l := range list {
		if l.State == lackOpen {
			open++
		}
		if !c.JSON {
			fmt.Printf("%s (%s): %s\n", l.Stream, l.State, l.Lacks)
		}
	}
	if c.JSON {
		if err := printJSON(list); err != nil {
			return err
		}
	} else if len(list) == 0 {
		fmt.Println("no stream lacks anything that its platform told of")
	}
	if open > 0 {
		return &lacksError{open}
	}
	return nil
}

// lacksError says that streams lack something.
type lacksError struct{ streams int }

func (l *lacksError) Error() string {
	return fmt.Sprintf("%d streams lack something; do what is said above, or `oneid missing --accept PLATFORM/SHOP/STREAM`", l.streams)
}

// ExitCode says that the command did its work, and found something.
func (*lacksError) ExitCode() int { return 3 }

const (
	lackOpen     = "open"
	lackAccepted = "accepted"
	lackRead     = "read"
	// lackPrefix begins the keys, beside the cursors, of what is accepted of a stream, and
	// readPrefix of the time in which a backfill has read all: no platform is called so.
	lackPrefix = "missing/"
	readPrefix = "missing-read/"
)

// lacks is what the live reading of a stream goes on without, as its cursor says.
func (n *node) lacks(c connectors.Connector, platform, shop, stream string) lack {
	l := lack{Stream: platform + "/" + shop + "/" + stream, State: lackOpen}
	lacking, ok := c.(connectors.Lacking)
	if !ok {
		return l
	}
	l.Lacks, l.of = lacking.Lacks(stream, n.cursors.Get(l.Stream))
	switch {
	case l.Lacks == "":
	case string(n.cursors.Get(lackPrefix+l.Stream)) == cause(l.Lacks):
		l.State = lackAccepted
	case n.read(l):
		l.State = lackRead
	}
	return l
}

// read says that a backfill has read all of what is missing.
func (n *node) read(l lack) bool {
	first, last, _ := strings.Cut(string(n.cursors.Get(readPrefix+l.Stream)), " ")
	from, err := time.Parse(time.RFC3339Nano, first)
	to, other := time.Parse(time.RFC3339Nano, last)
	return err == nil && other == nil && !l.of.From.IsZero() && !l.of.From.Before(from) && !l.of.To.After(to)
}

// cause is what is said of something missing without how much it is and of when.
func cause(says string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, says)
}

// settleLack ends the alert of what the live reading lacked before a backfill that has now
// read all of it. Of one that was begun before, the first part may have lacked some.
func (n *node) settleLack(ctx context.Context, w *stretch, lacked lack, sum pull.Summary) error {
	if lacked.State != lackOpen || lacked.of.From.IsZero() || w.Resumed || sum.Short > 0 || w.days.to != untilNow || w.From.After(lacked.of.From) {
		return nil
	}
	if lacking, ok := w.shop.connector.(connectors.Lacking); ok {
		if says, _ := lacking.Lacks(w.puller.Stream, w.Last); says != "" {
			return nil
		}
	}
	read := lacked.of.From.UTC().Format(time.RFC3339Nano) + " " + lacked.of.To.UTC().Format(time.RFC3339Nano)
	if err := n.cursors.Put(ctx, readPrefix+lacked.Stream, connectors.Cursor(read)); err != nil {
		return err
	}
	if err := n.cursors.Refresh(ctx); err != nil {
		return err
	}
	n.alertMissing(w.shop.connector, w.shop.platform, w.shop.name, w.puller.Stream)
	return nil
}
