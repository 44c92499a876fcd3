package tap

import (
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"oneid/schemas/events"
)

// A kind's record is its event, flat: what the header says of the entity, then
// the fields of the body under their names in events.proto. A time leaves as
// RFC 3339 in UTC (created_ms as created_at), a status as its word, what is not
// known as null. Schema and record are made from the same descriptors, so
// neither can have what the other lacks.

// bodies are the messages of the kinds.
var bodies = map[events.Kind]protoreflect.MessageDescriptor{
	events.KindOrder:  (*events.Order)(nil).ProtoReflect().Descriptor(),
	events.KindRefund: (*events.Refund)(nil).ProtoReflect().Descriptor(),
	events.KindUser:   (*events.User)(nil).ProtoReflect().Descriptor(),
	events.KindTicket: (*events.Ticket)(nil).ProtoReflect().Descriptor(),
	events.KindSpend:  (*events.Spend)(nil).ProtoReflect().Descriptor(),
}

// object is a JSON object.
type object = map[string]any

// schemaOf is the JSON Schema (draft 7) of a kind's records.
func schemaOf(kind events.Kind, personal bool) object {
	properties := propertiesOf(bodies[kind])
	properties["id"] = object{"type": "string"}
	properties["platform"] = object{"type": "string"}
	properties["shop"] = object{"type": "string"}
	properties["account"] = orNull("string")
	properties["deleted"] = object{"type": "boolean"}
	properties["mapping_revision"] = object{"type": "integer"}
	properties["modified_at"], properties["observed_at"] = moment(), moment()
	properties["receiver"] = object{"type": []string{"null", "object"}, "properties": propertiesOf((*events.Receiver)(nil).ProtoReflect().Descriptor())}
	properties["identifiers"] = listOf((*events.Sighting)(nil).ProtoReflect().Descriptor())
	if personal {
		properties["raw"] = orNull("string")
	}
	return object{
		"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
		"required": []string{"id", "platform", "shop"}, "properties": properties,
	}
}

func orNull(name string) object { return object{"type": []string{"null", name}} }

func moment() object {
	return object{"type": []string{"null", "string"}, "format": "date-time"}
}

func listOf(of protoreflect.MessageDescriptor) object {
	return object{"type": "array", "items": object{"type": "object", "properties": propertiesOf(of)}}
}

// timeSuffix is how the names of times end that are milliseconds.
const timeSuffix = "_ms"

// nameOf is a field's name in a record.
func nameOf(f protoreflect.FieldDescriptor) string {
	if name, ok := strings.CutSuffix(string(f.Name()), timeSuffix); ok {
		return name + "_at"
	}
	return string(f.Name())
}

func propertiesOf(message protoreflect.MessageDescriptor) object {
	out := object{}
	fields := message.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsList():
			out[nameOf(f)] = listOf(f.Message())
		case strings.HasSuffix(string(f.Name()), timeSuffix):
			out[nameOf(f)] = moment()
		case f.Kind() == protoreflect.BoolKind:
			out[nameOf(f)] = object{"type": "boolean"}
		case f.Kind() == protoreflect.StringKind, f.Kind() == protoreflect.EnumKind:
			out[nameOf(f)] = orNull("string")
		default:
			out[nameOf(f)] = object{"type": "integer"}
		}
	}
	return out
}

// namesOfBodies are the fields of bodies that name a person: who handles a ticket,
// and what a user goes by.
var namesOfBodies = []string{"agent", "nick"}

// recordOf is an event as a record.
func recordOf(e *events.Event, personal bool) object {
	h := e.GetHeader()
	out := fieldsOf(bodyOf(e))
	out["id"], out["platform"], out["shop"], out["account"] = h.GetEntityId(), h.GetPlatform(), h.GetShop(), textOrNull(h.GetAccount())
	out["deleted"], out["mapping_revision"] = h.GetDeleted(), h.GetVersion().GetRevision()
	out["modified_at"], out["observed_at"] = timeOrNull(h.GetVersion().GetModifiedMs()), timeOrNull(h.GetVersion().GetObservedMs())
	person := h.GetPerson()
	if personal {
		out["raw"] = textOrNull(string(h.GetRaw()))
	} else {
		person = events.Masked(person)
		for _, name := range namesOfBodies {
			if text, ok := out[name].(string); ok {
				out[name] = events.Mask(text)
			}
		}
	}
	out["receiver"] = nil
	if r := person.GetReceiver(); r != nil {
		out["receiver"] = fieldsOf(r.ProtoReflect())
	}
	identifiers := make([]object, 0, len(person.GetSightings()))
	for _, s := range person.GetSightings() {
		identifiers = append(identifiers, fieldsOf(s.ProtoReflect()))
	}
	out["identifiers"] = identifiers
	return out
}

// bodyOf is the message that an event carries; it has one, since events.Check
// took it.
func bodyOf(e *events.Event) protoreflect.Message {
	message := e.ProtoReflect()
	return message.Get(message.WhichOneof(message.Descriptor().Oneofs().ByName("body"))).Message()
}

func fieldsOf(message protoreflect.Message) object {
	out := object{}
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		v := message.Get(f)
		switch {
		case f.IsList():
			list := make([]object, v.List().Len())
			for j := range list {
				list[j] = fieldsOf(v.List().Get(j).Message())
			}
			out[nameOf(f)] = list
		case strings.HasSuffix(string(f.Name()), timeSuffix):
			out[nameOf(f)] = timeOrNull(v.Int())
		case f.Kind() == protoreflect.StringKind:
			out[nameOf(f)] = textOrNull(v.String())
		case f.Kind() == protoreflect.EnumKind:
			out[nameOf(f)] = wordOf(f.Enum(), v.Enum())
		default:
			out[nameOf(f)] = v.Interface()
		}
	}
	return out
}

// wordOf is an enumeration's value without the prefix that all of them bear:
// ORDER_STATUS_PAID is "paid". None is null.
func wordOf(enum protoreflect.EnumDescriptor, n protoreflect.EnumNumber) any {
	value := enum.Values().ByNumber(n)
	if n == 0 || value == nil {
		return nil
	}
	prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.TrimPrefix(string(value.Name()), prefix))
}

func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func timeOrNull(ms int64) any {
	if ms == 0 {
		return nil
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
