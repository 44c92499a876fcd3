package tables

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oneid/schemas/events"
)

// items are as many items as a row has, each with a title of its own.
func items(row int) []*events.OrderItem {
	list := make([]*events.OrderItem, row%3)
	for i := range list {
		list[i] = &events.OrderItem{Title: fmt.Sprintf("%d of %d", i, row), Quantity: int64(10*row + i)}
	}
	return list
}

// A part has the same columns as its block, and of each column those rows.
func TestPart(t *testing.T) {
	block := NewOrders()
	for i := range 10 {
		block.Append(&events.Header{Platform: "tmall", Shop: "s", EntityId: fmt.Sprint(i), Version: &events.Version{ModifiedMs: int64(i)}},
			&events.Order{PaidMinor: int64(i), City: strings.Repeat("城", 30*i), Items: items(i)}, Stamp{})
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
		for i, column := range columns {
			if got, want := Plain(column), reflect.ValueOf(Plain(whole[i])).Slice(cut[0], cut[1]).Interface(); !cmp.Equal(got, want, cmpopts.EquateEmpty()) {
				t.Errorf("%s of the part %v is %v, want %v", names[i], cut, got, want)
			}
		}
	}
}
