package match

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"oneid/identity/match/compare"
)

// Parts names what a blocking rule can take of a value of a kind, written
// NAME.PART; without a part it takes the whole value.
func Parts(kind compare.Kind) []string {
	switch kind {
	case compare.Name:
		return []string{"initial", "start", "sound"}
	case compare.ChineseName, compare.MaskedName:
		return []string{"initial"}
	case compare.MaskedPhone:
		return []string{"last2", "last4"}
	case compare.MaskedText:
		return []string{"sixth"}
	case compare.Text:
		return []string{"words"}
	case compare.Address:
		return []string{"words", "number"}
	case compare.Date:
		return []string{"year", "day"}
	case compare.Phone:
		return []string{"end", "last2"}
	case compare.Email:
		return []string{"user"}
	case compare.Code:
		return []string{"start"}
	case compare.ChineseAddress:
		return []string{"district", "road"}
	case compare.Place:
		return []string{"area"}
	case compare.Number, compare.Category:
	}
	return nil
}

// part takes a part of a value; "" is none.
func part(c *compare.Column, id uint32, part string) string {
	text := c.Text(id)
	switch part {
	case "":
		return text
	case "initial":
		return shown(first(text, 1))
	case "start":
		return shown(first(text, 3))
	case "sound":
		return sound(text)
	case "number":
		return c.HouseNumber(id)
	case "district":
		return c.District(id)
	case "road":
		return c.Road(id)
	case "area":
		return area(text)
	case "year":
		return first(text, 4)
	case "last2", "last4", "sixth":
		return maskedPart(text, part)
	case "day":
		return text[min(4, len(text)):]
	case "end":
		return shownEnd(text, 4)
	case "user":
		user, _, _ := strings.Cut(text, "@")
		return user
	}
	return ""
}

// area is a place to two digits behind the point: about a kilometre.
func area(text string) string {
	lat, lon, ok := strings.Cut(text, ",")
	if !ok {
		return ""
	}
	cut := func(number string) string { return number[:min(len(number), strings.IndexByte(number, '.')+3)] }
	return cut(lat) + "," + cut(lon)
}

// shown is the text up to what is masked.
func shown(text string) string {
	before, _, _ := strings.Cut(text, "*")
	return before
}

// first is the first runes of a text.
func first(text string, runes int) string {
	for i := range text {
		if runes == 0 {
			return text[:i]
		}
		runes--
	}
	return text
}

// sound is the first letter and the next three consonants of a name, those
// that sound alike being one: what Soundex does.
func sound(text string) string {
	const codes = "01230120022455012623010202" // of a to z; 0 is not heard
	out := make([]byte, 0, 4)
	var last byte
	for i := range len(text) {
		c := text[i]
		if c < 'a' || c > 'z' {
			if len(out) == 0 && c != ' ' {
				return first(text, 2) // not in Latin letters
			}
			continue
		}
		code := codes[c-'a']
		switch {
		case len(out) == 0:
			out = append(out, c)
		case code != '0' && code != last:
			out = append(out, code)
		}
		if c != 'h' && c != 'w' {
			last = code
		}
		if len(out) == 4 {
			break
		}
	}
	return string(out)
}

// maxKeys bounds how many keys a record has in one rule: of a text it is the
// rarest words.
const maxKeys = 6

// block is a blocking rule over records: which of them share a key.
type block struct {
	rule Rule
	// keys of each record by its number, at[i] to at[i+1], sorted; a key that
	// only one record has is left out. at is nil where no record has more
	// than one key: keys then has one for each, 0 for none.
	keys []uint32
	at   []uint32
	// members of each key, start[k] to start[k+1], sorted.
	members []uint32
	start   []uint32
	// pairs that share a key; one that shares several counts for each.
	pairs float64
	// skipped are keys that too many records share, and the pairs of these.
	skipped      int
	skippedPairs float64
}

// newBlock finds who shares a key.
func (r *records) newBlock(rule Rule) *block {
	b := &block{rule: rule}
	first, sizes := equalHashes(r.keyHashes(b))
	// Keys that two records or more share, and not too many, are numbered in the
	// order of their first record. The number takes the size's place.
	b.start = []uint32{0, 0}
	for place, f := range first {
		if f != uint32(place)+1 {
			continue
		}
		n := sizes[place]
		sizes[place] = 0
		pairs := float64(n) * float64(n-1) / 2
		if rule.Most > 0 && int(n) > rule.Most {
			b.skipped++
			b.skippedPairs += pairs
			continue
		}
		sizes[place] = uint32(len(b.start) - 1)
		b.start = append(b.start, b.start[len(b.start)-1]+n)
		b.pairs += pairs
	}
	b.members = make([]uint32, b.start[len(b.start)-1])
	fill := slices.Clone(b.start)
	take := func(record, place int) (key uint32) {
		if f := first[place]; f != 0 {
			key = sizes[f-1]
		}
		if key != 0 {
			b.members[fill[key]] = uint32(record)
			fill[key]++
		}
		return key
	}
	if b.at == nil {
		b.keys = first // each is looked at before it is written over, for no later one asks for it
		for record := range first {
			b.keys[record] = take(record, record)
		}
		return b
	}
	kept := first[:0]
	from := 0
	for record := range r.n {
		to := int(b.at[record+1])
		begin := len(kept)
		for place := from; place < to; place++ {
			if key := take(record, place); key != 0 {
				kept = append(kept, key)
			}
		}
		sortKeys(kept[begin:])
		from = to
		b.at[record+1] = uint32(len(kept))
	}
	b.keys = kept
	return b
}

// keyHashes gives the keys of all records by a block's rule, as hashes: one for
// each record, 0 if it has none, or, if a record can have several, those from at[i]
// to at[i+1], which it sets.
func (r *records) keyHashes(b *block) (hashes []uint64) {
	type source struct {
		field int
		// single key of each value, or several; the whole value if it has neither.
		single []uint32
		many   [][]uint32
	}
	var sources []source
	several := false
	for _, key := range b.rule.Keys {
		name, what := r.model.key(key)
		s := source{field: r.model.comparison(name)}
		switch c := r.fields[s.field].column; what {
		case "":
		case "words":
			several = true
			s.many = make([][]uint32, c.Len())
			for id := range s.many {
				s.many[id] = rarest(c, uint32(id))
			}
		default:
			s.single = r.parts(s.field, what)
		}
		sources = append(sources, s)
	}
	hashes = make([]uint64, 0, r.n)
	if several {
		b.at = make([]uint32, 1, r.n+1)
	}
	var now, next []uint64
	for record := range r.n {
		ids := r.row(uint32(record))
		now = append(now[:0], 0x9e3779b97f4a7c15)
		for k := range sources {
			s := &sources[k]
			key := ids[s.field]
			if s.many != nil {
				next = next[:0]
				for _, h := range now {
					for _, w := range s.many[key] {
						next = append(next, max(1, mix(h, uint64(w)+1)))
					}
				}
				now, next = next, now
				continue
			}
			if s.single != nil {
				key = s.single[key]
			}
			if key == 0 {
				now = now[:0]
				break
			}
			for i := range now {
				now[i] = max(1, mix(now[i], uint64(key)))
			}
		}
		if !several && len(now) == 0 {
			now = append(now, 0)
		}
		hashes = append(hashes, now...)
		if several {
			b.at = append(b.at, uint32(len(hashes)))
		}
	}
	return hashes
}

// equalHashes says of each hash that is not alone where the first equal one stands,
// plus 1, and of these how many are equal. All else is 0, as are hashes 0, which are
// of no key. Two keys of one hash become one: the pairs are then compared for nothing.
//
// Their first bits part the hashes into shares, so that a share's table fits the
// processor's cache: in one table for all each would wait for the memory.
func equalHashes(hashes []uint64) (first, sizes []uint32) {
	const perShare, mostShares = 1 << 12, 1 << 11
	type entry struct {
		hash  uint64
		place uint32
	}
	shares := 1
	for shares < mostShares && shares*perShare < len(hashes) {
		shares *= 2
	}
	shift := 65 - bits.Len(uint(shares))
	ends := make([]uint32, shares+1)
	for _, h := range hashes {
		if h != 0 {
			ends[h>>shift+1]++
		}
	}
	for s := range shares {
		ends[s+1] += ends[s]
	}
	entries, next := make([]entry, ends[shares]), slices.Clone(ends)
	for place, h := range hashes {
		if h != 0 {
			s := h >> shift
			entries[next[s]] = entry{h, uint32(place)}
			next[s]++
		}
	}
	first, sizes = make([]uint32, len(hashes)), make([]uint32, len(hashes))
	var slots []uint32 // 0, or the place in a share of the first entry with a hash, plus 1
	for s := range shares {
		mine := entries[ends[s]:ends[s+1]]
		size := 1
		for size < 2*len(mine) {
			size *= 2
		}
		slots = slices.Grow(slots[:0], size)[:size]
		clear(slots)
		for i, e := range mine {
			at := e.hash & uint64(size-1)
			for slots[at] != 0 && mine[slots[at]-1].hash != e.hash {
				at = (at + 1) & uint64(size-1)
			}
			if slots[at] == 0 {
				slots[at] = uint32(i + 1)
				continue
			}
			f := mine[slots[at]-1].place
			if sizes[f] == 0 {
				first[f], sizes[f] = f+1, 1
			}
			first[e.place] = f + 1
			sizes[f]++
		}
	}
	return first, sizes
}

// parts numbers the part of each value of a field; 0 is none. They are kept,
// for several rules ask for the same.
func (r *records) parts(field int, what string) []uint32 {
	f := &r.fields[field]
	f.mu.Lock()
	defer f.mu.Unlock()
	if known, ok := f.partNumbers[what]; ok {
		return known
	}
	c := f.column
	list := make([]uint32, c.Len())
	if what == "" {
		for id := range list {
			list[id] = uint32(id)
		}
	} else {
		var texts compare.Texts
		texts.Add("")
		for id := 1; id < len(list); id++ {
			list[id], _ = texts.Add(part(c, uint32(id), what))
		}
	}
	f.partNumbers[what] = list
	return list
}

// sortKeys sorts a few keys.
func sortKeys(keys []uint32) {
	for i := 1; i < len(keys); i++ {
		for j := i; j > 0 && keys[j] < keys[j-1]; j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
}

// rarest gives the numbers of the rarest words of a value.
func rarest(c *compare.Column, id uint32) []uint32 {
	words := c.Words(id)
	if len(words) <= maxKeys {
		return words
	}
	picked := append([]uint32(nil), words...)
	for i := range maxKeys {
		for j := i + 1; j < len(picked); j++ {
			if c.Worth(picked[j]) > c.Worth(picked[i]) {
				picked[i], picked[j] = picked[j], picked[i]
			}
		}
	}
	return picked[:maxKeys]
}

// shares says whether two records share a key, and the first one that they do.
func (b *block) shares(x, y uint32) (key uint32, ok bool) {
	if b.at == nil {
		key = b.keys[x]
		return key, key != 0 && key == b.keys[y]
	}
	i, endI, j, endJ := b.at[x], b.at[x+1], b.at[y], b.at[y+1]
	for i < endI && j < endJ {
		switch k, l := b.keys[i], b.keys[j]; {
		case k == l:
			return k, true
		case k < l:
			i++
		default:
			j++
		}
	}
	return 0, false
}

func mix(h, v uint64) uint64 {
	h ^= v + 0x9e3779b97f4a7c15 + h<<6 + h>>2
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>29
}

// ExplodesError refuses a blocking rule, or all together, before it runs.
type ExplodesError struct {
	Rule         string
	Pairs, Limit float64
}

func (e *ExplodesError) Error() string {
	return fmt.Sprintf("blocking rule %q makes %.0f pairs; the limit is %.0f", e.Rule, e.Pairs, e.Limit)
}

// Hint says what to do.
func (e *ExplodesError) Hint() string {
	return "add a key to the rule, so that fewer records agree on all of it, or raise the limit with --max-pairs"
}
