package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"oneid/identity"
)

// SealedValue is the sealed plain value of an identifier.
type SealedValue struct {
	Identifier identity.Identifier
	Sealed     []byte
}

// Values lie in packs, for a key of its own costs more than a value. What one PutValues
// is given of a type, and of hashes that begin alike, is a pack: its key is the type, a
// zero, the hashes' drawer and the generation, its value each hash with the length of
// what is sealed, and that. A newer generation's counts.

const (
	hashBytes = len(identity.Hash{})
	// drawerBits are those that hashes of a drawer have in common. More make smaller
	// packs, and a drawer is all that a look-up reads: of five million phones it has
	// a hundred kilobytes.
	drawerBits      = 12
	drawerBytes     = 2
	generationBytes = 8
)

// putSeed is of the sums of identifiers.
var putSeed = maphash.MakeSeed()

// generationKey is the key of the last generation.
var generationKey = []byte{'g'}

func (s *Store) lastGeneration() (uint64, error) {
	data, err := s.get("read the generation of values", generationKey)
	if err != nil || data == nil {
		return 0, err
	}
	if len(data) != generationBytes {
		return 0, s.fail("read the generation of values", errCorrupt)
	}
	return binary.BigEndian.Uint64(data), nil
}

// errCorrupt is of what no version has written.
var errCorrupt = errors.New("a key or a value is corrupt")

func drawerOf(h identity.Hash) uint16 { return binary.BigEndian.Uint16(h[:]) >> (16 - drawerBits) }

// appendDrawer appends what the keys of a drawer's packs begin with.
func appendDrawer(key []byte, of identity.IdentifierType, drawer uint16) []byte {
	key = append(append(append(key, packPrefix), of...), 0)
	return binary.BigEndian.AppendUint16(key, drawer)
}

// valueKey is that of one value in a state of an earlier version.
func valueKey(id identity.Identifier) []byte {
	key := append([]byte{valuePrefix}, id.Type...)
	return append(append(key, 0), id.Hash[:]...)
}

func byIdentifier(a, b SealedValue) int { return a.Identifier.Compare(b.Identifier) }

// PutValues keeps sealed values; one that is there is replaced. It is durable
// with the next Commit: written before the batch that it belongs to, it is
// there when the batch is.
func (s *Store) PutValues(values []SealedValue) error {
	if len(values) == 0 {
		return nil
	}
	if !slices.IsSortedFunc(values, byIdentifier) {
		values = slices.SortedStableFunc(slices.Values(values), byIdentifier)
	}
	size := 0
	var identifiers maphash.Hash
	identifiers.SetSeed(putSeed)
	for i := range values {
		v := &values[i]
		size += hashBytes + binary.MaxVarintLen32 + len(v.Sealed)
		_, _ = identifiers.WriteString(string(v.Identifier.Type))
		_ = identifiers.WriteByte(0)
		_, _ = identifiers.Write(v.Identifier.Hash[:])
	}
	s.putting.Lock()
	defer s.putting.Unlock()
	batch := s.db.NewBatchWithSize(size + size/4)
	defer batch.Close()
	// What is put again, at each attempt at one batch, lies where it lay: packs of a
	// generation of its own for each attempt would stay for ever.
	number, put := s.generation, identifiers.Sum64()
	if number == 0 || put != s.lastPut {
		number++
	}
	generation := binary.BigEndian.AppendUint64(nil, number)
	var key, pack []byte
	for len(values) > 0 {
		typ, drawer := values[0].Identifier.Type, drawerOf(values[0].Identifier.Hash)
		key, pack = append(appendDrawer(key[:0], typ, drawer), generation...), pack[:0]
		for len(values) > 0 && values[0].Identifier.Type == typ && drawerOf(values[0].Identifier.Hash) == drawer {
			pack = append(pack, values[0].Identifier.Hash[:]...)
			pack = append(binary.AppendUvarint(pack, uint64(len(values[0].Sealed))), values[0].Sealed...)
			values = values[1:]
		}
		if err := batch.Set(key, pack, nil); err != nil {
			return s.fail("gather values", err)
		}
	}
	if err := batch.Set(generationKey, generation, nil); err != nil {
		return s.fail("gather values", err)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return s.fail("write values", err)
	}
	s.generation, s.lastPut = number, put
	return nil
}

// unpack calls do for each value of a pack, in the order of their hashes.
func unpack(pack []byte, do func(h identity.Hash, sealed []byte)) error {
	for len(pack) > 0 {
		if len(pack) < hashBytes {
			return errCorrupt
		}
		h := identity.Hash(pack)
		length, n := binary.Uvarint(pack[hashBytes:])
		if n <= 0 || length > uint64(len(pack)-hashBytes-n) {
			return errCorrupt
		}
		rest := pack[hashBytes+n:]
		do(h, rest[:length])
		pack = rest[length:]
	}
	return nil
}

// Value returns an identifier's sealed value; false if there is none. It reads all packs of
// the identifier's drawer: milliseconds where many small batches have brought them.
func (s *Store) Value(id identity.Identifier) (sealed []byte, found bool, err error) {
	const doing = "read a value"
	drawer := drawerOf(id.Hash)
	err = s.scan(doing, appendDrawer(nil, id.Type, drawer), appendDrawer(nil, id.Type, drawer+1), func(_, pack []byte) error {
		return unpack(pack, func(h identity.Hash, of []byte) {
			if h == id.Hash { // of the newest in the end
				sealed, found = append(sealed[:0], of...), true
			}
		})
	})
	if err != nil || found {
		return sealed, found, err
	}
	sealed, err = s.get(doing, valueKey(id))
	return sealed, sealed != nil, err
}

// Values yields the identifier of every value that is kept, in their order, each once;
// an error is the last.
func (s *Store) Values() iter.Seq2[identity.Identifier, error] {
	return func(yield func(identity.Identifier, error) bool) {
		next, stop := iter.Pull2(s.singles)
		defer stop()
		single, err, more := next()
		for packed, packedErr := range s.packed {
			for ; more && err == nil && packedErr == nil && single.Compare(packed) < 0; single, err, more = next() {
				if !yield(single, nil) {
					return
				}
			}
			if more && err == nil && single == packed {
				single, err, more = next()
			}
			if !yield(packed, packedErr) || packedErr != nil {
				return
			}
		}
		for ; more && yield(single, err); single, err, more = next() {
		}
	}
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

const readingValues = "read the values"

// singles are the values of a state of an earlier version.
func (s *Store) singles(yield func(identity.Identifier, error) bool) {
	err := s.scan(readingValues, []byte{valuePrefix}, []byte{valuePrefix + 1}, func(key, _ []byte) error {
		typ := len(key) - hashBytes - 1
		if typ < 1 || key[typ] != 0 {
			return errCorrupt
		}
		if !yield(identity.Identifier{Type: identity.IdentifierType(key[1:typ]), Hash: identity.Hash(key[typ+1:])}, nil) {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		yield(identity.Identifier{}, err)
	}
}

// packed are the values in packs, drawer by drawer.
func (s *Store) packed(yield func(identity.Identifier, error) bool) {
	var drawer []byte
	var ids []identity.Identifier
	all := func() error {
		slices.SortFunc(ids, identity.Identifier.Compare)
		for _, id := range slices.Compact(ids) {
			if !yield(id, nil) {
				return errEnough
			}
		}
		ids = ids[:0]
		return nil
	}
	err := s.scan(readingValues, []byte{packPrefix}, []byte{packPrefix + 1}, func(key, pack []byte) error {
		typ := len(key) - generationBytes - drawerBytes - 1
		if typ < 1 || key[typ] != 0 {
			return errCorrupt
		}
		if of := key[:len(key)-generationBytes]; !bytes.Equal(of, drawer) {
			if err := all(); err != nil {
				return err
			}
			drawer = append(drawer[:0], of...)
		}
		of := identity.IdentifierType(key[1:typ])
		return unpack(pack, func(h identity.Hash, _ []byte) { ids = append(ids, identity.Identifier{Type: of, Hash: h}) })
	})
	if err == nil {
		err = all()
	}
	if err != nil && !errors.Is(err, errEnough) {
		yield(identity.Identifier{}, err)
	}
}
