package tablefile

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/xuri/excelize/v2"
)

const (
	// inMemory is how much of a sheet, and of the texts that sheets share, is
	// held; more lies on disk while it is read.
	inMemory = 4 << 20
	// maxParts bounds all other parts of a workbook together: styles, drawings,
	// lists of sheets. They are held.
	maxParts = 32 << 20
	// maxWorkbook is more than the largest sheet that there can be.
	maxWorkbook = 16 << 30
)

// workbook visits the sheets of a workbook, of which z is the zip.
func (f *Files) workbook(ctx context.Context, z *zip.Reader, in io.ReaderAt, size int64, from source, visit Visitor) error {
	if err := vet(z); err != nil {
		return fmt.Errorf("read %s: %w", from.name, err)
	}
	if file, ok := in.(*counterAt); ok {
		in = file.ReaderAt
		defer file.count(int(size)) // its parts are read all over
	}
	path, remove, err := f.named(in, size)
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	defer remove()
	return f.sheets(ctx, path, "", from, visit)
}

// named gives the path of a file that is open; one without a name is copied.
// The library for workbooks opens by path.
func (f *Files) named(in io.ReaderAt, size int64) (path string, remove func(), err error) {
	if file, ok := in.(*os.File); ok {
		if _, err := os.Stat(file.Name()); err == nil {
			return file.Name(), func() {}, nil
		}
	}
	file, err := os.CreateTemp(f.Temp, "oneid-*.xlsx")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.Remove(file.Name()) } // its folder is emptied with the next import
	_, err = io.Copy(file, io.NewSectionReader(in, 0, size))
	if err = errors.Join(err, file.Close()); err != nil {
		remove()
		return "", nil, err
	}
	return file.Name(), remove, nil
}

// encryptedWorkbook visits the sheets of a workbook with a password. The
// library decrypts it in memory.
func (f *Files) encryptedWorkbook(path string, from source, visit Visitor) error {
	const most = 32 << 20
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	case info.Size() > most:
		return fmt.Errorf("read %s: a workbook with a password, or of the old kind (.xls), and larger than 32 MiB: save it as CSV, or as XLSX without a password", from.name)
	case f.Password == "":
		return fmt.Errorf("read %s: %w, or a workbook of the old kind (.xls): give its password, or save it as XLSX or CSV", from.name, ErrPassword)
	}
	return f.sheets(context.Background(), path, f.Password, from, visit)
}

// vet looks at a workbook before it is read: how much it unpacks to, and
// whether its XML declares what no spreadsheet does.
func vet(z *zip.Reader) error {
	var parts, all uint64
	for _, part := range z.File {
		if all += part.UncompressedSize64; all > maxWorkbook || part.UncompressedSize64 > maxWorkbook {
			return ErrBomb
		}
		name := strings.ToLower(strings.ReplaceAll(part.Name, "\\", "/"))
		if !strings.HasPrefix(name, "xl/worksheets/sheet") && name != "xl/sharedstrings.xml" {
			if parts += part.UncompressedSize64; parts > maxParts {
				return fmt.Errorf("what is in it beside the tables (pictures, styles) is too large: save it as CSV")
			}
		}
		if strings.HasSuffix(name, ".xml") || strings.HasSuffix(name, ".rels") {
			if err := vetXML(part); err != nil {
				return err
			}
		}
	}
	return nil
}

// vetXML reads a part up to its first element: a document type can stand only
// before it.
func vetXML(part *zip.File) error {
	in, err := part.Open()
	if err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	defer in.Close()
	d := xml.NewDecoder(io.LimitReader(in, 1<<20))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) && d.InputOffset() == 0 {
			return nil // an empty part
		}
		if err != nil {
			return errors.New("a part of it is no XML")
		}
		switch token.(type) {
		case xml.Directive:
			return ErrEntities
		case xml.StartElement:
			return nil
		}
	}
}

// sheets visits the sheets of the workbook of a path.
func (f *Files) sheets(ctx context.Context, path, password string, from source, visit Visitor) (err error) {
	book, err := excelize.OpenFile(path, excelize.Options{
		Password: password, RawCellValue: true, UnzipXMLSizeLimit: inMemory, UnzipSizeLimit: maxWorkbook, TmpDir: f.Temp,
	})
	if err != nil {
		if book != nil {
			_ = book.Close() // what it left on disk
		}
		if password != "" {
			return fmt.Errorf("read %s: %w: the password is wrong, or it is a workbook of the old kind (.xls): save it as XLSX or CSV", from.name, ErrPassword)
		}
		return fmt.Errorf("read %s: it is no workbook that can be read: %w", from.name, plainError(err))
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	for _, sheet := range book.GetSheetList() {
		if err := ctx.Err(); err != nil {
			return err
		}
		inner := from
		inner.name += "/" + sheet
		if err := f.sheet(ctx, book, sheet, inner, visit); err != nil {
			return err
		}
	}
	return nil
}

// sheetReader reads the rows of a sheet.
type sheetReader struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call of sheet
	rows    *excelize.Rows
	number  int
	header  []string
	options Options
}

// cells gives the next row that is not blank; nil after the last.
func (s *sheetReader) cells() ([]string, error) {
	for s.rows.Next() {
		s.number++
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		cells, err := s.rows.Columns()
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", s.number, err)
		}
		for i, cell := range cells {
			trimmed := strings.TrimSpace(cell)
			// More digits than a number of a spreadsheet has: the cell is a text.
			if s.options.KeepTabs && trimmed != "" && (strings.HasPrefix(cell, "\t") || len(trimmed) > 15 && strings.Trim(trimmed, "0123456789") == "") {
				trimmed = "\t" + trimmed
			}
			cells[i] = trimmed
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		if len(cells) > 0 {
			return cells, nil
		}
	}
	return nil, s.rows.Error()
}

func (f *Files) sheet(ctx context.Context, book *excelize.File, name string, from source, visit Visitor) (err error) {
	rows, err := book.Rows(name)
	if err != nil {
		return visit.left(from.name, errors.New("it is a sheet without cells"))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	s := &sheetReader{ctx: ctx, rows: rows, options: f.Options}
	type numbered struct {
		line  int
		cells []string
	}
	var ahead []numbered
	var first [][]string
	for range titleRows {
		cells, err := s.cells()
		if err != nil {
			return fmt.Errorf("read %s: %w", from.name, err)
		}
		if cells == nil {
			break
		}
		ahead, first = append(ahead, numbered{s.number, cells}), append(first, cells)
		if f.Options.IsHeader == nil || f.Options.IsHeader(cells) {
			break
		}
	}
	if len(first) == 0 {
		return visit.left(from.name, ErrEmpty)
	}
	at, header := headerOf(first, f.Options)
	s.header, ahead = header, ahead[at+1:]
	seen := make(map[string]bool, len(header))
	for i, column := range header {
		if column != "" && seen[column] {
			return visit.left(from.name, fmt.Errorf("%w: column %d has the name of an earlier one", ErrHeader, i+1))
		}
		seen[column] = true
	}
	return visit.Table(from.table(header, func() (Row, error) {
		if len(ahead) > 0 {
			next := ahead[0]
			ahead = ahead[1:]
			return s.row(next.line, next.cells), nil
		}
		cells, err := s.cells()
		if err == nil && cells == nil {
			err = io.EOF
		}
		if err != nil {
			return Row{}, err
		}
		return s.row(s.number, cells), nil
	}))
}

// row is a row as a Reader gives it; one that is refused has the line that its
// cells would be in a CSV file.
func (s *sheetReader) row(number int, cells []string) Row {
	row := Row{Line: number}
	if len(cells) > len(s.header) {
		var raw bytes.Buffer
		w := csv.NewWriter(&raw)
		_ = w.Write(cells) // a buffer takes all
		w.Flush()
		row.Raw = bytes.TrimSuffix(raw.Bytes(), []byte("\n"))
		row.Err = fmt.Errorf("the row has %d cells where the header names %d", len(cells), len(s.header))
		return row
	}
	row.Fields = cells
	for len(row.Fields) < len(s.header) {
		row.Fields = append(row.Fields, "")
	}
	return row
}
