package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/internal/state"
	"oneid/pipelines"
	"oneid/pipelines/backup"
	"oneid/pipelines/rebuild"
)

// backupCmd copies an instance.
type backupCmd struct {
	To       string `arg:"" name:"folder" help:"Folder of the backups; a second backup into it adds what is new." placeholder:"FOLDER"`
	WithKeys bool   `help:"Put keys/ and secrets/ into it too: whoever has the backup can then read all personal data."`
	Keep     int    `help:"Keep that many backups: once this one is there older ones are dropped, with all that no other needs. 0 keeps all." placeholder:"N"`
	JSON     bool   `help:"Print one JSON object with the counts."`
}

// Help shows below the usage.
func (backupCmd) Help() string {
	return "Copies ClickHouse, the embedded broker and the settings, while `oneid up` runs. The resolver's state is made anew from them by `oneid restore`. Each file is cut into pieces that are kept under their checksums: a second backup into the same folder adds only what is new. It is there once all of it is; one that was cut off leaves the earlier ones as they are.\n\nWITHOUT --with-keys THE KEYS ARE NOT IN IT: no sealed value and no payload can be opened, and no restored instance works, without keys/keyring.json. Keep a copy of keys/ in a safe, apart from the backups.\n\nIt refuses where Kafka or ClickHouse is a server of your own (kafka.brokers, clickhouse.url): back up ClickHouse by its BACKUP statement first, then Kafka's topics."
}

// backupReport is what --json prints.
type backupReport struct {
	Number   int   `json:"backup"`
	Files    int   `json:"files"`
	Bytes    int64 `json:"bytes"`
	Added    int64 `json:"added_bytes"`
	WithKeys bool  `json:"with_keys"`
	Dropped  int   `json:"dropped"`
}

// fingerprint names a brand's keys without giving them away.
func fingerprint(keys *keyring.Ring) string {
	sum := keys.Hash("backup", "", "fingerprint")
	return hex.EncodeToString(sum[:])
}

// errOwnServers refuses what works on embedded parts alone.
var errOwnServers = hinted{errors.New("this instance works with servers of your own"), "back up ClickHouse by its BACKUP statement first, then Kafka's topics, and keep keys/ in a safe; docs/operate.md says how `oneid rebuild` and `oneid backfill` put it back"}

// Run backs up.
func (c backupCmd) Run(ctx context.Context, f folder) (err error) {
	if err := f.mustExist(); err != nil {
		return err
	}
	show := newProgress(c.JSON)
	n, err := openMover(ctx, f, need{quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	report, failed := c.backup(ctx, n, show)
	if report.Number == 0 {
		return failed
	}
	// It is there, also where older ones could not be dropped.
	defer func() { err = errors.Join(failed, err) }()
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	fmt.Printf("backup %d: %d files, %.1f MB, of which %.1f MB are new\n", report.Number, report.Files, mega(report.Bytes), mega(report.Added))
	if report.Dropped > 0 {
		fmt.Printf("%d older backups were dropped\n", report.Dropped)
	}
	if c.WithKeys {
		fmt.Fprintln(os.Stderr, "THE KEYS ARE IN IT: whoever has this folder can read all personal data")
	} else {
		fmt.Fprintf(os.Stderr, "THE KEYS ARE NOT IN IT: without a copy of %s nothing sealed in it can ever be opened\n", f.path("keys"))
	}
	return nil
}

// backup copies the instance of a node.
func (c backupCmd) backup(ctx context.Context, n *node, show *progress) (backupReport, error) {
	f := n.folder
	if len(n.settings.Kafka.Brokers) > 0 || n.settings.ClickHouse.URL != "" {
		return backupReport{}, errOwnServers
	}
	if c.Keep < 0 {
		return backupReport{}, errors.New("--keep must be 0, for all, or more")
	}
	alone, err := f.lockBackups()
	if err != nil {
		return backupReport{}, err
	}
	defer alone()
	store, err := backup.OpenStore(c.To)
	if err != nil {
		return backupReport{}, err
	}
	scheduled, err := f.scheduled()
	if err != nil {
		return backupReport{}, err
	}
	what := ""
	b := &backup.Backup{
		Folder: string(f), Brand: n.settings.Brand, Topics: n.topics, Kafka: n.kafka, ClickHouse: n.clickhouse,
		Fingerprint: fingerprint(n.keys), Keep: c.Keep, Log: n.log, Also: append(f.named(n.settings), scheduled...),
		Progress: func(now string, files int) {
			if now != what {
				what = now
				show.start("copying "+now, 0)
			}
			show.set(int64(files), 0)
		},
	}
	show.start("copying clickhouse", 0)
	what = "clickhouse"
	made, err := b.Run(ctx, store, c.WithKeys)
	show.fail(err)
	return backupReport{made.Number, made.Files, made.Bytes, made.Added, c.WithKeys, made.Dropped}, err
}

// lockBackups lets one backup of the folder run at a time.
func (f folder) lockBackups() (release func(), err error) {
	file, err := os.OpenFile(f.path("clickhouse", "backups.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the backups' lock: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(hinted{errors.New("another backup of this folder is running"), "wait until it has ended"}, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// cleanBackups removes what a backup that was killed has left in the folder: a copy of
// ClickHouse. The folder's owner has just started, and no backup is running.
func (f folder) cleanBackups() error {
	if _, err := os.Stat(f.path("clickhouse")); errors.Is(err, fs.ErrNotExist) {
		return nil // it is a server of one's own
	}
	release, err := f.lockBackups()
	if err != nil {
		return nil // another process copies
	}
	defer release()
	if err := backup.Clean(string(f)); err != nil {
		return fmt.Errorf("remove what a backup that was cut off left: %w", err)
	}
	return nil
}

func mega(bytes int64) float64 { return float64(bytes) / 1e6 }

// restoreCmd makes an instance from a backup.
type restoreCmd struct {
	From   string `arg:"" name:"folder" help:"Folder of the backups." placeholder:"FOLDER"`
	Backup int    `help:"Number of the backup; default: the last." placeholder:"N"`
	Keys   string `help:"Folder keys/ of the instance, if the keys are not in the backup; secrets/ beside it is taken too." placeholder:"FOLDER"`
}

// Help shows below the usage.
func (restoreCmd) Help() string {
	return "Makes the data folder (--dir), which must not exist or be empty, from a backup: checks every piece, brings the tables up to this version, makes the resolver's state anew, and takes from the journal what came while the backup was made. It works in .restoring in that folder, and moves all of it into its place when it is done.\n\nWithout --with-keys the backup has no secrets/ either: those that lie beside the folder of --keys are taken; put others back where oneid.yaml looks for them. One that the restore itself needs, the file of identity.tmall_mix_key_file, may be named by ONEID_IDENTITY_TMALL_MIX_KEY_FILE. Tokens of shops are in no backup: `oneid connect` them again."
}

// Run restores.
func (c restoreCmd) Run(ctx context.Context, f folder) error {
	if entries, err := os.ReadDir(string(f)); err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != restoringFolder && e.Name() != "lost+found" }) {
		return hinted{fmt.Errorf("the folder %s is not empty", f), "name a new folder with --dir: a restore replaces nothing"}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.From, "manifests")); err != nil {
		return hinted{fmt.Errorf("there is no backup in %s", c.From), "name the folder that `oneid backup` wrote"}
	}
	store, err := backup.OpenStore(c.From)
	if err != nil {
		return err
	}
	release, err := store.Hold() // a backup that drops older ones could drop this
	if err != nil {
		return err
	}
	defer release()
	manifest, err := c.choose(store)
	if err != nil {
		return err
	}
	if !manifest.WithKeys && c.Keys == "" {
		return hinted{errors.New("the keys are not in this backup"), "name the folder that has them with --keys: a copy of keys/ of the instance"}
	}
	_, err = os.Stat(string(f))
	made := errors.Is(err, fs.ErrNotExist)
	building := folder(f.path(restoringFolder))
	if err := os.RemoveAll(string(building)); err != nil {
		return fmt.Errorf("remove what a restore that was cut off left: %w", err)
	}
	if err := c.build(ctx, store, manifest, building, release); err != nil {
		err = errors.Join(err, os.RemoveAll(string(building)))
		if made {
			err = errors.Join(err, os.Remove(string(f)))
		}
		return err
	}
	if err := building.moveInto(f); err != nil {
		return fmt.Errorf("put what was restored in its place: %w", err)
	}
	fmt.Printf("backup %d of %s is restored in %s; `oneid up --dir %s` goes on\n", manifest.Number, manifest.Taken.Format("2006-01-02 15:04:05Z07:00"), f, f)
	return nil
}

// restoringFolder is where a restore works: in the data folder itself, which may be all
// that its user may write to, or a volume of its own.
const restoringFolder = ".restoring"

// moveInto moves what is in a folder into the one above. The settings come last: until
// they are there, there is no instance.
func (f folder) moveInto(above folder) error {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		return cmp.Compare(strings.Count(a.Name(), settingsFile), strings.Count(b.Name(), settingsFile))
	})
	for _, entry := range entries {
		if err := os.Rename(f.path(entry.Name()), above.path(entry.Name())); err != nil {
			return err
		}
	}
	return os.Remove(string(f))
}

func (c restoreCmd) choose(store *backup.Store) (backup.Manifest, error) {
	all, err := store.Manifests()
	if err != nil {
		return backup.Manifest{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if c.Backup == 0 || all[i].Number == c.Backup {
			return all[i], nil
		}
	}
	return backup.Manifest{}, hinted{fmt.Errorf("there is no such backup in %s; it holds %d", c.From, len(all)), "a backup that was cut off is none"}
}

// build makes the instance in a folder. It releases the store once all is read from it.
func (c restoreCmd) build(ctx context.Context, store *backup.Store, m backup.Manifest, f folder, release func()) (err error) {
	show := newProgress(false)
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	show.start("checking and writing files", int64(len(m.Files)))
	if err := backup.Extract(ctx, store, m, string(f), func(files int) { show.set(int64(files), int64(len(m.Files))) }); err != nil {
		return err
	}
	show.finish()
	release()
	for _, name := range []string{"keys", "secrets"} {
		if err := os.MkdirAll(f.path(name), 0o700); err != nil {
			return err
		}
	}
	if c.Keys != "" {
		if err := f.takeKeys(c.Keys, m.WithKeys); err != nil {
			return err
		}
	}
	keys, err := keyring.Open(string(f))
	if err != nil {
		return err
	}
	if fingerprint(keys) != m.Fingerprint {
		return hinted{errors.New("the keys are not those of this backup"), "name the folder keys/ of the instance that was backed up"}
	}
	i, err := open(ctx, f, need{clickhouse: true, quiet: true}, show)
	if err != nil {
		return err
	}
	show.start("restoring clickhouse", 0)
	err = backup.Restore(ctx, i.clickhouse, m)
	show.fail(err)
	if err := errors.Join(err, i.close()); err != nil {
		return err
	}
	if err := backup.Clean(string(f)); err != nil {
		return err
	}
	return restoreState(ctx, f, m, show)
}

// takeKeys takes a copy of keys/: the key ring, and, where the backup has no keys of its
// own, what is known of API keys and the secrets/ beside it, as far as these are there.
func (f folder) takeKeys(from string, ringAlone bool) error {
	if err := f.take("keys/keyring.json", filepath.Join(from, "keyring.json")); err != nil || ringAlone {
		return err
	}
	known := filepath.Join(from, "api-keys.json")
	if stat, err := os.Stat(known); err == nil {
		if err := f.take("keys/api-keys.json", known); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "the API keys are those of %s as of %s, and one that was revoked since holds again: look with `oneid apikey list`\n", from, stat.ModTime().Format(time.RFC3339))
	}
	beside := os.DirFS(filepath.Join(from, ".."))
	return fs.WalkDir(beside, "secrets", func(path string, entry fs.DirEntry, err error) error {
		if path == "secrets" && errors.Is(err, fs.ErrNotExist) || path == localKeyFile {
			return nil // this machine gets a key of its own
		}
		if err != nil {
			return fmt.Errorf("read the secrets: %w", err)
		}
		if entry.IsDir() {
			return os.MkdirAll(f.path(path), 0o700)
		}
		switch stat, err := fs.Stat(beside, path); {
		case errors.Is(err, fs.ErrNotExist): // a link that leads nowhere
			fmt.Fprintf(os.Stderr, "%s is a link to what is not there: it is left out\n", filepath.Join(from, "..", path))
			return nil
		case err != nil || !stat.Mode().IsRegular():
			return err
		}
		return f.take(path, filepath.Join(from, "..", path))
	})
}

// take copies a secret file.
func (f folder) take(name, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return f.writeFile(name, data, 0o600)
}

// named are the files below the folder that its settings name and that hold no
// secret: a copy of the settings is of no use without them. One that lies
// elsewhere is not the folder's to copy.
func (f folder) named(s Settings) (files []string) {
	for _, path := range append([]string{s.Identity.RulesFile}, s.Identity.Models...) {
		if path == "" {
			continue
		}
		inside := filepath.ToSlash(f.relative(f.resolve(path)))
		if filepath.IsLocal(inside) && !slices.Contains(files, inside) {
			files = append(files, inside)
		}
	}
	return files
}

// scheduled are the files of the pipelines, and of the mappings in the folder that
// these name: without them a restored instance does nothing at its times.
func (f folder) scheduled() (files []string, err error) {
	names, err := filepath.Glob(f.path(pipelinesFolder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		files = append(files, filepath.ToSlash(f.relative(name)))
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a pipeline: %w", err)
		}
		p, _ := parsePipeline(name, data, "", nil) // a wrong file is kept as it is
		if p.Mapping == "" {
			continue
		}
		mapping := f.resolve(p.Mapping)
		inside := filepath.ToSlash(f.relative(mapping))
		secret := strings.HasPrefix(inside, "keys/") || strings.HasPrefix(inside, "secrets/")
		if info, err := os.Stat(mapping); err == nil && info.Mode().IsRegular() && filepath.IsLocal(inside) && !secret {
			files = append(files, inside)
		}
	}
	return files, nil
}

// restoreState makes the state of a restored instance, whose tables are
// brought up to date before, and takes what came after it.
func restoreState(ctx context.Context, f folder, m backup.Manifest, show *progress) (err error) {
	n, err := openMover(ctx, f, need{quiet: true}, show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	store, err := state.Open(f.path(buildingFolder))
	if err != nil {
		return err
	}
	show.start("making the state", 0)
	again := &rebuild.Rebuild{
		Brand: n.settings.Brand, ClickHouse: n.clickhouse, Kafka: n.kafka, Topics: n.topics, Rules: n.rules, Models: n.scorers, Keys: n.keys, Log: n.log, Position: m.Position,
		Progress: func(_ string, rows int) { show.set(int64(rows), 0) },
	}
	made, err := again.Into(ctx, store)
	show.fail(err)
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.path(buildingFolder), f.path(rebuiltFolder)); err != nil {
		return err
	}
	if err := n.openResolver(false); err != nil {
		return err
	}
	n.resolver.RestoredTo = &made.Sequence
	// The group may have recorded letters after ClickHouse was copied: all are taken again.
	if err := n.kafka.Commit(ctx, pipelines.LettersGroup(n.settings.Brand), kafka.Position{n.topics.DeadLetter: {0}}); err != nil {
		return err
	}
	n.letters = n.recorder()
	return n.resolving(ctx, n.settle)
}
