package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"oneid/internal/tablefile"
	"oneid/schemas/tables"
)

// Where files of a watched folder go, in it.
const (
	inboxDone   = "done"
	inboxFailed = "failed"
)

// inbox is a watched folder: its files are loaded and moved away, to done, or to
// failed if they are none that can be read.
type inbox struct {
	dir string
	// together: the files are exports of one shop, of which several may tell of one
	// order: they are one import. Others are loaded one by one.
	together bool
	// load loads files; known says cheaply whether it would know one of those that
	// are loaded together, readable reads one to its end, to see whether it is at fault.
	load            func(ctx context.Context, paths []string) error
	known, readable func(ctx context.Context, path string) error
}

// importFolder loads the files of a watched folder. While one lies in failed the run
// has failed, whatever else it loaded: somebody has to mend it or take it away.
func (n *node) importFolder(ctx context.Context, p pipeline, run *tables.Run) error {
	c := importCmd{Shop: p.Shop, NewShop: p.NewShop}
	// A wrong shop is no fault of the files, which wait. One of the mapping itself is
	// told by each of them.
	if p.Mapping == "" {
		platform, shop, _ := strings.Cut(p.Shop, "/")
		if err := c.checkShop(n.folder, platform, shop); err != nil {
			return err
		}
	} else {
		c.Mapping = n.folder.resolve(p.Mapping)
		if mapping, err := c.mapping(ctx, tablefile.Files{}); err == nil {
			if err := c.checkShop(n.folder, mapping.Platform, mapping.Shop); err != nil {
				return err
			}
		}
	}
	c.inside = func(ctx context.Context, report *importReport, load func(context.Context, *node, *progress) error) error {
		err := load(ctx, n, newProgress(true))
		run.Records, run.DeadLetters = run.Records+report.Rows, run.DeadLetters+report.Refused
		run.Events += report.Loaded
		for _, warning := range report.Warnings {
			n.log.Warn("an import lacks a table", "warning", warning)
		}
		return err
	}
	box := inbox{
		dir: n.folder.resolve(p.Folder), together: p.Mapping == "",
		load: func(ctx context.Context, paths []string) error {
			c := c
			c.File = paths
			return c.Run(ctx, n.folder)
		},
		known:    func(ctx context.Context, path string) error { return c.examine(ctx, path, false) },
		readable: func(ctx context.Context, path string) error { return c.examine(ctx, path, true) },
	}
	return errors.Join(box.empty(ctx), notLoaded(filepath.Join(box.dir, inboxFailed)))
}

// empty loads all files that are there.
func (b inbox) empty(ctx context.Context) error {
	paths, err := b.settled()
	if err != nil || len(paths) == 0 {
		return err
	}
	if b.together {
		return b.all(ctx, paths)
	}
	var faults []error
	for _, path := range paths {
		cause := b.load(ctx, []string{path})
		if ctx.Err() == nil && passes(cause) { // a file that is cut off says the same
			bad, rest, err := b.without(ctx, []string{path}, b.readable)
			if faults = append(faults, bad...); err != nil {
				return errors.Join(append(faults, err)...)
			}
			if len(rest) == 0 {
				continue
			}
		}
		fault, err := b.one(ctx, cause, path)
		if faults = append(faults, fault); err != nil {
			return errors.Join(append(faults, err)...)
		}
	}
	return errors.Join(faults...)
}

// settled are the files of the folder that nobody writes to. Of files that belong
// together all wait for one that somebody does.
func (b inbox) settled() (paths []string, err error) {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, os.MkdirAll(b.dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("read the watched folder: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || tablefile.Idle(entry.Name()) {
			continue
		}
		// A time that is still to come is of another clock, and says nothing.
		if age := time.Since(info.ModTime()); age >= settledFile || age < -time.Minute {
			paths = append(paths, filepath.Join(b.dir, entry.Name()))
		} else if b.together {
			return nil, nil
		}
	}
	return paths, nil
}

// one moves a file to where what came of it says; the second error ends the
// import, and the file stays for the next time: it is at fault of nothing while a
// store is away or busy.
func (b inbox) one(ctx context.Context, cause error, path string) (fault, err error) {
	switch {
	case cause == nil:
		return nil, moveInto(filepath.Join(b.dir, inboxDone), path)
	case ctx.Err() != nil || passes(cause):
		return nil, cause
	}
	return b.failed(cause, path)
}

// failed moves a file away that is at fault.
func (b inbox) failed(cause error, path string) (fault, err error) {
	return fmt.Errorf("import %s: %w", filepath.Base(path), cause), moveInto(filepath.Join(b.dir, inboxFailed), path)
}

// all loads files as one import. One that is not known, or cannot be read, is at
// fault by itself, and the others are loaded without it.
func (b inbox) all(ctx context.Context, paths []string) error {
	faults, paths, err := b.without(ctx, paths, b.known)
	for err == nil && len(paths) > 0 {
		cause := b.load(ctx, paths)
		if cause != nil && ctx.Err() == nil {
			bad, rest, away := b.without(ctx, paths, b.readable)
			faults = append(faults, bad...)
			if err = away; err != nil || len(rest) < len(paths) {
				paths = rest
				continue
			}
		}
		for _, path := range paths {
			fault, stop := b.one(ctx, cause, path)
			if faults = append(faults, fault); stop != nil {
				err = stop
				break
			}
		}
		break
	}
	return errors.Join(append(faults, err)...)
}

// without moves the files away that a look at them finds a fault with.
func (b inbox) without(ctx context.Context, paths []string, look func(context.Context, string) error) (faults []error, rest []string, err error) {
	for _, path := range paths {
		cause := look(ctx, path)
		if cause == nil {
			rest = append(rest, path)
			continue
		}
		if ctx.Err() != nil || ofMachine(cause) {
			return faults, nil, cause
		}
		fault, err := b.failed(cause, path)
		if faults = append(faults, fault); err != nil {
			return faults, nil, err
		}
	}
	return faults, rest, nil
}

// ofMachine says of an error that the machine lacks something, and no file is at
// fault.
func ofMachine(err error) bool {
	return errors.Is(err, errTemp) || slices.ContainsFunc([]error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM},
		func(lack error) bool { return errors.Is(err, lack) })
}

// left are the folders and links in a watched folder: what is in them is not loaded.
func left(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the watched folder: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); !entry.Type().IsRegular() && name != inboxDone && name != inboxFailed && !tablefile.Idle(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// notLoaded is the fault of files that lie in a folder of those that failed; nil
// where there are none.
func notLoaded(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the folder of files that failed: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if entry.Type().IsRegular() && !tablefile.Idle(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	if len(names) == 0 {
		return nil
	}
	return hinted{fmt.Errorf("import: %d files lie in failed/ and are not loaded, %s among them", len(names), names[0]), "mend them and put them back into the watched folder, an export of a shop together with the other files of its export from done/; or take them away; until then the pipeline is red"}
}

// settledFile is how long a file must not have been changed to be loaded.
const settledFile = 5 * time.Second

// moveInto moves a file into a folder, under a name of its own there.
func moveInto(dir, file string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	to := filepath.Join(dir, filepath.Base(file))
	if _, err := os.Lstat(to); err == nil {
		to = filepath.Join(dir, time.Now().UTC().Format("20060102T150405.000-")+filepath.Base(file))
	}
	return os.Rename(file, to)
}
