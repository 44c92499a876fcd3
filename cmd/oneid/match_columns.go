package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"oneid/identity/match"
)

// agree reads the files' headers, and says which columns are compared: those that
// all files have by the same name, once --rename is followed, but for the id, the
// truth and the source, and those without a name, as the one of row numbers that
// pandas writes.
func (r *matchReader) agree() error {
	unused := maps.Clone(r.cmd.Rename)
	for _, path := range r.input {
		header, err := r.renamed(path, unused)
		if err != nil {
			return err
		}
		r.headers = append(r.headers, header)
	}
	for _, from := range slices.Sorted(maps.Keys(unused)) {
		return hinted{fmt.Errorf("--rename: no file has a column %q", from), "the columns are " + strings.Join(named(slices.Concat(r.headers...)), ", ")}
	}
	r.findID()
	truth := ""
	if slices.Contains(r.headers[0], r.truth) {
		truth = r.truth
	}
	for number, header := range r.headers {
		for flag, column := range map[string]string{"--id": r.cmd.ID, "--source": r.cmd.Source, "--truth": truth} {
			if column != "" && !slices.Contains(header, column) {
				hint := fmt.Sprintf("%s must be one of %s", flag, strings.Join(named(header), ", "))
				if len(r.headers) > 1 {
					hint += "; if one of them is it, say so: --rename COLUMN=" + column
				}
				return hinted{fmt.Errorf("%s: there is no column %q", r.input[number], column), hint}
			}
		}
	}
	left := make([]string, len(r.headers))
	r.header = r.headers[0]
	for _, header := range r.headers {
		r.header = slices.DeleteFunc(slices.Clone(r.header), func(column string) bool { return column == "" || !slices.Contains(header, column) })
	}
	for number, header := range r.headers {
		left[number] = strings.Join(slices.DeleteFunc(named(header), func(column string) bool { return slices.Contains(r.header, column) }), ", ")
	}
	r.in.unnamed = len(r.headers[0]) - len(named(r.headers[0]))
	for _, column := range r.header {
		if column != r.cmd.ID && column != r.truth && column != r.cmd.Source {
			r.columns = append(r.columns, column)
		}
	}
	const rename = "if two are one and the same, say so: --rename COLUMN_OF_ONE=COLUMN_OF_THE_OTHER"
	var only []string
	for number, columns := range left {
		if columns != "" {
			only = append(only, filepath.Base(r.input[number])+": "+columns)
		}
	}
	if len(r.columns) == 0 && len(only) > 0 {
		return hinted{fmt.Errorf("%s have no column in common to compare (%s)", strings.Join(r.input, ", "), strings.Join(only, "; ")), rename}
	}
	if len(only) > 0 {
		note := fmt.Sprintf("columns that not all files have are left out (%s)", strings.Join(only, "; "))
		if len(only) > 1 {
			note += "; " + rename
		}
		r.in.guessed = append(r.in.guessed, note)
	}
	r.in.table = match.NewTable(r.columns)
	return nil
}

// renamed is a file's header after --rename, whose entries it takes out of unused
// where it has their columns.
func (r *matchReader) renamed(path string, unused map[string]string) (header []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	table, err := openMatchTable(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	header = slices.Clone(table.Header())
	for i, column := range table.Header() {
		if to, ok := r.cmd.Rename[column]; ok {
			delete(unused, column)
			header[i] = to
		}
	}
	for i, column := range table.Header() {
		if to, ok := r.cmd.Rename[column]; ok && (slices.Index(header, to) < i || slices.Contains(header[i+1:], to)) {
			return nil, hinted{fmt.Errorf("%s: --rename %s=%s: it has a column %q already", path, column, to, to), "rename that one, too, or give another name"}
		}
	}
	return header, nil
}

// idNames are what a column that names the records is usually called.
var idNames = []string{"id", "unique_id", "record_id", "rec_id", "recid", "recordid", "编号"}

// findID finds the column that names the records by what it is called, if each file
// has one and none was given: in each file by a name of its own.
func (r *matchReader) findID() {
	if r.cmd.ID != "" {
		return
	}
	places := make([]int, len(r.headers))
	for number, header := range r.headers {
		places[number] = slices.IndexFunc(header, func(column string) bool {
			return slices.Contains(idNames, strings.ToLower(column)) && column != r.truth && column != r.cmd.Source
		})
		if places[number] < 0 {
			return
		}
	}
	r.cmd.ID, r.found = r.headers[0][places[0]], true
	for number, header := range r.headers {
		if !slices.Contains(header, r.cmd.ID) {
			header[places[number]] = r.cmd.ID
		}
	}
}

// named are the columns that have a name.
func named(header []string) []string {
	return slices.DeleteFunc(slices.Clone(header), func(column string) bool { return column == "" })
}
