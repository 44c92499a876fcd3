// Package tape records what HTTP calls were answered, and gives the same answers
// again without a network. So a measurement can say what comes behind the answer
// alone: no call is made, and all that follows is the program's own code.
//
// A call is known by its method, its path and its parameters, less those that
// differ each time (Ignore). Of two answers to one call the last counts. A tape is
// one file of this machine, and holds whatever the answers held: it is for
// invented data, and for a folder that is removed.
package tape

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Ignore names the parameters, of a query or a form, that differ in each call,
// such as a timestamp and the signature over it.
type Ignore []string

// key is what a call is known by.
type key [16]byte

// keyOf reads a request's body, and puts it back.
func (i Ignore) keyOf(req *http.Request) (key, error) {
	var body []byte
	if req.Body != nil && req.Body != http.NoBody {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return key{}, err
		}
		_ = req.Body.Close() // read in full
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	about := make([]byte, 0, len(req.URL.Path)+len(req.URL.RawQuery)+len(body)+16)
	about = append(append(append(about, req.Method...), ' '), req.URL.Path...)
	about = i.kept(append(about, '?'), req.URL.RawQuery)
	about = append(about, '\n')
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		about = i.kept(about, string(body))
	} else {
		about = append(about, body...)
	}
	sum := sha256.Sum256(about)
	return key(sum[:16]), nil
}

// kept appends the parameters that are not ignored.
func (i Ignore) kept(b []byte, parameters string) []byte {
	for part := range strings.SplitSeq(parameters, "&") {
		if name, _, _ := strings.Cut(part, "="); !slices.Contains(i, name) {
			b = append(append(b, part...), '&')
		}
	}
	return b
}

// A Recorder is a transport that writes each answer that another one brings onto
// a tape. It may be used concurrently.
type Recorder struct {
	next   http.RoundTripper
	ignore Ignore

	mu   sync.Mutex
	file *os.File // guarded by mu
}

// Record makes a tape, in place of what the file held.
func Record(path string, ignore Ignore, next http.RoundTripper) (*Recorder, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("tape: record: %w", err)
	}
	return &Recorder{next: next, ignore: ignore, file: file}, nil
}

// An entry of a tape is its key, the numbers status, length of the headers and
// length of the body, and these two.
const entrySize = len(key{}) + 3*4

// RoundTrip implements http.RoundTripper.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	k, err := r.ignore.keyOf(req)
	if err != nil {
		return nil, err
	}
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var headers []byte
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		for _, value := range resp.Header[name] {
			headers = append(append(append(append(headers, name...), ": "...), value...), '\n')
		}
	}
	entry := append(make([]byte, 0, entrySize+len(headers)+len(body)), k[:]...)
	for _, n := range []int{resp.StatusCode, len(headers), len(body)} {
		entry = binary.BigEndian.AppendUint32(entry, uint32(n))
	}
	entry = append(append(entry, headers...), body...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.file.Write(entry); err != nil {
		return nil, fmt.Errorf("tape: record an answer: %w", err)
	}
	return resp, nil
}

// Close ends the tape. Nothing is recorded after it.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file.Close()
}

// A Player is a transport that answers from a tape. The tape lies outside of what
// the garbage collector reckons with: many answers in its memory would let it
// work less often than it does while they come one by one. It may be used
// concurrently.
type Player struct {
	ignore Ignore
	tape   []byte
	at     map[key]int // where an entry's numbers begin
}

var errTape = errors.New("tape: the file is no tape, or is cut off")

// Play opens a tape.
func Play(path string, ignore Ignore) (p *Player, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("tape: play: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	about, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("tape: play: %w", err)
	}
	p = &Player{ignore: ignore, at: make(map[key]int)}
	if about.Size() == 0 {
		return p, nil
	}
	if p.tape, err = syscall.Mmap(int(file.Fd()), 0, int(about.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE); err != nil {
		return nil, fmt.Errorf("tape: play: %w", err)
	}
	for i := 0; i < len(p.tape); {
		numbers := i + len(key{})
		if len(p.tape)-i < entrySize {
			return nil, errors.Join(errTape, p.Close())
		}
		_, headers, body := p.entry(numbers)
		p.at[key(p.tape[i:numbers])] = numbers
		if i += entrySize + headers + body; i > len(p.tape) {
			return nil, errors.Join(errTape, p.Close())
		}
	}
	return p, nil
}

// entry are an entry's numbers.
func (p *Player) entry(at int) (status, headers, body int) {
	number := func(n int) int { return int(binary.BigEndian.Uint32(p.tape[at+4*n:])) }
	return number(0), number(1), number(2)
}

// RoundTrip implements http.RoundTripper.
func (p *Player) RoundTrip(req *http.Request) (*http.Response, error) {
	k, err := p.ignore.keyOf(req)
	if err != nil {
		return nil, err
	}
	at, ok := p.at[k]
	if !ok {
		// Not its parameters: they may hold a token.
		return nil, fmt.Errorf("tape: a call of %s that the tape has no answer to", req.URL.Path)
	}
	status, headers, body := p.entry(at)
	at += 3 * 4
	resp := &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header),
		ContentLength: int64(body), Request: req,
		Body: io.NopCloser(bytes.NewReader(p.tape[at+headers : at+headers+body])),
	}
	for line := range strings.Lines(string(p.tape[at : at+headers])) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		resp.Header[name] = append(resp.Header[name], value)
	}
	return resp, nil
}

// Close lets the tape go. No answer may be read any more.
func (p *Player) Close() error {
	tape := p.tape
	p.tape, p.at = nil, nil
	if tape == nil {
		return nil
	}
	return syscall.Munmap(tape)
}
