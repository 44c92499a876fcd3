package connectors

import "testing"

func TestWord(t *testing.T) {
	t.Parallel()
	want := Word("买家已付款,等待卖家发货")
	for name, word := range map[string]string{
		"full-width":       "买家已付款，等待卖家发货",
		"a blank":          "买家已付款, 等待卖家发货",
		"a blank of China": "买家已付款，　等待卖家发货",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Word(word); got != want {
				t.Errorf("Word(%q) = %q, want %q", word, got, want)
			}
		})
	}
}

// What a buyer wrote by hand is none of a list's choices: it may hold a phone or an
// address, and BI reads what is kept.
func TestChoice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		kept bool
	}{
		"short":                {"其他", true},
		"with a slash":         {"拍错/不想要", true},
		"days":                 {"7天无理由退换货", true},
		"the longest":          {"商品描述的尺寸/颜色/型号与实物不符", true},
		"hours":                {"未按约定48小时内发货", true},
		"nothing":              {"", true},
		"a phone":              {"请打13800001111", false},
		"a phone with dashes":  {"请打138-0000-1111", false},
		"a phone, full-width":  {"请打１３８００００１１１１", false},
		"a short number":       {"转55512", false},
		"an e-mail address":    {"写给a@example.com", false},
		"an address":           {"寄到示例区示例路1号", false},
		"a phone with dots":    {"请打138.0000.1111", false},
		"long dashes":          {"请打138 — 0000 — 1111", false},
		"numerals of words":    {"寄到示例区示例路一号", false},
		"a choice with a word": {"一件未发货", true},
		"an address, in words": {"江苏省南京市示例街道示例花园8幢", false},
		"lines":                {"不想要\n退款", false},
		"a story":              {"我买的时候客服说三天到货结果等了一个星期都没有人理我所以不想要了请退款", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := c.text
			if !c.kept {
				want = ""
			}
			if got := Choice(c.text); got != want {
				t.Errorf("Choice(%q) = %q, want %q", c.text, got, want)
			}
		})
	}
}
