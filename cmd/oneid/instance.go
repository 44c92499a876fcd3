package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/identity"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/broker"
	"oneid/internal/embedded/chdb"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/internal/telemetry"
	"oneid/pipelines"
	schema "oneid/schemas/clickhouse"
	"oneid/schemas/events"
)

// need says which parts a command works with.
type need struct {
	kafka, clickhouse bool
	// decisions takes people's words where there is a Kafka for them, configured
	// or the owner's: none is started for it, and one that is away is no obstacle.
	decisions bool
	// bi opens the listener for BI tools too.
	bi bool
	// lookups serves the look-up API beside the resolver.
	lookups bool
	// quiet logs warnings and errors alone.
	quiet bool
}

// instance is the parts that a command works with: started here on the data
// folder, or those of the folder's owner, or configured servers. The rest of
// the program cannot tell which.
type instance struct {
	folder   folder
	settings Settings
	log      *slog.Logger
	owner    bool

	topics     events.Topics
	keys       *keyring.Ring
	kafka      *kafka.Client
	brokers    []string
	clickhouse *clickhouse.Conn
	app, bi    sqlUser
	secrets    struct{ app, bi string }
	// scorers are the models that rules may use; set by identityRules.
	scorers identity.Scorers
	// engineServer is the embedded ClickHouse; nil if it is not ours.
	engineServer *chdb.Server

	closers []func() error
}

// open opens what is needed. An instance that does not own its folder works
// beside the owner.
func open(ctx context.Context, f folder, n need, show *progress) (_ *instance, err error) {
	settings, err := loadSettings(string(f))
	if err != nil {
		return nil, err
	}
	level := settings.Log.Level
	if n.quiet && level == "info" {
		level = "warn"
	}
	log, err := telemetry.NewLogger(os.Stderr, level, settings.Log.Format)
	if err != nil {
		return nil, err
	}
	i := &instance{folder: f, settings: settings, log: log, topics: events.TopicsOf(settings.Brand)}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close())
		}
	}()
	release, err := f.own()
	switch {
	case errors.Is(err, errOwned):
		if err := i.attach(n); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		i.owner = true
		i.closers = append(i.closers, func() error { release(); return nil })
	}
	n.kafka = n.kafka || n.decisions && len(i.brokers)+len(settings.Kafka.Brokers) > 0
	unused := i.unused()
	if i.owner {
		if err := i.start(ctx, n, show); err != nil {
			return nil, err
		}
	}
	if unused {
		i.keys, err = keyring.Create(string(f))
	} else {
		i.keys, err = keyring.Open(string(f))
	}
	if err != nil {
		return nil, err
	}
	return i, i.connect(ctx, n)
}

// unused says whether nothing was ever hashed or sealed under the brand's
// keys, as in a folder whose settings were written by hand, so that fresh ones
// do no harm: not beside configured servers, where another machine may have
// the keys.
func (i *instance) unused() bool {
	_, kafka := os.Stat(i.folder.path("kafka"))
	_, clickhouse := os.Stat(i.folder.path("clickhouse"))
	return i.owner && errors.Is(kafka, fs.ErrNotExist) && errors.Is(clickhouse, fs.ErrNotExist) &&
		len(i.settings.Kafka.Brokers) == 0 && i.settings.ClickHouse.URL == ""
}

// close lets everything go, the last first.
func (i *instance) close() error {
	var faults []error
	for n := len(i.closers) - 1; n >= 0; n-- {
		faults = append(faults, i.closers[n]())
	}
	i.closers = nil
	return errors.Join(faults...)
}

// attach takes the addresses of the owner.
func (i *instance) attach(n need) error {
	e, err := i.folder.endpoints()
	if err != nil {
		return err
	}
	if n.kafka && len(e.Kafka.Brokers) == 0 {
		return hinted{fmt.Errorf("%w, and has no Kafka: it serves look-ups alone", errOwned), "stop that process first"}
	}
	i.brokers = e.Kafka.Brokers
	if i.app, err = i.folder.sqlUser(e.ClickHouse); err != nil {
		return err
	}
	i.bi, err = i.folder.sqlUser(e.BI)
	return err
}

// sqlUser reads the secret of an endpoint.
func (f folder) sqlUser(e SQLEndpoint) (sqlUser, error) {
	path := e.SecretFile
	if path != "" && !filepath.IsAbs(path) {
		path = f.path(path)
	}
	user := sqlUser{url: e.URL, user: e.User, database: e.Database}
	if path == "" {
		return user, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return user, fmt.Errorf("read the secret of %s: %w", e.User, err)
	}
	user.password = strings.TrimSpace(string(data))
	return user, nil
}

// start starts the embedded parts, as far as no servers are configured, and
// takes the addresses of those that are.
func (i *instance) start(ctx context.Context, n need, show *progress) error {
	group, groupCtx := errgroup.WithContext(ctx)
	var b *broker.Broker
	var engine *chdb.Server
	if i.brokers = i.settings.Kafka.Brokers; len(i.brokers) == 0 && n.kafka {
		group.Go(func() (err error) {
			b, err = broker.Start(i.folder.path("kafka"), "127.0.0.1:0")
			return err
		})
	}
	c := i.settings.ClickHouse
	if c.URL == "" && n.clickhouse {
		library, err := installEngine(ctx, show)
		if err != nil {
			return err
		}
		group.Go(func() (err error) {
			engine, err = chdb.Start(groupCtx, chdb.Config{
				Library: library, Folder: i.folder.path("clickhouse"), Secrets: i.folder.path("secrets"),
				Database: c.Database, Address: c.Listen, BI: n.bi, BIUnconfined: c.BI.Unconfined, BIAddress: c.BI.Listen,
				PublicViews: schema.PublicViews, MemoryBytes: uint64(c.MemoryMiB) << 20, Log: i.log,
			})
			return err
		})
	}
	err := group.Wait()
	if b != nil {
		i.closers = append(i.closers, func() error { b.Close(); return nil })
		i.brokers = b.Addresses()
	}
	if i.engineServer = engine; engine != nil {
		i.closers = append(i.closers, engine.Close)
		i.app = sqlUser{engine.URL(), engine.User(), engine.Password(), engine.Database()}
		i.secrets.app = i.folder.relative(engine.SecretFile())
		if engine.BIURL() != "" {
			i.bi = sqlUser{engine.BIURL(), engine.BIUser(), engine.BIPassword(), engine.Database()}
			i.secrets.bi = i.folder.relative(engine.BISecretFile())
		}
	}
	if err != nil {
		return err
	}
	if c.URL != "" {
		password, err := c.Password.Load(string(i.folder))
		if err != nil {
			return err
		}
		i.app = sqlUser{c.URL, c.User, password, c.Database}
		i.secrets.app = c.Password.File
		biPassword, err := c.BI.Password.Load(string(i.folder))
		if err != nil {
			return err
		}
		i.bi = sqlUser{c.BI.URL, c.BI.User, biPassword, c.Database}
		i.secrets.bi = c.BI.Password.File
	}
	return nil
}

// relative is a path as seen from the folder.
func (f folder) relative(path string) string {
	folder, errFolder := filepath.Abs(string(f))
	absolute, errPath := filepath.Abs(path)
	if errors.Join(errFolder, errPath) != nil {
		return path
	}
	if inside, err := filepath.Rel(folder, absolute); err == nil {
		return inside
	}
	return path
}

// connect makes the clients; they work alike with all servers.
func (i *instance) connect(ctx context.Context, n need) error {
	if n.kafka {
		k := i.settings.Kafka
		config := kafka.Config{Brokers: i.brokers}
		var err error
		if len(k.Brokers) > 0 {
			if config, err = k.client(i.folder); err != nil {
				return err
			}
		}
		if i.kafka, err = kafka.New(config); err != nil {
			return err
		}
		i.closers = append(i.closers, func() error { i.kafka.Close(); return nil })
		reaching, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		if err := i.kafka.Ping(reaching); err != nil {
			if n.decisions {
				i.log.Warn("Kafka is away: no decisions are taken until it is there", "brokers", strings.Join(i.brokers, ","), "error", err)
				return i.connectClickHouse(ctx, n)
			}
			return hinted{fmt.Errorf("reach Kafka at %s: %w", strings.Join(i.brokers, ", "), err), "are the addresses under kafka.brokers right, and is it up?"}
		}
		if !n.decisions && (i.owner || len(k.Brokers) > 0) {
			var topics []kafka.Topic
			for _, t := range pipelines.Topics(i.settings.Brand, k.Partitions) {
				topics = append(topics, kafka.Topic{Name: t.Name, Partitions: t.Partitions, Replication: k.Replication, Config: t.Config})
			}
			if err := i.kafka.EnsureTopics(ctx, topics); err != nil {
				return hinted{err, "is Kafka up, and may this user make topics? `oneid doctor` checks it"}
			}
		}
	}
	return i.connectClickHouse(ctx, n)
}

func (i *instance) connectClickHouse(ctx context.Context, n need) error {
	if n.clickhouse {
		conn, err := clickhouse.Open(ctx, clickhouse.Config{
			URL: i.app.url, Database: i.app.database, User: i.app.user, Password: i.app.password,
			Cluster: i.settings.ClickHouse.Cluster, Timezone: i.settings.Timezone,
			Dictionaries: i.settings.ClickHouse.URL != "",
		})
		if err != nil {
			return err
		}
		i.clickhouse = conn
		i.closers = append(i.closers, conn.Close)
	}
	return nil
}

// biHint is for who has no listener for BI.
const biHint = "set clickhouse.bi.unconfined: true in oneid.yaml, if those who ask may be trusted with what this user may read"

// biEndpoint is where the BI user asks: at the owner's, at a configured
// server, or at an engine that is started for this command alone.
func (f folder) biEndpoint(ctx context.Context) (sqlUser, func(), error) {
	if err := f.mustExist(); err != nil {
		return sqlUser{}, nil, err
	}
	settings, err := loadSettings(string(f))
	if err != nil {
		return sqlUser{}, nil, err
	}
	if c := settings.ClickHouse; c.URL != "" {
		password, err := c.BI.Password.Load(string(f))
		if err != nil {
			return sqlUser{}, nil, err
		}
		if address, err := url.Parse(c.BI.URL); err != nil || address.Scheme != "http" && address.Scheme != "https" {
			return sqlUser{}, nil, hinted{errors.New("clickhouse.bi.url is not an http(s) address"), "set it to your ClickHouse's HTTP interface, and clickhouse.bi.user and password_file to a user who may read the public views"}
		}
		return sqlUser{c.BI.URL, c.BI.User, password, c.Database}, func() {}, nil
	}
	i, err := open(ctx, f, need{clickhouse: true, bi: true, quiet: true}, newProgress(false))
	if err != nil {
		return sqlUser{}, nil, err
	}
	if i.bi.url == "" {
		return sqlUser{}, nil, errors.Join(hinted{errors.New("the embedded engine has no listener for BI: this system cannot keep the engine to its folder (no Landlock)"), biHint}, i.close())
	}
	return i.bi, func() { _ = i.close() }, nil
}

// tellEndpoints writes endpoints.json: all of it answers now. callbacks is ""
// where the platforms' calls are not answered.
func (i *instance) tellEndpoints(api, callbacks string) error {
	key, err := i.folder.localAPIKey()
	if err != nil {
		return err
	}
	brokers := i.brokers
	if brokers == nil {
		brokers = []string{} // a list in the file, of none
	}
	return i.folder.writeEndpoints(Endpoints{
		API:        APIEndpoint{URL: api, KeyFile: key},
		ClickHouse: SQLEndpoint{URL: i.app.url, User: i.app.user, Database: i.app.database, SecretFile: i.secrets.app},
		BI:         SQLEndpoint{URL: i.bi.url, User: i.bi.user, Database: i.bi.database, SecretFile: i.secrets.bi},
		Kafka:      KafkaEndpoint{Brokers: brokers},
		Callbacks:  CallbacksEndpoint{URL: callbacks},
		Models:     ownModels(i.scorers),
	})
}
