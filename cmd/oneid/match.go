package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/identity/evaluate"
	"oneid/identity/match"
	"oneid/identity/match/compare"
	"oneid/identity/match/guess"
	"oneid/internal/tablefile"
)

// tableFlags say how the records of tables are read and compared.
type tableFlags struct {
	ID       string  `name:"id" help:"Column that names each record (default: found by itself; without one, the rows are numbered)." placeholder:"COLUMN"`
	Link     bool    `help:"Compare records of different sources only: each file is a source, or each value of --source."`
	Source   string  `help:"Column that says which source a record is of; for --link." placeholder:"COLUMN"`
	MaxPairs float64 `help:"Refuse to compare more pairs than this." default:"200e6"`
}

// matchCmd finds which rows of tables are one entity.
type matchCmd struct {
	tableFlags
	Out     string   `help:"CSV file to write: id,cluster, a row for every record." default:"clusters.csv" placeholder:"FILE"`
	Pairs   string   `help:"CSV file for the pairs that were linked, and those to review: id_l,id_r,probability,weight." placeholder:"FILE"`
	Truth   string   `help:"What is right, to measure by: a column of the input, or a file id,cluster. It is not looked at for the clusters." placeholder:"COLUMN|FILE"`
	Model   string   `help:"YAML file that says what is compared (default: found by itself, and written beside --out)." placeholder:"FILE"`
	Learned string   `help:"JSON file of an earlier run, to weigh by what was learned there instead of learning anew; for its --model." placeholder:"FILE"`
	JSON    bool     `name:"json" help:"Print one JSON object with the figures."`
	Input   []string `arg:"" help:"CSV files, UTF-8 or GBK, with the names of the columns in the first line, and Parquet files."`
}

// Help shows below the usage.
func (matchCmd) Help() string {
	var b strings.Builder
	b.WriteString("Without a model it looks at the columns, writes the model that it chose beside the output with a comment for each choice, learns from the data what agreement is worth, and goes on. No labels are needed.\n\nWith several files and without --link, duplicates are looked for within and between them. Where an id is in two files, the output calls the records FILE/ID. A cluster is called by its first record.\n\nTry: oneid match customers.csv --out clusters.csv\n     oneid match a.csv b.csv --link --out clusters.csv --pairs pairs.csv\n\ndocs/match.md goes on from there: change the model, train and link apart (`oneid identity train`, `link`), measure (`evaluate`), ask why (`explain`).\n\nKinds of columns in a model, the levels at which two values are compared, and the parts that a blocking rule can take (NAME.PART):\n")
	for _, kind := range compare.Kinds() {
		fmt.Fprintf(&b, "  %s: %s", kind, strings.Join(compare.Levels(kind), " · "))
		if parts := match.Parts(kind); len(parts) > 0 {
			fmt.Fprintf(&b, ". Parts: %s", strings.Join(parts, ", "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// matchReport is what --json prints.
type matchReport struct {
	Records    int      `json:"records"`
	Candidates int64    `json:"candidates"`
	Links      int      `json:"links"`
	Review     int      `json:"for_review,omitempty"`
	Refused    int      `json:"links_refused"`
	Clusters   int      `json:"clusters"`
	Largest    int      `json:"largest_cluster"`
	Threshold  float64  `json:"threshold"`
	Seconds    float64  `json:"seconds"`
	PeakMiB    int64    `json:"peak_mib,omitempty"`
	Model      string   `json:"model"`
	Learned    string   `json:"learned"`
	Warnings   []string `json:"warnings,omitempty"`
	Truth      *scores  `json:"truth,omitempty"`
	// Curve is the file with the picture of the truth's curve.
	Curve string `json:"curve,omitempty"`
}

// scores compare with the truth.
type scores struct {
	Pairwise quality `json:"pairwise"`
	BCubed   quality `json:"b_cubed"`
	// Curve over thresholds, of the pairs alone.
	Curve []curvePoint `json:"curve"`
}

type quality struct {
	Precision float64 `json:"precision"`
	Recall    float64 `json:"recall"`
	F1        float64 `json:"f1"`
}

// curvePoint is the quality of the linked pairs at a threshold.
type curvePoint struct {
	Probability float64 `json:"probability"`
	quality
}

func measured(precision, recall float64) quality {
	q := quality{precision, recall, 0}
	if precision+recall > 0 {
		q.F1 = 2 * precision * recall / (precision + recall)
	}
	return q
}

// matchInput is the records of all files.
type matchInput struct {
	table  *match.Table
	ids    []string
	truth  []string // by row; nil without
	source []uint8
}

// matching is one run of the matcher over the records of some files. Match,
// train, link, evaluate and explain are all of them one.
type matching struct {
	tableFlags
	input   []string
	truth   string  // a column or a file; "" for none
	model   string  // "" guesses one
	learned string  // "" learns
	seed    *uint64 // in place of the model's; nil leaves it
	// explain names pairs of rows to explain; nil for none.
	explain func(*matchInput) ([][2]uint32, error)
}

// matched is what came of it.
type matched struct {
	in     *matchInput
	model  *match.Model
	why    []string // of a model that was guessed
	result *match.Result
}

// run reads the files, and matches their records.
func (m *matching) run(ctx context.Context, show *progress) (out *matched, err error) {
	defer func() { show.fail(err) }()
	// Small files first: what is wrong with them is said at once.
	out = &matched{}
	if out.model, err = m.readModel(); err != nil {
		return nil, err
	}
	learned, err := m.readLearned()
	if err != nil {
		return nil, err
	}
	show.start("reading records", 0)
	if out.in, err = m.read(ctx, m.input, m.truth, show); err != nil {
		return nil, err
	}
	if out.model == nil {
		if out.model, err = guess.Model(out.in.table); err != nil {
			return nil, hinted{err, "name the columns and their kinds in a model, and give it with --model"}
		}
		for _, comparison := range out.model.Comparisons {
			out.why = append(out.why, fmt.Sprintf("%s is compared as %s: %s", strings.Join(comparison.Columns, ", "), comparison.Kind, comparison.Why))
		}
	}
	options := match.Options{MaxPairs: m.MaxPairs, Learned: learned}
	if m.explain != nil {
		if options.Explain, err = m.explain(out.in); err != nil {
			return nil, err
		}
	}
	step := ""
	options.Progress = func(name string, done, total int64) {
		if name != step {
			step = name
			show.start(name, total)
		}
		show.set(done, total)
	}
	if out.result, err = match.Run(ctx, out.in.table, out.model, options); err != nil {
		return nil, err
	}
	if learned != nil && len(learned.Warnings) > 0 { // none is used in silence
		out.result.Warnings = append(out.result.Warnings, fmt.Sprintf("not all was learned well: %d notes of the training stand in %s, under warnings", len(learned.Warnings), m.learned))
	}
	return out, nil
}

// readModel reads the model; nil if there is none to read.
func (m *matching) readModel() (*match.Model, error) {
	if m.model == "" {
		return nil, nil
	}
	text, err := os.ReadFile(m.model)
	if errors.Is(err, os.ErrNotExist) {
		return nil, hinted{fmt.Errorf("read the model: %w", err), "`oneid match TABLE` writes a model beside its output, for you to change"}
	}
	if err != nil {
		return nil, fmt.Errorf("read the model: %w", err)
	}
	model, err := match.ParseModel(m.model, text)
	if err == nil && m.seed != nil {
		model.Seed = *m.seed
	}
	return model, err
}

// readLearned reads what was learned; nil if there is none to read.
func (m *matching) readLearned() (*match.Learned, error) {
	if m.learned == "" {
		return nil, nil
	}
	text, err := os.ReadFile(m.learned)
	if errors.Is(err, os.ErrNotExist) {
		return nil, hinted{fmt.Errorf("read what was learned: %w", err), "`oneid identity train TABLE --model MODEL --out FILE` writes it"}
	}
	if err != nil {
		return nil, fmt.Errorf("read what was learned: %w", err)
	}
	return match.ParseLearned(m.learned, text)
}

// Run matches.
func (c matchCmd) Run(ctx context.Context) error {
	began := time.Now()
	job := matching{tableFlags: c.tableFlags, input: c.Input, truth: c.Truth, model: c.Model, learned: c.Learned}
	out, err := job.run(ctx, newProgress(c.JSON))
	if err != nil {
		return err
	}
	in, result := out.in, out.result
	report := matchReport{
		Records: in.table.Len(), Candidates: result.Candidates, Threshold: result.Threshold,
		Refused: len(result.Refused), Warnings: result.Warnings, Model: c.Model, Learned: c.Learned,
	}
	base := strings.TrimSuffix(c.Out, filepath.Ext(c.Out))
	if c.Model == "" {
		report.Model = base + ".model.yaml"
		if err := writeFile(report.Model, func(w io.Writer) error { return out.model.Write(w) }); err != nil {
			return err
		}
	}
	if c.Learned == "" {
		report.Learned = base + ".learned.json"
		if err := writeLearned(report.Learned, result.Learned, began); err != nil {
			return err
		}
	}
	sizes := map[uint32]int{}
	for _, cluster := range result.Cluster {
		sizes[cluster]++
		report.Largest = max(report.Largest, sizes[cluster])
	}
	report.Clusters = len(sizes)
	for _, l := range result.Links {
		switch p := l.Probability(); {
		case p >= result.Threshold:
			report.Links++
		case out.model.Review > 0 && p >= out.model.Review:
			report.Review++
		}
	}
	if err := writeFile(c.Out, func(w io.Writer) error { return writeClusters(w, in, result) }); err != nil {
		return err
	}
	if c.Pairs != "" {
		from := result.Threshold
		if out.model.Review > 0 {
			from = min(from, out.model.Review)
		}
		if err := writeFile(c.Pairs, func(w io.Writer) error { return writePairs(w, in, result, from) }); err != nil {
			return err
		}
	}
	if in.truth != nil {
		report.Truth = in.measure(result)
		report.Curve = base + ".curve.svg"
		if err := writeFile(report.Curve, func(w io.Writer) error { return writeCurve(w, report.Truth, report.Threshold) }); err != nil {
			return err
		}
	}
	report.Seconds = time.Since(began).Seconds()
	if peak, err := peakMiB(); err == nil { // known on Linux alone
		report.PeakMiB = int64(peak)
	}
	return c.print(report, result, out.why)
}

// writeLearned writes what was learned, with the time.
func writeLearned(path string, l *match.Learned, at time.Time) error {
	l.At = at.UTC().Format(time.RFC3339)
	return writeFile(path, l.Write)
}

// writeFile writes a file as a whole: it has its name when it is complete.
func writeFile(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<16)
	if err := errors.Join(write(buffered), buffered.Flush(), file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func writeClusters(w io.Writer, in *matchInput, result *match.Result) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id", "cluster"}); err != nil {
		return err
	}
	for row, cluster := range result.Cluster {
		if err := out.Write([]string{tablefile.Harmless(in.ids[row]), tablefile.Harmless(in.ids[cluster])}); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func writePairs(w io.Writer, in *matchInput, result *match.Result, from float64) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id_l", "id_r", "probability", "weight"}); err != nil {
		return err
	}
	for _, l := range result.Links {
		if l.Probability() < from {
			break
		}
		row := []string{tablefile.Harmless(in.ids[l.A]), tablefile.Harmless(in.ids[l.B]), strconv.FormatFloat(l.Probability(), 'f', 6, 64), strconv.FormatFloat(float64(l.Weight), 'f', 3, 64)}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// read reads the files into one table. truth is a column or a file of what is
// right, or "".
func (c tableFlags) read(ctx context.Context, input []string, truth string, show *progress) (*matchInput, error) {
	if c.Source != "" && !c.Link {
		return nil, hinted{errors.New("--source says which records are of one source, and without --link that changes nothing"), "add --link, or leave --source out"}
	}
	if c.Link && len(input) == 1 && c.Source == "" {
		return nil, hinted{errors.New("--link compares records of different sources, and there is one file"), "name a second file, or the column that says the source with --source"}
	}
	if len(input) > 256 {
		return nil, fmt.Errorf("%d files are more than 256", len(input))
	}
	in := &matchInput{}
	r := matchReader{cmd: c, input: input, truth: truth, in: in, sources: map[string]uint8{}}
	for number, path := range input {
		if err := r.file(ctx, number, path, show); err != nil {
			return nil, err
		}
	}
	if in.table.Len() < 2 {
		return nil, fmt.Errorf("%s: %d records; there is nothing to compare", strings.Join(input, ", "), in.table.Len())
	}
	if c.Link && !in.table.Linked() {
		return nil, hinted{errors.New("all records are of one source"), "name the column that says the source with --source"}
	}
	if err := r.name(); err != nil {
		return nil, err
	}
	if truth != "" && in.truth == nil {
		if err := r.truthFile(); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// matchReader gathers the records of several files.
type matchReader struct {
	cmd     tableFlags
	input   []string
	truth   string
	in      *matchInput
	columns []string // that are compared, as the first file has them
	sources map[string]uint8
	header  []string
	rows    []int // of each file
}

func (r *matchReader) file(ctx context.Context, number int, path string, show *progress) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	table, err := openMatchTable(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	header := table.Header()
	for flag, column := range map[string]string{"--id": r.cmd.ID, "--source": r.cmd.Source} {
		if column != "" && !slices.Contains(header, column) {
			return hinted{fmt.Errorf("%s: there is no column %q", path, column), fmt.Sprintf("%s must be one of %s", flag, strings.Join(header, ", "))}
		}
	}
	if number == 0 {
		r.header = slices.Clone(header)
		r.plan()
	} else {
		for _, column := range r.header {
			if !slices.Contains(header, column) {
				return hinted{fmt.Errorf("%s: there is no column %q, which %s has", path, column, r.input[0]), "give the columns the same names in all files"}
			}
		}
	}
	places := make([]int, len(r.header))
	for i, column := range r.header {
		places[i] = slices.Index(header, column)
	}
	fields := make([]string, 0, len(r.columns))
	rows := 0
	var source uint8
	if r.cmd.Link {
		source = uint8(number)
	}
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if row.Err != nil {
			return fmt.Errorf("%s line %d: %w", path, row.Line, row.Err)
		}
		fields = fields[:0]
		id := ""
		for i, column := range r.header {
			text := row.Fields[places[i]]
			switch column {
			case r.cmd.ID:
				if r.cmd.ID != "" {
					id = text
				}
			case r.truth:
				if text == "" {
					text = "\x00" + path + strconv.Itoa(row.Line) // of nobody else
				}
				r.in.truth = append(r.in.truth, strings.Clone(text))
			case r.cmd.Source:
				known, ok := r.sources[text]
				if !ok {
					if len(r.sources) == 256 {
						return fmt.Errorf("%s line %d: --source %s has more than 256 values", path, row.Line, column)
					}
					known = uint8(len(r.sources))
					r.sources[strings.Clone(text)] = known
				}
				source = known
			default:
				fields = append(fields, text)
			}
		}
		if r.cmd.ID != "" {
			if id == "" {
				return fmt.Errorf("%s line %d: the id is empty", path, row.Line)
			}
			r.in.ids = append(r.in.ids, strings.Clone(id))
		}
		r.in.table.Add(source, fields)
		r.in.source = append(r.in.source, source)
		if rows++; rows%10000 == 0 {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			show.set(int64(r.in.table.Len()), 0)
		}
	}
	r.rows = append(r.rows, rows)
	return nil
}

// idNames are what a column that names the records is usually called.
var idNames = []string{"id", "unique_id", "record_id", "rec_id", "recid", "recordid", "编号"}

// plan says which columns are compared: all but the id, the truth and the
// source.
func (r *matchReader) plan() {
	if r.cmd.ID == "" {
		for _, column := range r.header {
			if slices.Contains(idNames, strings.ToLower(column)) && column != r.truth && column != r.cmd.Source {
				r.cmd.ID = column
				break
			}
		}
	}
	for _, column := range r.header {
		if column != r.cmd.ID && column != r.truth && column != r.cmd.Source {
			r.columns = append(r.columns, column)
		}
	}
	r.in.table = match.NewTable(r.columns)
}

// name makes the ids of the output: those of the id's column, with the file's
// name before them if two files share one, or the numbers of the rows.
func (r *matchReader) name() error {
	if r.cmd.ID == "" {
		for row := range r.in.table.Len() {
			r.in.ids = append(r.in.ids, strconv.Itoa(row+1))
		}
		return nil
	}
	row := 0
	type place struct{ file, record int }
	inFile := make(map[string]place, len(r.in.ids))
	shared := false
	for number, n := range r.rows {
		for i, id := range r.in.ids[row : row+n] {
			seen, ok := inFile[id]
			if ok && seen.file == number { // an id may be a phone number: it is not told
				return hinted{fmt.Errorf("%s: the id in column %q is not one record's alone: records %d and %d share one", r.input[number], r.cmd.ID, seen.record, i+1), "name another column with --id"}
			}
			shared = shared || ok
			inFile[id] = place{number, i + 1}
		}
		row += n
	}
	if !shared {
		return nil
	}
	row = 0
	for number, n := range r.rows {
		name := filepath.Base(r.input[number])
		for i := range n {
			r.in.ids[row+i] = name + "/" + r.in.ids[row+i]
		}
		row += n
	}
	return nil
}

// truthFile reads the truth from a file of its own.
func (r *matchReader) truthFile() error {
	_, err := os.Stat(r.truth)
	if errors.Is(err, os.ErrNotExist) {
		return hinted{fmt.Errorf("--truth %s is neither a column nor a file", r.truth), "the columns are " + strings.Join(r.header, ", ")}
	}
	return r.in.readTruth(r.truth)
}

// readTruth reads who each record is from a file of ids and clusters.
func (in *matchInput) readTruth(path string) error {
	ids, clusters, err := readClusters(path, "a truth")
	if err != nil {
		return err
	}
	truth := make(map[string]string, len(ids))
	for i, id := range ids {
		truth[id] = clusters[i]
		if written := tablefile.Harmless(id); written != id {
			truth[written] = clusters[i] // as it stands in what oneid writes
		}
	}
	missing := 0
	in.truth = make([]string, len(in.ids))
	for i, id := range in.ids {
		entity, ok := truth[id]
		if !ok {
			entity, ok = truth[tablefile.Harmless(id)]
		}
		if !ok {
			missing++
			entity = "\x00" + id
		}
		in.truth[i] = entity
	}
	if missing == len(in.ids) {
		return hinted{fmt.Errorf("%s names none of the records", path), "its first column must have the ids that the output has"}
	}
	return nil
}

// readClusters reads a file with two columns, an id and its cluster, in the
// order of its rows. What it is, is for errors.
func readClusters(path, what string) (ids, clusters []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	table, err := openMatchTable(file)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(table.Header()) != 2 {
		return nil, nil, fmt.Errorf("%s: %s has two columns, the id and its cluster, not %d", path, what, len(table.Header()))
	}
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			return ids, clusters, nil
		}
		if err := cmp.Or(err, row.Err); err != nil {
			return nil, nil, fmt.Errorf("%s line %d: %w", path, row.Line, err)
		}
		ids, clusters = append(ids, strings.Clone(row.Fields[0])), append(clusters, strings.Clone(row.Fields[1]))
	}
}

// measure compares the clusters with the truth. Where records of several
// sources are linked, only pairs of two sources count.
func (in *matchInput) measure(result *match.Result) *scores {
	type cell struct {
		name   string
		source uint8
	}
	type place struct {
		cluster uint32
		source  uint8
	}
	whole := evaluate.Compare(slices.All(in.truth), func(row int) (uint32, bool) { return result.Cluster[row], true })
	out := &scores{BCubed: measured(whole.BCubedPrecision, whole.BCubedRecall)}
	found, truth, right := whole.FoundPairs, whole.TruePairs, whole.RightPairs
	if in.table != nil && in.table.Linked() {
		within := evaluate.Compare(func(yield func(int, cell) bool) {
			for row, name := range in.truth {
				if !yield(row, cell{name, in.source[row]}) {
					return
				}
			}
		}, func(row int) (place, bool) { return place{result.Cluster[row], in.source[row]}, true })
		found, truth, right = found-within.FoundPairs, truth-within.TruePairs, right-within.RightPairs
	}
	out.Pairwise = measured(ratio(right, found), ratio(right, truth))
	steps := []float64{0.999, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01}
	var linked, good int64
	for _, l := range result.Links {
		for len(steps) > 0 && l.Probability() < steps[0] {
			out.Curve = append(out.Curve, curvePoint{steps[0], measured(ratio(good, linked), ratio(good, truth))})
			steps = steps[1:]
		}
		linked++
		if in.truth[l.A] == in.truth[l.B] {
			good++
		}
	}
	for _, step := range steps {
		out.Curve = append(out.Curve, curvePoint{step, measured(ratio(good, linked), ratio(good, truth))})
	}
	return out
}

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

func (c matchCmd) print(report matchReport, result *match.Result, why []string) error {
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	for _, line := range why {
		fmt.Println(line)
	}
	for _, rule := range result.Rules {
		fmt.Printf("blocking on %s: %.0f pairs\n", rule.Rule, rule.Predicted)
		if rule.Skipped > 0 {
			fmt.Printf("  %d values that more than %d records share are left to the other rules: %.0f pairs\n", rule.Skipped, rule.Rule.Most, rule.SkippedPairs)
		}
	}
	for _, warning := range report.Warnings {
		fmt.Println("note:", warning)
	}
	fmt.Printf("%d records, %d pairs compared, %d links from probability %.3f (%d of them not followed), %d clusters, the largest of %d, %.1f s, at most %d MiB of memory\n",
		report.Records, report.Candidates, report.Links, report.Threshold, report.Refused, report.Clusters, report.Largest, report.Seconds, report.PeakMiB)
	if report.Review > 0 {
		fmt.Printf("%d pairs that are not linked are worth a look, from the model's review up\n", report.Review)
	}
	if report.Truth != nil {
		printScores(os.Stdout, report.Truth)
	}
	fmt.Printf("written: %s, the model %s, what was learned %s\n", c.Out, report.Model, report.Learned)
	if report.Curve != "" {
		fmt.Printf("the curve as a picture: %s\n", report.Curve)
	}
	return nil
}

func printScores(w io.Writer, t *scores) {
	fmt.Fprintf(w, "pairwise  precision %.4f, recall %.4f, F1 %.4f\nB-cubed   precision %.4f, recall %.4f, F1 %.4f\n",
		t.Pairwise.Precision, t.Pairwise.Recall, t.Pairwise.F1, t.BCubed.Precision, t.BCubed.Recall, t.BCubed.F1)
	if len(t.Curve) == 0 {
		return
	}
	fmt.Fprintln(w, "pairs alone, before they are clustered:\nfrom      precision  recall  F1")
	for _, p := range t.Curve {
		fmt.Fprintf(w, "%-9g %.4f     %.4f  %.4f\n", p.Probability, p.Precision, p.Recall, p.F1)
	}
}
