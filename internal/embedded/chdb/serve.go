package chdb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/internal/embedded/chdb/endpoint"
	"oneid/internal/embedded/chdb/libchdb"
)

// ServeConfig is what the child is told by its parent. It crosses a pipe, not
// the command line or the environment, because it bears passwords.
type ServeConfig struct {
	// Library is the path of libchdb, Folder that of the data; both absolute.
	Library string
	Folder  string

	Database       string
	User, Password string

	// BIUser is "" if there is no BI listener. PublicViews are the names of the
	// views of Database that BI may read; they need not exist yet.
	BIUser, BIPassword string
	PublicViews        []string
	BITime             time.Duration
	BIMemoryBytes      uint64
	BIThreads          int

	// MemoryBytes caps the engine. NoSync leaves new parts to the operating
	// system's cache: faster, and a power cut may lose acknowledged rows.
	MemoryBytes uint64
	NoSync      bool
}

// The descriptors that the parent passes.
const (
	configFD   = 3
	lifetimeFD = 4
	appFD      = 5
	biFD       = 6
)

// confined marks the environment of the child's second stage.
const confined = "ONEID_ENGINE_CONFINED"

// ServeMain is the program of the child process. It takes its settings from the
// descriptors that Start passes, confines itself, and serves until it gets
// SIGTERM or its parent ends. Run by hand it returns an error.
func ServeMain() error {
	settings := os.NewFile(configFD, "settings")
	var config ServeConfig
	if err := json.NewDecoder(settings).Decode(&config); err != nil {
		return fmt.Errorf("chdb: read settings from descriptor %d (this command is started by oneid, not by hand): %w", configFD, err)
	}
	_ = settings.Close()
	if os.Getenv(confined) == "" {
		// On success this process is replaced; where there is nothing to confine with, it goes on.
		if err := confine(config); err != nil { //nolint:staticcheck // SA4023 knows Linux alone
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.NewFile(lifetimeFD, "lifetime"))
		cancel(errors.New("the parent has ended"))
		time.Sleep(drain)
		os.Exit(1)
	}()
	app, err := inherited(appFD)
	if err != nil {
		return err
	}
	var bi net.Listener
	if config.BIUser != "" {
		if bi, err = inherited(biFD); err != nil {
			return err
		}
	}
	return Serve(ctx, config, app, bi)
}

func inherited(fd uintptr) (net.Listener, error) {
	file := os.NewFile(fd, "listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("chdb: take the listener from descriptor %d: %w", fd, err)
	}
	return listener, nil
}

// drain is how long requests have to end once the server is asked to stop.
const drain = 5 * time.Second

// Serve loads the library, opens the folder and answers on the listeners until
// ctx ends, and returns nil then. It closes the listeners. bi may be nil. There
// can be one Serve a process.
//
// It does not confine the process: ServeMain does that before.
func Serve(ctx context.Context, config ServeConfig, app, bi net.Listener) error {
	defer app.Close()
	if bi != nil {
		defer bi.Close()
	}
	if !filepath.IsAbs(config.Folder) || !filepath.IsAbs(config.Library) {
		return fmt.Errorf("chdb: serve %s with %s: both paths must be absolute", config.Folder, config.Library)
	}
	if config.MemoryBytes == 0 {
		config.MemoryBytes = defaultMemory()
	}
	library, err := libchdb.Load(config.Library)
	if err != nil {
		return err
	}
	server := endpoint.New(endpoint.Config{
		Library: library, Folder: config.Folder, Database: config.Database, PublicViews: config.PublicViews,
		User: config.User, Password: config.Password, BIUser: config.BIUser, BIPassword: config.BIPassword,
		MemoryBytes: config.MemoryBytes, NoSync: config.NoSync,
		BITime: config.BITime, BIMemory: config.BIMemoryBytes, BIThreads: config.BIThreads,
	})
	if err := server.Open(); err != nil {
		return err
	}
	defer server.Close()

	group, ctx := errgroup.WithContext(ctx)
	serve(ctx, group, app, server.Handler())
	if bi != nil {
		serve(ctx, group, bi, server.BIHandler())
	}
	return group.Wait()
}

// serve answers on one listener until ctx ends, then lets requests end.
func serve(ctx context.Context, group *errgroup.Group, listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 1 << 20}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("chdb: serve HTTP: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := server.Shutdown(limited); err != nil {
			return server.Close() // what still runs is killed with its connection
		}
		return nil
	})
}

// defaultMemory is half of the machine's memory, at least 1 GiB.
func defaultMemory() uint64 {
	return max(1<<30, machineMemory()/2)
}
