package file

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
)

// Told is what an earlier import told of an entity last: its payload, and the times of
// its version: when the entity was made by what was told, and when that counts as
// observed.
type Told struct {
	Raw                json.RawMessage
	Modified, Observed time.Time
}

// join adds to records what earlier imports told of the same entities, as if all
// files had come in one command. A record that says nothing more than was told keeps
// the observation of what was told, and so its version; one that says more is
// observed after it, whichever of their files is the older.
func (x *Export) join(ctx context.Context, records []connectors.Record) error {
	if x.cfg.Told == nil || len(records) == 0 {
		return nil
	}
	payloads := make([]*connectors.ExportPayload, len(records))
	var entities []string
	for i, r := range records {
		// What is no payload is refused by the mapping.
		if p, err := connectors.ReadExport(r); err == nil {
			payloads[i], entities = p, append(entities, p.Entity)
		}
	}
	told, err := x.cfg.Told(ctx, records[0].Stream, entities)
	if err != nil {
		return fmt.Errorf("file: look for what was imported before: %w", err)
	}
	for i, p := range payloads {
		if p == nil {
			continue
		}
		before, known := told[p.Entity]
		earlier, err := connectors.ReadExport(connectors.Record{Raw: before.Raw})
		if !known || err != nil {
			continue // by a mapping, or not at all
		}
		observed := records[i].Observed
		date(earlier.Rows, before.Observed)
		date(p.Rows, observed)
		joined := x.joined(earlier.Rows, p.Rows)
		if len(joined) > mostRows {
			continue
		}
		if reflect.DeepEqual(joined, x.joined(earlier.Rows, nil)) {
			observed, p.Since = before.Observed, earlier.Since
		} else {
			p.Since = max(before.Modified.UnixMilli(), earlier.Since)
			if !observed.After(before.Observed) {
				observed = before.Observed.Add(time.Millisecond)
			}
		}
		p.Rows = joined
		if records[i].Raw, err = payloadOf(p, observed); err != nil {
			return err
		}
		records[i].Observed = observed
	}
	return nil
}

// date gives a time to rows that have that of their record.
func date(rows []connectors.ExportRow, observed time.Time) {
	for i := range rows {
		rows[i].Exported = cmp.Or(rows[i].Exported, observed.UnixMilli())
	}
}

// payloadOf writes a payload; rows of the time of its observation say none.
func payloadOf(p *connectors.ExportPayload, observed time.Time) (json.RawMessage, error) {
	for i := range p.Rows {
		if p.Rows[i].Exported == observed.UnixMilli() {
			p.Rows[i].Exported = 0
		}
	}
	return json.Marshal(p)
}

// joined are the rows of two imports as one. Of an equal time what was told first
// stays, so that two files of one moment do not take turns.
func (x *Export) joined(told, read []connectors.ExportRow) []connectors.ExportRow {
	var rows []ranked
	for from, list := range [][]connectors.ExportRow{told, read} {
		for _, row := range list {
			rows = append(rows, x.ranked(row, from))
		}
	}
	slices.SortStableFunc(rows, func(a, b ranked) int { return -cmp.Compare(a.Exported, b.Exported) })
	return newest(rows)
}

// newest are rows, of which the newest come first, with one for each line: the
// newest, and what it lacks from those before it. The order does not depend on that
// of the files. A row of several lines stays while newer rows tell of some of them
// alone: what it says of the others is in no other row.
func newest(rows []ranked) []connectors.ExportRow {
	var kept []ranked
	for i, row := range rows {
		if slices.ContainsFunc(rows[:i], row.replacedBy) {
			continue
		}
		same := slices.IndexFunc(kept, row.same)
		switch {
		case same >= 0 && kept[same].from != row.from:
			kept[same].Row = kept[same].filled(row.Row)
		case same < 0 && !row.coveredBy(kept):
			kept = append(kept, row)
		}
	}
	slices.SortStableFunc(kept, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.Sheet, b.Sheet), slices.Compare(a.numbers, b.numbers), cmp.Compare(a.from, b.from))
	})
	list := make([]connectors.ExportRow, len(kept))
	for i, row := range kept {
		list[i] = row.ExportRow
	}
	return list
}

// ranked is a row of a payload, with the numbers of its lines as they stand there
// and in order, none where they cannot be told, and the file or import that it is
// from. either are its sheet's columns that stand for one another.
type ranked struct {
	connectors.ExportRow
	numbers, sorted []string
	from            int
	either          []string
}

func (x *Export) ranked(row connectors.ExportRow, from int) ranked {
	r := ranked{ExportRow: row, from: from}
	for _, sheet := range x.cfg.Exports.Sheets {
		if sheet.Name != row.Sheet {
			continue
		}
		r.either = sheet.Either
		names := slices.Sorted(maps.Keys(row.Row))
		if at := connectors.ColumnOf(names, sheet.Line); at >= 0 {
			r.numbers = lineNumbers(row.Row[names[at]])
		}
	}
	r.sorted = slices.Sorted(slices.Values(r.numbers))
	return r
}

// lineNumbers are those of a row's lines, of which some exports write several into
// one row; none where they cannot be believed.
func lineNumbers(cell string) []string {
	numbers, err := connectors.CellNumbers(cell)
	switch {
	case errors.Is(err, connectors.ErrNoNumber) || errors.Is(err, connectors.ErrRuined):
		return nil
	case err != nil:
		return []string{connectors.CellText(cell)}
	}
	return numbers
}

// same says whether two rows tell of the same lines.
func (r ranked) same(other ranked) bool {
	return r.Sheet == other.Sheet && len(r.numbers) > 0 && slices.Equal(r.sorted, other.sorted)
}

// replacedBy says whether a row is out of date by a newer one of another file where
// one of them has no number: whose line it is cannot be told, so the rows of the
// newer file are all there is.
func (r ranked) replacedBy(newer ranked) bool {
	return r.Sheet == newer.Sheet && r.from != newer.from && (len(r.numbers) == 0 || len(newer.numbers) == 0)
}

// coveredBy says whether all lines of a row are among those of others.
func (r ranked) coveredBy(others []ranked) bool {
	return len(r.numbers) > 0 && !slices.ContainsFunc(r.numbers, func(number string) bool {
		return !slices.ContainsFunc(others, func(o ranked) bool { return o.Sheet == r.Sheet && slices.Contains(o.numbers, number) })
	})
}

// filled is a row with what an older row of its line has in columns that it lacks
// itself, under that name or one that stands for it: a column that is not there says
// nothing, an empty one says that there is nothing.
func (r ranked) filled(older map[string]string) map[string]string {
	whole := maps.Clone(r.Row)
	names := slices.Collect(maps.Keys(r.Row))
	for column, cell := range older {
		if connectors.ColumnOf(names, r.named(connectors.ColumnName(column))) < 0 {
			whole[column] = cell
		}
	}
	return whole
}

// named are the names that a column may have.
func (r ranked) named(column string) []string {
	for _, either := range r.either {
		if names := strings.Split(either, "|"); slices.Contains(names, column) {
			return names
		}
	}
	return []string{column}
}
