package fault

import (
	"errors"
	"slices"
	"testing"
)

var (
	first  = New("fault_test/first")
	second = New("fault_test/second")
)

func TestStopAt(t *testing.T) {
	if got, want := Points("fault_test"), []string{"fault_test/first", "fault_test/second"}; !slices.Equal(got, want) {
		t.Errorf("Points = %v, want %v", got, want)
	}
	if err := first.Hit(); err != nil {
		t.Errorf("a point that nobody armed gave %v", err)
	}
	disarm, stopped := StopAt("fault_test/first", 2)
	defer disarm()
	if err := errors.Join(first.Hit(), second.Hit()); err != nil || stopped() {
		t.Errorf("before the second hit: %v, stopped %v", err, stopped())
	}
	if err := first.Hit(); !errors.Is(err, ErrStop) || !stopped() {
		t.Errorf("at the second hit: %v, stopped %v; want ErrStop", err, stopped())
	}
	if err := second.Hit(); !errors.Is(err, ErrStop) {
		t.Errorf("after the stop another point gave %v, want ErrStop: the program is dead", err)
	}
	disarm()
	if err := first.Hit(); err != nil {
		t.Errorf("disarmed, the point gave %v", err)
	}
}
