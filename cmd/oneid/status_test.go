package main

import (
	"testing"
	"time"

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
