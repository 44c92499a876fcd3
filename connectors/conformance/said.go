package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"oneid/connectors"
)

// Said is a network on which the platform says what a test makes up: it is asked
// with each request, and its answer comes as it is, whatever that is.
type Said func(r *http.Request) (status int, header http.Header, body []byte)

// RoundTrip implements http.RoundTripper.
func (s Said) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header, body := s(r)
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}, nil
}

var (
	codeForm = regexp.MustCompile(`^[0-9A-Za-z.\-_:,]{0,100}$`)
	// callForm is an error of the HTTP client, with what stands around it. It says
	// how long an answer is, and nothing of it.
	callForm = regexp.MustCompile(`httpclient: call [a-z.]+: (HTTP status \d+: )?(a redirect, which a signed call does not follow: is the address right\?|the answer \(\d+ bytes\) is not [^"]+|[A-Za-z' -]*)`)
	// aroundForm is what may stand around a refusal: what was done, in our words.
	aroundForm = regexp.MustCompile(`^[a-z0-9 .,:_/A-Z\[\]{}"()\-|]*$`)
)

// WantQuiet fails where the error of a call repeats more of an answer than codes,
// made of what codes are made of, or a message that is not the table's own.
func WantQuiet(t testing.TB, err error, codes *connectors.Codes) {
	t.Helper()
	text := err.Error()
	if !utf8.ValidString(text) {
		t.Errorf("an error that is no text: %q", text)
	}
	var e *connectors.Error
	if !errors.As(err, &e) {
		if rest := callForm.ReplaceAllString(text, ""); !aroundForm.MatchString(rest) {
			t.Errorf("an error repeats what was answered: %q", text)
		}
		return
	}
	for _, code := range []string{e.SystemCode, e.SubCode, e.RequestID} {
		if !codeForm.MatchString(code) {
			t.Errorf("a code that is none: %q", code)
		}
	}
	known := e.Message == "" || e.Message == codes.Find(e.SystemCode, e.SubCode).Text
	for _, code := range codes.All() {
		known = known || e.Message == code.Text
	}
	if !known && !strings.HasPrefix(e.Message, "the ") && !strings.HasPrefix(e.Message, "an error answer ") {
		t.Errorf("a message that is nowhere in the table: %q", e.Message)
	}
	if rest := strings.Replace(text, e.Error(), "", 1); !aroundForm.MatchString(rest) {
		t.Errorf("around a refusal stands what was answered: %q", rest)
	}
}

// WantKept fails where a token that a platform gave at a moment is not what comes
// back from where it is kept, or tells itself.
func WantKept(t testing.TB, token connectors.Token, given time.Time) {
	t.Helper()
	if token.Access == "" {
		t.Error("no token, and no error")
	}
	kept, err := json.Marshal(token)
	if err != nil {
		t.Fatalf("the token cannot be kept: %v", err)
	}
	var back connectors.Token
	if err := json.Unmarshal(kept, &back); err != nil {
		t.Fatalf("the token cannot be read again: %v", err)
	}
	again, err := json.Marshal(back)
	if err != nil || !bytes.Equal(again, kept) || back.Access != token.Access || back.Refresh != token.Refresh || back.Holder != token.Holder || !back.Expires.Equal(token.Expires) {
		t.Errorf("the token came back as another one: %s", again)
	}
	for _, shown := range []string{token.String(), fmt.Sprintf("%+v %#v", token, token), token.LogValue().String()} {
		if len(token.Access) > 20 && strings.Contains(shown, token.Access) {
			t.Errorf("the token tells itself: %s", shown)
		}
	}
	if token.HolderName != strings.Map(printable, token.HolderName) {
		t.Errorf("the holder's name is none that a terminal shows: %q", token.HolderName)
	}
	if life := token.Expires.Sub(given); !token.Expires.IsZero() && life < 0 && !token.Expires.After(time.Unix(0, 0)) {
		t.Errorf("the token ended before there were any: %s", token.Expires)
	}
}

func printable(r rune) rune {
	if r == utf8.RuneError || unicode.IsControl(r) {
		return -1
	}
	return r
}
