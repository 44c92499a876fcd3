package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"oneid/internal/customer/insight"
)

// identityReviewCmd lists what a person should look at.
type identityReviewCmd struct {
	Limit int  `help:"The most pairs to list, up to 1000." default:"20"`
	JSON  bool `help:"Print one JSON object."`
}

// Help shows below the usage.
func (identityReviewCmd) Help() string {
	return "Lists pairs of customers that share an identifier, or that the model of the rules finds alike, and are kept apart, and why: those first whose answer is worth most, by what the one who has paid less has paid. Look at both (`oneid lookup --account …`), then say it:\n\n  oneid decide same A B --reason TEXT\n  oneid decide different A B --reason TEXT\n\nA pair that was answered is not asked again, unless the answer is taken back. It works beside `oneid up`."
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
	questions, err := reporter.Queue(ctx, c.Limit)
	show.finish()
	if err != nil {
		return err
	}
	if c.JSON {
		if questions == nil {
			questions = []insight.Question{}
		}
		return printJSON(struct {
			Pairs []insight.Question `json:"pairs"`
		}{questions})
	}
	return printQuestions(os.Stdout, questions)
}

func printQuestions(out io.Writer, questions []insight.Question) error {
	if len(questions) == 0 {
		fmt.Fprintln(out, "there is nothing to look at")
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ACCOUNT\tPAID\tACCOUNT\tPAID\tSHARE\tAPART BECAUSE")
	for _, q := range questions {
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
	return w.Flush()
}

// reporter looks at the customers in ClickHouse.
func (i *instance) reporter() (*insight.Reporter, error) {
	rules, err := i.identityRules()
	if err != nil {
		return nil, err
	}
	return &insight.Reporter{ClickHouse: i.clickhouse, Rules: rules}, nil
}
