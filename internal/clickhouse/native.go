package clickhouse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	driver "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"oneid/schemas/tables"
)

// Over HTTP a block is sent by this file and not by the driver, which copies
// each column into one of its own, that into a buffer, and makes both anew for
// each block: that cost as much as all the rest of the way from Kafka to
// here. The body is ClickHouse's format Native: the block's columns one after
// the other, written piece by piece straight out of its buffers.

// poster sends inserts over HTTP.
type poster struct {
	http           *http.Client
	hosts          []string // tried in turn, the next after one has failed
	turn           atomic.Uint32
	scheme, path   string
	user, password string
	compress       bool
}

func newPoster(at *url.URL, o *driver.Options) *poster {
	dialer := &net.Dialer{Timeout: o.DialTimeout}
	return &poster{
		http: &http.Client{Transport: network{&http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: o.TLS, MaxIdleConnsPerHost: o.MaxIdleConns, IdleConnTimeout: time.Minute,
			WriteBufferSize: pieceBytes, DisableCompression: true,
		}}},
		hosts: o.Addr, scheme: at.Scheme, path: o.HttpUrlPath + "/", user: o.Auth.Username, password: o.Auth.Password,
		compress: o.Compression != nil,
	}
}

// insert posts one body. Settings stand in the address, the rows in the body.
func (p *poster) insert(ctx context.Context, statement string, settings driver.Settings, columns []nativeColumn, rows int) error {
	ctx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	query := url.Values{"query": {statement}}
	for name, value := range settings {
		query.Set(name, fmt.Sprint(value))
	}
	if p.compress {
		query.Set("decompress", "1")
	}
	at := url.URL{Scheme: p.scheme, Host: p.hosts[int(p.turn.Load())%len(p.hosts)], Path: p.path, RawQuery: query.Encode()}
	// A request may end before its body is let go of, and the columns are the
	// caller's again then.
	var reading sync.WaitGroup
	defer reading.Wait()
	body := func() (io.ReadCloser, error) {
		reading.Add(1)
		return newNativeBody(columns, rows, p.compress, sync.OnceFunc(reading.Done)), nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), http.NoBody)
	if err != nil {
		return err
	}
	request.ContentLength, request.GetBody = -1, body
	request.Body, _ = body()
	request.Header.Set("X-ClickHouse-User", p.user)
	request.Header.Set("X-ClickHouse-Key", p.password)
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := p.http.Do(request)
	if err != nil {
		p.turn.Add(1)
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // its address says nothing that the caller does not
		}
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 16<<10))
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(answer))
	if response.StatusCode == http.StatusOK && text == "" {
		return nil
	}
	code, err := strconv.ParseInt(response.Header.Get("X-ClickHouse-Exception-Code"), 10, 32)
	if err != nil {
		_, after, _ := strings.Cut(text, "Code: ")
		number, _, _ := strings.Cut(after, ".")
		code, err = strconv.ParseInt(number, 10, 32)
	}
	var said error = &driver.Exception{Code: int32(code), Message: text}
	if err != nil {
		said = errors.New("the server said: " + text)
	}
	if response.StatusCode == http.StatusOK {
		return said // after the answer had begun
	}
	if response.StatusCode >= http.StatusInternalServerError {
		p.turn.Add(1) // its disk may be full, and another's not
	}
	return &driver.HTTPError{StatusCode: response.StatusCode, Err: said}
}

// insertTimeout is how long a block may take.
const insertTimeout = 5 * time.Minute

// nativeColumn is what one column sends, in parts: an array's ends and then its
// values.
type nativeColumn struct {
	name, kind string
	parts      []part
}

// part is bytes as they are sent, or rows that are written when they are.
type part struct {
	bytes  []byte
	rows   int
	append func(to []byte, from, end int) []byte
}

// columnOf is how a column of a block is written as a type of ClickHouse.
func columnOf(name, kind string, values any) (nativeColumn, error) {
	c := nativeColumn{name: name, kind: kind}
	inner := kind
	if rest, ok := strings.CutPrefix(kind, "SimpleAggregateFunction("); ok {
		_, inner, _ = strings.Cut(strings.TrimSuffix(rest, ")"), ", ")
	}
	base, _, _ := strings.Cut(inner, "(")
	one := func(rows func(to []byte, from, end int) []byte) (nativeColumn, error) {
		c.parts = append(c.parts, part{append: rows, rows: reflect.ValueOf(values).Len()})
		return c, nil
	}
	if list, ok := values.([]string); ok {
		values = tables.TextsOf(list)
	}
	switch v := values.(type) {
	case tables.Texts:
		switch base {
		case "String":
			c.parts = append(c.parts, part{bytes: v.Native()})
			return c, nil
		case "FixedString":
			fixed := make([]byte, 0, len(v.Native()))
			for text := range v.All() {
				if kind := "FixedString(" + strconv.Itoa(len(text)) + ")"; kind != inner {
					return c, fmt.Errorf("clickhouse: a text of %d bytes is no %s, column %s", len(text), inner, name)
				}
				fixed = append(fixed, text...)
			}
			c.parts = append(c.parts, part{bytes: fixed})
			return c, nil
		}
	case []int64:
		switch base {
		case "Int64":
			return one(func(to []byte, from, end int) []byte { return appendInts(to, v[from:end]) })
		case "DateTime":
			return one(func(to []byte, from, end int) []byte {
				for _, seconds := range v[from:end] {
					to = binary.LittleEndian.AppendUint32(to, uint32(seconds)) // clamped by the table
				}
				return to
			})
		}
	case []time.Time:
		switch {
		case inner == "DateTime64(3)", strings.HasPrefix(inner, "DateTime64(3,"):
			return one(func(to []byte, from, end int) []byte {
				for _, at := range v[from:end] {
					to = binary.LittleEndian.AppendUint64(to, uint64(at.UnixMilli()))
				}
				return to
			})
		case base == "DateTime":
			return one(func(to []byte, from, end int) []byte {
				for _, at := range v[from:end] {
					to = binary.LittleEndian.AppendUint32(to, uint32(min(max(at.Unix(), 0), 1<<32-1)))
				}
				return to
			})
		case base == "Date":
			return one(func(to []byte, from, end int) []byte {
				for _, at := range v[from:end] {
					to = binary.LittleEndian.AppendUint16(to, uint16(min(max(at.Unix()/86400, 0), 1<<16-1)))
				}
				return to
			})
		}
	case []uuid.UUID:
		if base == "UUID" {
			return one(func(to []byte, from, end int) []byte {
				for i := range v[from:end] {
					id := &v[from+i]
					to = binary.LittleEndian.AppendUint64(to, binary.BigEndian.Uint64(id[:8]))
					to = binary.LittleEndian.AppendUint64(to, binary.BigEndian.Uint64(id[8:]))
				}
				return to
			})
		}
	case []tables.UInt128:
		if base == "UInt128" {
			return one(func(to []byte, from, end int) []byte {
				for _, n := range v[from:end] {
					to = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(to, n.Low), n.High)
				}
				return to
			})
		}
	case []uint8:
		if base == "UInt8" {
			return one(func(to []byte, from, end int) []byte { return append(to, v[from:end]...) })
		}
	case []uint16:
		if base == "UInt16" {
			return one(func(to []byte, from, end int) []byte {
				for _, n := range v[from:end] {
					to = binary.LittleEndian.AppendUint16(to, n)
				}
				return to
			})
		}
	case []uint32:
		if base == "UInt32" {
			return one(func(to []byte, from, end int) []byte {
				for _, n := range v[from:end] {
					to = binary.LittleEndian.AppendUint32(to, n)
				}
				return to
			})
		}
	case []int32:
		if base == "Int32" {
			return one(func(to []byte, from, end int) []byte {
				for _, n := range v[from:end] {
					to = binary.LittleEndian.AppendUint32(to, uint32(n))
				}
				return to
			})
		}
	case []uint64:
		if base == "UInt64" {
			return one(func(to []byte, from, end int) []byte {
				for _, n := range v[from:end] {
					to = binary.LittleEndian.AppendUint64(to, n)
				}
				return to
			})
		}
	case []float64:
		if base == "Float64" {
			return one(func(to []byte, from, end int) []byte {
				for _, x := range v[from:end] {
					to = binary.LittleEndian.AppendUint64(to, math.Float64bits(x))
				}
				return to
			})
		}
	case tables.TextLists:
		if inner == "Array(String)" {
			c.parts = append(c.parts, endsOf(v.Ends()), part{bytes: v.Texts().Native()})
			return c, nil
		}
	case tables.IntLists:
		if inner == "Array(Int64)" {
			numbers := v.Values()
			c.parts = append(c.parts, endsOf(v.Ends()), part{rows: len(numbers), append: func(to []byte, from, end int) []byte { return appendInts(to, numbers[from:end]) }})
			return c, nil
		}
	case [][]string: // of few rows
		if inner == "Array(String)" {
			var ends []uint64
			var texts []byte
			for _, list := range v {
				for _, text := range list {
					texts = appendText(texts, text)
				}
				ends = append(ends, uint64(len(list)))
			}
			for i := 1; i < len(ends); i++ {
				ends[i] += ends[i-1]
			}
			c.parts = append(c.parts, endsOf(ends), part{bytes: texts})
			return c, nil
		}
	}
	return c, fmt.Errorf("clickhouse: no way is known to write %T as %s, column %s", values, kind, name)
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

func appendInts(to []byte, numbers []int64) []byte {
	for _, n := range numbers {
		to = binary.LittleEndian.AppendUint64(to, uint64(n))
	}
	return to
}

// endsOf is where each array ends among all values.
func endsOf(ends []uint64) part {
	return part{rows: len(ends), append: func(to []byte, from, end int) []byte {
		for _, n := range ends[from:end] {
			to = binary.LittleEndian.AppendUint64(to, n)
		}
		return to
	}}
}

const (
	// pieceBytes is about how much of a body is made at a time.
	pieceBytes = 256 << 10
	// wholeBytes bounds a piece of what lies ready, of which a copy is made if it is
	// packed.
	wholeBytes = 4 << 20
	// pieceRows is how many rows are written without looking at the size.
	pieceRows = 256
)

// nativeBody is a block in the format Native, made while it is read.
type nativeBody struct {
	columns []nativeColumn
	rows    int
	// column, part and at, in bytes or in rows, are the place of what is made next,
	// and named is how many columns have their names.
	column, part, at, named int
	begun                   bool
	piece                   []byte // made and not yet read
	spare                   []byte
	packer                  *compress.Writer
	closed                  func()
}

func newNativeBody(columns []nativeColumn, rows int, packed bool, closed func()) *nativeBody {
	b := &nativeBody{columns: columns, rows: rows, closed: closed}
	if packed {
		b.packer = compress.NewWriter(compress.LevelZero, compress.LZ4)
	}
	return b
}

// Read implements io.Reader.
func (b *nativeBody) Read(p []byte) (int, error) {
	if len(b.piece) == 0 {
		if err := b.make(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.piece)
	b.piece = b.piece[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: nothing is copied on the way.
func (b *nativeBody) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if len(b.piece) == 0 {
			if err := b.make(); err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return written, err
			}
		}
		n, err := w.Write(b.piece)
		written += int64(n)
		b.piece = b.piece[n:]
		if err != nil {
			return written, err
		}
	}
}

// make makes the next piece; io.EOF when there is none. What lies ready as it is
// sent is a piece where it lies, if it is large.
func (b *nativeBody) make() error {
	to := b.spare[:0]
	if !b.begun {
		b.begun = true
		to = binary.AppendUvarint(to, uint64(len(b.columns)))
		to = binary.AppendUvarint(to, uint64(b.rows))
	}
	for len(to) < pieceBytes && b.column < len(b.columns) {
		c := &b.columns[b.column]
		if b.named == b.column {
			b.named++
			to = appendText(appendText(to, c.name), c.kind)
		}
		p := &c.parts[b.part]
		if p.append != nil {
			end := min(b.at+pieceRows, p.rows)
			to = p.append(to, b.at, end)
			b.pass(end, p.rows)
			continue
		}
		rest := p.bytes[b.at:]
		if len(rest) >= pieceBytes {
			if len(to) > 0 {
				break // first what is before it
			}
			rest = rest[:min(len(rest), wholeBytes)]
			b.pass(b.at+len(rest), len(p.bytes))
			return b.send(rest)
		}
		to = append(to, rest...)
		b.pass(len(p.bytes), len(p.bytes))
	}
	if len(to) == 0 {
		return io.EOF
	}
	b.spare = to
	return b.send(to)
}

// pass goes on to a place in a part, which ends at another.
func (b *nativeBody) pass(at, end int) {
	if b.at = at; at < end {
		return
	}
	b.at = 0
	if b.part++; b.part == len(b.columns[b.column].parts) {
		b.column, b.part = b.column+1, 0
	}
}

// send is the next piece.
func (b *nativeBody) send(piece []byte) error {
	b.piece = piece
	if b.packer != nil {
		if err := b.packer.Compress(piece); err != nil {
			return err
		}
		b.piece = slices.Clone(b.packer.Data)
	}
	return nil
}

// Close implements io.Closer.
func (b *nativeBody) Close() error {
	b.closed()
	return nil
}
