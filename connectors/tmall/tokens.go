package tmall

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// consentPage is where the seller authorises the app.
const consentPage = "https://oauth.taobao.com/authorize"

// codeLasts is how long the code of a consent is taken, at least: the posts say
// 10 or 30 minutes.
const codeLasts = 10 * time.Minute

// The methods that give tokens.
const (
	tokenCreate  = "taobao.top.auth.token.create"
	tokenRefresh = "taobao.top.auth.token.refresh"
)

// renewAt is when a session is renewed that can be: in the last tenth of its
// life, and at most a day before its end. When the platform wants it is not
// documented.
func renewAt(t connectors.Token) time.Time {
	if t.Refresh == "" || t.Expires.IsZero() || t.Obtained.IsZero() {
		return time.Time{}
	}
	return t.Expires.Add(-min(t.Expires.Sub(t.Obtained)/10, 24*time.Hour))
}

// renew renews a session where there is a refresh token: only apps sold by
// subscription have one.
func (c *client) renew(ctx context.Context, old connectors.Token) (connectors.Token, error) {
	ctx = httpclient.WithoutPatience(ctx)
	if old.Refresh == "" {
		return old, connectors.NoRefresh(Platform, c.shop, old)
	}
	next, err := c.grant(ctx, tokenRefresh, map[string]string{"refresh_token": old.Refresh})
	if deadRefresh(err) {
		err = connectors.Reauthorise(Platform, c.shop, tokenRefresh, err)
	}
	return next, err
}

// deadRefresh says that a refresh was refused for its refresh token. Which code
// says so is not documented: it is a refusal of the session, or one of the
// argument.
func deadRefresh(err error) bool {
	var e *connectors.Error
	if !errors.As(err, &e) || errors.Is(err, connectors.ErrClock) {
		return false
	}
	return e.Class == connectors.Refresh || strings.HasPrefix(e.SubCode, "isv.") && e.Class > connectors.Refresh && e.Kind == nil
}

// grantAnswer is the token_result of both methods. The times are milliseconds
// since 1970.
type grantAnswer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpireTime   int64  `json:"expire_time"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	ReExpiresIn  int64  `json:"re_expires_in"`
	RefreshUntil int64  `json:"refresh_token_valid_time"`
	R1           int64  `json:"r1_valid"`
	R2           int64  `json:"r2_valid"`
	W1           int64  `json:"w1_valid"`
	W2           int64  `json:"w2_valid"`
	UserID       text   `json:"taobao_user_id"`
	UserNick     string `json:"taobao_user_nick"`
}

func (a grantAnswer) token(now time.Time) (connectors.Token, error) {
	if a.AccessToken == "" {
		return connectors.Token{}, errors.New("the platform answered with no access token")
	}
	t := connectors.Token{Access: a.AccessToken, Refresh: a.RefreshToken, Obtained: now.UTC(), Holder: string(a.UserID)}
	if t.Expires = connectors.EndsAt(a.ExpireTime); t.Expires.IsZero() && a.ExpiresIn > 0 {
		t.Expires = connectors.EndsIn(now, a.ExpiresIn)
	}
	t.RefreshExpires = refreshEnds(a, t.Expires)
	if name, err := url.QueryUnescape(a.UserNick); err == nil {
		t.HolderName = connectors.HolderName(name)
	}
	for name, ms := range map[string]int64{"R1": a.R1, "R2": a.R2, "W1": a.W1, "W2": a.W2} {
		end := connectors.EndsAt(ms)
		if end.IsZero() {
			continue
		}
		if t.Rights == nil {
			t.Rights = make(map[string]time.Time)
		}
		t.Rights[name] = end.Truncate(time.Second)
	}
	return t, nil
}

// refreshEnds is when the refresh token ends. The answers that are known hold one
// and say that it lives 0 seconds: whether it is taken then is not documented,
// so it is tried, and its owner reminded of the session's own end.
func refreshEnds(a grantAnswer, session time.Time) time.Time {
	if end := connectors.EndsAt(a.RefreshUntil); a.ReExpiresIn > 0 && !end.IsZero() {
		return end
	}
	return session
}

// grant calls a method that gives a token: a text of JSON within the answer.
func (c *client) grant(ctx context.Context, method string, params map[string]string) (connectors.Token, error) {
	var answer struct {
		Result string `json:"token_result"`
	}
	err := c.once(ctx, method, params, noToken, &answer)
	if err != nil {
		return connectors.Token{}, err
	}
	var token grantAnswer
	if json.Unmarshal([]byte(answer.Result), &token) != nil {
		return connectors.Token{}, errors.New("the platform answered with no token")
	}
	return token.token(c.now())
}

// UseTokens implements connectors.TokenUser.
func (c *Connector) UseTokens(store connectors.TokenStore) { c.client.tokens.Use(store) }

// Consent implements connectors.Authoriser.
func (c *Connector) Consent(state string) connectors.Consent {
	query := url.Values{"response_type": {"code"}, "client_id": {c.cfg.AppKey}, "state": {state}, "view": {"web"}}
	if c.cfg.RedirectURI != "" {
		query.Set("redirect_uri", c.cfg.RedirectURI)
	}
	return connectors.Consent{
		Address:  cmp.Or(c.cfg.AuthorizeURL, consentPage) + "?" + query.Encode(),
		Redirect: c.cfg.RedirectURI, CodeLasts: codeLasts,
	}
}

// Authorise implements connectors.Authoriser.
func (c *Connector) Authorise(ctx context.Context, code string, accept connectors.Accept) (connectors.Token, error) {
	t, err := c.client.grant(ctx, tokenCreate, map[string]string{"code": code})
	if err != nil {
		return connectors.Token{}, err
	}
	return t, c.client.tokens.Put(ctx, t, accept)
}

var _ connectors.Authoriser = (*Connector)(nil)
