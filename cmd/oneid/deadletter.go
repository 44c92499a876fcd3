package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/file"
	"oneid/connectors/simulator"
	"oneid/internal/api"
	"oneid/internal/clickhouse"
	"oneid/internal/customer"
	"oneid/pipelines/deadletter"
	"oneid/schemas/events"
)

// deadletterCmd deals with what could not be loaded.
type deadletterCmd struct {
	List   deadletterListCmd   `cmd:"" help:"List what could not be loaded, and why; never the bytes."`
	Show   deadletterShowCmd   `cmd:"" help:"Show a letter's bytes; who asks is noted in the audit."`
	Replay deadletterReplayCmd `cmd:"" help:"Try letters again, as things are today."`
	Drop   deadletterDropCmd   `cmd:"" help:"Give letters up."`
}

// letterFilter says which letters are meant.
type letterFilter struct {
	Reason   string `help:"Those that this step refused: read, map, too_large, decode, open, store or deliver." enum:"read,map,too_large,decode,open,store,deliver," default:""`
	Platform string `help:"Those of this platform." placeholder:"PLATFORM"`
	Shop     string `help:"Those of this shop, as SHOP or PLATFORM/SHOP." placeholder:"SHOP"`
	Stream   string `help:"Those of this stream, such as orders; identity_rows are rows of who is who that ClickHouse refused." placeholder:"STREAM"`
}

func (l letterFilter) filter() deadletter.Filter {
	f := deadletter.Filter{Reason: l.Reason, Platform: l.Platform, Shop: l.Shop, Stream: l.Stream}
	if platform, shop, ok := strings.Cut(l.Shop, "/"); ok {
		f.Platform, f.Shop = platform, shop
	}
	return f
}

type deadletterListCmd struct {
	letterFilter
	Closed bool `help:"Those too that were replayed or dropped."`
	Limit  int  `help:"The most to list, the newest first." default:"100"`
	JSON   bool `help:"Print a JSON array."`
}

// Help shows below the usage.
func (deadletterListCmd) Help() string {
	return "What could not be decoded, mapped or stored, the newest first. ClickHouse has the same in the view dead_letters, for BI too."
}

// Run lists letters.
func (c deadletterListCmd) Run(ctx context.Context, f folder) error {
	return f.atDesk(ctx, func(ctx context.Context, _ *instance, desk *deadletter.Desk) error {
		filter := c.filter()
		if !c.Closed {
			filter.State = deadletter.StateOpen
		}
		letters, err := desk.List(ctx, filter, max(c.Limit, 1))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(letters)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "LETTER\tFIRST SEEN\tREASON\tSHOP\tTRIED\tSTATE\tORIGIN\tDETAIL")
		for _, l := range letters {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", oneLine(l.ID), l.FirstSeen.Format(time.RFC3339), l.Reason, oneLine(strings.Trim(l.Platform+"/"+l.Shop, "/")), l.Attempts, l.State, oneLine(l.Origin), oneLine(l.Detail))
		}
		return w.Flush()
	})
}

// oneLine is a text of others, such as a file's name in a zip, as a terminal may
// show it: what would move the cursor, hide or begin a line is written out.
func oneLine(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	quoted = quoted[1 : len(quoted)-1]
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted)
}

type deadletterShowCmd struct {
	ID      string `arg:"" help:"The letter's id, as oneid deadletter list shows it."`
	KeyFile string `help:"File with an API key of the scope deadletter:show, needed beside a running owner." placeholder:"FILE" type:"path"`
	JSON    bool   `help:"Print one JSON object, the bytes in base64."`
}

// Help shows below the usage.
func (deadletterShowCmd) Help() string {
	return "Prints what could not be loaded to standard output, and what is known of it to standard error. The bytes may hold anything of a person: they are sealed, and opened for who has the right to see them. Where a process owns the folder that is an API key of a scope of its own:\n\n  oneid apikey create 'on duty' --scope deadletter:show > duty.key\n  oneid deadletter show --key-file duty.key ID\n\nIn a folder at rest it is the key ring. Either way the table audit says who, when and which letter."
}

// Run shows a letter.
func (c deadletterShowCmd) Run(ctx context.Context, f folder) error {
	letter, err := c.letter(ctx, f)
	if errors.Is(err, deadletter.ErrNotFound) || errors.Is(err, customer.ErrNotFound) {
		return hinted{fmt.Errorf("there is no dead letter %s", c.ID), "`oneid deadletter list --closed` lists those there are"}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(letter)
	}
	fmt.Fprintf(os.Stderr, "%s: refused by %s at %s, tried %d times, %s\n%s\n", oneLine(letter.Origin), letter.Reason, letter.First.Format(time.RFC3339), letter.Attempts, letter.State, oneLine(letter.Detail))
	_, err = os.Stdout.Write(letter.Bytes)
	return err
}

// letter asks the folder's owner, or opens the letter here.
func (c deadletterShowCmd) letter(ctx context.Context, f folder) (letter api.Letter, err error) {
	err = f.atDesk(ctx, func(ctx context.Context, i *instance, desk *deadletter.Desk) error {
		if !i.owner {
			letter, err = f.askLetter(ctx, c.KeyFile, c.ID)
			return err
		}
		letter, err = show(ctx, desk, c.ID)
		return err
	})
	return letter, err
}

// show opens a letter at a desk.
func show(ctx context.Context, desk *deadletter.Desk, id string) (api.Letter, error) {
	l, raw, err := desk.Show(ctx, id)
	return api.Letter{
		ID: l.ID, Platform: l.Platform, Shop: l.Shop, Stream: l.Stream, Reason: l.Reason, Detail: l.Detail, Origin: l.Origin,
		Attempts: l.Attempts, First: l.FirstSeen, State: l.State, Bytes: raw,
	}, err
}

// showLetter is show for the API, in its words.
func (n *node) showLetter(ctx context.Context, id, who string) (api.Letter, error) {
	desk := n.desk()
	desk.Who = who
	letter, err := show(ctx, desk, id)
	switch {
	case errors.Is(err, deadletter.ErrNotFound):
		err = customer.ErrNotFound
	case clickhouse.IsUnavailable(err):
		err = fmt.Errorf("%w: %w", customer.ErrUnavailable, err)
	}
	return letter, err
}

// askLetter asks the API of the folder's owner. The key that commands of this
// machine use opens no letters.
func (f folder) askLetter(ctx context.Context, keyFile, id string) (letter api.Letter, err error) {
	e, err := f.endpoints()
	if err != nil {
		return letter, err
	}
	const hint = "make a key with `oneid apikey create NAME --scope deadletter:show` and name its file with --key-file"
	if keyFile == "" {
		return letter, hinted{errors.New("a process owns the folder: to see a letter's bytes it asks for an API key of the scope deadletter:show"), hint}
	}
	secret, err := os.ReadFile(keyFile)
	if err != nil {
		return letter, fmt.Errorf("read the API key: %w", err)
	}
	body, err := json.Marshal(map[string]string{"letter_id": id})
	if err != nil {
		return letter, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.API.URL+"/v1/deadletters:show", bytes.NewReader(body))
	if err != nil {
		return letter, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return letter, fmt.Errorf("ask for the letter: %w", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return letter, json.NewDecoder(response.Body).Decode(&letter)
	case http.StatusNotFound:
		return letter, customer.ErrNotFound
	}
	var problem struct{ Detail string }
	_ = json.NewDecoder(response.Body).Decode(&problem) // its status is enough
	err = fmt.Errorf("the API answers %s: %s", response.Status, problem.Detail)
	if response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusUnauthorized {
		return letter, hinted{err, hint}
	}
	return letter, err
}

// lettersMeant says which open letters a command works on: none by accident.
type lettersMeant struct {
	letterFilter
	IDs  []string `arg:"" optional:"" name:"id" help:"Ids of letters."`
	All  bool     `help:"All that are open."`
	JSON bool     `help:"Print one JSON object with the counts."`
}

func (l lettersMeant) filter() (deadletter.Filter, error) {
	f := l.letterFilter.filter()
	f.IDs = l.IDs
	if len(l.IDs) == 0 && !l.All && l.letterFilter == (letterFilter{}) {
		return f, hinted{errors.New("no letters are named"), "give their ids, --reason, --platform, --shop, --stream or --all"}
	}
	return f, nil
}

func (l lettersMeant) print(report deadletter.Report) error {
	if l.JSON {
		if err := printJSON(report); err != nil {
			return err
		}
	} else {
		for _, failure := range report.Failures {
			fmt.Fprintf(os.Stderr, "kept: %s: %s\n", oneLine(failure.ID), oneLine(failure.Detail))
		}
		fmt.Printf("%d replayed, %d dropped, %d kept\n", report.Replayed, report.Dropped, report.Kept)
	}
	if report.Kept > 0 {
		return &partlyKeptError{report.Kept}
	}
	return nil
}

// partlyKeptError says that some letters could not be replayed.
type partlyKeptError struct{ letters int }

func (p *partlyKeptError) Error() string {
	return fmt.Sprintf("%d letters are still in the dead letter, with the attempt counted", p.letters)
}

// ExitCode says that the command did its work in part.
func (*partlyKeptError) ExitCode() int { return 3 }

type deadletterReplayCmd struct {
	lettersMeant
	Mapping string `help:"For lines of files: the mapping that they were imported with, mended. Without one their columns bear OneID's own names." placeholder:"FILE" type:"path"`
}

// Help shows below the usage.
func (deadletterReplayCmd) Help() string {
	return "A record is mapped again by today's mapping, a message of a topic is decoded again by today's program and keys, and what comes of it goes into the flow. What a webhook refused is told to it again, a push is read from its platform again, a row that ClickHouse refused is inserted again. What succeeds is closed; what fails is kept, with one attempt more; what the flow refuses again is a new letter that counts the attempts of the old one. Repeating a replay changes nothing.\n\nExit code: 0 all were replayed, 3 some were kept, 1 failed."
}

// Run replays letters.
func (c deadletterReplayCmd) Run(ctx context.Context, f folder) (err error) {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	if err := f.mustExist(); err != nil {
		return err
	}
	n, err := openNode(ctx, f, need{quiet: true}, newProgress(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	n.leaveResolving()
	desk := n.desk()
	if desk.Mapper, err = n.mapper(c.Mapping); err != nil {
		return err
	}
	var report deadletter.Report
	replayed := false
	err = n.resolving(ctx, func(ctx context.Context) error {
		if err := n.settleLetters(ctx); err != nil {
			return err
		}
		_, ends, err := n.kafka.Ends(ctx, n.topics.DeadLetter)
		if err != nil {
			return err
		}
		if report, err = desk.Replay(ctx, filter); err != nil {
			return err
		}
		replayed = true
		if err := n.settle(ctx); err != nil {
			return err
		}
		return desk.CameBack(ctx, &report, ends[0])
	})
	if err != nil {
		if replayed { // as far as is known
			_ = c.print(report)
		}
		return err
	}
	return c.print(report)
}

type deadletterDropCmd struct{ lettersMeant }

// Help shows below the usage.
func (deadletterDropCmd) Help() string {
	return "A dropped letter is listed no longer (only with --closed) and never comes back by itself, also when its source shows the same bytes again. Its bytes stay sealed in Kafka."
}

// Run drops letters.
func (c deadletterDropCmd) Run(ctx context.Context, f folder) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	var report deadletter.Report
	err = f.atDesk(ctx, func(ctx context.Context, _ *instance, desk *deadletter.Desk) error {
		report, err = desk.Drop(ctx, filter)
		return err
	})
	if err != nil {
		return err
	}
	return c.print(report)
}

// atDesk works at a desk on all letters that lie in Kafka by now. A folder at
// rest is not resolved for it: a resolver elsewhere stays the active one.
func (f folder) atDesk(ctx context.Context, work func(context.Context, *instance, *deadletter.Desk) error) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	i, err := open(ctx, f, need{kafka: true, clickhouse: true, quiet: true}, newProgress(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	n := &node{instance: i, publisher: i.kafka.Publisher()}
	i.closers = append(i.closers, n.publisher.Close)
	if i.owner {
		if _, err := i.clickhouse.Migrate(ctx); err != nil {
			return err
		}
		n.letters = n.recorder()
	}
	return n.resolving(ctx, func(ctx context.Context) error {
		if err := n.settleLetters(ctx); err != nil {
			return err
		}
		return errors.Join(work(ctx, i, n.desk()), n.settleLetters(ctx))
	})
}

// recorder keeps ClickHouse's table of letters.
func (i *instance) recorder() *deadletter.Recorder {
	return &deadletter.Recorder{Brand: i.settings.Brand, Kafka: i.kafka, Topic: i.topics.DeadLetter, ClickHouse: i.clickhouse, Log: i.log}
}

// desk is where letters are dealt with, by who runs this process.
func (n *node) desk() *deadletter.Desk {
	return &deadletter.Desk{
		Kafka: n.kafka, Publisher: n.publisher, Topics: n.topics, Keys: n.keys, ClickHouse: n.clickhouse, Webhooks: n.settings.Deliver.has, Who: commandLine(), Log: n.log,
	}
}

// mapper finds the mapping of a letter's record: the connector of its shop, or
// for a line of a file the mapping of that name.
func (n *node) mapper(mapping string) (func(*events.DeadLetter, []byte) (connectors.Connector, error), error) {
	shops, err := n.folder.shops(n.settings)
	if err != nil {
		return nil, err
	}
	// The shops of a folder that `demo` made, while its owner is up.
	var simulators simulator.Endpoints
	if readJSON(n.folder.path(simulatorsFile), &simulators) == nil {
		more, err := simulated(simulators, false)
		if err != nil {
			return nil, err
		}
		shops = append(shops, more...)
	}
	var text []byte
	if mapping != "" {
		if text, err = os.ReadFile(mapping); err != nil {
			return nil, fmt.Errorf("read the mapping: %w", err)
		}
	}
	ofFiles := make(map[string]connectors.Connector)
	return func(l *events.DeadLetter, raw []byte) (connectors.Connector, error) {
		if l.GetSource() == events.Source_SOURCE_FILE {
			return n.fileMapper(ofFiles, mapping, text, l, raw)
		}
		i := slices.IndexFunc(shops, func(s shop) bool { return s.platform == l.GetPlatform() && s.name == l.GetShop() })
		if i < 0 {
			return nil, fmt.Errorf("oneid.yaml has no shop %s/%s, whose connector would map it", l.GetPlatform(), l.GetShop())
		}
		n.share(shops[i].connector, shops[i].platform, shops[i].name) // what a push names is read from the platform
		return shops[i].connector, nil
	}, nil
}

// fileMapper is the connector of files that maps a line; those of a mapping
// are kept in known.
func (n *node) fileMapper(known map[string]connectors.Connector, name string, text []byte, l *events.DeadLetter, raw []byte) (connectors.Connector, error) {
	shop := l.GetPlatform() + "/" + l.GetShop()
	if c := known[shop+" "+l.GetStream()]; c != nil {
		return c, nil
	}
	if exports := all.Exports[l.GetPlatform()]; exports != nil && connectors.IsExport(raw) {
		return file.NewExport(file.ExportConfig{Exports: exports, Shop: l.GetShop()})
	}
	var mapping *file.Mapping
	var err error
	if text != nil {
		mapping, err = file.ParseMapping(name, text, shop, l.GetStream())
	} else {
		var line struct {
			Row map[string]string `json:"row"`
		}
		if err := json.Unmarshal(raw, &line); err != nil {
			return nil, errors.New("it is no line of a file as `oneid import` keeps it")
		}
		if mapping, err = file.DefaultMapping(shop, l.GetStream(), slices.Sorted(maps.Keys(line.Row))); err != nil {
			err = fmt.Errorf("%w; name the mapping that it was imported with: --mapping FILE", err)
		}
	}
	if err != nil {
		return nil, err
	}
	c, err := file.New(file.Config{Mapping: mapping, Hash: func(row []byte) []byte {
		hash := n.keys.Hash("row", "", string(row))
		return hash[:]
	}})
	if err == nil && text != nil {
		known[shop+" "+l.GetStream()] = c
	}
	return c, err
}
