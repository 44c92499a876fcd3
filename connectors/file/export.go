package file

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/internal/tablefile"
	"oneid/schemas/events"
)

// ExportConfig says what to read.
type ExportConfig struct {
	// Files that a back-office exported; their Options are set by NewExport.
	Files tablefile.Files
	// Exports of the shop's platform, and the shop.
	Exports *connectors.Exports
	Shop    string
	// PageRows is how many records make a page; default 1000.
	PageRows int
	// Told, if set, finds what earlier imports told last of entities of a stream;
	// those that none told of are not among the answers.
	Told func(ctx context.Context, stream string, entities []string) (map[string]Told, error)
}

// Export reads the files that a platform's back-office exports, recognised by
// their columns. The rows of all files are sorted by the number of the order
// (or refund) that they are about, in bounded memory: so an order is one
// record, whether its rows lie in one file or several, and whichever is read
// first. It may be used concurrently.
type Export struct {
	cfg ExportConfig

	mu   sync.Mutex // guards rows
	rows int
}

var _ connectors.Connector = (*Export)(nil)

// NewExport makes the connector; it opens nothing yet.
func NewExport(cfg ExportConfig) (*Export, error) {
	if err := connectors.CheckShop(cfg.Shop); err != nil {
		return nil, fmt.Errorf("file: %w: write PLATFORM/SHOP, such as tmall/my-flagship", err)
	}
	if cfg.PageRows <= 0 {
		cfg.PageRows = 1000
	}
	cfg.Files.Options = tablefile.Options{KeepTabs: true, IsHeader: func(fields []string) bool { return cfg.Exports.Sheet(fields) != nil }}
	return &Export{cfg: cfg}, nil
}

// Spec describes the connector.
func (x *Export) Spec() connectors.Spec {
	spec := connectors.Spec{Platform: x.cfg.Exports.Platform, Title: "Exported files", TitleZH: "导出文件"}
	for _, stream := range x.streams() {
		spec.Streams = append(spec.Streams, connectors.Stream{Name: stream, Kinds: []events.Kind{events.KindOrder}})
	}
	for i, stream := range spec.Streams {
		if stream.Name != KindOrders {
			spec.Streams[i].Kinds = []events.Kind{events.KindTicket, events.KindRefund}
		}
	}
	return spec
}

func (x *Export) streams() (names []string) {
	for _, sheet := range x.cfg.Exports.Sheets {
		if !slices.Contains(names, sheet.Stream) {
			names = append(names, sheet.Stream)
		}
	}
	slices.Sort(names)
	return names
}

// Found is a table of the files, and what it is; Sheet is nil, and Why says
// why, where it is none that is known.
type Found struct {
	Name  string
	Sheet *connectors.Sheet
	Why   error
}

// Find opens each table and says what it is.
func (x *Export) Find(ctx context.Context) (found []Found, err error) {
	err = x.quiet().Each(ctx, tablefile.Visitor{
		Table: func(t *tablefile.Table) error {
			one := Found{Name: t.Name, Sheet: x.cfg.Exports.Sheet(t.Header())}
			if one.Sheet == nil {
				one.Why = fmt.Errorf("its columns are of no export of %s that is known; it has %s", x.cfg.Exports.Platform, headerOf(t.Header(), nil))
			}
			found = append(found, one)
			return nil
		},
		Left: func(name string, why error) { found = append(found, Found{Name: name, Why: why}) },
	})
	if err != nil {
		return nil, fmt.Errorf("file: %w", err)
	}
	return found, nil
}

// quiet is the files without progress.
func (x *Export) quiet() *tablefile.Files {
	files := x.cfg.Files
	files.Progress = nil
	return &files
}

// UnknownError says that no table of the files is an export that is known.
type UnknownError struct {
	message, hint string
}

func (e *UnknownError) Error() string { return e.message }

// Code names the kind of error for programs.
func (e *UnknownError) Code() string { return "file.export" }

// Hint says what to do.
func (e *UnknownError) Hint() string { return e.hint }

// Check opens each table; it fails where none is known.
func (x *Export) Check(ctx context.Context) error {
	found, err := x.Find(ctx)
	if err != nil {
		return err
	}
	return x.Known(found)
}

// Known is an error where none of the tables is an export that is known.
func (x *Export) Known(found []Found) error {
	var lines []string
	for _, one := range found {
		if one.Sheet != nil {
			return nil
		}
		lines = append(lines, one.Name+": "+one.Why.Error())
	}
	if len(lines) == 0 {
		lines = []string{"there is no CSV, XLSX or zip among the files"}
	}
	return &UnknownError{"file: no export of " + x.cfg.Exports.Platform + " was recognised: " + strings.Join(lines, "; "), x.cfg.Exports.Hint}
}

// Lacks says of the tables that were found which should have come with others.
func (x *Export) Lacks(found []Found) (warnings []string) {
	there := make(map[string]bool)
	for _, one := range found {
		if one.Sheet != nil {
			there[one.Sheet.Name] = true
		}
	}
	for _, one := range found {
		if one.Sheet != nil && one.Sheet.With != "" && !there[one.Sheet.With] {
			warnings = append(warnings, fmt.Sprintf("%s is the %s without the %s of its orders: what that tells (amounts, freight, receivers) is known of those orders alone of which an earlier import told it; import both", one.Name, one.Sheet.Name, one.Sheet.With))
		}
	}
	return warnings
}

// Readable reads all tables of files to their ends and keeps nothing.
func Readable(ctx context.Context, files tablefile.Files) error {
	err := files.Each(ctx, tablefile.Visitor{
		Table: func(t *tablefile.Table) error {
			for {
				_, err := t.Next()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("read %s: %w", t.Name, err)
				}
			}
		},
		Left: func(string, error) {},
	})
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

// Rows is how many rows were read so far.
func (x *Export) Rows() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.rows
}

func (x *Export) count(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.rows += n
}

// exportCursor says up to which number the records of these files were read.
type exportCursor struct {
	V     int    `json:"v"`
	Files string `json:"files"`
	Key   string `json:"key"`
}

// fingerprint is that of the files as they are now.
func (x *Export) fingerprint() (string, error) {
	text, err := x.cfg.Files.Fingerprint()
	if err != nil {
		return "", fmt.Errorf("file: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12]), nil
}

// Read yields the records of a stream, in the order of their numbers, that
// follow from. A cursor of other files reads these from their beginning.
func (x *Export) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		err := x.read(ctx, stream, from, func(page connectors.Page) error {
			if !yield(page, nil) {
				return errStopped
			}
			return ctx.Err()
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(connectors.Page{}, err)
		}
	}
}

func (x *Export) read(ctx context.Context, stream string, from connectors.Cursor, yield func(connectors.Page) error) (err error) {
	if !slices.Contains(x.streams(), stream) {
		return fmt.Errorf("file: read %s: %w", stream, connectors.ErrNoStream)
	}
	files, err := x.fingerprint()
	if err != nil {
		return err
	}
	var at exportCursor
	if json.Unmarshal([]byte(from), &at) != nil || at.V != cursorVersion || at.Files != files {
		at = exportCursor{V: cursorVersion, Files: files}
	}
	sorter, err := tablefile.NewSorter(x.cfg.Files.Temp)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	defer func() { err = errors.Join(err, sorter.Close()) }()
	g := &gathering{x: x, stream: stream, sorter: sorter, yield: yield}
	err = x.cfg.Files.Each(ctx, tablefile.Visitor{Table: g.table, Left: func(string, error) {}})
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if err := g.flush(); err != nil {
		return err
	}
	return g.emit(ctx, at)
}

// origin is a table whose rows were gathered.
type origin struct {
	name, base string
	sheet      *connectors.Sheet
	header     []string
	key        int   // the column of the entity's number
	line       int   // the column that tells rows of one entity apart, or -1
	alike      []int // the columns in which the rows of one entity agree
	exported   time.Time
	// rounded are the columns of numbers (key, line) that a spreadsheet has rounded
	// as a whole.
	rounded []int
}

// gathering sorts the rows of one stream.
type gathering struct {
	x       *Export
	stream  string
	sorter  *tablefile.Sorter
	yield   func(connectors.Page) error
	origins []origin
	bad     connectors.Page
	value   []byte
}

// table adds the rows of a table to the sorter, unless it is of another
// stream. What names no order goes out at once.
func (g *gathering) table(t *tablefile.Table) error {
	sheet := g.x.cfg.Exports.Sheet(t.Header())
	if sheet == nil || sheet.Stream != g.stream {
		return nil
	}
	o := origin{name: t.Name, base: t.Base, sheet: sheet, header: t.Header(), line: connectors.ColumnOf(t.Header(), sheet.Line), exported: g.x.cfg.Exports.Named(t.Base)}
	if o.exported.IsZero() {
		o.exported = t.Modified
	}
	o.key = connectors.ColumnOf(t.Header(), sheet.Key)
	for _, names := range sheet.Alike {
		if column := connectors.ColumnOf(t.Header(), strings.Split(names, "|")); column >= 0 {
			o.alike = append(o.alike, column)
		}
	}
	index := len(g.origins)
	g.origins = append(g.origins, o)
	numbers := []longNumbers{{column: o.key}}
	if o.line >= 0 && o.line != o.key {
		numbers = append(numbers, longNumbers{column: o.line})
	}
	for {
		row, err := t.Next()
		if errors.Is(err, io.EOF) {
			g.origins[index].rounded = roundedOf(numbers)
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", t.Name, err)
		}
		g.x.count(1)
		number := ""
		if row.Err == nil {
			if number, err = connectors.CellNumber(row.Fields[o.key]); err != nil {
				row.Err = fmt.Errorf("the column %s %w", o.header[o.key], err)
			}
		}
		if row.Err != nil {
			if err := g.refuse(o, row); err != nil {
				return err
			}
			continue
		}
		for i := range numbers {
			numbers[i].see(row.Fields)
		}
		g.value = binary.AppendUvarint(g.value[:0], uint64(index))
		g.value = binary.AppendUvarint(g.value, uint64(row.Line))
		for _, field := range row.Fields {
			g.value = binary.AppendUvarint(g.value, uint64(len(field)))
			g.value = append(g.value, field...)
		}
		if err := g.sorter.Add(number, g.value); err != nil {
			return err
		}
	}
}

// refuse puts a row that names no order on its way to the dead letter.
func (g *gathering) refuse(o origin, row tablefile.Row) error {
	raw := slices.Clone(row.Raw)
	if row.Fields != nil {
		text, err := json.Marshal(connectors.ExportRow{Sheet: o.sheet.Name, Row: cellsOf(o.header, row.Fields)})
		if err != nil {
			return err
		}
		raw = text
	}
	g.bad.Server = o.exported
	g.bad.Bad = append(g.bad.Bad, connectors.BadRecord{Raw: raw, Origin: o.name + " line " + strconv.Itoa(row.Line), Err: row.Err})
	if len(g.bad.Bad) < g.x.cfg.PageRows {
		return nil
	}
	return g.flush()
}

func (g *gathering) flush() error {
	if len(g.bad.Bad) == 0 {
		return nil
	}
	page := g.bad
	g.bad = connectors.Page{}
	return g.yield(page)
}

// cellsOf is a row by the names of its columns; columns without a name are
// left out.
func cellsOf(header, fields []string) map[string]string {
	cells := make(map[string]string, len(header))
	for i, name := range header {
		if name != "" {
			cells[name] = fields[i]
		}
	}
	return cells
}

// gathered is a row that was sorted.
type gathered struct {
	origin *origin
	index  int
	line   int
	fields []string
}

func (g *gathering) decode(value []byte) (gathered, error) {
	next := func() int {
		n, size := binary.Uvarint(value)
		value = value[max(size, 0):]
		return int(n)
	}
	index := next()
	if index >= len(g.origins) {
		return gathered{}, errors.New("file: a sorted row is damaged")
	}
	row := gathered{origin: &g.origins[index], index: index, line: next()}
	row.fields = make([]string, len(row.origin.header))
	for i := range row.fields {
		length := next()
		if length > len(value) {
			return gathered{}, errors.New("file: a sorted row is damaged")
		}
		row.fields[i], value = string(value[:length]), value[length:]
	}
	return row, nil
}

// mostRows bounds the rows of one order: more are no order's.
const mostRows = 5000

// hold adds a sorted row to the others of its number, unless they are too many.
func (g *gathering) hold(rows []gathered, value []byte) ([]gathered, error) {
	if len(rows) == mostRows {
		return rows, nil
	}
	row, err := g.decode(value)
	if err != nil {
		return nil, err
	}
	return append(rows, row), nil
}

// emit yields the records in the order of their numbers, those after a cursor.
func (g *gathering) emit(ctx context.Context, at exportCursor) error {
	var page connectors.Page
	flush := func() error {
		if err := g.flush(); err != nil {
			return err
		}
		if len(page.Records) == 0 {
			return nil
		}
		next, err := json.Marshal(at)
		if err != nil {
			return err
		}
		page.Next = connectors.Cursor(next)
		full := page
		page = connectors.Page{}
		if err := g.x.join(ctx, full.Records); err != nil {
			return err
		}
		return g.yield(full)
	}
	var rows []gathered
	total, done := 0, at.Key
	end := func(key string) error {
		sound, err := g.unruined(rows, total)
		if err != nil {
			return err
		}
		if len(sound) == 0 {
			rows, total = rows[:0], 0
			return nil
		}
		record, err := g.record(key, sound, total)
		if err != nil {
			return err
		}
		page.Records = append(page.Records, record)
		if record.Observed.After(page.Server) {
			page.Server = record.Observed
		}
		rows, total, at.Key = rows[:0], 0, key
		if len(page.Records) < g.x.cfg.PageRows {
			return nil
		}
		return flush()
	}
	key := ""
	for sorted, err := range g.sorter.Sorted() {
		if err != nil {
			return fmt.Errorf("file: %w", err)
		}
		if done != "" && sorted.Key <= done {
			continue
		}
		if sorted.Key != key {
			if err := end(key); err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			key = sorted.Key
		}
		total++
		if rows, err = g.hold(rows, sorted.Value); err != nil {
			return err
		}
	}
	if err := end(key); err != nil {
		return err
	}
	return flush()
}

// record makes one record of the rows of a number. Of a line that several
// files have the newest export's is right.
func (g *gathering) record(key string, rows []gathered, total int) (connectors.Record, error) {
	first := rows[0]
	slices.SortStableFunc(rows, func(a, b gathered) int {
		return -cmp.Or(a.origin.exported.Compare(b.origin.exported), cmp.Compare(a.origin.base, b.origin.base), cmp.Compare(a.index, b.index))
	})
	observed := rows[0].origin.exported
	p := &connectors.ExportPayload{Entity: key}
	if total <= mostRows { // else the mapping refuses it, and the dead letter says of what file
		list := make([]ranked, len(rows))
		for i, row := range rows {
			list[i] = g.x.ranked(connectors.ExportRow{Sheet: row.origin.sheet.Name, Row: cellsOf(row.origin.header, row.fields), Exported: row.origin.exported.UnixMilli()}, row.index)
		}
		p.Rows = newest(list)
	}
	raw, err := payloadOf(p, observed)
	if err != nil {
		return connectors.Record{}, err
	}
	from := first.origin.name + " line " + strconv.Itoa(first.line)
	return connectors.Record{Stream: g.stream, Shop: g.x.cfg.Shop, Raw: raw, Observed: observed, Origin: from}, nil
}

// Map makes the events of a record; it is pure.
func (x *Export) Map(record connectors.Record) ([]*events.Event, error) {
	return x.cfg.Exports.Map(record)
}
