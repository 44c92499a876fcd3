package endpoint

import (
	"strings"

	"oneid/internal/embedded/chdb/libchdb"
)

// plain rewrites a statement so that the engine's lexer and ours must cut it
// alike: comments are gone, each gap is one space, and what the two might read
// differently is refused: quotes other than ' " `, $tag$ texts, # and letters
// beyond ASCII outside of quotes, text without its end. A name can hold neither
// a backslash nor a control character, which would break a line of the tree.
func plain(text string) (string, []token, error) {
	var out strings.Builder
	words := tokens(text, 0)
	end, open := 0, 0
	for i, t := range words {
		if i > 0 && t.start > end {
			out.WriteByte(' ')
		}
		end = t.end
		words[i].start = out.Len()
		out.WriteString(t.text)
		words[i].end = out.Len()
		switch t.text {
		case "(", "[", "{":
			open++
		case ")", "]", "}":
			open--
		}
		if open < 0 {
			return "", nil, fail(62, "SYNTAX_ERROR", "a bracket is closed that was not opened")
		}
		if err := t.plain(); err != nil {
			return "", nil, err
		}
	}
	if open != 0 {
		return "", nil, fail(62, "SYNTAX_ERROR", "a bracket is not closed")
	}
	return out.String(), words, nil
}

// plain says what is wrong with a token.
func (t token) plain() error {
	switch c := t.text[0]; {
	case c == '\'', c == '"', c == '`':
		if len(t.text) < 2 || skipQuoted(t.text+" ", 0) != len(t.text) {
			return fail(62, "SYNTAX_ERROR", "a quoted text is not closed")
		}
		for _, b := range []byte(t.text) {
			if b == 0x7f || b < ' ' && (c != '\'' || b != '\n' && b != '\r' && b != '\t') {
				return refused("control characters in quotes: write \\n or char(…)")
			}
		}
		if c != '\'' && strings.Contains(t.text, `\`) {
			return refused("backslashes in names")
		}
	case isWord(c):
		if strings.Contains(t.text, "$") {
			return refused("$ in names without quotes")
		}
	case !strings.Contains("()[]{},.;:=<>!+-*/%|&^?@~", t.text):
		return refused("%q outside of quotes: quote names with backquotes, texts with '", t.text)
	}
	return nil
}

// name returns the identifier that a token is, bare or quoted.
func (t token) name() (string, bool) {
	switch {
	case t.word:
		return t.text, true
	case t.text[0] == '`', t.text[0] == '"':
		quote := t.text[:1]
		return strings.ReplaceAll(t.text[1:len(t.text)-1], quote+quote, quote), true
	}
	return "", false
}

// checkText is layer 3, which looks at words alone, and so at all of them: the
// tree does not show every part of a statement. It leaves the statement in the
// form that was looked at, and returns that whose tree is to be looked at.
func (f *fence) checkText(q *request) (inner string, err error) {
	if f.without.text {
		return q.statement.text, nil
	}
	text, words, err := plain(q.statement.text)
	if err != nil {
		return "", err
	}
	if len(words) == 0 {
		return "", fail(62, "SYNTAX_ERROR", "Empty query")
	}
	q.statement.text = text
	for i, t := range words {
		if t.text == ";" {
			return "", fail(62, "SYNTAX_ERROR", "Multi-statements are not allowed")
		}
		if t.is("outfile") || t.is("infile") {
			return "", fail(358, "INTO_OUTFILE_NOT_ALLOWED", "%s is not allowed: read the result and write it (a column of that name needs quotes)", strings.ToUpper(t.text))
		}
		if name, ok := t.name(); ok {
			if err := f.checkWord(name, words, i); err != nil {
				return "", err
			}
		}
		if t.text == "{" {
			if err := f.checkParam(words[i:], q.params); err != nil {
				return "", err
			}
		}
	}
	switch first := words[0]; {
	case first.is("select"), first.is("with"), first.is("from"), first.text == "(", first.is("describe"), first.is("desc"), first.is("exists"):
		return text, nil
	case first.is("show"):
		return text, checkShow(words)
	case first.is("explain"):
		rest := words[1:]
		if len(rest) > 0 && (rest[0].is("plan") || rest[0].is("pipeline") || rest[0].is("syntax") || rest[0].is("ast")) {
			rest = rest[1:]
		}
		if len(rest) > 0 && (rest[0].is("select") || rest[0].is("with") || rest[0].text == "(") {
			return text[rest[0].start:], nil
		}
		return "", refused("EXPLAIN in other forms than EXPLAIN [PLAN | PIPELINE | SYNTAX | AST] SELECT …")
	}
	return "", refused("statements other than SELECT, WITH, SHOW, DESCRIBE, EXISTS and EXPLAIN")
}

// checkWord looks at one name among the words. What is refused may stand as an
// alias, AS file, but then not be used: arrayMap(file, …) calls the function.
func (f *fence) checkWord(name string, words []token, i int) error {
	next := ""
	if i+1 < len(words) {
		next = words[i+1].text
	}
	lower := strings.ToLower(name)
	switch {
	case next == "(" && f.functions[lower]:
		return refused("the function %s", name)
	case i > 0 && words[i-1].is("as") && next != "(":
	case f.scalars[lower]:
		return refused("the function %s (a column of that name needs another)", name)
	case pathColumns[lower]:
		return refused("the column %s", name)
	case lower == "system" && next == "." && i+2 < len(words):
		if table, ok := words[i+2].name(); ok && !allowedSystemTables[table] {
			return refused("the table system.%s", table)
		}
	}
	return nil
}

// checkParam looks at {name:Identifier}, whose value becomes a name.
func (f *fence) checkParam(words []token, params []libchdb.Param) error {
	if len(words) < 5 || words[2].text != ":" || !words[3].is("identifier") {
		return nil
	}
	for _, p := range params {
		if p.Name != words[1].text {
			continue
		}
		for _, r := range p.Value {
			if r < ' ' || r == 0x7f || r == '\\' || r == '`' || r == '"' {
				return refused("control characters, quotes and backslashes in the name {%s:Identifier}", p.Name)
			}
		}
		if lower := strings.ToLower(p.Value); f.functions[lower] || f.scalars[lower] || pathColumns[lower] {
			return refused("the name %s", p.Value)
		}
	}
	return nil
}

// What SHOW may show.
var allowedShows = map[string]bool{
	"tables": true, "databases": true, "columns": true, "fields": true, "create": true, "index": true, "indexes": true, "indices": true,
	"keys": true, "functions": true, "setting": true, "settings": true, "engines": true,
}

// checkShow takes the forms of SHOW without an expression, and without quotes
// in quotes: the engine makes the text of a SELECT of SHOW, of which the tree
// shows nothing. In SHOW TABLES WHERE file(…) = ” it calls the function.
func checkShow(words []token) error {
	what := 1
	for what < len(words) && (words[what].is("full") || words[what].is("extended") || words[what].is("changed")) {
		what++
	}
	if what >= len(words) || !allowedShows[strings.ToLower(words[what].text)] {
		return refused("SHOW of anything but TABLES, DATABASES, COLUMNS, CREATE, INDEX, FUNCTIONS, SETTINGS and ENGINES")
	}
	for _, t := range words[what:] {
		name, isName := t.name()
		switch {
		case t.is("where"):
			return refused("SHOW … WHERE: use LIKE, or SELECT from system.tables and system.columns")
		case t.text[0] == '\'':
			name = t.text[1 : len(t.text)-1]
		case isName, t.text == ".", t.text == "=", isDigit(t.text[0]):
		default:
			return refused("%s in SHOW", t.text)
		}
		if strings.ContainsAny(name, "'\"`\\") {
			return refused("quotes and backslashes within quotes in SHOW")
		}
	}
	return nil
}
