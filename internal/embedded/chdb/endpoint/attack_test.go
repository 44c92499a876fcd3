package endpoint

import (
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files are the names and sizes of all that the engine could have written.
func files(t *testing.T, folder string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		found[path] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Whatever the order of clauses and the answer: no file is made, none is changed.
func TestNoFileIsWritten(t *testing.T) {
	s := newSite(t)
	folder := t.TempDir()
	victim, fresh := filepath.Join(folder, "orders.sql"), filepath.Join(folder, "fresh")
	if err := os.WriteFile(victim, []byte("ATTACH TABLE"), 0o600); err != nil {
		t.Fatal(err)
	}
	var attacks []string
	for _, statement := range []string{
		"SELECT 1", "(SELECT 1)", "SELECT 1 UNION ALL SELECT 2", "(SELECT 1) UNION ALL (SELECT 2)", "WITH 1 AS a SELECT a", "WITH x AS (SELECT 1) SELECT * FROM x",
		"SELECT * FROM customer_orders", "SELECT * FROM (SELECT 1", "SHOW TABLES", "SHOW DATABASES", "SHOW CREATE TABLE customer_orders", "DESCRIBE TABLE customer_orders", "DESC (SELECT 1)",
		"EXISTS TABLE customer_orders", "EXPLAIN SELECT 1", "EXPLAIN AST SELECT 1", "EXPLAIN SYNTAX SELECT 1", "EXPLAIN AST", "SELECT 1) ", "SELECT 1;", "SELECT", "nonsense", "SELECT 1 +", "INSERT INTO orders SELECT 1", "SET max_threads = 1", "",
	} {
		for _, clauses := range []string{
			" FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE", " INTO OUTFILE 'PATH' TRUNCATE", " INTO OUTFILE 'PATH' TRUNCATE FORMAT TSV", " INTO OUTFILE 'PATH' APPEND", " FORMAT TSV INTO OUTFILE 'PATH' APPEND",
			" FORMAT TSV INTO OUTFILE 'PATH' AND STDOUT", " FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE AND STDOUT", " FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE COMPRESSION 'none' LEVEL 1", " FORMAT TSV\ninto/**/outfile\t'PATH' truncate", " FORMAT TSV INTO -- x\nOUTFILE /* y */ 'PATH' TRUNCATE",
			" FORMAT TSV INTO\u00a0OUTFILE 'PATH' TRUNCATE", " INTO OUTFILE 'PATH' TRUNCATE SETTINGS max_threads = 1", " SETTINGS max_threads = 1 FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE", " FORMAT TSV SETTINGS max_threads = 1 INTO OUTFILE 'PATH' TRUNCATE", " FORMAT TSV INTO OUTFILE {p:String} TRUNCATE", ") FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE", ") FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE --", " FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE;", ", ‘ ' ’ FORMAT TSV INTO OUTFILE 'PATH' TRUNCATE -- '", " FORMAT TSV INTO OUTFILE $$PATH$$ TRUNCATE",
		} {
			attacks = append(attacks, statement+clauses)
		}
	}
	before := files(t, s.config.Folder)
	for i, attack := range attacks {
		target := victim
		if strings.Contains(attack, "AND STDOUT") && !strings.Contains(attack, "TRUNCATE") || i%7 == 0 {
			target = fresh
		}
		statement := strings.ReplaceAll(attack, "PATH", target)
		status, body := s.ask(t, s.bi, statement, url.Values{"param_p": {target}})
		if status == http.StatusOK {
			t.Errorf("%q was let through: %.200s", statement, body)
		}
		if text, err := os.ReadFile(victim); err != nil || string(text) != "ATTACH TABLE" {
			t.Fatalf("%q (%d) wrote over a file: %q, %v", statement, status, text, err)
		}
		if _, err := os.Stat(fresh); err == nil {
			t.Fatalf("%q (%d) made a file", statement, status)
		}
	}
	for _, format := range []string{"TSV INTO OUTFILE '" + fresh + "'", "TSV\nINTO OUTFILE '" + fresh + "'"} {
		if status, body := s.ask(t, s.bi, "SELECT 1", url.Values{"default_format": {format}}); status == http.StatusOK {
			t.Errorf("the format %q was taken: %s", format, body)
		}
	}
	for path := range files(t, folder) {
		if path != folder && path != victim {
			t.Errorf("%s was made", path)
		}
	}
	for path := range files(t, s.config.Folder) {
		if !before[path] && !strings.Contains(path, "/store/store/") {
			t.Errorf("%s was made in the engine's folder", path)
		}
	}
}

// The look at the tree writes nothing itself, even if what comes before it lets
// everything through.
func TestLookingWritesNothing(t *testing.T) {
	s := newSite(t)
	defer func() { s.fence.without = layers{} }()
	s.fence.without = layers{text: true, classifier: true}
	out := filepath.Join(t.TempDir(), "out")
	for _, statement := range []string{"SELECT 1", "SHOW TABLES", "DESCRIBE TABLE customer_orders", "EXISTS TABLE customer_orders"} {
		statement += " FORMAT TSV INTO OUTFILE '" + out + "' TRUNCATE"
		status, body := s.ask(t, s.bi, statement, nil)
		if status == http.StatusOK {
			t.Errorf("%q was let through: %s", statement, body)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%q made a file", statement)
		}
	}
}

// The engine calls a function by its mere name, and some statements show no
// tree: what a file holds comes back in no way.
func TestNoFileIsRead(t *testing.T) {
	s := newSite(t)
	const content = "<profiles>" // of users.xml, in the engine's own folder
	file := filepath.Join(s.config.Folder, "users.xml")
	if status, body := s.ask(t, s.app, "SELECT arrayMap(file, ['"+file+"'])", nil); status != http.StatusOK || !strings.Contains(body, content) {
		t.Fatalf("the application reads %d %.100s, so the refusals below show nothing", status, body)
	}
	for _, attack := range []string{
		"SELECT arrayMap(file, ['FILE'])", "SELECT arrayMap(`file`, ['FILE'])", `SELECT arrayMap("file", ['FILE'])`, "SELECT arrayMap(/**/file/**/, ['FILE'])", "SELECT arrayMap((file), ['FILE'])", "SELECT arrayMap(FILE_, ['FILE'])",
		"SELECT arrayFilter(file, ['FILE'])", "SELECT arrayFold(file, ['FILE'], '')", "SELECT mapApply(file, map('FILE', 'x'))", "SELECT arraySort(file, ['FILE'])", "SELECT arrayFirst(file, ['FILE'])", "SELECT arrayMap(oneid.file, ['FILE'])",
		"WITH file AS f SELECT arrayMap(f, ['FILE'])", "SELECT file AS f, arrayMap(f, ['FILE'])", "SELECT arrayMap(x -> file(x), ['FILE'])", "SELECT arrayMap(x -> arrayMap(file, [x]), ['FILE'])", "WITH x -> file(x) AS f SELECT f('FILE')",
		"SELECT 1 AS file, arrayMap(file, ['FILE'])", "SELECT arrayMap('file', ['FILE'])", "SELECT arrayMap(fi\u200ble, ['FILE'])", "SELECT arrayReduce('file', ['FILE'])", "SELECT 'FILE'.file()", "SELECT 'FILE' AS x, x.file", "SELECT ['FILE'].file",
		"SELECT arrayMap({f:Identifier}, ['FILE'])", "SELECT arrayMap({ f : Identifier }, ['FILE'])", "SELECT arrayMap({f:identifier}, ['FILE'])", "SELECT {f:Identifier}('FILE')", "SELECT arrayMap({g:Identifier}, ['FILE'])",
		"SHOW TABLES WHERE file('FILE') != ''", "SHOW TABLES WHERE throwIf(1, arrayStringConcat(arrayMap(file, ['FILE'])))", "SHOW DATABASES LIMIT length(file('FILE'))", "SHOW COLUMNS FROM customer_orders WHERE file('FILE') != ''", "SHOW INDEX FROM customer_orders WHERE file('FILE') != ''", "SHOW TABLES LIKE file('FILE')",
		"SHOW SETTING `max_threads' UNION ALL SELECT file('FILE') WHERE '' = '`", "SHOW FUNCTIONS LIKE 'x'' OR length(file(''FILE'')) > 0 OR ''1'", `SHOW FUNCTIONS LIKE 'x\' OR length(file(\'FILE\')) > 0 OR \'1'`, "SHOW TABLES FROM `oneid' UNION ALL SELECT file('FILE') WHERE '' = '`",
		"EXPLAIN QUERY TREE SELECT file('FILE')", "EXPLAIN QUERY TREE SELECT arrayMap(file, ['FILE'])", "EXPLAIN SELECT file('FILE')", "EXPLAIN actions = 1 SELECT file('FILE')", "EXPLAIN AST optimize = 1 SELECT file('FILE')", "EXPLAIN TABLE OVERRIDE file('FILE') PARTITION BY 1", "SELECT * FROM (EXPLAIN SELECT file('FILE'))", "SELECT * FROM viewExplain('EXPLAIN', '', (SELECT file('FILE')))",
		"SELECT throwIf(1, file('FILE'))", "SELECT number FROM numbers(length(file('FILE')))", "SELECT 1 LIMIT length(file('FILE'))", "SELECT 1 LIMIT 1 OFFSET length(file('FILE'))", "SELECT sum(1) OVER (ORDER BY 1 ROWS BETWEEN length(file('FILE')) PRECEDING AND CURRENT ROW)", "SELECT sum(1) OVER w WINDOW w AS (PARTITION BY file('FILE'))",
		"SELECT 1 AS a ORDER BY a WITH FILL FROM 1 TO length(file('FILE')) INTERPOLATE (a AS file('FILE'))", "SELECT * REPLACE (file('FILE') AS dummy) FROM system.one", "SELECT * APPLY(x -> file('FILE')) FROM system.one", "SELECT * APPLY file FROM (SELECT 'FILE')", "SELECT COLUMNS('x') APPLY arrayMap(file) FROM (SELECT ['FILE'] AS x)", "SELECT quantile(length(file('FILE')))(1)", "SELECT 1 QUALIFY file('FILE') != ''", "SELECT 1 HAVING file('FILE') != ''", "SELECT x FROM (SELECT 1 AS x) LIMIT 1 BY file('FILE')", "SELECT 1 GROUP BY GROUPING SETS ((file('FILE')))", "SELECT DISTINCT ON (file('FILE')) 1", "SELECT arrayJoin([file('FILE')])", "SELECT 1 ARRAY JOIN [file('FILE')] AS x", "SELECT * FROM system.one a JOIN system.one b ON file('FILE') != ''", "SELECT * FROM view(SELECT file('FILE'))", "SELECT * FROM values('a String', file('FILE'))", "VALUES (file('FILE'))", "DESCRIBE (SELECT file('FILE'))", "DESCRIBE TABLE view(SELECT file('FILE') AS a)", "TABLE customer_orders", "file('FILE')", "1, file('FILE')", "SELECT CASE WHEN 1 THEN file('FILE') END", "SELECT * FROM customer_orders(a = file('FILE'))",
		"SELECT * FROM file('FILE', 'LineAsString')", "SELECT * FROM default.`FILE`", "SELECT * FROM `FILE`", "DESCRIBE TABLE file('FILE', 'LineAsString')", "SELECT * FROM {t:Identifier}.`FILE`",
		"SELECT `a\n  Function file`, file('FILE')", "SELECT 1 AS `x\nSelectWithUnionQuery (children 1)`, arrayMap(file, ['FILE'])",
	} {
		statement := strings.ReplaceAll(strings.ReplaceAll(attack, "FILE_", "FiLe"), "FILE", file)
		status, body := s.ask(t, s.bi, statement, url.Values{"param_f": {"file"}, "param_g": {`fil\x65`}, "param_t": {"default"}})
		if status == http.StatusOK || strings.Contains(body, content) {
			t.Errorf("%q was let through: %.200s", attack, body)
		}
	}
}

// Other functions that tell of the machine, the process, or others' work; under
// their other names too.
func TestNoLookAround(t *testing.T) {
	s := newSite(t)
	for _, call := range []string{
		"hostName()", "hostname()", "fullHostName()", "FQDN()", "HOSTNAME()", "buildId()", "uptime()", "getOSKernelVersion()", "serverUUID()", "tcpPort()", "getServerPort('tcp_port')", "getMacro('x')", "arrayMap(getMacro, ['x'])",
		"getServerSetting('max_server_memory_usage')", "getMergeTreeSetting('index_granularity')", "filesystemAvailable()", "filesystemCapacity()", "filesystemUnreserved()", "addressToLine(1)", "addressToLineWithInlines(1)", "addressToSymbol(1)", "arrayMap(addressToSymbol, [1])", "demangle('x')", "tid()", "logTrace('x')", "showCertificate()",
		"catboostEvaluate('/etc/passwd', 1)", "naiveBayesClassifier('m', 'x')", "naiveBayesClassifierWithProb('m', 'x')", "evalMLMethod(1)", "aiGenerate('x')", "AIGenerate('x')", "aiEmbed('x')", "regionToName(1)", "transactionID()", "zookeeperSessionUptime()", "generateSerialID('x')", "__getScalar('x')", "__actionName(1, 'x')",
		"dictGet('oneid.owners', 'customer', 1)", "dictGetOrDefault('owners', 'customer', 1, 0)", "dictHas('oneid.owners', 1)", "dictGetKeys('oneid.owners', 'customer', 7)", "arrayMap(x -> dictGet('oneid.owners', 'customer', x), [1])", "joinGet('orders', 'id', 1)", "joinGetOrNull('orders', 'id', 1)", "hasColumnInTable('oneid', 'orders', 'id')",
	} {
		if status, body := s.ask(t, s.bi, "SELECT "+call, nil); status == http.StatusOK {
			t.Errorf("%s = %s", call, body)
		}
	}
}

// Of all columns that BI can read in the tables about the engine, none tells
// where its files are, and no way to read them all at once is left.
func TestNoPathsAreTold(t *testing.T) {
	s := newSite(t)
	read := 0
	for database, tables := range map[string][]string{
		"system":             keys(allowedSystemTables),
		"information_schema": {"tables", "columns", "schemata", "views", "key_column_usage", "referential_constraints", "statistics"},
	} {
		for _, table := range tables {
			if strings.HasPrefix(table, "numbers") || strings.HasPrefix(table, "zeros") {
				continue
			}
			var open []string
			_, columns := s.ask(t, s.app, "SELECT name FROM system.columns WHERE database = '"+database+"' AND table = '"+table+"'", nil)
			for column := range strings.FieldsSeq(columns) {
				if pathColumns[column] {
					continue
				}
				open = append(open, "`"+column+"`")
			}
			status, body := s.ask(t, s.bi, "SELECT "+strings.Join(open, ", ")+" FROM "+database+"."+table, nil)
			if strings.Contains(body, s.config.Folder) {
				t.Errorf("%s.%s tells paths", database, table)
			}
			if status == http.StatusOK {
				read++
			}
		}
	}
	if read < 15 {
		t.Errorf("only %d tables could be read, so this shows nothing", read)
	}
	for _, attack := range []string{
		"SELECT data_path, metadata_path FROM system.databases", "SELECT DATA_PATH FROM system.databases", "SELECT d.`data_path` FROM system.databases d", `SELECT "metadata_path" FROM system.databases`, "SELECT {c:Identifier} FROM system.databases", "SELECT d.{c:Identifier} FROM system.databases AS d",
		"SELECT * FROM system.databases", "SELECT * FROM `system`.`databases`", "SELECT d.* FROM system.databases d", "SELECT system.databases.* FROM system.databases", "SELECT COLUMNS('path') FROM system.databases", "SELECT d.COLUMNS('path') FROM system.databases d", "SELECT * EXCEPT name FROM system.databases", "SELECT * FROM (SELECT * FROM system.databases)", "WITH x AS (SELECT * FROM system.databases) SELECT * FROM x", "WITH x(a, b, c, d, e, f, g, h) AS (SELECT * FROM system.databases) SELECT c FROM x",
		"SELECT tuple(*) FROM system.databases", "SELECT toString(tuple(*)) FROM system.databases", "SELECT count(tuple(*)) FROM system.databases", "SELECT d FROM system.databases AS d", "SELECT c FROM system.databases AS d(a, b, c, e, f, g, h, i, j)", "SELECT * FROM system.databases AS d(a, b, c, e, f, g, h, i, j)", "SELECT * FROM {d:Identifier}.databases", "SELECT * FROM {d:Identifier}.{t:Identifier}",
		"SELECT 1 WHERE ('a', 'b') IN system.databases", "SELECT 1 IN `system`.databases", "SELECT * FROM system.one, system.databases", "SELECT 1 UNION ALL SELECT * FROM system.databases", "SELECT data_paths FROM system.tables", "SELECT metadata_path FROM system.tables", "SELECT * FROM system.tables", "SELECT name FROM system.databases WHERE data_path LIKE '/%'", "SELECT name FROM system.databases ORDER BY metadata_path", "SHOW DATABASES WHERE data_path LIKE '/%'", "SHOW TABLES WHERE metadata_path != ''", "SELECT path FROM system.disks", "SELECT path FROM system.parts", "SELECT * FROM merge('system', 'databases')", "SELECT * FROM databases", "SHOW MERGES", "DESCRIBE FILESYSTEM CACHE 'x'", "SHOW FILESYSTEM CACHES", "EXPLAIN ESTIMATE SELECT * FROM orders", "EXPLAIN QUERY TREE SELECT * FROM orders", "EXPLAIN SYNTAX run_query_tree_passes = 1 SELECT * FROM orders",
	} {
		status, body := s.ask(t, s.bi, attack, url.Values{"param_c": {"data_path"}, "param_d": {"system"}, "param_t": {"databases"}})
		if status == http.StatusOK || strings.Contains(body, s.config.Folder) {
			t.Errorf("%q was let through: %.200s", attack, body)
		}
	}
	if status, body := s.ask(t, s.bi, "SELECT * FROM databases", url.Values{"database": {"system"}}); status == http.StatusOK {
		t.Errorf("with system as the current database: %s", body)
	}
}

// A name that breaks a line of the tree could forge what is looked at.
func TestNoLineIsForged(t *testing.T) {
	s := newSite(t)
	for attack, value := range map[string]string{
		"SELECT 1 AS `a\n Literal`":                   "",
		"SELECT 1 AS `a\\n Literal`":                  "",
		"SELECT 1 AS \"a\\x0a Literal\"":              "",
		"SELECT 1 AS `a\r`":                           "",
		"SELECT 1 AS `a\x00`":                         "",
		"SELECT {p:Identifier} FROM customer_orders":  "id\n Identifier x",
		"SELECT {p:Identifier} FROM customer_orders ": `id\n Identifier x`,
		"SELECT 1 AS {p:Identifier}":                  "a\nSelectWithUnionQuery",
		"SELECT * FROM {p:Identifier}":                "customer_orders\n  Function file",
	} {
		status, body := s.ask(t, s.bi, attack, url.Values{"param_p": {value}})
		if status != http.StatusForbidden || !strings.Contains(body, "control characters") && !strings.Contains(body, "backslashes") {
			t.Errorf("%q with %q: %d %.200s, want it refused for its form", attack, value, status, body)
		}
	}
	if status, body := s.ask(t, s.bi, "SELECT {p:Identifier} FROM customer_orders ORDER BY 1", url.Values{"param_p": {"id"}}); body != "1\n2\n" {
		t.Errorf("an honest name: %d %s", status, body)
	}
	// In texts a line end is harmless: the tree shows it escaped.
	if _, body := s.ask(t, s.bi, "SELECT length('a\n Function file'), length('\\n'), length({p:String})", url.Values{"param_p": {"a\\nb"}}); body != "16\t1\t3\n" {
		t.Errorf("line ends in texts = %q", body)
	}
}

// What does not parse is told in the engine's words, and nothing else is done.
func TestSyntaxErrors(t *testing.T) {
	s := newSite(t)
	for _, statement := range []string{"SELECT 1 +", "SELECT FROM WHERE", "SHOW TABLES FROM", "SELECT 'it''s' 'x'", "SELECT 1 FORMAT TSV FORMAT CSV FORMAT"} {
		status, body := s.ask(t, s.bi, statement, nil)
		if status != http.StatusBadRequest || !strings.Contains(body, "Code: 62.") || !strings.Contains(body, "SYNTAX_ERROR") || strings.Contains(body, "formatQuery") {
			t.Errorf("%s: %d %s", statement, status, body)
		}
	}
}

func keys(of map[string]bool) (out []string) {
	for key := range of {
		out = append(out, key)
	}
	return out
}
