package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/connectors/simulator"
	"oneid/pipelines/reconcile"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// reconcileDays is how many days a run looks at unless told otherwise.
const reconcileDays = 7

// reconcileCmd compares what the platforms list with what is stored.
type reconcileCmd struct {
	From   string   `help:"First day of creation, YYYY-MM-DD in the brand's zone (default: six days ago)." placeholder:"DAY"`
	To     string   `help:"Last day of creation (default: today)." placeholder:"DAY"`
	Shop   []string `help:"PLATFORM/SHOP; none means all." placeholder:"PLATFORM/SHOP"`
	Repair bool     `help:"Read again what differs, and publish it."`
	JSON   bool     `help:"Print one JSON object."`
}

// Help shows below the usage.
func (reconcileCmd) Help() string {
	return "Reads each stream of the days again from its platform, and compares per shop, stream and day of creation what is listed there, what came through Kafka and what is in ClickHouse: how many, and the sum of their amounts. For a difference it names the ids. `oneid up` does the same by itself (reconcile.every); ClickHouse has the results in the view reconciliation_days.\n\nExit code: 0 all is equal, 3 there is a difference, 1 failed."
}

// Run reconciles.
func (c reconcileCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	n, err := openNode(ctx, f, need{quiet: true}, newProgress(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	n.leaveResolving()
	from, to, err := c.days(n.settings.Timezone, time.Now())
	if err != nil {
		return err
	}
	var report reconcile.Report
	err = n.resolving(ctx, func(ctx context.Context) error {
		return n.withShops(ctx, func(ctx context.Context, shops []shop) error {
			wanted, err := c.wanted(shops)
			if err != nil {
				return err
			}
			r := n.reconciler()
			if c.Repair {
				report, err = r.Repair(ctx, wanted, from, to)
			} else {
				report, err = r.Run(ctx, wanted, from, to)
			}
			return err
		})
	})
	if err != nil {
		// The streams that could be asked are of use all the same.
		if len(report.Days) > 0 {
			_ = c.print(report)
		}
		return err
	}
	return c.print(report)
}

// days reads the first and the last day.
func (c reconcileCmd) days(timezone string, now time.Time) (from, to time.Time, err error) {
	zone, err := time.LoadLocation(timezone)
	if err != nil {
		return from, to, err
	}
	from, to = now.AddDate(0, 0, 1-reconcileDays), now
	for _, given := range []struct {
		text string
		day  *time.Time
	}{{c.From, &from}, {c.To, &to}} {
		if given.text == "" {
			continue
		}
		if *given.day, err = time.ParseInLocation(time.DateOnly, given.text, zone); err != nil {
			return from, to, errors.New("write a day as YYYY-MM-DD")
		}
	}
	if to.Before(from) {
		return from, to, errors.New("--from is later than --to, which is today unless given")
	}
	return from, to, nil
}

// wanted are the shops that are named, or all.
func (c reconcileCmd) wanted(shops []shop) ([]reconcile.Shop, error) {
	for _, name := range c.Shop {
		if !slices.ContainsFunc(shops, func(s shop) bool { return s.platform+"/"+s.name == name }) {
			return nil, hinted{fmt.Errorf("there is no shop %s", name), "name it as PLATFORM/SHOP, as under shops in oneid.yaml"}
		}
	}
	var wanted []reconcile.Shop
	for _, s := range shops {
		if len(c.Shop) == 0 || slices.Contains(c.Shop, s.platform+"/"+s.name) {
			wanted = append(wanted, reconcile.Shop{Platform: s.platform, Name: s.name, Connector: s.connector})
		}
	}
	if len(wanted) == 0 {
		return nil, hinted{errors.New("no shops are configured, so there is nothing to compare with"), "name them under shops in oneid.yaml"}
	}
	return wanted, nil
}

func (c reconcileCmd) print(report reconcile.Report) error {
	if c.JSON {
		if err := printJSON(report); err != nil {
			return err
		}
	} else if err := printReconciled(report); err != nil {
		return err
	}
	if report.Different > 0 {
		return &differentError{report.Different}
	}
	return nil
}

// differentError says that a side lacks something.
type differentError struct{ entities uint64 }

func (d *differentError) Error() string {
	return fmt.Sprintf("%d entities differ; `oneid reconcile --repair` reads again what the platforms have", d.entities)
}

// ExitCode says that the command did its work, and found a difference.
func (*differentError) ExitCode() int { return 3 }

func printReconciled(report reconcile.Report) error {
	if report.Repaired > 0 {
		fmt.Printf("%d events were read again and published; afterwards:\n", report.Repaired)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "SHOP\tSTREAM\tKIND\tDAY\tSOURCE\tKAFKA\tCLICKHOUSE\t\t")
	side := func(c tables.Count, currency string) string {
		if currency == "" {
			return fmt.Sprint(c.Count)
		}
		return fmt.Sprintf("%d  %s", c.Count, events.FormatMinor(c.Minor, currency))
	}
	for _, d := range report.Days {
		state := "equal"
		switch {
		case d.Different > 0:
			state = fmt.Sprintf("DIFFERENT: %d", d.Different)
		case d.Moving > 0:
			state = fmt.Sprintf("moving: %d", d.Moving)
		}
		day := d.Day
		if day == "" {
			day = "-"
		}
		fmt.Fprintf(w, "%s/%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Platform, d.Shop, d.Stream, d.Kind, day,
			side(d.Source, d.Currency), side(d.Kafka, d.Currency), side(d.ClickHouse, d.Currency), d.Currency, state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, d := range report.Days {
		for _, missing := range []struct {
			where string
			ids   []string
		}{{"not at the source", d.MissingSource}, {"not in Kafka", d.MissingKafka}, {"not in ClickHouse", d.MissingClickHouse}, {"other amounts", d.OtherAmount}} {
			if len(missing.ids) == reconcile.MostIDs {
				missing.where += fmt.Sprintf(" (no more than %d are named)", reconcile.MostIDs)
			}
			if len(missing.ids) > 0 {
				fmt.Printf("%s/%s %s %s, %s: %s\n", d.Platform, d.Shop, d.Kind, d.Day, missing.where, oneLine(strings.Join(missing.ids, " ")))
			}
		}
	}
	fmt.Printf("%s to %s: %d entities differ, %d are moving\n", report.From, report.To, report.Different, report.Moving)
	return nil
}

// reconciler joins the parts of a reconciliation.
func (n *node) reconciler() *reconcile.Reconciler {
	return &reconcile.Reconciler{
		ClickHouse: n.clickhouse, Publisher: n.publisher, Topics: n.topics, Keys: n.keys, Log: n.log, Settle: n.settle,
	}
}

// withShops calls task with the shops of the settings and, in a folder that
// `demo` made, those of its simulators: the owner's while one runs, else of
// its own.
func (n *node) withShops(ctx context.Context, task func(context.Context, []shop) error) error {
	work := func(ctx context.Context, shops []shop) error {
		for _, s := range shops {
			n.share(s.connector, s.platform, s.name)
		}
		return task(ctx, shops)
	}
	shops, err := n.folder.shops(n.settings)
	if err != nil {
		return err
	}
	if !n.owner {
		shops, err := n.folder.shopsBeside(n.settings)
		if err != nil {
			return err
		}
		return work(ctx, shops)
	}
	return n.withSimulators(ctx, func(ctx context.Context, s *simulators) error {
		if s != nil {
			shops = append(shops, s.shops...)
		}
		return work(ctx, shops)
	})
}

// shopsBeside are the shops of the settings and those of simulators that run.
func (f folder) shopsBeside(settings Settings) ([]shop, error) {
	shops, err := f.shops(settings)
	if err != nil {
		return nil, err
	}
	var running simulator.Endpoints
	switch err := readJSON(f.path(simulatorsFile), &running); {
	case errors.Is(err, fs.ErrNotExist):
		return shops, nil
	case err != nil:
		return nil, err
	}
	more, err := simulated(running, false)
	return append(shops, more...), err
}
