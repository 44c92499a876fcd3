package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"oneid/identity/match"
	"oneid/internal/tablefile"
)

// twoValues is a flag that takes two values.
type twoValues [2]string

// Decode takes them from the command line.
func (v *twoValues) Decode(c *kong.DecodeContext) error {
	for i := range v {
		if c.Scan.PopValueInto("value", &v[i]) != nil {
			return errors.New("it takes two values, one for each record")
		}
	}
	return nil
}

// identityExplainCmd explains a pair of records.
type identityExplainCmd struct {
	tableFlags
	Model      string    `required:"" help:"YAML file that says what is compared." placeholder:"FILE"`
	Learned    string    `required:"" help:"JSON file of 'oneid identity train' with this model." placeholder:"FILE"`
	Pair       twoValues `xor:"pair" help:"The two records by their ids; this or --records is needed." placeholder:"ID_L ID_R"`
	Records    twoValues `xor:"pair" help:"The two records by their numbers, counted from 1 through all files; 'evaluate' names pairs by them." placeholder:"N M"`
	ShowValues bool      `help:"Show the values as they are, not masked."`
	JSON       bool      `name:"json" help:"Print one JSON object."`
	Input      []string  `arg:"" help:"The files that are linked, all of them: what is rare and which clusters there are depends on all."`
}

// Validate wants a pair. Were both flags required, as one of them is, the usage would
// show both.
func (c identityExplainCmd) Validate() error {
	if c.Pair == (twoValues{}) && c.Records == (twoValues{}) {
		return errors.New("missing flags: --pair=ID_L ID_R or --records=N M")
	}
	return nil
}

// Help shows below the usage.
func (identityExplainCmd) Help() string {
	return "Links the records as `oneid identity link` does, and takes one pair apart: at which level each comparison is, how often that is so among pairs of one entity (m) and among others (u), what that is worth in bits, what is added because equal values are rare, the prior, and the sum. It says which blocking rules have the pair, whether it was linked, and, where the two are in one cluster, by which links.\n\n" +
		"The figures are those that `link` writes into pairs.csv. Values are masked to their first character.\n\n" +
		"Try: oneid identity explain customers.csv --model model.yaml --learned learned.json --pair c17 c42"
}

// explained is what --json prints of a pair.
type explained struct {
	Left        explainedRecord `json:"left"`
	Right       explainedRecord `json:"right"`
	Fields      []explainedPart `json:"comparisons"`
	Prior       float64         `json:"prior"`
	PriorBits   float64         `json:"prior_bits"`
	Neighbours  float64         `json:"neighbours_bits"`
	Weight      float32         `json:"weight"`
	Probability float64         `json:"probability"`
	Threshold   float64         `json:"threshold"`
	Blocking    []explainedRule `json:"blocking"`
	Compared    bool            `json:"compared"`
	Linked      bool            `json:"linked"`
	Refused     bool            `json:"link_refused"`
	Reason      match.Reason    `json:"refused_because,omitempty"`
	Same        bool            `json:"same_cluster"`
	Chain       []explainedLink `json:"chain,omitempty"`
	Warnings    []string        `json:"warnings,omitempty"`
}

// explainedRecord is a record by its number; its id is shown only where values
// are.
type explainedRecord struct {
	Record  int    `json:"record"`
	ID      string `json:"id,omitempty"`
	Cluster int    `json:"cluster"` // number of its first record
}

type explainedPart struct {
	Comparison string  `json:"comparison"`
	Kind       string  `json:"kind"`
	Left       string  `json:"left"`
	Right      string  `json:"right"`
	Level      string  `json:"level"`
	M          float64 `json:"m,omitempty"`
	U          float64 `json:"u,omitempty"`
	Bits       float64 `json:"bits"`
	RarityBits float64 `json:"rarity_bits,omitempty"`
}

type explainedRule struct {
	Rule    string `json:"on"`
	Holds   bool   `json:"agree"`
	Skipped bool   `json:"shared_by_too_many,omitempty"`
}

type explainedLink struct {
	Left        explainedRecord `json:"left"`
	Right       explainedRecord `json:"right"`
	Weight      float32         `json:"weight"`
	Probability float64         `json:"probability"`
}

// Run explains.
func (c identityExplainCmd) Run(ctx context.Context) error {
	job := matching{tableFlags: c.tableFlags, input: c.Input, model: c.Model, learned: c.Learned}
	job.explain = func(in *matchInput) ([][2]uint32, error) {
		var rows [2]uint32
		for i, side := range []string{"first", "second"} {
			row, err := c.row(in, i, side)
			if err != nil {
				return nil, err
			}
			rows[i] = uint32(row)
		}
		if rows[0] == rows[1] {
			return nil, errors.New("both are one record")
		}
		return [][2]uint32{rows}, nil
	}
	out, err := job.run(ctx, newProgress(c.JSON))
	if err != nil {
		return err
	}
	e := c.explained(out)
	if c.JSON {
		return printJSON(e)
	}
	return printExplained(os.Stdout, e)
}

// row finds a record by its id or its number. An id may be a phone number:
// errors do not repeat it.
func (c identityExplainCmd) row(in *matchInput, i int, side string) (int, error) {
	if c.Records != (twoValues{}) {
		n, err := strconv.Atoi(c.Records[i])
		if err != nil || n < 1 || n > len(in.ids) {
			return 0, fmt.Errorf("the %s of --records is no number from 1 to %d", side, len(in.ids))
		}
		return n - 1, nil
	}
	row := slices.IndexFunc(in.ids, func(id string) bool { return id == c.Pair[i] || tablefile.Harmless(id) == c.Pair[i] })
	if row < 0 {
		return 0, hinted{fmt.Errorf("no record has the %s id of --pair", side), "write it as it stands in clusters.csv, or name the records by their numbers with --records"}
	}
	return row, nil
}

func (c identityExplainCmd) explained(out *matched) explained {
	e := &out.result.Explained[0]
	record := func(row uint32) explainedRecord {
		r := explainedRecord{Record: int(row) + 1, Cluster: int(out.result.Cluster[row]) + 1}
		if c.ShowValues {
			r.ID = out.in.ids[row]
		}
		return r
	}
	l := out.result.Learned
	x := explained{
		Left: record(e.A), Right: record(e.B), Prior: l.Prior, PriorBits: e.Prior, Neighbours: e.Neighbours,
		Weight: e.Weight, Probability: e.Probability(), Threshold: out.result.Threshold,
		Compared: e.Compared, Linked: e.Linked, Refused: e.Refused != "", Reason: e.Refused, Same: e.Same, Warnings: out.result.Warnings,
	}
	for i, f := range e.Fields {
		comparison := out.model.Comparisons[i]
		x.Fields = append(x.Fields, explainedPart{
			Comparison: f.Name, Kind: string(comparison.Kind),
			Left:  c.value(out.in.table, e.A, comparison.Columns),
			Right: c.value(out.in.table, e.B, comparison.Columns),
			Level: f.LevelName, M: f.M, U: f.U, Bits: f.Weight, RarityBits: f.Rarity,
		})
	}
	for _, r := range e.Rules {
		x.Blocking = append(x.Blocking, explainedRule{r.Rule.String(), r.Holds, r.Skipped})
	}
	for _, link := range e.Chain {
		x.Chain = append(x.Chain, explainedLink{record(link.A), record(link.B), link.Weight, link.Probability()})
	}
	return x
}

// value is what a record has in a comparison's columns, masked unless values
// are shown.
func (c identityExplainCmd) value(t *match.Table, row uint32, columns []string) string {
	parts := make([]string, len(columns))
	for i, name := range columns {
		parts[i] = t.Value(int(row), slices.Index(t.Columns(), name))
		if !c.ShowValues {
			parts[i] = masked(parts[i])
		}
	}
	return strings.Join(parts, " ")
}

// masked leaves the first character of a value, and nothing of one that has no
// other. It does not tell how long the value is.
func masked(text string) string {
	first, _ := utf8.DecodeRuneInString(text)
	switch utf8.RuneCountInString(text) {
	case 0:
		return ""
	case 1:
		return "***"
	}
	return string(first) + "***"
}

// printExplained shows a pair to a person.
func printExplained(out io.Writer, e explained) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	name := func(r explainedRecord) string {
		if r.ID != "" {
			return fmt.Sprintf("record %d (%s)", r.Record, r.ID)
		}
		return fmt.Sprintf("record %d", r.Record)
	}
	fmt.Fprintf(w, "%s and %s: weight %+.3f bits, probability %.6f\n", name(e.Left), name(e.Right), e.Weight, e.Probability)
	switch {
	case e.Refused:
		fmt.Fprintf(w, "at the threshold of %.3f or above it, and yet they join no clusters: %s\n", e.Threshold, refusedBecause[e.Reason])
	case e.Linked:
		fmt.Fprintf(w, "linked: at the threshold of %.3f or above it\n", e.Threshold)
	case e.Compared:
		fmt.Fprintf(w, "compared and not linked: below the threshold of %.3f\n", e.Threshold)
	default:
		fmt.Fprintf(w, "not compared when the table was linked: no blocking rule has them\n")
	}
	if e.Same {
		fmt.Fprintf(w, "in one cluster, joined by\n")
		for _, l := range e.Chain {
			fmt.Fprintf(w, "  %s and %s: weight %+.3f, probability %.6f\n", name(l.Left), name(l.Right), l.Weight, l.Probability)
		}
	} else {
		fmt.Fprintf(w, "in two clusters, those of record %d and of record %d\n", e.Left.Cluster, e.Right.Cluster)
	}
	fmt.Fprintln(w, "\ncomparison\tleft\tright\tlevel\tm\tu\tbits\trarity")
	for _, f := range e.Fields {
		m, u, rare := "", "", ""
		if f.M > 0 {
			m, u = fmt.Sprintf("%.4f", f.M), fmt.Sprintf("%.3g", f.U)
		}
		if f.RarityBits != 0 {
			rare = fmt.Sprintf("%+.3f", f.RarityBits)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%+.3f\t%s\n", f.Comparison, f.Left, f.Right, f.Level, m, u, f.Bits, rare)
	}
	fmt.Fprintf(w, "prior\t\t\t%.3g of all pairs are one entity\t\t\t%+.3f\n", e.Prior, e.PriorBits)
	fmt.Fprintf(w, "neighbours\t\t\ttwo entities may agree like that, too\t\t\t%+.3f\n", e.Neighbours)
	fmt.Fprintf(w, "together\t\t\tprobability %.6f\t\t\t%+.3f\n", e.Probability, e.Weight)
	fmt.Fprintln(w, "\nblocking rule")
	for _, r := range e.Blocking {
		how := "they differ, or a value is missing"
		switch {
		case r.Skipped:
			how = "they agree, but so do more records than the rule allows"
		case r.Holds:
			how = "they agree"
		}
		fmt.Fprintf(w, "%s\t%s\n", r.Rule, how)
	}
	for _, warning := range e.Warnings {
		fmt.Fprintln(w, "note: "+warning)
	}
	return w.Flush()
}
