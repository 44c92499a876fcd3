package events

// Bits of a packed version, from the most significant: 44 of the modification
// time, 2 of the source, 44 of the observation, 16 of the revision.
const (
	timeBits     = 44
	revisionBits = 16
	maxTime      = 1<<timeBits - 1
	maxRevision  = 1<<revisionBits - 1
)

// PackVersion makes one unsigned 128-bit number of a version, so that the
// order of the numbers is the order of versions. Times are milliseconds from
// 1970 to 2527; what lies outside is clamped.
func PackVersion(v *Version) (high, low uint64) {
	modified := clampTime(v.GetModifiedMs())
	observed := clampTime(v.GetObservedMs())
	source := uint64(v.GetSource()) & 3
	revision := min(uint64(v.GetRevision()), maxRevision)
	// low: the lowest 64 bits, high: the 42 bits above them.
	low = revision | observed<<revisionBits | source<<(revisionBits+timeBits) | modified<<(revisionBits+timeBits+2)
	high = modified >> (64 - revisionBits - timeBits - 2)
	return high, low
}

// UnpackVersion is the inverse of PackVersion.
func UnpackVersion(high, low uint64) *Version {
	const below = revisionBits + timeBits + 2
	return &Version{
		Revision:   uint32(low & maxRevision),
		ObservedMs: int64(low >> revisionBits & maxTime),
		Source:     Source(low >> (revisionBits + timeBits) & 3),
		ModifiedMs: int64((low>>below | high<<(64-below)) & maxTime),
	}
}

func clampTime(ms int64) uint64 { return uint64(min(max(ms, 0), maxTime)) }
