package deadletter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"oneid/connectors"
	"oneid/internal/clickhouse"
	"oneid/internal/embedded/chdb/chdbtest"
	"oneid/internal/kafka"
	"oneid/schemas/events"
	"oneid/schemas/tables"
)

// A message that ClickHouse refuses once more after its replay is said to be kept,
// and counts all attempts: nothing looks mended that is not.
func TestRefusedAgainIsKept(t *testing.T) {
	t.Parallel()
	r, ctx := newRig(t), t.Context()
	constraint := func(statement string) {
		t.Helper()
		if err := r.clickhouse.Exec(ctx, "alter users", "ALTER TABLE "+r.clickhouse.Database()+".users "+statement); err != nil {
			t.Fatal(err)
		}
	}
	constraint("ADD CONSTRAINT choosy CHECK user_id NOT IN ('3', '7')")
	var messages []kafka.Message
	for no := range 20 {
		messages = append(messages, r.encode(user(no), r.keys))
	}
	r.publish(messages...)
	r.flow()
	mapper := func(*events.DeadLetter, []byte) (connectors.Connector, error) { return &table{mended: true}, nil }
	replay := func(f Filter) Report {
		t.Helper()
		_, ends, err := r.client.Ends(ctx, r.topics.DeadLetter)
		if err != nil {
			t.Fatal(err)
		}
		report, err := r.desk(mapper).Replay(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		r.flow()
		if err := r.desk(nil).CameBack(ctx, &report, ends[0]); err != nil {
			t.Fatal(err)
		}
		return report
	}
	open := func() []Letter {
		t.Helper()
		letters, err := r.desk(nil).List(ctx, Filter{State: StateOpen}, 100)
		if err != nil {
			t.Fatal(err)
		}
		return letters
	}
	for tried := uint32(1); tried < 4; tried++ {
		letters := open()
		if len(letters) != 2 || letters[0].Attempts != tried || letters[1].Attempts != tried {
			t.Fatalf("open are %+v, want two letters, tried %d times", letters, tried)
		}
		report := replay(Filter{})
		if report.Replayed != 0 || report.Kept != 2 || len(report.Failures) != 2 || !strings.Contains(report.Failures[0].Detail, "error 469") {
			t.Errorf("refused again, and the replay says %+v", report)
		}
	}
	constraint("DROP CONSTRAINT choosy")
	constraint("ADD CONSTRAINT choosy CHECK user_id != '3'")
	if report := replay(Filter{}); report.Replayed != 1 || report.Kept != 1 || len(report.Failures) != 1 {
		t.Errorf("one is taken now, and the replay says %+v", report)
	}
	constraint("DROP CONSTRAINT choosy")
	if report := replay(Filter{}); report.Replayed != 1 || report.Kept != 0 || len(report.Failures) != 0 {
		t.Errorf("mended, and the replay says %+v", report)
	}
	if left := open(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	if got := r.number("SELECT count() FROM DB.users FINAL"); got != 20 {
		t.Errorf("%d users are loaded, want 20", got)
	}
	// A record that is mapped now, and whose event is refused.
	constraint("ADD CONSTRAINT choosy CHECK user_id != '41'")
	letter := func(id, raw string) {
		t.Helper()
		parts, err := events.Letters(&events.DeadLetter{
			LetterId: id, Platform: "tmall", Shop: "s", Stream: "users", Source: events.Source_SOURCE_API, Reason: events.ReasonMap, Detail: "x", Origin: "line 1",
			Attempts: 1, FirstSeenMs: 1, ObservedMs: 1_700_000_000_123,
		}, []byte(raw), r.keys)
		if err != nil {
			t.Fatal(err)
		}
		parts[0].Topic, parts[0].Key = r.topics.DeadLetter, []byte(id)
		r.publish(kafka.MessageOf(parts[0]))
		r.flow()
	}
	letter("record", "41")
	if report := replay(Filter{}); report.Replayed != 0 || report.Kept != 1 || len(report.Failures) != 1 {
		t.Errorf("mapped and refused, and the replay says %+v", report)
	}
	if left := open(); len(left) != 1 || left[0].Reason != events.ReasonStore || left[0].Attempts != 2 {
		t.Errorf("left are %+v, want one letter, tried twice", left)
	}
	// A record of two users, both refused, is one that is kept; others are replayed.
	constraint("DROP CONSTRAINT choosy")
	constraint("ADD CONSTRAINT choosy CHECK user_id NOT IN ('51', '53')")
	letter("two", "51+53")
	letter("another", "55")
	if report := replay(Filter{}); report.Replayed != 2 || report.Kept != 1 || len(report.Failures) != 2 {
		t.Errorf("two refused users of one record, and the replay says %+v; want one of three kept", report)
	}
}

// What is cut off is no fault of the letter that was in hand.
func TestReplayThatIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	d := &Desk{Mapper: func(*events.DeadLetter, []byte) (connectors.Connector, error) {
		stop()
		return nil, fmt.Errorf("ask: %w", ctx.Err())
	}}
	letter := opened{message: &events.DeadLetter{Source: events.Source_SOURCE_API, Reason: events.ReasonMap}}
	if _, err := d.tryAgain(ctx, letter); !errors.Is(err, context.Canceled) {
		t.Errorf("asked to stop it says of the letter %v", err)
	}
}

// What comes into the dead letter while letters are dealt with is left to another
// time: a replay of what is refused again, letter for letter, has an end.
func TestLettersThatComeMeanwhile(t *testing.T) {
	t.Parallel()
	r, made := newRig(t), 0
	more := func() {
		t.Helper()
		made++
		parts, err := events.Letters(&events.DeadLetter{LetterId: fmt.Sprint("letter ", made), Reason: events.ReasonStore, Detail: "x", Origin: "x", Attempts: 1, FirstSeenMs: 1}, []byte("x"), r.keys)
		if err != nil {
			t.Fatal(err)
		}
		parts[0].Topic, parts[0].Key = r.topics.DeadLetter, []byte("x")
		r.publish(kafka.MessageOf(parts[0]))
		r.record()
	}
	for range 3 {
		more()
	}
	d, taken := r.desk(nil), 0
	d.page = 2
	err := d.pages(t.Context(), Filter{}, func(letters []Letter) error {
		if taken += len(letters); taken > 3 {
			return errors.New("it goes on and on")
		}
		for range letters {
			more()
		}
		return nil
	})
	if err != nil || taken != 3 {
		t.Errorf("of 3 letters %d were taken, %v", taken, err)
	}
}

// told is a connector that tells whenever it maps.
type told struct {
	table
	maps chan struct{}
}

func (c *told) Map(record connectors.Record) ([]*events.Event, error) {
	c.maps <- struct{}{}
	return c.table.Map(record)
}

// A letter is open until what became of it is acknowledged: one whose topic takes
// nothing is tried again, and has no other state meanwhile.
func TestALetterIsOpenUntilItsMessagesAreThere(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := newRigOn(t, cluster.ListenAddrs())
	parts, err := events.Letters(&events.DeadLetter{
		LetterId: "x", Platform: "tmall", Shop: "s", Stream: "users", Source: events.Source_SOURCE_API, Reason: events.ReasonMap, Detail: "x", Origin: "page 1", Attempts: 1, FirstSeenMs: 1,
	}, []byte("2"), r.keys)
	if err != nil {
		t.Fatal(err)
	}
	parts[0].Topic, parts[0].Key = r.topics.DeadLetter, []byte("x")
	r.publish(kafka.MessageOf(parts[0]))
	r.record()
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: r.topics.Users, Count: -1, Err: kerr.NotEnoughReplicas})
	c := &told{maps: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := r.desk(func(*events.DeadLetter, []byte) (connectors.Connector, error) { return c, nil }).Replay(ctx, Filter{})
		ended <- err
	}()
	for range 2 { // the second time shows that the first was in vain
		select {
		case <-c.maps:
		case err := <-ended:
			t.Fatalf("the replay ended: %v", err)
		}
	}
	if _, next, err := r.client.Ends(ctx, r.topics.DeadLetter); err != nil || next[0] != 1 {
		t.Errorf("the topic ends at %v (%v): there is a state of a letter of which nothing became", next, err)
	}
	cancel()
	for waiting := true; waiting; {
		select {
		case <-c.maps:
		case <-ended:
			waiting = false
		}
	}
}

// full is a way to a database whose disk is full as long as it is asked to be.
type full struct {
	conn    *clickhouse.Conn
	code    atomic.Int32 // of the error that inserts get; 0: none
	refused atomic.Int64
}

func newFull(t *testing.T, d chdbtest.Database) *full {
	t.Helper()
	target, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	f, proxy := new(full), httputil.NewSingleHostReverseProxy(target)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := f.code.Load()
		if code == 0 || !strings.Contains(r.URL.Query().Get("query"), "INSERT") {
			proxy.ServeHTTP(w, r)
			return
		}
		f.refused.Add(1)
		w.Header().Set("X-ClickHouse-Exception-Code", fmt.Sprint(code))
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "Code: %d. DB::Exception: no room", code)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	f.conn, err = clickhouse.Open(t.Context(), clickhouse.Config{URL: "http://" + listener.Addr().String(), Database: d.Name, User: d.User, Password: d.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.conn.Close() })
	if _, err := f.conn.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// waited waits until work was refused n times more, and makes room then.
func (f *full) waited(t *testing.T, n int64, ended <-chan error) {
	t.Helper()
	for before := f.refused.Load(); f.refused.Load() < before+n; {
		select {
		case err := <-ended:
			t.Fatalf("it did not wait for room: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	f.code.Store(0)
}

// While ClickHouse has no room, letters wait to be recorded and a replay of a row
// waits to insert it: no attempt is counted, and both go on by themselves.
func TestAFullClickHouseIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := newFull(t, chdbtest.Start(t))
	r.clickhouse = f.conn
	block := tables.NewEvidence()
	block.Append(tables.Account{Platform: "tmall", Shop: "s", ID: "1"}, "phone", [16]byte{1}, "member", "tmall/s", 1, 2)
	row, err := tables.EncodeRow(block, 0)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := events.Letters(&events.DeadLetter{LetterId: "row", Stream: events.StreamRows, Reason: events.ReasonStore, Detail: "x", Origin: "b.journal", Attempts: 1, FirstSeenMs: 1}, row, r.keys)
	if err != nil {
		t.Fatal(err)
	}
	parts[0].Topic, parts[0].Key = r.topics.DeadLetter, []byte("row")
	r.publish(kafka.MessageOf(parts[0]))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()

	f.code.Store(75)
	var log bytes.Buffer // the logger locks it, and it is read once Run has ended
	var seen atomic.Int64
	recorder := &Recorder{
		Brand: "b", Kafka: r.client, Topic: r.topics.DeadLetter, ClickHouse: f.conn, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Seen: func(string, string) { seen.Add(1) },
	}
	recording, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- recorder.Run(recording) }()
	f.waited(t, 2, ended)
	if err := recorder.CaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if seen.Load() != 1 {
		t.Errorf("one letter was counted %d times", seen.Load())
	}
	for _, said := range []string{"dead letters wait for a store that is away", "dead letters are recorded again"} {
		if n := strings.Count(log.String(), said); n != 1 {
			t.Errorf("the log says %q %d times, want once:\n%s", said, n, log.String())
		}
	}

	f.code.Store(243)
	// Who asked cannot be written down, so nothing is shown.
	if l, raw, err := r.desk(nil).Show(ctx, "row"); !clickhouse.IsUnavailable(err) || raw != nil || l.ID != "" {
		t.Errorf("without an audit %d bytes of %q are shown: %v", len(raw), l.ID, err)
	}
	var report Report
	go func() {
		var err error
		if report, err = r.desk(nil).Replay(ctx, Filter{}); err == nil {
			err = errDone
		}
		ended <- err
	}()
	f.waited(t, 2, ended)
	if err := <-ended; !errors.Is(err, errDone) || report.Replayed != 1 || report.Kept != 0 {
		t.Errorf("once there is room the replay says %+v, %v", report, err)
	}
	if got := r.number("SELECT count() FROM DB.evidence"); got != 1 {
		t.Errorf("%d rows are inserted, want 1", got)
	}
}

var errDone = errors.New("the replay ended")
