package tmall

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"oneid/connectors"
	"oneid/internal/httpclient"
)

// The fields of an order's receiver that can be decrypted.
const (
	fieldPhone   = "phone"
	fieldName    = "name"
	fieldAddress = "address"
)

// decryptScenes are what the platform lets each purpose see. The names of the
// scenes are documented, the fields are read in a post.
var decryptScenes = map[string][]string{
	"1001": {fieldName, fieldPhone, fieldAddress}, "1002": {fieldName, fieldPhone, fieldAddress}, "1003": {fieldName, fieldPhone, fieldAddress},
	"1004": {fieldName, fieldPhone, fieldAddress}, "1005": {fieldName, fieldPhone, fieldAddress}, "1006": {fieldName, fieldPhone, fieldAddress},
	"1007": {fieldName, fieldPhone, fieldAddress}, "1008": {fieldAddress}, "1009": {fieldName},
	"2001": {fieldPhone}, "2002": {fieldPhone}, "3001": {fieldName, fieldPhone, fieldAddress},
}

const (
	decryptMethod = "taobao.top.oaid.decrypt"
	// maxDecrypt is how many receivers one call opens.
	maxDecrypt = 20
)

// Decrypts implements connectors.Decrypter.
func (c *Connector) Decrypts() []connectors.Decryption {
	if len(c.cfg.DecryptFields) == 0 {
		return nil
	}
	return []connectors.Decryption{{Stream: Orders, Fields: c.cfg.DecryptFields, PerDay: c.cfg.DecryptPerDay, PerCall: maxDecrypt}}
}

// decryptFault says what is wrong with the settings of decryption; "" if nothing
// is.
func decryptFault(cfg Config) string {
	if cfg.DecryptPerDay < 0 || (cfg.DecryptPerDay > 0) != (len(cfg.DecryptFields) > 0) || (cfg.DecryptScene != "") != (len(cfg.DecryptFields) > 0) {
		return "decrypt_fields, decrypt_per_day and decrypt_scene must all be set, or none"
	}
	sees, known := decryptScenes[cfg.DecryptScene]
	if cfg.DecryptScene != "" && !known {
		return "decrypt_scene must be one of the platform's scenes, such as 2002 (customer care)"
	}
	for i, field := range cfg.DecryptFields {
		if !slices.Contains(sees, field) || slices.Contains(cfg.DecryptFields[:i], field) {
			return fmt.Sprintf("decrypt_fields must be of %q, each once: the scene %s shows no others", sees, cfg.DecryptScene)
		}
	}
	return ""
}

// openedReceiver is one receiver of the answer.
type openedReceiver struct {
	TID     text                    `json:"tid"`
	Matched connectors.LenientTruth `json:"matched"`
	// Virtual: mobile is a number that ends.
	Virtual  connectors.LenientTruth `json:"privacy_protection"`
	Name     text                    `json:"name"`
	Mobile   text                    `json:"mobile"`
	State    text                    `json:"state"`
	City     text                    `json:"city"`
	District text                    `json:"district"`
	Town     text                    `json:"town"`
	Detail   text                    `json:"address_detail"`
}

// Decrypt implements connectors.Decrypter. What the platform answers when the
// shop's quota of decryptions is used up is not documented: it is an error like
// any other, which uses the budget until that is used up too.
func (c *Connector) Decrypt(ctx context.Context, orders []connectors.Record) ([]connectors.Opened, error) {
	out := make([]connectors.Opened, len(orders))
	numbers := make([]string, len(orders))
	var queries []map[string]string
	for i, record := range orders {
		var order orderRecord
		var known struct {
			TID  text `json:"tid"`
			OAID text `json:"oaid"`
		}
		switch err := errors.Join(json.Unmarshal(record.Raw, &order), json.Unmarshal(order.Trade, &known)); {
		case err != nil:
			out[i].Outcome = connectors.OpenedFailed
		case known.OAID == "" || known.TID == "":
			out[i].Outcome = connectors.OpenedNothing
		default:
			numbers[i] = string(known.TID)
			queries = append(queries, map[string]string{"tid": numbers[i], "oaid": string(known.OAID), "scene": c.cfg.DecryptScene})
		}
	}
	if len(queries) == 0 {
		return out, nil
	}
	list, err := json.Marshal(queries)
	if err != nil {
		return nil, err
	}
	var answer struct {
		List struct {
			Receivers []openedReceiver `json:"receiver"`
		} `json:"receiver_list"`
	}
	err = c.client.call(httpclient.WithoutRepeats(ctx), decryptMethod, map[string]string{"query_list": string(list)}, &answer)
	if err != nil {
		return nil, err
	}
	opened := make(map[string]openedReceiver)
	for _, r := range answer.List.Receivers {
		opened[string(r.TID)] = r
	}
	for i, number := range numbers {
		if number == "" {
			continue
		}
		plain, virtual := c.wanted(opened[number])
		out[i].Outcome = connectors.OpenedFailed
		switch {
		case len(plain) > 0 && virtual:
			out[i].Outcome = connectors.OpenedPart
		case len(plain) > 0:
			out[i].Outcome = connectors.OpenedAll
		case virtual:
			out[i].Outcome = connectors.OpenedVirtual
		}
		if len(plain) == 0 {
			continue
		}
		raw, err := withReceiver(orders[i].Raw, plain)
		if err != nil {
			out[i].Outcome = connectors.OpenedFailed
			continue
		}
		out[i].Record = orders[i]
		out[i].Record.Raw, out[i].Record.Observed = raw, c.client.now().UTC()
	}
	return out, nil
}

// wanted are the fields of an order that were opened and are asked for, by the
// names that orders give them. A receiver that did not match is of an order that
// has changed since.
func (c *Connector) wanted(r openedReceiver) (plain map[string]string, virtual bool) {
	plain = make(map[string]string)
	if !r.Matched {
		return plain, false
	}
	set := func(name string, value text) {
		if value != "" {
			plain[name] = string(value)
		}
	}
	for _, field := range c.cfg.DecryptFields {
		switch field {
		case fieldName:
			set("receiver_name", r.Name)
		case fieldAddress:
			set("receiver_address", r.Detail)
		case fieldPhone:
			if virtual = bool(r.Virtual); !virtual {
				set("receiver_mobile", r.Mobile)
			}
		}
	}
	return plain, virtual
}

// withReceiver is the payload of an order as it would be had the platform given
// the fields in clear.
func withReceiver(payload json.RawMessage, plain map[string]string) (json.RawMessage, error) {
	var order, trade map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(payload, &order), json.Unmarshal(order["trade"], &trade)); err != nil {
		return nil, err
	}
	for name, value := range plain {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		trade[name] = raw
	}
	raw, err := json.Marshal(trade)
	if err != nil {
		return nil, err
	}
	order["trade"] = raw
	return json.Marshal(order)
}

var _ connectors.Decrypter = (*Connector)(nil)
