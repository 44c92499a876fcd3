package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// syncCmd pulls what changed at the platforms into Kafka.
type syncCmd struct {
	Shop []string `arg:"" optional:"" help:"PLATFORM/SHOP of oneid.yaml; none means all."`
	Once bool     `help:"Pull what there is, then end."`

	Estimate bool `help:"Say what pulling will cost in calls, time and quota, and end."`
}

// Help shows below the usage.
func (syncCmd) Help() string {
	return "Reads each stream from where it was left, publishes what changed, and writes its cursor only after that: a crash repeats a page and loses nothing. While a platform allows no more calls it waits, says until when (also /readyz at metrics.listen), and goes on. Without --once it asks again and again (pull.every) until Ctrl-C. A first reading says what it will cost before it starts. Another process resolves: `oneid resolve`, or `oneid up`."
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
	var all errgroup.Group
	for _, s := range shops {
		asking, cancel := context.WithTimeout(ctx, estimatePatience)
		first, err := n.estimate(asking, os.Stderr, s, true)
		if err != nil {
			n.log.Info("what the first reading costs is not known", "error", err) // the reading says what is wrong
		}
		cancel()
		for _, stream := range s.connector.Spec().Streams {
			p := n.puller(s.connector, s.platform, s.name, stream.Name)
			if about := first[stream.Name]; about > 0 {
				n.readingFirst(p, about)
			}
			all.Go(func() error {
				if !c.Once {
					return p.Run(ctx, time.Duration(n.settings.Pull.Every))
				}
				sum, err := p.Once(ctx)
				fmt.Fprintf(os.Stderr, "%s/%s %s: %d records, %d events, %d dead letters\n", s.platform, s.name, stream.Name, sum.Records, sum.Events, sum.DeadLetters)
				return err
			})
		}
	}
	return all.Wait()
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
