package douyin

import (
	"bytes"
	"encoding/json"
	"os"
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
	for _, stream := range []string{Orders, Users, Aftersales, Services, connectors.MembershipStream} {
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

// wantSound checks what holds of every event, whatever the record was.
func wantSound(t *testing.T, e *events.Event) {
	t.Helper()
	h := e.GetHeader()
	if h.GetEntityId() == "" || h.GetAccount() == "" || h.GetVersion().GetModifiedMs() <= 0 {
		t.Errorf("the header is not complete: entity %q, account %q", h.GetEntityId(), h.GetAccount())
	}
	for _, s := range h.GetPerson().GetSightings() {
		if s.GetType() == "phone" && !mobile.MatchString(s.GetValue()) {
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

// An after-sale under arbitration is urgent while somebody waits for the shop: it runs, the
// shop must prove, or both negotiate.
func TestArbitrationsThatWait(t *testing.T) {
	t.Parallel()
	const running = `"arbitrate_status": 1`
	raw, err := os.ReadFile("testdata/aftersales/whole_order_arbitration_no_buyer.json")
	if err != nil || !bytes.Contains(raw, []byte(running)) {
		t.Fatalf("the after-sale is under no arbitration: %v", err)
	}
	for status, waits := range map[string]bool{"0": false, "1": true, "2": false, "3": false, "4": true, "5": true, "255": false, `"4"`: true, "null": false} {
		mapped, err := mapRecord(recordOf(Aftersales, bytes.Replace(raw, []byte(running), []byte(`"arbitrate_status": `+status), 1)))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range mapped {
			if ticket := e.GetTicket(); ticket != nil && (ticket.GetPriority() == "arbitration") != waits {
				t.Errorf("arbitrate_status %s: priority %q", status, ticket.GetPriority())
			}
		}
	}
}

// A time that cannot be read is none that is missing.
func TestTimesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for written, ok := range map[string]bool{
		`"2026-01-02 10:00:00"`: true, `1767319200`: true, `""`: true, `null`: true, `"0000-00-00 00:00:00"`: true,
		`"2026/1/2 10:00"`: false, `"2026-01-02T10:00:00Z"`: false,
	} {
		raw := `{"doudian_open_id":"b","service":{"id":1,"order_id":"6","operate_status":0,"create_time":"2026-01-02 10:00:00","update_time":"2026-01-02 10:00:00","reply_time":` + written + `}}`
		if _, err := mapRecord(connectors.Record{Stream: Services, Raw: []byte(raw), Observed: time.Unix(1767319300, 0)}); (err == nil) != ok {
			t.Errorf("%s: %v", written, err)
		}
	}
}

// What a detail leaves out, or writes in the other of the platform's ways, costs
// nothing of what the list says.
func TestDetailsThatSayLess(t *testing.T) {
	t.Parallel()
	const replied, changed = 1767348000000, 1767402000000
	for detail, want := range map[string][2]int64{
		`null`: {replied, changed}, `{}`: {replied, changed}, `[]`: {replied, changed}, `{"first_reply_time":"","close_time":null}`: {replied, changed},
		`{"first_reply_time":1767320000,"close_time":1767330000}`: {1767320000000, 1767330000000},
		`{"first_reply_time":"tomorrow","close_time":"soon"}`:     {replied, changed},
	} {
		raw := `{"doudian_open_id":"b","detail":` + detail + `,"service":{"id":1,"order_id":"6","operate_status":100,"create_time":"2026-01-02 10:00:00","update_time":"2026-01-03 09:00:00","reply_time":"2026-01-02 18:00:00"}}`
		list, err := mapRecord(recordOf(Services, []byte(raw)))
		if err != nil || list[0].GetTicket().GetFirstAnswerMs() != want[0] || list[0].GetTicket().GetSolvedMs() != want[1] {
			t.Errorf("a service ticket with the detail %s: %v, %v, want %v", detail, list, err, want)
		}
	}
	for detail, want := range map[string]int64{
		`null`: 0, `{}`: 0, `{"record_logs_list":null}`: 0, `{"record_logs_list":""}`: 0, `{"record_logs_list":[null]}`: 0,
		`{"record_logs_list":[{"role":"2","time":"1767320000"},{"role":2}]}`:                                        1767320000000,
		`{"record_logs_list":[{"role":1,"time":"tomorrow"},{"role":2,"time":"soon"},{"role":2,"time":1767320000}]}`: 1767320000000,
	} {
		raw := `{"doudian_open_id":"b","detail":` + detail + `,"aftersale":{"aftersale_info":{"aftersale_id":"1","update_time":1},"order_info":{"shop_order_id":"6"}}}`
		list, err := mapRecord(recordOf(Aftersales, []byte(raw)))
		if err != nil || len(list) != 2 || list[1].GetTicket().GetFirstAnswerMs() != want {
			t.Errorf("an after-sale with the detail %s: %v, %v, want %d", detail, list, err, want)
		}
	}
}

// An after-sale has priority while somebody waits for the platform's arbitration.
func TestArbitration(t *testing.T) {
	t.Parallel()
	for state, waits := range map[string]bool{"0": false, "1": true, "2": false, "3": false, "4": true, "5": true, "255": false} {
		raw := `{"doudian_open_id":"b","aftersale":{"aftersale_info":{"aftersale_id":"1","update_time":1,"arbitrate_status":` + state + `},"order_info":{"shop_order_id":"6"}}}`
		list, err := mapRecord(recordOf(Aftersales, []byte(raw)))
		if err != nil || (list[1].GetTicket().GetPriority() == "arbitration") != waits {
			t.Errorf("%s: %v, %v", state, list, err)
		}
	}
}

func FuzzMap(f *testing.F) {
	streams := []string{Orders, Users, Aftersales, Services}
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

func TestIsCiphertext(t *testing.T) {
	for value, want := range map[string]bool{
		"$eOi+MO6akx1Fbz2DhoHdipPwi4P7FZT+Rsty6xKPt/4=$msNOjAq*rYfCJjsv$1$$": true,
		"$$RJUTgLSJ*0c1F4KMt$1$$": true, "#3Lwy#4d+LlXo*UD6qfaU#1##": true, "##4H8DmqH*n8AXz+T#1##": true,
		"body+/=#1##": false, "#body#1##": true, "13800001111": false, "1********35": false, "王**": false, "": false,
		"#1栋#2单元": false, "$100": false, "##": false, "$$$$$$": false,
	} {
		if got := isCiphertext(value); got != want {
			t.Errorf("isCiphertext(%q) = %t, want %t", value, got, want)
		}
	}
}

// The index of a phone's ciphertext compares phones within the shop, by a type of
// its own; the ciphertext itself, which differs each time, is nothing.
func TestPhoneIndex(t *testing.T) {
	t.Parallel()
	const index = "eOi+MO6akx1Fbz2DhoHdipPwi4P7FZT+Rsty6xKPt/4="
	for value, want := range map[string]string{
		"$" + index + "$msNOjAq*rYfCJjsv$1$$": index, "$" + index + "$another*body$1$$": index,
		"$$RJUTgLSJ*0c1F4KMt$1$$": "", "$body$1$$": "", "#" + index + "#Lwy#1##": "", "$3Lwy$body$1$$": "", index: "", "13800001111": "", "1********35": "", "": "",
	} {
		if got := phoneIndex(value); got != want {
			t.Errorf("phoneIndex(%q) = %q, want %q", value, got, want)
		}
	}
	raw := `{"order_id":"1","doudian_open_id":"a","create_time":1,"update_time":1,"encrypt_post_tel":"$` + index + `$x*y$1$$","mask_post_tel":"1********35"}`
	mapped, err := mapRecord(recordOf(Orders, []byte(raw)))
	if err != nil || len(mapped) == 0 {
		t.Fatal(err)
	}
	for _, s := range mapped[0].GetHeader().GetPerson().GetSightings() {
		if s.GetType() == "phone" || s.GetType() == "douyin_phone_index" && (s.GetValue() != index || s.GetRole() != events.Role_ROLE_RECEIVER) {
			t.Errorf("a sighting of type %s in the role %s", s.GetType(), s.GetRole())
		}
	}
	if n := len(mapped[0].GetHeader().GetPerson().GetSightings()); n != 1 {
		t.Errorf("%d sightings, want the index alone", n)
	}
}

func FuzzCiphertext(f *testing.F) {
	f.Add("$$RJUT$1$$")
	f.Fuzz(func(t *testing.T, value string) {
		if isCiphertext(value) && mobile.MatchString(value) {
			t.Errorf("%q is both a ciphertext and a phone", value)
		}
	})
}
