package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"

	"oneid/connectors"
	"oneid/internal/customer"
	"oneid/pipelines"
	"oneid/pipelines/pull"
	"oneid/schemas/config"
	"oneid/schemas/events"
)

// benchCmd measures this machine; each of its commands is one measurement.
type benchCmd struct {
	Lookup benchLookupCmd   `cmd:"" help:"Measure the look-up API, over HTTP."`
	Flow   benchFlowCmd     `cmd:"" help:"Measure the flow from Kafka into ClickHouse."`
	Pull   benchPullCmd     `cmd:"" help:"Measure the connectors, from the platform's answer into Kafka."`
	Shop   benchPullShopCmd `cmd:"" name:"pull-shop" hidden:"" help:"Be the puller of a measurement."`
	Broker benchBrokerCmd   `cmd:"" hidden:"" help:"Be the embedded broker of a measurement."`
	Fill   benchFillCmd     `cmd:"" hidden:"" help:"Publish the events of a measurement."`
	List   benchListCmd     `cmd:"" default:"1" hidden:"" help:"List the measurements."`
}

type benchListCmd struct{}

// Run shows which measurements there are, and ends the process.
func (benchListCmd) Run(parsed *kong.Context) error {
	_, err := parsed.Parse([]string{"bench", "--help"})
	return err
}

// benchLookupCmd measures look-ups.
type benchLookupCmd struct {
	Customers int  `help:"Invented customers to look up." default:"100000"`
	Clients   int  `help:"Clients that ask at the same time." default:"16"`
	Seconds   int  `help:"How long each half of a profile is measured." default:"10"`
	JSON      bool `help:"Print one JSON object with the figures."`

	CPUProfile string `help:"Write the CPU profiles of this process to FILE.who and FILE.all, for go tool pprof." placeholder:"FILE" name:"cpuprofile"`
}

// Help shows below the usage.
func (benchLookupCmd) Help() string {
	return "Loads invented customers through Kafka, identity resolution and ClickHouse, serves the look-up API over them, and asks it over HTTP for customers drawn at random, by phone, order and account in turn: first for the identity half of profiles (parts=who), then for whole ones. It begins when what loading left behind is merged; customer_360 is made anew only while something changes, which is not then. Clients and server share this machine; CPU time is in microseconds a request, that of this process (server and clients) and that of the embedded ClickHouse. On a busy machine it is what to look at: others are the processors that other programs took meanwhile.\n\nThe customers lie in a temporary folder, or in --dir, which is kept and used again."
}

// benchFile marks a folder whose customers are invented for measuring.
const benchFile = "bench.json"

// benchMark is its content.
type benchMark struct {
	Customers int  `json:"customers"`
	Loaded    bool `json:"loaded"`
	// Events and Seconds tell what loading took.
	Events  int     `json:"events"`
	Seconds float64 `json:"seconds"`
}

// benchLookupReport is what --json prints.
type benchLookupReport struct {
	Customers   int         `json:"customers"`
	Clients     int         `json:"clients"`
	Processors  int         `json:"processors"`
	Events      int         `json:"events_loaded"`
	LoadSeconds float64     `json:"load_seconds"`
	Identity    benchFigure `json:"identity"`
	Profile     benchFigure `json:"profile"`
}

// benchFigure is the outcome of one measurement; times are milliseconds.
type benchFigure struct {
	Requests  int                    `json:"requests"`
	Failed    int                    `json:"failed"`
	PerSecond float64                `json:"requests_per_second"`
	P50       float64                `json:"p50_ms"`
	P99       float64                `json:"p99_ms"`
	Max       float64                `json:"max_ms"`
	ByKey     map[string]benchFigure `json:"by_key,omitempty"`
	// CPU is in microseconds a request, by process; Others is how many
	// processors all other programs of the machine took.
	CPU    map[string]float64 `json:"cpu_us_per_request,omitempty"`
	Others float64            `json:"other_processors"`
}

// Run measures.
func (c benchLookupCmd) Run(ctx context.Context, f folder, given dirGiven) (err error) {
	if c.Customers < 100 || c.Customers > 10_000_000 || c.Clients < 1 || c.Clients > 10_000 || c.Seconds < 1 {
		return errors.New("bench: --customers lies between 100 and 10,000,000, --clients between 1 and 10,000, --seconds is at least 1")
	}
	if !given {
		dir, err := os.MkdirTemp("", "oneid-bench-")
		if err != nil {
			return fmt.Errorf("bench: make a temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		f = folder(dir)
	}
	mark, err := f.benchMark(c.Customers)
	if err != nil {
		return err
	}
	show := newProgress(c.JSON)
	n, err := openNode(ctx, f, need{lookups: true, quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	if !n.owner {
		return hinted{errOwned, "stop that process first, or take another --dir"}
	}
	return n.resolving(ctx, func(ctx context.Context) error {
		if err := n.loadBench(ctx, &mark, show); err != nil {
			return err
		}
		if err := n.restFromLoading(ctx, show); err != nil {
			return err
		}
		report, err := c.measure(ctx, n, mark, show)
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(os.Stdout).Encode(report)
		}
		return report.print(os.Stdout)
	})
}

// benchMark reads the mark of a folder, or makes the folder with one. Invented
// customers go into no folder that something else is in.
func (f folder) benchMark(customers int) (benchMark, error) {
	mark := benchMark{Customers: customers}
	data, err := os.ReadFile(f.path(benchFile))
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &mark); err != nil {
			return mark, fmt.Errorf("bench: read %s: %w", f.path(benchFile), err)
		}
		if mark.Customers != customers {
			return mark, hinted{fmt.Errorf("bench: the folder %s has %d customers", f, mark.Customers), fmt.Sprintf("say --customers %d, or take another --dir", mark.Customers)}
		}
		return mark, nil
	case !errors.Is(err, fs.ErrNotExist):
		return mark, fmt.Errorf("bench: read the folder's mark: %w", err)
	}
	if _, err := os.Stat(f.path(settingsFile)); err == nil {
		return mark, hinted{fmt.Errorf("bench: %s is an instance of its own, and no invented customers are loaded into it", f), "take another --dir, or none for a temporary folder"}
	}
	if err := f.make(config.Sample); err != nil {
		return mark, err
	}
	return mark, f.writeBenchMark(mark)
}

func (f folder) writeBenchMark(mark benchMark) error {
	data, err := json.Marshal(mark)
	if err != nil {
		return err
	}
	return f.writeFile(benchFile, append(data, '\n'), 0o600)
}

// loadBench brings the customers through the whole flow, unless they are there.
func (n *node) loadBench(ctx context.Context, mark *benchMark, show *progress) error {
	if mark.Loaded {
		return n.settle(ctx)
	}
	began := time.Now()
	show.start("inventing customers", int64(mark.Customers))
	p := n.puller(benchCustomers(mark.Customers), "tmall", benchShop, "customers")
	p.Cursors = nil // an unfinished load begins again; repeating changes nothing
	p.Progress = func(sum pull.Summary) { show.set(int64(sum.Records), int64(mark.Customers)) }
	sum, err := p.Once(ctx)
	if err == nil && sum.DeadLetters > 0 {
		err = fmt.Errorf("bench: %d customers could not be invented", sum.DeadLetters)
	}
	if err != nil {
		return err
	}
	show.finish()
	show.start("resolving into ClickHouse", 0)
	if err := n.settle(ctx); err != nil {
		return err
	}
	show.finish()
	mark.Loaded, mark.Events, mark.Seconds = true, sum.Events, time.Since(began).Seconds()
	return n.folder.writeBenchMark(*mark)
}

// restFromLoading waits until ClickHouse has done what loading left behind:
// merges, and customer_360, which then shows everything and rests. It gives up after restAtMost, for a server of other
// people may never rest.
func (n *node) restFromLoading(ctx context.Context, show *progress) error {
	const restAtMost, calm = 2 * time.Minute, 3
	// A view that shows everything is made anew in an hour: see KeepPace.
	const busyWith = "SELECT (SELECT count() FROM system.merges) + (SELECT countIf(status = 'Running' OR next_refresh_time < now() + 1200) FROM system.view_refreshes)"
	show.start("waiting for ClickHouse to have merged what was loaded", 0)
	for began, quiet := time.Now(), 0; quiet < calm && time.Since(began) < restAtMost; {
		busy, err := n.clickhouse.Number(ctx, "see what ClickHouse is at", busyWith)
		if err != nil {
			return err
		}
		if quiet++; busy > 0 {
			quiet = 0
		}
		if err := pipelines.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	show.finish()
	return nil
}

// measure serves the API and asks it.
func (c benchLookupCmd) measure(ctx context.Context, n *node, mark benchMark, show *progress) (benchLookupReport, error) {
	report := benchLookupReport{Customers: mark.Customers, Clients: c.Clients, Processors: runtime.GOMAXPROCS(0), Events: mark.Events, LoadSeconds: mark.Seconds}
	server, err := n.listenAPI(ctx)
	if err != nil {
		return report, err
	}
	path, err := n.folder.localAPIKey()
	if err != nil {
		return report, err
	}
	key, err := os.ReadFile(n.folder.path(path))
	if err != nil {
		return report, fmt.Errorf("bench: read the API key: %w", err)
	}
	transport := &http.Transport{MaxIdleConns: c.Clients, MaxIdleConnsPerHost: c.Clients}
	defer transport.CloseIdleConnections()
	asker := &benchAsker{
		http: &http.Client{Transport: transport, Timeout: 30 * time.Second},
		url:  server.url + "/v1/customers:lookup?parts=", authorization: "Bearer " + strings.TrimSpace(string(key)),
		customers: mark.Customers, clients: c.Clients,
	}
	serving, stop := context.WithCancel(ctx)
	group, groupCtx := errgroup.WithContext(serving)
	group.Go(func() error { return server.serve(groupCtx) })
	n.loadBuyers(ctx)
	group.Go(func() error {
		defer stop()
		if err := asker.verify(groupCtx); err != nil {
			return err
		}
		for _, half := range []struct {
			title, parts string
			into         *benchFigure
		}{{"identity half of profiles", "who", &report.Identity}, {"whole profiles", "all", &report.Profile}} {
			// Caches and connections fill before it counts.
			if _, err := asker.ask(groupCtx, half.parts, time.Second); err != nil {
				return err
			}
			show.start("asking for the "+half.title+" (seconds)", int64(c.Seconds))
			cpu := meter{children: func() map[string]int {
				if n.engineServer == nil {
					return nil
				}
				return map[string]int{"clickhouse": n.engineServer.PID()}
			}}
			cpu.start()
			figure, err := c.profiled(half.parts, func() (benchFigure, error) {
				return asker.ask(groupCtx, half.parts, time.Duration(c.Seconds)*time.Second)
			})
			if err != nil {
				return err
			}
			used := cpu.stop()
			figure.CPU, figure.Others = map[string]float64{}, used.others/used.took.Seconds()
			for name, seconds := range used.by {
				figure.CPU[name] = seconds * 1e6 / float64(max(figure.Requests, 1))
			}
			show.set(int64(c.Seconds), int64(c.Seconds))
			show.finish()
			*half.into = figure
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return report, err
	}
	if failed := report.Identity.Failed + report.Profile.Failed; failed > 0 {
		return report, fmt.Errorf("bench: %d of %d look-ups failed; the log says why", failed, report.Identity.Requests+report.Profile.Requests)
	}
	return report, nil
}

// profiled runs f, under the CPU profiler if that was asked for.
func (c benchLookupCmd) profiled(parts string, f func() (benchFigure, error)) (figure benchFigure, err error) {
	if c.CPUProfile == "" {
		return f()
	}
	_, recorded, err := profiled(func() error {
		figure, err = f()
		return err
	})
	if err != nil {
		return figure, err
	}
	if err := os.WriteFile(c.CPUProfile+"."+parts, recorded, 0o600); err != nil {
		return figure, fmt.Errorf("bench: write the profile: %w", err)
	}
	return figure, nil
}

func (r benchLookupReport) print(out io.Writer) error {
	fmt.Fprintf(out, "%d customers, %d clients, %d processors for clients and server together\n\n", r.Customers, r.Clients, r.Processors)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tby\trequests/s\tp50 ms\tp99 ms\tmost ms\t")
	row := func(half, by string, f benchFigure) {
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.2f\t%.2f\t%.2f\t\n", half, by, f.PerSecond, f.P50, f.P99, f.Max)
	}
	for _, half := range []struct {
		title  string
		figure benchFigure
	}{{"identity half", r.Identity}, {"whole profile", r.Profile}} {
		row(half.title, "all", half.figure)
		for _, by := range benchKeys {
			row("", by, half.figure.ByKey[by])
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nCPU a request: identity half %.0f µs here, %.0f µs in ClickHouse; whole profile %.0f µs and %.0f µs. Others took %.1f and %.1f processors.\n",
		r.Identity.CPU["oneid"], r.Identity.CPU["clickhouse"], r.Profile.CPU["oneid"], r.Profile.CPU["clickhouse"], r.Identity.Others, r.Profile.Others)
	return nil
}

// benchKeys are what customers are looked up by, in turn.
var benchKeys = []string{"phone", "order", "account"}

// benchAsker asks the API.
type benchAsker struct {
	http               *http.Client
	url, authorization string
	customers, clients int
}

// key is a key of a customer.
func (a *benchAsker) key(by string, customerNo int) customer.Key {
	accounts := benchAccounts(customerNo)
	last := accounts[len(accounts)-1]
	switch by {
	case "phone":
		return customer.Key{Phone: benchPhone(customerNo)}
	case "order":
		return customer.Key{Order: last.platform + "/" + benchShop + "/" + last.order(0)}
	}
	return customer.Key{Account: last.platform + "/" + benchShop + "/" + last.id}
}

// one asks for one customer; the answer is appended to buffer.
func (a *benchAsker) one(ctx context.Context, parts string, key customer.Key, buffer *bytes.Buffer) error {
	body, err := json.Marshal(key)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+parts, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", a.authorization)
	request.Header.Set("Content-Type", "application/json")
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := buffer.ReadFrom(response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	return nil
}

// verify asks for a few customers by each key, and compares with what was
// invented: figures of wrong answers are worth nothing.
func (a *benchAsker) verify(ctx context.Context) error {
	for _, no := range []int{0, 1, a.customers / 2, a.customers - 1} {
		for _, by := range benchKeys {
			var answer bytes.Buffer
			if err := a.one(ctx, "all", a.key(by, no), &answer); err != nil {
				return fmt.Errorf("bench: look customer %d up by %s: %w", no, by, err)
			}
			var found customer.Profile
			if err := json.Unmarshal(answer.Bytes(), &found); err != nil {
				return fmt.Errorf("bench: read customer %d: %w", no, err)
			}
			accounts := len(benchAccounts(no))
			if len(found.Accounts) != accounts || len(found.LastOrders) != accounts*benchOrders {
				return fmt.Errorf("bench: customer %d by %s has %d accounts and %d orders, where %d and %d were invented", no, by, len(found.Accounts), len(found.LastOrders), accounts, accounts*benchOrders)
			}
		}
	}
	return nil
}

// ask lets all clients ask for that long.
func (a *benchAsker) ask(ctx context.Context, parts string, long time.Duration) (benchFigure, error) {
	type sample struct {
		by   int
		took time.Duration
	}
	samples, failed := make([][]sample, a.clients), make([][]int, a.clients)
	began := time.Now()
	var group errgroup.Group
	for client := range a.clients {
		failed[client] = make([]int, len(benchKeys))
		group.Go(func() error {
			draw := rand.New(rand.NewPCG(uint64(client), 1)) // which customers are asked for is no secret
			var answer bytes.Buffer
			for turn := client; time.Since(began) < long && ctx.Err() == nil; turn++ {
				by := turn % len(benchKeys)
				key := a.key(benchKeys[by], draw.IntN(a.customers))
				answer.Reset()
				start := time.Now()
				if err := a.one(ctx, parts, key, &answer); err != nil {
					failed[client][by]++
				}
				samples[client] = append(samples[client], sample{by, time.Since(start)})
			}
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return benchFigure{}, err
	}
	took := time.Since(began)
	var all []time.Duration
	by := make([][]time.Duration, len(benchKeys))
	for _, list := range samples {
		for _, s := range list {
			all = append(all, s.took)
			by[s.by] = append(by[s.by], s.took)
		}
	}
	figure := figureOf(all, took)
	figure.ByKey = make(map[string]benchFigure, len(benchKeys))
	for i, name := range benchKeys {
		part := figureOf(by[i], took)
		for client := range failed {
			part.Failed += failed[client][i]
		}
		figure.Failed += part.Failed
		figure.ByKey[name] = part
	}
	return figure, nil
}

// figureOf sums times up; it sorts them.
func figureOf(times []time.Duration, took time.Duration) benchFigure {
	if len(times) == 0 {
		return benchFigure{}
	}
	slices.Sort(times)
	// The smallest time that at least that share of all do not exceed.
	share := func(percent int) float64 {
		return milliseconds(times[(len(times)*percent+99)/100-1])
	}
	return benchFigure{
		Requests: len(times), PerSecond: float64(len(times)) / took.Seconds(),
		P50: share(50), P99: share(99), Max: milliseconds(times[len(times)-1]),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// benchCustomers invents that many customers: of two, one has an account on
// two platforms, joined by the phone of both memberships, and the other on
// one. It is a connector, so that they take the way of all others.
type benchCustomers int

const (
	benchShop   = "bench"
	benchOrders = 2 // of each account
	// benchPage is how many customers a page has: some 5,000 events.
	benchPage = 1000
)

// benchDay is when all of it happens: an event's version decides what is
// new, and a repeated load must change nothing.
var benchDay = time.Date(2026, 1, 1, 4, 0, 0, 0, time.UTC)

// benchAccount is an account of an invented customer.
type benchAccount struct{ platform, id string }

func (a benchAccount) order(i int) string { return fmt.Sprintf("%s-%d", a.id, i+1) }

func benchAccounts(customerNo int) []benchAccount {
	id := fmt.Sprintf("b%08d", customerNo)
	if customerNo%2 == 0 {
		return []benchAccount{{"tmall", id}, {"douyin", id}}
	}
	return []benchAccount{{"weidian", id}}
}

// benchPhone is a phone of no other customer.
// Numbers of hardly more than zeros would be taken for placeholders: the
// factor, prime to 10^8, spreads them.
func benchPhone(customerNo int) string {
	return fmt.Sprintf("138%08d", (customerNo+1)*73_856_093%100_000_000)
}

// Spec implements connectors.Connector.
func (benchCustomers) Spec() connectors.Spec {
	return connectors.Spec{Platform: "tmall", Streams: []connectors.Stream{{Name: "customers", Kinds: []events.Kind{events.KindUser, events.KindOrder, events.KindTicket}}}}
}

// Check implements connectors.Connector.
func (benchCustomers) Check(context.Context) error { return nil }

// Read implements connectors.Connector: a record is the number of a customer.
func (b benchCustomers) Read(context.Context, string, connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		for from := 0; from < int(b); from += benchPage {
			page := connectors.Page{Server: benchDay, Total: int(b)}
			for no := from; no < min(from+benchPage, int(b)); no++ {
				page.Records = append(page.Records, connectors.Record{Stream: "customers", Shop: benchShop, Raw: fmt.Append(nil, no), Observed: benchDay})
			}
			if !yield(page, nil) {
				return
			}
		}
	}
}

// Map implements connectors.Connector.
func (benchCustomers) Map(record connectors.Record) ([]*events.Event, error) {
	var no int
	if err := json.Unmarshal(record.Raw, &no); err != nil {
		return nil, errors.New("bench: a record is the number of a customer")
	}
	var list []*events.Event
	at := benchDay.Add(-time.Duration(no%(90*24*60)) * time.Minute).UnixMilli()
	for _, account := range benchAccounts(no) {
		header := func(entity string) *events.Header {
			return &events.Header{
				Platform: account.platform, Shop: benchShop, EntityId: entity, Account: account.id, Stream: "customers", Raw: record.Raw,
				Version: &events.Version{ModifiedMs: at, Source: events.Source_SOURCE_API, ObservedMs: benchDay.UnixMilli(), Revision: 1},
			}
		}
		user := header(account.id)
		user.Person = &events.Person{Sightings: []*events.Sighting{{Type: "phone", Value: benchPhone(no), Role: events.Role_ROLE_MEMBER}}}
		list = append(list, &events.Event{Header: user, Body: &events.Event_User{User: &events.User{Member: true, MemberSinceMs: at, CreatedMs: at}}})
		for i := range benchOrders {
			id, paid := account.order(i), int64(1000+no%90_000)
			list = append(list, &events.Event{Header: header(id), Body: &events.Event_Order{Order: &events.Order{
				Status: events.OrderStatus_ORDER_STATUS_FINISHED, PlatformStatus: "FINISHED", CreatedMs: at, PaidMs: at + 60_000, FinishedMs: at + 86_400_000,
				Currency: "CNY", GoodsMinor: paid, PayableMinor: paid, PaidMinor: paid,
				Items: []*events.OrderItem{{ItemId: id + "-1", ProductId: "P1", SkuId: "S1", Title: "tea", Quantity: 1, UnitPriceMinor: paid, PaidMinor: paid, Status: events.OrderStatus_ORDER_STATUS_FINISHED, PlatformStatus: "FINISHED"}},
			}}})
		}
		if no%4 == 0 {
			list = append(list, &events.Event{Header: header("T" + account.id), Body: &events.Event_Ticket{Ticket: &events.Ticket{
				Kind: "service", Status: events.TicketStatus_TICKET_STATUS_OPEN, PlatformStatus: "OPEN", Subject: "delivery", OrderId: account.order(0), CreatedMs: at,
			}}})
		}
	}
	return list, nil
}
