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

// statuses of the codes that are not 500, as ClickHouse's HTTP handler answers
// them; 516 is 401 here, so that drivers and browsers ask for the password.
var statuses = map[int]int{
	192: http.StatusUnauthorized, 193: http.StatusUnauthorized, 194: http.StatusUnauthorized, 516: http.StatusUnauthorized,
	164: http.StatusForbidden, 497: http.StatusForbidden, 358: http.StatusForbidden, // readonly, access denied, into outfile
	6: 400, 26: 400, 27: 400, 36: 400, 38: 400, 41: 400, 42: 400, 43: 400, 44: 400, 53: 400, 62: 400, 63: 400, 69: 400, 70: 400,
	72: 400, 117: 400, 130: 400, 168: 400, 174: 400, 179: 400, 215: 400, 223: 400, 376: 400, 377: 400, 386: 400, 456: 400, 457: 400,
	33: 400, 142: 400, 184: 400, 372: 400, 373: 400,
	46: 404, 47: 404, 50: 404, 56: 404, 60: 404, 73: 404, 81: 404, 115: 404, // unknown function, identifier, type … setting
	159: http.StatusRequestTimeout, 131: http.StatusRequestEntityTooLarge,
	202: http.StatusTooManyRequests, 48: http.StatusNotImplemented,
}

func (e *exception) httpStatus() int {
	if e.status != 0 {
		return e.status
	}
	if status, ok := statuses[e.code]; ok {
		return status
	}
	return http.StatusInternalServerError
}
