package endpoint

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		in     string
		kind   kind
		text   string
		format string
		data   string
	}{
		"select":                  {"SELECT 1", selects, "SELECT 1", "", ""},
		"comments before":         {"-- a\n/* b /* c */ */ select 1;", selects, "-- a\n/* b /* c */ */ select 1", "", ""},
		"format":                  {"SELECT 1 FORMAT JSON;", selects, "SELECT 1 ", "JSON", ""},
		"format and settings":     {"SELECT 1 FORMAT JSON SETTINGS max_threads = 1", selects, "SELECT 1  SETTINGS max_threads = 1", "JSON", ""},
		"format as a column":      {"SELECT format FROM x", selects, "SELECT format FROM x", "", ""},
		"format in a string":      {"SELECT 'x FORMAT JSON'", selects, "SELECT 'x FORMAT JSON'", "", ""},
		"format in brackets":      {"SELECT (SELECT 1 format JSON)", selects, "SELECT (SELECT 1 format JSON)", "", ""},
		"quote doubled":           {"SELECT 'it''s' FORMAT CSV", selects, "SELECT 'it''s' ", "CSV", ""},
		"quote escaped":           {`SELECT 'it\'s FORMAT CSV'`, selects, `SELECT 'it\'s FORMAT CSV'`, "", ""},
		"heredoc":                 {"SELECT $a$ ' $a$ FORMAT CSV", selects, "SELECT $a$ ' $a$ ", "CSV", ""},
		"insert of the driver":    {"INSERT INTO t (a, b) FORMAT Native", inserts, "INSERT INTO t (a, b) ", "Native", ""},
		"insert with data":        {"INSERT INTO t FORMAT CSV\n1,'FORMAT\n", inserts, "INSERT INTO t ", "CSV", "1,'FORMAT\n"},
		"insert with settings":    {"INSERT INTO t SETTINGS async_insert = 1 FORMAT CSV\n1", inserts, "INSERT INTO t SETTINGS async_insert = 1 ", "CSV", "1"},
		"insert, settings after":  {"INSERT INTO t FORMAT CSV SETTINGS a = 1, b = 'x'\n1", inserts, "INSERT INTO t  SETTINGS a = 1, b = 'x'", "CSV", "1"},
		"insert values":           {"INSERT INTO t VALUES (1)", valuesIn, "INSERT INTO t VALUES (1)", "", ""},
		"insert values to follow": {"INSERT INTO t VALUES", inserts, "INSERT INTO t ", "Values", ""},
		"insert select":           {"INSERT INTO t SELECT 1 FORMAT Null", valuesIn, "INSERT INTO t SELECT 1 FORMAT Null", "", ""},
		"insert select in ()":     {"INSERT INTO t (SELECT 1)", valuesIn, "INSERT INTO t (SELECT 1)", "", ""},
		"table named values":      {"INSERT INTO values FORMAT CSV\n1", inserts, "INSERT INTO values ", "CSV", "1"},
		"database.format":         {"INSERT INTO db.format FORMAT TSV\n1", inserts, "INSERT INTO db.format ", "TSV", "1"},
		"other":                   {"CREATE TABLE x (a Int8) ENGINE = Memory", other, "CREATE TABLE x (a Int8) ENGINE = Memory", "", ""},
		"kill":                    {"KILL QUERY WHERE query_id = 'a'", kills, "KILL QUERY WHERE query_id = 'a'", "", ""},
		"nothing":                 {"  -- x", other, "  -- x", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := parse(c.in)
			data := ""
			if s.kind == inserts {
				data = c.in[s.data:]
			}
			if s.kind != c.kind || s.text != c.text || s.format != c.format || data != c.data {
				t.Errorf("parse(%q) = kind %d, %q, format %q, data %q; want %d, %q, %q, %q", c.in, s.kind, s.text, s.format, data, c.kind, c.text, c.format, c.data)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	for statement, want := range map[string]string{
		"SYSTEM SHUTDOWN":                             "stops",
		"system /* */ shutdown":                       "stops",
		"SELECT 'system shutdown'":                    "",
		"SELECT 1 INTO OUTFILE 'x'":                   "writes",
		"SELECT ' INTO OUTFILE '":                     "",
		"SELECT 1; SELECT 2":                          "several",
		"SELECT 1;":                                   "",
		"SELECT ';'":                                  "",
		"INSERT INTO t VALUES (1); ":                  "",
		"CREATE TABLE a (b Int8) ENGINE = Memory; ; ": "",
	} {
		s, got := parse(statement), ""
		switch {
		case s.stopsServer():
			got = "stops"
		case s.writesFile():
			got = "writes"
		case s.several():
			got = "several"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", statement, got, want)
		}
	}
}

func TestKilledID(t *testing.T) {
	for statement, want := range map[string]string{
		"KILL QUERY WHERE query_id = 'a-1'":       "a-1",
		"kill query where query_id='a-1' async":   "a-1",
		"KILL QUERY WHERE query_id = 'a' OR 1":    "",
		"KILL QUERY WHERE 1":                      "",
		"KILL QUERY WHERE query_id != 'a'":        "",
		`KILL QUERY WHERE query_id = 'a\' OR 1 '`: "",
	} {
		if got, ok := parse(statement).killed(); ok != (want != "") || ok && got != want {
			t.Errorf("%q kills %q, %t; want %q", statement, got, ok, want)
		}
	}
}

// What the engine gets of a statement of BI.
func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"SELECT /* a /* b */ c */ 1 -- x\n,2":   "SELECT 1 ,2",
		"SELECT\u00a01\u3000AS\ta":              "SELECT 1 AS a",
		"INTO/**/OUTFILE":                       "INTO OUTFILE",
		"SELECT 1.5e-3, x'41', 'a\nb\\n', `订单`": "SELECT 1.5e-3, x'41', 'a\nb\\n', `订单`",
		"SELECT '-- /* ' /* ' */":               "SELECT '-- /* '",
		"  ":                                    "",
	} {
		if got, _, err := plain(in); err != nil || got != want {
			t.Errorf("plain(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"SELECT ‘ ' ’ INTO OUTFILE 'x'", "SELECT “x”", "SELECT $a$ ' $a$", "SELECT a$b", "SELECT 1 #x", "SELECT \\N", "SELECT 订单",
		"SELECT `a\nb`", "SELECT `a\\nb`", `SELECT "a\x0ab"`, "SELECT `a\x00`", "SELECT 'a\x00'", "SELECT 'a", "SELECT `a", `SELECT 'a\'`,
		"SELECT 1) UNION (SELECT 2", "SELECT (1", "SELECT −1",
	} {
		if got, _, err := plain(in); err == nil {
			t.Errorf("plain(%q) = %q, want it refused", in, got)
		}
	}
}

// Whatever the text: no panic, tokens in order and apart, the pieces of it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"SELECT 1 FORMAT JSON", "INSERT INTO t (a) FORMAT CSV\n1", "INSERT INTO t SETTINGS a=1 VALUES", "SELECT $a$x$a$", "SELECT '", "/*", "$$", "INSERT INTO t FORMAT CSV SETTINGS a = "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		end := 0
		for _, one := range tokens(text, 0) {
			if one.start < end || one.end <= one.start || one.end > len(text) || text[one.start:one.end] != one.text {
				t.Fatalf("token %+v of %q after %d", one, text, end)
			}
			end = one.end
		}
		s := parse(text)
		if s.data < 0 || s.data > len(text) {
			t.Fatalf("data of %q begin at %d", text, s.data)
		}
		_, _, _, _ = s.several(), s.stopsServer(), s.writesFile(), utf8.ValidString(s.text)
		_, _ = s.killed()
		once, words, err := plain(text)
		if err != nil {
			return
		}
		again, same, err := plain(once)
		if err != nil || again != once || len(same) != len(words) {
			t.Fatalf("%q is %q in plain, and that is %q, %v", text, once, again, err)
		}
		for i, one := range words {
			if once[one.start:one.end] != one.text || same[i].text != one.text {
				t.Fatalf("word %d of %q is %q, of %q %q", i, text, one.text, once, same[i].text)
			}
		}
	})
}

// The tree of a statement is text with names in it that an analyst chooses.
func FuzzCheckTree(f *testing.F) {
	fence := &fence{database: "oneid", functions: map[string]bool{"file": true}, scalars: map[string]bool{"file": true}}
	f.Add("SelectWithUnionQuery (children 1)\n Function file (children 1)\n")
	f.Add("SelectWithUnionQuery (children 1)\n  TableIdentifier system.processes (alias one)\n")
	f.Fuzz(func(t *testing.T, tree string) {
		err := fence.checkTree(tree)
		for line := range strings.Lines(tree) {
			node := strings.TrimLeft(strings.TrimSuffix(line, "\n"), " ")
			if err == nil && (node == "Function file" || node == "Identifier file" || strings.HasPrefix(node, "Function file (children ") || strings.HasPrefix(node, "TableIdentifier system.processes")) {
				t.Fatalf("%q was let through", tree)
			}
		}
	})
}
