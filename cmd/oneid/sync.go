package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/pipelines/pull"
	"oneid/pipelines/schedule"
	"oneid/schemas/tables"
)

// syncCmd pulls what changed at the platforms into Kafka.
type syncCmd struct {
	Shop []string `arg:"" optional:"" help:"PLATFORM/SHOP of oneid.yaml; none means all."`
	Once bool     `help:"Pull what there is, then end."`

	Estimate bool `help:"Say what pulling will cost in calls, time and quota, and end."`
}

// Help shows below the usage.
func (syncCmd) Help() string {
	return "Reads each stream from where it was left, publishes what changed, and writes its cursor only after that: a crash repeats a page and loses nothing. While a platform allows no more calls it waits, says until when (also /readyz at metrics.listen), and goes on. Without --once it asks again and again (pull.every, or as the files of pipelines/ say) until Ctrl-C. Any number may run: each stream is read by one process at a time. A first reading says what it will cost before it starts. Another process resolves: `oneid resolve`, or `oneid up`."
}

// Run pulls.
func (c syncCmd) Run(ctx context.Context, f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	n, err := openNode(ctx, f, need{}, newProgress(false))
	if err != nil {
		return err
	}
	err = n.observed(ctx, n.kafka.Ping, n.limitsNote, func(ctx context.Context) error { return c.run(ctx, n) })
	return errors.Join(err, n.close())
}

func (c syncCmd) run(ctx context.Context, n *node) error {
	shops, err := n.folder.shops(n.settings)
	if err != nil {
		return err
	}
	for _, wanted := range c.Shop {
		if !slices.ContainsFunc(shops, func(s shop) bool { return s.platform+"/"+s.name == wanted }) {
			return hinted{fmt.Errorf("oneid.yaml has no shop %s", wanted), "name it as PLATFORM/SHOP, as under shops in oneid.yaml"}
		}
	}
	if len(shops) == 0 {
		return hinted{errors.New("no shops are configured"), "name them under shops in " + n.folder.path(settingsFile)}
	}
	every := slices.Clone(shops)
	if len(c.Shop) > 0 {
		shops = slices.DeleteFunc(shops, func(s shop) bool { return !slices.Contains(c.Shop, s.platform+"/"+s.name) })
	}
	if c.Estimate {
		var faults []error
		for _, s := range shops {
			_, err := n.estimate(ctx, os.Stdout, s, false)
			faults = append(faults, err)
		}
		return errors.Join(faults...)
	}
	n.startAlerts()
	return n.recording(ctx, func(ctx context.Context) error {
		return n.telling(ctx, func(ctx context.Context) error { return c.pull(ctx, n, every, shops) })
	})
}

// oncePatience is how long --once waits for another process that reads the
// same stream.
const oncePatience = 10 * time.Minute

// pull pulls the streams of shops, of every that are configured.
func (c syncCmd) pull(ctx context.Context, n *node, every, shops []shop) error {
	pipelines, err := n.folder.loadPipelines(n.settings, every)
	if err != nil {
		return err
	}
	var all errgroup.Group
	for _, s := range shops {
		asking, cancel := context.WithTimeout(ctx, estimatePatience)
		first, err := n.estimate(asking, os.Stderr, s, true)
		if err != nil {
			n.log.Info("what the first reading costs is not known", "error", err) // the reading says what is wrong
		}
		cancel()
		if c.Once {
			for _, stream := range s.connector.Spec().Streams {
				j := pullJob(pipeline{Name: taskPull, PipelineSettings: PipelineSettings{Task: taskPull}}, s, stream.Name)
				all.Go(func() error { return c.once(ctx, n, j, first[j.stream]) })
			}
			continue
		}
		for _, p := range pipelines {
			if p.Task != taskPull || p.Paused {
				continue
			}
			for _, j := range jobsOf(p, pipelines, []shop{s}) {
				all.Go(func() error { return n.runJob(ctx, j, every, n.firstReading(first[j.stream])) })
			}
		}
	}
	err = all.Wait()
	return errors.Join(err, n.closeLocks())
}

// firstReading lets a puller say how far its first reading is, if it is one.
func (n *node) firstReading(about int) func(*pull.Puller) {
	return func(p *pull.Puller) {
		if about > 0 {
			n.readingFirst(p, about)
		}
	}
}

// once pulls a stream once.
func (c syncCmd) once(ctx context.Context, n *node, j job, about int) error {
	p := n.puller(j.shop.connector, j.shop.platform, j.shop.name, j.stream)
	n.firstReading(about)(p)
	var sum pull.Summary
	err := n.byHand(ctx, j.key, oncePatience, func(ctx context.Context) error {
		if err := n.cursors.Refresh(ctx); err != nil { // another process may have read on
			return err
		}
		return n.recorded(ctx, j, schedule.Firing{Why: schedule.ByHand}, func(ctx context.Context, run *tables.Run) error {
			return n.pullInto(ctx, run, p, func(ctx context.Context) (_ pull.Summary, err error) {
				sum, err = p.Once(ctx)
				return sum, err
			})
		})
	})
	fmt.Fprintf(os.Stderr, "%s/%s %s: %d records, %d events, %d dead letters\n", j.shop.platform, j.shop.name, j.stream, sum.Records, sum.Events, sum.DeadLetters)
	if differ := n.drifts.Open(j.shop.platform + "/" + j.shop.name + "/" + j.stream); len(differ) > 0 {
		fmt.Fprintf(os.Stderr, "%s/%s %s: payloads are not as OneID knows them: %s; see `oneid drift`\n", j.shop.platform, j.shop.name, j.stream, driftSaid(differ))
	}
	return err
}

// resolveCmd resolves what lies in Kafka.
type resolveCmd struct {
	Once bool `help:"Resolve what there is, then end."`
}

// Help shows below the usage.
func (resolveCmd) Help() string {
	return "Takes events from Kafka in batches, finds who is who, and inserts into ClickHouse. Any number may run for one brand, each with a data folder of its own and the brand's keys in it: one is active, the others stand by and take over within 10 seconds of its death, with the same ids. Killed at any moment, it goes on where it was and nothing is there twice."
}

// Run resolves.
func (c resolveCmd) Run(ctx context.Context, f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	n, err := openNode(ctx, f, need{}, newProgress(false))
	if err != nil {
		return err
	}
	if !n.owner {
		return errors.Join(hinted{errOwned, "it resolves already; stop it to resolve here"}, n.close())
	}
	err = n.observed(ctx, n.ready, n.note, func(ctx context.Context) error {
		return n.resolving(ctx, func(ctx context.Context) error {
			if c.Once {
				return n.settle(ctx)
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
	})
	return errors.Join(err, n.close())
}

// migrateCmd brings tables and views up to date.
type migrateCmd struct{}

// Help shows below the usage.
func (migrateCmd) Help() string {
	return "Applies the numbered files of tables and views that were not applied yet, and records each in schema_migrations. The other commands do it by themselves on the embedded engine and where they own the data folder."
}

// Run migrates.
func (migrateCmd) Run(ctx context.Context, f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	i, err := open(ctx, f, need{clickhouse: true, quiet: true}, newProgress(false))
	if err != nil {
		return err
	}
	applied, err := i.clickhouse.Migrate(ctx)
	if err == nil {
		fmt.Printf("%d files applied; the tables and views of database %s are up to date\n", applied, i.clickhouse.Database())
	}
	return errors.Join(err, i.close())
}
