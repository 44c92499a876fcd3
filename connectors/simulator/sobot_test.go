package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// asked calls a path of the desk in the process.
func askedDesk(d http.Handler, path string, query url.Values, token string) (status int, answer map[string]any) {
	r := httptest.NewRequest(http.MethodGet, path+"?"+query.Encode(), http.NoBody)
	r.Header.Set("token", token)
	rec := httptest.NewRecorder()
	d.ServeHTTP(rec, r)
	_ = json.Unmarshal(rec.Body.Bytes(), &answer) // a refusal by status has none
	return rec.Code, answer
}

func TestSobotRefuses(t *testing.T) {
	t.Parallel()
	now := testUntil.Add(time.Hour)
	world := testWorld(t, 300, 4)
	d := Sobot(world, SobotOptions{Now: func() time.Time { return now }})
	keys := SobotCredentialsOf(world)
	ask := func(appID, key string, at time.Time) map[string]any {
		seconds := strconv.FormatInt(at.Unix(), 10)
		_, answer := askedDesk(d, "/api/get_token", url.Values{"appid": {appID}, "create_time": {seconds}, "sign": {sobotMD5(appID + seconds + key)}}, "")
		return answer
	}
	for name, answer := range map[string]map[string]any{
		"another app": ask("x", keys.AppKey, now), "another key": ask(keys.AppID, "x", now),
		"an old time": ask(keys.AppID, keys.AppKey, now.Add(-6*time.Minute)), "a time to come": ask(keys.AppID, keys.AppKey, now.Add(6*time.Minute)),
	} {
		if answer["ret_code"] != sobotRefused || answer["item"] != nil {
			t.Errorf("%s: %v", name, answer)
		}
	}
	token := func() string { return ask(keys.AppID, keys.AppKey, now)["item"].(map[string]any)["token"].(string) }
	list := func(token string, change func(url.Values)) map[string]any {
		query := url.Values{
			"update_start_datetime_ms": {strconv.FormatInt(testUntil.Add(-30*24*time.Hour).UnixMilli(), 10)}, "update_end_datetime_ms": {strconv.FormatInt(testUntil.UnixMilli(), 10)},
			"page_no": {"1"}, "page_size": {"50"},
		}
		if change != nil {
			change(query)
		}
		_, answer := askedDesk(d, sobotTickets+"query_tickets_by_update_time", query, token)
		return answer
	}
	first := token()
	if answer := list(first, nil); answer["ret_code"] != sobotGood || len(answer["items"].([]any)) == 0 {
		t.Fatalf("a good call is answered with %v", answer["ret_code"])
	}
	second := token()
	if first == second {
		t.Error("a new token is the old one")
	}
	set := func(name, value string) func(url.Values) { return func(v url.Values) { v.Set(name, value) } }
	for name, c := range map[string]struct {
		token  string
		change func(url.Values)
		code   string
	}{
		"no token":             {"", nil, sobotEmpty},
		"the token before":     {first, nil, sobotEnded},
		"page too large":       {second, set("page_size", "51"), sobotRefused},
		"page 0":               {second, set("page_no", "0"), sobotRefused},
		"more than a month":    {second, set("update_start_datetime_ms", strconv.FormatInt(testUntil.Add(-32*24*time.Hour).UnixMilli(), 10)), sobotRefused},
		"no beginning":         {second, set("update_start_datetime_ms", ""), sobotRefused},
		"the end comes before": {second, set("update_end_datetime_ms", "1"), sobotRefused},
		"good":                 {second, nil, sobotGood},
	} {
		if answer := list(c.token, c.change); answer["ret_code"] != c.code {
			t.Errorf("%s: %v, want %s", name, answer["ret_code"], c.code)
		}
	}
	if _, answer := askedDesk(d, sobotTickets+"get_ticket_by_id", url.Values{"ticketid": {"none"}}, second); answer["ret_code"] != sobotRefused {
		t.Errorf("a ticket that is not there: %v", answer)
	}
	now = now.Add(sobotTokenLife)
	if answer := list(second, nil); answer["ret_code"] != sobotEnded {
		t.Errorf("after 24 hours: %v", answer["ret_code"])
	}
}

func TestSobotPagesAndLimits(t *testing.T) {
	t.Parallel()
	world := testWorld(t, 300, 4)
	now := testUntil.Add(time.Hour)
	d := Sobot(world, SobotOptions{Now: func() time.Time { return now }, Faults: Faults{PerSecond: 3}})
	keys := SobotCredentialsOf(world)
	seconds := strconv.FormatInt(now.Unix(), 10)
	query := url.Values{"appid": {keys.AppID}, "create_time": {seconds}, "sign": {sobotMD5(keys.AppID + seconds + keys.AppKey)}}
	for n, want := range []int{200, 200, 200, 429} {
		if status, _ := askedDesk(d, "/api/get_token", query, ""); status != want {
			t.Errorf("call %d of a second: status %d, want %d", n+1, status, want)
		}
	}
	now = now.Add(time.Second)
	_, answer := askedDesk(d, "/api/get_token", query, "")
	token := answer["item"].(map[string]any)["token"].(string)
	seen := make(map[string]bool)
	window := url.Values{"page_size": {"10"}}
	for end := testUntil; end.After(testUntil.Add(-History)); end = end.Add(-20 * 24 * time.Hour) {
		window.Set("update_start_datetime_ms", strconv.FormatInt(end.Add(-20*24*time.Hour).UnixMilli(), 10))
		window.Set("update_end_datetime_ms", strconv.FormatInt(end.UnixMilli(), 10))
		for page := 1; ; page++ {
			now = now.Add(time.Second)
			window.Set("page_no", strconv.Itoa(page))
			_, answer := askedDesk(d, sobotTickets+"query_tickets_by_update_time", window, token)
			rows := answer["items"].([]any)
			for _, row := range rows {
				seen[row.(map[string]any)["ticketid"].(string)] = true
				if tels := row.(map[string]any)["user_tels"].(string); len(tels) != 11 {
					t.Errorf("a phone of %d characters", len(tels))
				}
			}
			if len(rows) < 10 {
				break
			}
		}
	}
	masked := 0
	for _, ticket := range d.Tickets() {
		if !seen[ticket.ID] {
			t.Errorf("ticket %s is in no page", ticket.Code)
		}
		if ticket.Masked {
			masked++
			if header, body := d.Push(ticket); strings.Contains(string(body), ticket.Account.Phone) || header.Get("sign") == "" {
				t.Error("a masked phone is pushed in clear, or unsigned")
			}
		}
	}
	if masked == 0 || len(seen) < 20 {
		t.Errorf("%d tickets, %d masked", len(seen), masked)
	}
	before := d.Tickets()
	changed, ok := d.Change(7, now)
	if !ok || !changed.Modified.Equal(now) {
		t.Errorf("changed %+v, %v", changed, ok)
	}
	different := 0
	for i, ticket := range d.Tickets() {
		if ticket != before[i] {
			different++
		}
	}
	if different != 1 {
		t.Errorf("%d tickets changed", different)
	}
}
