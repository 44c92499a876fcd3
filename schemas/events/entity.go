package events

// Born is when the entity that an event is about came to be, in Unix
// milliseconds; 0 when its source does not say.
func Born(e *Event) int64 {
	switch body := e.GetBody().(type) {
	case *Event_Order:
		return body.Order.GetCreatedMs()
	case *Event_Refund:
		return body.Refund.GetCreatedMs()
	case *Event_User:
		return body.User.GetCreatedMs()
	case *Event_Ticket:
		return body.Ticket.GetCreatedMs()
	}
	return 0 // spend is of a day
}

// Amount is what an event counts for, in the minor unit of its currency: what
// was paid, given back or spent; 0 and "" of a user.
func Amount(e *Event) (minor int64, currency string) {
	switch body := e.GetBody().(type) {
	case *Event_Order:
		return body.Order.GetPaidMinor(), body.Order.GetCurrency()
	case *Event_Refund:
		return body.Refund.GetRefundMinor(), body.Refund.GetCurrency()
	case *Event_Ticket:
		return body.Ticket.GetAmountMinor(), body.Ticket.GetCurrency()
	case *Event_Spend:
		return body.Spend.GetSpendMinor(), body.Spend.GetCurrency()
	}
	return 0, ""
}
