package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/internal/clickhouse"
	"oneid/internal/crashtest"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/fault"
	"oneid/internal/flowcheck"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/internal/state"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// What a run of TestKilledAnywhere can be told from outside.
const (
	// killsVariable is how often something is killed; default defaultKills.
	killsVariable = "ONEID_TEST_KILLS"
	defaultKills  = 6
	// kafkaVariable names the brokers of a real Kafka (host:port, …) to run
	// against; kafkaScriptVariable a program that, told `kill`, kills it and
	// starts it again, and told `freeze N` stops it for N seconds: without one
	// it is left alive.
	kafkaVariable       = "ONEID_TEST_KAFKA"
	kafkaScriptVariable = "ONEID_TEST_KAFKA_SCRIPT"
)

// frozenFor is longer than a member of the consumer group may be silent.
const frozenFor = 8 * time.Second

// rowsFlowWithin is what the flow promises after each restart.
const rowsFlowWithin = 10 * time.Second

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests, to see a failure again; 0 takes a new one")

// seed is the run's, told so that it can be given again.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := *seedFlag
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("to see this again: -run '^%s$' -seed %d", t.Name(), s)
	return s
}

// roles are what a child of this test binary can be.
var roles = map[string]func() int{
	"oneid": func() int { return run(os.Args[1:]) },
	// broker FOLDER ADDRESS
	"broker": func() int {
		b, err := broker.Start(os.Args[1], os.Args[2])
		return untilSignalled(err, func(ctx context.Context) error {
			<-ctx.Done()
			b.Close()
			return nil
		})
	},
	// producer FOLDER BROKERS BRAND LOG SEED
	"producer": func() int {
		return untilSignalled(nil, func(ctx context.Context) error {
			return produce(ctx, os.Args[1], strings.Split(os.Args[2], ","), os.Args[3], os.Args[4], os.Args[5])
		})
	},
}

// untilSignalled does work until SIGTERM, and gives an exit code.
func untilSignalled(err error, work func(context.Context) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err == nil {
		err = work(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// produce publishes a load under the keys of a data folder.
func produce(ctx context.Context, dir string, brokers []string, brand, log, seed string) error {
	number, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		return err
	}
	keys, err := keyring.Open(dir)
	if err != nil {
		return err
	}
	client, err := kafka.New(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	publisher := client.Publisher()
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	p := &flowcheck.Producer{
		Load: flowcheck.NewLoad(number), Topics: events.TopicsOf(brand), Keys: keys, Log: file, Pause: 80 * time.Millisecond,
		Publish: func(ctx context.Context, messages []flowcheck.Message) error {
			out := make([]kafka.Message, len(messages))
			for i, m := range messages {
				out[i] = kafka.Message{Topic: m.Topic, Key: m.Key, Value: m.Value}
			}
			return publisher.Publish(ctx, out)
		},
	}
	return errors.Join(p.Run(ctx), publisher.Close(), file.Close())
}

// site is a whole flow in children that can be killed one by one: a broker,
// a producer, and `oneid up` with its engine.
type site struct {
	dir, brand, log string
	brokers         []string
	db              chdbtest.Database
	random          *rand.Rand

	broker, producer, up *crashtest.Process // broker is nil beside a real Kafka
	longest              time.Duration      // from a restart to the first new row
}

// newSite starts all of it, and returns once rows flow.
func newSite(t *testing.T, seed uint64) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s := &site{dir: dir, brand: "b", log: filepath.Join(t.TempDir(), "producer.log"), random: rand.New(rand.NewPCG(seed, 1))}
	must(t, "init", "--dir", dir)
	if list := os.Getenv(kafkaVariable); list != "" {
		s.brokers, s.brand = strings.Split(list, ","), "killed"+strconv.FormatUint(seed, 36)+strconv.FormatInt(time.Now().UnixMilli(), 36)
	} else {
		s.brokers = []string{crashtest.Address(t)}
		s.startBroker(t)
	}
	address := crashtest.Address(t)
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf("brand: %s\nkafka: {brokers: [%q], partitions: 2}\nclickhouse: {listen: %q}\n",
		s.brand, strings.Join(s.brokers, `", "`), address))
	s.startUp(t, crashtest.Fault{})
	eventually(t, time.Minute, "up answers", func() (bool, string) {
		wantRunning(t, s.up)
		return strings.Contains(s.up.Output(), "up: see "), s.up.Output()
	})
	secret, err := os.ReadFile(filepath.Join(dir, "secrets", "clickhouse.password"))
	if err != nil {
		t.Fatal(err)
	}
	s.db = chdbtest.Database{URL: "http://" + address, User: "oneid", Password: strings.TrimSpace(string(secret)), Name: "oneid"}
	if err := s.flow(nil, nil).StopMerges(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.producer = crashtest.Start(t, crashtest.Child{Role: "producer", Env: environment(), Args: []string{dir, strings.Join(s.brokers, ","), s.brand, s.log, strconv.FormatUint(seed, 10)}})
	s.wantRows(t, "the first start", time.Now())
	s.longest = 0
	return s
}

func (s *site) startBroker(t *testing.T) {
	t.Helper()
	s.broker = crashtest.Start(t, crashtest.Child{Role: "broker", Env: environment(), Args: []string{s.dir + ".kafka", s.brokers[0]}})
}

func (s *site) startUp(t *testing.T, f crashtest.Fault) {
	t.Helper()
	s.up = crashtest.Start(t, crashtest.Child{Role: "oneid", Env: environment(), Args: []string{"up", "--dir", s.dir}, Fault: f})
}

func wantRunning(t *testing.T, p *crashtest.Process) {
	t.Helper()
	select {
	case <-p.Ended():
		t.Fatalf("it ended by itself:\n%s", p.Output())
	default:
	}
}

var enginePID = regexp.MustCompile(`embedded clickhouse.*state=ready.*pid=(\d+)`)

// engine is the process id of the engine that up has started last; 0: none.
func (s *site) engine() int {
	found := enginePID.FindAllStringSubmatch(s.up.Output(), -1)
	if found == nil {
		return 0
	}
	pid, _ := strconv.Atoi(found[len(found)-1][1]) // digits
	return pid
}

// restartUp starts up anew after its process was killed: nothing of it may
// live on.
func (s *site) restartUp(t *testing.T, f crashtest.Fault) time.Time {
	t.Helper()
	if pid := s.engine(); pid != 0 {
		crashtest.WaitGone(t, pid, rowsFlowWithin)
	}
	s.startUp(t, f)
	return s.up.Started()
}

// wantRows waits until something is visible that was acknowledged only after
// a restart.
func (s *site) wantRows(t *testing.T, what string, since time.Time) {
	t.Helper()
	before := int64(0)
	if _, err := os.Stat(s.log); err == nil {
		if before, err = flowcheck.Acked(s.log); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, time.Minute, "rows flow after "+what, func() (bool, string) {
		wantRunning(t, s.up)
		wantRunning(t, s.producer)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		newest, err := s.flow(nil, nil).Newest(ctx)
		return err == nil && newest > before, fmt.Sprintf("fact %d is the newest in ClickHouse, want more than %d (%v)\n%s", newest, before, err, s.up.Output())
	})
	took := time.Since(since)
	s.longest = max(s.longest, took)
	crashtest.Within(t, what+": new rows", took, rowsFlowWithin)
}

// flow is where flowcheck looks.
func (s *site) flow(client *kafka.Client, keys *keyring.Ring) flowcheck.Flow {
	return flowcheck.Flow{
		Query: s.db.Query,
		Read: func(ctx context.Context, topic string, message func(int, int64, []byte) error) error {
			return client.ReadAll(ctx, topic, func(partition int, m kafka.Fetched) error { return message(partition, m.Offset, m.Value) })
		},
		Topics: events.TopicsOf(s.brand), Keys: keys,
	}
}

// kill is one way to die. do kills and starts again what does not come back by
// itself, and says since when rows may be waited for.
type kill struct {
	name string
	do   func(*testing.T, *site) (since time.Time)
}

// soon is a moment that nothing was agreed upon for. That there is work to
// die in is certain: rows flow.
func (s *site) soon() { time.Sleep(time.Duration(s.random.IntN(600)) * time.Millisecond) }

// atPoint dies at a named point.
func atPoint(point string) kill {
	return kill{"up at " + point, func(t *testing.T, s *site) time.Time {
		s.up.Arm(t, crashtest.Fault{Point: point, Hit: 1 + s.random.IntN(3)})
		s.up.WaitKilled(t, time.Minute)
		return s.restartUp(t, crashtest.Fault{})
	}}
}

// anyKills are the other ways.
func anyKills() []kill {
	kills := []kill{
		{"up alone, at any moment", func(t *testing.T, s *site) time.Time {
			s.soon()
			s.up.Kill()
			return s.restartUp(t, crashtest.Fault{})
		}},
		{"up and its engine, whole groups", func(t *testing.T, s *site) time.Time {
			s.soon()
			crashtest.KillPID(-s.engine())
			s.up.KillGroup()
			return s.restartUp(t, crashtest.Fault{})
		}},
		{"up in the middle of its recovery", func(t *testing.T, s *site) time.Time {
			s.soon()
			s.up.Kill()
			s.restartUp(t, crashtest.Fault{Point: "*", Hit: 1 + s.random.IntN(6)})
			s.up.WaitKilled(t, time.Minute)
			return s.restartUp(t, crashtest.Fault{})
		}},
		{"the engine", func(t *testing.T, s *site) time.Time {
			s.soon()
			return s.killEngine(t)
		}},
		{"up, frozen for longer than the group's session", func(_ *testing.T, s *site) time.Time {
			s.soon()
			s.up.Signal(syscall.SIGSTOP)
			time.Sleep(frozenFor)
			s.up.Signal(syscall.SIGCONT)
			return time.Now()
		}},
		{"the engine, then up", func(t *testing.T, s *site) time.Time {
			s.soon()
			s.killEngine(t)
			s.soon()
			s.up.Kill()
			return s.restartUp(t, crashtest.Fault{})
		}},
	}
	if os.Getenv(kafkaVariable) != "" && os.Getenv(kafkaScriptVariable) == "" {
		return kills
	}
	return append(kills,
		kill{"the broker, frozen for longer than the group's session", func(t *testing.T, s *site) time.Time {
			s.soon()
			s.freezeBroker(t)
			return time.Now()
		}},
		kill{"the broker", func(t *testing.T, s *site) time.Time {
			s.soon()
			return s.killBroker(t)
		}},
		kill{"the broker and up at once", func(t *testing.T, s *site) time.Time {
			s.soon()
			s.up.Signal(syscall.SIGKILL)
			s.killBroker(t)
			s.up.WaitKilled(t, time.Minute)
			return s.restartUp(t, crashtest.Fault{})
		}},
		kill{"the broker and the engine at once", func(t *testing.T, s *site) time.Time {
			s.soon()
			s.killEngine(t)
			return s.killBroker(t)
		}},
	)
}

// killEngine kills the engine; its parent starts it again.
func (s *site) killEngine(t *testing.T) time.Time {
	t.Helper()
	pid := s.engine()
	if !crashtest.KillPID(pid) {
		t.Fatalf("there is no engine %d to kill:\n%s", pid, s.up.Output())
	}
	crashtest.WaitGone(t, pid, rowsFlowWithin)
	return time.Now()
}

// killBroker kills the broker and starts it again.
func (s *site) killBroker(t *testing.T) time.Time {
	t.Helper()
	if s.broker == nil {
		s.script(t, "kill")
		return time.Now()
	}
	s.broker.Kill()
	s.startBroker(t)
	return s.broker.Started()
}

// freezeBroker lets the broker do nothing for a while.
func (s *site) freezeBroker(t *testing.T) {
	t.Helper()
	if s.broker == nil {
		s.script(t, "freeze", strconv.Itoa(int(frozenFor.Seconds())))
		return
	}
	s.broker.Signal(syscall.SIGSTOP)
	time.Sleep(frozenFor)
	s.broker.Signal(syscall.SIGCONT)
}

// script has the real Kafka killed or stopped.
func (*site) script(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), os.Getenv(kafkaScriptVariable), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// killsOf is a plan of n kills: each point and each other way once if there
// are enough, then at random.
func killsOf(n int, r *rand.Rand) []kill {
	var plan []kill
	for _, point := range fault.Points("resolve") { // each by name, so that a new one is not forgotten
		plan = append(plan, atPoint(point))
	}
	plan = append(plan, anyKills()...)
	all := slices.Clone(plan)
	if n < len(plan) {
		r.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
		return plan[:n]
	}
	for len(plan) < n {
		plan = append(plan, all[r.IntN(len(all))])
	}
	return plan
}

// killsARound bounds a round, after which all is looked at and begun anew:
// nothing is merged in ClickHouse meanwhile, and with many parts a start of
// the engine is slower than it ever is in use.
const killsARound = 10

// Killed at any step and at any moment, alone or with what it works with, the
// flow loses and doubles nothing: in the views and in what lies below them.
// Who is one customer is what the oracle finds; every id that was handed out
// leads to somebody who lives; each unreadable message is in the dead letter
// once; and rows flow again within ten seconds of each restart.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	kills := defaultKills
	if text := os.Getenv(killsVariable); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil || kills < 1 {
			t.Fatalf("%s=%q: want a number of kills", killsVariable, text)
		}
	}
	began, done := seed(t), 0
	for plan := range slices.Chunk(killsOf(kills, rand.New(rand.NewPCG(began, 2))), killsARound) {
		s := newSite(t, began+uint64(done))
		for _, k := range plan {
			done++
			s.wantRows(t, fmt.Sprintf("kill %d, %s", done, k.name), k.do(t, s))
		}
		s.finish(t)
		if t.Failed() {
			return
		}
	}
}

// finish lets the flow come to rest and looks at all that came of it.
func (s *site) finish(t *testing.T) {
	t.Helper()
	s.producer.Signal(syscall.SIGTERM)
	if code := s.producer.Wait(t, 2*time.Minute); code != 0 {
		t.Fatalf("the producer exits with %d:\n%s", code, s.producer.Output())
	}
	oracle, err := flowcheck.ReadOracle(s.log)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.Open(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kafka.New(kafka.Config{Brokers: s.brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.settle(t, client)
	flow := s.flow(client, keys)
	wrong, err := flow.Differences(t.Context(), oracle)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range wrong {
		t.Error(line)
	}
	customerOf, err := flow.CustomerOf(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.up.Signal(syscall.SIGTERM)
	if code := s.up.Wait(t, time.Minute); code != 0 {
		t.Errorf("up exits with %d at SIGTERM:\n%s", code, s.up.Output())
	}
	wantState(t, s.dir, customerOf)
	entities, versions, garbage, customers := oracle.Facts()
	t.Logf("%d versions of %d entities, %d pieces of garbage, %d customers; the longest time from a restart to new rows was %s",
		versions, entities, garbage, customers, s.longest.Round(time.Millisecond))
	if garbage == 0 || customers == 0 {
		t.Error("the load was too small to show anything")
	}
}

// settle waits until all that lies in Kafka is in ClickHouse, and brings the
// views up to date.
func (s *site) settle(t *testing.T, client *kafka.Client) {
	t.Helper()
	topics := events.TopicsOf(s.brand).Resolved()
	eventually(t, time.Minute, "the flow has caught up", func() (bool, string) {
		wantRunning(t, s.up)
		want := make(kafka.Position)
		for _, topic := range topics {
			_, next, err := client.Ends(t.Context(), topic)
			if err != nil {
				return false, err.Error()
			}
			want[topic] = next
		}
		have, err := client.Committed(t.Context(), pipelines.ResolverGroup(s.brand), topics)
		return err == nil && reached(have, want), fmt.Sprintf("have %v, want %v (%v)\n%s", have, want, err, s.up.Output())
	})
	conn, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: s.db.URL, Database: s.db.Name, User: s.db.User, Password: s.db.Password})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.RefreshViews(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// wantState checks that the resolver's state says of each account what
// ClickHouse says.
func wantState(t *testing.T, dir string, customerOf map[string]string) {
	t.Helper()
	store, err := state.Open(folder(dir).path("state"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	rules, err := identity.ParseRules(identity.DefaultRulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(store, rules)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Size().Accounts; got != len(customerOf) {
		t.Errorf("the state has %d accounts, identity_map %d", got, len(customerOf))
	}
	differ := 0
	for account, want := range customerOf {
		key, err := identity.ParseAccount(account)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := e.CustomerOf(key)
		if ok && got.String() == want {
			continue
		}
		if differ++; differ <= 5 {
			t.Errorf("the state has %s as customer of %s, identity_map %s", got, account, want)
		}
	}
	if differ > 5 {
		t.Errorf("the state differs in %d accounts", differ)
	}
}
