package tmall

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// zone is the platform's: all its times are texts in GMT+8.
var zone = time.FixedZone("GMT+8", 8*60*60)

// timeLayout of the platform's times.
const timeLayout = "2006-01-02 15:04:05"

// client calls the platform's methods for one shop.
type client struct {
	http   *httpclient.Client
	shop   string
	appKey string
	secret string
	tokens *connectors.Tokens
	clock  connectors.Clock
	pauses connectors.Pauses
}

func newClient(http *httpclient.Client, shop string, cfg Config) *client {
	c := &client{http: http, shop: shop, appKey: cfg.AppKey, secret: cfg.AppSecret}
	c.tokens = &connectors.Tokens{
		Platform: Platform, Shop: shop, Given: connectors.Token{Access: cfg.Session, Refresh: cfg.RefreshToken},
		Now: c.now, RenewAt: renewAt, Renew: c.renew,
	}
	return c
}

// now is the platform's clock, as far as it is known.
func (c *client) now() time.Time { return c.clock.Now() }

// call calls a method with its business parameters (empty values are not
// sent) and decodes what stands below the answer's root into out.
func (c *client) call(ctx context.Context, method string, params map[string]string, out any) error {
	return c.tokens.Call(ctx, func(access func() string) error { return c.once(ctx, method, params, access, out) })
}

// noToken is for the methods that need no session.
func noToken() string { return "" }

// once calls a method with the session of each attempt, and again when the
// platform refuses the timestamp.
func (c *client) once(ctx context.Context, method string, params map[string]string, token func() string, out any) error {
	var broken connectors.Broken
	build := func(int) (httpclient.Request, error) {
		form := make(map[string]string, len(params)+8)
		maps.Copy(form, params)
		form["method"] = method
		form["app_key"] = c.appKey
		form["timestamp"] = c.now().In(zone).Format(timeLayout)
		form["v"] = "2.0"
		form["format"] = "json"
		form["sign_method"] = "hmac-sha256"
		form["session"] = token()
		values := make(url.Values, len(form)+1)
		for name, value := range form {
			if value != "" {
				values.Set(name, value)
			}
		}
		values.Set("sign", sign(c.secret, form))
		return httpclient.Request{Form: values}, nil
	}
	classify := func(r httpclient.Response) error {
		if err := c.http.StatusError(r); err != nil {
			return err
		}
		return c.pauses.Note(c.decode(method, r, &broken, out))
	}
	return connectors.ByClock(func() error {
		_, err := c.http.Do(ctx, method, build, classify)
		return err
	})
}

// decode reads an answer: {"<method>_response":{…}} or {"error_response":{…}}.
// A *json.RawMessage takes what is in it as it is, valid JSON. Rows that are broken
// each time that they are asked for do not hold up the others.
func (c *client) decode(method string, r httpclient.Response, broken *connectors.Broken, out any) error {
	text := r.Body
	if !connectors.Valid(text) {
		mended, ok := json.RawMessage(nil), false
		if broken.Enough() {
			mended, ok = connectors.Mend(text)
		}
		if !ok {
			return c.http.Undecodable(r, "the JSON that the platform promises")
		}
		text = mended
	}
	found := connectors.Find(text, "error_response", rootName(method))
	refusal, body := found[0], found[1]
	if refusal != nil {
		err := c.refusal(method, refusal)
		if errors.Is(err, connectors.ErrClock) {
			c.clock.Learn(r.Header) // otherwise taobao.time.get tells it
		}
		return err
	}
	if whole, ok := out.(*json.RawMessage); ok && (bytes.HasPrefix(body, []byte("{")) || string(body) == "null") {
		*whole = body
		return nil
	}
	if body == nil || connectors.Decode(body, out) != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}

// rootName is the key under which a method's answer stands: the prefix
// "taobao." is dropped, "tmall." is kept.
func rootName(method string) string {
	return strings.ReplaceAll(strings.TrimPrefix(method, "taobao."), ".", "_") + "_response"
}

// refusal is the platform's error_response as a typed error.
func (c *client) refusal(method string, raw json.RawMessage) error {
	var body struct {
		Code      text `json:"code"`
		SubCode   text `json:"sub_code"`
		SubMsg    text `json:"sub_msg"`
		RequestID text `json:"request_id"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return &connectors.Error{Platform: Platform, Shop: c.shop, Op: method, Class: connectors.Retry, Message: "an error answer of unknown form"}
	}
	return classify(c.shop, method, string(body.Code), string(body.SubCode), string(body.SubMsg), string(body.RequestID))
}

// sign is the signature of the parameters by hmac-sha256 (or md5 or hmac, as
// sign_method says): all but sign, without empty ones, sorted by name, name
// and value joined with nothing between, in upper-case hexadecimal.
func sign(secret string, params map[string]string) string {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if value := params[name]; name != "" && value != "" && name != "sign" {
			b.WriteString(name)
			b.WriteString(value)
		}
	}
	var sum []byte
	switch params["sign_method"] {
	case "md5":
		digest := md5.Sum([]byte(secret + b.String() + secret))
		sum = digest[:]
	case "hmac":
		mac := hmac.New(md5.New, []byte(secret))
		mac.Write(b.Bytes())
		sum = mac.Sum(nil)
	default:
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(b.Bytes())
		sum = mac.Sum(nil)
	}
	return strings.ToUpper(hex.EncodeToString(sum))
}

// serverTime asks the platform for its clock and notes it.
func (c *client) serverTime(ctx context.Context) (time.Time, error) {
	const method = "taobao.time.get"
	var answer struct {
		Time string `json:"time"`
	}
	err := c.once(ctx, method, nil, noToken, &answer)
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.ParseInLocation(timeLayout, answer.Time, zone)
	if err != nil {
		return time.Time{}, errors.New("taobao.time.get answered with no time")
	}
	c.clock.Set(t)
	return t.UTC(), nil
}
