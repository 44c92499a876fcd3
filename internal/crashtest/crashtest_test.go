package crashtest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/internal/fault"
)

var step = fault.New("crashtest/step")

func TestMain(m *testing.M) {
	Main(map[string]func() int{
		"stepper": func() int { // says each step that it has taken
			for n := 1; ; n++ {
				fmt.Fprintln(os.Stderr, "step", n)
				if step.Hit() != nil {
					return 1
				}
				time.Sleep(time.Millisecond)
			}
		},
		"parent": func() int { // has a child in its own group, and waits for it
			child := exec.Command("sleep", "60") //nolint:noctx // it is killed by the test
			if err := child.Start(); err != nil {
				return 1
			}
			fmt.Fprintln(os.Stderr, "child", child.Process.Pid)
			_ = child.Wait() // killed
			return 0
		},
		"quitter": func() int { return 7 },
	})
	os.Exit(m.Run())
}

// wait waits until a child's output holds a text.
func wait(t *testing.T, p *Process, text string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !strings.Contains(p.Output(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the child never said %q:\n%s", text, tail(p.Output()))
		}
	}
}

func TestKilledAtAHit(t *testing.T) {
	p := Start(t, Child{Role: "stepper", Fault: Fault{Point: "crashtest/step", Hit: 3}})
	p.WaitKilled(t, 20*time.Second)
	if got := p.Output(); !strings.HasSuffix(got, "step 3\n") || strings.Contains(got, "step 4") {
		t.Errorf("killed at the third hit, the child said:\n%s", got)
	}
}

func TestArmedLater(t *testing.T) {
	p := Start(t, Child{Role: "stepper"})
	wait(t, p, "step 20\n")
	p.Arm(t, Fault{Point: "other/step", Hit: 1})
	wait(t, p, "step 40\n")
	p.Arm(t, Fault{Point: "*", Hit: 2})
	p.WaitKilled(t, 20*time.Second)
}

func TestHeld(t *testing.T) {
	p := Start(t, Child{Role: "stepper", Fault: Fault{Point: "crashtest/step", Hit: 5, Hold: true}})
	wait(t, p, Held+"crashtest/step")
	p.Disarm(t)
	wait(t, p, "step 20\n")
	p.Kill()
}

func TestKillGroupTakesTheChildren(t *testing.T) {
	p := Start(t, Child{Role: "parent"})
	wait(t, p, "\n")
	child, err := strconv.Atoi(strings.Fields(p.Output())[1])
	if err != nil {
		t.Fatal(err)
	}
	p.KillGroup()
	WaitGone(t, child, 20*time.Second)
}

func TestEndOfItsOwnIsToldFromAKill(t *testing.T) {
	if code := Start(t, Child{Role: "quitter"}).Wait(t, 20*time.Second); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
}
