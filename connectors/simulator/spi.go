package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// MemberCalls says how a platform calls the brand's server about its members.
type MemberCalls struct {
	// Platform is tmall or douyin, URL the brand's address for its shop, as
	// http://127.0.0.1:8443/spi/tmall/2200000000001.
	Platform, URL string
	// Seed chooses the order, and how often each call is repeated.
	Seed uint64
	// Members is how many members are told of, at most; 0 means all.
	Members int
	// Repeats is how often a call is made at most, 1 to 10.
	Repeats int
	// Parallel is how many calls wait for their answers at once; default 8.
	Parallel int
	// WrongSecret signs with another secret.
	WrongSecret bool
	// Encrypted lets Douyin tell the phone of who joins encrypted, as some
	// contracts have it; that of a change always is. WithIndex puts the search
	// index into these ciphertexts.
	Encrypted, WithIndex bool
	// Now is the platform's clock; default time.Now.
	Now func() time.Time `json:"-"`
}

// MemberReport is what came of MemberCalls.
type MemberReport struct {
	// Members joined, and of these Left have left again, Rejoined have joined
	// anew and Changed have another phone.
	Members  int `json:"members"`
	Left     int `json:"left"`
	Rejoined int `json:"rejoined"`
	Changed  int `json:"changed"`
	// Calls were made: those that were answered as done, told to try again, or
	// refused.
	Calls   int `json:"calls"`
	Done    int `json:"done"`
	Again   int `json:"again"`
	Refused int `json:"refused"`
	// Slow answers came after the 1.2 seconds that the platform waits.
	Slow int `json:"slow"`
	// P50 and P99 are how long answers took.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	// Faults are what was wrong with the form of answers, the first twenty.
	Faults []string `json:"faults"`
}

const (
	// spiPatience is how long a platform waits for an answer.
	spiPatience = 1200 * time.Millisecond
	// spiMostRepeats is how often a platform repeats a call.
	spiMostRepeats = 10
)

// What is called about a member, in no platform's words.
const (
	spiQuery = "query"
	spiJoin  = "join"
	spiLeave = "leave"
	spiPhone = "phone"
)

// spiCall is one call, to be signed at a time.
type spiCall struct {
	what    string
	account Account
	phone   string // the one that the call tells
	old     string
	at      time.Time
}

// CallMembers tells the brand of a platform's members: each joins, some leave,
// some join again, some have another phone. Calls are repeated and shuffled;
// those that a member makes after one another are told apart by their times
// alone, but for a joining anew, which comes after the answers to what was
// before. A query for each comes last.
func (w *World) CallMembers(ctx context.Context, c MemberCalls) (MemberReport, error) {
	if c.Platform != PlatformTmall && c.Platform != PlatformDouyin {
		return MemberReport{}, errors.New("simulator: only tmall and douyin call about members")
	}
	if c.Repeats < 1 || c.Repeats > spiMostRepeats {
		return MemberReport{}, errors.New("simulator: a call is made 1 to 10 times")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Parallel < 1 {
		c.Parallel = 8
	}
	caller := &spiCaller{world: w, calls: c, cipher: newDouyinCipher(douyinCredentials(w).AppSecret, c.WithIndex), client: &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	defer caller.client.CloseIdleConnections()
	random := rand.New(rand.NewPCG(c.Seed, 0))
	began := c.Now().Add(-time.Minute)
	var first, second, last []spiCall
	repeat := func(list []spiCall, call spiCall, anew bool) []spiCall {
		for n := range 1 + random.IntN(c.Repeats) {
			if anew { // signed anew, as after a pause
				call.at = call.at.Add(time.Duration(min(n, 1)) * time.Second)
			}
			list = append(list, call)
		}
		return list
	}
	for a := range w.Accounts(c.Platform) {
		if !a.Member || c.Members > 0 && caller.report.Members == c.Members {
			continue
		}
		caller.report.Members++
		join := spiCall{what: spiJoin, account: a, phone: a.Phone, at: began}
		switch fate := w.SPIFate(a); fate {
		case FateLeft, FateRejoined:
			first = repeat(repeat(first, join, false), spiCall{what: spiLeave, account: a, at: began.Add(20 * time.Second)}, false)
			if fate == FateRejoined {
				caller.report.Rejoined++
				join.at = began.Add(40 * time.Second)
				second = repeat(second, join, true)
			} else {
				caller.report.Left++
			}
		case FateChanged:
			caller.report.Changed++
			join.phone = w.SPIOldPhone(a)
			first = repeat(first, join, false)
			first = repeat(first, spiCall{what: spiPhone, account: a, phone: a.Phone, old: join.phone, at: began.Add(20 * time.Second)}, false)
		default:
			first = repeat(first, join, true)
		}
		last = append(last, spiCall{what: spiQuery, account: a, phone: a.Phone, at: began.Add(50 * time.Second)})
	}
	for _, round := range [][]spiCall{first, second, last} {
		random.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		if err := caller.all(ctx, round); err != nil {
			return caller.report, err
		}
	}
	slices.Sort(caller.took)
	if n := len(caller.took); n > 0 {
		caller.report.P50, caller.report.P99 = caller.took[n/2], caller.took[n*99/100]
	}
	return caller.report, nil
}

// Fate is what a member does after joining.
type Fate int

// The fates.
const (
	FateStays Fate = iota
	FateLeft
	FateRejoined
	FateChanged // Douyin's alone tells of it
)

// SPIFate is what CallMembers lets a member do.
func (w *World) SPIFate(a Account) Fate {
	switch w.hash("fate/"+a.Platform, a.Index) % 10 {
	case 0:
		return FateLeft
	case 1:
		return FateRejoined
	case 2, 3:
		if a.Platform == PlatformDouyin && w.SPIOldPhone(a) != a.Phone {
			return FateChanged
		}
	}
	return FateStays
}

// SPIOldPhone is the number that a member has before the change: one of the
// person's own that is bound nowhere else.
func (w *World) SPIOldPhone(a Account) string { return w.phone(a.Person, 2) }

type spiCaller struct {
	world  *World
	calls  MemberCalls
	client *http.Client
	cipher *douyinCipher

	mu     sync.Mutex
	report MemberReport
	took   []time.Duration
}

// all makes calls, some at the same time.
func (s *spiCaller) all(ctx context.Context, calls []spiCall) error {
	queue := make(chan spiCall)
	var workers sync.WaitGroup
	failed := make(chan error, s.calls.Parallel)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for range s.calls.Parallel {
		workers.Go(func() {
			for call := range queue {
				if err := s.one(ctx, call); err != nil {
					failed <- err
					stop()
					return
				}
			}
		})
	}
	for _, call := range calls {
		select {
		case queue <- call:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return ctx.Err()
	}
}

// one makes a call and looks at its answer.
func (s *spiCaller) one(ctx context.Context, call spiCall) error {
	request, err := s.request(ctx, call)
	if err != nil {
		return err
	}
	began := time.Now()
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("simulator: calling the brand: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if closed := response.Body.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("simulator: reading the brand's answer: %w", err)
	}
	took := time.Since(began)
	outcome, fault := tmallSPIAnswer(call, response.StatusCode, body)
	if s.calls.Platform == PlatformDouyin {
		outcome, fault = douyinSPIAnswer(call, response.StatusCode, body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Calls++
	s.took = append(s.took, took)
	if took > spiPatience {
		s.report.Slow++
	}
	switch outcome {
	case spiDone:
		s.report.Done++
	case spiAgain:
		s.report.Again++
	default:
		s.report.Refused++
	}
	if fault != "" && len(s.report.Faults) < 20 {
		s.report.Faults = append(s.report.Faults, call.what+": "+fault)
	}
	return nil
}

func (s *spiCaller) request(ctx context.Context, call spiCall) (*http.Request, error) {
	address, err := url.Parse(s.calls.URL)
	if err != nil {
		return nil, errors.New("simulator: the brand's address is none")
	}
	secret := ""
	if s.calls.WrongSecret {
		secret = "wrong"
	}
	var body []byte
	if s.calls.Platform == PlatformTmall {
		credentials := TmallCredentialsOf(s.world)
		address.RawQuery, body = tmallSPI(call, credentials.AppKey, credentials.AppSecret+secret)
	} else {
		app := douyinCredentials(s.world)
		address.Path += "/" + map[string]string{spiQuery: "query", spiJoin: "join", spiLeave: "leave", spiPhone: "update"}[call.what]
		sealed := call
		sealed.old, sealed.phone = s.cipher.seal(douyinPhone, call.old), s.cipher.seal(douyinPhone, call.phone)
		if call.what == spiJoin && !s.calls.Encrypted {
			sealed = call
		}
		address.RawQuery, body = douyinSPI(sealed, app.AppKey, app.AppSecret+secret, s.world.Shop(PlatformDouyin).ID)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err == nil {
		request.Header.Set("Content-Type", "application/json;charset=UTF-8")
		request.Header.Set("top-sign-list", "x-demo-trace")
		request.Header.Set("x-demo-trace", "t"+strconv.FormatInt(call.at.Unix(), 10))
	}
	return request, err
}

// How a platform reads an answer.
const (
	spiDone    = "done"
	spiAgain   = "again"
	spiRefused = "refused"
)

// tmallSPI is the query and the body of a call of Tmall's member centre. A
// query carries the phone as mix_mobile alone for one account in two.
func tmallSPI(call spiCall, appKey, secret string) (query string, body []byte) {
	method := map[string]string{spiQuery: "tmall.mei.crm.member.query", spiJoin: "tmall.mei.crm.bind", spiLeave: "tmall.mei.crm.unbind"}[call.what]
	if call.what == spiQuery && call.account.Index%3 == 0 {
		method = "tmall.mei.crm.member.bind.query"
	}
	params := map[string]string{"seller_name": "演示旗舰店", "nick": tmallMask(call.account.Nick), "ouid": call.account.ID, "omid": call.account.OMID, "open_id": call.account.OpenUID}
	if call.phone != "" {
		params["mix_mobile"] = TmallMixMobile(call.phone)
		if call.what != spiQuery || call.account.Index%2 == 0 {
			params["mobile"] = call.phone
		}
	}
	text := jsonText(params)
	system := url.Values{"app_key": {appKey}, "method": {method}, "timestamp": {tmallTime(call.at)}, "v": {"2.0"}, "sign_method": {"md5"}}
	signed := url.Values{"x-demo-trace": {"t" + strconv.FormatInt(call.at.Unix(), 10)}}
	for name, values := range system {
		signed[name] = values
	}
	names := make([]string, 0, len(signed))
	for name := range signed {
		names = append(names, name)
	}
	slices.Sort(names)
	base := secret
	for _, name := range names {
		base += name + signed.Get(name)
	}
	sum := md5.Sum([]byte(base + text + secret)) // as the platform does
	system.Set("sign", strings.ToUpper(hex.EncodeToString(sum[:])))
	return system.Encode(), []byte(text)
}

// TmallMixKey is the key of mix_mobile of every world's brand.
const TmallMixKey = "demo-mix-key"

// TmallMixMobile is the hash under which Tmall tells a phone.
func TmallMixMobile(phone string) string {
	inner := md5.Sum([]byte("tmall" + phone + TmallMixKey)) // as the platform does
	outer := md5.Sum([]byte(hex.EncodeToString(inner[:])))
	return hex.EncodeToString(outer[:])
}

// tmallSPIAnswer reads an answer as the member centre does.
func tmallSPIAnswer(call spiCall, status int, body []byte) (outcome, fault string) {
	var answer map[string]json.RawMessage
	if status != http.StatusOK {
		return spiRefused, ""
	}
	if json.Unmarshal(body, &answer) != nil {
		return spiAgain, "the answer is no JSON object"
	}
	name := map[string]string{spiQuery: "query_code", spiJoin: "bind_code", spiLeave: "unbind_code"}[call.what]
	var code string
	if json.Unmarshal(answer[name], &code) != nil {
		return spiAgain, "the answer has no " + name
	}
	switch code {
	case "SUC":
		if call.what != spiQuery {
			return spiDone, ""
		}
		var member map[string]string
		if json.Unmarshal(answer["member"], &member) != nil {
			return spiDone, "member is no object of texts"
		}
		for _, field := range []string{"point", "level", "nick", "mobile", "extend"} {
			if _, ok := member[field]; !ok {
				return spiDone, "member lacks " + field
			}
		}
		if _, err := strconv.ParseInt(member["point"], 10, 64); err != nil {
			return spiDone, "point is no number"
		}
		if !json.Valid([]byte(member["extend"])) {
			return spiDone, "extend is no JSON"
		}
		return spiDone, ""
	case "E01", "E02":
		return spiRefused, ""
	case "E04":
		return spiAgain, ""
	}
	return spiAgain, "the code is none that is known"
}

// douyinSPI is the query and the body of a call of Douyin's 会员通. A phone
// change carries its own time; one call in two is signed by sign_v2.
func douyinSPI(call spiCall, appKey, secret, shop string) (query string, body []byte) {
	params := map[string]any{"open_id": call.account.ID, "shop_id": shop, "union_id": call.account.UnionID}
	switch call.what {
	case spiJoin:
		params["mobile"], params["activity_id"], params["referrer"] = call.phone, "a1", "<a&b>"
	case spiPhone:
		params["info"] = map[string]any{"mobile": map[string]any{"old_mobile": call.old, "new_mobile": call.phone}}
		params["update_time"] = strconv.FormatInt(call.at.Unix(), 10)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(call.account.Index%3 == 0)
	_ = encoder.Encode(params) // texts always have a JSON form
	body = bytes.TrimSpace(text.Bytes())
	stamp := strconv.FormatInt(call.at.Unix(), 10)
	base := []byte(secret + "app_key" + appKey + "param_json" + string(body) + "timestamp" + stamp + secret)
	system := url.Values{"app_key": {appKey}, "timestamp": {stamp}}
	name := "sign"
	if call.account.Index%2 == 0 {
		name = "sign_v2"
		system.Set("sign", "0")
	}
	if call.account.Index%4 < 2 {
		system.Set("sign_method", "hmac-sha256")
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write(base) // a hash takes everything
		system.Set(name, hex.EncodeToString(mac.Sum(nil)))
	} else {
		sum := md5.Sum(base) // as the platform does
		system.Set(name, hex.EncodeToString(sum[:]))
	}
	return system.Encode(), body
}

// douyinSPIAnswer reads an answer as Douyin does.
func douyinSPIAnswer(call spiCall, status int, body []byte) (outcome, fault string) {
	var answer struct {
		Code    *int    `json:"code"`
		Message *string `json:"message"`
		Data    *struct {
			Code        *int            `json:"error_code"`
			Description *string         `json:"description"`
			Level       json.RawMessage `json:"level"`
		} `json:"data"`
	}
	if status != http.StatusOK {
		return spiAgain, "the answer has another status than 200"
	}
	if json.Unmarshal(body, &answer) != nil || answer.Code == nil || answer.Message == nil {
		return spiAgain, "the answer has no code and message"
	}
	if *answer.Code == 100001 {
		return spiRefused, ""
	}
	if *answer.Code != 0 || answer.Data == nil || answer.Data.Code == nil || answer.Data.Description == nil {
		return spiAgain, "the answer has no error_code and description"
	}
	switch *answer.Data.Code {
	case 0:
		if call.what == spiJoin && answer.Data.Level == nil {
			return spiDone, "the answer to a joining has no level"
		}
		return spiDone, ""
	case 100:
		return spiAgain, ""
	case 200:
		return spiRefused, ""
	}
	return spiAgain, "the error_code is none that is known"
}
