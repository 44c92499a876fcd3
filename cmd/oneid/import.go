package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/connectors/file"
	"oneid/internal/tablefile"
	"oneid/pipelines/pull"
	"oneid/schemas/config"
	"oneid/schemas/events"
)

// importCmd loads files.
type importCmd struct {
	Shop    string   `help:"PLATFORM/SHOP that the rows belong to, if the mapping does not say so." placeholder:"PLATFORM/SHOP"`
	Mapping string   `help:"YAML file that says which column is what; without one the columns bear OneID's own names." placeholder:"FILE"`
	Kind    string   `help:"What a row is, if the mapping does not say so: orders, users, tickets or spend." enum:"orders,users,tickets,spend," default:""`
	JSON    bool     `help:"Print one JSON object with the counts."`
	File    []string `arg:"" help:"CSV files, UTF-8 or GBK."`
}

// Help shows below the usage.
func (importCmd) Help() string {
	return "Loads the rows through Kafka and identity resolution, and ends when they are in the views. Importing a file again changes nothing. A bad row goes to the dead letter, is listed with its line, and the rest is loaded.\n\nExit code: 0 all rows loaded, 3 some were refused, 1 failed, 2 the command line is wrong.\n\nTry: oneid import --mapping deploy/examples/purchases/mapping.yaml deploy/examples/purchases/purchases.csv"
}

// importReport is what --json prints.
type importReport struct {
	Rows    int             `json:"rows"`
	Loaded  int             `json:"loaded"`
	Refused int             `json:"refused"`
	Seconds float64         `json:"seconds"`
	Bad     []importRefusal `json:"refusals,omitempty"`
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
func (c importCmd) Run(ctx context.Context, f folder) (err error) {
	mapping, err := c.mapping()
	if err != nil {
		return err
	}
	var n *node
	connector, err := file.New(file.Config{Paths: c.File, Mapping: mapping, Hash: func(row []byte) []byte {
		hash := n.keys.Hash("row", "", string(row))
		return hash[:]
	}})
	if err != nil {
		return err
	}
	// Before anything starts: a file without the right columns is the commonest fault.
	if err := connector.Check(ctx); err != nil {
		return err
	}
	if err := f.make(config.Sample); err != nil {
		return err
	}
	show := newProgress(c.JSON)
	if n, err = openNode(ctx, f, need{quiet: true}, show); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	var report importReport
	began := time.Now()
	err = n.resolving(ctx, func(ctx context.Context) error {
		p := n.puller(connector, mapping.Platform, mapping.Shop, mapping.Kind)
		p.Source = events.Source_SOURCE_FILE
		p.Cursors = nil // a file is read from its beginning; repeating changes nothing
		p.Refused = func(origin string, cause error) {
			report.Refused++
			if len(report.Bad) < mostRefusals {
				report.Bad = append(report.Bad, importRefusal{origin, cause.Error()})
			}
		}
		show.start("importing rows", 0)
		p.Progress = func(sum pull.Summary) { show.set(int64(sum.Records), int64(sum.Total)) }
		sum, err := p.Once(ctx)
		show.fail(err)
		report.Rows, report.Loaded = sum.Records, sum.Records-report.Refused
		if err != nil {
			return err
		}
		return n.settle(ctx)
	})
	if err != nil {
		return err
	}
	report.Seconds = time.Since(began).Seconds()
	slices.SortStableFunc(report.Bad, inLineOrder)
	return c.print(report)
}

// mapping reads the mapping file, or makes the one of a file whose columns
// bear OneID's own names.
func (c importCmd) mapping() (*file.Mapping, error) {
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
	if c.Kind == "" || c.Shop == "" {
		return nil, hinted{errors.New("without a mapping, the kind of the rows and their shop must be named"), "add --kind orders --shop PLATFORM/SHOP, or --mapping FILE; deploy/examples has mappings to start from"}
	}
	opened, err := os.Open(c.File[0])
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	reader, err := tablefile.NewReader(opened, tablefile.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File[0], err)
	}
	return file.DefaultMapping(c.Shop, c.Kind, reader.Header())
}

func (c importCmd) print(report importReport) error {
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
	} else {
		for _, bad := range report.Bad {
			fmt.Fprintf(os.Stderr, "refused: %s: %s\n", bad.Origin, bad.Reason)
		}
		if more := report.Refused - len(report.Bad); more > 0 {
			fmt.Fprintf(os.Stderr, "and %d more, which the dead letter lists\n", more)
		}
		fmt.Printf("%d rows of %s: %d loaded, %d refused, %.1f s\n", report.Rows, strings.Join(c.File, ", "), report.Loaded, report.Refused, report.Seconds)
	}
	if report.Refused > 0 {
		return &partlyRefusedError{report.Refused}
	}
	return nil
}
