package douyin

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/url"
	"strconv"
	"time"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// renewBefore is how long before its end a token is refreshed. It lies within
// the last hour, in which a refresh gives a new pair while the old one goes on
// working for an hour; before that hour a refresh changes nothing.
const renewBefore = 40 * time.Minute

// consentPage is where the merchant authorises an app of the service market.
const consentPage = "https://fuwu.jinritemai.com/authorize"

// codeLasts is how long the code of a consent is taken.
const codeLasts = 10 * time.Minute

// renewAt is when a token is refreshed. One that had not a minute when it was
// given is of no platform that anyone has documented: in its last tenth.
func renewAt(t connectors.Token) time.Time {
	if t.Expires.IsZero() {
		return time.Time{}
	}
	if had := t.Expires.Sub(t.Obtained); had < time.Minute {
		return t.Expires.Add(-had / 10)
	}
	return t.Expires.Add(-renewBefore)
}

// renew refreshes a token.
func (c *client) renew(ctx context.Context, old connectors.Token) (connectors.Token, error) {
	if old.Refresh == "" {
		return old, connectors.NoRefresh(Platform, c.shop, old)
	}
	next, err := c.grant(httpclient.WithoutPatience(ctx), "token.refresh", map[string]any{"grant_type": "refresh_token", "refresh_token": old.Refresh})
	if connectors.ClassOf(err) == connectors.Refresh {
		err = connectors.Reauthorise(Platform, c.shop, "token.refresh", err)
	}
	return next, err
}

// create gets the token of the brand's own app; an app of the service market needs
// the merchant's consent.
func (c *client) create(ctx context.Context) (connectors.Token, error) {
	return c.grant(ctx, "token.create", map[string]any{"code": "", "grant_type": "authorization_self", "shop_id": c.shop})
}

// grantAnswer is the data of token.create and token.refresh.
type grantAnswer struct {
	AccessToken  text  `json:"access_token"`
	RefreshToken text  `json:"refresh_token"`
	ExpiresIn    whole `json:"expires_in"`
	Scope        text  `json:"scope"`
	ShopID       text  `json:"shop_id"`
	ShopName     text  `json:"shop_name"`
}

// token reads the answer at the platform's present. expires_in is seconds left,
// though one page calls it a timestamp: what is large enough is taken for one.
func (a grantAnswer) token(now time.Time) (connectors.Token, error) {
	if a.AccessToken == "" {
		return connectors.Token{}, errors.New("the platform answered with no access token")
	}
	const instant = 1_000_000_000
	expires := connectors.EndsIn(now, int64(a.ExpiresIn))
	if a.ExpiresIn >= instant {
		expires = connectors.EndsAt(int64(min(a.ExpiresIn, math.MaxInt64/1000)) * 1000)
	}
	t := connectors.Token{
		Access: string(a.AccessToken), Refresh: string(a.RefreshToken), Obtained: now.UTC(), Expires: expires,
		Holder: string(a.ShopID), HolderName: connectors.HolderName(string(a.ShopName)),
	}
	if a.Scope != "" {
		t.Rights = map[string]time.Time{"scope " + string(a.Scope): {}}
	}
	return t, nil
}

// UseTokens implements connectors.TokenUser.
func (c *Connector) UseTokens(store connectors.TokenStore) { c.client.tokens.Use(store) }

// Consent implements connectors.Authoriser: the brand's own app needs none.
func (c *Connector) Consent(state string) connectors.Consent {
	if c.cfg.ServiceID == "" {
		return connectors.Consent{}
	}
	page := cmp.Or(c.cfg.AuthorizeURL, consentPage)
	return connectors.Consent{
		Address:  page + "?" + url.Values{"service_id": {c.cfg.ServiceID}, "state": {state}}.Encode(),
		Redirect: c.cfg.RedirectURI, CodeLasts: codeLasts,
	}
}

// Authorise implements connectors.Authoriser.
func (c *Connector) Authorise(ctx context.Context, code string, accept connectors.Accept) (connectors.Token, error) {
	var t connectors.Token
	var err error
	if c.cfg.ServiceID == "" {
		t, err = c.client.create(ctx)
	} else {
		t, err = c.client.grant(ctx, "token.create", map[string]any{"code": code, "grant_type": "authorization_code"})
	}
	if err != nil {
		return connectors.Token{}, err
	}
	if _, err := strconv.ParseUint(c.shop, 10, 64); err == nil && t.Holder != "" && t.Holder != c.shop {
		return connectors.Token{}, &connectors.Error{
			Platform: Platform, Shop: c.shop, Op: "token.create", Class: connectors.StopShop, Kind: connectors.ErrUnauthorized,
			Message: "the consent is of another shop, " + t.Holder, Mend: "let the owner of shop " + c.shop + " consent, or name shop " + t.Holder,
		}
	}
	return t, c.client.tokens.Put(ctx, t, accept)
}

var _ connectors.Authoriser = (*Connector)(nil)
