package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	douyinAccessLife  = 7 * 24 * time.Hour
	douyinRefreshLife = 14 * 24 * time.Hour
	// douyinGrace is both how long before expiry a refresh gives a new pair
	// and how long the old pair works on then.
	douyinGrace = time.Hour
)

// douyinTokens is the life cycle of one shop's tokens.
type douyinTokens struct {
	secret       string
	now          func() time.Time
	refreshTakes time.Duration
	life, grace  time.Duration

	refreshing sync.Mutex // held by the one refresh at work

	mu       sync.Mutex
	authCode string
	codes    int            // that were made
	grants   []*douyinGrant // the last one is current
}

// A douyinGrant is a pair of tokens.
type douyinGrant struct {
	access, refresh string
	born            time.Time
	ends            time.Time // of the access token
	replaced        bool      // by a newer pair
}

func newDouyinTokens(secret string, opts DouyinOptions) *douyinTokens {
	t := &douyinTokens{secret: secret, now: opts.Now, refreshTakes: opts.RefreshTakes, authCode: opts.AuthCode, life: douyinAccessLife, grace: douyinGrace}
	if opts.TokenLife > 0 {
		t.life, t.grace = opts.TokenLife, opts.TokenLife/10
	}
	return t
}

// check says whether a business call may use the access token.
func (t *douyinTokens) check(access string) *douyinFault {
	if access == "" {
		return &douyinFault{40001, "缺少参数", "isv.access-token-missing", "缺少access_token"}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, grant := range t.grants {
		if grant.access != access {
			continue
		}
		if !t.now().Before(grant.ends) {
			return douyinInvalid("isv.access-token-expired", "access_token已过期")
		}
		return nil
	}
	return douyinInvalid("isv.access-token-no-existed", "access_token不存在")
}

// create answers the current pair, or a new one when there is none alive.
func (t *douyinTokens) create() *douyinGrant {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.grants); n > 0 && t.now().Before(t.grants[n-1].ends) {
		return t.grants[n-1]
	}
	return t.renew(t.now())
}

// useCode spends the authorization code.
func (t *douyinTokens) useCode(code string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if code == "" || code != t.authCode {
		return false
	}
	t.authCode = ""
	return true
}

// consent makes a code.
func (t *douyinTokens) consent() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.codes++
	t.authCode = t.uuid("code", t.codes)
	return t.authCode
}

// renew makes a new pair; the pair before it ends at oldEnds.
func (t *douyinTokens) renew(oldEnds time.Time) *douyinGrant {
	if n := len(t.grants); n > 0 {
		t.grants[n-1].ends = oldEnds
		t.grants[n-1].replaced = true
	}
	n := len(t.grants)
	grant := &douyinGrant{access: t.uuid("access", n), refresh: t.uuid("refresh", n),
		born: t.now(), ends: t.now().Add(t.life)}
	t.grants = append(t.grants, grant)
	return grant
}

// refresh follows the three rules: more than an hour before expiry the same
// pair, in the last hour a new pair and an hour more for the old one, after
// expiry a new pair and the old one dead.
func (t *douyinTokens) refresh(ctx context.Context, refreshToken string) (*douyinGrant, *douyinFault) {
	if !t.refreshing.TryLock() {
		return nil, douyinBusiness(31012, "正在刷新token，请重试")
	}
	defer t.refreshing.Unlock()
	if t.refreshTakes > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(t.refreshTakes):
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	for _, grant := range t.grants {
		if grant.refresh != refreshToken {
			continue
		}
		switch left := grant.ends.Sub(now); {
		case grant.replaced && left > 0: // a repeated call within the grace
			return t.grants[len(t.grants)-1], nil
		case grant.replaced:
			return nil, douyinBusiness(31009, "refresh_token已失效，请重新授权")
		case !now.Before(grant.born.Add(douyinRefreshLife)):
			return nil, douyinTokenFault("token-expired", "refresh_token已过期")
		case left > t.grace:
			return grant, nil
		case left > 0:
			return t.renew(now.Add(t.grace)), nil
		default:
			return t.renew(now), nil
		}
	}
	return nil, douyinTokenFault("token-invalid", "refresh_token不存在")
}

// uuid is a token: a UUID's form over a keyed hash, so that a world's tokens
// are the same each time.
func (t *douyinTokens) uuid(kind string, n int) string {
	mac := hmac.New(sha256.New, []byte(t.secret))
	_, _ = mac.Write([]byte(kind + strconv.Itoa(n))) // a hash takes everything
	sum := mac.Sum(nil)
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func douyinTokenFault(cause, subMsg string) *douyinFault {
	return &douyinFault{50001, "生成token失败", "dop.token-generate-failed:" + cause, subMsg}
}

// douyinCredentials are the credentials of a world's Douyin shop.
func douyinCredentials(w *World) douyinApp {
	shop := w.Shop(PlatformDouyin)
	id, _ := strconv.ParseInt(shop.ID, 10, 64) // the world writes a whole number
	secret := w.hide("douyin secret", 1) + w.hide("douyin secret", 2) + w.hide("douyin secret", 3)
	return douyinApp{
		AppKey:    strconv.FormatUint(7_000_000_000_000_000_000+w.hash("douyin app", 0)%1_000_000_000_000, 10),
		AppSecret: secret[:8] + "-" + secret[8:12] + "-" + secret[12:16] + "-" + secret[16:20] + "-" + secret[20:32],
		ShopID:    id, ShopName: shop.Name,
	}
}

// token serves token.create and token.refresh.
func (d *douyin) token(ctx context.Context, method string, params douyinParams) (any, *douyinFault) {
	grant, fault := d.grant(ctx, method, params)
	if fault != nil {
		return nil, fault
	}
	return d.grantAnswer(grant), nil
}

func (d *douyin) grant(ctx context.Context, method string, params douyinParams) (*douyinGrant, *douyinFault) {
	if method == douyinTokenRefresh {
		if params.text("grant_type") != "refresh_token" {
			return nil, douyinTokenFault("grant-type-invalid", "grant_type不合法")
		}
		return d.tokens.refresh(ctx, params.text("refresh_token"))
	}
	switch params.text("grant_type") {
	case "authorization_self":
		shop := params.text("shop_id")
		if shop == "" {
			shop = params.text("auth_id")
		}
		if shop != "" && shop != strconv.FormatInt(d.credentials.ShopID, 10) {
			return nil, douyinTokenFault("no-authorization", "店铺未授权给该应用")
		}
	case "authorization_code":
		if !d.tokens.useCode(params.text("code")) {
			return nil, douyinTokenFault("code-invalid", "code不存在或已使用")
		}
	default:
		return nil, douyinTokenFault("grant-type-invalid", "grant_type不合法")
	}
	return d.tokens.create(), nil
}

func (d *douyin) grantAnswer(grant *douyinGrant) map[string]any {
	return map[string]any{
		"access_token": grant.access, "refresh_token": grant.refresh,
		"expires_in": max(0, int64(grant.ends.Sub(d.opts.Now())/time.Second)),
		"scope":      "SCOPE", "shop_id": d.credentials.ShopID, "shop_name": d.credentials.ShopName,
		"authority_id": strconv.FormatInt(d.credentials.ShopID, 10), "auth_subject_type": "", "token_type": 0,
	}
}

// authorize is the page of the service market: it sends the merchant back at
// once with a code.
func (d *douyin) authorize(w http.ResponseWriter, r *http.Request, query url.Values) {
	back, err := url.Parse(d.opts.Callback)
	if err != nil || back.Host == "" || query.Get("service_id") == "" {
		http.Error(w, "the app has no callback", http.StatusBadRequest)
		return
	}
	back.RawQuery = url.Values{"code": {d.tokens.consent()}, "state": {query.Get("state")}}.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// oldToken serves the two token addresses of 2020 with the envelope of that
// time.
func (d *douyin) oldToken(w http.ResponseWriter, r *http.Request, query url.Values) {
	method, params := douyinTokenCreate, douyinParams{}
	for name := range query {
		params[name] = query.Get(name)
	}
	if r.URL.Path == "/oauth2/refresh_token" {
		method = douyinTokenRefresh
	}
	if query.Get("app_id") != d.credentials.AppKey || query.Get("app_secret") != d.credentials.AppSecret {
		writeDouyin(w, map[string]any{"err_no": 30007, "message": "app_key和app_secret不匹配"})
		return
	}
	grant, fault := d.grant(r.Context(), method, params)
	if fault != nil {
		writeDouyin(w, map[string]any{"err_no": 30005, "message": fault.subMsg})
		return
	}
	writeDouyin(w, map[string]any{"err_no": 0, "message": "success", "data": d.grantAnswer(grant)})
}

// authInfo serves open.getAuthInfo: the consent is normal and lasts a year.
func (d *douyin) authInfo(params douyinParams) (any, *douyinFault) {
	if params.text("auth_id") != strconv.FormatInt(d.credentials.ShopID, 10) {
		return nil, douyinTokenFault("no-authorization", "店铺未授权给该应用")
	}
	from := d.world.Config().From
	return map[string]any{"status": 1, "auth_success_time": from.Unix(), "auth_update_time": from.Unix(),
		"auth_end_time": d.opts.Now().AddDate(1, 0, 0).Unix()}, nil
}
