package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"oneid/internal/tablefile"
)

// matchTable is a table that is read row by row: of a CSV file, or of a Parquet
// file.
type matchTable interface {
	Header() []string
	// Next gives the next row, io.EOF behind the last one. Its fields are
	// valid until the next call.
	Next() (tablefile.Row, error)
}

// openMatchTable looks at what a file begins with, not at its name.
func openMatchTable(file *os.File) (matchTable, error) {
	begin := make([]byte, 64<<10)
	n, err := io.ReadFull(file, begin)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	begin = begin[:n]
	if bytes.HasPrefix(begin, []byte("PAR1")) || bytes.HasPrefix(begin, []byte("PARE")) {
		return openParquet(file)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return tablefile.NewReader(file, tablefile.Options{Delimiter: tablefile.DelimiterOf(begin), Western: true})
}

// parquetTable reads a Parquet file group by group, some rows at a time. A
// line is a record, counted from 1.
type parquetTable struct {
	header []string
	types  []parquet.Type
	groups []parquet.RowGroup
	rows   parquet.Rows // of the group that is read; nil between two
	some   []parquet.Row
	next   int // of some
	number int
	fields []string
}

// openParquet reads what a Parquet file says of itself.
func openParquet(file *os.File) (t *parquetTable, err error) {
	defer brokenParquet(&err)
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	// At the end stand the length of the description, and the sign again.
	end := make([]byte, 8)
	if _, err := file.ReadAt(end, max(0, info.Size()-8)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if sign := string(end[4:]); sign == "PARE" {
		return nil, hinted{errors.New("the Parquet file is encrypted"), "write it without encryption"}
	} else if length := int64(binary.LittleEndian.Uint32(end)); sign != "PAR1" || length+12 > info.Size() {
		return nil, damagedParquet(fmt.Errorf("it ends without a description of its columns; %d bytes are there", info.Size()))
	}
	whole, err := parquet.OpenFile(file, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, damagedParquet(err)
	}
	t = &parquetTable{groups: whole.RowGroups()}
	var nested []string
	for _, field := range whole.Schema().Fields() {
		if !field.Leaf() || field.Repeated() {
			nested = append(nested, field.Name())
			continue
		}
		t.header = append(t.header, field.Name())
		t.types = append(t.types, field.Type())
	}
	if len(nested) > 0 {
		return nil, hinted{fmt.Errorf("the columns %q hold lists or records, not single values", nested), "write the file without them, or with a column for each of their values"}
	}
	if len(t.header) == 0 {
		return nil, errors.New("the Parquet file has no columns")
	}
	return t, nil
}

func damagedParquet(err error) error {
	return hinted{fmt.Errorf("the Parquet file is damaged or not complete: %w", err), "copy it or write it anew"}
}

// brokenParquet makes an error of a panic: the reader does so over some files
// that are no longer what was written.
func brokenParquet(err *error) {
	if p := recover(); p != nil {
		*err = damagedParquet(fmt.Errorf("its pages contradict each other: %v", p))
	}
}

func (t *parquetTable) Header() []string { return t.header }

func (t *parquetTable) Next() (row tablefile.Row, err error) {
	defer brokenParquet(&err)
	for t.next == len(t.some) {
		if err := t.read(); err != nil {
			return tablefile.Row{}, err
		}
	}
	t.number++
	t.fields = t.fields[:0]
	for range t.header {
		t.fields = append(t.fields, "")
	}
	for _, v := range t.some[t.next] {
		if c := v.Column(); c >= 0 && c < len(t.types) && !v.IsNull() {
			t.fields[c] = strings.TrimSpace(parquetText(t.types[c], v))
		}
	}
	t.next++
	return tablefile.Row{Line: t.number, Fields: t.fields}, nil
}

// read reads the next rows.
func (t *parquetTable) read() error {
	const atOnce = 256
	if t.rows == nil {
		if len(t.groups) == 0 {
			return io.EOF
		}
		t.rows, t.groups = t.groups[0].Rows(), t.groups[1:]
	}
	if t.some == nil {
		t.some = make([]parquet.Row, atOnce)
	}
	t.some = t.some[:cap(t.some)]
	n, err := t.rows.ReadRows(t.some)
	t.some, t.next = t.some[:n], 0
	if errors.Is(err, io.EOF) {
		err = t.rows.Close()
		t.rows = nil
	}
	if err != nil {
		return damagedParquet(err)
	}
	return nil
}

// parquetText writes a value as a CSV file would have it.
func parquetText(t parquet.Type, v parquet.Value) string {
	var logical format.LogicalTypeValue
	if l := t.LogicalType(); l != nil {
		logical = l.Value
	}
	scale := int32(0)
	switch l := logical.(type) {
	case *format.DateType:
		return time.Unix(int64(v.Int32())*24*60*60, 0).UTC().Format(time.DateOnly)
	case *format.TimestampType:
		unit := time.Nanosecond
		if l.Unit.Value != nil {
			unit = l.Unit.Value.Duration()
		}
		perSecond := int64(time.Second / unit)
		return day(time.Unix(v.Int64()/perSecond, v.Int64()%perSecond*int64(unit)))
	case *format.DecimalType:
		scale = l.Scale
	case *format.UUIDType:
		if id, err := uuid.FromBytes(v.ByteArray()); err == nil {
			return id.String()
		}
	case *format.IntType:
		if !l.IsSigned && v.Kind() == parquet.Int32 {
			return strconv.FormatUint(uint64(v.Uint32()), 10)
		} else if !l.IsSigned {
			return strconv.FormatUint(v.Uint64(), 10)
		}
	}
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.FormatBool(v.Boolean())
	case parquet.Int32:
		return shifted(strconv.FormatInt(int64(v.Int32()), 10), scale)
	case parquet.Int64:
		return shifted(strconv.FormatInt(v.Int64(), 10), scale)
	case parquet.Int96: // nanoseconds of the day, and the day from noon of 1 January 4713 BC
		const epoch = 2440588
		parts := v.Int96()
		return day(time.Unix((int64(parts[2])-epoch)*24*60*60, int64(uint64(parts[1])<<32|uint64(parts[0]))))
	case parquet.Float:
		return quantity(float64(v.Float()), 32)
	case parquet.Double:
		return quantity(v.Double(), 64)
	case parquet.ByteArray, parquet.FixedLenByteArray:
		if _, ok := logical.(*format.DecimalType); ok {
			return shifted(signed(v.ByteArray()).String(), scale)
		}
		return strings.ToValidUTF8(string(v.ByteArray()), "")
	}
	return ""
}

// day is a time, or a day alone at midnight.
func day(t time.Time) string {
	text, midnight := t.UTC().Format(time.DateTime), " 00:00:00"
	return strings.TrimSuffix(text, midnight)
}

// quantity has no exponent: a phone number may be kept as a fraction. What is
// no number is how some write that there is none.
func quantity(x float64, bits int) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'f', -1, bits)
}

// shifted puts a decimal point before the last digits.
func shifted(digits string, scale int32) string {
	if scale <= 0 {
		return digits
	}
	minus, bare := "", digits
	if cut, ok := strings.CutPrefix(digits, "-"); ok {
		minus, bare = "-", cut
	}
	if short := int(scale) + 1 - len(bare); short > 0 {
		bare = strings.Repeat("0", min(short, 100)) + bare
	}
	point := max(0, len(bare)-int(scale))
	return minus + bare[:point] + "." + bare[point:]
}

// signed is a number of bytes, the highest first, as a two's complement.
func signed(bytes []byte) *big.Int {
	n := new(big.Int).SetBytes(bytes)
	if len(bytes) > 0 && bytes[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(bytes))))
	}
	return n
}
