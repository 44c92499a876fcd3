package simulator

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// mix is SplitMix64's finisher: a bijection that scatters its input.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash is the world's chance: the same for the same seed, topic and number.
func (w *World) hash(topic string, n int) uint64 {
	h := mix(w.cfg.Seed)
	for i := range len(topic) {
		h = (h ^ uint64(topic[i])) * 0x100000001b3
	}
	return mix(mix(h) ^ uint64(n))
}

// pick is a number in [0, n) from a hash.
func pick(h uint64, n int) int {
	hi, _ := bits.Mul64(h, uint64(n))
	return int(hi)
}

// A permutation shuffles [0, n) and can be asked backwards (a Feistel network
// with cycle walking), so that 'who comes at rank r' needs no table.
type permutation struct {
	n    int
	half uint
	keys [4]uint64
}

func (w *World) permutation(topic string, n int) permutation {
	p := permutation{n: n, half: max(1, uint(bits.Len(uint(n))+1)/2)}
	for i := range p.keys {
		p.keys[i] = w.hash(topic, i)
	}
	return p
}

func (p permutation) apply(x int) int {
	for {
		l, r := uint64(x)>>p.half, uint64(x)&(1<<p.half-1)
		for _, key := range p.keys {
			l, r = r, l^mix(r^key)&(1<<p.half-1)
		}
		if x = int(l<<p.half | r); x < p.n {
			return x
		}
	}
}

func (p permutation) invert(x int) int {
	for {
		l, r := uint64(x)>>p.half, uint64(x)&(1<<p.half-1)
		for i := len(p.keys) - 1; i >= 0; i-- {
			l, r = r^mix(l^p.keys[i])&(1<<p.half-1), l
		}
		if x = int(l<<p.half | r); x < p.n {
			return x
		}
	}
}

// hide writes a number as 16 hex digits that only unhide can read back.
func (w *World) hide(topic string, n int) string {
	var b [8]byte
	x := w.permutation("hide/"+topic, 1<<46).apply(n)
	binary.BigEndian.PutUint64(b[:], uint64(x))
	return hex.EncodeToString(b[2:])
}

func (w *World) unhide(topic, text string) (int, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 6 {
		return 0, false
	}
	var full [8]byte
	copy(full[2:], b)
	x := binary.BigEndian.Uint64(full[:])
	if x >= 1<<46 {
		return 0, false
	}
	return w.permutation("hide/"+topic, 1<<46).invert(int(x)), true
}
