package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Fault is one way in which a call goes wrong.
type Fault string

// The faults.
const (
	FaultBadGateway Fault = "bad_gateway"   // HTTP 502 with a page
	FaultHTML       Fault = "html"          // HTTP 200 with a page in place of JSON
	FaultTruncated  Fault = "truncated"     // half of the JSON, as if it were all
	FaultCut        Fault = "cut"           // the connection is cut in mid-body
	FaultSlow       Fault = "slow"          // the answer is late
	FaultDuplicate  Fault = "duplicate"     // a row of a list comes twice
	FaultShort      Fault = "short"         // a page lacks half of its rows, and counts them or says that more follow
	FaultExpired    Fault = "expired_token" // the token in use has ended
	FaultThrottled  Fault = "throttled"     // refused for rate, as the platform does
	FaultBusy       Fault = "busy"          // refused with the platform's "try again"
)

// AllFaults lists the faults.
var AllFaults = []Fault{FaultBadGateway, FaultHTML, FaultTruncated, FaultCut, FaultSlow, FaultDuplicate, FaultShort, FaultExpired, FaultThrottled, FaultBusy}

// Faults says how the faces misbehave; the zero value is well-behaved. What
// happens to a call follows from the seed, from what it asks for and from how
// often that was asked before, not from what runs beside it: the same calls
// meet the same faults again.
type Faults struct {
	// Seed chooses which calls go wrong, and how.
	Seed uint64 `json:"seed,omitzero"`
	// Rate is the share of calls that go wrong, 0 to 1.
	Rate float64 `json:"rate,omitzero"`
	// Kinds are the faults that there are; none means all.
	Kinds []Fault `json:"kinds,omitempty"`
	// Changes is the share of list calls before whose answer an order of the
	// platform changes, 0 to 1: rows move while they are paged.
	Changes float64 `json:"changes,omitzero"`
	// SkewSeconds is how far the platforms' clocks are ahead of this machine's.
	SkewSeconds int `json:"skew_seconds,omitzero"`
	// LateSeconds is how long after a change the lists show it, which are asked
	// by the time of change; until then they leave its row out. What is asked for
	// by its number shows it at once.
	LateSeconds int `json:"late_seconds,omitzero"`
	// SlowMS is how late a slow answer comes, in milliseconds; 0 means 200.
	SlowMS int `json:"slow_ms,omitzero"`
	// PerSecond is how many calls a second each method may get; 0: no limit.
	PerSecond int `json:"per_second,omitzero"`
	// PerDay is how many calls Tmall's app may make in a day of GMT+8; 0: no
	// limit.
	PerDay int `json:"per_day,omitzero"`
}

// defaultSlow is how late a slow answer comes.
const defaultSlow = 200 * time.Millisecond

// Validate names every value that cannot be.
func (f Faults) Validate() error {
	var faults []error
	for _, kind := range f.Kinds {
		if !slices.Contains(AllFaults, kind) {
			faults = append(faults, fmt.Errorf("simulator: there is no fault %q; there are %q", kind, AllFaults))
		}
	}
	if f.Rate < 0 || f.Rate > 1 || f.Changes < 0 || f.Changes > 1 {
		faults = append(faults, errors.New("simulator: rate and changes of the faults are shares of calls: 0 to 1"))
	}
	if f.SlowMS < 0 || f.PerSecond < 0 || f.PerDay < 0 || f.LateSeconds < 0 {
		faults = append(faults, errors.New("simulator: slow_ms, late_seconds, per_second and per_day of the faults must not be negative"))
	}
	return errors.Join(faults...)
}

// clock is a platform's, ahead of another.
func (f Faults) clock(now func() time.Time) func() time.Time {
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().Add(time.Duration(f.SkewSeconds) * time.Second) }
}

// change lets an order of a platform change before an answer, now and then.
func (f Faults) change(world *World, platform string, now func() time.Time, then func(string)) func(method string) {
	if f.Changes == 0 {
		return then
	}
	var mu sync.Mutex
	calls := 0
	return func(method string) {
		if then != nil {
			then(method)
		}
		mu.Lock()
		calls++
		h := mix(f.Seed ^ mix(uint64(calls)))
		mu.Unlock()
		if share(h) < f.Changes {
			_, _ = world.ChangeAny(platform, mix(h), now()) // all have changed as far as they can
		}
	}
}

// shown is until when a list shows changes that is asked for those up to a
// moment.
func (f Faults) shown(to, now time.Time) time.Time {
	if late := now.Add(-time.Duration(f.LateSeconds) * time.Second); f.LateSeconds > 0 && late.Before(to) {
		return late
	}
	return to
}

// late bounds a span of changes likewise.
func (f Faults) late(changed span, now time.Time) span {
	if f.LateSeconds > 0 {
		changed.to = min(changed.to, now.Unix()-int64(f.LateSeconds))
	}
	return changed
}

// share is a number from 0 to 1 of a hash.
func share(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// A face is a platform's, as far as faults need it.
type face interface {
	http.Handler
	// refuse answers a call with a refusal of the platform's own:
	// FaultThrottled or FaultBusy.
	refuse(w http.ResponseWriter, r *http.Request, kind Fault)
	// expire ends the tokens in use.
	expire()
	// isToken says that a request asks for a token, by its path or the method
	// that it names.
	isToken(path, method string) bool
	// lists are the keys under which the rows of lists stand.
	lists() []string
}

// over lets a face misbehave.
func (f Faults) over(of face, now func() time.Time) http.Handler {
	if f.Rate == 0 && f.SkewSeconds == 0 {
		return of
	}
	if len(f.Kinds) == 0 {
		f.Kinds = AllFaults
	}
	return &faulty{Faults: f, face: of, now: now, asked: make(map[uint64]uint64)}
}

type faulty struct {
	Faults
	face face
	now  func() time.Time

	mu    sync.Mutex
	asked map[uint64]uint64 // what was asked for → how often
	// ended is when tokens ended last.
	ended time.Time
}

// tokenLives is how long a token lives at least: no platform ends one that it
// has just given.
const tokenLives = 5 * time.Second

const outagePage = "<html><head><title>502 Bad Gateway</title></head><body>system busy</body></html>"

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
	if err != nil {
		http.Error(w, "the body is too large or was cut", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	w.Header().Set("Date", f.now().UTC().Format(http.TimeFormat))
	kind := f.next(r, body)
	switch kind {
	case "":
		f.face.ServeHTTP(w, r)
	case FaultBadGateway, FaultHTML:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if kind == FaultBadGateway {
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, outagePage) // the client has gone: nobody is left to tell
	case FaultThrottled, FaultBusy:
		f.face.refuse(w, r, kind)
	case FaultExpired:
		f.face.expire()
		f.face.ServeHTTP(w, r)
	case FaultSlow:
		late := defaultSlow
		if f.SlowMS > 0 {
			late = time.Duration(f.SlowMS) * time.Millisecond
		}
		select {
		case <-time.After(late):
			f.face.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	default:
		f.spoil(w, r, kind)
	}
}

// next says what happens to a call.
func (f *faulty) next(r *http.Request, body []byte) Fault {
	key := asks(r, body)
	f.mu.Lock()
	n := f.asked[key]
	f.asked[key]++
	f.mu.Unlock()
	h := mix(key ^ mix(f.Seed) ^ mix(n+1))
	if share(h) >= f.Rate {
		return ""
	}
	kind := f.Kinds[pick(mix(h), len(f.Kinds))]
	// What becomes of a token whose answer is lost is written nowhere, and a
	// refusal for rate of one neither.
	if f.face.isToken(r.URL.Path, sent(r, body).Get("method")) && kind != FaultBadGateway && kind != FaultSlow {
		return ""
	}
	if kind == FaultExpired {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.now().Sub(f.ended) < tokenLives {
			return ""
		}
		f.ended = f.now()
	}
	return kind
}

// secrets are what of Weidian's public parameter differs between two calls
// that ask for the same.
var secrets = regexp.MustCompile(`"access_token":"[^"]*"`)

// sent are the parameters of query and form together.
func sent(r *http.Request, body []byte) url.Values {
	all := r.URL.Query()
	if form, err := url.ParseQuery(string(body)); err == nil && !strings.HasPrefix(string(body), "{") {
		for name, values := range form {
			all[name] = values
		}
	}
	return all
}

// asks is a hash of what a request asks for: of all but who asks, and when.
func asks(r *http.Request, body []byte) uint64 {
	form := sent(r, body)
	sum := fnv.New64a()
	if strings.HasPrefix(string(body), "{") {
		_, _ = sum.Write(body) // a hash takes everything
	}
	for _, name := range []string{"timestamp", "create_time", "sign", "session", "access_token", "refresh_token"} {
		form.Del(name)
	}
	for i, public := range form["public"] {
		form["public"][i] = secrets.ReplaceAllString(public, "")
	}
	_, _ = io.WriteString(sum, r.URL.Path+"?"+form.Encode()) // as above
	return sum.Sum64()
}

// spoil answers with a part of the answer, or with more than it.
func (f *faulty) spoil(w http.ResponseWriter, r *http.Request, kind Fault) {
	whole := &held{header: w.Header()}
	f.face.ServeHTTP(whole, r)
	text := whole.body.Bytes()
	if kind == FaultDuplicate {
		text = relist(text, f.face.lists(), func(rows []any) []any { return append(rows, rows[0]) })
	}
	if kind == FaultShort && counts.Match(text) {
		text = relist(text, f.face.lists(), func(rows []any) []any { return rows[:len(rows)/2] })
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if kind == FaultTruncated || kind == FaultCut {
		text = text[:len(text)/2]
	}
	if kind == FaultTruncated {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	}
	if whole.status != 0 {
		w.WriteHeader(whole.status)
	}
	_, _ = w.Write(text) // the client has gone: nobody is left to tell
	if kind == FaultCut {
		_ = http.NewResponseController(w).Flush() // what cannot be flushed is cut all the same
		panic(http.ErrAbortHandler)               // net/http closes the connection, without a word
	}
}

// held is an answer that is not sent yet.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

// counts finds that an answer says how many rows its list has, or that there are more
// behind its page: of any other nobody could tell that it lacks some.
var counts = regexp.MustCompile(`"total(_num|_count|_results?)?":"?[1-9]|"has_next":true`)

// relist is an answer with other rows in each of its lists; one that is no JSON stays as
// it is.
func relist(text []byte, lists []string, other func(rows []any) []any) []byte {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var value any
	if d.Decode(&value) != nil {
		return text
	}
	var walk func(value any)
	walk = func(value any) {
		object, ok := value.(map[string]any)
		if !ok {
			return
		}
		for name, inner := range object {
			if rows, ok := inner.([]any); ok && len(rows) > 0 && slices.Contains(lists, name) {
				object[name] = other(rows)
				continue
			}
			walk(inner)
		}
	}
	walk(value)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if e.Encode(value) != nil {
		return text
	}
	return out.Bytes()
}
