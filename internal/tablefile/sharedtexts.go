package tablefile

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// sharedTexts are the texts that the sheets of a workbook share (ECMA-376 part 1,
// 18.4): most of its cells name one of them. There may be as many as cells, so they
// lie in two files without names, and memory holds a few pages of these.
type sharedTexts struct {
	texts, ends pages // ends: 8 bytes a text
	count       int
}

// readTexts reads the shared texts of a workbook; part is nil if it has none. In
// memory, where they are few.
func (f *Files) readTexts(ctx context.Context, part *zip.File, sealed bool) (*sharedTexts, error) {
	texts := new(sharedTexts)
	if part == nil {
		return texts, nil
	}
	m, err := openMarkup(ctx, part)
	if err != nil {
		return nil, err
	}
	defer m.close()
	if part.UncompressedSize64 > inMemory {
		if texts.texts.file, err = f.scratch(sealed); err == nil {
			texts.ends.file, err = f.scratch(sealed)
		}
	}
	if err == nil {
		err = texts.fill(m)
	}
	if err != nil {
		texts.close()
		return nil, err
	}
	return texts, nil
}

// fill reads the texts of a part.
func (s *sharedTexts) fill(m *markup) error {
	const inTexts, inText = 1, 2 // sst, si
	var text strings.Builder
	for {
		token, err := m.next()
		if errors.Is(err, io.EOF) {
			return errors.Join(s.texts.flush(), s.ends.flush())
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if len(m.open) == inText {
				text.Reset()
			}
		case xml.CharData:
			if len(m.open) > inText && m.open[len(m.open)-1] == "t" && !m.within("rPh") {
				if text.Len()+len(token) > mostToken {
					return m.broken(": " + errToken.Error())
				}
				text.Write(token)
			}
		case xml.EndElement:
			if m.ended() == inText && token.Name.Local == "si" && m.open[inTexts-1] == "sst" {
				if err := s.add(unescaped(text.String())); err != nil {
					return err
				}
			}
		}
	}
}

func (s *sharedTexts) add(text string) error {
	s.count++
	if err := s.texts.write([]byte(text)); err != nil {
		return err
	}
	var end [8]byte
	binary.LittleEndian.PutUint64(end[:], uint64(s.texts.size))
	return s.ends.write(end[:])
}

// at is the text of a number, from 0.
func (s *sharedTexts) at(i int) (string, error) {
	if i < 0 || i >= s.count {
		return "", errText
	}
	var ends [16]byte // of the text before, and of this one
	var err error
	if i == 0 {
		err = s.ends.read(ends[8:], 0)
	} else {
		err = s.ends.read(ends[:], int64(i-1)*8)
	}
	if err != nil {
		return "", err
	}
	begin, end := int64(binary.LittleEndian.Uint64(ends[:])), int64(binary.LittleEndian.Uint64(ends[8:]))
	text := make([]byte, end-begin)
	err = s.texts.read(text, begin)
	return string(text), err
}

func (s *sharedTexts) close() {
	s.texts.close()
	s.ends.close()
}

// pages are bytes that are written once and then read at places: in memory, or in
// a file of which memory holds some pages.
type pages struct {
	file   scratch // nil: in memory
	out    *bufio.Writer
	memory []byte
	size   int64
	held   [heldPages]struct {
		number int64 // from 1; 0 is none
		bytes  []byte
	}
}

const (
	pageBytes = 16 << 10
	heldPages = 64
)

func (p *pages) write(b []byte) (err error) {
	p.size += int64(len(b))
	if p.file == nil {
		p.memory = append(p.memory, b...)
		return nil
	}
	if p.out == nil {
		p.out = bufio.NewWriterSize(p.file, 1<<16)
	}
	_, err = p.out.Write(b)
	return err
}

func (p *pages) flush() error {
	if p.out == nil {
		return nil
	}
	return p.out.Flush()
}

// read fills b with what lies at a place, which was written.
func (p *pages) read(b []byte, at int64) error {
	if p.file == nil {
		copy(b, p.memory[at:])
		return nil
	}
	for len(b) > 0 {
		number := at/pageBytes + 1
		page := &p.held[number%heldPages]
		if page.number != number {
			page.number = 0
			if page.bytes == nil {
				page.bytes = make([]byte, pageBytes)
			}
			page.bytes = page.bytes[:min(pageBytes, p.size-(number-1)*pageBytes)]
			if _, err := p.file.ReadAt(page.bytes, (number-1)*pageBytes); err != nil {
				return err
			}
			page.number = number
		}
		n := copy(b, page.bytes[at%pageBytes:])
		b, at = b[n:], at+int64(n)
	}
	return nil
}

func (p *pages) close() {
	if p.file != nil {
		p.file.Close()
	}
}
