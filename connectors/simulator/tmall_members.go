package simulator

import (
	"slices"
	"time"
)

// tmallGrades are the grades of members and what leads to them; a member of
// the world is of the first. Grade 0 is a buyer who is no member.
var tmallGrades = []struct {
	name   string
	amount int64 // fen that lead to the next one
	count  int64 // trades that lead to it too
}{{"普通会员", 50_000, 5}, {"高级会员", 200_000, 20}, {"VIP会员", 1_000_000, 50}, {"至尊VIP会员", 0, 0}}

func tmallGrade(a Account) int {
	if a.Member {
		return 1
	}
	return 0
}

// tmallSums is what a member's orders come to.
type tmallSums struct {
	count, closed, items int
	amount, closedAmount int64
	last                 time.Time // order made
}

func (t *tmall) sums(a Account) (s tmallSums) {
	for _, o := range t.world.OrdersOf(a) {
		if o.Created.After(s.last) {
			s.last = o.Created
		}
		if o.Status == OrderClosedUnpaid || o.Status == OrderClosedRefunded {
			s.closed++
			s.closedAmount += o.Amount
			continue
		}
		s.count++
		s.amount += o.Paid
		s.items += len(o.Items)
	}
	return s
}

func (t *tmall) member(a Account, privy bool) tmallTree {
	s := t.sums(a)
	row := tmallTree{"ouid": a.ID, "status": "normal", "grade": tmallGrade(a), "relation_source": 1, "trade_count": s.count,
		"trade_amount": tmallYuan(s.amount), "close_trade_count": s.closed, "close_trade_amount": tmallYuan(s.closedAmount),
		"item_num": s.items, "group_ids": "", "avg_price": tmallYuan(s.amount / int64(max(s.count, 1))), "last_trade_time": tmallTime(s.last)}
	if a.Member {
		row["grade_name"] = tmallGrades[0].name
	}
	if !privy {
		row["buyer_nick"] = tmallMask(a.Nick)
	}
	return row
}

// memberPage reads which page is asked for, from 1.
func (p tmallParams) memberPage() (page, size int, fault *tmallFault) {
	if page, fault = p.number("current_page", 1, 1, 1000); fault != nil {
		return 0, 0, fault
	}
	size, fault = p.number("page_size", 40, 1, 100)
	return page, size, fault
}

// tmallMembers lists every buyer of the shop; incremental ones by the last
// change of the buyer's orders. Filters by what orders come to read the orders
// of every buyer at each call.
func tmallMembers(inner string, increment, privy bool) func(*tmall, tmallParams) (tmallTree, *tmallFault) {
	return func(t *tmall, p tmallParams) (tmallTree, *tmallFault) {
		page, size, fault := p.memberPage()
		if fault != nil {
			return nil, fault
		}
		from, to := time.Time{}, t.opts.Now()
		if increment {
			from, to, fault = t.window(p, "start_modify", "end_modify", t.world.cfg.From, to, 0, 0)
		} else if p["min_last_trade_time"] != "" || p["max_last_trade_time"] != "" {
			from, to, fault = t.window(p, "min_last_trade_time", "max_last_trade_time", t.world.cfg.From, to, 0, 0)
		}
		if fault != nil {
			return nil, fault
		}
		byAccount, bySums, fault := p.memberFilters()
		if fault != nil {
			return nil, fault
		}
		filtered := bySums != nil || slices.ContainsFunc([]string{"grade", "relation_source", "group_id", "buyer_nick", "open_uid", "ouid"},
			func(name string) bool { return p[name] != "" })
		var members []any
		total := 0
		take := func(a Account) {
			if !byAccount(a) || bySums != nil && !bySums(t.sums(a)) {
				return
			}
			if total >= (page-1)*size && total < page*size {
				members = append(members, t.member(a, privy))
			}
			total++
		}
		switch {
		case !from.IsZero():
			for _, a := range t.changedAccounts(increment, from, to) {
				take(a)
			}
		case filtered:
			for a := range t.world.Accounts(PlatformTmall) {
				take(a)
			}
		default:
			// Only the last block has holes: before it, index is position.
			count := t.world.AccountCount(PlatformTmall)
			total = min((page-1)*size, count-len(tmallSeats))
			for index := total; index < count; index++ {
				if index == page*size && index < count-len(tmallSeats) {
					index = count - len(tmallSeats)
					total = index
				}
				if a, ok := t.world.AccountAt(PlatformTmall, index); ok {
					take(a)
				}
			}
		}
		answer := tmallTree{"total_result": total}
		if len(members) > 0 {
			answer["members"] = tmallTree{inner: members}
		}
		return answer, nil
	}
}

// changedAccounts are the accounts whose last order, or last change of one,
// lies in the window, by index.
func (t *tmall) changedAccounts(modified bool, from, to time.Time) []Account {
	var indexes []int
	for _, key := range t.world.OrderKeys(PlatformTmall, by(modified), from, to) {
		indexes = append(indexes, t.world.accountOf(PlatformTmall, key.Index))
	}
	slices.Sort(indexes)
	var out []Account
	for _, index := range slices.Compact(indexes) {
		if a, ok := t.world.AccountAt(PlatformTmall, index); ok && t.changedWithin(a, modified, from, to) {
			out = append(out, a)
		}
	}
	return out
}

func (t *tmall) changedWithin(a Account, modified bool, from, to time.Time) bool {
	var last time.Time
	for _, o := range t.world.OrdersOf(a) {
		at := o.Created
		if modified {
			at = o.Modified
		}
		if at.After(last) {
			last = at
		}
	}
	return !last.Before(from) && !last.After(to)
}

// memberHistory serves taobao.member.hismemberdata.get.privy: the members as of
// the end of a day. The names of its lists are published nowhere.
func (t *tmall) memberHistory(p tmallParams) (tmallTree, *tmallFault) {
	page, size, fault := p.memberPage()
	if fault != nil {
		return nil, fault
	}
	day, err := time.ParseInLocation("20060102", p["backup_ds"], tmallZone)
	if err != nil {
		return nil, tmallWrongType("backup_ds")
	}
	end := day.AddDate(0, 0, 1)
	if end.After(t.opts.Now()) {
		return nil, tmallInvalid("backup_ds") // the day has no snapshot yet
	}
	var rows []any
	total := 0
	for a := range t.world.Accounts(PlatformTmall) {
		if !a.Member || !a.Joined.Before(end) {
			continue
		}
		if total >= (page-1)*size && total < page*size {
			rows = append(rows, tmallTree{"ouid": a.ID, "grade": 1, "grade_name": tmallGrades[0].name, "gmt_modified": tmallTime(a.Joined)})
		}
		total++
	}
	answer := tmallTree{"total_result": total}
	if len(rows) > 0 {
		answer["members"] = tmallTree{"member": rows}
	}
	return answer, nil
}

// grades serves taobao.crm.grade.get. The names of its lists are published
// nowhere; the amounts are fen, a discount of 990 is 9.9 out of 10.
func (t *tmall) grades(tmallParams) (tmallTree, *tmallFault) {
	var rows []any
	for i, grade := range tmallGrades {
		row := tmallTree{"cur_grade": i + 1, "cur_grade_name": grade.name, "discount": 1000 - 10*i}
		if i+1 < len(tmallGrades) {
			row["next_grade"], row["next_grade_name"] = i+2, tmallGrades[i+1].name
			row["next_upgrade_amount"], row["next_upgrade_count"] = grade.amount, grade.count
		}
		rows = append(rows, row)
	}
	return tmallTree{"grade_promotions": tmallTree{"grade_promotion": rows}}, nil
}

// evaluations serves taobao.airisland.kefueval.get: nobody has evaluated the
// shop's agents.
func (t *tmall) evaluations(p tmallParams) (tmallTree, *tmallFault) {
	if len(tmallList(p["query_ids"])) > 10 {
		return nil, tmallInvalid("query_ids")
	}
	var at [2]time.Time
	for i, name := range []string{"btime", "etime"} {
		parsed, err := time.ParseInLocation("20060102150405", p[name], tmallZone)
		if err != nil {
			return nil, tmallWrongType(name)
		}
		at[i] = parsed
	}
	now := t.opts.Now()
	switch {
	case !at[0].Before(at[1]) || at[1].Sub(at[0]) > 7*24*time.Hour:
		return nil, tmallInvalid("btime,etime")
	case now.Sub(at[0]) > 90*24*time.Hour:
		return nil, tmallInvalid("btime")
	case now.Sub(at[1]) < 24*time.Hour:
		return nil, tmallInvalid("etime")
	}
	return tmallTree{}, nil
}
