package membership

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/tmall"
	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/customer/profile"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/schemas/events"
)

const (
	appKey = "23000001"
	secret = "secret-demo-0001"
	mixKey = "mix-demo-0001"
	// Invented numbers.
	phoneP, phoneQ = "13912345671", "15012345672"
)

var start = time.Date(2026, 11, 11, 2, 0, 0, 0, time.UTC)

// rig is a service over an engine in memory; what it publishes reaches the
// engine when resolve is called.
type rig struct {
	t       testing.TB
	service *Service
	engine  *engine.Engine
	keys    *keyring.Ring
	server  *httptest.Server
	log     bytes.Buffer
	now     time.Time

	mu        sync.Mutex
	away      error // what publishing ends with
	lose      bool  // it was written all the same
	published []*events.Event
	ids       []string // ce_id of each
	resolved  int
	sequence  uint64
	outcomes  map[string]int
}

// Publish implements Publisher.
func (r *rig) Publish(_ context.Context, messages []kafka.Message) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != nil && !r.lose {
		return r.away
	}
	for _, m := range messages {
		e := new(events.Event)
		if err := events.Decode(m.Value, e); err != nil {
			r.t.Error(err)
		}
		r.published = append(r.published, e)
		for _, h := range m.Headers {
			if h.Key == "ce_id" {
				r.ids = append(r.ids, string(h.Value))
			}
		}
	}
	return r.away
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, now: start, outcomes: map[string]int{}}
	var err error
	if r.keys, err = keyring.Create(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	rules := identity.DefaultRules()
	if r.engine, err = engine.New(engine.NewMemory(), rules); err != nil {
		t.Fatal(err)
	}
	hash := func(kind identity.IdentifierType, scope, value string) identity.Hash {
		return r.keys.Hash(string(kind), scope, value)
	}
	r.service = &Service{
		Known: &profile.State{Engine: r.engine}, Publisher: r, Topics: events.TopicsOf("b"), Keys: r.keys,
		Extract: &extract.Extractor{Hash: hash, Rules: rules, MixMobileKey: mixKey},
		Points:  Constant(Standing{Points: 120, Level: "2", Card: "C1"}),
		Log:     slog.New(slog.NewTextHandler(&r.log, nil)), Now: func() time.Time { return r.now },
		Count: func(platform, _ string, kind connectors.MembershipKind, outcome connectors.MembershipOutcome, _ time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.outcomes[platform+" "+string(kind)+" "+string(outcome)]++
		},
	}
	mux := http.NewServeMux()
	t1, err := tmall.New("s1", tmall.Config{AppKey: appKey, AppSecret: secret, Session: "x"})
	if err != nil {
		t.Fatal(err)
	}
	d1, err := douyin.New("4463798", douyin.Config{AppKey: appKey, AppSecret: secret})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/spi/tmall/s1", r.service.Shop("tmall", "s1", t1))
	mux.Handle("/spi/douyin/4463798/{call}", r.service.Shop("douyin", "4463798", d1))
	r.server = httptest.NewServer(mux)
	t.Cleanup(r.server.Close)
	return r
}

// resolve gives the engine what was published since.
func (r *rig) resolve() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var updates []engine.Update
	for _, e := range r.published[r.resolved:] {
		person, err := events.OpenPerson(e, r.keys)
		if err != nil {
			r.t.Fatal(err)
		}
		e.Header.Person = person
		found := r.service.Extract.Extract(e)
		updates = append(updates, engine.Update{Account: found.Account, Evidence: found.Evidence})
	}
	r.resolved = len(r.published)
	r.sequence++
	if _, err := r.engine.Apply(r.sequence, updates, nil); err != nil {
		r.t.Fatal(err)
	}
	r.engine.Delivered(r.sequence)
}

// forget makes the service one that was started anew.
func (r *rig) forget() { r.service.recent = recent{} }

// tmall makes a call as the member centre does, at a moment.
func (r *rig) tmall(method string, at time.Time, params map[string]string) map[string]any {
	r.t.Helper()
	return r.tmallStatus(method, at, params, http.StatusOK)
}

func (r *rig) tmallStatus(method string, at time.Time, params map[string]string, status int) map[string]any {
	r.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		r.t.Fatal(err)
	}
	query := map[string]string{"app_key": appKey, "method": method, "timestamp": at.In(time.FixedZone("", 8*3600)).Format(time.DateTime)}
	base := secret
	for _, name := range slices.Sorted(maps.Keys(query)) {
		base += name + query[name]
	}
	sum := md5.Sum([]byte(base + string(body) + secret))
	values := url.Values{"sign": {strings.ToUpper(hex.EncodeToString(sum[:]))}}
	for name, value := range query {
		values.Set(name, value)
	}
	return r.post("/spi/tmall/s1?"+values.Encode(), body, status)
}

// douyin makes a call as 会员通 does, at a moment.
func (r *rig) douyin(call string, at time.Time, params map[string]any) map[string]any {
	r.t.Helper()
	path, body := r.douyinCall(call, at, params)
	return r.post(path, body, http.StatusOK)
}

// douyinCall is such a call: its address and its body.
func (r *rig) douyinCall(call string, at time.Time, params map[string]any) (string, []byte) {
	r.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		r.t.Fatal(err)
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	sum := md5.Sum([]byte(secret + "app_key" + appKey + "param_json" + string(body) + "timestamp" + stamp + secret))
	query := url.Values{"app_key": {appKey}, "timestamp": {stamp}, "sign": {hex.EncodeToString(sum[:])}}
	return "/spi/douyin/4463798/" + call + "?" + query.Encode(), body
}

func (r *rig) post(path string, body []byte, status int) map[string]any {
	r.t.Helper()
	response, err := http.Post(r.server.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	var answer map[string]any
	if err != nil || response.StatusCode != status || json.Unmarshal(text, &answer) != nil {
		r.t.Fatalf("%s: %s", response.Status, text)
	}
	return answer
}

// code is what an answer says.
func code(answer map[string]any) string {
	for name, value := range answer {
		if strings.HasSuffix(name, "_code") {
			return fmt.Sprint(value)
		}
	}
	if data, ok := answer["data"].(map[string]any); ok {
		return fmt.Sprint(data["error_code"])
	}
	return ""
}

func (r *rig) want(answer map[string]any, want string) {
	r.t.Helper()
	if got := code(answer); got != want {
		r.t.Fatalf("answered %q, want %q: %v\n%s", got, want, answer, r.log.String())
	}
}

// wantEvents checks how many different events were published.
func (r *rig) wantEvents(want int) {
	r.t.Helper()
	different := slices.Clone(r.ids)
	slices.Sort(different)
	if got := len(slices.Compact(different)); got != want {
		r.t.Fatalf("%d different events in %d, want %d", got, len(r.ids), want)
	}
}

func buyer(id, phone string) map[string]string {
	return map[string]string{"ouid": id, "open_id": "o" + id, "omid": "m" + id, "mobile": phone, "nick": "t**", "seller_name": "shop"}
}

// A bind that comes again, signed anew, is the same event: before and after it
// is resolved, in a process that was started anew, and when Kafka had failed.
func TestBindAgainIsOneEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.away, r.lose = errors.New("timeout"), true
	r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("a", phoneP)), "E04")
	r.away, r.lose = nil, false
	for n := range 9 {
		r.now = start.Add(time.Duration(n+1) * time.Minute)
		r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("a", phoneP)), "SUC")
		if n > 3 {
			r.resolve()
		}
		if n > 5 {
			r.forget()
		}
	}
	r.wantEvents(1)
}

// The member of one platform is the member of the other with the same phone,
// once both have told.
func TestBindJoinsPlatforms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	answer := r.tmall("tmall.mei.crm.member.register", r.now, buyer("a", phoneP))
	r.want(answer, "SUC")
	answer = r.douyin("join", r.now, map[string]any{"open_id": "1@#b", "mobile": phoneP, "shop_id": 4463798, "union_id": "u"})
	r.want(answer, "0")
	if data := answer["data"].(map[string]any); data["level"] != 2.0 || data["point_cent"] != 12000.0 {
		t.Errorf("the answer carries %v", data)
	}
	r.resolve()
	a, _ := r.engine.CustomerOf(identity.Account{Platform: "tmall", Shop: "s1", ID: "a"})
	b, ok := r.engine.CustomerOf(identity.Account{Platform: "douyin", Shop: "4463798", ID: "1@#b"})
	if !ok || a != b {
		t.Errorf("they are two customers")
	}
	answer = r.tmall("tmall.mei.crm.member.query", r.now, buyer("a", phoneP))
	r.want(answer, "SUC")
	want := map[string]any{"point": "120", "level": "2", "nick": "t**", "mobile": phoneP, "extend": `{"card_no":"C1"}`}
	if got := answer["member"].(map[string]any); !maps.Equal(got, want) {
		t.Errorf("the member is %v, want %v", got, want)
	}
	r.wantEvents(3) // the query is evidence of the ids
	r.want(r.tmall("tmall.mei.crm.member.query", r.now.Add(time.Minute), buyer("a", phoneP)), "SUC")
	r.wantEvents(3)
}

// Leaving ends the membership, and joining again begins it anew.
func TestLeaveAndJoinAgain(t *testing.T) {
	t.Parallel()
	for _, resolved := range []bool{false, true} {
		r := newRig(t)
		step := func(method, want string) {
			t.Helper()
			r.now = r.now.Add(time.Minute)
			r.want(r.tmall(method, r.now, buyer("a", phoneP)), want)
			if resolved {
				r.resolve()
				r.forget()
			}
		}
		step("tmall.mei.crm.member.query", "E01")
		step("tmall.mei.crm.bind", "SUC")
		step("tmall.mei.crm.member.query", "SUC")
		step("tmall.mei.crm.unbind", "SUC")
		step("tmall.mei.crm.unbind", "SUC")
		step("tmall.mei.crm.member.query", "E02")
		step("tmall.mei.crm.bind", "SUC")
		step("tmall.mei.crm.bind", "SUC")
		step("tmall.mei.crm.member.query", "SUC")
		r.wantEvents(4) // the first query, and three changes
		if last := r.published[len(r.published)-1]; !last.GetUser().GetMember() || last.GetUser().GetMemberSinceMs() == 0 {
			t.Errorf("the last event is %v", last.GetUser())
		}
	}
}

// A joining that comes after the leaving that followed it changes nothing, and
// does not hide the joining anew.
func TestLateJoinThenJoinAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(r.tmall("tmall.mei.crm.unbind", r.now.Add(20*time.Second), buyer("a", phoneP)), "SUC")
	r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("a", phoneP)), "SUC")
	r.want(r.tmall("tmall.mei.crm.member.query", r.now, buyer("a", phoneP)), "E02")
	r.want(r.tmall("tmall.mei.crm.bind", r.now.Add(40*time.Second), buyer("a", phoneP)), "SUC")
	r.want(r.tmall("tmall.mei.crm.member.query", r.now, buyer("a", phoneP)), "SUC")
}

// Whatever the order and the repetition of the calls that a member made one
// after the other, the membership is what the last of them says.
func TestAnyOrderOfCalls(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		r := newRig(t)
		phones := []string{phoneP, phoneQ}
		calls := []func(){func() {
			r.want(r.douyin("join", start, map[string]any{"open_id": "a", "mobile": phoneP}), "0")
		}}
		for n := range random.IntN(3) {
			at := start.Add(time.Duration(n+1) * time.Second)
			calls = append(calls, func() {
				r.want(r.douyin("update", at, map[string]any{"open_id": "a", "update_time": strconv.FormatInt(at.Unix(), 10),
					"info": map[string]any{"mobile": map[string]any{"old_mobile": phones[n%2], "new_mobile": phones[(n+1)%2]}}}), "0")
			})
		}
		left := random.IntN(2) == 0
		if left {
			calls = append(calls, func() {
				r.want(r.douyin("leave", start.Add(10*time.Second), map[string]any{"open_id": "a"}), "0")
			})
		}
		changes := len(calls)
		for range random.IntN(20) {
			calls = append(calls, calls[random.IntN(changes)])
		}
		random.Shuffle(len(calls), func(i, j int) { calls[i], calls[j] = calls[j], calls[i] })
		for _, call := range calls {
			call()
			if random.IntN(2) == 0 {
				r.resolve()
			}
			if random.IntN(4) == 0 {
				r.resolve()
				r.forget()
			}
		}
		r.resolve()
		account := identity.Account{Platform: "douyin", Shop: "4463798", ID: "a"}
		if k := newKnown(r.engine.EvidenceOf(account)); k.bound() == left {
			t.Fatalf("seed %d: bound is %v after %d calls", seed, k.bound(), len(calls))
		}
		if got := len(slices.Compact(slices.Sorted(slices.Values(r.ids)))); got > changes {
			t.Fatalf("seed %d: %d events of %d changes", seed, got, changes)
		}
	}
}

// A number that somebody else has now does not make one person of both, and a
// change says nothing new of the old number.
func TestPhoneChangesHands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "a", "mobile": phoneP}), "0")
	r.resolve()
	r.now = r.now.AddDate(0, 2, 0)
	change := map[string]any{"open_id": "a", "update_time": strconv.FormatInt(r.now.Unix(), 10), "info": map[string]any{"mobile": map[string]any{"old_mobile": phoneP, "new_mobile": phoneQ}}}
	r.want(r.douyin("update", r.now, change), "0")
	r.resolve()
	a := identity.Account{Platform: "douyin", Shop: "4463798", ID: "a"}
	for _, e := range r.engine.EvidenceOf(a) {
		if e.Identifier == r.service.identifiers("tmall", "s", connectors.Membership{Phone: phoneP})[0] && e.Last != start.Unix() {
			t.Errorf("the old number was seen at %d, want %d", e.Last, start.Unix())
		}
	}
	r.now = r.now.AddDate(0, 5, 0)
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "b", "mobile": phoneP}), "0")
	// On another platform, more than a year after the first had it last.
	r.now = start.AddDate(1, 1, 0)
	r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("c", phoneP)), "SUC")
	r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("d", phoneQ)), "SUC")
	r.resolve()
	of := func(platform, shop, id string) identity.CustomerID {
		c, ok := r.engine.CustomerOf(identity.Account{Platform: platform, Shop: shop, ID: id})
		if !ok {
			t.Fatalf("%s is not there", id)
		}
		return c
	}
	first, second := of("douyin", "4463798", "a"), of("douyin", "4463798", "b")
	if first == second || of("tmall", "s1", "c") == first {
		t.Error("a number that changed hands made one person of two")
	}
	if of("tmall", "s1", "d") != first {
		t.Error("the new number does not join")
	}
}

// A phone that comes encrypted joins nobody and is told to nobody; a change of
// it is news all the same, and once, whatever its ciphertext says.
func TestSealedPhones(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var asked []string
	r.service.Points = func(_ context.Context, about About) (Standing, error) {
		asked = append(asked, about.Phone)
		return Standing{}, nil
	}
	sealed := func(body string) string { return "$$" + body + "==$1$$" }
	r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("t", phoneP)), "SUC")
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "a", "mobile": sealed("UA")}), "0")
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "a", "mobile": sealed("UQ")}), "0")
	r.wantEvents(2)
	r.resolve()
	r.now = r.now.Add(time.Hour)
	for i, body := range []string{"Ug", "Uw", "VA"} { // each time another text of the one number
		r.want(r.douyin("update", r.now.Add(time.Duration(i)*time.Minute), map[string]any{"open_id": "a", "update_time": strconv.FormatInt(r.now.Unix(), 10),
			"info": map[string]any{"mobile": map[string]any{"old_mobile": sealed("UA"), "new_mobile": sealed(body)}}}), "0")
		if i == 1 {
			r.resolve()
			r.forget()
		}
	}
	r.wantEvents(3)
	r.resolve()
	a := identity.Account{Platform: "douyin", Shop: "4463798", ID: "a"}
	for _, e := range r.engine.EvidenceOf(a) {
		if e.Identifier.Type != identity.Membership {
			t.Errorf("a sealed phone is evidence of %s", e.Identifier.Type)
		}
	}
	if slices.ContainsFunc(asked, func(phone string) bool { return phone != "" && phone != phoneP }) {
		t.Error("points are asked for with a ciphertext")
	}
	// By its index it is found again, in the shop.
	indexed := "$QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=$%s==$1$$"
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "b", "mobile": fmt.Sprintf(indexed, "UA")}), "0")
	r.resolve()
	r.want(r.douyin("query", r.now, map[string]any{"open_id": "c", "mobile": fmt.Sprintf(indexed, "UQ")}), "200")
	r.want(r.douyin("query", r.now, map[string]any{"open_id": "d", "mobile": sealed("UQ")}), "200")
	if r.outcomes["douyin query unbound"] != 1 || r.outcomes["douyin query nobody"] != 1 {
		t.Errorf("who asks with a member's index, and with none: %v", r.outcomes)
	}
	if one, other := r.customer("b"), r.customer("a"); one == other {
		t.Error("an index joins")
	}
}

// customer is who a buyer of the Douyin shop is.
func (r *rig) customer(id string) identity.CustomerID {
	r.t.Helper()
	c, ok := r.engine.CustomerOf(identity.Account{Platform: "douyin", Shop: "4463798", ID: id})
	if !ok {
		r.t.Fatalf("%s is not there", id)
	}
	return c
}

// A query that knows the phone by its hash alone finds the member.
func TestQueryByHash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "a", "mobile": phoneP}), "0")
	r.resolve()
	query := map[string]string{"ouid": "x", "mix_mobile": extract.MixMobile(phoneP, mixKey)}
	r.want(r.tmall("tmall.mei.crm.member.bind.query", r.now, query), "E02")
	query["mix_mobile"] = extract.MixMobile(phoneQ, mixKey)
	r.want(r.tmall("tmall.mei.crm.member.bind.query", r.now, query), "E01")
	// A buyer's phone without a consent is no evidence.
	for _, e := range r.published {
		person, err := events.OpenPerson(e, r.keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range person.GetSightings() {
			if e.GetHeader().GetPlatform() == "tmall" && s.GetType() != "tmall_ouid" {
				t.Errorf("a query is evidence of %s", s.GetType())
			}
		}
	}
}

// awayKnown is a state that cannot be asked.
type awayKnown struct{ Known }

func (awayKnown) Evidence(context.Context, []identity.Account) ([]identity.Evidence, error) {
	return nil, errors.New("away")
}

// While something of ours is away, no answer says that all is well; the next
// try succeeds.
func TestNeverAFalseSuccess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bind := func(want string) {
		t.Helper()
		r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("a", phoneP)), want)
	}
	join := func(want string) {
		t.Helper()
		r.want(r.douyin("join", r.now, map[string]any{"open_id": "a", "mobile": phoneQ}), want)
	}
	r.away = errors.New("kafka is away")
	bind("E04")
	join("100")
	r.away = nil
	state := r.service.Known
	r.service.Known = awayKnown{state}
	bind("E04")
	join("100")
	r.service.Known = state
	points := r.service.Points
	r.service.Points = func(context.Context, About) (Standing, error) { return Standing{}, errors.New("away") }
	bind("SUC") // its answer carries no points
	join("100")
	r.want(r.tmall("tmall.mei.crm.member.query", r.now, buyer("a", phoneP)), "E04")
	r.service.Points = points
	join("0")
	r.want(r.tmall("tmall.mei.crm.member.query", r.now, buyer("a", phoneP)), "SUC")
	r.wantEvents(3)
	for _, value := range []string{phoneP, phoneQ, extract.MixMobile(phoneP, mixKey), "t**"} {
		if strings.Contains(r.log.String(), value) {
			t.Errorf("the log holds a personal value:\n%s", r.log.String())
		}
	}
	if got := strings.Count(r.log.String(), "told to try again"); got != 3 {
		t.Errorf("%d lines say that calls are to come again, want one each time that a shop's begin to:\n%s", got, r.log.String())
	}
}

// What is not the platform's, or of no known form, changes nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	body := []byte(`{"ouid":"a","mobile":"` + phoneP + `"}`)
	r.want(r.post("/spi/tmall/s1?method=tmall.mei.crm.bind&sign=0123456789ABCDEF0123456789ABCDEF", body, http.StatusForbidden), "E04")
	r.want(r.post("/spi/tmall/s1?method=tmall.mei.crm.bind", body, http.StatusForbidden), "E04")
	if answer := r.post("/spi/douyin/4463798/join?app_key="+appKey+"&timestamp=1&sign=", body, http.StatusOK); answer["code"] != 100001.0 {
		t.Errorf("answered %v", answer)
	}
	r.want(r.tmallStatus("tmall.mei.crm.bind", r.now.Add(-11*time.Minute), buyer("a", phoneP), http.StatusForbidden), "E04")
	r.want(r.tmall("tmall.mei.crm.bonus", r.now, buyer("a", phoneP)), "E04")
	r.want(r.tmall("tmall.mei.crm.bind", r.now, map[string]string{"mobile": phoneP}), "E04")
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "a", "shop_id": "1"}), "100")
	r.want(r.post("/spi/tmall/s1", bytes.Repeat([]byte("a"), 100_000), http.StatusOK), "E04")
	r.wantEvents(0)
	want := map[string]int{"tmall unknown forged": 3, "tmall unknown malformed": 3, "douyin unknown forged": 1, "douyin unknown malformed": 1}
	if !maps.Equal(r.outcomes, want) {
		t.Errorf("counted %v, want %v", r.outcomes, want)
	}
	if strings.Contains(r.log.String(), phoneP) {
		t.Error("the log holds a phone")
	}
}

// A joining that somebody has seen is no leaving at another address, whose name
// nobody signs; the joining itself may come again.
func TestTheAddressMakesNoOtherCall(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path, body := r.douyinCall("join", r.now, map[string]any{"open_id": "a", "mobile": phoneP})
	r.want(r.post(path, body, http.StatusOK), "0")
	for range 2 {
		r.want(r.post(strings.Replace(path, "/join?", "/leave?", 1), body, http.StatusOK), "100")
		r.now = r.now.Add(3 * time.Minute)
		r.want(r.post(path, body, http.StatusOK), "0")
	}
	r.wantEvents(1)
	// Signed anew it is one.
	r.want(r.douyin("leave", r.now, map[string]any{"open_id": "a", "mobile": phoneP}), "0")
	r.wantEvents(2)
	if r.outcomes["douyin unbind malformed"] != 2 {
		t.Errorf("counted %v", r.outcomes)
	}
}

// A joining that names no shop, and that somebody has seen, is none of another
// shop of the app; nor is it a leaving in another form of its text.
func TestASeenCallStaysAtItsAddress(t *testing.T) {
	t.Parallel()
	var s signatures
	join := connectors.Membership{Kind: connectors.MemberBind, Signature: "A"}
	for range 2 {
		if s.another("douyin", "s", join, start) {
			t.Error("the call itself is another's")
		}
	}
	if !s.another("douyin", "t", join, start) {
		t.Error("it is taken at another shop")
	}
	if s.another("tmall", "t", join, start) {
		t.Error("two platforms share signatures")
	}
	r := newRig(t)
	path, body := r.douyinCall("join", r.now, map[string]any{"open_id": "a", "mobile": phoneP})
	r.want(r.post(path, body, http.StatusOK), "0")
	blank := bytes.Replace(body, []byte("{"), []byte("{ "), 1)
	r.want(r.post(strings.Replace(path, "/join?", "/leave?", 1), blank, http.StatusOK), "100")
	r.wantEvents(1)
}

// heldKnown is a state that answers once it may.
type heldKnown struct {
	Known
	asked chan struct{}
	may   chan struct{}
}

func (h heldKnown) Evidence(ctx context.Context, accounts []identity.Account) ([]identity.Evidence, error) {
	h.asked <- struct{}{}
	<-h.may
	return h.Known.Evidence(ctx, accounts)
}

// However many call at once, so many are worked on; the others are told to come
// again, and are answered when they do.
func TestCallsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.service.Within = time.Minute
	state := r.service.Known
	held := heldKnown{state, make(chan struct{}, atOnce), make(chan struct{})}
	r.service.Known = held
	var calls sync.WaitGroup
	for n := range atOnce {
		path, body := r.douyinCall("join", r.now, map[string]any{"open_id": strconv.Itoa(1 + n), "mobile": phoneP}) // 0 names nobody
		calls.Go(func() {
			response, err := http.Post(r.server.URL+path, "application/json", bytes.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
		})
	}
	for range atOnce {
		<-held.asked
	}
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "one more", "mobile": phoneP}), "100")
	close(held.may)
	calls.Wait()
	r.want(r.douyin("join", r.now, map[string]any{"open_id": "one more", "mobile": phoneP}), "0")
	if r.outcomes["douyin bind done"] != atOnce+1 || r.outcomes["douyin unknown again"] != 1 {
		t.Errorf("counted %v", r.outcomes)
	}
}

// Who asks with a phone is a member whom the brand knows if it is a member's:
// not that of a parcel's receiver, nor everybody's.
func TestWhosePhoneMakesAMember(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bears := func(phone string, role identity.Role, accounts int) {
		var updates []engine.Update
		id := r.service.identifiers("tmall", "s1", connectors.Membership{Phone: phone})[0]
		for n := range accounts {
			account := identity.Account{Platform: "weidian", Shop: "w", ID: phone[len(phone)-4:] + "-" + strconv.Itoa(n)}
			updates = append(updates, engine.Update{Account: account, Evidence: []identity.Evidence{{Identifier: id, Role: role, Source: "weidian", First: 1, Last: 1}}})
		}
		r.sequence++
		if _, err := r.engine.Apply(r.sequence, updates, nil); err != nil {
			t.Fatal(err)
		}
	}
	const receiver, member, everybody = "13912345601", "13912345602", "13912345603"
	bears(receiver, identity.RoleReceiver, 1)
	bears(member, identity.RoleMember, mostBearers)
	bears(everybody, identity.RoleMember, mostBearers+1)
	for n, c := range []struct{ phone, want string }{{receiver, "E01"}, {member, "E02"}, {everybody, "E01"}} {
		r.want(r.tmall("tmall.mei.crm.member.bind.query", r.now, buyer("x"+strconv.Itoa(n), c.phone)), c.want)
	}
}

// slowKnown is a state that does not answer.
type slowKnown struct{ Known }

func (slowKnown) Evidence(ctx context.Context, _ []identity.Account) ([]identity.Evidence, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// What takes longer than the platform waits is told to come again, also a call
// whose body does not come to its end.
func TestAnAnswerComesInTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.service.Within = 50 * time.Millisecond
	r.service.Known = slowKnown{r.service.Known}
	r.want(r.tmall("tmall.mei.crm.bind", r.now, buyer("a", phoneP)), "E04")
	r.wantEvents(0)
	conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /spi/tmall/s1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("a body that does not come: %v", err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); !strings.Contains(string(text), "E04") {
		t.Errorf("a body that does not come: %s", text)
	}
}

// What was remembered of calls is forgotten, some time after it was needed last.
func TestCallsAreForgotten(t *testing.T) {
	t.Parallel()
	var r recent
	var s signatures
	join := connectors.Membership{Kind: connectors.MemberBind, Signature: "A"}
	leave := connectors.Membership{Kind: connectors.MemberUnbind, Signature: "A"}
	a, now := identity.Account{Platform: "douyin", Shop: "s", ID: "a"}, start
	r.acknowledged(a, []identity.Evidence{{Last: 1}}, now)
	s.another("douyin", "s", join, now)
	for range 2 {
		now = now.Add(connectors.MaxCallAge - time.Second)
		r.keep(identity.Account{ID: "another"}, now)
		if len(r.of(a)) != 1 || !s.another("douyin", "s", leave, now) {
			t.Errorf("after %s it is forgotten", now.Sub(start))
		}
	}
	for range 3 {
		now = now.Add(3 * connectors.MaxCallAge)
		r.keep(identity.Account{ID: "another"}, now)
		s.another("douyin", "s", connectors.Membership{Signature: "B"}, now)
	}
	if len(r.of(a)) != 0 || s.another("douyin", "s", leave, now) || len(r.now)+len(r.older) > 2 || len(s.now)+len(s.older) > 4 {
		t.Error("after two hours it is remembered")
	}
}
