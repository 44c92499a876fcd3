// Package toy reads one shop of an invented platform. docs/new-connector.md
// builds it, file by file; what is said there is made of what stands here.
package toy

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// Platform is the connector's name in accounts, tables and settings.
const Platform = "toy"

// The streams.
const (
	Orders  = "orders"
	Returns = "returns"
)

//go:embed sample.yaml
var sample string

//go:embed settings.schema.json
var settingsSchema []byte

// Config is one shop's settings; sample.yaml explains each.
type Config struct {
	URL       string `json:"url"`
	AppKey    string `json:"app_key"`
	AppSecret string `json:"app_secret"`
	// BackfillDays is how far back the first reading goes; default 90.
	BackfillDays int `json:"backfill_days"`
	// PageSize of lists, 1 to 50, default 50.
	PageSize int `json:"page_size"`
	// RequestsPerSecond bounds the calls of this shop; default 10.
	RequestsPerSecond float64 `json:"requests_per_second"`
	// CallsPerDay is the app's quota of calls in a day of GMT+8; 0 is none.
	CallsPerDay int `json:"calls_per_day"`

	// Transport carries the calls; nil is the network.
	Transport http.RoundTripper `json:"-"`
}

// Connector reads one shop. It may be used concurrently.
type Connector struct {
	shop   string
	cfg    Config
	client *client
}

var _ connectors.Connector = (*Connector)(nil)

// New makes the connector of a shop; it connects to nothing yet. Its error
// names every fault of the settings at once.
func New(shop string, cfg Config) (*Connector, error) {
	def(&cfg.BackfillDays, 90)
	def(&cfg.PageSize, 50)
	def(&cfg.RequestsPerSecond, 10)
	var faults []error
	fault := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	fault(shop == "", "the shop's number is missing")
	fault(cfg.AppKey == "" || cfg.AppSecret == "", "app_key or app_secret is missing: they stand in the app's page")
	fault(cfg.BackfillDays < 1, "backfill_days must be at least 1")
	fault(cfg.PageSize < 1 || cfg.PageSize > 50, "page_size must be 1 to 50")
	fault(cfg.RequestsPerSecond <= 0 || cfg.CallsPerDay < 0, "requests_per_second must be above 0, and calls_per_day not below")
	api, err := httpclient.New(httpclient.Config{
		BaseURL: cfg.URL, Transport: cfg.Transport,
		App:  httpclient.Limit{Name: Platform + " app " + cfg.AppKey, PerDay: cfg.CallsPerDay, Zone: zone},
		Shop: httpclient.Limit{Name: Platform + " shop " + shop, PerSecond: cfg.RequestsPerSecond},
	})
	if err != nil {
		faults = append(faults, fmt.Errorf("url: %w", err))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Connector{shop: shop, cfg: cfg, client: newClient(api, shop, cfg)}, nil
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Share lets the connector share its limits with others; call it before the
// first call.
func (c *Connector) Share(l *httpclient.Limits) { c.client.http.Share(l) }

// Spec describes the connector.
func (*Connector) Spec() connectors.Spec {
	return connectors.Spec{
		Platform: Platform, Title: "Toy", TitleZH: "玩具",
		Streams: []connectors.Stream{
			{Name: Orders, Kinds: []events.Kind{events.KindOrder}},
			{Name: Returns, Kinds: []events.Kind{events.KindRefund}},
		},
		Settings: json.RawMessage(settingsSchema),
		Rights:   []string{"orders (orders.list, order.get)", "returns (returns.list)"},
		Sample:   sample,
	}
}

// Check tries the keys, and the right to each stream.
func (c *Connector) Check(ctx context.Context) error {
	if _, err := c.client.held(ctx); err != nil {
		return fmt.Errorf("toy: shop %s: get a token: %w", c.shop, err)
	}
	var faults []error
	now := c.client.now()
	hour := connectors.Window{From: now.Add(-time.Hour), To: now}
	for _, l := range []listing{orderListing, returnListing} {
		if _, err := c.page(ctx, l, hour, 1); err != nil {
			faults = append(faults, fmt.Errorf("toy: shop %s: stream %s: %w", c.shop, l.stream, err))
		}
	}
	return errors.Join(faults...)
}

// Read yields the pages of a stream that follow from.
func (c *Connector) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return func(yield func(connectors.Page, error) bool) {
		var err error
		switch stream {
		case Orders:
			err = c.walk(ctx, orderListing, from, func(p part) error { return c.giveOrders(ctx, p, yield) })
		case Returns:
			err = c.walk(ctx, returnListing, from, func(p part) error { return give(c.records(returnListing, p), yield) })
		default:
			err = connectors.ErrNoStream
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(connectors.Page{}, fmt.Errorf("toy: read %s of shop %s: %w", stream, c.shop, err))
		}
	}
}

// errStopped: the reader of the pages wants no more.
var errStopped = errors.New("stopped")

func give(page connectors.Page, yield func(connectors.Page, error) bool) error {
	if !yield(page, nil) {
		return errStopped
	}
	return nil
}
