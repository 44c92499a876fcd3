package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"oneid/identity"
	"oneid/identity/normalize"
	"oneid/internal/customer"
	"oneid/internal/customer/insight"
	"oneid/internal/customer/profile"
	"oneid/internal/keyring"
)

// identityReviewCmd lists what a person should look at.
type identityReviewCmd struct {
	Limit  int  `help:"The most pairs to list, up to 1000." default:"20"`
	Joined bool `help:"Pairs of accounts that are one customer, drawn at random of all such pairs: are they one person?"`
	JSON   bool `help:"Print one JSON object."`
}

// Help shows below the usage.
func (identityReviewCmd) Help() string {
	return "Lists pairs of customers that share an identifier, or that the model of the rules finds alike, and are kept apart, and why: those first whose answer is worth most, by what the one who has paid less has paid. Below each pair stands what the two accounts were seen with, with the middle of each value hidden, and = before what both were. For more look at both (`oneid lookup --account …`), then say it:\n\n  oneid decide same A B --reason TEXT\n  oneid decide different A B --reason TEXT\n\nWith --joined it lists pairs of accounts that are one customer, drawn at random. Answer them in their order: how many were right then says how right all joins are, in `oneid identity report`, with the bounds of chance.\n\nA pair that was answered is not asked again, unless the answer is taken back. Answers that contradict each other are named below. It works beside `oneid up`."
}

// Run lists them.
func (c identityReviewCmd) Run(ctx context.Context, f folder) error {
	i, _, err := openToRead(ctx, f, c.JSON)
	if err != nil {
		return err
	}
	defer func() { _ = i.close() }() // what was asked for is read already
	reporter, err := i.reporter()
	if err != nil {
		return err
	}
	show := newProgress(c.JSON)
	show.start("looking for pairs", 0)
	list := reporter.Queue
	if c.Joined {
		list = reporter.Sample
	}
	questions, err := list(ctx, c.Limit)
	show.finish()
	if err != nil {
		return err
	}
	conflicts, err := reporter.Contradictions(ctx)
	if err != nil {
		return err
	}
	pairs, err := i.seenBy(ctx, questions)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(struct {
			Pairs []reviewed `json:"pairs"`
			// Conflicts are decisions that contradict each other, by their ids.
			Conflicts [][]string `json:"conflicts,omitempty"`
		}{pairs, conflicts})
	}
	if err := printQuestions(os.Stdout, pairs, c.Joined); err != nil {
		return err
	}
	for _, ids := range conflicts {
		fmt.Printf("decisions are in conflict: %s; see `oneid decide list`\n", strings.Join(ids, " "))
	}
	return nil
}

// reviewed is a question with what its two accounts were seen with, masked.
type reviewed struct {
	insight.Question
	Seen []customer.Seen `json:"seen"`
}

// seenBy reads what the accounts of questions were seen with.
func (i *instance) seenBy(ctx context.Context, questions []insight.Question) ([]reviewed, error) {
	stored := profile.NewStored(i.clickhouse)
	out := make([]reviewed, len(questions))
	for n, q := range questions {
		sides := make([][]identity.Evidence, len(q.Accounts))
		for side, text := range q.Accounts {
			account, err := identity.ParseAccount(text)
			if err != nil {
				return nil, err
			}
			if sides[side], err = stored.Evidence(ctx, []identity.Account{account}); err != nil {
				return nil, err
			}
		}
		seen, err := stored.Seen(ctx, i.keys, sides...)
		if err != nil {
			return nil, err
		}
		out[n] = reviewed{q, seen}
	}
	return out, nil
}

// printQuestions shows a table of pairs that are joined, or of ones that are kept
// apart, and below each pair what its accounts were seen with.
func printQuestions(out io.Writer, questions []reviewed, joined bool) error {
	if len(questions) == 0 {
		fmt.Fprintln(out, "there is nothing to look at")
		return nil
	}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 4, 2, ' ', 0)
	if joined {
		fmt.Fprintln(w, "ACCOUNT\tACCOUNT\tONE CUSTOMER, WHO HAS PAID")
	} else {
		fmt.Fprintln(w, "ACCOUNT\tPAID\tACCOUNT\tPAID\tSHARE\tAPART BECAUSE")
	}
	for _, q := range questions {
		if joined {
			fmt.Fprintf(w, "%s\t%s\t%s %s\n", q.Accounts[0], q.Accounts[1], q.Paid[0], q.Currency[0])
			continue
		}
		shares := make([]string, len(q.Shares))
		for i, s := range q.Shares {
			shares[i] = string(s)
		}
		why := make([]string, len(q.Reasons))
		for i, r := range q.Reasons {
			why[i] = insight.Words(r)
		}
		if q.Bits > 0 {
			why = append(why, fmt.Sprintf("%+.1f bits for one person (%s)", q.Bits, strings.Join(q.Parts, ", ")))
		}
		fmt.Fprintf(w, "%s\t%s %s\t%s\t%s %s\t%s\t%s\n", q.Accounts[0], q.Paid[0], q.Currency[0], q.Accounts[1], q.Paid[1], q.Currency[1], strings.Join(shares, ", "), strings.Join(why, "; "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	lines := strings.SplitAfter(table.String(), "\n")
	fmt.Fprint(out, lines[0])
	for n, q := range questions {
		fmt.Fprint(out, lines[n+1])
		for side, seen := range q.Seen {
			fmt.Fprintf(out, "    %s\n", q.Accounts[side])
			printSeen(out, seen)
		}
	}
	return nil
}

// reporter looks at the customers in ClickHouse.
func (i *instance) reporter() (*insight.Reporter, error) {
	rules, err := i.identityRules()
	if err != nil {
		return nil, err
	}
	open := func(hash identity.Hash, sealed []byte) (identity.Appearance, error) {
		value, err := i.keys.Open(nil, sealed, keyring.IdentifierContext(string(identity.AppearanceType), hash))
		if err != nil {
			return identity.Appearance{}, fmt.Errorf("open an appearance: %w", err)
		}
		return normalize.ParseAppearance(string(value))
	}
	return &insight.Reporter{ClickHouse: i.clickhouse, Rules: rules, Models: i.scorers, Open: open}, nil
}
