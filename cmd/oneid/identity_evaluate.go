package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"oneid/identity/evaluate"
	"oneid/identity/match"
	"oneid/internal/tablefile"
)

// identityEvaluateCmd measures clusters against the truth.
type identityEvaluateCmd struct {
	tableFlags
	Truth      string   `required:"" help:"What is right: a file id,cluster, or a column of the input." placeholder:"FILE|COLUMN"`
	Clusters   string   `help:"CSV file with id,cluster, as match and link write it." placeholder:"FILE"`
	Pairs      string   `help:"Beside --clusters: the pairs.csv of that run, for the curve and the links." placeholder:"FILE"`
	Model      string   `help:"In place of --clusters: link the input with this model…" placeholder:"FILE"`
	Learned    string   `help:"… and what was learned with it." placeholder:"FILE"`
	Picture    string   `help:"SVG file for the curve." placeholder:"FILE"`
	Worst      int      `help:"How many wrong pairs to name, of either sort." default:"10" placeholder:"N"`
	ShowValues bool     `help:"Show the records' ids and values, not their numbers alone."`
	JSON       bool     `name:"json" help:"Print one JSON object."`
	Input      []string `arg:"" optional:"" help:"CSV and Parquet files to link, with --model and --learned."`
}

// Help shows below the usage.
func (identityEvaluateCmd) Help() string {
	return "Precision is the share of the pairs found that are right, recall the share of the right pairs that are found, F1 their harmonic mean. Pairwise counts pairs of records in one cluster: large clusters weigh most. B-cubed is the mean over records: each weighs the same. The curve says what another threshold would give for the pairs, before they are clustered.\n\n" +
		"The worst wrong pairs follow: two entities in one cluster, and one entity in two clusters, those that stand for most pairs first, with the strongest link between the two. Records are named by their numbers, counted from 1 through all files; `oneid identity explain --records N M` says why.\n\n" +
		"Try: oneid identity evaluate --clusters clusters.csv --pairs pairs.csv --truth truth.csv\n     oneid identity evaluate customers.csv --model model.yaml --learned learned.json --truth person --picture curve.svg"
}

// evaluation is what --json prints.
type evaluation struct {
	Records   int     `json:"records"`
	Clusters  int     `json:"clusters"`
	Entities  int     `json:"entities"`
	Threshold float64 `json:"threshold,omitempty"`
	scores
	// Joined are two entities in one cluster, Apart one entity in two.
	Joined   []wrongPair `json:"joined_wrongly"`
	Apart    []wrongPair `json:"apart_wrongly"`
	Picture  string      `json:"picture,omitempty"`
	Warnings []string    `json:"warnings,omitempty"`
}

// wrongPair stands for all pairs of two groups of records.
type wrongPair struct {
	Left  wrongRecord `json:"left"`
	Right wrongRecord `json:"right"`
	// Pairs of records that are wrong with this one.
	Pairs int64 `json:"pairs"`
	// Probability of the strongest link between the two groups; nil if there
	// is none, or none is known.
	Probability *float64 `json:"probability,omitempty"`
}

type wrongRecord struct {
	Record int      `json:"record"`
	ID     string   `json:"id,omitempty"`
	Values []string `json:"values,omitempty"`
}

// Run measures.
func (c identityEvaluateCmd) Run(ctx context.Context) error {
	switch tables, clusters := len(c.Input) > 0, c.Clusters != ""; {
	case tables == clusters:
		return hinted{errors.New("either --clusters or files to link are measured"), "give --clusters clusters.csv, or tables with --model and --learned"}
	case clusters && (c.Model != "" || c.Learned != "" || c.Link || c.Source != "" || c.ID != ""):
		return hinted{errors.New("--model, --learned, --link, --source and --id are for tables, and --clusters is given"), "leave them out"}
	case tables && (c.Model == "" || c.Learned == ""):
		return hinted{errors.New("to link tables it takes --model and --learned"), "`oneid match` writes both; `oneid identity train` the second"}
	case tables && c.Pairs != "":
		return hinted{errors.New("--pairs is for --clusters"), "leave it out: the tables are linked here"}
	}
	var out *matched
	apart := matching{input: []string{c.Clusters, c.Pairs}, writes: []string{c.Picture}}
	err := apart.keepsApart()
	switch {
	case err != nil:
	case c.Clusters != "":
		out, err = c.read()
	default:
		job := matching{tableFlags: c.tableFlags, input: c.Input, truth: c.Truth, model: c.Model, learned: c.Learned, writes: []string{c.Picture}}
		out, err = job.run(ctx, newProgress(c.JSON))
	}
	if err != nil {
		return err
	}
	e := c.evaluate(out)
	if c.Picture != "" {
		if len(e.Curve) == 0 {
			return hinted{errors.New("without pairs there is no curve to draw"), "give the pairs.csv of the run with --pairs"}
		}
		if err := writeFile(c.Picture, func(w io.Writer) error { return writeCurve(w, &e.scores, e.Threshold) }); err != nil {
			return err
		}
		e.Picture = c.Picture
	}
	if c.JSON {
		return printJSON(e)
	}
	printEvaluation(os.Stdout, e)
	return nil
}

// read reads clusters and pairs that were written, as if they had just been
// found.
func (c identityEvaluateCmd) read() (*matched, error) {
	ids, names, err := readClusters(c.Clusters, "a file of clusters")
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s: there is no record in it", c.Clusters)
	}
	in := &matchInput{ids: ids}
	result := &match.Result{Cluster: make([]uint32, len(ids))}
	row := make(map[string]uint32, len(ids))
	first := map[string]uint32{}
	for i, id := range ids {
		if n, ok := row[id]; ok { // an id may be a phone number: it is not told
			return nil, fmt.Errorf("%s: records %d and %d have one id", c.Clusters, n+1, i+1)
		}
		row[id] = uint32(i)
		if _, ok := first[names[i]]; !ok {
			first[names[i]] = uint32(i)
		}
		result.Cluster[i] = first[names[i]]
	}
	if err := in.readTruth(c.Truth); err != nil {
		return nil, err
	}
	if c.Pairs != "" {
		if result.Links, err = readPairs(c.Pairs, row); err != nil {
			return nil, err
		}
	}
	return &matched{in: in, result: result}, nil
}

// readPairs reads what writePairs wrote, best first.
func readPairs(path string, row map[string]uint32) (links []match.Link, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	table, err := openMatchTable(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if want := []string{"id_l", "id_r", "probability", "weight"}; !slices.Equal(table.Header(), want) {
		return nil, hinted{fmt.Errorf("%s: its columns are not %s", path, strings.Join(want, ", ")), "give the file that `oneid match --pairs` or `oneid identity link --pairs` wrote"}
	}
	for {
		r, err := table.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err := cmp.Or(err, r.Err); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", path, r.Line, err)
		}
		a, okA := row[r.Fields[0]]
		b, okB := row[r.Fields[1]]
		weight, err := strconv.ParseFloat(r.Fields[3], 32)
		if err != nil || !okA || !okB || a == b {
			return nil, hinted{fmt.Errorf("%s line %d: it is not about two of the records, with a weight", path, r.Line), "give the pairs of the same run as the clusters"}
		}
		links = append(links, match.Link{A: min(a, b), B: max(a, b), Weight: float32(weight)})
	}
	slices.SortStableFunc(links, func(a, b match.Link) int { return cmp.Compare(b.Weight, a.Weight) })
	return links, nil
}

func (c identityEvaluateCmd) evaluate(out *matched) evaluation {
	in, result := out.in, out.result
	e := evaluation{Records: len(in.ids), Threshold: result.Threshold, Warnings: result.Warnings, scores: *in.measure(result)}
	if c.Clusters != "" {
		// What lies below the pairs that were written is not known.
		lowest := 1.0
		if n := len(result.Links); n > 0 {
			lowest = result.Links[n-1].Probability()
		}
		e.Curve = slices.DeleteFunc(e.Curve, func(p curvePoint) bool { return p.Probability < lowest })
	}
	e.Clusters, e.Entities = different(result.Cluster), different(in.truth)
	e.Joined = worst(c, out, result.Cluster, in.truth)
	e.Apart = worst(c, out, in.truth, result.Cluster)
	return e
}

func different[T comparable](list []T) int {
	set := map[T]bool{}
	for _, v := range list {
		set[v] = true
	}
	return len(set)
}

// worst names what lies in one group and is of two parts.
func worst[G, P comparable](c identityEvaluateCmd, out *matched, groups []G, parts []P) []wrongPair {
	type between struct {
		group G
		a, b  P // a is the part of the earlier first record
	}
	confusions := evaluate.Confusions(groups, parts)
	at := make(map[between]int, len(confusions))
	for i, w := range confusions {
		at[between{groups[w.A], parts[w.A], parts[w.B]}] = i
	}
	// The strongest link shows it better than the first records do: it is what
	// made the mistake, or nearly found the two.
	strongest := make([]*match.Link, len(confusions))
	for k := range out.result.Links {
		l := &out.result.Links[k]
		if groups[l.A] != groups[l.B] || parts[l.A] == parts[l.B] {
			continue
		}
		i, ok := at[between{groups[l.A], parts[l.A], parts[l.B]}]
		if !ok {
			i, ok = at[between{groups[l.A], parts[l.B], parts[l.A]}]
		}
		if ok && strongest[i] == nil {
			strongest[i] = l
		}
	}
	weight := func(i int) float64 {
		if strongest[i] == nil {
			return -1e9
		}
		return float64(strongest[i].Weight)
	}
	order := make([]int, len(confusions))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, k int) int {
		return cmp.Or(cmp.Compare(confusions[k].Pairs, confusions[i].Pairs), cmp.Compare(weight(k), weight(i)))
	})
	list := []wrongPair{} // no pairs are a list, too
	for _, i := range order[:min(len(order), max(0, c.Worst))] {
		w := wrongPair{Pairs: confusions[i].Pairs, Left: c.record(out, confusions[i].A), Right: c.record(out, confusions[i].B)}
		if l := strongest[i]; l != nil {
			p := l.Probability()
			w.Left, w.Right, w.Probability = c.record(out, int(l.A)), c.record(out, int(l.B)), &p
		}
		list = append(list, w)
	}
	return list
}

// record names a record by its number; values only where they are wanted.
func (c identityEvaluateCmd) record(out *matched, row int) wrongRecord {
	r := wrongRecord{Record: row + 1}
	if !c.ShowValues {
		return r
	}
	r.ID = out.in.ids[row]
	if t := out.in.table; t != nil {
		for column := range t.Columns() {
			r.Values = append(r.Values, t.Value(row, column))
		}
	}
	return r
}

func printEvaluation(w io.Writer, e evaluation) {
	fmt.Fprintf(w, "%d records, %d clusters, in truth %d entities\n", e.Records, e.Clusters, e.Entities)
	printScores(w, &e.scores)
	for _, list := range []struct {
		title string
		pairs []wrongPair
	}{
		{"two entities in one cluster", e.Joined},
		{"one entity in two clusters", e.Apart},
	} {
		if len(list.pairs) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s, the worst first:\n", list.title)
		for _, p := range list.pairs {
			how := "no link between the two is known"
			if p.Probability != nil {
				how = fmt.Sprintf("strongest link: probability %.6f", *p.Probability)
			}
			pairs := "1 wrong pair"
			if p.Pairs > 1 {
				pairs = fmt.Sprintf("%d wrong pairs", p.Pairs)
			}
			fmt.Fprintf(w, "  records %d and %d, for %s; %s\n", p.Left.Record, p.Right.Record, pairs, how)
			for _, r := range []wrongRecord{p.Left, p.Right} {
				if r.ID != "" {
					fmt.Fprintf(w, "    %s: %s\n", tablefile.Harmless(r.ID), strings.Join(r.Values, " · "))
				}
			}
		}
	}
	for _, warning := range e.Warnings {
		fmt.Fprintln(w, "note:", warning)
	}
	if e.Picture != "" {
		fmt.Fprintf(w, "the curve as a picture: %s\n", e.Picture)
	}
}
