package compare

import (
	_ "embed" // the divisions
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

//go:embed divisions/divisions.txt
var divisionsFile string

// division is a province, a city or a district.
type division struct {
	name string
	// code of two, four or six digits; the first two are the province's, the
	// first four the city's.
	code string
}

// The ranks of a division.
const (
	provinceRank = iota
	cityRank
	districtRank
)

func (d division) rank() int { return len(d.code)/2 - 1 }

// gazetteer has the divisions by their names, whole and short.
type gazetteer struct {
	byName  map[string][]division
	byCode  map[string]string
	longest int // bytes
}

// divisions are read when they are asked for first.
var divisions = sync.OnceValue(func() *gazetteer {
	g := &gazetteer{byName: map[string][]division{}, byCode: map[string]string{}}
	add := func(name string, d division) {
		if utf8.RuneCountInString(name) >= 2 && !slices.Contains(g.byName[name], d) {
			g.byName[name] = append(g.byName[name], d)
			g.longest = max(g.longest, len(name))
		}
	}
	for line := range strings.Lines(divisionsFile) {
		code, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(code) == 4 && (name == "市辖区" || name == "县" || strings.Contains(name, "直辖")) {
			continue // no place, a shelf in the table
		}
		if len(code) == 6 && name == g.byCode[code[:4]] {
			continue // a city without districts
		}
		d := division{name, code}
		g.byCode[code] = name
		add(name, d)
		add(short(name), d)
		for kind, sign := range map[string]string{"自治区": "自治区", "自治州": "州", "自治县": "县", "自治旗": "旗"} {
			if bare, ok := strings.CutSuffix(name, kind); ok {
				add(bare, d)
				add(short(name)+sign, d) // 凉山州
			}
		}
		add(initials[name], d)
	}
	return g
})

// initials are the names of divisions that are cut short where they are.
var initials = map[string]string{
	"巴音郭楞蒙古自治州": "巴州", "克孜勒苏柯尔克孜自治州": "克州", "博尔塔拉蒙古自治州": "博州", "锡林郭勒盟": "锡盟", "阿拉善盟": "阿盟", "莫力达瓦达斡尔族自治旗": "莫旗",
}

// short is a division's name without what kind of division it is.
func short(name string) string {
	for _, kind := range []string{"特别行政区", "维吾尔自治区", "壮族自治区", "回族自治区", "自治区", "自治州", "自治县", "自治旗", "新区", "林区", "地区", "省", "市", "区", "县", "盟", "旗"} {
		bare, ok := strings.CutSuffix(name, kind)
		if !ok {
			continue
		}
		if strings.HasPrefix(kind, "自治") {
			for cut := true; cut; {
				cut = false
				for _, people := range peoples {
					if rest, ok := strings.CutSuffix(bare, people); ok && utf8.RuneCountInString(rest) >= 2 {
						bare, cut = rest, true
					}
				}
			}
		}
		return bare
	}
	return name
}

// peoples are in the names of autonomous divisions.
var peoples = strings.Fields("各族 蒙古族 蒙古 回族 藏族 维吾尔族 维吾尔 苗族 彝族 壮族 布依族 朝鲜族 满族 侗族 瑶族 白族 土家族 哈尼族 哈萨克族 哈萨克 傣族 黎族 傈僳族 佤族 畲族 拉祜族 水族 东乡族 纳西族 景颇族 柯尔克孜族 柯尔克孜 土族 达斡尔族 达斡尔 仫佬族 羌族 布朗族 撒拉族 毛南族 仡佬族 锡伯族 锡伯 阿昌族 普米族 塔吉克族 塔吉克 怒族 鄂温克族 德昂族 保安族 裕固族 京族 独龙族 鄂伦春族 基诺族")

// The parts of a Chinese address, the widest first.
const (
	provincePart = iota
	cityPart
	districtPart
	townPart
	roadPart
	numberPart   // of the house in its road
	estatePart   // or building, or what else is said in words
	buildingPart // its number
	flatPart     // likewise; that of the stairs is left out as often as it is written
	addressParts
)

// chineseAddress splits an address into its parts and puts them together
// again in one way of writing: simplified characters, whole names of the divisions
// and those that follow from the others, numbers in digits. What stands behind a
// star is not known.
func chineseAddress(raw string) value {
	text := joinDigits(simplified(Fold(zeros.Replace(raw))))
	text, _, hidden := strings.Cut(text, "*")
	for _, country := range []string{"中华人民共和国", "中国"} {
		text = strings.TrimPrefix(text, country)
	}
	var parts [addressParts]string
	rest := arabic(splitDivisions(text, &parts))
	rest, parts[townPart] = upTo(rest, 8, "街道", "镇", "乡", "苏木")
	rest, parts[roadPart] = upTo(rest, 10, "大道", "路", "街", "巷", "弄", "胡同", "道")
	if parts[roadPart] != "" {
		number := digitsOf(rest)
		if after := rest[len(number):]; number != "" && !strings.HasPrefix(after, "号楼") && !startsWith(after, "栋", "幢", "座", "单元", "室", "层", "楼") {
			parts[numberPart] = number
			rest = strings.TrimPrefix(after, "号")
		}
	}
	parts[estatePart], parts[buildingPart], parts[flatPart] = detail(rest)
	if hidden { // the last thing that is shown may be half of it
		for _, part := range []int{flatPart, buildingPart, estatePart, numberPart} {
			if parts[part] != "" {
				parts[part] = ""
				break
			}
		}
	}
	v := value{masked: hidden, parts: parts}
	// No part has a bar: Fold leaves out marks. So one text is one split.
	if v.text = strings.TrimRight(strings.Join(parts[:], "|"), "|"); v.text != "" && hidden {
		v.text += "|*"
	}
	return v
}

// zeros are the round ones of numerals, which are no letters and no digits.
var zeros = strings.NewReplacer("〇", "零", "○", "零")

// joinDigits leaves out blanks, but for a dash between two numbers or letters.
func joinDigits(text string) string {
	var b strings.Builder
	var last rune
	blank := false
	for _, r := range text {
		if r == ' ' {
			blank = true
			continue
		}
		if blank && plainSign(last) && plainSign(r) {
			b.WriteByte('-')
		}
		blank = false
		b.WriteRune(r)
		last = r
	}
	return b.String()
}

func plainSign(r rune) bool { return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' }

// splitDivisions takes the divisions from the beginning of a text, and fills up
// those that they lie in.
func splitDivisions(text string, parts *[addressParts]string) (rest string) {
	g := divisions()
	code := "" // that is known so far
	next := provinceRank
	for next <= districtRank {
		if words := noDivision(text, code); words > 0 {
			text = text[words:]
			continue
		}
		if words := corps(text, code); words > 0 {
			text, code = text[words:], xinjiang
			next = max(next, cityRank)
			continue
		}
		name, found := g.longestAt(text, code, next)
		if name == "" {
			break
		}
		text = text[len(name):]
		if len(found) == 0 {
			continue // a city that is its own province, said twice
		}
		next = found[0].rank() + 1
		parts[found[0].rank()] = found[0].name
		shared := found[0].code
		for _, d := range found[1:] {
			if d.name != found[0].name {
				parts[d.rank()] = "" // a town and the land around it have one short name
			}
			for !strings.HasPrefix(d.code, shared) {
				shared = shared[:len(shared)-2]
			}
		}
		code = shared
	}
	if len(code) >= 2 && parts[provincePart] == "" {
		parts[provincePart] = g.byCode[code[:2]]
	}
	if len(code) >= 4 && parts[cityPart] == "" {
		parts[cityPart] = g.byCode[code[:4]]
	}
	if strings.HasSuffix(parts[provincePart], "市") {
		parts[cityPart] = parts[provincePart]
	}
	return text
}

// shelves stand between a province and a district that is in no city, in tables of
// divisions and so in forms.
var shelves = regexp.MustCompile("^(?:市辖区|(?:省|自治区)?直辖县(?:级行政(?:区划|单位)|级)?|(?:省|自治区)直辖行政(?:区划|单位))")

// noDivision is how many bytes that are no division's name a text begins with,
// within what is known.
func noDivision(text, code string) int {
	if code == "" {
		return 0
	}
	if rest, ok := strings.CutPrefix(text, "县"); ok && code == chongqing && divisions().holds(division{code: code}, rest) {
		return len(text) - len(rest)
	}
	return len(shelves.FindString(text))
}

// The provinces that say more than their divisions.
const (
	chongqing = "50"
	xinjiang  = "65"
)

// corpsOfXinjiang keeps towns there; each of its divisions is one with its town.
var corpsOfXinjiang = regexp.MustCompile("^(?:新疆)?(?:生产建设)?兵团(?:第?[一二三四五六七八九十0-9]{1,3}师)?|^第[一二三四五六七八九十0-9]{1,3}师")

// corps is how many bytes of a text name the corps of Xinjiang or a division of it.
func corps(text, code string) int {
	n := len(corpsOfXinjiang.FindString(text))
	named := strings.HasPrefix(code, xinjiang) || strings.HasPrefix(text, "新疆") || strings.HasPrefix(text, "生产建设") || strings.HasPrefix(text, "兵团") && strings.HasSuffix(text[:n], "师")
	if !named || code != "" && code != xinjiang || ofARoad(text[n:]) {
		return 0
	}
	return n
}

// longestAt finds the longest name of divisions, of a rank or below, within
// what is known, that a text begins with. Several divisions of one rank may
// have it. A name without divisions is that of the one that is known.
func (g *gazetteer) longestAt(text, code string, rank int) (name string, found []division) {
	for n := min(g.longest, len(text)); n >= 6; n-- {
		name = text[:n]
		best := districtRank + 1
		for _, d := range g.byName[name] {
			if code == d.code {
				return name, nil
			}
			isShort := d.name != name
			if d.rank() < rank || !strings.HasPrefix(d.code, code) || isShort && (code == "" && d.rank() == districtRank || ofARoad(text[n:]) && !g.holds(d, text[n:])) {
				continue
			}
			if d.rank() < best {
				best, found = d.rank(), nil
			}
			if d.rank() == best {
				found = append(found, d)
			}
		}
		if bare, ok := strings.CutSuffix(name, "市"); ok && found != nil && g.holds(found[0], text[len(bare):]) {
			return bare, found // 济南 and 市中区, not 济南市 and 中区
		}
		if found != nil {
			return name, found
		}
	}
	return "", nil
}

// holds says that a text begins with the name of a division within d, with the
// whole one of a district.
func (g *gazetteer) holds(d division, text string) bool {
	for n := min(g.longest, len(text)); n >= 6; n-- {
		for _, inner := range g.byName[text[:n]] {
			if (inner.name == text[:n] || inner.rank() == cityRank) && inner.rank() > d.rank() && strings.HasPrefix(inner.code, d.code) {
				return true
			}
		}
	}
	return false
}

// ofARoad says that what stands before a text is part of the name of a road or
// a village, though it be a city's: Nanjing Road.
func ofARoad(text string) bool {
	for _, side := range []string{"东", "西", "南", "北", "中", "一", "二"} {
		if cut, ok := strings.CutPrefix(text, side); ok {
			text = cut
			break
		}
	}
	return startsWith(text, "大道", "路", "街", "道", "巷", "弄", "胡同", "村", "镇", "乡", "桥", "广场", "大厦", "花园", "小区")
}

func startsWith(text string, beginnings ...string) bool {
	for _, s := range beginnings {
		if strings.HasPrefix(text, s) {
			return true
		}
	}
	return false
}

// upTo takes a name of at most that many characters off a text, up to one of
// some ends, if it has one before any digit.
func upTo(text string, most int, ends ...string) (rest, name string) {
	n := 0
	for i, r := range text {
		if n > most || plainSign(r) || r == '-' {
			break
		}
		if n > 0 {
			for _, end := range ends {
				if strings.HasPrefix(text[i:], end) && !startsWith(text[i+len(end):], "路", "街", "大道") {
					return text[i+len(end):], text[:i+len(end)]
				}
			}
		}
		n++
	}
	return text, ""
}

// digitsOf is the number that a text begins with, with dashes within.
func digitsOf(text string) string {
	n := 0
	for n < len(text) && (text[n] >= '0' && text[n] <= '9' || n > 0 && text[n] == '-') {
		n++
	}
	return strings.TrimRight(text[:n], "-")
}

// kindsOfUnits say what a number counts, or nothing.
var kindsOfUnits = strings.NewReplacer("号楼", "-", "号院", "-", "单元", "-", "号", "-", "栋", "-", "幢", "-", "座", "-", "室", "-", "层", "-", "楼", "-", "房", "-", "门", "-")

// detail splits the end of an address into words, the number of the building
// and that of the flat. A single number of three digits is a flat's.
func detail(text string) (words, building, flat string) {
	var w, n strings.Builder
	for _, r := range kindsOfUnits.Replace(text) {
		switch {
		case plainSign(r):
			n.WriteRune(r)
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			w.WriteRune(r)
			fallthrough
		default:
			n.WriteByte('-')
		}
	}
	numbers := strings.FieldsFunc(n.String(), func(r rune) bool { return r == '-' })
	switch {
	case len(numbers) >= 2:
		building, flat = numbers[0], numbers[len(numbers)-1]
	case len(numbers) == 1 && len(numbers[0]) >= 3:
		flat = numbers[0]
	case len(numbers) == 1:
		building = numbers[0]
	}
	return w.String(), building, flat
}

// LooksLikeChineseAddress says that a text names a province, a city or a
// district of China at its beginning.
func LooksLikeChineseAddress(text string) bool {
	parts := chineseAddress(strings.TrimSpace(text)).parts
	return parts[provincePart] != "" || parts[cityPart] != "" || parts[districtPart] != ""
}

// District is what an address is in down to its district, "" if that is not
// known.
func (c *Column) District(id uint32) string {
	if c.addresses[id][districtPart] == 0 {
		return ""
	}
	return c.part(id, provincePart) + c.part(id, cityPart) + c.part(id, districtPart)
}

// Road is the road of an address or, without one, what else is said in words.
func (c *Column) Road(id uint32) string {
	if road := c.part(id, roadPart); road != "" {
		return road
	}
	return c.part(id, estatePart)
}

func (c *Column) part(id uint32, part int) string { return c.partTexts[c.addresses[id][part]] }

// compareChineseAddresses compares two addresses by their parts; one that is
// not said contradicts nothing.
func (c *Column) compareChineseAddresses(a, b uint32) Level {
	const house, road, elsewhere, town, district, city, province, other = 2, 3, 4, 5, 6, 7, 8, 9
	x, y := &c.addresses[a], &c.addresses[b]
	same := func(part int) bool { return x[part] != 0 && x[part] == y[part] }
	differ := func(part int) bool { return x[part] != 0 && y[part] != 0 && x[part] != y[part] }
	switch {
	case differ(provincePart):
		return other
	case differ(cityPart):
		if same(provincePart) {
			return province
		}
		return other
	case differ(districtPart):
		switch {
		case same(cityPart):
			return city
		case same(provincePart):
			return province
		}
		return other
	}
	if (same(roadPart) || same(estatePart)) && !differ(roadPart) {
		switch {
		case differ(numberPart) || differ(buildingPart) || differ(flatPart):
			return elsewhere
		case same(numberPart) || same(buildingPart) || same(flatPart):
			return house
		}
		return road
	}
	switch {
	case same(townPart):
		return town
	case same(districtPart):
		return district
	case same(cityPart):
		return city
	case same(provincePart):
		return province
	}
	return other
}

// maskedAddresses compares two addresses of which one is masked at least: by
// their roads or estates where both show one, else by what they lie in.
func (c *Column) maskedAddresses(a, b uint32) Level {
	const (
		onRoad, inDistrict, other   = 10, 11, 12 // where both show a road
		fits, sameDistrict, without = 13, 14, 15
	)
	x, y := &c.addresses[a], &c.addresses[b]
	same := func(part int) bool { return x[part] != 0 && x[part] == y[part] }
	differ := func(part int) bool { return x[part] != 0 && y[part] != 0 && x[part] != y[part] }
	differsBelow := false
	for part := townPart; part < addressParts; part++ {
		differsBelow = differsBelow || differ(part)
	}
	elsewhere := differ(provincePart) || differ(cityPart) || differ(districtPart)
	near := same(districtPart) || same(townPart)
	if same(roadPart) || same(estatePart) || differ(roadPart) || differ(estatePart) {
		switch {
		case elsewhere:
			return other
		case !differsBelow:
			return onRoad
		case near:
			return inDistrict
		}
		return other
	}
	switch {
	case elsewhere:
		return without
	case !differsBelow && (near || same(cityPart)):
		return fits
	case near:
		return sameDistrict
	case differsBelow:
		return without
	}
	return 0 // a province at most
}
