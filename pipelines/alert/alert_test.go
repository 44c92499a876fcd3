package alert

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
	"oneid/pipelines"
	"oneid/schemas/events"
)

type rig struct {
	t      *testing.T
	client *kafka.Client
	topic  string
}

func newRig(t *testing.T) rig {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: brokertest.Brokers(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	brand := brokertest.Brand()
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(brand, 1) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	return rig{t, client, events.TopicsOf(brand).Alerts}
}

// running runs alerts until stop.
func (r rig) running() (a *Alerts, stop func()) {
	r.t.Helper()
	publisher := pubsub.NewPublisher(r.client)
	a = &Alerts{Kafka: r.client, Publisher: publisher, Topic: r.topic, Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run: %v", err)
		}
		if err := publisher.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// told are the alerts in the topic, each as "kind subject +detail" or, when it
// was cleared, "kind subject -".
func (r rig) told() []string {
	r.t.Helper()
	first, next, err := r.client.Ends(r.t.Context(), r.topic)
	if err != nil {
		r.t.Fatal(err)
	}
	var told []string
	err = r.client.ReadRange(r.t.Context(), r.topic, 0, first[0], next[0], true, func(m kafka.Fetched) error {
		alert := new(events.Alert)
		if err := proto.Unmarshal(m.Value, alert); err != nil {
			r.t.Error(err)
		}
		sign := "-"
		if alert.GetState() == events.AlertState_ALERT_STATE_RAISED {
			sign = "+" + alert.GetDetail()
		}
		told = append(told, alert.GetKind()+" "+alert.GetSubject()+" "+sign)
		if string(m.Key) != alert.GetKind()+"/"+alert.GetSubject() || len(m.Headers) != 6 || alert.GetChangedMs() == 0 {
			r.t.Errorf("message %q with %d headers holds %v", m.Key, len(m.Headers), alert)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return told
}

// wants waits until these, and no others, were told.
func (r rig) wants(want ...string) {
	r.t.Helper()
	var got []string
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got = r.told(); len(got) >= len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("told were\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Each change is told once, however often a state is said; also by a process
// that starts when an alert of an earlier one stands.
func TestChangesAreToldOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, stop := r.running()
	for i := range 20 {
		a.Set(Resolver, "clickhouse", "waits for ClickHouse")
		a.Set(Reconciliation, "tmall/s/orders", "")
		if i == 10 {
			r.wants("resolver clickhouse +waits for ClickHouse")
		}
	}
	a.Set(Resolver, "clickhouse", "waits for Kafka") // it stands already
	a.Set(Connector, "tmall/s/orders", "re-authorise")
	r.wants("resolver clickhouse +waits for ClickHouse", "connector tmall/s/orders +re-authorise")
	stop()
	a, stop = r.running()
	a.Set(Connector, "tmall/s/orders", "re-authorise")
	a.Set(Resolver, "clickhouse", "")
	r.wants("resolver clickhouse +waits for ClickHouse", "connector tmall/s/orders +re-authorise", "resolver clickhouse -")
	a.Set(Resolver, "clickhouse", strings.Repeat("long ", 1000))
	r.wants(append(r.told()[:3:3], "resolver clickhouse +"+strings.Repeat("long ", maxDetail/5))...)
	stop()
}

// What was said before Run, and while the topic is not there, is told in the
// end: the last state of each.
func TestAlertsWaitForKafka(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	away, err := kafka.New(kafka.Config{Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	publisher := pubsub.NewPublisher(r.client)
	defer publisher.Close()
	a := &Alerts{Kafka: away, Publisher: publisher, Topic: r.topic, Log: slog.New(slog.DiscardHandler)}
	for i := range 100 {
		a.Set(Resolver, "clickhouse", fmt.Sprint("round ", i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	if err := a.Run(ctx); err != nil {
		t.Errorf("with Kafka away: %v", err)
	}
	cancel()
	r.wants()
	a.Kafka = r.client
	ctx, cancel = context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	r.wants("resolver clickhouse +round 99")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Two processes, to each of which the same stream belongs for a while: what one
// has raised the other clears, and nobody raises again what was cleared.
func TestWhatOneRaisesAnotherClears(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, stopA := r.running()
	b, stopB := r.running()
	const stream = "tmall/s/orders"
	b.Set(Connector, stream, "") // it had the stream, and all was well
	a.Set(Connector, stream, "re-authorise")
	r.wants("connector tmall/s/orders +re-authorise")
	b.Set(Connector, stream, "re-authorise") // it fails there, too
	b.Set(Connector, "other", "away")
	r.wants("connector tmall/s/orders +re-authorise", "connector other +away")
	b.Set(Connector, stream, "")
	r.wants("connector tmall/s/orders +re-authorise", "connector other +away", "connector tmall/s/orders -")
	a.Set(Connector, "third", "away") // what it said of the stream is out of date
	r.wants("connector tmall/s/orders +re-authorise", "connector other +away", "connector tmall/s/orders -", "connector third +away")
	a.Set(Connector, stream, "re-authorise") // it has the stream again, and did not clear it itself
	r.wants("connector tmall/s/orders +re-authorise", "connector other +away", "connector tmall/s/orders -", "connector third +away", "connector tmall/s/orders +re-authorise")
	b.Set(Connector, stream, "") // it cleared an earlier one, and clears this one too
	r.wants(append(r.told()[:5:5], "connector tmall/s/orders -")...)
	stopA()
	stopB()
	if got := len(r.told()); got != 6 {
		t.Errorf("%d alerts were told, want 6", got)
	}
	standing, err := Standing(t.Context(), r.client, r.topic)
	if err != nil || len(standing) != 2 || standing[0].GetSubject() != "other" || standing[1].GetSubject() != "third" {
		t.Errorf("standing are %v (%v)", standing, err)
	}
}

// What a process has raised that is gone, another clears without knowing of it;
// other kinds, and what is wrong now, stay.
func TestAKindIsCleared(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, stop := r.running()
	a.Set(Resolver, "clickhouse", "waits")
	r.wants("resolver clickhouse +waits")
	a.Set(Connector, "tmall/s/orders", "re-authorise")
	r.wants("resolver clickhouse +waits", "connector tmall/s/orders +re-authorise")
	stop()
	a, stop = r.running()
	a.Set(Resolver, "kafka", "never told: all is well since")
	a.Clear(Resolver)
	r.wants("resolver clickhouse +waits", "connector tmall/s/orders +re-authorise", "resolver clickhouse -")
	a.Clear(Resolver)
	a.Set(Resolver, "disk", "full")
	r.wants(append(r.told()[:3:3], "resolver disk +full")...)
	a.Clear(Resolver)
	a.Set(Resolver, "disk", "still full")
	a.Clear(Drift)
	stop()
	if got := len(r.told()); got != 4 {
		t.Errorf("told were %q", r.told())
	}
}

// How payloads differ is told whenever it is another difference, also by a
// process that starts later, and once more when there is none.
func TestEachDriftIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, stop := r.running()
	a.Set(Drift, "tmall/s/orders", "gained a")
	r.wants("drift tmall/s/orders +gained a")
	a.Set(Drift, "tmall/s/orders", "gained a")
	a.Set(Drift, "tmall/s/orders", "gained a; lost b")
	r.wants("drift tmall/s/orders +gained a", "drift tmall/s/orders +gained a; lost b")
	stop()
	a, stop = r.running()
	a.Set(Drift, "tmall/s/orders", "gained a; lost b")
	a.Set(Resolver, "clickhouse", "waits")
	r.wants("drift tmall/s/orders +gained a", "drift tmall/s/orders +gained a; lost b", "resolver clickhouse +waits")
	a.Set(Drift, "tmall/s/orders", "")
	r.wants(append(r.told()[:3:3], "drift tmall/s/orders -")...)
	stop()
}

// What is wrong is told though its words are not fit to print: cut in the middle
// of a character, or of bytes that are no text.
func TestAnyWordsAreTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, stop := r.running()
	defer stop()
	long := strings.Repeat("错", maxDetail)
	a.Set(Pipeline, "inbox", long)
	r.wants("pipeline inbox +" + long[:999])
	a.Set(Pipeline, "files", "the file \xb6\xa9.csv cannot be read")
	r.wants("pipeline inbox +"+long[:999], "pipeline files +the file \uFFFD.csv cannot be read")
}

// meanwhile does something once, while an alert is on its way.
type meanwhile struct {
	message.Publisher
	do func()
}

func (m *meanwhile) Publish(topic string, messages ...*message.Message) error {
	if do := m.do; do != nil {
		m.do = nil
		do()
	}
	return m.Publisher.Publish(topic, messages...)
}

// What changes while it is told is told too.
func TestAChangeOnTheWayIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	publisher := pubsub.NewPublisher(r.client)
	defer publisher.Close()
	a := &Alerts{Kafka: r.client, Topic: r.topic, Log: slog.New(slog.DiscardHandler)}
	a.Publisher = &meanwhile{publisher, func() { a.Set(Connector, "tmall/s/orders", "") }}
	a.Set(Connector, "tmall/s/orders", "re-authorise")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	r.wants("connector tmall/s/orders +re-authorise", "connector tmall/s/orders -")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// What is set last before the end is told, since nobody else will.
func TestTheLastWordIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, stop := r.running()
	a.Set(Pipeline, "nightly", "it failed")
	r.wants("pipeline nightly +it failed")
	a.Set(Pipeline, "nightly", "")
	stop()
	r.wants("pipeline nightly +it failed", "pipeline nightly -")
}

// What a stream lacks changes while the alert stands: the newest text is kept, also by
// another process, and is no news to anybody.
func TestWhatIsMissingIsRenewed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, stop := r.running()
	a.Set(Missing, "s", "3 rows")
	r.wants("missing s +3 rows")
	a.Set(Missing, "s", "4 rows")
	r.wants("missing s +3 rows", "missing s +4 rows")
	stop()
	b, stop := r.running()
	defer stop()
	b.Set(Missing, "s", "4 rows")
	b.Set(Connector, "s", "failed at 1")
	r.wants("missing s +3 rows", "missing s +4 rows", "connector s +failed at 1")
	b.Set(Connector, "s", "failed at 2")
	b.Set(Missing, "s", "")
	r.wants("missing s +3 rows", "missing s +4 rows", "connector s +failed at 1", "missing s -")
	standing, err := Standing(t.Context(), r.client, r.topic)
	if err != nil || len(standing) != 1 || standing[0].GetKind() != Connector {
		t.Errorf("%v stand (%v)", standing, err)
	}
	if events.AlertChanges(Missing, "3 rows", "4 rows") || !events.AlertChanges(Missing, "", "4 rows") {
		t.Error("people are told of a text that is renewed, or not of one that is new")
	}
}
