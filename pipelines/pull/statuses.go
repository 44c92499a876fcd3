package pull

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"oneid/connectors"
	"oneid/schemas/events"
)

// unknownStatuses are the statuses of a record's events whose words the mapping
// does not know. The events keep the words; that there are such is the first
// sign of a platform that says something new.
func unknownStatuses(mapped []*events.Event) []connectors.Change {
	var all []connectors.Change
	add := func(field, word string) {
		all = append(all, connectors.Change{What: connectors.UnknownStatus, Field: field, Now: statusWord(word)})
	}
	for _, e := range mapped {
		switch body := e.GetBody().(type) {
		case *events.Event_Order:
			if body.Order.GetStatus() == events.OrderStatus_ORDER_STATUS_UNKNOWN {
				add("order", body.Order.GetPlatformStatus())
			}
			for _, item := range body.Order.GetItems() {
				// Of a line that bears none the order's stands.
				if item.GetStatus() == events.OrderStatus_ORDER_STATUS_UNKNOWN && item.GetPlatformStatus() != "" && item.GetPlatformStatus() != body.Order.GetPlatformStatus() {
					add("order line", item.GetPlatformStatus())
				}
			}
		case *events.Event_Refund:
			if body.Refund.GetStatus() == events.RefundStatus_REFUND_STATUS_UNKNOWN {
				add("refund", body.Refund.GetPlatformStatus())
			}
		case *events.Event_Ticket:
			if body.Ticket.GetStatus() == events.TicketStatus_TICKET_STATUS_UNKNOWN {
				add("ticket", body.Ticket.GetPlatformStatus())
			}
		}
	}
	return all
}

const (
	// maxStatus is how long a status is that is told, in characters, and
	// maxStatusDigits how many of them may be digits: more may be a number of
	// somebody's.
	maxStatus       = 40
	maxStatusDigits = 6
	// noWord stands for a status that cannot be told.
	noWord = "…"
)

// statusWord is a platform's word as it may be told: a status is one of few
// words, and what looks like anything else is not repeated.
func statusWord(word string) string {
	digits := 0
	odd := strings.ContainsFunc(word, func(r rune) bool {
		if unicode.IsDigit(r) {
			digits++
		}
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-. ,，", r)
	})
	switch {
	case word == "":
		return "none"
	case odd || digits > maxStatusDigits || utf8.RuneCountInString(word) > maxStatus:
		return noWord
	}
	return word
}
