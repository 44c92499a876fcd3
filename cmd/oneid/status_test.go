package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/pipelines/pull"
	"oneid/pipelines/schedule"
	"oneid/schemas/tables"
)

// What is red: a failure, a run that did not come; not what runs, what waits
// for a person, or what is new.
func TestJobStatus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration, state string) *lastRun {
		return &lastRun{State: state, Started: now.Add(-d - time.Second), Ended: now.Add(-d), Error: "the platform is away"}
	}
	pull := job{pipeline: pipeline{Name: taskPull, PipelineSettings: PipelineSettings{Task: taskPull}, schedule: schedule.Every(2 * time.Second)}}
	asleep := pull
	asleep.pipeline.Paused = true
	for name, c := range map[string]struct {
		job     job
		last    *lastRun
		running time.Duration
		want    string
	}{
		"never ran":                     {pull, nil, 0, fresh},
		"ran a minute ago":              {pull, ago(time.Minute, tables.RunSucceeded), 0, green},
		"failed":                        {pull, ago(time.Minute, tables.RunFailed), 0, red},
		"nobody pulls any more":         {pull, ago(time.Hour, tables.RunSucceeded), 0, red},
		"waits for a quota until night": {pull, ago(time.Hour, tables.RunSucceeded), time.Hour, busy},
		"failed, and runs again":        {pull, ago(time.Hour, tables.RunFailed), time.Hour, red},
		"by hand alone":                 {asleep, ago(time.Hour, tables.RunSucceeded), 0, green},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var since time.Time
			if c.running > 0 {
				since = now.Add(-c.running)
			}
			c.job.shop.connector = nil // it can say nothing of its lag
			if got := new(node).jobStatus(c.job, c.last, since, now); got.State != c.want || (got.State == red) != (got.Why != "") {
				t.Errorf("it is %s (%s), want %s", got.State, got.Why, c.want)
			}
		})
	}
}

// What holds the calls of a limit, and until when: the platform's midnight for a
// quota that is used up.
func TestLimitStatus(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC)
	midnight := time.Date(2026, 11, 12, 0, 0, 0, 0, time.FixedZone("GMT+8", 8*60*60))
	for name, c := range map[string]struct {
		usage pull.Usage
		state string
		until time.Time // zero: none
	}{
		"some calls are left":        {pull.Usage{Used: 1, Quota: 2}, free, time.Time{}},
		"used up":                    {pull.Usage{Used: 2, Quota: 2, UsedUp: midnight}, usedUp, midnight},
		"banned":                     {pull.Usage{Until: now.Add(time.Minute)}, banned, now.Add(time.Minute)},
		"a ban that is over":         {pull.Usage{Until: now.Add(-time.Minute)}, free, time.Time{}},
		"used up, banned for less":   {pull.Usage{UsedUp: midnight, Until: now.Add(time.Minute)}, usedUp, midnight},
		"used up, banned for longer": {pull.Usage{UsedUp: midnight, Until: midnight.Add(time.Hour)}, banned, midnight.Add(time.Hour)},
	} {
		got := limitStatus(c.usage, now)
		if got.State != c.state || (got.Until == nil) != c.until.IsZero() || got.Until != nil && !got.Until.Equal(c.until) {
			t.Errorf("%s: %s until %v, want %s until %v", name, got.State, got.Until, c.state, c.until)
		}
	}
}

// Of two pipelines that reconcile each shows its own last run; of two that pull one
// stream, that of either.
func TestStatusOfPipelinesOfOneTask(t *testing.T) {
	t.Parallel()
	f, shops := folder(begunFolder(t)), someShops(t)
	if err := os.MkdirAll(f.path(pipelinesFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nightly": "task: reconcile\nschedule: 40 3 * * *\n", "weekly": "task: reconcile\nschedule: 40 4 * * 0\n", "yearly": "task: reconcile\nschedule: 40 5 1 1 *\n",
		"hourly": "task: pull\nschedule: 7 * * * *\nshops: [tmall/s]\nstreams: [users]\n", "daily": "task: pull\nschedule: 7 2 * * *\nshops: [tmall/s]\nstreams: [users]\n",
	} {
		writeText(t, f.path(pipelinesFolder, name+".yaml"), text)
	}
	n, err := openMover(t.Context(), f, need{quiet: true}, newProgress(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	all, err := f.loadPipelines(n.settings, shops)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, fails error) error {
		for _, p := range all {
			if p.Name != name {
				continue
			}
			return n.recording(t.Context(), func(ctx context.Context) error {
				err := n.recorded(ctx, jobsOf(p, all, shops)[0], schedule.Firing{Why: schedule.ByHand}, func(context.Context, *tables.Run) error { return fails })
				if errors.Is(err, fails) {
					return nil
				}
				return err
			})
		}
		return errors.New("there is no pipeline " + name)
	}
	broken := errors.New("the platform is away")
	for _, ran := range []struct {
		name  string
		fails error
	}{{"nightly", nil}, {"hourly", broken}, {"weekly", broken}} {
		if err := run(ran.name, ran.fails); err != nil {
			t.Fatal(err)
		}
	}
	s, err := n.status(t.Context(), shops, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, j := range s.Jobs {
		if j.Job == taskReconcile || strings.HasSuffix(j.Job, "/tmall/s/users") {
			got[j.Pipeline] = j.State
			if j.LastRun != nil {
				got[j.Pipeline] += ", " + j.LastRun.State + " " + j.LastRun.Error
			}
		}
	}
	want := map[string]string{
		"nightly": "green, succeeded ", "weekly": "red, failed the platform is away", "yearly": "new",
		"hourly": "red, failed the platform is away", "daily": "red, failed the platform is away",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
