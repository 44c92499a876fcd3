package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/internal/embedded/broker"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// benchFlowCmd measures the flow from Kafka into ClickHouse.
type benchFlowCmd struct {
	Events     int    `help:"Events of each measurement." default:"1000000"`
	Accounts   int    `help:"Accounts that the state holds in the end." default:"1000000"`
	Batch      int    `help:"Most events in a batch (default: that of oneid.yaml's sample)."`
	Kafka      string `help:"Use this Kafka instead of the embedded broker." placeholder:"HOST:PORT"`
	JSON       bool   `help:"Print one JSON object with the figures."`
	CPUProfile string `help:"Write the CPU profiles of this process to FILE.cold and FILE.warm, for go tool pprof." placeholder:"FILE" name:"cpuprofile"`
	MemProfile string `help:"Write what this process allocated to FILE, for go tool pprof." placeholder:"FILE" name:"memprofile"`
}

// Help shows below the usage.
func (benchFlowCmd) Help() string {
	return `Fills Kafka with invented orders (70 %), users (20 %) and tickets (10 %), sealed as a connector seals them, lets the resolver take them into ClickHouse as ` + "`oneid up`" + ` does, and says how fast that was: once with accounts that nobody has seen (cold), once with later versions of what is known (warm). It counts from the first read to the last commit, when all of it is in ClickHouse, its state on disk. Then it asks ClickHouse whether each order, user, ticket and account is there.

CPU time is in seconds per million events (s/M): that of this process, of the embedded ClickHouse, and of the embedded broker, which runs in a process of its own here, so that the peak of memory is the resolver's. A Kafka or ClickHouse elsewhere is not counted.

The floors are what reading the topic, decoding its values and inserting the same rows cost when nothing else is done, with the leanest code there is; r_max is how many events a second two cores would bring through at that cost, and the ratio is what the flow reaches of it. On a busy machine look at s/M and at "efficiency", which is the floors' sum divided by the flow's s/M: what the ratio would be if both cores were the flow's alone.

Everything lies in a temporary folder, or in --dir, which must be new and is kept. Topics made in your own Kafka begin with bench- and are deleted afterwards.`
}

// benchBrokerCmd is the embedded broker in a process of its own, which ends
// with its standard input.
type benchBrokerCmd struct{}

// Run is the child process: it prints the broker's address.
func (benchBrokerCmd) Run(f folder) error {
	b, err := broker.Start(f.path("kafka"), "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Println(strings.Join(b.Addresses(), ","))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// benchFillCmd publishes the events of one phase, in a process of its own.
type benchFillCmd struct {
	Phase            string `required:""`
	Events, Accounts int    `required:""`
	Quiet            bool
}

// fillPage is how many events are published with one call.
const fillPage = 5000

// Run is the child process: it prints how many bytes the values had.
func (c benchFillCmd) Run(ctx context.Context, f folder) error {
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	keys, err := keyring.Open(string(f))
	if err != nil {
		return err
	}
	client, err := kafka.New(kafka.Config{Brokers: settings.Kafka.Brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	publisher := client.Publisher()
	defer func() { _ = publisher.Close() }() // each publish is acknowledged
	topics := events.TopicsOf(settings.Brand)
	population, phase := newFlowPopulation(c.Events, c.Accounts), flowPhase(c.Phase)
	size := population.size(phase)
	show := newProgress(c.Quiet)
	show.start("inventing events ("+c.Phase+")", int64(size))
	var bytes int64
	pages := make(chan []kafka.Message, 2)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(pages)
		for from := 0; from < size; from += fillPage {
			page := make([]kafka.Message, 0, fillPage)
			for i := from; i < min(from+fillPage, size); i++ {
				message, err := flowMessage(population.pick(phase, i), phase, topics, keys)
				if err != nil {
					return err
				}
				bytes += int64(len(message.Value))
				page = append(page, message)
			}
			select {
			case pages <- page:
			case <-groupCtx.Done():
				return groupCtx.Err()
			}
		}
		return nil
	})
	group.Go(func() error {
		done := 0
		for page := range pages {
			if err := publisher.Publish(groupCtx, page); err != nil {
				return err
			}
			done += len(page)
			show.set(int64(done), int64(size))
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	show.finish()
	fmt.Println(bytes)
	return nil
}

// flowMessage seals an event as pull does.
func flowMessage(pick flowPick, phase flowPhase, topics events.Topics, keys events.Sealer) (kafka.Message, error) {
	e := pick.event()
	if phase == flowPrime {
		e.Header.Raw = nil // the accounts count, and not what it costs to bring them
	}
	about, key := events.Describe(e), events.Key(e)
	if err := events.Seal(e, keys); err != nil {
		return kafka.Message{}, err
	}
	value, err := events.Marshal(nil, e)
	if err != nil {
		return kafka.Message{}, err
	}
	return kafka.Message{Topic: topics.Of(events.KindOf(e)), Key: []byte(key), Value: value, Headers: []kafka.Header{
		{Key: "ce_id", Value: []byte(about.ID)}, {Key: "ce_type", Value: []byte(about.Type)},
		{Key: "ce_source", Value: []byte(about.Source)}, {Key: "ce_time", Value: []byte(about.Time)},
	}}, nil
}

// flowFigure is one measurement of the flow.
type flowFigure struct {
	Ratio     float64 `json:"ratio"`
	PerSecond float64 `json:"events_per_s"`
	CPU       float64 `json:"cpu_s_per_m"`
	// Efficiency is the floors' CPU time divided by the flow's.
	Efficiency float64            `json:"efficiency"`
	Processes  map[string]float64 `json:"processes_s_per_m"`
	Stages     map[string]float64 `json:"stages_s_per_m"`
	// Engine is what the engine's threads did: inserts, merges, refreshes of
	// customer_360, reloads of the dictionary of moved accounts. What a refresh
	// reads is read by the threads of queries, and is counted with the inserts:
	// RefreshCPU of the report says how much that may be.
	Engine map[string]float64 `json:"engine_s_per_m"`
	// MergesLeft is what merging took when the flow had come to the end: it waits
	// while events do.
	MergesLeft float64 `json:"merges_left_s_per_m"`
	Seconds    float64 `json:"seconds"`
	Others     float64 `json:"cores_used_by_others"`
	Bytes      float64 `json:"mean_bytes"`
	Batches    int64   `json:"batches"`
}

// flowReport is the last line of --json.
type flowReport struct {
	Warm    flowFigure `json:"warm"`
	Cold    flowFigure `json:"cold"`
	RMax    float64    `json:"r_max"`
	PeakMiB float64    `json:"peak_mib"`
	// HeapMiB is what lives on this process's heap after the last phase, and
	// HeapPerAccount, in bytes, how much of it was not there before the first,
	// divided by the accounts: what another account takes is the difference of
	// two runs. Pebble's memtables and cache lie beside it and have a budget:
	// StoreMiB.
	HeapMiB        float64 `json:"heap_mib"`
	HeapPerAccount float64 `json:"heap_bytes_per_account"`
	StoreMiB       float64 `json:"store_mib"`
	// RefreshCPU is what making customer_360 anew takes of the engine once, at the
	// end, in CPU seconds: while events come in it is made about once a minute.
	RefreshCPU float64            `json:"refresh_cpu_s"`
	Floors     map[string]float64 `json:"floors"`
	Events     int                `json:"events"`
	Accounts   int                `json:"accounts"`
	Kafka      string             `json:"kafka"`
	Notes      []string           `json:"notes"`
}

// Run measures.
func (c benchFlowCmd) Run(ctx context.Context, f folder, given dirGiven) (err error) {
	if c.Events < 100 || c.Events > 100_000_000 || c.Accounts < 30 || c.Accounts > 50_000_000 || c.Batch < 0 {
		return errors.New("bench: --events lies between 100 and 100,000,000, --accounts between 30 and 50,000,000, --batch is not negative")
	}
	if given {
		if entries, err := os.ReadDir(string(f)); err == nil && len(entries) > 0 {
			return hinted{fmt.Errorf("bench: the folder %s is not empty", f), "each run begins with an empty Kafka and an empty state: name a new folder, or none"}
		}
	} else {
		dir, err := os.MkdirTemp("", "oneid-bench-")
		if err != nil {
			return fmt.Errorf("bench: make a temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		f = folder(dir)
	}
	show := newProgress(c.JSON)
	b := flowBench{benchFlowCmd: c, folder: f, show: show, population: newFlowPopulation(c.Events, c.Accounts)}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return err
	}
	report, err := b.measure(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	return report.print(os.Stdout)
}

// flowBench is a running measurement.
type flowBench struct {
	benchFlowCmd
	folder     folder
	show       *progress
	population flowPopulation

	broker  *flowChild // nil with a Kafka of one's own
	node    *node
	meter   meter
	heap    uint64       // bytes that lived on the heap before the first phase
	events  atomic.Int64 // that the resolver has delivered
	batches atomic.Int64
}

// flowChild is a process of ours that ends with its standard input.
type flowChild struct {
	*exec.Cmd
	input io.Closer
}

// child prepares this program as a child process on the folder.
func (b *flowBench) child(ctx context.Context, args ...string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: find this program, to start a child with: %w", err)
	}
	command := exec.CommandContext(ctx, program, append([]string{"--dir", string(b.folder), "bench"}, args...)...)
	command.Stderr = os.Stderr
	return command, nil
}

// open starts the parts.
func (b *flowBench) open(ctx context.Context) (err error) {
	address := b.Kafka
	if address == "" {
		if address, err = b.startBroker(ctx); err != nil {
			return err
		}
	}
	settings := fmt.Sprintf("brand: bench-%s\nkafka: {brokers: [%q]}\n", strings.ToLower(rand.Text()[:8]), address)
	if b.Batch > 0 {
		settings += fmt.Sprintf("resolve: {batch_events: %d}\n", b.Batch)
	}
	if err := b.folder.make([]byte(settings)); err != nil {
		return err
	}
	if b.node, err = openNode(ctx, b.folder, need{quiet: true}, b.show); err != nil {
		return err
	}
	counted := b.node.resolver.Counters
	b.node.resolver.Counters.Events = func(n int) { counted.Events(n); b.events.Add(int64(n)) }
	b.node.resolver.Counters.Batches = func(n int) { counted.Batches(n); b.batches.Add(int64(n)) }
	b.heap = liveHeap()
	b.meter.children = func() map[string]int {
		children := map[string]int{}
		if b.node.engineServer != nil {
			children["clickhouse"] = b.node.engineServer.PID()
		}
		if b.broker != nil {
			children["broker"] = b.broker.Process.Pid
		}
		return children
	}
	return nil
}

func (b *flowBench) startBroker(ctx context.Context) (address string, err error) {
	// Not the command's context: it is asked to end when all else has ended.
	command, err := b.child(context.WithoutCancel(ctx), "broker")
	if err != nil {
		return "", err
	}
	input, err := command.StdinPipe()
	if err != nil {
		return "", fmt.Errorf("bench: start the broker: %w", err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("bench: start the broker: %w", err)
	}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("bench: start the broker: %w", err)
	}
	b.broker = &flowChild{command, input}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("bench: the broker did not start: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// close ends all parts, and takes the topics out of a Kafka of one's own.
func (b *flowBench) close() error {
	var faults []error
	if b.node != nil {
		if b.broker == nil {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			var names []string
			for _, t := range pipelines.Topics(b.node.settings.Brand, 1) {
				names = append(names, t.Name)
			}
			faults = append(faults, b.node.kafka.DeleteTopics(ctx, names))
		}
		faults = append(faults, b.node.close())
	}
	if b.broker != nil {
		faults = append(faults, b.broker.input.Close(), b.broker.Wait())
	}
	return errors.Join(faults...)
}

// fill publishes the events of a phase, and returns the mean size of a value.
func (b *flowBench) fill(ctx context.Context, phase flowPhase) (float64, error) {
	args := []string{"fill", "--phase", string(phase), "--events", strconv.Itoa(b.Events), "--accounts", strconv.Itoa(b.Accounts)}
	if b.JSON {
		args = append(args, "--quiet")
	}
	command, err := b.child(ctx, args...)
	if err != nil {
		return 0, err
	}
	out, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("bench: publish the events: %w", err)
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("bench: publish the events: %w", err)
	}
	return float64(bytes) / float64(max(b.population.size(phase), 1)), nil
}

// measure runs the phases, then the floors, which need the memory's peak no more.
func (b *flowBench) measure(ctx context.Context) (flowReport, error) {
	report := flowReport{Events: b.Events, Accounts: b.Accounts, Kafka: "embedded, in a process of its own"}
	if b.Kafka != "" {
		report.Kafka = b.Kafka
	}
	var last flowRange
	for _, phase := range []flowPhase{flowPrime, flowCold, flowWarm} {
		if b.population.size(phase) == 0 {
			continue
		}
		var err error
		if last.from, err = b.ends(ctx); err != nil {
			return report, err
		}
		bytes, err := b.fill(ctx, phase)
		if err != nil {
			return report, err
		}
		if last.to, err = b.ends(ctx); err != nil {
			return report, err
		}
		figure, err := b.flow(ctx, phase)
		if err != nil {
			return report, err
		}
		figure.Bytes = bytes
		if err := b.verify(ctx, phase); err != nil {
			return report, err
		}
		if figure.MergesLeft, err = b.merge(ctx); err != nil {
			return report, err
		}
		figure.MergesLeft *= 1e6 / float64(b.population.size(phase))
		switch phase {
		case flowCold:
			report.Cold = figure
		case flowWarm:
			report.Warm = figure
		case flowPrime: // it makes the state known, and is no figure
		}
	}
	var err error
	if report.PeakMiB, err = peakMiB(); err != nil {
		report.Notes = append(report.Notes, err.Error())
	}
	heap := liveHeap()
	report.HeapMiB, report.StoreMiB = float64(heap)/(1<<20), float64(b.node.store.MemoryBytes())/(1<<20)
	report.HeapPerAccount = (float64(heap) - float64(b.heap)) / float64(b.Accounts)
	if b.MemProfile != "" {
		if err := writeAllocated(b.MemProfile); err != nil {
			return report, err
		}
	}
	if err := b.calm(ctx); err != nil {
		return report, err
	}
	b.meter.start()
	if err := b.node.clickhouse.RefreshViews(ctx); err != nil {
		return report, err
	}
	report.RefreshCPU = b.meter.stop().by["clickhouse"]
	if report.Floors, err = b.floors(ctx, last); err != nil {
		return report, err
	}
	sum := 0.0
	for _, cost := range report.Floors {
		sum += cost
	}
	report.RMax = 2e6 / sum
	for _, figure := range []*flowFigure{&report.Cold, &report.Warm} {
		figure.Ratio, figure.Efficiency = figure.PerSecond/report.RMax, sum/figure.CPU
	}
	report.Notes = append(report.Notes, explainFloors(report.Floors)...)
	if others := max(report.Cold.Others, report.Warm.Others); others > 0.1 {
		report.Notes = append(report.Notes, fmt.Sprintf("other processes used up to %.1f of the %d cores meanwhile: the rates are lower than this machine's, and so are the ratios; the CPU times hold", others, runtime.NumCPU()))
	}
	if runtime.NumCPU() != 2 {
		report.Notes = append(report.Notes, fmt.Sprintf("this machine has %d cores, and r_max is that of two", runtime.NumCPU()))
	}
	return report, nil
}

// liveHeap is how many bytes of the heap are no garbage.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // what a pool holds goes with the second
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func writeAllocated(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("bench: write the profile: %w", err)
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}

// flow lets the resolver take what lies in Kafka.
func (b *flowBench) flow(ctx context.Context, phase flowPhase) (flowFigure, error) {
	size := b.population.size(phase)
	if err := b.calm(ctx); err != nil {
		return flowFigure{}, err
	}
	runtime.GC() // what was left over by the phase before is not this one's
	b.show.start("resolving ("+string(phase)+")", int64(size))
	before, batches := b.events.Load(), b.batches.Load()
	var used usage
	engine := map[string]time.Duration{}
	shares, recorded, err := profiled(func() error {
		b.meter.start()
		engine = threadsOf(b.meter.children()["clickhouse"])
		return b.node.resolving(ctx, func(ctx context.Context) error {
			for b.events.Load()-before < int64(size) {
				b.show.set(b.events.Load()-before, int64(size))
				if err := pipelines.Sleep(ctx, 2*time.Millisecond); err != nil {
					return context.Cause(ctx)
				}
			}
			used = b.meter.stop()
			return nil
		})
	})
	if err != nil {
		return flowFigure{}, err
	}
	b.show.set(int64(size), int64(size))
	b.show.finish()
	if b.CPUProfile != "" && phase != flowPrime {
		if err := os.WriteFile(b.CPUProfile+"."+string(phase), recorded, 0o600); err != nil {
			return flowFigure{}, fmt.Errorf("bench: write the profile: %w", err)
		}
	}
	perMillion := 1e6 / float64(size)
	figure := flowFigure{
		PerSecond: float64(size) / used.took.Seconds(), CPU: used.sum * perMillion, Seconds: used.took.Seconds(),
		Others: used.others / used.took.Seconds(), Processes: map[string]float64{}, Stages: map[string]float64{}, Engine: map[string]float64{}, Batches: b.batches.Load() - batches,
	}
	for name, seconds := range used.by {
		figure.Processes[name] = seconds * perMillion
	}
	for work, spent := range threadsOf(b.meter.children()["clickhouse"]) {
		figure.Engine[work] = (spent - engine[work]).Seconds() * perMillion
	}
	sampled := 0.0
	for _, seconds := range shares {
		sampled += seconds
	}
	for stage, seconds := range shares { // the profiler samples; the kernel's figure is the sum
		figure.Stages[stage] = seconds / max(sampled, 1e-9) * figure.Processes["oneid"]
	}
	return figure, nil
}

// ends are the next offsets of the event topics.
func (b *flowBench) ends(ctx context.Context) (map[string][]int64, error) {
	ends := map[string][]int64{}
	for _, topic := range b.topics() {
		_, next, err := b.node.kafka.Ends(ctx, topic)
		if err != nil {
			return nil, err
		}
		ends[topic] = next
	}
	return ends, nil
}

func (b *flowBench) topics() []string {
	return []string{b.node.topics.Orders, b.node.topics.Users, b.node.topics.Tickets}
}

// mergesBegin is how long the engine may take until it looks for what to merge.
const mergesBegin = 15 * time.Second

// merge waits until ClickHouse has merged what the flow left, and returns the
// CPU seconds that it took.
func (b *flowBench) merge(ctx context.Context) (float64, error) {
	engine := b.meter.children()["clickhouse"]
	before := threadsOf(engine)["merge"]
	if err := pipelines.Sleep(ctx, mergesBegin); err != nil {
		return 0, err
	}
	var err error
	for range 10 { // many accounts leave much
		if err = b.calm(ctx); err != nil {
			break
		}
	}
	return (threadsOf(engine)["merge"] - before).Seconds(), err
}

// calm waits until ClickHouse merges nothing, so that a measurement does not
// bear what the one before left.
func (b *flowBench) calm(ctx context.Context) error {
	quiet := 0
	for limit := time.Now().Add(time.Minute); quiet < 3 && time.Now().Before(limit); {
		merging, err := b.node.clickhouse.Number(ctx, "ask for merges", "SELECT count() FROM system.merges")
		if err != nil {
			return err
		}
		quiet++
		if merging > 0 {
			quiet = 0
		}
		if err := pipelines.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// verify asks ClickHouse and the state for all that was published up to a
// phase: figures of a flow that lost something are worth nothing.
func (b *flowBench) verify(ctx context.Context, last flowPhase) error {
	seen := map[events.Kind]bitset{}
	count := map[events.Kind]uint64{}
	for _, phase := range []flowPhase{flowPrime, flowCold, flowWarm} {
		for i := range b.population.size(phase) {
			p := b.population.pick(phase, i)
			bits := seen[p.kind]
			if bits == nil {
				bits = make(bitset, (b.Accounts*(flowOrders+1)+63)/64)
				seen[p.kind] = bits
			}
			if bits.add(int(p.account)*(flowOrders+1) + p.k) {
				count[p.kind]++
			}
		}
		if phase == last {
			break
		}
	}
	for kind, table := range map[events.Kind]string{events.KindOrder: "orders", events.KindUser: "users", events.KindTicket: "tickets"} {
		got, err := b.node.clickhouse.Number(ctx, "count "+table, "SELECT count() FROM "+table+" FINAL WHERE NOT empty(account)")
		if err != nil {
			return err
		}
		if got != count[kind] {
			return fmt.Errorf("bench: ClickHouse holds %d %s after the %s phase, and %d were published", got, table, last, count[kind])
		}
	}
	if last == flowPrime {
		return nil
	}
	got, err := b.node.clickhouse.Number(ctx, "count accounts", "SELECT count() FROM identity_map FINAL")
	if err != nil {
		return err
	}
	if held := b.node.engine.Size().Accounts; got != uint64(b.Accounts) || held != b.Accounts {
		return fmt.Errorf("bench: %d accounts were published; ClickHouse holds %d, and the state %d", b.Accounts, got, held)
	}
	return nil
}

type bitset []uint64

// add says whether n was not there.
func (s bitset) add(n int) bool {
	bit := uint64(1) << (n % 64)
	was := s[n/64]&bit != 0
	s[n/64] |= bit
	return !was
}

func (r flowReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%d events a measurement, %.0f bytes each; %d accounts; Kafka: %s\n\n", r.Events, r.Warm.Bytes, r.Accounts, r.Kafka)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tevents/s\tof r_max\tCPU s/M\tefficiency\tbatches\t")
	row := func(name string, f flowFigure) {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%d\t\n", name, f.PerSecond, f.Ratio, f.CPU, f.Efficiency, f.Batches)
	}
	row("cold", r.Cold)
	row("warm", r.Warm)
	fmt.Fprintf(w, "r_max\t%.0f\t1.00\t%.2f\t1.00\t\t\n", r.RMax, 2e6/r.RMax)
	fmt.Fprintln(w, "\t\t\t\t\t\t")
	table := func(title string, of func(flowFigure) map[string]float64) {
		fmt.Fprintf(w, "%s, s/M\tcold\twarm\t\t\t\t\n", title)
		names := slices.Sorted(maps.Keys(of(r.Warm)))
		for name := range of(r.Cold) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		slices.SortStableFunc(names, func(x, y string) int {
			if of(r.Cold)[x] > of(r.Cold)[y] {
				return -1
			}
			return 1
		})
		for _, name := range names {
			fmt.Fprintf(w, "%s\t%.2f\t%.2f\t\t\t\t\n", name, of(r.Cold)[name], of(r.Warm)[name])
		}
		fmt.Fprintln(w, "\t\t\t\t\t\t")
	}
	fmt.Fprintf(w, "merging afterwards, s/M\t%.2f\t%.2f\t\t\t\t\n", r.Cold.MergesLeft, r.Warm.MergesLeft)
	table("process", func(f flowFigure) map[string]float64 { return f.Processes })
	table("stage of oneid", func(f flowFigure) map[string]float64 { return f.Stages })
	fmt.Fprintln(w, "floor, s/M\t\t\t\t\t\t")
	for _, name := range flowFloors {
		fmt.Fprintf(w, "%s\t%.2f\t\t\t\t\t\n", name, r.Floors[name])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nmaking customer_360 anew: %.1f CPU seconds\n", r.RefreshCPU)
	fmt.Fprintf(out, "peak memory of oneid: %.0f MiB; in the end %.0f MiB live on its heap, %.0f bytes an account more than before, and %.0f MiB are Pebble's\n",
		r.PeakMiB, r.HeapMiB, r.HeapPerAccount, r.StoreMiB)
	for _, note := range r.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	return nil
}
