package file

import (
	"fmt"
	"slices"

	"oneid/connectors"
	"oneid/internal/tablefile"
)

// unruined are the rows of one number without those of several entities, whose
// numbers a spreadsheet has made one: these go to the dead letter. A number of 18
// digits that it has rounded looks as one in 1,000 does; that rows of one file have
// it and disagree gives it away. total is how many rows there are of the number.
func (g *gathering) unruined(rows []gathered, total int) (sound []gathered, err error) {
	ruined, entity := clashes(rows)
	if len(ruined) == 0 || total > mostRows { // so many are refused together
		return rows, nil
	}
	for _, row := range rows {
		column, is := ruined[row.index]
		if !is && entity && connectors.MaybeRuined(row.fields[row.origin.key]) {
			column, is = row.origin.key, true // it cannot be told from them
		}
		if !is {
			sound = append(sound, row)
			continue
		}
		why := fmt.Errorf("the column %s %w", row.origin.header[column], connectors.ErrRuined)
		if err := g.refuse(*row.origin, tablefile.Row{Fields: row.fields, Line: row.line, Err: why}); err != nil {
			return nil, err
		}
	}
	return sound, nil
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
		if connectors.MaybeRuined(row.fields[o.key]) {
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
		if o.line < 0 || o.line == o.key || !connectors.MaybeRuined(row.fields[o.line]) {
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
