package weidian

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"oneid/connectors"
	"oneid/internal/golden"
	"oneid/schemas/events"
)

func recordOf(stream string, raw []byte) connectors.Record {
	return connectors.Record{Stream: stream, Shop: "4463798", Raw: raw, Observed: time.Date(2026, 1, 6, 1, 0, 0, 0, time.UTC)}
}

// TestMap compares events with files: go test -update writes them anew.
func TestMap(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{Orders, Users, Tickets} {
		for file, raw := range golden.Inputs(t, "testdata/"+stream+"/*.json") {
			mapped, err := mapRecord(recordOf(stream, raw))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			var out bytes.Buffer
			for _, e := range mapped {
				wantSound(t, e)
				if !bytes.Equal(e.GetHeader().GetRaw(), raw) {
					t.Errorf("%s: the raw payload was changed", file)
				}
				e.Header.Raw = nil
				line, err := protojson.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				if err := json.Indent(&out, line, "", " "); err != nil {
					t.Fatal(err)
				}
				out.WriteByte('\n')
			}
			golden.Equal(t, file+".event", out.Bytes())
		}
	}
}

// A time that cannot be read is none that is missing: an order whose pay_time has
// another form is no unpaid order, and goes to the dead letter.
func TestTimesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]int64{
		`"2026-01-05 10:01:12"`: 1767578472000, `" 2026-01-05 10:01:12 "`: 1767578472000, `1767578472000`: 1767578472000, `"1767578472000"`: 1767578472000,
		`""`: 0, `null`: 0, `0`: 0, `"0"`: 0, `"0000-00-00 00:00:00"`: 0,
		`"2026/1/5 10:01"`: -1, `"2026-01-05T10:01:12+08:00"`: -1, `"2026-01-05"`: -1, `"yesterday"`: -1, `true`: 1, `-1`: -1, `1.5`: -1,
	} {
		raw := `{"list":{"order_id":"8","update_time":"2026-01-06 09:00:00"},"detail":{"order_id":"8","status":"pay","order_type":"3","total":"1.00","pay_time":` + written + `}}`
		mapped, err := mapRecord(recordOf(Orders, []byte(raw)))
		switch {
		case err != nil && want >= 0:
			t.Errorf("%s: %v", written, err)
		case err == nil && want < 0:
			t.Errorf("%s: paid at %d, want an error", written, mapped[0].GetOrder().GetPaidMs())
		case err != nil && !strings.Contains(err.Error(), "a time is not of the form"):
			t.Errorf("%s: %v does not say what is wrong", written, err)
		case err == nil && want > 1 && mapped[0].GetOrder().GetPaidMs() != want:
			t.Errorf("%s: paid at %d, want %d", written, mapped[0].GetOrder().GetPaidMs(), want)
		}
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
		if s.GetType() == "phone" && !isMobile(s.GetValue()) {
			t.Error("a sighting that is no phone in clear")
		}
	}
	if o := e.GetOrder(); o != nil {
		var sum int64
		for _, item := range o.GetItems() {
			sum += item.GetPaidMinor()
		}
		if len(o.GetItems()) > 0 && sum != o.GetPaidMinor() {
			t.Errorf("items' paid_minor sum to %d, the order's is %d", sum, o.GetPaidMinor())
		}
		if o.GetPaidMs() == 0 && o.GetPaidMinor() != 0 {
			t.Error("an unpaid order has paid_minor")
		}
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
	streams := []string{Orders, Users, Tickets}
	for i, stream := range streams {
		for _, raw := range golden.Inputs(&testing.T{}, "testdata/"+stream+"/*.json") {
			f.Add(uint8(i), raw)
		}
	}
	f.Fuzz(func(t *testing.T, stream uint8, raw []byte) {
		mapped, err := mapRecord(recordOf(streams[int(stream)%len(streams)], raw))
		if err != nil {
			return
		}
		for _, e := range mapped {
			wantSound(t, e)
		}
	})
}

// What goods cost is before the discount, whether the platform's price is net of it or not.
func TestGoodsBeforeTheDiscount(t *testing.T) {
	t.Parallel()
	for price, name := range map[string]string{"89.00": "net", "99.00": "gross", "": "not told"} {
		raw := `{"list":{"order_id":"1","update_time":"2026-01-06 09:00:00"},"detail":{"order_id":"1","price":"` + price + `","total":"95.00","express_fee":"6.00","discount_amount":"10.00"}}`
		list, err := mapRecord(connectors.Record{Stream: Orders, Shop: "s", Raw: []byte(raw), Observed: time.Unix(1767319300, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if o := list[0].GetOrder(); o.GetGoodsMinor() != 9900 || o.GetFreightMinor() != 600 || o.GetSellerDiscountMinor() != 1000 || o.GetPayableMinor() != 9500 {
			t.Errorf("a price that is %s: %v", name, o)
		}
	}
}

// Goods never cost less than nothing, however the total and the freight differ.
func TestGoodsOfATotalBelowTheFreight(t *testing.T) {
	t.Parallel()
	raw := `{"list":{"order_id":"1","update_time":"2026-01-06 09:00:00"},"detail":{"order_id":"1","total":"4.00","express_fee":"6.00"}}`
	list, err := mapRecord(connectors.Record{Stream: Orders, Shop: "s", Raw: []byte(raw), Observed: time.Unix(1767319300, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if o := list[0].GetOrder(); o.GetGoodsMinor() != 0 || o.GetPayableMinor() != 400 {
		t.Errorf("a total below the freight: %v", o)
	}
}
