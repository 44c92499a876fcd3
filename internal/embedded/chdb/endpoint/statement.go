package endpoint

import (
	"strings"
	"unicode/utf8"
)

// token is a piece of a statement that carries meaning: a word, a quoted text,
// a number or a sign. Spaces and comments are not tokens.
type token struct {
	text       string // as written, quotes included
	start, end int    // bytes in the statement
	word       bool   // a bare word, so perhaps a keyword
	depth      int    // how many brackets are open around it
}

func (t token) is(keyword string) bool { return t.word && strings.EqualFold(t.text, keyword) }

// tokens cuts a statement as ClickHouse's lexer does, as far as needed to find
// keywords: 'text' and "name" and `name` with backslash and doubled quotes,
// $tag$text$tag$, -- and # and /* nested */ comments. It stops after limit
// tokens (0: never) and never fails: an open quote or comment ends with the text.
func tokens(text string, limit int) []token {
	var out []token
	depth, open := 0, 0
	for i := 0; i < len(text) && (limit == 0 || len(out) < limit); {
		start := i
		c := text[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v' || c == 0:
			i++
			continue
		case strings.HasPrefix(text[i:], "--"), strings.HasPrefix(text[i:], "# "), strings.HasPrefix(text[i:], "#!"):
			i = skipLine(text, i)
			continue
		case strings.HasPrefix(text[i:], "/*"):
			i = skipComment(text, i)
			continue
		case c == '\'' || c == '"' || c == '`':
			i = skipQuoted(text, i)
		case c == '$' && open < maxOpen:
			if i = skipHeredoc(text, i); i == start+1 {
				open++
			}
		case isWord(c):
			for i < len(text) && (isWord(text[i]) || text[i] == '$') {
				i++
			}
			out = append(out, token{text[start:i], start, i, !isDigit(c), depth})
			continue
		case c == '(' || c == '[' || c == '{':
			depth++
			i++
			out = append(out, token{text[start:i], start, i, false, depth - 1})
			continue
		case c == ')' || c == ']' || c == '}':
			depth = max(0, depth-1)
			i++
		default:
			_, size := utf8.DecodeRuneInString(text[i:])
			if r, _ := utf8.DecodeRuneInString(text[i:]); isSpaceRune(r) {
				i += size
				continue
			}
			i += size
		}
		out = append(out, token{text[start:i], start, i, false, depth})
	}
	return out
}

// maxOpen bounds the searches for the end of a $tag$ that has none, each of
// which reads the rest of the text. The engine takes no such text anyway.
const maxOpen = 16

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWord(c byte) bool {
	return c == '_' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isSpaceRune names the spaces beyond ASCII that the engine's lexer passes over.
func isSpaceRune(r rune) bool {
	switch r {
	case '\u00a0', '\u1680', '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', '\ufeff', '\u180e', '\u2060':
		return true
	}
	return r >= '\u2000' && r <= '\u200d'
}

func skipLine(text string, i int) int {
	if end := strings.IndexByte(text[i:], '\n'); end >= 0 {
		return i + end + 1
	}
	return len(text)
}

func skipComment(text string, i int) int {
	for depth := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(text[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(text)
}

func skipQuoted(text string, i int) int {
	quote := text[i]
	for i++; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return len(text)
}

func skipHeredoc(text string, i int) int {
	tag := i + 1
	for tag < len(text) && isWord(text[tag]) {
		tag++
	}
	if tag >= len(text) || text[tag] != '$' {
		return i + 1
	}
	tag++
	if end := strings.Index(text[tag:], text[i:tag]); end >= 0 {
		return tag + end + tag - i
	}
	return i + 1
}

// kind is what the endpoint has to know of a statement.
type kind int

const (
	other    kind = iota // run it, return what it returns
	selects              // rows, which may be streamed
	inserts              // INSERT whose rows follow in a format
	valuesIn             // INSERT with VALUES or SELECT in its text
	kills                // KILL QUERY
)

// statement is a parsed request: the text to run and what follows it.
type statement struct {
	kind   kind
	text   string // without FORMAT and without data
	format string // as asked in the text, or ""
	data   int    // where the data of an INSERT begin in the original text
	words  []token
}

// parse finds the kind of a statement, its FORMAT and where its data begin.
// For an INSERT only the head of the text is needed.
func parse(text string) statement {
	first := tokens(text, 1)
	if len(first) == 0 {
		return statement{text: text}
	}
	switch {
	case first[0].is("insert"):
		return parseInsert(text)
	case first[0].is("select"), first[0].is("with"), first[0].text == "(":
		s := parseFormat(text)
		s.kind = selects
		return s
	}
	s := parseFormat(text)
	if first[0].is("kill") && len(s.words) > 1 && s.words[1].is("query") {
		s.kind = kills
	}
	return s
}

// parseInsert looks for the word that ends an INSERT's head. After VALUES and
// FORMAT come data, which must not be taken for SQL.
func parseInsert(text string) statement {
	words := tokens(text, 4096)
	for i, t := range words {
		if t.depth != 0 || i < 2 || !t.word || words[i-1].text == "." || words[i-1].is("table") || words[i-1].is("into") {
			continue
		}
		switch {
		case t.is("values"):
			if rest := text[t.end:]; strings.TrimSpace(strings.TrimRight(rest, "; \n\t\r")) == "" {
				return statement{kind: inserts, text: text[:t.start], format: "Values", data: len(text), words: words}
			}
			return statement{kind: valuesIn, text: text, words: words}
		case t.is("select"), t.is("with"), t.is("watch"), t.is("from"):
			return statement{kind: valuesIn, text: text, words: words}
		case t.is("format") && i+1 < len(words) && words[i+1].word:
			format := words[i+1]
			data := format.end
			head := text[:t.start]
			if i+2 < len(words) && words[i+2].is("settings") && strings.TrimSpace(text[format.end:words[i+2].start]) == "" {
				settings := settingsEnd(words[i+2:])
				head += " " + text[words[i+2].start:settings]
				data = settings
			}
			return statement{kind: inserts, text: head, format: format.text, data: skipToData(text, data), words: words}
		}
	}
	if strings.Contains(text, "(") && len(words) > 2 { // INSERT INTO t (SELECT …)
		for i, t := range words {
			if t.depth == 1 && (t.is("select") || t.is("with")) && words[i-1].text == "(" {
				return statement{kind: valuesIn, text: text, words: words}
			}
		}
	}
	return statement{kind: inserts, text: strings.TrimRight(text, "; \n\t\r"), format: "Values", data: len(text), words: words}
}

// settingsEnd returns where "SETTINGS a = 1, b = 'x'" ends.
func settingsEnd(words []token) int {
	end := words[0].end
	for i := 1; i+2 < len(words); i += 4 {
		if !words[i].word || words[i+1].text != "=" {
			break
		}
		end = words[i+2].end
		if i+3 >= len(words) || words[i+3].text != "," {
			break
		}
	}
	return end
}

// skipToData passes the one separator that ClickHouse allows between the name
// of the format and the data: spaces up to and with one line end, or a semicolon.
func skipToData(text string, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\f') {
		i++
	}
	if i < len(text) && text[i] == ';' {
		i++
	}
	if i < len(text) && text[i] == '\r' {
		i++
	}
	if i < len(text) && text[i] == '\n' {
		i++
	}
	return i
}

// parseFormat cuts "FORMAT name" off the end of a statement, also when SETTINGS follow.
func parseFormat(text string) statement {
	words := tokens(text, 0)
	n := len(words)
	for n > 0 && words[n-1].text == ";" {
		n--
	}
	s := statement{text: text, words: words[:n]}
	if n > 0 {
		s.text = text[:words[n-1].end]
	}
	for i := n - 2; i > 0; i-- {
		if words[i].depth != 0 || !words[i].is("format") || !words[i+1].word {
			continue
		}
		before := words[i-1]
		if before.text == "," || before.text == "." || before.is("as") || before.is("select") {
			continue
		}
		switch {
		case i+2 == n:
			s.text, s.format = text[:words[i].start], words[i+1].text
			s.words = words[:i]
		case i+2 < n && words[i+2].is("settings"):
			s.text = text[:words[i].start] + " " + text[words[i+2].start:words[n-1].end]
			s.format = words[i+1].text
		}
		break
	}
	return s
}

// several reports whether there is more than one statement. The data of an
// INSERT are not looked at.
func (s statement) several() bool {
	if s.kind == inserts || s.kind == valuesIn {
		return false
	}
	for _, t := range s.words {
		if t.text == ";" {
			return true
		}
	}
	return false
}

// stopsServer reports whether the statement would end the process: SYSTEM
// SHUTDOWN sends a signal to the whole process group.
func (s statement) stopsServer() bool {
	for i := 1; i < len(s.words); i++ {
		if s.words[i-1].is("system") && (s.words[i].is("shutdown") || s.words[i].is("kill")) {
			return true
		}
	}
	return false
}

// writesFile reports whether the library would write the result to a file.
func (s statement) writesFile() bool {
	for i := 1; i < len(s.words); i++ {
		if s.words[i-1].is("into") && s.words[i].is("outfile") {
			return true
		}
	}
	return false
}

// killed returns the query id of KILL QUERY WHERE query_id = '…' [SYNC|ASYNC].
func (s statement) killed() (id string, ok bool) {
	w := s.words
	if len(w) < 6 || len(w) > 7 || !w[2].is("where") || !w[3].is("query_id") || w[4].text != "=" || len(w[5].text) < 2 || w[5].text[0] != '\'' {
		return "", false
	}
	if len(w) == 7 && !w[6].is("sync") && !w[6].is("async") {
		return "", false
	}
	id = w[5].text[1 : len(w[5].text)-1]
	return id, !strings.ContainsAny(id, `\'`)
}
