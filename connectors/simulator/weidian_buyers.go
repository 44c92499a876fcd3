package simulator

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// weidianCredentials are the credentials of a world's Weidian shop.
func weidianCredentials(w *World) weidianApp {
	return weidianApp{
		AppKey:      strconv.FormatUint(600_000+w.hash("weidian app", 0)%100_000, 10),
		AppSecret:   w.hide("weidian secret", 1) + w.hide("weidian secret", 2) + w.hide("weidian secret", 3)[:8],
		AccessToken: "tk" + w.hide("weidian token", 1) + w.hide("weidian token", 2),
		ShopID:      w.Shop(PlatformWeidian).ID,
	}
}

// queryBuyer serves vdian.crm.queryBuyerInfo: the buyer of a phone, a WeChat
// unionid or a member card. Of several the one who joined last; of nobody
// success without a buyer.
func (s *weidian) queryBuyer(param weidianParams) (any, *weidianFault) {
	phone, union, card := param.text("telephone"), param.text("unionId"), param.text("cardCode")
	var people []int
	var bears func(Account) bool
	switch {
	case phone != "":
		people = s.world.peopleOfPhone(phone)
		bears = func(a Account) bool { return a.Phone == phone }
	case union != "":
		if person, ok := s.world.unhide("wunion", strings.TrimPrefix(union, "oU")); ok {
			people = []int{person}
		}
		bears = func(a Account) bool { return a.UnionID == union }
	case card != "":
		people = s.world.peopleOfCard(card)
		bears = func(a Account) bool { return a.MemberCard == card }
	default:
		return nil, &weidianFault{10019, "telephone、unionId、cardCode至少传一个"}
	}
	var found []Account
	for _, person := range people {
		if person < 0 || person >= s.world.cfg.People {
			continue
		}
		for _, account := range s.world.AccountsOf(person) {
			if account.Platform == PlatformWeidian && bears(account) {
				found = append(found, account)
			}
		}
	}
	if len(found) == 0 {
		return map[string]any{}, nil
	}
	last := slices.MaxFunc(found, func(a, b Account) int {
		return cmp.Or(a.Joined.Compare(b.Joined), cmp.Compare(b.Index, a.Index))
	})
	return map[string]any{"buyerId": last.number()}, nil
}

// number is a Weidian buyer's id as the CRM methods write it.
func (a Account) number() int64 {
	n, _ := strconv.ParseInt(a.ID, 10, 64) // the world writes whole numbers
	return n
}

// peopleOfPhone are those who may have bound a number: its owner and the
// others of the owner's block.
func (w *World) peopleOfPhone(phone string) []int {
	prefixes := []string{"38", "39", "50", "52", "86", "87", "88", "59", "77"}
	if len(phone) != 11 || phone[0] != '1' {
		return nil
	}
	prefix := slices.Index(prefixes, phone[1:3])
	rest, err := strconv.ParseUint(phone[3:], 10, 32)
	if prefix < 0 || err != nil {
		return nil
	}
	owner := w.permutation("phone", 900_000_000).invert(prefix*100_000_000+int(rest)) / phonesPerPerson
	var people []int
	for k := range blockPeople {
		people = append(people, owner/blockPeople*blockPeople+k)
	}
	return people
}

// peopleOfCard are those who may hold a member card.
func (w *World) peopleOfCard(card string) []int {
	hidden := strings.TrimPrefix(card, "VIP")
	var people []int
	if person, ok := w.unhide("card", hidden); ok {
		people = append(people, person)
	}
	if index, ok := w.unhide("card/"+PlatformWeidian, hidden); ok {
		if a, ok := w.AccountAt(PlatformWeidian, index); ok {
			people = append(people, a.Person)
		}
	}
	return people
}

// queryCustomer serves vdian.crm.queryCustomerInfo with its personal fields
// encrypted. The names in its answer are invented: they are published nowhere.
func (s *weidian) queryCustomer(param weidianParams) (any, *weidianFault) {
	id := param.text("buyerId")
	if _, err := strconv.ParseInt(id, 10, 64); err != nil {
		return nil, &weidianFault{10019, "buyerId错误"}
	}
	account, ok := s.world.AccountByID(PlatformWeidian, id)
	if !ok {
		return map[string]any{}, nil
	}
	nick, phone, weixin := account.Nick, account.Phone, ""
	if err := s.seal(&nick, &phone, &weixin); err != nil {
		return nil, &weidianFault{10001, "系统错误"}
	}
	return map[string]any{"buyerId": account.number(), "noteName": nick, "telephone": phone, "weixin": weixin,
		"isMember": account.Member}, nil
}
