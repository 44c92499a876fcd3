package guess

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"oneid/identity/match"
	"oneid/identity/match/compare"
)

// maskedAccounts invents n people with an account on one platform to three,
// each of which hides other parts of a receiver, and says who each account is.
// One in fifteen has another phone, one in ten another address.
func maskedAccounts(seed uint64, n int) (table *match.Table, truth []int) {
	r := rand.New(rand.NewPCG(seed, 9))
	pick := func(letters string) string {
		list := []rune(letters)
		return string(list[r.IntN(len(list))])
	}
	districts := strings.Fields("浙江省杭州市西湖区 浙江省宁波市鄞州区 江苏省南京市鼓楼区 江苏省苏州市昆山市 广东省广州市天河区 广东省深圳市南山区 四川省成都市武侯区 湖北省武汉市洪山区 北京市朝阳区 上海市浦东新区 福建省厦门市思明区 山东省青岛市市南区")
	phone := func() string { return "1" + pick("3578") + fmt.Sprintf("%09d", r.IntN(1e9)) }
	home := func() [2]string {
		return [2]string{districts[r.IntN(len(districts))], pick("文中解人建科体学滨新") + pick("一山放民设技育院江华") + pick("东西南北中") + "路"}
	}
	table = match.NewTable([]string{"平台", "收货人", "手机", "地址"})
	for person := range n {
		name := pick("王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹") + pick("伟芳娜敏静丽强磊军洋勇艳") + pick("华红明玲志建国梅雪琳晨宇")
		number, place := phone(), home()
		letters := []rune(name)
		for platform := range 3 {
			if r.IntN(2) == 0 {
				continue
			}
			mine, where := number, place
			if r.IntN(15) == 0 {
				mine = phone()
			}
			if r.IntN(10) == 0 {
				where = home()
			}
			row := map[int][]string{
				0: {"天猫", string(letters[:1]) + "**", "*******" + mine[7:], where[0] + "***"},
				1: {"抖店", string(letters[:1]) + "**", "1********" + mine[9:], where[0] + where[1] + "***"},
				2: {"微店", "**" + string(letters[2:]), mine, where[0] + where[1] + fmt.Sprint(1+r.IntN(99)) + "号"},
			}[platform]
			if platform == 1 && r.IntN(3) > 0 {
				row[2] = mine[:3] + "****" + mine[7:]
			}
			table.Add(0, row)
			truth = append(truth, person)
		}
	}
	return table, truth
}

// TestAccountsThatAreMaskedInSeveralWays wants the digits counted that two masks
// show, and nothing held against masks that show nothing in one place.
func TestAccountsThatAreMaskedInSeveralWays(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		table, truth := maskedAccounts(seed, 1500)
		m, err := Model(table)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]compare.Kind{}
		for _, c := range m.Comparisons {
			kinds[c.Name] = c.Kind
		}
		if kinds["手机"] != compare.Phone || kinds["收货人"] != compare.ChineseName || kinds["地址"] != compare.ChineseAddress {
			t.Errorf("seed %d: compared as %v", seed, kinds)
		}
		result, err := match.Run(t.Context(), table, m, match.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found, right, all := 0.0, 0.0, 0.0
		for a := range truth {
			for b := range a {
				same, together := truth[a] == truth[b], result.Cluster[a] == result.Cluster[b]
				if same {
					all++
				}
				if together {
					found++
				}
				if same && together {
					right++
				}
			}
		}
		t.Logf("seed %d: precision %.3f, recall %.3f", seed, right/found, right/all)
		if right/found < 0.95 || right/all < 0.75 {
			t.Errorf("seed %d: precision %.3f, recall %.3f; want 0.95 and 0.75", seed, right/found, right/all)
		}
	}
}

// TestMaskedAccountsAreComparedAcrossPlatforms wants of accounts that are too many
// to compare all pairs rules that spend none on a platform: nobody has two accounts
// there, as only the learning shows.
func TestMaskedAccountsAreComparedAcrossPlatforms(t *testing.T) {
	t.Parallel()
	table, truth := maskedAccounts(5, 20_000)
	entities := make([]uint32, len(truth))
	all, size := 0.0, map[int]float64{}
	for i, person := range truth {
		entities[i] = uint32(person)
		all += size[person]
		size[person]++
	}
	m, err := Model(table)
	if err != nil {
		t.Fatal(err)
	}
	result, err := match.Run(t.Context(), table, m, match.Options{Truth: entities})
	if err != nil {
		t.Fatal(err)
	}
	digits := false
	for _, rule := range m.Blocking {
		digits = digits || slices.Contains(rule.Keys, "手机.last2")
		if slices.ContainsFunc(rule.Keys, func(key string) bool { return strings.HasPrefix(key, "平台") }) {
			t.Errorf("rule %s spends pairs on one platform", rule)
		}
	}
	if !slices.ContainsFunc(result.Warnings, func(w string) bool { return strings.Contains(w, `--link --source "平台"`) }) {
		t.Errorf("nobody is told to compare platforms with each other only: %q", result.Warnings)
	}
	recall := float64(result.TrueCandidates) / all
	t.Logf("%d records, %d pairs, recall of blocking %.3f", len(truth), result.Candidates, recall)
	if recall < 0.9 || !digits {
		t.Errorf("of the pairs of one person %.3f are compared, by %v; want 0.9, and two digits used where two are shown", recall, m.Blocking)
	}
}
