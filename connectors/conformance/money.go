package conformance

import (
	"testing"

	"oneid/schemas/events"
)

// What an order's goods and freight cost less what each side gives is what the buyer
// owes, where the platform tells more than that; what its items were paid is what the order was; and a refund that succeeded is of
// what went back.
func testMoney(t *testing.T, s Subject) {
	b := open(t, s, func(ask *Ask, _ *Options) { ask.Orders = 6 * smallShop })
	orders, discounted, back := 0, 0, make(map[string]int64)
	for _, stream := range b.Spec().Streams {
		for _, record := range whole(t, b, stream.Name, "").records {
			list, err := b.Map(record)
			if err != nil {
				t.Fatalf("%s, %s: %v", stream.Name, record.Origin, err)
			}
			for _, e := range list {
				if o := e.GetOrder(); o != nil {
					orders++
					if given(o) != 0 {
						discounted++
					}
					wantAddsUp(t, e.GetHeader().GetEntityId(), o)
				}
				if r := e.GetRefund(); r != nil {
					back[e.GetHeader().GetEntityId()] = 0
					if r.GetStatus() == events.RefundStatus_REFUND_STATUS_SUCCEEDED {
						back[e.GetHeader().GetEntityId()] = r.GetRefundMinor()
					}
				}
			}
		}
	}
	if b.Refunded != nil {
		if discounted < 3 || discounted == orders {
			t.Errorf("%d of %d orders have a discount: too few or too many to tell anything", discounted, orders)
		}
		for id, want := range b.Refunded() {
			if got, came := back[id]; !came || got != want {
				t.Errorf("refund %s: %d went back, there came %d", id, want, got)
			}
		}
	}
}

// given is what all sides give of an order.
func given(o *events.Order) int64 {
	return o.GetSellerDiscountMinor() + o.GetPlatformDiscountMinor() + o.GetTalentDiscountMinor()
}

func wantAddsUp(t *testing.T, id string, o *events.Order) {
	t.Helper()
	told := o.GetGoodsMinor() + o.GetFreightMinor() + given(o)
	if owed := o.GetGoodsMinor() + o.GetFreightMinor() - given(o); told != 0 && owed != o.GetPayableMinor() {
		t.Errorf("order %s: goods %d and freight %d less %d are %d, and %d is to be paid", id, o.GetGoodsMinor(), o.GetFreightMinor(), given(o), owed, o.GetPayableMinor())
	}
	var paid int64
	for _, item := range o.GetItems() {
		paid += item.GetPaidMinor()
	}
	if len(o.GetItems()) > 0 && paid != o.GetPaidMinor() {
		t.Errorf("order %s: its items were paid %d, and it %d", id, paid, o.GetPaidMinor())
	}
}
