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
	if _, err := models().Of(rules); err != nil {
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
	err = f.rebuilding(ctx, quiet, func(r *rebuild.Rebuild) (err error) {
		plan, err = r.Plan(ctx, rules, samples)
		return err
	})
	return plan, err
}

// rebuilding opens what is stored, to be resolved anew.
func (f folder) rebuilding(ctx context.Context, quiet bool, work func(*rebuild.Rebuild) error) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	show := newProgress(quiet)
	n, err := openMover(ctx, f, need{quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	err = work(n.rebuild(show))
	show.fail(err)
	show.finish()
	return err
}

// identityResolveCmd resolves everything anew.
type identityResolveCmd struct {
	rulesFlag
	Engine string `help:"go: in this program's memory; clickhouse: as SQL, for what no machine's memory holds." enum:"go,clickhouse" default:"go"`
	JSON   bool   `help:"Print one JSON object."`
}

// Help shows below the usage.
func (identityResolveCmd) Help() string {
	return "Finds all customers from all that is stored, as if nothing were known, and compares them with those that there are. Both engines find the same. Nothing changes: to make the resolver's state anew, see `oneid rebuild`; to change the rules, `oneid identity apply`. With --rules it is by other rules, and the differences are what these would move.\n\nOn ClickHouse labels are passed on between accounts that share an identifier until none changes; components that a constraint may split are partitioned here by the rules, a part at a time.\n\nExit code: 0 no difference, or other rules; 3 there are differences; 1 failed. What arrives while it runs may count as one."
}

// Run resolves.
func (c identityResolveCmd) Run(ctx context.Context, f folder) error {
	var rules *identity.Rules
	if c.Rules != "" {
		var err error
		if rules, err = c.read(); err != nil {
			return err
		}
	}
	var found rebuild.Bulk
	err := f.rebuilding(ctx, c.JSON, func(r *rebuild.Rebuild) (err error) {
		if c.Engine == "clickhouse" {
			found, err = r.Bulk(ctx, rules)
		} else {
			found, err = r.Again(ctx, rules)
		}
		return err
	})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(found); err != nil {
			return err
		}
	} else {
		fmt.Printf("%d accounts are %d customers; %d accounts have another customer_id than this\n", found.Accounts, found.Customers, found.Differences)
		if found.Rounds > 0 {
			fmt.Printf("%d groups in %d rounds; %d components with %d accounts were contested\n", found.Groups, found.Rounds, found.Contested, found.ContestedAccounts)
		}
		for _, s := range found.Steps {
			fmt.Printf("  %-30s %8.1f s\n", s.What, s.Seconds)
		}
	}
	if rules == nil && found.Differences > 0 {
		return &differentCustomersError{found.Differences}
	}
	return nil
}

// differentCustomersError says that what is stored resolves to other customers.
type differentCustomersError struct{ accounts int }

func (d *differentCustomersError) Error() string {
	return fmt.Sprintf("%d accounts are in another customer than what is stored says; if nothing arrived meanwhile, `oneid rebuild --check` says more", d.accounts)
}

// ExitCode says that the command did its work, and found differences.
func (*differentCustomersError) ExitCode() int { return 3 }

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
