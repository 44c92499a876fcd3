package replay

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/pipelines/pull"
	"oneid/schemas/events"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

// shop is a connector whose mapping can be mended: before that it reads no
// level and no phone of its members.
type shop struct {
	connectors.Connector
	mended bool
	broken string // a user that it cannot map
}

type payload struct {
	User, Level, Phone string
	At                 int64
}

func (s *shop) Map(r connectors.Record) ([]*events.Event, error) {
	var p payload
	if err := json.Unmarshal(r.Raw, &p); err != nil || p.User == s.broken {
		return nil, errors.New("shop: it is not a user")
	}
	e := &events.Event{
		Header: &events.Header{Platform: "tmall", Shop: "s", EntityId: p.User, Account: p.User, Stream: r.Stream, Raw: r.Raw,
			Version: &events.Version{ModifiedMs: p.At, Source: events.Source_SOURCE_API, ObservedMs: r.Observed.UnixMilli(), Revision: 1},
			Person:  &events.Person{}},
		Body: &events.Event_User{User: &events.User{Member: true, Nick: "n" + p.User}},
	}
	if s.mended {
		e.GetUser().MemberLevel = p.Level
		e.Header.Person.Sightings = []*events.Sighting{{Type: "phone", Value: p.Phone, Role: events.Role_ROLE_MEMBER}}
	}
	return []*events.Event{e}, nil
}

type world struct {
	*flowtest.Flow
	t       *testing.T
	shop    *shop
	cursors *pull.Cursors
	resolve func()
}

const at = 1_760_000_000_000

func newWorld(t *testing.T) *world {
	w := &world{Flow: flowtest.New(t), t: t, shop: new(shop)}
	var err error
	if w.cursors, err = pull.OpenCursors(t.Context(), w.Client, w.Publisher, w.Topics.Cursors); err != nil {
		t.Fatal(err)
	}
	store := w.State(t)
	w.resolve = func() {
		t.Helper()
		r, _ := w.Resolver(t, store, nil)
		if err := flowtest.Run(t, r); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// says publishes what the platform says of a user at a time.
func (w *world) says(user int, level string, modified int64) {
	w.t.Helper()
	w.Publish(w.t, w.message(user, level, modified))
}

// sayAll does so of many users, on some days.
func (w *world) sayAll(users, days int, level string) {
	w.t.Helper()
	all := make([]kafka.Message, users)
	for user := range all {
		all[user] = w.message(user, level, at+int64(user%days)*86_400_000)
	}
	w.Publish(w.t, all...)
}

func (w *world) message(user int, level string, modified int64) kafka.Message {
	w.t.Helper()
	raw, err := json.Marshal(payload{strconv.Itoa(user), level, "1380000" + strconv.Itoa(1000+user/2), modified})
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := w.shop.Map(connectors.Record{Stream: "users", Shop: "s", Raw: raw, Observed: time.UnixMilli(modified + 5)})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Message(w.t, all[0])
}

func (w *world) replay(ctx context.Context, number uint32) (pull.Summary, error) {
	p := &pull.Puller{
		Connector: &Stream{Connector: w.shop, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "tmall", Shop: "s", Source: events.Source_SOURCE_API,
			Run: Run{Number: number, From: time.UnixMilli(0), To: time.UnixMilli(at * 2)}},
		Platform: "tmall", Shop: "s", Stream: "users", Publisher: w.Publisher, Topics: w.Topics, Keys: w.Keys,
		Cursors: w.cursors, CursorKey: "replay/" + strconv.Itoa(int(number)), Log: slog.New(slog.DiscardHandler),
	}
	return p.Once(ctx)
}

func (w *world) must(number uint32) pull.Summary {
	w.t.Helper()
	sum, err := w.replay(w.t.Context(), number)
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

func (w *world) want(query, want string) {
	w.t.Helper()
	got, err := w.Database.Query(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	if got = strings.ReplaceAll(strings.TrimSuffix(got, "\n"), "\n", " "); got != want {
		w.t.Errorf("%s = %q, want %q", query, got, want)
	}
}

const (
	levels   = "SELECT user_id, member_level FROM users FINAL ORDER BY toUInt32(user_id) FORMAT CSV"
	rawCount = "SELECT count() FROM raw_events WHERE raw != ''"
	evidence = "SELECT uniqExact(account) FROM evidence"
	entities = "SELECT count() FROM users FINAL"
)

// A mended mapping wins over the old one of the same change, not over a newer
// change; payloads stay as they are, and a second replay changes nothing.
func TestMendedMapping(t *testing.T) {
	w := newWorld(t)
	for user := range 4 {
		w.says(user, "silver", at+int64(user)*86_400_000)
	}
	w.resolve()
	w.want(levels, `"0","" "1","" "2","" "3",""`)
	w.want(evidence, "0")
	w.shop.mended = true
	w.says(1, "gold", at+2*86_400_000+7) // the live flow has the mended mapping and a newer change
	w.resolve()
	if sum := w.must(1); sum.Records != 5 || sum.Events != 5 || sum.DeadLetters != 0 {
		t.Errorf("replay = %+v, want 5 records", sum)
	}
	w.resolve()
	after := func() {
		t.Helper()
		w.want(levels, `"0","silver" "1","gold" "2","silver" "3","silver"`)
		w.want(rawCount, "5")
		w.want(entities, "4")
		w.want(evidence, "4") // phones that the old mapping did not read
	}
	after()
	if sum := w.must(1); sum.Records != 0 {
		t.Errorf("the replay that has ended goes on: %+v", sum)
	}
	if sum := w.must(2); sum.Records != 5 {
		t.Errorf("a second replay = %+v", sum)
	}
	w.resolve()
	after()
	// A mapping mended once more wins over the replay of the first.
	w.says(2, "platinum", at-1) // older than what is known: it changes nothing
	w.resolve()
	w.must(3)
	w.resolve()
	w.want(levels, `"0","silver" "1","gold" "2","silver" "3","silver"`)
	w.want("SELECT max(bitAnd(version, 65535)) FROM users", "4") // the mapping's revision and the replay's number
}

// While a replay runs, newer changes come: they win, whichever reaches the
// resolver first.
func TestNewerChangesMeanwhile(t *testing.T) {
	w := newWorld(t)
	w.sayAll(1200, 3, "old")
	w.resolve()
	w.shop.mended = true
	done := make(chan error, 1)
	go func() {
		_, err := w.replay(t.Context(), 1)
		done <- err
	}()
	for user := 0; user < 1200; user += 40 {
		w.says(user, "new", at+9*86_400_000)
		if user%400 == 0 {
			w.resolve()
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.resolve()
	w.want("SELECT member_level, count() FROM users FINAL GROUP BY member_level ORDER BY member_level FORMAT CSV", `"new",30 "old",1170`)
	w.want(rawCount, "1230")
	w.want(evidence, "1200")
}

// Stopped in the middle, a replay goes on from its cursor, and what it
// repeats is there once.
func TestGoesOnFromItsCursor(t *testing.T) {
	w := newWorld(t)
	w.sayAll(1600, 2, "x")
	w.resolve()
	w.shop.mended, w.shop.broken = true, "7"
	ctx, cancel := context.WithCancel(t.Context())
	p := 0
	for _, err := range (&Stream{Connector: w.shop, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "tmall", Shop: "s", Source: events.Source_SOURCE_API,
		Run: Run{Number: 1, To: time.UnixMilli(at * 2)}}).Read(ctx, "users", "") {
		if p++; err != nil || p > 9 {
			t.Fatalf("page %d: %v", p, err)
		}
	}
	if p != 4 { // two days of 800, in pages of 500
		t.Errorf("%d pages, want 4", p)
	}
	// The first page alone.
	for page, err := range (&Stream{Connector: w.shop, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "tmall", Shop: "s", Source: events.Source_SOURCE_API,
		Run: Run{Number: 1, To: time.UnixMilli(at * 2)}}).Read(ctx, "users", "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := w.cursors.Put(t.Context(), "replay/1", page.Next); err != nil {
			t.Fatal(err)
		}
		break
	}
	cancel()
	if sum := w.must(1); sum.Records != 1100 {
		t.Errorf("the replay went on with %d records, want the other 1100", sum.Records)
	}
	if sum := w.must(2); sum.Records != 1600 || sum.DeadLetters != 1 {
		t.Errorf("replay = %+v, want 1600 records and one dead letter", sum)
	}
	w.resolve()
	w.want("SELECT member_level, count() FROM users FINAL GROUP BY member_level ORDER BY member_level FORMAT CSV", `"",1 "x",1599`)
}

// A replay takes the payloads of its time and of its source alone: the end is outside,
// and what a file said is not for the platform's mapping.
func TestTakesItsTimeAndSource(t *testing.T) {
	w := newWorld(t)
	const day = int64(86_400_000)
	for user := range 3 {
		w.says(user, "x", at+int64(user)*day)
	}
	raw := []byte(`{"User":"9","At":` + strconv.FormatInt(at+day, 10) + `}`)
	all, err := w.shop.Map(connectors.Record{Stream: "users", Shop: "s", Raw: raw})
	if err != nil {
		t.Fatal(err)
	}
	all[0].Header.Version.Source = events.Source_SOURCE_FILE
	w.Publish(t, w.Message(t, all[0]))
	w.resolve()
	for _, c := range []struct {
		name     string
		source   events.Source
		from, to int64
		want     string
	}{
		{"all of the platform", events.Source_SOURCE_API, at, at + 9*day, "0 1 2"},
		{"to the last, which is outside", events.Source_SOURCE_API, at, at + 2*day, "0 1"},
		{"from the second, which is inside", events.Source_SOURCE_API, at + day, at + 2*day, "1"},
		{"all of files", events.Source_SOURCE_FILE, at, at + 9*day, "9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := &Stream{Connector: w.shop, ClickHouse: w.ClickHouse, Keys: w.Keys, Platform: "tmall", Shop: "s", Source: c.source,
				Run: Run{Number: 1, From: time.UnixMilli(c.from), To: time.UnixMilli(c.to)}}
			var users []string
			for page, err := range stream.Read(t.Context(), "users", "") {
				if err != nil || len(page.Bad) > 0 {
					t.Fatal(page.Bad, err)
				}
				for _, record := range page.Records {
					var p payload
					if err := json.Unmarshal(record.Raw, &p); err != nil {
						t.Fatal(err)
					}
					users = append(users, p.User)
				}
			}
			if got := strings.Join(users, " "); got != c.want {
				t.Errorf("it takes %q, want %q", got, c.want)
			}
		})
	}
}
