// Package douyin reads one shop of the Douyin shop platform (抖店): orders,
// buyers, after-sales and the service tickets that the platform hands to the
// shop, by modification time.
//
// What the platform promises, and how sure that is, stands in README.md. What
// is not documented lies behind one small function or setting each.
package douyin

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// Platform is the connector's name in accounts, tables and settings.
const Platform = "douyin"

// The streams.
const (
	Orders     = "orders"
	Users      = "users"
	Aftersales = "aftersales"
	Services   = "services"
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
	// SignMethod is hmac-sha256 (default) or md5.
	SignMethod string `json:"sign_method"`
	// ServiceID is that of an app of the service market (工具型), which gets its
	// token by the merchant's consent; empty for the brand's own app.
	ServiceID string `json:"service_id"`
	// AuthorizeURL is the page of that consent; default the platform's.
	AuthorizeURL string `json:"authorize_url"`
	// RedirectURI is where the platform sends the merchant's browser then: the
	// address that the app's page names. One of this machine (http://127.0.0.1)
	// is listened at by `oneid connect`.
	RedirectURI string `json:"redirect_uri"`
	// AppID is the number of the brand's outer platform in 会员通; 0 means
	// that members are not asked for, so users come without phones.
	AppID int64 `json:"app_id"`
	// BackfillDays is how far back the first reading goes, at most and by
	// default 90: the platform lists no older orders. A backfill of after-sales or
	// service tickets may go further.
	BackfillDays int `json:"backfill_days"`
	// PageSize of lists, 1 to 100, default 100.
	PageSize int `json:"page_size"`
	// SettleSeconds is how long before the platform's present a reading
	// ends; default 60.
	SettleSeconds *int `json:"settle_seconds"`
	// OverlapSeconds is how far a run looks back behind its cursor; default
	// 120, at most connectors.MaxOverlapSeconds.
	OverlapSeconds *int `json:"overlap_seconds"`
	// Parallel is how many members or order details are asked for at the
	// same time; default 8. Pages follow one another.
	Parallel int `json:"parallel"`
	// RequestsPerSecond bounds the calls of this shop; default 100.
	RequestsPerSecond float64 `json:"requests_per_second"`
	// AppRequestsPerSecond bounds the calls of the app, over all its shops, and
	// MethodRequestsPerSecond those of each of its methods; 0, the default, is
	// no bound of ours.
	AppRequestsPerSecond    float64 `json:"app_requests_per_second"`
	MethodRequestsPerSecond float64 `json:"method_requests_per_second"`
	// CallsPerDay is the app's quota of calls in a day of GMT+8; 0, the
	// default, leaves it to the platform to say when it is used up.
	CallsPerDay int `json:"calls_per_day"`

	// DecryptFields are the fields of receivers that the platform is asked to
	// decrypt (phone, name, address), and DecryptPerDay how many of them in a day.
	// None and 0, the default, decrypt nothing.
	DecryptFields []string `json:"decrypt_fields"`
	DecryptPerDay int      `json:"decrypt_per_day"`

	// Transport carries the calls; nil is the network.
	Transport http.RoundTripper `json:"-"`
	// Log is told of changes of state; default slog.Default().
	Log *slog.Logger `json:"-"`
}

// gateway is the platform's production address.
const gateway = "https://openapi-fxg.jinritemai.com"

const (
	// maxBackfillDays: only orders of the last 90 days are listed.
	maxBackfillDays = 90
	// maxRows is how many rows one query gives, over all its pages.
	maxRows = 50_000
	// maxSkew is the difference of clocks that Check reports; the gateway
	// refuses more than ten minutes.
	maxSkew = 5 * time.Minute
)

// Connector reads one shop. It may be used concurrently.
type Connector struct {
	shop   string
	cfg    Config
	client *client
	buyers *connectors.Recent[string, string] // by order
	// details are what was read of rows, and extras the methods that give it, by
	// stream.
	details *connectors.Recent[version, json.RawMessage]
	extras  map[string]*connectors.Extra
	log     *slog.Logger
	until   time.Time // where Read ends; zero: at the present
}

var (
	_ connectors.Connector  = (*Connector)(nil)
	_ connectors.Backfiller = (*Connector)(nil)
)

// New makes the connector of a shop (its number); it connects to nothing yet.
// Its error names every fault of the settings at once.
func New(shop string, cfg Config) (*Connector, error) {
	cfg.URL = cmp.Or(cfg.URL, gateway)
	cfg.SignMethod = cmp.Or(cfg.SignMethod, signHMAC)
	cfg.BackfillDays = cmp.Or(cfg.BackfillDays, maxBackfillDays)
	cfg.PageSize = cmp.Or(cfg.PageSize, 100)
	cfg.Parallel = cmp.Or(cfg.Parallel, 8)
	cfg.RequestsPerSecond = cmp.Or(cfg.RequestsPerSecond, 100)
	cfg.SettleSeconds = cmp.Or(cfg.SettleSeconds, new(60))
	cfg.OverlapSeconds = cmp.Or(cfg.OverlapSeconds, new(120))
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	var faults connectors.Faults
	faults.If(shop == "", "the shop's number is missing")
	faults.If(cfg.AppKey == "", "app_key is missing: it stands in the app's page on op.jinritemai.com")
	faults.If(cfg.AppSecret == "", "app_secret is missing: it stands in the app's page on op.jinritemai.com")
	faults.If(cfg.SignMethod != signHMAC && cfg.SignMethod != signMD5, "sign_method must be hmac-sha256 or md5")
	faults.If(cfg.AppID < 0, "app_id must not be negative")
	faults.If(cfg.BackfillDays < 1 || cfg.BackfillDays > maxBackfillDays, "backfill_days must be 1 to 90")
	faults.If(cfg.PageSize < 1 || cfg.PageSize > 100, "page_size must be 1 to 100")
	faults.If(*cfg.SettleSeconds < 0, "settle_seconds must not be negative")
	faults.If(*cfg.OverlapSeconds < 0 || *cfg.OverlapSeconds > connectors.MaxOverlapSeconds, "overlap_seconds must be 0 to 21600")
	faults.If(cfg.Parallel < 1 || cfg.Parallel > 64, "parallel must be 1 to 64")
	faults.If(cfg.RequestsPerSecond < 0 || cfg.AppRequestsPerSecond < 0 || cfg.MethodRequestsPerSecond < 0, "requests_per_second, app_requests_per_second and method_requests_per_second must not be negative")
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
	c := &Connector{
		shop: shop, cfg: cfg, client: newClient(calls, shop, cfg), buyers: connectors.NewRecent[string, string](connectors.BuyersKept),
		details: connectors.NewRecent[version, json.RawMessage](detailsKept), extras: make(map[string]*connectors.Extra),
		log: cfg.Log.With("platform", Platform, "shop", shop),
	}
	for _, l := range []listing{aftersaleListing, serviceListing} {
		c.extras[l.stream] = &connectors.Extra{Log: c.log, Without: l.detail.without}
	}
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
		Platform: Platform, Title: "Douyin shop", TitleZH: "抖店",
		Streams: []connectors.Stream{
			{Name: Orders, Kinds: []events.Kind{events.KindOrder}},
			{Name: Users, Kinds: []events.Kind{events.KindUser}},
			{Name: Aftersales, Kinds: []events.Kind{events.KindTicket, events.KindRefund}},
			{Name: Services, Kinds: []events.Kind{events.KindTicket}},
		},
		Settings: json.RawMessage(settingsSchema),
		Rights: []string{
			"orders (order.searchList, order.orderDetail)",
			"after-sales (afterSale.List; afterSale.Detail for their first answer)",
			"service tickets (order.getServiceList; order.serviceDetail for their first answer)",
			"会员通, members (member.mGetMemberInfoByOpenIdList), opened for the shop and with the outer platform's number in app_id: gives the phone of a consenting member",
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
		case Aftersales, Services:
			return c.readWhole(ctx, stream, from, give)
		}
		return connectors.ErrNoStream
	})
}

// windows is the plan by which a listing is read on.
func (c *Connector) windows(l listing) connectors.Windows {
	return connectors.Windows{
		Span:    24 * time.Hour,
		Settle:  time.Duration(*c.cfg.SettleSeconds) * time.Second,
		Overlap: time.Duration(*c.cfg.OverlapSeconds) * time.Second,
		First:   time.Duration(c.cfg.BackfillDays) * 24 * time.Hour,
		Oldest:  l.oldest,
		Until:   c.until,
	}
}

// Until implements connectors.Backfiller. It reaches as far back as the platform
// shows of a stream, whatever backfill_days says of the first reading.
func (c *Connector) Until(moment time.Time) connectors.Connector {
	bounded := *c
	bounded.until, bounded.cfg.BackfillDays = moment, maxBackfillDays
	return &bounded
}
