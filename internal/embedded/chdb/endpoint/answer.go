package endpoint

import (
	"compress/gzip"
	"compress/zlib"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"oneid/internal/embedded/chdb/libchdb"
)

// answer writes a result in the way the client asked for: plain, as ClickHouse's
// own compressed blocks (compress=1), or with a Content-Encoding. Headers go out
// with the first byte of the body, so an error before that is a plain answer
// with its own status, and one after it is a marked block in the body.
type answer struct {
	http    http.ResponseWriter
	request *request
	body    io.Writer // through the compression
	close   []func() error
	tag     string
	started bool
	format  string
	zone    string // the engine's
	stats   libchdb.Stats
}

func (s *Server) newAnswer(w http.ResponseWriter, r *request) *answer {
	return &answer{http: w, request: r, zone: s.zone}
}

// start sends the headers.
func (a *answer) start() {
	a.started = true
	a.tag = strings.ToLower(rand.Text())[:16]
	h := a.http.Header()
	a.common()
	h.Set("X-ClickHouse-Format", a.format)
	h.Set("X-ClickHouse-Exception-Tag", a.tag)
	h.Set("Content-Type", contentType(a.format))
	h.Set("X-ClickHouse-Summary", a.summary())
	a.body = a.http
	switch {
	case a.request.blocks:
		method := compress.LZ4
		if strings.EqualFold(a.request.blockMethod, "zstd") {
			method = compress.ZSTD
		}
		blocks := &blockWriter{to: a.http, writer: compress.NewWriter(compress.LevelZero, method)}
		a.body = blocks
	case a.request.encoding != "":
		h.Set("Content-Encoding", a.request.encoding)
		h.Add("Vary", "Accept-Encoding")
		encoder := newEncoder(a.request.encoding, a.http)
		a.body = encoder
		a.close = append(a.close, encoder.Close)
	}
	a.http.WriteHeader(http.StatusOK)
}

func (a *answer) common() {
	h := a.http.Header()
	h.Set("X-ClickHouse-Query-Id", a.request.queryID)
	h.Set("X-ClickHouse-Server-Display-Name", displayName)
	h.Set("X-ClickHouse-Timezone", a.zone)
}

const displayName = "oneid"

// summary is what Python and Node read the numbers of rows from.
func (a *answer) summary() string {
	text := func(n uint64) string { return strconv.FormatUint(n, 10) }
	b, _ := json.Marshal(map[string]string{ // of strings: cannot fail
		"read_rows": text(a.stats.ReadRows), "read_bytes": text(a.stats.ReadBytes),
		"written_rows": text(a.stats.WrittenRows), "written_bytes": text(a.stats.WrittenBytes),
		"result_rows": text(a.stats.ResultRows), "total_rows_to_read": "0",
		"elapsed_ns": strconv.FormatInt(a.stats.Elapsed.Nanoseconds(), 10),
	})
	return string(b)
}

// Write sends a part of the result.
func (a *answer) Write(p []byte) (int, error) {
	if !a.started {
		a.start()
	}
	return a.body.Write(p)
}

// flush hands what was written to the client now.
func (a *answer) flush() {
	if flusher, ok := a.body.(interface{ Flush() error }); ok && a.body != io.Writer(a.http) {
		_ = flusher.Flush() // a client that has gone is seen by its context
	}
	if flusher, ok := a.http.(http.Flusher); ok {
		flusher.Flush()
	}
}

// end finishes a result.
func (a *answer) end() {
	if !a.started {
		a.start()
	}
	for _, f := range a.close {
		_ = f() // the client has gone: there is no one to tell
	}
}

// fail answers with an error, in the body if that has begun.
func (a *answer) fail(err error, version string) {
	e := asException(err)
	text := e.text
	if version != "" && !strings.Contains(text, "(version ") {
		text += " (version " + version + ")"
	}
	if a.started {
		message := text + "\n"
		_, _ = fmt.Fprintf(a.body, "\r\n__exception__\r\n%s\r\n%s%d %s\r\n__exception__\r\n", a.tag, message, len(message), a.tag)
		a.end()
		return
	}
	a.started = true
	h := a.http.Header()
	a.common()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(e.code))
	if e.httpStatus() == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
	}
	a.http.WriteHeader(e.httpStatus())
	_, _ = io.WriteString(a.http, text+"\n")
}

// blockWriter writes ClickHouse's compressed blocks: checksum, method, sizes, data.
type blockWriter struct {
	to     io.Writer
	writer *compress.Writer
}

const blockSize = 1 << 20 // ClickHouse's own size of blocks that go over the network

func (b *blockWriter) Write(p []byte) (int, error) {
	for done := 0; done < len(p); done += blockSize {
		if err := b.writer.Compress(p[done:min(len(p), done+blockSize)]); err != nil {
			return done, fmt.Errorf("compress a block: %w", err)
		}
		if _, err := b.to.Write(b.writer.Data); err != nil {
			return done, err
		}
	}
	return len(p), nil
}

// encodings that answers and requests may have, the best first.
var encodings = []string{"zstd", "lz4", "gzip", "deflate"}

func newEncoder(encoding string, to io.Writer) io.WriteCloser {
	switch encoding {
	case "gzip":
		w, _ := gzip.NewWriterLevel(to, gzip.BestSpeed) // fails for an unknown level only
		return w
	case "deflate":
		return zlib.NewWriter(to)
	case "lz4":
		return lz4.NewWriter(to)
	}
	w, _ := zstd.NewWriter(to, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true)) // fails for unknown options only
	return w
}

// newDecoder reads a request's Content-Encoding.
func newDecoder(encoding string, from io.Reader) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return from, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(from)
	case "deflate":
		return zlib.NewReader(from)
	case "lz4":
		return lz4.NewReader(from), nil
	case "zstd":
		r, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return r.IOReadCloser(), nil
	}
	return nil, fail(48, "NOT_IMPLEMENTED", "Content-Encoding %q is not taken: use one of %s", encoding, strings.Join(encodings, ", "))
}

func contentType(format string) string {
	switch f := strings.ToLower(format); {
	case f == "json", f == "jsoncompact", f == "jsonstrings", f == "jsoncolumns", f == "jsoncompactcolumns":
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(f, "jsoneachrow"), strings.HasPrefix(f, "jsoncompacteachrow"), strings.HasPrefix(f, "jsonstringseachrow"):
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(f, "csv"):
		return "text/csv; charset=UTF-8"
	case strings.HasPrefix(f, "tabseparated"), strings.HasPrefix(f, "tsv"):
		return "text/tab-separated-values; charset=UTF-8"
	case strings.HasPrefix(f, "pretty"), f == "vertical", f == "values", f == "markdown":
		return "text/plain; charset=UTF-8"
	case f == "xml":
		return "application/xml; charset=UTF-8"
	}
	return "application/octet-stream"
}
