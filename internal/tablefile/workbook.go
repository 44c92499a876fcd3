package tablefile

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/xuri/excelize/v2"
)

const (
	// inMemory is how much of a sheet, and of the texts that sheets share, is
	// held; more lies on disk while it is read.
	inMemory = 4 << 20
	// maxParts bounds all other parts of a workbook together: styles, drawings,
	// lists of sheets. They are held.
	maxParts = 32 << 20
	// maxSheets is more than people make; each is opened for itself.
	maxSheets = 250
	// maxWorkbook is more than the largest sheet that there can be.
	maxWorkbook = 16 << 30
)

// workbook visits the sheets of a workbook, of which z is the zip.
func (f *Files) workbook(ctx context.Context, z *zip.Reader, in io.ReaderAt, size int64, from source, visit Visitor) error {
	if err := vet(z, size); err != nil {
		return fmt.Errorf("read %s: %w", from.name, err)
	}
	if file, ok := in.(*counterAt); ok {
		in = file.ReaderAt
		defer file.count(int(size)) // its parts are read all over
	}
	path, done, err := f.pathOf(in, size)
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	defer done()
	opened, err := excelize.OpenFile(path, f.opening(inMemory))
	if err != nil {
		return unopened(opened, from, err)
	}
	return f.sheets(ctx, bookOf(opened, z, size), from, visit)
}

// unopened says that a workbook could not be opened, and takes away what that left
// on disk.
func unopened(book *excelize.File, from source, err error) error {
	if book != nil {
		_ = book.Close()
	}
	return fmt.Errorf("read %s: it is no workbook that can be read: %w", from.name, plainError(err))
}

// opening are the library's settings; of a part more than held lies on disk.
func (f *Files) opening(held int64) excelize.Options {
	return excelize.Options{RawCellValue: true, UnzipXMLSizeLimit: held, UnzipSizeLimit: maxWorkbook, TmpDir: f.Temp}
}

// pathOf gives a path of what is open, since the library for workbooks opens by
// path. What lies in a zip has none of its own: it is a file without
// a name, which no one finds after this process, however that ends.
func (f *Files) pathOf(in io.ReaderAt, size int64) (path string, done func(), err error) {
	file, ok := in.(*os.File)
	done = func() {}
	if !ok {
		if file, _, err = f.spill(io.NewSectionReader(in, 0, size)); err != nil {
			return "", nil, err
		}
		done = func() { file.Close() }
		// Where the path of a descriptor is the descriptor itself, its place counts.
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			done()
			return "", nil, err
		}
	}
	if _, err := os.Stat(file.Name()); err == nil {
		return file.Name(), done, nil
	}
	return fmt.Sprintf("/dev/fd/%d", file.Fd()), done, nil
}

// vet looks at a workbook of a size before it is read: how much it unpacks to,
// and whether its XML declares what no spreadsheet does. The zip that holds it
// may have left it as it is, and so say nothing of how far it shrank.
func vet(z *zip.Reader, size int64) error {
	var parts, all uint64
	for _, part := range z.File {
		if all += part.UncompressedSize64; all > maxWorkbook || part.UncompressedSize64 > maxWorkbook ||
			tooMuch(all, uint64(size)) || tooMuch(part.UncompressedSize64, part.CompressedSize64) {
			return ErrBomb
		}
		name := strings.ToLower(strings.ReplaceAll(part.Name, "\\", "/"))
		if !strings.HasPrefix(name, "xl/worksheets/sheet") && name != "xl/sharedstrings.xml" {
			if parts += part.UncompressedSize64; parts > maxParts {
				return fmt.Errorf("what is in it beside the tables (pictures, styles) is too large: save it as CSV")
			}
		}
		if err := vetXML(part, strings.HasSuffix(name, ".xml") || strings.HasSuffix(name, ".rels")); err != nil {
			return err
		}
	}
	return nil
}

// vetXML reads a part up to its first element: a document type can stand only
// before it. A part is XML by its name or by its beginning: a workbook may call
// its sheets as it likes.
func vetXML(part *zip.File, named bool) error {
	in, err := part.Open()
	if err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	defer in.Close()
	beginning := bufio.NewReader(io.LimitReader(in, 1<<20))
	if start, err := beginning.Peek(512); !named && (err == nil || errors.Is(err, io.EOF)) {
		start = bytes.TrimLeft(bytes.TrimPrefix(start, []byte("\xef\xbb\xbf")), " \t\r\n")
		if !bytes.HasPrefix(start, []byte("<")) {
			return nil
		}
	}
	d := decoderOf(beginning)
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

func decoderOf(in io.Reader) *xml.Decoder {
	d := xml.NewDecoder(in)
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	return d
}

// whole says whether the sheets of a workbook, and the texts that they share, are
// XML to their ends. The library for workbooks takes a fault in them for the end
// of the rows, and what stands behind it would be left out without a word.
func whole(z *zip.Reader) error {
	for _, part := range z.File {
		if at, err := wholePart(part); err != nil {
			return fmt.Errorf("it is damaged, or was cut off: %s breaks off at byte %d: export it anew", path.Base(part.Name), at)
		}
	}
	return nil
}

// mostNested is deeper than a workbook's elements are.
const mostNested = 64

var errNesting = errors.New("its elements do not close as they should")

// wholePart reads a part if it is a sheet or the texts that sheets share. For a
// fault it says where; the decoder's own error may repeat a value.
func wholePart(part *zip.File) (at int64, err error) {
	in, err := part.Open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	d := decoderOf(bufio.NewReaderSize(in, 1<<16))
	var open []xml.Name
	for begun := false; ; {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return 0, nil
		}
		if !begun && err != nil {
			return 0, nil // a picture, or what vet has looked at
		}
		if err != nil {
			return d.InputOffset(), err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !begun && token.Name.Local != "worksheet" && token.Name.Local != "sst" {
				return 0, nil
			}
			begun = true
			if open = append(open, token.Name); len(open) > mostNested {
				return d.InputOffset(), errNesting
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != token.Name {
				return d.InputOffset(), errNesting
			}
			open = open[:len(open)-1]
		}
	}
}

// book is a workbook that is read.
type book struct {
	*excelize.File

	size uint64
	// cells is how many bytes they are so far, as a CSV file would have them: a cell
	// in the last column makes a row of thousands.
	cells uint64
	// entire is asked at the end of the rows of a sheet.
	entire func() error
	// shared says whether two relations lead to one sheet.
	shared func() bool
	// rounded are the long numbers of the workbook that it holds as numbers.
	rounded func() map[float64]bool
}

// bookOf is a workbook that was opened, with its zip and its size.
func bookOf(opened *excelize.File, z *zip.Reader, size int64) *book {
	return &book{
		File: opened, size: uint64(size), entire: sync.OnceValue(func() error { return whole(z) }), shared: func() bool { return sharedParts(z) }, rounded: sync.OnceValue(func() map[float64]bool { return roundedIn(z) }),
	}
}

// spreadDigits is how many digits of a number a spreadsheet keeps; the others
// it makes zeros.
const spreadDigits = 15

// digitsOnly says whether a cell is a number without a sign, a point and an
// exponent, of more digits than a spreadsheet keeps.
func digitsOnly(cell string) bool {
	return len(cell) > spreadDigits && strings.Trim(cell, "0123456789") == ""
}

// zerosBehind says of such a number whether only the digits are there that a
// spreadsheet keeps.
func zerosBehind(cell string) bool { return strings.Trim(cell[spreadDigits:], "0") == "" }

// IsFloat says of a number without a sign, a point and an exponent whether a
// program that keeps numbers in 64 bits of floating point (JavaScript, a column of
// a data frame) would write just these digits of one that it could not keep: the
// shortest that lead back to it, or all. Of sound numbers of 18 digits one in
// about 50 is so by itself.
func IsFloat(digits string) bool {
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || f <= 1<<53 {
		return false // each whole number up to there is kept
	}
	var shortest, all [32]byte
	return string(strconv.AppendFloat(shortest[:0], f, 'f', -1, 64)) == digits || string(strconv.AppendFloat(all[:0], f, 'f', 0, 64)) == digits
}

// mayBeRounded says of a long number whether a program that keeps no more than a
// spreadsheet, or than 64 bits of floating point, may have written it.
func mayBeRounded(cell string) bool { return zerosBehind(cell) || IsFloat(cell) }

// long is a cell of more digits than a spreadsheet keeps of a number, as it is
// to be read. Most are texts. One that the workbook holds as a number was rounded:
// programs write it with an exponent or, as here, with zeros or with the digits of
// a float, and it is given in the form that tells what happened to it.
func (b *book) long(cell string) (text string, isText bool) {
	if mayBeRounded(cell) {
		if f, err := strconv.ParseFloat(cell, 64); err == nil && b.rounded()[f] {
			return strconv.FormatFloat(f, 'E', -1, 64), false
		}
	}
	return cell, true
}

// roundedIn are the numbers with zeros behind the digits that a spreadsheet
// keeps, or with the digits of a float, in all sheets. There are none in a workbook
// that has another one: a program wrote it that keeps all digits.
func roundedIn(z *zip.Reader) map[float64]bool {
	found := make(map[float64]bool)
	for _, part := range z.File {
		if !numbersOf(part, found) {
			return nil
		}
	}
	return found
}

// numbersOf finds those of one part, up to where it breaks off; false where a
// number has digits that were not rounded.
func numbersOf(part *zip.File, found map[float64]bool) bool {
	in, err := part.Open()
	if err != nil {
		return true // whole says what is wrong
	}
	defer in.Close()
	d := decoderOf(bufio.NewReaderSize(in, 1<<16))
	number, value := false, false // in a cell that holds one, and in its value
	for begun := false; ; {
		token, err := d.RawToken()
		if err != nil {
			return true
		}
		switch token := token.(type) {
		case xml.StartElement:
			if !begun && token.Name.Local != "worksheet" {
				return true
			}
			begun = true
			switch token.Name.Local {
			case "c":
				number = !slices.ContainsFunc(token.Attr, func(a xml.Attr) bool { return a.Name.Local == "t" && a.Value != "n" })
			case "v":
				value = number
			}
		case xml.EndElement:
			value = false
		case xml.CharData:
			cell := strings.TrimSpace(string(token))
			if !value || !digitsOnly(cell) {
				continue
			}
			if !mayBeRounded(cell) {
				return false
			}
			if f, err := strconv.ParseFloat(cell, 64); err == nil {
				found[f] = true
			}
		}
	}
}

// take counts a row.
func (b *book) take(cells []string) error {
	b.cells++ // a row without cells takes time, too
	for _, cell := range cells {
		b.cells += uint64(len(cell)) + 1
	}
	if tooMuch(b.cells, b.size) {
		return ErrBomb
	}
	return nil
}

// sheets visits the sheets of a workbook, and closes it.
func (f *Files) sheets(ctx context.Context, book *book, from source, visit Visitor) (err error) {
	defer func() { err = errors.Join(err, book.Close()) }()
	if err := book.sound(); err != nil {
		return fmt.Errorf("read %s: %w", from.name, err)
	}
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

// sharedParts says whether two relations of a workbook lead to one part that is a
// sheet.
func sharedParts(z *zip.Reader) bool {
	seen := make(map[string]bool)
	for _, part := range z.File {
		if !strings.HasSuffix(strings.ToLower(part.Name), "workbook.xml.rels") {
			continue
		}
		in, err := part.Open()
		if err != nil {
			continue // whole says what is wrong
		}
		shared := sharedTarget(decoderOf(bufio.NewReader(in)), seen)
		in.Close()
		if shared {
			return true
		}
	}
	return false
}

func sharedTarget(d *xml.Decoder, seen map[string]bool) bool {
	for {
		token, err := d.RawToken()
		if err != nil {
			return false
		}
		start, is := token.(xml.StartElement)
		if !is || start.Name.Local != "Relationship" {
			continue
		}
		kind, target := "", ""
		for _, a := range start.Attr {
			switch a.Name.Local {
			case "Type":
				kind = a.Value
			case "Target":
				target = a.Value
			}
		}
		if !strings.HasSuffix(kind, "/worksheet") {
			continue
		}
		if !strings.HasPrefix(target, "/") {
			target = "/xl/" + target
		}
		target = strings.ToLower(path.Clean(target))
		if seen[target] {
			return true
		}
		seen[target] = true
	}
}

// What a workbook as a whole may not be.
var (
	errSheets = errors.New("two of its sheets are one part of the file, which no spreadsheet does")
	errDays   = errors.New("it counts its days from 1904, and what it says of time would be read four years too early: save it as CSV, or with the other date system")
)

// sound says whether the sheets of a workbook are as many as people make, each of
// a part of its own, and count their days as others do.
func (b *book) sound() error {
	sheets := b.WorkBook.Sheets.Sheet
	if len(sheets) > maxSheets {
		return fmt.Errorf("it has %d sheets, more than %d: %w", len(sheets), maxSheets, ErrBomb)
	}
	parts := make(map[string]bool, len(sheets))
	for _, sheet := range sheets {
		if parts[sheet.ID] {
			return errSheets
		}
		parts[sheet.ID] = true
	}
	if b.shared() {
		return errSheets
	}
	if properties := b.WorkBook.WorkbookPr; properties != nil && properties.Date1904 {
		return errDays
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
	book    *book
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
			marked := trimmed != "" && strings.HasPrefix(cell, "\t")
			if !marked && digitsOnly(trimmed) {
				trimmed, marked = s.book.long(trimmed)
			}
			if s.options.KeepTabs && marked {
				trimmed = "\t" + trimmed
			}
			cells[i] = trimmed
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		if err := s.book.take(cells); err != nil {
			return nil, err
		}
		if len(cells) > 0 {
			return cells, nil
		}
	}
	if err := s.rows.Error(); err != nil {
		return nil, err
	}
	return nil, s.book.entire()
}

func (f *Files) sheet(ctx context.Context, book *book, name string, from source, visit Visitor) (err error) {
	rows, err := book.Rows(name)
	if err != nil {
		return visit.left(from.name, errors.New("it is a sheet without cells"))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	s := &sheetReader{ctx: ctx, rows: rows, options: f.Options, book: book}
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
