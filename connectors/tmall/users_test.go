package tmall

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
)

// Members who trade while all of them are listed move within the list, or leave a
// filter by the time of the last trade. Whatever the order of the list, each who
// did not trade comes, however many filters it takes.
func TestNoMemberMissedWhileOthersTrade(t *testing.T) {
	t.Parallel()
	for name, newestFirst := range map[string]bool{"newest first": true, "oldest first": false} {
		for _, people := range []int{60, 150} { // one filter shows 100
			t.Run(fmt.Sprintf("%s, %d", name, people), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(15) {
					chance := rand.New(rand.NewPCG(seed, 0))
					began := time.Now().Add(-time.Minute).Truncate(time.Second)
					traded := make([]time.Time, people) // by member
					for i := range traded {
						traded[i] = began.Add(-time.Duration(chance.Int64N(int64(1000 * time.Hour)))).Truncate(time.Second)
					}
					before := slices.Clone(traded)
					f, c := newFace(t)
					f.before = func(method string, form map[string]string) string {
						if method != memberSearch {
							return ""
						}
						someone := chance.IntN(people)
						if chance.IntN(3) == 0 {
							traded[someone] = time.Now().Add(time.Hour).Add(time.Duration(chance.IntN(1000)) * time.Second)
						}
						return searched(form, traded, newestFirst)
					}
					came := make(map[string]bool)
					s := &search{c: c, most: 100, asOf: began, give: func(page connectors.Page) error {
						for _, record := range page.Records {
							list, err := c.Map(record)
							if err != nil {
								t.Fatal(err)
							}
							came[list[0].GetHeader().GetEntityId()] = true
						}
						return nil
					}}
					if err := s.all(t.Context()); err != nil {
						t.Fatal(err)
					}
					for i, at := range before {
						if at.Equal(traded[i]) && !came[memberID(i)] {
							t.Fatalf("seed %d: member %d, who did not trade, did not come (%d of %d came)", seed, i, len(came), people)
						}
					}
				}
			})
		}
	}
}

// A member whom no filter shows is not left out in silence: both counts are said, and
// stand in the cursor while the changes are read.
func TestMembersOfNoFilter(t *testing.T) {
	t.Parallel()
	now := time.Now()
	traded := make([]time.Time, 150)
	for i := range traded {
		traded[i] = now.Add(-time.Duration(i+1) * time.Hour)
	}
	for _, nowhere := range []int{0, 7} {
		f, c := newFace(t)
		f.before = func(method string, form map[string]string) string {
			if method != memberSearch {
				return ""
			}
			shown := traded[:len(traded)-nowhere]
			if form["relation_source"] == "" {
				shown = traded
			}
			return searched(form, shown, true)
		}
		came := 0
		s := &search{c: c, most: 100, asOf: now, give: func(page connectors.Page) error {
			came += len(page.Records)
			return nil
		}}
		if err := s.all(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.counted != 150 || s.total-s.missing != 150-nowhere || came < 150-nowhere {
			t.Errorf("%d members are counted, %d listed, %d came; want 150 and %d", s.counted, s.total-s.missing, came, 150-nowhere)
		}
		cursor := position{Reached: now, Members: s.counted, Listed: s.total - s.missing}.cursor()
		says, of := c.Lacks(Users, cursor)
		if of != (connectors.Window{}) || nowhere > 0 != (says != "") || nowhere > 0 && (!strings.Contains(says, "150") || !strings.Contains(says, "143")) {
			t.Errorf("with %d members in no filter it says %q", nowhere, says)
		}
	}
}

// Members who leave or come while all of them are listed are not missing, and neither is
// whom the next listing has; who is in no listing is.
func TestMembersWhoAreMissingForAMoment(t *testing.T) {
	t.Parallel()
	traded := make([]time.Time, 150)
	for i := range traded {
		traded[i] = time.Now().Add(-time.Duration(i+1) * time.Hour)
	}
	for name, c := range map[string]struct {
		// shown are how many of them an answer counts and gives, by how many answers of
		// the search came before it.
		shown func(asked int) (counts, gives int)
		want  int // are missing
	}{
		"all come":                       {func(int) (int, int) { return 150, 150 }, 0},
		"three leave behind the first":   {func(asked int) (int, int) { return 150 - min(3*asked, 3), 150 - min(3*asked, 3) }, 0},
		"seven do not come at first":     {func(asked int) (int, int) { return 150, 150 - 7*max(0, min(1, 67-asked)) }, 0},
		"seven never come":               {func(int) (int, int) { return 150, 143 }, 7},
		"seven never come, and one does": {func(asked int) (int, int) { return 150 + min(asked, 1), 143 + min(asked, 1) }, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, connector := newFace(t)
			asked := 0
			f.before = func(method string, form map[string]string) string {
				if method != memberSearch {
					return ""
				}
				counts, gives := c.shown(asked)
				asked++
				all := append(slices.Clone(traded), time.Now())
				return strings.Replace(searched(form, all[:gives], false), fmt.Sprintf(`"total_result":%d`, gives), fmt.Sprintf(`"total_result":%d`, counts), 1)
			}
			var last connectors.Page
			for page, err := range connector.Read(t.Context(), Users, "") {
				if err != nil {
					t.Fatal(err)
				}
				last = page
			}
			p, err := parsePosition(last.Next)
			if err != nil || p.Members-p.Listed != c.want || last.Short != c.want {
				t.Errorf("%d are missing, the page says %d, want %d (%v; asked %d times)", p.Members-p.Listed, last.Short, c.want, err, asked)
			}
		})
	}
}

// Who leaves once all were counted is in no filter, and not missing; who is in none and
// stays is.
func TestMembersWhoLeaveBetweenTheFilters(t *testing.T) {
	t.Parallel()
	traded := make([]time.Time, 150)
	for i := range traded {
		traded[i] = time.Now().Add(-time.Duration(i+1) * time.Hour)
	}
	for name, stay := range map[string]bool{"they leave": false, "they stay": true} {
		f, c := newFace(t)
		began := false
		f.before = func(method string, form map[string]string) string {
			if method != memberSearch {
				return ""
			}
			shown := traded[:147]
			if form["relation_source"] == "" && (!began || stay) {
				shown = traded
			}
			began = true
			return searched(form, shown, true)
		}
		s := &search{c: c, most: 100, asOf: time.Now(), give: func(connectors.Page) error { return nil }}
		counted, listed, err := s.count(t.Context())
		if err != nil || listed != 147 || counted != map[bool]int{false: 147, true: 150}[stay] {
			t.Errorf("%s: %d of %d members are listed (%v)", name, listed, counted, err)
		}
	}
}

func memberID(i int) string { return fmt.Sprintf("AAGdemoOuid%05d", i) }

// searched answers a search of members, of whom all have traded. More than 100
// for a filter are counted, not shown.
func searched(form map[string]string, traded []time.Time, newestFirst bool) string {
	from, to := time.Time{}, time.Now().Add(24*time.Hour)
	if form["min_last_trade_time"] != "" {
		from, _ = time.ParseInLocation(timeLayout, form["min_last_trade_time"], zone)
		to, _ = time.ParseInLocation(timeLayout, form["max_last_trade_time"], zone)
	}
	var in []int
	for i, at := range traded {
		if !at.Before(from) && !at.After(to) && cmp.Or(form["relation_source"], "1") == "1" {
			in = append(in, i)
		}
	}
	slices.SortFunc(in, func(a, b int) int {
		order := cmp.Or(traded[a].Compare(traded[b]), cmp.Compare(a, b))
		if newestFirst {
			return -order
		}
		return order
	})
	number, _ := strconv.Atoi(form["current_page"])
	size, _ := strconv.Atoi(form["page_size"])
	var rows []string
	for _, i := range in[min((number-1)*size, len(in)):min(number*size, len(in))] {
		rows = append(rows, fmt.Sprintf(`{"ouid":%q,"grade":1}`, memberID(i)))
	}
	return fmt.Sprintf(`{"crm_members_search_response":{"total_result":%d,"members":{"crm_member":[%s]}}}`, len(in), strings.Join(rows, ","))
}
