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

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// keysFor is how long the AES keys are kept.
const keysFor = 10 * time.Minute

// client calls the platform's methods for one shop.
type client struct {
	http      *httpclient.Client
	oauth     *httpclient.Client
	shop      string
	appKey    string
	appSecret string
	// service is the client for the tokens of service apps, redirectURI where a
	// merchant's browser is sent; "" for a self-use app.
	service     *httpclient.Client
	redirectURI string
	tokens      *connectors.Tokens

	clock  connectors.Clock
	pauses connectors.Pauses

	mu sync.Mutex
	// The fields below are guarded by mu.
	keys      []aesKey
	keysUntil time.Time
}

func newClient(api, oauth, service *httpclient.Client, shop string, cfg Config) *client {
	c := &client{
		http: api, oauth: oauth, service: service, shop: shop, appKey: cfg.AppKey, appSecret: cfg.AppSecret, redirectURI: cfg.RedirectURI,
	}
	c.tokens = &connectors.Tokens{
		Platform: Platform, Shop: shop, Given: connectors.Token{Access: cfg.AccessToken},
		Now: c.now, RenewAt: renewAt, Renew: c.renew,
	}
	return c
}

// now is the platform's clock, as far as it is known.
func (c *client) now() time.Time { return c.clock.Now() }

// call calls a method and decodes its result into out.
func (c *client) call(ctx context.Context, method, version string, params, out any) error {
	return c.tokens.Call(ctx, func(access func() string) error { return c.once(ctx, method, version, access, params, out) })
}

// public are the parameters that all methods have. They are in the order of
// their names, as plain writes those of a map.
type public struct {
	Token   string `json:"access_token,omitempty"`
	Format  string `json:"format"`
	Method  string `json:"method"`
	Version string `json:"version"`
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
		publicText, err := plain(public{Token: token(), Format: "json", Method: method, Version: version})
		if err != nil {
			return httpclient.Request{}, err
		}
		return httpclient.Request{Form: url.Values{"public": {publicText}, "param": {paramText}}, Header: http.Header{"Accept": {"application/json"}}}, nil
	}, c.classify(method, out))
	return err
}

// classify says what an answer to a method means, and decodes a good one: of
// one call, whose broken answers it counts.
func (c *client) classify(method string, out any) httpclient.Classify {
	var broken connectors.Broken
	return func(r httpclient.Response) error {
		if err := c.http.StatusError(r); err != nil {
			return err
		}
		return c.pauses.Note(c.decode(method, r, &broken, out))
	}
}

// entity is an answer about one entity alone. One that is no JSON becomes a JSON
// text, which Map refuses: it is this entity's fault, and no other's.
type entity json.RawMessage

// decode reads an answer, which may be JSON within a JSON text, as may its result
// (assumed: an answer that is taken for an empty one loses what it lists). One that
// is no object leaves out as it is; a *json.RawMessage and an *entity take it as it is,
// valid JSON. What is broken each time that it is asked for does not hold up the rest.
func (c *client) decode(method string, r httpclient.Response, broken *connectors.Broken, out any) error {
	body := bytes.TrimSpace(r.Body)
	if len(body) > 0 && body[0] == '"' {
		var inner string
		if json.Unmarshal(body, &inner) == nil {
			body = []byte(inner)
		}
	}
	valid := connectors.Valid(body)
	if !valid && broken.Enough() {
		mend := connectors.Mend
		if _, one := out.(*entity); one {
			mend = func(raw []byte) (json.RawMessage, bool) { return connectors.MendMember(raw, "result") }
		}
		body, valid = mend(body)
	}
	if !valid {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	var status object[struct {
		Code text `json:"status_code"`
	}]
	var result json.RawMessage
	var err error
	// An answer is mostly its result: it is cut and not decoded.
	connectors.Members(body, func(name string, value json.RawMessage) {
		switch name {
		case "status":
			err = errors.Join(err, connectors.DecodeValid(value, &status))
		case "result":
			result = value
		}
	})
	code := status.V.Code
	if err != nil || code == "" {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	c.clock.Learn(r.Header) // of what a proxy says in the platform's place the time is the proxy's
	if code != "0" {
		return refusal(c.shop, method, string(code))
	}
	if inner, ok := connectors.Text(result); ok {
		result = bytes.TrimSpace([]byte(inner))
		if len(result) > 0 && (result[0] == '{' || result[0] == '[') && !connectors.Valid(result) {
			// What is broken of one entity does not hold up the others.
			if one, ok := out.(*entity); ok {
				*one, err = jsontext.AppendQuote(nil, result)
				return err
			}
			if result, ok = connectors.Mend(result); !ok {
				return c.http.Undecodable(r, "an answer to "+method)
			}
		}
	}
	if len(result) == 0 || (result[0] != '{' && result[0] != '[') {
		return nil
	}
	switch whole := out.(type) {
	case *json.RawMessage:
		*whole = result
		return nil
	case *entity:
		*whole = entity(result)
		return nil
	}
	if err := connectors.DecodeValid(result, out); err != nil {
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

// plain is v as JSON without HTML escapes and without any \u escape, the members
// of a map in the order of their names.
func plain(v any) (string, error) {
	raw, err := jsonv2.Marshal(v, jsonv2.Deterministic(true), jsontext.AllowInvalidUTF8(true), jsontext.EscapeForJS(true))
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
