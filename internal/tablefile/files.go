package tablefile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Files are the tables of files: CSV files, the sheets of workbooks (XLSX),
// either of them in a zip, and folders of all these. Each reads one after the
// other, in bounded memory.
type Files struct {
	// Paths of files and folders, read in this order; a folder in the order of
	// its names.
	Paths []string
	// Options of every table.
	Options Options
	// Password of encrypted zips and workbooks; empty if there is none.
	Password string
	// Temp is the folder for what must lie on disk while it is read: a workbook
	// within a zip, the parts of a large workbook. Default: the system's.
	Temp string
	// Progress, if set, is told how many bytes of the files were read since it
	// was told last.
	Progress func(bytes int64)
}

// What can be wrong with a file, besides the errors of a Reader.
var (
	// ErrPassword: the file is encrypted, and the password is missing or
	// wrong.
	ErrPassword = errors.New("the file is encrypted")
	// ErrBomb: the file would unpack to far more than any table does.
	ErrBomb = errors.New("it unpacks to far more than a table does (a zip bomb)")
	// ErrPath: a zip has a name that points out of it.
	ErrPath = errors.New("the zip holds a name that leads out of it")
	// ErrEntities: a workbook declares a document type, which no program that
	// writes workbooks does.
	ErrEntities = errors.New("the workbook declares XML entities, which no spreadsheet does")
)

// A Table is one table of a file. It is not for concurrent use, and valid
// until the function that was given it returns.
type Table struct {
	// Name for people: "orders.csv", "exports.zip/orders.csv",
	// "report.xlsx/Sheet1".
	Name string
	// Base is the name of the file that holds it, without folders.
	Base string
	// Modified is when that file was last written.
	Modified time.Time
	// Delimiter parts the fields; 0 in a workbook.
	Delimiter rune

	header []string
	next   func() (Row, error)
}

// Header is the names of the columns, without outer blanks.
func (t *Table) Header() []string { return t.header }

// Next gives the next row that is not blank, and io.EOF after the last. Any
// other error is one of reading the file itself.
func (t *Table) Next() (Row, error) { return t.next() }

// A Visitor is given what there is in files, in the order of reading.
type Visitor struct {
	// Table is given each table; its error ends the reading.
	Table func(*Table) error
	// Left, if set, is told of what was left out: a file that is of no known
	// kind, or holds no table. Without it such a file is an error.
	Left func(name string, why error)
}

func (v Visitor) left(name string, why error) error {
	if v.Left == nil {
		return fmt.Errorf("read %s: %w", name, why)
	}
	v.Left(name, why)
	return nil
}

// errKind says that a file is none that is read here.
var errKind = errors.New("it is no CSV, XLSX or zip")

// errNested: a zip within a zip is how bombs are made.
var errNested = errors.New("it is a zip within a zip: unpack it first")

// Each visits the tables of all files. An error names the file that has it,
// and no value.
func (f *Files) Each(ctx context.Context, visit Visitor) error {
	paths, err := f.expand(visit)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.file(ctx, path, visit); err != nil {
			return err
		}
	}
	return nil
}

// Size is how many bytes the files have.
func (f *Files) Size() (sum int64, err error) {
	paths, err := f.expand(Visitor{Left: func(string, error) {}})
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", filepath.Base(path), plainError(err))
		}
		sum += info.Size()
	}
	return sum, nil
}

// Fingerprint tells these files from others: by their names, sizes and times.
func (f *Files) Fingerprint() ([]byte, error) {
	paths, err := f.expand(Visitor{Left: func(string, error) {}})
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(path), plainError(err))
		}
		text = fmt.Appendf(text, "%q %d %d\n", filepath.Base(path), info.Size(), info.ModTime().UnixNano())
	}
	return text, nil
}

// expand puts the files of folders in place of the folders.
func (f *Files) expand(visit Visitor) (paths []string, err error) {
	for _, path := range f.Paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", filepath.Base(path), plainError(err))
		}
		if !info.IsDir() {
			paths = append(paths, path)
			continue
		}
		err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			switch name := filepath.Base(file); {
			case err != nil:
				return fmt.Errorf("read the folder %s: %w", name, plainError(err))
			case d.IsDir() && file != path && strings.HasPrefix(name, "."):
				return fs.SkipDir
			case d.IsDir() || Idle(name):
			case kindOf(name) == "" || !d.Type().IsRegular():
				return visit.left(name, errKind)
			default:
				paths = append(paths, file)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// Idle tells files that programs leave beside those of people.
func Idle(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~$") || name == "Thumbs.db" || name == "desktop.ini"
}

// kindOf is what a file's name says that it is, "" for none that is read here.
func kindOf(name string) string {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".csv", ".txt", ".tsv":
		return "csv"
	case ".xlsx", ".xlsm", ".zip":
		return ext[1:]
	}
	return ""
}

// plainError is an error without the path that it names.
func plainError(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// file visits the tables of a file of any kind, which its first bytes tell.
func (f *Files) file(ctx context.Context, path string, visit Visitor) error {
	name := filepath.Base(path)
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, plainError(err))
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return fmt.Errorf("open %s: %w", name, plainError(err))
	}
	start := make([]byte, 8)
	n, err := io.ReadFull(in, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w", name, plainError(err))
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read %s: %w", name, plainError(err))
	}
	seen := source{name: name, base: name, modified: info.ModTime()}
	counted := &counter{Reader: in, files: f, ctx: ctx}
	switch string(start[:min(n, 4)]) {
	case "PK\x03\x04", "PK\x05\x06":
		at := &counterAt{ReaderAt: in, counter: counter{files: f, ctx: ctx}, left: info.Size()}
		return f.archive(ctx, at, info.Size(), seen, visit)
	case compound:
		return f.encryptedWorkbook(ctx, counted, info.Size(), seen, visit)
	}
	return f.csv(counted, seen, visit)
}

// compound is how the files begin that Office kept before it took to zips: old
// workbooks, and those under a password.
const compound = "\xd0\xcf\x11\xe0"

// source is where a table is found.
type source struct {
	name, base string
	modified   time.Time
}

func (s source) table(header []string, next func() (Row, error)) *Table {
	return &Table{Name: s.name, Base: s.base, Modified: s.modified, header: header, next: next}
}

// beginning is how much of a file is looked at for what parts its fields.
const beginning = 64 << 10

// partedBy is what parts the fields of a file that begins so: the first of a
// comma, a tab and a semicolon with which it has a header that is known.
func (o Options) partedBy(begin []byte) rune {
	for _, o.Delimiter = range ",\t;" {
		if r, err := NewReader(bytes.NewReader(begin), o); err == nil && o.IsHeader(r.Header()) {
			return o.Delimiter
		}
	}
	return ','
}

// csv visits the table of a CSV file. Where it is not said what parts its fields,
// the names of its columns say it.
func (f *Files) csv(in io.Reader, from source, visit Visitor) error {
	options := f.Options
	if options.Delimiter == 0 && options.IsHeader != nil {
		buffered := bufio.NewReaderSize(in, beginning)
		begin, _ := buffered.Peek(beginning) // what cannot be read is noticed below
		options.Delimiter, in = options.partedBy(begin), buffered
	}
	r, err := NewReader(in, options)
	if err != nil {
		if visit.Left != nil && (errors.Is(err, ErrHeader) || errors.Is(err, ErrEmpty) || errors.Is(err, ErrEncoding)) {
			visit.Left(from.name, err)
			return nil
		}
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	t := from.table(r.Header(), r.Next)
	t.Delimiter = options.Delimiter
	return visit.Table(t)
}

// counter tells how much was read, and ends with its context.
type counter struct {
	io.Reader
	files *Files
	ctx   context.Context //nolint:containedctx // a reader has no other way to be stopped; it lives as long as one call
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.Reader.Read(p)
	c.count(n)
	return n, err
}

func (c *counter) count(n int) {
	if c.files.Progress != nil && n > 0 {
		c.files.Progress(int64(n))
	}
}

// counterAt is a counter of a file that is read at places, at some twice: it tells
// of no more bytes than are left.
type counterAt struct {
	io.ReaderAt
	counter
	left int64
}

func (c *counterAt) ReadAt(p []byte, at int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.ReaderAt.ReadAt(p, at)
	told := min(int64(n), c.left)
	c.left -= told
	c.count(int(told))
	return n, err
}

// headerOf finds the header among the first rows as findHeader does: the
// position in rows, and the names.
func headerOf(rows [][]string, options Options) (int, []string) {
	at := 0
	if options.IsHeader != nil {
		at = max(0, slices.IndexFunc(rows, options.IsHeader))
	}
	names := make([]string, len(rows[at]))
	for i, name := range rows[at] {
		names[i] = strings.TrimSpace(name)
	}
	return at, names
}
