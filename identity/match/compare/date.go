package compare

import (
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// latestShortYear is the last year that two digits mean: 30 is 2030, 31 is 1931.
// Days in tables of people are of the past, seldom of the next few years.
const latestShortYear = 30

// months by the first three letters of their English names, which go on as
// these do or end.
var months = [...]string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

// month is the number of the month that a word names, 0 if it names none.
func month(word string) int {
	word = strings.ToLower(word)
	for i, name := range months {
		if len(word) >= 3 && strings.HasPrefix(name, word) {
			return i + 1
		}
	}
	return 0
}

// part is one number of a date as it is written.
type part struct{ value, width int }

// dateParts cuts a date into its numbers, three at most, and the month's name in
// it with how many numbers stand before that; false for what is no date. What
// stands behind a T or a colon is a time.
func dateParts(raw string) (parts []part, named, before int, ok bool) {
	digits := 0
	for i := 0; i < len(raw) && len(parts) < 3; {
		from := i
		switch c := raw[i]; {
		case c >= '0' && c <= '9':
			p := part{}
			for ; i < len(raw) && raw[i] >= '0' && raw[i] <= '9'; i++ {
				p.value, p.width = p.value*10+int(raw[i]-'0'), p.width+1
				if digits++; digits > 14 {
					return nil, 0, 0, false
				}
			}
			if parts == nil {
				parts = make([]part, 0, 3)
			}
			parts = append(parts, p)
		case letter(c):
			for i < len(raw) && letter(raw[i]) {
				i++
			}
			word := raw[from:i]
			if n := month(word); n > 0 {
				if named > 0 {
					return nil, 0, 0, false
				}
				named, before = n, len(parts)
			} else if raw[from] == 'T' && len(parts) > 0 {
				return parts, named, before, true
			}
		case c == ':':
			return parts, named, before, true
		default:
			i++
		}
		if named > 0 && len(parts) == 2 {
			if i < len(raw) && raw[i] == ':' { // the second number is an hour, and no year is there
				return nil, 0, 0, false
			}
			break // what follows is a time
		}
	}
	return parts, named, before, true
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// date reads a day: year first if four digits stand first, otherwise year last
// if they stand last. Of two numbers below 13 the first is the month after a
// year, and before it the day. A month may be named in English; then and where
// one number is above 31 the year may have two digits. A day that no calendar has
// is kept as typed, for it is compared by its digits.
func date(raw string) value {
	y, m, d, ok := Day(raw)
	if !ok {
		return value{}
	}
	return value{text: fmt.Sprintf("%04d%02d%02d", y, m, d)}
}

// Day is the year, the month and the day that a date names, of a year alone with 0
// for the others; false for what is no date. They are below 10000 and 100, and need
// not be of any calendar.
func Day(raw string) (y, m, d int, ok bool) {
	if !ascii(raw) { // full-width digits
		raw = norm.NFKC.String(strings.ToValidUTF8(raw, ""))
	}
	parts, named, before, ok := dateParts(raw)
	if !ok {
		return 0, 0, 0, false
	}
	switch {
	case named > 0:
		y, d, ok = yearAndDay(parts, before)
		m = named
	case len(parts) == 1:
		y, m, d, ok = together8(parts[0])
	case len(parts) == 3:
		y, m, d, ok = threeNumbers(parts[0], parts[1], parts[2])
	default:
		ok = false
	}
	if !ok || y > 9999 || m > 99 || d > 99 {
		return 0, 0, 0, false
	}
	return y, m, d, true
}

// yearAndDay tells the two numbers beside a month's name apart, of which so many
// stand before it: 24 June 71, June 24, 1971, 1971 June 24.
func yearAndDay(parts []part, before int) (year, day int, ok bool) {
	if len(parts) != 2 {
		return 0, 0, false
	}
	first, last := parts[0], parts[1]
	switch {
	case last.width == 4 && first.width <= 2:
		return last.value, first.value, true
	case first.width == 4 && last.width <= 2:
		return first.value, last.value, true
	case first.width > 2 || last.width != 2 || before > 1:
		return 0, 0, false
	case first.value > 31:
		return short2(first), last.value, last.value <= 31
	}
	return short2(last), first.value, true
}

// together8 reads eight digits without marks, or a year alone.
func together8(p part) (y, m, d int, ok bool) {
	switch p.width {
	case 4:
		return p.value, 0, 0, true
	case 8:
		y, m, d = p.value/10000, p.value/100%100, p.value%100
		if y < 1300 || y > 2200 {
			// Perhaps the year stands last: 24061971.
			if last := p.value % 10000; last >= 1300 && last <= 2200 {
				y, m, d = last, p.value/10000%100, p.value/1000000
			}
		}
		return y, m, d, true
	}
	return 0, 0, 0, false
}

// threeNumbers reads year, month and day with marks between them. A year of two
// digits is one that can be neither month nor day: of 05/06/07 nobody can tell.
func threeNumbers(first, second, third part) (y, m, d int, ok bool) {
	switch {
	case first.width == 4:
		return first.value, second.value, third.value, true
	case third.width == 4:
		y = third.value
	case first.width != 2 && third.width != 2 || second.width > 2:
		return 0, 0, 0, false
	case first.width == 2 && first.value > 31 && third.width <= 2 && third.value <= 31:
		return short2(first), second.value, third.value, second.value <= 12
	case third.width == 2 && third.value > 31 && first.width <= 2 && first.value <= 31:
		y = short2(third)
	default:
		return 0, 0, 0, false
	}
	d, m = first.value, second.value
	if m > 12 && d <= 12 {
		d, m = m, d
	}
	return y, m, d, true
}

// short2 is the year that two digits mean.
func short2(p part) int {
	if p.value > latestShortYear {
		return 1900 + p.value
	}
	return 2000 + p.value
}
