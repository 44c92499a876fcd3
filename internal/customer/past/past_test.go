package past

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

func TestMain(m *testing.M) { chdbtest.Main(m) }

func account(no int) identity.Account {
	return identity.Account{Platform: "tmall", Shop: fmt.Sprint("s", no%2), ID: fmt.Sprint(no)}
}

// Every move says by whose word it came about, and by no other's of the same
// batch; and the public views answer what the command and the API do: which
// customer an account was at a moment, and where an id went.
func TestWhoWasWhoAndByWhoseWord(t *testing.T) {
	f := flowtest.New(t)
	store := f.State(t)
	resolve := func(messages ...kafka.Message) {
		t.Helper()
		f.Publish(t, messages...)
		r, _ := f.Resolver(t, store, nil)
		if err := flowtest.Run(t, r); err != nil {
			t.Fatal(err)
		}
	}
	word := func(d *events.Decision) kafka.Message {
		t.Helper()
		d.Who, d.Why, d.DecidedMs = "Ada", "why "+d.GetDecisionId(), time.Now().UnixMilli()
		value, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return kafka.Message{Topic: f.Topics.Decisions, Value: value}
	}
	const people = 8
	var users []kafka.Message
	for no := range people {
		phone := no
		if no == 1 {
			phone = 0 // a phone joins 0 and 1
		}
		users = append(users, f.Message(t, flowtest.User(no, fmt.Sprintf("138%08d", 1000+phone), 1_700_000_000_000)))
	}
	resolve(users...)
	same := func(id string, a, b int) kafka.Message {
		return word(&events.Decision{DecisionId: id, Kind: events.DecisionKind_DECISION_KIND_SAME, Accounts: []string{account(a).String(), account(b).String()}})
	}
	resolve(same("ab", 1, 7), same("cd", 3, 4), same("ef", 5, 6))
	undo := func(id, of string) kafka.Message {
		return word(&events.Decision{DecisionId: id, Kind: events.DecisionKind_DECISION_KIND_UNDO, Undoes: of})
	}
	resolve(undo("not ab", "ab"), undo("of nothing", "never said"))
	resolve(undo("after all", "not ab"))
	resolve(word(&events.Decision{DecisionId: "rules", Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: []byte("largest_customer: 9\ntypes:\n  email: {priority: 1, join: {member: 90}}\n")}))
	// Neither ab nor what it joined is told of another's move.
	words := map[string]string{}
	for no := range people {
		moves, err := Of(t.Context(), f.ClickHouse, account(no))
		if err != nil || moves[0].Why == "" || moves[0].From != (identity.CustomerID{}) || len(moves[0].Words) > 0 {
			t.Fatalf("%s: %+v (%v)", account(no), moves, err)
		}
		for _, m := range moves[1:] {
			var ids []string
			for _, w := range m.Words {
				if w.Who != "Ada" || w.Reason != "why "+w.ID || w.At.IsZero() {
					t.Errorf("%s: %+v", m.Account, w)
				}
				ids = append(ids, w.ID+" "+w.Kind+" "+w.Undoes)
			}
			if len(ids) == 0 {
				t.Errorf("%s moved (%s) by nobody's word", m.Account, m.Why)
			}
			group := map[int]string{0: "ab", 1: "ab", 7: "ab", 3: "cd", 4: "cd", 5: "ef", 6: "ef", 2: ""}[no]
			words[group] = strings.TrimPrefix(words[group]+", "+strings.Join(ids, " + "), ", ")
		}
	}
	// Of 0 and 1, joined by a phone, and 7 either side may have gone to the other;
	// rules without phones part 0 from the rest.
	for group, want := range map[string][]string{
		"ab": {"ab same ", "not ab undo ab", "after all undo not ab", "rules adopt "}, "cd": {"cd same "}, "ef": {"ef same "}, "": nil,
	} {
		got := strings.Split(words[group], ", ")
		slices.Sort(got)
		slices.Sort(want)
		if strings.Join(slices.Compact(got), ", ") != strings.Join(want, ", ") {
			t.Errorf("%s moved by %q, want %q", group, words[group], want)
		}
	}

	moments := 0
	for no := range people {
		moves, err := Of(t.Context(), f.ClickHouse, account(no))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range moves {
			for _, moment := range []time.Time{m.At, m.At.Add(time.Millisecond)} {
				want := "\n"
				if was, ok := On(moves, moment); ok {
					want = was.To.String() + "\t" + was.Why + "\n"
				}
				got, err := f.Database.Query(t.Context(), fmt.Sprintf("SELECT customer_id, why FROM account_history WHERE account = '%s' AND toUnixTimestamp64Milli(moved_at) < %d ORDER BY move DESC LIMIT 1 FORMAT TSV", account(no), moment.UnixMilli()))
				if err != nil || strings.TrimSpace(got) != strings.TrimSpace(want) {
					t.Errorf("%s before %s was %q by the view (%v), %q here", account(no), moment, got, err, want)
				}
				moments++
			}
		}
		id := account(no).BirthID()
		fate, err := FateOf(t.Context(), f.ClickHouse, id)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if len(fate.Accounts) == 0 {
			want = fate.RedirectsTo.String()
		}
		got, err := f.Database.Query(t.Context(), fmt.Sprintf("SELECT leads_to FROM customer_redirects WHERE customer_id = '%s' FORMAT TSV", id))
		if err != nil || strings.TrimSpace(got) != want {
			t.Errorf("%s leads to %q by the view (%v), to %q here", id, got, err, want)
		}
	}
	if moments < 3*people {
		t.Errorf("%d moments were looked at: the test shows less than it says", moments)
	}
	if _, _, err := OnDay(nil, "2026-02-30", time.UTC); !errors.Is(err, ErrDay) {
		t.Errorf("a day that is none: %v", err)
	}
}

// A day ends at its midnight in the brand's zone.
func TestOnDay(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("brand", 8*3600)
	moves := []Move{{At: time.Date(2026, 11, 11, 15, 59, 59, 999e6, time.UTC), Why: "born"}, {At: time.Date(2026, 11, 11, 16, 0, 0, 0, time.UTC), Why: "split"}}
	for day, want := range map[string]string{"2026-11-10": "", "2026-11-11": "born", "2026-11-12": "split"} {
		was, ok, err := OnDay(moves, day, zone)
		if was.Why != want || ok != (want != "") || err != nil {
			t.Errorf("on %s: %+v, %v, %v", day, was, ok, err)
		}
	}
}
