package tablefile

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
)

// A Sorter puts values into the order of their keys, and those of one key into
// the order in which they were added, in bounded memory: what exceeds it lies
// in a file without a name, encrypted with a key that only this process has,
// since the values may be personal and their files may have been encrypted.
// It is not for concurrent use.
type Sorter struct {
	dir    string
	memory int

	block   cipher.Block
	file    *os.File
	end     int64
	runs    []run
	buffer  []byte
	entries []entry
	added   uint64
}

// run is a sorted part of the file.
type run struct{ from, to int64 }

// entry is one value in the buffer.
type entry struct {
	key, value []byte
	number     uint64
}

// Sorted is one value with its key; valid until the next is asked for.
type Sorted struct {
	Key   string
	Value []byte
}

// sortMemory is how much of the values is held while they are added.
const sortMemory = 24 << 20

// NewSorter makes a sorter whose file lies in dir, the system's folder for
// such files if it is empty.
func NewSorter(dir string) (*Sorter, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &Sorter{dir: dir, memory: sortMemory, block: block}, nil
}

// Add adds a value; both are copied.
func (s *Sorter) Add(key string, value []byte) error {
	// Entries point into the buffer, so it may not move: it is made whole.
	need := len(key) + len(value)
	if s.buffer == nil {
		s.buffer = make([]byte, 0, max(s.memory, need))
	}
	if len(s.buffer)+need > cap(s.buffer) || (len(s.entries)+1)*64 > s.memory {
		if err := s.spill(); err != nil {
			return err
		}
		if need > cap(s.buffer) {
			s.buffer = make([]byte, 0, need)
		}
	}
	from := len(s.buffer)
	s.buffer = append(append(s.buffer, key...), value...)
	middle := from + len(key)
	s.entries = append(s.entries, entry{s.buffer[from:middle:middle], s.buffer[middle:len(s.buffer):len(s.buffer)], s.added})
	s.added++
	return nil
}

func (s *Sorter) sortEntries() {
	slices.SortFunc(s.entries, func(a, b entry) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.number, b.number))
	})
}

// stream encrypts or decrypts what lies from a place of the file on. Each run
// has a nonce of its own: its place.
func (s *Sorter) stream(at int64) cipher.Stream {
	nonce := make([]byte, aes.BlockSize)
	binary.BigEndian.PutUint64(nonce, uint64(at))
	return cipher.NewCTR(s.block, nonce)
}

// spill writes the buffer as a run.
func (s *Sorter) spill() error {
	if len(s.entries) == 0 {
		return nil
	}
	if s.file == nil {
		file, err := nameless(s.dir)
		if err != nil {
			return fmt.Errorf("sort the rows: %w", plainError(err))
		}
		s.file = file
	}
	s.sortEntries()
	counted := &counting{}
	out := bufio.NewWriterSize(cipher.StreamWriter{S: s.stream(s.end), W: io.MultiWriter(s.file, counted)}, 256<<10)
	var head []byte
	for _, e := range s.entries {
		head = binary.AppendUvarint(head[:0], uint64(len(e.key)))
		head = binary.AppendUvarint(head, uint64(len(e.value)))
		_, _ = out.Write(head) // a bufio.Writer keeps its first error
		_, _ = out.Write(e.key)
		_, _ = out.Write(e.value)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("sort the rows: is the disk full? %w", plainError(err))
	}
	s.runs = append(s.runs, run{s.end, s.end + counted.n})
	s.end += counted.n
	s.buffer, s.entries = s.buffer[:0], s.entries[:0]
	return nil
}

type counting struct{ n int64 }

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// Sorted gives all values in their order. Nothing may be added while it runs.
func (s *Sorter) Sorted() iter.Seq2[Sorted, error] {
	return func(yield func(Sorted, error) bool) {
		if len(s.runs) == 0 {
			s.sortEntries()
			for _, e := range s.entries {
				if !yield(Sorted{string(e.key), e.value}, nil) {
					return
				}
			}
			return
		}
		if err := s.spill(); err != nil {
			yield(Sorted{}, err)
			return
		}
		s.buffer, s.entries = nil, nil
		if err := s.merge(yield); err != nil {
			yield(Sorted{}, err)
		}
	}
}

// merge reads all runs side by side.
func (s *Sorter) merge(yield func(Sorted, error) bool) error {
	readers := make(runHeap, 0, len(s.runs))
	size := min(max(s.memory/len(s.runs), 4<<10), 256<<10)
	for i, r := range s.runs {
		in := cipher.StreamReader{S: s.stream(r.from), R: io.NewSectionReader(s.file, r.from, r.to-r.from)}
		reader := &runReader{in: bufio.NewReaderSize(in, size), number: i}
		if err := reader.next(); err != nil {
			return err
		}
		readers = append(readers, reader)
	}
	heap.Init(&readers)
	for len(readers) > 0 {
		first := readers[0]
		if !yield(Sorted{string(first.key), first.value}, nil) {
			return nil
		}
		switch err := first.next(); {
		case err == nil:
			heap.Fix(&readers, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&readers)
		default:
			return err
		}
	}
	return nil
}

// Close gives the file back.
func (s *Sorter) Close() error {
	s.buffer, s.entries, s.runs = nil, nil, nil
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// runReader reads one run.
type runReader struct {
	in         *bufio.Reader
	number     int
	key, value []byte
}

// next reads an entry; io.EOF after the last.
func (r *runReader) next() error {
	keyLength, err := binary.ReadUvarint(r.in)
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	var valueLength uint64
	if err == nil {
		valueLength, err = binary.ReadUvarint(r.in)
	}
	if err == nil {
		r.key, err = fill(r.in, r.key, keyLength)
	}
	if err == nil {
		r.value, err = fill(r.in, r.value, valueLength)
	}
	if err != nil {
		// The end in the middle of an entry is none of the run.
		return fmt.Errorf("sort the rows: what was written cannot be read back: %v", err) //nolint:errorlint // io.EOF would end the run
	}
	return nil
}

func fill(in io.Reader, to []byte, length uint64) ([]byte, error) {
	to = slices.Grow(to[:0], int(length))[:length]
	_, err := io.ReadFull(in, to)
	return to, err
}

// runHeap has the reader with the least key in front; of equal keys the
// earlier run was added first.
type runHeap []*runReader

func (h runHeap) Len() int      { return len(h) }
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h runHeap) Less(i, j int) bool {
	return cmp.Or(bytes.Compare(h[i].key, h[j].key), cmp.Compare(h[i].number, h[j].number)) < 0
}
func (h *runHeap) Push(x any) { *h = append(*h, x.(*runReader)) }
func (h *runHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
