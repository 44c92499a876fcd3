package tmall_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/connectors/tmall"
)

// The receivers that the platform opens come back as the order would be in
// clear, with the fields that are asked for and no others; one whose oaid is of
// another order, and an order without one, take nothing away from the others.
func TestDecrypt(t *testing.T) {
	t.Parallel()
	world, err := simulator.New(simulator.Config{People: 60, Seed: 1, Until: time.Now().Add(-5 * time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(simulator.Tmall(world, simulator.TmallOptions{}))
	defer server.Close()
	keys := simulator.TmallCredentialsOf(world)
	c, err := tmall.New(keys.Shop, tmall.Config{
		URL: server.URL, AppKey: keys.AppKey, AppSecret: keys.AppSecret, Session: keys.Session, RequestsPerSecond: 1e6,
		DecryptFields: []string{"phone"}, DecryptPerDay: 10, DecryptScene: "2002",
	})
	if err != nil {
		t.Fatal(err)
	}
	var orders []connectors.Record
	for page, err := range c.Read(t.Context(), tmall.Orders, "") {
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, page.Records...)
	}
	orders = orders[:5]
	opened, err := c.Decrypt(t.Context(), append(orders, connectors.Record{Stream: tmall.Orders, Raw: []byte(`{"trade":{"tid":"1","oaid":"of-nobody"}}`)},
		connectors.Record{Stream: tmall.Orders, Raw: []byte(`{"trade":{"tid":"2"}}`)}, connectors.Record{Stream: tmall.Orders, Raw: []byte(`[]`)}))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"opened", "opened", "opened", "opened", "opened", "failed", "nothing", "failed"} {
		if opened[i].Outcome != want || (opened[i].Record.Raw != nil) != (want == "opened") {
			t.Errorf("order %d: %s, want %s", i, opened[i].Outcome, want)
		}
	}
	for i, order := range orders {
		before, err := c.Map(order)
		if err != nil {
			t.Fatal(err)
		}
		after, err := c.Map(opened[i].Record)
		if err != nil {
			t.Fatal(err)
		}
		had, has := before[0].GetHeader(), after[0].GetHeader()
		truth, ok := world.OrderByNumber("tmall", has.GetEntityId())
		if !ok || has.GetEntityId() != had.GetEntityId() || has.GetAccount() != had.GetAccount() || has.GetVersion().GetModifiedMs() != had.GetVersion().GetModifiedMs() {
			t.Fatalf("it is another order: %v", ok)
		}
		for _, s := range had.GetPerson().GetSightings() {
			if s.GetType() == "phone" {
				t.Error("a phone is seen before it is decrypted")
			}
		}
		found := false
		for _, s := range has.GetPerson().GetSightings() {
			found = found || s.GetType() == "phone" && s.GetValue() == truth.Receiver.Phone
		}
		if !found || has.GetPerson().GetReceiver().GetName() != had.GetPerson().GetReceiver().GetName() {
			t.Errorf("order %d: phone seen: %v; or a name that nobody asked for", i, found)
		}
	}
}

// What a purpose does not show cannot be asked for.
func TestDecryptSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]tmall.Config{
		"no budget":      {DecryptFields: []string{"phone"}, DecryptScene: "2002"},
		"no scene":       {DecryptFields: []string{"phone"}, DecryptPerDay: 1},
		"no fields":      {DecryptPerDay: 1, DecryptScene: "2002"},
		"unknown scene":  {DecryptFields: []string{"phone"}, DecryptPerDay: 1, DecryptScene: "9"},
		"another field":  {DecryptFields: []string{"name"}, DecryptPerDay: 1, DecryptScene: "2002"},
		"twice the same": {DecryptFields: []string{"phone", "phone"}, DecryptPerDay: 1, DecryptScene: "2002"},
	} {
		c.AppKey, c.AppSecret = "1", "s"
		if _, err := tmall.New("s", c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
