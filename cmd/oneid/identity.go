package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/identity"
	"oneid/internal/customer/insight"
	"oneid/internal/customer/past"
)

// identityCmd is about who is who in all of the instance.
type identityCmd struct {
	Report  identityReportCmd  `cmd:"" help:"How good the customers are: sizes, conflicts, what joins too much."`
	History identityHistoryCmd `cmd:"" help:"Which customer an account was, and where an id went."`
	Review  identityReviewCmd  `cmd:"" help:"Pairs of customers that may be one, most valuable first."`
	Plan    identityPlanCmd    `cmd:"" help:"What other rules would change, before they do."`
	Resolve identityResolveCmd `cmd:"" help:"Resolve all that is stored anew, here or as SQL on ClickHouse, and compare."`
	Apply   identityApplyCmd   `cmd:"" help:"Adopt other rules; a decision that can be taken back."`
	// Of any tables, not of the instance.
	Train    identityTrainCmd    `cmd:"" help:"Learn from tables what a model's comparisons are worth."`
	Link     identityLinkCmd     `cmd:"" help:"Link tables with what was learned, without learning."`
	Evaluate identityEvaluateCmd `cmd:"" help:"Measure clusters of tables against the truth."`
	Explain  identityExplainCmd  `cmd:"" help:"Say why two records of a table are one entity, or not."`
}

// identityReportCmd reports the quality of the customers.
type identityReportCmd struct {
	HTML string `name:"html" help:"Write a page with pictures into this file, which needs nothing else." placeholder:"FILE"`
	JSON bool   `help:"Print one JSON object."`
}

// Help shows below the usage.
func (identityReportCmd) Help() string {
	return "Counts customers by their size and says, for each platform, how many accounts were found on another one too. It names what deserves a look: the biggest customers and the accounts that alone hold one together, identifiers, and receivers of the model, that bear too many accounts to join any, and why accounts that share an identifier are kept apart. What people decided is compared with what OneID had said before. Where the rules use a model, its joins are counted apart.\n\nIt works beside `oneid up`, shows accounts and parts of keyed hashes, and no value that points at a person. Customers are counted as customer_360 has them."
}

// Run reports.
func (c identityReportCmd) Run(ctx context.Context, f folder) (err error) {
	i, zone, err := openToRead(ctx, f, c.JSON)
	if err != nil {
		return err
	}
	defer func() { _ = i.close() }() // what was asked for is read already
	if i.owner {                     // of a folder that has never been up, or that an older version has left
		if _, err := i.clickhouse.Migrate(ctx); err != nil {
			return err
		}
	}
	taker, err := i.reporter()
	if err != nil {
		return err
	}
	show := newProgress(c.JSON)
	taker.Progress = func(what string) { show.start("looking at "+what, 0) }
	report, err := taker.Take(ctx)
	show.finish()
	if err != nil {
		return err
	}
	if c.HTML != "" {
		if err := writeFile(c.HTML, func(w io.Writer) error { return report.WritePage(w, i.settings.Brand, zone) }); err != nil {
			return err
		}
	}
	switch {
	case c.JSON:
		return printJSON(report)
	case c.HTML != "":
		fmt.Println("the report is in " + c.HTML)
		return nil
	}
	return printQuality(os.Stdout, report, zone)
}

// openToRead opens ClickHouse of a folder, and says the brand's time zone.
func openToRead(ctx context.Context, f folder, quiet bool) (*instance, *time.Location, error) {
	if err := f.mustExist(); err != nil {
		return nil, nil, err
	}
	i, err := open(ctx, f, need{clickhouse: true, quiet: true}, newProgress(quiet))
	if err != nil {
		return nil, nil, err
	}
	zone, err := time.LoadLocation(i.settings.Timezone)
	if err != nil {
		_ = i.close() // the first error is the one to tell
		return nil, nil, err
	}
	return i, zone, nil
}

// identityHistoryCmd says which customer an account was, or where an id went.
type identityHistoryCmd struct {
	Account  string `help:"An account, PLATFORM/SHOP/ID." xor:"key" required:""`
	Customer string `help:"A customer_id." xor:"key" required:""`
	On       string `help:"Which customer the account was at the end of that day, in the brand's time zone." placeholder:"YYYY-MM-DD"`
	JSON     bool   `help:"Print one JSON object."`
}

// Help shows below the usage.
func (identityHistoryCmd) Help() string {
	return "Prints an account's customers in the order of time, and why it went to each: born, the kinds of what holds it to others, or split; and below whose decision it was, if it was one. With --on it answers for one day, for an audit or a report of that time.\n\nFor a customer_id it prints who bears it now, or the customer that it leads to, and each account that came to it or left it. `oneid explain` says what joins a customer's accounts today."
}

// Run answers.
func (c identityHistoryCmd) Run(ctx context.Context, f folder) error {
	if c.On != "" && c.Account == "" {
		return hinted{errors.New("--on asks about an account"), "name it with --account"}
	}
	if _, err := time.Parse(time.DateOnly, c.On); c.On != "" && err != nil {
		return hinted{errors.New("--on is no day"), "write it as 2026-11-11"}
	}
	var account identity.Account
	var customer identity.CustomerID
	var err error
	if c.Customer != "" {
		customer, err = identity.ParseCustomerID(c.Customer)
	} else {
		account, err = identity.ParseAccount(c.Account)
	}
	if err != nil {
		return err
	}
	i, zone, err := openToRead(ctx, f, c.JSON)
	if err != nil {
		return err
	}
	defer func() { _ = i.close() }() // what was asked for is read already
	if c.Customer != "" {
		return c.fate(ctx, i, customer, zone)
	}
	moves, err := past.Of(ctx, i.clickhouse, account)
	if errors.Is(err, past.ErrUnknown) {
		return hinted{errors.New("that account was never seen"), "write it as PLATFORM/SHOP/ID, as `oneid lookup` shows it"}
	}
	if err != nil {
		return err
	}
	if c.On != "" {
		was, ok, err := past.OnDay(moves, c.On, zone)
		if err != nil {
			return err
		}
		if !ok {
			return hinted{fmt.Errorf("the account was not known yet at the end of %s", c.On), "it was first seen at " + moves[0].At.In(zone).Format(time.DateTime)}
		}
		moves = []past.Move{was}
	}
	if c.JSON {
		return printJSON(struct {
			Account string      `json:"account"`
			Moves   []past.Move `json:"moves"`
		}{account.String(), moves})
	}
	return printMoves(os.Stdout, moves, zone, false)
}

func (c identityHistoryCmd) fate(ctx context.Context, i *instance, id identity.CustomerID, zone *time.Location) error {
	fate, err := past.FateOf(ctx, i.clickhouse, id)
	if errors.Is(err, past.ErrUnknown) {
		return hinted{errors.New("that customer_id was never handed out"), "is it of another brand, or cut off?"}
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(fate)
	}
	switch {
	case len(fate.Accounts) > 0:
		fmt.Printf("customer %s lives, with %d accounts\n", id, len(fate.Accounts))
	case fate.RedirectsTo != (identity.CustomerID{}):
		fmt.Printf("customer %s is %s since %s\n", id, fate.RedirectsTo, fate.Since.In(zone).Format(time.DateTime))
	default:
		fmt.Printf("customer %s has no accounts any more\n", id)
	}
	return printMoves(os.Stdout, fate.Moves, zone, true)
}

// printMoves prints moves, a line each.
func printMoves(out io.Writer, moves []past.Move, zone *time.Location, accounts bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var notes []string
	for _, m := range moves {
		account := ""
		if accounts {
			account = m.Account + "\t"
		}
		from := ""
		if m.From != (identity.CustomerID{}) && m.From != m.To {
			from = "from " + m.From.String()
		}
		fmt.Fprintf(w, "%s\t%s%s\t%s\t%s\n", m.At.In(zone).Format(time.DateTime), account, m.To, m.Why, from)
		for _, d := range m.Words {
			of := ""
			if d.Undoes != "" {
				of = " of " + d.Undoes
			}
			notes = append(notes, fmt.Sprintf("%s: decision %s (%s%s), by %s: %s", m.At.In(zone).Format(time.DateTime), d.ID, d.Kind, of, d.Who, d.Reason))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	slices.Sort(notes)
	for _, note := range slices.Compact(notes) { // many accounts may have moved by one
		fmt.Fprintln(out, note)
	}
	return nil
}

func printQuality(out io.Writer, r *insight.Report, zone *time.Location) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		text := make([]string, len(cells))
		for i, c := range cells {
			text[i] = fmt.Sprint(c)
		}
		fmt.Fprintln(w, strings.Join(text, "\t"))
	}
	head := func(title string) { fmt.Fprintln(w, "\n"+title) }
	row(fmt.Sprintf("%d customers with %d accounts at %s; %d are made only of orders whose buyer is not named", r.Customers, r.Accounts, r.Taken.In(zone).Format(time.DateTime), r.Unnamed))
	head("accounts of a customer")
	for _, s := range r.Sizes {
		label := fmt.Sprint(s.From)
		if s.To == 0 {
			label += " or more"
		} else if s.To != s.From {
			label += fmt.Sprintf(" to %d", s.To)
		}
		row("  "+label, s.Customers)
	}
	head("found on another platform too")
	for _, p := range r.Platforms {
		row("  "+p.Platform, fmt.Sprintf("%d of %d accounts", p.Joined, p.Accounts), fmt.Sprintf("%.1f %%", 100*p.Share()))
	}
	head("identifiers, in roles in which they join")
	row("  type", "seen", "shared", "inert", "parted")
	for _, t := range r.Identifiers {
		row("  "+string(t.Type), t.Seen, t.Shared, t.Inert, t.Parted)
	}
	if len(r.Inert) > 0 {
		head("inert: they bear too many accounts to join any")
		for _, i := range r.Inert {
			row("  "+i.Identifier, fmt.Sprintf("%d accounts", i.Accounts), fmt.Sprintf("%d allowed", i.Allowed))
		}
	}
	if len(r.Bearers) > 0 {
		head("accounts that bear too many values of a type, as who orders for others: these join them to nobody")
		for _, b := range r.Bearers {
			row("  "+b.Account, b.Type, fmt.Sprintf("%d at a time", b.Values), fmt.Sprintf("%d allowed", b.Allowed))
		}
	}
	if m := r.Model; m != nil {
		head("joins, of which a customer of n accounts takes n-1, by what they are; the model is " + m.Name)
		if m.Customers < m.Of {
			row(fmt.Sprintf("  counted on %d of the %d customers of several accounts", m.Customers, m.Of))
		}
		row("  identifiers", m.ByIdentifiers)
		row("  people", m.ByPeople)
		row("  the model", m.ByModel, fmt.Sprintf("%.1f %%", 100*m.Share()))
		if m.InertBlocks > 0 {
			head(fmt.Sprintf("receivers that look alike and join nobody, since too many accounts have them: %d; those with most", m.InertBlocks))
			for _, b := range m.Inert {
				row(fmt.Sprintf("  %d accounts", b.Accounts), fmt.Sprintf("%d allowed", b.Allowed), fmt.Sprintf("%d receivers", b.Receivers), "among them "+b.Account)
			}
		}
	}
	if len(r.Conflicts) > 0 {
		head(fmt.Sprintf("parted: accounts share them and are several customers (the %d with most customers)", r.ConflictsSeen))
		for _, c := range r.Conflicts {
			row("  "+string(c.Type), c.Identifiers, insight.Words(c.Reason))
		}
	}
	if len(r.Biggest) > 0 {
		head("the biggest customers")
		for _, c := range r.Biggest {
			var parts []string
			for _, platform := range slices.Sorted(maps.Keys(c.ByPlatform)) {
				parts = append(parts, fmt.Sprintf("%s %d", platform, c.ByPlatform[platform]))
			}
			row("  "+c.ID.String(), fmt.Sprintf("%d accounts", c.Accounts), strings.Join(parts, ", "))
		}
	}
	if len(r.Bridges) > 0 {
		head("accounts without which one of them would fall apart: a wrong merge often has one")
		for _, b := range r.Bridges {
			parts := make([]string, len(b.Parts))
			for i, n := range b.Parts {
				parts[i] = fmt.Sprint(n)
			}
			through := ""
			if b.ThroughModel {
				through = "by the model"
			}
			row("  "+b.Account, strings.Join(parts, " + "), b.Customer, through)
		}
	}
	head("what people said of pairs that they looked at")
	d := r.Decisions
	row("  was one customer", fmt.Sprintf("same %d", d.JoinedRightly), fmt.Sprintf("different %d", d.JoinedWrongly))
	row("  was two", fmt.Sprintf("same %d", d.Missed), fmt.Sprintf("different %d", d.ApartRightly))
	for _, ids := range r.Contradictions {
		row("  in conflict, take one back: " + strings.Join(ids, " "))
	}
	for _, j := range r.Judged() {
		row(fmt.Sprintf("  %.1f %% right (%.1f to %.1f, with 95 %% confidence) of %d %s, %s", 100*j.Share, 100*j.Low, 100*j.High, j.Pairs, j.Of, j.Sample))
	}
	return w.Flush()
}
