package conformance

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// A push names what has changed, and what is fetched then is what a reading
// gives, under the same ce_id; one that the platform did not sign is refused.
func testPush(t *testing.T, s Subject) {
	b := open(t, s, nil)
	if b.Push == nil {
		return // it pushes nothing, or the connector's own tests show it
	}
	c, ok := b.Connector.(connectors.Pushed)
	if !ok {
		t.Fatal("the platform pushes, and the connector is no connectors.Pushed")
	}
	for h := range uint64(5) { // a platform may show by its number only what has changed lately
		b.Change(h)
	}
	time.Sleep(time.Minute)
	pushes := 0
	for _, stream := range c.Spec().Streams {
		pulled := whole(t, c, stream.Name, "")
		for key := range pulled.newest {
			_, id, _ := strings.Cut(key, " ")
			push, ok := b.Push(stream.Name, id)
			if !ok {
				continue
			}
			pushes++
			messages, err := c.Open(push)
			if err != nil || len(messages) != 1 || messages[0].Err != nil || messages[0].Stream != stream.Name || messages[0].ID == "" {
				t.Fatalf("%s: a push that the platform signed: %+v, %v; want one message that names the stream and an id", stream.Name, messages, err)
			}
			_, tells := s.ofClass(t, connectors.SkipRecord)
			fetched(t, c, messages[0], pulled, tells)
			refusedPushes(t, b, c, push)
			if t.Failed() || pushes%5 == 0 {
				break
			}
		}
	}
	if pushes == 0 {
		t.Error("Shop.Push tells of nothing in any stream: the test tests nothing")
	}
	done, forged, later := c.Answer(nil), c.Answer(connectors.ErrRefused), c.Answer(errors.New("the broker is away"))
	if done.Status/100 != 2 || done == forged || done == later {
		t.Errorf("the platform is answered %+v when its push is safe, %+v when it is not its own, and %+v when it is to send it again", done, forged, later)
	}
}

// fetched holds what a message leads to against what a reading gave. tells: the
// platform has a code for what it does not have.
func fetched(t *testing.T, c connectors.Fetcher, m connectors.Message, pulled *reading, tells bool) {
	t.Helper()
	page, err := c.Fetch(t.Context(), m.Stream, m.ID)
	if err != nil || len(page.Records) == 0 {
		t.Errorf("%s: Fetch of what a push names: %d records, %v", m.Stream, len(page.Records), err)
	}
	for _, record := range page.Records {
		list, err := c.Map(record)
		if err != nil {
			t.Errorf("%s: Map of what was fetched: %v", m.Stream, err)
		}
		for _, e := range list {
			if ce := events.Describe(e).ID; !pulled.ids[ce] {
				t.Errorf("%s: what was fetched for a push has the ce_id %s, and no reading gave that: one change would count twice. Fetch has to give the payload that Read gives", m.Stream, ce)
			}
		}
	}
	page, err = c.Fetch(t.Context(), m.Stream, "0")
	if tells && err != nil && connectors.ClassOf(err) != connectors.SkipRecord || len(page.Records) > 0 {
		t.Errorf("%s: Fetch of what the platform does not have: %d records, %v; want an empty page, or the platform's code for it", m.Stream, len(page.Records), err)
	}
}

// refusedPushes changes a push on its way.
func refusedPushes(t *testing.T, b *bench, c connectors.Pushed, push connectors.Push) {
	t.Helper()
	other := push
	other.Body = append([]byte(" "), push.Body...)
	if push.Key != "" { // the end of the address stands for a signature
		other = push
		other.Key = push.Key[:len(push.Key)-1] + "x"
	}
	for what, forged := range map[string]connectors.Push{
		"with another body or key":  other,
		"without its header or key": {Header: http.Header{}, Body: push.Body},
		"of nothing":                {Header: http.Header{}},
	} {
		messages, err := c.Open(forged)
		if !errors.Is(err, connectors.ErrRefused) || len(messages) > 0 {
			t.Errorf("a push %s: %d messages, %v; want connectors.ErrRefused", what, len(messages), err)
		}
		b.quiet(t, err)
	}
}
