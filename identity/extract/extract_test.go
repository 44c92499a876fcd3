package extract

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"oneid/identity"
	"oneid/schemas/events"
)

func hash(typ identity.IdentifierType, scope, value string) identity.Hash {
	sum := sha256.Sum256([]byte(string(typ) + "\x00" + scope + "\x00" + value))
	return identity.Hash(sum[:16])
}

func TestOrder(t *testing.T) {
	t.Parallel()
	rules, err := identity.ParseRules(bytes.Replace(identity.DefaultRulesYAML(), []byte("13800138000"), []byte("13900002222"), 1))
	if err != nil {
		t.Fatal(err)
	}
	x := Extractor{Hash: hash, Rules: rules, MixMobileKey: "key"}
	e := &events.Event{
		Header: &events.Header{Platform: "weidian", Shop: "7", Account: "42", Person: &events.Person{Sightings: []*events.Sighting{
			{Type: "phone", Value: "+86 13812345670", Role: events.Role_ROLE_BUYER},
			{Type: "phone", Value: "13812345670", Role: events.Role_ROLE_BUYER},
			{Type: "phone", Value: "138****1111", Role: events.Role_ROLE_RECEIVER},
			{Type: "phone", Value: "13900002222", Role: events.Role_ROLE_AGENT},
			{Type: "weidian_buyer_id", Value: "42", Role: events.Role_ROLE_BUYER},
		}}},
		Body: &events.Event_Order{Order: &events.Order{CreatedMs: 5000, PaidMs: 9000}},
	}
	got := x.Extract(e)
	account := identity.Account{Platform: "weidian", Shop: "7", ID: "42"}
	piece := func(typ identity.IdentifierType, scope, value string) identity.Evidence {
		return identity.Evidence{Account: account, Identifier: identity.Identifier{Type: typ, Hash: hash(typ, scope, value)},
			Role: identity.RoleBuyer, Source: "weidian", First: 5, Last: 9}
	}
	want := []identity.Evidence{
		piece(identity.Phone, "", "13812345670"),
		piece(identity.TmallMixMobile, "", MixMobile("13812345670", "key")),
		piece(identity.WeidianBuyerID, "7", "42"),
	}
	if d := cmp.Diff(want, got.Evidence); d != "" {
		t.Errorf("evidence (-want +got):\n%s", d)
	}
	if len(got.Values) != 3 || got.Skipped["masked"] != 1 || got.Skipped[Never] != 1 {
		t.Errorf("values %d, skipped %v", len(got.Values), got.Skipped)
	}
}

// Receivers are evidence where the rules use a model, masked before anything
// keeps them.
func TestReceiverIsAnAppearance(t *testing.T) {
	t.Parallel()
	with, err := identity.ParseRules([]byte("largest_customer: 9\nmodel: {use: m, accept: 9, review: 5, strength: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	e := &events.Event{
		Header: &events.Header{Platform: "weidian", Shop: "7", Account: "42", Person: &events.Person{Receiver: &events.Receiver{
			Name: "王小明", Phone: "13812345670", City: "杭州市", Detail: "文一西路18号"}}},
		Body: &events.Event_Order{Order: &events.Order{CreatedMs: 5000, PaidMs: 9000}},
	}
	x := Extractor{Hash: hash, Rules: with}
	got := x.Extract(e)
	want := identity.Appearance{Name: "王**", Phone: "*******5670", City: "杭州市", Detail: "文*西*1*号"}
	if got.Appearance == nil || *got.Appearance != want || len(got.Evidence) != 1 || len(got.Values) != 1 ||
		got.Evidence[0].Role != identity.RoleReceiver || got.Evidence[0].First != 5 || got.Evidence[0].Last != 5 ||
		got.Evidence[0].Identifier != got.Values[0].Identifier || got.Evidence[0].Identifier.Type != identity.AppearanceType {
		t.Errorf("got %+v of %+v, want %+v", got, got.Appearance, want)
	}
	x.Rules = identity.DefaultRules()
	if x.Into(e, &got); got.Appearance != nil || len(got.Evidence) != 0 || len(got.Values) != 0 {
		t.Errorf("without a model: %+v", got)
	}
}

// An order that is paid long after it was placed shows its receiver once: two
// moments would be what an account has that sends to him again.
func TestAReceiverIsSeenOnceAnOrder(t *testing.T) {
	t.Parallel()
	with, err := identity.ParseRules(append(identity.DefaultRulesYAML(), "\nmodel: {use: any, accept: 9, review: 5, least_days: 1, strength: 1}\n"...))
	if err != nil {
		t.Fatal(err)
	}
	x := Extractor{Hash: hash, Rules: with}
	const day = 86_400_000
	for name, order := range map[string]*events.Order{
		"a presale":             {CreatedMs: 5000, PaidMs: 5000 + 3*day},
		"paid before it exists": {CreatedMs: 5000 + 3*day, PaidMs: 5000},
		"only its payment":      {PaidMs: 5000},
	} {
		got := x.Extract(&events.Event{
			Header: &events.Header{Platform: "weidian", Shop: "7", Account: "42", Person: &events.Person{
				Receiver:  &events.Receiver{Name: "王小明", Phone: "13812345670", City: "杭州市", Detail: "文一西路18号"},
				Sightings: []*events.Sighting{{Type: "phone", Value: "13812345670", Role: events.Role_ROLE_BUYER}},
			}},
			Body: &events.Event_Order{Order: order},
		})
		for _, e := range got.Evidence {
			if e.Identifier.Type != identity.AppearanceType {
				if order.CreatedMs > 0 && e.Last-e.First != 3*day/1000 {
					t.Errorf("%s: the buyer's %s was seen from %d to %d, want over three days", name, e.Identifier, e.First, e.Last)
				}
				continue
			}
			if e.First != 5 || with.Model.Counts(e.First, e.Last) {
				t.Errorf("%s: the receiver was seen from %d to %d, want once, at 5", name, e.First, e.Last)
			}
		}
		if len(got.Evidence) != 2 {
			t.Errorf("%s: %d pieces of evidence", name, len(got.Evidence))
		}
	}
}

// A member list read today does not make a number that was bound long ago
// look alive today.
func TestMemberTimeIsTheBinding(t *testing.T) {
	t.Parallel()
	e := &events.Event{Header: &events.Header{Version: &events.Version{ModifiedMs: 99000}},
		Body: &events.Event_User{User: &events.User{MemberSinceMs: 7000, CreatedMs: 3000}}}
	if first, last := times(e); first != 7 || last != 7 {
		t.Errorf("times = %d, %d, want 7, 7", first, last)
	}
}

// What a platform gives in place of a phone (its search index, its hash) is
// another identifier than the phone, also where the texts are the same; and the
// same index in two shops is two.
func TestAPlatformsIndexNeverMeetsAPhone(t *testing.T) {
	t.Parallel()
	of := func(shop, typ string, role events.Role) identity.Evidence {
		x := &Extractor{Hash: hash, Rules: identity.DefaultRules()}
		got := x.Extract(&events.Event{
			Header: &events.Header{Platform: "douyin", Shop: shop, Account: "a", Person: &events.Person{Sightings: []*events.Sighting{{Type: typ, Value: "13812345670", Role: role}}}},
			Body:   &events.Event_Order{Order: &events.Order{CreatedMs: 1000}},
		})
		if len(got.Evidence) != 1 {
			t.Fatalf("%s: %d pieces of evidence", typ, len(got.Evidence))
		}
		return got.Evidence[0]
	}
	phone, index := of("1", "phone", events.Role_ROLE_BUYER), of("1", "douyin_phone_index", events.Role_ROLE_BUYER)
	if phone.Identifier.Hash == index.Identifier.Hash || phone.Identifier.Type == index.Identifier.Type {
		t.Error("an index is hashed as if it were a phone")
	}
	if other := of("2", "douyin_phone_index", events.Role_ROLE_BUYER); other.Identifier == index.Identifier {
		t.Error("the index of another shop is the same identifier")
	}
	for _, role := range []identity.Role{identity.RoleMember, identity.RoleBuyer, identity.RoleReceiver, identity.RoleAgent} {
		if identity.DefaultRules().Strength(identity.DouyinPhoneIndex, role) != 0 {
			t.Errorf("it joins in the role %v", role)
		}
	}
}

// Weidian's ciphertext of a phone is the app's: in two shops of one app it is one
// identifier, which the rules that ship do not join by and a brand's own may.
func TestACiphertextOfAnAppMeetsInAllItsShops(t *testing.T) {
	t.Parallel()
	own, err := identity.ParseRules([]byte("largest_customer: 100\ntypes:\n  weidian_phone_cipher: {priority: 7, join: {buyer: 80}, accounts: 8, per_shop: 1, gap_days: 365, reissue_days: 90}\n"))
	if err != nil {
		t.Fatal(err)
	}
	x := &Extractor{Hash: hash, Rules: own}
	var evidence []identity.Evidence
	for _, shop := range []string{"1", "2"} {
		evidence = append(evidence, x.Extract(&events.Event{
			Header: &events.Header{Platform: "weidian", Shop: shop, Account: "a", Person: &events.Person{Sightings: []*events.Sighting{
				{Type: "weidian_phone_cipher", Value: "qm5GAS+soIIAf3pvSVvA7NKBZvocWHXWGOzjr9FzTN4=", Role: events.Role_ROLE_BUYER}}}},
			Body: &events.Event_Order{Order: &events.Order{CreatedMs: 1000}},
		}).Evidence...)
	}
	if len(evidence) != 2 || evidence[0].Identifier != evidence[1].Identifier || evidence[0].Identifier.Type != identity.WeidianPhoneCipher {
		t.Fatalf("the evidence is %v", evidence)
	}
	for rules, want := range map[*identity.Rules]int{identity.DefaultRules(): 2, own: 1} {
		if got := identity.Resolve(evidence, nil, rules).Customers; len(got) != want {
			t.Errorf("%d customers, want %d", len(got), want)
		}
	}
}

// The type of an identifier outlives its event, whose texts lie in memory that is used again.
func TestTypesOutliveTheirEvent(t *testing.T) {
	t.Parallel()
	x := Extractor{Hash: hash, Rules: identity.DefaultRules()}
	values := map[string]string{"phone": "13812345670", "email": "a@b.example", "tmall_mix_mobile": "0123456789abcdef0123456789abcdef"}
	for _, name := range []string{
		"phone", "email", "unionid", "openid", "member_card", "tmall_mix_mobile", "tmall_ouid", "tmall_open_uid", "tmall_omid", "tmall_union_id",
		"douyin_open_id", "douyin_union_id", "douyin_phone_index", "weidian_buyer_id", "weidian_phone_cipher", "external_customer", "membership", "of_our_own",
	} {
		value, text := values[name], []byte(name)
		if value == "" {
			value = "12345678"
		}
		got := x.Extract(&events.Event{Header: &events.Header{Platform: "tmall", Shop: "s", Account: "a", Person: &events.Person{Sightings: []*events.Sighting{
			{Type: unsafe.String(&text[0], len(text)), Value: value, Role: events.Role_ROLE_BUYER},
		}}}})
		clear(text)
		if len(got.Evidence) != 1 || string(got.Evidence[0].Identifier.Type) != name || string(got.Values[0].Identifier.Type) != name {
			t.Errorf("%s: evidence %v, skipped %v", name, got.Evidence, got.Skipped)
		}
	}
}
