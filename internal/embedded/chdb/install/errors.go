package install

import (
	"fmt"
	"regexp"
	"strings"
)

// Error says why the engine could not be installed.
type Error struct {
	code, hint string
	text       string
	err        error
}

// The codes of an Error.
const (
	NoClient    = "engine_no_client"   // neither npm nor pip is there
	Unsupported = "engine_unsupported" // no library for this operating system and CPU
	NoAVX2      = "engine_no_avx2"     // an x86 CPU that lacks AVX2
	Damaged     = "engine_damaged"     // a file is not what was published; it was deleted
	Fetch       = "engine_fetch"       // the client failed: offline, a proxy, a registry without the package
)

func (e *Error) Error() string { return "install engine: " + e.text }
func (e *Error) Unwrap() error { return e.err }

// Code is one of the constants above.
func (e *Error) Code() string { return e.code }

// Hint says what a person can do.
func (e *Error) Hint() string { return e.hint }

func noClient() *Error {
	return &Error{code: NoClient, text: "neither npm nor pip is on the PATH",
		hint: "install Node.js (which has npm) or Python (which has pip) and call 'oneid engine install' again"}
}

func unsupported(platform string) *Error {
	return &Error{code: Unsupported, text: "there is no engine for " + platform,
		hint: "use Linux on x86-64, or set clickhouse.url in oneid.yaml to a ClickHouse server"}
}

func noAVX2() *Error {
	return &Error{code: NoAVX2, text: "this CPU has no AVX2 instructions, which the engine is built with",
		hint: "use a CPU made since about 2015 (in a virtual machine: pass the host's CPU through), or set clickhouse.url in oneid.yaml to a ClickHouse server"}
}

func damaged(file, want, got string) *Error {
	return &Error{code: Damaged, text: fmt.Sprintf("%s is damaged: its SHA-512 begins with %.16s and should with %.16s; it was deleted", file, got, want),
		hint: "call 'oneid engine install' again; if that says the same, a proxy or mirror between you and the registry changes the file"}
}

// fetchFailed tells the client's last words, without what a person must not see.
func fetchFailed(client string, stderr string, err error) *Error {
	return &Error{code: Fetch, text: fmt.Sprintf("%s failed (%v): %s", client, err, lastWords(stderr)), err: err,
		hint: "check the network, the proxy and the registry that " + client + " is set to, then call 'oneid engine install' again"}
}

var (
	addresses = regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://\S+|//\S+`)
	secrets   = regexp.MustCompile(`(?i)((?:_?auth(?:token)?|_?password|token|user(?:name)?|authorization)\s*[=:]\s*)(?:(?:basic|bearer)\s+)?\S+`)
)

// causes are the codes in which npm and node say why: ECONNREFUSED, E404, CERT_HAS_EXPIRED.
var causes = regexp.MustCompile(`\b(?:E(?:AI_)?[A-Z]{4,}|E\d{3}|[A-Z_]*CERT[A-Z_]*)\b`)

// lastWords returns up to five lines: first those that bear the code of a
// cause, which npm says first and then much else, then the last ones; without
// addresses of registries, credentials and stack traces.
func lastWords(text string) string {
	var why, others []string
	for line := range strings.Lines(text) {
		line = secrets.ReplaceAllString(addresses.ReplaceAllString(strings.TrimSpace(line), "(address)"), "${1}(secret)")
		switch said := strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(line, "npm error"), "npm ERR!")); {
		case said == "", strings.Contains(line, "complete log of this run"), strings.HasPrefix(said, "at "):
		case len(why) < 3 && causes.MatchString(strings.ReplaceAll(said, "ERROR", "")):
			why = append(why, line)
		default:
			others = append(others, line)
		}
	}
	if len(why)+len(others) == 0 {
		return "it said nothing"
	}
	return strings.Join(append(why, others[max(0, len(others)-5+len(why)):]...), "; ")
}
