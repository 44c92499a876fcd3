package libchdb

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// Library is the loaded libchdb. There is one a process, it is never
// unloaded, and its methods may be called from many goroutines.
type Library struct {
	connect   func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	closeConn func(conn unsafe.Pointer)
	version   func() string

	setSignalHandlers func(enabled int32)

	queryWithParams  func(conn, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	streamWithParams func(conn, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	streamFetch      func(conn, stream unsafe.Pointer) unsafe.Pointer
	streamCancel     func(conn, stream unsafe.Pointer)
	destroyResult    func(result unsafe.Pointer)

	insertWithParams func(conn, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr, names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer
	insertAppend     func(stream, data unsafe.Pointer, length uintptr) int32
	insertDone       func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel     func(stream unsafe.Pointer)
	insertError      func(stream unsafe.Pointer) unsafe.Pointer
	insertDestroy    func(stream unsafe.Pointer)

	resultBuffer      func(result unsafe.Pointer) unsafe.Pointer
	resultLength      func(result unsafe.Pointer) uintptr
	resultElapsed     func(result unsafe.Pointer) float64
	resultRowsRead    func(result unsafe.Pointer) uint64
	resultStorageRows func(result unsafe.Pointer) uint64
	resultStorageSize func(result unsafe.Pointer) uint64
	resultRowsWritten func(result unsafe.Pointer) uint64
	resultSizeWritten func(result unsafe.Pointer) uint64
	resultError       func(result unsafe.Pointer) unsafe.Pointer

	classify func(conn, query unsafe.Pointer, queryLen uintptr, database unsafe.Pointer, databaseLen uintptr, analysis unsafe.Pointer) int32
}

// Load opens the shared library at path, finds its functions and switches its
// signal handlers off: with them on, a nil dereference in Go hangs the process
// instead of panicking.
func Load(path string) (library *Library, err error) {
	defer func() { // RegisterLibFunc panics for a symbol that is missing
		if fault := recover(); fault != nil {
			library, err = nil, fmt.Errorf("libchdb: load %s: %v (another version of the library?)", path, fault)
		}
	}()
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("libchdb: load %s: %w", path, err)
	}
	l := &Library{}
	for name, function := range map[string]any{
		"chdb_connect":                     &l.connect,
		"chdb_close_conn":                  &l.closeConn,
		"chdb_version":                     &l.version,
		"chdb_set_signal_handlers_enabled": &l.setSignalHandlers,
		"chdb_query_with_params_n":         &l.queryWithParams,
		"chdb_stream_query_with_params_n":  &l.streamWithParams,
		"chdb_stream_fetch_result":         &l.streamFetch,
		"chdb_stream_cancel_query":         &l.streamCancel,
		"chdb_destroy_query_result":        &l.destroyResult,
		"chdb_stream_insert_with_params_n": &l.insertWithParams,
		"chdb_stream_append":               &l.insertAppend,
		"chdb_stream_done":                 &l.insertDone,
		"chdb_stream_cancel_insert":        &l.insertCancel,
		"chdb_stream_insert_error":         &l.insertError,
		"chdb_destroy_insert_stream":       &l.insertDestroy,
		"chdb_result_buffer":               &l.resultBuffer,
		"chdb_result_length":               &l.resultLength,
		"chdb_result_elapsed":              &l.resultElapsed,
		"chdb_result_rows_read":            &l.resultRowsRead,
		"chdb_result_storage_rows_read":    &l.resultStorageRows,
		"chdb_result_storage_bytes_read":   &l.resultStorageSize,
		"chdb_result_rows_written":         &l.resultRowsWritten,
		"chdb_result_bytes_written":        &l.resultSizeWritten,
		"chdb_result_error":                &l.resultError,
		"chdb_classify_query_n":            &l.classify,
	} {
		purego.RegisterLibFunc(function, handle, name)
	}
	l.setSignalHandlers(0)
	return l, nil
}

// Version is the version of the library, for instance "26.7.3".
func (l *Library) Version() string { return l.version() }

// Connect opens a connection. Arguments are in the form "--name=value": the
// first connection of the process reads those of the server (path,
// config-file), each reads those that name query settings, which then hold for
// it alone. All connections of a process must have the same path.
//
// Why a connection failed, the library writes to stderr and nowhere else.
func (l *Library) Connect(arguments []string) (*Conn, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	argv := make([]*byte, 0, len(arguments)+2)
	for _, argument := range append([]string{"clickhouse"}, arguments...) {
		text := append([]byte(argument), 0)
		pins.Pin(&text[0])
		argv = append(argv, &text[0])
	}
	count := int32(len(argv))
	argv = append(argv, nil)
	pins.Pin(&argv[0])
	holder := l.connect(count, unsafe.Pointer(&argv[0]))
	if holder == nil || *(*unsafe.Pointer)(holder) == nil {
		return nil, ErrConnect
	}
	return &Conn{library: l, holder: holder, handle: *(*unsafe.Pointer)(holder)}, nil
}

// ErrConnect is returned by Connect; the reason is on the process's stderr.
var ErrConnect = errors.New("libchdb: connect: the library refused (its reason is on stderr)")
