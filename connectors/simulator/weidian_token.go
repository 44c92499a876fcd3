package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	weidianCodeLife    = 5 * time.Minute
	weidianRefreshLife = 30 * 24 * time.Hour
)

// checkToken says whether a business call may use the token.
func (s *weidian) checkToken(token string) *weidianFault {
	if token == "" {
		return &weidianFault{10016, "access_token格式错误"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ends, known := s.tokens[token]
	if token == s.credentials.AccessToken {
		ends, known = s.born.Add(weidianTokenLife), !s.expired
		if !s.opts.Expire && known {
			return nil
		}
	}
	if !known || !s.opts.Now().Before(ends) {
		return &weidianFault{10013, "access_token无效"}
	}
	return nil
}

// tokenLife is how long a new token lives.
func (s *weidian) tokenLife() time.Duration { return cmp.Or(s.opts.TokenLife, weidianTokenLife) }

// mint makes a token and writes it into a book.
func (s *weidian) mint(kind string, life time.Duration, book map[string]time.Time) string {
	s.minted++
	token := s.derive(fmt.Sprintf("%s %d %d", kind, s.minted, s.born.UnixNano()), 16)
	book[token] = s.opts.Now().Add(life)
	return token
}

// selfToken serves /token of a self-use app.
func (s *weidian) selfToken(values url.Values) (any, *weidianFault) {
	if values.Get("grant_type") != "client_credential" {
		return nil, &weidianFault{10014, "grant_type错误"}
	}
	if fault := s.checkApp(values, true); fault != nil {
		return nil, fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{"access_token": s.mint("access", s.tokenLife(), s.tokens),
		"expire_in": int(s.tokenLife() / time.Second)}, nil
}

func (s *weidian) checkApp(values url.Values, withSecret bool) *weidianFault {
	if values.Get("appkey") == "" {
		return &weidianFault{10015, "appkey错误"}
	}
	if values.Get("appkey") != s.credentials.AppKey || withSecret && values.Get("secret") != s.credentials.AppSecret {
		return &weidianFault{10022, "appkey或secret错误"}
	}
	return nil
}

// authorize sends the merchant back at once with a code that lives five
// minutes.
func (s *weidian) authorize(w http.ResponseWriter, r *http.Request, values url.Values) {
	back, err := url.Parse(values.Get("redirect_uri"))
	fault := s.checkApp(values, false)
	if err != nil || back.Scheme == "" || back.Host == "" {
		fault = &weidianFault{10024, "redirect_uri不在白名单"}
	}
	if fault != nil {
		s.answer(w, nil, fault, false)
		return
	}
	s.mu.Lock()
	code := s.mint("code", weidianCodeLife, s.codes)
	s.mu.Unlock()
	query := back.Query()
	query.Set("code", code)
	query.Set("state", values.Get("state"))
	back.RawQuery = query.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// accessToken trades a code, once, for the tokens of a service app.
func (s *weidian) accessToken(values url.Values) (any, *weidianFault) {
	if values.Get("grant_type") != "authorization_code" {
		return nil, &weidianFault{10014, "grant_type错误"}
	}
	if fault := s.checkApp(values, true); fault != nil {
		return nil, fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ends, known := s.codes[values.Get("code")]
	delete(s.codes, values.Get("code"))
	if !known || !s.opts.Now().Before(ends) {
		return nil, &weidianFault{10017, "code无效或已过期"}
	}
	refresh := s.mint("refresh", weidianRefreshLife, s.refreshes)
	return s.grant(refresh, s.refreshes[refresh].UnixMilli()), nil
}

// refreshToken renews the access token; the refresh token and its end stay.
func (s *weidian) refreshToken(values url.Values) (any, *weidianFault) {
	if values.Get("grant_type") != "refresh_token" {
		return nil, &weidianFault{10014, "grant_type错误"}
	}
	if fault := s.checkApp(values, false); fault != nil {
		return nil, fault
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ends, known := s.refreshes[values.Get("refresh_token")]
	if !known || !s.opts.Now().Before(ends) {
		return nil, &weidianFault{10023, "refresh_token无效或已过期"}
	}
	return s.grant(values.Get("refresh_token"), nil), nil
}

func (s *weidian) grant(refresh string, refreshEnds any) map[string]any {
	return map[string]any{"access_token": s.mint("access", s.tokenLife(), s.tokens),
		"expire_in": int(s.tokenLife() / time.Second), "refresh_token": refresh,
		"openid": s.credentials.ShopID, "refreshExpireTime": refreshEnds}
}
