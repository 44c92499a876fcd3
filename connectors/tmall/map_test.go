package tmall

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"oneid/connectors"
	"oneid/internal/golden"
	"oneid/schemas/events"
)

var testMapper = mapper{shop: "demo", appKey: "23000001"}

func record(stream string, raw []byte) connectors.Record {
	return connectors.Record{Stream: stream, Shop: "demo", Raw: raw, Observed: time.Date(2024, 5, 22, 0, 0, 0, 0, time.UTC)}
}

func TestMapGolden(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{Orders, Tickets, Users, connectors.MembershipStream} {
		for file, raw := range golden.Inputs(t, "testdata/"+stream+"/*.json") {
			list, err := testMapper.mapRecord(record(stream, raw))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			var out bytes.Buffer
			for _, e := range list {
				e.Header.Raw = nil
				text, err := protojson.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				// protojson varies its blanks on purpose.
				if err := json.Indent(&out, text, "", "  "); err != nil {
					t.Fatal(err)
				}
				out.WriteByte('\n')
			}
			golden.Equal(t, file+".event", out.Bytes())
		}
	}
}

func tradeOf(status, kind, payTime string) []byte {
	return fmt.Appendf(nil, `{"trade":{"tid":"1","status":%q,"type":%q,"created":"2024-05-20 00:00:00","modified":"2024-05-21 00:00:00","end_time":"2024-05-22 00:00:00","pay_time":%q,"payment":"9.90","total_fee":"9.90","orders":{"order":{"oid":"1","num":1,"price":"9.90"}}}}`, status, kind, payTime)
}

func TestOrderStatuses(t *testing.T) {
	t.Parallel()
	at := func(text string) int64 {
		v, err := time.ParseInLocation(timeLayout, text, zone)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixMilli()
	}
	const paid = "2024-05-20 00:01:00"
	created := events.OrderStatus_ORDER_STATUS_CREATED
	for name, c := range map[string]struct {
		status, kind, payTime string
		want                  events.OrderStatus
		wantPaid              int64
	}{
		"no payment made":         {"TRADE_NO_CREATE_PAY", "fixed", "", created, 0},
		"waiting for payment":     {"WAIT_BUYER_PAY", "fixed", "", created, 0},
		"deposit only":            {"WAIT_BUYER_PAY", "step", paid, created, 0},
		"card pending":            {"PAY_PENDING", "fixed", "", created, 0},
		"pre-authorised":          {"WAIT_PRE_AUTH_CONFIRM", "pre_auth_type", "", created, 0},
		"shipping forbidden":      {"PAID_FORBID_CONSIGN", "fixed", paid, events.OrderStatus_ORDER_STATUS_PAID, at(paid)},
		"paid":                    {"WAIT_SELLER_SEND_GOODS", "fixed", paid, events.OrderStatus_ORDER_STATUS_PAID, at(paid)},
		"paid, no time":           {"WAIT_SELLER_SEND_GOODS", "fixed", "", events.OrderStatus_ORDER_STATUS_PAID, at("2024-05-20 00:00:00")},
		"partly shipped":          {"SELLER_CONSIGNED_PART", "fixed", paid, events.OrderStatus_ORDER_STATUS_PART_SHIPPED, at(paid)},
		"shipped":                 {"WAIT_BUYER_CONFIRM_GOODS", "fixed", paid, events.OrderStatus_ORDER_STATUS_SHIPPED, at(paid)},
		"signed, cash not booked": {"TRADE_BUYER_SIGNED", "cod", "", events.OrderStatus_ORDER_STATUS_RECEIVED, 0},
		"cash on delivery, done":  {"TRADE_FINISHED", "cod", "", events.OrderStatus_ORDER_STATUS_FINISHED, at("2024-05-22 00:00:00")},
		"cash, to be shipped":     {"WAIT_SELLER_SEND_GOODS", "cod", "", events.OrderStatus_ORDER_STATUS_PAID, 0},
		"finished":                {"TRADE_FINISHED", "fixed", paid, events.OrderStatus_ORDER_STATUS_FINISHED, at(paid)},
		"closed by refund":        {"TRADE_CLOSED", "fixed", paid, events.OrderStatus_ORDER_STATUS_CLOSED, at(paid)},
		"closed unpaid":           {"TRADE_CLOSED_BY_TAOBAO", "fixed", "", events.OrderStatus_ORDER_STATUS_CLOSED, 0},
		"unknown, paid":           {"SOMETHING_NEW", "fixed", paid, events.OrderStatus_ORDER_STATUS_UNKNOWN, at(paid)},
		"unknown, unpaid":         {"SOMETHING_NEW", "fixed", "", events.OrderStatus_ORDER_STATUS_UNKNOWN, 0},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := testMapper.mapRecord(record(Orders, tradeOf(c.status, c.kind, c.payTime)))
			if err != nil {
				t.Fatal(err)
			}
			o := list[0].GetOrder()
			if o.GetStatus() != c.want || o.GetPaidMs() != c.wantPaid || o.GetPlatformStatus() != c.status {
				t.Errorf("status %v, paid at %d; want %v, %d", o.GetStatus(), o.GetPaidMs(), c.want, c.wantPaid)
			}
			wantMinor := int64(0)
			if c.wantPaid != 0 {
				wantMinor = 990
			}
			if o.GetPaidMinor() != wantMinor || o.GetItems()[0].GetPaidMinor() != wantMinor {
				t.Errorf("paid %d, item %d, want %d", o.GetPaidMinor(), o.GetItems()[0].GetPaidMinor(), wantMinor)
			}
		})
	}
}

func TestMaskedIsNoSighting(t *testing.T) {
	t.Parallel()
	for phone, want := range map[text]int{"*******0001": 0, "135*******": 0, "18877771111-123": 0, "": 0, "13800001111": 1, "+8613800001111": 1} {
		if got := len(receiverPhone(phone)); got != want {
			t.Errorf("receiverPhone(%q) gave %d sightings, want %d", phone, got, want)
		}
	}
}

func FuzzMap(f *testing.F) {
	f.Add(0, tradeOf("TRADE_FINISHED", "fixed", "2024-05-20 00:01:00"))
	f.Add(1, []byte(`{"as_of":"2024-05-20T00:00:00Z","member":{"ouid":"a"}}`))
	f.Add(2, []byte(`{"refund":{"refund_id":"1","tid":2,"status":"SUCCESS","created":"2024-05-20 01:30:00"}}`))
	f.Fuzz(func(t *testing.T, stream int, raw []byte) {
		name := []string{Orders, Users, Tickets}[uint(stream)%3]
		list, err := testMapper.mapRecord(record(name, raw))
		if err != nil {
			return
		}
		for _, e := range list {
			o := e.GetOrder()
			if o == nil {
				continue
			}
			var sum int64
			for _, item := range o.GetItems() {
				if item.GetPaidMinor() < 0 {
					t.Fatalf("negative share in %v", o)
				}
				sum += item.GetPaidMinor()
			}
			if sum != o.GetPaidMinor() || (o.GetPaidMs() == 0 && sum != 0) {
				t.Fatalf("items sum to %d, order %d, paid at %d", sum, o.GetPaidMinor(), o.GetPaidMs())
			}
		}
	})
}

func BenchmarkMapOrder(b *testing.B) {
	raw := tradeOf("TRADE_FINISHED", "fixed", "2024-05-20 00:01:00")
	for file, content := range golden.Inputs(&testing.T{}, "testdata/orders/documented.json") {
		_, raw = file, content
	}
	for b.Loop() {
		if _, err := testMapper.mapRecord(record(Orders, raw)); err != nil {
			b.Fatal(err)
		}
	}
}

// Under a masked id many buyers would be one account.
func TestMaskedIdsAreNoAccounts(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"t**1", "t＊＊1", "t●●1", "李某", "12xxxx89", "~AAE=~1~"} {
		if account, _ := testMapper.buyer(id, "", "8"); account != "order:8" {
			t.Errorf("an order of %q is of the account %q", id, account)
		}
		call, err := json.Marshal(map[string]string{"ouid": id, "mobile": "13800001111"})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(connectors.MembershipRecord{Kind: connectors.MemberBind, At: 1767229260, Call: call})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := testMapper.mapRecord(connectors.Record{Stream: connectors.MembershipStream, Raw: raw}); err == nil || strings.Contains(err.Error(), id) {
			t.Errorf("%q joins: %v", id, err)
		}
	}
}

// Whoever bought is in the list of members, and is one from grade 1 on; a nick that the
// platform does not mask is a person's, and is left out.
func TestWhoIsAMember(t *testing.T) {
	t.Parallel()
	m := mapper{shop: "s", appKey: "1"}
	for name, c := range map[string]struct {
		fields      string
		member      bool
		level, nick string
	}{
		"a buyer":               {`"grade":0`, false, "", ""},
		"no grade":              {`"buyer_nick":"t**"`, false, "", "t**"},
		"of a grade":            {`"grade":"2","grade_name":"高级会员"`, true, "高级会员", ""},
		"of one without a name": {`"grade":4`, true, "4", ""},
		"a nick in clear":       {`"grade":1,"buyer_nick":"测试甲"`, true, "1", ""},
	} {
		list, err := m.mapRecord(connectors.Record{Stream: Users, Raw: []byte(`{"member":{"ouid":"AAG1",` + c.fields + `},"as_of":"2024-05-20T00:00:00Z"}`)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if u := list[0].GetUser(); u.GetMember() != c.member || u.GetMemberLevel() != c.level || u.GetNick() != c.nick {
			t.Errorf("%s: member %t of level %q, nick %q", name, u.GetMember(), u.GetMemberLevel(), u.GetNick())
		}
	}
}
