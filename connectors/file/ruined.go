package file

import (
	"fmt"
	"slices"
	"strings"

	"oneid/connectors"
	"oneid/internal/tablefile"
)

// unruined are the rows of one number without those of several entities, whose
// numbers a spreadsheet has made one: these go to the dead letter. A number of 18
// digits that was rounded looks as one in 50 does; that rows of one file have
// it and disagree gives it away. total is how many rows there are of the number.
func (g *gathering) unruined(rows []gathered, total int) (sound []gathered, err error) {
	if total > mostRows { // so many are refused together
		return rows, nil
	}
	ruined, entity := clashes(rows)
	for _, row := range rows {
		column, why := row.rounded(), connectors.ErrRounded
		if column < 0 {
			why = connectors.ErrRuined
			if clashing, is := ruined[row.index]; is {
				column = clashing
			} else if entity && maybeRuined(row.fields[row.origin.key]) {
				column = row.origin.key // it cannot be told from them
			}
		}
		if column < 0 {
			sound = append(sound, row)
			continue
		}
		cause := fmt.Errorf("the column %s %w", row.origin.header[column], why)
		if err := g.refuse(*row.origin, tablefile.Row{Fields: row.fields, Line: row.line, Err: cause}); err != nil {
			return nil, err
		}
	}
	return sound, nil
}

// rounded is the column of a row's number that was rounded with all of its table,
// -1 if none was.
func (r gathered) rounded() int {
	for _, column := range r.origin.rounded {
		if maybeRuined(r.fields[column]) {
			return column
		}
	}
	return -1
}

// fewLong is how many different long numbers a column must have, all with zeros
// where a spreadsheet makes them, to be taken for rounded: of 18 digits, one table
// in a billion has them by itself. That all are floats is known of one more, of 18
// digits and more: less than one table in a million has so many by itself.
const fewLong = 3

// floatDigits is how many digits a float of 64 bits keeps so often that what was
// written by one tells nothing: of 17 digits up to every second number is a float by
// itself, of 18 one in 50.
const floatDigits = 17

// longNumbers looks at the long numbers of one column of a table that are not
// marked as text.
type longNumbers struct {
	column int
	zeros  roundings // as a spreadsheet rounds
	floats roundings // as a program does that keeps floats of 64 bits
}

// roundings are the numbers of a column that one kind of rounding may have made.
type roundings struct {
	healthy bool     // there is one that it would not have left so
	found   []string // different ones that it may have made, as many as tell
}

func (n *longNumbers) see(fields []string) {
	cell := fields[n.column]
	if !isLong(cell) {
		return
	}
	n.zeros.see(cell, fewLong, hasZeros)
	if len(cell) > floatDigits {
		n.floats.see(cell, fewLong+1, maybeFloat)
	}
}

func (r *roundings) see(cell string, enough int, maybe func(string) bool) {
	switch {
	case r.healthy:
	case !maybe(cell):
		r.healthy = true
	case len(r.found) < enough && !slices.Contains(r.found, cell):
		r.found = append(r.found, strings.Clone(cell)) // the row's memory is used again
	}
}

// roundedOf are the columns that a spreadsheet has rounded as a whole.
func roundedOf(numbers []longNumbers) (columns []int) {
	for _, n := range numbers {
		if !n.zeros.healthy && len(n.zeros.found) == fewLong || !n.floats.healthy && len(n.floats.found) == fewLong+1 {
			columns = append(columns, n.column)
		}
	}
	return columns
}

// clashes are the files in which rows of one number are of several entities, or
// several lines of it have one number, each with the column that was ruined. Nobody
// knows whose the other rows of such a file are. entity says that the number itself
// was ruined.
func clashes(rows []gathered) (ruined map[int]int, entity bool) {
	type place struct {
		index int
		cell  string
	}
	type told struct{ index, column int }
	said, lines := make(map[told]string), make(map[place][]string)
	ruined = make(map[int]int)
	for _, row := range rows {
		o := row.origin
		if maybeRuined(row.fields[o.key]) {
			for _, column := range o.alike {
				cell, at := connectors.CellText(row.fields[column]), told{row.index, column}
				switch {
				case cell == "" || cell == "-": // it tells nothing
				case said[at] == "":
					said[at] = cell
				case said[at] != cell:
					ruined[row.index], entity = o.key, true
				}
			}
		}
		if o.line < 0 || o.line == o.key || !hasZeros(row.fields[o.line]) {
			continue
		}
		at := place{row.index, row.fields[o.line]}
		if first, ok := lines[at]; !ok {
			lines[at] = row.fields
		} else if _, known := ruined[row.index]; !known && !slices.Equal(first, row.fields) {
			ruined[row.index] = o.line
		}
	}
	return ruined, entity
}
