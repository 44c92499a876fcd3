package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"oneid/identity/match"
	"oneid/identity/match/compare"
	"oneid/identity/match/guess"
)

// tableFlags say how the records of tables are read and compared.
type tableFlags struct {
	ID       string            `name:"id" help:"Column that names each record (default: found by itself; without one, the rows are numbered)." placeholder:"COLUMN"`
	Link     bool              `help:"Compare records of different sources only: each file is a source, or each value of --source."`
	Source   string            `help:"Column that says which source a record is of; for --link." placeholder:"COLUMN"`
	Rename   map[string]string `help:"Read a file's column as another one, where files call one thing otherwise: --rename plz=zip. May be given several times." placeholder:"COLUMN=NAME" mapsep:"none"`
	MaxPairs float64           `help:"Refuse to compare more pairs than this." default:"200e6"`
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
	b.WriteString("Without a model it looks at the columns, writes the model that it chose beside the output with a comment for each choice, learns from the data what agreement is worth, and goes on. No labels are needed.\n\nWith several files and without --link, duplicates are looked for within and between them. Where an id is in two files, the output calls the records FILE/ID. A cluster is called by its first record.\n\nTry: oneid match customers.csv --out clusters.csv\n     oneid match a.csv b.csv --link --out clusters.csv --pairs pairs.csv\n     oneid match crm.csv shop.csv --link --rename plz=zip --rename kunde=id\n\ndocs/match.md goes on from there: change the model, train and link apart (`oneid identity train`, `link`), measure (`evaluate`), ask why (`explain`).\n\nKinds of columns in a model, the levels at which two values are compared, and the parts that a blocking rule can take (NAME.PART):\n")
	for _, kind := range compare.Kinds() {
		fmt.Fprintf(&b, "  %s: %s", kind, strings.Join(compare.Levels(kind), " · "))
		if parts := match.Parts(kind); len(parts) > 0 {
			fmt.Fprintf(&b, ". Parts: %s", strings.Join(parts, ", "))
		}
		b.WriteString("\n")
	}
	return b.String()
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
	memory spaciousness
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
	if out.in, err = m.read(ctx, m.input, m.truth, func(records int) {
		m.memory.adapt()
		show.set(int64(records), 0)
	}); err != nil {
		return nil, err
	}
	standIns := out.in.table.EmptyStandIns()
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
		m.memory.adapt() // within a step, too, much may come to live
		show.set(done, total)
	}
	if out.result, err = match.Run(ctx, out.in.table, out.model, options); err != nil {
		return nil, err
	}
	out.result.Warnings = append(out.result.Warnings, standIns...)
	out.result.Warnings = append(out.result.Warnings, out.in.guessed...)
	if out.in.unnamed > 0 {
		out.result.Warnings = append(out.result.Warnings, fmt.Sprintf("columns without a name in the first line: %d; they are left out, so give one that tells records apart a name", out.in.unnamed))
	}
	if learned != nil && len(learned.Warnings) > 0 { // none is used in silence
		out.result.Warnings = append(out.result.Warnings, fmt.Sprintf("not all was learned well: %s says why, under warnings (%d)", m.learned, len(learned.Warnings)))
	}
	return out, nil
}

// keepsApart refuses to write over a file that is read, one output over another,
// and what could not be written at the end of a long run.
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
		if err := canBeWritten(path); err != nil {
			return hinted{fmt.Errorf("%s cannot be written: %w", path, err), "make its folder, or name a file in one that you may write to"}
		}
	}
	return nil
}

// canBeWritten tries whether writeFile can write a file.
func canBeWritten(path string) error {
	switch at, err := os.Stat(path); {
	case err == nil && at.IsDir():
		return errors.New("it is a folder")
	case err == nil && !at.Mode().IsRegular():
		return errors.New("it is no ordinary file, and would be replaced by one; name a file")
	}
	file, err := newPart(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
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
