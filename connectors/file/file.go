// Package file reads orders, users, tickets and spend from CSV files, with a
// mapping that says which column is what (mapping.go). It satisfies
// connectors.Connector, so that a file takes the way of any platform.
//
// Importing a file again changes nothing, whatever the order of its lines: an
// entity's id comes from its columns. Where a file has no number for its
// orders, the id is a keyed hash of the row and how many times that same row
// stood in the file before: equal rows are purchases of their own, and of
// files that overlap each equal row is there as often as in the file that has
// it most often.
package file

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/tablefile"
	"oneid/schemas/events"
)

// Platform is the connector's name; a mapping may say another, when the file
// holds what a platform's shop exported.
const Platform = "file"

// Config says what to read.
type Config struct {
	// Files to read: their Options follow from the mapping.
	Files tablefile.Files
	// Mapping says which column is what.
	Mapping *Mapping
	// Hash is the brand's keyed hash, at least 16 bytes long; needed by a
	// mapping with order_id.row.
	Hash func([]byte) []byte
	// Left, if set, is told by Check of what is left out: the files of a folder
	// or a zip and the sheets of a workbook that have not the mapping's
	// columns, beside others that have them.
	Left func(name string, why error)
	// ExportedAt is when the files were exported: the newer export wins over
	// the older where the rows themselves bear no time of change. Zero means
	// the mapping's exported_at, or each file's own time.
	ExportedAt time.Time
	// PageRows is how many rows make a page; default 1000.
	PageRows int
}

// Connector reads the files of one mapping. It may be used concurrently.
type Connector struct {
	cfg Config
	mapper
}

var _ connectors.Connector = (*Connector)(nil)

// New makes the connector; it opens nothing yet.
func New(cfg Config) (*Connector, error) {
	if cfg.Mapping == nil {
		return nil, errors.New("file: the mapping is missing")
	}
	if faults := cfg.Mapping.validate(); len(faults) > 0 {
		return nil, fmt.Errorf("file: %w", joined(faults))
	}
	if len(cfg.Mapping.OrderID.Row) > 0 && cfg.Hash == nil {
		return nil, errors.New("file: a mapping with order_id.row needs the brand's keyed hash")
	}
	if cfg.PageRows <= 0 {
		cfg.PageRows = 1000
	}
	if cfg.ExportedAt.IsZero() {
		cfg.ExportedAt = cfg.Mapping.exportedAt
	}
	cfg.Files.Options = cfg.Mapping.options()
	return &Connector{cfg: cfg, mapper: mapper{cfg.Mapping}}, nil
}

// Spec describes the connector.
func (c *Connector) Spec() connectors.Spec {
	m := c.cfg.Mapping
	return connectors.Spec{
		Platform: m.Platform, Title: "Files", TitleZH: "文件",
		Streams:  []connectors.Stream{{Name: m.Kind, Kinds: kindsOf(m.Kind)}},
		Settings: json.RawMessage(MappingSchema),
		Sample:   sample,
	}
}

// kindsOf says which events the rows of a kind of file become.
func kindsOf(kind string) []events.Kind {
	switch kind {
	case KindOrders:
		return []events.Kind{events.KindOrder}
	case KindUsers:
		return []events.Kind{events.KindUser}
	case KindTickets:
		return []events.Kind{events.KindTicket}
	case KindSpend:
		return []events.Kind{events.KindSpend}
	}
	return nil
}

// Check opens each table and looks for the mapping's columns; it names every
// file that will not do.
func (c *Connector) Check(ctx context.Context) error {
	var faults []error
	for _, path := range c.cfg.Files.Paths {
		var others []Found
		matched := false
		err := c.each(ctx, path, c.quiet(), func(t *table) error {
			matched = true
			return nil
		}, func(name string, why error) { others = append(others, Found{Name: name, Why: why}) })
		if err != nil {
			faults = append(faults, fmt.Errorf("file: %w", err))
			continue
		}
		if len(others) == 0 && !matched {
			faults = append(faults, fmt.Errorf("file: read %s: there is no table in it", filepath.Base(path)))
		}
		for _, other := range others {
			switch {
			case !matched:
				faults = append(faults, fmt.Errorf("file: read %s: %w", other.Name, other.Why))
			case c.cfg.Left != nil:
				c.cfg.Left(other.Name, other.Why)
			}
		}
	}
	return errors.Join(faults...)
}

// quiet is the files without progress.
func (c *Connector) quiet() tablefile.Files {
	files := c.cfg.Files
	files.Progress = nil
	return files
}

// each visits the tables of a path that have the mapping's columns.
func (c *Connector) each(ctx context.Context, path string, files tablefile.Files, visit func(*table) error, left func(string, error)) error {
	files.Paths = []string{path}
	return files.Each(ctx, tablefile.Visitor{Left: left, Table: func(of *tablefile.Table) error {
		t, err := c.open(of)
		if err != nil {
			left(of.Name, err)
			return nil
		}
		return visit(t)
	}})
}

// cursor says which table was read up to which line.
type cursor struct {
	V int `json:"v"`
	// File is the path that was given, Table what is read of it.
	File  string `json:"file"`
	Table string `json:"table"`
	// Rows of the table, good and bad, that were read.
	Rows int `json:"rows"`
}

const cursorVersion = 1

// Read yields the files' rows that follow from. To resume within a table its
// rows up to there are read again, since the numbering of equal rows needs
// them, and not yielded.
func (c *Connector) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		if stream != c.cfg.Mapping.Kind {
			yield(connectors.Page{}, fmt.Errorf("file: read %s: %w: the mapping is for %s", stream, connectors.ErrNoStream, c.cfg.Mapping.Kind))
			return
		}
		var at cursor
		paths := c.cfg.Files.Paths
		if from != "" {
			first := -1
			if json.Unmarshal([]byte(from), &at) == nil && at.V == cursorVersion {
				first = slices.Index(paths, at.File)
			}
			if first < 0 {
				yield(connectors.Page{}, fmt.Errorf("file: %w: it is not of these files; import without it", connectors.ErrCursor))
				return
			}
			paths = paths[first:]
		}
		for _, path := range paths {
			known := false
			err := c.each(ctx, path, c.cfg.Files, func(t *table) error {
				known = true
				skip := 0
				if path == at.File && at.Table != "" {
					if t.Name != at.Table {
						return nil // it was read before
					}
					skip, at = at.Rows, cursor{}
				}
				return c.readTable(ctx, path, t, skip, yield)
			}, func(string, error) {})
			if err == nil && !known {
				err = fmt.Errorf("read %s: it has not the columns that the mapping names", filepath.Base(path))
			}
			if err != nil {
				if !errors.Is(err, errStopped) {
					yield(connectors.Page{}, fmt.Errorf("file: %w", err))
				}
				return
			}
		}
	}
}

// errStopped: the reader of the pages wants no more.
var errStopped = errors.New("stopped")

// table is an open table with its columns found.
type table struct {
	*tablefile.Table
	// columns are the header's columns that the mapping uses, by name.
	columns map[string]int
	// names of columns, for the raw payload.
	names    []string
	observed time.Time
}

func (c *Connector) open(of *tablefile.Table) (*table, error) {
	t := &table{Table: of, columns: make(map[string]int), names: of.Header(), observed: c.cfg.ExportedAt}
	if t.observed.IsZero() {
		t.observed = of.Modified
	}
	var missing []string
	for _, column := range c.cfg.Mapping.columnNames() {
		i := slices.Index(t.names, column)
		if i < 0 {
			missing = append(missing, strconv.Quote(column))
			continue
		}
		t.columns[column] = i
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("it has no column %s; it has %s. Name the right ones in the mapping",
			strings.Join(missing, ", "), headerOf(t.names, c.cfg.Mapping.columnNames()))
	}
	return t, nil
}

// headerOf says what a header holds. A file with no header has a person's
// values there, so only names that are known, and those that could stand in a
// program, are repeated; of the others the number.
func headerOf(names, known []string) string {
	var said []string
	others := 0
	for _, name := range names {
		if slices.Contains(known, name) || columnName.MatchString(name) {
			said = append(said, strconv.Quote(name))
		} else {
			others++
		}
	}
	text := strings.Join(said[:min(len(said), 40)], ", ")
	switch {
	case others == 0:
		return text
	case text == "":
		return fmt.Sprintf("%d columns by other names (is its first line the header?)", others)
	}
	return fmt.Sprintf("%s and %d by other names (is its first line the header?)", text, others)
}

// columnName is a name as programs write one, of several words: customer_id.
// A word alone may be a person's.
var columnName = regexp.MustCompile(`^[a-z]{1,20}(_[a-z]{1,20}){1,4}$`)

// readTable yields the pages of one table, without its first skip rows.
func (c *Connector) readTable(ctx context.Context, path string, t *table, skip int, yield func(connectors.Page, error) bool) error {
	seen := make(map[uint64]uint32)
	page := connectors.Page{Server: t.observed}
	rows := 0
	flush := func() error {
		if len(page.Records)+len(page.Bad) == 0 {
			return nil
		}
		text, err := json.Marshal(cursor{cursorVersion, path, t.Name, rows})
		if err != nil {
			return err
		}
		page.Next = connectors.Cursor(text)
		if !yield(page, nil) {
			return errStopped
		}
		page = connectors.Page{Server: t.observed}
		return ctx.Err()
	}
	for {
		row, err := t.Next()
		if errors.Is(err, io.EOF) {
			return flush()
		}
		if err != nil {
			return fmt.Errorf("read %s after row %d: %w", t.Name, rows, err)
		}
		rows++
		var id string
		if row.Err == nil && len(c.cfg.Mapping.OrderID.Row) > 0 {
			id = c.rowID(t, row, seen)
		}
		if rows <= skip {
			continue
		}
		origin := t.Name + " line " + strconv.Itoa(row.Line)
		if row.Err != nil {
			page.Bad = append(page.Bad, connectors.BadRecord{Raw: slices.Clone(row.Raw), Origin: origin, Err: row.Err})
		} else {
			page.Records = append(page.Records, connectors.Record{
				Stream: c.cfg.Mapping.Kind, Shop: c.cfg.Mapping.Shop, Raw: payload(t.names, row.Fields, id),
				Observed: t.observed, Origin: origin,
			})
		}
		if len(page.Records)+len(page.Bad) >= c.cfg.PageRows {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// rowID makes the id of a row that has none: a keyed hash of the mapping's
// columns, and how often that row has been in this file so far.
func (c *Connector) rowID(t *table, row tablefile.Row, seen map[uint64]uint32) string {
	canonical := make([]byte, 0, 128)
	canonical = append(canonical, "oneid file row\x00"...)
	for _, column := range c.cfg.Mapping.OrderID.Row {
		value := row.Fields[t.columns[column]]
		canonical = binary.AppendUvarint(canonical, uint64(len(value)))
		canonical = append(canonical, value...)
	}
	hash := c.cfg.Hash(canonical)[:16]
	key := binary.BigEndian.Uint64(hash)
	seen[key]++
	return hex.EncodeToString(hash) + "-" + strconv.FormatUint(uint64(seen[key]), 10)
}

// rowPayload is the raw payload of a record: the row by the names of its
// columns, and the id that was made for it where it has none. The line's
// number is not in it, so that a shuffled file gives the same payloads.
type rowPayload struct {
	ID  string            `json:"id,omitempty"`
	Row map[string]string `json:"row"`
}

func payload(names, fields []string, id string) json.RawMessage {
	p := rowPayload{ID: id, Row: make(map[string]string, len(names))}
	for i, name := range names {
		if name != "" && fields[i] != "" {
			p.Row[name] = fields[i]
		}
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return nil // a struct of texts always marshals
	}
	return raw
}
