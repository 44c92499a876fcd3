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
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// inMemory is how large the part may be of the texts that sheets share, for
	// these to be held; more lies on disk while it is read.
	inMemory = 4 << 20
	// maxSheets is more than people make; each is opened for itself.
	maxSheets = 250
	// maxWorkbook is more than the largest sheet that there can be.
	maxWorkbook = 16 << 30
)

// workbook visits the sheets of a workbook, of which z is the zip, of a size; sealed:
// nothing of it may lie on disk in plain.
func (f *Files) workbook(ctx context.Context, z *zip.Reader, size int64, sealed bool, from source, visit Visitor) error {
	err := vet(z, size)
	var b *book
	if err == nil {
		b, err = f.open(ctx, z, size, sealed)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, plainError(err))
	}
	defer b.texts.close()
	for _, sheet := range b.sheets {
		if err := ctx.Err(); err != nil {
			return err
		}
		inner := from
		inner.name += "/" + sheet.name
		if err := f.sheet(ctx, b, sheet.part, inner, visit); err != nil {
			return err
		}
	}
	return nil
}

// vet looks at a workbook of a size before it is read: how much it unpacks to,
// and whether its XML declares what no spreadsheet does. The zip that holds it
// may have left it as it is, and so say nothing of how far it shrank.
func vet(z *zip.Reader, size int64) error {
	var all uint64
	for _, part := range z.File {
		if all += part.UncompressedSize64; all > maxWorkbook || part.UncompressedSize64 > maxWorkbook ||
			tooMuch(all, uint64(size)) || tooMuch(part.UncompressedSize64, part.CompressedSize64) {
			return ErrBomb
		}
		name := strings.ToLower(strings.ReplaceAll(part.Name, "\\", "/"))
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

// book is a workbook that is read.
type book struct {
	sheets []bookSheet
	texts  *sharedTexts

	size uint64
	// cells is how many bytes they are so far, as a CSV file would have them: a cell
	// in the last column makes a row of thousands.
	cells uint64
	// keepsDigits says whether it holds a number that nobody has rounded, of more
	// digits than a spreadsheet or a float keeps.
	keepsDigits func() bool
}

// bookSheet is a sheet by its name; part is nil where it has no cells.
type bookSheet struct {
	name string
	part *zip.File
}

// What a workbook as a whole may not be.
var (
	errSheets = errors.New("two of its sheets are one part of the file, which no spreadsheet does")
	errDays   = errors.New("it counts its days from 1904, and what it says of time would be read four years too early: save it as CSV, or with the other date system")
)

// open reads what a workbook says of itself (ECMA-376 part 1, 18.2): as many sheets
// as people make, each of a part of its own, that count their days as others do.
func (f *Files) open(ctx context.Context, z *zip.Reader, size int64, sealed bool) (*book, error) {
	parts := make(map[string]*zip.File, len(z.File))
	for _, part := range z.File {
		parts[partName(part.Name)] = part
	}
	targets, err := targetsOf(ctx, parts["xl/_rels/workbook.xml.rels"])
	if err != nil {
		return nil, err
	}
	b := &book{size: uint64(size), keepsDigits: sync.OnceValue(func() bool {
		return slices.ContainsFunc(z.File, func(part *zip.File) bool { return keepsDigits(ctx, part) })
	})}
	if parts["xl/workbook.xml"] == nil {
		return nil, errors.New("it is no workbook that can be read: the list of its sheets is missing")
	}
	err = elements(ctx, parts["xl/workbook.xml"], func(e xml.StartElement) error {
		switch e.Name.Local {
		case "workbookPr":
			if days := attribute(e, "date1904"); days == "1" || days == "true" {
				return errDays
			}
		case "sheet":
			if len(b.sheets) == maxSheets {
				return fmt.Errorf("it has %d sheets or more: %w", maxSheets+1, ErrBomb)
			}
			relation := ""
			for _, a := range e.Attr {
				if a.Name.Local == "id" {
					relation = a.Value
				}
			}
			b.sheets = append(b.sheets, bookSheet{attribute(e, "name"), parts[targets[relation]]})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	seen := make(map[*zip.File]bool, len(b.sheets))
	for _, sheet := range b.sheets {
		if sheet.part != nil && seen[sheet.part] {
			return nil, errSheets
		}
		seen[sheet.part] = true
	}
	b.texts, err = f.readTexts(ctx, parts["xl/sharedstrings.xml"], sealed)
	return b, err
}

// partName is the name of a part as it is compared.
func partName(name string) string {
	return strings.TrimPrefix(path.Clean("/"+strings.ToLower(strings.ReplaceAll(name, "\\", "/"))), "/")
}

// targetsOf are the names of the parts of sheets, by the relations that lead to
// them.
func targetsOf(ctx context.Context, part *zip.File) (map[string]string, error) {
	if part == nil {
		return nil, errors.New("it is no workbook that can be read: nothing leads to its sheets")
	}
	targets := make(map[string]string)
	return targets, elements(ctx, part, func(e xml.StartElement) error {
		if e.Name.Local != "Relationship" || !strings.HasSuffix(attribute(e, "Type"), "/worksheet") {
			return nil
		}
		target := attribute(e, "Target")
		if !strings.HasPrefix(target, "/") {
			target = "xl/" + target
		}
		targets[attribute(e, "Id")] = partName(target)
		return nil
	})
}

// elements visits the elements of a small part.
func elements(ctx context.Context, part *zip.File, visit func(xml.StartElement) error) error {
	m, err := openMarkup(ctx, part)
	if err != nil {
		return err
	}
	defer m.close()
	for {
		token, err := m.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if err := visit(token); err != nil {
				return err
			}
		case xml.EndElement:
			m.ended()
		}
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
// shortest that lead back to it, or all. Of sound numbers of 19 digits one in 250 is
// so by itself, of 18 digits one in 50, of 17 one in 3.
func IsFloat(digits string) bool {
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || f <= 1<<53 {
		return false // each whole number up to there is kept
	}
	var shortest, all [32]byte
	return string(strconv.AppendFloat(shortest[:0], f, 'f', -1, 64)) == digits || string(strconv.AppendFloat(all[:0], f, 'f', 0, 64)) == digits
}

// floatDigits is how many digits a number has of which its being a float tells
// something by itself.
const floatDigits = 19

// mayBeRounded says of a long number whether a program that keeps no more than a
// spreadsheet, or than 64 bits of floating point, may have written it.
func mayBeRounded(cell string) bool {
	return zerosBehind(cell) || len(cell) >= floatDigits && IsFloat(cell)
}

// long is a number of a cell of more digits than a spreadsheet keeps, as it is to
// be read: programs write what was rounded with an exponent or, as here, with zeros
// or with the digits of a float, and it is given in the form that tells what
// happened to it. A program that writes another one keeps all digits.
func (b *book) long(digits string) (text string, sound bool) {
	switch {
	case len(digits) == floatDigits-1 && !zerosBehind(digits) && IsFloat(digits) && !b.keepsDigits():
		return digits, false // one in 50 is so by itself: the others of its column tell
	case !mayBeRounded(digits) || b.keepsDigits():
		return digits, true
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return digits, true
	}
	return strconv.FormatFloat(f, 'E', -1, 64), false
}

// keepsDigits says whether a part is a sheet with a number that has digits which
// were not rounded, up to where it breaks off.
func keepsDigits(ctx context.Context, part *zip.File) bool {
	m, err := openMarkup(ctx, part)
	if err != nil {
		return false // who reads it says what is wrong
	}
	defer m.close()
	r := &rowReader{m: m}
	for {
		cells, err := r.next()
		if err != nil {
			return false
		}
		for _, c := range cells {
			if digits := strings.TrimSpace(c.text); c.number && digitsOnly(digits) && !zerosBehind(digits) && !IsFloat(digits) {
				return true
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

// sheetReader reads the rows of a sheet that have cells.
type sheetReader struct {
	ctx     context.Context //nolint:containedctx // it lives as long as one call of sheet
	rows    rowReader
	header  []string
	options Options
	book    *book
}

// cells gives the next row that is not blank; nil after the last.
func (s *sheetReader) cells() ([]string, error) {
	for {
		if err := s.ctx.Err(); err != nil {
			return nil, err
		}
		row, err := s.rows.next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = s.cell(c)
		}
		if err := s.book.take(cells); err != nil { // also of those without text: they take time
			return nil, err
		}
		for len(cells) > 0 && cells[len(cells)-1] == "" {
			cells = cells[:len(cells)-1]
		}
		if len(cells) > 0 {
			return cells, nil
		}
	}
}

// cell is a cell without outer blanks; of a text of digits it may say with a tab
// that it is one.
func (s *sheetReader) cell(c cell) string {
	text := strings.TrimSpace(c.text)
	marked := text != "" && strings.HasPrefix(c.text, "\t")
	if !marked && digitsOnly(text) {
		if marked = true; c.number {
			text, marked = s.book.long(text)
		}
	}
	if s.options.KeepTabs && marked {
		return "\t" + text
	}
	return text
}

func (f *Files) sheet(ctx context.Context, book *book, part *zip.File, from source, visit Visitor) error {
	if part == nil {
		return visit.left(from.name, errors.New("it is a sheet without cells"))
	}
	m, err := openMarkup(ctx, part)
	if err != nil {
		return fmt.Errorf("read %s: %w", from.name, err)
	}
	defer m.close()
	s := &sheetReader{ctx: ctx, rows: rowReader{m: m, texts: book.texts}, options: f.Options, book: book}
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
		ahead, first = append(ahead, numbered{s.rows.number, cells}), append(first, cells)
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
		return s.row(s.rows.number, cells), nil
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
