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
	"net/http"
	"os"
	"os/exec"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
	"oneid/connectors/weidian"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/internal/tape"
	"oneid/pipelines"
	"oneid/pipelines/pull"
	"oneid/schemas/events"
)

// benchPullCmd measures the connectors.
type benchPullCmd struct {
	People     int      `help:"Invented people whose orders are pulled." default:"20000"`
	Platform   []string `help:"Measure this connector alone." placeholder:"PLATFORM"`
	Rounds     int      `help:"Measure so often, the two ways in turn, and print the medians." default:"3"`
	JSON       bool     `help:"Print one JSON object with the figures."`
	CPUProfile string   `help:"Write the CPU profile of each connector's last pull to FILE.PLATFORM, and of what follows the answers to FILE.PLATFORM.answer, for go tool pprof." placeholder:"FILE" name:"cpuprofile"`
}

// Help shows below the usage.
func (benchPullCmd) Help() string {
	return "Pulls the orders of each simulated platform into an embedded Kafka, with no limit on calls: the platform, Kafka and the puller are processes of their own, and the puller has one core. It counts the CPU time of the puller alone, so that orders a CPU second are what one core would pull, whatever the platform and other programs take of this machine.\n\nWHOLE is all that a pull takes: the calls over the network as well as what follows. FROM THE ANSWER is what follows the HTTP answer, until Kafka has acknowledged: reading, cutting, mapping, sealing and publishing. It is measured, and not reckoned: a pull records what the platform answers, and the next ones are given the same answers by their HTTP client's transport, without a network. The making and signing of the requests still counts. The two are measured in turn.\n\nEach connector also pulls a tenth of the days: the peak of memory must not grow with the length of what is pulled."
}

// benchPullShopCmd is the puller of a measurement, in a process of its own: its
// standard input says from where, and it prints a pullFigure.
type benchPullShopCmd struct {
	Platform string    `required:""`
	Broker   string    `required:""`
	From     time.Time `required:""`
	Until    time.Time `required:""`
	// Record is where the platform's answers are kept, Play from where they are
	// taken.
	Record  string
	Play    string
	Profile string
}

// pullFigure is the outcome of one pull.
type pullFigure struct {
	Orders  int     `json:"orders"`
	CPU     float64 `json:"cpu_s"`
	PeakMiB float64 `json:"peak_mib"`
}

func (f pullFigure) perCPUSecond() float64 { return float64(f.Orders) / f.CPU }

// pullReport is what --json prints of a connector.
type pullReport struct {
	Platform string `json:"platform"`
	// PerCPUSecond is of the larger pull, the calls over the network included;
	// FromAnswer of what follows the HTTP answers. MemoryGrowth is the larger
	// pull's peak of memory against that of the smaller, of a tenth of the days.
	PerCPUSecond float64    `json:"orders_per_cpu_s"`
	FromAnswer   float64    `json:"orders_per_cpu_s_from_answer"`
	MemoryGrowth float64    `json:"memory_growth"`
	Smaller      pullFigure `json:"smaller"`
	Larger       pullFigure `json:"larger"`
	// Answered is the larger pull without the network. What its memory holds of
	// the tape is counted in its peak.
	Answered pullFigure `json:"from_answer"`
}

// Run is the child process.
func (c benchPullShopCmd) Run(ctx context.Context, f folder) (err error) {
	var e simulator.Endpoints
	if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
		return err
	}
	transport, done, err := c.transport()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	shop, err := benchedShop(e, c.Platform, transport)
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
	var names []string
	for _, t := range pipelines.Topics(brand, 12) {
		list = append(list, kafka.Topic{Name: t.Name, Partitions: t.Partitions, Replication: 1, Config: t.Config})
		names = append(names, t.Name)
	}
	if err := client.EnsureTopics(ctx, list); err != nil {
		return err
	}
	// What one pull published would take memory from the next.
	defer func() { err = errors.Join(err, client.DeleteTopics(ctx, names)) }()
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
	// The same stretch each time: a tape answers no other.
	bounded := shop.connector.(connectors.Backfiller).Until(c.Until)
	start, _ := bounded.(connectors.Backfiller).Since(c.From)
	p := &pull.Puller{
		Connector: bounded, Platform: shop.platform, Shop: shop.name, Stream: "orders", Publisher: publisher, Topics: topics,
		Keys: keys, Cursors: cursors, Drifts: drifts, Start: start, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
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

// changing are the parameters of the platforms' calls that differ each time:
// the moment, and the signature over it.
var changing = tape.Ignore{"timestamp", "sign"}

// transport carries the calls of the child; nil is the network.
func (c benchPullShopCmd) transport() (http.RoundTripper, func() error, error) {
	switch {
	case c.Record != "":
		r, err := tape.Record(c.Record, changing, http.DefaultTransport.(*http.Transport).Clone())
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	case c.Play != "":
		p, err := tape.Play(c.Play, changing)
		if err != nil {
			return nil, nil, err
		}
		return p, p.Close, nil
	}
	return nil, func() error { return nil }, nil
}

// benchedShop is the shop of a running simulator, whose calls a transport carries.
func benchedShop(e simulator.Endpoints, platform string, transport http.RoundTripper) (s shop, err error) {
	for _, of := range simulatedSettings(e, false) {
		if of.platform != platform {
			continue
		}
		s = shop{platform: platform, name: of.shop}
		switch platform {
		case tmall.Platform:
			var cfg tmall.Config
			err = connectors.DecodeSettings(of.raw, &cfg)
			if cfg.Transport = transport; transport != nil {
				// Which buyers are asked about depends on which window came first,
				// and the tape answers what was asked before.
				cfg.Parallel = 1
			}
			s.connector, err = orElse(err, tmall.New, of.shop, cfg)
		case douyin.Platform:
			var cfg douyin.Config
			err = connectors.DecodeSettings(of.raw, &cfg)
			cfg.Transport = transport
			s.connector, err = orElse(err, douyin.New, of.shop, cfg)
		case weidian.Platform:
			var cfg weidian.Config
			err = connectors.DecodeSettings(of.raw, &cfg)
			cfg.Transport = transport
			s.connector, err = orElse(err, weidian.New, of.shop, cfg)
		default:
			err = fmt.Errorf("bench: there is no way to measure %s", platform)
		}
		return s, err
	}
	return s, fmt.Errorf("bench: there is no simulated shop of %s", platform)
}

// orElse opens a connector, unless its settings were wrong.
func orElse[Config any, C connectors.Connector](wrong error, open func(shop string, cfg Config) (C, error), shop string, cfg Config) (connectors.Connector, error) {
	if wrong != nil {
		return nil, wrong
	}
	return open(shop, cfg)
}

// Run measures.
func (c benchPullCmd) Run(ctx context.Context) (err error) {
	if c.People < 100 || c.People > 10_000_000 {
		return errors.New("bench: --people lies between 100 and 10,000,000")
	}
	if c.Rounds < 1 || c.Rounds > 100 {
		return errors.New("bench: --rounds lies between 1 and 100")
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
	err = c.withPlatforms(ctx, b.folder, func(endpoints []byte) error {
		for i, platform := range c.Platform {
			reports[i].Platform = platform
			m := pullMeasurement{benchPullCmd: c, b: b, broker: address, endpoints: endpoints, platform: platform}
			if err := m.measure(ctx, &reports[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.show.finish()
	for i := range reports {
		r := &reports[i]
		r.PerCPUSecond, r.FromAnswer, r.MemoryGrowth = r.Larger.perCPUSecond(), r.Answered.perCPUSecond(), r.Larger.PeakMiB/r.Smaller.PeakMiB
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(reports)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "CONNECTOR\tORDERS\tORDERS A CPU SECOND: WHOLE\tFROM THE ANSWER\tPEAK MIB\tOF A TENTH OF THE DAYS\tGROWTH")
	for _, r := range reports {
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%+.0f %%\n", r.Platform, r.Larger.Orders, r.PerCPUSecond, r.FromAnswer, r.Larger.PeakMiB, r.Smaller.PeakMiB, 100*(r.MemoryGrowth-1))
	}
	return w.Flush()
}

// pullMeasurement is that of one connector and so many people.
type pullMeasurement struct {
	benchPullCmd
	b         *flowBench
	broker    string
	endpoints []byte
	platform  string
}

// pulledDays are how many days a pull reads, less than the platforms list;
// shortDays are a tenth of them.
const (
	pulledDays = 80
	shortDays  = pulledDays / 10
)

// measure pulls several times: a tenth of the days, all of them over the network,
// and all of them from a tape, in turn.
func (m pullMeasurement) measure(ctx context.Context, r *pullReport) error {
	until := time.Now().Truncate(time.Second)
	stretch := func(days int, more ...string) []string {
		return append([]string{
			"pull-shop", "--platform", m.platform, "--broker", m.broker,
			"--from", until.AddDate(0, 0, -days).Format(time.RFC3339), "--until", until.Format(time.RFC3339),
		}, more...)
	}
	m.b.show.start(fmt.Sprintf("pulling %s, %d people", m.platform, m.People), 0)
	taped := m.b.folder.path("tape")
	if _, err := m.pull(ctx, stretch(pulledDays, "--record", taped)...); err != nil {
		return err
	}
	var short, whole, answered []pullFigure
	for round := range m.Rounds {
		profile, answerProfile := "", ""
		if m.CPUProfile != "" && round == m.Rounds-1 {
			profile = m.CPUProfile + "." + m.platform
			answerProfile = profile + ".answer"
		}
		for _, one := range []struct {
			into *[]pullFigure
			args []string
		}{
			{&short, stretch(shortDays)},
			{&whole, stretch(pulledDays, "--profile", profile)},
			{&answered, stretch(pulledDays, "--play", taped, "--profile", answerProfile)},
		} {
			figure, err := m.pull(ctx, one.args...)
			if err != nil {
				return err
			}
			*one.into = append(*one.into, figure)
		}
		if got, want := answered[round].Orders, whole[round].Orders; got != want {
			return fmt.Errorf("bench: the tape gave %d orders of %s, the platform %d: they were not the same pull", got, m.platform, want)
		}
	}
	r.Smaller, r.Larger, r.Answered = medianPull(short), medianPull(whole), medianPull(answered)
	return os.Remove(taped)
}

// medianPull takes each figure's median.
func medianPull(of []pullFigure) pullFigure {
	middle := func(value func(pullFigure) float64) float64 {
		values := make([]float64, len(of))
		for i, f := range of {
			values[i] = value(f)
		}
		slices.Sort(values)
		return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
	}
	return pullFigure{
		Orders: of[0].Orders, CPU: middle(func(f pullFigure) float64 { return f.CPU }), PeakMiB: middle(func(f pullFigure) float64 { return f.PeakMiB }),
	}
}

// pull lets a child with one core pull.
func (m pullMeasurement) pull(ctx context.Context, args ...string) (figure pullFigure, err error) {
	command, err := m.b.child(ctx, args...)
	if err != nil {
		return figure, err
	}
	command.Stdin = bytes.NewReader(m.endpoints)
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
func (c benchPullCmd) withPlatforms(ctx context.Context, f folder, work func(endpoints []byte) error) (err error) {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("bench: find this program, to start a child with: %w", err)
	}
	command := exec.CommandContext(ctx, program, "--dir", f.path("platforms"), "simulate", "--json", "--people", fmt.Sprint(c.People))
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
