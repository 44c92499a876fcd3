package sobot

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

const (
	// renewBefore is how long before its end a token is replaced; it lives 24
	// hours.
	renewBefore = 30 * time.Minute
	tokenLives  = 24 * time.Hour
	// maxRenewals bounds how often a call is repeated because another one
	// renewed the token.
	maxRenewals = 3
)

// client calls the desk's methods for one company.
type client struct {
	http   *httpclient.Client
	shop   string
	appID  string
	appKey string

	// renewing holds one element while somebody renews the token: a lock that
	// a context can give up on.
	renewing chan struct{}

	mu sync.Mutex
	// The fields below are guarded by mu.
	access  string
	renewAt time.Time
	// offset is the desk's clock less ours, as last learnt.
	offset time.Duration
}

func newClient(api *httpclient.Client, shop string, cfg Config) *client {
	return &client{http: api, shop: shop, appID: cfg.AppID, appKey: cfg.AppKey, renewing: make(chan struct{}, 1)}
}

// now is the desk's clock, as far as it is known.
func (c *client) now() time.Time { return time.Now().Add(c.skew()).UTC() }

// skew is how far the desk's clock is ahead of ours.
func (c *client) skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// learnClock notes the desk's present from an answer. Date counts whole
// seconds and the answer was under way for a while: less than two seconds are
// no difference.
func (c *client) learnClock(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	offset := time.Until(date.Add(500 * time.Millisecond))
	if offset.Abs() < 2*time.Second {
		offset = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}

// held is the token to use; false when a new one is due.
func (c *client) held() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.access, c.access != "" && time.Now().Before(c.renewAt)
}

// token gives the access token, getting one when there is none or it is old.
func (c *client) token(ctx context.Context) (string, error) {
	access, ok := c.held()
	if ok {
		return access, nil
	}
	if err := c.replace(ctx, access); err != nil {
		return "", err
	}
	access, _ = c.held()
	return access, nil
}

// replace gets a token in place of used; when somebody else has done so since,
// there is nothing to do. The desk ends the old token with each new one.
func (c *client) replace(ctx context.Context, used string) error {
	select {
	case c.renewing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.renewing }()
	if access, _ := c.held(); access != used {
		return nil
	}
	var item struct {
		Token text  `json:"token"`
		Lives whole `json:"expires_in"`
	}
	_, err := c.http.Do(ctx, tokenOp, func(int) (httpclient.Request, error) {
		at := strconv.FormatInt(c.now().Unix(), 10)
		return httpclient.Request{Path: "/api/get_token", Query: url.Values{
			"appid": {c.appID}, "create_time": {at}, "sign": {tokenSign(c.appID, at, c.appKey)},
		}}, nil
	}, func(r httpclient.Response) error {
		var answer struct {
			Item json.RawMessage `json:"item"`
		}
		if err := c.decode(tokenOp, r, &answer); err != nil {
			return err
		}
		if json.Unmarshal(answer.Item, &item) != nil || item.Token == "" {
			return c.http.Undecodable(r, "a token")
		}
		return nil
	})
	if err != nil {
		return err
	}
	lives := tokenLives
	if item.Lives > 0 {
		lives = min(lives, time.Duration(min(item.Lives, 1<<30))*time.Second)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.access, c.renewAt = string(item.Token), time.Now().Add(max(lives-renewBefore, lives/2))
	return nil
}

// call calls a method about tickets and decodes its answer into out. A token
// that the desk no longer takes is renewed, and the call repeated; again only if
// the new one was taken for a while.
func (c *client) call(ctx context.Context, method string, params url.Values, out any) error {
	var renewed time.Time
	for tries := 1; ; tries++ {
		if _, err := c.token(ctx); err != nil {
			return err
		}
		// Each attempt takes the token of its time: while it waits, another
		// call may renew it.
		var used string
		_, err := c.http.Do(ctx, method, func(int) (httpclient.Request, error) {
			used, _ = c.held()
			return httpclient.Request{Path: "/api/ws/5/ticket/" + method, Query: params, Header: http.Header{"Token": {used}}}, nil
		}, func(r httpclient.Response) error { return c.decode(method, r, out) })
		if connectors.ClassOf(err) != connectors.Refresh {
			return err
		}
		if now, _ := c.held(); now != used && tries < maxRenewals {
			continue // another call renewed it meanwhile
		}
		if !renewed.IsZero() && (time.Since(renewed) < connectors.FreshFor || tries >= maxRenewals) {
			return connectors.Renewed(err)
		}
		if err := c.replace(ctx, used); err != nil {
			return err
		}
		renewed = time.Now()
	}
}

// decode reads an answer: its code, and of a good one the rest into out.
func (c *client) decode(method string, r httpclient.Response, out any) error {
	c.learnClock(r.Header)
	if err := c.http.StatusError(r); err != nil {
		return err
	}
	var envelope struct {
		Code text `json:"ret_code"`
	}
	if json.Unmarshal(r.Body, &envelope) != nil || envelope.Code == "" {
		return c.http.Undecodable(r, "the JSON that the desk promises")
	}
	if !good(string(envelope.Code)) {
		return refusal(c.shop, method, string(envelope.Code))
	}
	if err := json.Unmarshal(r.Body, out); err != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}
