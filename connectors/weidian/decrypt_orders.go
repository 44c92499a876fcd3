package weidian

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"oneid/connectors"
)

// The fields of an order that can be decrypted. fieldAccount is the phone of
// the buyer's account, the others are the receiver's.
const (
	fieldAccount = "account_phone"
	fieldPhone   = "phone"
	fieldName    = "name"
	fieldAddress = "address"
)

// sealedNames are where a field stands in an order's detail; those of a
// receiver stand in its buyer_info.
var sealedNames = map[string][]string{
	fieldAccount: {"user_phone"},
	fieldPhone:   {"phone"},
	fieldName:    {"name"},
	fieldAddress: {"self_address", "address"},
}

// maxOpened is how many orders are opened at once. The platform knows no such
// bound: it is the audit that is written in steps of so many.
const maxOpened = 100

// Decrypts implements connectors.Decrypter.
func (c *Connector) Decrypts() []connectors.Decryption {
	if len(c.cfg.DecryptFields) == 0 {
		return nil
	}
	return []connectors.Decryption{{Stream: Orders, Fields: c.cfg.DecryptFields, PerDay: c.cfg.DecryptPerDay, PerCall: maxOpened}}
}

// decryptFault says what is wrong with the settings of decryption; "" if nothing
// is.
func decryptFault(cfg Config) string {
	for i, field := range cfg.DecryptFields {
		if sealedNames[field] == nil || slices.Contains(cfg.DecryptFields[:i], field) {
			return fmt.Sprintf("decrypt_fields must be of %q, each once", slices.Sorted(maps.Keys(sealedNames)))
		}
	}
	if cfg.DecryptPerDay < 0 || (cfg.DecryptPerDay > 0) != (len(cfg.DecryptFields) > 0) {
		return "decrypt_fields and decrypt_per_day must both be set, or neither"
	}
	return ""
}

// Decrypt implements connectors.Decrypter. What the platform is asked for is
// the app's key (open.secret.list, kept for ten minutes), if any order holds a
// ciphertext at all; the fields are opened here, and cost no quota of its own.
func (c *Connector) Decrypt(ctx context.Context, orders []connectors.Record) ([]connectors.Opened, error) {
	out := make([]connectors.Opened, len(orders))
	sealed := make([]*sealedOrder, len(orders))
	found := false
	for i, record := range orders {
		out[i].Outcome = connectors.OpenedNothing
		var err error
		if sealed[i], err = sealedOf(record.Raw, c.cfg.DecryptFields); err != nil {
			out[i].Outcome = connectors.OpenedFailed
			continue
		}
		found = found || len(sealed[i].fields) > 0
	}
	if !found {
		return out, nil
	}
	keys, err := c.client.aesKeys(ctx)
	if err != nil {
		return nil, err
	}
	for i, order := range sealed {
		if order == nil || len(order.fields) == 0 {
			continue
		}
		out[i].Outcome = connectors.OpenedFailed
		raw, opened, err := order.open(keys)
		if err != nil || opened == 0 {
			continue
		}
		if out[i].Outcome = connectors.OpenedPart; opened == len(order.fields) {
			out[i].Outcome = connectors.OpenedAll
		}
		out[i].Record = orders[i]
		out[i].Record.Raw, out[i].Record.Observed = raw, c.client.now()
	}
	return out, nil
}

// sealedOrder is the payload of an order, taken apart as far as its sealed
// fields need it.
type sealedOrder struct {
	order, detail, buyer map[string]json.RawMessage
	fields               []sealedField
}

// sealedField is a ciphertext, and where it stands.
type sealedField struct {
	in          map[string]json.RawMessage
	name, value string
}

// sealedOf reads an order's ciphertexts of the fields that are asked for.
func sealedOf(raw json.RawMessage, asked []string) (*sealedOrder, error) {
	o := new(sealedOrder)
	if json.Unmarshal(raw, &o.order) != nil || json.Unmarshal(o.order["detail"], &o.detail) != nil {
		return nil, connectors.ErrRow
	}
	if json.Unmarshal(o.detail["buyer_info"], &o.buyer) != nil {
		o.buyer = nil // it names no receiver
	}
	for _, field := range asked {
		in := o.buyer
		if field == fieldAccount {
			in = o.detail
		}
		for _, name := range sealedNames[field] {
			var value string
			if json.Unmarshal(in[name], &value) == nil && isCiphertext(value) {
				o.fields = append(o.fields, sealedField{in, name, value})
			}
		}
	}
	return o, nil
}

// open is the payload as it would be had the platform given the fields in
// clear, and how many of them a key opens.
func (o *sealedOrder) open(keys []aesKey) (json.RawMessage, int, error) {
	opened := 0
	for _, field := range o.fields {
		for _, key := range keys {
			plain, ok := key.decrypt(field.value)
			if !ok {
				continue
			}
			text, err := marshal(plain)
			if err != nil {
				return nil, 0, err
			}
			field.in[field.name] = text
			opened++
			break
		}
	}
	var err error
	if o.buyer != nil {
		if o.detail["buyer_info"], err = marshal(o.buyer); err != nil {
			return nil, 0, err
		}
	}
	if o.order["detail"], err = marshal(o.detail); err != nil {
		return nil, 0, err
	}
	raw, err := marshal(o.order)
	return raw, opened, err
}

var _ connectors.Decrypter = (*Connector)(nil)
