package tmall

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"oneid/connectors"
)

const (
	memberSearch  = "taobao.crm.members.search"
	memberChanges = "taobao.crm.members.increment.get"
)

// searchDepth is how many members one filter of the search shows: 1000 pages
// of 100.
const searchDepth = 100_000

// searchPages is the last page number that the search takes.
const searchPages = 1000

// memberRecord is the raw payload of a record of the users stream.
type memberRecord struct {
	Member json.RawMessage `json:"member"`
	// AsOf stands for the time of the change, which the platform does not
	// give: the end of the window in which it was reported, or the beginning
	// of the listing that showed it.
	AsOf time.Time `json:"as_of"`
}

// memberListing lists members by modification time.
func (c *Connector) memberListing() listing {
	return listing{
		method: memberChanges,
		start:  "start_modify", end: "end_modify", page: "current_page",
		list: "members", item: "basic_member", total: "total_result",
		records: func(_ context.Context, at connectors.Part, rows []json.RawMessage) ([]json.RawMessage, error) {
			return memberRecords(rows, at.Window.To)
		},
	}
}

func memberRecords(rows []json.RawMessage, asOf time.Time) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(rows))
	for i, row := range rows {
		raw, err := json.Marshal(memberRecord{Member: row, AsOf: asOf.UTC().Truncate(time.Second)})
		if err != nil {
			return nil, err
		}
		out[i] = raw
	}
	return out, nil
}

// readMembers lists all members the first time (and when the cursor is older
// than the platform's changes reach), and the changes after that. The cursor
// of a full listing moves only at its end: the listing has no order that one
// could resume in.
func (c *Connector) readMembers(ctx context.Context, from connectors.Cursor, give func(connectors.Page) error) error {
	server, err := c.client.serverTime(ctx)
	if err != nil {
		return err
	}
	if from != "" {
		reached, err := parseCursor(from)
		if err != nil {
			return err
		}
		if server.Sub(reached) < c.windows().Oldest {
			return c.readWindows(ctx, c.memberListing(), from, give)
		}
	}
	s := &search{c: c, asOf: server, give: give}
	if err := s.all(ctx); err != nil {
		return err
	}
	// What is changed while the listing runs is found by the next run.
	return give(connectors.Page{Next: cursorAt(server), Server: server})
}

// search lists every member through filters that each show few enough.
type search struct {
	c     *Connector
	asOf  time.Time
	give  func(connectors.Page) error
	total int
}

// all lists every member: without a filter, or if there are too many by where
// they come from: those who traded by the time of their last trade, the
// others by grade.
func (s *search) all(ctx context.Context) error {
	fits, err := s.list(ctx, nil)
	if err != nil || fits {
		return err
	}
	for _, source := range []string{"1", "2", "3"} {
		filter := map[string]string{"relation_source": source}
		fits, err := s.list(ctx, filter)
		switch {
		case err != nil:
			return err
		case fits:
		case source == "1":
			// Taobao opened in May 2003: nobody traded before.
			err = s.byLastTrade(ctx, filter, connectors.Window{From: time.Date(2003, 5, 1, 0, 0, 0, 0, zone), To: s.asOf})
		default:
			err = s.byGrade(ctx, filter)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *search) byLastTrade(ctx context.Context, filter map[string]string, w connectors.Window) error {
	filter = maps.Clone(filter)
	filter["min_last_trade_time"] = w.From.In(zone).Format(timeLayout)
	filter["max_last_trade_time"] = w.To.In(zone).Format(timeLayout)
	fits, err := s.list(ctx, filter)
	if err != nil || fits {
		return err
	}
	first, second, ok := w.Halves()
	if !ok {
		return s.tooMany()
	}
	if err := s.byLastTrade(ctx, filter, first); err != nil {
		return err
	}
	return s.byLastTrade(ctx, filter, second)
}

func (s *search) byGrade(ctx context.Context, filter map[string]string) error {
	for grade := range 5 {
		filter := maps.Clone(filter)
		filter["grade"] = strconv.Itoa(grade)
		fits, err := s.list(ctx, filter)
		if err != nil {
			return err
		}
		if !fits {
			return s.tooMany()
		}
	}
	return nil
}

func (s *search) tooMany() error {
	return &connectors.Error{Platform: Platform, Shop: s.c.shop, Op: memberSearch, Class: connectors.StopStream,
		Message: fmt.Sprintf("more than %d members that no filter tells apart", searchDepth),
		Mend:    "import the member list from a file: oneid import --kind users"}
}

// list lists the members of one filter, if it shows them all; otherwise it
// yields nothing and says no. The pages are read from the first to the last: a
// member who moves to the front meanwhile was changed after the listing
// began, and is among the changes that the next run reads.
func (s *search) list(ctx context.Context, filter map[string]string) (fits bool, err error) {
	params := make(map[string]string, len(filter)+2)
	maps.Copy(params, filter)
	params["page_size"] = strconv.Itoa(s.c.cfg.PageSize)
	for number := 1; number <= searchPages; number++ {
		params["current_page"] = strconv.Itoa(number)
		a, err := s.c.rows(ctx, memberSearch, params, "members", "crm_member", "total_result")
		if err != nil {
			return false, err
		}
		if a.Total > min(searchDepth, searchPages*s.c.cfg.PageSize) {
			return false, nil
		}
		if len(a.Rows) == 0 {
			return true, nil
		}
		if number == 1 {
			s.total += a.Total
		}
		raws, err := memberRecords(a.Rows, s.asOf)
		if err != nil {
			return false, err
		}
		origin := fmt.Sprintf("%s page %d as of %s", memberSearch, number, s.asOf.Format(time.RFC3339))
		page := connectors.PageOf(Users, s.c.shop, origin, s.c.client.now(), raws)
		page.Total = s.total
		if err := s.give(page); err != nil {
			return false, err
		}
		if number*s.c.cfg.PageSize >= a.Total {
			return true, nil
		}
	}
	return true, nil
}
