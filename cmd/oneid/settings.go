package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/config"
	"oneid/internal/kafka"
	"oneid/pipelines/deliver"
	"oneid/pipelines/membership"
	"oneid/pipelines/resolve"
	"oneid/schemas/events"
)

// settingsFile is the name of the settings in a data folder.
const settingsFile = "oneid.yaml"

// Settings is what oneid.yaml holds; schemas/config has the commented sample
// and the JSON Schema of it.
type Settings struct {
	Brand       string              `yaml:"brand" doc:"Prefix of the topics; one instance serves one brand."`
	Timezone    string              `yaml:"timezone" doc:"IANA zone in which a day begins."`
	Kafka       KafkaSettings       `yaml:"kafka" doc:"Where Kafka is."`
	ClickHouse  ClickHouseSettings  `yaml:"clickhouse" doc:"Where ClickHouse is."`
	API         APISettings         `yaml:"api" doc:"The look-up API."`
	Callbacks   CallbacksSettings   `yaml:"callbacks" doc:"Where the platforms call OneID."`
	Membership  MembershipSettings  `yaml:"membership" doc:"What the answers to platforms' calls about members carry."`
	Pull        PullSettings        `yaml:"pull" doc:"How often the platforms are asked."`
	Resolve     ResolveSettings     `yaml:"resolve" doc:"How batches are cut."`
	Reconcile   ReconcileSettings   `yaml:"reconcile" doc:"How often all is compared with the platforms."`
	Identity    IdentitySettings    `yaml:"identity" doc:"What joins accounts."`
	Deliver     DeliverSettings     `yaml:"deliver" doc:"Who is told of identity changes and of alerts."`
	OpenLineage OpenLineageSettings `yaml:"openlineage" doc:"Who is told of each run of a pipeline."`
	Metrics     MetricsSettings     `yaml:"metrics" doc:"What Prometheus asks of resolve and sync."`
	Log         LogSettings         `yaml:"log" doc:"What is logged, and how."`
	Shops       []ShopSettings      `yaml:"shops" doc:"The shops to pull from."`
}

// KafkaSettings says where Kafka is.
type KafkaSettings struct {
	Brokers     []string     `yaml:"brokers" doc:"host:port of the brokers; none means the embedded broker."`
	Partitions  int          `yaml:"partitions" doc:"Partitions of each event topic, when OneID makes it."`
	Replication int          `yaml:"replication" doc:"Replicas of each topic, when OneID makes it."`
	TLS         bool         `yaml:"tls" doc:"Talk TLS to the brokers."`
	TLSCAFile   string       `yaml:"tls_ca_file" doc:"PEM file of the certificates that the brokers' are checked with; empty means the machine's."`
	SASL        SASLSettings `yaml:"sasl" doc:"Who we are to the brokers."`
}

// client is how to reach the configured brokers; paths are relative to f.
func (k KafkaSettings) client(f folder) (kafka.Config, error) {
	password, err := k.SASL.Password.Load(string(f))
	if err != nil {
		return kafka.Config{}, err
	}
	c := kafka.Config{Brokers: k.Brokers, TLS: k.TLS, Mechanism: k.SASL.Mechanism, User: k.SASL.User, Password: password}
	if k.TLSCAFile != "" {
		if c.CA, err = os.ReadFile(f.resolve(k.TLSCAFile)); err != nil {
			return kafka.Config{}, fmt.Errorf("read kafka.tls_ca_file: %w", err)
		}
	}
	return c, nil
}

// SASLSettings says who we are to the brokers.
type SASLSettings struct {
	Mechanism string        `yaml:"mechanism" doc:"plain, scram-sha-256 or scram-sha-512; empty means none."`
	User      string        `yaml:"user" doc:"SASL user."`
	Password  config.Secret `yaml:"password_file" doc:"File that holds the SASL password."`
}

// ClickHouseSettings says where ClickHouse is.
type ClickHouseSettings struct {
	URL       string        `yaml:"url" doc:"http(s)://host:8123 or clickhouse://host:9000; empty means the embedded engine."`
	Database  string        `yaml:"database" doc:"Database of OneID's tables and views."`
	User      string        `yaml:"user" doc:"User that owns the database."`
	Password  config.Secret `yaml:"password_file" doc:"File that holds that user's password."`
	Cluster   string        `yaml:"cluster" doc:"Cluster for ON CLUSTER and replicated tables; empty means one server."`
	MemoryMiB int           `yaml:"memory_mib" doc:"Memory that the embedded engine may use, in MiB."`
	Listen    string        `yaml:"listen" doc:"Address of the embedded engine; port 0 takes a free one."`
	BI        BISettings    `yaml:"bi" doc:"The user of BI tools, who reads the public views and nothing else."`
}

// BISettings is about the user of BI tools.
type BISettings struct {
	Listen     string        `yaml:"listen" doc:"Address of the embedded engine's listener for BI tools; port 0 takes a free one."`
	Unconfined bool          `yaml:"unconfined" doc:"Opens that listener also where the operating system cannot keep the engine to its folder (no Landlock)."`
	URL        string        `yaml:"url" doc:"Where the BI user finds your ClickHouse, when it is not the embedded engine."`
	User       string        `yaml:"user" doc:"Name of the BI user."`
	Password   config.Secret `yaml:"password_file" doc:"File that holds the BI user's password."`
}

// APISettings is about the look-up API.
type APISettings struct {
	Listen       string          `yaml:"listen" doc:"Address of the API; port 0 takes a free one."`
	MaxBodyBytes int             `yaml:"max_body_bytes" doc:"Largest request body, in bytes."`
	Timeout      config.Duration `yaml:"timeout" doc:"Longest time for one request."`
}

// CallbacksSettings is about what platforms call by themselves.
type CallbacksSettings struct {
	Listen string `yaml:"listen" doc:"Address at which up answers the platforms' own calls, behind your TLS; empty means nowhere."`
}

// MembershipSettings is about the calls of platforms about members.
type MembershipSettings struct {
	Source  string          `yaml:"source_url" doc:"Your service that knows points and levels: it is posted who is meant; empty means the constants below."`
	Secret  config.Secret   `yaml:"source_secret_file" doc:"File that holds the secret of the signatures, at least 16 bytes."`
	Timeout config.Duration `yaml:"source_timeout" doc:"Longest time for one question to that service, at most 800ms: platforms wait 1.2 seconds for all of it."`
	Points  int             `yaml:"points" doc:"Points of every member, where there is no service."`
	Level   string          `yaml:"level" doc:"Level of every member, where there is no service."`
}

// PullSettings is about asking the platforms.
type PullSettings struct {
	Every config.Duration `yaml:"every" doc:"How often the platforms are asked for what changed."`
}

// ResolveSettings says how the resolver cuts batches.
type ResolveSettings struct {
	BatchEvents int             `yaml:"batch_events" doc:"The most events in a batch."`
	BatchWait   config.Duration `yaml:"batch_wait" doc:"How long a batch waits for more events."`
	MemoryMiB   int             `yaml:"memory_mib" doc:"Memory that resolving may use, in MiB: three eighths of it for messages between Kafka and ClickHouse, the rest for the state."`
	SquashEvery config.Duration `yaml:"squash_every" doc:"How often up folds the overrides of moved accounts into the facts."`
}

// ReconcileSettings is about comparing what is stored with what the platforms
// list.
type ReconcileSettings struct {
	Every config.Duration `yaml:"every" doc:"How often up compares the last seven days."`
}

// IdentitySettings says what joins accounts.
type IdentitySettings struct {
	RulesFile string        `yaml:"rules_file" doc:"YAML file with the rules that an instance begins with, in place of those that ship."`
	Models    []string      `yaml:"models" doc:"JSON files of models that rules may use, as 'oneid identity train --receivers' writes them. One that was adopted stays here."`
	MixKey    config.Secret `yaml:"tmall_mix_key_file" doc:"File that holds the key of Tmall's mix_mobile hash."`
}

// DeliverSettings says who is told of identity changes and of alerts.
type DeliverSettings struct {
	Webhooks []WebhookSettings `yaml:"webhooks" doc:"Where up posts each identity change to."`
	Alerts   []WebhookSettings `yaml:"alerts" doc:"Where up posts alerts to: what began to need a person, and what does no longer."`
	Together config.Duration   `yaml:"alerts_together" doc:"How long an alert waits for others of its kind, to go to a group chat in one message."`
}

// has says whether there is a webhook of that name for a stream of letters.
func (d DeliverSettings) has(stream, name string) bool {
	of := d.Webhooks
	if stream == events.StreamAlerts {
		of = d.Alerts
	}
	return slices.ContainsFunc(of, func(w WebhookSettings) bool { return w.Name == name })
}

// WebhookSettings is one address that something is posted to.
type WebhookSettings struct {
	Name    string        `yaml:"name" doc:"What its consumer group is called by; a new name is told everything from the start."`
	URL     string        `yaml:"url" doc:"Address that takes the POST; without password and query."`
	Secret  config.Secret `yaml:"secret_file" doc:"File that holds the secret of the signatures, at least 16 bytes; of a robot, the one of its page, if it signs."`
	Format  string        `yaml:"format" doc:"Of alerts: empty for OneID's own, or wecom, dingtalk or feishu for a group chat's robot."`
	Address config.Secret `yaml:"url_file" doc:"File that holds a robot's whole address, which is a secret."`
}

// OpenLineageSettings says who is told of each run of a pipeline.
type OpenLineageSettings struct {
	URL       string        `yaml:"url" doc:"Address that takes OpenLineage events, such as http://marquez:5000/api/v1/lineage; empty means nobody."`
	Namespace string        `yaml:"namespace" doc:"Namespace of the jobs; empty means the brand."`
	APIKey    config.Secret `yaml:"api_key_file" doc:"File that holds the bearer token for it."`
}

// MetricsSettings is about what Prometheus asks.
type MetricsSettings struct {
	Listen string `yaml:"listen" doc:"Address at which resolve and sync answer /metrics, /healthz and /readyz; empty means nowhere. up answers at api.listen."`
}

// LogSettings is about the log.
type LogSettings struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error."`
	Format string `yaml:"format" doc:"text or json."`
}

// ShopSettings is one shop to pull from.
type ShopSettings struct {
	Platform string     `yaml:"platform" doc:"tmall, douyin, weidian or sobot, a help-desk."`
	Shop     string     `yaml:"shop" doc:"Name of the shop in accounts (platform/shop/id)."`
	Settings config.Raw `yaml:"settings" doc:"The connector's own settings."`
}

func defaultSettings() Settings {
	return Settings{
		Brand:      "oneid",
		Timezone:   "Asia/Shanghai",
		Kafka:      KafkaSettings{Partitions: 4, Replication: 1},
		ClickHouse: ClickHouseSettings{Database: "oneid", User: "default", MemoryMiB: 2048, Listen: "127.0.0.1:0", BI: BISettings{Listen: "127.0.0.1:0", User: "bi"}},
		API:        APISettings{Listen: "127.0.0.1:0", MaxBodyBytes: 64 << 10, Timeout: config.Duration(5 * time.Second)},
		Membership: MembershipSettings{Timeout: config.Duration(membership.DefaultSourceTimeout), Level: "1"},
		Pull:       PullSettings{Every: config.Duration(2 * time.Second)},
		Resolve:    ResolveSettings{BatchEvents: resolve.DefaultBatchEvents, BatchWait: config.Duration(300 * time.Millisecond), MemoryMiB: 1024, SquashEvery: config.Duration(24 * time.Hour)},
		Reconcile:  ReconcileSettings{Every: config.Duration(24 * time.Hour)},
		Deliver:    DeliverSettings{Together: config.Duration(time.Minute)},
		Log:        LogSettings{Level: "info", Format: "text"},
	}
}

// loadSettings reads the settings of a data folder; a folder without the file
// has the defaults.
func loadSettings(dir string) (Settings, error) {
	s := defaultSettings()
	name := filepath.Join(dir, settingsFile)
	data, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("read the settings: %w", err)
	}
	if err := config.Decode(name, data, &s, "ONEID_", os.Environ()); err != nil {
		return s, err
	}
	return s, s.validate(data)
}

var (
	brandPattern    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	databasePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// validate names every fault that the file's form does not show; data is the
// file's content, where each fault has its place.
func (s *Settings) validate(data []byte) error {
	var faults []error
	fault := func(key, format string, args ...any) {
		p := &config.Problem{File: settingsFile, Message: key + " " + fmt.Sprintf(format, args...)}
		p.Line, p.Column = config.Locate(data, key)
		faults = append(faults, p)
	}
	if !brandPattern.MatchString(s.Brand) {
		fault("brand", "must be of letters, digits, '.', '_' and '-': it begins the topics' names")
	}
	if _, err := time.LoadLocation(s.Timezone); err != nil {
		fault("timezone", "is not known: %v; write an IANA name such as Asia/Shanghai", err)
	}
	if s.Kafka.Partitions < 1 {
		fault("kafka.partitions", "must be at least 1")
	}
	if !databasePattern.MatchString(s.ClickHouse.Database) || slices.Contains([]string{"default", "system", "information_schema"}, strings.ToLower(s.ClickHouse.Database)) {
		fault("clickhouse.database", "must be a database of OneID's own, named by letters, digits and '_'")
	}
	for key, address := range map[string]string{"api.listen": s.API.Listen, "clickhouse.listen": s.ClickHouse.Listen, "clickhouse.bi.listen": s.ClickHouse.BI.Listen} {
		if _, port, err := net.SplitHostPort(address); err != nil || port == "" {
			fault(key, "must be of the form host:port, such as 127.0.0.1:0")
		}
	}
	for key, address := range map[string]string{"metrics.listen": s.Metrics.Listen, "callbacks.listen": s.Callbacks.Listen} {
		if _, port, err := net.SplitHostPort(address); address != "" && (err != nil || port == "") {
			fault(key, "must be of the form host:port, such as 127.0.0.1:9464")
		}
	}
	if s.Resolve.MemoryMiB < 64 {
		fault("resolve.memory_mib", "must be at least 64")
	}
	for key, d := range map[string]config.Duration{"pull.every": s.Pull.Every, "resolve.batch_wait": s.Resolve.BatchWait, "resolve.squash_every": s.Resolve.SquashEvery, "reconcile.every": s.Reconcile.Every, "api.timeout": s.API.Timeout} {
		if d <= 0 {
			fault(key, "must be longer than nothing")
		}
	}
	if t := time.Duration(s.Membership.Timeout); t <= 0 || t > 800*time.Millisecond {
		fault("membership.source_timeout", "must be from 1ms to 800ms: platforms wait 1.2 seconds for an answer")
	}
	if s.Membership.Source != "" && !s.Membership.Secret.IsSet() {
		fault("membership.source_secret_file", "is missing: name the file of the secret, or set ONEID_MEMBERSHIP_SOURCE_SECRET")
	}
	if s.Membership.Points < 0 {
		fault("membership.points", "must not be negative")
	}
	if s.Kafka.TLSCAFile != "" && !s.Kafka.TLS {
		fault("kafka.tls_ca_file", "needs kafka.tls: true")
	}
	switch s.Kafka.SASL.Mechanism {
	case "", "plain", "scram-sha-256", "scram-sha-512":
	default:
		fault("kafka.sasl.mechanism", "must be plain, scram-sha-256 or scram-sha-512")
	}
	if s.Kafka.SASL.Mechanism != "" && !s.Kafka.SASL.Password.IsSet() {
		fault("kafka.sasl.password_file", "is missing: name the file of the password, or set ONEID_KAFKA_SASL_PASSWORD")
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.Log.Level)); err != nil {
		fault("log.level", "must be debug, info, warn or error")
	}
	if s.Log.Format != "text" && s.Log.Format != "json" {
		fault("log.format", "must be text or json")
	}
	if t := time.Duration(s.Deliver.Together); t <= 0 || t > time.Hour {
		fault("deliver.alerts_together", "must be above 0 and at most 1h")
	}
	for i, w := range s.Deliver.Webhooks {
		if w.Format != "" {
			fault(fmt.Sprintf("deliver.webhooks[%d].format", i), "is of robots, who are told of alerts alone: put it under deliver.alerts")
		}
	}
	for i, w := range s.Deliver.Alerts {
		key := fmt.Sprintf("deliver.alerts[%d]", i)
		switch {
		case w.Format != "" && !slices.Contains(deliver.Formats, w.Format):
			fault(key+".format", "must be %s, or empty for OneID's own", strings.Join(deliver.Formats, ", "))
		case w.Format != "" && (w.URL != "" || !w.Address.IsSet()):
			fault(key, "is a robot, whose address is a secret: put it into a file and name that with url_file, in place of url")
		case w.Format == "" && w.Address.IsSet():
			fault(key+".url_file", "is of robots: name the format, or write url")
		}
	}
	seen := make(map[string]bool)
	for i, shop := range s.Shops {
		name, key := shop.Platform+"/"+shop.Shop, fmt.Sprintf("shops[%d]", i)
		switch {
		case shop.Platform == "" || shop.Shop == "":
			fault(key, "needs both platform and shop")
		case seen[name]:
			fault(key, "is %s, which stands there twice", name)
		default:
			if err := connectors.CheckShop(shop.Shop); err != nil {
				fault(key+".shop", "is wrong: %v", err)
			}
		}
		seen[name] = true
	}
	return errors.Join(faults...)
}
