package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// weidianTokenLife is the expire_in of the platform's examples: 25 hours.
const weidianTokenLife = 25 * time.Hour

// weidianMaxBody bounds what is read of a request.
const weidianMaxBody = 1 << 20

// WeidianOptions are the switches of Weidian's face. The zero value is a
// well-behaved gateway with all rights granted.
type WeidianOptions struct {
	// Now is the gateway's clock; nil means time.Now.
	Now func() time.Time
	// Expire makes tokens die: the one handed out with the world's
	// credentials 25 hours after the face was made, others 25 hours after
	// they were given. Otherwise the handed-out token lives for ever, as
	// nobody could renew it but through /token.
	Expire bool
	// TokenLife is how long a token that was given anew lives; 0: 25 hours.
	TokenLife time.Duration
	// DoubleEncoded answers each n-th call with a JSON text that holds the
	// JSON. 0: never.
	DoubleEncoded int
	// OutageEvery answers each n-th call with an HTML page. 0: never.
	OutageEvery int
	// BusyEvery answers each n-th call with 10005. 0: never.
	BusyEvery int
	// Denied names methods that the app has no permission for (10009).
	Denied []string
	// GroupBuys makes one paid order in four of a group purchase that is not
	// finished, which the lists leave out unless group_type is 0.
	GroupBuys bool
	// BeforePage, if set, is called before each answer of a list method with
	// the method's name, so that a test can let rows change between pages.
	BeforePage func(method string)
	// Faults says how the gateway misbehaves. Its limit of calls a second is
	// answered 10005: the platform publishes none.
	Faults Faults
}

// weidianApp are what a client of the face needs.
type weidianApp struct {
	AppKey      string
	AppSecret   string
	AccessToken string
	ShopID      string
}

// Weidian is the open platform of Weidian (微店) over the world's people:
// /api, /token and /oauth2/*. It may be called concurrently.
func Weidian(world *World, opts WeidianOptions) http.Handler {
	opts.Now = opts.Faults.clock(opts.Now)
	opts.BeforePage = opts.Faults.change(world, PlatformWeidian, opts.Now, opts.BeforePage)
	s := &weidian{world: world, opts: opts, credentials: weidianCredentials(world), born: opts.Now(),
		tokens: map[string]time.Time{}, refreshes: map[string]time.Time{}, codes: map[string]time.Time{}}
	s.aesKey = s.derive("aes key", 16)
	s.methods = map[string]func(weidianParams) (any, *weidianFault){
		"vdian.order.list.get 1.1":         s.orderList("1.1", 30, 200),
		"vdian.order.list.get 1.2":         s.orderList("1.2", 50, 50),
		"vdian.order.list.get 1.5":         s.orderList("1.5", 50, 50),
		"vdian.order.get 1.0":              s.orderDetail(false),
		"vdian.order.get 2.0":              s.orderDetail(true),
		"vdian.order.ids.get 1.1":          s.orderIDs,
		"open.SellerQueryRefundList 2.0":   s.refundList,
		"open.sellerQueryRefundDetail 1.0": s.refundDetail(false),
		"open.sellerQueryRefundDetail 2.0": s.refundDetail(true),
		"vdian.item.list.get 1.1":          s.itemList,
		"open.secret.list 1.0":             s.secretList,
		"vdian.crm.queryBuyerInfo 1.0":     s.queryBuyer,
		"vdian.crm.queryCustomerInfo 2.0":  s.queryCustomer,
	}
	return opts.Faults.over(s, opts.Now)
}

// refuse implements face.
func (s *weidian) refuse(w http.ResponseWriter, _ *http.Request, kind Fault) {
	fault := &weidianFault{10005, "用户调用频率超限"}
	if kind == FaultBusy {
		fault = &weidianFault{10001, "系统错误"}
	}
	s.answer(w, nil, fault, false)
}

// expire implements face: all access tokens end, the handed-out one too.
func (s *weidian) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
	s.expired = true
}

// isToken implements face.
func (s *weidian) isToken(path, _ string) bool { return path != "/api" }

// lists implements face.
func (*weidian) lists() []string { return []string{"orders", "list"} }

type weidian struct {
	world       *World
	opts        WeidianOptions
	credentials weidianApp
	born        time.Time
	aesKey      string
	methods     map[string]func(weidianParams) (any, *weidianFault)

	mu        sync.Mutex
	calls     int
	minted    int
	expired   bool // the handed-out token has ended
	second    weidianSecond
	tokens    map[string]time.Time // access token → when it dies
	refreshes map[string]time.Time // refresh token → when it dies
	codes     map[string]time.Time // authorization code → when it dies
}

// weidianEscape is what the raw texts must not hold.
var weidianEscape = regexp.MustCompile(`\\u[0-9a-fA-F]{4}`)

// A weidianFault is a status that is not 0.
type weidianFault struct {
	code   int
	reason string
}

// ServeHTTP answers one call. Every failure but the outage page has HTTP
// status 200 and is called text/html.
func (s *weidian) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.calls++
	n := s.calls
	s.mu.Unlock()
	if every(n, s.opts.OutageEvery) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html><head><title>502 Bad Gateway</title></head><body>系统繁忙</body></html>")
		return
	}
	values, fault := weidianForm(w, r)
	var result any
	if fault == nil {
		switch r.URL.Path {
		case "/api":
			result, fault = s.call(values, n)
		case "/token":
			result, fault = s.selfToken(values)
		case "/oauth2/authorize":
			s.authorize(w, r, values)
			return
		case "/oauth2/access_token":
			result, fault = s.accessToken(values)
		case "/oauth2/refresh_token":
			result, fault = s.refreshToken(values)
		default:
			fault = &weidianFault{10011, "API不存在"}
		}
	}
	s.answer(w, result, fault, every(n, s.opts.DoubleEncoded))
}

func every(n, each int) bool { return each > 0 && n%each == 0 }

// weidianForm gives the parameters of a GET or a POST form. Where both hold
// a name, the form wins.
func weidianForm(w http.ResponseWriter, r *http.Request) (url.Values, *weidianFault) {
	switch r.Method {
	case http.MethodGet:
		return r.URL.Query(), nil
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, weidianMaxBody)
		if err := r.ParseMultipartForm(weidianMaxBody); err != nil && !errors.Is(err, http.ErrNotMultipart) {
			return nil, &weidianFault{10010, "请求体过长或不完整"}
		}
		return r.Form, nil
	default:
		return nil, &weidianFault{10012, "HTTP方法不支持"}
	}
}

// call serves /api: two JSON texts, public and param.
func (s *weidian) call(values url.Values, n int) (any, *weidianFault) {
	if weidianEscape.MatchString(values.Get("public")) || weidianEscape.MatchString(values.Get("param")) {
		return nil, &weidianFault{10018, `参数不允许\uxxxx编码`}
	}
	public, ok := decodeWeidian(values.Get("public"))
	if !ok || public.text("method") == "" {
		return nil, &weidianFault{10007, "public参数错误"}
	}
	if format := public.text("format"); format != "" && format != "json" {
		return nil, &weidianFault{10020, "format错误"}
	}
	param := weidianParams{}
	if text := values.Get("param"); text != "" {
		if param, ok = decodeWeidian(text); !ok {
			return nil, &weidianFault{10007, "param参数错误"}
		}
	}
	method := public.text("method")
	version := public.text("version")
	if version == "" {
		version = "1.0"
	}
	serve := s.methods[method+" "+version]
	if serve == nil {
		return nil, &weidianFault{10011, "API不存在"}
	}
	if every(n, s.opts.BusyEvery) {
		return nil, &weidianFault{10005, "用户调用频率超限"}
	}
	if !s.admit() {
		return nil, &weidianFault{10005, "用户调用频率超限"}
	}
	if method != "open.secret.list" {
		if fault := s.checkToken(public.text("access_token")); fault != nil {
			return nil, fault
		}
	}
	if slices.Contains(s.opts.Denied, method) {
		return nil, &weidianFault{10009, "没有API权限"}
	}
	return serve(param)
}

// A weidianSecond counts the calls of one second of the gateway's clock.
type weidianSecond struct {
	second int64
	calls  int
}

// admit counts a call against the limit of calls a second.
func (s *weidian) admit() bool {
	most := s.opts.Faults.PerSecond
	if most == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.opts.Now().Unix(); now != s.second.second {
		s.second = weidianSecond{second: now}
	}
	s.second.calls++
	return s.second.calls <= most
}

// answer writes the envelope.
func (s *weidian) answer(w http.ResponseWriter, result any, fault *weidianFault, twice bool) {
	status := map[string]any{"status_code": 0, "status_reason": "success"}
	envelope := map[string]any{"status": status, "result": result}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if fault != nil {
		status["status_code"], status["status_reason"] = fault.code, fault.reason
		delete(envelope, "result")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
	}
	text := weidianJSON(envelope)
	if twice {
		text = weidianJSON(text)
	}
	_, _ = io.WriteString(w, text) // the client has gone: nobody is left to tell
}

// weidianJSON is the text of a value with raw UTF-8 and no HTML escapes.
func weidianJSON(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // values are maps, lists and texts of our own
	return strings.TrimSuffix(text.String(), "\n")
}

// weidianParams are a method's arguments.
type weidianParams map[string]any

// decodeWeidian reads a JSON object with its numbers as they were written.
func decodeWeidian(text string) (weidianParams, bool) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var params map[string]any
	if err := decoder.Decode(&params); err != nil || params == nil {
		return nil, false
	}
	_, err := decoder.Token()
	return params, errors.Is(err, io.EOF)
}

// text is a scalar as text, "" when absent.
func (p weidianParams) text(name string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		return ""
	}
}

// int is a whole number, absent when it is not there; ok is false when it is
// none.
func (p weidianParams) int(name string, absent int) (int, bool) {
	text := p.text(name)
	if text == "" {
		return absent, true
	}
	value, err := strconv.Atoi(text)
	return value, err == nil
}

// texts is a list of scalars; one scalar is a list of one.
func (p weidianParams) texts(name string) []string {
	list, ok := p[name].([]any)
	if !ok {
		if text := p.text(name); text != "" {
			return []string{text}
		}
		return nil
	}
	var out []string
	for _, element := range list {
		if text := (weidianParams{"v": element}).text("v"); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// derive is a secret of this world, n bytes in hex.
func (s *weidian) derive(name string, n int) string {
	mac := hmac.New(sha256.New, []byte(s.credentials.AppSecret))
	_, _ = mac.Write([]byte(name)) // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil)[:n])
}

// secretList gives the key of the encrypted fields to who knows the secret.
func (s *weidian) secretList(param weidianParams) (any, *weidianFault) {
	if param.text("app_key") != s.credentials.AppKey || param.text("secret") != s.credentials.AppSecret {
		return nil, &weidianFault{10022, "appkey或secret错误"}
	}
	return []any{map[string]any{"aesKey": s.aesKey, "aesKeyVersion": 1}}, nil
}
