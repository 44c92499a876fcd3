package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"oneid/identity"
	"oneid/identity/match/receivers"
	"oneid/internal/customer"
	said "oneid/internal/customer/decided"
	"oneid/pipelines/decide"
	"oneid/pipelines/rebuild"
)

// rulesFlag names the rules that may be adopted.
type rulesFlag struct {
	Rules string `help:"YAML file of the rules, whole: what is not in it joins nothing. Empty means those that ship, or with --model those in force." placeholder:"FILE"`
	Model string `help:"JSON file of 'oneid identity train --receivers': that model in place of the one of the rules." placeholder:"FILE"`
}

// proposal is rules that may be adopted.
type proposal struct {
	rules *identity.Rules // nil: those in force
	model string          // the name of the model in place of theirs, "" for none
	// models are those of the settings, and the proposed one.
	models identity.Scorers
	// notes of the model's training.
	notes []string
}

// read reads the files that the flags name.
func (r rulesFlag) read(f folder) (*proposal, error) {
	settings, err := loadSettings(string(f))
	if err != nil {
		return nil, err
	}
	p := &proposal{}
	if p.models, err = modelsOf(f, settings); err != nil {
		return nil, err
	}
	if r.Model != "" {
		name, scorer, learned, err := readModel(r.Model)
		if err != nil {
			return nil, err
		}
		p.model, p.notes, p.models[name] = name, learned.Warnings, scorer
	}
	switch {
	case r.Rules != "":
		text, err := os.ReadFile(r.Rules)
		if err != nil {
			return nil, fmt.Errorf("read the rules: %w", err)
		}
		if p.rules, err = identity.ParseRules(text); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Rules, err)
		}
	case r.Model == "":
		p.rules = identity.DefaultRules()
	}
	if p.rules == nil {
		return p, nil
	}
	if p.model == "" {
		if _, err := p.models.Of(p.rules); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Rules, err)
		}
		return p, nil
	}
	return p, p.replace()
}

// replace puts the proposed model into the rules.
func (p *proposal) replace() (err error) {
	p.rules, err = p.rules.WithModel(p.model, receivers.RulesYAML())
	return err
}

// settle takes the rules in force where no others are proposed.
func (p *proposal) settle(ctx context.Context, f folder) (err error) {
	if p.rules != nil {
		return nil
	}
	i, _, err := openToRead(ctx, f, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	given, err := i.identityRules()
	if err != nil {
		return err
	}
	if i.owner { // of a folder that an older version has left
		if _, err := i.clickhouse.Migrate(ctx); err != nil {
			return err
		}
	}
	if p.rules, err = said.Rules(ctx, i.clickhouse, given); err != nil {
		return err
	}
	return p.replace()
}

// tell says what was not learned well.
func (p *proposal) tell(out io.Writer) {
	for _, note := range p.notes {
		fmt.Fprintln(out, "note of the training: "+note)
	}
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
	return "Resolves everything that is stored by other rules, in memory, and says how many customers would come together or apart, with the biggest of them. Nothing changes. It works beside `oneid up`.\n\nOf each side of these it shows accounts and what they were seen with, as a look-up would: identifiers with their middle hidden and, where the rules keep them, masked receivers. A = stands before what another side was seen with too: the same value, not only the same mask.\n\n" + rulesHelp
}

// Run plans.
func (c identityPlanCmd) Run(ctx context.Context, f folder) error {
	p, err := c.read(f)
	if err != nil {
		return err
	}
	plan, err := f.plan(ctx, p, c.Samples, c.JSON)
	if err != nil {
		return err
	}
	p.tell(os.Stderr)
	if c.JSON {
		return printJSON(plan)
	}
	printPlan(os.Stdout, plan)
	return nil
}

// plan says what rules would change, by what is resolved.
func (f folder) plan(ctx context.Context, p *proposal, samples int, quiet bool) (plan rebuild.Plan, err error) {
	if err := f.mustExist(); err != nil {
		return plan, err
	}
	if err := p.settle(ctx, f); err != nil {
		return plan, err
	}
	err = f.rebuilding(ctx, quiet, func(r *rebuild.Rebuild) (err error) {
		r.Models = p.models
		plan, err = r.Plan(ctx, p.rules, samples)
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
	Write  bool   `help:"With --engine clickhouse: keep who is whose in the table identity_resolved."`
	JSON   bool   `help:"Print one JSON object."`
}

// Help shows below the usage.
func (identityResolveCmd) Help() string {
	return "Finds all customers from all that is stored, as if nothing were known, and compares them with those that there are. Both engines find the same. Nothing changes: to make the resolver's state anew, see `oneid rebuild`; to change the rules, `oneid identity apply`. With --rules it is by other rules, and the differences are what these would move.\n\nOn ClickHouse what shares an identifier is drawn together in rounds until nothing is left to join. Components that a constraint may split are partitioned here by the rules, a part at a time, and receivers that a model may find alike are compared here, for they are sealed: the memory of this program stays the same, however many accounts there are. What a pair weighs is SQL again. So it says how many pairs there are from each number of bits on, and with that what other thresholds of the model would join. Of one brand one such run is under way at a time; what a killed one has left goes when the next begins.\n\nWith --write the outcome stays on ClickHouse, in the table identity_resolved: platform, shop, account, customer_id (the id that the resolver would give), present_customer_id (that of today) and resolved_at. A run that keeps its outcome puts it in the place of the last one's, in one step, and says how many customers would come together or apart, as `oneid identity plan` does where the state fits into memory. Nothing else reads that table: who is whose is as before.\n\nWith each step stand its seconds and the rows that it wrote on ClickHouse. The checksum is that of all accounts with their customers: two runs that found the same have the same.\n\nExit code: 0 no difference, or other rules; 3 there are differences; 1 failed. What arrives while it runs may count as one."
}

// Run resolves.
func (c identityResolveCmd) Run(ctx context.Context, f folder) error {
	if c.Write && c.Engine != "clickhouse" {
		return hinted{errors.New("--write keeps what was resolved on ClickHouse"), "add --engine clickhouse"}
	}
	var rules *identity.Rules
	var models identity.Scorers
	if c.Rules != "" || c.Model != "" {
		p, err := c.read(f)
		if err != nil {
			return err
		}
		if err := p.settle(ctx, f); err != nil {
			return err
		}
		p.tell(os.Stderr)
		rules, models = p.rules, p.models
	}
	var found rebuild.Bulk
	var database string
	err := f.rebuilding(ctx, c.JSON, func(r *rebuild.Rebuild) (err error) {
		if models != nil {
			r.Models = models
		}
		if c.Engine == "clickhouse" {
			r.KeepResolved = c.Write
			database = r.ClickHouse.Database()
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
		if found.Pairs > 0 {
			fmt.Printf("%d of the groups are pairs of the model\n", found.Pairs)
		}
		if found.Compared > 0 {
			fmt.Printf("the model compared %d pairs of accounts; people are asked about %d of them, unless something else joins or parts the two\n", found.Compared, found.Asked)
			fmt.Printf("pairs from so many bits on: %s\n", weights(found.Weights))
		}
		if s := found.Shifts; s != nil {
			fmt.Printf("%d customers come together, as %d; %d come apart, as %d; %d have another customer_id\n", s.JoinedFrom, s.JoinedTo, s.SplitFrom, s.SplitTo, s.Redirected)
			fmt.Printf("kept: SELECT platform, shop, account, customer_id, present_customer_id FROM %s.%s\n", database, rebuild.ResolvedTable)
		}
		fmt.Printf("checksum %s\n", found.Checksum)
		for _, s := range found.Steps {
			if s.Rows > 0 {
				fmt.Printf("  %-30s %8.1f s %12d rows\n", s.What, s.Seconds, s.Rows)
			} else {
				fmt.Printf("  %-30s %8.1f s\n", s.What, s.Seconds)
			}
		}
	}
	if rules == nil && found.Differences > 0 {
		return &differentCustomersError{found.Differences}
	}
	return nil
}

// weights are how many pairs there are from each number of bits on.
func weights(of []rebuild.Weight) string {
	pairs := 0
	texts := make([]string, len(of))
	for i, w := range slices.Backward(of) {
		pairs += w.Pairs
		texts[i] = fmt.Sprintf("%d: %d", w.Bits, pairs)
	}
	return strings.Join(texts, ", ")
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
	fmt.Fprintf(out, "  %d customers would have another customer_id, to which theirs leads\n", p.Redirected)
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
			fmt.Fprintf(out, "  %d → %d  %d accounts  (%s)\n", len(s.Customers), len(s.To), s.Size, strings.Join(s.Why, "; "))
			for _, side := range s.Sides {
				accounts := strings.Join(side.Accounts, " ")
				if more := side.Size - len(side.Accounts); more > 0 {
					accounts += fmt.Sprintf(" and %d more", more)
				}
				fmt.Fprintf(out, "    %s\n", accounts)
				printSeen(out, side.Seen)
			}
			if more := max(len(s.Customers), len(s.To)) - len(s.Sides); more > 0 {
				fmt.Fprintf(out, "    sides not shown: %d\n", more)
			}
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

// printSeen shows what a side was seen with, a line each; = before what another
// side was seen with, too.
func printSeen(out io.Writer, seen customer.Seen) {
	mark := func(shared bool) string {
		if shared {
			return "="
		}
		return " "
	}
	for _, i := range seen.Identifiers {
		fmt.Fprintf(out, "      %s %s %s (%s)\n", mark(i.Shared), i.Type, i.Masked, strings.Join(i.Roles, ", "))
	}
	for _, r := range seen.Receivers {
		parts := slices.DeleteFunc([]string{r.Name, r.Phone, r.Region, r.Detail}, func(part string) bool { return part == "" })
		fmt.Fprintf(out, "      %s parcels to %s\n", mark(r.Shared), strings.Join(parts, " "))
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
	return "Shows the plan, asks, and adopts the rules. If others have come into force since the plan, it says whose, and adopts nothing. Two people who adopt at the very same moment are both listed, the rules that were decided last hold, and each command says so.\n\nExit code: 0 adopted, 3 adopted and overruled by somebody who adopted at the same moment, 1 failed.\n\n" + rulesHelp + "\n\nA model of your own (--model) is learned by `oneid identity train --receivers`. Try it with `plan --model FILE`, name the file under identity.models in oneid.yaml, start `oneid up` anew, then `apply --model FILE`. The rules get the name of the model and stay as they are otherwise; rules without a model get the thresholds that ship.\n\n  oneid identity apply --rules rules.yaml --reason 'family phones joined strangers'"
}

// errNotAdopted says that nobody said yes.
var errNotAdopted = errors.New("the rules are not adopted")

// Run adopts.
func (c identityApplyCmd) Run(ctx context.Context, f folder) error {
	p, err := c.read(f)
	if err != nil {
		return err
	}
	if err := f.mustExist(); err != nil {
		return err
	}
	if err := p.settle(ctx, f); err != nil {
		return err
	}
	if err := f.adoptable(p.rules); err != nil {
		return err
	}
	planned, over := false, ""
	if !c.Yes {
		if !isTerminal(os.Stdin) {
			return hinted{errNotAdopted, "nobody is there to ask: look at `oneid identity plan`, and say --yes"}
		}
		plan, err := f.plan(ctx, p, 10, c.JSON)
		if err != nil {
			return err
		}
		p.tell(os.Stderr)
		printPlan(os.Stderr, plan)
		if fmt.Fprint(os.Stderr, "\nadopt these rules? Type yes: "); !saysYes(os.Stdin) {
			return errNotAdopted
		}
		planned, over = true, plan.Over
	}
	var before decide.List
	return f.decideAndLook(ctx, c.JSON, nil, func(ctx context.Context, d *decide.Desk) (made decide.Decision, already bool, err error) {
		if before, err = d.List(ctx); err != nil {
			return made, false, err
		}
		if planned {
			return d.AdoptOver(ctx, over, p.rules, c.who(), c.Reason)
		}
		return d.Adopt(ctx, p.rules, c.who(), c.Reason)
	}, func(ctx context.Context, d *decide.Desk, made *decided) error {
		after, err := d.List(ctx)
		if err != nil {
			return err
		}
		made.beside(before, after)
		return nil
	})
}

// beside notes what others have adopted at the same moment, and whether these rules hold.
func (d *decided) beside(before, after decide.List) {
	d.Beside = after.AdoptedSince(before, d.ID)
	for _, listed := range after.Decisions {
		if listed.ID == d.ID {
			d.Standing = listed.Standing
		}
	}
}

// saysYes reads one line.
func saysYes(from io.Reader) bool {
	line, _ := bufio.NewReader(from).ReadString('\n') // what cannot be read is no yes
	return strings.TrimSpace(line) == "yes"
}
