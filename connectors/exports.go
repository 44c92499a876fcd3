package connectors

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"oneid/schemas/events"
)

// Exports are the files that a platform's back-office exports: how their
// tables are recognised, and how their rows become events. An order of an
// export is the very order of the API: same id, same kind of account, and a
// version that is lower than any of the API's, since a file says less.
type Exports struct {
	Platform string
	// Sheets are tried in this order; the first whose columns are there is it.
	Sheets []Sheet
	// Named is the time that a file's name says that it was exported; zero if
	// it says none.
	Named func(name string) time.Time
	// Maps make the events of a record and its payload, by stream; they are
	// pure. Their errors name columns and no value.
	Maps map[string]func(r Record, p *ExportPayload) ([]*events.Event, error)
	// Hint says what to do with files that are not recognised.
	Hint string
}

// A Sheet is one kind of table.
type Sheet struct {
	// Name stands in payloads and for people: "order list".
	Name string
	// Stream of the API that tells the same.
	Stream string
	// Needs are the columns by which the table is known; "a|b" is either.
	Needs []string
	// Key are the columns of which the first that is there holds the number
	// of the entity; rows of all tables of a stream with one number make one
	// record.
	Key []string
	// Line is the column that tells the rows of one entity apart, where there
	// is one: of two files that both have a row, the newer is right. Where
	// there is none, the newer file is right about the whole entity.
	Line []string
	// Alike are columns ("a|b" is either) in which the rows of one entity agree:
	// who bought, when, and for how much in all. Two rows of one file that do not
	// are two entities, whose numbers a spreadsheet has made one.
	Alike []string
	// Either are columns ("a|b") that stand for one another: where a newer file has
	// one, what an older file has in another is out of date. Needs are no such: they
	// may name different things of which one is enough.
	Either []string
	// With names the table that tells what this one does not, where there is one:
	// imported without it, that is known where an earlier import told it.
	With string
}

// IsExport says whether a record's payload is that of an export.
func IsExport(raw json.RawMessage) bool {
	is := false
	Members(raw, func(name string, _ json.RawMessage) { is = is || name == "export" })
	return is
}

// ExportPayload is the raw payload of a record from exports.
type ExportPayload struct {
	// Entity is the number that the rows have in common.
	Entity string      `json:"export"`
	Rows   []ExportRow `json:"rows"`
	// Since is the time, in Unix milliseconds, of the version that an earlier import
	// gave it: rows that tell of an earlier one make no older version. 0 if none did.
	Since int64 `json:"since,omitempty"`
}

// ExportRow is one row by the names of its columns, as they stood in the file.
type ExportRow struct {
	Sheet string            `json:"sheet"`
	Row   map[string]string `json:"row"`
	// Exported is when its file was exported, in Unix milliseconds; 0 at the time at
	// which the record counts as observed.
	Exported int64 `json:"exported,omitempty"`
}

// Sheet finds what a table is by its columns.
func (e *Exports) Sheet(header []string) *Sheet {
	for i := range e.Sheets {
		s := &e.Sheets[i]
		if !slices.ContainsFunc(s.Needs, func(need string) bool { return ColumnOf(header, strings.Split(need, "|")) < 0 }) {
			return s
		}
	}
	return nil
}

// ColumnOf is the position of the first of the names that is in a header, -1
// if none is. Blanks and the kind of brackets make no difference.
func ColumnOf(header, names []string) int {
	for _, name := range names {
		if i := slices.IndexFunc(header, func(column string) bool { return ColumnName(column) == name }); i >= 0 {
			return i
		}
	}
	return -1
}

var columnName = strings.NewReplacer(" ", "", "\t", "", "\u00a0", "", "\u3000", "", "\ufeff", "", "(", "（", ")", "）")

// ColumnName is a column's name as Sheets and Rows write it: without blanks,
// with the brackets of Chinese text.
func ColumnName(column string) string { return columnName.Replace(column) }

// CellText is what a cell says, without what keeps a spreadsheet from taking
// digits for a number: ="0123", '0123 and a tab before.
func CellText(cell string) string {
	cell = strings.TrimSpace(cell)
	if rest, ok := strings.CutPrefix(cell, `="`); ok {
		if inner, ok := strings.CutSuffix(rest, `"`); ok {
			return strings.TrimSpace(inner)
		}
	}
	return strings.TrimSpace(strings.TrimPrefix(cell, "'"))
}

// Cells reads the values of one row and remembers the first that has not the
// form that it should have, by its column and without the value.
type Cells struct {
	row map[string]string
	err *error
}

// CellsOf are the cells of a row; err is where the first fault goes.
func CellsOf(row ExportRow, err *error) Cells {
	plain := make(map[string]string, len(row.Row))
	for column, cell := range row.Row {
		plain[ColumnName(column)] = cell
	}
	return Cells{plain, err}
}

func (c Cells) fail(column, why string) {
	if *c.err == nil {
		*c.err = fmt.Errorf("the column %s %s", column, why)
	}
}

// find is the first of the columns that says something.
func (c Cells) find(columns []string) (column, text string) {
	for _, column := range columns {
		if text := CellText(c.row[column]); text != "" && text != "-" && text != "--" && text != "null" {
			return column, text
		}
	}
	return "", ""
}

// Text is the text of the first of the columns that says something, "" if
// none does.
func (c Cells) Text(columns ...string) string {
	_, text := c.find(columns)
	return text
}

// Number is the number of a thing, "" if there is none.
func (c Cells) Number(columns ...string) string {
	column, text := c.find(columns)
	if text == "" {
		return ""
	}
	number, err := CellNumber(c.row[column])
	if err != nil {
		c.fail(column, err.Error())
	}
	return number
}

// Numbers are those of a cell that may hold several, with semicolons between;
// nil if there is none.
func (c Cells) Numbers(columns ...string) []string {
	column, text := c.find(columns)
	if text == "" {
		return nil
	}
	numbers, err := CellNumbers(c.row[column])
	if err != nil {
		c.fail(column, err.Error())
	}
	return numbers
}

// Has says whether the row has one of the columns, be it empty.
func (c Cells) Has(columns ...string) bool {
	return slices.ContainsFunc(columns, func(column string) bool { _, ok := c.row[column]; return ok })
}

var (
	moneySigns     = strings.NewReplacer("¥", "", "￥", "", "元", "", "CNY", "", "RMB", "", " ", "", "，", ",", "\u00a0", "")
	thousandsMoney = regexp.MustCompile(`^[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$`)
	// binaryMoney is how a spreadsheet writes 118.1 after it has reckoned with
	// it: the text of a binary fraction.
	binaryMoney = regexp.MustCompile(`^[-+]?[0-9]{1,9}\.[0-9]{9,}$`)
)

// What a cell may hold at most, so that no sum and no product overflows: a
// billion 元, and as many pieces as no order has.
const (
	mostMinor = 1e11
	mostCount = 1e5
)

// noMoney says that a cell has words for no amount: 无退款申请, 没有申请退款. Any
// other text without a number (########, #VALUE!) hides one.
func noMoney(text string) bool {
	return text == "" || text == "-" || strings.HasPrefix(text, "无") || strings.HasPrefix(text, "没有")
}

// Money is an amount in 分; 0 if there is none.
func (c Cells) Money(columns ...string) int64 {
	column, text := c.find(columns)
	text = narrow(text)
	if noMoney(text) {
		return 0
	}
	text = moneySigns.Replace(text)
	if thousandsMoney.MatchString(text) {
		text = strings.ReplaceAll(text, ",", "")
	}
	minor, err := events.ParseMinor(DecimalText(text), "CNY")
	if err != nil || minor > mostMinor || minor < -mostMinor {
		c.fail(column, "is not an amount of 元")
		return 0
	}
	return minor
}

// DecimalText is a number of a workbook as a person would write it:
// 118.09999999999999 is how a workbook may hold 118.1.
func DecimalText(text string) string {
	if !binaryMoney.MatchString(text) {
		return text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(f, 'f', 6, 64), "0"), ".")
}

// Count is a whole number, not negative; 0 if there is none.
func (c Cells) Count(columns ...string) int64 {
	column, text := c.find(columns)
	if text == "" {
		return 0
	}
	n, err := events.ParseFixed(strings.ReplaceAll(narrow(text), ",", ""), 0)
	if err != nil || n < 0 || n > mostCount {
		c.fail(column, "is not a count")
		return 0
	}
	return n
}

// CellLayouts are the forms of a time, as the back-offices write them, and as
// people and a spreadsheet do after they have saved the file. Months and days may
// have one digit.
var CellLayouts = []string{
	"2006-1-2 15:04:05", "2006-1-2 15:04", "2006-01-02T15:04:05", "2006-1-2",
	"2006/1/2 15:04:05", "2006/1/2 15:04", "2006/1/2",
	"2006.1.2 15:04:05", "2006.1.2 15:04", "2006.1.2",
	"2006年1月2日 15:04:05", "2006年1月2日 15:04", "2006年1月2日",
}

// serial is a moment as a workbook holds it: days since the end of 1899.
var serial = regexp.MustCompile(`^[0-9]{5}(\.[0-9]+)?$`)

// SerialTime reads a moment as a workbook holds it, to the second.
func SerialTime(text string, zone *time.Location) (time.Time, bool) {
	if !serial.MatchString(text) {
		return time.Time{}, false
	}
	days, err := strconv.ParseFloat(text, 64)
	if err != nil || days < 25569 || days >= 80000 { // 1970, 2119
		return time.Time{}, false
	}
	seconds := int(math.Round(days * 86400))
	return time.Date(1899, 12, 30, 0, 0, seconds, 0, zone), true
}

// Time is a moment in Unix milliseconds, read in a zone; 0 if there is none.
func (c Cells) Time(zone *time.Location, columns ...string) int64 {
	column, text := c.find(columns)
	if text == "" {
		return 0
	}
	if at, ok := SerialTime(text, zone); ok {
		return at.UnixMilli()
	}
	for _, layout := range CellLayouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil && at.Year() >= 1990 && at.Year() < 2100 {
			return at.UnixMilli()
		}
	}
	c.fail(column, "is not a time such as 2026-01-31 18:00:00")
	return 0
}

// ExportHeader is the header of what a file says of an entity that was made
// at a moment. Its version is that of the moment, or of an earlier import's: the file does not say when
// the entity was changed last, and whatever the API says of it is newer, or
// equal and by the better source. Between files the later export wins.
func ExportHeader(platform string, r Record, p *ExportPayload, account string, madeMs int64, revision uint32) *events.Header {
	return &events.Header{
		Platform: platform, Shop: r.Shop, EntityId: p.Entity, Account: account, Stream: r.Stream, Raw: r.Raw,
		Version: &events.Version{
			ModifiedMs: max(madeMs, p.Since), Source: events.Source_SOURCE_FILE, ObservedMs: max(r.Observed.UnixMilli(), 0), Revision: revision,
		},
	}
}

// plainMobile is a mainland mobile number in clear: a masked number, a
// ciphertext and a virtual number are not of this form.
var plainMobile = regexp.MustCompile(`^(?:\+?86[- ]?)?1[3-9][0-9]{9}$`)

// ReceiverPhone is a receiver's phone as a sighting, nil unless one of the
// values is a mobile number in clear.
func ReceiverPhone(values ...string) []*events.Sighting {
	for _, value := range values {
		if plainMobile.MatchString(value) {
			return []*events.Sighting{{Type: "phone", Value: value, Role: events.Role_ROLE_RECEIVER}}
		}
	}
	return nil
}

// ReadExport reads the payload of an export.
func ReadExport(r Record) (*ExportPayload, error) {
	var p ExportPayload
	if json.Unmarshal(r.Raw, &p) != nil || p.Entity == "" || len(p.Rows) == 0 {
		return nil, errors.New("it is no record of an export")
	}
	return &p, nil
}

// Map makes the events of a record whose Raw is an ExportPayload.
func (e *Exports) Map(r Record) ([]*events.Event, error) {
	p, err := ReadExport(r)
	of := e.Maps[r.Stream]
	if err == nil && of == nil {
		err = ErrNoStream
	}
	var list []*events.Event
	if err == nil {
		list, err = of(r, p)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: map an export of %s of shop %s: %w", e.Platform, r.Stream, r.Shop, err)
	}
	return list, nil
}
