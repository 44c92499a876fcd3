package compare

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// plainly is Compare the long way: without heads, bounds or words of bytes,
// from the values' texts alone.
func plainly(c *Column, a, b uint32) Level {
	s, t := c.Text(a), c.Text(b)
	runes := min(utf8.RuneCountInString(s), utf8.RuneCountInString(t))
	distance := func() int { return Distance(s, t, 10) }
	switch {
	case a == 0 || b == 0:
		return 0
	case canMask(c.kind) && (c.heads[a].flags|c.heads[b].flags)&masked != 0:
		return c.compareMasked(a, b)
	case a == b:
		return 1
	}
	switch c.kind {
	case Name:
		if strings.HasPrefix(s, t) || strings.HasPrefix(t, s) {
			if d := len(s) - len(t); (d == 1 || d == -1) && min(len(s), len(t)) >= 3 {
				return 3
			}
			return 5
		}
		w := JaroWinkler(s, t)
		switch d := distance(); {
		case d == 1 && runes >= 3:
			return 3
		case d == 2 && runes >= 5, w >= 0.92:
			return 4
		case w >= 0.8:
			return 6
		}
		return 7
	case Code:
		switch d := distance(); {
		case d == 1 && runes >= 2:
			return 2
		case d == 2 && runes >= 5:
			return 3
		}
		return 4
	case Phone:
		if len(s) >= 7 && len(t) >= 7 && s[len(s)-7:] == t[len(t)-7:] {
			return 2
		}
		return Level(2 + min(3, distance()))
	case Email:
		userS, _, _ := strings.Cut(s, "@")
		userT, _, _ := strings.Cut(t, "@")
		domain := s[len(userS):]
		switch {
		case len(userS) >= 3 && userS == userT:
			return 2
		case distance() <= 2:
			return 3
		case len(userS) >= 3 && len(userT) >= 3 && s[:3] == t[:3] && JaroWinkler(userS, userT) >= 0.88:
			return 4
		case domain != "" && domain == t[len(userT):]:
			return 5
		}
		return 6
	case Date:
		x, y := [3]string{s[:4], s[4:6], s[6:]}, [3]string{t[:4], t[4:6], t[6:]}
		same := 0
		for i := range x {
			if x[i] == y[i] {
				same++
			}
		}
		switch {
		case x[0] == y[0] && x[1] == y[2] && x[2] == y[1]:
			return 2
		case same >= 1 && distance() == 1:
			return 3
		case same == 2:
			return 4
		case x[0] == y[0], same == 1 && distance() == 2:
			return 5
		}
		return 6
	case Text:
		if runes >= 5 && runes < maxRunes && distance() <= map[bool]int{true: 2, false: 1}[runes >= 10] {
			return 2
		}
		both, smaller := plainShares(c, a, b)
		switch {
		case both >= 0.9:
			return 2
		case both >= 0.65:
			return 3
		case smaller >= 0.9:
			return 4
		case both >= 0.4:
			return 5
		case both >= 0.15:
			return 6
		}
		return 7
	default:
		return c.Compare(a, b)
	}
}

// plainShares is shares with each two words compared.
func plainShares(c *Column, a, b uint32) (both, smaller float32) {
	var rests [2][]uint32
	var sum float32
	for _, w := range c.Words(a) {
		if slices.Contains(c.Words(b), w) {
			sum += c.words[w].worth
		} else {
			rests[0] = append(rests[0], w)
		}
	}
	for _, w := range c.Words(b) {
		if !slices.Contains(c.Words(a), w) {
			rests[1] = append(rests[1], w)
		}
	}
	if len(rests[0]) <= 8 || len(rests[1]) <= 8 {
		if len(rests[0]) > len(rests[1]) || len(rests[0]) == len(rests[1]) && slices.Compare(rests[0], rests[1]) > 0 {
			rests[0], rests[1] = rests[1], rests[0]
		}
		for _, w := range rests[0] {
			best := -1
			for k, v := range rests[1] {
				if plainSlip(c.Word(w), c.Word(v)) && (best < 0 || c.words[v].worth < c.words[rests[1][best]].worth) {
					best = k
				}
			}
			if best >= 0 {
				v := rests[1][best]
				sum += 0.8 * min(c.words[w].worth, c.words[v].worth)
				last := len(rests[1]) - 1
				rests[1][best] = rests[1][last]
				rests[1] = rests[1][:last]
			}
		}
	}
	if sum == 0 {
		return 0, 0
	}
	x, y := c.worth[a], c.worth[b]
	return min(1, sum/(x+y-sum)), min(1, sum/min(x, y))
}

func plainSlip(x, y string) bool {
	if len(x) > len(y) {
		x, y = y, x
	}
	limit := 1
	switch {
	case len(x) >= 3 && strings.HasPrefix(y, x):
		return true
	case len(x) < 4:
		return false
	case len(x) >= 8:
		limit = 2
	}
	return Distance(x, y, limit) <= limit
}

// invented makes up values of a kind; every few of them are spoilt copies of the
// one before.
func invented(r *rand.Rand, kind Kind, n int) []string {
	word := func() string { return text(r, []rune("aeiounrstlmdk"), 8) + string("aeionrst"[r.IntN(8)]) }
	one := func(list ...string) string { return list[r.IntN(len(list))] }
	number := func(digits int) string {
		s := ""
		for range digits {
			s += string('0' + rune(r.IntN(10)))
		}
		return s
	}
	alphabet := []rune("abcdefghijklmnopqrstuvwxyz0123456789")
	var list []string
	for len(list) < n {
		v := word()
		switch kind {
		case Name:
			v = one(v, v, v+" "+word(), "müller"+v, v[:1], v[:1]+"***"+v[len(v)-1:])
		case Date:
			v = fmt.Sprintf("%d%02d-%02d-%02d", 19+r.IntN(2), r.IntN(100), 1+r.IntN(12), 1+r.IntN(28))
		case Code:
			v = one(number(5), number(2), "a"+number(3)+"bc")
		case Phone:
			end := one("1135", "2246", "0035")
			v = one("138"+number(8), "020"+number(7), number(6), "138****"+number(4), "138****"+end, "*******"+end, "1********"+end[2:], "1386666"+end, "1396667"+end)
		case Email:
			v = one(v, v+"."+word(), word()+number(3), "ü"+v) + one("@mail.example", "@post.example", "@web.test", "")
		case Text:
			v = one(v, "the "+v, v+" "+word(), word()+" of the "+v+" "+word(), "张王李赵"+v, "café "+v, v+" "+word()+" "+word(), "the "+v+"***")
		case Address:
			v = number(1+r.IntN(3)) + " " + v + one(" st", " street", " road north", "")
		case ChineseName:
			v = one(one("张", "王", "李", "欧阳", "章")+one("三", "三丰", "伟", "*", "**", "*伟"), "三张", "zhang san", "li wei")
		case ChineseAddress:
			v = one("广东省广州市", "广东深圳市", "上海", "北京市") + one("天河区", "南山区", "浦东", "朝阳区", "") + one("", "张江镇", "石牌街道") + one("体育西路", "科技路", "") + one(number(1)+"号", "", "***") + one("", "阳光花园", "3栋"+number(3))
		case Place:
			v = fmt.Sprintf("%.4f,%.4f", 31+r.Float64()*breadth(r), 121+r.Float64()*breadth(r))
		case Number:
			v = one(number(3), number(2)+"."+number(2))
		case Category:
			v = one("f", "m", "x")
		case MaskedName:
			v = one("张", "王", "李") + one("*", "**", "三", "*三")
		case MaskedPhone:
			v = one("*******"+number(4), "1********"+number(2), "138****"+number(4), "138"+number(8))
		case MaskedText:
			v = one("文", "*", "") + one("文*路*", "文**西**", "文一西路") + number(1) + one("*", number(1)) + one("号*"+number(1)+"*", "*2幢*01", "")
		}
		list = append(list, v)
		for range r.IntN(3) {
			spoilt := []rune(v)
			for range 1 + r.IntN(3) {
				i := r.IntN(len(spoilt))
				switch r.IntN(4) {
				case 0:
					spoilt = slices.Insert(spoilt, i, alphabet[r.IntN(len(alphabet))])
				case 1:
					if len(spoilt) > 1 {
						spoilt = slices.Delete(spoilt, i, i+1)
					}
				case 2:
					if i+1 < len(spoilt) {
						spoilt[i], spoilt[i+1] = spoilt[i+1], spoilt[i]
					}
				default:
					spoilt[i] = alphabet[r.IntN(len(alphabet))]
				}
			}
			list = append(list, string(spoilt))
		}
	}
	return list[:n]
}

// breadth is a part of a degree, in one of four sizes.
func breadth(r *rand.Rand) float64 { return []float64{0.0005, 0.01, 0.1, 1}[r.IntN(4)] }

func TestLevelsAreThoseOfThePlainForm(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		seen := map[Level]int{}
		for seed := range uint64(4) {
			raw := invented(rand.New(rand.NewPCG(seed, 11)), kind, 300)
			counts := make([]int, len(raw))
			for i := range counts {
				counts[i] = 1
			}
			c, _, err := NewColumn(kind, raw, counts)
			if err != nil {
				t.Fatal(err)
			}
			for a := range uint32(c.Len()) {
				for b := range a {
					want, got := plainly(c, a, b), c.Compare(a, b)
					if got != want {
						t.Fatalf("%s: %q and %q: level %d, the long way %d", kind, c.Text(a), c.Text(b), got, want)
					}
					seen[got]++
				}
			}
		}
		t.Log(kind, seen)
		for l := Level(2); l <= Level(len(Levels(kind))); l++ {
			if seen[l] == 0 && (kind != Name || l != Swapped) {
				t.Errorf("%s: level %q never came up", kind, Levels(kind)[l-1])
			}
		}
	}
}

// TestBoundsAndShortCuts holds what Compare relies on against the long way.
func TestBoundsAndShortCuts(t *testing.T) {
	t.Parallel()
	for _, alphabet := range []string{"ab", "abcdefg", "aabc 0x", "0123456789", "张王李赵a", "äöab"} {
		for seed := range uint64(10000) {
			r := rand.New(rand.NewPCG(seed, 3))
			a, b := text(r, []rune(alphabet), mostInWords), text(r, []rune(alphabet), mostInWords)
			if r.IntN(2) == 0 {
				a, b = a[:min(len(a), 8)], b[:min(len(b), 8)]
				a, b = strings.ToValidUTF8(a, ""), strings.ToValidUTF8(b, "")
			}
			want := distanceByTable(a, b)
			for _, kind := range []Kind{Name, Code} {
				x, y := headOf(kind, a), headOf(kind, b)
				if low := apart(&x, &y); low > want {
					t.Fatalf("%s: apart(%q, %q) = %d, above the distance %d", kind, a, b, low, want)
				}
			}
			similar := JaroWinkler(a, b)
			x, y := headOf(Name, a), headOf(Name, b)
			if high := like(&x, &y); a != "" && b != "" && similar > high+1e-9 {
				t.Fatalf("JaroWinkler(%q, %q) = %v, above its bound %v", a, b, similar, high)
			}
			if similar >= vague && a != "" && b != "" && !maybeVague(&x, &y, common(&x, &y)) {
				t.Fatalf("%q and %q are not even vaguely similar, at %v", a, b, similar)
			}
			if !ascii(a) || !ascii(b) {
				continue
			}
			all, start := together([]string{a, b})
			for limit := 1; limit <= 2; limit++ {
				if got := within(all, start[0], len(a), start[1], len(b), limit); got != min(want, limit+1) {
					t.Fatalf("within(%q, %q, %d) = %d, want %d", a, b, limit, got, min(want, limit+1))
				}
			}
			if a != "" && b != "" {
				for _, least := range []float64{0, vague, 0.92} {
					got := jaroWinklerInWords(all, start[0], len(a), start[1], len(b), least)
					if got != similar && (similar >= least || got >= least) {
						t.Fatalf("jaroWinklerInWords(%q, %q, %v) = %v, want %v", a, b, least, got, similar)
					}
				}
			}
			if len(a) >= 8 && len(b) >= 8 {
				if got, want := digitsApart(packed(a), packed(b)), Distance(a[:8], b[:8], 2); got != want {
					t.Fatalf("digitsApart(%q, %q) = %d, want %d", a[:8], b[:8], got, want)
				}
			}
		}
	}
}

// More domains than heads have numbers for: two that are rare are told apart all
// the same.
func TestManyDomains(t *testing.T) {
	var raw []string
	for i := range 2 * rareDomain {
		raw = append(raw, fmt.Sprintf("%c%06d@d%d.example", 'a'+i%26, i*7919%1_000_000, i), fmt.Sprintf("%c%06d@d%d.example", 'z'-i%26, i*104_729%1_000_000, i))
	}
	c, ids, err := NewColumn(Email, raw, make([]int, len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for i := range ids {
		for _, j := range []int{i ^ 1, (i + 2) % len(ids), (i + 600) % len(ids)} {
			got := c.Compare(ids[i], ids[j])
			if want := plainly(c, ids[i], ids[j]); got != want {
				t.Fatalf("%q and %q: level %d, by the long way %d", raw[i], raw[j], got, want)
			}
			if got == 5 {
				same++
			}
		}
	}
	if same < 2*rareDomain {
		t.Errorf("%d pairs share nothing but a domain: the test shows less than it says", same)
	}
}
