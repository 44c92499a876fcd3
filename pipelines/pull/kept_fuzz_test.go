package pull

import (
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/schemas/events"
)

// Whatever lies in the topic of the cursors under a key of limits or of drift, which
// any version may have written: it is taken as it says, once or twice, or left out,
// and what is known of other streams stays.
func FuzzKept(f *testing.F) {
	for _, position := range []string{
		`{"day":"2026-01-01","used":7,"quota":100,"until":"2026-01-01T00:00:00Z","demand":1}`,
		`[{"what":"gained","field":"a.b","now":"text","since":"2026-01-01T00:00:00Z","accepted":true}]`, `[null,{}]`, `{"used":-1}`, `null`, ``,
	} {
		value, err := proto.Marshal(&events.Cursor{Position: position, WrittenMs: 1767229260000})
		if err != nil {
			f.Fatal(err)
		}
		for _, key := range []string{"limits/app 1/process", "drift/tmall/s/orders", "drift-accepted/tmall/s/orders", "tmall/s/orders", "limits/"} {
			f.Add(key, value)
		}
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		name, process, share, ok := readShare(kafka.Fetched{Key: []byte(key), Value: value})
		switch {
		case ok && key != quotaPrefix+name+"/"+process:
			t.Errorf("%q is of %q and %q", key, name, process)
		case !ok && (name != "" || process != ""):
			t.Errorf("%+v of what is no share", share)
		}
		const other = "\x00/other/stream"
		d := &Drifts{streams: make(map[string]*streamDrift)}
		d.stream(other).accepted[changed{"lost", "x", ""}] = true
		d.take(key, value)
		first := d.known()
		d.take(key, value)
		if again := d.known(); !slices.Equal(first, again) || !d.stream(other).accepted[changed{"lost", "x", ""}] {
			t.Errorf("%q: taken twice it is %q, and was %q", key, again, first)
		}
	})
}

// known is all that is known, in an order.
func (d *Drifts) known() []string {
	var all []string
	for _, stream := range slices.Sorted(maps.Keys(d.streams)) {
		for at := range d.streams[stream].found {
			all = append(all, stream+" found "+at.what+" "+at.field+" "+at.now)
		}
		for at := range d.streams[stream].accepted {
			all = append(all, stream+" accepted "+at.what+" "+at.field+" "+at.now)
		}
	}
	slices.Sort(all)
	return all
}
