package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"oneid/internal/tablefile"
)

// queryCmd asks ClickHouse as the BI user.
type queryCmd struct {
	SQL    string `arg:"" help:"The query; - reads it from standard input."`
	Format string `help:"A format of ClickHouse: PrettyCompact, CSVWithNames, JSONEachRow, Parquet …" default:"" placeholder:"FORMAT"`
}

// Help shows below the usage.
func (queryCmd) Help() string {
	return "The BI user reads the public views and nothing else: customer_360, customer_orders, customer_order_items, customer_refunds, customer_tickets, identity_map_current, account_history, customer_redirects, dead_letters, reconciliation_days, pipeline_runs. `oneid query 'DESCRIBE TABLE customer_360'` explains each column.\n\nIn CSV, TabSeparated (what a pipe gets without --format) and any other format that a spreadsheet may open as a table a text that it would run as a formula has an apostrophe before it. JSONEachRow, Parquet and others for programs give texts as they are. Formats in which nobody can tell where a cell begins are refused: CustomSeparated, Template, RawBLOB, XML."
}

// Run prints the answer.
func (c queryCmd) Run(ctx context.Context, f folder) error {
	if c.SQL == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		c.SQL = string(text)
	}
	if c.Format == "" {
		c.Format = "TabSeparated"
		if isTerminal(os.Stdout) {
			c.Format = "PrettyCompact"
		}
	}
	bi, release, err := f.biEndpoint(ctx)
	if err != nil {
		return err
	}
	defer release()
	return ask(ctx, bi, c.SQL, c.Format, os.Stdout)
}

// sqlUser is where and as whom to ask ClickHouse over HTTP.
type sqlUser struct{ url, user, password, database string }

// ask sends a query and copies the answer to w.
func ask(ctx context.Context, to sqlUser, sql, format string, w io.Writer) error {
	address, err := url.Parse(to.url)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	address.RawQuery = url.Values{"database": {to.database}, "default_format": {format}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), strings.NewReader(sql))
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	request.Header.Set("X-ClickHouse-User", to.user)
	request.Header.Set("X-ClickHouse-Key", to.password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return hinted{fmt.Errorf("query: %w", err), "is ClickHouse up? `oneid doctor` checks its address and password"}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		return errors.New(strings.TrimSpace(string(text)))
	}
	// What the query itself says wins over --format.
	if answered := response.Header.Get("X-ClickHouse-Format"); answered != "" {
		format = answered
	}
	return copyHarmless(w, response.Body, strings.ToUpper(format))
}

// tabular are the beginnings of the names, in capitals, of formats whose cells
// begin a line or follow a tab, and are in no quotes.
var tabular = []string{"TABSEPARATED", "TSV", "TSKV", "RAW", "LINEASSTRING", "PRETTY", "VERTICAL", "MARKDOWN", "MD", "PROMETHEUS"}

// forPrograms are the beginnings of the names of formats which no spreadsheet takes
// for a table of cells: binary ones, and those that have texts in quotes and escape
// what ends a line.
var forPrograms = []string{
	"JSON", "NDJSON", "VALUES", "SQLINSERT", "HASH", "NULL", "PARQUET", "ARROW", "ORC", "AVRO", "BSON", "MSGPACK", "NATIVE", "NPY",
	"PROTOBUF", "CAPNPROTO", "ROWBINARY", "ODBCDRIVER", "MYSQLWIRE", "POSTGRESQLWIRE", "BUFFERS", "GEOJSON", "PNG",
}

// copyHarmless copies an answer of a format, in capitals. What people may open
// in a spreadsheet holds no formula; what is for programs carries texts as they
// are. Any other is refused, one that a later ClickHouse brings among them: XML, a
// text by itself (RawBLOB), and what has separators of one's own.
func copyHarmless(w io.Writer, answer io.Reader, format string) error {
	begins := func(name string) bool { return strings.HasPrefix(format, name) }
	end := func() error { return nil }
	switch {
	case begins("CSV"):
		w = &harmlessCSV{to: w}
	case format != "RAWBLOB" && slices.ContainsFunc(tabular, begins):
		tabs := &harmlessTabs{to: w}
		w, end = tabs, tabs.end
	case !slices.ContainsFunc(forPrograms, begins):
		return hinted{fmt.Errorf("query: nobody can tell where a cell begins in an answer of the format %s, and so not keep formulas out of it", format), "use CSVWithNames or TabSeparated, or JSONEachRow and a program of yours"}
	}
	if _, err := io.Copy(w, answer); err != nil {
		return fmt.Errorf("query: read the answer: %w", err)
	}
	if err := end(); err != nil {
		return fmt.Errorf("query: write the answer: %w", err)
	}
	return nil
}

// harmlessCSV passes a CSV of ClickHouse's on, which has all texts in quotes.
// A text that a spreadsheet would run as a formula gets an apostrophe before
// it: names of goods and nicks are written by strangers.
type harmlessCSV struct {
	to io.Writer
	// quoted: inside of a text; opened: its first character is not complete;
	// closing: a quote was seen that ends it, unless another follows.
	quoted, opened, closing bool
	// first holds back what came of a text's first character.
	first, out []byte
}

func (h *harmlessCSV) Write(p []byte) (int, error) {
	h.out = h.out[:0]
	for _, b := range p {
		switch {
		case !h.quoted && b == '"':
			h.quoted, h.opened = true, true
		case !h.quoted:
		case h.closing && b == '"': // two stand for one
			h.closing = false
		case h.closing:
			h.quoted, h.closing = false, false
		case b == '"':
			h.closing = true
		case h.opened:
			if h.first = append(h.first, b); !utf8.FullRune(h.first) {
				continue
			}
			if first, _ := utf8.DecodeRune(h.first); tablefile.Dangerous(first) {
				h.out = append(h.out, '\'')
			}
			h.out = append(h.out, h.first[:len(h.first)-1]...)
		}
		if h.quoted && b != '"' || h.closing {
			if h.closing { // the text ends within its first character: it is none
				h.out = append(h.out, h.first...)
			}
			h.opened, h.first = false, h.first[:0]
		}
		h.out = append(h.out, b)
	}
	if _, err := h.to.Write(h.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// harmlessTabs passes cells on that tabs and line ends part, numbers and texts
// alike without quotes. end must be called after the last.
type harmlessTabs struct {
	to io.Writer
	// passing: the cell is known to be harmless, or was made so.
	passing bool
	// cell holds back a cell's beginning until that is known.
	cell, out []byte
}

// longestNumber is longer than any number of ClickHouse's.
const longestNumber = 100

func (h *harmlessTabs) Write(p []byte) (int, error) {
	h.out = h.out[:0]
	for _, b := range p {
		switch {
		case b == '\t' || b == '\n' || b == '\r':
			h.release()
			h.passing = false
			h.out = append(h.out, b)
		case h.passing:
			h.out = append(h.out, b)
		default:
			h.cell = append(h.cell, b)
			first, _ := utf8.DecodeRune(h.cell)
			switch {
			case utf8.FullRune(h.cell) && !tablefile.Dangerous(first):
				h.release()
			case len(h.cell) > longestNumber: // its beginning may look like one
				h.out = append(h.out, '\'')
				h.out, h.cell, h.passing = append(h.out, h.cell...), h.cell[:0], true
			}
		}
	}
	if _, err := h.to.Write(h.out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// release lets go what is held of a cell, with an apostrophe if it is dangerous.
func (h *harmlessTabs) release() {
	if len(h.cell) > 0 {
		h.out = append(h.out, tablefile.Harmless(string(h.cell))...)
		h.cell = h.cell[:0]
	}
	h.passing = true
}

func (h *harmlessTabs) end() error {
	h.out = h.out[:0]
	h.release()
	_, err := h.to.Write(h.out)
	return err
}
