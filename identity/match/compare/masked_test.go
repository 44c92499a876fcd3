package compare

import (
	"testing"
)

func TestMaskedLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind Kind
		a, b string
		want string
	}{
		{MaskedName, "王**", "王*", "equal"},
		{MaskedName, "王**", "王小明", "fits"},
		{MaskedName, "王**", "王*明", "fits"},
		{MaskedName, "王**", "李**", "else"},
		{MaskedPhone, "138****1135", "138****1135", "equal"},
		{MaskedPhone, "13866661135", "138****1135", "fits in six digits"},
		{MaskedPhone, "*******1135", "*******1135", "fits in four or five digits"},
		{MaskedPhone, "*******1135", "138****1135", "fits in four or five digits"},
		{MaskedPhone, "13*******35", "138****1135", "fits in three digits"},
		{MaskedPhone, "1********35", "*******1135", "fits in two digits"},
		{MaskedPhone, "1********35", "1********35", "fits in two digits"},
		{MaskedPhone, "1********36", "*******1135", "else"},
		{MaskedPhone, "1386666****", "*******1135", "shown in other places"},
		{MaskedText, "文*西*5*8*3*2*元*0*室", "文*西*5*8*3*2*元*0*室", "equal"},
		{MaskedText, "文*西*5*8*3*2*元*0*室", "文一西路588号3幢2单元802室", "fits in eight characters"},
		{MaskedText, "文*西*5*8", "文*西*5*8", "fits in three or four characters"},
		{MaskedText, "文*西*5*8*3*2*元*0*室", "文**路**8**幢**元**2*", "fits in three or four characters"},
		{MaskedText, "文*西*5*8*3*2*元", "文*西*5*8*3*9*元", "all but one fit"},
		{MaskedText, "文*西*", "文**路", "fits in one or two characters"},
		{MaskedText, "文*西*", "*一*路", "shown in other places"},
		{MaskedText, "文*西*5*", "武*东*5*", "else"},
		{MaskedText, "演*路*2*", "三墩演示路12号", "fits in three or four characters"}, // two in front
	} {
		level, _, ok := Pair(c.kind, c.a, c.b)
		if !ok || level == 0 {
			t.Errorf("%s: %q and %q: nothing to compare", c.kind, c.a, c.b)
			continue
		}
		if got := Levels(c.kind)[level-1]; got != c.want {
			t.Errorf("%s: %q and %q are %q, want %q", c.kind, c.a, c.b, got, c.want)
		}
	}
}

// FuzzPair holds two single values against a column that has them.
func FuzzPair(f *testing.F) {
	for i, a := range append(fuzzSeeds, "王**", "王 *", "西湖区", "无", "未知", "文**路**号**", "＊＊", "＊1") {
		f.Add(a, fuzzSeeds[(i+5)%len(fuzzSeeds)])
		f.Add(a, a)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, kind := range Kinds() {
			column, ids, err := NewColumn(kind, []string{a, b}, []int{1, 1})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := Form(kind, a), column.Text(ids[0]); got != want {
				t.Fatalf("%s: %q is %q, in a column %q", kind, a, got, want)
			}
			level, form, ok := Pair(kind, a, b)
			if ok != (kind != Text && kind != Address) {
				t.Fatalf("%s: said to be known: %v", kind, ok)
			}
			if want := column.Compare(ids[0], ids[1]); ok && level != want {
				t.Fatalf("%s: %q and %q: level %d, in a column %d", kind, a, b, level, want)
			}
			if ok && level == 1 && form != column.Text(ids[0]) {
				t.Fatalf("%s: %q has the form %q", kind, a, form)
			}
		}
	})
}

func TestPairOfMasksAllocatesNothing(t *testing.T) {
	for kind, values := range map[Kind][2]string{
		MaskedName: {"王**", "王***"}, MaskedPhone: {"*******1135", "1********35"},
		MaskedText: {"文*西*5*8*3*2*元", "文**路**号**2**"}, Category: {"西湖区", "西湖区"},
	} {
		if n := testing.AllocsPerRun(100, func() { Pair(kind, values[0], values[1]) }); n != 0 {
			t.Errorf("%s: %v allocations", kind, n)
		}
	}
}
