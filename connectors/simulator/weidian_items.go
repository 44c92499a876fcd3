package simulator

import (
	"slices"
	"strconv"
)

// itemList serves vdian.item.list.get: the brand's goods, all on sale, each
// changed last when the data begin. The names inside skus are invented: they
// are published nowhere.
func (s *weidian) itemList(param weidianParams) (any, *weidianFault) {
	page, ok := param.int("page_num", 1)
	if !ok || page < 1 || page > 400 {
		return nil, &weidianFault{20501, "page_num错误"}
	}
	size, ok := param.int("page_size", 30)
	if !ok || size < 1 || size > 50 {
		return nil, &weidianFault{20502, "page_size错误"}
	}
	status, ok := param.int("status", 1)
	if !ok || !slices.Contains([]int{1, 2, 4, 10}, status) {
		return nil, &weidianFault{10019, "status错误"}
	}
	updated, fault := weidianSpan(param, "update_start", "update_end", s.opts.Now())
	if fault != nil {
		return nil, fault
	}
	s.beforePage("vdian.item.list.get")
	var items []any
	if (status == 1 || status == 4) && updated.holds(s.world.cfg.From.Unix()) {
		for _, g := range shelf() {
			price := yuan(g.Price)
			items = append(items, map[string]any{"itemid": strconv.FormatInt(g.Product, 10), "item_name": g.Title, "price": price,
				"stock": g.Stock, "skus": []any{map[string]any{"id": strconv.FormatInt(g.SKU, 10), "title": "", "price": price, "stock": g.Stock}}})
		}
	}
	shown := []any{}
	if first := (page - 1) * size; first < len(items) {
		shown = items[first:min(first+size, len(items))]
	}
	return map[string]any{"items": shown, "item_num": len(shown), "total_num": len(items)}, nil
}

// weidianOrdinary reads the filters by kinds of order of which the shop has
// none, of suppliers (isWei names that parameter), and by unfinished group-buys,
// which only 0 shows.
// keep is false when no order fits.
func weidianOrdinary(p weidianParams, isWei string) (keep bool, fault *weidianFault) {
	wei, ok := p.int(isWei, 0)
	if !ok || wei < 0 || wei > 2 {
		return false, &weidianFault{10019, isWei + "错误"}
	}
	if group, ok := p.int("group_type", 1); !ok || group < 0 || group > 1 {
		return false, &weidianFault{10019, "group_type错误"}
	}
	kind, ok := p.int("order_biz_type", 0)
	if !ok {
		return false, &weidianFault{10019, "order_biz_type错误"}
	}
	return wei != 1 && kind == 0, nil
}
