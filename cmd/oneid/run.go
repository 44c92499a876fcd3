package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/pipelines/schedule"
	"oneid/schemas/config"
	"oneid/schemas/tables"
)

// runCmd runs one pipeline now.
type runCmd struct {
	Name   string        `arg:"" optional:"" help:"Name of the pipeline; none lists them."`
	Wait   time.Duration `help:"How long to wait while it runs in another process." default:"5s" placeholder:"TIME"`
	Sample bool          `help:"Print a commented file of a pipeline, and end."`
	JSON   bool          `help:"Print one JSON object."`
}

// Help shows below the usage.
func (runCmd) Help() string {
	return "Runs a pipeline of the folder pipelines/ once, now, whatever its schedule, and shows how far it is; also pull, reconcile and squash, which run with no file. Beside `oneid up` it takes its turn: what runs just now in another process is refused, and what rests there waits for this run. It changes nothing about the next time of the schedule. Each run stands in the view pipeline_runs.\n\nA file of pipelines/ says what (pull, reconcile, squash, backup, replay, import) and when (cron in the brand's zone, or every); --sample prints one with every key.\n\nExit code: 0 it succeeded, 1 it failed or runs elsewhere, 3 some records became dead letters, 130 stopped by Ctrl-C: the next run goes on from there.\n\nTry: oneid run --sample > oneid-data/pipelines/nightly-reconcile.yaml"
}

// Run runs the pipeline.
func (c runCmd) Run(ctx context.Context, f folder) (err error) {
	if c.Sample {
		_, err := os.Stdout.Write(config.PipelineSample)
		return err
	}
	if err := f.mustExist(); err != nil {
		return err
	}
	if c.Name == "" {
		return c.list(f)
	}
	show := newProgress(c.JSON)
	n, err := openNode(ctx, f, need{quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	n.leaveResolving()
	var ran []tables.Run
	err = n.resolving(ctx, func(ctx context.Context) error {
		return n.withShops(ctx, func(ctx context.Context, shops []shop) error {
			all, err := f.loadPipelines(n.settings, shops)
			if err != nil {
				return err
			}
			p, err := pipelineOf(all, c.Name)
			if err != nil {
				return err
			}
			if p.Task == taskSquash && n.resolver == nil {
				return hinted{errors.New("squash runs where the resolver is: in the process that owns this folder"), "it runs there by itself (resolve.squash_every, or a file of pipelines/); stop that process to run it here"}
			}
			return n.recording(ctx, func(ctx context.Context) error {
				n.startAlerts()
				err := n.telling(ctx, func(ctx context.Context) (err error) {
					ran, err = c.run(ctx, n, jobsOf(p, all, shops), shops, show)
					return err
				})
				return err
			})
		})
	})
	if len(ran) > 0 {
		err = errors.Join(err, c.print(ran))
	}
	return err
}

// run does the jobs, streams at the same time, and gives how they ended.
func (c runCmd) run(ctx context.Context, n *node, jobs []job, shops []shop, show *progress) ([]tables.Run, error) {
	if len(jobs) == 0 {
		return nil, hinted{errors.New("the pipeline has nothing to do: no shop or stream is left for it"), "name shops in oneid.yaml, or mend shops and streams of the pipeline"}
	}
	var mu sync.Mutex
	var ran []tables.Run
	n.finished = func(run tables.Run) {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, run)
	}
	var group errgroup.Group // one that fails does not end the others
	faults := make([]error, len(jobs))
	for i, j := range jobs {
		group.Go(func() error {
			faults[i] = n.byHand(ctx, j.key, c.Wait, func(ctx context.Context) error {
				if j.pipeline.Task == taskSquash && n.resolver != nil {
					if err := n.resolver.CaughtUp(ctx); err != nil {
						return err
					}
				}
				return n.doJob(ctx, j, schedule.Firing{Why: schedule.ByHand}, shops, show)
			})
			if elsewhere := (elsewhereError{}); errors.As(faults[i], &elsewhere) {
				faults[i] = hinted{faults[i], "wait until it has ended (`oneid status` says so), or give --wait 10m; what runs again and again needs no help"}
			}
			return nil
		})
	}
	_ = group.Wait() // the faults stand in their list
	slices.SortFunc(ran, func(a, b tables.Run) int { return strings.Compare(a.Job, b.Job) })
	if n.resolver != nil && ctx.Err() == nil && errors.Join(faults...) == nil {
		faults = append(faults, n.settle(ctx))
	}
	return ran, errors.Join(faults...)
}

func pipelineOf(all []pipeline, name string) (pipeline, error) {
	names := make([]string, len(all))
	for i, p := range all {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return pipeline{}, hinted{fmt.Errorf("there is no pipeline %s", name), "there are " + strings.Join(names, ", ") + "; a file NAME.yaml in the folder pipelines/ makes one"}
}

// print says how the runs ended.
func (c runCmd) print(ran []tables.Run) error {
	letters := 0
	for _, run := range ran {
		letters += run.DeadLetters
	}
	if c.JSON {
		list := make([]runReport, len(ran))
		for i, run := range ran {
			list[i] = reportOf(run)
		}
		if err := printJSON(map[string]any{"pipeline": c.Name, "runs": list}); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "JOB\tSTATE\tRECORDS\tEVENTS\tDEAD LETTERS\tTOOK")
		for _, run := range ran {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", run.Job, run.State, run.Records, run.Events, run.DeadLetters, run.Ended.Sub(run.Started).Round(time.Millisecond))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	if letters > 0 {
		return &someLettersError{letters}
	}
	return nil
}

// someLettersError says that a run did its work, but some records became dead
// letters; exit code 3.
type someLettersError struct{ letters int }

func (e *someLettersError) Error() string {
	return fmt.Sprintf("%d records became dead letters; `oneid deadletter list` shows why", e.letters)
}

// ExitCode says that the command did its work in part.
func (*someLettersError) ExitCode() int { return 3 }

// runReport is a run as JSON.
type runReport struct {
	ID          string    `json:"run_id"`
	Job         string    `json:"job"`
	State       string    `json:"state"`
	Reason      string    `json:"reason"`
	Started     time.Time `json:"started_at"`
	Ended       time.Time `json:"ended_at"`
	Records     int       `json:"records"`
	Events      int       `json:"events"`
	DeadLetters int       `json:"dead_letters"`
	Error       string    `json:"error,omitempty"`
}

func reportOf(run tables.Run) runReport {
	return runReport{run.ID, run.Job, run.State, run.Reason, run.Started.UTC(), run.Ended.UTC(), run.Records, run.Events, run.DeadLetters, run.Error}
}

// list prints the pipelines and when they run.
func (c runCmd) list(f folder) error {
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	shops, err := f.shopsBeside(settings)
	if err != nil {
		return err
	}
	all, err := f.loadPipelines(settings, shops)
	if err != nil {
		return err
	}
	type listed struct {
		Name     string `json:"name"`
		Task     string `json:"task"`
		Schedule string `json:"schedule"`
		Paused   bool   `json:"paused"`
		File     string `json:"file,omitempty"`
	}
	list := make([]listed, len(all))
	for i, p := range all {
		list[i] = listed{p.Name, p.Task, p.when(), p.Paused, f.relative(p.File)}
		if p.File == "" {
			list[i].File = ""
		}
	}
	if c.JSON {
		return printJSON(list)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PIPELINE\tTASK\tWHEN\tFILE")
	for _, p := range list {
		file := p.File
		if file == "" {
			file = "(runs with no file)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, p.Task, p.Schedule, file)
	}
	return w.Flush()
}

// when says when a pipeline runs.
func (p pipeline) when() string {
	if text := p.schedule.String(); text != "" && !p.Paused {
		return text
	}
	return "by hand"
}
