package weidian

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

const (
	// tokenLives is how long a token lives whose answer does not say.
	tokenLives = 25 * time.Hour
	// renewAfter is how long a token is used: the number of those that one may get
	// is limited.
	renewAfter = 20 * time.Hour
	// consentLasts is how long a refresh token is taken whose answer does not say.
	consentLasts = 30 * 24 * time.Hour
	// codeLasts is how long the code of a consent is taken.
	codeLasts = 5 * time.Minute
)

// renewAt is when a token is renewed: after 20 hours, or five minutes before it
// ends, or in the last tenth of a life that is shorter than that.
func renewAt(t connectors.Token) time.Time {
	if t.Expires.IsZero() || t.Obtained.IsZero() {
		return time.Time{}
	}
	life := t.Expires.Sub(t.Obtained)
	return t.Obtained.Add(min(renewAfter, max(life-5*time.Minute, life*9/10)))
}

// serviceApp says that the app is authorised by each merchant (服务型).
func (c *client) serviceApp() bool { return c.redirectURI != "" }

// renew gets a token: a self-use app by its key and secret, a service app by
// its refresh token.
func (c *client) renew(ctx context.Context, old connectors.Token) (connectors.Token, error) {
	ctx = httpclient.WithoutPatience(ctx)
	switch {
	case c.appKey == "" || c.appSecret == "":
		return old, &connectors.Error{
			Platform: Platform, Shop: c.shop, Op: "token", Class: connectors.StopShop, Kind: connectors.ErrReauthorise,
			Message: "the access token is no longer taken",
			Mend:    "put a new access_token into the settings, or app_key and app_secret, with which OneID gets one itself",
		}
	case !c.serviceApp():
		return c.selfToken(ctx)
	case old.Refresh == "":
		return old, connectors.NoRefresh(Platform, c.shop, old)
	}
	next, err := c.grant(ctx, "oauth2/refresh_token", url.Values{
		"appkey": {c.appKey}, "grant_type": {"refresh_token"}, "refresh_token": {old.Refresh},
	})
	if connectors.ClassOf(err) == connectors.Refresh { // 10021: there is no grant
		err = connectors.Reauthorise(Platform, c.shop, "oauth2/refresh_token", err)
	}
	if next.RefreshExpires.IsZero() { // it counts from the consent, whatever token came since
		next.RefreshExpires = old.RefreshExpires
	}
	return next, err
}

// selfToken gets the token of a self-use app.
func (c *client) selfToken(ctx context.Context) (connectors.Token, error) {
	return c.grant(ctx, "", url.Values{"grant_type": {"client_credential"}, "appkey": {c.appKey}, "secret": {c.appSecret}})
}

// grant asks for a token: at the address of self-use tokens, or under a path
// beside it.
func (c *client) grant(ctx context.Context, path string, query url.Values) (connectors.Token, error) {
	op, at := cmp.Or(path, "token"), c.oauth
	if path != "" {
		at, path = c.service, "/"+path
	}
	var answer struct {
		AccessToken  text  `json:"access_token"`
		ExpireIn     whole `json:"expire_in"`
		RefreshToken text  `json:"refresh_token"`
		RefreshUntil whole `json:"refreshExpireTime"` // milliseconds since 1970
		OpenID       text  `json:"openid"`            // the shop's, and not a WeChat openid
	}
	_, err := at.Do(ctx, op, func(int) (httpclient.Request, error) {
		return httpclient.Request{Path: path, Query: query}, nil
	}, c.classify(op, &answer))
	if err != nil {
		return connectors.Token{}, err
	}
	if answer.AccessToken == "" {
		return connectors.Token{}, errors.New("the platform answered with no access token")
	}
	now := c.now()
	lives := answer.ExpireIn
	if lives <= 0 {
		lives = whole(tokenLives / time.Second)
	}
	return connectors.Token{
		Access: string(answer.AccessToken), Refresh: string(answer.RefreshToken), Obtained: now, Expires: connectors.EndsIn(now, int64(lives)),
		RefreshExpires: connectors.EndsAt(int64(answer.RefreshUntil)), Holder: string(answer.OpenID),
	}, nil
}

// OnRenewed implements connectors.Renewer: the number of tokens that one may get is
// limited, so whoever keeps the settings uses each to its end.
func (c *Connector) OnRenewed(tell func(settings map[string]string)) {
	c.client.tokens.Renewed = func(t connectors.Token) { tell(map[string]string{"access_token": t.Access}) }
}

var _ connectors.Renewer = (*Connector)(nil)

// UseTokens implements connectors.TokenUser.
func (c *Connector) UseTokens(store connectors.TokenStore) { c.client.tokens.Use(store) }

// Consent implements connectors.Authoriser: a self-use app needs none.
func (c *Connector) Consent(state string) connectors.Consent {
	if !c.client.serviceApp() {
		return connectors.Consent{}
	}
	page := cmp.Or(c.cfg.AuthorizeURL, strings.TrimSuffix(c.cfg.TokenURL, "/token")+"/oauth2/authorize")
	return connectors.Consent{
		Address: page + "?" + url.Values{
			"appkey": {c.cfg.AppKey}, "redirect_uri": {c.cfg.RedirectURI}, "response_type": {"code"}, "state": {state},
		}.Encode(),
		Redirect: c.cfg.RedirectURI, CodeLasts: codeLasts,
	}
}

// Authorise implements connectors.Authoriser.
func (c *Connector) Authorise(ctx context.Context, code string, accept connectors.Accept) (connectors.Token, error) {
	var t connectors.Token
	var err error
	if c.client.serviceApp() {
		t, err = c.client.grant(ctx, "oauth2/access_token", url.Values{
			"appkey": {c.cfg.AppKey}, "secret": {c.cfg.AppSecret}, "code": {code}, "grant_type": {"authorization_code"},
		})
		if t.Refresh != "" && t.RefreshExpires.IsZero() {
			t.RefreshExpires = t.Obtained.Add(consentLasts)
		}
	} else {
		t, err = c.client.renew(ctx, connectors.Token{})
	}
	if err != nil {
		return connectors.Token{}, err
	}
	if t.Holder != "" && t.Holder != c.shop {
		return connectors.Token{}, &connectors.Error{
			Platform: Platform, Shop: c.shop, Op: "oauth2/access_token", Class: connectors.StopShop, Kind: connectors.ErrUnauthorized,
			Message: "the consent is of another shop, " + t.Holder, Mend: "let the owner of shop " + c.shop + " consent, or name shop " + t.Holder,
		}
	}
	return t, c.client.tokens.Put(ctx, t, accept)
}

var _ connectors.Authoriser = (*Connector)(nil)
