package libchdb

import (
	"runtime"
	"time"
	"unsafe"
)

// Conn is one connection: its settings, current database, role and temporary
// tables. It runs one statement at a time, so one goroutine at a time uses it.
type Conn struct {
	library *Library
	holder  unsafe.Pointer // chdb_connection *
	handle  unsafe.Pointer // chdb_connection
}

// Close ends the connection. The engine shuts down with its last connection.
func (c *Conn) Close() {
	if c.holder != nil {
		c.library.closeConn(c.holder)
		c.holder, c.handle = nil, nil
	}
}

// Param is a value for a {name:Type} placeholder, in the text form that the
// HTTP interface of ClickHouse takes.
type Param struct{ Name, Value string }

// Error is an exception of the engine; its text begins with "Code: N. DB::Exception:".
type Error string

func (e Error) Error() string { return string(e) }

// Stats tell what a statement did. Elapsed is the engine's own time.
type Stats struct {
	Elapsed      time.Duration
	ResultRows   uint64
	ReadRows     uint64
	ReadBytes    uint64
	WrittenRows  uint64
	WrittenBytes uint64
}

// Query runs a statement to its end and returns the whole result, written in format.
func (c *Conn) Query(query, format string, params []Param) ([]byte, Stats, error) {
	result := c.call(c.library.queryWithParams, query, format, params)
	return c.library.take(result)
}

// call passes text with lengths; all of it is pinned until the library returns.
func (c *Conn) call(function func(conn, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer, query, format string, params []Param) unsafe.Pointer {
	var pins runtime.Pinner
	defer pins.Unpin()
	text := func(s string) unsafe.Pointer {
		b := append([]byte(s), 0)
		pins.Pin(&b[0])
		return unsafe.Pointer(&b[0])
	}
	n := len(params)
	names, values := make([]unsafe.Pointer, n+1), make([]unsafe.Pointer, n+1)
	nameLens, valueLens := make([]uintptr, n+1), make([]uintptr, n+1)
	for i, p := range params {
		names[i], nameLens[i] = text(p.Name), uintptr(len(p.Name))
		values[i], valueLens[i] = text(p.Value), uintptr(len(p.Value))
	}
	pins.Pin(&names[0])
	pins.Pin(&values[0])
	pins.Pin(&nameLens[0])
	pins.Pin(&valueLens[0])
	return function(c.handle, text(query), uintptr(len(query)), text(format), uintptr(len(format)),
		unsafe.Pointer(&names[0]), unsafe.Pointer(&nameLens[0]), unsafe.Pointer(&values[0]), unsafe.Pointer(&valueLens[0]), uintptr(n))
}

// take copies a result out and frees it.
func (l *Library) take(result unsafe.Pointer) ([]byte, Stats, error) {
	if result == nil {
		return nil, Stats{}, Error("Code: 1002. DB::Exception: the engine gave no result. (UNKNOWN_EXCEPTION)")
	}
	defer l.destroyResult(result)
	if text := goString(l.resultError(result)); text != "" {
		return nil, Stats{}, Error(text)
	}
	stats := Stats{
		Elapsed:      time.Duration(l.resultElapsed(result) * float64(time.Second)),
		ResultRows:   l.resultRowsRead(result),
		ReadRows:     l.resultStorageRows(result),
		ReadBytes:    l.resultStorageSize(result),
		WrittenRows:  l.resultRowsWritten(result),
		WrittenBytes: l.resultSizeWritten(result),
	}
	var body []byte
	if n := l.resultLength(result); n > 0 {
		body = make([]byte, n)
		copy(body, unsafe.Slice((*byte)(l.resultBuffer(result)), n))
	}
	return body, stats, nil
}

// goString copies a NUL-terminated text; nil is "".
func goString(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// Stream starts a query whose result is fetched piece by piece. Each piece is a
// whole document of the format, so only Native and JSONEachRow may be joined.
// The caller must Close the Stream before it uses the Conn again.
func (c *Conn) Stream(query, format string, params []Param) (*Stream, error) {
	handle := c.call(c.library.streamWithParams, query, format, params)
	if handle == nil {
		return nil, Error("Code: 1002. DB::Exception: the engine gave no stream. (UNKNOWN_EXCEPTION)")
	}
	if text := goString(c.library.resultError(handle)); text != "" {
		c.library.destroyResult(handle)
		return nil, Error(text)
	}
	return &Stream{conn: c, handle: handle}, nil
}

// Stream is a running query.
type Stream struct {
	conn   *Conn
	handle unsafe.Pointer
	ended  bool
}

// Next returns the next piece, or nil at the end.
func (s *Stream) Next() ([]byte, Stats, error) {
	body, stats, err := s.conn.library.take(s.conn.library.streamFetch(s.conn.handle, s.handle))
	if err != nil || len(body) == 0 {
		s.ended = true
	}
	return body, stats, err
}

// Close cancels the query if it has not ended, and frees it.
func (s *Stream) Close() {
	if s.handle == nil {
		return
	}
	if !s.ended {
		s.conn.library.streamCancel(s.conn.handle, s.handle)
	}
	s.conn.library.destroyResult(s.handle)
	s.handle = nil
}

// Insert starts an INSERT whose rows are appended in format. The statement
// bears neither FORMAT nor data. The caller must Close the Insert before it uses
// the Conn again.
func (c *Conn) Insert(query, format string, params []Param) (*Insert, error) {
	insert := &Insert{library: c.library, handle: c.call(c.library.insertWithParams, query, format, params)}
	if insert.handle == nil {
		return nil, Error("Code: 1002. DB::Exception: the engine gave no insert stream. (UNKNOWN_EXCEPTION)")
	}
	if err := insert.failure(); err != nil {
		insert.Close()
		return nil, err
	}
	return insert, nil
}

// Insert is an open INSERT.
type Insert struct {
	library *Library
	handle  unsafe.Pointer
	done    bool
}

func (i *Insert) failure() error {
	if text := goString(i.library.insertError(i.handle)); text != "" {
		return Error(text)
	}
	return nil
}

// Write appends bytes of the format; it may wait while the engine is busy.
func (i *Insert) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var pins runtime.Pinner
	pins.Pin(&p[0])
	defer pins.Unpin()
	if state := i.library.insertAppend(i.handle, unsafe.Pointer(&p[0]), uintptr(len(p))); state != 0 {
		if err := i.failure(); err != nil {
			return 0, err
		}
		return 0, Error("Code: 1002. DB::Exception: the engine took no more rows. (UNKNOWN_EXCEPTION)")
	}
	return len(p), nil
}

// Done says that all rows were appended, and commits them.
func (i *Insert) Done() (Stats, error) {
	i.done = true
	_, stats, err := i.library.take(i.library.insertDone(i.handle))
	return stats, err
}

// Close cancels the INSERT if Done was not called, and frees it.
func (i *Insert) Close() {
	if i.handle == nil {
		return
	}
	if !i.done {
		i.library.insertCancel(i.handle)
	}
	i.library.insertDestroy(i.handle)
	i.handle = nil
}

// Class is what a statement does to the state that outlives it.
type Class uint32

// The classes that the library's parser knows.
const (
	ReadOnly       Class = iota // leaves no trace
	Mutating                    // changes a database
	MutatingGlobal              // changes functions, collections, access
	Control                     // USE, SET, SYSTEM, BACKUP, KILL, INTO OUTFILE
	Unknown                     // did not parse
)

// Classify says what kind of statement the text holds, and how many of them. It
// parses only. The error is non-nil if the library could not tell.
func (c *Conn) Classify(query, database string) (class Class, statements int, err error) {
	analysis := &struct{ size, statements, flags, class uint32 }{size: 16}
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(analysis)
	q, d := append([]byte(query), 0), append([]byte(database), 0)
	pins.Pin(&q[0])
	pins.Pin(&d[0])
	if state := c.library.classify(c.handle, unsafe.Pointer(&q[0]), uintptr(len(query)), unsafe.Pointer(&d[0]), uintptr(len(database)), unsafe.Pointer(analysis)); state != 0 {
		return Unknown, 0, Error("Code: 62. DB::Exception: the statement could not be classified. (SYNTAX_ERROR)")
	}
	return Class(analysis.class), int(analysis.statements), nil
}
