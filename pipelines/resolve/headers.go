package resolve

import (
	"time"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Headers are for other readers: all that the flow needs is in the value, and a
// good value with wrong headers is taken. But whoever filters by them misses
// it, so wrong ones are counted. To read headers costs memory for each, so
// behind a backlog one fetch in headersEvery does; whoever keeps up looks at
// all of them. How many were looked at is counted too.
const headersEvery = 16

// headerTurns says of a partition's fetches which read headers.
type headerTurns struct{ without int }

// next says whether the next fetch does, behind being whether the last one left
// messages in Kafka.
func (h *headerTurns) next(behind bool) bool {
	if h.without++; !behind || h.without >= headersEvery {
		h.without = 0
		return true
	}
	return false
}

// described says whether a message's headers say what its value is. Other
// headers may stand beside them.
func described(headers []kafka.Header, want events.CloudEvent) bool {
	found := 0
	for _, h := range headers {
		value := string(h.Value)
		var right bool
		switch h.Key {
		case "ce_specversion":
			right = value == "1.0"
		case "ce_id":
			right = value == want.ID
		case "ce_type":
			right = value == want.Type
		case "ce_source":
			right = value == want.Source
		case "content-type":
			right = value == events.ContentType
		case "ce_time":
			at, err := time.Parse(time.RFC3339Nano, value)
			meant, _ := time.Parse(time.RFC3339Nano, want.Time) // as Describe writes it
			right = err == nil && at.Equal(meant)
		default:
			continue
		}
		if !right {
			return false
		}
		found++
	}
	return found == 6
}
