package tmall

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
)

// Reached implements connectors.Dated.
func (c *Connector) Reached(cursor connectors.Cursor) (time.Time, bool) {
	moment, err := parseCursor(cursor)
	return moment, err == nil
}

// Lacks implements connectors.Lacking.
func (c *Connector) Lacks(stream string, cursor connectors.Cursor) (says string, of connectors.Window) {
	p, err := parsePosition(cursor)
	if err != nil {
		return "", of
	}
	all := slices.DeleteFunc([]string{
		p.Short.Says(Platform, c.shop, stream), p.Gap.Says(Platform, c.shop, stream, "the refunds"), c.lacksHistory(stream, p), lacksMembers(p),
	}, func(s string) bool { return s == "" })
	if p.Members > p.Listed || !p.Gap.None() { // what no backfill has: who is in no list of changes, what is too old
		return strings.Join(all, "; "), of
	}
	of = connectors.Window{From: p.Short.From, To: p.Short.To}
	if stream == Orders && !p.MissingFrom.IsZero() {
		of.To = later(of.To, p.MissingTo)
		if of.From.IsZero() || p.MissingFrom.Before(of.From) {
			of.From = p.MissingFrom
		}
	}
	return strings.Join(all, "; "), of
}

// lacksMembers says that members are missing whom no filter of the search shows.
func lacksMembers(p position) string {
	if p.Members <= p.Listed {
		return ""
	}
	return fmt.Sprintf("the platform counts %d members and listed %d: the others are in no filter by which it shows more than %d of them; "+
		"import the member list from a file: oneid import --kind users", p.Members, p.Listed, searchDepth)
}

// lacksHistory says which orders are missing for want of the right to their history.
func (c *Connector) lacksHistory(stream string, p position) string {
	if stream != Orders || p.MissingFrom.IsZero() {
		return ""
	}
	day := func(at time.Time) string { return at.In(zone).Format(time.DateOnly) }
	return fmt.Sprintf("orders created from %s to %s are missing: the app had no right to %s; apply for it in the app's page on open.taobao.com. "+
		"Once it has it they are read, a day with each round, or at once by `%s`", day(p.MissingFrom), day(p.MissingTo), historyList, c.backfillFrom(p.MissingFrom))
}

// backfillFrom is the command that reads the orders which were created from a moment on.
func (c *Connector) backfillFrom(moment time.Time) string {
	return "oneid backfill --stream orders --shop " + Platform + "/" + c.shop + " --from " + moment.In(zone).Format(time.DateOnly)
}

var (
	_ connectors.Dated   = (*Connector)(nil)
	_ connectors.Lacking = (*Connector)(nil)
)
