// Package tmall reads one shop of Tmall (or Taobao) through the Taobao Open
// Platform: orders, members and refunds, by modification time.
//
// What the platform promises, and how sure that is, stands in README.md. What
// is not documented lies behind one small function or setting each.
package tmall

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"iter"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// Platform is the connector's name in accounts, tables and settings.
const Platform = "tmall"

// The streams.
const (
	Orders  = "orders"
	Users   = "users"
	Tickets = "tickets"
)

//go:embed sample.yaml
var sample string

//go:embed settings.schema.json
var settingsSchema []byte

// Config is one shop's settings; sample.yaml explains each.
type Config struct {
	// URL of the gateway; default the platform's production address.
	URL       string `json:"url"`
	AppKey    string `json:"app_key"`
	AppSecret string `json:"app_secret"`
	// AuthorizeURL is the page on which the seller authorises the app; default
	// the platform's.
	AuthorizeURL string `json:"authorize_url"`
	// RedirectURI is where the platform sends the seller's browser then: of the
	// callback domain that the app's page names. One of this machine
	// (http://127.0.0.1) is listened at by `oneid connect`.
	RedirectURI string `json:"redirect_uri"`
	// Session is an access token that was got otherwise than by `oneid connect`;
	// may be empty.
	Session string `json:"session"`
	// RefreshToken renews the session where the app may do that (apps sold
	// by subscription); may be empty.
	RefreshToken string `json:"refresh_token"`
	// BrandID is the scope of omid, if members carry one; may be empty.
	BrandID string `json:"brand_id"`
	// BackfillDays is how far back the first reading goes, at most and by
	// default 90: the platform shows no older changes. Of 90 days it reads 89, since
	// the oldest would be too old before they are read.
	BackfillDays int `json:"backfill_days"`
	// PageSize of lists, 1 to 100, default 100.
	PageSize int `json:"page_size"`
	// SettleSeconds is how long before the platform's present a reading
	// ends; at least 1, default 60. It keeps windows closed: a row that
	// entered one while it is read would push others to pages already read.
	SettleSeconds *int `json:"settle_seconds"`
	// OverlapSeconds is how far a run looks back behind its cursor; default
	// 120, at most connectors.MaxOverlapSeconds.
	OverlapSeconds *int `json:"overlap_seconds"`
	// LateSeconds is how late the platform's lists may show a change: so long
	// after it, it is looked for once more. Default 900, since in its sales the
	// lists lag by some ten minutes; 0 looks no further back than OverlapSeconds.
	LateSeconds *int `json:"late_seconds"`
	// WindowPages is how many pages a window may have before it is cut in
	// two; default 50.
	WindowPages int `json:"window_pages"`
	// Parallel is how many windows are read at the same time; default 4.
	Parallel int `json:"parallel"`
	// RequestsPerSecond bounds the calls of this shop; default 10.
	RequestsPerSecond float64 `json:"requests_per_second"`
	// AppRequestsPerSecond bounds the calls of the app, over all its shops, and
	// MethodRequestsPerSecond those of each of its methods; 0, the default, is
	// no bound of ours.
	AppRequestsPerSecond    float64 `json:"app_requests_per_second"`
	MethodRequestsPerSecond float64 `json:"method_requests_per_second"`
	// CallsPerDay is the app's quota of calls in a day of GMT+8; 0, the
	// default, leaves it to the platform to say when it is used up.
	CallsPerDay int `json:"calls_per_day"`
	// OrderTypes are the values of the type parameter; default all known.
	OrderTypes []string `json:"order_types"`
	// Messages: the message service is connected to, which tells of changes at
	// once. MessageURL is its address, default the platform's; MessageGroup the
	// group of sellers whose messages come, default "default".
	Messages     bool   `json:"messages"`
	MessageURL   string `json:"message_url"`
	MessageGroup string `json:"message_group"`

	// DecryptFields are the fields of receivers that the platform is asked to
	// decrypt (phone, name, address), DecryptPerDay how many of them in a day, and
	// DecryptScene the purpose by the platform's number. Without them, the default,
	// nothing is decrypted.
	DecryptFields []string `json:"decrypt_fields"`
	DecryptPerDay int      `json:"decrypt_per_day"`
	DecryptScene  string   `json:"decrypt_scene"`

	// Transport carries the calls; nil is the network.
	Transport http.RoundTripper `json:"-"`
	// Log is told of changes of state; default slog.Default().
	Log *slog.Logger `json:"-"`
}

// gateway is the platform's production address.
const gateway = "https://eco.taobao.com/router/rest"

// maxLateSeconds: a look back, of three times as long, fits into one window.
const maxLateSeconds = 6 * 60 * 60

// maxBackfillDays: the increment methods show three months.
const maxBackfillDays = 90

// Connector reads one shop. It may be used concurrently.
type Connector struct {
	shop   string
	cfg    Config
	client *client
	buyers *connectors.Recent[text, text] // ouid by buyer_open_uid: both are stable for one app and one shop
	named  *naming                        // of orders that are read by their number
	// names are the simple methods, which name an order's buyer.
	names *connectors.Extra
	// messages is the method that gives a refund's thread, and threads what it gave.
	messages *connectors.Extra
	threads  *connectors.Recent[version, json.RawMessage]
	denials  *denials // of the orders' history
	spans    *spans
	log      *slog.Logger
	until    time.Time // where Read ends; zero: at the present
}

var (
	_ connectors.Connector  = (*Connector)(nil)
	_ connectors.Backfiller = (*Connector)(nil)
)

// New makes the connector of a shop; it connects to nothing yet. Its error
// names every fault of the settings at once.
func New(shop string, cfg Config) (*Connector, error) {
	cfg.URL = cmp.Or(cfg.URL, gateway)
	cfg.MessageURL = cmp.Or(cfg.MessageURL, messageService)
	cfg.MessageGroup = cmp.Or(cfg.MessageGroup, "default")
	cfg.BackfillDays = cmp.Or(cfg.BackfillDays, maxBackfillDays)
	cfg.PageSize = cmp.Or(cfg.PageSize, 100)
	cfg.WindowPages = cmp.Or(cfg.WindowPages, 50)
	cfg.Parallel = cmp.Or(cfg.Parallel, 4)
	cfg.RequestsPerSecond = cmp.Or(cfg.RequestsPerSecond, 10)
	cfg.SettleSeconds = cmp.Or(cfg.SettleSeconds, new(60))
	cfg.OverlapSeconds = cmp.Or(cfg.OverlapSeconds, new(120))
	cfg.LateSeconds = cmp.Or(cfg.LateSeconds, new(900))
	if cfg.OrderTypes == nil {
		cfg.OrderTypes = orderTypes
	}
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	var faults connectors.Faults
	faults.If(shop == "", "the shop's name is missing")
	faults.If(cfg.AppKey == "", "app_key is missing: it stands in the app's page on open.taobao.com")
	faults.If(cfg.AppSecret == "", "app_secret is missing: it stands in the app's page on open.taobao.com")
	faults.If(cfg.RefreshToken != "" && cfg.Session == "", "refresh_token is there without the session that it renews")
	faults.If(cfg.BackfillDays < 1 || cfg.BackfillDays > maxBackfillDays, "backfill_days must be 1 to 90")
	faults.If(cfg.PageSize < 1 || cfg.PageSize > 100, "page_size must be 1 to 100")
	faults.If(*cfg.SettleSeconds < 1, "settle_seconds must be at least 1")
	faults.If(*cfg.OverlapSeconds < 0 || *cfg.OverlapSeconds > connectors.MaxOverlapSeconds, "overlap_seconds must be 0 to 21600")
	faults.If(*cfg.LateSeconds < 0 || *cfg.LateSeconds > maxLateSeconds, "late_seconds must be 0 to 21600")
	faults.If(cfg.WindowPages < 1, "window_pages must be at least 1")
	faults.If(cfg.Parallel < 1 || cfg.Parallel > 32, "parallel must be 1 to 32")
	faults.If(cfg.RequestsPerSecond < 0 || cfg.AppRequestsPerSecond < 0 || cfg.MethodRequestsPerSecond < 0, "requests_per_second, app_requests_per_second and method_requests_per_second must not be negative")
	faults.If(!strings.HasPrefix(cfg.MessageURL, "ws://") && !strings.HasPrefix(cfg.MessageURL, "wss://"), "message_url must begin with ws:// or wss://")
	faults.If(cfg.CallsPerDay < 0, "calls_per_day must not be negative")
	wrong := decryptFault(cfg)
	faults.If(wrong != "", wrong)
	calls, err := httpclient.New(httpclient.Config{
		BaseURL: cfg.URL, Transport: cfg.Transport, PerMethod: cfg.MethodRequestsPerSecond,
		App: httpclient.Limit{
			Name: Platform + " app " + cfg.AppKey, PerSecond: cfg.AppRequestsPerSecond, PerDay: cfg.CallsPerDay, Zone: zone,
		},
		Shop: httpclient.Limit{Name: Platform + " shop " + shop, PerSecond: cfg.RequestsPerSecond},
	})
	faults.Add("url", err)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	log := cfg.Log.With("platform", Platform, "shop", shop)
	c := &Connector{
		shop: shop, cfg: cfg, log: log,
		client:   newClient(calls, shop, cfg),
		buyers:   connectors.NewRecent[text, text](connectors.BuyersKept),
		names:    &connectors.Extra{Log: log, Without: "orders come without ouid: the app may not call the simple order methods"},
		messages: &connectors.Extra{Log: log, Without: "refunds come without their first answer: the app may not read their messages"},
		threads:  connectors.NewRecent[version, json.RawMessage](threadsKept),
	}
	c.named, c.denials, c.spans = &naming{c: c}, &denials{}, &spans{}
	return c, nil
}

// Share lets the connector share its limits with others; call it before the
// first call.
func (c *Connector) Share(l *httpclient.Limits) { c.client.http.Share(l) }

// Spec describes the connector.
func (c *Connector) Spec() connectors.Spec { return Spec() }

// Spec describes the connector without one.
func Spec() connectors.Spec {
	return connectors.Spec{
		Platform: Platform, Title: "Tmall", TitleZH: "天猫",
		Streams: []connectors.Stream{
			{Name: Orders, Kinds: []events.Kind{events.KindOrder}},
			{Name: Users, Kinds: []events.Kind{events.KindUser}},
			{Name: Tickets, Kinds: []events.Kind{events.KindTicket, events.KindRefund}},
		},
		Settings: json.RawMessage(settingsSchema),
		Rights: []string{
			"order management (taobao.trades.sold.increment.get; for the past taobao.trades.sold.get and taobao.trades.sold.history.get)",
			"CRM (taobao.trades.simple.sold.increment.get, taobao.trade.simple.get, taobao.crm.members.search, taobao.crm.members.increment.get): gives ouid, the buyer's id in the shop",
			"refund management (taobao.refunds.receive.get; taobao.refund.messages.get for their first answer)",
		},
		Sample: sample,
	}
}

// Read yields the pages of a stream that follow from.
func (c *Connector) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return connectors.Pages(Platform, stream, c.shop, func(give func(connectors.Page) error) error {
		switch stream {
		case Orders:
			return c.readOrders(ctx, from, give)
		case Tickets:
			return c.readWindows(ctx, c.refundListing(), from, give)
		case Users:
			return c.readMembers(ctx, from, give)
		}
		return connectors.ErrNoStream
	})
}

// windows is the plan by which the streams go on.
func (c *Connector) windows() connectors.Windows {
	return connectors.Windows{
		Span:    24 * time.Hour,
		Settle:  time.Duration(*c.cfg.SettleSeconds) * time.Second,
		Overlap: time.Duration(*c.cfg.OverlapSeconds) * time.Second,
		Late:    time.Duration(*c.cfg.LateSeconds) * time.Second,
		First:   min(time.Duration(c.cfg.BackfillDays)*day, listed),
		Oldest:  maxBackfillDays*day - edge,
		Until:   c.until,
	}
}

// Until implements connectors.Backfiller. It reaches as far back as the platform
// shows, whatever backfill_days says of the first reading.
func (c *Connector) Until(moment time.Time) connectors.Connector {
	bounded := *c
	bounded.until, bounded.cfg.BackfillDays = moment, maxBackfillDays
	return &bounded
}
