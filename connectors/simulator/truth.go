package simulator

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"iter"
	"time"
)

// Truth is every account that a platform showed, written platform/shop/id,
// and the person behind it.
func (w *World) Truth() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, platform := range Platforms {
			for a := range w.Accounts(platform) {
				if !yield(a.Name(), a.Person) {
					return
				}
			}
		}
	}
}

// A Bridge joins two accounts of one person by an identifier, "phone" or
// "unionid", that no other person's account bears.
type Bridge struct {
	A, B, Type string
}

// Bridges lists the pairs of each person's accounts that evidence joins.
func (w *World) Bridges() iter.Seq[Bridge] {
	return func(yield func(Bridge) bool) {
		for person := range w.cfg.People {
			accounts := w.AccountsOf(person)
			for i, a := range accounts {
				for _, b := range accounts[i+1:] {
					// Only bridged people bind one number on two accounts, and
					// nobody else's account bears it.
					if a.Phone != "" && a.Phone == b.Phone && !yield(Bridge{a.Name(), b.Name(), "phone"}) {
						return
					}
					if a.Platform == PlatformWeidian && b.Platform == PlatformWeidian && a.UnionID == b.UnionID &&
						!yield(Bridge{a.Name(), b.Name(), "unionid"}) {
						return
					}
				}
			}
		}
	}
}

// Counts is what a complete reader of a platform finds.
type Counts struct {
	Orders   int `json:"orders"`
	Users    int `json:"users"`
	Refunds  int `json:"refunds"`
	Services int `json:"services"`
	// Tickets is Refunds + Services: each of both is a ticket.
	Tickets int `json:"tickets"`
}

// Counts counts by walking the orders; it holds none.
func (w *World) Counts() map[string]Counts {
	out := map[string]Counts{}
	for _, platform := range Platforms {
		var c Counts
		for range w.Accounts(platform) {
			c.Users++
		}
		for index := range w.OrderCount(platform) {
			if !w.exists(platform, index) {
				continue
			}
			c.Orders++
			l := w.lifeOf(platform, index)
			if l.asked > 0 {
				c.Refunds++
			}
			if _, _, ok := w.serviceTimes(platform, index, l); ok {
				c.Services++
			}
		}
		c.Tickets = c.Refunds + c.Services
		out[platform] = c
	}
	return out
}

// WriteMembers writes a shop's member list as the brand holds it: CSV with
// the columns account,phone,unionid (WeChat's),omid,member_card,joined_at
// (RFC 3339).
func (w *World) WriteMembers(to io.Writer, platform string) error {
	out := csv.NewWriter(to)
	rows := [][]string{{"account", "phone", "unionid", "omid", "member_card", "joined_at"}}
	for a := range w.Accounts(platform) {
		if a.Member {
			unionID := a.UnionID
			if platform != PlatformWeidian {
				unionID = "" // Douyin's is of another kind than WeChat's
			}
			rows = append(rows, []string{a.ID, a.Phone, unionID, a.OMID, a.MemberCard, a.Joined.Format(time.RFC3339)})
		}
		if len(rows) == 1000 {
			if err := out.WriteAll(rows); err != nil {
				return err
			}
			rows = rows[:0]
		}
	}
	return out.WriteAll(rows)
}

// jsonText is JSON without HTML escapes of a value that always has one.
func jsonText(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "{}"
	}
	return string(text)
}
