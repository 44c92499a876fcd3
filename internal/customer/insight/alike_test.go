package insight

import (
	"fmt"
	"testing"

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
