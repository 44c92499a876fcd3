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

// nativeColumn writes one column's rows, in parts: an array's ends and then
// its values.
type nativeColumn struct {
	name, kind string
	parts      []func(to []byte, from, end int) []byte
}

// columnOf is how a column of a block is written as a type of ClickHouse.
func columnOf(name, kind string, values any) (nativeColumn, error) {
	c := nativeColumn{name: name, kind: kind}
	inner := kind
	if rest, ok := strings.CutPrefix(kind, "SimpleAggregateFunction("); ok {
		_, inner, _ = strings.Cut(strings.TrimSuffix(rest, ")"), ", ")
	}
	base, _, _ := strings.Cut(inner, "(")
	one := func(part func(to []byte, from, end int) []byte) (nativeColumn, error) {
		c.parts = append(c.parts, part)
		return c, nil
	}
	switch v := values.(type) {
	case []string:
		switch base {
		case "String":
			return one(func(to []byte, from, end int) []byte { return appendTexts(to, v[from:end]) })
		case "FixedString":
			return one(func(to []byte, from, end int) []byte {
				for _, text := range v[from:end] {
					to = append(to, text...)
				}
				return to
			})
		}
	case [][]byte:
		if base == "String" {
			return one(func(to []byte, from, end int) []byte {
				for _, value := range v[from:end] {
					to = append(binary.AppendUvarint(to, uint64(len(value))), value...)
				}
				return to
			})
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
	case [][]string:
		if inner == "Array(String)" {
			c.parts = append(c.parts, ends(v), func(to []byte, from, end int) []byte {
				for _, list := range v[from:end] {
					to = appendTexts(to, list)
				}
				return to
			})
			return c, nil
		}
	case [][]int64:
		if inner == "Array(Int64)" {
			c.parts = append(c.parts, ends(v), func(to []byte, from, end int) []byte {
				for _, list := range v[from:end] {
					to = appendInts(to, list)
				}
				return to
			})
			return c, nil
		}
	}
	return c, fmt.Errorf("clickhouse: no way is known to write %T as %s, column %s", values, kind, name)
}

func appendTexts(to []byte, texts []string) []byte {
	for _, text := range texts {
		if len(text) < 0x80 {
			to = append(to, byte(len(text)))
		} else {
			to = binary.AppendUvarint(to, uint64(len(text)))
		}
		to = append(to, text...)
	}
	return to
}

func appendInts(to []byte, numbers []int64) []byte {
	for _, n := range numbers {
		to = binary.LittleEndian.AppendUint64(to, uint64(n))
	}
	return to
}

// ends writes where each list ends among all values. It is called in order,
// from the first row on; a body that is made anew begins there again.
func ends[T any](lists [][]T) func(to []byte, from, end int) []byte {
	var sum uint64
	return func(to []byte, from, end int) []byte {
		if from == 0 {
			sum = 0
		}
		for _, list := range lists[from:end] {
			sum += uint64(len(list))
			to = binary.LittleEndian.AppendUint64(to, sum)
		}
		return to
	}
}

const (
	// pieceBytes is about how much of a body is made at a time.
	pieceBytes = 256 << 10
	// pieceRows is how many rows are written without looking at the size.
	pieceRows = 256
)

// nativeBody is a block in the format Native, made while it is read.
type nativeBody struct {
	columns           []nativeColumn
	rows              int
	column, part, row int
	begun             bool
	piece             []byte // made and not yet read
	spare             []byte
	packer            *compress.Writer
	closed            func()
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

// make makes the next piece; io.EOF when there is none.
func (b *nativeBody) make() error {
	to := b.spare[:0]
	if !b.begun {
		b.begun = true
		to = binary.AppendUvarint(to, uint64(len(b.columns)))
		to = binary.AppendUvarint(to, uint64(b.rows))
	}
	for len(to) < pieceBytes && b.column < len(b.columns) {
		c := &b.columns[b.column]
		if b.part == 0 && b.row == 0 {
			to = appendTexts(to, []string{c.name, c.kind})
		}
		end := min(b.row+pieceRows, b.rows)
		to = c.parts[b.part](to, b.row, end)
		if b.row = end; end < b.rows {
			continue
		}
		b.row = 0
		if b.part++; b.part == len(c.parts) {
			b.column, b.part = b.column+1, 0
		}
	}
	if len(to) == 0 {
		return io.EOF
	}
	b.spare, b.piece = to, to
	if b.packer != nil {
		if err := b.packer.Compress(to); err != nil {
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
