// Package tablefile reads tables from files, row by row and in bounded
// memory: CSV in UTF-8 (with or without a byte-order mark) or GB18030 (which
// covers GBK), found out by itself where it is not said; who wants it also in
// Windows-1252 (which covers Latin-1).
//
// A line that is no row of the table is given as such, with its number, and
// reading goes on with the next line: one stray quote costs one line.
package tablefile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Encoding of a file.
type Encoding string

// The encodings. Auto takes the first line that is not plain ASCII: UTF-8 if
// it is valid as such, otherwise GB18030; see Options.Western.
const (
	Auto        Encoding = ""
	UTF8        Encoding = "utf-8"
	GB18030     Encoding = "gb18030"
	Windows1252 Encoding = "windows-1252"
)

// Options of a Reader. The zero value reads commas and finds the encoding.
type Options struct {
	Encoding Encoding
	// Western lets Auto take Windows-1252 too, by the first line that is not
	// plain ASCII and what was read ahead behind it.
	Western bool
	// Delimiter between fields, default a comma; of Files with IsHeader whichever
	// of comma, tab and semicolon gives a header.
	Delimiter rune
	// MaxRow bounds a row in bytes, default 1 MiB. A longer line is refused
	// without being held.
	MaxRow int
	// IsHeader, if set, says of a row whether it names the columns: the first
	// such among the first rows is the header, and what stands before it are
	// titles. If none is, the first row is the header as without it.
	IsHeader func(fields []string) bool
	// KeepTabs leaves a tab before a field where it is: it says that what
	// follows is text to the program that wrote it, and no number.
	KeepTabs bool
}

// titleRows is among how many rows a header is looked for.
const titleRows = 30

// Row is one row, or what stands in place of one.
type Row struct {
	// Line is the number of the row's first line in the file, from 1.
	Line int
	// Fields as many as the header has, without quotes and outer blanks.
	// Valid until the next call of Next.
	Fields []string
	// Raw is the row's bytes in the file, cut at MaxRow. Valid until the next
	// call of Next.
	Raw []byte
	// Err says what is wrong with the row; Fields is nil then. It repeats no
	// value of the row.
	Err error
}

// What can be wrong with a file as a whole.
var (
	ErrEmpty    = errors.New("the file is empty: its first line must name the columns")
	ErrEncoding = errors.New("the file is neither UTF-8 nor GB18030 (GBK) text")
	ErrHeader   = errors.New("the first line does not name the columns")
)

// Reader reads one file. It is not for concurrent use.
type Reader struct {
	in      *bufio.Reader
	options Options
	header  []string
	// encoding is Auto until the first line that is not plain ASCII.
	encoding Encoding
	// pending holds lines that were read ahead for a row of several lines
	// that turned out to be none.
	pending []line
	// kept holds the lines read so far while the header is looked for.
	kept    []line
	looking bool
	// number of the last line that was read from in.
	number int
	fields []string
}

// line is one line of the file without its end.
type line struct {
	number int
	// raw is valid until the next line is read, unless the line is kept.
	raw []byte
	// long: the line exceeds MaxRow; raw is its beginning.
	long bool
}

// DelimiterOf finds what stands between the names of a file's columns from how
// the file begins: a comma, or a semicolon or a tab where the first line has
// more of these outside quotes.
func DelimiterOf(begin []byte) rune {
	line, _, _ := bytes.Cut(begin, []byte("\n"))
	counts := map[rune]int{}
	quoted := false
	for _, b := range line {
		switch {
		case b == '"':
			quoted = !quoted
		case !quoted:
			counts[rune(b)]++
		}
	}
	best := ','
	for _, other := range ";\t" {
		if counts[other] > counts[best] {
			best = other
		}
	}
	return best
}

// NewReader reads the header of a file. A byte-order mark is dropped; blank
// lines before the header are not.
func NewReader(in io.Reader, options Options) (*Reader, error) {
	if options.Delimiter == 0 {
		options.Delimiter = ','
	}
	if options.MaxRow == 0 {
		options.MaxRow = 1 << 20
	}
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10), options: options, encoding: options.Encoding}
	start, err := r.in.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case len(start) == 0:
		return nil, ErrEmpty
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf")):
		_, _ = r.in.Discard(3) // they were just peeked at
		if r.encoding == Auto {
			r.encoding = UTF8
		}
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		// Excel's "Unicode text".
		r.in = bufio.NewReaderSize(transform.NewReader(r.in, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()), 64<<10)
		r.encoding = UTF8
	case bytes.IndexByte(start, 0) >= 0 && start[0] != 'P':
		return nil, fmt.Errorf("%w: it looks like UTF-16 without a byte-order mark; save it as CSV in UTF-8", ErrEncoding)
	case bytes.HasPrefix(start, []byte("PK\x03")):
		return nil, fmt.Errorf("%w: it is a workbook or an archive; save it as CSV in UTF-8", ErrEncoding)
	}
	row, err := r.findHeader()
	switch {
	case err == nil && bytes.ContainsFunc(row.Raw, inNoText):
		return nil, fmt.Errorf("%w: the line that names its columns holds bytes that stand in no text, so it is no table; give one as CSV", ErrEncoding)
	case err == nil && bytes.IndexByte(row.Raw, '\r') >= 0:
		return nil, fmt.Errorf("%w: its lines end as on an old Mac (CR alone); save it with the line ends of Windows or Unix", ErrHeader)
	case errors.Is(err, io.EOF):
		return nil, ErrEmpty
	case err != nil:
		return nil, err
	case errors.Is(row.Err, ErrEncoding):
		return nil, row.Err
	case row.Err != nil:
		return nil, fmt.Errorf("%w: %w", ErrHeader, row.Err)
	}
	r.header = make([]string, len(row.Fields))
	seen := make(map[string]bool, len(row.Fields))
	for i, name := range row.Fields {
		name = strings.TrimSpace(name)
		if name != "" && seen[name] {
			return nil, fmt.Errorf("%w: column %d has the name of an earlier one", ErrHeader, i+1)
		}
		seen[name] = true
		r.header[i] = strings.Clone(name)
	}
	if len(r.header) == 1 && r.header[0] == "" {
		return nil, ErrHeader
	}
	return r, nil
}

// inNoText says that a character controls a device: programs, pictures and archives
// have such bytes.
func inNoText(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }

// findHeader gives the row that names the columns.
func (r *Reader) findHeader() (Row, error) {
	if r.options.IsHeader == nil {
		return r.Next()
	}
	r.looking = true
	for range titleRows {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Row{}, err
		}
		if row.Err == nil && r.options.IsHeader(row.Fields) {
			r.looking, r.kept = false, nil
			return row, nil
		}
	}
	r.looking = false
	r.pending, r.kept = r.kept, nil // all that was read, what was put back included
	return r.Next()
}

// Header is the names of the columns, without outer blanks.
func (r *Reader) Header() []string { return r.header }

// Encoding is the encoding as far as it is known: Auto while all was ASCII.
func (r *Reader) Encoding() Encoding { return r.encoding }

// Next gives the next row that is not blank, and io.EOF after the last. Any
// other error is one of reading the file itself.
func (r *Reader) Next() (Row, error) {
	for {
		first, err := r.line()
		if err != nil {
			return Row{}, err
		}
		if len(bytes.TrimSpace(first.raw)) == 0 && !first.long {
			continue
		}
		return r.row(first)
	}
}

// row makes a row that begins with a line, of more lines if a quoted field
// goes on.
func (r *Reader) row(first line) (Row, error) {
	refuse := func(err error) (Row, error) { return Row{Line: first.number, Raw: first.raw, Err: err}, nil }
	if first.long {
		return refuse(fmt.Errorf("the line is longer than %d bytes", r.options.MaxRow))
	}
	text, err := r.decode(first.raw)
	if err != nil {
		return refuse(err)
	}
	r.fields = r.fields[:0]
	open, err := r.split(text)
	if err != nil {
		return refuse(err)
	}
	raw := first.raw
	var more []line
	if open != "" {
		first = first.keep() // more lines are read
		if raw, more, err = r.rest(first, open); err != nil {
			r.pending = append(more, r.pending...)
			return refuse(errQuote)
		}
	}
	fields := r.fields
	// A spreadsheet pads its rows to the widest.
	for r.header != nil && len(fields) > len(r.header) && fields[len(fields)-1] == "" {
		fields = fields[:len(fields)-1]
	}
	if r.header != nil && len(fields) != len(r.header) {
		r.pending = append(more, r.pending...)
		if len(more) > 0 {
			return refuse(errQuote)
		}
		return refuse(fmt.Errorf("the line has %d fields where the first line names %d", len(fields), len(r.header)))
	}
	return Row{Line: first.number, Fields: fields, Raw: raw}, nil
}

var (
	errQuote = errors.New("a quote is opened and not closed as it should be")
	errNUL   = errors.New("the line holds a zero byte: it is not text")
)

// rest reads on where a quoted field of a row's first line goes on; open is that
// field so far. It gives the bytes of the whole row, and the lines that it read.
// Each line is looked at once, however many there are.
func (r *Reader) rest(first line, open string) (raw []byte, more []line, err error) {
	raw = slices.Clone(first.raw)
	field := []byte(open)
	for len(field) > 0 {
		next, err := r.line()
		if err != nil {
			return nil, more, err
		}
		next = next.keep()
		more = append(more, next)
		if next.long || len(raw)+len(next.raw) >= r.options.MaxRow {
			return nil, more, errQuote
		}
		part, err := r.decode(next.raw)
		if err != nil {
			return nil, more, err
		}
		raw = append(append(raw, '\n'), next.raw...)
		field = append(append(field, '\n'), part...)
		if !closes(part) {
			continue
		}
		again, err := r.split(string(field))
		if err != nil {
			return nil, more, err
		}
		field = append(field[:0], again...)
	}
	return raw, more, nil
}

// closes says whether a quoted field that was open before a line ends on it: two
// quotes, one after the other, stand for one.
func closes(line string) bool {
	for {
		at := strings.IndexByte(line, '"')
		if at < 0 {
			return false
		}
		if line = line[at+1:]; !strings.HasPrefix(line, `"`) {
			return true
		}
		line = line[1:]
	}
}

// split cuts a text into fields, which follow those that the row has already;
// open is the text from the last quoted field on, where that has no end yet. A
// quote means something at a field's beginning only, so that ="123" (how
// spreadsheets keep digits) is a plain field.
func (r *Reader) split(text string) (open string, err error) {
	delimiter, blanks := string(r.options.Delimiter), " \t"
	if r.options.Delimiter == '\t' {
		blanks = " "
	}
	for {
		trimmed := text
		if text != "" && text[0] <= ' ' {
			trimmed = strings.TrimLeft(text, blanks)
		}
		if !strings.HasPrefix(trimmed, `"`) {
			field, rest, found := strings.Cut(text, delimiter)
			r.fields = append(r.fields, r.trim(field))
			if !found {
				return "", nil
			}
			text = rest
			continue
		}
		field, rest, closed := unquote(trimmed[1:])
		if !closed {
			return text, nil
		}
		r.fields = append(r.fields, r.trim(field))
		rest = strings.TrimLeft(rest, " \r")
		if rest == "" {
			return "", nil
		}
		if !strings.HasPrefix(rest, delimiter) {
			return "", errQuote
		}
		text = rest[len(delimiter):]
	}
}

// trim takes outer blanks off a field.
func (r *Reader) trim(field string) string {
	trimmed := strings.TrimSpace(field)
	if r.options.KeepTabs && trimmed != "" && strings.HasPrefix(field, "\t") {
		return "\t" + trimmed
	}
	return trimmed
}

// unquote reads up to the closing quote; two quotes stand for one.
func unquote(text string) (field, rest string, closed bool) {
	end := strings.IndexByte(text, '"')
	if end < 0 {
		return "", "", false
	}
	if end+1 == len(text) || text[end+1] != '"' {
		return text[:end], text[end+1:], true
	}
	var b strings.Builder
	for end >= 0 {
		b.WriteString(text[:end])
		text = text[end+1:]
		if !strings.HasPrefix(text, `"`) {
			return b.String(), text, true
		}
		b.WriteByte('"')
		text = text[1:]
		end = strings.IndexByte(text, '"')
	}
	return "", "", false
}

// decode makes UTF-8 text of a line.
func (r *Reader) decode(raw []byte) (string, error) {
	if bytes.IndexByte(raw, 0) >= 0 {
		return "", errNUL
	}
	if r.encoding == Auto {
		if !ascii(raw) {
			r.encoding = GB18030
			if utf8.Valid(raw) {
				r.encoding = UTF8
			} else if r.options.Western {
				ahead, _ := r.in.Peek(r.in.Buffered()) // of what is there there is no error
				r.encoding = encodingOf(raw, ahead)
			}
		}
	}
	if r.encoding != GB18030 && r.encoding != Windows1252 {
		if !utf8.Valid(raw) {
			return "", fmt.Errorf("%w: this line is not UTF-8, as others are", ErrEncoding)
		}
		return string(raw), nil
	}
	if ascii(raw) {
		return string(raw), nil
	}
	from := simplifiedchinese.GB18030
	if r.encoding == Windows1252 {
		from = charmap.Windows1252
	}
	text, err := from.NewDecoder().Bytes(raw)
	if err != nil || bytes.ContainsRune(text, utf8.RuneError) {
		return "", ErrEncoding
	}
	return string(text), nil
}

func ascii(raw []byte) bool {
	for _, b := range raw {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// line gives the next line: one that was read ahead, or a new one.
func (r *Reader) line() (line, error) {
	if len(r.pending) > 0 {
		next := r.pending[0]
		r.pending = r.pending[1:]
		return next, nil
	}
	l, err := r.read()
	if err == nil && r.looking {
		r.kept = append(r.kept, l.keep())
	}
	return l, err
}

// keep gives a copy of the line, which stays valid.
func (l line) keep() line {
	l.raw = slices.Clone(l.raw)
	return l
}

// read reads a new line.
func (r *Reader) read() (line, error) {
	l := line{number: r.number + 1}
	for {
		part, err := r.in.ReadSlice('\n')
		if room := r.options.MaxRow - len(l.raw); len(part) > room {
			l.raw, l.long = append(l.raw, part[:room]...), true
		} else if err == nil && len(l.raw) == 0 {
			l.raw = part[:len(part):len(part)] // as nearly all, it is in the buffer as a whole
		} else {
			l.raw = append(l.raw, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(l.raw) == 0:
			return line{}, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return line{}, err
		}
		r.number++
		if !l.long {
			l.raw = bytes.TrimSuffix(bytes.TrimSuffix(l.raw, []byte("\n")), []byte("\r"))
		}
		return l, nil
	}
}
