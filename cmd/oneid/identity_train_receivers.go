package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"oneid/identity"
	"oneid/identity/match"
	"oneid/identity/match/receivers"
	"oneid/pipelines/rebuild"
)

// receivers learns from the receivers that the instance keeps.
func (c identityTrainCmd) receivers(ctx context.Context, f folder) (err error) {
	began := time.Now()
	job := matching{model: c.Model, seed: c.Seed}
	model, err := job.readModel()
	if err == nil && model == nil {
		if model, err = match.ParseModel("model.yaml", receivers.ModelYAML()); err == nil && c.Seed != nil {
			model.Seed = *c.Seed
		}
	}
	if err != nil {
		return err
	}
	show := newProgress(c.JSON)
	defer func() { show.fail(err) }()
	sightings, err := f.receivers(ctx, c.JSON, show)
	if err != nil {
		return err
	}
	options := match.Options{MaxPairs: c.MaxPairs}
	step := ""
	options.Progress = func(name string, done, total int64) {
		if name != step {
			step = name
			show.start(name, total)
		}
		show.set(done, total)
	}
	trained, err := receivers.Train(ctx, sightings, model, options)
	show.finish()
	if errors.Is(err, receivers.ErrOneSource) {
		return hinted{fmt.Errorf("%d receivers are kept: %w", len(sightings), err), "receivers are kept, masked, while the rules use a model. Adopt the one that ships, with an accept and a review of 1000 that nothing reaches, and bring older orders with `oneid replay`; docs/operate.md says how"}
	}
	if err != nil {
		return err
	}
	path := c.Out
	if path == "" {
		path = f.path(trained.Name + ".learned.json")
	}
	l := trained.Learned
	if err := writeLearned(path, l, began); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(trainReport{
			Learned: path, Name: trained.Name, Records: l.Data.Records, Fingerprint: l.Data.Fingerprint, Seed: l.Seed,
			Prior: l.Prior, Rounds: l.Rounds, Converged: l.Converged, Warnings: l.Warnings, Seconds: time.Since(began).Seconds(),
			Sources: trained.Sources, Shared: trained.Shared, Candidates: trained.Candidates,
		})
	}
	fmt.Printf("receivers of %d shops: %s\n", len(trained.Sources), strings.Join(trained.Sources, ", "))
	if trained.Shared > 0 {
		fmt.Printf("%d were left out: more than %d accounts of a shop send there, so it is no person\n", trained.Shared, receivers.Shared)
	}
	if err := printLearned(os.Stdout, l, trained.Candidates); err != nil {
		return err
	}
	fmt.Printf("written: %s, the model %s\nwhat it would change: oneid identity plan --model %s\n", path, trained.Name, path)
	return nil
}

// receivers are those that the accounts were seen with.
func (f folder) receivers(ctx context.Context, quiet bool, show *progress) (sightings []receivers.Sighting, err error) {
	i, _, err := openToRead(ctx, f, quiet)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	show.start("reading receivers", 0)
	stored := &rebuild.Rebuild{ClickHouse: i.clickhouse, Keys: i.keys, Log: i.log, Progress: func(_ string, rows int) { show.set(int64(rows), 0) }}
	err = stored.Receivers(ctx, func(account identity.Account, seen identity.Appearance) {
		sightings = append(sightings, receivers.Sighting{Account: account, Seen: seen})
	})
	return sightings, err
}
