package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// exception is an error as ClickHouse answers it: a code, a text that begins
// with "Code: N. DB::Exception:", and so an HTTP status.
type exception struct {
	code   int
	text   string
	status int // 0: by the code
}

func (e *exception) Error() string { return e.text }

// fail makes an exception of the endpoint's own; name is that of the code.
func fail(code int, name, format string, arguments ...any) *exception {
	return &exception{code: code, text: fmt.Sprintf("Code: %d. DB::Exception: %s. (%s)", code, fmt.Sprintf(format, arguments...), name)}
}

var codeInText = regexp.MustCompile(`Code: (\d+)\.`)

// asException reads the code out of what the library says.
func asException(err error) *exception {
	var e *exception
	if errors.As(err, &e) {
		return e
	}
	text := strings.TrimSpace(err.Error())
	e = &exception{code: 1002, text: text} // UNKNOWN_EXCEPTION
	if m := codeInText.FindStringSubmatch(text); m != nil {
		e.code, _ = strconv.Atoi(m[1])
		e.text = text[strings.Index(text, m[0]):]
	} else {
		e.text = "Code: 1002. DB::Exception: " + text + ". (UNKNOWN_EXCEPTION)"
	}
	return e
}

// httpStatus maps codes to statuses as ClickHouse's HTTP handler does.
func (e *exception) httpStatus() int {
	if e.status != 0 {
		return e.status
	}
	switch e.code {
	case 516, 192, 193, 194: // authentication, unknown user, wrong or needed password
		return http.StatusUnauthorized
	case 164, 497: // readonly, access denied
		return http.StatusForbidden
	case 6, 26, 27, 38, 41, 43, 44, 46, 47, 50, 53, 62, 63, 69, 70, 72, 117, 131, 168, 174, 179, 184, 215, 223, 372, 376, 377, 386, 456, 457, 1, 36, 42, 73, 115:
		return badOrMissing(e.code)
	case 60, 81, 91:
		return http.StatusNotFound
	case 159, 160: // too slow
		return http.StatusRequestTimeout
	case 202: // too many queries
		return http.StatusTooManyRequests
	case 48, 1001:
		return http.StatusNotImplemented
	case 394: // cancelled
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

func badOrMissing(code int) int {
	switch code {
	case 46, 50: // unknown function, unknown type
		return http.StatusNotFound
	case 131:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}
