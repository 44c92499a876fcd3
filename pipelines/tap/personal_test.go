package tap

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"oneid/connectors"
	"oneid/connectors/douyin"
	"oneid/connectors/sobot"
	"oneid/connectors/tmall"
	"oneid/connectors/weidian"
	"oneid/schemas/events"
)

// A scheduler hides what the connector marks as a secret, and nothing else.
func TestSecretsAreMarked(t *testing.T) {
	t.Parallel()
	for platform, c := range map[string]struct {
		settings json.RawMessage
		secrets  []string
	}{
		"tmall":   {new(tmall.Connector).Spec().Settings, []string{"app_secret", "refresh_token", "session"}},
		"douyin":  {new(douyin.Connector).Spec().Settings, []string{"app_secret"}},
		"weidian": {new(weidian.Connector).Spec().Settings, []string{"access_token", "app_secret", "push_secret"}},
		"sobot":   {new(sobot.Connector).Spec().Settings, []string{"access_token", "app_key", "contact_key", "push_secret"}},
	} {
		var out bytes.Buffer
		if err := NewAirbyte(&out).Spec(connectors.Spec{Platform: platform, Settings: c.settings}); err != nil {
			t.Fatal(err)
		}
		var secrets []string
		for name, property := range at(said(t, &out)[0], "spec", "connectionSpecification", "properties").(object) {
			if at(property, "airbyte_secret") == true {
				secrets = append(secrets, name)
			}
		}
		if slices.Sort(secrets); !slices.Equal(secrets, c.secrets) {
			t.Errorf("%s: the secrets are %v, want %v", platform, secrets, c.secrets)
		}
	}
}

// Of all texts that an event's body can hold, those of persons leave masked: a new
// one must be put among them, or here among those that everybody may read.
func TestBodiesNameNobody(t *testing.T) {
	t.Parallel()
	open := strings.Fields(`platform_status order_type currency channel live_room referrer province city district
		item_id product_id sku_id merchant_sku title refund_status order_id refund_type platform_type reason member_level
		kind priority subject group campaign day`)
	for name, e := range map[string]*events.Event{
		"order":  {Body: &events.Event_Order{Order: &events.Order{Items: []*events.OrderItem{{}}}}},
		"refund": {Body: &events.Event_Refund{Refund: &events.Refund{}}},
		"user":   {Body: &events.Event_User{User: &events.User{}}},
		"ticket": {Body: &events.Event_Ticket{Ticket: &events.Ticket{}}},
		"spend":  {Body: &events.Event_Spend{Spend: &events.Spend{}}},
	} {
		const written = "演示客服十二个字的名字"
		var texts []string
		var fill func(m protoreflect.Message)
		fill = func(m protoreflect.Message) {
			fields := m.Descriptor().Fields()
			for i := range fields.Len() {
				switch f := fields.Get(i); {
				case f.IsList():
					fill(m.Get(f).List().Get(0).Message())
				case f.Kind() == protoreflect.StringKind:
					m.Set(f, protoreflect.ValueOfString(written))
					texts = append(texts, string(f.Name()))
				}
			}
		}
		fill(bodyOf(e))
		for _, personal := range []bool{false, true} {
			record := recordOf(e, personal)
			items, _ := record["items"].([]object)
			for _, text := range texts {
				value := record[text]
				if len(items) > 0 && items[0][text] != nil {
					value = items[0][text]
				}
				if readable := value == written; readable != (personal || slices.Contains(open, text)) || value == nil {
					t.Errorf("%s of a %s leaves as %q (personal %t)", text, name, value, personal)
				}
			}
		}
	}
}
