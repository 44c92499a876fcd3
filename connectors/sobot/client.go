package sobot

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

const (
	// renewBefore is how long before its end a token is replaced; it lives 24
	// hours.
	renewBefore = 30 * time.Minute
	tokenLives  = 24 * time.Hour
)

// client calls the desk's methods for one company.
type client struct {
	http *httpclient.Client
	// grants asks for tokens: they wait for no quota.
	grants *httpclient.Client
	shop   string
	appID  string
	appKey string
	clock  connectors.Clock
	tokens *connectors.Tokens
}

func newClient(api, grants *httpclient.Client, shop string, cfg Config) *client {
	c := &client{http: api, grants: grants, shop: shop, appID: cfg.AppID, appKey: cfg.AppKey}
	c.tokens = &connectors.Tokens{
		Platform: Platform, Shop: shop, Given: connectors.Token{Access: cfg.AccessToken}, Now: c.now, RenewAt: renewAt, Renew: c.renew,
		Mend: "let no other program get tokens with this app_id: the desk ends the old one with each new one",
	}
	return c
}

// now is the desk's clock, as far as it is known.
func (c *client) now() time.Time { return c.clock.Now() }

// renewAt is when a token is replaced: half an hour before its end, or in the
// middle of a shorter life.
func renewAt(t connectors.Token) time.Time {
	life := t.Expires.Sub(t.Obtained)
	return t.Obtained.Add(max(life-renewBefore, life/2))
}

// renew gets a token; the desk ends the old one with it.
func (c *client) renew(ctx context.Context, _ connectors.Token) (connectors.Token, error) {
	var item struct {
		Token text  `json:"token"`
		Lives whole `json:"expires_in"`
	}
	_, err := c.grants.Do(httpclient.WithoutPatience(ctx), tokenOp, func(int) (httpclient.Request, error) {
		at := strconv.FormatInt(c.now().Unix(), 10)
		return httpclient.Request{Path: "/api/get_token", Query: url.Values{
			"appid": {c.appID}, "create_time": {at}, "sign": {tokenSign(c.appID, at, c.appKey)},
		}}, nil
	}, func(r httpclient.Response) error {
		var answer struct {
			Item json.RawMessage `json:"item"`
		}
		if err := c.decode(tokenOp, r, new(connectors.Broken), &answer); err != nil {
			return err
		}
		if json.Unmarshal(answer.Item, &item) != nil || item.Token == "" {
			return c.http.Undecodable(r, "a token")
		}
		return nil
	})
	if err != nil {
		return connectors.Token{}, err
	}
	lives := tokenLives
	if item.Lives > 0 {
		lives = min(lives, time.Duration(min(item.Lives, 1<<30))*time.Second)
	}
	return connectors.Token{Access: string(item.Token), Expires: c.now().Add(lives)}, nil
}

// OnRenewed implements connectors.Renewer: the desk ends the old token with each new
// one, so whoever keeps the settings goes on with this one.
func (c *Connector) OnRenewed(tell func(settings map[string]string)) {
	c.client.tokens.Renewed = func(t connectors.Token) { tell(map[string]string{"access_token": t.Access}) }
}

// UseTokens implements connectors.TokenUser.
func (c *Connector) UseTokens(store connectors.TokenStore) { c.client.tokens.Use(store) }

// call calls a method about tickets and decodes its answer into out.
func (c *client) call(ctx context.Context, method string, params url.Values, out any) error {
	return c.tokens.Call(ctx, func(access func() string) error {
		var broken connectors.Broken
		_, err := c.http.Do(ctx, method, func(int) (httpclient.Request, error) {
			return httpclient.Request{Path: "/api/ws/5/ticket/" + method, Query: params, Header: http.Header{"Token": {access()}}}, nil
		}, func(r httpclient.Response) error { return c.decode(method, r, &broken, out) })
		return err
	})
}

// decode reads an answer: its code, and of a good one the rest into out. Tickets
// that are broken each time that they are asked for do not hold up the others.
func (c *client) decode(method string, r httpclient.Response, broken *connectors.Broken, out any) error {
	c.clock.Learn(r.Header)
	if err := c.http.StatusError(r); err != nil {
		return err
	}
	body, valid := json.RawMessage(r.Body), connectors.Valid(r.Body)
	if !valid && broken.Enough() {
		if body, valid = connectors.Mend(r.Body); !valid {
			body, valid = connectors.MendMember(r.Body, "item")
		}
	}
	var envelope struct {
		Code text `json:"ret_code"`
	}
	if !valid || connectors.DecodeValid(body, &envelope) != nil || envelope.Code == "" {
		return c.http.Undecodable(r, "the JSON that the desk promises")
	}
	if !good(string(envelope.Code)) {
		return refusal(c.shop, method, string(envelope.Code))
	}
	if err := connectors.DecodeValid(body, out); err != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}
