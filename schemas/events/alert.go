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

// AlertMissing is the kind of alerts that say what a stream lacks: the newest text is
// kept, and nobody is told of it again.
const AlertMissing = "missing"

// AlertRenews says whether what is said of a subject of a kind is to be kept, though it
// may be no news.
func AlertRenews(kind, was, is string) bool {
	return AlertChanges(kind, was, is) || kind == AlertMissing && was != is
}

// AlertChanges says whether what is wrong with a subject of a kind is news to
// whoever was told before that was; empty is nothing. Details hold times and
// counts: of most kinds another one is the same alert.
func AlertChanges(kind, was, is string) bool {
	return (was != "") != (is != "") || kind == AlertDrift && was != is
}
