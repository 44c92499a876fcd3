package toy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

//go:embed codes.yaml
var codesTable []byte

// codes are what the platform's codes mean.
var codes = connectors.MustCodes(codesTable)

// client calls the platform's methods for one shop.
type client struct {
	http              *httpclient.Client
	shop, key, secret string
	clock             connectors.Clock
	pauses            connectors.Pauses
	tokens            *connectors.Tokens
}

func newClient(api *httpclient.Client, shop string, cfg Config) *client {
	c := &client{http: api, shop: shop, key: cfg.AppKey, secret: cfg.AppSecret}
	c.tokens = &connectors.Tokens{Platform: Platform, Shop: shop, Now: c.clock.Now, Renew: c.renew}
	return c
}

// sign is the signature of a form: HMAC-SHA256 of all but sign, sorted by
// name, name and value joined with nothing between, in hexadecimal.
func sign(secret string, form map[string]string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if name != "sign" {
			mac.Write([]byte(name + form[name]))
		}
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// call calls a method about the shop's things. Whatever the token's end or a
// wrong clock asks for, it is done, and the call repeated.
func (c *client) call(ctx context.Context, method string, params, out any) error {
	return c.tokens.Call(ctx, func(access func() string) error { return c.once(ctx, method, access, params, out) })
}

// once calls a method. The form is built and signed inside the HTTP client's
// retry, so each attempt has a token, a timestamp and a signature of its own.
func (c *client) once(ctx context.Context, method string, access func() string, params, out any) error {
	param, err := json.Marshal(params)
	if err != nil {
		return err
	}
	build := func(int) (httpclient.Request, error) {
		form := map[string]string{
			"app_key": c.key, "method": method, "token": access(), "param": string(param),
			"timestamp": strconv.FormatInt(c.clock.Now().Unix(), 10),
		}
		form["sign"] = sign(c.secret, form)
		values := make(url.Values, len(form))
		for name, value := range form {
			values.Set(name, value)
		}
		return httpclient.Request{Form: values}, nil
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

// decode reads an answer, {"code":"0","data":{…}}, or says what it refuses.
func (c *client) decode(method string, r httpclient.Response, out any) error {
	var answer struct {
		Code connectors.LenientText  `json:"code"`
		Wait connectors.LenientWhole `json:"wait"` // seconds, of a refusal for rate
		Data json.RawMessage         `json:"data"`
	}
	if json.Unmarshal(r.Body, &answer) != nil || answer.Code == "" {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	if answer.Code != "0" {
		return refusal(c.shop, method, string(answer.Code), time.Duration(answer.Wait)*time.Second)
	}
	if json.Unmarshal(answer.Data, out) != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}

// refusal is the platform's refusal of a call. Of its code only what codes are
// made of is kept, and of its text nothing: an answer is never repeated as it came.
func refusal(shop, method, code string, wait time.Duration) *connectors.Error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: connectors.CleanCode(code)}
	codes.Find(e.SystemCode, "").Apply(e)
	if e.Class == connectors.Throttle {
		e.Wait = wait
	}
	return e
}

// renew gets a token. Who calls it, when and how often is the matter of
// connectors.Tokens.
func (c *client) renew(ctx context.Context, _ connectors.Token) (connectors.Token, error) {
	var answer struct {
		Token string `json:"token"`
	}
	// A token is everybody's: a reading that can wait does not make it wait.
	ctx = httpclient.WithoutPatience(ctx)
	if err := c.once(ctx, "token.get", func() string { return "" }, struct{}{}, &answer); err != nil {
		return connectors.Token{}, err
	}
	if answer.Token == "" {
		return connectors.Token{}, errors.New("the platform answered with no token")
	}
	return connectors.Token{Access: answer.Token}, nil
}

// UseTokens implements connectors.TokenUser: all processes share a token.
func (c *Connector) UseTokens(store connectors.TokenStore) { c.client.tokens.Use(store) }
