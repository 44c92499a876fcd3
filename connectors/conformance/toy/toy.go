// Package toy reads one shop of an invented platform. docs/new-connector.md
// builds it, file by file; what is said there is made of what stands here.
package toy

import (
	"cmp"
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

//go:embed shape.json
var shapeText []byte

// shapes are what is known of the form of the platform's payloads.
var shapes = connectors.MustShapes(shapeText)

// Config is one shop's settings; sample.yaml explains each.
type Config struct {
	URL       string `json:"url"`
	AppKey    string `json:"app_key"`
	AppSecret string `json:"app_secret"`
	// PushSecret is what the platform signs its pushes with; "" takes none.
	PushSecret string `json:"push_secret"`
	// BackfillDays is how far back the first reading goes; default 90.
	BackfillDays int `json:"backfill_days"`
	// SettleSeconds is how long before the platform's present a reading ends: what
	// changes now may become visible a little later; default 60.
	SettleSeconds *int `json:"settle_seconds"`
	// OverlapSeconds is how far a reading looks back behind its cursor; default 120,
	// at most connectors.MaxOverlapSeconds.
	OverlapSeconds *int `json:"overlap_seconds"`
	// PageSize of lists, 1 to 50, default 50.
	PageSize int `json:"page_size"`
	// Parallel is how many orders are asked for at the same time; default 4.
	Parallel int `json:"parallel"`
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
	cfg.BackfillDays = cmp.Or(cfg.BackfillDays, 90)
	cfg.SettleSeconds = cmp.Or(cfg.SettleSeconds, new(60))
	cfg.OverlapSeconds = cmp.Or(cfg.OverlapSeconds, new(120))
	cfg.PageSize = cmp.Or(cfg.PageSize, 50)
	cfg.Parallel = cmp.Or(cfg.Parallel, 4)
	cfg.RequestsPerSecond = cmp.Or(cfg.RequestsPerSecond, 10)
	var faults connectors.Faults
	faults.If(shop == "", "the shop's number is missing")
	faults.If(cfg.AppKey == "" || cfg.AppSecret == "", "app_key or app_secret is missing: they stand in the app's page")
	faults.If(cfg.BackfillDays < 1, "backfill_days must be at least 1")
	faults.If(*cfg.SettleSeconds < 0, "settle_seconds must not be negative")
	faults.If(*cfg.OverlapSeconds < 0 || *cfg.OverlapSeconds > connectors.MaxOverlapSeconds, "overlap_seconds must be 0 to 21600")
	faults.If(cfg.PageSize < 1 || cfg.PageSize > 50, "page_size must be 1 to 50")
	faults.If(cfg.Parallel < 1 || cfg.Parallel > 64, "parallel must be 1 to 64")
	faults.If(cfg.RequestsPerSecond <= 0 || cfg.CallsPerDay < 0, "requests_per_second must be above 0, and calls_per_day not below")
	api, err := httpclient.New(httpclient.Config{
		BaseURL: cfg.URL, Transport: cfg.Transport,
		App:  httpclient.Limit{Name: Platform + " app " + cfg.AppKey, PerDay: cfg.CallsPerDay, Zone: zone},
		Shop: httpclient.Limit{Name: Platform + " shop " + shop, PerSecond: cfg.RequestsPerSecond},
	})
	faults.Add("url", err)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return &Connector{shop: shop, cfg: cfg, client: newClient(api, shop, cfg)}, nil
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

// Shape implements connectors.Shaped.
func (*Connector) Shape(stream string) *connectors.Shape { return shapes[stream] }

// Check tries the keys, and the right to each stream.
func (c *Connector) Check(ctx context.Context) error {
	if _, err := c.client.tokens.Valid(ctx); err != nil {
		return fmt.Errorf("toy: shop %s: get a token: %w", c.shop, err)
	}
	var faults []error
	now := c.client.clock.Now()
	hour := connectors.Window{From: now.Add(-time.Hour), To: now}
	for _, l := range c.listings() {
		if _, err := l.page(ctx, hour, 1, true); err != nil {
			faults = append(faults, fmt.Errorf("toy: shop %s: stream %s: %w", c.shop, l.stream, err))
		}
	}
	// Two minutes off, and there is time to mend it: the platform refuses ten.
	if err := c.client.clock.Check(2 * time.Minute); err != nil {
		faults = append(faults, fmt.Errorf("toy: shop %s: %w", c.shop, err))
	}
	return errors.Join(faults...)
}

// Read yields the pages of a stream that follow from.
func (c *Connector) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return connectors.Pages(Platform, stream, c.shop, func(give func(connectors.Page) error) error {
		for _, l := range c.listings() {
			if l.stream == stream {
				return c.read(ctx, l, from, give)
			}
		}
		return connectors.ErrNoStream
	})
}
