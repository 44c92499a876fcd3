package endpoint

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"oneid/internal/embedded/chdb/libchdb"
)

// The fence around BI. Each layer stops what those before it let through:
//
//  1. The connection is opened with readonly=1 and limits of time, memory and
//     threads: no INSERT, DDL, change of settings, table functions that reach out.
//  2. SET ROLE bi is the first statement: only granted views can be read.
//  3. The text is rewritten and its words are looked at (text.go), before the
//     engine sees any of it: no OUTFILE, no function that reads files or reaches
//     out, by call or by name (file('…') and arrayMap(file, …): a scalar function
//     that no grant stops), no SHOW with an expression.
//  4. The library's classifier must call the text one statement that leaves no
//     trace: no SET ROLE app, KILL, SYSTEM, BACKUP, INTO OUTFILE, two statements.
//  5. The parsed statement is looked through: again no such function, no table
//     of other databases, no system table but those that describe what BI may
//     see, and of these no column that tells paths.
//  6. The operating system keeps the process to its folder (package chdb).
type fence struct {
	database string
	// without switches layers off, in tests: each must be needed.
	without layers
	// functions that are refused by call, in lower case; scalars those of them
	// that another function may call by their name alone.
	functions, scalars map[string]bool
}

type layers struct{ readonly, role, text, classifier, tree bool }

// biRole is the role that the configuration of the engine grants the views to.
const biRole = "bi"

// Functions that are no table functions and still read files, the process, the
// machine or other people's work. Those of refusedCategories come to them, the
// engine's internal ones (__getScalar …), and all that are aliases of one.
var refusedFunctions = []string{
	"file", "catboostEvaluate", "addressToLine", "addressToLineWithInlines", "addressToSymbol", "getServerSetting", "getMacro",
	"getServerPort", "showCertificate", "filesystemAvailable", "filesystemCapacity", "filesystemUnreserved", "tcpPort", "meiliMatch",
	"logTrace", "transactionID", "transactionLatestSnapshot", "transactionOldestSnapshot", "naiveBayesClassifier", "demangle",
	"hostName", "FQDN", "buildId", "uptime", "serverUUID", "zookeeperSessionUptime", "getOSKernelVersion", "getMergeTreeSetting", "hasThreadFuzzer",
	"evalMLMethod", "generateSerialID",
}

// refusedCategories of scalar functions: those that look into the process, load
// a model from a file, or ask a service for an answer.
const refusedCategories = "'Introspection', 'Machine Learning', 'AI', 'Embedded Dictionary'"

// Table functions that read nothing but their arguments.
var allowedTableFunctions = []string{"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "view", "null", "generate_series", "generateSeries", "primes"}

// System tables that describe the engine, or, filtered by role, the granted views.
var allowedSystemTables = map[string]bool{
	"one": true, "numbers": true, "numbers_mt": true, "zeros": true, "zeros_mt": true,
	"tables": true, "columns": true, "databases": true, "functions": true, "settings": true, "data_type_families": true,
	"aggregate_function_combinators": true, "table_functions": true, "table_engines": true, "formats": true, "keywords": true,
	"collations": true, "time_zones": true, "contributors": true, "licenses": true, "current_roles": true, "enabled_roles": true,
}

// Columns of those that tell where the engine's files are; pathTables have one.
var (
	pathColumns = map[string]bool{"data_path": true, "data_paths": true, "metadata_path": true}
	pathTables  = map[string]bool{"system.databases": true, "system.tables": true}
)

// Statements by the first node of their tree.
var allowedStatements = map[string]bool{
	"SelectWithUnionQuery": true, "SelectIntersectExceptQuery": true, "SelectQuery": true,
	"ShowTables": true, "ShowColumns": true, "ShowFunctions": true, "ShowSetting": true, "ShowIndexes": true, "ShowEngineQuery": true,
	"DescribeQuery": true, "ShowCreateTableQuery": true, "ShowCreateViewQuery": true, "ShowCreateDatabaseQuery": true,
	"ExistsTableQuery": true, "ExistsViewQuery": true, "ExistsDatabaseQuery": true,
}

// newFence asks the engine which functions it has: table functions that are not
// known to be harmless are refused, so a new version brings no hole.
func newFence(conn *libchdb.Conn, database string) (*fence, error) {
	f := &fence{database: database, functions: map[string]bool{}, scalars: map[string]bool{}}
	names, _, err := conn.Query("SELECT name FROM system.table_functions", "TabSeparatedRaw", nil)
	if err != nil {
		return nil, fmt.Errorf("endpoint: ask for the names of table functions: %w", err)
	}
	for name := range strings.FieldsSeq(string(names)) {
		f.functions[strings.ToLower(name)] = true
	}
	for _, name := range allowedTableFunctions {
		delete(f.functions, strings.ToLower(name))
	}
	delete(f.functions, "format") // the scalar function of that name; as a table function it needs a privilege that BI lacks
	for _, name := range refusedFunctions {
		f.scalars[strings.ToLower(name)] = true
	}
	names, _, err = conn.Query("SELECT name, alias_to, startsWith(name, '__') OR NOT is_aggregate AND categories IN ("+refusedCategories+") FROM system.functions ORDER BY alias_to != ''", "TabSeparatedRaw", nil)
	if err != nil {
		return nil, fmt.Errorf("endpoint: ask for the names of functions: %w", err)
	}
	for line := range strings.Lines(string(names)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			return nil, fmt.Errorf("endpoint: the engine answers %q for the name of a function", line)
		}
		if fields[2] == "1" || f.scalars[strings.ToLower(fields[1])] {
			f.scalars[strings.ToLower(fields[0])] = true
		}
	}
	for name := range f.scalars {
		f.functions[name] = true
	}
	return f, nil
}

// arguments of a BI connection: layer 1.
func (s *Server) biArguments(mark string, limit time.Duration) []string {
	if s.fence.without.readonly {
		return s.arguments("--log_comment=" + mark)
	}
	return s.arguments(
		"--log_comment="+mark,
		"--max_execution_time="+strconv.Itoa(max(1, int(limit.Seconds()))),
		"--max_memory_usage="+strconv.FormatUint(s.config.BIMemory, 10),
		"--max_threads="+strconv.Itoa(s.config.BIThreads),
		"--readonly=1",
	)
}

// serveBI runs one request of BI.
func (s *Server) serveBI(w http.ResponseWriter, r *http.Request) {
	q, err := readRequest(r, headSize)
	if q == nil {
		q = &request{}
	}
	a := s.newAnswer(w, q)
	if err == nil {
		err = s.runBI(r.Context(), q, a)
	}
	finish(a, err, s.version)
}

func (s *Server) runBI(ctx context.Context, q *request, a *answer) error {
	if strings.TrimSpace(q.statement.text) == "" {
		return fail(62, "SYNTAX_ERROR", "Empty query")
	}
	if q.statement.kind == kills {
		id, ok := q.statement.killed()
		if !ok {
			return refused("KILL QUERY is taken in one form, KILL QUERY WHERE query_id = '…'")
		}
		s.killByID(s.config.BIUser, id)
		return nil
	}
	if q.database != "" && q.database != s.config.Database && q.database != "default" {
		return fail(81, "UNKNOWN_DATABASE", "Database %s does not exist, or is not for this user", quoteName(q.database))
	}
	inner, err := s.fence.checkText(q)
	if err != nil {
		return err
	}
	limit := q.limit(s.config.BITime)
	if err := s.bi.enter(ctx); err != nil {
		return err
	}
	defer s.bi.leave()
	conn, mark, release, err := s.biConn(ctx, q, limit)
	if err != nil {
		return err
	}
	defer release()
	if err := s.fence.check(conn, q, inner); err != nil {
		return err
	}
	defer s.start(ctx, &run{user: s.config.BIUser, queryID: q.queryID, mark: mark})()
	return s.execute(ctx, conn, q, a)
}

// limit is the time that the client asked for, if that is less. All other
// settings of a client are dropped: readonly=1 would refuse the statement.
func (q *request) limit(most time.Duration) time.Duration {
	for _, one := range q.settings {
		if one.name != "max_execution_time" {
			continue
		}
		if seconds, err := strconv.ParseFloat(one.value, 64); err == nil && seconds > 0 && seconds < most.Seconds() {
			return time.Duration(seconds * float64(time.Second))
		}
	}
	return most
}

// biConn opens a connection inside layers 1 and 2. Its mark is set at its
// opening, because no setting can be changed later.
func (s *Server) biConn(ctx context.Context, q *request, limit time.Duration) (*libchdb.Conn, string, func(), error) {
	mark := "oneid-bi-" + rand.Text()
	if q.session != "" {
		mark = "oneid-bi-session-" + q.session
	}
	open := func() (*libchdb.Conn, error) {
		conn, err := s.config.Library.Connect(s.biArguments(mark, limit))
		if err != nil {
			return nil, err
		}
		if !s.fence.without.role {
			if _, _, err := conn.Query("SET ROLE "+biRole, "Null", nil); err != nil {
				conn.Close()
				return nil, err
			}
		}
		if err := use(conn, s.config.Database); err != nil {
			conn.Close()
			return nil, err
		}
		return conn, nil
	}
	if q.session != "" {
		if !settingName.MatchString(strings.ReplaceAll("s"+q.session, "-", "_")) {
			return nil, "", nil, fail(36, "BAD_ARGUMENTS", "session_id may have letters, digits, dots, hyphens and underscores")
		}
		conn, release, err := s.sessions.take(ctx, s.config.BIUser+"/"+q.session, q.sessionTimeout, q.sessionCheck, open)
		return conn, mark, release, err
	}
	conn, err := open()
	if err != nil {
		return nil, "", nil, err
	}
	return conn, mark, conn.Close, nil
}

func refused(format string, arguments ...any) error {
	return fail(497, "ACCESS_DENIED", "Not allowed for this user: "+format, arguments...)
}

// check is layers 4 and 5, with the connection that will run the statement.
// inner is what checkText returned.
func (f *fence) check(conn *libchdb.Conn, q *request, inner string) error {
	if !f.without.classifier {
		class, statements, err := conn.Classify(q.statement.text, f.database)
		switch {
		case err != nil:
			return err
		case class == libchdb.Unknown && statements == 0:
			return syntaxError(conn, q.statement.text)
		case class != libchdb.ReadOnly:
			return refused("the statement writes, or changes settings, or controls the server")
		case statements != 1:
			return fail(62, "SYNTAX_ERROR", "Multi-statements are not allowed")
		}
	}
	if f.without.tree {
		return nil
	}
	// In brackets no clause can end up as EXPLAIN's own: its output goes to a
	// file with INTO OUTFILE, which the library itself writes.
	tree, _, err := conn.Query("EXPLAIN AST ("+inner+"\n)", "TabSeparated", q.params)
	if err != nil {
		return err
	}
	return f.checkTree(string(tree))
}

// syntaxError gets the engine's own words for what does not parse. The text is
// an argument here, no statement.
func syntaxError(conn *libchdb.Conn, text string) error {
	_, _, err := conn.Query("SELECT formatQuerySingleLine("+quoteText(text)+") FORMAT Null", "Null", nil)
	if err == nil {
		return refused("the statement is of an unknown kind")
	}
	e := asException(err)
	if words, _, cut := strings.Cut(e.text, ": In scope SELECT formatQuery"); cut {
		e.text = words + ". (SYNTAX_ERROR)"
	}
	return e
}

// node is a line of EXPLAIN AST.
type node struct{ kind, name string }

// checkTree reads the lines of EXPLAIN AST: one space of indentation a level,
// the kind of the node, its name, "(alias a)", "(children n)".
func (f *fence) checkTree(tree string) error {
	var above []node // by depth
	all, paths := "", false
	for line := range strings.Lines(tree) {
		line = strings.TrimSuffix(line, "\n")
		text := strings.TrimLeft(line, " ")
		depth := min(len(line)-len(text), len(above))
		kind, name, _ := strings.Cut(text, " ")
		name, _, _ = strings.Cut(name, " (alias ")
		name, _, _ = strings.Cut(name, " (children ")
		above = above[:depth]
		if err := f.checkNode(above, kind, name); err != nil {
			return err
		}
		paths = paths || kind == "TableIdentifier" && pathTables[strings.ToLower(name)]
		if takesAll(above, kind) {
			all = kind
		}
		above = append(above, node{kind, name})
	}
	if len(above) == 0 {
		return refused("the statement could not be looked through")
	}
	if paths && all != "" {
		return refused("*, COLUMNS(…) and lists of new names for columns together with system.databases or system.tables: name the columns")
	}
	return nil
}

// takesAll reports whether a node stands for columns that are not named. The
// star of count(*) does not.
func takesAll(above []node, kind string) bool {
	up := func(n int) node {
		if n > len(above) {
			return node{}
		}
		return above[len(above)-n]
	}
	switch kind {
	case "Asterisk":
		return up(1).kind != "ExpressionList" || up(2).kind != "Function" || !strings.EqualFold(up(2).name, "count")
	case "ExpressionList":
		return up(1).kind == "TableExpression"
	}
	return strings.HasPrefix(kind, "QualifiedAsterisk") || strings.HasSuffix(kind, "Matcher")
}

func (f *fence) checkNode(above []node, kind, name string) error {
	if len(above) == 0 && !allowedStatements[kind] {
		return refused("statements of the kind %s", kind)
	}
	switch kind {
	case "Literal":
		if len(above) == 1 { // of the statement itself: the name of a file for its output
			return refused("INTO OUTFILE")
		}
	case "Function":
		if f.functions[strings.ToLower(name)] {
			return refused("the function %s", name)
		}
		if len(above) > 0 && above[len(above)-1].kind == "TableExpression" && !allowedTable(name) {
			return refused("the table function %s", name)
		}
	case "TableIdentifier", "Identifier":
		return f.checkName(kind, name)
	case "ColumnsApplyTransformer": // its function is not shown
		return refused("APPLY: name the columns")
	case "SetQuery", "Set":
		return refused("SETTINGS")
	}
	return nil
}

func allowedTable(name string) bool {
	for _, one := range allowedTableFunctions {
		if strings.EqualFold(one, name) {
			return true
		}
	}
	return false
}

// checkName looks at "database.table" and at "table", which is one of the
// current database; an Identifier may also be a column, of which only the
// system's and the file system's tables matter: x IN system.processes.
func (f *fence) checkName(kind, name string) error {
	database, rest, qualified := strings.Cut(name, ".")
	last := strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	switch {
	case kind == "Identifier" && pathColumns[last]:
		return refused("the column %s", last)
	case kind == "Identifier" && pathTables[strings.ToLower(name)]: // … IN system.tables compares all columns
		return refused("%s other than after FROM", name)
	case !qualified && kind == "Identifier" && f.scalars[last]: // arrayMap(file, …)
		return refused("the function %s (a column of that name needs another)", name)
	case !qualified:
		return nil
	}
	switch {
	case strings.EqualFold(database, "system"):
		table, _, _ := strings.Cut(rest, ".")
		if !allowedSystemTables[table] {
			return refused("the table system.%s", table)
		}
	case strings.EqualFold(database, "information_schema"), database == f.database:
	case kind == "TableIdentifier", database == "default":
		return refused("the database %s", quoteName(database))
	}
	return nil
}
