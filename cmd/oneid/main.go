// Command oneid finds which accounts of a brand's shops on Weidian, Tmall and
// Douyin are one person, and keeps one customer view of them in ClickHouse.
//
// Each command is a file of this folder: a struct whose tags are its help,
// with a Run method. instance.go and node.go alone know all parts.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// cli is the command line.
type cli struct {
	Dir string `help:"Data folder of the instance (default: ./oneid-data)." env:"ONEID_DIR" placeholder:"DIR"`

	Init       initCmd       `cmd:"" help:"Make a data folder with a commented oneid.yaml."`
	Demo       demoCmd       `cmd:"" help:"Show the whole of OneID on invented people and shops."`
	Up         upCmd         `cmd:"" help:"Run everything: pull, resolve, look-up API, SQL for BI."`
	Simulate   simulateCmd   `cmd:"" help:"Run the simulators of the three platforms alone."`
	Connect    connectCmd    `cmd:"" help:"Get a shop's token by its owner's consent."`
	Sync       syncCmd       `cmd:"" help:"Pull what changed at the platforms into Kafka."`
	Connector  connectorCmd  `cmd:"" help:"Run a connector for another scheduler: Airbyte, Singer."`
	Run        runCmd        `cmd:"" help:"Run one pipeline now."`
	Status     statusCmd     `cmd:"" help:"Show each stream's lag, runs, dead letters and alerts."`
	Backfill   backfillCmd   `cmd:"" help:"Read a stretch of the platforms' past, beside the live reading."`
	Resolve    resolveCmd    `cmd:"" help:"Resolve what lies in Kafka into ClickHouse."`
	Serve      serveCmd      `cmd:"" help:"Serve the look-up API alone, from ClickHouse."`
	Migrate    migrateCmd    `cmd:"" help:"Bring ClickHouse's tables and views up to date."`
	Rebuild    rebuildCmd    `cmd:"" help:"Make the resolver's state anew from ClickHouse."`
	Replay     replayCmd     `cmd:"" help:"Run stored payloads through today's mapping again."`
	Backup     backupCmd     `cmd:"" help:"Copy the instance into a folder, while it runs."`
	Restore    restoreCmd    `cmd:"" help:"Make an instance from a backup."`
	Import     importCmd     `cmd:"" help:"Load files of orders, users, tickets or spend."`
	Match      matchCmd      `cmd:"" help:"Find which rows of any table are one entity, without a model at hand."`
	Lookup     lookupCmd     `cmd:"" help:"Find a customer and print the profile."`
	Explain    explainCmd    `cmd:"" help:"Say why accounts are one customer."`
	Identity   identityCmd   `cmd:"" help:"Who is who in all: how good it is, and what it was."`
	Decide     decideCmd     `cmd:"" help:"Say which accounts are one person, or two."`
	Query      queryCmd      `cmd:"" help:"Ask ClickHouse as the BI user."`
	Reconcile  reconcileCmd  `cmd:"" help:"Compare what the platforms list with what is stored."`
	Drift      driftCmd      `cmd:"" help:"How payloads differ from what OneID knows of them."`
	Missing    missingCmd    `cmd:"" help:"What the platforms keep from streams, and how to accept it."`
	Deadletter deadletterCmd `cmd:"" help:"What could not be loaded: list, show, replay, drop."`
	Doctor     doctorCmd     `cmd:"" help:"Check each address, key, clock and permission."`
	Engine     engineCmd     `cmd:"" help:"The embedded ClickHouse."`
	Apikey     apikeyCmd     `cmd:"" help:"Keys of the look-up API."`
	Bench      benchCmd      `cmd:"" help:"Measure this machine."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

func main() {
	os.Exit(run(os.Args[1:]))
}

// run is main with an exit code: 0 if all of it worked.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second Ctrl-C ends at once: after the first, the default is back.
	context.AfterFunc(ctx, stop)

	var c cli
	parser, err := kong.New(&c,
		kong.Name("oneid"),
		kong.Description("OneID joins a brand's customers across Weidian, Tmall and Douyin.\n\nStart with `oneid demo`; `oneid COMMAND --help` explains a command."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // the tags of a command are wrong: a broken program
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "oneid: %v\n", err)
		var usage *kong.ParseError
		if errors.As(err, &usage) && usage.Context != nil && usage.Context.Selected() != nil {
			fmt.Fprintf(os.Stderr, "see: %s --help\n", usage.Context.Selected().FullPath())
		} else {
			fmt.Fprintln(os.Stderr, "see: oneid --help")
		}
		return 2
	}
	given := dirGiven(c.Dir != "")
	if !given {
		c.Dir = "./oneid-data"
	}
	err = parsed.Run(ctx, folder(c.Dir), given)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "oneid: stopped; nothing is lost, the same command goes on from here")
		return 130
	}
	return report(err)
}

// dirGiven says whether the data folder was named, rather than the default.
type dirGiven bool

// report prints an error for a person, with what to do about it, and gives
// the exit code.
func report(err error) int {
	if err == nil {
		return 0
	}
	var partly interface{ ExitCode() int }
	if errors.As(err, &partly) {
		fmt.Fprintf(os.Stderr, "oneid: %v\n", err)
		return partly.ExitCode()
	}
	fmt.Fprintf(os.Stderr, "oneid: %v\n", err)
	var hint interface{ Hint() string }
	if errors.As(err, &hint) && hint.Hint() != "" {
		fmt.Fprintf(os.Stderr, "hint: %s\n", hint.Hint())
	}
	return 1
}

// partlyRefusedError says that the command did its work, but some rows of its
// input were refused; exit code 3.
type partlyRefusedError struct{ rows int }

func (p *partlyRefusedError) Error() string {
	return fmt.Sprintf("%d rows were refused, as listed above; all others are loaded", p.rows)
}

// ExitCode says that the command did its work in part.
func (*partlyRefusedError) ExitCode() int { return 3 }
