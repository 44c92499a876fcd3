// Package guess writes a model for a table that nobody has described: what each
// column holds, by its content more than by its name, what to compare and
// which pairs.
package guess

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"oneid/identity/match"
	"oneid/identity/match/compare"
)

// column is what is seen of a column.
type column struct {
	name     string
	place    int
	rows     int // that have a value
	distinct int
	filled   float64 // share of rows
	// Shares of the rows that have a value.
	date, year, email, digits, phone, han, star, addressed, decimal, mixed, numbered float64
	chineseName, chineseAddress, point, fine                                         float64 // fine have four digits behind the point
	company                                                                          float64 // end as companies and shops of China do
	building                                                                         float64 // are where a road or a house of China is
	ip                                                                               float64 // are IP addresses
	words, length                                                                    float64 // mean
	min, max                                                                         float64 // of those that are whole numbers
	integer                                                                          float64
	// agree is the probability that two random records agree.
	agree float64
}

func look(t *match.Table, place int) column {
	values, counts := t.Values(place)
	c := column{name: t.Columns()[place], place: place, min: math.Inf(1), max: math.Inf(-1)}
	for i, text := range values {
		n := counts[i]
		if n == 0 || compare.Missing(text) {
			continue
		}
		w := float64(n)
		c.rows += n
		c.distinct++
		c.agree += w * (w - 1)
		if day, year := isDate(text); day {
			c.date += w
		} else if year {
			c.year += w
		}
		if isIP(text) {
			c.ip += w
		}
		// Longer ones may be phones in groups of three.
		if plain, ok := compare.Amount(text); ok && (len(plain) < 7 || strings.IndexByte(plain, '.') >= 0) {
			text = plain
		}
		if at := strings.IndexByte(text, '@'); at > 0 && strings.IndexByte(text[at:], '.') > 0 && (!strings.Contains(text, " ") || strings.HasSuffix(text, ">")) {
			c.email += w
		}
		fields := strings.Fields(text)
		digits, letters, other, han, star := 0, 0, 0, 0, 0
		for _, r := range text {
			switch {
			case r >= '0' && r <= '9':
				digits++
			case unicode.Is(unicode.Han, r):
				han++
				letters++
			case r == '*' || r == '＊':
				star++
			case unicode.IsLetter(r):
				letters++
			default:
				other++
			}
		}
		if hidden := strings.Count(text, "x") + strings.Count(text, "X"); hidden >= 2 && hidden == letters && digits >= 4 {
			letters, star = 0, star+hidden // 138xxxx0000
		}
		if letters == 0 && digits > 0 {
			c.digits += w
			if digits+star >= 7 && digits+star <= 14 && other <= 6 {
				c.phone += w
			}
		}
		if letters > 0 && digits >= 7 || digits > 14 {
			if line, cut := compare.WithoutExtension(text); cut && dialled(line) {
				c.phone += w
			}
		}
		if letters > 0 && digits > 0 && han == 0 && letters <= 2*digits {
			short := letters+digits <= 12 && len(fields) <= 2
			// Numbers of companies and of cars are one word.
			if long := letters+digits >= 15 && letters+digits <= 20 && other == 0; short || long {
				c.mixed += w
			}
		}
		if digits > 0 && len(fields) == 1 {
			c.numbered += w
		}
		if han > 0 {
			c.han += w
			if compare.LooksLikeChineseName(text) {
				c.chineseName += w
			}
			if compare.LooksLikeChineseAddress(text) {
				c.chineseAddress += w
			}
			if company(text) {
				c.company += w
			}
			if strings.ContainsAny(text, "路街道巷弄号村镇乡栋幢楼室") {
				c.building += w
			}
		} else if digits > 1 && letters == 0 {
			if _, _, ok := compare.Coordinates(text); ok && strings.Count(text, ".") == 2 {
				c.point += w
			}
		}
		if star > 0 {
			c.star += w
		}
		c.words += w * float64(len(fields))
		c.length += w * float64(utf8.RuneCountInString(text))
		if letters > 0 && len(fields) > 1 && startsWithNumber(fields) {
			c.addressed += w
		}
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			if strings.ContainsAny(strings.TrimSuffix(text, "."), ".eE") {
				c.decimal += w
				c.min, c.max = min(c.min, v), max(c.max, v)
				if _, behind, _ := strings.Cut(text, "."); len(behind) >= 4 {
					c.fine += w
				}
			} else {
				c.integer += w
				c.min, c.max = min(c.min, v), max(c.max, v)
			}
		}
	}
	if c.rows > 0 {
		n := float64(c.rows)
		for _, share := range []*float64{&c.date, &c.year, &c.email, &c.digits, &c.phone, &c.han, &c.star, &c.addressed, &c.decimal, &c.mixed, &c.numbered, &c.integer, &c.chineseName, &c.chineseAddress, &c.company, &c.building, &c.ip, &c.point, &c.fine, &c.words, &c.length} {
			*share /= n
		}
		c.agree /= max(1, n*(n-1))
		c.filled = n / float64(t.Len())
	}
	return c
}

// startsWithNumber says that one of the first words is a number of a house.
func startsWithNumber(fields []string) bool {
	for _, f := range fields[:min(2, len(fields))] {
		if f[0] >= '0' && f[0] <= '9' {
			return true
		}
	}
	return false
}

// isDate says that a text is a day with a likely year, in any way that dates are
// compared; or that it is a year alone, as old registers have where they know no day:
// ca. 1712.
func isDate(text string) (day, year bool) {
	const longest = 32
	if len(text) < 4 || len(text) > longest {
		return false, false
	}
	y, m, d, ok := compare.Day(text)
	switch {
	case !ok || y < 1000 || y > 2100:
		return false, false
	case m == 0 && d == 0:
		return false, strings.Count(text, " ") <= 1
	}
	return len(text) >= 8 && m <= 12 && d <= 31, false
}

// dialled says that a text has as many digits as a phone, and no letter.
func dialled(text string) bool {
	digits, other := 0, 0
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9' || r == '*':
			digits++
		case unicode.IsLetter(r):
			return false
		default:
			other++
		}
	}
	return digits >= 7 && digits <= 14 && other <= 6
}

// isIP says that a text is an IP address. Four groups of two digits may be a phone.
func isIP(text string) bool {
	_, ok := compare.IP(text)
	pairs := len(text) == 11 && text[2] == '.' && text[5] == '.' && text[8] == '.'
	return ok && !pairs
}

// company says that a text ends as the names of companies and shops in China do,
// which begin with their city as addresses do. A branch may stand in brackets behind.
func company(text string) bool {
	if inner := strings.TrimRight(text, ")）"); inner != text {
		if strings.HasSuffix(inner, "店") {
			return true
		}
		if at := strings.LastIndexAny(inner, "(（"); at > 0 {
			text = inner[:at]
		}
	}
	for _, end := range []string{"公司", "集团", "旗舰店", "专卖店", "专营店", "分店", "商行", "商店", "超市", "工作室", "事务所", "合作社", "经营部", "门市部", "酒店", "饭店", "餐厅", "药房", "医院", "银行"} {
		if strings.HasSuffix(text, end) {
			return true
		}
	}
	return false
}

// called says that a column's name has one of the words.
func (c *column) called(words ...string) bool {
	name := strings.ToLower(c.name)
	parts := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, w := range words {
		for _, p := range parts {
			if p == w {
				return true
			}
		}
		if utf8.RuneCountInString(w) >= 4 && strings.Contains(name, w) || w[0] >= utf8.RuneSelf && strings.Contains(name, w) {
			return true
		}
	}
	return false
}

// kind says what a column holds, and why. "" is nothing to compare.
func (c *column) kind(records int) (compare.Kind, string) {
	percent := func(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
	switch {
	case c.rows == 0:
		return "", "it is empty"
	case c.distinct == 1:
		return "", "all its values are equal"
	case c.email >= 0.6:
		return compare.Email, percent(c.email) + " are e-mail addresses"
	case c.date >= 0.7:
		return compare.Date, percent(c.date) + " are dates"
	case c.date >= 0.3 && c.date+c.year >= 0.9:
		return compare.Date, percent(c.date) + " are dates, and " + percent(c.year) + " years alone"
	case c.ip >= 0.7 && c.distinct < c.rows:
		return compare.Code, percent(c.ip) + " are IP addresses"
	case c.ip >= 0.7:
		return "", "no two records share one: it names them"
	case c.point >= 0.7:
		return compare.Place, percent(c.point) + " are a latitude and a longitude"
	case c.han >= 0.5 && c.star == 0 && c.few(records) && c.chineseAddress < 0.5:
		return compare.Category, fmt.Sprintf("%d different values", c.distinct)
	case c.company >= 0.5:
		return compare.Text, percent(c.company) + " end as the names of companies and shops do"
	case c.chineseName >= 0.6 && c.chineseName >= c.chineseAddress:
		return compare.ChineseName, percent(c.chineseName) + " begin with a Chinese surname and have two to four characters, or are masked so"
	case c.chineseAddress >= 0.5:
		return compare.ChineseAddress, percent(c.chineseAddress) + " begin with a province, a city or a district of China"
	case c.han >= 0.5 && c.length <= 4.5:
		return compare.ChineseName, percent(c.han) + " are Chinese, of " + fmt.Sprintf("%.1f", c.length) + " characters"
	case c.phone >= 0.7 && (c.star >= 0.3 || c.called("phone", "tel", "mobile", "cell", "fax", "手机", "电话") || c.length >= 9.5):
		return compare.Phone, percent(c.phone) + " look like phone numbers"
	case c.digits >= 0.9 && c.decimal >= 0.3:
		return compare.Number, percent(c.decimal) + " have a decimal point"
	case c.digits >= 0.8:
		if c.distinct == c.rows && c.filled == 1 && c.length >= 3 {
			return "", "each record has another one: it numbers them"
		}
		if c.distinct <= 12 {
			return compare.Category, fmt.Sprintf("%d different numbers", c.distinct)
		}
		return compare.Code, percent(c.digits) + " are digits"
	case c.distinct == c.rows && c.filled == 1 && c.numbered >= 0.9 && c.star == 0:
		return "", "each record has another one, with a number in it: it names them"
	case c.length <= 2.5 && c.distinct <= 12:
		return compare.Category, fmt.Sprintf("%d different values", c.distinct)
	case c.mixed >= 0.7:
		return compare.Code, percent(c.mixed) + " mix letters and digits"
	case c.addressed >= 0.4:
		return compare.Address, percent(c.addressed) + " begin with a number and go on in words"
	case c.words >= 1.9 || c.han >= 0.5:
		return compare.Text, fmt.Sprintf("%.1f words on average", c.words)
	case c.few(records):
		return compare.Category, fmt.Sprintf("%d different values", c.distinct)
	}
	return compare.Name, fmt.Sprintf("%.1f words on average", c.words)
}

// few says that a column has so few values for its records that they sort them
// rather than name anything.
func (c *column) few(records int) bool { return c.distinct <= 12 && c.distinct*20 < records }

// Model writes a model for a table. It is an error if no column can be
// compared.
func Model(t *match.Table) (*match.Model, error) {
	m := &match.Model{Seed: 1}
	columns := make([]column, len(t.Columns()))
	var looking sync.WaitGroup
	for place := range columns {
		looking.Go(func() { columns[place] = look(t, place) })
	}
	looking.Wait()
	taken := map[int]bool{}
	if year, month, day := parts(columns); year >= 0 {
		m.Comparisons = append(m.Comparisons, match.Comparison{
			Name: free(columns, "date"), Columns: []string{columns[year].name, columns[month].name, columns[day].name}, Kind: compare.Date, Rarity: false,
			Why: "year, month and day in columns of their own",
		})
		taken[year], taken[month], taken[day] = true, true, true
	}
	for lat := range columns {
		lon := lat + 1
		if lon < len(columns) && !taken[lat] && !taken[lon] && columns[lat].coordinate(90) && columns[lon].coordinate(180) {
			m.Comparisons = append(m.Comparisons, match.Comparison{
				Name: free(columns, "place"), Columns: []string{columns[lat].name, columns[lon].name}, Kind: compare.Place,
				Why: "a latitude and a longitude beside each other: fractions of four digits or more, up to 90 and up to 180",
			})
			taken[lat], taken[lon] = true, true
			break
		}
	}
	repeats := repeated(t, columns)
	for whole := range repeats {
		taken[whole] = true
	}
	for _, run := range addresses(columns) {
		comparison := match.Comparison{
			Name: columns[run[0]].name, Kind: compare.ChineseAddress, Rarity: true,
			Why: "columns beside each other that go on from provinces, cities and districts of China: one address, which would count several times in parts",
		}
		for _, i := range run {
			comparison.Columns = append(comparison.Columns, columns[i].name)
			taken[i] = true
		}
		m.Comparisons = append(m.Comparisons, comparison)
	}
	first, last := people(t, columns)
	for i := range columns {
		c := &columns[i]
		if taken[i] {
			continue
		}
		kind, why := c.kind(t.Len())
		if kind == "" {
			continue
		}
		comparison := match.Comparison{Name: c.name, Columns: []string{c.name}, Kind: kind, Why: why}
		for whole := range columns {
			if part, ok := repeats[whole]; ok && part == i {
				comparison.Why += fmt.Sprintf("; %s, which says it again, is left out", columns[whole].name)
			}
		}
		comparison.Rarity = kind == compare.Name || kind == compare.Text || kind == compare.ChineseName || kind == compare.Address || kind == compare.ChineseAddress
		if i == first {
			comparison.SwappedWith = columns[last].name
			comparison.Why += "; names of people are filled in the wrong way round now and then"
		}
		m.Comparisons = append(m.Comparisons, comparison)
	}
	if t.Alike() {
		for _, c := range columns {
			if c.rows > 0 {
				m.Comparisons = []match.Comparison{{Name: c.name, Columns: []string{c.name}, Kind: compare.Category, Why: "all records are equal in it, and in all other columns"}}
				return m, nil
			}
		}
	}
	if len(m.Comparisons) == 0 {
		return nil, fmt.Errorf("no column can be compared: each is empty, has one value only, or numbers the records")
	}
	most(m, columns)
	return m, nil
}

// free is a name for a comparison of several columns, or "", the first of them, where
// a column has that name.
func free(columns []column, name string) string {
	if slices.ContainsFunc(columns, func(c column) bool { return c.name == name }) {
		return ""
	}
	return name
}

// most keeps of too many comparisons those that tell records apart best, in the
// order of the columns: a table of forty columns has most of them empty or of a
// few values, and not always the last ones.
func most(m *match.Model, columns []column) {
	const possible = 16
	bits := make(map[string]float64, len(columns)) // expected of a pair of records
	for _, c := range columns {
		bits[c.name] = c.filled * c.filled * -math.Log2(max(c.agree, 1e-12))
	}
	worth := func(c match.Comparison) float64 {
		sum := 0.0
		for _, name := range c.Columns {
			sum = max(sum, bits[name])
		}
		return sum
	}
	for len(m.Comparisons) > possible {
		least := 0
		for i, c := range m.Comparisons {
			if worth(c) < worth(m.Comparisons[least]) {
				least = i
			}
		}
		gone := m.Comparisons[least].Name
		m.Comparisons = slices.Delete(m.Comparisons, least, least+1)
		for i := range m.Comparisons {
			if m.Comparisons[i].SwappedWith == gone {
				m.Comparisons[i].SwappedWith = ""
			}
		}
	}
}

// addresses finds Chinese addresses that stand in several columns: those of
// provinces, cities and districts beside each other, and behind them that of
// the road and the house.
func addresses(columns []column) (runs [][]int) {
	const bare = 6.5 // characters; what is longer is more than one division
	for i := 0; i < len(columns); i++ {
		var run []int
		for ; i < len(columns) && columns[i].chineseAddress >= 0.7 && columns[i].length <= bare; i++ {
			run = append(run, i)
		}
		if len(run) == 0 {
			continue
		}
		if i < len(columns) && columns[i].han >= 0.5 && columns[i].chineseName < 0.5 && columns[i].company < 0.5 && max(columns[i].building, columns[i].chineseAddress) >= 0.5 {
			run = append(run, i)
		} else {
			i--
		}
		if len(run) > 1 {
			runs = append(runs, run)
		}
	}
	return runs
}

// repeated finds columns that say again what others say: a whole name beside
// first name and surname, an address beside its street and town. What is said
// twice would count twice. Each comes with the first column that it repeats.
func repeated(t *match.Table, columns []column) map[int]int {
	const (
		looked = 2000 // rows, evenly spread
		inside = 0.9  // of the rows have all words of the part in the whole
		half   = 0.7  // of the words of the whole are those of two parts or more
		nearly = 0.95 // likewise of a single one
	)
	out := map[int]int{}
	words := make([][][]string, len(columns))
	step := max(1, t.Len()/looked)
	var order []int
	for i := range columns {
		kind, _ := columns[i].kind(t.Len())
		if kind == "" || kind == compare.Category {
			continue
		}
		order = append(order, i)
		for row := 0; row < t.Len(); row += step {
			words[i] = append(words[i], strings.FieldsFunc(strings.ToLower(t.Value(row, columns[i].place)), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(columns[a].length, columns[b].length) })
	for n, whole := range order {
		if kind, _ := columns[whole].kind(t.Len()); kind != compare.Name && kind != compare.Text && kind != compare.Address {
			continue
		}
		var parts []int
		for _, part := range order[:n] {
			if _, gone := out[part]; gone {
				continue
			}
			both, in := 0, 0
			for row, all := range words[whole] {
				if some := words[part][row]; len(some) > 0 && len(all) > 0 {
					both++
					if !slices.ContainsFunc(some, func(w string) bool { return !slices.Contains(all, w) }) {
						in++
					}
				}
			}
			const fewest = 20
			if both >= fewest && float64(in) >= inside*float64(both) {
				parts = append(parts, part)
			}
		}
		said, rows := 0.0, 0
		for row, all := range words[whole] {
			if len(all) == 0 {
				continue
			}
			rows++
			again := 0
			for _, w := range all {
				if slices.ContainsFunc(parts, func(part int) bool { return slices.Contains(words[part][row], w) }) {
					again++
				}
			}
			said += float64(again) / float64(len(all))
		}
		share := said / float64(max(1, rows))
		if len(parts) > 1 && share >= half || len(parts) == 1 && share >= nearly {
			out[whole] = slices.Min(parts)
		}
	}
	return out
}

// coordinate says that a column holds degrees of an angle up to a limit.
func (c *column) coordinate(limit float64) bool {
	const share = 1.5 // a column below it holds shares or scores
	return c.decimal+c.integer >= 0.99 && c.fine >= 0.7 && c.min >= -limit && c.max <= limit && max(c.max, -c.min) > share
}

// parts finds a date in three columns: its year, month and day; -1 if there is
// none, or more than one.
func parts(columns []column) (year, month, day int) {
	year, month, day = -1, -1, -1
	for i := range columns {
		c := &columns[i]
		if c.integer < 0.99 {
			continue
		}
		switch {
		case c.min >= 1800 && c.max <= 2100 && year < 0:
			year = i
		case c.min >= 1 && c.max <= 12 && c.max >= 10 && month < 0:
			month = i
		case c.min >= 1 && c.max <= 31 && c.max >= 28 && day < 0:
			day = i
		}
	}
	if year < 0 || month < 0 || day < 0 {
		return -1, -1, -1
	}
	return year, month, day
}

// people finds the columns of first names and surnames, -1 if there are none:
// by their names, or else the two columns of names of which values of each
// stand in the other most often.
func people(t *match.Table, columns []column) (first, last int) {
	first, last = -1, -1
	var names []int
	for i := range columns {
		c := &columns[i]
		if kind, _ := c.kind(t.Len()); kind != compare.Name || c.filled < 0.3 {
			continue
		}
		names = append(names, i)
		switch {
		case c.called("first", "given", "forename", "fname") && first < 0:
			first = i
		case c.called("last", "surname", "family", "lname", "sur") && last < 0:
			last = i
		}
	}
	if first >= 0 && last >= 0 {
		return first, last
	}
	const seldom = 0.02
	first, last = -1, -1
	most := seldom
	for _, a := range names {
		for _, b := range names {
			if a < b {
				if both := min(within(t, a, b), within(t, b, a)); both >= most {
					first, last, most = a, b, both
				}
			}
		}
	}
	return first, last
}

// within is the share of the records with a value in a column whose value is
// one of another column's, too.
func within(t *match.Table, column, other int) float64 {
	values, _ := t.Values(other)
	known := make(map[string]bool, len(values))
	for _, text := range values {
		known[text] = true
	}
	in, all := 0, 0
	values, counts := t.Values(column)
	for i, text := range values {
		if text != "" {
			all += counts[i]
			if known[text] {
				in += counts[i]
			}
		}
	}
	return float64(in) / float64(max(1, all))
}
