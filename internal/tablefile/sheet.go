package tablefile

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// element numbers of how deep the parts of a sheet lie (ECMA-376 part 1, 18.3.1):
// worksheet, sheetData, row, c.
const (
	inSheet = 1 + iota
	inRows
	inRow
	inCell
)

// Bounds of a part, beyond which no spreadsheet goes.
const (
	mostNested  = 64
	mostColumns = 16_384
	mostToken   = 4 << 20 // bytes of one element, and of the texts of one row
)

// What can be wrong with a part besides its XML.
var (
	errNesting = errors.New("its elements do not close as they should")
	errToken   = fmt.Errorf("the texts of a row of it are larger than %d MiB", mostToken>>20)
	errColumn  = fmt.Errorf("a cell of it lies beyond column %d", mostColumns)
	errText    = errors.New("a cell of it names a shared text that there is not")
)

// markup reads the XML of a part of a workbook to its end: one that breaks off, or
// whose elements do not close, has an error and no end.
type markup struct {
	ctx  context.Context //nolint:containedctx // a reader has no other way to be stopped; it lives as long as one call
	part string
	in   io.ReadCloser
	d    *xml.Decoder
	// open are the elements that are open; their names are without a prefix.
	open []string
	left int // bytes that the token may still take
}

// openMarkup opens a part. The caller closes it.
func openMarkup(ctx context.Context, part *zip.File) (*markup, error) {
	in, err := part.Open()
	if err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	m := &markup{ctx: ctx, part: path.Base(part.Name), in: in}
	m.d = decoderOf(bufio.NewReaderSize(m, 1<<16))
	return m, nil
}

// Read is for the decoder.
func (m *markup) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	if m.left <= 0 {
		return 0, errToken
	}
	n, err := m.in.Read(p)
	m.left -= n
	return n, err
}

func (m *markup) close() { m.in.Close() }

// next gives the next token, and io.EOF after the last. An element that ends is
// still among those that are open.
func (m *markup) next() (xml.Token, error) {
	m.left = mostToken
	token, err := m.d.RawToken()
	switch {
	case errors.Is(err, io.EOF) && len(m.open) == 0:
		return nil, io.EOF
	case m.ctx.Err() != nil:
		return nil, m.ctx.Err()
	case err != nil: // the decoder's own may repeat a value
		cause := ""
		if errors.Is(err, errToken) {
			cause = ": " + errToken.Error()
		}
		return nil, m.broken(cause)
	}
	switch token := token.(type) {
	case xml.StartElement:
		if m.open = append(m.open, token.Name.Local); len(m.open) > mostNested {
			return nil, m.broken(": " + errNesting.Error())
		}
	case xml.EndElement:
		if len(m.open) == 0 || m.open[len(m.open)-1] != token.Name.Local {
			return nil, m.broken(": " + errNesting.Error())
		}
	}
	return token, nil
}

// ended takes away the element that has ended, and says how deep it lay.
func (m *markup) ended() (depth int) {
	depth = len(m.open)
	m.open = m.open[:depth-1]
	return depth
}

func (m *markup) broken(cause string) error {
	return fmt.Errorf("it is damaged, or was cut off: %s breaks off at byte %d%s: export it anew", m.part, m.d.InputOffset(), cause)
}

// within says whether an element of a name is open.
func (m *markup) within(name string) bool {
	for _, open := range m.open {
		if open == name {
			return true
		}
	}
	return false
}

// A cell is what a sheet has in one place.
type cell struct {
	text string
	// number says that the workbook holds it as a number, and not as a text.
	number bool
}

// rowReader reads the rows of a sheet.
type rowReader struct {
	m     *markup
	texts *sharedTexts // nil: the texts do not matter
	// number is that of the row, from 1.
	number int
	cells  []cell
	size   int // bytes of the row's texts so far
}

// next gives the next row; its cells are valid until it is called again. After the
// last one it gives io.EOF.
func (r *rowReader) next() ([]cell, error) {
	for {
		token, err := r.m.next()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if len(r.m.open) == inRow && r.m.open[inRows-1] == "sheetData" && token.Name.Local == "row" {
				r.number++
				if n, err := strconv.Atoi(attribute(token, "r")); err == nil && n > r.number {
					r.number = n // the rows between have no cells
				}
				return r.row()
			}
		case xml.EndElement:
			r.m.ended()
		}
	}
}

// row reads the cells of a row that has begun.
func (r *rowReader) row() ([]cell, error) {
	r.cells, r.size = r.cells[:0], 0
	for {
		token, err := r.m.next()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if len(r.m.open) == inCell && token.Name.Local == "c" {
				if err := r.cell(attribute(token, "r"), attribute(token, "t")); err != nil {
					return nil, err
				}
			}
		case xml.EndElement:
			if r.m.ended() == inRow {
				return r.cells, nil
			}
		}
	}
}

// cell reads a cell that has begun, of a kind (18.18.11).
func (r *rowReader) cell(at, kind string) error {
	column, err := columnOf(at, len(r.cells))
	if err != nil {
		return r.m.broken(": " + err.Error())
	}
	var value, inline strings.Builder
	for {
		token, err := r.m.next()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.CharData:
			if r.size += len(token); r.size > mostToken {
				return r.m.broken(": " + errToken.Error())
			}
			switch deep := r.m.open[inCell:]; {
			case len(deep) == 1 && deep[0] == "v":
				value.Write(token)
			case len(deep) > 1 && deep[0] == "is" && deep[len(deep)-1] == "t" && !r.m.within("rPh"):
				inline.Write(token)
			}
		case xml.EndElement:
			if r.m.ended() != inCell {
				continue
			}
			c, err := r.read(kind, value.String(), inline.String())
			if err != nil {
				return r.m.broken(": " + err.Error())
			}
			if r.size += len(c.text); r.size > mostToken {
				return r.m.broken(": " + errToken.Error())
			}
			for len(r.cells) <= column {
				r.cells = append(r.cells, cell{})
			}
			r.cells[column] = c
			return nil
		}
	}
}

// read gives what a cell of a kind holds.
func (r *rowReader) read(kind, value, inline string) (cell, error) {
	switch kind {
	case "s":
		if value == "" || r.texts == nil {
			return cell{}, nil
		}
		i, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			return cell{}, errText
		}
		text, err := r.texts.at(i)
		return cell{text: text}, err
	case "inlineStr":
		if inline == "" {
			inline = value
		}
		return cell{text: unescaped(inline)}, nil
	case "str":
		return cell{text: unescaped(value)}, nil
	case "", "n":
		return cell{text: value, number: true}, nil
	}
	return cell{text: value}, nil
}

// columnOf is the place of a cell, from 0: the letters of its name (C7), or the
// next one where it has none.
func columnOf(name string, next int) (int, error) {
	column := 0
	for _, letter := range []byte(name) {
		if letter |= 0x20; letter < 'a' || letter > 'z' || column > mostColumns {
			break
		}
		column = column*26 + int(letter-'a'+1)
	}
	if column == 0 {
		column = next + 1
	}
	if column > mostColumns {
		return 0, errColumn
	}
	return column - 1, nil
}

func attribute(element xml.StartElement, name string) string {
	for _, a := range element.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// escaped is a character that XML cannot hold, as a workbook has it (22.9.2.19).
var escaped = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// unescaped is a text with the characters that stand for themselves.
func unescaped(text string) string {
	if !strings.Contains(text, "_x") {
		return text
	}
	return escaped.ReplaceAllStringFunc(text, func(code string) string {
		n, err := strconv.ParseUint(code[2:6], 16, 16)
		if err != nil {
			return code
		}
		return string(rune(n))
	})
}
