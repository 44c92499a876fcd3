// Package sobot reads the tickets of one company at the help-desk Sobot
// (智齿), by modification time, and reads what its console pushes.
//
// What the desk promises, and how sure that is, stands in README.md. What is
// not documented lies behind one small function or setting each.
package sobot

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"regexp"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/schemas/events"
)

// Platform is the connector's name in accounts, tables and settings.
const Platform = "sobot"

// Tickets is the one stream: the desk documents no list of customers, so what
// is known of them comes with their tickets.
const Tickets = "tickets"

//go:embed sample.yaml
var sample string

//go:embed settings.schema.json
var settingsSchema []byte

// Config is one company's settings; sample.yaml explains each.
type Config struct {
	// URL of the desk; default https://www.sobot.com. Companies on Tencent's
	// cloud have another host.
	URL    string `json:"url"`
	AppID  string `json:"app_id"`
	AppKey string `json:"app_key"`
	// AccessToken to begin with, as `oneid connector` gives it to a scheduler. It is
	// replaced when the desk no longer takes it.
	AccessToken string `json:"access_token"`
	// CompanyID and PushSecret are what pushes are signed with; without them
	// pushes are refused.
	CompanyID  string `json:"company_id"`
	PushSecret string `json:"push_secret"`
	// ContactKey is the key of the account's id of a customer whom the desk
	// names by phone or e-mail alone; default AppKey. It must never change.
	ContactKey string `json:"contact_key"`
	// PartnerIDType is the type of identifier that the brand gives the desk as
	// its customers' partner id; default external_customer.
	PartnerIDType string `json:"partner_id_type"`
	// PartnerIDScope is what that identifier is bound to: the shop of a
	// platform's own id, the app of an openid; default this shop's name.
	PartnerIDScope string `json:"partner_id_scope"`
	// StaffTicketsJoin says that what stands in tickets which staff opened
	// counts as the buyer's own; by default it joins nobody.
	StaffTicketsJoin bool `json:"staff_tickets_join"`
	// Details asks for each ticket by itself, which tells when staff first
	// answered; default true.
	Details *bool `json:"details"`
	// BackfillDays is how far back the first reading goes; default 90.
	BackfillDays int `json:"backfill_days"`
	// PageSize of the list, 1 to 50, default 50.
	PageSize int `json:"page_size"`
	// SettleSeconds is how long before the desk's present a reading ends;
	// default 60.
	SettleSeconds *int `json:"settle_seconds"`
	// OverlapSeconds is how far a run looks back behind its cursor; default 600, at
	// most connectors.MaxOverlapSeconds.
	OverlapSeconds *int `json:"overlap_seconds"`
	// Parallel is how many tickets are asked for at the same time; default 4.
	Parallel int `json:"parallel"`
	// RequestsPerSecond bounds the calls; default 5, since the desk does not
	// say what it allows.
	RequestsPerSecond float64 `json:"requests_per_second"`
	// AppRequestsPerSecond bounds the calls of the app_id, over all shops that
	// use it, and MethodRequestsPerSecond those of each method; 0, the default,
	// is no bound of ours.
	AppRequestsPerSecond    float64 `json:"app_requests_per_second"`
	MethodRequestsPerSecond float64 `json:"method_requests_per_second"`
	// CallsPerDay is the app's quota of calls in a day of GMT+8; 0, the
	// default, is none.
	CallsPerDay int `json:"calls_per_day"`

	// Transport carries the calls; nil is the network.
	Transport http.RoundTripper `json:"-"`
}

const (
	gateway  = "https://www.sobot.com"
	maxPages = 400 // of a window, before it is cut in two
	maxSkew  = 5 * time.Minute
)

// Connector reads one company. It may be used concurrently.
type Connector struct {
	shop   string
	cfg    Config
	client *client
	mapper mapper
	until  time.Time // where Read ends; zero: at the present
}

var (
	_ connectors.Connector  = (*Connector)(nil)
	_ connectors.Backfiller = (*Connector)(nil)
	_ connectors.Estimator  = (*Connector)(nil)
	_ connectors.Renewer    = (*Connector)(nil)
)

// identifierType is what a type of identifier looks like; which there are is
// the resolver's to say.
var identifierType = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// New makes the connector of a company under a name of the user's choice; it
// connects to nothing yet. Its error names every fault of the settings at once.
func New(shop string, cfg Config) (*Connector, error) {
	cfg.URL = cmp.Or(cfg.URL, gateway)
	cfg.ContactKey = cmp.Or(cfg.ContactKey, cfg.AppKey)
	cfg.PartnerIDType = cmp.Or(cfg.PartnerIDType, "external_customer")
	cfg.PartnerIDScope = cmp.Or(cfg.PartnerIDScope, shop)
	cfg.BackfillDays = cmp.Or(cfg.BackfillDays, 90)
	cfg.PageSize = cmp.Or(cfg.PageSize, 50)
	cfg.Parallel = cmp.Or(cfg.Parallel, 4)
	cfg.RequestsPerSecond = cmp.Or(cfg.RequestsPerSecond, 5)
	cfg.Details = cmp.Or(cfg.Details, new(true))
	cfg.SettleSeconds = cmp.Or(cfg.SettleSeconds, new(60))
	cfg.OverlapSeconds = cmp.Or(cfg.OverlapSeconds, new(600))
	var faults connectors.Faults
	faults.If(shop == "", "the shop's name is missing")
	faults.If(cfg.AppID == "", "app_id is missing: Sobot's after-sales staff give it out")
	faults.If(cfg.AppKey == "", "app_key is missing: Sobot's after-sales staff give it out")
	faults.If((cfg.CompanyID == "") != (cfg.PushSecret == ""), "company_id and push_secret go together: pushes are signed with both")
	faults.If(!identifierType.MatchString(cfg.PartnerIDType), "partner_id_type must be a type of identifier, such as external_customer, member_card or openid")
	faults.If(cfg.BackfillDays < 1 || cfg.BackfillDays > longestBackfill, "backfill_days must be 1 to 3660")
	faults.If(cfg.PageSize < 1 || cfg.PageSize > 50, "page_size must be 1 to 50")
	faults.If(*cfg.SettleSeconds < 0, "settle_seconds must not be negative")
	faults.If(*cfg.OverlapSeconds < 0 || *cfg.OverlapSeconds > connectors.MaxOverlapSeconds, "overlap_seconds must be 0 to 21600")
	faults.If(cfg.Parallel < 1 || cfg.Parallel > 64, "parallel must be 1 to 64")
	faults.If(cfg.RequestsPerSecond < 0 || cfg.AppRequestsPerSecond < 0 || cfg.MethodRequestsPerSecond < 0, "requests_per_second, app_requests_per_second and method_requests_per_second must not be negative")
	faults.If(cfg.CallsPerDay < 0, "calls_per_day must not be negative")
	api, err := httpclient.New(httpclient.Config{
		BaseURL: cfg.URL, Transport: cfg.Transport, PerMethod: cfg.MethodRequestsPerSecond,
		App: httpclient.Limit{
			Name: Platform + " app " + cfg.AppID, PerSecond: cfg.AppRequestsPerSecond, PerDay: cfg.CallsPerDay, Zone: zone,
		},
		Shop: httpclient.Limit{Name: Platform + " shop " + shop, PerSecond: cfg.RequestsPerSecond},
	})
	faults.Add("url", err)
	grants, err := httpclient.New(httpclient.Config{BaseURL: cfg.URL, Transport: cfg.Transport, Shop: httpclient.Limit{PerSecond: 1}})
	if err := errors.Join(faults.Err(), err); err != nil {
		return nil, err
	}
	return &Connector{
		shop: shop, cfg: cfg, client: newClient(api, grants, shop, cfg),
		mapper: mapper{
			contactKey: []byte(cfg.ContactKey), partnerType: cfg.PartnerIDType, partnerScope: cfg.PartnerIDScope, staffJoins: cfg.StaffTicketsJoin,
		},
	}, nil
}

// Share lets the connector share its limits with others; call it before the
// first call.
func (c *Connector) Share(l *httpclient.Limits) { c.client.http.Share(l) }

// Spec describes the connector.
func (*Connector) Spec() connectors.Spec {
	return connectors.Spec{
		Platform: Platform, Title: "Sobot help-desk", TitleZH: "智齿客服",
		Streams:  []connectors.Stream{{Name: Tickets, Kinds: []events.Kind{events.KindTicket}}},
		Settings: json.RawMessage(settingsSchema),
		Rights:   []string{"the open interface of tickets, version 5 (appid and app_key from Sobot's after-sales staff)"},
		Sample:   sample,
	}
}

// Read yields the pages of a stream that follow from.
func (c *Connector) Read(ctx context.Context, stream string, from connectors.Cursor) iter.Seq2[connectors.Page, error] {
	return connectors.Pages(Platform, stream, c.shop, func(give func(connectors.Page) error) error {
		if stream != Tickets {
			return connectors.ErrNoStream
		}
		return c.readTickets(ctx, from, give)
	})
}

// windows is the plan by which the stream goes on.
func (c *Connector) windows() connectors.Windows {
	return connectors.Windows{
		Span:    24 * time.Hour, // a month at most
		Settle:  time.Duration(*c.cfg.SettleSeconds) * time.Second,
		Overlap: time.Duration(*c.cfg.OverlapSeconds) * time.Second,
		First:   time.Duration(c.cfg.BackfillDays) * 24 * time.Hour,
		Until:   c.until,
	}
}

// Until implements connectors.Backfiller. It reaches as far back as the settings
// may ask for: how far the desk shows tickets is not documented.
func (c *Connector) Until(moment time.Time) connectors.Connector {
	bounded := *c
	bounded.until, bounded.cfg.BackfillDays = moment, longestBackfill
	return &bounded
}

// end is where what is read ends.
func (c *Connector) end() time.Time {
	now := c.client.now()
	if !c.until.IsZero() && c.until.Before(now) {
		return c.until
	}
	return now
}

// longestBackfill bounds backfill_days.
const longestBackfill = 3660

// Check tries the address, the keys, the clock and the right to the tickets.
func (c *Connector) Check(ctx context.Context) error {
	if _, err := c.client.tokens.Valid(ctx); err != nil {
		return fmt.Errorf("sobot: shop %s: get a token: %w", c.shop, err)
	}
	var faults []error
	now := c.client.now()
	if _, err := c.page(ctx, connectors.Window{From: now.Add(-time.Hour), To: now}, 1, 1); err != nil {
		faults = append(faults, fmt.Errorf("sobot: shop %s: stream %s: %w", c.shop, Tickets, err))
	}
	if err := c.client.clock.Check(maxSkew); err != nil {
		faults = append(faults, fmt.Errorf("sobot: shop %s: %w", c.shop, err))
	}
	return errors.Join(faults...)
}
