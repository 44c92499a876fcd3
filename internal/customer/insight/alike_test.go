package insight

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/internal/kafka"
	"oneid/pipelines/flowtest"
	"oneid/schemas/events"
)

// received is what seen is, of an account that has parcels sent to somebody.
func received(t *testing.T, f *flowtest.Flow, account string, on int, to *events.Receiver) kafka.Message {
	t.Helper()
	a, err := identity.ParseAccount(account)
	if err != nil {
		t.Fatal(err)
	}
	e := flowtest.User(0, "", int64(1_600_000_000_000)+int64(on)*day)
	e.Header.Platform, e.Header.Shop, e.Header.EntityId, e.Header.Account = a.Platform, a.Shop, a.ID, a.ID
	e.Header.Person = &events.Person{Receiver: to}
	return f.Message(t, e)
}

// Who is alike, and not enough to be joined, is asked about, with what speaks for
// it; what was answered is not, nor what other rules think nothing of.
func TestQueueAsksAboutTheAlike(t *testing.T) {
	f := flowtest.New(t)
	rules := func(review string) *identity.Rules {
		r, err := identity.ParseRules([]byte("largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}}\nmodel: {use: plain, accept: 10, review: " + review + ", least_days: 30, strength: 9, per_shop: 1}\n"))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	f.Rules = rules("6")
	settle := settler(t, f)
	at := func(phone string) *events.Receiver {
		return &events.Receiver{Name: "林一一", Phone: phone, City: "杭州市"}
	}
	var all []kafka.Message
	for _, on := range []int{10, 60} {
		all = append(all,
			received(t, f, "tmall/s/one", on, at("13800001111")), received(t, f, "douyin/s/one", on, at("13800002222")),
			received(t, f, "tmall/s/two", on, &events.Receiver{Name: "何二二", Phone: "13800003333", City: "宁波市"}), received(t, f, "weidian/s/two", on, &events.Receiver{Name: "何二二", Phone: "13800003333", City: "宁波市"}))
	}
	settle(append(all, bought(t, f, "tmall/s/one", 20_000), bought(t, f, "douyin/s/one", 30_000))...)
	ask := func(rules *identity.Rules) []Question {
		t.Helper()
		got, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: rules}).Queue(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := ask(f.Rules)
	if len(got) != 1 || got[0].Accounts != [2]string{"douyin/s/one", "tmall/s/one"} || got[0].Paid != [2]string{"300", "200"} || got[0].Bits != 8 ||
		len(got[0].Parts) != 1 || got[0].Parts[0] != "equal +8.0" || len(got[0].Reasons) != 1 || got[0].Reasons[0] != "model" {
		t.Errorf("questions = %+v, want one about both accounts of one name", got)
	}
	if got := ask(rules("9")); len(got) != 0 {
		t.Errorf("under a higher threshold %+v are asked", got)
	}
	settle(said(t, f, "d1", events.DecisionKind_DECISION_KIND_DIFFERENT, "tmall/s/one", "douyin/s/one"))
	if got := ask(f.Rules); len(got) != 0 {
		t.Errorf("after the answer %+v are asked", got)
	}
	// However many of those that are worth most were answered, the next is asked.
	var more, answers []kafka.Message
	for i, name := range []string{"赵三三", "钱四四", "孙五五"} {
		a, b := fmt.Sprintf("tmall/s/more%d", i), fmt.Sprintf("douyin/s/more%d", i)
		for _, on := range []int{10, 60} {
			more = append(more, received(t, f, a, on, &events.Receiver{Name: name, Phone: fmt.Sprintf("1370000%04d", 1000+i), City: "温州市"}),
				received(t, f, b, on, &events.Receiver{Name: name, Phone: fmt.Sprintf("1370000%04d", 2000+i), City: "温州市"}))
		}
		more = append(more, bought(t, f, a, int64(90_000-10_000*i)), bought(t, f, b, int64(90_000-10_000*i)))
		if i < 2 {
			answers = append(answers, said(t, f, fmt.Sprint("more", i), events.DecisionKind_DECISION_KIND_DIFFERENT, a, b))
		}
	}
	settle(more...)
	settle(answers...)
	next, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}).Queue(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(next) != 1 || next[0].Accounts != [2]string{"douyin/s/more2", "tmall/s/more2"} {
		t.Errorf("behind two answers %+v are asked, want the third pair", next)
	}
}

// stranger is a model that finds nobody alike.
type stranger struct{ identity.Scorer }

func (stranger) Weigh(identity.Appearance, identity.Appearance) float32 { return -92 }

// What people are asked is what the rules in force ask of what is known now: a pair is
// asked no more when the two are alike no more, and again when they are.
func TestQueueForgetsWhoIsAlikeNoMore(t *testing.T) {
	f := flowtest.New(t)
	f.Models["stranger"] = stranger{flowtest.Models["plain"]}
	source := "largest_customer: 9\ntypes:\n  phone: {priority: 1, join: {member: 90}}\nmodel: {use: plain, accept: 13, review: 6, least_days: 30, block: 3, strength: 9, per_shop: 1}\n"
	var err error
	if f.Rules, err = identity.ParseRules([]byte(source)); err != nil {
		t.Fatal(err)
	}
	settle := settler(t, f)
	word := func(d *events.Decision) kafka.Message {
		d.DecidedMs = time.Now().UnixMilli()
		value, err := proto.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return kafka.Message{Topic: f.Topics.Decisions, Key: []byte(d.GetDecisionId()), Value: value}
	}
	adopt := func(id, from, to string) kafka.Message {
		return word(&events.Decision{DecisionId: id, Kind: events.DecisionKind_DECISION_KIND_ADOPT, Rules: []byte(strings.Replace(source, from, to, 1))})
	}
	undo := func(id string) kafka.Message {
		return said(t, f, "undo "+id, events.DecisionKind_DECISION_KIND_UNDO, id)
	}
	lin, he := &events.Receiver{Name: "林一一", City: "杭州市"}, &events.Receiver{Name: "何二二", City: "宁波市"}
	days := func(account string, to *events.Receiver, on ...int) (all []kafka.Message) {
		for _, day := range on {
			all = append(all, received(t, f, account, day, to))
		}
		return all
	}
	sent := func(each ...[]kafka.Message) (all []kafka.Message) {
		for _, some := range each {
			all = append(all, some...)
		}
		return all
	}
	const ofLin, ofHe = "douyin/s/lin tmall/s/lin", "douyin/s/he tmall/s/he"
	for _, step := range []struct {
		what string
		told []kafka.Message
		want []string
	}{
		{"two who are alike, two who have sent once", sent(days("tmall/s/lin", lin, 10, 60), days("douyin/s/lin", lin, 10, 60), days("tmall/s/he", he, 10), days("douyin/s/he", he, 10)), []string{ofLin}},
		{"gifts count", []kafka.Message{adopt("gifts", "least_days: 30", "least_days: 0")}, []string{ofHe, ofLin}},
		{"they count no more", []kafka.Message{undo("gifts")}, []string{ofLin}},
		{"another model", []kafka.Message{adopt("model", "use: plain", "use: stranger")}, nil},
		{"and taken back", []kafka.Message{undo("model")}, []string{ofLin}},
		{"many at one door", sent(days("weidian/s/1", lin, 10), days("weidian/s/2", lin, 10)), nil},
		{"who has sent once sends again", sent(days("tmall/s/he", he, 60), days("douyin/s/he", he, 60)), []string{ofHe}},
	} {
		settle(step.told...)
		got, err := (&Reporter{ClickHouse: f.ClickHouse, Rules: f.Rules}).Queue(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		for _, q := range got {
			asked = append(asked, q.Accounts[0]+" "+q.Accounts[1])
		}
		if strings.Join(asked, ", ") != strings.Join(step.want, ", ") {
			t.Errorf("%s: asked about %q, want %q", step.what, asked, step.want)
		}
	}
}
