package tmall

import (
	"strings"

	"oneid/connectors"
	"oneid/schemas/events"
)

// membership maps a call of the member centre. The phone of a query is no
// evidence: the buyer has not agreed to anything yet.
func (m mapper) membership(record connectors.Record) ([]*events.Event, error) {
	var call memberCall
	r, err := connectors.ReadMembershipRecord(record.Raw, &call)
	if err != nil {
		return nil, err
	}
	var f fields
	account := f.must("ouid or open_id", text(call.account()))
	if account != "" && !connectors.Names(account) {
		f.fail("ouid or open_id", "names nobody")
	}
	if f.err != nil {
		return nil, f.err
	}
	role := events.Role_ROLE_BUYER
	joined := r.Kind == connectors.MemberBind || r.Kind == connectors.MemberPhone
	if joined {
		role = events.Role_ROLE_MEMBER
	}
	_, sightings := m.buyer(string(call.OUID), memberOpenUID(call), "")
	see := func(kind string, value text, role events.Role, scope string) {
		if value != "" {
			sightings = append(sightings, &events.Sighting{Type: kind, Value: string(value), Role: role, Scope: scope})
		}
	}
	see("tmall_omid", call.OMID, role, m.brand)
	see("tmall_union_id", call.UnionID, role, m.brand)
	if r.Kind != connectors.MemberQuery {
		see("membership", text(account), role, m.shop)
	}
	if joined {
		see("phone", call.Mobile, role, "")
		see("tmall_mix_mobile", call.MixMobile, role, "")
	}
	header := m.header(record, account, account, r.ModifiedMs())
	header.Person = &events.Person{Sightings: sightings}
	user := &events.User{Member: joined || r.Bound}
	if r.Kind == connectors.MemberBind {
		user.MemberSinceMs = r.At * 1000
	}
	// A nick is personal unless it is masked.
	if strings.Contains(string(call.Nick), "*") {
		user.Nick = string(call.Nick)
	}
	return []*events.Event{{Header: header, Body: &events.Event_User{User: user}}}, nil
}

// memberOpenUID is the buyer_open_uid of a call. That the member centre's
// open_id is the one of orders is assumed: both are of a buyer and an app key.
func memberOpenUID(call memberCall) string { return string(call.OpenID) }
