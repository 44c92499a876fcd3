package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// passing are the error codes of a server that is busy, starting, full or cut
// off: the same statement may succeed later.
var passing = map[int32]string{
	// Of its disk and its memory. A full disk is found by who reserves room, or
	// only by who writes.
	74:   "it cannot read a file",
	75:   "it cannot write a file",
	76:   "it cannot open a file",
	173:  "not enough memory",
	439:  "it cannot start a thread",
	499:  "its object store failed",
	1001: "its system failed", // the file system says so of a folder that it has no room for
	// Of the way to it: what came to it was cut off.
	32:  "what was sent ended too soon",
	33:  "what was sent ended too soon",
	95:  "it cannot read from the network",
	96:  "it cannot write to the network",
	198: "a name could not be looked up",
	279: "no other server could be reached",
	473: "it would have waited for itself",
	159: "it took too long",
	202: "too many queries at once",
	203: "no free connection",
	209: "the network was too slow",
	210: "the network failed",
	225: "Keeper is away",
	236: "it was stopped",
	241: "not enough memory",
	242: "the table is read-only for now",
	243: "the disk is full",
	252: "too many parts; merges are behind",
	285: "too few replicas are up",
	286: "too few replicas have it",
	319: "it is unknown whether the insert was kept",
	394: "the query was cancelled",
	425: "the system failed",
	999: "Keeper failed",
}

// Error is what ClickHouse said, or why it could not be asked.
type Error struct {
	// Doing is what was tried.
	Doing string
	// Exception is ClickHouse's number of the error; 0 if it said nothing.
	Exception int32
	err       error
}

func (e *Error) Error() string { return "clickhouse: " + e.Doing + ": " + e.err.Error() }

// Unwrap gives the driver's error.
func (e *Error) Unwrap() error { return e.err }

// Code names the kind of error for CLI and API.
func (e *Error) Code() string {
	switch {
	case IsUnavailable(e):
		return "clickhouse_unavailable"
	case e.Exception == 516 || e.Exception == 192 || e.Exception == 193 || e.Exception == 194:
		return "clickhouse_login"
	default:
		return "clickhouse"
	}
}

// Hint says what to do.
func (e *Error) Hint() string {
	switch e.Code() {
	case "clickhouse_unavailable":
		if e.Exception == 243 || strings.Contains(e.Error(), "No space left") {
			return "make room on ClickHouse's disk"
		}
		if e.Exception == 241 {
			return "ClickHouse has not enough memory for it: let what else it does end, or give it more, and try again; the flow does so by itself"
		}
		return "see that ClickHouse runs and that its address is right; nothing is lost, the flow goes on by itself"
	case "clickhouse_login":
		return "give the right user and password of ClickHouse"
	default:
		if e.Exception == 60 || e.Exception == 81 {
			return "run `oneid migrate`"
		}
		return "see ClickHouse's log"
	}
}

// failed wraps an error of the driver; nil stays nil, and the caller's own
// end stays what it is.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("clickhouse: %s: %w", doing, err)
	}
	e := &Error{Doing: doing, err: err}
	var exception *driver.Exception
	if errors.As(err, &exception) {
		e.Exception = exception.Code
	}
	return e
}

// IsUnavailable reports whether an error means that ClickHouse cannot be
// reached or cannot work now, so that trying again later is right.
func IsUnavailable(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var exception *driver.Exception
	if errors.As(err, &exception) {
		_, ok := passing[exception.Code]
		return ok
	}
	var answer *driver.HTTPError
	if errors.As(err, &answer) {
		return answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusRequestTimeout
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, driver.ErrAcquireConnTimeout) || errors.Is(err, driver.ErrServerUnexpectedData)
}

// network makes each failure to get a whole answer over HTTP a net.Error: where
// an answer is cut in its head or its trailer, net/http's own errors are texts
// of no type.
type network struct{ *http.Transport }

// RoundTrip asks as http.RoundTripper says.
func (n network) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := n.Transport.RoundTrip(request)
	if err != nil {
		return nil, unanswered(err)
	}
	response.Body = answerBody{response.Body}
	return response, nil
}

type answerBody struct{ io.ReadCloser }

func (b answerBody) Read(to []byte) (int, error) {
	n, err := b.ReadCloser.Read(to)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unanswered(err)
	}
	return n, err
}

func unanswered(err error) error { return &net.OpError{Op: "read", Net: "http", Err: err} }

// refusing are the error codes of a server that works, and refuses what a row
// holds: another row would be taken.
var refusing = map[int32]bool{
	6: true, 27: true, 38: true, 41: true, 70: true, 72: true, // a text cannot be read as what a column wants
	128: true, 131: true, // an array or a text is too large
	153: true, 407: true, // a number cannot be divided, a decimal overflows
	190: true, // arrays that belong together differ in size
	321: true, // a value is out of a type's range
	349: true, // a NULL where none may be
	395: true, // a throwIf has thrown
	469: true, // a constraint is violated
	691: true, // no element of an enumeration
}

// RefusedBy says why a row was refused. ClickHouse's own words repeat the row's
// values, so its number of the error has to do.
func RefusedBy(table string, cause error) error {
	var said *Error
	if errors.As(cause, &said) {
		return fmt.Errorf("ClickHouse refuses its row of the table %s: error %d", table, said.Exception)
	}
	return fmt.Errorf("ClickHouse refuses its row of the table %s", table)
}

// Refuses reports whether an error means that the server works, and that at
// least one row of the block is what it refuses: not that it is away, nor that
// a table is not as it should be.
func Refuses(err error) bool {
	var exception *driver.Exception
	return errors.As(err, &exception) && refusing[exception.Code]
}
