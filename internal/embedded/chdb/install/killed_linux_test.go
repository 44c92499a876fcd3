package install

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killedMark is in the environment of the process that TestKilledInstall kills:
// its value is the cache.
const killedMark = "ONEID_TEST_KILLED_INSTALL"

// A client does not outlive the install that is killed.
func TestKilledInstallTakesItsClientWithIt(t *testing.T) {
	if cache := os.Getenv(killedMark); cache != "" {
		_, err := installer{Options: Options{Cache: cache}, platform: "test/cpu", pack: pack{Name: "x", Version: "1"}}.install(t.Context())
		t.Fatalf("the client ended: %v", err)
	}
	s := newShop(t)
	noted := filepath.Join(t.TempDir(), "pid")
	s.client("npm", "echo $$ >"+noted+".new; /bin/mv "+noted+".new "+noted+"\nwhile :; do /bin/mkdir -p \"$3\"; /bin/sleep 0.05; done\n")
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledInstallTakesItsClientWithIt$")
	command.Env = append(os.Environ(), killedMark+"="+s.cache)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var pid string
	await(t, "the client runs", func() bool {
		text, err := os.ReadFile(noted)
		pid = strings.TrimSpace(string(text))
		return err == nil
	})
	if !alive(pid) {
		t.Fatal("the client has ended by itself, so this shows nothing")
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait() // it was killed
	await(t, "the client has gone", func() bool { return !alive(pid) })
	s.client("npm", s.packScript())
	if _, err := s.installer().install(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantClean()
}

// alive is false for a process that has ended and that no one has waited for.
func alive(pid string) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
