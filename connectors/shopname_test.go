package connectors

import "testing"

func TestCheckShop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shop string
		good bool
	}{
		"as it is":           {"my-flagship", true},
		"Chinese":            {"示例旗舰店", true},
		"a number":           {"4463798", true},
		"a space within":     {"my shop", true},
		"a dot within":       {"my.shop", true},
		"nothing":            {"", false},
		"a space":            {" ", false},
		"a space at its end": {"my-flagship ", false},
		"a line break":       {"my\nflagship", false},
		"a tab":              {"my\tflagship", false},
		"of no width":        {"my-flagship\u200b", false},
		"another space":      {"my\u00a0flagship", false},
		"of a path":          {"..", false},
		"two":                {"a/b", false},
		"no UTF-8":           {"\xff", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := CheckShop(c.shop); (err == nil) != c.good {
				t.Errorf("CheckShop(%q) = %v", c.shop, err)
			}
		})
	}
}
