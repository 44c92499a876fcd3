package normalize

import (
	"strings"
	"unicode/utf8"
)

// Town cuts the name of a town or a street office off the beginning of an
// address within a district: 三墩镇 and 演示路1号 of 三墩镇演示路1号. Platforms
// that have a field for it, and those that have none, then show the rest alike,
// and masks by place hide the same characters. Without one, town is empty.
func Town(detail string) (town, rest string) {
	const longest = 8 // characters before the ending
	n := 0
	for i, r := range detail {
		if r < utf8.RuneSelf || n > longest {
			break
		}
		if n > 0 {
			for _, end := range []string{"街道", "镇", "乡", "苏木"} {
				after, ok := strings.CutPrefix(detail[i:], end)
				if ok && !strings.HasPrefix(after, "路") && !strings.HasPrefix(after, "街") && !strings.HasPrefix(after, "大道") {
					return detail[:i+len(end)], after
				}
			}
		}
		n++
	}
	return "", detail
}
