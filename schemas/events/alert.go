package events

// AlertDrift is the kind of alerts of which each other detail is news: payloads
// that differ in another way.
const AlertDrift = "drift"

// AlertSays is what an alert says is wrong; empty for one that is cleared.
func AlertSays(a *Alert) string {
	if a.GetState() == AlertState_ALERT_STATE_RAISED {
		return a.GetDetail()
	}
	return ""
}

// AlertChanges says whether what is wrong with a subject of a kind is news to
// whoever was told before that was; empty is nothing. Details hold times and
// counts: of most kinds another one is the same alert.
func AlertChanges(kind, was, is string) bool {
	return (was != "") != (is != "") || kind == AlertDrift && was != is
}
