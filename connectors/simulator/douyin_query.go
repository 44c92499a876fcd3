package simulator

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// douyinHistory is how far back order.searchList sees by create time,
	// and from how recent a paid order a member's phone is plain.
	douyinHistory = 90 * 24 * time.Hour
	// douyinAfterSaleHistory is what afterSale.List answers without times.
	douyinAfterSaleHistory = 180 * 24 * time.Hour
	douyinMaxSize          = 100
	douyinMaxRows          = 50_000
)

// A span bounds a time in Unix seconds, both ends inclusive.
type span struct{ from, to int64 }

// allTime has room for sums at both ends.
var allTime = span{0, 1 << 40}

func (s span) times() (from, to time.Time) {
	return time.Unix(max(s.from, allTime.from), 0), time.Unix(min(s.to, allTime.to), 0)
}

func (s span) holds(second int64) bool { return s.from <= second && second <= s.to }

// A douyinOrderQuery is a checked question to order.searchList.
type douyinOrderQuery struct {
	created, updated span
	byUpdate         bool // the order of the answer
	ascending        bool
	page, size       int64
	statuses         []int // empty: all
	keep             douyinKeep
}

// searchQuery checks the parameters of order.searchList in their documented
// order of importance. now is the gateway's time.
func searchQuery(p douyinParams, now time.Time) (q douyinOrderQuery, fault *douyinFault) {
	oldest := now.Add(-douyinHistory).Unix()
	var createStart, createEnd, updateStart, updateEnd int64
	for _, field := range []struct {
		name   string
		absent int64
		value  *int64
	}{
		{"create_time_start", 0, &createStart}, {"create_time_end", allTime.to, &createEnd},
		{"update_time_start", 0, &updateStart}, {"update_time_end", allTime.to, &updateEnd},
		{"page", -1, &q.page}, {"size", 0, &q.size},
	} {
		value, ok := p.int(field.name, field.absent)
		if !ok {
			return q, douyinBadParameter(20001, field.name+"不是整数")
		}
		if value == 0 && field.absent == allTime.to {
			value = field.absent
		}
		*field.value = value
	}
	if !p.has("page") {
		return q, douyinMissingParameter(20001, "缺少page")
	}
	if !p.has("size") {
		return q, douyinMissingParameter(20001, "缺少size")
	}
	if q.page < 0 {
		return q, douyinBadParameter(10035, "page不能小于0")
	}
	if q.size < 1 || q.size > douyinMaxSize {
		return q, douyinBadParameter(20008, "size须在1到100之间")
	}
	if createStart == 0 && updateStart == 0 {
		return q, douyinBadParameter(20011, "create_time_start和update_time_start至少传一个")
	}
	if createStart != 0 && createStart < oldest {
		return q, douyinBadParameter(20022, "只支持查询近90天内创建的订单")
	}
	q.created = span{max(createStart, oldest), createEnd}
	q.updated = span{updateStart, updateEnd}
	switch p.text("order_by") {
	case "", "create_time":
	case "update_time":
		q.byUpdate = true
	default:
		return q, douyinBadParameter(20001, "order_by不合法")
	}
	q.ascending = p.bool("order_asc")
	combined := p.objects("combine_status")
	if len(combined) > 1 {
		return q, douyinBadParameter(20012, "combine_status只支持一组")
	}
	for _, status := range combined {
		for code := range strings.SplitSeq(status.text("order_status"), ",") {
			if code = strings.TrimSpace(code); code == "" {
				continue
			}
			number, err := strconv.Atoi(code)
			if err != nil {
				return q, douyinBadParameter(20001, "order_status不合法")
			}
			q.statuses = append(q.statuses, number)
		}
	}
	q.keep, fault = orderFilters(p)
	return q, fault
}

// A douyinAfterSaleQuery is a checked question to afterSale.List.
type douyinAfterSaleQuery struct {
	applied, updated span
	byUpdate         bool
	byDeadline       bool
	descending       bool
	unordered        bool // asked for by update time and not in its order
	page, size       int64
	keep             douyinKeep
}

// afterSaleQuery checks the parameters of afterSale.List: the apply window is
// open at its end, the update window closed.
func afterSaleQuery(p douyinParams, now time.Time) (q douyinAfterSaleQuery, fault *douyinFault) {
	var start, end, updateStart, updateEnd int64
	for _, field := range []struct {
		name  string
		value *int64
	}{
		{"start_time", &start}, {"end_time", &end}, {"update_start_time", &updateStart},
		{"update_end_time", &updateEnd}, {"page", &q.page}, {"size", &q.size},
	} {
		value, ok := p.int(field.name, 0)
		if !ok {
			return q, douyinBadParameter(11000, field.name+"不是整数")
		}
		*field.value = value
	}
	if !p.has("page") || !p.has("size") || q.page < 0 || q.size < 1 || q.size > douyinMaxSize ||
		q.page > douyinMaxRows || q.page*q.size > douyinMaxRows {
		return q, douyinBadParameter(11000, "page或size不合法")
	}
	q.applied, q.updated = allTime, span{updateStart, updateEnd}
	switch {
	case start == 0 && end == 0 && updateStart == 0 && updateEnd == 0:
		q.applied.from = now.Add(-douyinAfterSaleHistory).Unix()
	case start != 0 || end != 0:
		q.applied = span{start, end - 1}
	}
	if end == 0 {
		q.applied.to = allTime.to
	}
	if updateEnd == 0 {
		q.updated.to = allTime.to
	}
	if q.applied.from > q.applied.to && start > end || q.updated.from > q.updated.to {
		return q, douyinBadParameter(11000, "开始时间晚于结束时间")
	}
	if q.keep, fault = afterSaleFilters(p); fault != nil {
		return q, fault
	}
	q.descending = true
	q.unordered = (updateStart != 0 || updateEnd != 0) && len(p.texts("order_by")) == 0
	if order := p.texts("order_by"); len(order) > 0 {
		field, direction, _ := strings.Cut(order[0], " ")
		if !slices.Contains([]string{"status_deadline", "apply_time", "update_time"}, field) ||
			!slices.Contains([]string{"asc", "desc"}, direction) {
			return q, douyinBadParameter(11000, "order_by不合法")
		}
		q.byUpdate, q.byDeadline = field == "update_time", field == "status_deadline"
		q.descending = direction == "desc"
	}
	return q, nil
}

// A douyinServiceQuery is a checked question to order.getServiceList.
type douyinServiceQuery struct {
	between            span
	byUpdate           bool
	ascending          bool
	page, size         int64 // page from 1
	orderID, serviceID string
	status             int64 // -1: all
}

func serviceQuery(p douyinParams) (q douyinServiceQuery, fault *douyinFault) {
	for _, field := range []struct {
		name   string
		absent int64
		value  *int64
	}{
		{"start_time", 0, &q.between.from}, {"end_time", 0, &q.between.to},
		{"page", 1, &q.page}, {"size", 10, &q.size}, {"status", -1, &q.status},
	} {
		value, ok := p.int(field.name, field.absent)
		if !ok {
			return q, douyinBadParameter(10001, field.name+"不是整数")
		}
		*field.value = value
	}
	if q.between.from <= 0 || q.between.to <= q.between.from {
		return q, douyinBusiness(10002, "时间范围不合法")
	}
	if q.page < 1 || q.page > allTime.to || q.size < 1 {
		return q, douyinBadParameter(10001, "page从1开始")
	}
	q.size = min(q.size, douyinMaxSize)
	q.orderID, q.serviceID = p.text("order_id"), p.text("service_id")
	switch p.text("order_by") {
	case "", "create_time":
	case "update_time":
		q.byUpdate = true
	default:
		return q, douyinBadParameter(10001, "order_by不合法")
	}
	q.ascending = strings.EqualFold(p.text("order"), "ASC")
	return q, nil
}
