// Package backup copies an instance while it runs, and puts it back.
//
// A backup holds, in this order of copying,
//
//  1. how far the resolver has committed: all below lies in ClickHouse,
//  2. ClickHouse, by its own BACKUP, upon the backup before it,
//  3. the embedded broker's files: the cursors and the journal first, then the
//     topics that they speak of,
//  4. the settings, and the keys if that was asked for.
//
// What is copied later may hold more than what was copied before, never less:
// so the copied journal names every batch that the copied ClickHouse holds
// anything of, and the copied topics hold every message that it names. The
// state is not copied. Restoring makes it anew from ClickHouse up to the
// position of 1, which a rebuild does with the same result, and the resolver
// takes from the journal what came after, which repeats some inserts: their
// versions make that harmless. It does so also where the copied journal calls
// a batch delivered: it was, after ClickHouse was copied.
package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"oneid/internal/clickhouse"
	"oneid/internal/fault"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// The points between two steps.
var (
	afterClickHouse = fault.New("backup/clickhouse")
	afterJournal    = fault.New("backup/journal")
	afterKafka      = fault.New("backup/kafka")
	afterFiles      = fault.New("backup/files")
)

// Folders below the data folder.
const (
	kafkaFolder  = "kafka"
	engineFolder = "clickhouse/backups"
)

// Backup copies one instance whose Kafka and ClickHouse are embedded.
type Backup struct {
	// Folder is the data folder.
	Folder     string
	Brand      string
	Topics     events.Topics
	Kafka      *kafka.Client
	ClickHouse *clickhouse.Conn
	// Also are files of the folder, by their paths in it, that belong to its
	// settings: the rules, models, pipelines.
	Also []string
	// Fingerprint names the brand's keys without giving them away.
	Fingerprint string
	// Keep, if positive, is how many backups the store holds afterwards: older ones
	// are dropped once this one is there.
	Keep int
	Log  *slog.Logger
	// Progress, if set, is told what is copied and how many files so far.
	Progress func(what string, files int)
}

// Report is what a backup did.
type Report struct {
	Number int
	// Files it holds, their bytes, and how many of these were not there yet.
	Files        int
	Bytes, Added int64
	// Dropped are the older backups that Keep left no place for.
	Dropped int
}

// run is a backup at work.
type run struct {
	*Backup
	store    *Store
	manifest Manifest
	report   Report
}

// Run adds a backup to a store. Cut off, it leaves the earlier ones as they are
// and is none itself. With keys, whoever has the backup can read everything.
func (b *Backup) Run(ctx context.Context, store *Store, withKeys bool) (Report, error) {
	release, err := store.lock()
	switch {
	case errors.Is(err, errNoLock) && b.Keep > 0:
		return Report{}, fmt.Errorf("%w; older backups cannot be dropped there: leave out --keep (keep: of a pipeline)", err)
	case errors.Is(err, errNoLock):
		b.Log.Warn("the backups' folder cannot be locked: make one backup into it at a time", "error", err)
	case err != nil:
		return Report{}, err
	default:
		defer release()
	}
	before, err := store.Manifests()
	if err != nil {
		return Report{}, err
	}
	r := &run{Backup: b, store: store, manifest: Manifest{
		Number: 1, Taken: time.Now().UTC().Truncate(time.Second), Brand: b.Brand, Database: b.ClickHouse.Database(), Fingerprint: b.Fingerprint, WithKeys: withKeys,
	}}
	var last *Manifest
	if len(before) > 0 {
		last = &before[len(before)-1]
		r.manifest.Number = last.Number + 1
		if last.Brand != b.Brand || last.Fingerprint != b.Fingerprint {
			return Report{}, errors.New("backup: the folder holds backups of another instance; take another folder")
		}
	}
	if r.manifest.Position, err = b.Kafka.Committed(ctx, pipelines.ResolverGroup(b.Brand), b.Topics.Resolved()); err != nil {
		return Report{}, err
	}
	for _, step := range []struct {
		do    func() error
		after *fault.Point
	}{
		{func() error { return r.clickhouse(ctx, last) }, afterClickHouse},
		{func() error { return r.kafka(ctx) }, afterKafka},
		{func() error { return r.files(ctx, withKeys) }, afterFiles},
	} {
		if err := step.do(); err != nil {
			return r.report, err
		}
		if err := step.after.Hit(); err != nil {
			return r.report, err
		}
	}
	if err := store.finish(r.manifest); err != nil {
		return r.report, fmt.Errorf("backup: write the manifest: %w", err)
	}
	r.report.Number = r.manifest.Number
	if b.Keep > 0 {
		r.report.Dropped, err = store.prune(b.Keep)
	}
	return r.report, err
}

func (r *run) keep(ctx context.Context, what, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, added, err := r.store.add(ctx, r.Folder, path)
	if err != nil {
		return fmt.Errorf("backup: copy %s: %w", path, err)
	}
	r.manifest.Files = append(r.manifest.Files, f)
	r.report.Files, r.report.Bytes, r.report.Added = r.report.Files+1, r.report.Bytes+f.Bytes, r.report.Added+added
	if r.Progress != nil {
		r.Progress(what, r.report.Files)
	}
	return nil
}

// namePrefix begins the names of ClickHouse's own backups.
const namePrefix = "oneid-"

// fullEvery is after how many backups that stand on each other the next one
// stands on its own, so that a restore reads a bounded number of them.
const fullEvery = 30

// baseFile is what ClickHouse needs to see of a backup to make one upon it.
const baseFile = ".backup"

// clickhouse makes ClickHouse's own backup, upon the last one, and keeps it
// with those that it stands on.
func (r *run) clickhouse(ctx context.Context, last *Manifest) (err error) {
	staging := filepath.Join(r.Folder, filepath.FromSlash(engineFolder))
	// One whose process was killed may go on, and would write into it.
	if err := r.ClickHouse.StopBackups(ctx, "File('"+namePrefix); err != nil {
		return err
	}
	// The folder is the backups' own: what lies there was cut off.
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("backup: make room for ClickHouse's backup: %w", err)
	}
	if err := os.MkdirAll(staging, 0o700); err != nil {
		return fmt.Errorf("backup: make room for ClickHouse's backup: %w", err)
	}
	// Also where it fails: it is as large as what is new, on the tables' disk.
	defer func() { err = errors.Join(err, os.RemoveAll(staging)) }()
	name := namePrefix + strings.ToLower(rand.Text())[:16]
	statement := "BACKUP DATABASE " + r.ClickHouse.Database() + " TO File(" + clickhouse.Quote(name) + ")"
	if last != nil && len(last.Chain) < fullEvery {
		r.manifest.Chain = slices.Clone(last.Chain)
		base := last.Chain[len(last.Chain)-1]
		for _, f := range last.Files {
			if !strings.HasPrefix(f.Path, engineFolder+"/") {
				continue
			}
			r.manifest.Files = append(r.manifest.Files, f)
			r.report.Files, r.report.Bytes = r.report.Files+1, r.report.Bytes+f.Bytes
			if f.Path == engineFolder+"/"+base+"/"+baseFile {
				if err := r.store.extract(r.Folder, f); err != nil {
					return fmt.Errorf("backup: read the last backup: %w", err)
				}
			}
		}
		statement += " SETTINGS base_backup = File(" + clickhouse.Quote(base) + ")"
	}
	r.manifest.Chain = append(r.manifest.Chain, name)
	if err := r.ClickHouse.Background(ctx, "back up ClickHouse", statement, "File("+clickhouse.Quote(name)+")"); err != nil {
		return err
	}
	return r.tree(ctx, "clickhouse", engineFolder+"/"+name)
}

// tree keeps all files below a path.
func (r *run) tree(ctx context.Context, what, path string) error {
	root := filepath.Join(r.Folder, filepath.FromSlash(path))
	return filepath.WalkDir(root, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		below, err := filepath.Rel(r.Folder, at)
		if err != nil {
			return err
		}
		return r.keep(ctx, what, filepath.ToSlash(below))
	})
}

// kafka keeps the embedded broker's files: those that speak of others first.
func (r *run) kafka(ctx context.Context) error {
	partitions := kafkaFolder + "/partitions"
	entries, err := os.ReadDir(filepath.Join(r.Folder, filepath.FromSlash(kafkaFolder)))
	if err != nil {
		return fmt.Errorf("backup: read the broker's folder: %w", err)
	}
	for _, entry := range entries {
		if entry.Type().IsRegular() && !strings.HasSuffix(entry.Name(), ".tmp") {
			if err := r.keep(ctx, "kafka", kafkaFolder+"/"+entry.Name()); err != nil {
				return err
			}
		}
	}
	// An instance that nothing has come to yet has none.
	if entries, err = os.ReadDir(filepath.Join(r.Folder, filepath.FromSlash(partitions))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("backup: read the broker's folder: %w", err)
	}
	copied := make(map[string]bool)
	for _, topic := range []string{r.Topics.Cursors, r.Topics.Journal} {
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), topic+"-") {
				continue
			}
			if err := r.partition(ctx, partitions+"/"+entry.Name()); err != nil {
				return err
			}
			copied[entry.Name()] = true
		}
	}
	if err := afterJournal.Hit(); err != nil {
		return err
	}
	for _, entry := range entries {
		if copied[entry.Name()] {
			continue
		}
		if err := r.partition(ctx, partitions+"/"+entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

// partition keeps a partition's files. The broker may drop or rewrite old
// segments meanwhile: then all of them are read again.
func (r *run) partition(ctx context.Context, path string) error {
	before, counted := len(r.manifest.Files), r.report
	for attempt := 0; ; attempt++ {
		names, err := segments(filepath.Join(r.Folder, filepath.FromSlash(path)))
		for _, name := range names {
			if err == nil {
				err = r.keep(ctx, "kafka", path+"/"+name)
			}
		}
		if err == nil {
			after, listed := segments(filepath.Join(r.Folder, filepath.FromSlash(path)))
			if listed == nil && slices.Equal(names, after[:min(len(names), len(after))]) {
				return nil
			}
			err = fmt.Errorf("backup: %s changed while it was read: %w", path, fs.ErrNotExist)
		}
		if !errors.Is(err, fs.ErrNotExist) || attempt == 20 {
			return err
		}
		r.manifest.Files = r.manifest.Files[:before]
		r.report.Files, r.report.Bytes = counted.Files, counted.Bytes // what was added stays
	}
}

// segments are a partition's files in the order in which they may be copied:
// the broker's start mends a segment whose last batch is cut off, and an index
// that says more than its segment holds.
func segments(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, suffix := range []string{".json", ".dat", ".idx"} {
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), suffix) {
				names = append(names, entry.Name())
			}
		}
	}
	return names, nil
}

// files keeps the settings, and what opens everything if that was asked for.
func (r *run) files(ctx context.Context, withKeys bool) error {
	paths := []string{"oneid.yaml", "simulator.json"}
	for _, path := range paths {
		if err := r.keep(ctx, "settings", path); err != nil && (path == paths[0] || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	for _, path := range slices.Compact(slices.Sorted(slices.Values(r.Also))) {
		if slices.Contains(paths, path) || withKeys && (strings.HasPrefix(path, "keys/") || strings.HasPrefix(path, "secrets/")) {
			continue // a file that is in a backup twice cannot be restored
		}
		if err := r.keep(ctx, "settings", path); err != nil {
			return err
		}
	}
	if !withKeys {
		return nil
	}
	return errors.Join(r.tree(ctx, "keys", "keys"), r.tree(ctx, "secrets", "secrets"))
}

// Extract writes the files of a backup into an empty folder.
func Extract(ctx context.Context, store *Store, m Manifest, folder string, progress func(files int)) error {
	for i, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := store.extract(folder, f); err != nil {
			return fmt.Errorf("backup: restore %s: %w", f.Path, err)
		}
		if progress != nil {
			progress(i + 1)
		}
	}
	return nil
}

// Restore makes ClickHouse's tables of a backup whose files Extract has
// written: in a database that is empty.
func Restore(ctx context.Context, ch *clickhouse.Conn, m Manifest) error {
	name := "File(" + clickhouse.Quote(m.Chain[len(m.Chain)-1]) + ")"
	statement := "RESTORE DATABASE " + m.Database
	if m.Database != ch.Database() {
		statement += " AS " + ch.Database()
	}
	return ch.Background(ctx, "restore ClickHouse", statement+" FROM "+name, name)
}

// Clean drops what Restore has read, and what a backup that was killed has left of its
// copy of ClickHouse.
func Clean(folder string) error {
	return os.RemoveAll(filepath.Join(folder, filepath.FromSlash(engineFolder)))
}
