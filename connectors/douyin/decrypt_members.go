package douyin

import (
	"context"
	"encoding/json"

	"oneid/connectors"
)

// openMembers asks for the phones of members whose calls gave them encrypted.
// No method that decrypts such a text is documented; but the platform tells a
// member's phone in clear while a paid order of the last 90 days is there, by
// the method that the stream of users asks too. That it is the phone of the call
// is assumed, and that of a member's newest call alone is asked for.
func (c *Connector) openMembers(ctx context.Context, calls []connectors.Record) ([]connectors.Opened, error) {
	out := make([]connectors.Opened, len(calls))
	accounts := make([]string, len(calls))
	var ids []string
	for i, record := range calls {
		account, sealed, err := sealedMember(record.Raw)
		switch {
		case err != nil:
			out[i].Outcome = connectors.OpenedFailed
		case !sealed:
			out[i].Outcome = connectors.OpenedNothing
		default:
			accounts[i] = account
			ids = append(ids, account)
		}
	}
	if len(ids) == 0 {
		return out, nil
	}
	members, err := c.members(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, account := range accounts {
		if account == "" {
			continue
		}
		var member struct {
			Success truth `json:"success"`
			Mobile  text  `json:"mobile"`
		}
		out[i].Outcome = connectors.OpenedFailed
		if json.Unmarshal(members[account], &member) != nil || !bool(member.Success) {
			continue
		}
		if !mobile.MatchString(string(member.Mobile)) {
			out[i].Outcome = connectors.OpenedNothing // no paid order of 90 days
			continue
		}
		raw, err := withMobile(calls[i].Raw, string(member.Mobile))
		if err != nil {
			continue
		}
		out[i].Outcome, out[i].Record = connectors.OpenedAll, calls[i]
		out[i].Record.Raw, out[i].Record.Observed = raw, c.client.now()
	}
	return out, nil
}

// sealedMember is the account of a membership call that is stored, and whether
// its phone is encrypted.
func sealedMember(raw json.RawMessage) (account string, sealed bool, err error) {
	var call memberCall
	if _, err := connectors.ReadMembershipRecord(raw, &call); err != nil {
		return "", false, err
	}
	return memberAccount(string(call.OpenID)), call.OpenID != "" && isCiphertext(string(call.phone())), nil
}

// withMobile is a membership call as it would be had the platform given the
// phone in clear.
func withMobile(raw json.RawMessage, phone string) (json.RawMessage, error) {
	var call map[string]json.RawMessage
	record, err := connectors.ReadMembershipRecord(raw, &call)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(phone)
	if err != nil {
		return nil, err
	}
	var info, numbers map[string]json.RawMessage
	if json.Unmarshal(call["info"], &info) == nil && json.Unmarshal(info["mobile"], &numbers) == nil && numbers["new_mobile"] != nil {
		numbers["new_mobile"] = plain
		if info["mobile"], err = json.Marshal(numbers); err != nil {
			return nil, err
		}
		if call["info"], err = json.Marshal(info); err != nil {
			return nil, err
		}
	} else {
		call["mobile"] = plain
	}
	if record.Call, err = json.Marshal(call); err != nil {
		return nil, err
	}
	return json.Marshal(record)
}
