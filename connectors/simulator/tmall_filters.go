package simulator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// What the filters of the lists may ask for. The list of trade types is open:
// an unknown one is a type of which the shop has no trade.
var (
	tmallStatuses = []string{"TRADE_NO_CREATE_PAY", "WAIT_BUYER_PAY", "PAY_PENDING", "WAIT_PRE_AUTH_CONFIRM", "PAID_FORBID_CONSIGN",
		"WAIT_SELLER_SEND_GOODS", "SELLER_CONSIGNED_PART", "WAIT_BUYER_CONFIRM_GOODS", "TRADE_BUYER_SIGNED", "TRADE_FINISHED",
		"TRADE_CLOSED", "TRADE_CLOSED_BY_TAOBAO", "ALL_WAIT_PAY", "ALL_CLOSED"}
	tmallRefundStatuses = []string{"WAIT_SELLER_AGREE", "WAIT_BUYER_RETURN_GOODS", "WAIT_SELLER_CONFIRM_GOODS", "SELLER_REFUSE_BUYER",
		"CLOSED", "SUCCESS", "WAIT_BUYER_CONFIRM_EXCHANGE_SELLER_SEND_GOODS", "EXCHANGE_TRANSFORM_TO_REFUND", "WAIT_SELLER_CONSIGN_GOODS",
		"WAIT_BUYER_CONFIRM_REDO_SEND_GOODS", "WAIT_SELLER_CONFIRM_RETURN_ADDRESS", "WAIT_SELLER_CONSIGN_GOOGDS",
		"EXCHANGE_WAIT_BUYER_CONFIRM_GOODS", "POST_FEE_DISPUTE_WAIT_ACTIVATE"}
	tmallExtTypes = []string{"ershou", "service", "mark"}
	// Whether buyer and seller have rated. The platform's values are taken to
	// be these; nobody in the world has rated.
	tmallRates = map[string]bool{"RATE_UNBUYER": true, "RATE_UNSELLER": true, "RATE_BUYER_UNSELLER": false,
		"RATE_UNBUYER_SELLER": false, "RATE_BUYER_SELLER": false}
)

// tmallKeep says whether an order stays in an answer; no function keeps all.
type tmallKeep []func(Order) bool

func (k tmallKeep) wants(o Order) bool {
	for _, keep := range k {
		if !keep(o) {
			return false
		}
	}
	return true
}

// keys are those of the keys whose order is wanted.
func (k tmallKeep) keys(w *World, keys []Key) []Key {
	if len(k) == 0 {
		return keys
	}
	var kept []Key
	for _, key := range keys {
		if o, ok := w.OrderAt(PlatformTmall, key.Index); ok && k.wants(o) {
			kept = append(kept, key)
		}
	}
	return kept
}

// buyers adds the filters by buyer. A nick is asked for in plain.
func (k *tmallKeep) buyers(p tmallParams) {
	for name, own := range map[string]func(Account) string{
		"buyer_nick":     func(a Account) string { return a.Nick },
		"buyer_open_uid": func(a Account) string { return a.OpenUID },
		"buyer_open_id":  func(a Account) string { return a.OpenUID },
		"ouid":           func(a Account) string { return a.ID },
	} {
		if asked := p[name]; asked != "" {
			*k = append(*k, func(o Order) bool { return own(o.Account) == asked })
		}
	}
}

// What the lists of trades and of refunds hold where no type is asked for; any
// other is left out without a word.
const (
	tmallTradeDefault  = "guarantee_trade,auto_delivery,ec,cod,step"
	tmallRefundDefault = "guarantee_trade,auto_delivery"
)

// types adds the filter by trade type: kind is a trade's own. A fixed trade is
// of the group guarantee_trade.
func (k *tmallKeep) types(asked string, kind func(Order) string) {
	kinds := strings.Split(strings.ReplaceAll(asked, " ", ""), ",")
	*k = append(*k, func(o Order) bool {
		own := kind(o)
		return slices.Contains(kinds, own) || own == tmallFixed && slices.Contains(kinds, "guarantee_trade")
	})
}

// tmallFixed is the type of most trades.
const tmallFixed = "fixed"

// kind is the type of a trade.
func (t *tmall) kind(o Order) string {
	if !t.opts.Kinds {
		return tmallFixed
	}
	others := []string{"eticket", "tmall_i18n", "o2o_offlinetrade"}
	if n := pick(t.world.hash("trade type", o.Index), 4*len(others)); n < len(others) {
		return others[n]
	}
	return tmallFixed
}

// tradeFilters reads the filters of the lists of trades.
func (p tmallParams) tradeFilters(kind func(Order) string) (keep tmallKeep, fault *tmallFault) {
	if status := p["status"]; status != "" {
		if !slices.Contains(tmallStatuses, status) {
			return nil, tmallInvalid("status")
		}
		keep = append(keep, func(o Order) bool { return tmallStatusFits(status, tmallStatus[o.Status]) })
	}
	if rate := p["rate_status"]; rate != "" {
		unrated, known := tmallRates[rate]
		if !known {
			return nil, tmallInvalid("rate_status")
		}
		keep = append(keep, func(o Order) bool { return unrated && o.Status == OrderFinished })
	}
	if kind := p["ext_type"]; kind != "" && !slices.Contains(tmallExtTypes, kind) {
		return nil, tmallInvalid("ext_type")
	}
	if p["ext_type"] != "" || p["tag"] != "" { // no trade bears one
		keep = append(keep, func(Order) bool { return false })
	}
	keep.types(cmp.Or(p["type"], tmallTradeDefault), kind)
	keep.buyers(p)
	return keep, nil
}

// refundFilters reads the filters of the lists of refunds.
func (p tmallParams) refundFilters(kind func(Order) string) (keep tmallKeep, fault *tmallFault) {
	if status := p["status"]; status != "" {
		if !slices.Contains(tmallRefundStatuses, status) {
			return nil, tmallInvalid("status")
		}
		keep = append(keep, func(o Order) bool { return tmallRefundStatus[o.Refund.Status] == status })
	}
	keep.types(cmp.Or(p["type"], tmallRefundDefault), kind)
	keep.buyers(p)
	return keep, nil
}

// memberFilters reads the filters of the lists of members, by what a member's
// row needs: the account alone, or its orders too. Nobody is in a group.
func (p tmallParams) memberFilters() (byAccount func(Account) bool, bySums func(tmallSums) bool, fault *tmallFault) {
	grade, fault := p.number("grade", -1, 0, 4)
	if fault != nil {
		return nil, nil, fault
	}
	source, fault := p.number("relation_source", 1, 1, 3)
	if fault != nil {
		return nil, nil, fault
	}
	count, amount := [2]int64{0, 1 << 40}, [2]int64{0, 1 << 60}
	sums := false
	for i, bound := range []string{"min", "max"} {
		if text := p[bound+"_trade_count"]; text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, nil, tmallWrongType(bound + "_trade_count")
			}
			count[i], sums = n, true
		}
		if text := p[bound+"_trade_amount"]; text != "" {
			fen, ok := readTmallYuan(text)
			if !ok {
				return nil, nil, tmallWrongType(bound + "_trade_amount")
			}
			amount[i], sums = fen, true
		}
	}
	byAccount = func(a Account) bool {
		return (grade < 0 || tmallGrade(a) == grade) && source == 1 && p["group_id"] == "" &&
			(p["buyer_nick"] == "" || p["buyer_nick"] == a.Nick) && (p["open_uid"] == "" || p["open_uid"] == a.OpenUID) &&
			(p["ouid"] == "" || p["ouid"] == a.ID)
	}
	if sums {
		bySums = func(s tmallSums) bool {
			return int64(s.count) >= count[0] && int64(s.count) <= count[1] && s.amount >= amount[0] && s.amount <= amount[1]
		}
	}
	return byAccount, bySums, nil
}

// readTmallYuan reads yuan of at most two decimals as fen.
func readTmallYuan(text string) (int64, bool) {
	whole, part, _ := strings.Cut(text, ".")
	if len(part) > 2 {
		return 0, false
	}
	fen, err := strconv.ParseUint(whole+(part + "00")[:2], 10, 60)
	return int64(fen), err == nil
}
