package file

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oneid/connectors"
)

// shelf keeps what imports told of entities, as a store does: the newest observed.
type shelf map[string]Told

// imported imports files after what the shelf has, and says which entities changed.
func (s shelf) imported(t *testing.T, paths ...string) (changed []string) {
	t.Helper()
	x := export(t, 2, paths...)
	x.cfg.Told = func(_ context.Context, stream string, entities []string) (map[string]Told, error) {
		found := make(map[string]Told)
		for _, entity := range entities {
			if told, ok := s[stream+" "+entity]; ok {
				found[entity] = told
			}
		}
		return found, nil
	}
	for page, err := range x.Read(t.Context(), "orders", "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			p, err := connectors.ReadExport(r)
			if err != nil {
				t.Fatal(err)
			}
			before := s["orders "+p.Entity]
			if r.Observed.Before(before.Observed) {
				t.Errorf("%s is observed at %v, before what was told at %v", p.Entity, r.Observed, before.Observed)
			}
			if r.Observed.After(before.Observed) {
				changed = append(changed, p.Entity)
				s["orders "+p.Entity] = Told{r.Raw, time.Unix(1, 0), r.Observed}
			} else if string(r.Raw) != string(before.Raw) {
				t.Errorf("%s changed from\n%s\nto\n%s\nand keeps its version", p.Entity, before.Raw, r.Raw)
			}
		}
	}
	return changed
}

// rows is what is told of each entity, with the time of each row.
func (s shelf) rows(t *testing.T) map[string][]connectors.ExportRow {
	t.Helper()
	all := make(map[string][]connectors.ExportRow)
	for name, told := range s {
		p, err := connectors.ReadExport(connectors.Record{Raw: told.Raw})
		if err != nil {
			t.Fatal(err)
		}
		date(p.Rows, told.Observed)
		all[name] = p.Rows
	}
	return all
}

// Files that are imported one by one as they were exported tell what they tell in one
// command: of each line the newest row, and what it lacks from older ones. In any
// other order they tell of the same lines, of each in the newest row's words and with
// all columns; and importing again changes nothing. But where a file between has no
// numbers of its lines, and came out of turn, nobody knows what it replaced.
func TestImportsAreOne(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		dir := t.TempDir()
		var paths []string
		unlined := 0
		for i := range 2 + r.IntN(3) {
			name := string(rune('1'+i)) + "00-f.csv"
			columns := []string{"what", "which", "x", "y"}[r.IntN(2):][:1+r.IntN(3)]
			text := "order,line," + strings.Join(columns, ",") + "\n"
			if !slices.Contains(columns, "what") && !slices.Contains(columns, "which") {
				text, columns = "order,note\n", nil
			}
			without := seed%3 == 0 && r.IntN(2) == 0
			if without {
				text, columns = "order,what,"+[]string{"x", "y"}[r.IntN(2)]+",sold\n", []string{"what", "x", "sold"}
				unlined++
			}
			for _, at := range r.Perm(6)[:1+r.IntN(6)] {
				order, line := string(rune('1'+at/3)), string(rune('a'+at%3))
				if columns == nil {
					text += order + "," + line + name[:1] + "\n"
					continue
				}
				text += order
				if !without {
					text += "," + line
				}
				for range columns {
					text += "," + []string{"", "v" + name[:1]}[r.IntN(2)]
				}
				text += "\n"
			}
			paths = append(paths, putFile(t, dir, name, text))
		}
		once := shelf{}
		once.imported(t, paths...)
		inTurn, apart := shelf{}, shelf{}
		for i, other := range r.Perm(len(paths)) {
			inTurn.imported(t, paths[i])
			apart.imported(t, paths[other])
		}
		if d := cmp.Diff(once.rows(t), inTurn.rows(t)); d != "" {
			t.Fatalf("seed %d: in one command and one by one (-want +got):\n%s", seed, d)
		}
		for name, rows := range once.rows(t) {
			for _, a := range rows {
				for _, b := range rows {
					_, has := a.Row["line"]
					if _, other := b.Row["line"]; a.Sheet == "lines" && b.Sheet == "lines" && has != other {
						t.Fatalf("seed %d: %s is told with its lines and without: %v, %v", seed, name, a, b)
					}
				}
			}
		}
		if unlined > 0 {
			continue
		}
		columns := cmp.Comparer(func(a, b map[string]string) bool {
			of := func(row map[string]string) []string {
				names := slices.Collect(maps.Keys(row))
				if at := slices.Index(names, "what"); at >= 0 {
					names[at] = "which" // one stands for the other
				}
				slices.Sort(names)
				return slices.Compact(names)
			}
			return slices.Equal(of(a), of(b))
		})
		if d := cmp.Diff(once.rows(t), apart.rows(t), columns); d != "" {
			t.Fatalf("seed %d: in another order (-want +got):\n%s", seed, d)
		}
		for _, again := range [][]string{paths, paths[:1], paths[1:]} {
			if changed := apart.imported(t, again...); len(changed) > 0 {
				t.Fatalf("seed %d: importing %d files again changes %v", seed, len(again), changed)
			}
		}
	}
}

// What a later file does not have stays, what it has empty is empty, and what
// changed wins; of another import's rows by a mapping nothing is taken.
func TestALaterFileThatSaysLess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	full := putFile(t, dir, "100-a.csv", "order,line,what,price,note \n1,a,paid,8.00,hello\n1,b,paid,9.00,hello\n")
	less := putFile(t, dir, "200-a.csv", "order,line,what,note\n1,a,refunded,\n")
	want := map[string][]connectors.ExportRow{"orders 1": {
		{Sheet: "lines", Row: map[string]string{"order": "1", "line": "a", "what": "refunded", "price": "8.00", "note": ""}, Exported: 200_000},
		{Sheet: "lines", Row: map[string]string{"order": "1", "line": "b", "what": "paid", "price": "9.00", "note": "hello"}, Exported: 100_000},
	}}
	for _, paths := range [][]string{{full, less}, {less, full}} {
		s := shelf{}
		for _, path := range paths {
			if changed := s.imported(t, path); len(changed) != 1 {
				t.Errorf("%s changes %v", path, changed)
			}
		}
		if d := cmp.Diff(want, s.rows(t)); d != "" {
			t.Errorf("%v (-want +got):\n%s", paths, d)
		}
	}
	mapped := shelf{"orders 1": {[]byte(`{"row":{"order":"1"}}`), time.Unix(1, 0), time.Unix(50, 0)}}
	mapped.imported(t, full)
	if got := len(mapped.rows(t)["orders 1"]); got != 2 {
		t.Errorf("after rows by a mapping %d rows are told, want 2", got)
	}
	x, away := export(t, 10, full), errors.New("it is away")
	x.cfg.Told = func(context.Context, string, []string) (map[string]Told, error) { return nil, away }
	for _, err := range x.Read(t.Context(), "orders", "") {
		if !errors.Is(err, away) {
			t.Errorf("Read = %v where the store is away", err)
		}
	}
}

// What an older file names otherwise than the newer one is out of date, and an order
// of which one of two files has no numbers of its lines is told by the newer alone.
func TestALaterFileOfOtherColumns(t *testing.T) {
	t.Parallel()
	row := func(cells ...string) map[string]string {
		row := make(map[string]string)
		for i := 0; i < len(cells); i += 2 {
			row[cells[i]] = cells[i+1]
		}
		return row
	}
	for name, c := range map[string]struct {
		older, newer string
		want         []map[string]string
	}{
		"another name of the same":     {"order,line,what,price\n1,a,unpaid,8.00\n", "order,line,which\n1,a,paid\n", []map[string]string{row("order", "1", "line", "a", "which", "paid", "price", "8.00")}},
		"empty under another name":     {"order,line,what\n1,a,unpaid\n", "order,line,which\n1,a,\n", []map[string]string{row("order", "1", "line", "a", "which", "")}},
		"numbers that the older lacks": {"order,what,sold\n1,unpaid,\n1,unpaid,\n", "order,line,which\n1,a,paid\n1,b,paid\n", []map[string]string{row("order", "1", "line", "a", "which", "paid"), row("order", "1", "line", "b", "which", "paid")}},
		"numbers that the newer lacks": {"order,line,which\n1,a,unpaid\n1,b,unpaid\n", "order,what,sold\n1,paid,\n", []map[string]string{row("order", "1", "what", "paid", "sold", "")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			older, newer := putFile(t, dir, "100-a.csv", c.older), putFile(t, dir, "200-a.csv", c.newer)
			for _, commands := range [][][]string{{{older, newer}}, {{older}, {newer}}, {{newer}, {older}}} {
				s := shelf{}
				for _, paths := range commands {
					s.imported(t, paths...)
				}
				var got []map[string]string
				for _, row := range s.rows(t)["orders 1"] {
					got = append(got, row.Row)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("%d commands (-want +got):\n%s", len(commands), d)
				}
			}
		})
	}
}
