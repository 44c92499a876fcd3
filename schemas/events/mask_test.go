package events

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Of what an event says of persons nothing can be read but the types of identifiers
// and the place down to the district; a new field is masked, or is put here.
func TestMaskedShowsTheDistrictAtMost(t *testing.T) {
	t.Parallel()
	open := []string{"type", "scope", "province", "city", "district"}
	p := &Person{Sightings: []*Sighting{{}}, Receiver: &Receiver{}}
	each := func(p *Person, visit func(m protoreflect.Message, f protoreflect.FieldDescriptor)) {
		for _, m := range []protoreflect.Message{p.GetSightings()[0].ProtoReflect(), p.GetReceiver().ProtoReflect()} {
			fields := m.Descriptor().Fields()
			for i := range fields.Len() {
				if f := fields.Get(i); f.Kind() == protoreflect.StringKind {
					visit(m, f)
				}
			}
		}
	}
	for _, value := range []string{"三墩镇", "13800001111", "演示街道演示小区演示号", "x"} {
		each(p, func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			m.Set(f, protoreflect.ValueOfString(value))
		})
		before, seen := proto.CloneOf(p), 0
		each(Masked(p), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			seen++
			shown := m.Get(f).String()
			if readable := strings.Contains(shown, value); readable != slices.Contains(open, string(f.Name())) {
				t.Errorf("%s of %q shows %q", f.Name(), value, shown)
			}
		})
		if seen < 9 || !proto.Equal(before, p) {
			t.Errorf("%q: %d fields were seen, want 9 or more; the person itself is unchanged: %t", value, seen, proto.Equal(before, p))
		}
	}
	if Masked(nil) != nil {
		t.Error("nobody became somebody")
	}
}
