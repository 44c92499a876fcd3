package tables

import (
	"math"
	"time"
)

// Resemblances fills the table resemblances.
type Resemblances struct {
	columns
	account                                accounts
	otherPlatform, otherShop, otherAccount *Texts
	reason                                 *Texts
	millibits                              *[]int32
	parts                                  *[][]string
	found                                  *[]time.Time
	version                                *[]uint64
}

// NewResemblances makes an empty block.
func NewResemblances() *Resemblances {
	r := new(Resemblances)
	c := &r.columns
	r.account.init(c)
	r.otherPlatform, r.otherShop, r.otherAccount = texts(c, "other_platform"), texts(c, "other_shop"), texts(c, "other_account")
	r.reason, r.millibits, r.parts = texts(c, "reason"), slice[int32](c, "millibits"), slice[[]string](c, "parts")
	r.found, r.version = slice[time.Time](c, "found_at"), slice[uint64](c, "version")
	return r
}

// Table implements Block.
func (*Resemblances) Table() string { return "resemblances" }

// Append says that two accounts, the lower first, are alike by so many bits, and
// why they were not joined; by 0 that they are alike no more.
func (r *Resemblances) Append(a, b Account, reason string, bits float32, parts []string, found time.Time, version uint64) {
	r.rows++
	r.account.add(a)
	r.otherPlatform.add(b.Platform)
	r.otherShop.add(b.Shop)
	r.otherAccount.add(b.ID)
	r.reason.add(reason)
	add(r.millibits, int32(max(min(math.Round(float64(bits)*1000), math.MaxInt32), math.MinInt32)))
	add(r.parts, parts)
	add(r.found, found)
	add(r.version, version)
}
