package events

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

func identityChanges(n int) (changes []*IdentityChange) {
	for i := range n {
		changes = append(changes, &IdentityChange{
			Account: fmt.Sprintf("tmall/1/buyer-%d", i), CustomerId: fmt.Sprintf("0198c0de-0000-7000-8000-%012d", i),
			Version: uint64(i) << 40, Reason: "born", ChangedMs: 1_760_000_000_000 + int64(i/3),
		})
	}
	return changes
}

// Many changes at once are the messages that each is by itself, and what is written into
// one leaves the others as they are.
func TestEncodeChanges(t *testing.T) {
	t.Parallel()
	changes := append(identityChanges(10), &IdentityChange{Account: "douyin/2/b", PreviousCustomerId: "x", Version: 1<<64 - 1}, &IdentityChange{})
	topics := TopicsOf("acme")
	room := new(Wires)
	if _, err := topics.EncodeChanges(identityChanges(100), room); err != nil { // what it was used for before
		t.Fatal(err)
	}
	got, err := topics.EncodeChanges(changes, room)
	if err != nil {
		t.Fatal(err)
	}
	var want []Wire
	for i, c := range changes {
		value, err := proto.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, Wire{Topic: "acme.identity", Key: []byte(c.GetAccount()), Value: value, Headers: DescribeChange(c).Headers()})
		_, _, _ = append(got[i].Key, 'x'), append(got[i].Value, 'x'), append(got[i].Headers, [2]string{})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
	if got, err := topics.EncodeChanges(nil, new(Wires)); err != nil || len(got) != 0 {
		t.Errorf("of none: %v, %v", got, err)
	}
}

// BenchmarkEncodeChanges is what the messages of a batch cost in which everybody is new, at
// once and each by itself.
func BenchmarkEncodeChanges(b *testing.B) {
	changes, topics := identityChanges(50_000), TopicsOf("acme")
	b.Run("at once", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := topics.EncodeChanges(changes, new(Wires)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("each", func(b *testing.B) {
		b.ReportAllocs()
		wires := make([]Wire, len(changes))
		for b.Loop() {
			for i, c := range changes {
				value, err := proto.Marshal(c)
				if err != nil {
					b.Fatal(err)
				}
				wires[i] = Wire{Topic: topics.Identity, Key: []byte(c.GetAccount()), Value: value, Headers: DescribeChange(c).Headers()}
			}
		}
	})
}
