package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"oneid/identity"
	"oneid/pipelines/decide"
	"oneid/pipelines/rebuild"
)

// rulesFlag names the rules that may be adopted.
type rulesFlag struct {
	Rules string `help:"YAML file of the rules, whole: what is not in it joins nothing. Empty means those that ship." placeholder:"FILE"`
}

func (r rulesFlag) read() (*identity.Rules, error) {
	if r.Rules == "" {
		return identity.DefaultRules(), nil
	}
	text, err := os.ReadFile(r.Rules)
	if err != nil {
		return nil, fmt.Errorf("read the rules: %w", err)
	}
	rules, err := identity.ParseRules(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Rules, err)
	}
	return rules, nil
}

// identityPlanCmd says what other rules would change.
type identityPlanCmd struct {
	rulesFlag
	Samples int  `help:"The most customers of each kind to show." default:"10"`
	JSON    bool `help:"Print one JSON object."`
}

const rulesHelp = "Rules are adopted by a decision, which every resolver takes at the same place of the journal: all accounts are resolved anew there, and the ids of customers live on as at every merge and split. It is listed by `oneid decide list` and taken back by `oneid decide undo`. identity.rules_file in oneid.yaml is what an instance begins with; later `plan` and `apply` change its rules."

// Help shows below the usage.
func (identityPlanCmd) Help() string {
	return "Resolves everything that is stored by other rules, in memory, and says how many customers would come together or apart, with the biggest of them. Nothing changes. It works beside `oneid up`.\n\n" + rulesHelp
}

// Run plans.
func (c identityPlanCmd) Run(ctx context.Context, f folder) error {
	rules, err := c.read()
	if err != nil {
		return err
	}
	plan, err := f.plan(ctx, rules, c.Samples, c.JSON)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(plan)
	}
	printPlan(os.Stdout, plan)
	return nil
}

// plan says what rules would change, by what is resolved.
func (f folder) plan(ctx context.Context, rules *identity.Rules, samples int, quiet bool) (plan rebuild.Plan, err error) {
	if err := f.mustExist(); err != nil {
		return plan, err
	}
	show := newProgress(quiet)
	n, err := openMover(ctx, f, need{quiet: true}, show)
	if err != nil {
		return plan, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	what := ""
	again := &rebuild.Rebuild{
		Brand: n.settings.Brand, ClickHouse: n.clickhouse, Kafka: n.kafka, Topics: n.topics, Rules: n.rules, Log: n.log,
		Progress: func(now string, rows int) {
			if now != what {
				what = now
				show.start("reading "+now, 0)
			}
			show.set(int64(rows), 0)
		},
	}
	plan, err = again.Plan(ctx, rules, samples)
	show.fail(err)
	show.finish()
	return plan, err
}

func printPlan(out io.Writer, p rebuild.Plan) {
	fmt.Fprintf(out, "%d customers with %d accounts would be %d\n", p.Customers, p.Accounts, p.CustomersAfter)
	fmt.Fprintf(out, "  %d accounts would have another customer_id\n", p.Moved)
	fmt.Fprintf(out, "  %d customers would come together, as %d\n", p.JoinedFrom, p.JoinedTo)
	fmt.Fprintf(out, "  %d customers would come apart, as %d\n", p.SplitFrom, p.SplitTo)
	for _, kind := range []struct {
		title  string
		shifts []rebuild.Shift
	}{{"the biggest that would come together", p.Joins}, {"the biggest that would come apart", p.Splits}} {
		if len(kind.shifts) > 0 {
			fmt.Fprintf(out, "\n%s\n", kind.title)
		}
		for _, s := range kind.shifts {
			accounts := strings.Join(s.Accounts, " ")
			if more := s.Size - len(s.Accounts); more > 0 {
				accounts += fmt.Sprintf(" and %d more", more)
			}
			fmt.Fprintf(out, "  %d → %d  %s  (%s)\n", len(s.Customers), len(s.To), accounts, strings.Join(s.Why, "; "))
		}
	}
	if len(p.Never) > 0 {
		types := make([]string, len(p.Never))
		for i, t := range p.Never {
			types[i] = string(t)
		}
		fmt.Fprintf(out, "\nother values of %s would never join: that holds for what comes; what is stored goes on joining\n", strings.Join(types, ", "))
	}
}

// identityApplyCmd adopts other rules.
type identityApplyCmd struct {
	rulesFlag
	Yes bool `help:"Do not ask."`
	wordFlags
}

// Help shows below the usage.
func (identityApplyCmd) Help() string {
	return "Shows the plan, asks, and adopts the rules.\n\n" + rulesHelp + "\n\n  oneid identity apply --rules rules.yaml --reason 'family phones joined strangers'"
}

// errNotAdopted says that nobody said yes.
var errNotAdopted = errors.New("the rules are not adopted")

// Run adopts.
func (c identityApplyCmd) Run(ctx context.Context, f folder) error {
	rules, err := c.read()
	if err != nil {
		return err
	}
	if !c.Yes {
		if !isTerminal(os.Stdin) {
			return hinted{errNotAdopted, "nobody is there to ask: look at `oneid identity plan`, and say --yes"}
		}
		plan, err := f.plan(ctx, rules, 10, c.JSON)
		if err != nil {
			return err
		}
		printPlan(os.Stderr, plan)
		if fmt.Fprint(os.Stderr, "\nadopt these rules? Type yes: "); !saysYes(os.Stdin) {
			return errNotAdopted
		}
	}
	return f.decide(ctx, c.JSON, nil, func(ctx context.Context, d *decide.Desk) (decide.Decision, bool, error) {
		return d.Adopt(ctx, rules, c.who(), c.Reason)
	})
}

// saysYes reads one line.
func saysYes(from io.Reader) bool {
	line, _ := bufio.NewReader(from).ReadString('\n') // what cannot be read is no yes
	return strings.TrimSpace(line) == "yes"
}
