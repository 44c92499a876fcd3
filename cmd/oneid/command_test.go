package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oneid/internal/crashtest"
)

// asCommand in the environment makes the test binary be `oneid`: the tests
// start real processes with it. Those start it as their engine, with an empty
// environment: that child is known by its arguments.
const asCommand = "ONEID_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	crashtest.Main(roles)
	if os.Getenv(asCommand) != "" || slices.Equal(os.Args[1:], []string{"engine", "serve"}) {
		os.Exit(run(os.Args[1:]))
	}
	code := m.Run()
	for _, s := range []*sharedFolder{&shown, &begun} {
		if s.dir != "" {
			_ = os.RemoveAll(s.dir) // what stays lies in the system's temporary folder
		}
	}
	os.Exit(code)
}

// answer is what a command that has ended left behind.
type answer struct {
	code           int
	stdout, stderr string
}

// process is a running oneid.
type process struct {
	cmd            *exec.Cmd
	args           []string
	stdout, stderr *buffer
	ended          chan struct{} // closed once it has ended
}

// buffer is what a process has written so far.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// environment is the test's own without any setting of OneID but where the
// engine is kept, and with more.
func environment(more ...string) []string {
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "ONEID_") || strings.HasPrefix(pair, "ONEID_ENGINE_CACHE=") {
			env = append(env, pair)
		}
	}
	return append(append(env, asCommand+"=1"), more...)
}

// startWith starts oneid with an input and further environment. What still
// runs at the end of the test is killed.
func startWith(t *testing.T, input string, env []string, args ...string) *process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{args: args, stdout: new(buffer), stderr: new(buffer), ended: make(chan struct{})}
	p.cmd = exec.Command(program, args...) // this very program
	p.cmd.Env, p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = environment(env...), strings.NewReader(input), p.stdout, p.stderr
	// A child that outlives its parent must not keep Wait from returning.
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	return startWith(t, "", nil, args...)
}

// patience is how many times as long as it should take something may take
// before a test holds it to hang.
const patience = 5

// wait waits until the process has ended.
func (p *process) wait(t *testing.T) answer {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience * time.Minute):
		t.Fatalf("oneid %s does not end:\n%s%s", strings.Join(p.args, " "), p.stdout, p.stderr)
	}
	return answer{p.cmd.ProcessState.ExitCode(), p.stdout.String(), p.stderr.String()}
}

// signal sends a signal and waits until the process has ended.
func (p *process) signal(t *testing.T, signal os.Signal) answer {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return p.wait(t)
}

func oneid(t *testing.T, args ...string) answer {
	t.Helper()
	return start(t, args...).wait(t)
}

// must runs oneid and fails unless it exits with 0.
func must(t *testing.T, args ...string) answer {
	t.Helper()
	a := oneid(t, args...)
	if a.code != 0 {
		t.Fatalf("oneid %s exits with %d:\n%s%s", strings.Join(args, " "), a.code, a.stdout, a.stderr)
	}
	return a
}

// wantRefused fails unless the answer has the exit code and names all texts
// on standard error.
func wantRefused(t *testing.T, a answer, code int, texts ...string) {
	t.Helper()
	if a.code != code {
		t.Errorf("exit code %d, want %d:\n%s%s", a.code, code, a.stdout, a.stderr)
	}
	for _, text := range texts {
		if !strings.Contains(a.stderr, text) {
			t.Errorf("standard error does not say %q:\n%s", text, a.stderr)
		}
	}
	if strings.Contains(a.stderr, "panic") || strings.Contains(a.stderr, "goroutine ") {
		t.Errorf("it panicked:\n%s", a.stderr)
	}
}

// eventually asks until ask says yes, or fails with what it said last.
//
// It fails after patience times as long as it should take: a bound for what
// hangs, and no promise, on a machine that others use.
func eventually(t *testing.T, within time.Duration, what string, ask func() (bool, string)) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		ok, said := ask()
		if ok {
			return time.Since(began)
		}
		if time.Since(began) > patience*within {
			t.Fatalf("%s: not within %s: %s", what, patience*within, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// rows asks a query and gives the answer's fields, without a header.
func rows(t *testing.T, dir, sql string) [][]string {
	t.Helper()
	return rowsOf(t, dir, sql)[0]
}

// rowsOf is rows of several queries. It asks as `oneid query` does, but in
// this process: of a folder at rest the engine is started once for all of them,
// and not a program beside it.
func rowsOf(t *testing.T, dir string, queries ...string) (answers [][][]string) {
	t.Helper()
	bi, release, err := folder(dir).biEndpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, sql := range queries {
		var out bytes.Buffer
		if err := ask(t.Context(), bi, sql, "CSV", &out); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		all, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		answers = append(answers, all)
	}
	return answers
}

// one asks a query of one row and gives it, its fields joined by a space.
func one(t *testing.T, dir, sql string) string {
	t.Helper()
	all := rows(t, dir, sql)
	if len(all) != 1 {
		t.Fatalf("%s answers %d rows, want one", sql, len(all))
	}
	return strings.Join(all[0], " ")
}

// readCSV reads a file of the folder.
func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	all, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return all
}

func writeText(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("not the JSON that was wanted: %v\n%s", err, text)
	}
	return v
}

// demoOf runs a demo of the folder to its end.
func demoOf(t *testing.T, dir string, people, seed int) demoReport {
	t.Helper()
	return decode[demoReport](t, must(t, demoArgs(dir, people, seed)...).stdout)
}

func demoArgs(dir string, people, seed int) []string {
	return []string{"demo", "--dir", dir, "--people", fmt.Sprint(people), "--seed", fmt.Sprint(seed), "--exit", "--json"}
}

// sharedFolder is made once for all tests, each of which gets a copy.
type sharedFolder struct {
	once sync.Once
	dir  string
	err  error
}

var shown, begun sharedFolder

// copyFor is a copy of the folder that the commands make, each a program of its
// own.
func (s *sharedFolder) copyFor(t *testing.T, commands func(dir string) [][]string) string {
	t.Helper()
	s.once.Do(func() {
		program, err := os.Executable()
		if err != nil {
			s.err = err
			return
		}
		if s.dir, s.err = os.MkdirTemp("", "oneid-test-shared-"); s.err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience*time.Minute)
		defer cancel()
		for _, args := range commands(filepath.Join(s.dir, "data")) {
			cmd := exec.CommandContext(ctx, program, args...) // this very program
			cmd.Env = environment()
			if out, err := cmd.CombinedOutput(); err != nil {
				s.err = fmt.Errorf("oneid %s: %w\n%s", strings.Join(args, " "), err, out)
				return
			}
		}
	})
	if s.err != nil {
		t.Fatalf("the folder that the tests share: %v", s.err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	copyFolder(t, filepath.Join(s.dir, "data"), dir)
	return dir
}

// demoFolder is a copy of a folder in which `oneid demo` of 100 people has
// ended.
func demoFolder(t *testing.T) string {
	t.Helper()
	return shown.copyFor(t, func(dir string) [][]string { return [][]string{demoArgs(dir, 100, 4)} })
}

// begunFolder is a copy of an instance with empty tables: to make these takes a
// second of CPU. All copies have the same keys. That a command makes a folder
// that is not there, other tests show.
func begunFolder(t *testing.T) string {
	t.Helper()
	return begun.copyFor(t, func(dir string) [][]string {
		return [][]string{{"init", "--dir", dir}, {"migrate", "--dir", dir}}
	})
}

// copyFolder copies a folder, and keeps who may read what.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.Chmod(filepath.Join(to, strings.TrimPrefix(path, from)), info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// up starts `oneid up`, with further environment, and waits until it answers.
func up(t *testing.T, dir string, env ...string) (*process, Endpoints) {
	t.Helper()
	p := startWith(t, "", env, "up", "--dir", dir)
	eventually(t, time.Minute, "endpoints.json appears", func() (bool, string) {
		select {
		case <-p.ended:
			t.Fatalf("up ended at once:\n%s%s", p.stdout, p.stderr)
		default:
		}
		// A file of a killed up may lie there; what answers is the new one's.
		return strings.Contains(p.stderr.String(), "up: see "), p.stderr.String()
	})
	e, err := folder(dir).endpoints()
	if err != nil {
		t.Fatal(err)
	}
	return p, e
}

// down ends an up as systemd does, and wants it to go cleanly.
func down(t *testing.T, dir string, p *process) {
	t.Helper()
	if a := p.signal(t, syscall.SIGTERM); a.code != 0 {
		t.Errorf("up exits with %d at SIGTERM:\n%s", a.code, a.stderr)
	}
	for _, name := range []string{endpointsFile, simulatorsFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s is still there after up has ended", name)
		}
	}
}
