package simulator

import (
	"context"
	"crypto/hmac"
	"crypto/md5" // the platform's older sign method
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The names of Douyin's methods that take part in more than the table below.
const (
	douyinTokenCreate  = "token.create"
	douyinTokenRefresh = "token.refresh"
	douyinBatchDecrypt = "order.batchDecrypt"
)

// douyinClockSkew is how far a request's timestamp may be off.
const douyinClockSkew = 10 * time.Minute

// douyinMaxBody bounds what is read of a request.
const douyinMaxBody = 1 << 20

// DouyinOptions are the switches of Douyin's face. The zero value is a
// well-behaved gateway with all rights granted.
type DouyinOptions struct {
	// Now is the gateway's clock; nil means time.Now. Tests move it to let
	// tokens expire.
	Now func() time.Time
	// Strict refuses (40003 isv.parameter-format-invalid) a param_json that
	// is not in its canonical form. The platform seems to sign what it got.
	Strict bool
	// PerSecond is the number of calls a second that the app may make, and
	// that each method may get; more are answered 60000. 0: no limit.
	PerSecond int
	// BusyEvery answers every n-th order.searchList with 20000
	// isp.service-error:20004. 0: never.
	BusyEvery int
	// DecryptQuota is how many texts order.batchDecrypt opens in a day of
	// the gateway's clock (GMT+8). 0: no limit.
	DecryptQuota int
	// DecryptQuotaInside tells of a quota that is used up inside of an answer of success,
	// in custom_err, as the methods that decrypt may.
	DecryptQuotaInside bool
	// WithIndex puts the search index into ciphertexts. Without it their
	// index segment is empty, as in recent answers of the platform.
	WithIndex bool
	// NoData makes afterSale.List refuse with the documented "no data" where a page has
	// no rows.
	NoData bool
	// Denied names methods that the app has no permission for (30001).
	Denied []string
	// NoMembership says that the shop has not opened 会员通: the member
	// methods answer 50002 628145002.
	NoMembership bool
	// RefreshTakes is how long token.refresh stays at work; another refresh
	// of the shop meanwhile is answered 31012.
	RefreshTakes time.Duration
	// VirtualPhones makes order.batchDecrypt answer a virtual number for each
	// phone, not only when it is asked for one.
	VirtualPhones bool
	// TokenLife is how long a token lives; 0: 7 days, with an hour in which a
	// refresh gives a new pair, and else a tenth of it.
	TokenLife time.Duration
	// Callback is where /authorize, the page of the service market, sends the
	// merchant's browser; the platform knows it from the app's page.
	Callback string
	// AuthCode is accepted once by token.create with authorization_code.
	// Empty: none is.
	AuthCode string
	// BeforePage, if set, is called before each answer of a list method with
	// the method's name, so that a test can let rows change between pages.
	BeforePage func(method string)
	// Faults says how the gateway misbehaves.
	Faults Faults
}

// Douyin is the open platform's gateway of Douyin (抖店) over the world's
// people. It may be called concurrently.
func Douyin(world *World, opts DouyinOptions) http.Handler {
	opts.Now = opts.Faults.clock(opts.Now)
	opts.BeforePage = opts.Faults.change(world, PlatformDouyin, opts.Now, opts.BeforePage)
	if opts.PerSecond == 0 {
		opts.PerSecond = opts.Faults.PerSecond
	}
	d := &douyin{world: world, opts: opts, denied: map[string]bool{}, rates: map[string]*douyinBucket{}}
	d.credentials = douyinCredentials(world)
	d.tokens = newDouyinTokens(d.credentials.AppSecret, opts)
	d.cipher = newDouyinCipher(d.credentials.AppSecret, opts.WithIndex)
	for _, method := range opts.Denied {
		d.denied[method] = true
	}
	d.methods = map[string]func(douyinParams) (any, *douyinFault){
		"order.searchList":                    d.searchList,
		"order.orderDetail":                   d.orderDetail,
		"order.getServiceList":                d.serviceList,
		"order.serviceDetail":                 d.serviceDetail,
		douyinBatchDecrypt:                    d.batchDecrypt,
		"order.batchSensitive":                d.batchSensitive,
		"order.BatchSearchIndex":              d.batchSearchIndex,
		"afterSale.List":                      d.afterSaleList,
		"afterSale.Detail":                    d.afterSaleDetail,
		"member.mGetMemberInfoByOpenIdList":   d.memberInfo,
		"member.batchGetUnionIdByOpenIdList":  d.memberUnionIDs,
		"member.batchGetHistoryMemberUnionId": d.historyMemberUnionIDs,
		"member.batchGetOpenIdListByUnionId":  d.memberOpenIDs,
		"order.getSearchIndex":                d.searchIndex,
		"open.openIdSwitch":                   d.openIDSwitch,
		"open.openId.replace":                 d.openIDReplace,
		"open.getAuthInfo":                    d.authInfo,
		"shop.brandList":                      d.brandList,
	}
	return opts.Faults.over(d, opts.Now)
}

// refuse implements face.
func (d *douyin) refuse(w http.ResponseWriter, r *http.Request, kind Fault) {
	fault := &douyinFault{60000, "请求过于频繁", "isv.traffic-limited", "调用频率超限，请稍后重试"}
	if kind == FaultBusy {
		fault = &douyinFault{20000, "系统错误", "isp.service-error:20004", "系统繁忙，请稍后重试"}
	}
	d.answer(w, r, nil, fault)
}

// expire implements face: the access token ends, and is refreshed or made anew.
func (d *douyin) expire() {
	d.tokens.mu.Lock()
	defer d.tokens.mu.Unlock()
	for _, grant := range d.tokens.grants {
		grant.ends = d.opts.Now()
	}
}

// isToken implements face.
func (d *douyin) isToken(path, method string) bool {
	return path == "/authorize" || strings.HasPrefix(path, "/oauth2/") || strings.HasPrefix(method, "token.")
}

// lists implements face.
func (*douyin) lists() []string { return []string{"shop_order_list", "items", "list"} }

type douyin struct {
	world       *World
	opts        DouyinOptions
	credentials douyinApp
	tokens      *douyinTokens
	cipher      *douyinCipher
	denied      map[string]bool
	methods     map[string]func(douyinParams) (any, *douyinFault)

	mu           sync.Mutex
	rates        map[string]*douyinBucket // by method; "" is the whole app
	searches     int
	decryptDay   string
	decryptCount int
}

// douyinApp are what a client of the face needs.
type douyinApp struct {
	AppKey    string
	AppSecret string
	ShopID    int64
	ShopName  string
}

// A douyinFault is a refusal: what the envelope says of it.
type douyinFault struct {
	code    int
	msg     string
	subCode string
	subMsg  string
}

// ServeHTTP answers one call. Business errors too come with status 200.
func (d *douyin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		d.answer(w, r, nil, douyinInvalid("isv.parameter-format-invalid", "请求参数格式错误"))
		return
	}
	if r.URL.Path == "/authorize" {
		d.authorize(w, r, query)
		return
	}
	if r.URL.Path == "/oauth2/access_token" || r.URL.Path == "/oauth2/refresh_token" {
		d.oldToken(w, r, query)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, douyinMaxBody))
	if err != nil {
		d.answer(w, r, nil, douyinInvalid("isv.parameter-format-invalid", "请求体过大或不完整"))
		return
	}
	answer, fault := d.call(r.Context(), r.Method, strings.TrimPrefix(r.URL.Path, "/"), query, body)
	d.answer(w, r, answer, fault)
}

// call checks a request in the gateway's order, then asks the method.
func (d *douyin) call(ctx context.Context, verb, path string, query url.Values, body []byte) (any, *douyinFault) {
	if verb != http.MethodPost && verb != http.MethodGet {
		return nil, douyinInvalid("isv.parameter-invalid", "不支持的请求方式")
	}
	paramJSON := query.Get("param_json")
	if paramJSON == "" {
		paramJSON = string(body)
	}
	method := query.Get("method")
	serve, known := d.methods[method]
	isToken := method == douyinTokenCreate || method == douyinTokenRefresh
	if fault := d.checkSystem(path, paramJSON, query, known || isToken); fault != nil {
		return nil, fault
	}
	params, fault := d.params(paramJSON)
	if fault != nil {
		return nil, fault
	}
	if isToken {
		return d.token(ctx, method, params)
	}
	if fault := d.tokens.check(query.Get("access_token")); fault != nil {
		return nil, fault
	}
	if d.denied[method] {
		return nil, &douyinFault{30001, "权限不足", "isv.app-permissions-insufficient", "应用无该接口权限"}
	}
	if fault := d.throttle(method); fault != nil {
		return nil, fault
	}
	return serve(params)
}

// checkSystem checks the system parameters and the signature.
func (d *douyin) checkSystem(path, paramJSON string, query url.Values, known bool) *douyinFault {
	for _, required := range []struct{ name, subCode string }{
		{"app_key", "isv.app-id-missing"}, {"method", "isv.parameter-missing"},
		{"timestamp", "isv.parameter-missing"}, {"v", "isv.parameter-missing"},
		{"sign", "isv.signature-missing"},
	} {
		if query.Get(required.name) == "" {
			return &douyinFault{40001, "缺少参数", required.subCode, "缺少系统参数" + required.name}
		}
	}
	if query.Get("app_key") != d.credentials.AppKey {
		return douyinInvalid("isv.app-id-invalid", "app_key不存在")
	}
	method := query.Get("method")
	if !known {
		return &douyinFault{70000, "API下线", "isp.api-service-off", "接口不存在或已下线"}
	}
	if path != strings.ReplaceAll(method, ".", "/") {
		return douyinInvalid("isv.parameter-invalid", "method与请求路径不一致")
	}
	if query.Get("v") != "2" {
		return douyinInvalid("isv.parameter-invalid", "v不合法")
	}
	sent, ok := douyinTimestamp(query.Get("timestamp"))
	if !ok {
		return douyinInvalid("isv.timestamp-format-error", "timestamp格式错误")
	}
	if off := d.opts.Now().Sub(sent); off > douyinClockSkew || off < -douyinClockSkew {
		return douyinInvalid("isv.timestamp-invalid", "timestamp与服务器时间相差超过10分钟")
	}
	signMethod := query.Get("sign_method")
	want, ok := douyinSign(signMethod, d.credentials.AppSecret, query.Get("app_key"), method, paramJSON,
		query.Get("timestamp"), query.Get("v"))
	if !ok {
		return douyinInvalid("isv.parameter-invalid", "sign_method不合法")
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(query.Get("sign"))) != 1 {
		return douyinInvalid("isv.signature-invalid", "签名校验失败")
	}
	return nil
}

// douyinSign is the signature of a request as the gateway computes it: the
// five signed parameters in alphabetical order without separators, between
// the secret and the secret, in the HMAC form too. False for a sign method
// that the gateway does not know; "" is md5.
func douyinSign(signMethod, secret, appKey, method, paramJSON, timestamp, v string) (string, bool) {
	text := secret + "app_key" + appKey + "method" + method + "param_json" + paramJSON +
		"timestamp" + timestamp + "v" + v + secret
	switch signMethod {
	case "", "md5":
		sum := md5.Sum([]byte(text)) // as above
		return hex.EncodeToString(sum[:]), true
	case "hmac-sha256":
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write([]byte(text)) // a hash takes everything
		return hex.EncodeToString(mac.Sum(nil)), true
	default:
		return "", false
	}
}

// douyinZone is the platform's time zone, GMT+8 without summer time.
var douyinZone = time.FixedZone("GMT+8", 8*60*60)

// douyinTimestamp reads Unix seconds or "yyyy-MM-dd HH:mm:ss" in GMT+8.
func douyinTimestamp(text string) (time.Time, bool) {
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), seconds > 0
	}
	t, err := time.ParseInLocation(time.DateTime, text, douyinZone)
	return t, err == nil
}

// params decodes param_json; an empty text is {}.
func (d *douyin) params(text string) (douyinParams, *douyinFault) {
	if text == "" {
		return douyinParams{}, nil
	}
	malformed := douyinInvalid("isv.parameter-format-invalid", "param_json不是合法的JSON对象")
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var params map[string]any
	if err := decoder.Decode(&params); err != nil || params == nil {
		return nil, malformed
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed
	}
	if d.opts.Strict && douyinCanonical(params) != text {
		return nil, douyinInvalid("isv.parameter-format-invalid", "param_json未按规范排序或转义")
	}
	return params, nil
}

// douyinCanonical is the canonical text of decoded JSON: keys sorted on every
// level, no spaces, no HTML escapes, numbers as they were written.
func douyinCanonical(value any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return ""
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// douyinParams are a method's arguments. A scalar may come as a number or as
// text; null is the same as absent.
type douyinParams map[string]any

func (p douyinParams) has(name string) bool { return p.text(name) != "" }

// text is a scalar as text, "" when absent.
func (p douyinParams) text(name string) string {
	switch v := p[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	default:
		return ""
	}
}

// int is a whole number; ok is false when it is there and is none.
func (p douyinParams) int(name string, absent int64) (value int64, ok bool) {
	text := p.text(name)
	if text == "" {
		return absent, p[name] == nil || p[name] == ""
	}
	value, err := strconv.ParseInt(text, 10, 64)
	return value, err == nil
}

func (p douyinParams) bool(name string) bool {
	text := p.text(name)
	return text == "true" || text == "1"
}

// texts is a list of scalars as texts.
func (p douyinParams) texts(name string) []string {
	list, _ := p[name].([]any)
	var out []string
	for _, element := range list {
		if text := (douyinParams{"v": element}).text("v"); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// objects is a list of objects.
func (p douyinParams) objects(name string) []douyinParams {
	list, _ := p[name].([]any)
	var out []douyinParams
	for _, element := range list {
		if object, ok := element.(map[string]any); ok {
			out = append(out, object)
		}
	}
	return out
}

// answer writes the envelope: the new form, and beside it the old pair unless
// the caller's header declines it.
func (d *douyin) answer(w http.ResponseWriter, r *http.Request, data any, fault *douyinFault) {
	envelope := map[string]any{"code": 10000, "msg": "success", "sub_code": "", "sub_msg": "",
		"log_id": d.logID(), "data": data}
	if fault != nil {
		envelope["code"], envelope["msg"] = fault.code, fault.msg
		envelope["sub_code"], envelope["sub_msg"] = fault.subCode, fault.subMsg
	}
	if r.Header.Get("x-open-no-old-err-code") != "1" {
		envelope["err_no"], envelope["message"] = 0, "success"
		if fault != nil {
			envelope["err_no"], envelope["message"] = fault.code, fault.msg
		}
	}
	writeDouyin(w, envelope)
}

// writeDouyin writes JSON with raw UTF-8, as the gateway does.
func writeDouyin(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // the client has gone: nobody is left to tell
}

// logID is the request's number in the gateway's form: time, then 20 hex.
func (d *douyin) logID() string {
	return d.opts.Now().In(douyinZone).Format("20060102150405") +
		fmt.Sprintf("%016X%04X", rand.Uint64(), rand.Uint32()&0xffff) // not a secret
}

// A douyinBucket counts the calls of one second of the gateway's clock.
type douyinBucket struct {
	second int64
	calls  int
}

// throttle counts a call against the app's and the method's limit.
func (d *douyin) throttle(method string) *douyinFault {
	if d.opts.PerSecond <= 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	second := d.opts.Now().Unix()
	for _, name := range []string{"", method} {
		bucket := d.rates[name]
		if bucket == nil || bucket.second != second {
			bucket = &douyinBucket{second: second}
			d.rates[name] = bucket
		}
		if bucket.calls++; bucket.calls > d.opts.PerSecond {
			return &douyinFault{60000, "请求过于频繁", "isv.traffic-limited", "调用频率超限，请稍后重试"}
		}
	}
	return nil
}

func douyinInvalid(subCode, subMsg string) *douyinFault {
	return &douyinFault{40003, "非法的参数", subCode, subMsg}
}

func douyinBadParameter(number int, subMsg string) *douyinFault {
	return &douyinFault{40004, "非法的业务参数", fmt.Sprintf("isv.parameter-invalid:%d", number), subMsg}
}

func douyinMissingParameter(number int, subMsg string) *douyinFault {
	return &douyinFault{40002, "缺少业务参数", fmt.Sprintf("isv.missing-parameter:%d", number), subMsg}
}

func douyinBusiness(number int, subMsg string) *douyinFault {
	return &douyinFault{50002, "业务处理失败", fmt.Sprintf("isv.business-failed:%d", number), subMsg}
}
