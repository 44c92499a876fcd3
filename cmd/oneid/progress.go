package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// progress shows long work: bars on a terminal, plain lines now and then
// otherwise, nothing when quiet. One piece of work after the other is shown by
// start, set and finish; several at once by begin.
type progress struct {
	out   io.Writer
	quiet bool

	mu sync.Mutex // guards all below
	// bars draws the tasks that run; nil where there is no terminal, or no
	// task.
	bars    *mpb.Progress
	running int
	current *task
}

// task is one piece of work that is shown. It may be used concurrently.
type task struct {
	p     *progress
	title string

	// Guarded by p.mu.
	bar         *mpb.Bar
	done, total int64
	said        time.Time
	ended       bool
}

// isTerminal says whether a person looks at the file.
func isTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

func newProgress(quiet bool) *progress { return &progress{out: os.Stderr, quiet: quiet} }

// begin shows one more piece of work, of total steps; 0 means that nobody
// knows.
func (p *progress) begin(title string, total int64) *task {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &task{p: p, title: title, total: total, said: time.Now()}
	p.running++
	switch {
	case p.quiet:
	case isTerminal(os.Stderr):
		if p.bars == nil {
			p.bars = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(40))
		}
		t.bar = p.bars.AddBar(0,
			mpb.PrependDecorators(decor.Name(title, decor.WCSyncSpaceR), decor.CountersNoUnit("%d of %d", decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.NewPercentage("%d", decor.WCSyncSpace)))
		t.draw()
	default:
		fmt.Fprintf(p.out, "%s …\n", title)
	}
	return t
}

// draw shows how far the task is on its bar, which takes a total of 0 for
// "done": one that nobody knows is always a step ahead.
func (t *task) draw() {
	t.bar.SetTotal(max(t.total, t.done+1), false)
	t.bar.SetCurrent(t.done)
}

// set says how far the work is; total may have become known, or grown.
func (t *task) set(done, total int64) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	t.done, t.total = done, total
	switch {
	case t.ended:
	case t.bar != nil:
		t.draw()
	case !p.quiet && time.Since(t.said) > 5*time.Second:
		t.said = time.Now()
		fmt.Fprintf(p.out, "%s: %s\n", t.title, t.count())
	}
}

func (t *task) count() string {
	if t.total > 0 {
		return fmt.Sprintf("%d of %d", t.done, t.total)
	}
	return fmt.Sprint(t.done)
}

// end says that the work is done, or, with an error, that it is not.
func (t *task) end(err error) {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	outcome := "done"
	if err != nil {
		outcome = "not done"
	}
	if t.done > 0 || t.total > 0 {
		outcome = t.count() + ", " + outcome
	}
	line := t.title + ": " + outcome + "\n"
	if t.bar != nil {
		t.bar.Abort(true)
		t.bar.Wait()
		_, _ = p.bars.Write([]byte(line)) // above the bars that are left
	} else if !p.quiet {
		_, _ = io.WriteString(p.out, line)
	}
	if p.running--; p.running == 0 && p.bars != nil {
		p.bars.Wait()
		p.bars = nil
	}
}

// start begins a new piece of work in place of the one before.
func (p *progress) start(title string, total int64) {
	p.finish()
	p.current = p.begin(title, total)
}

// set says how far the work that was started is.
func (p *progress) set(done, total int64) { p.current.set(done, total) }

// finish ends the piece of work that was started, if there is one.
func (p *progress) finish() { p.fail(nil) }

// fail ends it for an error, or as finish does for none.
func (p *progress) fail(err error) {
	if p.current != nil {
		p.current.end(err)
		p.current = nil
	}
}
