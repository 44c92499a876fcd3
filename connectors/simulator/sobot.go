package simulator

import (
	"cmp"
	"crypto/md5" // the desk's own choice
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// SobotOptions are the switches of the help-desk's face. The zero value is a
// well-behaved desk that gives of a customer what it documents: no id.
type SobotOptions struct {
	// Now is the desk's clock; nil means time.Now.
	Now func() time.Time
	// NamesUsers lets tickets bear the customer's ids: the desk's own and the
	// one that the brand gave, which is the buyer's id in the shop that he
	// bought in.
	NamesUsers bool
	// BeforePage, if set, is called before each answer of the list, so that a
	// test can let tickets change between pages.
	BeforePage func()
	// Faults says how the desk misbehaves. Its limit of calls a second is
	// answered with HTTP 429: no code for it is documented.
	Faults Faults
}

// SobotCredentials are what a client of the face needs, and what the face
// signs its own calls with.
type SobotCredentials struct {
	AppID, AppKey, CompanyID, PushSecret string
}

// SobotCredentialsOf are those of a world's desk.
func SobotCredentialsOf(w *World) SobotCredentials {
	return SobotCredentials{
		AppID: w.hide("sobot app", 1), AppKey: w.hide("sobot key", 1) + w.hide("sobot key", 2),
		CompanyID: w.hide("sobot company", 1), PushSecret: w.hide("sobot push", 1) + w.hide("sobot push", 2),
	}
}

const (
	sobotTokenLife = 24 * time.Hour
	sobotMaxPage   = 50
	sobotMaxSpan   = 31 * 24 * time.Hour
	sobotMaxDrift  = 5 * time.Minute
	sobotTickets   = "/api/ws/5/ticket/"
)

// The codes of the desk. It documents two refusals; sobotRefused stands for
// all those of which no code is published.
const (
	sobotGood    = "000000"
	sobotEmpty   = "900001"
	sobotEnded   = "900002"
	sobotRefused = "999999"
)

// The states of a ticket, by the desk's numbers, in the order in which they
// follow one another.
var sobotStates = []int{0, 1, 2, 3, 99}

// A SobotTicket is a ticket of the desk in its present state.
type SobotTicket struct {
	// ID is the API's, Code the number that people see.
	ID, Code string
	// Account is of the customer, in the shop that he bought in.
	Account Account
	// ByCustomer: he opened it himself, and not the staff.
	ByCustomer bool
	// Masked: the desk shows his phone with stars.
	Masked  bool
	Status  int
	From    int
	Level   int
	Created time.Time
	// Answered is when staff first answered; zero before.
	Answered time.Time
	Modified time.Time
	// Score is 1 to 5, 0 before it was rated.
	Score int
}

// SobotDesk is the face of Sobot (智齿) over the world's people: the open
// interface of tickets, version 5. Customers of a third of the accounts whose
// phone the shop knows have a ticket each, and some of them a second. It may be
// called concurrently.
type SobotDesk struct {
	world       *World
	opts        SobotOptions
	credentials SobotCredentials
	handler     http.Handler

	mu      sync.Mutex
	tickets []SobotTicket // by number; nil before the first call
	token   string
	ends    time.Time
	minted  int
	pages   uint64
	seconds map[string]weidianSecond // by method
}

// Sobot makes the desk of a world.
func Sobot(world *World, opts SobotOptions) *SobotDesk {
	opts.Now = opts.Faults.clock(opts.Now)
	d := &SobotDesk{world: world, opts: opts, credentials: SobotCredentialsOf(world), seconds: map[string]weidianSecond{}}
	d.handler = opts.Faults.over((*sobotFace)(d), opts.Now)
	return d
}

// filled has the tickets in it: they are made at the first call. The caller
// holds mu.
func (d *SobotDesk) filled() []SobotTicket {
	if d.tickets != nil {
		return d.tickets
	}
	d.tickets = []SobotTicket{}
	for _, platform := range Platforms {
		for a := range d.world.Accounts(platform) {
			h := d.world.hash("sobot ticket/"+platform, a.Index)
			if a.Phone == "" || h%3 != 0 {
				continue
			}
			for n := range 1 + int(h>>8%4/3) {
				d.tickets = append(d.tickets, d.invent(a, n))
			}
		}
	}
	return d.tickets
}

// invent is the n-th ticket of an account as it stands at the data's end.
func (d *SobotDesk) invent(a Account, n int) SobotTicket {
	h := d.world.hash("sobot life/"+a.Platform, 10*a.Index+n)
	at := d.world.from + int64(h%uint64(d.world.span))
	t := SobotTicket{
		ID:   d.world.hide("sobot id/"+a.Platform, 10*a.Index+n),
		Code: strconv.Itoa(20_260_000 + len(d.tickets)), Account: a,
		ByCustomer: h>>20%2 == 0, Masked: h>>24%10 == 0, From: int(h >> 28 % 12), Level: int(h >> 36 % 4), Created: moment(at), Modified: moment(at),
	}
	for step := range int(h >> 40 % uint64(len(sobotStates))) {
		at += 600 + int64(mix(h+uint64(step))%(2*day))
		if at > d.world.from+d.world.span {
			break
		}
		t.step(moment(at))
	}
	return t
}

// step moves a ticket to its next state; false at its last.
func (t *SobotTicket) step(at time.Time) bool {
	i := slices.Index(sobotStates, t.Status)
	if i == len(sobotStates)-1 {
		return false
	}
	t.Status, t.Modified = sobotStates[i+1], at
	switch t.Status {
	case 1:
		t.Answered = at
	case 99:
		t.Score = 1 + len(t.ID+t.Code)*7%5
	}
	return true
}

// Tickets are all tickets as they are now.
func (d *SobotDesk) Tickets() []SobotTicket {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.filled())
}

// Change moves a ticket that a number chooses to its next state as of now, and
// returns it; false when none can change.
func (d *SobotDesk) Change(h uint64, now time.Time) (SobotTicket, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.filled()
	for i := range all {
		t := &all[(int(h%uint64(len(all)))+i)%len(all)]
		at := now.UTC().Truncate(time.Millisecond)
		if !at.After(t.Modified) {
			at = t.Modified.Add(time.Millisecond)
		}
		if t.step(at) {
			return *t, true
		}
	}
	return SobotTicket{}, false
}

// Push is what the desk sends of a ticket to the brand: the headers and the
// body. That it pushes tickets so is assumed; it documents the signature for
// its look-ups in a brand's CRM.
func (d *SobotDesk) Push(t SobotTicket) (http.Header, []byte) {
	body := []byte(weidianJSON(d.row(t, true)))
	timestamp := strconv.FormatInt(d.opts.Now().UnixMilli(), 10)
	header := http.Header{}
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("timestamp", timestamp)
	header.Set("sign", sobotMD5(d.credentials.CompanyID+timestamp+d.credentials.PushSecret+string(body)))
	return header, body
}

func sobotMD5(text string) string {
	sum := md5.Sum([]byte(text)) // as above
	return hex.EncodeToString(sum[:])
}

// ServeHTTP answers one call.
func (d *SobotDesk) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

// sobotFace is the desk as far as faults need it.
type sobotFace SobotDesk

func (f *sobotFace) desk() *SobotDesk { return (*SobotDesk)(f) }

// refuse implements face.
func (f *sobotFace) refuse(w http.ResponseWriter, _ *http.Request, kind Fault) {
	if kind == FaultBusy {
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	sobotThrottle(w)
}

func sobotThrottle(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "too many calls", http.StatusTooManyRequests)
}

// expire implements face.
func (f *sobotFace) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = ""
}

// isToken implements face.
func (*sobotFace) isToken(path, _ string) bool { return path == "/api/get_token" }

// lists implements face.
func (*sobotFace) lists() []string { return []string{"items"} }

// ServeHTTP answers one call without a fault.
func (f *sobotFace) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d, query := f.desk(), r.URL.Query()
	if r.Method != http.MethodGet {
		http.Error(w, "GET it", http.StatusMethodNotAllowed)
		return
	}
	if !d.admit(r.URL.Path) {
		sobotThrottle(w)
		return
	}
	var answer map[string]any
	var code, why string
	switch r.URL.Path {
	case "/api/get_token":
		answer, code, why = d.getToken(query)
	case sobotTickets + "query_tickets_by_update_time":
		if code, why = d.checkToken(r.Header.Get("token")); code == "" {
			d.before()
			answer, code, why = d.list(query)
		}
	case sobotTickets + "get_ticket_by_id":
		if code, why = d.checkToken(r.Header.Get("token")); code == "" {
			answer, code, why = d.one(query.Get("ticketid"))
		}
	default:
		http.NotFound(w, r)
		return
	}
	if code != "" {
		answer = map[string]any{"ret_code": code, "ret_msg": why}
	} else {
		answer["ret_code"], answer["ret_msg"] = sobotGood, "操作成功"
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write([]byte(weidianJSON(answer))) // the client has gone: nobody is left to tell
}

// admit counts a call against the limit of calls a second of its method.
func (d *SobotDesk) admit(path string) bool {
	most := d.opts.Faults.PerSecond
	if most == 0 {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	second := d.seconds[path]
	if now := d.opts.Now().Unix(); now != second.second {
		second = weidianSecond{second: now}
	}
	second.calls++
	d.seconds[path] = second
	return second.calls <= most
}

// before lets a ticket change before a page, now and then.
func (d *SobotDesk) before() {
	if d.opts.BeforePage != nil {
		d.opts.BeforePage()
	}
	if d.opts.Faults.Changes == 0 {
		return
	}
	d.mu.Lock()
	d.pages++
	h := mix(d.opts.Faults.Seed ^ mix(d.pages))
	d.mu.Unlock()
	if share(h) < d.opts.Faults.Changes {
		_, _ = d.Change(mix(h), d.opts.Now()) // all have changed as far as they can
	}
}

// getToken gives a new token and ends the old one.
func (d *SobotDesk) getToken(query url.Values) (map[string]any, string, string) {
	now := d.opts.Now()
	at, err := strconv.ParseInt(query.Get("create_time"), 10, 64)
	switch {
	case query.Get("appid") != d.credentials.AppID:
		return nil, sobotRefused, "appid不存在"
	case query.Get("sign") != sobotMD5(d.credentials.AppID+query.Get("create_time")+d.credentials.AppKey):
		return nil, sobotRefused, "签名错误"
	case err != nil || now.Sub(time.Unix(at, 0)).Abs() > sobotMaxDrift:
		return nil, sobotRefused, "create_time已过期"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.minted++
	d.token, d.ends = sobotMD5(fmt.Sprintf("token %s %d %d", d.credentials.AppKey, d.minted, now.UnixNano())), now.Add(sobotTokenLife)
	return map[string]any{"item": map[string]any{"token": d.token, "expires_in": strconv.Itoa(int(sobotTokenLife / time.Second))}}, "", ""
}

func (d *SobotDesk) checkToken(token string) (code, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case token == "":
		return sobotEmpty, "token为空"
	case token != d.token || !d.opts.Now().Before(d.ends):
		return sobotEnded, "token已过期"
	}
	return "", ""
}

// list serves query_tickets_by_update_time; both ends of the window count.
func (d *SobotDesk) list(query url.Values) (map[string]any, string, string) {
	from, errFrom := strconv.ParseInt(query.Get("update_start_datetime_ms"), 10, 64)
	to, errTo := strconv.ParseInt(query.Get("update_end_datetime_ms"), 10, 64)
	page, errPage := strconv.Atoi(cmp.Or(query.Get("page_no"), "1"))
	size, errSize := strconv.Atoi(cmp.Or(query.Get("page_size"), "15"))
	switch {
	case errFrom != nil || errTo != nil || from > to:
		return nil, sobotRefused, "更新时间错误"
	case to-from > sobotMaxSpan.Milliseconds():
		return nil, sobotRefused, "时间跨度不能超过一个月"
	case errPage != nil || page < 1:
		return nil, sobotRefused, "page_no错误"
	case errSize != nil || size < 1 || size > sobotMaxPage:
		return nil, sobotRefused, "page_size最大50"
	}
	var in []SobotTicket
	for _, t := range d.Tickets() {
		status, partner := query.Get("ticket_status"), query.Get("user_partnerid")
		if at := t.Modified.UnixMilli(); at < from || at > to || status != "" && status != strconv.Itoa(t.Status) || partner != "" && partner != t.Account.ID {
			continue
		}
		in = append(in, t)
	}
	slices.SortFunc(in, func(a, b SobotTicket) int { return cmp.Or(a.Modified.Compare(b.Modified), cmp.Compare(a.ID, b.ID)) })
	rows := []any{}
	for _, t := range in[min((page-1)*size, len(in)):min(page*size, len(in))] {
		rows = append(rows, d.row(t, false))
	}
	return map[string]any{
		"items": rows, "page_no": page, "page_size": size, "page_count": (len(in) + size - 1) / size, "total_count": len(in),
	}, "", ""
}

// one serves get_ticket_by_id.
func (d *SobotDesk) one(id string) (map[string]any, string, string) {
	for _, t := range d.Tickets() {
		if t.ID == id {
			return map[string]any{"item": d.row(t, true)}, "", ""
		}
	}
	return nil, sobotRefused, "工单不存在"
}

// row is a ticket as the desk shows it: in the list, or by itself.
func (d *SobotDesk) row(t SobotTicket, whole bool) map[string]any {
	person := d.world.Person(t.Account.Person)
	phone := t.Account.Phone
	if t.Masked && len(phone) == 11 {
		phone = phone[:3] + "****" + phone[7:]
	}
	starts := map[bool]string{true: "1", false: "0"}
	wall := func(t time.Time) string { return t.In(weidianZone).Format(time.DateTime) }
	row := map[string]any{
		"ticketid": t.ID, "ticket_code": t.Code, "ticket_title": "咨询 " + t.Code, "ticket_content": "演示内容",
		"ticket_from": strconv.Itoa(t.From), "ticket_level": strconv.Itoa(t.Level), "ticket_status": strconv.Itoa(t.Status),
		"start_type": starts[t.ByCustomer], "start_name": person.Name, "ticket_type_name": "售后/退换货",
		"deal_agent_name": "演示客服", "deal_group_name": "售后组",
		"create_datetime": wall(t.Created), "create_datetime_ms": t.Created.UnixMilli(),
		"update_datetime": wall(t.Modified), "update_datetime_ms": t.Modified.UnixMilli(),
		"user_nick": t.Account.Nick, "user_name": person.Name, "user_tels": phone, "user_emails": "",
		"score": nil, "remark": "",
	}
	if t.Score > 0 {
		row["score"] = t.Score
	}
	if d.opts.NamesUsers {
		row["userid"], row["user_partnerid"] = "su"+d.world.hide("sobot user", t.Account.Person), t.Account.ID
	}
	if whole {
		deals := []any{map[string]any{"start_type": starts[t.ByCustomer], "create_datetime_ms": t.Created.UnixMilli()}}
		if !t.ByCustomer {
			deals = nil // opening is no answer
		}
		if !t.Answered.IsZero() {
			deals = append(deals, map[string]any{"start_type": "0", "create_datetime_ms": t.Answered.UnixMilli()})
		}
		row["deal_list"], row["update_log_list"] = deals, []any{}
	}
	return row
}
