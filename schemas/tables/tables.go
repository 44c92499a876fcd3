// Package tables holds each ClickHouse table's columns as Go buffers, in the
// order of its INSERT. A block is filled row by row, sent column by column and
// reused: after Reset it keeps its memory.
package tables

import (
	"github.com/google/uuid"

	"oneid/schemas/events"
)

// Block is rows for one table.
type Block interface {
	// Table is the table's name, without the database.
	Table() string
	// Columns are the names and the values, in order: slices, or Texts, TextLists and
	// IntLists, all of equal length, to be read until the block is filled or Reset.
	Columns() ([]string, []any)
	// Rows is how many rows the block holds.
	Rows() int
	// Reset empties the block and keeps its memory.
	Reset()
}

// Stamp is what the resolver knows of a fact beyond its event.
type Stamp struct {
	// CustomerID of the account at this moment.
	CustomerID [16]byte
}

// column is one column of a block.
type column struct {
	name   string
	values func() any
	reset  func()
}

// columns builds a block's columns in order.
type columns struct {
	list []column
	rows int
}

func (c *columns) Columns() ([]string, []any) {
	names, values := make([]string, len(c.list)), make([]any, len(c.list))
	for i, column := range c.list {
		names[i], values[i] = column.name, column.values()
	}
	return names, values
}

func (c *columns) Rows() int { return c.rows }

func (c *columns) Reset() {
	c.rows = 0
	for _, column := range c.list {
		column.reset()
	}
}

// slice adds a column to c and returns its buffer.
func slice[T any](c *columns, name string) *[]T {
	buffer := new([]T)
	c.list = append(c.list, column{name, func() any { return *buffer }, func() {
		clear(*buffer) // what it points to must not stay
		*buffer = (*buffer)[:0]
	}})
	return buffer
}

func add[T any](buffer *[]T, value T) { *buffer = append(*buffer, value) }

// UInt128 is a number of 128 bits.
type UInt128 struct{ High, Low uint64 }

// versions is a column of packed versions.
type versions struct{ values *[]UInt128 }

func newVersions(c *columns, name string) *versions {
	return &versions{slice[UInt128](c, name)}
}

func (v *versions) add(version *events.Version) {
	high, low := events.PackVersion(version)
	add(v.values, UInt128{high, low})
}

// seconds is a time as ClickHouse's DateTime takes it; times before 1970 and
// after 2106 do not fit and are clamped.
func seconds(ms int64) int64 { return min(max(ms/1000, 0), 1<<32-1) }

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func unit(currency string) uint16 {
	u := uint16(1)
	for range events.Exponent(currency) {
		u *= 10
	}
	return u
}

// Status names, as the tables and views show them.
var (
	orderStatus  = [...]string{"unknown", "created", "paid", "part_shipped", "shipped", "received", "finished", "closed", "unknown"}
	refundStatus = [...]string{"unknown", "requested", "approved", "returned", "refused", "closed", "succeeded", "unknown"}
	ticketStatus = [...]string{"unknown", "open", "pending", "solved", "closed", "deleted", "unknown"}
)

// name is a status's name; a value of a later version of the schema has none
// here yet, and the platform's own word stands beside it.
func name[T ~int32](names []string, status T) string {
	if status < 0 || int(status) >= len(names) {
		return "unknown"
	}
	return names[status]
}

// fact is what all facts begin with.
type fact struct {
	columns
	platform, shop, entity, account *Texts
	customer                        *[]uuid.UUID
	version                         *versions
	deleted                         *[]uint8
}

func (f *fact) init(entity string) {
	f.platform = texts(&f.columns, "platform")
	f.shop = texts(&f.columns, "shop")
	f.entity = texts(&f.columns, entity)
	f.account = texts(&f.columns, "account")
	f.customer = slice[uuid.UUID](&f.columns, "customer_id")
	f.version = newVersions(&f.columns, "version")
	f.deleted = slice[uint8](&f.columns, "is_deleted")
}

func (f *fact) add(h *events.Header, s Stamp) {
	f.rows++
	f.platform.add(h.GetPlatform())
	f.shop.add(h.GetShop())
	f.entity.add(h.GetEntityId())
	f.account.add(h.GetAccount())
	add(f.customer, uuid.UUID(s.CustomerID))
	f.version.add(h.GetVersion())
	add(f.deleted, flag(h.GetDeleted()))
}
