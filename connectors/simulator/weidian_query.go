package simulator

import (
	"slices"
	"time"
)

const (
	// weidianHistory is what the order list answers without a start.
	weidianHistory        = 31 * 24 * time.Hour
	weidianRefundPageSize = 50
)

// weidianZone is the platform's time zone, GMT+8 without summer time.
var weidianZone = time.FixedZone("GMT+8", 8*60*60)

// weidianOrderTypes says, by version of the list, which order_type stands for
// which status_ori and refund_status_ori.
var weidianOrderTypes = map[string]map[string]func(state, refund int) bool{
	"1.1": {
		"unpay":  func(state, _ int) bool { return state == 10 },
		"pend":   func(state, refund int) bool { return (state == 20 || state == 21) && refund != 1 },
		"refund": func(_, refund int) bool { return refund == 1 },
		"close":  func(state, _ int) bool { return state == 60 },
		"finish": func(state, _ int) bool { return state == 50 },
	},
	"1.5": {
		"unship":    func(state, refund int) bool { return (state == 20 || state == 21) && refund != 1 },
		"unpay":     func(state, _ int) bool { return state == 10 },
		"shiped":    func(state, refund int) bool { return (state == 30 || state == 31 || state == 40) && refund != 1 }, //nolint:misspell // the platform's
		"refunding": func(_, refund int) bool { return refund == 1 },
		"finish":    func(state, _ int) bool { return state == 50 },
		"close":     func(state, _ int) bool { return state == 60 },
		"all":       nil,
	},
}

// A weidianOrderQuery is a checked question to vdian.order.list.get.
type weidianOrderQuery struct {
	added, updated span
	byUpdate       bool
	page, size     int                          // page from 1
	keep           func(state, refund int) bool // nil: all
}

// weidianQuery checks the parameters of the order list of a version.
func weidianQuery(p weidianParams, version string, size, maxSize int, now time.Time) (q weidianOrderQuery, fault *weidianFault) {
	var ok bool
	if q.page, ok = p.int("page_num", 1); !ok || q.page < 1 {
		return q, &weidianFault{20501, "page_num错误"}
	}
	if q.size, ok = p.int("page_size", size); !ok || q.size < 1 || q.size > maxSize {
		return q, &weidianFault{20502, "page_size错误，默认20，最大200"}
	}
	if q.added, fault = weidianSpan(p, "add_start", "add_end", now); fault != nil {
		return q, fault
	}
	if q.updated, fault = weidianSpan(p, "update_start", "update_end", now); fault != nil {
		return q, fault
	}
	if (p.text("add_start") == "" || p.text("add_end") == "") && p.text("update_start") == "" {
		q.added.from = max(q.added.from, now.Add(-weidianHistory).Unix())
	}
	q.byUpdate = p.text("update_start") != ""
	types := weidianOrderTypes[version]
	if types == nil {
		types = weidianOrderTypes["1.5"]
	}
	if name := p.text("order_type"); name != "" {
		keep, known := types[name]
		if !known {
			return q, &weidianFault{20046, "order_type错误"}
		}
		q.keep = keep
	}
	return q, nil
}

// weidianSpan reads two times to the second, both inclusive.
func weidianSpan(p weidianParams, start, end string, now time.Time) (span, *weidianFault) {
	s := allTime
	for _, bound := range []struct {
		name  string
		value *int64
	}{{start, &s.from}, {end, &s.to}} {
		text := p.text(bound.name)
		if text == "" {
			continue
		}
		t, err := time.ParseInLocation(time.DateTime, text, weidianZone)
		if err != nil {
			return s, &weidianFault{20032, bound.name + "日期格式错误"}
		}
		*bound.value = t.Unix()
	}
	if s.from > s.to || s.from > now.Unix() {
		return s, &weidianFault{20055, "开始时间晚于结束时间或当前时间"}
	}
	return s, nil
}

// A weidianRefundQuery is a checked question to open.SellerQueryRefundList.
type weidianRefundQuery struct {
	added, updated span
	byUpdate       bool
	page, size     int // page from 0
	orders         []string
	statuses       []string
	stage          int // 0: both
	from           string
}

func weidianRefunds(p weidianParams, now time.Time) (q weidianRefundQuery, fault *weidianFault) {
	var ok bool
	if q.page, ok = p.int("pageNum", 0); !ok || q.page < 0 {
		return q, &weidianFault{20501, "pageNum错误"}
	}
	if q.size, ok = p.int("pageSize", weidianRefundPageSize); !ok || q.size < 1 || q.size > weidianRefundPageSize {
		return q, &weidianFault{20502, "pageSize错误，最大50"}
	}
	if q.stage, ok = p.int("refundStage", 0); !ok || q.stage < 0 || q.stage > 2 {
		return q, &weidianFault{10019, "refundStage错误"}
	}
	if q.added, fault = weidianSpan(p, "addTimeStart", "addTimeEnd", now); fault != nil {
		return q, fault
	}
	if q.updated, fault = weidianSpan(p, "updateTimeStart", "updateTimeEnd", now); fault != nil {
		return q, fault
	}
	q.byUpdate = p.text("updateTimeStart") != ""
	if list, there := p["orderIdList"].([]any); there && len(list) == 0 {
		return q, &weidianFault{10019, "orderIdList不能为空"}
	}
	q.orders, q.statuses, q.from = p.texts("orderIdList"), p.texts("statusList"), p.text("fromRefundNo")
	for _, status := range q.statuses {
		if !slices.Contains([]string{"1", "3", "4", "5", "6", "9", "10"}, status) {
			return q, &weidianFault{10019, "statusList错误"}
		}
	}
	return q, nil
}
