package pubsub

import (
	"container/list"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// memory keeps the messages that were handled lately, by handler and UUID, the
// latest ones of them: several handlers of a Router may read one topic. Watermill's Deduplicator notes a message before it is
// handled, so that one which fails would be dropped when it comes again; and
// its store has no bound.
type memory struct {
	window time.Duration
	most   int

	mu sync.Mutex
	// at finds the place of a handler's message in order, which holds seen, the
	// oldest first.
	at    map[string]*list.Element
	order *list.List
}

type seen struct {
	what string
	when time.Time
}

func newMemory(window time.Duration, most int) *memory {
	return &memory{window: window, most: most, at: make(map[string]*list.Element), order: list.New()}
}

func (m *memory) middleware(handle message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		what := message.HandlerNameFromCtx(msg.Context()) + "\x00" + msg.UUID
		if m.knows(what, time.Now()) {
			return nil, nil
		}
		out, err := handle(msg)
		if err == nil {
			m.note(what, time.Now())
		}
		return out, err
	}
}

func (m *memory) knows(what string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	place, ok := m.at[what]
	return ok && now.Sub(place.Value.(seen).when) < m.window
}

func (m *memory) note(what string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if place, ok := m.at[what]; ok {
		m.order.Remove(place)
	}
	m.at[what] = m.order.PushBack(seen{what, now})
	for m.order.Len() > 0 {
		oldest := m.order.Front()
		first := oldest.Value.(seen)
		if m.order.Len() <= m.most && now.Sub(first.when) < m.window {
			return
		}
		m.order.Remove(oldest)
		delete(m.at, first.what)
	}
}
