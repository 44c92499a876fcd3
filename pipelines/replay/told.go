package replay

import (
	"context"
	"math/big"
	"strconv"
	"strings"
	"time"

	"oneid/internal/clickhouse"
	"oneid/schemas/events"
)

// Payload is what was kept of an entity.
type Payload struct {
	Raw []byte
	// Modified and Observed are the times of its version.
	Modified, Observed time.Time
}

// Latest finds, of entities of a stream, the payload of the newest version that came
// from a source. An entity without one is not among the answers.
func Latest(ctx context.Context, ch *clickhouse.Conn, keys events.Sealer, platform, shop, stream string, from events.Source, entities []string) (map[string]Payload, error) {
	if len(entities) == 0 {
		return nil, nil
	}
	list := make([]string, len(entities))
	for i, entity := range entities {
		list[i] = clickhouse.Quote(entity)
	}
	query := "SELECT entity_id, version, raw FROM " + ch.Database() + ".raw_events WHERE platform = " + clickhouse.Quote(platform) + " AND shop = " + clickhouse.Quote(shop) +
		" AND kind IN ('order', 'refund', 'ticket', 'user') AND entity_id IN (" + strings.Join(list, ", ") + ") AND stream = " + clickhouse.Quote(stream) +
		" AND " + source + " = " + strconv.Itoa(int(from)) + " AND raw != '' ORDER BY entity_id, version DESC LIMIT 1 BY entity_id"
	found := make(map[string]Payload, len(entities))
	err := ch.Rows(ctx, "look for payloads of before", query, func(scan func(...any) error) error {
		var entity, raw string
		version := new(big.Int)
		if err := scan(&entity, version, &raw); err != nil {
			return err
		}
		plain, err := events.OpenRaw(&events.Event{Header: &events.Header{Platform: platform, Shop: shop, EntityId: entity, Raw: []byte(raw)}}, keys)
		if err != nil {
			return err
		}
		v := unpacked(version)
		found[entity] = Payload{plain, time.UnixMilli(v.GetModifiedMs()).UTC(), time.UnixMilli(v.GetObservedMs()).UTC()}
		return nil
	})
	return found, err
}
