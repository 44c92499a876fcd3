package tables

import (
	"fmt"
	"testing"

	"oneid/schemas/events"
)

// A part has the same columns as its block, and of each column those rows.
func TestPart(t *testing.T) {
	block := NewOrders()
	for i := range 10 {
		block.Append(&events.Header{Platform: "tmall", Shop: "s", EntityId: fmt.Sprint(i), Version: &events.Version{ModifiedMs: int64(i)}},
			&events.Order{PaidMinor: int64(i), Items: make([]*events.OrderItem, i%3)}, Stamp{})
	}
	names, whole := block.Columns()
	for _, cut := range [][2]int{{0, 10}, {3, 7}, {9, 10}, {4, 4}} {
		part := Part(block, cut[0], cut[1])
		got, columns := part.Columns()
		if part.Table() != "orders" || part.Rows() != cut[1]-cut[0] || fmt.Sprint(got) != fmt.Sprint(names) {
			t.Fatalf("the part %v is of %s and has %d rows of %v", cut, part.Table(), part.Rows(), got)
		}
		for i, column := range columns {
			if fmt.Sprintf("%T", column) != fmt.Sprintf("%T", whole[i]) {
				t.Errorf("%s is a %T, want a %T", names[i], column, whole[i])
			}
		}
		ids := columns[2].([]string)
		for i, id := range ids {
			if id != fmt.Sprint(cut[0]+i) {
				t.Errorf("the part %v has the ids %v", cut, ids)
			}
		}
	}
}
