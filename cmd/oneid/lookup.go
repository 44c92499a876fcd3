package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/internal/customer"
	"oneid/internal/customer/profile"
)

// lookupKey is what a customer is looked up by.
type lookupKey struct {
	Phone      string `help:"A phone number; - reads it from standard input." xor:"key" required:""`
	Unionid    string `help:"WeChat unionid; - reads it from standard input." xor:"key" required:""`
	MemberCard string `help:"The brand's member number; - reads it from standard input." xor:"key" required:""`
	Order      string `help:"An order, PLATFORM/SHOP/NO." xor:"key" required:""`
	Account    string `help:"An account, PLATFORM/SHOP/ID." xor:"key" required:""`
	Customer   string `help:"A customer_id." xor:"key" required:""`
	JSON       bool   `help:"Print JSON."`
}

// key is the key, read from standard input where it is -.
func (k lookupKey) key(in io.Reader) (customer.Key, error) {
	key := customer.Key{Phone: k.Phone, UnionID: k.Unionid, MemberCard: k.MemberCard, Order: k.Order, Account: k.Account, Customer: k.Customer}
	for _, value := range []*string{&key.Phone, &key.UnionID, &key.MemberCard, &key.Order, &key.Account, &key.Customer} {
		if *value == "-" {
			text, err := io.ReadAll(io.LimitReader(in, 4096))
			if err != nil {
				return key, fmt.Errorf("read standard input: %w", err)
			}
			*value = strings.TrimSpace(string(text))
		}
	}
	return key, nil
}

// lookupCmd finds a customer.
type lookupCmd struct{ lookupKey }

// Help shows below the usage.
func (lookupCmd) Help() string {
	return "Prints who the customer is on all platforms, why, and what happened: totals, the last ten orders, open tickets. Identifiers are shown masked. A value of - is read from standard input, so that it stays out of the shell's history:\n\n  echo 13800001111 | oneid lookup --phone -"
}

// Run prints the profile.
func (c lookupCmd) Run(ctx context.Context, f folder) error {
	found, err := f.lookup(ctx, c.lookupKey, false)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(found)
	}
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(settings.Timezone)
	if err != nil {
		return err
	}
	return printProfile(os.Stdout, found, zone)
}

// explainCmd says why accounts are one customer.
type explainCmd struct{ lookupKey }

// Help shows below the usage.
func (explainCmd) Help() string {
	return "Prints the path of evidence from the customer's first account to each other: what two accounts share, or which decision joined them."
}

// Run prints the reasons.
func (c explainCmd) Run(ctx context.Context, f folder) error {
	found, err := f.lookup(ctx, c.lookupKey, true)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(struct {
			CustomerID string             `json:"customer_id"`
			Accounts   []customer.Account `json:"accounts"`
			Reasons    []customer.Reason  `json:"reasons"`
		}{found.CustomerID, found.Accounts, found.Reasons})
	}
	fmt.Printf("customer %s\n", found.CustomerID)
	if len(found.Accounts) == 1 {
		fmt.Printf("  %s is the only account: nothing joins it to another\n", found.Accounts[0].Account)
	}
	printReasons(os.Stdout, found.Reasons)
	return nil
}

// lookup asks the folder's owner, or ClickHouse alone.
func (f folder) lookup(ctx context.Context, k lookupKey, whoOnly bool) (customer.Profile, error) {
	key, err := k.key(os.Stdin)
	if err != nil {
		return customer.Profile{}, err
	}
	if err := f.mustExist(); err != nil {
		return customer.Profile{}, err
	}
	found, err := f.lookupBy(ctx, key, whoOnly)
	if profile.IsNotFound(err) {
		return found, hinted{errors.New("no customer is known under that key"), "was it pulled or imported? `oneid query 'SELECT count() FROM customer_360'` says how many customers there are"}
	}
	return found, err
}

func (f folder) lookupBy(ctx context.Context, key customer.Key, whoOnly bool) (customer.Profile, error) {
	i, err := open(ctx, f, need{clickhouse: true, quiet: true}, newProgress(false))
	if err != nil {
		return customer.Profile{}, err
	}
	defer func() { _ = i.close() }() // what was asked for is read already
	if !i.owner {
		return f.askAPI(ctx, key, whoOnly)
	}
	profiles, err := i.storedProfiles()
	if err != nil {
		return customer.Profile{}, err
	}
	return profiles.Lookup(ctx, key, whoOnly)
}

// askAPI asks the look-up API of the folder's owner.
func (f folder) askAPI(ctx context.Context, key customer.Key, whoOnly bool) (found customer.Profile, err error) {
	e, err := f.endpoints()
	if err != nil {
		return found, err
	}
	secret, err := os.ReadFile(f.path(e.API.KeyFile))
	if err != nil {
		return found, fmt.Errorf("read the API key: %w", err)
	}
	body, err := json.Marshal(key)
	if err != nil {
		return found, err
	}
	url := e.API.URL + "/v1/customers:lookup"
	if whoOnly {
		url += "?parts=who"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return found, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(secret)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return found, fmt.Errorf("ask the look-up API: %w", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return found, json.NewDecoder(response.Body).Decode(&found)
	case http.StatusNotFound:
		return found, customer.ErrNotFound
	}
	var problem struct{ Title, Detail string }
	_ = json.NewDecoder(response.Body).Decode(&problem)
	return found, fmt.Errorf("the look-up API answers %s: %s", response.Status, problem.Detail)
}

func printJSON(v any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// printProfile shows a profile to a person, its times in the brand's zone.
func printProfile(out io.Writer, p customer.Profile, zone *time.Location) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "customer\t%s\n", p.CustomerID)
	if p.RedirectedFrom != "" {
		fmt.Fprintf(w, "\twas %s, which was merged into it\n", p.RedirectedFrom)
	}
	for _, other := range p.Others {
		fmt.Fprintf(w, "\talso seen with that key: %s\n", other)
	}
	for i, account := range p.Accounts {
		fmt.Fprintf(w, "%s\t%s\n", first(i, "accounts"), account.Account)
	}
	for i, identifier := range p.Identifiers {
		fmt.Fprintf(w, "%s\t%s %s (%s)\n", first(i, "identifiers"), identifier.Type, identifier.Masked, strings.Join(identifier.Roles, ", "))
	}
	if len(p.Memberships) > 0 {
		fmt.Fprintf(w, "member of\t%s\n", strings.Join(p.Memberships, ", "))
	}
	for i, total := range p.Totals {
		fmt.Fprintf(w, "%s\t%d orders, %s %s paid, %s refunded\n", first(i, "totals"), total.Orders, total.PaidAmount, total.Currency, total.RefundedAmount)
	}
	for i, order := range p.LastOrders {
		fmt.Fprintf(w, "%s\t%s  %s  %s  %s %s\n", first(i, "last orders"), order.CreatedAt.In(zone).Format(shownTime), order.OrderID, order.Status, order.PaidAmount, order.Currency)
	}
	for i, ticket := range p.OpenTickets {
		fmt.Fprintf(w, "%s\t%s  %s  %s  %s\n", first(i, "open tickets"), ticket.CreatedAt.In(zone).Format(shownTime), ticket.TicketID, ticket.Kind, ticket.Status)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	printReasons(out, p.Reasons)
	return nil
}

// shownTime names its zone.
const shownTime = time.DateTime + " MST"

// first is the title on the first line of a list.
func first(i int, title string) string {
	if i == 0 {
		return title
	}
	return ""
}

func printReasons(out io.Writer, reasons []customer.Reason) {
	for _, reason := range reasons {
		if reason.Bits > 0 {
			fmt.Fprintf(out, "  %s and %s: %s %+.1f bits (%s)\n", reason.From, reason.To, reason.Rule, reason.Bits, reason.Parts)
			continue
		}
		fmt.Fprintf(out, "  %s and %s: %s %s\n", reason.From, reason.To, reason.Rule, reason.Masked)
	}
}
