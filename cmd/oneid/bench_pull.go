package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"syscall"
	"text/tabwriter"

	"oneid/connectors/simulator"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/pipelines/pull"
	"oneid/schemas/events"
)

// benchPullCmd measures the connectors.
type benchPullCmd struct {
	People     int      `help:"Invented people whose orders are pulled." default:"20000"`
	Platform   []string `help:"Measure this connector alone." placeholder:"PLATFORM"`
	JSON       bool     `help:"Print one JSON object with the figures."`
	CPUProfile string   `help:"Write the CPU profile of each connector's larger pull to FILE.PLATFORM, for go tool pprof." placeholder:"FILE" name:"cpuprofile"`
}

// Help shows below the usage.
func (benchPullCmd) Help() string {
	return "Pulls the orders of each simulated platform into an embedded Kafka, with no limit on calls: the platform, Kafka and the puller are processes of their own, and the puller has one core. It counts the CPU time of the puller alone, from the HTTP answer to Kafka's acknowledgement: reading, cutting, mapping, sealing and publishing. Orders a CPU second are what one core would pull, whatever the platform and other programs take of this machine.\n\nEach connector pulls a tenth of the people's orders first, then all of them: the peak of memory must not grow with them."
}

// benchPullShopCmd is the puller of a measurement, in a process of its own: its
// standard input says from where, and it prints a pullFigure.
type benchPullShopCmd struct {
	Platform string `required:""`
	Broker   string `required:""`
	Profile  string
}

// pullFigure is the outcome of one pull.
type pullFigure struct {
	Orders  int     `json:"orders"`
	CPU     float64 `json:"cpu_s"`
	PeakMiB float64 `json:"peak_mib"`
}

// pullReport is what --json prints of a connector.
type pullReport struct {
	Platform string `json:"platform"`
	// PerCPUSecond is of the larger pull; MemoryGrowth is its peak of memory
	// against that of the smaller.
	PerCPUSecond float64    `json:"orders_per_cpu_s"`
	MemoryGrowth float64    `json:"memory_growth"`
	Smaller      pullFigure `json:"smaller"`
	Larger       pullFigure `json:"larger"`
}

// Run is the child process.
func (c benchPullShopCmd) Run(ctx context.Context, f folder) (err error) {
	var e simulator.Endpoints
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
		return err
	}
	shops, err := simulated(e, false)
	if err != nil {
		return err
	}
	client, err := kafka.New(kafka.Config{Brokers: []string{c.Broker}})
	if err != nil {
		return err
	}
	defer client.Close()
	brand := "bench-" + strings.ToLower(rand.Text()[:8])
	var list []kafka.Topic
	for _, t := range pipelines.Topics(brand, 12) {
		list = append(list, kafka.Topic{Name: t.Name, Partitions: t.Partitions, Replication: 1, Config: t.Config})
	}
	if err := client.EnsureTopics(ctx, list); err != nil {
		return err
	}
	keys, err := keyring.Create(f.path(brand))
	if err != nil {
		return err
	}
	topics, publisher := events.TopicsOf(brand), client.Publisher()
	defer func() { err = errors.Join(err, publisher.Close()) }()
	cursors, err := pull.OpenCursors(ctx, client, publisher, topics.Cursors)
	if err != nil {
		return err
	}
	drifts, err := pull.OpenDrifts(ctx, client, publisher, topics.Cursors)
	if err != nil {
		return err
	}
	for _, s := range shops {
		if s.platform != c.Platform {
			continue
		}
		p := &pull.Puller{
			Connector: s.connector, Platform: s.platform, Shop: s.name, Stream: "orders", Publisher: publisher, Topics: topics,
			Keys: keys, Cursors: cursors, Drifts: drifts, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		}
		if c.Profile != "" {
			file, err := os.Create(c.Profile)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, file.Close()) }()
			if err := pprof.StartCPUProfile(file); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		before := ownCPU()
		sum, err := p.Once(ctx)
		if err != nil {
			return err
		}
		figure := pullFigure{Orders: sum.Events, CPU: (ownCPU() - before).Seconds()}
		if figure.PeakMiB, err = peakMiB(); err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(figure)
	}
	return fmt.Errorf("bench: there is no simulated shop of %s", c.Platform)
}

// Run measures.
func (c benchPullCmd) Run(ctx context.Context) (err error) {
	if c.People < 100 || c.People > 10_000_000 {
		return errors.New("bench: --people lies between 100 and 10,000,000")
	}
	if len(c.Platform) == 0 {
		c.Platform = simulator.Platforms
	}
	dir, err := os.MkdirTemp("", "oneid-bench-")
	if err != nil {
		return fmt.Errorf("bench: make a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &flowBench{folder: folder(dir), show: newProgress(c.JSON)}
	defer func() { err = errors.Join(err, b.close()) }()
	address, err := b.startBroker(ctx)
	if err != nil {
		return err
	}
	reports := make([]pullReport, len(c.Platform))
	for _, people := range []int{c.People / 10, c.People} {
		err := c.withPlatforms(ctx, b.folder, people, func(endpoints []byte) error {
			for i, platform := range c.Platform {
				b.show.start(fmt.Sprintf("pulling %s, %d people", platform, people), 0)
				profile := ""
				if c.CPUProfile != "" && people == c.People {
					profile = c.CPUProfile + "." + platform
				}
				figure, err := pullOnce(ctx, b, endpoints, "pull-shop", "--platform", platform, "--broker", address, "--profile", profile)
				if err != nil {
					return err
				}
				reports[i].Platform, reports[i].Larger = platform, figure
				if people != c.People {
					reports[i].Smaller = figure
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.show.finish()
	for i := range reports {
		r := &reports[i]
		r.PerCPUSecond, r.MemoryGrowth = float64(r.Larger.Orders)/r.Larger.CPU, r.Larger.PeakMiB/r.Smaller.PeakMiB
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(reports)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "CONNECTOR\tORDERS\tORDERS A CPU SECOND\tPEAK MIB\tOF A TENTH OF THEM\tGROWTH")
	for _, r := range reports {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.0f\t%+.0f %%\n", r.Platform, r.Larger.Orders, r.PerCPUSecond, r.Larger.PeakMiB, r.Smaller.PeakMiB, 100*(r.MemoryGrowth-1))
	}
	return w.Flush()
}

// pullOnce lets a child with one core pull.
func pullOnce(ctx context.Context, b *flowBench, endpoints []byte, args ...string) (figure pullFigure, err error) {
	command, err := b.child(ctx, args...)
	if err != nil {
		return figure, err
	}
	command.Stdin = bytes.NewReader(endpoints)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := command.Output()
	if err == nil {
		err = json.Unmarshal(out, &figure)
	}
	if err != nil {
		return figure, fmt.Errorf("bench: pull: %w", err)
	}
	return figure, nil
}

// withPlatforms runs work beside the simulators, a process of their own.
func (benchPullCmd) withPlatforms(ctx context.Context, f folder, people int, work func(endpoints []byte) error) (err error) {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: find this program, to start a child with: %w", err)
	}
	command := exec.CommandContext(ctx, program, "--dir", f.path(fmt.Sprint("platforms-", people)), "simulate", "--json", "--people", fmt.Sprint(people))
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("bench: start the platforms: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("bench: start the platforms: %w", err)
	}
	defer func() {
		_ = command.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = command.Wait()                          // how it ends says nothing of the measurement
	}()
	line, err := bufio.NewReader(io.LimitReader(output, 1<<20)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("bench: the platforms did not start: %w", err)
	}
	return work(line)
}
