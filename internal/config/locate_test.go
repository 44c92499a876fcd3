package config

import "testing"

func TestLocate(t *testing.T) {
	const file = "brand: a\nkafka:\n  sasl:\n    mechanism: plain\nshops:\n  - platform: tmall\n    shop: x\n  - platform: weidian\nlog: {level: loud}\n"
	for name, c := range map[string]struct {
		data, path   string
		line, column int
	}{
		"a key":                             {file, "brand", 1, 1},
		"a key below others":                {file, "kafka.sasl.mechanism", 4, 5},
		"a missing key has its parent's":    {file, "kafka.sasl.password_file", 3, 3},
		"a list's element":                  {file, "shops[1].shop", 8, 5},
		"an element that is not there":      {file, "shops[7]", 5, 1},
		"in braces":                         {file, "log.level", 9, 7},
		"one key alone":                     {"kafka:\n  partitions: -1\n", "kafka.partitions", 2, 3},
		"nothing of the path":               {file, "pull.every", 0, 0},
		"an empty file":                     {"", "brand", 0, 0},
		"what is no YAML":                   {"brand: [", "brand", 0, 0},
		"a path into a plain value":         {file, "brand.name", 1, 1},
		"an index that is no number":        {file, "shops.first", 5, 1},
		"a text that the library panics on": {"- :\n  -: [", "a", 0, 0},
	} {
		if line, column := Locate([]byte(c.data), c.path); line != c.line || column != c.column {
			t.Errorf("%s: Locate(%q) = %d:%d, want %d:%d", name, c.path, line, column, c.line, c.column)
		}
	}
}
