package normalize

import "testing"

func TestTown(t *testing.T) {
	for detail, want := range map[string][2]string{
		"三墩镇演示路1号":   {"三墩镇", "演示路1号"},
		"湖南路街道演示路1号": {"湖南路街道", "演示路1号"},
		"三墩镇演*路**号":  {"三墩镇", "演*路**号"},
		"演示路1号三墩镇":   {"", "演示路1号三墩镇"}, // behind a number
		"镇海路5号":      {"", "镇海路5号"},
		"乡村路5号":      {"", "乡村路5号"},
		"新镇路5号":      {"", "新镇路5号"}, // a road's name
		"":           {"", ""},
		"\xff镇":      {"\xff镇", ""},
		"一二三四五六七八九十镇某路": {"", "一二三四五六七八九十镇某路"},
	} {
		if town, rest := Town(detail); town != want[0] || rest != want[1] {
			t.Errorf("Town(%q) = %q, %q; want %q", detail, town, rest, want)
		}
	}
}
