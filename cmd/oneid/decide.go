package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"oneid/identity"
	"oneid/internal/api"
	"oneid/internal/clickhouse"
	"oneid/internal/customer"
	"oneid/internal/customer/insight"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/pipelines/decide"
)

// decideCmd is a person's word about who is who.
type decideCmd struct {
	Same      decideSameCmd      `cmd:"" help:"Two accounts are one person."`
	Different decideDifferentCmd `cmd:"" help:"Two accounts are two persons."`
	Undo      decideUndoCmd      `cmd:"" help:"Take a decision back."`
	List      decideListCmd      `cmd:"" help:"List what was decided, by whom, when and why."`
}

// wordFlags are of every decision.
type wordFlags struct {
	Reason string `help:"Why, for who reads it later. No personal data: it is kept for good." required:"" placeholder:"TEXT"`
	By     string `help:"Who decides (default: the user who runs this)." placeholder:"NAME"`
	JSON   bool   `help:"Print one JSON object."`
}

func (w wordFlags) who() string {
	if w.By != "" {
		return w.By
	}
	return commandLine()
}

// commandLine names who runs this process.
func commandLine() string {
	who := "command line"
	if person, err := user.Current(); err == nil {
		who += " (" + person.Username + ")"
	}
	return who
}

type decideSameCmd struct {
	A string `arg:"" help:"An account, as platform/shop/id."`
	B string `arg:"" help:"The other account."`
	wordFlags
}

const decideHelp = "A person's word is stronger than any rule, and holds until it is taken back. Accounts are written platform/shop/id, as `oneid lookup` shows them. What contradicts words that stand is refused, and names them; what stands already is not said twice. The audit notes who decided.\n\n"

// Help shows below the usage.
func (decideSameCmd) Help() string {
	return decideHelp + "Two customers become one: the older customer_id lives, and the younger leads to it.\n\n  oneid decide same weidian/1/u-17 tmall/flagship/AAE8 --reason 'showed both at the counter'"
}

// Run decides.
func (c decideSameCmd) Run(ctx context.Context, f folder) error {
	return f.decide(ctx, c.JSON, []string{c.A, c.B}, func(ctx context.Context, d *decide.Desk) (decide.Decision, bool, error) {
		return d.Same(ctx, c.A, c.B, c.who(), c.Reason)
	})
}

type decideDifferentCmd struct {
	A string `arg:"" help:"An account, as platform/shop/id."`
	B string `arg:"" help:"The other account."`
	wordFlags
}

// Help shows below the usage.
func (decideDifferentCmd) Help() string {
	return decideHelp + "This mends a wrong merge: the two are parted, whatever joined them, and nothing joins them again. `oneid explain` says what did.\n\n  oneid decide different weidian/1/u-17 tmall/flagship/AAE8 --reason 'mother and daughter, one phone'"
}

// Run decides.
func (c decideDifferentCmd) Run(ctx context.Context, f folder) error {
	return f.decide(ctx, c.JSON, []string{c.A, c.B}, func(ctx context.Context, d *decide.Desk) (decide.Decision, bool, error) {
		return d.Different(ctx, c.A, c.B, c.who(), c.Reason)
	})
}

type decideUndoCmd struct {
	ID string `arg:"" help:"The decision, as oneid decide list shows it."`
	wordFlags
}

// Help shows below the usage.
func (decideUndoCmd) Help() string {
	return "The customers are then what they would be without it. An undo is a decision of its own, and can be undone: then what it took back stands again."
}

// Run takes a decision back.
func (c decideUndoCmd) Run(ctx context.Context, f folder) error {
	return f.decide(ctx, c.JSON, nil, func(ctx context.Context, d *decide.Desk) (decide.Decision, bool, error) {
		return d.Undo(ctx, c.ID, c.who(), c.Reason)
	})
}

type decideListCmd struct {
	All  bool `help:"Those too that were undone or, about accounts, overruled, and the undos."`
	JSON bool `help:"Print one JSON object: decisions and conflicts."`
}

// Help shows below the usage.
func (decideListCmd) Help() string {
	return "Two people who decide at the same moment may contradict each other, about the same two accounts or across others. Then the `different` wins, and the list shows and names the decisions that are in conflict: undo one of them. Of rules that two adopt at the same moment those hold that were decided last; the list shows both.\n\nExit code: 0 all is consistent, 3 there are conflicts, 1 failed."
}

// Run lists decisions.
func (c decideListCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	i, err := open(ctx, f, need{kafka: true, clickhouse: true, quiet: true}, newProgress(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.close()) }()
	if i.owner {
		if _, err := i.clickhouse.Migrate(ctx); err != nil {
			return err
		}
	}
	list, err := i.decisions().List(ctx)
	if err != nil {
		return err
	}
	if !c.All {
		list.Decisions = list.Standing()
	}
	return c.print(list)
}

func (c decideListCmd) print(list decide.List) error {
	if c.JSON {
		if err := printJSON(list); err != nil {
			return err
		}
	} else {
		w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "DECISION\tWHEN\tWHO\tWHAT\tSTANDING\tWHY")
		for _, d := range list.Decisions {
			what := d.Kind + " " + strings.Join(d.Accounts, " ") + d.Undoes
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", d.ID, d.At.Format(time.RFC3339), d.Who, what, d.Standing, d.Why)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		for _, conflict := range list.Conflicts {
			fmt.Printf("in conflict: %s\n", strings.Join(conflict, " "))
		}
	}
	if len(list.Conflicts) > 0 {
		return &conflictsError{len(list.Conflicts)}
	}
	return nil
}

// conflictsError says that decisions contradict each other.
type conflictsError struct{ conflicts int }

func (c *conflictsError) Error() string {
	return fmt.Sprintf("%d times decisions contradict each other; take one of each back with `oneid decide undo ID`", c.conflicts)
}

// ExitCode says that the command did its work, and found conflicts.
func (*conflictsError) ExitCode() int { return 3 }

// resolveWait is how long a command waits for another process to resolve what
// was decided.
const resolveWait = 30 * time.Second

// decided is what a command prints.
type decided struct {
	decide.Decision
	// Already: it was said before.
	Already bool `json:"already"`
	// Customers are those of the accounts now, in their order.
	Customers []uuid.UUID `json:"customers,omitempty"`
	// Beside are rules that others have adopted at the same moment.
	Beside []decide.Decision `json:"beside,omitempty"`
}

// decide publishes a word, and waits until the customers follow it.
func (f folder) decide(ctx context.Context, asJSON bool, accounts []string, say func(context.Context, *decide.Desk) (decide.Decision, bool, error)) error {
	return f.decideAndLook(ctx, asJSON, accounts, say, func(context.Context, *decide.Desk, *decided) error { return nil })
}

// decideAndLook is decide that looks at what has come of the word before it is told.
func (f folder) decideAndLook(ctx context.Context, asJSON bool, accounts []string, say func(context.Context, *decide.Desk) (decide.Decision, bool, error), look func(context.Context, *decide.Desk, *decided) error) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	n, err := openNode(ctx, f, need{quiet: true}, newProgress(false))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	n.leaveResolving()
	desk := n.decisions()
	var out decided
	err = n.resolving(ctx, func(ctx context.Context) error {
		if n.resolver != nil { // what was pulled may not be known yet
			if err := n.settle(ctx); err != nil {
				return err
			}
		}
		if out.Decision, out.Already, err = say(ctx, desk); err != nil {
			return wordHint(err)
		}
		if out.Resolved, err = n.followed(ctx); err != nil {
			return err
		}
		if err := look(ctx, desk, &out); err != nil || len(accounts) == 0 {
			return err
		}
		var parsed []identity.Account
		for _, text := range accounts {
			account, err := identity.ParseAccount(text)
			if err != nil {
				return err
			}
			parsed = append(parsed, account)
		}
		out.Customers, err = desk.CustomersOf(ctx, parsed...)
		return err
	})
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(out)
	} else {
		err = out.print(os.Stdout)
	}
	if err == nil && out.Standing == identity.Overruled {
		return &overruledError{out.ID}
	}
	return err
}

// overruledError says that what was decided does not hold.
type overruledError struct{ id string }

func (o *overruledError) Error() string {
	return "decision " + o.id + " does not hold: others decided otherwise at the same moment; `oneid decide list` shows both"
}

// ExitCode says that the command did its work, and that it is in vain.
func (*overruledError) ExitCode() int { return 3 }

// followed waits until the customers follow what was decided; false if nobody
// resolved it in time.
func (n *node) followed(ctx context.Context) (bool, error) {
	if n.resolver != nil {
		return true, n.settle(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, resolveWait)
	defer cancel()
	err := n.settle(waiting)
	if ctx.Err() == nil && waiting.Err() != nil {
		return false, nil
	}
	return err == nil, err
}

func (d decided) print(out io.Writer) error {
	if d.Already {
		fmt.Fprintf(out, "%s has said so already (%s, %s): %s\n", d.Who, d.ID, d.At.Format(time.RFC3339), d.Why)
	} else {
		fmt.Fprintf(out, "decided: %s %s%s\n", d.Kind, strings.Join(d.Accounts, " "), d.Undoes)
	}
	if !d.Resolved {
		fmt.Fprintln(out, "it is published; the customers follow once a resolver runs")
	} else if len(d.Customers) == 2 {
		if d.Customers[0] == d.Customers[1] {
			fmt.Fprintf(out, "they are one customer: %s\n", d.Customers[0])
		} else {
			fmt.Fprintf(out, "they are two customers: %s and %s\n", d.Customers[0], d.Customers[1])
		}
	}
	for _, other := range d.Beside {
		holds := string(other.Standing)
		if other.Standing == identity.Overruled && d.Standing == identity.Stands {
			holds = "overruled by these"
		}
		fmt.Fprintf(out, "%s adopted rules at the same moment (%s, %s: %s), %s\n", other.Who, other.ID, other.At.Format(time.RFC3339), other.Why, holds)
	}
	if d.Standing == identity.Overruled {
		fmt.Fprintln(out, "this decision does not hold, it is overruled; talk to each other, then plan and apply anew")
	}
	_, err := fmt.Fprintf(out, "to take it back: oneid decide undo %s --reason TEXT\n", d.ID)
	return err
}

// wordHint says what to do about a word that was refused.
func wordHint(err error) error {
	switch {
	case errors.Is(err, decide.ErrUnknown):
		return hinted{err, "was it pulled or imported? `oneid lookup` shows how accounts are written"}
	case errors.Is(err, decide.ErrNotFound):
		return hinted{err, "`oneid decide list --all` lists those there are"}
	}
	return err
}

// decisions is where people decide.
func (i *instance) decisions() *decide.Desk {
	publisher := pubsub.NewPublisher(i.kafka)
	i.closers = append(i.closers, publisher.Close)
	return &decide.Desk{Brand: i.settings.Brand, Kafka: i.kafka, Publisher: publisher, Topics: i.topics, ClickHouse: i.clickhouse}
}

// decisionsAPI is a Desk, and what is to be decided there, in the API's words.
type decisionsAPI struct {
	desk     *decide.Desk
	reporter *insight.Reporter
}

var _ api.Decisions = decisionsAPI{}

// Decide implements api.Decisions.
func (a decisionsAPI) Decide(ctx context.Context, w api.Word) (api.Decision, bool, error) {
	say := a.desk.Different
	if w.Same {
		say = a.desk.Same
	}
	d, already, err := say(ctx, w.Accounts[0], w.Accounts[1], w.Who, w.Reason)
	return asAPI(d), !already, wordAPI(err)
}

// Undo implements api.Decisions.
func (a decisionsAPI) Undo(ctx context.Context, id, who, reason string, rules bool) (api.Decision, bool, error) {
	undo := a.desk.UndoOfAccounts
	if rules {
		undo = a.desk.Undo
	}
	d, already, err := undo(ctx, id, who, reason)
	return asAPI(d), !already, wordAPI(err)
}

// ListDecisions implements api.Decisions.
func (a decisionsAPI) ListDecisions(ctx context.Context, limit int) (api.DecisionList, error) {
	list, err := a.desk.List(ctx)
	out := api.DecisionList{Decisions: []api.Decision{}, Conflicts: list.Conflicts}
	for _, d := range list.Newest(limit) {
		out.Decisions = append(out.Decisions, asAPI(d))
	}
	return out, wordAPI(err)
}

// Reviews implements api.Decisions.
func (a decisionsAPI) Reviews(ctx context.Context, limit int) ([]api.Review, error) {
	questions, err := a.reporter.Queue(ctx, limit)
	out := make([]api.Review, len(questions))
	for i, q := range questions {
		out[i] = api.Review{Accounts: q.Accounts, Customers: [2]string{q.Customers[0].String(), q.Customers[1].String()}, Paid: q.Paid, Currency: q.Currency, Orders: q.Orders, Reasons: q.Reasons, Bits: q.Bits, Parts: q.Parts}
		for _, typ := range q.Shares {
			out[i].Shares = append(out[i].Shares, string(typ))
		}
	}
	return out, wordAPI(err)
}

func asAPI(d decide.Decision) api.Decision {
	return api.Decision{ID: d.ID, Kind: d.Kind, Accounts: d.Accounts, Undoes: d.Undoes, Who: d.Who, Reason: d.Why, At: d.At, Standing: string(d.Standing), Resolved: d.Resolved}
}

// wordAPI is an error of a Desk in the API's words.
func wordAPI(err error) error {
	var conflict *decide.ConflictError
	switch {
	case errors.As(err, &conflict):
		named := new(api.ConflictError)
		for _, d := range conflict.With {
			named.IDs = append(named.IDs, d.ID)
		}
		return named
	case errors.Is(err, decide.ErrUnknown) || errors.Is(err, decide.ErrNotFound):
		return fmt.Errorf("%w: %w", customer.ErrNotFound, err)
	case errors.Is(err, decide.ErrRules):
		return fmt.Errorf("%w: %w", api.ErrRules, err)
	case errors.Is(err, decide.ErrWrong):
		return fmt.Errorf("%w: %w", customer.ErrBadKey, err)
	case clickhouse.IsUnavailable(err) || kafka.IsAway(err):
		return fmt.Errorf("%w: %w", customer.ErrUnavailable, err)
	}
	return err
}
