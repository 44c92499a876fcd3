package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/internal/httpclient"
	"oneid/pipelines/alert"
	"oneid/pipelines/pull"
	"oneid/pipelines/schedule"
	"oneid/schemas/tables"
)

// backfillCmd reads a stretch of the past.
type backfillCmd struct {
	From   string   `help:"First day of change (of Tmall's older orders: of creation), YYYY-MM-DD in the brand's zone." required:"" placeholder:"DAY"`
	To     string   `help:"Last day of change (default: until now)." placeholder:"DAY"`
	Shop   []string `help:"PLATFORM/SHOP; none means all." placeholder:"PLATFORM/SHOP"`
	Stream []string `help:"Of these streams alone; none means all." placeholder:"STREAM"`
	Yes    bool     `short:"y" help:"Do not ask whether the cost is all right."`
}

// Help shows below the usage.
func (backfillCmd) Help() string {
	return "Reads again, or for the first time, what was changed at the platforms in the days, as far back as each shows. It says first what that will cost in calls, days and quota. It has a cursor of its own and never moves that of the live reading (`oneid up`, `oneid sync`), which goes on beside it and comes first: the backfill's calls take what is left of the rate, and of the day's quota; it waits for more and says until when. Of a stream one process does it at a time. Cut off by Ctrl-C or a crash, the same command goes on where it was. What was read before is not doubled: an older version never replaces a newer one. Each stream is a run backfill/PLATFORM/SHOP/STREAM/FROM..TO in the view pipeline_runs, also where its cost cannot be found out; one that fails is an alert until these days, or more than these, are read."
}

// Run reads.
func (c backfillCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	from, to, err := c.days(settings.Timezone, time.Now())
	if err != nil {
		return err
	}
	if err := c.checkNames(f, settings); err != nil {
		return err
	}
	n, err := openMover(ctx, f, need{}, newProgress(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	return n.withShops(httpclient.WithPatience(ctx), func(ctx context.Context, shops []shop) error {
		work, err := c.work(n, shops, from, to)
		if err != nil {
			return err
		}
		n.startAlerts()
		return n.recording(ctx, func(ctx context.Context) error {
			return n.telling(ctx, func(ctx context.Context) error { return c.backfill(ctx, n, work) })
		})
	})
}

// backfill reads what a person agrees to. A stream whose cost cannot be found out is a
// run that failed, and keeps no other from being read.
func (c backfillCmd) backfill(ctx context.Context, n *node, work []*stretch) error {
	work, unknown := c.estimate(ctx, n, work)
	if len(work) == 0 || ctx.Err() != nil {
		return unknown
	}
	if err := c.confirm(os.Stdin, os.Stderr); err != nil {
		return errors.Join(unknown, err)
	}
	return errors.Join(unknown, c.read(ctx, n, work))
}

// read reads all stretches at the same time, each as a run of its own.
func (backfillCmd) read(ctx context.Context, n *node, work []*stretch) error {
	var all errgroup.Group
	for _, w := range work {
		all.Go(func() error {
			n.readingPast(w)
			var sum pull.Summary
			var lacked lack
			j := w.job()
			err := n.byHand(ctx, j.key, 0, func(ctx context.Context) error {
				// Another process may have read on since this one asked about the cost.
				if err := n.cursors.Refresh(ctx); err != nil {
					return err
				}
				w.Resumed = n.cursors.Get(w.puller.CursorKey) != ""
				lacked = n.lacks(w.shop.connector, w.shop.platform, w.shop.name, w.puller.Stream)
				return n.recorded(ctx, j, schedule.Firing{Why: schedule.ByHand}, func(ctx context.Context, run *tables.Run) error {
					err := n.pullInto(ctx, run, w.puller, func(ctx context.Context) (_ pull.Summary, err error) {
						sum, err = w.Run(ctx)
						return sum, err
					})
					run.Lag = -1 // that of the live reading is none of its
					return err
				})
			})
			if err == nil {
				err = errors.Join(n.clearCovered(ctx, w), n.settleLack(ctx, w, lacked, sum))
			}
			if sum.Short > 0 {
				fmt.Fprintf(os.Stderr, "%s: the platform counts %d rows that it does not give\n", w.name, sum.Short)
			}
			fmt.Fprintf(os.Stderr, "%s: %d records, %d events, %d dead letters\n", w.name, sum.Records, sum.Events, sum.DeadLetters)
			return err
		})
	}
	return all.Wait()
}

// days reads the first day and the end of the last one; a zero end is now.
func (c backfillCmd) days(timezone string, now time.Time) (from, to time.Time, err error) {
	zone, err := time.LoadLocation(timezone)
	if err != nil {
		return from, to, err
	}
	from, err = time.ParseInLocation(time.DateOnly, c.From, zone)
	if err == nil && c.To != "" {
		to, err = time.ParseInLocation(time.DateOnly, c.To, zone)
		to = to.AddDate(0, 0, 1)
	}
	switch {
	case err != nil:
		return from, to, errors.New("write a day as YYYY-MM-DD")
	case !to.IsZero() && !from.Before(to):
		return from, to, errors.New("--from is later than --to")
	case from.After(now):
		return from, to, errors.New("--from is in the future")
	}
	return from, to, nil
}

// stretch is what is to be read of one stream.
type stretch struct {
	*pull.Backfill
	puller *pull.Puller
	shop   shop
	name   string // platform/shop stream
	days   days
	of     connectors.Window // those days; To is zero until now
	about  int               // records
}

// days are those of a backfill as they were given: its runs and its alert are of them.
type days struct{ from, to string } // to is untilNow where none was given

const untilNow = "now"

func (d days) String() string { return d.from + ".." + d.to }

// cover says that what was asked for by other days lies within these; both are of
// backfills that were begun one after the other.
func (d days) cover(other days) bool {
	return d.from <= other.from && (d.to == untilNow || other.to != untilNow && other.to <= d.to)
}

// taskBackfill is the task of its runs in the history.
const taskBackfill = "backfill"

// job is the reading of the stretch, whose runs and alert have the name of its days. Of a
// stream one process does one at a time, whatever its days.
func (w *stretch) job() job {
	key := taskBackfill + "/" + w.shop.platform + "/" + w.shop.name + "/" + w.puller.Stream
	return job{pipeline: pipeline{Name: key + "/" + w.days.String(), PipelineSettings: PipelineSettings{Task: taskBackfill}}, key: key, shop: w.shop, stream: w.puller.Stream, of: w.of}
}

// clearCovered ends the alerts of backfills that failed, of days that one of the same
// stream has read now.
func (n *node) clearCovered(ctx context.Context, w *stretch) error {
	standing, err := alert.Standing(ctx, n.kafka, n.topics.Alerts)
	if err != nil {
		return err
	}
	for _, a := range standing {
		text, ok := strings.CutPrefix(a.GetSubject(), w.job().key+"/")
		from, to, _ := strings.Cut(text, "..")
		if ok && a.GetKind() == alert.Pipeline && w.days.cover(days{from, to}) {
			n.alerts.Set(alert.Pipeline, a.GetSubject(), "")
		}
	}
	return nil
}

// checkNames finds what is named and is not there before anything is started. Of a
// folder with simulators only they say which shops they have.
func (c backfillCmd) checkNames(f folder, settings Settings) error {
	if _, err := simulator.Load(string(f)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	shops, err := f.shopsBeside(settings)
	if err != nil {
		return err
	}
	return c.unknown(f, shops)
}

// unknown is the error of a shop or stream that is named and is not there.
func (c backfillCmd) unknown(f folder, shops []shop) error {
	if len(shops) == 0 {
		return hinted{errors.New("no shops are configured that could be read"), "name them under shops in " + f.path(settingsFile)}
	}
	for _, wanted := range c.Shop {
		if !slices.ContainsFunc(shops, func(s shop) bool { return s.platform+"/"+s.name == wanted }) {
			return hinted{fmt.Errorf("oneid.yaml has no shop %s", wanted), "name it as PLATFORM/SHOP, as under shops in oneid.yaml"}
		}
	}
	var streams []string
	for _, s := range shops {
		if !c.means(s) {
			continue
		}
		for _, stream := range s.connector.Spec().Streams {
			streams = append(streams, stream.Name)
		}
	}
	slices.Sort(streams)
	for _, wanted := range c.Stream {
		if !slices.Contains(streams, wanted) {
			return hinted{fmt.Errorf("no shop that is meant has a stream %s", wanted), "there are " + strings.Join(slices.Compact(streams), ", ")}
		}
	}
	return nil
}

// means says that the streams of a shop are to be read.
func (c backfillCmd) means(s shop) bool {
	return len(c.Shop) == 0 || slices.Contains(c.Shop, s.platform+"/"+s.name)
}

// work is what is to be read of each stream that is meant.
func (c backfillCmd) work(n *node, shops []shop, from, to time.Time) ([]*stretch, error) {
	if err := c.unknown(n.folder, shops); err != nil {
		return nil, err
	}
	var work []*stretch
	for _, s := range shops {
		if !c.means(s) {
			continue
		}
		for _, stream := range s.connector.Spec().Streams {
			if len(c.Stream) > 0 && !slices.Contains(c.Stream, stream.Name) {
				continue
			}
			p := n.puller(s.connector, s.platform, s.name, stream.Name)
			b, err := pull.NewBackfill(p, from, to)
			if errors.Is(err, pull.ErrNoBackfill) && len(c.Shop) == 0 {
				continue
			}
			if err != nil {
				return nil, err
			}
			if b.From.After(from) {
				n.log.Warn("the platform shows nothing as old: the backfill begins later", "platform", s.platform, "shop", s.name, "stream", stream.Name, "from", b.From.Format(time.RFC3339))
			}
			work = append(work, &stretch{Backfill: b, puller: p, shop: s, name: s.platform + "/" + s.name + " " + stream.Name, days: days{c.From, cmp.Or(c.To, untilNow)}, of: connectors.Window{From: from, To: to}})
		}
	}
	if len(work) == 0 {
		return nil, hinted{errors.New("no shop that is meant reads a stretch of the past"), "see `oneid backfill --help`"}
	}
	return work, nil
}

// estimate says what reading will cost, a shop after the other. It gives what may be
// read; of what cannot be estimated it records that, and gives why.
func (backfillCmd) estimate(ctx context.Context, n *node, work []*stretch) (known []*stretch, unknown error) {
	for len(work) > 0 {
		of := work[0].shop
		shop := work[:1]
		for len(shop) < len(work) && work[len(shop)].shop.platform == of.platform && work[len(shop)].shop.name == of.name {
			shop = work[:len(shop)+1]
		}
		var readings []reading
		for _, w := range shop {
			if w.Resumed {
				fmt.Fprintf(os.Stderr, "%s goes on where it was\n", w.name)
			}
			readings = append(readings, reading{w.Connector, w.puller.Stream, w.Cursor()})
		}
		about, faults := estimate(ctx, os.Stderr, of.platform+"/"+of.name, readings)
		for _, w := range shop {
			w.about = about[w.puller.Stream]
			fault := faults[w.puller.Stream]
			if fault == nil {
				known = append(known, w)
				continue
			}
			unknown = errors.Join(unknown, n.recorded(ctx, w.job(), schedule.Firing{Why: schedule.ByHand}, func(_ context.Context, run *tables.Run) error {
				run.Lag = -1
				return fault
			}))
		}
		work = work[len(shop):]
	}
	return known, unknown
}

// confirm asks a person whether to go on.
func (c backfillCmd) confirm(in *os.File, out io.Writer) error {
	if c.Yes {
		return nil
	}
	if !isTerminal(in) {
		return hinted{errors.New("nobody is there to say that the cost is all right; nothing was read"), "give --yes"}
	}
	fmt.Fprint(out, "Read it? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was read")
	}
	return nil
}

// readingPast lets a backfill say now and then how far it is, and when it will
// about end.
func (n *node) readingPast(w *stretch) {
	begun := time.Now()
	said := begun
	before := 0
	ended := n.ended(w.shop.platform, w.shop.name, w.puller.Stream)
	done := 0
	w.puller.Ended = func(err error) {
		before = done // the next round counts from 0
		ended(err)
	}
	w.puller.Progress = func(sum pull.Summary) {
		done = before + sum.Records
		now := time.Now()
		if now.Sub(said) < progressEvery {
			return
		}
		said = now
		about := max(w.about, done)
		ends := now.Add(time.Duration(float64(now.Sub(begun)) * float64(about-done) / float64(max(done, 1))))
		n.log.Info("a backfill goes on", "platform", w.shop.platform, "shop", w.shop.name, "stream", w.puller.Stream,
			"records", done, "of_about", about, "ends_about", ends.Format(time.RFC3339))
	}
}
