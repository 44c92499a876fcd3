package tmall

import (
	"encoding/json"
	"errors"
	"strings"

	"oneid/connectors"
	"oneid/schemas/events"
)

// member is a customer of the shop as the platform's CRM gives it. It holds
// no name, phone or birthday.
type member struct {
	OUID      text `json:"ouid"`
	Nick      text `json:"buyer_nick"`
	Grade     text `json:"grade"`
	GradeName text `json:"grade_name"`
	Province  text `json:"province"`
	City      text `json:"city"`
	// OMID is not among the documented fields of these methods; where a
	// brand's app is given it, it joins the brand's shops.
	OMID text `json:"omid"`
}

func (m mapper) user(record connectors.Record) ([]*events.Event, error) {
	var raw memberRecord
	var u member
	if json.Unmarshal(record.Raw, &raw) != nil || json.Unmarshal(raw.Member, &u) != nil || raw.AsOf.IsZero() {
		return nil, errors.New("it is not a member")
	}
	var f fields
	ouid := f.must("ouid", u.OUID)
	if u.OUID != "" && !connectors.Names(ouid) {
		f.fail("ouid", "names nobody")
	}
	grade := f.count("grade", u.Grade)
	if f.err != nil {
		return nil, f.err
	}
	header := m.header(record, ouid, ouid, raw.AsOf.UnixMilli())
	_, sightings := m.buyer(ouid, "", "")
	if u.OMID != "" {
		sightings = append(sightings, &events.Sighting{Type: "tmall_omid", Value: string(u.OMID), Role: events.Role_ROLE_MEMBER, Scope: m.brand})
	}
	header.Person = &events.Person{Sightings: sightings}
	user := &events.User{
		Member: grade > 0, MemberLevel: string(u.GradeName),
		Province: string(u.Province), City: string(u.City),
	}
	if user.MemberLevel == "" && grade > 0 {
		user.MemberLevel = string(u.Grade)
	}
	// A nick is personal unless it is masked.
	if strings.Contains(string(u.Nick), "*") {
		user.Nick = string(u.Nick)
	}
	return []*events.Event{{Header: header, Body: &events.Event_User{User: user}}}, nil
}
