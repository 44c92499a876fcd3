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
	"sync"
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
	Pairs   string   `help:"CSV file for the links from the threshold up, also those of --refused, and the pairs to review: id_l,id_r,probability,weight." placeholder:"FILE"`
	Refused string   `help:"CSV file for the links that were not followed, because a constraint of the model or the rest of their clusters speaks against it: id_l,id_r,probability,weight,reason." placeholder:"FILE"`
	Truth   string   `help:"What is right, to measure by: a column of the input, or a file id,cluster. It is not looked at for the clusters." placeholder:"COLUMN|FILE"`
	Model   string   `help:"YAML file that says what is compared (default: found by itself, and written beside --out)." placeholder:"FILE"`
	Learned string   `help:"JSON file of an earlier run, to weigh by what was learned there instead of learning anew; for its --model." placeholder:"FILE"`
	JSON    bool     `name:"json" help:"Print one JSON object with the figures."`
	Input   []string `arg:"" help:"CSV files, UTF-8, GBK or Latin-1, with the names of the columns in the first line, between commas, semicolons or tabs; and Parquet files."`
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
	Records    int   `json:"records"`
	Candidates int64 `json:"candidates"`
	Links      int   `json:"links"`
	Review     int   `json:"for_review,omitempty"`
	Refused    int   `json:"links_refused"`
	// RefusedBy counts them by their reason.
	RefusedBy map[match.Reason]int `json:"links_refused_by,omitempty"`
	Clusters  int                  `json:"clusters"`
	Largest   int                  `json:"largest_cluster"`
	Threshold float64              `json:"threshold"`
	Seconds   float64              `json:"seconds"`
	PeakMiB   int64                `json:"peak_mib,omitempty"`
	Model     string               `json:"model"`
	Learned   string               `json:"learned"`
	Warnings  []string             `json:"warnings,omitempty"`
	Truth     *scores              `json:"truth,omitempty"`
	// Curve is the file with the picture of the truth's curve.
	Curve string `json:"curve,omitempty"`
}

// scores compare with the truth.
type scores struct {
	Pairwise quality `json:"pairwise"`
	BCubed   quality `json:"b_cubed"`
	// BlockingRecall is the share of the true pairs that were compared, because
	// some blocking rule has them: no other can be found. nil where it is not
	// known which were.
	BlockingRecall *float64 `json:"blocking_recall,omitempty"`
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
	table *match.Table
	ids   []string
	truth []uint32 // the number of each row's entity; nil without
	// unnamed are the columns without a name, which nothing looks at.
	unnamed int
	// guessed says of the files that are not UTF-8 as what they were read.
	guessed []string
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
	// writes are the files that will be written; "" is none.
	writes []string
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
	if err := m.keepsApart(); err != nil {
		return nil, err
	}
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
	options := match.Options{MaxPairs: m.MaxPairs, Learned: learned, Truth: out.in.truth}
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
	out.result.Warnings = append(out.result.Warnings, out.in.guessed...)
	if out.in.unnamed > 0 {
		out.result.Warnings = append(out.result.Warnings, fmt.Sprintf("columns without a name in the first line: %d; they are left out, so give one that tells records apart a name", out.in.unnamed))
	}
	if learned != nil && len(learned.Warnings) > 0 { // none is used in silence
		out.result.Warnings = append(out.result.Warnings, fmt.Sprintf("not all was learned well: %s says why, under warnings (%d)", m.learned, len(learned.Warnings)))
	}
	return out, nil
}

// keepsApart refuses to write over a file that is read, or one output over
// another.
func (m *matching) keepsApart() error {
	reads := append(slices.Clone(m.input), m.truth, m.model, m.learned)
	for i, path := range m.writes {
		if path == "" {
			continue
		}
		for _, other := range reads {
			if other != "" && sameFile(path, other) {
				return hinted{fmt.Errorf("%s is read, and would be written over", path), "name another file to write"}
			}
		}
		for _, other := range m.writes[:i] {
			if other != "" && sameFile(path, other) {
				return hinted{fmt.Errorf("%s would be written twice, with two contents", path), "name a file of its own for each"}
			}
		}
	}
	return nil
}

// sameFile says that two names are of one file, which need not be there yet.
func sameFile(a, b string) bool {
	if x, err := os.Stat(a); err == nil {
		y, err := os.Stat(b)
		return err == nil && os.SameFile(x, y)
	}
	x, errX := filepath.Abs(a)
	y, errY := filepath.Abs(b)
	return errX == nil && errY == nil && x == y
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
	job := matching{tableFlags: c.tableFlags, input: c.Input, truth: c.Truth, model: c.Model, learned: c.Learned, writes: []string{c.Out, c.Pairs, c.Refused}}
	base := strings.TrimSuffix(c.Out, filepath.Ext(c.Out))
	model, learned, curve := base+".model.yaml", base+".learned.json", base+".curve.svg"
	if c.Model == "" {
		job.writes = append(job.writes, model)
	}
	if c.Learned == "" {
		job.writes = append(job.writes, learned)
	}
	if c.Truth != "" {
		job.writes = append(job.writes, curve)
	}
	out, err := job.run(ctx, newProgress(c.JSON))
	if err != nil {
		return err
	}
	in, result := out.in, out.result
	report := matchReport{
		Records: in.table.Len(), Candidates: result.Candidates, Threshold: result.Threshold,
		Refused: len(result.Refused), Warnings: result.Warnings, Model: c.Model, Learned: c.Learned,
	}
	if c.Model == "" {
		report.Model = model
		if err := writeFile(report.Model, func(w io.Writer) error { return out.model.Write(w) }); err != nil {
			return err
		}
	}
	if c.Learned == "" {
		report.Learned = learned
		if err := writeLearned(report.Learned, result.Learned, began); err != nil {
			return err
		}
	}
	sizes := make([]int, len(result.Cluster)) // by the row that a cluster is called by
	for _, cluster := range result.Cluster {
		if sizes[cluster]++; sizes[cluster] == 1 {
			report.Clusters++
		}
		report.Largest = max(report.Largest, sizes[cluster])
	}
	for _, l := range result.Links {
		switch p := l.Probability(); {
		case p >= result.Threshold:
			report.Links++
		case out.model.Review > 0 && p >= out.model.Review:
			report.Review++
		}
	}
	for _, l := range result.Refused {
		if report.RefusedBy == nil {
			report.RefusedBy = map[match.Reason]int{}
		}
		report.RefusedBy[l.Reason]++
	}
	var measuring sync.WaitGroup
	if in.truth != nil {
		measuring.Go(func() { report.Truth = in.measure(result) })
	}
	err = writeFile(c.Out, func(w io.Writer) error { return writeClusters(w, in, result) })
	if c.Pairs != "" && err == nil {
		from := result.Threshold
		if out.model.Review > 0 {
			from = min(from, out.model.Review)
		}
		err = writeFile(c.Pairs, func(w io.Writer) error { return writePairs(w, in, result, from) })
	}
	if c.Refused != "" && err == nil {
		err = writeFile(c.Refused, func(w io.Writer) error { return writeRefused(w, in, result) })
	}
	measuring.Wait()
	if err != nil {
		return err
	}
	if in.truth != nil {
		report.Curve = curve
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
		if err := out.Write(in.pair(l)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// pair is a link as files have it: id_l, id_r, probability, weight.
func (in *matchInput) pair(l match.Link) []string {
	return []string{tablefile.Harmless(in.ids[l.A]), tablefile.Harmless(in.ids[l.B]), strconv.FormatFloat(l.Probability(), 'f', 6, 64), strconv.FormatFloat(float64(l.Weight), 'f', 3, 64)}
}

func writeRefused(w io.Writer, in *matchInput, result *match.Result) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"id_l", "id_r", "probability", "weight", "reason"}); err != nil {
		return err
	}
	for _, l := range result.Refused {
		if err := out.Write(append(in.pair(l.Link), string(l.Reason))); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// refusedBecause says in plain words why a link was not followed.
var refusedBecause = map[match.Reason]string{
	match.Bridge:    "next to nothing else speaks for the two clusters being one",
	match.Exclusive: "the two clusters have two values of what the model says an entity has one of",
	match.PerSource: "a source would have more records in one cluster than the model's per_source",
	match.Largest:   "the cluster would have more records than the model's largest",
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
	// Of each file, how many records it has, and their ids.
	rows []int
	ids  []*compare.Texts
	// doubled is what is wrong with the first id that two records of a file
	// share, or that is empty.
	doubled error
	// found says that the id's column was found by its name alone.
	found bool
	// entities of the truth, if it is a column.
	entities compare.Texts
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
	rows, err := r.records(ctx, table, path, uint8(number), places, show)
	r.rows = append(r.rows, rows)
	if text, ok := table.(*tablefile.Reader); ok {
		switch text.Encoding() {
		case tablefile.GB18030:
			r.in.guessed = append(r.in.guessed, path+" is not UTF-8: it was read as GBK (GB18030); if names look wrong, save it as UTF-8")
		case tablefile.Windows1252:
			r.in.guessed = append(r.in.guessed, path+" is neither UTF-8 nor GBK: it was read as Windows-1252 (Latin-1); if names look wrong, save it as UTF-8")
		case tablefile.Auto, tablefile.UTF8:
		}
	}
	return err
}

// batchSize is how many records, or about how many bytes of them, are read
// before they are put into the table, while the next ones are read.
const (
	batchRecords = 1 << 13
	batchSize    = 1 << 20
)

// records reads a file's records, and puts them into the table. places says
// where the file has each of the header's columns.
func (r *matchReader) records(ctx context.Context, table matchTable, path string, source uint8, places []int, show *progress) (rows int, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	batches := make(chan *match.Batch, 1)
	var failed error // before batches are closed
	go func() {
		defer close(batches)
		failed = r.batches(reading, table, path, source, places, batches)
	}()
	ids := &compare.Texts{}
	for b := range batches {
		if err != nil {
			continue // the reader was told to stop
		}
		if err = r.take(ctx, b, ids, path, rows); err != nil {
			stop()
			continue
		}
		rows += b.Len()
		show.set(int64(r.in.table.Len()), 0)
	}
	r.ids = append(r.ids, ids)
	return rows, cmp.Or(err, failed)
}

// take puts records into the table, behind so many rows of their file. The
// values behind the table's columns are the record's id and who it is.
func (r *matchReader) take(ctx context.Context, b *match.Batch, ids *compare.Texts, path string, rows int) error {
	var names sync.WaitGroup
	if r.cmd.ID != "" {
		names.Go(func() {
			for i, id := range b.Values(len(r.columns)) {
				if id == "" && r.doubled == nil { // of a column that was found; of one that was named it is refused
					r.doubled = fmt.Errorf("%s: record %d has no id in column %q", path, rows+i+1, r.cmd.ID)
				}
				if first, added := ids.Add(id); !added && r.doubled == nil { // an id may be a phone number: it is not told
					r.doubled = hinted{fmt.Errorf("%s: the id in column %q is not one record's alone: records %d and %d share one", path, r.cmd.ID, first+1, rows+i+1), "name another column with --id; if there is none, call this one otherwise in the first line, and the rows are numbered"}
				}
			}
		})
	}
	if r.truth != "" && slices.Contains(r.header, r.truth) {
		names.Go(func() {
			for _, entity := range b.Values(len(r.columns) + 1) {
				number, _ := r.entities.Add(entity)
				r.in.truth = append(r.in.truth, number)
			}
		})
	}
	defer names.Wait()
	return r.in.table.AddBatch(ctx, b)
}

// batches reads a file's records, and sends them.
func (r *matchReader) batches(ctx context.Context, table matchTable, path string, source uint8, places []int, batches chan<- *match.Batch) error {
	if !r.cmd.Link {
		source = 0
	}
	b := &match.Batch{}
	send := func() error {
		select {
		case batches <- b:
			b = &match.Batch{}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	fields := make([]string, 0, len(r.columns)+2)
	for {
		row, err := table.Next()
		if errors.Is(err, io.EOF) {
			if b.Len() > 0 {
				return send()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if row.Err != nil {
			return fmt.Errorf("%s line %d: %w", path, row.Line, row.Err)
		}
		fields = fields[:0]
		id, entity := "", ""
		for i, column := range r.header {
			if column == "" {
				continue // nobody could name it in a model or a flag
			}
			text := row.Fields[places[i]]
			switch column {
			case r.cmd.ID:
				if id = text; id == "" && !r.found {
					return fmt.Errorf("%s line %d: the id is empty", path, row.Line)
				}
			case r.truth:
				if entity = text; entity == "" {
					entity = "\x00" + path + strconv.Itoa(row.Line) // of nobody else
				}
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
		if b.Add(source, append(fields, id, entity)...); b.Len() == batchRecords || b.Size() > batchSize {
			if err := send(); err != nil {
				return err
			}
		}
	}
}

// idNames are what a column that names the records is usually called.
var idNames = []string{"id", "unique_id", "record_id", "rec_id", "recid", "recordid", "编号"}

// plan says which columns are compared: all but the id, the truth, the source
// and those without a name, as the one of row numbers that pandas writes.
func (r *matchReader) plan() {
	if r.cmd.ID == "" {
		for _, column := range r.header {
			if slices.Contains(idNames, strings.ToLower(column)) && column != r.truth && column != r.cmd.Source {
				r.cmd.ID, r.found = column, true
				break
			}
		}
	}
	for _, column := range r.header {
		if column == "" {
			r.in.unnamed++
			continue
		}
		if column != r.cmd.ID && column != r.truth && column != r.cmd.Source {
			r.columns = append(r.columns, column)
		}
	}
	r.in.table = match.NewTable(r.columns)
}

// name makes the ids of the output: those of the id's column, with the file's
// name before them if two files share one, or the numbers of the rows.
func (r *matchReader) name() error {
	if r.doubled != nil && !r.found {
		return r.doubled
	}
	if r.cmd.ID == "" || r.doubled != nil {
		for row := range r.in.table.Len() {
			r.in.ids = append(r.in.ids, strconv.Itoa(row+1))
		}
		if r.doubled != nil {
			r.in.guessed = append(r.in.guessed, fmt.Sprintf("%v: so the rows are numbered, from 1, and the column is not compared; if another one names the records, give it with --id", r.doubled))
		}
		return nil
	}
	if len(r.ids) == 1 {
		r.in.ids = r.ids[0].List()
		return nil
	}
	var all compare.Texts
	shared := false
	for _, ids := range r.ids {
		for _, id := range ids.List() {
			_, added := all.Add(id)
			shared = shared || !added
		}
	}
	for number, ids := range r.ids {
		name := ""
		if shared {
			name = filepath.Base(r.input[number]) + "/"
		}
		for _, id := range ids.List() {
			r.in.ids = append(r.in.ids, name+id)
		}
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
	in.truth = make([]uint32, len(in.ids))
	var entities compare.Texts
	for i, id := range in.ids {
		entity, ok := truth[id]
		if !ok {
			entity, ok = truth[tablefile.Harmless(id)]
		}
		if !ok {
			missing++
			entity = "\x00" + id
		}
		in.truth[i], _ = entities.Add(entity)
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
		entity uint32
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
			for row, entity := range in.truth {
				if !yield(row, cell{entity, in.table.Source(row)}) {
					return
				}
			}
		}, func(row int) (place, bool) { return place{result.Cluster[row], in.table.Source(row)}, true })
		found, truth, right = found-within.FoundPairs, truth-within.TruePairs, right-within.RightPairs
	}
	if result.Learned != nil { // otherwise the clusters were read, and nothing is known of the pairs
		recall := ratio(result.TrueCandidates, truth)
		out.BlockingRecall = &recall
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
	for _, reason := range match.Reasons() {
		if n := report.RefusedBy[reason]; n > 0 {
			fmt.Printf("not followed, %s: %d, because %s\n", reason, n, refusedBecause[reason])
		}
	}
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
	if t.BlockingRecall != nil {
		fmt.Fprintf(w, "blocking  recall %.4f: the share of the true pairs that were compared\n", *t.BlockingRecall)
	}
	if len(t.Curve) == 0 {
		return
	}
	fmt.Fprintln(w, "pairs alone, before they are clustered:\nfrom      precision  recall  F1")
	for _, p := range t.Curve {
		fmt.Fprintf(w, "%-9g %.4f     %.4f  %.4f\n", p.Probability, p.Precision, p.Recall, p.F1)
	}
}
