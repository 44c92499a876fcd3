package douyin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	if c.serviceID == "" {
		c.tokens.Create = func(ctx context.Context) (connectors.Token, error) { return c.create(httpclient.WithoutPatience(ctx)) }
	}
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
	var broken connectors.Broken
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
			if err := c.http.StatusError(r); err != nil {
				return err
			}
			return c.pauses.Note(c.decode(method, r, &broken, out))
		})
		return err
	})
}

// The codes of success: all of it, or a part of a batch.
const (
	codeSuccess = "10000"
	codePartly  = "10001"
)

// errPartly is the error of an answer to a part of what was asked for. One that
// lasts over all repetitions of a call about one entity is this entity's fault.
var errPartly = errors.New("the platform answers a part of the question only")

// asksForSeveral says that a method is asked for several things, each of which
// the answer names: a part of them is worth having.
func asksForSeveral(method string) bool { return method == decryptMethod || method == membersMethod }

// entity is an answer about one entity alone, as it is: what is broken of it is
// this entity's fault, and no other's.
type entity json.RawMessage

// decode reads an answer, in the new envelope, the old one, or both at once.
// A *json.RawMessage takes the answer of a list as it is, valid JSON: what lists
// nothing says so by an empty list or by its total, and any other answer would be
// taken for an empty one. Rows that are broken each time that they are asked for do
// not hold up the others.
func (c *client) decode(method string, r httpclient.Response, broken *connectors.Broken, out any) error {
	body, valid := json.RawMessage(r.Body), connectors.Valid(r.Body)
	if !valid && broken.Enough() {
		if body, valid = connectors.Mend(r.Body); !valid {
			body, valid = connectors.MendMember(r.Body, "data")
		}
	}
	if !valid {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	var code, sub, errNo, logID text
	var data json.RawMessage
	var err error
	// An answer is mostly its data: it is cut and not decoded.
	connectors.Members(body, func(name string, value json.RawMessage) {
		switch name {
		case "code":
			err = errors.Join(err, code.UnmarshalJSON(value))
		case "sub_code":
			err = errors.Join(err, sub.UnmarshalJSON(value))
		case "err_no":
			err = errors.Join(err, errNo.UnmarshalJSON(value))
		case "log_id":
			err = errors.Join(err, logID.UnmarshalJSON(value))
		case "data":
			data = value
		}
	})
	if err != nil || code == "" && errNo == "" {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	c.clock.Learn(r.Header) // of what a proxy says in the platform's place the time is the proxy's
	switch {
	case code == codePartly && !asksForSeveral(method): // what it left out would be taken for what is not there
		return fmt.Errorf("%w: %w", errPartly, c.http.Undecodable(r, "the whole answer to "+method+" (code "+codePartly+")"))
	case code == codeSuccess, code == codePartly, code == "" && errNo == "0":
	case partlyDecrypted(method, string(sub)): // each text says how it went
	case code != "":
		return refusal("", c.shop, method, string(code), string(sub), string(logID))
	default:
		return refusal(oldCode, c.shop, method, string(errNo), "", string(logID))
	}
	if inner, ok := connectors.Text(data); ok {
		data = bytes.TrimSpace([]byte(inner))
		if one, ok := out.(*entity); ok {
			*one = entity(data)
			return nil
		}
		if len(data) > 0 && data[0] == '{' && !connectors.Valid(data) {
			// One row that is broken does not hold up the others.
			if data, ok = connectors.Mend(data); !ok {
				return c.http.Undecodable(r, "an answer to "+method)
			}
		}
	}
	switch whole := out.(type) {
	case *json.RawMessage:
		if len(data) == 0 || data[0] != '{' && data[0] != '[' {
			return c.http.Undecodable(r, "an answer to "+method)
		}
		*whole = data
		return nil
	case *entity:
		*whole = entity(data)
		return nil
	}
	if len(data) == 0 || data[0] != '{' {
		return nil
	}
	if err := connectors.DecodeValid(data, out); err != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}
