package profile

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/normalize"
	"oneid/internal/customer"
	"oneid/internal/keyring"
	"oneid/internal/state"
	"oneid/pipelines/flowtest"
)

// A look-up says by what the model joined two accounts, and shows no field.
func TestReasonsTellOfTheModel(t *testing.T) {
	t.Parallel()
	keys, err := keyring.Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	rules, err := identity.ParseRules([]byte("largest_customer: 9\nmodel: {use: plain, accept: 8, review: 4, least_days: 30, strength: 9, per_shop: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(store, rules, engine.Models(flowtest.Models))
	if err != nil {
		t.Fatal(err)
	}
	accounts := []identity.Account{{Platform: "douyin", Shop: "1", ID: "b"}, {Platform: "tmall", Shop: "1", ID: "a"}}
	receivers := []identity.Appearance{normalize.AsSeen("林一一", "13800001111", "", "杭州市", "", "", ""), normalize.AsSeen("林一一", "138****1111", "", "杭州市", "", "", "")}
	var updates []engine.Update
	var evidence []identity.Evidence
	for i, a := range receivers {
		value := normalize.AppearanceValue(a)
		id := identity.Identifier{Type: identity.AppearanceType, Hash: keys.Hash(string(identity.AppearanceType), "", value)}
		sealed := keys.Seal(nil, []byte(value), keyring.IdentifierContext(string(id.Type), id.Hash))
		if err := store.PutValues([]state.SealedValue{{Identifier: id, Sealed: sealed}}); err != nil {
			t.Fatal(err)
		}
		ev := identity.Evidence{Account: accounts[i], Identifier: id, Role: identity.RoleReceiver, Source: accounts[i].Platform, Last: 40 * 86400}
		evidence = append(evidence, ev)
		updates = append(updates, engine.Update{Account: accounts[i], Evidence: []identity.Evidence{ev}, Appearance: &a})
	}
	if _, err := e.Apply(1, updates, nil); err != nil {
		t.Fatal(err)
	}
	p := &Profiles{Source: &State{Engine: e, Values: store}, Keys: keys, Rules: rules, Models: flowtest.Models}
	got, err := p.reasons(t.Context(), accounts, slices.Clone(evidence), map[identity.Identifier]string{})
	if err != nil {
		t.Fatal(err)
	}
	want := []customer.Reason{{From: "douyin/1/b", To: "tmall/1/a", Rule: "model", Bits: 8, Parts: "equal +8.0"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("reasons (-want +got):\n%s", d)
	}
}
