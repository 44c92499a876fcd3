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
//  3. The library's classifier must call the text one statement that leaves no
//     trace: no SET ROLE app, KILL, SYSTEM, BACKUP, INTO OUTFILE, two statements.
//  4. The parsed statement is looked through: no function that reads files or
//     reaches out (file('…') is a scalar function that no grant stops), no table
//     of other databases, no system table but those that describe what BI may see.
//  5. The operating system keeps the process to its folder (package chdb).
type fence struct {
	database string
	// without switches layers off, in tests: each must be needed.
	without layers
	// functions that are refused by name, in lower case.
	functions map[string]bool
}

type layers struct{ readonly, role, classifier, tree bool }

// biRole is the role that the configuration of the engine grants the views to.
const biRole = "bi"

// Functions that are no table functions and still read files, the process or
// other people's work.
var refusedFunctions = []string{
	"file", "catboostEvaluate", "addressToLine", "addressToLineWithInlines", "addressToSymbol", "getServerSetting", "getMacro",
	"getServerPort", "showCertificate", "filesystemAvailable", "filesystemCapacity", "filesystemUnreserved", "tcpPort", "meiliMatch",
	"logTrace", "transactionID", "transactionLatestSnapshot", "transactionOldestSnapshot", "naiveBayesClassifier",
}

// Table functions that read nothing but their arguments.
var allowedTableFunctions = []string{"numbers", "numbers_mt", "zeros", "zeros_mt", "values", "view", "null", "generate_series", "generateSeries", "primes"}

// System tables that describe the engine, or, filtered by role, the granted views.
var allowedSystemTables = map[string]bool{
	"one": true, "numbers": true, "numbers_mt": true, "zeros": true, "zeros_mt": true,
	"tables": true, "columns": true, "databases": true, "functions": true, "settings": true, "data_type_families": true,
	"aggregate_function_combinators": true, "table_functions": true, "table_engines": true, "formats": true, "keywords": true,
	"collations": true, "time_zones": true, "contributors": true, "licenses": true, "current_roles": true, "enabled_roles": true,
}

// Statements by the first node of their tree.
var allowedStatements = map[string]bool{
	"SelectWithUnionQuery": true, "SelectIntersectExceptQuery": true, "SelectQuery": true, "Explain": true,
	"ShowTables": true, "ShowColumns": true, "ShowFunctions": true, "ShowSetting": true, "ShowIndexes": true, "ShowEngineQuery": true,
	"DescribeQuery": true, "ShowCreateTableQuery": true, "ShowCreateViewQuery": true, "ShowCreateDatabaseQuery": true,
	"ExistsTableQuery": true, "ExistsViewQuery": true, "ExistsDatabaseQuery": true,
}

// newFence asks the engine which table functions it has: those that are not
// known to be harmless are refused, so a new version brings no hole.
func newFence(conn *libchdb.Conn, database string) (*fence, error) {
	names, _, err := conn.Query("SELECT name FROM system.table_functions", "TabSeparatedRaw", nil)
	if err != nil {
		return nil, fmt.Errorf("endpoint: ask for the names of table functions: %w", err)
	}
	f := &fence{database: database, functions: map[string]bool{}}
	for name := range strings.FieldsSeq(string(names)) {
		f.functions[strings.ToLower(name)] = true
	}
	for _, name := range allowedTableFunctions {
		delete(f.functions, strings.ToLower(name))
	}
	delete(f.functions, "format") // the scalar function of that name; as a table function it needs a privilege that BI lacks
	for _, name := range refusedFunctions {
		f.functions[strings.ToLower(name)] = true
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
	if err := s.fence.check(conn, q); err != nil {
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

// check is layers 3 and 4. Both parse with the connection that will run the
// statement, and run nothing.
func (f *fence) check(conn *libchdb.Conn, q *request) error {
	if !f.without.classifier {
		class, statements, err := conn.Classify(q.statement.text, f.database)
		switch {
		case err != nil:
			return err
		case class == libchdb.Unknown && statements == 0:
			return f.syntaxError(conn, q)
		case class != libchdb.ReadOnly:
			return refused("the statement writes, or changes settings, or controls the server")
		case statements != 1:
			return fail(62, "SYNTAX_ERROR", "Multi-statements are not allowed")
		}
	}
	if f.without.tree {
		return nil
	}
	tree, _, err := conn.Query("EXPLAIN AST "+q.statement.text, "TabSeparated", q.params)
	if err != nil {
		return err
	}
	return f.checkTree(string(tree))
}

// syntaxError gets the engine's own words for what does not parse.
func (f *fence) syntaxError(conn *libchdb.Conn, q *request) error {
	if _, _, err := conn.Query("EXPLAIN AST "+q.statement.text, "TabSeparated", q.params); err != nil {
		return err
	}
	return refused("the statement is of an unknown kind")
}

// checkTree reads the lines of EXPLAIN AST: one space of indentation a level,
// the kind of the node, its name, "(alias a)", "(children n)".
func (f *fence) checkTree(tree string) error {
	var parents []string // kinds of the nodes above, by depth
	for line := range strings.Lines(tree) {
		line = strings.TrimSuffix(line, "\n")
		node := strings.TrimLeft(line, " ")
		depth := min(len(line)-len(node), len(parents))
		kind, name, _ := strings.Cut(node, " ")
		name, _, _ = strings.Cut(name, " (alias ")
		name, _, _ = strings.Cut(name, " (children ")
		parent := ""
		if depth > 0 {
			parent = parents[depth-1]
		}
		if err := f.checkNode(depth, parent, kind, name); err != nil {
			return err
		}
		parents = append(parents[:depth], kind)
	}
	if len(parents) == 0 {
		return refused("the statement could not be looked through")
	}
	return nil
}

func (f *fence) checkNode(depth int, parent, kind, name string) error {
	if depth == 0 && !allowedStatements[kind] {
		return refused("statements of the kind %s", kind)
	}
	switch kind {
	case "Function":
		if f.functions[strings.ToLower(name)] {
			return refused("the function %s", name)
		}
		if parent == "TableExpression" && !allowedTable(name) {
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
	if !qualified {
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
