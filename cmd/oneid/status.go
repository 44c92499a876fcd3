package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/pipelines"
	"oneid/pipelines/alert"
	"oneid/pipelines/pull"
	"oneid/schemas/tables"
)

// statusCmd shows how all streams and pipelines are.
type statusCmd struct {
	JSON bool `help:"Print one JSON object."`
}

// Help shows below the usage.
func (statusCmd) Help() string {
	return "Shows each stream and pipeline: how far behind the platform it is, its last run and the next, how many dead letters are open, what was used of the platforms' quotas today, how large they are and until when calls wait for them, how many events wait to be resolved, and which alerts stand. It works beside the owner of the folder, reads from Kafka and ClickHouse and asks no platform.\n\nRed is what needs a person: a standing alert, a job whose last run failed, one that did not run at its time. Open dead letters are shown and are not red, nor is what waits for a quota or the end of a ban: it goes on by itself.\n\nExit code: 0 all is green, 3 something is red, 1 it could not be found out.\n\nTry: oneid status --json | jq '.jobs[] | select(.state == \"red\")'"
}

// statusReport is what --json prints.
type statusReport struct {
	State   string        `json:"state"` // green or red
	At      time.Time     `json:"at"`
	Jobs    []jobStatus   `json:"jobs"`
	Quotas  []quotaStatus `json:"quotas"`
	Alerts  []alertStatus `json:"alerts"`
	Waiting int64         `json:"events_to_resolve"`
	Letters uint64        `json:"dead_letters"` // open ones of all streams
}

type jobStatus struct {
	Pipeline string `json:"pipeline"`
	Job      string `json:"job"`
	// State is green, red, running (for a while already), or new: it never ran.
	State string `json:"state"`
	// Why it is red.
	Why string `json:"why,omitempty"`
	// LagSeconds is how far behind the present the stream was read.
	LagSeconds *float64   `json:"lag_seconds,omitempty"`
	LastRun    *lastRun   `json:"last_run,omitempty"`
	NextRun    *time.Time `json:"next_run,omitempty"`
	Letters    uint64     `json:"dead_letters"`
	// Running is since when it runs, where that takes long.
	Running *time.Time `json:"running_since,omitempty"`
}

type lastRun struct {
	State   string    `json:"state"`
	Reason  string    `json:"reason"`
	Started time.Time `json:"started_at"`
	Ended   time.Time `json:"ended_at"`
	Records uint64    `json:"records"`
	Events  uint64    `json:"events"`
	Letters uint64    `json:"dead_letters"`
	Error   string    `json:"error,omitempty"`
}

// quotaStatus is what was used under the name of a limit.
type quotaStatus struct {
	Name  string `json:"name"`
	Used  int    `json:"used_today"`
	Quota int    `json:"quota,omitempty"` // calls that there may be today; absent where there is only a rate
	// State is free, used_up (the day's quota, until the platform's midnight) or
	// banned (the platform allows no calls). None of them is red: what waits goes
	// on by itself.
	State string     `json:"state"`
	Until *time.Time `json:"waits_until,omitempty"`
}

// The states of a limit.
const (
	free   = "free"
	usedUp = "used_up"
	banned = "banned"
)

type alertStatus struct {
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail"`
	Since   time.Time `json:"since"`
}

const (
	green = "green"
	red   = "red"
	fresh = "new"
	busy  = "running"
)

// Run shows the status.
func (c statusCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
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
	s, err := n.status(ctx, shops, time.Now())
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(s)
	} else {
		err = s.print()
	}
	if err == nil && s.State == red {
		return &redError{}
	}
	return err
}

// redError says that something needs a person; exit code 3.
type redError struct{}

func (*redError) Error() string { return "something is red, as listed above" }

// ExitCode says that the command did its work, and found something.
func (*redError) ExitCode() int { return 3 }

// status gathers how all is.
func (n *node) status(ctx context.Context, shops []shop, now time.Time) (statusReport, error) {
	s := statusReport{State: green, At: now.UTC().Truncate(time.Second), Jobs: []jobStatus{}, Quotas: []quotaStatus{}, Alerts: []alertStatus{}}
	all, err := n.folder.loadPipelines(n.settings, shops)
	if err != nil {
		return s, err
	}
	last, err := n.lastRuns(ctx)
	if err != nil {
		return s, err
	}
	letters, err := n.openLetters(ctx)
	if err != nil {
		return s, err
	}
	standing, err := alert.Standing(ctx, n.kafka, n.topics.Alerts)
	if err != nil {
		return s, err
	}
	raised := make(map[string]string)
	for _, a := range standing {
		s.Alerts = append(s.Alerts, alertStatus{a.GetKind(), a.GetSubject(), a.GetDetail(), time.UnixMilli(a.GetChangedMs()).UTC()})
		raised[a.GetKind()+" "+a.GetSubject()] = a.GetDetail()
		s.State = red
	}
	for _, p := range all {
		for _, j := range jobsOf(p, all, shops) {
			since, err := n.running(ctx, j.key)
			if err != nil {
				return s, err
			}
			ran := last[p.Name+"/"+j.key]
			if p.Task == taskPull {
				ran = last[j.key] // a stream is as far as any pipeline has read it
			}
			one := n.jobStatus(j, ran, since, now)
			of := alert.Pipeline + " " + p.Name
			if p.Task == taskPull {
				stream := strings.TrimPrefix(j.key, taskPull+"/")
				of = alert.Connector + " " + stream
				one.Letters = letters[stream]
			}
			if why, ok := raised[of]; ok {
				one.State, one.Why = red, why
			}
			if one.State == red {
				s.State = red
			}
			s.Jobs = append(s.Jobs, one)
		}
	}
	for _, open := range letters {
		s.Letters += open
	}
	if s.Quotas, err = n.quotas(ctx, now); err != nil {
		return s, err
	}
	s.Waiting, err = n.toResolve(ctx)
	return s, err
}

// jobStatus is how one job is, by its last run and its schedule.
func (n *node) jobStatus(j job, last *lastRun, running, now time.Time) jobStatus {
	p := j.pipeline
	one := jobStatus{Pipeline: p.Name, Job: j.key, State: fresh, LastRun: last}
	if p.Task == taskPull {
		if lag := n.lag(j.shop.connector, j.shop.platform+"/"+j.shop.name+"/"+j.stream, now); lag >= 0 {
			seconds := lag.Seconds()
			one.LagSeconds = &seconds
		}
	}
	if last != nil {
		one.State = green
		if last.State == tables.RunFailed {
			one.State, one.Why = red, last.Error
		}
	}
	if !running.IsZero() {
		one.Running = &running
		if one.State != red {
			one.State = busy
		}
		return one
	}
	if p.Paused {
		return one
	}
	at := n.nextRun(j, last, now)
	if at.IsZero() {
		return one
	}
	if overdue := now.Sub(at); overdue > overdueAfter && (last == nil || last.State != tables.RunFailed) && (last != nil || p.schedule.Interval() == 0) {
		one.State, one.Why = red, fmt.Sprintf("it should have run at %s: does `oneid up` or `oneid sync` run?", at.UTC().Format(time.RFC3339))
	}
	at = at.UTC().Truncate(time.Second)
	one.NextRun = &at
	return one
}

// overdueAfter is how long after its time a job that did not run is red: twice
// what runs that find nothing stay without a row.
const overdueAfter = 2 * time.Minute

// nextRun is when the job is to run next, as far as its last run and what was
// kept of its schedule say; in the past for one that is overdue.
func (n *node) nextRun(j job, last *lastRun, now time.Time) time.Time {
	p := j.pipeline
	if p.Task == taskPull && p.schedule.Interval() > 0 {
		if last == nil {
			return now
		}
		return last.Started.Add(p.schedule.Interval())
	}
	at, err := done{n.cursors}.known(p.Name + "/" + j.key)
	if err != nil || at.IsZero() {
		return p.schedule.After(now)
	}
	return p.schedule.Due(at, now, p.CatchUp).At
}

// lastRuns are the last runs of all jobs, of each whichever pipeline did it by JOB and of
// each pipeline by PIPELINE/JOB.
func (n *node) lastRuns(ctx context.Context) (map[string]*lastRun, error) {
	last := make(map[string]*lastRun)
	query := "SELECT toString(pipeline), toString(job), toString(state), toString(reason), started_at, ended_at, records, events, dead_letters, error FROM " + n.clickhouse.Database() + ".runs FINAL WHERE state != 'stopped' ORDER BY started_at DESC LIMIT 1 BY pipeline, job"
	err := n.clickhouse.Rows(ctx, "read the last runs", query, func(scan func(...any) error) error {
		var pipeline, job string
		r := new(lastRun)
		if err := scan(&pipeline, &job, &r.State, &r.Reason, &r.Started, &r.Ended, &r.Records, &r.Events, &r.Letters, &r.Error); err != nil {
			return err
		}
		r.Started, r.Ended = r.Started.UTC(), r.Ended.UTC()
		last[pipeline+"/"+job] = r
		if last[job] == nil {
			last[job] = r
		}
		return nil
	})
	return last, err
}

// openLetters counts the open dead letters of each stream.
func (n *node) openLetters(ctx context.Context) (map[string]uint64, error) {
	letters := make(map[string]uint64)
	query := "SELECT concat(platform, '/', shop, '/', stream) AS of, count() FROM " + n.clickhouse.Database() + ".dead_letter_states FINAL WHERE state = 'open' GROUP BY of"
	err := n.clickhouse.Rows(ctx, "count the dead letters", query, func(scan func(...any) error) error {
		var of string
		var open uint64
		if err := scan(&of, &open); err != nil {
			return err
		}
		letters[of] = open
		return nil
	})
	return letters, err
}

// quotas are what was used under each name today, by all processes.
func (n *node) quotas(ctx context.Context, now time.Time) ([]quotaStatus, error) {
	quotas, err := pull.OpenQuotas(ctx, n.kafka, n.publisher, n.topics.Cursors)
	if err != nil {
		return nil, err
	}
	list := []quotaStatus{}
	for _, u := range quotas.Usage(now) {
		list = append(list, limitStatus(u, now))
	}
	return list, nil
}

// limitStatus is how a limit is; of what holds its calls, what holds them longer.
func limitStatus(u pull.Usage, now time.Time) quotaStatus {
	q := quotaStatus{Name: u.Name, Used: u.Used, Quota: u.Quota, State: free}
	until := now
	if u.UsedUp.After(until) {
		q.State, until = usedUp, u.UsedUp
	}
	if u.Until.After(until) {
		q.State, until = banned, u.Until
	}
	if q.State != free {
		until = until.UTC()
		q.Until = &until
	}
	return q
}

// toResolve is how many events lie in Kafka that the resolver has not taken.
func (n *node) toResolve(ctx context.Context) (int64, error) {
	topics := n.topics.Resolved()
	have, err := n.kafka.Committed(ctx, pipelines.ResolverGroup(n.settings.Brand), topics)
	if err != nil {
		return 0, err
	}
	var waiting int64
	for _, topic := range topics {
		first, next, err := n.kafka.Ends(ctx, topic)
		if err != nil {
			return 0, err
		}
		for partition := range next {
			waiting += max(next[partition]-max(have[topic][partition], first[partition]), 0)
		}
	}
	return waiting, nil
}

// print shows the status as tables.
func (s statusReport) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PIPELINE\tJOB\tSTATE\tLAG\tLAST RUN\tNEXT RUN\tDEAD LETTERS")
	for _, j := range s.Jobs {
		lag, last, next := "-", "never", "-"
		if j.LagSeconds != nil {
			lag = (time.Duration(*j.LagSeconds * float64(time.Second))).Round(time.Second).String()
		}
		if j.LastRun != nil {
			last = fmt.Sprintf("%s ago, %s", s.At.Sub(j.LastRun.Ended).Round(time.Second), j.LastRun.State)
		}
		if j.Running != nil {
			next = "runs for " + s.At.Sub(*j.Running).Round(time.Second).String()
		}
		if j.NextRun != nil {
			switch left := j.NextRun.Sub(s.At).Round(time.Second); {
			case left > 0:
				next = "in " + left.String()
			default:
				next = "now"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\n", j.Pipeline, j.Job, j.State, lag, last, next, j.Letters)
	}
	if len(s.Quotas) > 0 {
		fmt.Fprintln(w, "\nLIMIT\tCALLS TODAY\tSTATE\tWAITS UNTIL")
		for _, q := range s.Quotas {
			until := "-"
			if q.Until != nil {
				until = q.Until.Format(time.RFC3339)
			}
			calls := "no quota"
			if q.Quota > 0 {
				calls = fmt.Sprintf("%d of %d", q.Used, q.Quota)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", q.Name, calls, strings.ReplaceAll(q.State, "_", " "), until)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("\n%s: %d events wait to be resolved, %d dead letters are open, %d alerts stand\n", s.State, s.Waiting, s.Letters, len(s.Alerts))
	for _, j := range s.Jobs {
		if j.State == red {
			fmt.Printf("%s: %s\n", j.Job, j.Why)
		}
	}
	for _, a := range s.Alerts {
		fmt.Printf("alert since %s: %s %s: %s\n", a.Since.Format(time.RFC3339), a.Kind, a.Subject, a.Detail)
	}
	return nil
}
