package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"oneid/identity/engine"
	"oneid/internal/state"
	"oneid/pipelines/rebuild"
)

// rebuildCmd makes the resolver's state anew.
type rebuildCmd struct {
	Check bool `help:"Only compare the state with what ClickHouse says; change nothing."`
	JSON  bool `help:"Print one JSON object."`
}

// Help shows below the usage.
func (rebuildCmd) Help() string {
	return "Makes the resolver's state anew from ClickHouse: accounts with their births and customers, evidence, decisions, sealed values. A state that is there is first brought to the journal's end and then compared: both must be equal, and what differs is named. Then the new one takes its place, all at once, and the next resolver goes on from the journal. Use it when the folder state/ was lost or is damaged and Kafka no longer keeps what made it; with --check, as the proof that the state is right. Neither changes what the flow made; the first time that a new version runs, it publishes the rules by which the present state began, as `oneid up` would.\n\nStop `oneid up` first: the state has one owner.\n\nExit code: 0 equal or made anew, 1 failed or, with --check, different."
}

// The folders of a rebuild. The new state is ready once it is called
// rebuiltFolder, and takes the place of the old one by two renames.
const (
	stateFolder    = "state"
	buildingFolder = "state.building"
	rebuiltFolder  = "state.new"
	replacedFolder = "state.old"
)

// finishRebuild ends what a rebuild that was cut off had begun: a new state
// that is ready takes its place.
func (f folder) finishRebuild() error {
	_, err := os.Stat(f.path(rebuiltFolder))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("look for a rebuilt state: %w", err)
	default:
		if _, err := os.Stat(f.path(stateFolder)); err == nil {
			if err := errors.Join(os.RemoveAll(f.path(replacedFolder)), os.Rename(f.path(stateFolder), f.path(replacedFolder))); err != nil {
				return fmt.Errorf("put the old state aside: %w", err)
			}
		}
		if err := os.Rename(f.path(rebuiltFolder), f.path(stateFolder)); err != nil {
			return fmt.Errorf("put the rebuilt state in its place: %w", err)
		}
	}
	return errors.Join(os.RemoveAll(f.path(buildingFolder)), os.RemoveAll(f.path(replacedFolder)))
}

// rebuildReport is what --json prints.
type rebuildReport struct {
	Sequence  uint64 `json:"sequence"`
	Accounts  int    `json:"accounts"`
	Evidence  int    `json:"evidence"`
	Decisions int    `json:"decisions"`
	Values    int    `json:"values"`
	Unsettled int    `json:"unsettled"`
	// Compared says whether there was a state to compare with.
	Compared    bool     `json:"compared"`
	Differences int      `json:"differences"`
	Some        []string `json:"some_differences,omitempty"`
	Replaced    bool     `json:"replaced"`
}

// Run rebuilds.
func (c rebuildCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	show := newProgress(c.JSON)
	n, err := openMover(ctx, f, need{quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	if !n.owner {
		return hinted{errOwned, "stop that process first: the state has one owner"}
	}
	if err := f.finishRebuild(); err != nil {
		return err
	}
	if err := n.presentState(ctx, c.Check); err != nil {
		return err
	}
	report, err := c.rebuild(ctx, n, show)
	if err != nil {
		return err
	}
	return c.print(report)
}

// presentState opens the state and brings it to the journal's end. Without
// check, one that cannot be is passed over: it is what the rebuild is for.
func (n *node) presentState(ctx context.Context, check bool) error {
	if _, err := os.Stat(n.folder.path(stateFolder)); errors.Is(err, fs.ErrNotExist) {
		if check {
			return hinted{errors.New("there is no state to compare with"), "`oneid rebuild` without --check makes one"}
		}
		return nil
	}
	err := n.openResolver(false)
	if err == nil {
		// ClickHouse does not know yet by which rules a state of an earlier version began.
		if err := n.tellRules(ctx); err != nil {
			return err
		}
		if _, applied := n.engine.Sequence(); !applied && !check {
			err = errors.New("it is empty")
		} else {
			err = n.resolving(ctx, n.settle)
		}
	}
	if err == nil || check || ctx.Err() != nil {
		return err
	}
	n.log.Warn("the present state cannot be brought to the journal's end; it is not compared", "error", err)
	n.engine = nil
	return nil
}

// rebuild reads what is stored, and shows what it reads.
func (n *node) rebuild(show *progress) *rebuild.Rebuild {
	what := ""
	return &rebuild.Rebuild{
		Brand: n.settings.Brand, ClickHouse: n.clickhouse, Kafka: n.kafka, Topics: n.topics, Rules: n.rules, Models: n.scorers, Keys: n.keys, Log: n.log,
		Progress: func(now string, rows int) {
			if now != what {
				what = now
				show.start(now, 0)
			}
			show.set(int64(rows), 0)
		},
	}
}

func (c rebuildCmd) rebuild(ctx context.Context, n *node, show *progress) (report rebuildReport, err error) {
	building := n.folder.path(buildingFolder)
	store, err := state.Open(building)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(building)) }()
	opened := true
	closed := func() error {
		if !opened {
			return nil
		}
		opened = false
		return store.Close()
	}
	defer func() { err = errors.Join(err, closed()) }()

	again := n.rebuild(show)
	made, err := again.Into(ctx, store)
	show.fail(err)
	if err != nil {
		return report, err
	}
	report = rebuildReport{Sequence: made.Sequence, Accounts: made.Accounts, Evidence: made.Evidence, Decisions: made.Decisions, Values: made.Values, Unsettled: made.Unsettled}
	if n.engine != nil {
		rebuilt, err := engine.New(store, n.rules, engine.Models(n.scorers))
		if err != nil {
			return report, err
		}
		compared, err := again.Compare(n.engine, rebuilt, n.store, store)
		if err != nil {
			return report, err
		}
		report.Compared, report.Differences, report.Some = true, compared.Differences, compared.Some
	}
	if c.Check {
		return report, nil
	}
	// Both are closed before their folders change names.
	if err := closed(); err != nil {
		return report, err
	}
	if err := n.closeState(); err != nil {
		return report, err
	}
	if err := os.Rename(building, n.folder.path(rebuiltFolder)); err != nil {
		return report, fmt.Errorf("put the rebuilt state in its place: %w", err)
	}
	report.Replaced = true
	return report, n.folder.finishRebuild()
}

func (c rebuildCmd) print(r rebuildReport) error {
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	} else {
		for _, d := range r.Some {
			fmt.Fprintf(os.Stderr, "differs (here: the state, there: ClickHouse): %s\n", d)
		}
		fmt.Printf("%d accounts, %d pieces of evidence, %d decisions, %d sealed values up to batch %d\n", r.Accounts, r.Evidence, r.Decisions, r.Values, r.Sequence)
		switch {
		case r.Compared && r.Differences == 0:
			fmt.Println("the state is equal to what ClickHouse says")
		case r.Compared:
			fmt.Printf("the state differs from what ClickHouse says in %d things\n", r.Differences)
		default:
			fmt.Println("there was no state to compare with")
		}
		if r.Replaced {
			fmt.Println("the rebuilt state is in its place; the next resolver goes on from the journal")
		}
	}
	if c.Check && r.Differences > 0 {
		return hinted{fmt.Errorf("the state and ClickHouse differ in %d things", r.Differences), "`oneid rebuild` without --check replaces the state by what ClickHouse says; then report the differences as a fault"}
	}
	return nil
}
