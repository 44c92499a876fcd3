package douyin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// client calls the platform's methods for one shop.
type client struct {
	http       *httpclient.Client
	shop       string
	appKey     string
	secret     string
	signMethod string
	tokens     *connectors.Tokens
	// serviceID is that of an app of the service market; "" for the brand's own.
	serviceID string

	clock  connectors.Clock
	pauses connectors.Pauses
}

func newClient(http *httpclient.Client, shop string, cfg Config) *client {
	c := &client{http: http, shop: shop, appKey: cfg.AppKey, secret: cfg.AppSecret, signMethod: cfg.SignMethod, serviceID: cfg.ServiceID}
	c.tokens = &connectors.Tokens{Platform: Platform, Shop: shop, Now: c.now, RenewAt: renewAt, Renew: c.renew}
	return c
}

// now is the platform's clock, as far as it is known.
func (c *client) now() time.Time { return c.clock.Now() }

// grant calls a token method.
func (c *client) grant(ctx context.Context, method string, params any) (connectors.Token, error) {
	var answer grantAnswer
	if err := c.once(ctx, method, params, noToken, &answer); err != nil {
		return connectors.Token{}, err
	}
	return answer.token(c.now())
}

// call calls a method and decodes its data into out.
func (c *client) call(ctx context.Context, method string, params, out any) error {
	return c.tokens.Call(ctx, func(access func() string) error { return c.once(ctx, method, params, access, out) })
}

// noToken is for the methods that give tokens.
func noToken() string { return "" }

// once calls a method with the token of each attempt, and again when the
// platform refuses the timestamp; retries, throttles and the rate are the HTTP
// client's work.
func (c *client) once(ctx context.Context, method string, params any, token func() string, out any) error {
	param, err := canonical(params)
	if err != nil {
		return err
	}
	path := "/" + strings.ReplaceAll(method, ".", "/")
	build := func(int) (httpclient.Request, error) {
		timestamp := strconv.FormatInt(c.now().Unix(), 10)
		query := url.Values{
			"app_key": {c.appKey}, "method": {method}, "timestamp": {timestamp}, "v": {"2"},
			"sign_method": {c.signMethod},
			"sign":        {sign(c.signMethod, c.appKey, c.secret, method, param, timestamp)},
		}
		if token := token(); token != "" {
			query.Set("access_token", token)
		}
		return httpclient.Request{
			Path: path, Query: query, Body: []byte(param),
			Header: http.Header{"X-Open-No-Old-Err-Code": {"1"}},
		}, nil
	}
	return connectors.ByClock(func() error {
		_, err := c.http.Do(ctx, method, build, func(r httpclient.Response) error {
			c.clock.Learn(r.Header)
			if err := c.http.StatusError(r); err != nil {
				return err
			}
			return c.pauses.Note(c.decode(method, r, out))
		})
		return err
	})
}

// The codes of success: all of it, or a part of a batch.
const (
	codeSuccess = "10000"
	codePartly  = "10001"
)

// decode reads an answer, in the new envelope, the old one, or both at once.
// A *json.RawMessage takes what is in it as it is, valid JSON.
func (c *client) decode(method string, r httpclient.Response, out any) error {
	var answer struct {
		Code  text            `json:"code"`
		Sub   text            `json:"sub_code"`
		ErrNo text            `json:"err_no"`
		LogID text            `json:"log_id"`
		Data  json.RawMessage `json:"data"`
	}
	if connectors.Decode(r.Body, &answer) != nil || (answer.Code == "" && answer.ErrNo == "") {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	code, sub, errNo, logID, data := answer.Code, answer.Sub, answer.ErrNo, answer.LogID, answer.Data
	switch {
	case code == codeSuccess, code == codePartly, code == "" && errNo == "0":
	case partlyDecrypted(method, string(sub)): // each text says how it went
	case code != "":
		return refusal("", c.shop, method, string(code), string(sub), string(logID))
	default:
		return refusal(oldCode, c.shop, method, string(errNo), "", string(logID))
	}
	if inner, ok := connectors.Text(data); ok {
		data = bytes.TrimSpace([]byte(inner))
	}
	if len(data) == 0 || data[0] != '{' {
		return nil
	}
	if whole, ok := out.(*json.RawMessage); ok {
		*whole = data
		return nil
	}
	if err := connectors.Decode(data, out); err != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}
