package conformance

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"oneid/connectors"
)

// FuzzSecret has characters that no code has: it is found wherever it is repeated.
const FuzzSecret = "秘密/secret"

// An AskFor asks a connector for a page of a list to which the platform says one
// thing, whatever else it is asked.
type AskFor func(t *testing.T, status int, header http.Header, body []byte) (connectors.Rows, error)

// FuzzAnswer fuzzes what a platform answers to a call for a list, from these bodies
// on: rows are given, each as it stands in the answer, or an error that repeats
// nothing of it, and never both. more looks at what is the connector's own.
func FuzzAnswer(f *testing.F, codes *connectors.Codes, bodies []string, ask AskFor, more func(t *testing.T, body []byte, got connectors.Rows, err error)) {
	for _, body := range bodies {
		f.Add(uint16(0), "", []byte(body))
		f.Add(uint16(229), "3", []byte(body))
	}
	f.Add(uint16(303), "Wed, 21 Oct 2026 07:28:00 GMT", []byte("busy"))
	f.Fuzz(func(t *testing.T, status uint16, retryAfter string, body []byte) {
		synctest.Test(t, func(t *testing.T) {
			header := http.Header{"Retry-After": {retryAfter}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}
			got, err := ask(t, 200+int(status%400), header, body)
			switch {
			case err != nil:
				if got.Rows != nil || got.Total != 0 {
					t.Errorf("%d rows of %d beside an error", len(got.Rows), got.Total)
				}
				WantQuiet(t, err, codes)
			case status%400 >= 100 || got.Rows == nil && got.Total < 0:
				t.Errorf("%d rows of %d, of status %d", len(got.Rows), got.Total, 200+status%400)
			}
			for _, row := range got.Rows {
				mended, isMended := connectors.Text(row)
				if !connectors.Valid(row) || !bytes.ContainsRune(body, '\\') && !bytes.Contains(body, row) && (!isMended || utf8.Valid(body) && !bytes.Contains(body, []byte(mended))) {
					t.Errorf("a row that the answer does not hold: %q", row)
				}
			}
			if more != nil {
				more(t, body, got, err)
			}
		})
	})
}

// WantRows fails where the rows of a list do not come as they are: the lines of a text
// that are JSON by themselves, of which the one at a place is broken so that no
// repetition makes it JSON, and costs none of the others. answer writes so many rows,
// parted by commas, as the platform does.
func WantRows(t *testing.T, text string, at uint8, broken []byte, answer func(rows []byte, total int) []byte, ask AskFor) {
	t.Helper()
	var rows [][]byte
	for _, line := range bytes.Split([]byte(text), []byte("\n")) {
		if line = bytes.Trim(line, " \t\r"); utf8.Valid(line) && connectors.Valid(line) {
			rows = append(rows, line)
		}
	}
	if int(at) < len(rows) {
		rows[at] = broken
	}
	want := len(rows)
	body := answer(bytes.Join(rows, []byte(", ")), want)
	synctest.Test(t, func(t *testing.T) {
		got, err := ask(t, http.StatusOK, nil, body)
		if err != nil || len(got.Rows) != want || got.Total != want {
			t.Fatalf("%d rows of %d, %d in all, %v", len(got.Rows), want, got.Total, err)
		}
		for i, row := range got.Rows {
			if mended, ok := connectors.Text(row); !bytes.Equal(row, rows[i]) && (!ok || mended != string(rows[i])) {
				t.Errorf("row %d is %q, and was %q", i, row, rows[i])
			}
		}
	})
}

// WantGrant fails where what renew makes of a platform's answer is neither a token
// that can be kept as it is, nor an error that says none of it. more looks at a token.
func WantGrant(t *testing.T, codes *connectors.Codes, renew func(t *testing.T) (connectors.Token, error), more func(t *testing.T, token connectors.Token, given time.Time)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		got, err := renew(t)
		if err != nil {
			if got.Access != "" {
				t.Error("a token beside an error")
			}
			WantQuiet(t, err, codes)
			return
		}
		WantKept(t, got, now)
		if more != nil {
			more(t, got, now)
		}
	})
}

// Quoted is a JSON text that holds another.
func Quoted(raw []byte) []byte {
	text, _ := json.Marshal(string(raw)) // texts always have a JSON form
	return text
}
