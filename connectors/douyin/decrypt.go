package douyin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// The fields of an order's receiver that can be decrypted, and the phone of a
// member whose call of 会员通 gave it encrypted.
const (
	fieldPhone   = "phone"
	fieldName    = "name"
	fieldAddress = "address"
	fieldMember  = "member_phone"
)

var decryptFields = []string{fieldPhone, fieldName, fieldAddress, fieldMember}

const (
	decryptMethod = "order.batchDecrypt"
	// maxTexts is how many ciphertexts one call opens.
	maxTexts = 50
)

// Decrypts implements connectors.Decrypter. Members come first: they gave their
// phones to the brand.
func (c *Connector) Decrypts() []connectors.Decryption {
	var all []connectors.Decryption
	ofOrders := slices.DeleteFunc(slices.Clone(c.cfg.DecryptFields), func(field string) bool { return field == fieldMember })
	if len(ofOrders) < len(c.cfg.DecryptFields) {
		all = append(all, connectors.Decryption{Stream: connectors.MembershipStream, Fields: []string{fieldMember}, PerDay: c.cfg.DecryptPerDay, PerCall: memberBatch})
	}
	if len(ofOrders) > 0 {
		all = append(all, connectors.Decryption{Stream: Orders, Fields: ofOrders, PerDay: c.cfg.DecryptPerDay, PerCall: maxTexts / len(ofOrders)})
	}
	return all
}

// decryptFault says what is wrong with the settings of decryption; "" if nothing
// is.
func decryptFault(cfg Config) string {
	for i, field := range cfg.DecryptFields {
		if !slices.Contains(decryptFields, field) || slices.Contains(cfg.DecryptFields[:i], field) {
			return fmt.Sprintf("decrypt_fields must be of %q, each once", decryptFields)
		}
	}
	if slices.Contains(cfg.DecryptFields, fieldMember) && cfg.AppID == 0 {
		return "decrypt_fields with member_phone needs app_id: the platform tells of members by it"
	}
	if cfg.DecryptPerDay < 0 || (cfg.DecryptPerDay > 0) != (len(cfg.DecryptFields) > 0) {
		return "decrypt_fields and decrypt_per_day must both be set, or neither"
	}
	return ""
}

// quotaRefused says that the day's quota of decryptions is used up. The code
// stands for several causes that only the platform's text tells apart, so that
// each counts as this one: no more is asked today.
func quotaRefused(err error) bool {
	var e *connectors.Error
	return errors.As(err, &e) && e.SubCode == fmt.Sprintf("isv.business-failed:%d", quotaCode)
}

const quotaCode = 300003

// partlyDecrypted says that an answer holds what could be opened although it
// refuses the rest.
func partlyDecrypted(method, sub string) bool {
	return method == decryptMethod && slices.Contains([]string{"isv.business-failed:300001", "isv.business-failed:300007", "isv.business-failed:300008"}, sub)
}

// sealedOrder is an order and its ciphertexts by field.
type sealedOrder struct {
	fields map[string]json.RawMessage
	number string
	cipher map[string]string
}

// sealedOf reads an order's ciphertexts of the fields that are asked for.
func sealedOf(raw json.RawMessage, fields []string) (sealedOrder, error) {
	var o sealedOrder
	if err := json.Unmarshal(raw, &o.fields); err != nil {
		return o, connectors.ErrRow
	}
	var known struct {
		Number text `json:"order_id"`
		Tel    text `json:"encrypt_post_tel"`
		Name   text `json:"encrypt_post_receiver"`
		Addr   struct {
			Detail text `json:"encrypt_detail"`
		} `json:"post_addr"`
	}
	if err := json.Unmarshal(raw, &known); err != nil {
		return o, connectors.ErrRow
	}
	o.number, o.cipher = string(known.Number), make(map[string]string)
	for field, value := range map[string]text{fieldPhone: known.Tel, fieldName: known.Name, fieldAddress: known.Addr.Detail} {
		if slices.Contains(fields, field) && isCiphertext(string(value)) {
			o.cipher[field] = string(value)
		}
	}
	return o, nil
}

// with is the order as it would be had the platform given the fields in clear.
func (o sealedOrder) with(plain map[string]string) (json.RawMessage, error) {
	set := func(in map[string]json.RawMessage, key, value string) error {
		if value == "" {
			return nil
		}
		raw, err := json.Marshal(value)
		in[key] = raw
		return err
	}
	err := errors.Join(set(o.fields, "post_tel", plain[fieldPhone]), set(o.fields, "post_receiver", plain[fieldName]))
	if plain[fieldAddress] != "" {
		where := make(map[string]json.RawMessage)
		if json.Unmarshal(o.fields["post_addr"], &where) != nil {
			return nil, connectors.ErrRow
		}
		err = errors.Join(err, set(where, "detail", plain[fieldAddress]))
		raw, bad := json.Marshal(where)
		o.fields["post_addr"], err = raw, errors.Join(err, bad)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(o.fields)
}

// decryptAnswer is the data of order.batchDecrypt.
type decryptAnswer struct {
	Infos list[struct {
		Order   text  `json:"auth_id"`
		Cipher  text  `json:"cipher_text"`
		Plain   text  `json:"decrypt_text"`
		Virtual truth `json:"is_virtual_tel"`
		ErrNo   whole `json:"err_no"`
	}] `json:"decrypt_infos"`
	// Custom is why the batch was refused, which an answer of success may hold too.
	Custom object[struct {
		Code whole `json:"err_code"`
	}] `json:"custom_err"`
}

// refused is the error of an answer that opens nothing and says why. What some of it
// opens has cost, and is kept: the next call is told the rest.
func (a *decryptAnswer) refused(shop string) error {
	code := a.Custom.V.Code
	for _, info := range a.Infos {
		if info.ErrNo == 0 && info.Plain != "" {
			return nil
		}
		if info.ErrNo == quotaCode {
			code = quotaCode
		}
	}
	sub := fmt.Sprintf("isv.business-failed:%d", code)
	if code == 0 || partlyDecrypted(decryptMethod, sub) {
		return nil
	}
	return refusal("", shop, decryptMethod, "50002", sub, "")
}

// Decrypt implements connectors.Decrypter.
func (c *Connector) Decrypt(ctx context.Context, records []connectors.Record) ([]connectors.Opened, error) {
	if len(records) > 0 && records[0].Stream == connectors.MembershipStream {
		return c.openMembers(ctx, records)
	}
	return c.openOrders(ctx, records)
}

// openOrders decrypts fields of receivers.
func (c *Connector) openOrders(ctx context.Context, orders []connectors.Record) ([]connectors.Opened, error) {
	out := make([]connectors.Opened, len(orders))
	sealed := make([]sealedOrder, len(orders))
	var infos []map[string]string
	for i, record := range orders {
		out[i].Outcome = connectors.OpenedNothing
		var err error
		if sealed[i], err = sealedOf(record.Raw, c.cfg.DecryptFields); err != nil {
			out[i].Outcome = connectors.OpenedFailed
			continue
		}
		for _, cipher := range sealed[i].cipher {
			infos = append(infos, map[string]string{"auth_id": sealed[i].number, "cipher_text": cipher})
		}
	}
	if len(infos) == 0 {
		return out, nil
	}
	var answer decryptAnswer
	err := c.client.call(httpclient.WithoutRepeats(ctx), decryptMethod, map[string]any{"cipher_infos": infos, "account_id": c.shop, "account_type": "main_account"}, &answer)
	if err == nil {
		err = answer.refused(c.shop)
	}
	if quotaRefused(err) {
		return nil, fmt.Errorf("douyin: shop %s: %w: %w", c.shop, connectors.ErrDecryptQuota, err)
	}
	if err != nil {
		return nil, err
	}
	type text struct {
		plain   string
		virtual bool
	}
	opened := make(map[[2]string]text)
	for _, info := range answer.Infos {
		if info.ErrNo == 0 && info.Plain != "" {
			opened[[2]string{string(info.Order), string(info.Cipher)}] = text{string(info.Plain), bool(info.Virtual)}
		}
	}
	for i := range orders {
		if len(sealed[i].cipher) == 0 {
			continue
		}
		plain, virtual := make(map[string]string), false
		for field, cipher := range sealed[i].cipher {
			got, ok := opened[[2]string{sealed[i].number, cipher}]
			if got.virtual {
				virtual = true // it expires, and is nobody's
			} else if ok {
				plain[field] = got.plain
			}
		}
		out[i].Outcome = connectors.OpenedFailed
		switch {
		case len(plain) == len(sealed[i].cipher):
			out[i].Outcome = connectors.OpenedAll
		case len(plain) > 0:
			out[i].Outcome = connectors.OpenedPart
		case virtual:
			out[i].Outcome = connectors.OpenedVirtual
		}
		if len(plain) == 0 {
			continue
		}
		raw, err := sealed[i].with(plain)
		if err != nil {
			out[i].Outcome = connectors.OpenedFailed
			continue
		}
		out[i].Record = orders[i]
		out[i].Record.Raw, out[i].Record.Observed = raw, c.client.now()
	}
	return out, nil
}

var _ connectors.Decrypter = (*Connector)(nil)
