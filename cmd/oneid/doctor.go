package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/chdb/install"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/pipelines/keys"
	"oneid/pipelines/membership"
	"oneid/pipelines/tokens"
	"oneid/schemas/events"
)

// doctorCmd checks an instance.
type doctorCmd struct {
	JSON bool `help:"Print one JSON object with the checks."`
}

// Help shows below the usage.
func (doctorCmd) Help() string {
	return "Checks settings, pipelines, files and their modes, disk space, the engine's library, and every address with its keys, permissions and clock: Kafka, ClickHouse as OneID and as the BI user, each shop, the source of members' points. What runs is asked where it is; nothing is started or changed.\n\nExit code: 0 if nothing fails, with or without warnings; 1 otherwise."
}

// Run prints a line for each check.
func (c doctorCmd) Run(ctx context.Context, f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	d := &doctor{folder: f}
	if !c.JSON {
		d.out = os.Stdout
	}
	d.examine(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	failed := 0
	for _, check := range d.checks {
		if check.Status == doctorFail {
			failed++
		}
	}
	if c.JSON {
		if err := printJSON(struct {
			OK     bool          `json:"ok"`
			Checks []doctorCheck `json:"checks"`
		}{failed == 0, d.checks}); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("doctor: %d of %d checks failed", failed, len(d.checks))
	}
	return nil
}

// doctorStatus is how a check went.
type doctorStatus string

const (
	doctorOK   doctorStatus = "ok"
	doctorWarn doctorStatus = "warn"
	doctorFail doctorStatus = "FAIL"
)

// doctorCheck is the outcome of one check.
type doctorCheck struct {
	Name   string       `json:"name"`
	Status doctorStatus `json:"status"`
	Detail string       `json:"detail"`
	// Code names the fault for programs, Hint says what to do about it.
	Code string `json:"code,omitempty"`
	Hint string `json:"hint,omitempty"`
}

// doctor examines a folder. Checks follow each other: an instance that is ill
// is not asked everything at once.
type doctor struct {
	folder folder
	// out gets each check as it ends; nil for none.
	out    io.Writer
	checks []doctorCheck
}

func (d *doctor) note(check doctorCheck) {
	d.checks = append(d.checks, check)
	if d.out == nil {
		return
	}
	fmt.Fprintf(d.out, "%-4s  %s: %s\n", check.Status, check.Name, check.Detail)
	if check.Hint != "" {
		fmt.Fprintf(d.out, "      → %s\n", check.Hint)
	}
}

func (d *doctor) ok(name, format string, values ...any) {
	d.note(doctorCheck{Name: name, Status: doctorOK, Detail: fmt.Sprintf(format, values...)})
}

func (d *doctor) warn(name, hint, format string, values ...any) {
	d.note(doctorCheck{Name: name, Status: doctorWarn, Detail: fmt.Sprintf(format, values...), Hint: hint})
}

// fail notes every fault in err; hint is for those that bear none.
func (d *doctor) fail(name string, err error, hint string) {
	// Only what stands first may hold several: further in, they belong together.
	if several, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // the join itself, not what it holds
		for _, one := range several.Unwrap() {
			d.fail(name, one, hint)
		}
		return
	}
	check := doctorCheck{Name: name, Status: doctorFail, Detail: err.Error(), Hint: hint}
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		check.Code = coded.Code()
	}
	var hinting interface{ Hint() string }
	if errors.As(err, &hinting) && hinting.Hint() != "" {
		check.Hint = hinting.Hint()
	}
	d.note(check)
}

// doctorPatience bounds one question to a server, shopPatience all that a
// connector asks: it may renew a token and retry.
const (
	doctorPatience = 10 * time.Second
	shopPatience   = time.Minute
)

func (d *doctor) examine(ctx context.Context) {
	d.files()
	d.disk()
	settings, err := loadSettings(string(d.folder))
	if err != nil {
		d.fail("settings", err, "mend "+d.folder.path(settingsFile)+"; until then nothing that it names can be checked")
		return
	}
	i := &instance{folder: d.folder, settings: settings}
	if _, err := i.identityRules(); err != nil {
		d.fail("settings", err, "mend the file that identity.rules_file names, or those of identity.models")
	} else {
		d.ok("settings", "%s", d.folder.path(settingsFile))
	}
	d.keys()
	owned, err := d.folder.isOwned()
	running := false
	switch {
	case err != nil:
		d.fail("owner", err, "")
	case !owned:
		d.ok("owner", "no process has the folder")
	default:
		if err := i.attach(need{}); err != nil {
			d.warn("owner", "if it is `oneid up`, ask again once it is up", "a process has the folder, and does not say where it answers")
			break
		}
		running = true
		d.api(ctx)
	}
	d.kafka(ctx, i, running)
	d.clickhouse(ctx, i, running)
	d.shops(ctx, settings, running)
	d.membership(ctx, i)
}

// isOwned says whether a process holds the folder's lock, without taking it
// for longer than a moment.
func (f folder) isOwned() (bool, error) {
	file, err := os.Open(f.path("lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the folder's lock: %w", err)
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// files checks who may read and write what.
func (d *doctor) files() {
	faults := 0
	fault := func(err error, hint string) {
		faults++
		d.fail("files", err, hint)
	}
	const writable = 2 // W_OK of access(2)
	for _, name := range []string{"", "keys", "secrets", "tokens", "kafka", "clickhouse", "state"} {
		path := d.folder.path(name)
		stat, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // made when it is needed
		case err != nil:
			fault(err, "let the user that runs oneid read it")
			continue
		case !stat.IsDir():
			fault(fmt.Errorf("%s is no folder", path), "move it away: oneid makes the folder when it needs it")
			continue
		case syscall.Access(path, writable) != nil:
			fault(fmt.Errorf("%s may not be written by this user", path), "run oneid as the user that owns it, or give it to this one with chown -R")
		}
		secret := name == "keys" || name == "secrets" || name == "tokens"
		if secret && stat.Mode().Perm()&0o077 != 0 {
			fault(fmt.Errorf("%s has mode %04o: others may look into it", path, stat.Mode().Perm()), "chmod 700 "+path)
		}
		if !secret {
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			fault(err, "let the user that runs oneid read it")
		}
		for _, entry := range entries {
			file := filepath.Join(path, entry.Name())
			stat, err := os.Stat(file)
			if err != nil || !stat.Mode().IsRegular() {
				continue
			}
			if stat.Mode().Perm()&0o077 != 0 {
				fault(fmt.Errorf("%s has mode %04o: others may read the secret in it", file, stat.Mode().Perm()), "chmod 600 "+file+", and if others use this machine, change the secret")
			}
		}
	}
	if faults == 0 {
		d.ok("files", "modes and owners of %s are right", d.folder)
	}
}

// What the disk must have: an engine that merges parts needs room for both.
const (
	diskFail = 1 << 30
	diskWarn = 5 << 30
)

func (d *doctor) disk() {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(string(d.folder), &stat); err != nil {
		d.fail("disk", fmt.Errorf("ask for the space on the disk of %s: %w", d.folder, err), "")
		return
	}
	free := stat.Bavail * uint64(stat.Bsize) // a block has a size above 0
	const hint = "make room, or copy the folder at rest to a larger disk"
	switch gib := float64(free) / (1 << 30); {
	case free < diskFail:
		d.fail("disk", fmt.Errorf("%.1f GiB are free", gib), hint)
	case free < diskWarn:
		d.warn("disk", hint, "%.1f GiB are free", gib)
	default:
		d.ok("disk", "%.0f GiB are free", gib)
	}
}

// keys checks the brand's keys and those of the API.
func (d *doctor) keys() {
	if _, err := os.Stat(d.folder.path("keys", "keyring.json")); errors.Is(err, fs.ErrNotExist) {
		d.ok("keys", "the brand's keys are made at the first start")
	} else if _, err := keyring.Open(string(d.folder)); err != nil {
		d.fail("keys", err, "put the key ring back from its backup: what was sealed under its keys opens with no others")
	} else {
		d.ok("keys", "the brand's key ring can be read")
	}
	list, err := d.folder.apiKeys().List()
	switch {
	case err != nil:
		d.fail("API keys", err, "restore the file, or remove it and make new keys with `oneid apikey create NAME`")
	case len(list) == 0:
		d.warn("API keys", "make one with `oneid apikey create NAME`; `oneid up` makes its own", "there is none: nobody may use the look-up API yet")
	default:
		d.ok("API keys", "%d", len(list))
	}
}

// api asks the running API whether it is ready.
func (d *doctor) api(ctx context.Context) {
	e, err := d.folder.endpoints()
	if err != nil {
		d.fail("API", err, "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.API.URL+"/readyz", nil)
	if err != nil {
		d.fail("API", err, "")
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.fail("API", fmt.Errorf("ask whether it is ready: %w", err), "the log of `oneid up` says why it does not answer")
		return
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	if response.StatusCode != http.StatusOK {
		d.fail("API", fmt.Errorf("%s is not ready: %s", e.API.URL, strings.TrimSpace(string(text))), "the log of `oneid up` says more")
		return
	}
	d.ok("API", "%s is ready", e.API.URL)
}

// kafka checks the brokers that are configured, or the running embedded one.
func (d *doctor) kafka(ctx context.Context, i *instance, running bool) {
	const name = "Kafka"
	k := i.settings.Kafka
	config := kafka.Config{Brokers: i.brokers}
	switch {
	case len(k.Brokers) > 0:
		var err error
		if config, err = k.client(d.folder); err != nil {
			d.fail(name, err, "set kafka.sasl.password_file (or ONEID_KAFKA_SASL_PASSWORD) and kafka.tls_ca_file")
			return
		}
	case !running:
		d.ok(name, "embedded; it is started when it is needed")
		return
	}
	client, err := kafka.New(config)
	if err != nil {
		d.fail(name, err, "mend kafka in oneid.yaml")
		return
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	at := strings.Join(config.Brokers, ", ")
	if err := client.Ping(ctx); err != nil {
		d.fail(name, err, "is a broker at "+at+"? kafka.tls and kafka.sasl must be as it wants them")
		return
	}
	var topics []kafka.Topic
	for _, t := range pipelines.Topics(i.settings.Brand, k.Partitions) {
		topics = append(topics, kafka.Topic{Name: t.Name, Partitions: t.Partitions, Replication: k.Replication, Config: t.Config})
	}
	if len(k.Brokers) > 0 {
		if err := client.CheckTopics(ctx, topics); err != nil {
			d.fail(name, err, "let this user make the topics "+i.settings.Brand+".*, or have them made; kafka.replication must not exceed the number of brokers")
			return
		}
	}
	d.ok(name, "%s answers", at)
	if ring, err := keyring.Open(string(d.folder)); err == nil { // what is wrong with it is said of the keys
		var other *keys.OtherError
		if err := keys.Check(ctx, client, events.TopicsOf(i.settings.Brand).Cursors, ring.Marks()); errors.As(err, &other) {
			d.fail("keys", err, other.Hint())
		}
	}
	d.drift(ctx, client, events.TopicsOf(i.settings.Brand).Cursors)
}

// clickhouse checks the server that is configured, or the running engine, as
// OneID and as the BI user.
func (d *doctor) clickhouse(ctx context.Context, i *instance, running bool) {
	const name = "ClickHouse"
	c := i.settings.ClickHouse
	configured := c.URL != ""
	if !configured {
		d.library(ctx)
		if !running {
			d.ok(name, "embedded; it is started when it is needed")
			return
		}
	} else {
		password, err := c.Password.Load(string(d.folder))
		if err != nil {
			d.fail(name, err, "set clickhouse.password_file, or ONEID_CLICKHOUSE_PASSWORD")
			return
		}
		i.app = sqlUser{c.URL, c.User, password, c.Database}
	}
	asking, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	conn, err := clickhouse.Open(asking, clickhouse.Config{URL: i.app.url, Database: i.app.database, User: i.app.user, Password: i.app.password, Cluster: c.Cluster, Timezone: i.settings.Timezone})
	if err != nil {
		d.fail(name, err, "check clickhouse.url, user and password_file")
		return
	}
	defer func() { _ = conn.Close() }() // what was asked is answered
	var rows []struct {
		Version string `ch:"version"`
		Now     int64  `ch:"now"`
		Made    uint64 `ch:"made"`
	}
	before := time.Now()
	err = conn.Select(asking, "ask for version and time", &rows, "SELECT version() AS version, toUnixTimestamp64Milli(now64(3)) AS now,"+
		" (SELECT count() FROM system.tables WHERE database = "+clickhouse.Quote(i.app.database)+") AS made")
	if err != nil || len(rows) != 1 {
		d.fail(name, errors.Join(err), "let the user "+i.app.user+" read the database "+i.app.database)
		return
	}
	d.ok(name, "version %s at %s", rows[0].Version, i.app.url)
	d.clock(name, time.UnixMilli(rows[0].Now), before, time.Now())
	if configured {
		for _, right := range []string{"CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "CREATE DICTIONARY", "INSERT", "SELECT", "ALTER"} {
			granted, err := conn.Number(asking, "check a grant", "CHECK GRANT "+right+" ON `"+i.app.database+"`.*")
			switch {
			case err != nil:
				d.warn(name, "versions before 24.10 cannot be asked for rights; `oneid migrate` will tell", "the rights of %s cannot be asked for", i.app.user)
			case granted != 1:
				d.fail(name, fmt.Errorf("the user %s lacks %s on %s", i.app.user, right, i.app.database), fmt.Sprintf("GRANT %s ON %s.* TO %s", right, i.app.database, i.app.user))
				continue
			default:
				continue
			}
			break
		}
	}
	d.bi(ctx, i, configured, rows[0].Made > 0)
}

// library checks the embedded engine's.
func (d *doctor) library(ctx context.Context) {
	path, there, err := install.Find(ctx, install.Options{})
	switch {
	case err != nil:
		d.fail("engine", err, "")
	case !there:
		d.warn("engine", "`oneid engine install` fetches it (about 180 MB); so does the first command that needs it", "the embedded ClickHouse is not installed yet")
	default:
		d.ok("engine", "%s", path)
	}
}

// Clocks may differ by so much: versions of orders are cut to milliseconds,
// but platforms refuse calls that are minutes off.
const (
	skewWarn = 2 * time.Second
	skewFail = time.Minute
)

// clock compares a server's time with this machine's around the question.
func (d *doctor) clock(name string, server, before, after time.Time) {
	var skew time.Duration
	switch {
	case server.Before(before):
		skew = before.Sub(server)
	case server.After(after):
		skew = server.Sub(after)
	}
	const hint = "let both machines follow an NTP server"
	switch skew = skew.Round(time.Millisecond); {
	case skew >= skewFail:
		d.fail(name+" clock", fmt.Errorf("it differs from this machine's by %s", skew), hint)
	case skew >= skewWarn:
		d.warn(name+" clock", hint, "it differs from this machine's by %s", skew)
	default:
		d.ok(name+" clock", "it agrees with this machine's")
	}
}

// bi checks that the BI user reads views and no tables.
func (d *doctor) bi(ctx context.Context, i *instance, configured, migrated bool) {
	const name = "BI user"
	if configured {
		c := i.settings.ClickHouse
		if c.BI.URL == "" {
			d.warn(name, "set clickhouse.bi.url, user and password_file for `oneid query` and your BI tools", "none is configured")
			return
		}
		password, err := c.BI.Password.Load(string(d.folder))
		if err == nil {
			var at *url.URL
			if at, err = url.Parse(c.BI.URL); err == nil && at.Scheme != "http" && at.Scheme != "https" {
				err = errors.New("clickhouse.bi.url is not an http(s) address")
			}
		}
		if err != nil {
			d.fail(name, err, "mend clickhouse.bi in oneid.yaml")
			return
		}
		i.bi = sqlUser{c.BI.URL, c.BI.User, password, c.Database}
	}
	if i.bi.url == "" {
		d.warn(name, biHint, "it has no listener: this system cannot keep the engine to its folder (no Landlock)")
		return
	}
	if !migrated {
		d.warn(name, "run `oneid migrate`, then ask again", "the database %s has no views yet", i.app.database)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	if err := ask(ctx, i.bi, "SELECT 1 FROM customer_360 LIMIT 1", "TabSeparated", io.Discard); err != nil {
		d.fail(name, err, fmt.Sprintf("let it read the public views, as deploy explains: GRANT SELECT ON %s.customer_360 TO %s, and so on", i.app.database, i.bi.user))
		return
	}
	if err := ask(ctx, i.bi, "SELECT 1 FROM orders LIMIT 1", "TabSeparated", io.Discard); err == nil {
		d.fail(name, errors.New("it reads the table orders, and not the public views alone"), fmt.Sprintf("REVOKE SELECT ON %s.* FROM %s, then grant it on the public views", i.app.database, i.bi.user))
		return
	}
	d.ok(name, "%s reads the views, and no table", i.bi.user)
}

// shops checks each shop; in a folder that `demo` made, its simulators while
// they run.
func (d *doctor) shops(ctx context.Context, settings Settings, running bool) {
	shops, err := d.folder.shops(settings)
	if err != nil {
		d.fail("shops", err, "mend shops in "+d.folder.path(settingsFile))
	}
	_, worldErr := simulator.Load(string(d.folder))
	ofDemo := worldErr == nil
	if running && ofDemo {
		var e simulator.Endpoints
		if err := readJSON(d.folder.path(simulatorsFile), &e); err != nil {
			d.fail("simulators", err, "")
		} else if simulators, err := simulated(e, false); err != nil {
			d.fail("simulators", err, "")
		} else {
			shops = append(shops, simulators...)
		}
	}
	if len(settings.Shops) == 0 && !ofDemo {
		d.warn("shops", "name them under shops in "+d.folder.path(settingsFile)+", or load files with `oneid import`", "none is configured")
	}
	if err == nil {
		d.pipelines(settings, shops, ofDemo && !running)
	}
	if len(shops) == 0 {
		return
	}
	if err := d.folder.withTokens(ctx, settings, func(keeping tokens.Keeping) error {
		d.shopsWith(ctx, shops, keeping)
		return nil
	}); err != nil {
		d.fail("tokens", err, "")
	}
}

// pipelines reads the files of pipelines. Those of a folder that `demo` made may
// name shops that are known while its simulators run.
func (d *doctor) pipelines(settings Settings, shops []shop, unknown bool) {
	const name = "pipelines"
	list, err := d.folder.loadPipelines(settings, shops)
	switch files := slices.DeleteFunc(list, func(p pipeline) bool { return p.File == "" }); {
	case err != nil && unknown:
		d.warn(name, "ask again while `oneid up` runs its simulators", "a file is wrong, or names a shop of the simulators, which do not run: %v", err)
	case err != nil:
		d.fail(name, err, "")
	default:
		d.ok(name, "%d of %s", len(files), d.folder.path(pipelinesFolder))
	}
	for _, p := range list {
		if p.Task != taskImport {
			continue
		}
		if names, err := left(d.folder.resolve(p.Folder)); err != nil {
			d.fail(name, err, "let the user that runs oneid read it")
		} else if len(names) > 0 {
			d.warn(name, "move their files into the folder itself", "%s loads no files from folders and links in %s: %s", p.Name, p.Folder, strings.Join(names, ", "))
		}
	}
}

// membership asks the source of points about a member that there is not: it
// answers so, or with anything that it may answer.
func (d *doctor) membership(ctx context.Context, i *instance) {
	const name = "membership"
	if i.settings.Membership.Source == "" {
		return
	}
	points, err := i.points()
	if err != nil {
		d.fail(name, err, "mend membership in "+d.folder.path(settingsFile))
		return
	}
	began := time.Now()
	if _, err := points(ctx, membership.About{Platform: "oneid", Shop: "doctor", Account: "nobody"}); err != nil {
		d.fail(name, err, "platforms are told to try again while it does not answer within membership.source_timeout: is membership.source_url right, is it up, and does it know the secret in membership.source_secret_file?")
		return
	}
	d.ok(name, "the source of points answers, in %s", time.Since(began).Round(time.Millisecond))
}

// consentSoon is how long before a consent is needed doctor reminds of it.
const consentSoon = 14 * 24 * time.Hour

func (d *doctor) shopsWith(ctx context.Context, shops []shop, keeping tokens.Keeping) {
	for _, s := range shops {
		name := "shop " + s.platform + "/" + s.name
		store := keeping.Of(s.platform, s.name)
		authoriser, authorised := s.connector.(connectors.Authoriser)
		if authorised {
			authoriser.UseTokens(store)
		}
		asking, cancel := context.WithTimeout(ctx, shopPatience)
		err := s.connector.Check(asking)
		cancel()
		right := "address, keys, rights and clock are right"
		lesser := errors.As(err, new(*connectors.LesserError))
		if lesser {
			d.warn(name, "", "all streams can be read, but: %v", err)
			right = "address, keys and clock are right"
		} else if err != nil {
			d.fail(name, err, "check the shop's settings in oneid.yaml")
			continue
		}
		if authorised {
			token, err := store.Load(ctx)
			if err != nil {
				d.fail(name, err, "")
				continue
			}
			if end, needed := tokenEnd(authoriser, token); needed && time.Until(end) < consentSoon {
				d.warn(name, fmt.Sprintf("run `oneid connect %s --shop %s` before", s.platform, s.name), "the shop's owner must consent anew before %s", end.UTC().Format(time.RFC3339))
				continue
			} else if needed {
				d.ok(name, "%s; its owner consents anew before %s", right, end.UTC().Format(time.DateOnly))
				continue
			}
		}
		if !lesser {
			d.ok(name, "%s", right)
		}
	}
}
