// Package weidian reads one shop of Weidian (微店): orders, buyers and refunds,
// by modification time.
//
// What the platform promises, and how sure that is, stands in README.md. What
// is not documented lies behind one small function or setting each.
package weidian

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// Platform is the connector's name in accounts, tables and settings.
const Platform = "weidian"

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
	// URL of the business methods; default the platform's production
	// address. An address without a path gets the platform's, /api.
	URL string `json:"url"`
	// TokenURL of the self-use app's token; default the platform's, or /token
	// beside URL when that is another host's.
	TokenURL  string `json:"token_url"`
	AppKey    string `json:"app_key"`
	AppSecret string `json:"app_secret"`
	// RedirectURI makes the app a service app (服务型), which each merchant
	// authorises: where the platform sends the merchant's browser then, of a
	// domain that the app's page lists. One of this machine (http://127.0.0.1)
	// is listened at by `oneid connect`. Empty for a self-use app.
	RedirectURI string `json:"redirect_uri"`
	// AuthorizeURL is the page of that consent; default beside TokenURL.
	AuthorizeURL string `json:"authorize_url"`
	// AccessToken to begin with; needed only by an app without a secret. It
	// is replaced by a new one when the platform no longer takes it and there
	// is a secret.
	AccessToken string `json:"access_token"`
	// DetailVersion of vdian.order.get: 1.0 (default) or 2.0, which gives
	// personal fields encrypted.
	DetailVersion string `json:"detail_version"`
	// DecryptFields are what is decrypted of orders where the platform encrypts
	// it: account_phone, phone, name, address. DecryptPerDay is the most fields in
	// a day of GMT+8. Without both, ciphertexts stay, and identify no one.
	DecryptFields []string `json:"decrypt_fields"`
	DecryptPerDay int      `json:"decrypt_per_day"`
	// BackfillDays is how far back the first reading goes; default 90.
	BackfillDays int `json:"backfill_days"`
	// PageSize of lists, 1 to 50, default 50.
	PageSize int `json:"page_size"`
	// SettleSeconds is how long before the platform's present a reading
	// ends; default 60.
	SettleSeconds *int `json:"settle_seconds"`
	// OverlapSeconds is how far a run looks back behind its cursor; default
	// 300, at most connectors.MaxOverlapSeconds.
	OverlapSeconds *int `json:"overlap_seconds"`
	// Parallel is how many order details are asked for at the same time;
	// default 8. Pages follow one another.
	Parallel int `json:"parallel"`
	// RequestsPerSecond bounds the calls of this shop; default 5, since the
	// platform does not say what it allows.
	RequestsPerSecond float64 `json:"requests_per_second"`
	// AppRequestsPerSecond bounds the calls of the app, over all its shops, and
	// MethodRequestsPerSecond those of each of its methods; 0, the default, is
	// no bound of ours.
	AppRequestsPerSecond    float64 `json:"app_requests_per_second"`
	MethodRequestsPerSecond float64 `json:"method_requests_per_second"`
	// CallsPerDay is the app's quota of calls in a day of GMT+8; 0, the
	// default, leaves it to the platform to say when it is used up.
	CallsPerDay int `json:"calls_per_day"`
	// PushSecret is the last part of the address that is registered for pushes:
	// the platform signs none. Empty takes no pushes.
	PushSecret string `json:"push_secret"`

	// Transport carries the calls; nil is the network.
	Transport http.RoundTripper `json:"-"`
	// Log is told of changes of state; default slog.Default().
	Log *slog.Logger `json:"-"`
}

const (
	gateway       = "https://api.vdian.com/api"
	tokenGateway  = "https://oauth.open.weidian.com/token"
	longAgoDays   = 3650
	maxPages      = 400 // of a window, before it is cut in two
	maxSkew       = 5 * time.Minute
	defaultDetail = "1.0"
)

// Connector reads one shop. It may be used concurrently.
type Connector struct {
	shop   string
	cfg    Config
	client *client
	buyers *connectors.Recent[listed, buyer] // by version of an order
	log    *slog.Logger
	until  time.Time // where Read ends; zero: at the present
}

var (
	_ connectors.Connector  = (*Connector)(nil)
	_ connectors.Backfiller = (*Connector)(nil)
)

// New makes the connector of a shop (its number); it connects to nothing yet.
// Its error names every fault of the settings at once.
func New(shop string, cfg Config) (*Connector, error) {
	cfg.URL, cfg.TokenURL = addresses(cfg.URL, cfg.TokenURL)
	cfg.DetailVersion = cmp.Or(cfg.DetailVersion, defaultDetail)
	cfg.BackfillDays = cmp.Or(cfg.BackfillDays, 90)
	cfg.PageSize = cmp.Or(cfg.PageSize, 50)
	cfg.Parallel = cmp.Or(cfg.Parallel, 8)
	cfg.RequestsPerSecond = cmp.Or(cfg.RequestsPerSecond, 5)
	cfg.SettleSeconds = cmp.Or(cfg.SettleSeconds, new(60))
	cfg.OverlapSeconds = cmp.Or(cfg.OverlapSeconds, new(300))
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	var faults connectors.Faults
	noKeys := cfg.AppKey == "" || cfg.AppSecret == ""
	faults.If(shop == "", "the shop's number is missing")
	faults.If(cfg.AccessToken == "" && cfg.AppKey == "", "app_key is missing: it stands in the app's page on open.weidian.com")
	faults.If(cfg.AccessToken == "" && cfg.AppSecret == "", "app_secret is missing: it stands in the app's page on open.weidian.com")
	faults.If(cfg.RedirectURI != "" && noKeys, "redirect_uri, of a service app, needs app_key and app_secret")
	faults.If(len(cfg.DecryptFields) > 0 && noKeys, "decrypt_fields needs app_key and app_secret")
	decrypting := decryptFault(cfg)
	faults.If(decrypting != "", decrypting)
	faults.If(cfg.DetailVersion != "1.0" && cfg.DetailVersion != "2.0", "detail_version must be 1.0 or 2.0")
	faults.If(cfg.BackfillDays < 1 || cfg.BackfillDays > 3660, "backfill_days must be 1 to 3660")
	faults.If(cfg.PageSize < 1 || cfg.PageSize > 50, "page_size must be 1 to 50")
	faults.If(*cfg.SettleSeconds < 0, "settle_seconds must not be negative")
	faults.If(*cfg.OverlapSeconds < 0 || *cfg.OverlapSeconds > connectors.MaxOverlapSeconds, "overlap_seconds must be 0 to 21600")
	faults.If(cfg.Parallel < 1 || cfg.Parallel > 64, "parallel must be 1 to 64")
	faults.If(cfg.RequestsPerSecond < 0 || cfg.AppRequestsPerSecond < 0 || cfg.MethodRequestsPerSecond < 0, "requests_per_second, app_requests_per_second and method_requests_per_second must not be negative")
	faults.If(cfg.CallsPerDay < 0, "calls_per_day must not be negative")
	faults.If(cfg.PushSecret != "" && !pushSecret.MatchString(cfg.PushSecret), "push_secret must be 20 or more letters, digits, - and _: it is a part of an address")
	api, err := httpclient.New(httpclient.Config{
		BaseURL: cfg.URL, Transport: cfg.Transport, PerMethod: cfg.MethodRequestsPerSecond,
		App: httpclient.Limit{
			Name: Platform + " app " + cfg.AppKey, PerSecond: cfg.AppRequestsPerSecond, PerDay: cfg.CallsPerDay, Zone: zone,
		},
		Shop: httpclient.Limit{Name: Platform + " shop " + shop, PerSecond: cfg.RequestsPerSecond},
	})
	faults.Add("url", err)
	token, err := httpclient.New(httpclient.Config{BaseURL: cfg.TokenURL, Transport: cfg.Transport, Shop: httpclient.Limit{PerSecond: 1}})
	faults.Add("token_url", err)
	service, err := httpclient.New(httpclient.Config{BaseURL: strings.TrimSuffix(cfg.TokenURL, "/token"), Transport: cfg.Transport, Shop: httpclient.Limit{PerSecond: 1}})
	faults.Add("token_url", err)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return &Connector{
		shop: shop, cfg: cfg, client: newClient(api, token, service, shop, cfg), buyers: connectors.NewRecent[listed, buyer](connectors.BuyersKept),
		log: cfg.Log.With("platform", Platform, "shop", shop),
	}, nil
}

// addresses fills in what was left out of the two addresses.
func addresses(api, token string) (string, string) {
	if api == "" {
		api = gateway
	}
	parsed, err := url.Parse(api)
	if err != nil || parsed.Host == "" {
		return api, token
	}
	if parsed.Path == "" || parsed.Path == "/" {
		parsed.Path = "/api"
		api = parsed.String()
	}
	if token == "" {
		token = tokenGateway
		if api != gateway {
			parsed.Path = "/token"
			token = parsed.String()
		}
	}
	return api, token
}

// Share lets the connector share its limits with others; call it before the
// first call.
func (c *Connector) Share(l *httpclient.Limits) { c.client.http.Share(l) }

// Spec describes the connector.
func (c *Connector) Spec() connectors.Spec { return Spec() }

// Spec describes the connector without one.
func Spec() connectors.Spec {
	return connectors.Spec{
		Platform: Platform, Title: "Weidian", TitleZH: "微店",
		Streams: []connectors.Stream{
			{Name: Orders, Kinds: []events.Kind{events.KindOrder}},
			{Name: Users, Kinds: []events.Kind{events.KindUser}},
			{Name: Tickets, Kinds: []events.Kind{events.KindTicket, events.KindRefund}},
		},
		Settings: json.RawMessage(settingsSchema),
		Rights: []string{
			"orders (vdian.order.list.get, vdian.order.get)",
			"refunds (open.SellerQueryRefundList); without it refunds are read from the orders",
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
		case Users:
			return c.readUsers(ctx, from, give)
		case Tickets:
			return c.readTickets(ctx, from, give)
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
		First:   time.Duration(c.cfg.BackfillDays) * 24 * time.Hour,
		Until:   c.until,
	}
}

// Until implements connectors.Backfiller. It reaches as far back as anybody can
// mean, whatever backfill_days says of the first reading: how far the platform
// shows orders is not documented.
func (c *Connector) Until(moment time.Time) connectors.Connector {
	bounded := *c
	bounded.until, bounded.cfg.BackfillDays = moment, max(c.cfg.BackfillDays, longAgoDays)
	return &bounded
}

// Check tries the address, the keys, the clock and the right to each stream.
func (c *Connector) Check(ctx context.Context) error {
	if _, err := c.client.tokens.Valid(ctx); err != nil {
		return fmt.Errorf("weidian: shop %s: get a token: %w", c.shop, err)
	}
	var faults []error
	now := c.client.now()
	hour := connectors.Window{From: now.Add(-time.Hour), To: now}
	for _, l := range []listing{orderListing, refundListing} {
		_, err := c.page(ctx, l, hour, 1, 1)
		if withoutRefunds(err) {
			err = &connectors.LesserError{Err: fmt.Errorf("refunds are read from the orders, which tell less of them, until the app has the right to %s: apply for it: %w", l.method, err)}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("weidian: shop %s: stream %s: %w", c.shop, l.stream, err))
		}
	}
	if len(c.cfg.DecryptFields) > 0 {
		if _, err := c.client.aesKeys(ctx); err != nil {
			faults = append(faults, fmt.Errorf("weidian: shop %s: get the AES key: %w", c.shop, err))
		}
	}
	if err := c.client.clock.Check(maxSkew); err != nil {
		faults = append(faults, fmt.Errorf("weidian: shop %s: %w", c.shop, err))
	}
	return connectors.JoinChecked(faults)
}
