package match

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"oneid/identity"
	"oneid/identity/match/compare"
)

// appearances invents receivers, one in three of them a second time behind
// another mask, and some with a slip.
func appearances(seed uint64, n int) []identity.Appearance {
	r := rand.New(rand.NewPCG(seed, 3))
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	places := [][3]string{{"浙江省", "杭州市", "西湖区"}, {"浙江省", "杭州市", "余杭区"}, {"广东省", "深圳市", "南山区"}, {"北京市", "北京市", "朝阳区"}}
	var list []identity.Appearance
	for len(list) < n {
		name := one("王", "王", "王", "李", "李", "张", "欧阳", "佟") + one("伟", "小明", "芳", "建国")
		phone := fmt.Sprintf("1%d%09d", 3+r.IntN(7), r.IntN(1e9))
		place := places[r.IntN(len(places))]
		town := one("三墩镇", "石牌街道", "")
		detail := fmt.Sprintf("%s路%d号%d幢%d室", one("文一西", "体育", "中山"), 1+r.IntN(300), 1+r.IntN(9), 101+r.IntN(900))
		for range 1 + r.IntN(3)/2 {
			a := identity.Appearance{Province: place[0], City: place[1], District: place[2], Town: town}
			first := string([]rune(name)[:1])
			switch r.IntN(3) {
			case 0:
				a.Name, a.Phone, a.Detail = first+"**", "*******"+phone[7:], hide(detail, 2)
			case 1:
				a.Name, a.Phone, a.Detail = first+"***", "1********"+phone[9:], hide(detail, 3)
			default:
				a.Name, a.Phone, a.Detail, a.Town = first+"*", phone[:3]+"****"+phone[7:], hide(detail, 2), ""
			}
			switch r.IntN(12) {
			case 0:
				a.Phone = ""
			case 1:
				a.District = "（" + a.District + "）"
			case 2:
				a.Detail = "旧" + a.Detail
			case 3:
				a.Name = name
			}
			list = append(list, a)
		}
	}
	return list
}

// hide shows one character of n.
func hide(text string, n int) string {
	runes := []rune(text)
	for i := range runes {
		if i%n != 0 {
			runes[i] = '*'
		}
	}
	return string(runes)
}

func tableOf(list []identity.Appearance) *Table {
	t := NewTable(appearanceColumns)
	for _, a := range list {
		t.Add(0, []string{a.Name, a.Phone, a.Province, a.City, a.District, a.Town, a.Detail})
	}
	return t
}

func maskedModel(rarity bool) *Model {
	return &Model{
		Comparisons: []Comparison{
			{Columns: []string{"name"}, Kind: compare.MaskedName, Rarity: rarity},
			{Columns: []string{"phone"}, Kind: compare.MaskedPhone},
			{Columns: []string{"district"}, Kind: compare.Category, Rarity: rarity},
			{Columns: []string{"town"}, Kind: compare.Category},
			{Columns: []string{"detail"}, Kind: compare.MaskedText, Levels: []string{"equal", "fits in five to seven characters", "fits in three or four characters", "else"}},
		},
		Blocking: []Rule{{Keys: []string{"name.initial", "district", "phone.last2"}}, {Keys: []string{"phone.last4"}}, {Keys: []string{"district", "detail.sixth"}}},
	}
}

// A Scorer says of a pair what a run over a table says, part by part: for masked
// kinds and for the others.
func TestScorerWeighsAsARunDoes(t *testing.T) {
	t.Parallel()
	others := &Model{
		Comparisons: []Comparison{
			{Columns: []string{"name"}, Kind: compare.ChineseName},
			{Columns: []string{"phone"}, Kind: compare.Phone},
			{Columns: []string{"city"}, Kind: compare.Name},
			{Columns: []string{"district"}, Kind: compare.Category},
			{Columns: []string{"town"}, Kind: compare.Code},
			{Columns: []string{"detail"}, Kind: compare.ChineseAddress},
		},
		Blocking: []Rule{{Keys: []string{"name.initial", "detail.road"}}, {Keys: []string{"phone.end"}}},
	}
	for name, model := range map[string]*Model{"masked": maskedModel(false), "masked, with rarity": maskedModel(true), "other kinds": others} {
		for seed := range uint64(3) {
			list := appearances(seed, 400)
			table := tableOf(list)
			r := rand.New(rand.NewPCG(seed, 4))
			var pairs [][2]uint32
			for len(pairs) < 600 {
				a, b := uint32(r.IntN(len(list))), uint32(r.IntN(len(list)))
				if len(pairs)%2 == 0 {
					b = min(a+1, uint32(len(list)-1)) // often one entity
				}
				pairs = append(pairs, [2]uint32{a, b})
			}
			trained, err := Run(context.Background(), table, model, Options{})
			if err != nil {
				t.Fatal(err)
			}
			run, err := Run(context.Background(), table, model, Options{Learned: trained.Learned, Explain: pairs})
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewScorer(model, trained.Learned)
			if err != nil {
				t.Fatal(err)
			}
			exact := 0
			for _, e := range run.Explained {
				a, b := list[e.A], list[e.B]
				got := s.Weigh(a, b)
				if again := s.Weigh(b, a); again != got {
					t.Fatalf("%s: %v one way, %v the other", name, got, again)
				}
				if levels, rare := s.Compare(b, a); s.Worths().Weight(levels, rare) != got {
					t.Fatalf("%s: %v by its levels, and %v", name, s.Worths().Weight(levels, rare), got)
				}
				p, _, _ := s.compare(&a, &b)
				common := true // the rare ones are told apart in a table only
				for i, f := range e.Fields {
					if p.Of(i) != f.Level {
						t.Fatalf("%s: %s of %+v and %+v is at level %d, in a run at %d", name, f.Name, a, b, p.Of(i), f.Level)
					}
					if known := trained.Learned.Fields[i].Frequencies; known != nil && f.Level == 1 {
						_, ok := known.Common[known.name(compare.Form(s.fields[i].kind, value(&a, s.fields[i].column)))]
						common = common && ok
					}
				}
				if !common {
					continue
				}
				exact++
				if math.Abs(float64(got-e.Weight)) > 1e-4 {
					t.Fatalf("%s: %+v and %+v weigh %v, in a run %v", name, a, b, got, e.Weight)
				}
				sum := 0.0
				for _, part := range s.Explain(a, b) {
					bits, err := strconv.ParseFloat(part[strings.LastIndexByte(part, ' ')+1:], 64)
					if err != nil {
						t.Fatalf("%q ends in no bits", part)
					}
					sum += bits
				}
				if math.Abs(sum-float64(got)) > 0.5 { // each part is rounded to a tenth
					t.Fatalf("%s: %v add up to %.1f, not %.1f", name, s.Explain(a, b), sum, got)
				}
			}
			if exact < 300 {
				t.Errorf("%s: only %d pairs are of common values", name, exact)
			}
			sameBlocks(t, name, s, run, table, model, list)
		}
	}
}

// sameBlocks holds keys against the pairs of a run: those that share one.
func sameBlocks(t *testing.T, name string, s *Scorer, run *Result, table *Table, model *Model, list []identity.Appearance) {
	t.Helper()
	r, err := newRecords(t.Context(), table, model)
	if err != nil {
		t.Fatal(err)
	}
	keys := make([][]uint64, len(list))
	for record, row := range r.rows {
		keys[record] = s.Blocks(nil, list[row])
	}
	pairs := int64(0)
	for a := range keys {
		for b := range a {
			if slices.ContainsFunc(keys[a], func(key uint64) bool { return slices.Contains(keys[b], key) }) {
				pairs++
			}
		}
	}
	if pairs != run.Candidates {
		t.Errorf("%s: %d pairs share a key, a run compares %d", name, pairs, run.Candidates)
	}
}

// Nothing that a Scorer says holds a value.
func TestScorerExplainsWithoutValues(t *testing.T) {
	t.Parallel()
	list := appearances(9, 300)
	model := maskedModel(true)
	trained, err := Run(context.Background(), tableOf(list), model, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewScorer(model, trained.Learned)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range list[1:] {
		for _, part := range s.Explain(list[i], a) {
			if strings.ContainsAny(part, "*王李张欧佟西余南朝三石文体中") || strings.Count(part, " ") < 1 {
				t.Fatalf("%q", part)
			}
		}
	}
}

func TestScorerRefusesWhatItCannotWeigh(t *testing.T) {
	t.Parallel()
	list := appearances(9, 200)
	for want, change := range map[string]func(*Model){
		"no blocking rules":   func(m *Model) { m.Blocking = nil },
		"holds for all pairs": func(m *Model) { m.Blocking = []Rule{{}} },
		"is seen in a table only": func(m *Model) {
			m.Comparisons[4].Kind, m.Comparisons[4].Levels, m.Blocking = compare.Text, nil, m.Blocking[:2]
		},
		"of another model":          func(m *Model) { m.Comparisons[0].Rarity = false },
		`an appearance has ["name"`: func(m *Model) { m.Comparisons[3].Columns, m.Comparisons[3].Name = []string{"street"}, "town" },
		"there are no comparisons":  func(m *Model) { m.Comparisons = nil },
		"there is no comparison":    func(m *Model) { m.Blocking[0].Keys = []string{"mail"} },
		"a masked phone has no par": func(m *Model) { m.Blocking[0].Keys = []string{"phone.start"} },
	} {
		trained := maskedModel(true)
		if want == "is seen in a table only" {
			change(trained)
		}
		result, err := Run(context.Background(), tableOf(list), trained, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if want == `an appearance has ["name"` {
			result.Learned.Fields[3].Columns = []string{"street"}
		}
		m := maskedModel(true)
		change(m)
		if _, err := NewScorer(m, result.Learned); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestWeighingAllocatesNextToNothing(t *testing.T) {
	list := appearances(5, 300)
	model := maskedModel(true)
	trained, err := Run(context.Background(), tableOf(list), model, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewScorer(model, trained.Learned)
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(a identity.Appearance) bool { return strings.Contains(a.District, "（") }) // written otherwise
	keys := make([]uint64, 0, 8)
	if n := testing.AllocsPerRun(3, func() {
		for i := range list[1:] {
			s.Weigh(list[i], list[i+1])
			keys = s.Blocks(keys[:0], list[i])
		}
	}); n > float64(len(list)) { // the part of the address that is a key
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkScorer(b *testing.B) {
	list := appearances(5, 2000)
	model := maskedModel(true)
	trained, err := Run(context.Background(), tableOf(list), model, Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewScorer(model, trained.Learned)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("weigh", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			s.Weigh(list[i%len(list)], list[(i*7+1)%len(list)])
			i++
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
	})
	b.Run("blocks", func(b *testing.B) {
		b.ReportAllocs()
		var keys []uint64
		i := 0
		for b.Loop() {
			keys = s.Blocks(keys[:0], list[i%len(list)])
			i++
		}
	})
}
