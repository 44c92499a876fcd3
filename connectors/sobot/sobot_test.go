package sobot

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/internal/golden"
	"oneid/schemas/events"
)

func TestSignaturesAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	if got := tokenSign("appid01", "1700000000", "appkey01"); got != "2b6dd579ea7afd6dd7bb20db90aee660" {
		t.Errorf("the token's signature is %s", got)
	}
	if got := pushSign("company01", "1700000000000", "secret01", []byte("PARAM")); got != "66216c80c9febf8e03d5469dd91a31fd" {
		t.Errorf("a push's signature is %s", got)
	}
}

// offline is a connector that calls nobody.
func offline(t testing.TB, cfg Config) *Connector {
	t.Helper()
	cfg.AppID, cfg.AppKey, cfg.CompanyID, cfg.PushSecret = "appid01", "appkey01", "company01", "secret01"
	c, err := New("desk", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func recordOf(raw []byte) connectors.Record {
	return connectors.Record{Stream: Tickets, Shop: "desk", Raw: raw, Observed: time.Date(2026, 1, 6, 1, 0, 0, 0, time.UTC)}
}

// TestMap compares events with files: go test -update writes them anew.
func TestMap(t *testing.T) {
	t.Parallel()
	c := offline(t, Config{PartnerIDType: "weidian_buyer_id", PartnerIDScope: "my-weidian"})
	for file, raw := range golden.Inputs(t, "testdata/tickets/*.json") {
		mapped, err := c.Map(recordOf(raw))
		if err != nil || len(mapped) != 1 {
			t.Errorf("%s: %d events, %v", file, len(mapped), err)
			continue
		}
		e := mapped[0]
		wantSound(t, e)
		if !bytes.Equal(e.GetHeader().GetRaw(), raw) {
			t.Errorf("%s: the raw payload was changed", file)
		}
		e.Header.Raw = nil
		line, err := protojson.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := json.Indent(&out, line, "", " "); err != nil {
			t.Fatal(err)
		}
		out.WriteByte('\n')
		golden.Equal(t, file+".event", out.Bytes())
	}
}

// wantSound checks what holds of every event, whatever the record was.
func wantSound(t *testing.T, e *events.Event) {
	t.Helper()
	h := e.GetHeader()
	if h.GetEntityId() == "" || h.GetAccount() == "" || h.GetVersion().GetModifiedMs() <= 0 {
		t.Errorf("the header is not complete: entity %q, account %q", h.GetEntityId(), h.GetAccount())
	}
	for _, s := range h.GetPerson().GetSightings() {
		if s.GetType() == "phone" && !plainPhone.MatchString(s.GetValue()) || strings.Contains(s.GetValue(), "*") && s.GetType() == "email" {
			t.Error("a sighting that is not in clear")
		}
		if strings.Contains(h.GetAccount(), s.GetValue()) && (s.GetType() == "phone" || s.GetType() == "email") && !strings.HasPrefix(h.GetAccount(), "user:") && !strings.HasPrefix(h.GetAccount(), "partner:") {
			t.Error("the account's id tells the phone or the e-mail")
		}
	}
	if s := e.GetTicket().GetSatisfaction(); s < 0 || s > 5 {
		t.Errorf("satisfaction %d", s)
	}
	b, err := proto.Marshal(e)
	var back events.Event
	if err != nil {
		return // invalid UTF-8 cannot come out of a JSON text
	}
	if err := proto.Unmarshal(b, &back); err != nil || !proto.Equal(e, &back) {
		t.Errorf("the event does not survive its codec: %v", err)
	}
}

func FuzzMap(f *testing.F) {
	c := offline(f, Config{})
	for _, raw := range golden.Inputs(&testing.T{}, "testdata/tickets/*.json") {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		mapped, err := c.Map(recordOf(raw))
		if err != nil {
			return
		}
		for _, e := range mapped {
			wantSound(t, e)
		}
	})
}

func TestWhatIsNoTicketIsRefusedWithoutAValue(t *testing.T) {
	t.Parallel()
	c := offline(t, Config{})
	for _, raw := range []string{`[]`, `{"ticketid":"","user_tels":"13900001234"}`, `{"ticketid":"t"}`, `{"ticketid":"t","update_datetime_ms":"13900001234x"}`, `{"ticketid":"t`} {
		if _, err := c.Map(recordOf([]byte(raw))); err == nil || strings.Contains(err.Error(), "1390000") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// A brand that hands its customers' phones or e-mails to the desk as their ids
// finds none of them in an account: one contact is one account, by whichever field
// it comes.
func TestNoAccountTellsAContact(t *testing.T) {
	t.Parallel()
	c := offline(t, Config{})
	account := func(fields string) string {
		t.Helper()
		mapped, err := c.Map(recordOf([]byte(`{"ticketid":"t","update_datetime_ms":1767603600000,` + fields + `}`)))
		if err != nil {
			t.Fatal(err)
		}
		return mapped[0].GetHeader().GetAccount()
	}
	phone, email := account(`"user_tels":"13900001234"`), account(`"user_emails":"buyer@example.com"`)
	for id, want := range map[string]string{
		"13900001234": phone, "+8613900001234": phone, "86-13900001234": phone, "139 0000 1234": phone, " 139-0000-1234 ": phone,
		"buyer@example.com": email, "Buyer@Example.com": email, "+33612345678": account(`"user_tels":"+33612345678"`),
		"c-1390": "c-1390", "2200000000001": "2200000000001", "139****1234": account(`"user_tels":""`), "1390000123": "1390000123",
	} {
		for field, whose := range map[string]string{"user_partnerid": "partner:", "userid": "user:"} {
			wanted := want
			if want == id {
				wanted = whose + id
			}
			if got := account(`"` + field + `":"` + id + `"`); got != wanted {
				t.Errorf("%s %q makes the account %q, want %q", field, id, got, wanted)
			}
		}
	}
	if number := account(`"user_partnerid":13900001234`); number != phone {
		t.Errorf("a phone that is a JSON number makes the account %q", number)
	}
}

// What staff typed joins only where the settings say so.
func TestStaffsTicketsJoinOnDemand(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"ticketid":"t","update_datetime_ms":1767603600000,"start_type":"0","user_tels":"13900001234"}`)
	for joins, want := range map[bool]events.Role{false: events.Role_ROLE_AGENT, true: events.Role_ROLE_BUYER} {
		mapped, err := offline(t, Config{StaffTicketsJoin: joins}).Map(recordOf(raw))
		if err != nil || mapped[0].GetHeader().GetPerson().GetSightings()[0].GetRole() != want {
			t.Errorf("%v: %v, %v", joins, mapped, err)
		}
	}
}

// desk is a simulated desk with its connector.
func desk(t *testing.T, cfg Config, opts simulator.SobotOptions) (*Connector, *simulator.SobotDesk) {
	t.Helper()
	return deskOf(t, 600, cfg, opts)
}

func deskOf(t *testing.T, people int, cfg Config, opts simulator.SobotOptions) (*Connector, *simulator.SobotDesk) {
	t.Helper()
	now := time.Now()
	world, err := simulator.New(simulator.Config{People: people, Seed: 5, From: now.Add(-9 * 24 * time.Hour), Until: now.Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	d := simulator.Sobot(world, opts)
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	keys := simulator.SobotCredentialsOf(world)
	cfg.URL, cfg.AppID, cfg.AppKey, cfg.CompanyID, cfg.PushSecret = server.URL, keys.AppID, keys.AppKey, keys.CompanyID, keys.PushSecret
	cfg.BackfillDays, cfg.RequestsPerSecond = 10, 10000
	c, err := New("desk", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

// versions are the latest versions of the tickets in some pages.
func versions(t *testing.T, c *Connector, records []connectors.Record) map[string]int64 {
	t.Helper()
	out := make(map[string]int64)
	for _, r := range records {
		mapped, err := c.Map(r)
		if err != nil {
			t.Fatal(err)
		}
		h := mapped[0].GetHeader()
		out[h.GetEntityId()] = max(out[h.GetEntityId()], h.GetVersion().GetModifiedMs())
	}
	return out
}

// truth is what the desk has.
func truth(d *simulator.SobotDesk) map[string]int64 {
	out := make(map[string]int64)
	for _, ticket := range d.Tickets() {
		out[ticket.ID] = ticket.Modified.UnixMilli()
	}
	return out
}

// read reads pages from a cursor, at most so many; 0 is all.
func read(t *testing.T, c *Connector, from connectors.Cursor, most int) ([]connectors.Record, connectors.Cursor, error) {
	t.Helper()
	var records []connectors.Record
	for page, err := range c.Read(t.Context(), Tickets, from) {
		if err != nil {
			return records, from, err
		}
		if len(page.Bad) > 0 {
			t.Errorf("%d bad rows: %v", len(page.Bad), page.Bad[0].Err)
		}
		records = append(records, page.Records...)
		if page.Next != "" {
			from = page.Next
		}
		if most--; most == 0 {
			break
		}
	}
	return records, from, nil
}

func TestEveryTicketIsReadAndMapped(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]simulator.SobotOptions{"customers without an id": {}, "customers with ids": {NamesUsers: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, d := desk(t, Config{PageSize: 7}, opts)
			if err := c.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			records, _, err := read(t, c, "", 0)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := versions(t, c, records), truth(d); !maps.Equal(got, want) {
				t.Errorf("%d tickets were read of %d, or in other versions", len(got), len(want))
			}
			of := make(map[string]*events.Event)
			for _, r := range records {
				mapped, _ := c.Map(r)
				of[mapped[0].GetHeader().GetEntityId()] = mapped[0]
			}
			accounts := make(map[string]string) // the desk's customer by the buyer's phone
			for _, want := range d.Tickets() {
				e := of[want.ID]
				got, h := e.GetTicket(), e.GetHeader()
				answered := int64(0)
				if !want.Answered.IsZero() {
					answered = want.Answered.UnixMilli()
				}
				if got.GetPlatformStatus() != strconv.Itoa(want.Status) || int(got.GetSatisfaction()) != want.Score || got.GetFirstAnswerMs() != answered ||
					got.GetCreatedMs() != want.Created.UnixMilli() || (got.GetSolvedMs() != 0) != (want.Status == 3 || want.Status == 99) || got.GetSubject() != "售后/退换货" || got.GetChannel() == "" {
					t.Errorf("ticket %+v became %v", want, got)
				}
				phones := 0
				for _, s := range h.GetPerson().GetSightings() {
					if s.GetType() == "phone" {
						phones++
					}
				}
				if want.Masked != (phones == 0) {
					t.Errorf("masked %v, %d phones", want.Masked, phones)
				}
				if want.Masked && !opts.NamesUsers {
					continue
				}
				if before := accounts[want.Account.Phone]; before != "" && before != h.GetAccount() && !opts.NamesUsers {
					t.Errorf("one customer has the accounts %s and %s", before, h.GetAccount())
				}
				accounts[want.Account.Phone] = h.GetAccount()
			}
			if len(accounts) >= len(of) {
				t.Error("no customer has two tickets: the test tells nothing of their accounts")
			}
		})
	}
}

// Tickets change before each third page; the process ends after any page and
// goes on from its cursor; the desk fails one call in twenty in every way it
// can, and its clock is not ours. In the end every ticket was read in its last
// version.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			skew := []int{0, 900, -900}[seed]
			var pages atomic.Uint64
			var changing atomic.Bool
			var d *simulator.SobotDesk
			opts := simulator.SobotOptions{Faults: simulator.Faults{Seed: seed, Rate: 0.05, SlowMS: 5, SkewSeconds: skew}}
			opts.BeforePage = func() {
				if n := pages.Add(1); changing.Load() && n%3 == 0 {
					d.Change(n*977, time.Now().Add(time.Duration(skew)*time.Second))
				}
			}
			zero := 0
			c, made := deskOf(t, 100, Config{PageSize: 3, SettleSeconds: &zero}, opts)
			d = made
			changing.Store(true)
			got := make(map[string]int64)
			var cursor connectors.Cursor
			for n, end := 1, time.Now().Add(time.Minute); ; n++ {
				records, next, err := read(t, c, cursor, 1+n%11)
				for id, version := range versions(t, c, records) {
					got[id] = max(got[id], version)
				}
				cursor = next
				if n > 15 {
					changing.Store(false)
					if maps.Equal(got, truth(d)) {
						break
					}
				}
				if time.Now().After(end) {
					t.Fatalf("%d of %d tickets were read after %d lists, or not in their last versions; the last error is %v", len(got), len(truth(d)), pages.Load(), err)
				}
				// A new process, which has the cursor alone.
				if c, err = New("desk", c.cfg); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A desk that was not read for a quarter is read and counted in stretches that it
// takes: it refuses more than a month.
func TestAQuarterIsReadAndCounted(t *testing.T) {
	t.Parallel()
	c, d := desk(t, Config{PageSize: 50}, simulator.SobotOptions{})
	c.cfg.BackfillDays = 90
	e, err := c.Estimate(t.Context(), Tickets, "")
	if err != nil {
		t.Errorf("its tickets are not counted: %v", err)
	}
	records, _, err := read(t, c, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	want := truth(d)
	if got := versions(t, c, records); !maps.Equal(got, want) || e.Records < len(want) {
		t.Errorf("%d tickets were read of %d, or in other versions; %d were counted", len(got), len(want), e.Records)
	}
}

// A token that another program ended is replaced once; where that goes on, the
// shop stops with a word of what to do.
func TestOneHolderOfTheToken(t *testing.T) {
	t.Parallel()
	c, d := desk(t, Config{}, simulator.SobotOptions{})
	other, err := New("desk", c.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t, c, "", 1); err != nil {
		t.Fatal(err)
	}
	if err := other.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	records, _, err := read(t, c, "", 0)
	if err != nil || len(versions(t, c, records)) != len(d.Tickets()) {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func TestSettingsNameEveryFault(t *testing.T) {
	t.Parallel()
	_, err := New("", Config{CompanyID: "x", PageSize: 51, Parallel: 100, BackfillDays: -1, CallsPerDay: -1, PartnerIDType: "Not A Type"})
	for _, word := range []string{"shop", "app_id", "app_key", "push_secret", "page_size", "parallel", "backfill_days", "calls_per_day", "partner_id_type"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s is not named in %v", word, err)
		}
	}
}

// Each ticket in each state has one ce_id, by whichever way it comes, however
// often and in whatever order.
func TestPushAndPullAreOne(t *testing.T) {
	t.Parallel()
	c, d := desk(t, Config{}, simulator.SobotOptions{})
	records, _, err := read(t, c, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	of := func(records []connectors.Record) map[string]*events.Event {
		out := make(map[string]*events.Event)
		for _, r := range records {
			mapped, err := c.Map(r)
			if err != nil {
				t.Fatal(err)
			}
			out[events.Describe(mapped[0]).ID] = mapped[0]
		}
		return out
	}
	pulled := of(records)
	var pushed []connectors.Record
	tickets := d.Tickets()
	for _, i := range append(slices.Collect(reversed(len(tickets))), 0, 3, 3) {
		header, body := d.Push(tickets[i])
		got, err := c.VerifyPush(header, body, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		pushed = append(pushed, got...)
	}
	if got := of(pushed); !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(pulled))) {
		t.Errorf("%d versions by push, %d by pull", len(got), len(pulled))
	} else {
		for id, e := range got {
			e.Header.Version.ObservedMs, e.Header.Raw = 0, nil
			same := pulled[id]
			same.Header.Version.ObservedMs, same.Header.Raw = 0, nil
			if !proto.Equal(e, same) {
				t.Errorf("%s by push is %v, by pull %v", id, e, same)
			}
		}
	}
}

// Who was told of a ticket fetches it, and it is the one that a reading gives.
func TestATicketByItself(t *testing.T) {
	t.Parallel()
	c, d := desk(t, Config{}, simulator.SobotOptions{})
	ticket := d.Tickets()[2]
	page, err := c.Fetch(t.Context(), Tickets, ticket.ID)
	if err != nil || len(page.Records) != 1 || !maps.Equal(versions(t, c, page.Records), map[string]int64{ticket.ID: ticket.Modified.UnixMilli()}) {
		t.Errorf("%d records, %v", len(page.Records), err)
	}
	if _, err := c.Fetch(t.Context(), "orders", "1"); !errors.Is(err, connectors.ErrNoStream) {
		t.Errorf("from another stream: %v", err)
	}
}

func reversed(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := n - 1; i >= 0 && yield(i); i-- {
		}
	}
}

func TestPushesAreChecked(t *testing.T) {
	t.Parallel()
	c, d := desk(t, Config{}, simulator.SobotOptions{})
	header, body := d.Push(d.Tickets()[0])
	changed := func(change func(http.Header)) http.Header {
		h := header.Clone()
		change(h)
		return h
	}
	now := time.Now()
	signed := func(body string) http.Header {
		at := strconv.FormatInt(now.UnixMilli(), 10)
		return changed(func(h http.Header) {
			h.Set("timestamp", at)
			h.Set("sign", pushSign(c.cfg.CompanyID, at, c.cfg.PushSecret, []byte(body)))
		})
	}
	for name, p := range map[string]struct {
		header http.Header
		body   string
		now    time.Time
		want   error
	}{
		"as it was sent":         {header, string(body), now, nil},
		"a byte of the body":     {header, strings.Replace(string(body), "1", "2", 1), now, ErrPushSign},
		"no signature":           {changed(func(h http.Header) { h.Del("sign") }), string(body), now, ErrPushSign},
		"another timestamp":      {changed(func(h http.Header) { h.Set("timestamp", "1700000000000") }), string(body), now, ErrPushSign},
		"no timestamp":           {changed(func(h http.Header) { h.Del("timestamp") }), string(body), now, ErrPushSign},
		"old":                    {header, string(body), now.Add(6 * time.Minute), ErrPushTime},
		"from the future":        {header, string(body), now.Add(-6 * time.Minute), ErrPushTime},
		"encrypted, so it seems": {signed("q83vEjRWeJA="), "q83vEjRWeJA=", now, ErrPushBody},
		"no ticket":              {signed(`{"user_tels":"13900001234"}`), `{"user_tels":"13900001234"}`, now, ErrPushBody},
		"cut off":                {signed(`{"ticketid":"a`), `{"ticketid":"a`, now, ErrPushBody},
	} {
		records, err := c.VerifyPush(p.header, []byte(p.body), p.now)
		if !errors.Is(err, p.want) || (err == nil) != (len(records) == 1) || err != nil && strings.Contains(err.Error(), "1390000") {
			t.Errorf("%s: %d records, %v", name, len(records), err)
		}
	}
	cfg := c.cfg
	cfg.CompanyID, cfg.PushSecret = "", ""
	deaf, err := New("desk", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deaf.VerifyPush(header, body, now); !errors.Is(err, ErrPushNotSet) {
		t.Errorf("without a secret: %v", err)
	}
}

// No push passes but one that is signed, and none makes it panic.
func FuzzVerifyPush(f *testing.F) {
	c := offline(f, Config{})
	f.Add("1767603600000", "x", []byte(`{"ticketid":"a","update_datetime_ms":1}`))
	f.Add("1767603600", "", []byte("\x00{"))
	f.Fuzz(func(t *testing.T, timestamp, sign string, body []byte) {
		header := http.Header{"Timestamp": {timestamp}, "Sign": {sign}}
		now := time.UnixMilli(1767603600000)
		if _, err := c.VerifyPush(header, body, now); err == nil && sign != pushSign("company01", timestamp, "secret01", body) {
			t.Error("a push without a good signature passed")
		}
		header.Set("Sign", pushSign("company01", timestamp, "secret01", body))
		records, err := c.VerifyPush(header, body, now)
		if err != nil {
			return
		}
		for _, r := range records {
			if mapped, err := c.Map(r); err == nil {
				wantSound(t, mapped[0])
			}
		}
	})
}

// Under a masked id many customers would be one account.
func TestMaskedIdsAreNoAccounts(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"t**1", "t＊＊1", "t●●1", "李某", "12xxxx89", "0", "null"} {
		if got := (mapper{}).accountOf(&ticket{ID: "8", UserID: text(id), PartnerID: text(id)}, nil, nil); got != "order:ticket-8" {
			t.Errorf("a ticket of %q is of the account %q", id, got)
		}
	}
}
