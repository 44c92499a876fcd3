package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows long work: a bar on a terminal, a plain line now and then
// otherwise, nothing when quiet.
type progress struct {
	out   io.Writer
	quiet bool

	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	title string
	done  int64
	total int64
	said  time.Time
}

// isTerminal says whether a person looks at the file.
func isTerminal(file *os.File) bool {
	stat, err := file.Stat()
	return err == nil && stat.Mode()&os.ModeCharDevice != 0
}

func newProgress(quiet bool) *progress { return &progress{out: os.Stderr, quiet: quiet} }

// start begins a new piece of work of total steps; 0 means that nobody knows.
func (p *progress) start(title string, total int64) {
	p.finish()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.title, p.done, p.total, p.said = title, 0, total, time.Now()
	switch {
	case p.quiet:
	case isTerminal(os.Stderr):
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetDescription(title),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish())
	default:
		fmt.Fprintf(p.out, "%s …\n", title)
	}
}

// set says how far the work is; total may have become known, or grown.
func (p *progress) set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total = done, total
	if p.bar != nil {
		if total > 0 && total != p.bar.GetMax64() {
			p.bar.ChangeMax64(total)
		}
		_ = p.bar.Set64(done)
		return
	}
	if !p.quiet && time.Since(p.said) > 5*time.Second {
		p.said = time.Now()
		fmt.Fprintf(p.out, "%s: %s\n", p.title, p.count())
	}
}

func (p *progress) count() string {
	if p.total > 0 {
		return fmt.Sprintf("%d of %d", p.done, p.total)
	}
	return fmt.Sprint(p.done)
}

// finish ends the piece of work.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.title == "" {
		return
	}
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
	if !p.quiet {
		fmt.Fprintf(p.out, "%s: %s, done\n", p.title, p.count())
	}
	p.title = ""
}
