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
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	pauses            connectors.Pauses

	// renewing holds one element while somebody gets a token.
	renewing chan struct{}

	mu sync.Mutex
	// The fields below are guarded by mu.
	token string
	// offset is the platform's clock less ours, as last learnt.
	offset time.Duration
}

func newClient(api *httpclient.Client, shop string, cfg Config) *client {
	return &client{http: api, shop: shop, key: cfg.AppKey, secret: cfg.AppSecret, renewing: make(chan struct{}, 1)}
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

// once makes one call. The form is built and signed inside the HTTP client's
// retry, so each attempt has a timestamp and a signature of its own.
func (c *client) once(ctx context.Context, method, token string, params, out any) error {
	param, err := json.Marshal(params)
	if err != nil {
		return err
	}
	build := func(int) (httpclient.Request, error) {
		form := map[string]string{
			"app_key": c.key, "method": method, "token": token, "param": string(param),
			"timestamp": strconv.FormatInt(c.now().Unix(), 10),
		}
		form["sign"] = sign(c.secret, form)
		values := make(url.Values, len(form))
		for name, value := range form {
			values.Set(name, value)
		}
		return httpclient.Request{Form: values}, nil
	}
	_, err = c.http.Do(ctx, method, build, func(r httpclient.Response) error {
		c.learnClock(r.Header)
		if err := c.http.StatusError(r); err != nil {
			return err
		}
		return c.pauses.Note(c.decode(method, r, out))
	})
	return err
}

// decode reads an answer, {"code":"0","data":{…}}, or says what it refuses.
func (c *client) decode(method string, r httpclient.Response, out any) error {
	var answer struct {
		Code connectors.LenientText `json:"code"`
		Data json.RawMessage        `json:"data"`
	}
	if json.Unmarshal(r.Body, &answer) != nil || answer.Code == "" {
		return c.http.Undecodable(r, "the JSON that the platform promises")
	}
	if answer.Code != "0" {
		return refusal(c.shop, method, string(answer.Code))
	}
	if json.Unmarshal(answer.Data, out) != nil {
		return c.http.Undecodable(r, "an answer to "+method)
	}
	return nil
}

// refusal is the platform's refusal of a call. Of its code only digits are
// kept, and of its text nothing: an answer is never repeated as it came.
func refusal(shop, method, code string) *connectors.Error {
	e := &connectors.Error{Platform: Platform, Shop: shop, Op: method, SystemCode: strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, code[:min(len(code), 20)])}
	codes.Find(e.SystemCode, "").Apply(e)
	return e
}

// call calls a method. A token that has ended is renewed once, a clock that is
// wrong mended once by the answer's Date, and the call repeated.
func (c *client) call(ctx context.Context, method string, params, out any) error {
	renewed, mended := false, false
	for {
		token := ""
		if method != tokenMethod {
			var err error
			if token, err = c.held(ctx); err != nil {
				return err
			}
		}
		err := c.once(ctx, method, token, params, out)
		switch {
		case errors.Is(err, connectors.ErrClock) && !mended:
			mended = true
		case connectors.ClassOf(err) != connectors.Refresh || token == "":
			return err
		case renewed:
			return connectors.Renewed(err)
		default:
			renewed = true
			if err := c.renew(ctx, token); err != nil {
				return err
			}
		}
	}
}

// tokenMethod gives a token.
const tokenMethod = "token.get"

// held is the token, got if there is none.
func (c *client) held(ctx context.Context) (string, error) {
	c.mu.Lock()
	token := c.token
	c.mu.Unlock()
	if token != "" {
		return token, nil
	}
	err := c.renew(ctx, "")
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, err
}

// renew gets a token in place of used; when another call has done so since,
// there is nothing to do.
func (c *client) renew(ctx context.Context, used string) error {
	select {
	case c.renewing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.renewing }()
	c.mu.Lock()
	now := c.token
	c.mu.Unlock()
	if now != used {
		return nil
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := c.call(ctx, tokenMethod, struct{}{}, &answer); err != nil {
		return err
	}
	if answer.Token == "" {
		return errors.New("the platform answered with no token")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token = answer.Token
	return nil
}

// now is the platform's clock, as far as it is known.
func (c *client) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset).UTC()
}

// learnClock notes the platform's present from an answer; less than two seconds
// are no difference.
func (c *client) learnClock(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	offset := time.Until(date)
	if offset.Abs() < 2*time.Second {
		offset = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}
