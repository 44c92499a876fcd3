package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/internal/httpclient"
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
	return "Reads again, or for the first time, what was changed at the platforms in the days, as far back as each shows. It says first what that will cost in calls, days and quota. It has a cursor of its own and never moves that of the live reading (`oneid up`, `oneid sync`), which goes on beside it and comes first: the backfill's calls take what is left of the rate, and of the day's quota; it waits for more and says until when. Of a stream one process does it at a time. Cut off by Ctrl-C or a crash, the same command goes on where it was. What was read before is not doubled: an older version never replaces a newer one. Each stream is a run backfill/PLATFORM/SHOP/STREAM in the view pipeline_runs; one that fails is an alert until it succeeds."
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
		if err := c.estimate(ctx, work); err != nil {
			return err
		}
		if err := c.confirm(os.Stdin, os.Stderr); err != nil {
			return err
		}
		n.startAlerts()
		return n.recording(ctx, func(ctx context.Context) error {
			return n.telling(ctx, func(ctx context.Context) error { return c.read(ctx, n, work) })
		})
	})
}

// read reads all stretches at the same time, each as a run of its own.
func (backfillCmd) read(ctx context.Context, n *node, work []*stretch) error {
	var all errgroup.Group
	for _, w := range work {
		all.Go(func() error {
			n.readingPast(w)
			var sum pull.Summary
			j := w.job()
			err := n.byHand(ctx, j.key, 0, func(ctx context.Context) error {
				// Another process may have read on since this one asked about the cost.
				if err := n.cursors.Refresh(ctx); err != nil {
					return err
				}
				return n.recorded(ctx, j, schedule.Firing{Why: schedule.ByHand}, func(ctx context.Context, run *tables.Run) error {
					err := n.pullInto(ctx, run, w.puller, func(ctx context.Context) (_ pull.Summary, err error) {
						sum, err = w.Run(ctx)
						return sum, err
					})
					run.Lag = -1 // that of the live reading is none of its
					return err
				})
			})
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
	case to.After(now):
		to = time.Time{}
	}
	return from, to, nil
}

// stretch is what is to be read of one stream.
type stretch struct {
	*pull.Backfill
	puller *pull.Puller
	shop   shop
	name   string // platform/shop stream
	about  int    // records
}

// taskBackfill is the task of its runs in the history.
const taskBackfill = "backfill"

// job is the reading of the stretch, whose runs and alert have a name of their own.
func (w *stretch) job() job {
	key := taskBackfill + "/" + w.shop.platform + "/" + w.shop.name + "/" + w.puller.Stream
	return job{pipeline: pipeline{Name: key, PipelineSettings: PipelineSettings{Task: taskBackfill}}, key: key, shop: w.shop, stream: w.puller.Stream}
}

// work is what is to be read of each stream that is meant.
func (c backfillCmd) work(n *node, shops []shop, from, to time.Time) ([]*stretch, error) {
	for _, wanted := range c.Shop {
		if !slices.ContainsFunc(shops, func(s shop) bool { return s.platform+"/"+s.name == wanted }) {
			return nil, hinted{fmt.Errorf("oneid.yaml has no shop %s", wanted), "name it as PLATFORM/SHOP, as under shops in oneid.yaml"}
		}
	}
	var work []*stretch
	var streams []string
	for _, s := range shops {
		if len(c.Shop) > 0 && !slices.Contains(c.Shop, s.platform+"/"+s.name) {
			continue
		}
		for _, stream := range s.connector.Spec().Streams {
			streams = append(streams, stream.Name)
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
			work = append(work, &stretch{Backfill: b, puller: p, shop: s, name: s.platform + "/" + s.name + " " + stream.Name})
		}
	}
	for _, wanted := range c.Stream {
		if !slices.Contains(streams, wanted) {
			slices.Sort(streams)
			return nil, hinted{fmt.Errorf("no shop that is meant has a stream %s", wanted), "there are " + strings.Join(slices.Compact(streams), ", ")}
		}
	}
	if len(work) == 0 {
		return nil, hinted{errors.New("no shops are configured that could be read"), "name them under shops in " + n.folder.path(settingsFile)}
	}
	return work, nil
}

// estimate says what reading will cost, a shop after the other.
func (backfillCmd) estimate(ctx context.Context, work []*stretch) error {
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
		about, err := estimate(ctx, os.Stderr, of.platform+"/"+of.name, readings)
		if err != nil {
			return err
		}
		for _, w := range shop {
			w.about = about[w.puller.Stream]
		}
		work = work[len(shop):]
	}
	return nil
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
