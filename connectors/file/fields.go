package file

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/connectors"
)

// fieldKind says what a field's text must be.
type fieldKind int

const (
	textField fieldKind = iota
	timeField
	moneyField
	countField
	statusField
)

// fieldsOf lists the fields of each kind of file.
var fieldsOf = map[string]map[string]fieldKind{
	KindOrders: {
		"order_id": textField, "account": textField, "status": statusField, "order_type": textField, "channel": textField,
		"created_at": timeField, "paid_at": timeField, "shipped_at": timeField, "finished_at": timeField, "updated_at": timeField,
		"paid": moneyField, "payable": moneyField, "goods": moneyField, "freight": moneyField, "currency": textField,
		"product_id": textField, "sku_id": textField, "merchant_sku": textField, "title": textField,
		"quantity": countField, "unit_price": moneyField,
		"province": textField, "city": textField, "district": textField, "town": textField, "address": textField,
		"receiver_name": textField, "receiver_phone": textField,
		"buyer_phone": textField, "member_phone": textField, "email": textField, "unionid": textField,
		"member_card": textField, "external_customer": textField,
	},
	KindUsers: {
		"account": textField, "nick": textField, "phone": textField, "email": textField, "unionid": textField,
		"openid": textField, "omid": textField, "member_card": textField, "external_customer": textField,
		"level": textField, "points": countField, "province": textField, "city": textField,
		"joined_at": timeField, "created_at": timeField, "updated_at": timeField,
	},
	KindTickets: {
		"ticket_id": textField, "account": textField, "kind": textField, "status": statusField, "priority": textField,
		"channel": textField, "subject": textField, "order_id": textField, "amount": moneyField, "currency": textField,
		"agent": textField, "group": textField, "satisfaction": countField,
		"created_at": timeField, "first_answer_at": timeField, "solved_at": timeField, "updated_at": timeField,
	},
	KindSpend: {
		"channel": textField, "campaign": textField, "day": timeField, "spend": moneyField, "currency": textField,
		"impressions": countField, "clicks": countField, "updated_at": timeField,
	},
}

// required are the fields without which a kind makes no sense.
var required = map[string][]string{
	KindOrders:  {"order_id", "created_at", "paid"},
	KindUsers:   {"account"},
	KindTickets: {"ticket_id", "account", "created_at"},
	KindSpend:   {"channel", "day", "spend"},
}

// timeLayouts are tried in this order where no format is given.
var timeLayouts = append(slices.Clone(connectors.CellLayouts), time.RFC3339, "20060102")

// The formats that are no layout.
const (
	unixSeconds = "unix"
	unixMillis  = "unix_ms"
)

var layoutTokens = strings.NewReplacer("YYYY", "2006", "MM", "01", "DD", "02", "HH", "15", "mm", "04", "ss", "05", "M", "1", "D", "2")

// layoutOf turns YYYY-MM-DD HH:mm:ss into Go's way to say it.
func layoutOf(format string) (string, error) {
	if format == "" || format == unixSeconds || format == unixMillis {
		return format, nil
	}
	if !strings.Contains(format, "YYYY") || !strings.Contains(format, "M") || !strings.Contains(format, "D") {
		return "", errors.New("format must be unix, unix_ms, or made of YYYY MM DD HH mm ss, such as DD.MM.YYYY HH:mm")
	}
	return layoutTokens.Replace(format), nil
}

var errTime = errors.New("is not a time that its format allows")

// parseTime reads a time of a file; layout is layoutOf's, zone holds where the
// text names none.
func parseTime(text, layout string, zone *time.Location) (time.Time, error) {
	switch layout {
	case "":
		for _, l := range timeLayouts {
			if t, err := time.ParseInLocation(l, text, zone); err == nil && sane(t) {
				return t.UTC(), nil
			}
		}
	case unixSeconds, unixMillis:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return time.Time{}, errTime
		}
		t := time.Unix(n, 0)
		if layout == unixMillis {
			t = time.UnixMilli(n)
		}
		if sane(t) {
			return t.UTC(), nil
		}
	default:
		if t, err := time.ParseInLocation(layout, text, zone); err == nil && sane(t) {
			return t.UTC(), nil
		}
	}
	// A cell of a workbook bears no format.
	if t, ok := connectors.SerialTime(text, zone); ok && layout != unixSeconds && layout != unixMillis {
		return t.UTC(), nil
	}
	return time.Time{}, errTime
}

// sane: what the event's version can hold, after the epoch and before 2262.
func sane(t time.Time) bool { return t.Year() >= 1971 && t.Year() < 2262 }

// moneyText takes off what spreadsheets and shops put around an amount.
var moneyText = strings.NewReplacer("¥", "", "￥", "", "$", "", "元", "", " ", "")

var thousands = regexp.MustCompile(`^[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$`)

// amountText is an amount as decimal text.
func amountText(s string) string {
	s = moneyText.Replace(s)
	if thousands.MatchString(s) {
		s = strings.ReplaceAll(s, ",", "")
	}
	return connectors.DecimalText(s)
}
