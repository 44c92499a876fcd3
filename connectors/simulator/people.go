package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// People come in blocks of twenty that hold every kind of customer in fixed
// shares, so that small worlds too have them all; which seat a person has in
// the block depends on the seed. Seats 0-4 buy on Tmall alone, 5-8 on Douyin,
// 9-11 on Weidian, 12 has two Weidian accounts, 13-15 Tmall and Douyin, 16-17
// Tmall and Weidian, 18 Douyin and Weidian, 19 all three.
const (
	blockPeople = 20
	firstMulti  = 13
)

var (
	tmallSeats   = []int{0, 1, 2, 3, 4, 13, 14, 15, 16, 17, 19}
	douyinSeats  = []int{5, 6, 7, 8, 13, 14, 15, 18, 19}
	weidianSeats = []int{9, 10, 11, 12, 12, 16, 17, 18, 19}
)

func seatsOf(platform string) []int {
	switch platform {
	case PlatformTmall:
		return tmallSeats
	case PlatformDouyin:
		return douyinSeats
	case PlatformWeidian:
		return weidianSeats
	}
	return nil
}

// A person's numbers: one for each platform where nothing bridges, and one
// more that is bound everywhere where something does.
const phonesPerPerson = 4

var (
	// As often as in life, about: one person in fourteen is called Wang.
	surnames = append([]rune("王王王王王王王李李李李李李李张张张张张张张刘刘刘刘刘陈陈陈陈陈杨杨杨黄黄赵赵吴吴周周徐徐孙孙"),
		[]rune("马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶贺")...)
	given  = []string{"伟", "芳", "娜", "敏", "静", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明", "超", "霞", "平", "刚", "桂英", "建华", "晓东", "雨桐", "子涵", "欣怡", "浩然", "思远", "佳琪", "梓萱", "文博", "若曦"}
	places = []Address{
		{"浙江省", "杭州市", "西湖区", "三墩镇", ""}, {"浙江省", "杭州市", "西湖区", "文新街道", ""}, {"浙江省", "杭州市", "余杭区", "五常街道", ""},
		{"浙江省", "宁波市", "鄞州区", "下应街道", ""}, {"浙江省", "宁波市", "海曙区", "古林镇", ""},
		{"广东省", "广州市", "天河区", "石牌街道", ""}, {"广东省", "广州市", "天河区", "员村街道", ""}, {"广东省", "广州市", "番禺区", "大石街道", ""},
		{"广东省", "深圳市", "南山区", "粤海街道", ""}, {"广东省", "深圳市", "南山区", "西丽街道", ""}, {"广东省", "深圳市", "宝安区", "西乡街道", ""},
		{"江苏省", "南京市", "鼓楼区", "湖南路街道", ""}, {"江苏省", "南京市", "江宁区", "东山街道", ""},
		{"江苏省", "苏州市", "吴中区", "木渎镇", ""}, {"江苏省", "苏州市", "吴中区", "甪直镇", ""},
		{"四川省", "成都市", "武侯区", "簇桥街道", ""}, {"四川省", "成都市", "锦江区", "春熙路街道", ""},
		{"湖北省", "武汉市", "洪山区", "关山街道", ""}, {"湖北省", "武汉市", "武昌区", "中南路街道", ""},
		{"山东省", "青岛市", "市南区", "香港中路街道", ""}, {"山东省", "济南市", "历下区", "泉城路街道", ""},
		{"陕西省", "西安市", "雁塔区", "小寨路街道", ""}, {"陕西省", "西安市", "雁塔区", "电子城街道", ""},
		{"北京市", "北京市", "朝阳区", "望京街道", ""}, {"北京市", "北京市", "朝阳区", "三里屯街道", ""}, {"北京市", "北京市", "海淀区", "中关村街道", ""},
		{"上海市", "上海市", "浦东新区", "陆家嘴街道", ""}, {"上海市", "上海市", "浦东新区", "张江镇", ""}, {"上海市", "上海市", "闵行区", "莘庄镇", ""},
	}
)

// Person computes a person; index is 0 to Config.People - 1. Two neighbours
// (2n, 2n+1) of one person in four live at one address.
func (w *World) Person(index int) Person {
	home := w.home(index)
	surname := surnames[pick(w.hash("surname", home), len(surnames))]
	return Person{Index: index, Address: w.address("", home), Name: string(surname) + given[pick(w.hash("given", index), len(given))]}
}

// address computes an address of a home; of its earlier one with another
// topic.
func (w *World) address(topic string, home int) Address {
	place := places[pick(w.hash("place"+topic, home), len(places))]
	place.Detail = fmt.Sprintf("演示路%d号%d幢%d室", 1+pick(w.hash("road"+topic, home), 999), 1+pick(w.hash("house"+topic, home), 30), 101+pick(w.hash("room"+topic, home), 2800))
	return place
}

// home is whose address a person has.
func (w *World) home(person int) int {
	if w.isFamily(person) {
		return person &^ 1
	}
	return person
}

func (w *World) isFamily(person int) bool { return w.hash("family", person/2)%4 == 0 }

// personAt is who has a seat of a block; it may be past the last person.
func (w *World) personAt(block, seat int) int {
	turn := pick(w.hash("turn", block), blockPeople)
	return block*blockPeople + (seat+turn)%blockPeople
}

// seatOf is the inverse of personAt.
func (w *World) seatOf(person int) int {
	turn := pick(w.hash("turn", person/blockPeople), blockPeople)
	return (person%blockPeople - turn + blockPeople) % blockPeople
}

// Bridged says whether a person of two platforms or more has bound one phone,
// borne by nobody else, on all of them: exactly three in ten have.
func (w *World) Bridged(person int) bool {
	seat := w.seatOf(person)
	if seat < firstMulti {
		return false
	}
	m := person/blockPeople*(blockPeople-firstMulti) + seat - firstMulti
	return (m*3+pick(w.hash("bridge", 0), 10))%10 < 3
}

// phone is the k-th number of a person: unique to both.
func (w *World) phone(person, k int) string {
	n := w.permutation("phone", 900_000_000).apply(person*phonesPerPerson + k)
	return "1" + []string{"38", "39", "50", "52", "86", "87", "88", "59", "77"}[n/100_000_000] + fmt.Sprintf("%08d", n%100_000_000)
}

// AccountAt computes an account. False for an index whose person is past the
// world's last.
func (w *World) AccountAt(platform string, index int) (Account, bool) {
	seats := seatsOf(platform)
	if len(seats) == 0 || index < 0 || index >= w.AccountCount(platform) {
		return Account{}, false
	}
	block, k := index/len(seats), index%len(seats)
	seat := seats[k]
	person := w.personAt(block, seat)
	if person >= w.cfg.People {
		return Account{}, false
	}
	a := Account{Platform: platform, Shop: w.Shop(platform).ID, Index: index, Person: person,
		Nick: "演示买家" + strconv.FormatUint(w.hash("nick/"+platform, index)%100_000_000, 10)}
	which := 0
	switch platform {
	case PlatformTmall:
		a.ID, a.OpenUID, a.OMID = "AAG"+w.hide("ouid", index), "AAH"+w.hide("open", index), "AAM"+w.hide("omid", index)
	case PlatformDouyin:
		which = 1
		a.ID, a.UnionID = "1@#"+w.hide("douyin", index), "du"+w.hide("dunion", index)
	case PlatformWeidian:
		which = 2
		a.ID = strconv.Itoa(weidianBuyerBase + index)
		a.UnionID = "oU" + w.hide("wunion", person)
	}
	bridged := w.Bridged(person)
	a.Member = bridged || seat == 12 || w.hash("member/"+platform, index)%10 < 4
	joined := w.hash("joined/"+platform, index)
	a.Joined = w.cfg.Until.Add(-time.Duration(1+joined%(300*86400)) * time.Second)
	switch lender, recycled := w.lender(person, platform); {
	case bridged:
		a.Phone = w.phone(person, 3)
	case lender >= 0:
		a.Member, a.Phone = true, w.phone(lender, which)
		if recycled {
			a.Joined = w.cfg.Until.Add(-time.Duration(1+joined%(60*86400)) * time.Second)
		}
	case seat == 12 && k > 0 && seats[k-1] == 12:
		a.Phone = w.phone(person, 3) // the second account: another number, the same unionid
	default:
		a.Phone = w.phone(person, which)
	}
	if w.lends(person, platform) {
		a.Member = true
		a.Joined = a.Joined.Add(-800 * 24 * time.Hour)
	}
	if !a.Member {
		a.Joined = time.Time{}
		if platform != PlatformWeidian {
			a.Phone = ""
		}
		return a, true
	}
	// Each shop hands out cards of its own: phones and unionids alone bridge.
	a.MemberCard = "VIP" + w.hide("card/"+platform, index)
	return a, true
}

// A phone of two people is bound by both on one platform: the seat after
// seats 0, 5 and 9 has, in one block of three, the number of that seat's
// person; in half of these the number was recycled, else a family shares it.
func (w *World) lender(person int, platform string) (lender int, recycled bool) {
	seat, block := w.seatOf(person), person/blockPeople
	if seat != tmallSeats[1] && seat != douyinSeats[1] && seat != weidianSeats[1] {
		return -1, false
	}
	lender = w.personAt(block, seat-1)
	if !w.lends(lender, platform) {
		return -1, false
	}
	return lender, w.hash("recycled/"+platform, block)%2 == 0
}

func (w *World) lends(person int, platform string) bool {
	block := person / blockPeople
	return person < w.cfg.People && w.seatOf(person) == seatsOf(platform)[0] && w.hash("lends/"+platform, block)%3 == 0
}

const weidianBuyerBase = 190_000_001

// accountIndex reads an account's index from its id.
func (w *World) accountIndex(platform, id string) (int, bool) {
	switch platform {
	case PlatformTmall:
		return w.unhide("ouid", strings.TrimPrefix(id, "AAG"))
	case PlatformDouyin:
		return w.unhide("douyin", strings.TrimPrefix(id, "1@#"))
	case PlatformWeidian:
		n, err := strconv.Atoi(id)
		return n - weidianBuyerBase, err == nil
	}
	return 0, false
}
