package douyin

import (
	"errors"

	"oneid/connectors"
	"oneid/schemas/events"
)

// mapMembership maps a membership call. A phone that the platform gave encrypted
// is seen by its index alone, if it has one, and never as a phone: the payload
// keeps it, for whoever decrypts. The old number of a change is no new sighting:
// whoever has it now is somebody else.
func mapMembership(r connectors.Record) ([]*events.Event, error) {
	var call memberCall
	rec, err := connectors.ReadMembershipRecord(r.Raw, &call)
	if err != nil {
		return nil, err
	}
	account := memberAccount(string(call.OpenID))
	if !connectors.Names(account) {
		return nil, errors.New("the call has no open_id that names somebody")
	}
	joined := rec.Kind == connectors.MemberBind || rec.Kind == connectors.MemberPhone
	role := events.Role_ROLE_BUYER
	if joined {
		role = events.Role_ROLE_MEMBER
	}
	var sightings []*events.Sighting
	see := func(kind string, value text, scope string) {
		if value != "" {
			sightings = append(sightings, &events.Sighting{Type: kind, Value: string(value), Role: role, Scope: scope})
		}
	}
	see("douyin_union_id", call.UnionID, "")
	if rec.Kind != connectors.MemberQuery {
		see("membership", text(account), r.Shop)
	}
	switch phone := call.phone(); {
	case !joined:
	case mobile.MatchString(string(phone)):
		see("phone", phone, "")
	default:
		see("douyin_phone_index", text(phoneIndex(string(phone))), "")
	}
	h := header(r, account, account, rec.ModifiedMs())
	h.Person = &events.Person{Sightings: sightings}
	user := &events.User{Member: joined || rec.Bound}
	if rec.Kind == connectors.MemberBind {
		user.MemberSinceMs = rec.At * 1000
	}
	return []*events.Event{{Header: h, Body: &events.Event_User{User: user}}}, nil
}
