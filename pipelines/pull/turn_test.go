package pull

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/schemas/events"
)

// counter is a connector of a page without records a reading; its cursor
// counts. Each reading says in a file when it begins and ends.
type counter struct {
	script
	log string
}

func (c *counter) say(what string, from connectors.Cursor) {
	file, err := os.OpenFile(c.log, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(file, "%d %s %s\n", os.Getpid(), what, from)
		_ = file.Close()
	}
	if err != nil {
		panic(err) // of a test
	}
}

func (c *counter) Read(ctx context.Context, _ string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		n, _ := strconv.Atoi(string(from))
		c.say("begins", connectors.Cursor(strconv.Itoa(n)))
		select {
		case <-time.After(50 * time.Millisecond): // a platform takes its time
		case <-ctx.Done():
		}
		yield(connectors.Page{Next: connectors.Cursor(strconv.Itoa(n + 1))}, ctx.Err())
		c.say("ends", connectors.Cursor(strconv.Itoa(n)))
	}
}

// beTurn is one of several processes that pull one stream: with the brokers,
// the brand and the file of counter.
func beTurn() int {
	brokers, brand, log := os.Args[1], os.Args[2], os.Args[3]
	err := func() error {
		ctx := context.Background()
		client, err := kafka.New(kafka.Config{Brokers: strings.Split(brokers, ",")})
		if err != nil {
			return err
		}
		topics, publisher := events.TopicsOf(brand), client.Publisher()
		cursors, err := OpenCursors(ctx, client, publisher, topics.Cursors)
		if err != nil {
			return err
		}
		dir, err := os.MkdirTemp("", "turn")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		keys, err := keyring.Create(dir)
		if err != nil {
			return err
		}
		lock, err := client.Lock(brand+".run.pull", topics.Cursors, false)
		if err != nil {
			return err
		}
		p := &Puller{
			Connector: &counter{log: log}, Platform: "tmall", Shop: "s", Stream: "orders", Publisher: publisher, Topics: topics,
			Keys: keys, Cursors: cursors, Lock: lock, Log: slog.New(slog.DiscardHandler),
		}
		return p.Run(ctx, 20*time.Millisecond)
	}()
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Three processes pull one stream: one at a time does, each reading goes on
// where the last one ended, and when the one that reads is killed, another one
// does. Which one reads changes for nothing else.
func TestOneProcessReadsAStream(t *testing.T) {
	t.Parallel()
	brokers := brokertest.Brokers(t)
	r := newRigAt(t, brokers)
	log := t.TempDir() + "/log"
	children := make(map[string]*crashtest.Process)
	for range 3 {
		child := crashtest.Start(t, crashtest.Child{Role: "turn", Args: []string{strings.Join(brokers, ","), strings.TrimSuffix(r.topics.Cursors, ".cursors"), log}})
		children[strconv.Itoa(child.PID())] = child
	}
	lines := func() []string {
		text, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	// reads waits until a process that is none of dead has read a few times.
	reads := func(dead string) (who string) {
		t.Helper()
		for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			all := lines()
			who, _, _ = strings.Cut(all[len(all)-1], " ")
			n := 0
			for _, line := range all {
				if strings.HasPrefix(line, who+" ends") {
					n++
				}
			}
			if who != dead && n >= 5 {
				return who
			}
		}
		t.Fatalf("nobody reads but %s:\n%s", dead, strings.Join(lines(), "\n"))
		return ""
	}
	first := reads("")
	began := time.Now()
	children[first].Kill()
	second := reads(first)
	crashtest.Within(t, "another process reads on", time.Since(began), 15*time.Second)
	if children[second] == nil {
		t.Fatalf("%s reads", second)
	}
	var open string
	next := 0
	for i, line := range lines() {
		var who, what string
		var n int
		if _, err := fmt.Sscanf(line, "%s %s %d", &who, &what, &n); err != nil {
			t.Fatalf("line %d %q: %v", i, line, err)
		}
		switch {
		case what == "ends":
			if open != who {
				t.Fatalf("line %d: %s ends what %q began", i, who, open)
			}
			open, next = "", n+1
		case open != "" && open != first:
			t.Fatalf("line %d: %s begins while %s reads", i, who, open)
		case n != next && n != next-1 || n == next-1 && who == first:
			t.Fatalf("line %d: %s reads from %d, and it was read up to %d", i, who, n, next)
		default:
			open, next = who, n
		}
	}
}
