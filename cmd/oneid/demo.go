package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors/file"
	"oneid/connectors/simulator"
	"oneid/identity"
	"oneid/identity/evaluate"
	"oneid/identity/match/receivers"
	"oneid/internal/tablefile"
	"oneid/pipelines/pull"
	"oneid/schemas/config"
	"oneid/schemas/events"
)

// demoCmd shows the whole of OneID on invented people.
type demoCmd struct {
	People *int      `help:"How many people to invent, from 100 to 1,000,000 (default: those of the folder, or 1000)."`
	Seed   *uint64   `help:"Which people: the same seed invents the same (default: that of the folder, or 1)."`
	Until  time.Time `help:"Where the data end (RFC 3339); default: now, or what the folder recorded. Not long ago: as on the platforms, windows are counted from now, the data reach back 80 days from their end, and Tmall and Douyin list no order of more than 90 days ago." format:"2006-01-02T15:04:05Z07:00"`
	Model  bool      `help:"Join by masked receivers, too: a new folder begins with the rules that ship and the shipped model of receivers, in its rules.yaml."`
	Exit   bool      `help:"End after the report instead of staying up."`
	JSON   bool      `help:"Print one JSON object instead of the report."`
}

// Help shows below the usage.
func (demoCmd) Help() string {
	return "Starts simulators of the three platforms, the embedded Kafka and ClickHouse; pulls everything through the real connectors; finds who is who; compares with the truth; prints the addresses that it answers at; and, in a terminal, stays up until Ctrl-C. Called again on its own folder it goes on where it was. Afterwards `oneid up`, `query` and `lookup` go on from the folder."
}

// makeModelRules makes the file of rules of a new folder that uses the shipped
// model, and returns the settings that name it. It writes nothing into a folder
// that has begun: what lies there is somebody's.
func (f folder) makeModelRules() ([]byte, error) {
	const name = "rules.yaml"
	if _, err := os.Stat(f.path(settingsFile)); err == nil {
		return config.Sample, nil
	}
	if err := os.MkdirAll(f.path(""), 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.WriteFile(f.path(name), slices.Concat(identity.DefaultRulesYAML(), []byte("\n"), receivers.RulesYAML()), 0o600); err != nil {
		return nil, fmt.Errorf("write the rules: %w", err)
	}
	return bytes.Replace(config.Sample, []byte("# identity:\n#   rules_file: \"\"          "), []byte("identity:\n  rules_file: "+name+"      "), 1), nil
}

// demoReport is what --json prints.
type demoReport struct {
	Platforms map[string]map[string]sourceStored `json:"platforms"`
	Customers int                                `json:"customers"`
	People    int                                `json:"people"`
	Precision float64                            `json:"precision"`
	Recall    float64                            `json:"recall"`
	// RecallPossible is the share of true pairs that identifiers connect; a model
	// may find more.
	RecallPossible float64 `json:"recall_possible"`
	// Model is the model that joins masked receivers; empty if none does.
	Model   string  `json:"model,omitempty"`
	Seconds float64 `json:"seconds"`
	// Events that are stored: one for each entity and way by which it came.
	// Pages that a run repeats do not count again.
	Events int `json:"events"`
}

// sourceStored compares what a simulator says it has with what ClickHouse has.
type sourceStored struct {
	Source int `json:"source"`
	Stored int `json:"stored"`
}

// Run shows it.
func (c demoCmd) Run(ctx context.Context, f folder) (err error) {
	recorded, err := simulator.Load(string(f))
	if err != nil {
		recorded = simulator.Config{People: 1000, Seed: 1}
	}
	people, seed := recorded.People, recorded.Seed
	if c.People != nil {
		people = *c.People
	}
	if c.Seed != nil {
		seed = *c.Seed
	}
	if people < 100 || people > 1000000 {
		return errors.New("--people must lie between 100 and 1,000,000")
	}
	if _, err := f.world(simulator.Config{People: people, Seed: seed, Until: c.Until}); err != nil {
		return err
	}
	settings := config.Sample
	if c.Model {
		if settings, err = f.makeModelRules(); err != nil {
			return err
		}
	}
	if err := f.make(settings); err != nil {
		return err
	}
	show := newProgress(c.JSON)
	terminal := isTerminal(os.Stdout)
	n, err := openNode(ctx, f, need{bi: true, lookups: true, quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	if !n.owner {
		return hinted{errOwned, "stop that process first, or take another --dir"}
	}
	if _, inForce := n.engine.Rules(); c.Model && inForce.Model == nil {
		return hinted{fmt.Errorf("%s has begun without a model, or its settings name rules without one", f), "take another --dir, or leave --model out"}
	}
	began := time.Now()
	return n.resolving(ctx, func(ctx context.Context) error {
		return n.withSimulators(ctx, func(ctx context.Context, s *simulators) error {
			if err := n.pullAll(ctx, s, show); err != nil {
				return err
			}
			show.start("resolving into ClickHouse", 0)
			if err := n.settle(ctx); err != nil {
				return err
			}
			show.finish()
			report, err := n.report(ctx, s)
			if err != nil {
				return err
			}
			report.Seconds = time.Since(began).Seconds()
			if c.JSON {
				return errors.Join(json.NewEncoder(os.Stdout).Encode(report), report.check())
			}
			if err := report.print(os.Stdout); err != nil {
				return err
			}
			if err := report.check(); err != nil || c.Exit {
				return err
			}
			staying, end := context.WithCancel(ctx)
			defer end()
			return n.stayUp(staying, s.shops, func() {
				n.printAddresses(os.Stdout, terminal)
				if !terminal { // there is nobody to press Ctrl-C
					end()
				}
			})
		})
	})
}

// pullAll pulls every stream of every simulated shop to its end, and loads
// the brand's member lists.
func (n *node) pullAll(ctx context.Context, s *simulators, show *progress) error {
	group, groupCtx := errgroup.WithContext(ctx)
	// read shows how far the stream of a shop is while it is pulled.
	read := func(shop shop, stream string, once func(progress func(pull.Summary)) (pull.Summary, error)) {
		name := shop.platform + "/" + shop.name + " " + stream
		shown := show.begin(name, 0)
		group.Go(func() error {
			sum, err := once(func(sum pull.Summary) { shown.set(int64(sum.Records), int64(max(sum.Total, sum.Records))) })
			if err == nil && sum.DeadLetters > 0 {
				err = fmt.Errorf("%d records of %s could not be mapped; the dead-letter topic holds them with the reasons", sum.DeadLetters, name)
			}
			shown.end(err)
			return err
		})
	}
	for _, shop := range s.shops {
		for _, stream := range shop.connector.Spec().Streams {
			read(shop, stream.Name, func(progress func(pull.Summary)) (pull.Summary, error) {
				p := n.puller(shop.connector, shop.platform, shop.name, stream.Name)
				p.Progress = progress
				return p.Once(groupCtx)
			})
		}
		read(shop, "members", func(progress func(pull.Summary)) (pull.Summary, error) {
			return n.loadMembers(groupCtx, s, shop, progress)
		})
	}
	return group.Wait()
}

// loadMembers imports the brand's member list of a shop, as a brand would
// import its own: downloaded to a file first.
func (n *node) loadMembers(ctx context.Context, s *simulators, shop shop, progress func(pull.Summary)) (pull.Summary, error) {
	name := "members-" + shop.platform + "-" + shop.name + ".csv"
	path := n.folder.path(name)
	if err := download(ctx, s.memberList(shop.platform, name), path); err != nil {
		return pull.Summary{}, fmt.Errorf("fetch the member list of %s/%s: %w", shop.platform, shop.name, err)
	}
	header := []string{"account", "phone", "unionid", "omid", "member_card", "joined_at"}
	mapping, err := file.DefaultMapping(shop.platform+"/"+shop.name, file.KindUsers, header)
	if err != nil {
		return pull.Summary{}, err
	}
	connector, err := file.New(file.Config{Files: tablefile.Files{Paths: []string{path}}, Mapping: mapping, ExportedAt: s.endpoints.Until})
	if err != nil {
		return pull.Summary{}, err
	}
	p := n.puller(connector, shop.platform, shop.name, file.KindUsers)
	p.Source, p.Cursors, p.Progress = events.Source_SOURCE_FILE, nil, progress
	sum, err := p.Once(ctx)
	if err != nil {
		return sum, err
	}
	return sum, os.Remove(path)
}

// memberList is where a platform's face hands out the brand's member list.
func (s *simulators) memberList(platform, name string) string {
	root := map[string]string{"tmall": s.endpoints.Tmall.URL, "douyin": s.endpoints.Douyin.URL, "weidian": s.endpoints.Weidian.URL}[platform]
	if platform == "tmall" {
		root = root[:len(root)-len("/router/rest")]
	}
	return root + "/_simulator/" + name
}

func download(ctx context.Context, url, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, response.Body)
	return errors.Join(err, out.Close())
}

// report compares what is in ClickHouse with the truth, which it writes to
// truth.csv and bridges.csv.
func (n *node) report(ctx context.Context, s *simulators) (demoReport, error) {
	report := demoReport{Platforms: make(map[string]map[string]sourceStored), People: s.world.Config().People}
	stored, err := n.storedCounts(ctx)
	if err != nil {
		return report, err
	}
	for platform, source := range s.world.Counts() {
		report.Platforms[platform] = map[string]sourceStored{
			"orders":  {source.Orders, stored[platform+"/orders"]},
			"users":   {source.Users, stored[platform+"/users"]},
			"refunds": {source.Refunds, stored[platform+"/refunds"]},
			"tickets": {source.Tickets, stored[platform+"/tickets"]},
		}
	}
	truth := make(map[identity.Account]int)
	err = n.folder.writeCSV("truth.csv", []string{"account", "person"}, func(row func(...string)) error {
		for name, person := range s.world.Truth() {
			account, err := identity.ParseAccount(name)
			if err != nil {
				return err
			}
			truth[account] = person
			row(name, fmt.Sprint(person))
		}
		return nil
	})
	if err != nil {
		return report, err
	}
	var bridges [][2]identity.Account
	err = n.folder.writeCSV("bridges.csv", []string{"account", "account", "identifier type"}, func(row func(...string)) error {
		for bridge := range s.world.Bridges() {
			a, errA := identity.ParseAccount(bridge.A)
			b, errB := identity.ParseAccount(bridge.B)
			if err := errors.Join(errA, errB); err != nil {
				return err
			}
			bridges = append(bridges, [2]identity.Account{a, b})
			row(bridge.A, bridge.B, bridge.Type)
		}
		return nil
	})
	if err != nil {
		return report, err
	}
	found, err := n.storedCustomers(ctx)
	if err != nil {
		return report, err
	}
	score := evaluate.Compare(maps.All(truth), func(a identity.Account) (identity.CustomerID, bool) { id, ok := found[a]; return id, ok })
	report.Precision, report.Recall = score.Precision, score.Recall
	if _, inForce := n.engine.Rules(); inForce.Model != nil {
		report.Model = inForce.Model.Use
	}
	report.RecallPossible = evaluate.RecallPossible(maps.All(truth), func(yield func(a, b identity.Account) bool) {
		for _, b := range bridges {
			if !yield(b[0], b[1]) {
				return
			}
		}
	})
	if report.Customers, err = n.count(ctx, "count customers", "SELECT count() AS count FROM "+n.clickhouse.Database()+".customer_360"); err != nil {
		return report, err
	}
	report.Events, err = n.count(ctx, "count events", "SELECT uniqExact(platform, shop, kind, entity_id, bitAnd(bitShiftRight(version, 60), 3)) AS count FROM "+n.clickhouse.Database()+".raw_events")
	return report, err
}

// storedCounts are the entities in ClickHouse by platform and kind.
func (n *node) storedCounts(ctx context.Context) (map[string]int, error) {
	counts := make(map[string]int)
	for _, kind := range []events.Kind{events.KindOrder, events.KindUser, events.KindRefund, events.KindTicket} {
		var rows []struct {
			Platform string `ch:"platform"`
			Count    uint64 `ch:"count"`
		}
		table := n.clickhouse.Database() + "." + string(kind) + "s"
		if err := n.clickhouse.Select(ctx, "count "+table, &rows, "SELECT toString(platform) AS platform, count() AS count FROM "+table+" FINAL GROUP BY platform"); err != nil {
			return nil, err
		}
		for _, row := range rows {
			counts[row.Platform+"/"+string(kind)+"s"] = int(row.Count) // a count of rows fits
		}
	}
	return counts, nil
}

// storedCustomers is each account's customer, by the public view.
func (n *node) storedCustomers(ctx context.Context) (map[identity.Account]identity.CustomerID, error) {
	var rows []struct {
		Account  string `ch:"account"`
		Customer string `ch:"customer"`
	}
	if err := n.clickhouse.Select(ctx, "read who is who", &rows, "SELECT account, toString(customer_id) AS customer FROM "+n.clickhouse.Database()+".identity_map_current"); err != nil {
		return nil, err
	}
	found := make(map[identity.Account]identity.CustomerID, len(rows))
	for _, row := range rows {
		account, errA := identity.ParseAccount(row.Account)
		id, errB := identity.ParseCustomerID(row.Customer)
		if err := errors.Join(errA, errB); err != nil {
			return nil, err
		}
		found[account] = id
	}
	return found, nil
}

// count asks a query that answers one row with one count.
func (n *node) count(ctx context.Context, doing, query string) (int, error) {
	var rows []struct {
		Count uint64 `ch:"count"`
	}
	if err := n.clickhouse.Select(ctx, doing, &rows, query); err != nil {
		return 0, err
	}
	return int(rows[0].Count), nil // a count of rows fits
}

// writeCSV writes a file of the folder whole, or not at all.
func (f folder) writeCSV(name string, header []string, rows func(row func(...string)) error) error {
	out, err := os.Create(f.path(name + ".new"))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	buffered := bufio.NewWriter(out)
	w := csv.NewWriter(buffered)
	_ = w.Write(header) // csv.Writer keeps its first error
	err = rows(func(fields ...string) {
		for i := range fields {
			fields[i] = tablefile.Harmless(fields[i])
		}
		_ = w.Write(fields)
	})
	w.Flush()
	if err := errors.Join(err, w.Error(), buffered.Flush(), out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(f.path(name+".new"), f.path(name))
}

// print shows the report to a person.
func (r demoReport) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	fmt.Fprintln(w, "\nPLATFORM\tSTREAM\tAT THE SOURCE\tIN CLICKHOUSE\t")
	for _, platform := range simulator.Platforms {
		for _, kind := range []string{"orders", "users", "refunds", "tickets"} {
			count := r.Platforms[platform][kind]
			mark := "equal"
			if count.Source != count.Stored {
				mark = "DIFFERENT"
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", platform, kind, count.Source, count.Stored, mark)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	allowed := "the evidence allows (the rest is masked: that is what makes it hard)"
	if r.Model != "" {
		allowed = "identifiers alone allow; the model " + r.Model + " found the others by masked receivers"
	}
	_, err := fmt.Fprintf(out, "\n%d customers found, of %d people.\nOf the pairs of accounts that were joined %.2f %% are one person; of the pairs that are, %.2f %% were joined,\nof %.2f %% that %s.\n%d events in %.1f s: %.0f a second.\n",
		r.Customers, r.People, 100*r.Precision, 100*r.Recall, 100*r.RecallPossible, allowed, r.Events, r.Seconds, float64(r.Events)/r.Seconds)
	return err
}

// check says what is in ClickHouse otherwise than at the source.
func (r demoReport) check() error {
	var faults []error
	for platform, streams := range r.Platforms {
		for stream, count := range streams {
			if count.Source != count.Stored {
				faults = append(faults, fmt.Errorf("%s %s: the source has %d, ClickHouse %d", platform, stream, count.Source, count.Stored))
			}
		}
	}
	return errors.Join(faults...)
}

// printAddresses says how to go on while the demo stays up, or after it.
func (n *node) printAddresses(out io.Writer, stays bool) {
	e, err := n.folder.endpoints()
	if err != nil {
		return
	}
	program := "oneid"
	if _, err := exec.LookPath(program); err != nil {
		program = os.Args[0] // as it was called
	}
	next := "Ctrl-C ends; %[8]s up --dir %[1]s goes on from here."
	if !stays {
		next = "There is no terminal, so the demo ends here. %[8]s up --dir %[1]s goes on, at the addresses that %[1]s/endpoints.json names then."
	}
	fmt.Fprintf(out, `
Look a customer up over the API:
  account=$(sed -n 2p %[1]s/truth.csv | cut -d, -f1)
  curl -s %[2]s/v1/customers:lookup -H "Authorization: Bearer $(cat %[1]s/%[3]s)" -H 'Content-Type: application/json' -d "{\"account\":\"$account\"}"
Point a BI tool at (ClickHouse over HTTP):
  %[4]s  database %[5]s, user %[6]s, password in %[1]s/%[7]s
A query worth running:
  %[8]s query --dir %[1]s 'SELECT length(platforms) AS platforms, currency, count() AS customers, sum(net_amount) AS net FROM customer_360 GROUP BY 1, 2 ORDER BY 1, 2'
`+next+"\n", n.folder, e.API.URL, e.API.KeyFile, e.BI.URL, e.BI.Database, e.BI.User, e.BI.SecretFile, program)
}
