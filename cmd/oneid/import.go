package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/connectors/file"
	"oneid/internal/tablefile"
	"oneid/pipelines/pull"
	"oneid/pipelines/replay"
	"oneid/schemas/config"
	"oneid/schemas/events"
)

// importCmd loads files.
type importCmd struct {
	Shop         string   `help:"PLATFORM/SHOP that the rows belong to, if the mapping does not say so." placeholder:"PLATFORM/SHOP"`
	Mapping      string   `help:"YAML file that says which column is what; without one the files are what the platform's back-office exports." placeholder:"FILE"`
	Kind         string   `help:"What a row is, if the mapping does not say so: orders, users, tickets or spend. Without a mapping the columns bear OneID's own names then." enum:"orders,users,tickets,spend," default:""`
	NewShop      bool     `help:"The shop is none of those that oneid.yaml names of its platform, and is meant."`
	PasswordFile string   `help:"File with the password of encrypted zips and workbooks; or set ONEID_IMPORT_PASSWORD." placeholder:"FILE" type:"path"`
	Guess        bool     `help:"Write a first mapping for the file to standard output, with comments, and load nothing."`
	JSON         bool     `help:"Print one JSON object with the counts."`
	File         []string `arg:"" help:"Files and folders: CSV in UTF-8 or GBK, XLSX, and zips of them."`

	// inside, if set, has the instance already: it loads and keeps the report.
	inside func(ctx context.Context, report *importReport, load func(context.Context, *node, *progress) error) error
}

// Help shows below the usage.
func (importCmd) Help() string {
	return "Loads the rows through Kafka and identity resolution, and ends when they are in the views. Importing a file again changes nothing. A bad row goes to the dead letter, is listed with its line, and the rest is loaded.\n\nWhat the back-offices of Tmall, Douyin and Weidian export is recognised by its columns: give the files as they are, an order list before its details or in one command. An order that the platform's API gives, too, stays one order, and what the API says of it stays. Cut off (Ctrl-C), the same command goes on from where it was.\n\nA shop that oneid.yaml does not name, where it names others of the platform, is refused: what is loaded into it would never meet what the API gives. --new-shop says that it is one more.\n\nAny other file needs a mapping: --guess writes a first one, and deploy/examples has more.\n\nExit code: 0 all rows loaded, 3 some were refused, 1 failed, 2 the command line is wrong.\n\nTry: oneid import --mapping deploy/examples/purchases/mapping.yaml deploy/examples/purchases/purchases.csv"
}

// importReport is what --json prints.
type importReport struct {
	Rows    int             `json:"rows"`
	Loaded  int             `json:"loaded"`
	Refused int             `json:"refused"`
	Seconds float64         `json:"seconds"`
	Bad     []importRefusal `json:"refusals,omitempty"`
	// Of exports: how many orders, refunds … were loaded, by stream, and what
	// was recognised and left out.
	Entities map[string]int `json:"entities,omitempty"`
	Tables   []importTable  `json:"tables,omitempty"`
	Left     []importTable  `json:"left_out,omitempty"`
	// Warnings name tables without which others tell too little.
	Warnings []string `json:"warnings,omitempty"`
}

// importTable is a table of the files, what it is, or why it was left out.
type importTable struct {
	Name string `json:"name"`
	Is   string `json:"is,omitempty"`
	Why  string `json:"why,omitempty"`
}

type importRefusal struct {
	Origin string `json:"origin"`
	Reason string `json:"reason"`
}

// inLineOrder compares origins, "FILE line N": rows are refused by several
// steps, each at its own time.
func inLineOrder(a, b importRefusal) int {
	fileA, lineA := a.place()
	fileB, lineB := b.place()
	return cmp.Or(cmp.Compare(fileA, fileB), cmp.Compare(lineA, lineB))
}

func (r importRefusal) place() (file string, line int) {
	file, number, _ := strings.Cut(r.Origin, " line ")
	line, _ = strconv.Atoi(number) // an origin without a line comes first
	return file, line
}

// mostRefusals bounds what is listed; all are in the dead letter.
const mostRefusals = 1000

// Run imports.
func (c importCmd) Run(ctx context.Context, f folder) error {
	files := tablefile.Files{Paths: c.File}
	var err error
	if files.Password, err = c.password(); err != nil {
		return err
	}
	if c.Guess {
		return c.guess(ctx, files)
	}
	temp, err := tempFolder()
	if err != nil {
		return err
	}
	files.Temp = temp
	err = c.load(ctx, f, files)
	if errors.Is(err, tablefile.ErrPassword) {
		err = hinted{err, "write the password into a file and name it with --password-file, or set ONEID_IMPORT_PASSWORD"}
	}
	return errors.Join(err, os.RemoveAll(temp))
}

func (c importCmd) load(ctx context.Context, f folder, files tablefile.Files) error {
	if c.Mapping != "" || c.Kind != "" {
		return c.byMapping(ctx, f, files)
	}
	cfg, err := c.exported(files)
	if err != nil {
		return err
	}
	if err := c.checkShop(f, cfg.Exports.Platform, cfg.Shop); err != nil {
		return err
	}
	return c.byExports(ctx, f, cfg)
}

// checkShop refuses a shop that the settings do not name where they name others of
// its platform, unless it was said to be one more.
func (c importCmd) checkShop(f folder, platform, shop string) error {
	if err := connectors.CheckShop(shop); err != nil || c.NewShop {
		return err
	}
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	named := make([]string, len(settings.Shops))
	for i, s := range settings.Shops {
		named[i] = s.Platform + "/" + s.Shop
	}
	return checkNamed(platform+"/"+shop, named)
}

// exported says of which shop's back-office the files are.
func (c importCmd) exported(files tablefile.Files) (file.ExportConfig, error) {
	platform, shop, _ := strings.Cut(c.Shop, "/")
	exports := all.Exports[platform]
	if exports == nil || shop == "" {
		return file.ExportConfig{}, hinted{errors.New("without a mapping, the kind of the rows or the shop that exported them must be named"),
			"add --shop PLATFORM/SHOP for what the back-office of " + strings.Join(slices.Sorted(maps.Keys(all.Exports)), ", ") + " exports, --kind orders --shop PLATFORM/SHOP for columns with OneID's own names, or --mapping FILE; oneid import --guess FILE writes a first mapping"}
	}
	return file.ExportConfig{Files: files, Exports: exports, Shop: shop}, nil
}

// errTemp says that the machine has no place for temporary files.
var errTemp = errors.New("make a folder for temporary files")

// examine says what is wrong with one file by itself: whether it is a known one of a
// back-office, or as a whole whether it can be read to its end.
func (c importCmd) examine(ctx context.Context, path string, whole bool) (err error) {
	files := tablefile.Files{Paths: []string{path}}
	if files.Password, err = c.password(); err != nil {
		return err
	}
	if files.Temp, err = tempFolder(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(files.Temp)) }()
	if whole {
		return file.Readable(ctx, files)
	}
	cfg, err := c.exported(files)
	if err != nil {
		return err
	}
	connector, err := file.NewExport(cfg)
	if err != nil {
		return err
	}
	return connector.Check(ctx)
}

// password of encrypted files: never on the command line, which other users of
// the machine can see.
func (c importCmd) password() (string, error) {
	if c.PasswordFile == "" {
		return os.Getenv("ONEID_IMPORT_PASSWORD"), nil
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// tempName begins the names of the folders of temporary files, followed by the
// process's id. The files lose their own names as soon as they are made: a process
// that is killed between leaves one, empty.
const tempName = "oneid-import-"

// tempFolder makes the folder of this process, and removes those of processes
// that were killed.
func tempFolder() (string, error) {
	old, err := filepath.Glob(filepath.Join(os.TempDir(), tempName+"*"))
	if err != nil {
		return "", err
	}
	for _, dir := range old {
		of, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), tempName), "-")
		if pid, err := strconv.Atoi(of); err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // of another user it stays
		}
	}
	dir, err := os.MkdirTemp("", tempName+strconv.Itoa(os.Getpid())+"-")
	if err != nil {
		return "", fmt.Errorf("%w: %w", errTemp, err)
	}
	return dir, nil
}

// byMapping loads files of which a mapping says what their columns are.
func (c importCmd) byMapping(ctx context.Context, f folder, files tablefile.Files) (err error) {
	mapping, err := c.mapping(ctx, files)
	if err != nil {
		return err
	}
	if err := c.checkShop(f, mapping.Platform, mapping.Shop); err != nil {
		return err
	}
	var report importReport
	var n *node
	connector, err := file.New(file.Config{Files: files, Mapping: mapping,
		Hash: func(row []byte) []byte {
			hash := n.keys.Hash("row", "", string(row))
			return hash[:]
		},
		Left: func(name string, why error) {
			report.Left = append(report.Left, importTable{Name: name, Why: why.Error()})
		},
	})
	if err != nil {
		return err
	}
	// Before anything starts: a file without the right columns is the commonest fault.
	if err := connector.Check(ctx); err != nil {
		return err
	}
	return c.into(ctx, f, &report, func(ctx context.Context, opened *node, show *progress) error {
		n = opened
		p := c.puller(n, connector, mapping.Platform, mapping.Shop, mapping.Kind, &report)
		p.Cursors = nil // a file is read from its beginning; repeating changes nothing
		show.start("importing rows", 0)
		p.Progress = func(sum pull.Summary) { show.set(int64(sum.Records), int64(sum.Total)) }
		sum, err := p.Once(ctx)
		show.fail(err)
		report.Rows, report.Loaded = sum.Records, sum.Records-report.Refused
		return err
	})
}

// byExports loads what a platform's back-office exported.
func (c importCmd) byExports(ctx context.Context, f folder, cfg file.ExportConfig) error {
	total, err := cfg.Files.Size()
	if err != nil {
		return err
	}
	var report importReport
	var opened *node
	cfg.Told = func(ctx context.Context, stream string, entities []string) (map[string]file.Told, error) {
		var found map[string]replay.Payload
		err := untilThere(ctx, opened.log, func() (err error) {
			found, err = replay.Latest(ctx, opened.clickhouse, opened.keys, cfg.Exports.Platform, cfg.Shop, stream, events.Source_SOURCE_FILE, entities)
			return err
		})
		told := make(map[string]file.Told, len(found))
		for entity, payload := range found {
			told[entity] = file.Told{Raw: payload.Raw, Modified: payload.Modified, Observed: payload.Observed}
		}
		return told, err
	}
	var reading *task
	var read atomic.Int64
	cfg.Files.Progress = func(bytes int64) {
		const mega = 1 << 20
		// The zip's own list is read again and again.
		reading.set(min(read.Add(bytes), total)/mega, total/mega)
	}
	connector, err := file.NewExport(cfg)
	if err != nil {
		return err
	}
	found, err := connector.Find(ctx)
	if err != nil {
		return err
	}
	if err := connector.Known(found); err != nil {
		return err
	}
	var streams []string
	for _, one := range found {
		if one.Sheet == nil {
			report.Left = append(report.Left, importTable{Name: one.Name, Why: one.Why.Error()})
			continue
		}
		report.Tables = append(report.Tables, importTable{Name: one.Name, Is: one.Sheet.Name})
		if !slices.Contains(streams, one.Sheet.Stream) {
			streams = append(streams, one.Sheet.Stream)
		}
	}
	slices.Sort(streams)
	report.Warnings = connector.Lacks(found)
	report.Entities = make(map[string]int)
	return c.into(ctx, f, &report, func(ctx context.Context, n *node, show *progress) error {
		opened = n
		// What the last import told is asked for, and may lie in Kafka still.
		if err := n.settle(ctx); err != nil {
			return err
		}
		for _, stream := range streams {
			read.Store(0)
			reading = show.begin("reading the files for "+stream+" (MiB)", total/(1<<20))
			var loading *task
			p := c.puller(n, connector, cfg.Exports.Platform, cfg.Shop, stream, &report)
			p.CursorKey = "import/" + p.Platform + "/" + p.Shop + "/" + stream
			p.Progress = func(sum pull.Summary) {
				if loading == nil {
					reading.end(nil)
					loading = show.begin("loading "+stream, 0)
				}
				loading.set(int64(sum.Records), 0)
			}
			sum, err := p.Once(ctx)
			reading.end(err)
			if loading != nil {
				loading.end(err)
			}
			if err != nil {
				return err
			}
			report.Entities[stream] = sum.Records - sum.DeadLetters
			// The next import begins at the beginning again.
			if err := n.cursors.Put(ctx, p.CursorKey, ""); err != nil {
				return err
			}
		}
		report.Rows = connector.Rows()
		report.Loaded = report.Rows - report.Refused
		return nil
	})
}

// puller pulls files into a report.
func (c importCmd) puller(n *node, connector connectors.Connector, platform, shop, stream string, report *importReport) *pull.Puller {
	p := n.puller(connector, platform, shop, stream)
	p.Source = events.Source_SOURCE_FILE
	p.Ended = nil // a file that cannot be read says nothing of the shop's stream
	p.Refused = func(origin string, cause error) {
		report.Refused++
		if len(report.Bad) < mostRefusals {
			report.Bad = append(report.Bad, importRefusal{origin, cause.Error()})
		}
	}
	return p
}

// into loads into an instance, waits until all is in the views, and prints the
// report.
func (c importCmd) into(ctx context.Context, f folder, report *importReport, load func(context.Context, *node, *progress) error) (err error) {
	if c.inside != nil {
		return c.inside(ctx, report, load)
	}
	if err := f.make(config.Sample); err != nil {
		return err
	}
	show := newProgress(c.JSON)
	n, err := openNode(ctx, f, need{quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	began := time.Now()
	err = n.resolving(ctx, func(ctx context.Context) error {
		if err := load(ctx, n, show); err != nil {
			return err
		}
		return n.settle(ctx)
	})
	if err != nil {
		return err
	}
	report.Seconds = time.Since(began).Seconds()
	slices.SortStableFunc(report.Bad, inLineOrder)
	return c.print(*report)
}

// guess writes a first mapping.
func (c importCmd) guess(ctx context.Context, files tablefile.Files) error {
	text, err := file.Guess(ctx, files, c.Shop, c.Kind)
	if errors.Is(err, tablefile.ErrPassword) {
		err = hinted{err, "write the password into a file and name it with --password-file, or set ONEID_IMPORT_PASSWORD"}
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(text)
	return err
}

// mapping reads the mapping file, or makes the one of a file whose columns
// bear OneID's own names.
func (c importCmd) mapping(ctx context.Context, files tablefile.Files) (*file.Mapping, error) {
	if c.Mapping != "" {
		data, err := os.ReadFile(c.Mapping)
		if err != nil {
			return nil, fmt.Errorf("read the mapping: %w", err)
		}
		return file.ParseMapping(c.Mapping, data, c.Shop, c.Kind)
	}
	if c.Kind == file.KindSpend && c.Shop == "" {
		c.Shop = file.Platform + "/" + file.KindSpend // spend belongs to a channel, not to a shop
	}
	if c.Shop == "" {
		return nil, hinted{errors.New("without a mapping, the kind of the rows and their shop must be named"), "add --kind orders --shop PLATFORM/SHOP, or --mapping FILE; deploy/examples has mappings to start from"}
	}
	var header []string
	err := files.Each(ctx, tablefile.Visitor{
		Table: func(t *tablefile.Table) error {
			header = t.Header()
			return errFirst
		},
		Left: func(string, error) {},
	})
	if err != nil && !errors.Is(err, errFirst) {
		return nil, err
	}
	return file.DefaultMapping(c.Shop, c.Kind, header)
}

// errFirst ends a reading at the first table.
var errFirst = errors.New("the first table is enough")

func (c importCmd) print(report importReport) error {
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
	} else {
		for _, left := range report.Left {
			fmt.Fprintf(os.Stderr, "left out: %s: %s\n", oneLine(left.Name), oneLine(left.Why))
		}
		for _, warning := range report.Warnings {
			fmt.Fprintln(os.Stderr, "warning:", oneLine(warning))
		}
		for _, bad := range report.Bad {
			fmt.Fprintf(os.Stderr, "refused: %s: %s\n", oneLine(bad.Origin), oneLine(bad.Reason))
		}
		if more := report.Refused - len(report.Bad); more > 0 {
			fmt.Fprintf(os.Stderr, "and %d more, which the dead letter lists\n", more)
		}
		what := fmt.Sprintf("%d loaded", report.Loaded)
		if report.Entities != nil {
			var parts []string
			for _, stream := range slices.Sorted(maps.Keys(report.Entities)) {
				parts = append(parts, fmt.Sprintf("%d %s", report.Entities[stream], stream))
			}
			what = strings.Join(parts, ", ") + " loaded"
		}
		fmt.Printf("%d rows of %s: %s, %d refused, %.1f s\n", report.Rows, strings.Join(c.File, ", "), what, report.Refused, report.Seconds)
	}
	if report.Refused > 0 {
		return &partlyRefusedError{report.Refused}
	}
	return nil
}
