package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/identity/match"
)

// identityTrainCmd learns what a model's comparisons are worth.
type identityTrainCmd struct {
	tableFlags
	Receivers bool     `help:"Learn from the masked receivers that the instance keeps, in place of tables, a model for its rules."`
	Model     string   `help:"YAML file that says what is compared; 'oneid match' writes one. With --receivers those that ship need none." placeholder:"FILE"`
	Out       string   `help:"JSON file for what was learned (default: beside the model, as NAME.learned.json; with --receivers in the data folder, by the model's name)." placeholder:"FILE"`
	Seed      *uint64  `help:"Seed of what is drawn at random, in place of the model's." placeholder:"N"`
	JSON      bool     `name:"json" help:"Print one JSON object."`
	Input     []string `arg:"" optional:"" help:"CSV files, UTF-8, GBK or Latin-1, with the names of the columns in the first line, between commas, semicolons or tabs; and Parquet files."`
}

// Help shows below the usage.
func (identityTrainCmd) Help() string {
	return "Learns from records, without labels, how often each level of each comparison is seen among pairs of one entity (m) and among others (u), what share of all pairs is one entity (the prior), and how common values are. log2(m/u) is what a level is worth in bits: +1 doubles the odds, -1 halves them.\n\n" +
		"Learn on a table as large as those that you will link, or on one of them: more records have more pairs, and a smaller share of them is one entity. Notes say what was not learned well, and what to do.\n\n" +
		"The file holds no value of the table: counts, probabilities, and of values that many share how many do, under keys that do not show them.\n\n" +
		"With --receivers it reads the masked receivers of the instance's accounts from ClickHouse, beside a running `oneid up`, and compares those of different shops. They are kept while the rules use a model: adopt the one that ships with bounds that nothing reaches, and bring older orders with `oneid replay` (docs/operate.md). What was learned becomes a model of a name of its own: `oneid identity plan --model FILE` says what it would change.\n\n" +
		"Try: oneid identity train customers.csv --model model.yaml --out learned.json\n     oneid identity link customers.csv --model model.yaml --learned learned.json --out clusters.csv\n     oneid identity train --receivers"
}

// trainReport is what --json prints.
type trainReport struct {
	Learned     string   `json:"learned"`
	Name        string   `json:"name,omitempty"` // of a model of receivers
	Records     int      `json:"records"`
	Fingerprint string   `json:"fingerprint"`
	Candidates  int64    `json:"candidates"`
	Seed        uint64   `json:"seed"`
	Prior       float64  `json:"prior"`
	Rounds      int      `json:"rounds"`
	Converged   bool     `json:"converged"`
	Warnings    []string `json:"warnings,omitempty"`
	Seconds     float64  `json:"seconds"`
	// Of a model of receivers: the shops or platforms that were compared, and how
	// many receivers were left out because too many accounts send there.
	Sources []string `json:"sources,omitempty"`
	Shared  int      `json:"shared,omitempty"`
}

// Run trains.
func (c identityTrainCmd) Run(ctx context.Context, f folder) error {
	switch {
	case c.Receivers && len(c.Input) > 0:
		return hinted{errors.New("--receivers takes what the instance keeps, and no tables"), "leave one of both out"}
	case c.Receivers:
		return c.receivers(ctx, f)
	case c.Model == "":
		return hinted{errors.New("there is no model to train"), "name one with --model; `oneid match TABLE` writes it"}
	case len(c.Input) == 0:
		return hinted{errors.New("there is no table to learn from"), "name CSV or Parquet files; to learn from the receivers that the instance keeps, say --receivers"}
	}
	began := time.Now()
	path := c.Out
	if path == "" {
		path = strings.TrimSuffix(c.Model, filepath.Ext(c.Model)) + ".learned.json"
	}
	job := matching{tableFlags: c.tableFlags, input: c.Input, model: c.Model, seed: c.Seed, writes: []string{path}}
	out, err := job.run(ctx, newProgress(c.JSON))
	if err != nil {
		return err
	}
	l := out.result.Learned
	if err := writeLearned(path, l, began); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(trainReport{
			Learned: path, Records: l.Data.Records, Fingerprint: l.Data.Fingerprint, Candidates: out.result.Candidates, Seed: l.Seed,
			Prior: l.Prior, Rounds: l.Rounds, Converged: l.Converged, Warnings: l.Warnings, Seconds: time.Since(began).Seconds(),
		})
	}
	if err := printLearned(os.Stdout, l, out.result.Candidates); err != nil {
		return err
	}
	fmt.Printf("written: %s\n", path)
	return nil
}

// printLearned shows a person what was learned.
func printLearned(out io.Writer, l *match.Learned, candidates int64) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d records, %d pairs compared, %d rounds of learning\n", l.Data.Records, candidates, l.Rounds)
	fmt.Fprintf(w, "%.3g of all pairs are one entity: %+.2f bits to begin with\n", l.Prior, l.PriorBits())
	fmt.Fprintln(w, "\ncomparison\tlevel\tm\tu\tbits")
	for _, f := range l.Fields {
		for level, name := range f.Levels {
			if f.Keeps(level + 1) {
				fmt.Fprintf(w, "%s\t%s\t%.4f\t%.3g\t%+.2f\n", f.Name, name, f.M[level], f.U[level], f.Weight(level+1))
			}
		}
	}
	fmt.Fprintln(w)
	for _, warning := range l.Warnings {
		fmt.Fprintln(w, "note: "+warning)
	}
	return w.Flush()
}
