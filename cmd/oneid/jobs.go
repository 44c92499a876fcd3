package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/pipelines/alert"
	"oneid/pipelines/pull"
	"oneid/pipelines/reconcile"
	"oneid/pipelines/runs"
	"oneid/pipelines/schedule"
	"oneid/pipelines/squash"
	"oneid/schemas/tables"
)

// job is what one process does at a time: a stream that is pulled, or a task
// of another kind.
type job struct {
	pipeline pipeline
	// key names it, and its lock: two pipelines that pull one stream do not do
	// it at the same time.
	key string
	// Of pull and backfill alone.
	shop   shop
	stream string
	of     connectors.Window // what a backfill was asked for; To is zero until now
}

// jobsOf are the jobs of a pipeline. What runs with no file pulls the streams
// that no file does.
func jobsOf(p pipeline, all []pipeline, shops []shop) []job {
	if p.Task != taskPull {
		key := p.Task
		if p.Task == taskImport || p.Task == taskBackup {
			key += "/" + p.Name // of other folders
		}
		return []job{{pipeline: p, key: key}}
	}
	var jobs []job
	for _, s := range shops {
		name := s.platform + "/" + s.name
		for _, stream := range s.connector.Spec().Streams {
			taken := p.File == "" && slices.ContainsFunc(all, func(other pipeline) bool {
				return other.File != "" && !other.Paused && other.pulls(name, stream.Name)
			})
			if p.pulls(name, stream.Name) && !taken {
				jobs = append(jobs, pullJob(p, s, stream.Name))
			}
		}
	}
	return jobs
}

func pullJob(p pipeline, s shop, stream string) job {
	return job{pipeline: p, key: taskPull + "/" + s.platform + "/" + s.name + "/" + stream, shop: s, stream: stream}
}

// often says whether the job runs so often that a run which finds nothing is
// not worth a row.
func (j job) often() bool {
	every := j.pipeline.schedule.Interval()
	return every > 0 && every < 10*time.Minute
}

// begun is the row of a run that begins.
func (j job) begun(f schedule.Firing) *tables.Run {
	run := &tables.Run{Pipeline: j.pipeline.Name, Job: j.key, Task: j.pipeline.Task, Reason: f.Why, Scheduled: f.For, From: j.of.From, To: j.of.To}
	if j.stream != "" {
		run.Platform, run.Shop, run.Stream = j.shop.platform, j.shop.name, j.stream
	}
	return run
}

// done keeps up to which time of its schedule each job was done, beside the
// cursors.
type done struct{ cursors *pull.Cursors }

// donePrefix begins their keys: no platform is called so.
const donePrefix = "runs/"

// Done implements schedule.Store.
func (d done) Done(ctx context.Context, job string) (time.Time, error) {
	if err := d.cursors.Refresh(ctx); err != nil {
		return time.Time{}, err
	}
	return d.known(job)
}

// known is Done as it was read last.
func (d done) known(job string) (time.Time, error) {
	text := string(d.cursors.Get(donePrefix + job))
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, fmt.Errorf("read when job %s was done: %w", job, err)
	}
	return at, nil
}

// SetDone implements schedule.Store.
func (d done) SetDone(ctx context.Context, job string, at time.Time) error {
	return d.cursors.Put(ctx, donePrefix+job, connectors.Cursor(at.UTC().Format(time.RFC3339Nano)))
}

// locks are the locks of jobs that this process has asked for.
type locks struct {
	mu sync.Mutex
	of map[string]*kafka.Lock
}

// lock is that of a job.
func (n *node) lock(key string) (*kafka.Lock, error) {
	n.locks.mu.Lock()
	defer n.locks.mu.Unlock()
	if l := n.locks.of[key]; l != nil {
		return l, nil
	}
	l, err := n.kafka.Lock(n.settings.Brand+".run."+key, n.topics.Cursors, false)
	if err != nil {
		return nil, err
	}
	if n.locks.of == nil {
		n.locks.of = make(map[string]*kafka.Lock)
	}
	n.locks.of[key] = l
	return l, nil
}

// elsewhereError says that another process does a job just now.
type elsewhereError struct{ job string }

func (e elsewhereError) Error() string {
	return fmt.Sprintf("%s runs in another process just now", e.job)
}

// Code names the kind of error for CLI and API.
func (elsewhereError) Code() string { return "running" }

// Hint says what to do.
func (elsewhereError) Hint() string {
	return "wait until it has ended; what runs again and again needs no help"
}

// byHand works under a job's lock before any scheduler that rests. While
// another process does the job it tries again, for patience.
func (n *node) byHand(ctx context.Context, key string, patience time.Duration, work func(context.Context) error) error {
	for deadline := time.Now().Add(patience); ; {
		l, err := n.kafka.Lock(n.settings.Brand+".run."+key, n.topics.Cursors, true)
		if err != nil {
			return err
		}
		err = l.Try(ctx, func(ctx context.Context, _ bool) error { return work(ctx) })
		err = errors.Join(err, l.Close())
		if !errors.Is(err, kafka.ErrHeld) {
			return err
		}
		if time.Now().After(deadline) {
			return elsewhereError{key}
		}
		if err := pipelines.Sleep(ctx, time.Second/2); err != nil {
			return err
		}
	}
}

// closeLocks lets all locks go, at the same time: each asks a broker.
func (n *node) closeLocks() error {
	n.locks.mu.Lock()
	defer n.locks.mu.Unlock()
	var all errgroup.Group
	for _, l := range n.locks.of {
		all.Go(l.Close)
	}
	n.locks.of = nil
	return all.Wait()
}

// openHistory makes what keeps the history of runs, if it is not there yet.
func (n *node) openHistory() error {
	if n.history != nil {
		return nil
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	n.history = &runs.Recorder{ClickHouse: n.clickhouse, Log: n.log, Machine: machine}
	o := n.settings.OpenLineage
	if o.URL == "" {
		return nil
	}
	key, err := o.APIKey.Load(string(n.folder))
	if err != nil {
		return err
	}
	namespace := o.Namespace
	if namespace == "" {
		namespace = n.settings.Brand
	}
	n.history.Lineage, err = runs.NewLineage(runs.LineageConfig{URL: o.URL, Namespace: namespace, APIKey: key, Version: version(), Log: n.log})
	if err != nil {
		return hinted{err, "mend openlineage.url in " + settingsFile}
	}
	return nil
}

// recording keeps the history of what work does.
func (n *node) recording(ctx context.Context, work func(context.Context) error) error {
	if err := n.openHistory(); err != nil {
		return err
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSending()
	var group errgroup.Group
	group.Go(func() error { // what is left is sent and kept before it ends
		defer stopSending()
		return n.history.Run(keeping)
	})
	if n.history.Lineage != nil {
		group.Go(func() error { return n.history.Lineage.Run(sending) })
	}
	err := work(ctx)
	stop()
	return errors.Join(err, group.Wait())
}

// scheduling runs the pipelines at their times until ctx ends; it returns nil
// then. Of the tasks besides pull only those of wanted run, all for none.
func (n *node) scheduling(ctx context.Context, shops []shop, wanted []string) error {
	all, err := n.folder.loadPipelines(n.settings, shops)
	if err != nil {
		return err
	}
	return n.recording(ctx, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		var comparing []pipeline
		for _, p := range all {
			if p.Paused || len(wanted) > 0 && !slices.Contains(wanted, p.Task) || p.Task == taskReconcile && len(shops) == 0 {
				continue
			}
			if p.Task == taskReconcile {
				comparing = append(comparing, p)
			}
			for _, j := range jobsOf(p, all, shops) {
				group.Go(func() error { return n.runJob(ctx, j, shops, nil) })
			}
		}
		if len(comparing) > 0 {
			group.Go(func() error { n.tellingDifferences(ctx, comparing, shops); return nil })
		}
		err := group.Wait()
		return errors.Join(err, n.closeLocks())
	})
}

// runJob runs a job at its times until ctx ends. first, if set, is told the
// puller of a stream before it pulls.
func (n *node) runJob(ctx context.Context, j job, shops []shop, first func(*pull.Puller)) error {
	lock, err := n.lock(j.key)
	if err != nil {
		return err
	}
	if every := j.pipeline.schedule.Interval(); every > 0 && j.pipeline.Task == taskPull {
		p := n.puller(j.shop.connector, j.shop.platform, j.shop.name, j.stream)
		n.pulls.Of(j.shop.platform, j.shop.name, j.stream).Begun()
		if first != nil {
			first(p)
		}
		p.Lock = lock
		p.Round = func(ctx context.Context, once func(context.Context) (pull.Summary, error)) error {
			return n.recorded(ctx, j, schedule.Firing{Why: schedule.OnSchedule}, func(ctx context.Context, run *tables.Run) error {
				return n.pullInto(ctx, run, p, once)
			})
		}
		return p.Run(ctx, every)
	}
	s := schedule.Job{
		Key: j.pipeline.Name + "/" + j.key, Schedule: j.pipeline.schedule, CatchUp: j.pipeline.CatchUp,
		Store: done{n.cursors}, Lock: lock, Final: connectors.Stops, Log: n.log,
		Work: func(ctx context.Context, f schedule.Firing) error {
			return n.doJob(ctx, j, f, shops, newProgress(true))
		},
	}
	if j.pipeline.Task == taskSquash {
		s.Ready = n.resolver.Active // the one that is active does it
	}
	return s.Run(ctx)
}

// recorded keeps a run of a job in the history, and tells people when its
// state has changed.
func (n *node) recorded(ctx context.Context, j job, f schedule.Firing, work func(context.Context, *tables.Run) error) error {
	run := j.begun(f)
	defer n.marking(ctx, j.key)()
	n.history.Begin(run, j.often() && f.Why != schedule.ByHand)
	err := work(ctx, run)
	// By hand each run is worth a row.
	n.history.End(run, j.often() && f.Why != schedule.ByHand, ctx.Err() != nil, err)
	if n.finished != nil {
		n.finished(*run)
	}
	if ctx.Err() == nil && j.pipeline.Task != taskPull {
		n.alertPipeline(j.pipeline.Name, err)
	}
	return err
}

const (
	// beganPrefix begins the keys, among the cursors, of when a long run began: no
	// platform is called so.
	beganPrefix = "began/"
	// longRun is how long a run takes to be a long one.
	longRun = 30 * time.Second
)

// marking lets others see that a job runs, once that takes long, until ended.
// What a process that was killed has left stands until the next run.
func (n *node) marking(ctx context.Context, key string) (ended func()) {
	key = beganPrefix + key
	began := connectors.Cursor(time.Now().UTC().Format(time.RFC3339))
	waiting, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	marked := n.cursors.Get(key) != ""
	go func() {
		defer close(done)
		if pipelines.Sleep(waiting, longRun) == nil {
			marked = n.cursors.Put(waiting, key, began) == nil || marked
		}
	}()
	return func() {
		stop()
		<-done
		if marked {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := n.cursors.Put(ending, key, ""); err != nil {
				n.log.Debug("a run that has ended is still marked as running", "job", key, "error", err)
			}
		}
	}
}

// running is since when a job runs; zero if it does not, or not for long. A
// mark counts while somebody is there who could be at it.
func (n *node) running(ctx context.Context, key string) (time.Time, error) {
	text := n.cursors.Get(beganPrefix + key)
	since, err := time.Parse(time.RFC3339, string(text))
	if text == "" || err != nil {
		return time.Time{}, nil
	}
	members, err := n.kafka.Members(ctx, n.settings.Brand+".run."+key)
	if err != nil || members == 0 {
		return time.Time{}, err
	}
	return since, nil
}

// pullInto pulls a stream and counts what it did.
func (n *node) pullInto(ctx context.Context, run *tables.Run, p *pull.Puller, once func(context.Context) (pull.Summary, error)) error {
	sum, err := once(ctx)
	run.Pages, run.Records, run.Events, run.DeadLetters, run.Waited = sum.Pages, sum.Records, sum.Events, sum.DeadLetters, sum.Waited
	run.Lag = n.lag(p.Connector, p.Platform+"/"+p.Shop+"/"+p.Stream, time.Now())
	return err
}

// lag is how far behind the present a stream was read, by its cursor; negative
// if that cannot be said.
func (n *node) lag(c connectors.Connector, stream string, now time.Time) time.Duration {
	dated, ok := c.(connectors.Dated)
	if !ok {
		return -1
	}
	reached, ok := dated.Reached(n.cursors.Get(stream))
	if !ok {
		return -1
	}
	return max(now.Sub(reached), 0)
}

// alertPipeline notes how a run of a pipeline ended.
func (n *node) alertPipeline(name string, err error) {
	if n.alerts == nil {
		return
	}
	detail := ""
	if err != nil {
		detail = "the pipeline failed: " + err.Error()
	}
	n.alerts.Set(alert.Pipeline, name, detail)
}

// doJob does a job once and records it. The lock is held.
func (n *node) doJob(ctx context.Context, j job, f schedule.Firing, shops []shop, show *progress) error {
	return n.recorded(ctx, j, f, func(ctx context.Context, run *tables.Run) error {
		err := n.task(ctx, j, run, shops, show)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("a pipeline failed", "pipeline", j.pipeline.Name, "job", j.key, "error", err)
		}
		return err
	})
}

// task does what a job is about.
func (n *node) task(ctx context.Context, j job, run *tables.Run, shops []shop, show *progress) error {
	p := j.pipeline
	switch p.Task {
	case taskPull:
		if err := n.cursors.Refresh(ctx); err != nil { // another process may have read on
			return err
		}
		puller := n.puller(j.shop.connector, j.shop.platform, j.shop.name, j.stream)
		shown := show.begin(j.shop.platform+"/"+j.shop.name+" "+j.stream, 0)
		puller.Progress = func(sum pull.Summary) { shown.set(int64(sum.Records), int64(sum.Total)) }
		err := n.pullInto(ctx, run, puller, puller.Once)
		shown.end(err)
		return err
	case taskReconcile:
		return n.reconcileOnce(ctx, p, run, shops)
	case taskSquash:
		folding := squash.Squash{ClickHouse: n.clickhouse, Log: n.log}
		report, err := folding.Run(ctx, n.resolver.Done())
		run.Records = int(report.Accounts)
		if err == nil {
			n.log.Info("overrides are folded into the facts", "accounts", report.Accounts, "partitions", report.Partitions)
		}
		return err
	case taskBackup:
		report, err := backupCmd{To: n.folder.resolve(p.To), WithKeys: p.WithKeys, Keep: p.Keep}.backup(ctx, n, show)
		run.Records = report.Files
		return err
	case taskReplay:
		to := time.Now().UTC().Truncate(time.Second)
		c := replayCmd{From: to.Add(-time.Duration(p.Window)).Format(time.RFC3339), To: to.Format(time.RFC3339), Shop: p.Shops, Stream: p.Streams}
		report, err := c.replay(ctx, n, shops, show, func(ctx context.Context, work func(context.Context) error) error { return work(ctx) })
		run.Records, run.Events, run.DeadLetters = report.Rows, report.Events, report.Refused
		return err
	case taskImport:
		return n.importFolder(ctx, p, run)
	}
	return fmt.Errorf("there is no task %q", p.Task)
}

// reconciled are the shops, and the first and the last day, that a pipeline compares.
func (n *node) reconciled(p pipeline, shops []shop) (wanted []reconcile.Shop, from, today time.Time, err error) {
	if wanted, err = (reconcileCmd{Shop: p.Shops}).wanted(shops); err != nil {
		return nil, from, today, err
	}
	zone, err := time.LoadLocation(n.settings.Timezone)
	if err != nil {
		return nil, from, today, err
	}
	today = time.Now().In(zone)
	return wanted, today.AddDate(0, 0, 1-p.Days), today, nil
}

// tellEvery is how soon the metric of one process says what another has found.
const tellEvery = 5 * time.Minute

// tellingDifferences has the metric say what the last runs of pipelines have found,
// until ctx ends: of what another process or a person compared this one knows nothing else.
func (n *node) tellingDifferences(ctx context.Context, of []pipeline, shops []shop) {
	told := true
	for {
		err := n.tellDifferences(ctx, of, shops)
		if err != nil && told && ctx.Err() == nil {
			n.log.Warn("what differed at the last reconciliation is not known; it is looked for again", "error", err)
		}
		told = err == nil
		if pipelines.Sleep(ctx, tellEvery) != nil {
			return
		}
	}
}

// tellDifferences tells once, unless this process compares just now: that tells newer things.
func (n *node) tellDifferences(ctx context.Context, of []pipeline, shops []shop) error {
	if !n.comparing.TryLock() {
		return nil
	}
	defer n.comparing.Unlock()
	r := n.reconciler()
	r.Note = n.differ
	for _, p := range of {
		wanted, from, today, err := n.reconciled(p, shops)
		if err == nil {
			err = r.Standing(ctx, wanted, from, today)
		}
		if err != nil {
			return fmt.Errorf("pipeline %s: %w", p.Name, err)
		}
	}
	return nil
}

// reconcileOnce compares the days of a pipeline.
func (n *node) reconcileOnce(ctx context.Context, p pipeline, run *tables.Run, shops []shop) error {
	n.comparing.RLock()
	defer n.comparing.RUnlock()
	wanted, from, today, err := n.reconciled(p, shops)
	if err != nil {
		return err
	}
	r := n.reconciler()
	r.Note = func(platform, shop, stream string, entities uint64) {
		n.differ(platform, shop, stream, entities)
		n.alertDifference(platform, shop, stream, entities)
	}
	var report reconcile.Report
	if p.Repair {
		report, err = r.Repair(ctx, wanted, from, today)
	} else {
		report, err = r.Run(ctx, wanted, from, today)
	}
	for _, day := range report.Days {
		run.Records += int(day.Source.Count)
	}
	run.Events = report.Repaired
	return err
}
