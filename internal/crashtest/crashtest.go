// Package crashtest lets a test start children of its own binary and kill
// them as a machine does: with SIGKILL, at a named point between two steps
// (see internal/fault) or at any moment, alone or with all that they started.
//
// The package under test says in its TestMain what a child can be:
//
//	func TestMain(m *testing.M) {
//		crashtest.Main(map[string]func() int{"broker": serveBroker, "oneid": oneid})
//		os.Exit(m.Run())
//	}
//
// A test then starts one and lets it die:
//
//	child := crashtest.Start(t, crashtest.Child{Role: "oneid", Args: args})
//	… wait until it works …
//	child.Arm(t, crashtest.Fault{Point: "resolve/inserted", Hit: 2})
//	child.WaitKilled(t, time.Minute) // the second hit from now on kills it
//
// Nothing is timed: what must be true before the kill is waited for, and the
// kill itself happens in the child, in the goroutine that reached the point. A
// random kill is Process.Kill after the child has shown that it works.
//
// Each child leads a process group of its own, so that the test can kill the
// parent alone (Kill) or its group (KillGroup), and no signal reaches the
// test. What a child started in yet another group (the embedded engine) is
// known by its id alone: KillPID, and WaitGone to see that no orphan stays.
package crashtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"oneid/internal/fault"
)

// The variables that make a child. They are read in Main alone.
const (
	roleVariable = "CRASHTEST_ROLE"
	// faultVariable names the file that says, while it is there, what is to
	// happen.
	faultVariable = "CRASHTEST_FAULT"
)

// Main is the first thing in a TestMain: in a child it plays its role, whose
// exit code it ends with, and does not return.
func Main(roles map[string]func() int) {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	play, ok := roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "crashtest: there is no role %s\n", role)
		os.Exit(2)
	}
	if file := os.Getenv(faultVariable); file != "" {
		fault.Arm((&armed{file: file}).hit)
	}
	os.Exit(play())
}

// Fault is what happens to a child at a point.
type Fault struct {
	// Point of internal/fault; "*" is every point.
	Point string
	// Hit is the number of the hit at which it happens, from 1, counted from
	// when the fault was armed.
	Hit int
	// Hold keeps the child at the point until Disarm, instead of killing it;
	// it writes Held and the point's name to its standard error then.
	Hold bool
}

// Held begins the line by which a child says that it is held at a point.
const Held = "crashtest: held at "

// armed is a child's side of Arm.
type armed struct {
	file string

	mu   sync.Mutex
	read string // what the file said at the last hit
	left int    // hits to go
}

// next says whether it is this hit at which something happens, and what.
func (a *armed) next(name string) (f Fault, now bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text, err := os.ReadFile(a.file)
	if err != nil {
		a.read = ""
		return f, false
	}
	if err := json.Unmarshal(text, &f); err != nil {
		panic(fmt.Sprintf("crashtest: %s: %v", a.file, err)) // a broken test
	}
	if string(text) != a.read {
		a.read, a.left = string(text), max(f.Hit, 1)
	}
	if f.Point != "*" && f.Point != name {
		return f, false
	}
	a.left--
	return f, a.left == 0
}

// hit is what fault.Arm takes.
func (a *armed) hit(name string) error {
	f, now := a.next(name)
	if !now {
		return nil
	}
	if !f.Hold {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way: no step more
	}
	fmt.Fprintln(os.Stderr, Held+name)
	for {
		if _, err := os.Stat(a.file); err != nil {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Child says what to start.
type Child struct {
	// Role is one of those that Main was given.
	Role string
	Args []string
	// Env is its environment; nil is the test's own.
	Env []string
	// Fault, if it has a point, is armed from the start.
	Fault Fault
}

// Process is a running child.
type Process struct {
	cmd     *exec.Cmd
	role    string
	started time.Time
	faults  string // the file of Arm
	stderr  output
	ended   chan struct{}
}

// output is what a child has written so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start starts a child. What still runs at the end of the test is killed.
func Start(t testing.TB, c Child) *Process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{role: c.Role, faults: filepath.Join(t.TempDir(), "fault"), ended: make(chan struct{})}
	if c.Fault.Point != "" {
		p.Arm(t, c.Fault)
	}
	if c.Env == nil {
		c.Env = os.Environ()
	}
	p.cmd = exec.Command(program, c.Args...) //nolint:noctx // it lives until the test kills it
	p.cmd.Env = append(slices.Clone(c.Env), roleVariable+"="+c.Role, faultVariable+"="+p.faults)
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A child's child that outlives it must not keep Wait from returning.
	p.cmd.WaitDelay = time.Second
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", c.Role, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.KillGroup()
		<-p.ended
	})
	return p
}

// Arm lets a fault happen to the child, from now on; it replaces another.
func (p *Process) Arm(t testing.TB, f Fault) {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	// By rename, so that the child reads all of it or nothing.
	if err := errors.Join(os.WriteFile(p.faults+".new", text, 0o600), os.Rename(p.faults+".new", p.faults)); err != nil {
		t.Fatal(err)
	}
}

// Disarm takes a fault back, and lets a child go on that is held.
func (p *Process) Disarm(t testing.TB) {
	t.Helper()
	if err := os.Remove(p.faults); err != nil {
		t.Fatal(err)
	}
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Started is when the child was started.
func (p *Process) Started() time.Time { return p.started }

// Ended is closed once the child has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Output is what the child has written to its standard error so far.
func (p *Process) Output() string { return p.stderr.String() }

// Signal sends a signal to the child alone; one that has ended gets none.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill kills the child alone with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// KillGroup kills the child and all of its process group, and waits for the
// child's end.
func (p *Process) KillGroup() {
	select {
	case <-p.ended: // its id may be another's by now
		return
	default:
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	<-p.ended
}

// Wait waits for the child's end and returns its exit code, -1 if a signal
// ended it.
func (p *Process) Wait(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("%s (%d) still runs after %s:\n%s", p.role, p.PID(), within, tail(p.Output()))
	}
	return p.cmd.ProcessState.ExitCode()
}

// WaitKilled waits for the child's end and wants it to be by SIGKILL: an end
// of its own is an error that the test would otherwise hide.
func (p *Process) WaitKilled(t testing.TB, within time.Duration) {
	t.Helper()
	p.Wait(t, within)
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%s ended by itself (%s), want it killed:\n%s", p.role, p.cmd.ProcessState, tail(p.Output()))
	}
}

// KillPID kills a process that is no child of the test, such as a child's
// child; with a negative id, the whole process group of that number. False:
// there is none with this id.
func KillPID(pid int) bool {
	if pid == 0 || pid == -1 {
		return false // to the system these mean "my own group" and "everybody"
	}
	return syscall.Kill(pid, syscall.SIGKILL) == nil
}

// WaitGone waits until no process with this id runs any more. One that has
// ended and that nobody has waited for yet (a container's first process may
// never do so) holds nothing.
func WaitGone(t testing.TB, pid int, within time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) || isZombie(pid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d lives %s after its parent was killed: an orphan", pid, within)
		}
	}
}

// isZombie says whether Linux knows a process as ended and not waited for.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ") // the name before it may hold anything
	return strings.HasPrefix(state, "Z")
}

// tail is the end of an output.
func tail(s string) string {
	const most = 4000
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

// timesVariable, when it is set, says that the machine does nothing else, so
// that promised times are held against it.
const timesVariable = "ONEID_TEST_TIMES"

// Within holds what something took against the time that is promised for it.
// A machine that runs other tests beside is no witness: there it is only told.
func Within(t *testing.T, what string, took, promised time.Duration) {
	t.Helper()
	switch {
	case took <= promised:
		t.Logf("%s after %s", what, took.Round(time.Millisecond))
	case os.Getenv(timesVariable) != "":
		t.Errorf("%s after %s, want at most %s", what, took.Round(time.Millisecond), promised)
	default:
		t.Logf("%s after %s, promised within %s: not held against a busy machine (%s)", what, took.Round(time.Millisecond), promised, timesVariable)
	}
}
