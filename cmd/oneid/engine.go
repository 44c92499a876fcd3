package main

import (
	"context"
	"fmt"

	"oneid/internal/embedded/chdb"
	"oneid/internal/embedded/chdb/install"
)

// engineCmd is about the embedded ClickHouse.
type engineCmd struct {
	Install engineInstallCmd `cmd:"" help:"Fetch the embedded ClickHouse, once for all folders."`
	Serve   engineServeCmd   `cmd:"" hidden:"" help:"Be the engine's child process."`
}

type engineInstallCmd struct{}

// Help shows below the usage.
func (engineInstallCmd) Help() string {
	return "Fetches libchdb " + install.Version + " (about 180 MB) through the npm client, or pip where there is none, checks it, and keeps it in your cache folder (or $ONEID_ENGINE_CACHE) for all data folders. Any command that needs the engine does this by itself."
}

// Run fetches the engine.
func (engineInstallCmd) Run(ctx context.Context) error {
	path, err := installEngine(ctx, newProgress(false))
	if err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

// installEngine is the path of the engine's library, which is fetched if it
// is not there.
func installEngine(ctx context.Context, show *progress) (string, error) {
	started := false
	path, err := install.Install(ctx, install.Options{Progress: func(done, total int64) {
		if !started {
			started = true
			show.start("fetching the embedded ClickHouse (bytes)", total)
		}
		show.set(done, total)
	}})
	if started {
		show.fail(err)
	}
	return path, err
}

type engineServeCmd struct{}

// Run is the child process: it serves until its parent ends.
func (engineServeCmd) Run() error { return chdb.ServeMain() }
