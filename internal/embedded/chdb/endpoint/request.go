package endpoint

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/google/uuid"

	"oneid/internal/embedded/chdb/libchdb"
)

// request is what an HTTP request asks of the engine.
type request struct {
	statement statement
	format    string // of the result
	database  string
	queryID   string
	params    []libchdb.Param
	settings  []setting
	data      io.Reader // what follows the statement of an INSERT
	readOnly  bool      // a GET

	session        string
	sessionTimeout time.Duration
	sessionCheck   bool

	protocol    uint64 // client_protocol_version: how Native is written
	whole       bool   // wait_end_of_query
	blocks      bool   // compress=1
	blockMethod string
	encoding    string
}

type setting struct{ name, value string }

// own are the parameters that the endpoint reads itself; they are no settings of the engine.
var own = map[string]bool{
	"query": true, "database": true, "default_format": true, "compress": true, "decompress": true, "user": true, "password": true,
	"quota_key": true, "query_id": true, "session_id": true, "session_timeout": true, "session_check": true, "close_session": true,
	"buffer_size": true, "wait_end_of_query": true, "stacktrace": true, "client_protocol_version": true, "role": true,
	"enable_http_compression": true, "http_zlib_compression_level": true, "network_compression_method": true,
	"network_zstd_compression_level": true, "send_progress_in_http_headers": true, "http_headers_progress_interval_ms": true,
	"add_http_cors_header": true, "http_write_exception_in_output_format": true, "log_comment": true,
	"cancel_http_readonly_queries_on_client_close": true, "http_response_buffer_size": true,
}

const (
	headSize = 256 << 10 // of a body in which the statement of an INSERT is looked for
	textSize = 64 << 20  // the longest statement, VALUES included
)

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

var formatName = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// credentials of a request: the header of ClickHouse, Basic, or parameters.
func credentials(r *http.Request) (user, password string, ok bool) {
	if u, k := r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key"); u != "" || k != "" {
		return u, k, true
	}
	if u, p, basic := r.BasicAuth(); basic {
		return u, p, true
	}
	q := r.URL.Query()
	return q.Get("user"), q.Get("password"), q.Has("user") || q.Has("password")
}

// sameSecret compares in a time that tells nothing of the secret.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// readRequest takes parameters, headers and the statement; of an INSERT's data it reads no more than the head.
func readRequest(r *http.Request, maxText int) (*request, error) {
	query := r.URL.Query()
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && media == "multipart/form-data" {
		return nil, fail(48, "NOT_IMPLEMENTED", "external tables in a form are not supported: use a temporary table in a session")
	}
	out := &request{
		format:      cmpOr(r.Header.Get("X-ClickHouse-Format"), query.Get("default_format"), "TabSeparated"),
		database:    cmpOr(r.Header.Get("X-ClickHouse-Database"), query.Get("database")),
		queryID:     cmpOr(query.Get("query_id"), uuid.NewString()),
		readOnly:    r.Method == http.MethodGet || r.Method == http.MethodHead,
		session:     query.Get("session_id"),
		whole:       isTrue(query.Get("wait_end_of_query")),
		blocks:      isTrue(query.Get("compress")),
		blockMethod: query.Get("network_compression_method"),
	}
	if !formatName.MatchString(out.format) {
		return nil, fail(73, "UNKNOWN_FORMAT", "the name of a format has letters and digits alone")
	}
	if err := out.readSession(query); err != nil {
		return nil, err
	}
	if version := query.Get("client_protocol_version"); version != "" {
		var err error
		if out.protocol, err = strconv.ParseUint(version, 10, 32); err != nil {
			return nil, fail(36, "BAD_ARGUMENTS", "client_protocol_version is not a number")
		}
	}
	if isTrue(query.Get("enable_http_compression")) && !out.blocks {
		out.encoding = acceptedEncoding(r.Header.Get("Accept-Encoding"))
	}
	if err := out.readSettings(query); err != nil {
		return nil, err
	}
	return out, out.readStatement(r, query, maxText)
}

func cmpOr(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func isTrue(text string) bool { return text == "1" || strings.EqualFold(text, "true") }

func (q *request) readSession(query url.Values) error {
	q.sessionCheck = isTrue(query.Get("session_check"))
	q.sessionTimeout = time.Minute
	if text := query.Get("session_timeout"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if err != nil || seconds > 3600 {
			return fail(372, "INVALID_SESSION_TIMEOUT", "session_timeout is a number of seconds up to 3600")
		}
		q.sessionTimeout = time.Duration(seconds) * time.Second
	}
	return nil
}

// acceptedEncoding takes the best that the client names and does not refuse with q=0.
func acceptedEncoding(header string) string {
	var accepted []string
	for part := range strings.SplitSeq(strings.ToLower(header), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if q := strings.TrimSpace(quality); q != "q=0" && q != "q=0.0" {
			accepted = append(accepted, strings.TrimSpace(name))
		}
	}
	for _, encoding := range encodings {
		if slices.Contains(accepted, encoding) {
			return encoding
		}
	}
	return ""
}

func (q *request) readSettings(query url.Values) error {
	for _, name := range slices.Sorted(mapsKeys(query)) {
		value := query.Get(name)
		switch {
		case own[name] || strings.HasPrefix(name, "http_"):
		case strings.HasPrefix(name, "param_"):
			q.params = append(q.params, libchdb.Param{Name: strings.TrimPrefix(name, "param_"), Value: value})
		case !settingName.MatchString(name):
			return fail(115, "UNKNOWN_SETTING", "a parameter's name is not one of a setting")
		default:
			q.settings = append(q.settings, setting{name, value})
		}
	}
	return nil
}

func mapsKeys(values url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range values {
			if !yield(name) {
				return
			}
		}
	}
}

// readStatement finds the statement in the parameter, the body, or both.
func (q *request) readStatement(r *http.Request, query url.Values, maxText int) error {
	body, err := newDecoder(r.Header.Get("Content-Encoding"), r.Body)
	if errors.Is(err, io.EOF) { // an encoded body of no bytes
		body, err = strings.NewReader(""), nil
	}
	if err != nil {
		var e *exception
		if errors.As(err, &e) {
			return e
		}
		return fail(33, "CANNOT_READ_ALL_DATA", "the body is not in its Content-Encoding")
	}
	if isTrue(query.Get("decompress")) {
		body = &blockReader{compress.NewReader(body)}
	}
	text := query.Get("query")
	if text != "" {
		q.statement = parse(text)
		if q.statement.kind == inserts {
			q.data = io.MultiReader(strings.NewReader(text[q.statement.data:]), body)
			return nil
		}
		rest, err := readText(body, maxText-len(text))
		if err != nil {
			return err
		}
		if len(rest) > 0 {
			q.statement = parse(text + "\n" + rest)
		}
		return nil
	}
	size := min(headSize, maxText)
	if r.ContentLength > 0 && body == io.Reader(r.Body) {
		size = int(min(int64(size), r.ContentLength)) // most statements are short
	}
	head := make([]byte, size)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(33, "CANNOT_READ_ALL_DATA", "the body could not be read")
	}
	text = string(head[:n])
	q.statement = parse(text)
	if q.statement.kind == inserts && q.statement.data < len(text) {
		q.data = io.MultiReader(strings.NewReader(text[q.statement.data:]), body)
		return nil
	}
	rest, err := readText(body, maxText-n)
	if err != nil {
		return err
	}
	if rest != "" {
		q.statement = parse(text + rest)
	}
	if q.statement.kind == inserts {
		q.data = strings.NewReader("")
	}
	return nil
}

func readText(body io.Reader, limit int) (string, error) {
	b, err := io.ReadAll(io.LimitReader(body, int64(max(0, limit))+1))
	if err != nil {
		return "", fail(33, "CANNOT_READ_ALL_DATA", "the body could not be read")
	}
	if len(b) > max(0, limit) {
		return "", fail(131, "TOO_LARGE_STRING_SIZE", "the statement is too long: send rows of an INSERT in a format, for instance Native or JSONEachRow")
	}
	return string(b), nil
}

// blockReader ends with a plain io.EOF where the blocks end; the reader below
// it wraps that in an error of its own. An end inside a block stays an error.
type blockReader struct{ blocks *compress.Reader }

func (b *blockReader) Read(p []byte) (int, error) {
	n, err := b.blocks.Read(p)
	if err != nil && errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return n, io.EOF
	}
	return n, err
}
