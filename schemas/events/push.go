package events

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// PushType is the ce_type of a Push.
const PushType = "oneid.push.v1"

// EncodePush makes the message of a push and of the bytes that the platform
// sent, which it seals. id names the platform's message: one that comes again
// has the same.
func (t Topics) EncodePush(p *Push, raw []byte, id string, s Sealer) (Wire, error) {
	entity := p.GetPlatform() + "/" + p.GetShop() + "/" + p.GetStream() + "/" + p.GetEntityId()
	if len(raw) > 0 {
		p.SealedRaw = s.Seal(nil, raw, pushContext(p))
	}
	value, err := proto.Marshal(p)
	if err != nil {
		return Wire{}, fmt.Errorf("events: make a push: %w", err)
	}
	attributes := CloudEvent{
		ID: entity + "|" + id, Type: PushType,
		Source: "/" + p.GetPlatform() + "/" + p.GetShop(), Time: timeOf(p.GetReceivedMs()),
	}
	return Wire{Topic: t.Pushes, Key: []byte(entity), Value: value, Headers: attributes.Headers()}, nil
}

// OpenPush gives the bytes that the platform sent; nil if they are not kept.
func OpenPush(p *Push, s Sealer) ([]byte, error) {
	if len(p.GetSealedRaw()) == 0 {
		return nil, nil
	}
	raw, err := s.Open(nil, p.GetSealedRaw(), pushContext(p))
	if err != nil {
		return nil, fmt.Errorf("events: open a push: %w", err)
	}
	return raw, nil
}

func pushContext(p *Push) []byte {
	return []byte("push|" + p.GetPlatform() + "|" + p.GetShop() + "|" + p.GetStream() + "|" + p.GetEntityId())
}
