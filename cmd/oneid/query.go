package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"oneid/internal/tablefile"
)

// queryCmd asks ClickHouse as the BI user.
type queryCmd struct {
	SQL    string `arg:"" help:"The query; - reads it from standard input."`
	Format string `help:"Any ClickHouse format: PrettyCompact, CSVWithNames, JSONEachRow, Parquet …" default:"" placeholder:"FORMAT"`
}

// Help shows below the usage.
func (queryCmd) Help() string {
	return "The BI user reads the public views and nothing else: customer_360, customer_orders, customer_order_items, customer_refunds, customer_tickets, identity_map_current, dead_letters, reconciliation_days, pipeline_runs. `oneid query 'DESCRIBE TABLE customer_360'` explains each column."
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
	if strings.HasPrefix(strings.ToUpper(format), "CSV") {
		w = &harmlessCSV{to: w}
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("query: read the answer: %w", err)
	}
	return nil
}

// harmlessCSV passes a CSV of ClickHouse's on, which has all texts in quotes.
// A text that a spreadsheet would run as a formula gets an apostrophe before
// it: names of goods and nicks are written by strangers.
type harmlessCSV struct {
	to io.Writer
	// quoted: inside of a text; opened: its first byte comes next; closing: a
	// quote was seen that ends it, unless another follows.
	quoted, opened, closing bool
	out                     []byte
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
		case h.opened && tablefile.Dangerous(b):
			h.out = append(h.out, '\'')
		}
		if h.quoted && b != '"' || h.closing {
			h.opened = false
		}
		h.out = append(h.out, b)
	}
	if _, err := h.to.Write(h.out); err != nil {
		return 0, err
	}
	return len(p), nil
}
