package compare

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mozillazg/go-pinyin"
)

const (
	// mostCharacters bounds the Chinese names that are looked at character by
	// character.
	mostCharacters = 6
	// mostSounds bounds the readings of one character that are looked at.
	mostSounds = 3
)

// chineseName is a name in Chinese characters as it is compared.
type chineseName struct {
	runes [mostCharacters]rune
	// sounds of each character, as numbers of syllables without tones.
	sounds [mostCharacters][mostSounds]uint16
	n      uint8 // characters; 0 if there are more, or if it is in Latin letters
	family uint8 // characters of the surname
	latin  bool
}

// spelling numbers syllables.
type spelling struct {
	numbers   map[string]uint16
	syllables []string
}

func (s *spelling) number(syllable string) uint16 {
	n, ok := s.numbers[syllable]
	if !ok {
		n = uint16(len(s.syllables))
		s.numbers[syllable] = n
		s.syllables = append(s.syllables, syllable)
	}
	return n
}

// name of a text in its comparable form: in simplified characters.
func (s *spelling) name(text string) chineseName {
	var name chineseName
	name.latin = text != "" && ascii(text) && strings.IndexByte(text, '*') < 0
	if name.latin || utf8.RuneCountInString(text) > mostCharacters {
		return name
	}
	for _, r := range text {
		name.runes[name.n] = r
		name.n++
	}
	family := name.runes[:min(2, int(name.n))]
	read, ok := surnames[string(family)]
	if !ok {
		family = family[:min(1, len(family))]
		read = surname(family)
	}
	name.family = uint8(len(family))
	for i, r := range name.runes[:name.n] {
		sounds := readings(r)
		if read != "" && i < len(family) {
			sounds = strings.Split(strings.Fields(read)[i], "/")
		}
		for k, sound := range sounds[:min(mostSounds, len(sounds))] {
			name.sounds[i][k] = s.number(sound)
		}
	}
	return name
}

// surname is how a family of one character is called, "" if its name is no usual
// surname: it may have any reading of the character.
func surname(family []rune) string {
	text := string(family)
	if read, ok := surnames[text]; ok || text == "" || !strings.Contains(usual, text) {
		return read
	}
	return readings(family[0])[0]
}

// readings of a character without tones, the most usual first; ü is v.
func readings(r rune) []string {
	if !unicode.Is(unicode.Han, r) {
		return nil
	}
	var list []string
	for _, sound := range pinyin.SinglePinyin(r, pinyin.Args{Style: pinyin.Normal, Heteronym: true}) {
		if !slices.Contains(list, sound) {
			list = append(list, sound)
		}
	}
	return list
}

// surnames are those of two characters, and those that are not called by the
// most usual reading of their character, with their reading; with a stroke between
// several, of which families use one or the other: 覃 is Qín in the north and Tán
// in the south. What else is usual has its character's first reading alone: 王 was
// also read yù once, but nobody called 王 is a 于.
var surnames = map[string]string{
	"单": "shan", "仇": "qiu", "解": "xie", "曾": "zeng", "任": "ren", "查": "zha", "朴": "piao", "盖": "ge/gai", "区": "ou", "种": "chong",
	"华": "hua", "秘": "bi/mi", "繁": "po", "折": "she/zhe", "召": "shao/zhao", "翟": "zhai/di", "缪": "miao/mou", "乐": "yue/le", "员": "yun/yuan", "洗": "xian",
	"冼": "xian", "佴": "nai", "逄": "pang", "那": "na", "盛": "sheng", "宁": "ning", "燕": "yan", "纪": "ji", "应": "ying", "柏": "bai/bo",
	"石": "shi", "葛": "ge", "车": "che", "贲": "ben", "晁": "chao", "祭": "zhai/ji", "郗": "xi/chi", "阚": "kan", "句": "gou/ju", "占": "zhan",
	"曲": "qu", "干": "gan", "都": "du", "强": "qiang", "瞿": "qu", "谷": "gu", "长": "zhang", "宿": "su", "覃": "qin/tan", "隗": "kui/wei",
	"尉": "wei/yu", "少": "shao", "相": "xiang", "卜": "bu", "洪": "hong", "沈": "shen", "贾": "jia", "俞": "yu", "于": "yu", "谌": "chen/shen", "莘": "shen/xin", "郇": "xun/huan", "黑": "he/hei", "宓": "mi/fu", "牟": "mu/mou",
	"欧阳": "ou yang", "司马": "si ma", "上官": "shang guan", "诸葛": "zhu ge", "司徒": "si tu", "东方": "dong fang", "独孤": "du gu", "南宫": "nan gong",
	"万俟": "mo qi", "闻人": "wen ren", "夏侯": "xia hou", "尉迟": "yu chi", "公羊": "gong yang", "赫连": "he lian", "澹台": "tan tai", "皇甫": "huang fu",
	"宗政": "zong zheng", "濮阳": "pu yang", "公冶": "gong ye", "太叔": "tai shu", "申屠": "shen tu", "公孙": "gong sun", "慕容": "mu rong", "仲孙": "zhong sun",
	"钟离": "zhong li", "长孙": "zhang sun", "宇文": "yu wen", "鲜于": "xian yu", "闾丘": "lv qiu", "司空": "si kong", "令狐": "ling hu", "单于": "chan/shan yu", "端木": "duan mu",
	"百里": "bai li", "呼延": "hu yan", "东郭": "dong guo", "南门": "nan men", "西门": "xi men", "轩辕": "xuan yuan", "拓跋": "tuo ba", "纳兰": "na lan", "第五": "di wu",
}

// usual are the most usual surnames, which nine people in ten have. Each is read
// as surnames says, or else as its character is most often.
const usual = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟邝傅萧阎"

// withoutTitle takes a title off the end of a name. Who is spoken of by his
// surname has a given name that is not said: 张女士 is 张*.
func withoutTitle(text string) string {
	for _, title := range []string{"女士", "先生", "小姐"} {
		name, ok := strings.CutSuffix(text, title)
		if !ok {
			continue
		}
		if n := utf8.RuneCountInString(name); n == 1 || n == 2 && surnames[name] != "" {
			name += "*"
		}
		return oneStar(name)
	}
	return oneStar(text)
}

// LooksLikeChineseName says that a text is a name in two to four Chinese
// characters, or of two masked ones, that begins with a usual surname, where it
// is not hidden.
func LooksLikeChineseName(text string) bool {
	text = prepare(ChineseName, text).text
	first, size := utf8.DecodeRuneInString(text)
	if n := utf8.RuneCountInString(text); n < 2 || n > 4 {
		return false
	}
	for _, r := range text {
		if r != '*' && !unicode.Is(unicode.Han, r) {
			return false
		}
	}
	second, _ := utf8.DecodeRuneInString(text[size:])
	return first == '*' || strings.ContainsRune(usual, first) || surnames[string([]rune{first, second})] != ""
}

// compareChineseNames compares two names of which none is masked.
func (c *Column) compareChineseNames(a, b uint32) Level {
	const swapped, sounds, one, family, other = 2, 3, 4, 5, 6
	x, y := &c.names[a], &c.names[b]
	switch {
	case x.latin && y.latin:
		s, t := c.Text(a), c.Text(b)
		if turned(s, t) {
			return swapped
		}
		if min(len(s), len(t)) >= 4 && c.distance(a, b, 1) == 1 {
			return one
		}
		return other
	case x.latin && y.n > 0:
		if c.spells(c.Text(a), y) {
			return sounds
		}
		return other
	case y.latin && x.n > 0:
		if c.spells(c.Text(b), x) {
			return sounds
		}
		return other
	case x.n == 0 || y.n == 0:
		if Distance(c.Text(a), c.Text(b), 1) == 1 {
			return one
		}
		return other
	}
	s, t := x.runes[:x.n], y.runes[:y.n]
	switch {
	case len(s) == len(t) && (turnedBy(s, t, 1) || turnedBy(s, t, 2)):
		return swapped
	case len(s) == len(t) && soundAlike(x, y):
		return sounds
	case min(len(s), len(t)) >= 2 && distance(s, t, 1) == 1:
		return one
	case x.family == y.family && s[0] == t[0] && (x.family == 1 || s[1] == t[1]):
		return family
	}
	return other
}

// turnedBy says that t is s with its first k characters, or its last ones, at
// the other end.
func turnedBy(s, t []rune, k int) bool {
	n := len(s)
	return k < n && (slices.Equal(s[k:], t[:n-k]) && slices.Equal(s[:k], t[n-k:]) || slices.Equal(t[k:], s[:n-k]) && slices.Equal(t[:k], s[n-k:]))
}

// turned says that t is s with a beginning of two letters or more moved behind
// the rest, which has two or more, too.
func turned(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for k := 2; k <= len(s)-2; k++ {
		if s[k:] == t[:len(t)-k] && s[:k] == t[len(t)-k:] {
			return true
		}
	}
	return false
}

// soundAlike says that each two characters of names of one length have a
// reading in common.
func soundAlike(x, y *chineseName) bool {
	for i := range x.n {
		if x.runes[i] == y.runes[i] {
			continue
		}
		alike := false
		for _, s := range x.sounds[i] {
			for _, t := range y.sounds[i] {
				alike = alike || s == t && s != 0
			}
		}
		if !alike {
			return false
		}
	}
	return true
}

// spells says that Latin letters are a name's pinyin, the surname first or
// last.
func (c *Column) spells(letters string, name *chineseName) bool {
	n, family := int(name.n), int(name.family)
	var order [mostCharacters]int
	for i := range n {
		order[i] = i
	}
	if c.spelt(letters, name, order[:n]) {
		return true
	}
	for i := range n {
		order[i] = (i + family) % n
	}
	return c.spelt(letters, name, order[:n])
}

// spelt says that letters are the sounds of a name's characters in an order.
func (c *Column) spelt(letters string, name *chineseName, order []int) bool {
	if len(order) == 0 {
		return letters == ""
	}
	for _, sound := range name.sounds[order[0]] {
		if sound == 0 {
			break
		}
		syllable := c.syllables[sound]
		if rest, ok := strings.CutPrefix(letters, syllable); ok && c.spelt(rest, name, order[1:]) {
			return true
		}
		// ü is written v, u or, in passports, yu.
		before, after, found := strings.Cut(syllable, "v")
		if rest, ok := strings.CutPrefix(letters, before); found && ok {
			rest = strings.TrimPrefix(rest, "y")
			if rest, ok = strings.CutPrefix(rest, "u"); !ok {
				continue
			}
			if rest, ok = strings.CutPrefix(rest, after); ok && c.spelt(rest, name, order[1:]) {
				return true
			}
		}
	}
	return false
}
