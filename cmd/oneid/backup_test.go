package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"oneid/identity"
	"oneid/internal/fault"
	"oneid/pipelines/backup"
	schema "oneid/schemas/clickhouse"
)

// statement runs one as the application does.
func statement(t *testing.T, dir string, e Endpoints, text string) {
	t.Helper()
	user, err := folder(dir).sqlUser(e.ClickHouse)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, user.url+"/?database="+user.database, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(user.user, user.password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", text, body, err)
	}
}

// whoIsWho is one number for all accounts and their customers.
const whoIsWho = "SELECT count(), sum(cityHash64(account, customer_id)) FROM identity_map_current"

// Taken while the instance runs and loads, a backup is restored on an empty
// machine with the same customers; a second one adds little; one of an older
// schema is brought up to date.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	dir, kept := begunFolder(t), filepath.Join(t.TempDir(), "backups")
	importPeople(t, dir, 0, 300)
	running, e := up(t, dir)
	taking := start(t, "backup", "--dir", dir, kept)
	for from := 300; from < 600; from += 100 {
		importPeople(t, dir, from, from+100)
	}
	first := taking.wait(t)
	if first.code != 0 || !strings.Contains(first.stdout, "backup 1") || !strings.Contains(first.stderr, "THE KEYS ARE NOT IN IT") {
		t.Errorf("backup says\n%s%s", first.stdout, first.stderr)
	}
	want := one(t, dir, whoIsWho)
	// As if it was taken by a OneID that did not know the last migration.
	migrations, err := schema.Migrations(schema.Target{Database: "oneid", Timezone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	statement(t, dir, e, "DELETE FROM schema_migrations WHERE number = "+strconv.Itoa(len(migrations)))
	second := decode[backupReport](t, must(t, "backup", "--dir", dir, "--json", kept).stdout)
	third := decode[backupReport](t, must(t, "backup", "--dir", dir, "--json", kept).stdout)
	if second.Number != 2 || second.Added == 0 || second.Added >= second.Bytes || third.Number != 3 || third.Added > third.Bytes/2 {
		t.Errorf("the second and the third backup = %+v, %+v; want that each adds a part, and the third little", second, third)
	}
	down(t, dir, running)

	to := filepath.Join(t.TempDir(), "restored")
	keys := filepath.Join(dir, "keys")
	wantRefused(t, oneid(t, "restore", "--dir", dir, kept, "--keys", keys), 1, "not empty", "--dir")
	wantRefused(t, oneid(t, "restore", "--dir", to, kept), 1, "keys", "--keys")
	wantRefused(t, oneid(t, "restore", "--dir", to, kept, "--keys", keys, "--backup", "4"), 1, "no such backup")
	if _, err := os.Stat(to); err == nil {
		t.Fatal("a restore that was refused made the folder")
	}
	must(t, "restore", "--dir", to, kept, "--keys", keys)
	i, err := open(t.Context(), folder(to), need{clickhouse: true, quiet: true}, newProgress(true))
	if err != nil {
		t.Fatal(err)
	}
	applied, err := i.clickhouse.Migrate(t.Context())
	if err := errors.Join(err, i.close()); err != nil || applied != 0 {
		t.Errorf("%d migrations were left out by the restore (%v)", applied, err)
	}
	if got := one(t, to, whoIsWho); got != want {
		t.Errorf("restored: %s, want %s", got, want)
	}
	must(t, "rebuild", "--check", "--dir", to)
	// Life goes on there: an account of a known person finds its customer.
	importPeople(t, to, 590, 610)
	if got := one(t, to, "SELECT count(), count(DISTINCT customer_id) FROM identity_map_current"); got != "1220 610" {
		t.Errorf("after going on: %s accounts and customers, want 1220 610", got)
	}
	// The one that was taken under load.
	to = filepath.Join(t.TempDir(), "restored")
	must(t, "restore", "--dir", to, kept, "--keys", keys, "--backup", "1")
	must(t, "rebuild", "--check", "--dir", to)
	importPeople(t, to, 0, 600)
	if got := one(t, to, "SELECT count(), count(DISTINCT customer_id) FROM identity_map_current"); got != "1200 600" {
		t.Errorf("of the first backup: %s accounts and customers, want 1200 600", got)
	}
}

// armed is held while a fault is armed, which is so for the whole process.
var armed sync.Mutex

// What is loaded between the copy of ClickHouse and that of the journal, which
// calls it delivered, is in ClickHouse again after a restore; so is what is loaded
// between the copy of the journal and those of the topics that it speaks of.
func TestBackupOfWhatMovesMeanwhile(t *testing.T) {
	t.Parallel()
	dir, kept := begunFolder(t), filepath.Join(t.TempDir(), "backups")
	importPeople(t, dir, 0, 20)
	running, _ := up(t, dir)
	store, err := backup.OpenStore(kept)
	if err != nil {
		t.Fatal(err)
	}
	n, err := openMover(t.Context(), folder(dir), need{quiet: true}, newProgress(true))
	if err != nil {
		t.Fatal(err)
	}
	b := &backup.Backup{Folder: dir, Brand: n.settings.Brand, Topics: n.topics, Kafka: n.kafka, ClickHouse: n.clickhouse, Fingerprint: fingerprint(n.keys), Log: n.log}
	armed.Lock()
	disarm := fault.Arm(func(point string) error {
		if point == "backup/journal" {
			importPeople(t, dir, 50, 60)
		}
		if point == "backup/clickhouse" {
			importPeople(t, dir, 10, 50)
			bad := filepath.Join(t.TempDir(), "users.csv")
			writeText(t, bad, "account,phone,joined_at,updated_at\nx,13800131999,some day,2026-02-02 03:04:05\n")
			wantRefused(t, oneid(t, "import", "--dir", dir, "--shop", "tmall/a", "--kind", "users", bad), 3)
		}
		return nil
	})
	_, err = b.Run(t.Context(), store, false)
	disarm()
	armed.Unlock()
	if err := errors.Join(err, n.close()); err != nil {
		t.Fatal(err)
	}
	// Those of after the journal's copy are resolved anew: their customers may be called otherwise.
	const named = whoIsWho + " WHERE NOT match(account, '[a-z]5[0-9]$')"
	want := one(t, dir, named)
	down(t, dir, running)
	to := filepath.Join(t.TempDir(), "restored")
	must(t, "restore", "--dir", to, kept, "--keys", filepath.Join(dir, "keys"))
	if got := one(t, to, named); got != want || !strings.HasPrefix(got, "100 ") {
		t.Errorf("restored: %s, want %s", got, want)
	}
	if got := one(t, to, "SELECT count(), count(DISTINCT customer_id) FROM identity_map_current"); got != "120 60" {
		t.Errorf("restored: %s accounts and customers, want 120 60", got)
	}
	if got := one(t, to, "SELECT count() FROM dead_letters"); got != "1" {
		t.Errorf("restored: %s dead letters, want 1", got)
	}
	must(t, "rebuild", "--check", "--dir", to)
}

// Cut off after any step, a backup is none and the earlier one stays whole;
// damaged bytes and foreign keys are refused.
func TestBackupCutOffAndDamaged(t *testing.T) {
	t.Parallel()
	dir, kept := begunFolder(t), filepath.Join(t.TempDir(), "backups")
	importPeople(t, dir, 0, 20)
	want := one(t, dir, whoIsWho)
	must(t, "backup", "--dir", dir, "--with-keys", kept)
	store, err := backup.OpenStore(kept)
	if err != nil {
		t.Fatal(err)
	}
	n, err := openMover(t.Context(), folder(dir), need{quiet: true}, newProgress(true))
	if err != nil {
		t.Fatal(err)
	}
	points := fault.Points("backup")
	if len(points) != 4 {
		t.Fatalf("points = %v", points)
	}
	b := &backup.Backup{Folder: dir, Brand: n.settings.Brand, Topics: n.topics, Kafka: n.kafka, ClickHouse: n.clickhouse, Fingerprint: fingerprint(n.keys), Log: n.log}
	for _, point := range points {
		armed.Lock()
		disarm, stopped := fault.StopAt(point, 1)
		_, err := b.Run(t.Context(), store, false)
		disarm()
		armed.Unlock()
		if !stopped() || !errors.Is(err, fault.ErrStop) {
			t.Fatalf("%s: %v", point, err)
		}
		if all, err := store.Manifests(); err != nil || len(all) != 1 {
			t.Fatalf("%s: %d backups, %v; want the first alone", point, len(all), err)
		}
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Run(canceled, store, false); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup that was stopped = %v", err)
	}
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "restored")
	must(t, "restore", "--dir", to, kept)
	if got := one(t, to, whoIsWho); got != want {
		t.Errorf("restored: %s, want %s", got, want)
	}
	foreign := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", foreign)
	wantRefused(t, oneid(t, "restore", "--dir", filepath.Join(t.TempDir(), "x"), kept, "--keys", filepath.Join(foreign, "keys")), 1, "not those of this backup")
	wantRefused(t, oneid(t, "backup", "--dir", foreign, kept), 1, "another instance")
	// One byte of one piece.
	all, err := store.Manifests()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all[0].Files {
		if f.Bytes == 0 {
			continue
		}
		path := filepath.Join(kept, "pieces", f.Pieces[0][:2], f.Pieces[0])
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		break
	}
	to = filepath.Join(t.TempDir(), "restored")
	wantRefused(t, oneid(t, "restore", "--dir", to, kept), 1, "damaged")
	for _, left := range []string{to, to + ".restoring"} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("a restore that failed left %s", left)
		}
	}
}

// A backup has the pipelines of the folder and the mappings that they name, a copy of
// keys/ the API keys; and a restore writes into its folder alone, which may be there.
func TestRestoreOfWhatPeopleMade(t *testing.T) {
	t.Parallel()
	dir, kept := begunFolder(t), filepath.Join(t.TempDir(), "backups")
	made := map[string]string{
		"pipelines/nightly.yaml": "task: backup\nschedule: \"15 4 * * *\"\nto: backups\n",
		"pipelines/inbox.yaml":   "task: import\nevery: 1h\nfolder: inbox\nmapping: mappings/till.yaml\n",
		"pipelines/copies.yaml":  "task: import\nevery: 1h\nfolder: copies\nmapping: pipelines/inbox.yaml\n", // which is there anyway
		"pipelines/wrong.yaml":   "task: import\nevery: 1h\nfolder: wrong\nmapping: keys/keyring.json\n",
		"mappings/till.yaml":     "platform: file\nshop: till\nkind: orders\ncolumns: {}\n",
	}
	for name, text := range made {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		writeText(t, filepath.Join(dir, name), text)
	}
	beside := t.TempDir()
	for _, above := range []string{filepath.Dir(dir), beside} {
		if err := os.Mkdir(filepath.Join(above, "shared"), 0o700); err != nil {
			t.Fatal(err)
		}
		writeText(t, filepath.Join(above, "shared", "rules.yaml"), string(identity.DefaultRulesYAML()))
	}
	settings, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if err != nil {
		t.Fatal(err)
	}
	made[settingsFile] = string(settings) + "\nidentity:\n  rules_file: ../shared/rules.yaml\n  tmall_mix_key_file: secrets/mix\n"
	writeText(t, filepath.Join(dir, settingsFile), made[settingsFile])
	made["secrets/mix"] = "0123456789abcdef"
	writeText(t, filepath.Join(dir, "secrets", "mix"), made["secrets/mix"])
	must(t, "apikey", "create", "service-desk", "--dir", dir)
	must(t, "backup", "--dir", dir, kept)
	store, err := backup.OpenStore(kept)
	if err != nil {
		t.Fatal(err)
	}
	all, err := store.Manifests()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, f := range all[0].Files {
		if seen[f.Path] || strings.HasPrefix(f.Path, "keys/") || strings.HasPrefix(f.Path, "secrets/") {
			t.Errorf("%s is in a backup without keys, or is there twice", f.Path)
		}
		seen[f.Path] = true
	}
	to, others := filepath.Join(beside, "restored"), filepath.Join(beside, "restored.restoring")
	for _, folder := range []string{to, others} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeText(t, filepath.Join(others, "note"), "somebody's")
	if err := os.Mkdir(filepath.Join(to, "lost+found"), 0o700); err != nil { // of a volume of its own
		t.Fatal(err)
	}
	if a := must(t, "restore", "--dir", to, kept, "--keys", filepath.Join(dir, "keys")); !strings.Contains(a.stderr, "oneid apikey list") {
		t.Errorf("it says nothing of the API keys that come back:\n%s", a.stderr)
	}
	for name, want := range made {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v)", name, got, err)
		}
	}
	if a := must(t, "apikey", "list", "--dir", to); !strings.Contains(a.stdout, "service-desk") {
		t.Errorf("the API keys are\n%s", a.stdout)
	}
	if _, err := os.Stat(filepath.Join(others, "note")); err != nil {
		t.Errorf("a file of another folder is gone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(to, restoringFolder)); err == nil {
		t.Errorf("%s is left", restoringFolder)
	}
	importPeople(t, to, 0, 5)
}

// A folder into which a restore is made, or was when it was cut off, gets no instance
// with keys of its own.
func TestAFolderThatIsRestored(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, restoringFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, oneid(t, "init", "--dir", dir), 1, "has not ended", "empty the folder")
	wantRefused(t, oneid(t, "up", "--dir", dir), 1, "has not ended")
	if _, err := os.Stat(filepath.Join(dir, "keys")); err == nil {
		t.Error("it was given keys")
	}
}

// Keys of the backup's own are no older than those that somebody has a copy of: the API
// keys in it stay, and secrets/ too.
func TestKeysWithADanglingLink(t *testing.T) {
	t.Parallel()
	f, from := folder(t.TempDir()), t.TempDir()
	for _, dir := range []string{f.path("keys"), f.path("secrets"), filepath.Join(from, "keys"), filepath.Join(from, "secrets")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeText(t, filepath.Join(from, "keys", "keyring.json"), "a ring")
	writeText(t, filepath.Join(from, "secrets", "z"), "a secret")
	if err := errors.Join(os.Symlink("nowhere", filepath.Join(from, "secrets", "a")), os.Symlink("z", filepath.Join(from, "secrets", "b"))); err != nil {
		t.Fatal(err)
	}
	if err := f.takeKeys(filepath.Join(from, "keys"), false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b", "z"} {
		if got, err := os.ReadFile(f.path("secrets", name)); err != nil || string(got) != "a secret" {
			t.Errorf("secrets/%s = %q, %v", name, got, err)
		}
	}
	if _, err := os.Lstat(f.path("secrets", "a")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link that leads nowhere: %v", err)
	}
}

func TestKeysOfABackupStay(t *testing.T) {
	t.Parallel()
	f, copied := folder(t.TempDir()), t.TempDir()
	for _, dir := range []string{string(f), copied} {
		for _, name := range []string{"keys/keyring.json", "keys/api-keys.json", "secrets/mix"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			writeText(t, filepath.Join(dir, name), dir)
		}
	}
	if err := f.takeKeys(filepath.Join(copied, "keys"), true); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"keys/keyring.json": copied, "keys/api-keys.json": string(f), "secrets/mix": string(f)} {
		if got, err := os.ReadFile(f.path(name)); err != nil || string(got) != want {
			t.Errorf("%s is that of %s (%v), want that of %s", name, got, err, want)
		}
	}
}

// Of backups that are made with --keep there are so many, and what they do not need is
// gone; the last one is whole.
func TestBackupsThatAreKept(t *testing.T) {
	t.Parallel()
	dir, kept := begunFolder(t), filepath.Join(t.TempDir(), "backups")
	wantRefused(t, oneid(t, "backup", "--dir", dir, "--keep=-1", kept), 1, "--keep")
	for no := range 3 {
		importPeople(t, dir, 10*no, 10*no+10)
		report := decode[backupReport](t, must(t, "backup", "--dir", dir, "--json", "--with-keys", "--keep", "2", kept).stdout)
		if report.Number != no+1 || report.Dropped != max(no-1, 0) {
			t.Errorf("backup %d drops %d", report.Number, report.Dropped)
		}
	}
	want := one(t, dir, whoIsWho)
	to := filepath.Join(t.TempDir(), "restored")
	wantRefused(t, oneid(t, "restore", "--dir", to, "--backup", "1", kept), 1, "no such backup", "it holds 2")
	lock, err := os.Open(filepath.Join(kept, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // as by a backup
		t.Fatal(err)
	}
	wantRefused(t, oneid(t, "restore", "--dir", to, kept), 1, "under way")
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	must(t, "restore", "--dir", to, kept)
	if got := one(t, to, whoIsWho); got != want {
		t.Errorf("restored: %s, want %s", got, want)
	}
	// One that is there, and others could not be dropped, is told with the error.
	store, err := backup.OpenStore(kept)
	if err != nil {
		t.Fatal(err)
	}
	all, err := store.Manifests()
	if err != nil {
		t.Fatal(err)
	}
	all[0].Number = -1
	data, err := json.Marshal(all[0])
	if err != nil {
		t.Fatal(err)
	}
	sum, inTheWay := sha256.Sum256(data), filepath.Join(kept, "manifests", "-00001-x.json")
	writeText(t, filepath.Join(kept, "manifests", "000000-"+hex.EncodeToString(sum[:8])+".json"), string(data))
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := oneid(t, "backup", "--dir", dir, "--with-keys", "--keep", "2", kept)
	if wantRefused(t, a, 1, "drop an old backup"); !strings.Contains(a.stdout, "backup 4") {
		t.Errorf("it says nothing of the backup:\n%s%s", a.stdout, a.stderr)
	}
}

// A backup that cannot be kept, as on a full disk, leaves nothing in the data folder:
// what ClickHouse wrote for it is as large as what is new.
func TestBackupThatCannotBeKept(t *testing.T) {
	t.Parallel()
	dir, kept := begunFolder(t), filepath.Join(t.TempDir(), "backups")
	if _, err := backup.OpenStore(kept); err != nil {
		t.Fatal(err)
	}
	for first := range 256 { // where each piece's folder would be
		writeText(t, filepath.Join(kept, "pieces", hex.EncodeToString([]byte{byte(first)})), "")
	}
	a := oneid(t, "backup", "--dir", dir, kept)
	wantRefused(t, a, 1, "backup: copy", "not done")
	if strings.Contains(a.stderr, ": done") {
		t.Errorf("it says that something was done:\n%s", a.stderr)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "clickhouse", "backups")); err == nil {
		t.Errorf("it leaves %v", left)
	}
	// What one that was killed has left goes with the next start of an owner, but not
	// while another backup runs.
	f, left := folder(dir), filepath.Join(dir, "clickhouse", "backups", "oneid-left", "data")
	leave := func() {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
			t.Fatal(err)
		}
		writeText(t, left, "a copy")
	}
	leave()
	release, err := f.lockBackups()
	if err != nil {
		t.Fatal(err)
	}
	oneid(t, "status", "--dir", dir)
	if _, err := os.Stat(left); err != nil {
		t.Errorf("what a backup that runs has made: %v", err)
	}
	release()
	oneid(t, "status", "--dir", dir)
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was left is there after a start (%v)", err)
	}
}
