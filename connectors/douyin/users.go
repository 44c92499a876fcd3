package douyin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
)

const (
	// memberBatch is how many buyers one call of the member method takes.
	memberBatch = 10
	// userPage is how many users one page of ours holds.
	userPage = 500
	// maxSeen bounds the buyers that one run remembers: some 5 MB. Of more, some
	// come twice, which changes nothing.
	maxSeen = 50_000
)

// mention is the order that named a buyer.
type mention struct {
	OrderID   text  `json:"order_id"`
	UpdatedAt whole `json:"update_time"`
}

// readUsers reads the distinct buyers of the orders that changed, since the
// platform lists no buyers, each once in a run. A buyer who is a member comes
// with what the member method says of them.
func (c *Connector) readUsers(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	seen := connectors.NewRecent[string, bool](maxSeen)
	window := make(map[string]mention)
	askMembers := c.cfg.AppID != 0
	return c.walk(ctx, Users, from, func(p connectors.Part) error {
		for _, row := range p.Rows {
			id, buyer, err := orderKey(row)
			if err != nil {
				continue // the orders stream reports it
			}
			c.learn(id, buyer)
			var m mention
			if _, known := seen.Get(buyer); !connectors.Names(buyer) || known || json.Unmarshal(row, &m) != nil || m.UpdatedAt < window[buyer].UpdatedAt {
				continue
			}
			window[buyer] = m
		}
		if !p.Last {
			return nil
		}
		ids := slices.Sorted(maps.Keys(window))
		for chunk := range slices.Chunk(ids, userPage) {
			var members map[string]json.RawMessage
			var err error
			if askMembers {
				members, err = c.members(ctx, chunk)
				if errors.Is(err, connectors.ErrForbidden) && connectors.ClassOf(err) == connectors.StopStream {
					c.log.WarnContext(ctx, "users come without phones: members cannot be read", "error", err)
					askMembers, err = false, nil
				}
			}
			if err != nil {
				return err
			}
			rows := make([]json.RawMessage, 0, len(chunk))
			for _, id := range chunk {
				raw, err := plain(map[string]any{"open_id": id, "member": members[id], "order": window[id]})
				if err != nil {
					return err
				}
				rows = append(rows, raw)
			}
			page := c.records(Users, p, rows)
			if chunk[len(chunk)-1] != ids[len(ids)-1] {
				page.Next, page.Short = "", 0 // the last one says both
			}
			if err := give(page); err != nil {
				return err
			}
		}
		if len(ids) == 0 {
			return give(c.records(Users, p, nil))
		}
		for _, id := range ids {
			seen.Put(id, true)
		}
		clear(window)
		return nil
	})
}

// memberOpenID is the id under which the member methods know the buyer of an
// order. That both are the same is assumed, and nowhere but here.
func memberOpenID(doudianOpenID string) string { return doudianOpenID }

// members asks for what the platform knows of buyers as members: its answer
// for each by doudian_open_id. Who cannot be asked for is left out.
func (c *Connector) members(ctx context.Context, ids []string) (map[string]json.RawMessage, error) {
	batches := slices.Collect(slices.Chunk(ids, memberBatch))
	found := make([]map[string]json.RawMessage, len(batches))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(c.cfg.Parallel)
	for i, batch := range batches {
		group.Go(func() error {
			var err error
			found[i], err = c.memberBatch(inner, batch)
			return err
		})
	}
	err := group.Wait()
	all := make(map[string]json.RawMessage, len(ids))
	for _, members := range found {
		maps.Copy(all, members)
	}
	return all, err
}

// membersMethod tells of buyers whether they are members, and what is known of them.
const membersMethod = "member.mGetMemberInfoByOpenIdList"

// memberBatch asks for at most memberBatch buyers. When the platform refuses
// the batch for one of them, it asks for each alone.
func (c *Connector) memberBatch(ctx context.Context, ids []string) (map[string]json.RawMessage, error) {
	openIDs := make([]string, len(ids))
	byOpenID := make(map[string]string, len(ids))
	for i, id := range ids {
		openIDs[i] = memberOpenID(id)
		byOpenID[openIDs[i]] = id
	}
	var answer struct {
		Members list[json.RawMessage] `json:"member_infos"`
	}
	err := c.client.call(ctx, membersMethod,
		map[string]any{"app_id": c.cfg.AppID, "open_id_list": openIDs}, &answer)
	members := make(map[string]json.RawMessage, len(ids))
	if connectors.ClassOf(err) == connectors.SkipRecord && err != nil {
		if len(ids) == 1 {
			return members, nil
		}
		for _, id := range ids {
			one, err := c.memberBatch(ctx, []string{id})
			if err != nil {
				return nil, err
			}
			maps.Copy(members, one)
		}
		return members, nil
	}
	if err != nil {
		return nil, err
	}
	for _, raw := range answer.Members {
		var m struct {
			OpenID text `json:"open_id"`
		}
		if json.Unmarshal(raw, &m) == nil {
			if id, ok := byOpenID[string(m.OpenID)]; ok {
				members[id] = raw
			}
		}
	}
	return members, nil
}
