// Package clickhouse is OneID's way to ClickHouse: it connects, applies the
// migrations, inserts blocks with a token so that a repetition is dropped,
// asks questions, and refreshes what the views stand on. It alone knows the
// driver. The embedded engine, one server and a cluster are the same to it.
package clickhouse

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	schema "oneid/schemas/clickhouse"
)

// DefaultDatabase and DefaultTimezone stand where a Config names none.
const (
	DefaultDatabase = "oneid"
	DefaultTimezone = "Asia/Shanghai"
)

// Config says where ClickHouse is.
type Config struct {
	// URL is http(s)://host:8123 or clickhouse(s)://host:9000, without
	// credentials. Several hosts may stand in it, separated by commas.
	URL string
	// Database of the brand; default DefaultDatabase. Letters, digits and _.
	Database       string
	User, Password string
	// Cluster, if set, makes replicated tables ON CLUSTER.
	Cluster string
	// Timezone of the times that views show; default DefaultTimezone.
	Timezone string
	// Dictionaries says that the server's dictionaries must log in as User to
	// read its own tables; the embedded engine needs no login.
	Dictionaries bool
	// TLS of an https or clickhouses URL; nil: the system's roots.
	TLS *tls.Config
	// MaxConnections at once; default 8.
	MaxConnections int
	// answers is how long a statement may take to begin its answer, and then
	// between its parts; default 5 minutes.
	answers time.Duration
}

// patience is how long the statements of Patient may take.
const patience = 7 * 24 * time.Hour

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// Conn is a pool of connections to one brand's database. It may be used
// concurrently.
type Conn struct {
	config Config
	// db speaks to the brand's database, bare to none: what makes it.
	db, bare driver.Conn
	// poster sends blocks; nil for ClickHouse's own protocol.
	poster *poster

	mu sync.Mutex
	// types are the columns of tables, as the server named them.
	types map[string]map[string]string
	// layout of the tables; nil until it is needed.
	layout map[string]layout
}

// Open makes a Conn and asks the server for an answer. It does not need the
// database to be there: Migrate makes it.
func Open(ctx context.Context, c Config) (*Conn, error) {
	if c.Database == "" {
		c.Database = DefaultDatabase
	}
	if c.Timezone == "" {
		c.Timezone = DefaultTimezone
	}
	options, err := options(c)
	if err != nil {
		return nil, err
	}
	bare := *options
	bare.Auth.Database = ""
	opened := &Conn{config: c, types: make(map[string]map[string]string)}
	if at, err := url.Parse(c.URL); err == nil && options.Protocol == driver.HTTP {
		opened.poster = newPoster(at, options)
	}
	if opened.db, err = driver.Open(options); err != nil {
		return nil, fmt.Errorf("clickhouse: connect to %s: %w", host(c.URL), err)
	}
	if opened.bare, err = driver.Open(&bare); err != nil {
		return nil, errors.Join(fmt.Errorf("clickhouse: connect to %s: %w", host(c.URL), err), opened.db.Close())
	}
	if err := opened.Ping(ctx); err != nil {
		return nil, errors.Join(err, opened.Close())
	}
	return opened, nil
}

func options(c Config) (*driver.Options, error) {
	at, err := url.Parse(c.URL)
	if err != nil || at.Host == "" {
		return nil, errors.New("clickhouse: the address is none; want http://host:8123, https://host:8443 or clickhouse://host:9000")
	}
	if at.User != nil {
		return nil, errors.New("clickhouse: the address holds credentials; give user and password by their own settings")
	}
	if !identifier.MatchString(c.Database) || c.Database == "default" {
		return nil, fmt.Errorf("clickhouse: the database's name %q cannot be used; want letters, digits and _, and not default", c.Database)
	}
	if _, err := time.LoadLocation(c.Timezone); err != nil {
		return nil, fmt.Errorf("clickhouse: the time zone %q is not known; want an IANA name such as Asia/Shanghai", c.Timezone)
	}
	o := &driver.Options{
		Addr:            strings.Split(at.Host, ","),
		Auth:            driver.Auth{Database: c.Database, Username: c.User, Password: c.Password},
		DialTimeout:     5 * time.Second,
		ReadTimeout:     cmp.Or(c.answers, 5*time.Minute),
		MaxOpenConns:    c.MaxConnections,
		ConnMaxLifetime: 10 * time.Minute,
		Compression:     &driver.Compression{Method: driver.CompressionLZ4},
	}
	if o.MaxOpenConns <= 0 {
		o.MaxOpenConns = 8
	}
	o.MaxIdleConns = o.MaxOpenConns
	switch at.Scheme {
	case "http", "https":
		o.Protocol = driver.HTTP
		o.HttpUrlPath = strings.TrimSuffix(at.Path, "/")
		o.TransportFunc = func(t *http.Transport) (http.RoundTripper, error) { return network{t}, nil }
		if loopback(at.Hostname()) {
			o.Compression = nil // it would cost more than it saves
		}
	case "clickhouse", "clickhouses", "tcp":
		o.Protocol = driver.Native
	default:
		return nil, fmt.Errorf("clickhouse: cannot speak %q; want http, https, clickhouse or clickhouses", at.Scheme)
	}
	if at.Scheme == "https" || at.Scheme == "clickhouses" {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.TLS != nil {
			o.TLS = c.TLS
		}
	}
	return o, nil
}

func loopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// host is an address without anything that could be a secret.
func host(address string) string {
	if at, err := url.Parse(address); err == nil {
		return at.Host
	}
	return "its address"
}

// Patient opens a pool of its own to the same database, for statements that take
// long to begin their answer: others are given up by then. The caller closes it.
func (c *Conn) Patient(ctx context.Context) (*Conn, error) {
	config := c.config
	config.answers = patience
	return Open(ctx, config)
}

// Database is the name of the brand's database, fit to stand in a statement.
func (c *Conn) Database() string { return c.config.Database }

// Timezone is that of the times that views show.
func (c *Conn) Timezone() string { return c.config.Timezone }

// Ping asks for a sign of life; it does not need the database.
func (c *Conn) Ping(ctx context.Context) error {
	var one uint8
	if err := c.bare.QueryRow(ctx, "SELECT 1").Scan(&one); err != nil {
		return failed("reach "+host(c.config.URL), err)
	}
	return nil
}

// Close ends all connections.
func (c *Conn) Close() error {
	if c.poster != nil {
		c.poster.http.CloseIdleConnections()
	}
	return errors.Join(c.db.Close(), c.bare.Close())
}

// target is what the schema is filled in for.
func (c *Conn) target() schema.Target {
	t := schema.Target{Database: c.config.Database, Timezone: c.config.Timezone, Cluster: c.config.Cluster}
	if c.config.Dictionaries {
		t.DictionaryName, t.DictionaryPassword = c.config.User, c.config.Password
	}
	return t
}
