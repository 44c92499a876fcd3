package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"oneid/identity/match"
	"oneid/identity/match/compare"
	"oneid/internal/tablefile"
)

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

// read reads the files into one table. truth is a column or a file of what is
// right, or "". done is told how many records are there.
func (c tableFlags) read(ctx context.Context, input []string, truth string, done func(records int)) (*matchInput, error) {
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
	if err := r.agree(); err != nil {
		return nil, err
	}
	for number, path := range input {
		if err := r.file(ctx, number, path, done); err != nil {
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
	// headers are those of the files, renamed; header has the columns that all of
	// them have, in the order of the first.
	headers [][]string
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

func (r *matchReader) file(ctx context.Context, number int, path string, done func(records int)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	table, err := openMatchTable(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	places := make([]int, len(r.header))
	for i, column := range r.header {
		places[i] = slices.Index(r.headers[number], column)
	}
	rows, err := r.records(ctx, table, path, uint8(number), places, done)
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
func (r *matchReader) records(ctx context.Context, table matchTable, path string, source uint8, places []int, done func(records int)) (rows int, err error) {
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
		done(r.in.table.Len())
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
			record := rows
			for number := range ids.AddAll(b.Values(len(r.columns))) {
				record++
				if r.doubled != nil {
					continue
				}
				if ids.List()[number] == "" { // of a column that was found; of one that was named it is refused
					r.doubled = fmt.Errorf("%s: record %d has no id in column %q", path, record, r.cmd.ID)
				} else if first := int(number) + 1; first != record { // an id may be a phone number: it is not told
					r.doubled = hinted{fmt.Errorf("%s: the id in column %q is not one record's alone: records %d and %d share one", path, r.cmd.ID, first, record), "name another column with --id; if there is none, call this one otherwise in the first line, and the rows are numbered"}
				}
			}
		})
	}
	if r.truth != "" && slices.Contains(r.header, r.truth) {
		names.Go(func() {
			r.in.truth = slices.AppendSeq(r.in.truth, r.entities.AddAll(b.Values(len(r.columns)+1)))
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
			b = match.NewBatch(b.Len()*(len(r.columns)+2), b.Size()+b.Size()/8) // the next one is about as large
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
		return hinted{fmt.Errorf("--truth %s is neither a column nor a file", r.truth), "the columns are " + strings.Join(named(r.headers[0]), ", ")}
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
