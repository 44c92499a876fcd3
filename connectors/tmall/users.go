package tmall

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
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
	var reached time.Time
	if from != "" { // a foreign one is refused before anything is asked
		var err error
		if reached, err = parseCursor(from); err != nil {
			return err
		}
	}
	server, err := c.client.serverTime(ctx)
	if err != nil {
		return err
	}
	if from != "" && server.Sub(reached) < c.windows().Oldest {
		return c.readWindows(ctx, c.memberListing(), from, give)
	}
	at, page := position{Reached: server}, connectors.Page{Server: server}
	for range memberListings {
		s := &search{c: c, most: min(searchDepth, searchPages*c.cfg.PageSize), asOf: server, give: give}
		counted, listed, err := s.count(ctx)
		if err != nil {
			return err
		}
		if counted <= listed {
			at.Members, at.Listed, page.Short = 0, 0, 0
			break
		}
		if short := counted - listed; page.Short == 0 || short < page.Short {
			at.Members, at.Listed, page.Short = counted, listed, short
		}
	}
	if page.Short > 0 {
		c.log.WarnContext(ctx, "the platform counts more members than it lists", "counted", at.Members, "listed", at.Listed)
	}
	// What is changed while the listing runs is found by the next run.
	page.Next = at.cursor()
	return give(page)
}

// memberListings is how often all members are listed before some are said to be missing:
// the next listing has them, if it was but the moment.
const memberListings = 2

// search lists every member through filters that each show few enough.
type search struct {
	c    *Connector
	most int // members that one filter shows
	asOf time.Time
	give func(connectors.Page) error
	// counted is how many members there are, total how many in the filters that were
	// listed, and missing how many of these did not come.
	counted, total, missing int
}

// count lists every member, and says how many the platform counts and how many of those
// were in what it listed. It counts before and after, and the lower number is held
// against the list: who leaves or comes meanwhile is not missing.
func (s *search) count(ctx context.Context) (counted, listed int, err error) {
	if err := s.all(ctx); err != nil {
		return 0, 0, err
	}
	listed = s.total - s.missing
	if s.counted <= listed {
		return s.counted, listed, nil
	}
	after, err := s.page(ctx, nil, 1)
	return min(s.counted, after.Total), listed, err
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
			err = s.byLastTrade(ctx, filter)
		default:
			err = s.byGrade(ctx, filter)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// byLastTrade reads windows of last trades, each from its last page back to its
// first: a member who trades meanwhile leaves the window, and the others move up.
func (s *search) byLastTrade(ctx context.Context, filter map[string]string) error {
	filter = maps.Clone(filter)
	var began connectors.Window // it counts once
	pages := connectors.Listing{
		Size: s.c.cfg.PageSize, MaxRows: s.most, TooFull: s.tooMany(),
		Page: func(ctx context.Context, w connectors.Window, number int, first bool) (connectors.Rows, error) {
			filter["min_last_trade_time"] = w.From.In(zone).Format(timeLayout)
			filter["max_last_trade_time"] = w.To.In(zone).Format(timeLayout)
			a, err := s.page(ctx, filter, number)
			if err == nil && first && number == 1 && w != began && a.Total <= s.most {
				began = w
				s.total += a.Total
			}
			return a, err
		},
	}
	// Taobao opened in May 2003: nobody traded before.
	ever := connectors.Window{From: time.Date(2003, 5, 1, 0, 0, 0, 0, zone), To: s.asOf}
	return pages.Window(ctx, ever, func(p connectors.Part) error {
		s.missing += p.Short
		return s.emit(p.Number, p.Rows)
	})
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
		Message: fmt.Sprintf("more than %d members that no filter tells apart", s.most),
		Mend:    "import the member list from a file: oneid import --kind users"}
}

// searchPasses is how often a filter is listed whose members move while it is.
const searchPasses = 3

// list lists the members of one filter, if it shows them all; otherwise it
// yields nothing and says no. The order of the list is not documented, so a member
// who moves may push another to a page that was read: while fewer came than the
// platform counted, it is listed again.
func (s *search) list(ctx context.Context, filter map[string]string) (fits bool, err error) {
	seen, missing := make(map[uint64]bool), 0
	for range searchPasses {
		total, err := s.pass(ctx, filter, seen)
		if err != nil || total > s.most {
			return false, err
		}
		if missing = total - len(seen); missing <= 0 {
			return true, nil
		}
	}
	s.missing += missing
	return true, nil
}

// hashes is the seed of what is remembered of the members that came.
var hashes = maphash.MakeSeed()

// pass lists one filter from the first page to the last, notes who came, and says
// how many the platform counted when it began. Of more than the filter shows it
// yields none.
func (s *search) pass(ctx context.Context, filter map[string]string, seen map[uint64]bool) (total int, err error) {
	again := len(seen) > 0
	for number := 1; number <= searchPages; number++ {
		a, err := s.page(ctx, filter, number)
		if err != nil {
			return 0, err
		}
		if number == 1 {
			total = a.Total
			if s.counted == 0 { // without a filter
				s.counted = total
			}
			if total > s.most {
				return total, nil
			}
			if !again {
				s.total += total
			}
		}
		for _, row := range a.Rows {
			seen[maphash.Bytes(hashes, connectors.Find(row, "ouid")[0])] = true
		}
		if len(a.Rows) == 0 {
			break
		}
		if err := s.emit(number, a.Rows); err != nil {
			return 0, err
		}
		// A total is not taken at its word: behind a page that is full there may be
		// another, and a page past the end is an empty one.
		full := len(a.Rows) >= s.c.cfg.PageSize
		if !full && number*s.c.cfg.PageSize >= max(total, a.Total) {
			break
		}
		if full && number == searchPages && total < s.most {
			return s.most + 1, nil
		}
	}
	return total, nil
}

// page asks for one page of a filter.
func (s *search) page(ctx context.Context, filter map[string]string, number int) (connectors.Rows, error) {
	params := make(map[string]string, len(filter)+2)
	maps.Copy(params, filter)
	params["page_size"], params["current_page"] = strconv.Itoa(s.c.cfg.PageSize), strconv.Itoa(number)
	return s.c.rows(ctx, memberSearch, params, "members", "crm_member", "total_result")
}

// emit gives members of a page as records.
func (s *search) emit(number int, rows []json.RawMessage) error {
	origin := fmt.Sprintf("%s page %d as of %s", memberSearch, number, s.asOf.Format(time.RFC3339))
	rows, bad := connectors.Unbroken(rows, origin)
	raws, err := memberRecords(rows, s.asOf)
	if err != nil {
		return err
	}
	page := connectors.PageOf(Users, s.c.shop, origin, s.c.client.now(), raws)
	page.Bad = append(page.Bad, bad...)
	page.Total = s.total
	return s.give(page)
}
