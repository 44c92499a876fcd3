package weidian

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

const (
	// renewAfter is how long a token is used; it lives 25 hours, and the
	// number of tokens that one may get is limited.
	renewAfter = 20 * time.Hour
	// keysFor is how long the AES keys are kept.
	keysFor = 10 * time.Minute
	// maxRenewals bounds how often a call is repeated because another one
	// renewed the token.
	maxRenewals = 3
)

// client calls the platform's methods for one shop.
type client struct {
	http      *httpclient.Client
	oauth     *httpclient.Client
	shop      string
	appKey    string
	appSecret string

	// renewing holds one element while somebody renews the token: a lock that
	// a context can give up on.
	renewing chan struct{}

	pauses connectors.Pauses

	mu sync.Mutex
	// The fields below are guarded by mu.
	access string
	// renewAt is when to get a new token, zero for one that was given.
	renewAt time.Time
	// offset is the platform's clock less ours, as last learnt.
	offset    time.Duration
	keys      []aesKey
	keysUntil time.Time
}

func newClient(api, oauth *httpclient.Client, shop string, cfg Config) *client {
	return &client{
		http: api, oauth: oauth, shop: shop, appKey: cfg.AppKey, appSecret: cfg.AppSecret,
		access: cfg.AccessToken, renewing: make(chan struct{}, 1),
	}
}

// now is the platform's clock, as far as it is known.
func (c *client) now() time.Time { return time.Now().Add(c.skew()).UTC() }

// skew is how far the platform's clock is ahead of ours.
func (c *client) skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// learnClock notes the platform's present from an answer. Date counts whole
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
	return c.access, c.access != "" && (c.renewAt.IsZero() || time.Now().Before(c.renewAt))
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
// there is nothing to do.
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
	if c.appKey == "" || c.appSecret == "" {
		return &connectors.Error{
			Platform: Platform, Shop: c.shop, Op: "token", Class: connectors.StopShop, Kind: connectors.ErrUnauthorized,
			Message: "the access token is no longer taken",
			Mend:    "put a new access_token into the settings, or app_key and app_secret, with which OneID gets one itself",
		}
	}
	var answer struct {
		AccessToken text  `json:"access_token"`
		ExpireIn    whole `json:"expire_in"`
	}
	_, err := c.oauth.Do(ctx, "token", func(int) (httpclient.Request, error) {
		return httpclient.Request{Query: url.Values{
			"grant_type": {"client_credential"}, "appkey": {c.appKey}, "secret": {c.appSecret},
		}}, nil
	}, c.classify("token", &answer))
	if err != nil {
		return err
	}
	if answer.AccessToken == "" {
		return errors.New("the platform answered with no access token")
	}
	lives := renewAfter
	if answer.ExpireIn > 0 {
		lives = min(lives, max(time.Duration(min(answer.ExpireIn, 1<<30))*time.Second-5*time.Minute, time.Minute))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.access, c.renewAt = string(answer.AccessToken), time.Now().Add(lives)
	return nil
}

// call calls a method and decodes its result into out. A token that the
// platform no longer takes is renewed once, and the call repeated once.
func (c *client) call(ctx context.Context, method, version string, params, out any) error {
	renewed := false
	for tries := 1; ; tries++ {
		if _, err := c.token(ctx); err != nil {
			return err
		}
		// Each attempt takes the token of its time: while it waits, another
		// call may renew it.
		var used string
		err := c.once(ctx, method, version, func() string {
			used, _ = c.held()
			return used
		}, params, out)
		if connectors.ClassOf(err) != connectors.Refresh {
			return err
		}
		if now, _ := c.held(); now != used && tries < maxRenewals {
			continue // another call renewed it meanwhile
		}
		if renewed {
			return connectors.Renewed(err)
		}
		renewed = true
		if err := c.replace(ctx, used); err != nil {
			return err
		}
	}
}

// noToken is for the methods that need none.
func noToken() string { return "" }

// once calls a method with the token of each attempt; retries, throttles and
// the rate are the HTTP client's work.
func (c *client) once(ctx context.Context, method, version string, token func() string, params, out any) error {
	paramText, err := plain(params)
	if err != nil {
		return err
	}
	_, err = c.http.Do(ctx, method, func(int) (httpclient.Request, error) {
		public := map[string]string{"method": method, "version": version, "format": "json"}
		if token := token(); token != "" {
			public["access_token"] = token
		}
		publicText, err := plain(public)
		if err != nil {
			return httpclient.Request{}, err
		}
		return httpclient.Request{Form: url.Values{"public": {publicText}, "param": {paramText}}, Header: http.Header{"Accept": {"application/json"}}}, nil
	}, c.classify(method, out))
	return err
}

// classify says what an answer to a method means, and decodes a good one.
func (c *client) classify(method string, out any) httpclient.Classify {
	return func(r httpclient.Response) error {
		c.learnClock(r.Header)
		if err := c.http.StatusError(r); err != nil {
			return err
		}
		return c.pauses.Note(c.decode(method, r, out))
	}
}

// decode reads an answer, which may be JSON within a JSON text. A result that
// is no object leaves out as it is.
func (c *client) decode(method string, r httpclient.Response, out any) error {
	body := bytes.TrimSpace(r.Body)
	if len(body) > 0 && body[0] == '"' {
		var inner string
		if json.Unmarshal(body, &inner) == nil {
			body = []byte(inner)
		}
	}
	var status text
	var result json.RawMessage
	if json.Valid(body) {
		connectors.Members(body, func(name string, value json.RawMessage) {
			switch name {
			case "status":
				connectors.Members(value, func(name string, value json.RawMessage) {
					if name == "status_code" {
						_ = status.UnmarshalJSON(value) // valid JSON is no text that is cut off
					}
				})
			case "result":
				result = value
			}
		})
	}
	if status == "" {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	if status != "0" {
		return refusal(c.shop, method, string(status))
	}
	if len(result) == 0 || (result[0] != '{' && result[0] != '[') {
		return nil
	}
	if whole, ok := out.(*json.RawMessage); ok {
		*whole = result
		return nil
	}
	if err := json.Unmarshal(result, out); err != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}

// aesKeys are the versions of the app's key, the present one first.
func (c *client) aesKeys(ctx context.Context) ([]aesKey, error) {
	c.mu.Lock()
	keys, until := c.keys, c.keysUntil
	c.mu.Unlock()
	if time.Now().Before(until) {
		return keys, nil
	}
	var answer list[struct {
		Key text `json:"aesKey"`
	}]
	params := map[string]string{"app_key": c.appKey, "secret": c.appSecret}
	if err := c.once(ctx, "open.secret.list", "1.0", noToken, params, &answer); err != nil {
		return nil, err
	}
	keys = nil
	for _, entry := range answer {
		if key, err := newAESKey(string(entry.Key)); err == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the platform answered with no AES key of 32 hexadecimal characters")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys, c.keysUntil = keys, time.Now().Add(keysFor)
	return keys, nil
}

// errEscape: the gateway refuses \u escapes, and JSON can write some
// characters in no other way.
var errEscape = errors.New("a parameter holds a character that cannot be sent")

// plain is v as JSON without HTML escapes and without any \u escape.
func plain(v any) (string, error) {
	raw, err := marshal(v)
	if err == nil && bytes.Contains(raw, []byte(`\u`)) {
		return "", errEscape
	}
	return string(raw), err
}

// marshal is v as JSON without HTML escapes.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
