package simulator

import (
	"crypto/hmac"
	"crypto/md5" // the platform's own sign method
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// TmallOptions are the switches of Tmall's face. The zero value is a
// well-behaved gateway.
type TmallOptions struct {
	// Now is the gateway's clock; nil means time.Now.
	Now func() time.Time
	// PerSecond is how many calls a second each method may get; more are
	// answered code 7 with the seconds of the ban. 0: no limit.
	PerSecond int
	// SessionExpires is when the session ends; zero: never.
	SessionExpires time.Time
	// SessionLife is how long a session that was given anew lives; 0: a year.
	SessionLife time.Duration
	// Denied names methods that the app has no permission for (code 11).
	Denied []string
	// AuthCode is accepted once for a new session. Empty: none is.
	AuthCode string
	// BeforePage, if set, is called before each answer of a list method, so
	// that a test can let rows change between pages.
	BeforePage func(method string)
	// RefreshStays lets a refresh token be used again: that it dies with its
	// use is read in a post alone. A client that is killed after a refresh
	// needs it, or a new consent.
	RefreshStays bool
	// MessagesAgain is after how long a message comes again that was not
	// confirmed; 0 is tmallRepeat.
	MessagesAgain time.Duration
	// TellExisting lets messages tell of all that the world holds, too.
	TellExisting bool
	// Kinds makes one trade in four of a type that the lists leave out unless it
	// is named (eticket, tmall_i18n, o2o_offlinetrade).
	Kinds bool
	// HistorySilent lets the history of trades not say whether there is another page,
	// and HistoryRows is how many rows a page of it has at most, whatever was asked
	// for; 0: as many.
	HistorySilent bool
	HistoryRows   int
	// ListsCut names the lists by creation that leave out what lies beyond their
	// border, where they refuse a window otherwise: which of both the platform does is
	// not documented.
	ListsCut []string
	// RefundsOldest is how far back a list of refunds shows changes, and refuses a window
	// that begins before; 0: no age is documented, and all are shown.
	RefundsOldest time.Duration
	// GzipMessages lets the long connection give contents compressed.
	GzipMessages bool
	// Faults says how the gateway misbehaves.
	Faults Faults
}

// TmallCredentials are what a client of the face needs.
type TmallCredentials struct {
	AppKey, AppSecret, Session, RefreshToken, Shop string
}

// TmallCredentialsOf are the credentials of a world's Tmall shop.
func TmallCredentialsOf(w *World) TmallCredentials {
	return TmallCredentials{
		AppKey:       strconv.FormatUint(23_000_000+w.hash("tmall app", 0)%1_000_000, 10),
		AppSecret:    "tmall" + w.hide("tmall secret", 1) + w.hide("tmall secret", 2),
		Session:      "6200000" + w.hide("tmall session", 1),
		RefreshToken: "6202000" + w.hide("tmall refresh", 1),
		Shop:         w.Shop(PlatformTmall).ID,
	}
}

// Tmall is the TOP gateway (/router/rest and /token) over the world's people.
// It may be called concurrently.
func Tmall(world *World, opts TmallOptions) http.Handler {
	opts.Now = opts.Faults.clock(opts.Now)
	opts.BeforePage = opts.Faults.change(world, PlatformTmall, opts.Now, opts.BeforePage)
	if opts.PerSecond == 0 {
		opts.PerSecond = opts.Faults.PerSecond
	}
	return opts.Faults.over(newTmall(world, opts, TmallCredentialsOf(world)), opts.Now)
}

// refuse implements face.
func (t *tmall) refuse(w http.ResponseWriter, r *http.Request, kind Fault) {
	fault := tmallLimited("accesscontrol.limited-by-api-access-count", time.Second)
	if kind == FaultBusy {
		fault = &tmallFault{15, "Remote service error", "isp.remote-service-timeout", "服务超时"}
	}
	params, _ := readTmall(w, r)
	t.answer(w, params, nil, fault)
}

// expire implements face: the session ends; its refresh token does not.
func (t *tmall) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expires = t.opts.Now()
}

// isToken implements face.
func (t *tmall) isToken(path, method string) bool {
	return path == "/token" || path == "/authorize" || strings.HasPrefix(method, "taobao.top.auth.token.")
}

// lists implements face.
func (*tmall) lists() []string {
	return []string{"trade", "refund", "crm_member", "basic_member"}
}

func newTmall(world *World, opts TmallOptions, c TmallCredentials) *tmall {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &tmall{world: world, opts: opts, credentials: c, session: c.Session, refresh: c.RefreshToken,
		code: opts.AuthCode, expires: opts.SessionExpires, calls: map[string]tmallSecond{},
		delivered: map[int64]time.Time{}, confirmed: map[int64]bool{}}
}

type tmall struct {
	world       *World
	opts        TmallOptions
	credentials TmallCredentials

	mu               sync.Mutex
	session, refresh string
	code             string
	expires          time.Time
	renewals         int
	calls            map[string]tmallSecond
	day              string              // of today, in GMT+8
	today            int                 // calls of day
	delivered        map[int64]time.Time // messages, when last
	confirmed        map[int64]bool
	connections      int // of the message service, ever
	existing         sync.Once
	held             []tmallNews // set by existing
}

type tmallSecond struct {
	second int64
	n      int
}

// A tmallFault is what error_response says.
type tmallFault struct {
	code            int
	msg             string
	subCode, subMsg string
}

type tmallMethod struct {
	serve    func(*tmall, tmallParams) (tmallTree, *tmallFault)
	required []string
	public   bool // needs no session
}

// tmallTree is an answer: texts, numbers, booleans, trees, and lists wrapped
// in a tree of one key.
type tmallTree map[string]any

type tmallParams map[string]string

var tmallMethods = map[string]tmallMethod{
	"taobao.time.get":                         {serve: (*tmall).timeGet, public: true},
	"taobao.user.seller.get":                  {serve: (*tmall).sellerGet, required: []string{"fields"}},
	"taobao.trades.sold.get":                  {serve: tmallTrades(ByCreated, false), required: []string{"fields"}},
	"taobao.trades.sold.increment.get":        {serve: tmallTrades(ByModified, false), required: []string{"fields", "start_modified", "end_modified"}},
	"taobao.trades.simple.sold.get":           {serve: tmallTrades(ByCreated, true), required: []string{"fields"}},
	"taobao.trades.simple.sold.increment.get": {serve: tmallTrades(ByModified, true), required: []string{"fields", "start_modified", "end_modified"}},
	"taobao.trade.fullinfo.get":               {serve: tmallTrade(false), required: []string{"fields", "tid"}},
	"taobao.trade.get":                        {serve: tmallTrade(false), required: []string{"fields", "tid"}},
	"taobao.trade.simple.get":                 {serve: tmallTrade(true), required: []string{"fields", "tid"}},
	"taobao.refunds.receive.get":              {serve: (*tmall).refunds, required: []string{"fields"}},
	"taobao.refund.get":                       {serve: (*tmall).refundGet, required: []string{"fields", "refund_id"}},
	"taobao.trades.sold.incrementv.get":       {serve: (*tmall).arrivedTrades, required: []string{"fields", "start_create", "end_create"}},
	"taobao.trades.sold.history.get":          {serve: (*tmall).oldTrades, required: []string{"fields"}},
	"taobao.trades.sold.query":                {serve: (*tmall).tradesByReceiver, required: []string{"query_list"}},
	"taobao.top.oaid.merge":                   {serve: (*tmall).mergeOaids, required: []string{"merge_list"}},
	"taobao.top.oaid.decrypt":                 {serve: (*tmall).decryptOaids, required: []string{"query_list"}},
	"taobao.tmc.messages.consume":             {serve: (*tmall).consume, public: true},
	"taobao.tmc.messages.confirm":             {serve: (*tmall).confirm, required: []string{"s_message_ids"}, public: true},
	"taobao.item.seller.get":                  {serve: (*tmall).itemGet, required: []string{"fields", "num_iid"}},
	"taobao.refund.messages.get":              {serve: (*tmall).refundMessages, required: []string{"fields", "refund_id", "refund_phase"}},
	"taobao.special.refunds.receive.get":      {serve: (*tmall).specialRefunds, required: []string{"fields"}},
	"tmall.dispute.receive.get":               {serve: (*tmall).disputes, required: []string{"fields"}},
	"tmall.exchange.receive.get":              {serve: (*tmall).exchanges, required: []string{"fields"}},
	"tmall.exchange.get":                      {serve: (*tmall).exchangeGet, required: []string{"dispute_id", "fields"}},
	"taobao.crm.grade.get":                    {serve: (*tmall).grades},
	"taobao.member.hismemberdata.get.privy":   {serve: (*tmall).memberHistory, required: []string{"current_page", "page_size", "backup_ds"}},
	"taobao.airisland.kefueval.get":           {serve: (*tmall).evaluations, required: []string{"query_ids", "btime", "etime"}},
	"taobao.crm.members.search":               {serve: tmallMembers("crm_member", false, false), required: []string{"current_page"}},
	"taobao.crm.members.get":                  {serve: tmallMembers("basic_member", false, false), required: []string{"current_page"}},
	"taobao.crm.members.increment.get":        {serve: tmallMembers("basic_member", true, false), required: []string{"current_page", "start_modify"}},
	"taobao.crm.members.search.privy":         {serve: tmallMembers("crm_member", false, true), required: []string{"current_page"}},
	"taobao.crm.members.get.privy":            {serve: tmallMembers("basic_member", false, true), required: []string{"current_page"}},
	"taobao.crm.members.increment.get.privy":  {serve: tmallMembers("basic_member", true, true), required: []string{"current_page", "start_modify"}},
	"taobao.top.auth.token.create":            {serve: (*tmall).tokenCreate, required: []string{"code"}, public: true},
	"taobao.top.auth.token.refresh":           {serve: (*tmall).tokenRefresh, required: []string{"refresh_token"}, public: true},
}

// ServeHTTP answers one call: always with status 200, also when it refuses.
func (t *tmall) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isSocket(r) {
		t.socket(w, r)
		return
	}
	params, ok := readTmall(w, r)
	switch r.URL.Path {
	case "/token":
		t.oauth(w, params)
		return
	case "/authorize":
		t.authorize(w, r, params)
		return
	}
	var answer tmallTree
	fault := &tmallFault{code: 43, msg: "Parameter Error"}
	if ok {
		answer, fault = t.call(params)
	}
	t.answer(w, params, answer, fault)
}

// answer writes an answer, or a refusal.
func (t *tmall) answer(w http.ResponseWriter, params tmallParams, answer tmallTree, fault *tmallFault) {
	root := strings.ReplaceAll(strings.TrimPrefix(params["method"], "taobao."), ".", "_") + "_response"
	if fault != nil {
		root = "error_response"
		answer = tmallTree{"code": fault.code, "msg": fault.msg}
		if fault.subCode != "" {
			answer["sub_code"], answer["sub_msg"] = fault.subCode, fault.subMsg
		}
	}
	answer["request_id"] = "sim" + strconv.FormatInt(t.opts.Now().UnixNano(), 36)
	writeTmall(w, root, answer, params["format"], params["simplify"] == "true" && fault == nil)
}

// readTmall merges query and body; the body wins.
func readTmall(w http.ResponseWriter, r *http.Request) (tmallParams, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<20)
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(4 << 20)
	} else {
		err = r.ParseForm()
	}
	params := tmallParams{}
	take := func(form url.Values) {
		for name, values := range form {
			if name != "" && len(values) > 0 && values[0] != "" {
				params[name] = values[0]
			}
		}
	}
	take(r.Form)
	if r.MultipartForm != nil { // in r.Form these come behind the query's
		take(r.MultipartForm.Value)
	}
	return params, err == nil
}

// call checks a request in the gateway's order, then asks the method.
func (t *tmall) call(p tmallParams) (tmallTree, *tmallFault) {
	method, known := tmallMethods[p["method"]]
	now := t.opts.Now()
	switch sent, ok := tmallTimestamp(p["timestamp"]); {
	case p["method"] == "":
		return nil, &tmallFault{code: 21, msg: "Missing Method"}
	case !known:
		return nil, &tmallFault{22, "Invalid Method", "isv.api-not-exist", "API不存在"}
	case p["app_key"] == "":
		return nil, &tmallFault{code: 28, msg: "Missing App Key"}
	case p["app_key"] != t.credentials.AppKey:
		return nil, &tmallFault{code: 29, msg: "Invalid App Key"}
	case p["v"] == "":
		return nil, &tmallFault{code: 32, msg: "Missing Version"}
	case p["v"] != "2.0":
		return nil, &tmallFault{code: 33, msg: "Invalid Version"}
	case p["timestamp"] == "":
		return nil, &tmallFault{code: 30, msg: "Missing Timestamp"}
	case !ok || now.Sub(sent).Abs() > 10*time.Minute:
		return nil, &tmallFault{code: 31, msg: "Invalid Timestamp"}
	case p["sign"] == "":
		return nil, &tmallFault{code: 24, msg: "Missing Signature"}
	}
	want := tmallSign(t.credentials.AppSecret, p)
	if want == "" || subtle.ConstantTimeCompare([]byte(want), []byte(p["sign"])) != 1 {
		return nil, &tmallFault{code: 25, msg: "Invalid signature"}
	}
	if f := p["format"]; f != "" && f != "xml" && f != "json" {
		return nil, &tmallFault{code: 23, msg: "Invalid Format"}
	}
	if slices.Contains(t.opts.Denied, p["method"]) {
		return nil, &tmallFault{11, "Insufficient ISV Permissions", "isv.permission-api-package-not-allowed", "应用没有权限"}
	}
	if fault := t.admit(p, method.public, now); fault != nil {
		return nil, fault
	}
	for _, name := range method.required {
		if p[name] == "" {
			return nil, &tmallFault{40, "Missing Required Arguments", "isv.missing-parameter:" + name, "缺少参数" + name}
		}
	}
	return method.serve(t, p)
}

// admit checks the rate limit and the session.
func (t *tmall) admit(p tmallParams, public bool, now time.Time) *tmallFault {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opts.PerSecond > 0 {
		c := t.calls[p["method"]]
		if c.second != now.Unix() {
			c = tmallSecond{second: now.Unix()}
		}
		c.n++
		t.calls[p["method"]] = c
		if c.n > t.opts.PerSecond {
			return tmallLimited("accesscontrol.limited-by-api-access-count", time.Second)
		}
	}
	if most := t.opts.Faults.PerDay; most > 0 {
		day := now.In(tmallZone).Format(time.DateOnly)
		if day != t.day {
			t.day, t.today = day, 0
		}
		if t.today++; t.today > most {
			midnight := now.In(tmallZone).AddDate(0, 0, 1)
			midnight = time.Date(midnight.Year(), midnight.Month(), midnight.Day(), 0, 0, 0, 0, tmallZone)
			return tmallLimited("accesscontrol.limited-by-app-access-count", midnight.Sub(now))
		}
	}
	switch {
	case public:
	case p["session"] == "":
		return &tmallFault{code: 26, msg: "Missing Session"}
	case subtle.ConstantTimeCompare([]byte(p["session"]), []byte(t.session)) != 1:
		return &tmallFault{27, "Invalid session", "invalid-sessionkey", "非法或过期的SessionKey参数"}
	case !t.expires.IsZero() && !now.Before(t.expires):
		return &tmallFault{27, "Invalid session", "session-expired", "SessionKey已过期"}
	}
	return nil
}

// tmallLimited refuses a call for its rate or for the day's quota.
func tmallLimited(subCode string, ban time.Duration) *tmallFault {
	seconds := int64((ban + time.Second - 1) / time.Second)
	return &tmallFault{7, "App Call Limited", subCode, fmt.Sprintf("This ban will last for %d more seconds", seconds)}
}

// tmallSign is the signature as the gateway computes it; empty for a sign
// method that it does not know.
func tmallSign(secret string, p tmallParams) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != "sign" && name != "" && p[name] != "" {
			text.WriteString(name + p[name])
		}
	}
	var sum []byte
	switch p["sign_method"] {
	case "md5":
		s := md5.Sum([]byte(secret + text.String() + secret)) // as above
		sum = s[:]
	case "hmac":
		mac := hmac.New(md5.New, []byte(secret))
		mac.Write([]byte(text.String()))
		sum = mac.Sum(nil)
	case "hmac-sha256":
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text.String()))
		sum = mac.Sum(nil)
	default:
		return ""
	}
	return strings.ToUpper(hex.EncodeToString(sum))
}

var tmallZone = time.FixedZone("GMT+8", 8*60*60)

func tmallTimestamp(s string) (time.Time, bool) {
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMilli(ms), true
	}
	t, err := time.ParseInLocation(time.DateTime, s, tmallZone)
	return t, err == nil
}

func tmallTime(t time.Time) string { return t.In(tmallZone).Format(time.DateTime) }

func tmallYuan(fen int64) string { return fmt.Sprintf("%d.%02d", fen/100, fen%100) }

func tmallInvalid(names string) *tmallFault {
	return &tmallFault{15, "Remote service error", "isv.invalid-parameter:" + names, "非法参数"}
}

func tmallWrongType(name string) *tmallFault {
	return &tmallFault{41, "Invalid Arguments", "isv.invalid-parameter:" + name, "参数类型错误"}
}

// number reads a whole number within bounds; absent is its default.
func (p tmallParams) number(name string, absent, least, most int) (int, *tmallFault) {
	if p[name] == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(p[name])
	if err != nil {
		return 0, tmallWrongType(name)
	}
	if n < least || n > most {
		return 0, tmallInvalid(name)
	}
	return n, nil
}

// window reads two times; both ends belong to it. longest 0: any length.
func (t *tmall) window(p tmallParams, start, end string, from, to time.Time, longest, oldest time.Duration) (time.Time, time.Time, *tmallFault) {
	for _, bound := range []struct {
		name string
		at   *time.Time
	}{{start, &from}, {end, &to}} {
		if p[bound.name] == "" {
			continue
		}
		at, err := time.ParseInLocation(time.DateTime, p[bound.name], tmallZone)
		if err != nil {
			return from, to, tmallWrongType(bound.name)
		}
		*bound.at = at
	}
	if !from.Before(to) || longest > 0 && to.Sub(from) > longest {
		return from, to, tmallInvalid(start + "," + end)
	}
	if oldest > 0 && t.opts.Now().Sub(from) > oldest {
		return from, to, tmallInvalid(start)
	}
	return from, to, nil
}

// pick keeps only what fields names; "orders.x" keeps the lists too.
func (p tmallParams) pick(row tmallTree) tmallTree {
	out := tmallTree{}
	for name := range strings.SplitSeq(p["fields"], ",") {
		name, _, _ = strings.Cut(strings.TrimSpace(name), ".")
		if value, ok := row[name]; ok {
			out[name] = value
		}
	}
	return out
}

// page cuts a page out of keys that are read newest first.
func tmallPage(keys []Key, page, size int) []Key {
	high := len(keys) - (page-1)*size
	if high <= 0 {
		return nil
	}
	out := slices.Clone(keys[max(0, high-size):high])
	slices.Reverse(out)
	return out
}

// paged answers a list of at most so many rows a page: the page's rows and the
// total, or only has_next.
func (t *tmall) paged(p tmallParams, absent, most int, keys func() []Key, outer, inner string, row func(int) (tmallTree, bool)) (tmallTree, *tmallFault) {
	page, fault := p.number("page_no", 1, 1, 1_000_000)
	if fault != nil {
		return nil, fault
	}
	size, fault := p.number("page_size", absent, 1, most)
	if fault != nil {
		return nil, fault
	}
	if t.opts.BeforePage != nil {
		t.opts.BeforePage(p["method"])
	}
	all := keys()
	rows := []any{}
	for _, key := range tmallPage(all, page, size) {
		if r, ok := row(key.Index); ok {
			rows = append(rows, p.pick(r))
		}
	}
	answer := tmallTree{}
	if len(rows) > 0 {
		answer[outer] = tmallTree{inner: rows}
	}
	if p["use_has_next"] == "true" {
		answer["has_next"] = page*size < len(all)
	} else {
		answer["total_results"] = len(all)
	}
	return answer, nil
}

func (t *tmall) timeGet(tmallParams) (tmallTree, *tmallFault) {
	return tmallTree{"time": tmallTime(t.opts.Now())}, nil
}

func (t *tmall) sellerGet(p tmallParams) (tmallTree, *tmallFault) {
	shop := t.world.Shop(PlatformTmall)
	id, _ := strconv.ParseInt(shop.ID, 10, 64)
	return tmallTree{"user": p.pick(tmallTree{"user_id": id, "nick": shop.Name, "type": "B"})}, nil
}

// writeTmall writes XML, which is the default, or JSON.
func writeTmall(w http.ResponseWriter, root string, answer tmallTree, format string, simplify bool) {
	if format == "json" {
		var body any = map[string]any{root: answer}
		if simplify {
			body = tmallSimple(answer)
		}
		w.Header().Set("Content-Type", "text/javascript;charset=UTF-8")
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(body) // the client has gone: nobody is left to tell
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8" ?>`)
	tmallXML(&b, root, answer)
	_, _ = w.Write([]byte(b.String())) // as above
}

func tmallXML(b *strings.Builder, name string, value any) {
	if list, ok := value.([]any); ok {
		for _, one := range list {
			tmallXML(b, name, one)
		}
		return
	}
	b.WriteString("<" + name + ">")
	if tree, ok := value.(tmallTree); ok {
		for _, child := range slices.Sorted(maps.Keys(tree)) {
			tmallXML(b, child, tree[child])
		}
	} else {
		_ = xml.EscapeText(b, fmt.Append(nil, value)) // a Builder takes everything
	}
	b.WriteString("</" + name + ">")
}

// tmallSimple takes the wrappers off lists.
func tmallSimple(value any) any {
	switch v := value.(type) {
	case tmallTree:
		if len(v) == 1 {
			for _, only := range v {
				if list, ok := only.([]any); ok {
					return tmallSimple(list)
				}
			}
		}
		out := tmallTree{}
		for name, child := range v {
			out[name] = tmallSimple(child)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = tmallSimple(v[i])
		}
		return out
	}
	return value
}
