package endpoint

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oneid/internal/embedded/chdb/install"
	"oneid/internal/embedded/chdb/libchdb"
)

// engine is one Server in this very process: there is no operating system's
// fence around it, so that the other layers can be seen alone.
var engine = sync.OnceValues(func() (*Server, error) {
	path, err := install.Install(context.Background(), install.Options{})
	if err != nil {
		return nil, err
	}
	library, err := libchdb.Load(path)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "oneid-endpoint-")
	if err != nil {
		return nil, err
	}
	s := New(Config{
		Library: library, Folder: folder, Database: "oneid", User: "oneid", Password: "app-password", BIUser: "bi", BIPassword: "bi-password",
		PublicViews: []string{"customer_orders", "customer_360"}, MemoryBytes: 2 << 30, NoSync: true, BIThreads: 1,
	})
	return s, s.Open()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := engine(); err == nil {
		s.Close()
		_ = os.RemoveAll(s.config.Folder)
	}
	os.Exit(code)
}

// site is the engine with its two addresses and the tables of the tests.
type site struct {
	*Server
	app, bi *httptest.Server
}

func newSite(t *testing.T) site {
	t.Helper()
	s, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	one := site{s, httptest.NewServer(s.Handler()), httptest.NewServer(s.BIHandler())}
	t.Cleanup(one.app.Close)
	t.Cleanup(one.bi.Close)
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS orders (id UInt64, customer UInt64) ENGINE = MergeTree ORDER BY id",
		"TRUNCATE TABLE orders",
		"INSERT INTO orders VALUES (1, 7), (2, 8)",
		"CREATE DICTIONARY IF NOT EXISTS owners (id UInt64, customer UInt64) PRIMARY KEY id SOURCE(CLICKHOUSE(QUERY 'SELECT id, customer FROM oneid.orders')) LAYOUT(HASHED()) LIFETIME(0)",
		"CREATE VIEW IF NOT EXISTS customer_orders (id UInt64 COMMENT 'number', customer UInt64 COMMENT 'who') DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT id, dictGet('oneid.owners', 'customer', id) AS customer FROM oneid.orders FINAL",
		"CREATE VIEW IF NOT EXISTS private_view DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT * FROM oneid.orders",
	} {
		statement = strings.ReplaceAll(statement, " FINAL", "")
		if status, body := one.ask(t, one.app, statement, nil); status != http.StatusOK {
			t.Fatalf("%s: %d %s", statement, status, body)
		}
	}
	return one
}

// ask posts a statement as the user of that address.
func (s site) ask(t *testing.T, at *httptest.Server, statement string, parameters url.Values) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.URL+"/?"+parameters.Encode(), strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	if at == s.bi {
		request.SetBasicAuth("bi", "bi-password")
	} else {
		request.SetBasicAuth("oneid", "app-password")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Of each layer: what it stops alone, and that nothing stops it without any.
func TestEachLayerOfTheFence(t *testing.T) {
	s := newSite(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	all := layers{readonly: true, role: true, text: true, classifier: true, tree: true}
	for name, c := range map[string]struct {
		only   layers // those that are off
		attack string
	}{
		"readonly: no insert":             {layers{role: true, classifier: true, tree: true}, "INSERT INTO oneid.orders SELECT 3, 9"},
		"readonly: no table":              {layers{role: true, classifier: true, tree: true}, "CREATE TABLE oneid.mine_" + strings.ToLower(t.Name()[:4]) + " (a Int8) ENGINE = Memory"},
		"readonly: no settings":           {layers{role: true, classifier: true, tree: true}, "SELECT 1 SETTINGS max_threads = 64"},
		"readonly: no file by a table":    {layers{role: true, classifier: true, tree: true}, "SELECT * FROM file('" + secret + "', 'LineAsString')"},
		"role: no private table":          {layers{readonly: true, classifier: true, tree: true}, "SELECT * FROM oneid.orders"},
		"role: no private view":           {layers{readonly: true, classifier: true, tree: true}, "SELECT * FROM oneid.private_view"},
		"role: no private dictionary":     {layers{readonly: true, classifier: true, tree: true}, "SELECT dictGet('oneid.owners', 'customer', 1)"},
		"role: no describing a file":      {layers{readonly: true, classifier: true, tree: true}, "DESCRIBE TABLE file('" + secret + "', 'LineAsString')"},
		"text: no file as output":         {layers{readonly: true, role: true, classifier: true, tree: true}, "SELECT 1 INTO OUTFILE '" + out + "2'"},
		"text: nor by SHOW":               {layers{readonly: true, role: true, classifier: true, tree: true}, "SHOW TABLES INTO OUTFILE '" + out + "3'"},
		"text: no function in SHOW":       {layers{readonly: true, role: true, classifier: true, tree: true}, "SHOW TABLES WHERE file('" + secret + "') != ''"},
		"text: no function by its name":   {layers{readonly: true, role: true, classifier: true, tree: true}, "SELECT arrayMap(file, ['" + secret + "'])"},
		"text: no value in a query tree":  {layers{readonly: true, role: true, classifier: true, tree: true}, "EXPLAIN QUERY TREE SELECT file('" + secret + "')"},
		"text: no paths":                  {layers{readonly: true, role: true, classifier: true, tree: true}, "SELECT data_path FROM system.databases"},
		"classifier: no other role":       {layers{readonly: true, role: true, tree: true}, "SET ROLE app"},
		"classifier: no kill":             {layers{readonly: true, role: true, tree: true}, "KILL MUTATION WHERE 0"},
		"classifier: no stop of merges":   {layers{readonly: true, role: true, tree: true}, "SYSTEM STOP MERGES oneid.orders"},
		"classifier: no file as output":   {layers{readonly: true, role: true, tree: true}, "SELECT 1 INTO OUTFILE '" + out + "'"},
		"classifier: no two statements":   {layers{readonly: true, role: true, tree: true}, "SELECT 1; SELECT 2"},
		"tree: no file by a function":     {layers{readonly: true, role: true, classifier: true}, "SELECT file('" + secret + "')"},
		"tree: not written otherwise":     {layers{readonly: true, role: true, classifier: true}, "SELECT /* x */ `file`\n('" + secret + "')"},
		"tree: not inside":                {layers{readonly: true, role: true, classifier: true}, "SELECT arrayMap(x -> `file`(x), ['" + secret + "'])"},
		"tree: not by APPLY":              {layers{readonly: true, role: true, classifier: true}, "SELECT * APPLY file FROM (SELECT '" + secret + "' AS x)"},
		"tree: no one else's statements":  {layers{readonly: true, role: true, classifier: true}, "SELECT query FROM system.processes"},
		"tree: nor by SHOW PROCESSLIST":   {layers{readonly: true, role: true, classifier: true}, "SHOW PROCESSLIST"},
		"tree: nor by IN":                 {layers{readonly: true, role: true, classifier: true}, "SELECT 1 WHERE 1 IN (SELECT 1 FROM `system`.processes)"},
		"tree: nor by merge":              {layers{readonly: true, role: true, classifier: true}, "SELECT query FROM merge('system', '^processes$')"},
		"tree: no file as output":         {layers{readonly: true, role: true, classifier: true}, "SELECT 1 INTO OUTFILE '" + out + "4'"},
		"tree: nor by SHOW":               {layers{readonly: true, role: true, classifier: true}, "SHOW TABLES INTO OUTFILE '" + out + "5'"},
		"tree: no function by its name":   {layers{readonly: true, role: true, classifier: true}, "SELECT arrayMap(file, ['" + secret + "'])"},
		"tree: no paths":                  {layers{readonly: true, role: true, classifier: true}, "SELECT d.metadata_path FROM system.databases AS d"},
		"tree: nor by a star":             {layers{readonly: true, role: true, classifier: true}, "SELECT * FROM system.databases"},
		"tree: no settings of the server": {layers{readonly: true, role: true, classifier: true}, "SELECT getServerSetting('max_server_memory_usage')"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() { s.fence.without = layers{} }()
			s.fence.without = c.only
			s.fence.without.text = !strings.HasPrefix(name, "text: ")
			if status, body := s.ask(t, s.bi, c.attack, nil); status == http.StatusOK {
				t.Errorf("the layer let %q through: %s", c.attack, body)
			}
			s.fence.without = all
			if status, body := s.ask(t, s.bi, c.attack, nil); status != http.StatusOK {
				t.Errorf("without any layer %q is refused all the same, so it shows nothing: %s", c.attack, body)
			}
		})
	}
}

func TestLimitsOfBI(t *testing.T) {
	s := newSite(t)
	for query, want := range map[string]string{
		"SELECT getSetting('readonly'), getSetting('max_execution_time'), getSetting('max_memory_usage'), getSetting('max_threads')": "1\t60\t1073741824\t1\n",
		"SELECT currentRoles()": "['bi']\n",
	} {
		if _, got := s.ask(t, s.bi, query, url.Values{"max_threads": {"64"}, "join_use_nulls": {"1"}, "max_execution_time": {"3600"}}); got != want {
			t.Errorf("%s = %q, want %q", query, got, want)
		}
	}
	if _, got := s.ask(t, s.bi, "SELECT getSetting('max_execution_time')", url.Values{"max_execution_time": {"5"}}); got != "5\n" {
		t.Errorf("a shorter time = %q, want 5", got)
	}
	if status, body := s.ask(t, s.bi, "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1", url.Values{"max_execution_time": {"1"}}); status != http.StatusRequestTimeout {
		t.Errorf("a long statement: %d %s, want 408", status, body)
	}
}

// What BI tools ask at their start, and for work.
func TestWhatBIMay(t *testing.T) {
	s := newSite(t)
	for query, want := range map[string]string{
		"SELECT * FROM customer_orders ORDER BY id":                                                         "1\t7\n2\t8\n",
		"SELECT count() FROM oneid.customer_orders FORMAT JSON":                                             `"data":`,
		"WITH x AS (SELECT id FROM customer_orders) SELECT max(id) FROM x;":                                 "2\n",
		"SELECT a.id FROM customer_orders a JOIN customer_orders b ON a.id = b.id WHERE a.id IN (SELECT 2)": "2\n",
		"SHOW TABLES":                                             "customer_orders\n",
		"SHOW DATABASES":                                          "oneid\n",
		"DESCRIBE TABLE customer_orders":                          "id\tUInt64\t\t\tnumber\t\t\ncustomer\tUInt64\t\t\twho\t\t\n",
		"SHOW CREATE TABLE customer_orders":                       "CREATE VIEW",
		"EXISTS TABLE oneid.customer_orders":                      "1\n",
		"SELECT name FROM system.tables WHERE database = 'oneid'": "customer_orders\n",
		"SELECT name, comment FROM system.columns WHERE database = 'oneid' AND table = 'customer_orders' ORDER BY position":            "id\tnumber\ncustomer\twho\n",
		"SELECT table_name FROM information_schema.tables WHERE table_schema = 'oneid'":                                                "customer_orders\n",
		"SELECT displayName() != '', version() != '', timezone() != ''":                                                                "1\t1\t1\n",
		"SELECT sum(number) FROM numbers(10)":                                                                                          "45\n",
		"SELECT currentDatabase()":                                                                                                     "oneid\n",
		"SELECT name FROM system.databases":                                                                                            "oneid\n",
		"SELECT 'into outfile; file(1)' AS file":                                                                                       "into outfile; file(1)\n",
		"EXPLAIN SELECT count() FROM numbers(1)":                                                                                       "",
		"SELECT DISTINCT engine, name FROM system.databases WHERE name = 'oneid'":                                                      "Atomic\toneid\n",
		"SELECT t.database, t.name, t.engine, d.engine, t.comment FROM system.tables t JOIN system.databases d ON t.database = d.name": "oneid\tcustomer_orders\tView\tAtomic\t\n",
		"SELECT count(*) FROM system.tables":                                                                                           "1\n",
		"SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'oneid'":                                              "oneid\n",
		"SELECT column_name FROM information_schema.columns WHERE table_name = 'customer_orders' ORDER BY ordinal_position":            "id\ncustomer\n",
		"SELECT name, value, readonly FROM system.settings WHERE name = 'max_threads'":                                                 "max_threads\t1\t1\n",
		"SHOW TABLES FROM oneid LIKE 'customer%' LIMIT 5":                                                                              "customer_orders\n",
		"SHOW FULL COLUMNS FROM customer_orders":                                                                                       "UInt64",
		"SHOW SETTINGS LIKE 'max_threads'":                                                                                             "max_threads",
		"SHOW CREATE DATABASE oneid":                                                                                                   "Atomic",
		"/* a dashboard */ SELECT replaceAll('a\nb', '\\n', '\\\\') -- mine":                                                           "a\\\\b\n",
		"(SELECT 1) UNION ALL (SELECT 1) FORMAT CSV":                                                                                   "1\n1\n",
		"SELECT id AS `订单`, '‘中文’' FROM customer_orders AS `x y` ORDER BY 1 LIMIT 1":                                                   "1\t‘中文’\n",
		"SELECT 1.5e-3, x'41', [1, 2][1], (1, 2).1, 1::Int8, 7 % 4, true ? 1 : 2":                                                      "0.0015\tA\t1\t1\t1\t3\t1\n",
		"SELECT arrayMap(toString, [1])":                                                                                               "['1']\n",
		"EXPLAIN SYNTAX SELECT id FROM customer_orders":                                                                                "SELECT id",
		"SELECT displayName()":                                                                                                         "oneid\n",
		"SELECT toDate('2026-11-11') - INTERVAL 1 DAY":                                                                                 "2026-11-10\n",
	} {
		status, got := s.ask(t, s.bi, query, nil)
		if status != http.StatusOK || got != want && (len(want) > 0 && strings.HasSuffix(want, "\n") || !strings.Contains(got, want)) {
			t.Errorf("%s = %d %q, want %q", query, status, got, want)
		}
	}
}

// All layers on: everything that a curious analyst may try.
func TestAttacks(t *testing.T) {
	s := newSite(t)
	out := filepath.Join(t.TempDir(), "out")
	for _, attack := range []string{
		"SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT file('/etc/passwd')", "SELECT FiLe('/etc/passwd')", "select\n/*a/*b*/*/file -- x\n('/etc/passwd')",
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", "SELECT * FROM s3('http://127.0.0.1:1/x')", "SELECT * FROM remote('127.0.0.1', system.one)",
		"SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')", "SELECT * FROM executable('x', 'TSV', 'a String')",
		"SELECT * FROM cluster('default', system.one)", "SELECT * FROM fileCluster('default', '/etc/passwd')", "SELECT * FROM filesystem('/etc')",
		"SELECT 1 INTO OUTFILE '/tmp/oneid-out'", "SELECT 1 INTO OUTFILE '/tmp/oneid-out' FORMAT CSV", "SELECT * FROM default.`/etc/passwd`", "SELECT * FROM `/etc/passwd`",
		"SELECT * FROM oneid.orders", "SELECT * FROM orders", "SELECT * FROM private_view", "TABLE orders", "FROM orders SELECT *", "(SELECT * FROM orders)",
		"SELECT * FROM merge('oneid', '.*')", "SELECT * FROM merge('system', 'processes')", "SELECT * FROM loop(orders)", "SELECT * FROM view(SELECT * FROM orders)",
		"SELECT * FROM dictionary('oneid.owners')", "SELECT * FROM owners", "SELECT dictGet('oneid.owners', 'customer', 1)", "SELECT dictGet('owners', 'customer', 1)", "SELECT joinGet('orders', 'id', 1)",
		"SELECT 1 WHERE 1 IN orders", "SELECT 1 WHERE 'x' IN system.users", "SELECT (SELECT max(id) FROM orders)", "SELECT 1 UNION ALL SELECT id FROM orders", "EXPLAIN PLAN SELECT * FROM orders",
		"SELECT * FROM mergeTreeIndex('oneid', 'orders')", "SELECT hasColumnInTable('oneid', 'orders', 'id')", "SELECT * FROM (EXPLAIN SELECT * FROM orders)",
		"INSERT INTO orders VALUES (1, 1)", "INSERT INTO customer_orders VALUES (1, 1)", "INSERT INTO FUNCTION file('/tmp/oneid-out', 'CSV', 'a Int8') VALUES (1)", "INSERT INTO orders FORMAT CSV\n1,1",
		"CREATE TABLE t (a Int8) ENGINE = Memory", "CREATE TEMPORARY TABLE t (a Int8)", "CREATE VIEW v AS SELECT 1", "CREATE FUNCTION f AS x -> x", "DROP TABLE orders", "DROP VIEW customer_orders", "ALTER TABLE orders DELETE WHERE 1", "TRUNCATE TABLE orders", "RENAME TABLE orders TO o2", "OPTIMIZE TABLE orders", "DELETE FROM orders WHERE 1", "UPDATE orders SET customer = 1 WHERE 1", "EXCHANGE TABLES orders AND private_view", "ATTACH TABLE x", "DETACH TABLE orders", "UNDROP TABLE x",
		"SET max_threads = 64", "SET readonly = 0", "SET ROLE app", "SET ROLE ALL", "SET DEFAULT ROLE app TO default", "SELECT 1 SETTINGS readonly = 0", "SELECT 1 SETTINGS max_execution_time = 0", "USE system", "USE default",
		"GRANT app TO default", "REVOKE bi FROM default", "CREATE USER u", "EXECUTE AS default SELECT 1",
		"KILL QUERY WHERE 1", "KILL QUERY WHERE query_id != ''", "KILL MUTATION WHERE 1", "SYSTEM SHUTDOWN", "SYSTEM KILL", "SYSTEM STOP MERGES", "SYSTEM DROP MARK CACHE", "SYSTEM FLUSH LOGS", "SYSTEM RELOAD CONFIG",
		"BACKUP TABLE oneid.orders TO File('/tmp/oneid-out')", "RESTORE TABLE oneid.orders FROM File('/tmp/oneid-out')", "CHECK TABLE orders",
		"SELECT * FROM system.processes", "SELECT * FROM system.query_log", "SELECT * FROM system.parts", "SELECT * FROM system.server_settings", "SELECT * FROM system.users", "SELECT * FROM system.grants", "SELECT * FROM system.roles", "SELECT * FROM system.disks", "SELECT * FROM system.dictionaries", "SELECT * FROM system.errors", "SELECT * FROM system.stack_trace", "SELECT * FROM \"system\" . \"processes\"", "SELECT * FROM SYSTEM.processes", "SHOW PROCESSLIST", "SHOW GRANTS", "SHOW ACCESS", "SHOW USERS",
		"DESCRIBE TABLE file('/etc/passwd', 'CSV')", "DESCRIBE file('/etc/passwd')", "DESCRIBE TABLE orders", "SHOW CREATE TABLE orders", "EXISTS TABLE orders", "DESCRIBE TABLE url('http://127.0.0.1:1/')",
		"SELECT 1; SELECT 2", "SELECT 1; DROP TABLE orders", "SELECT 1;; SET ROLE app", "SELECT 1 PARALLEL WITH SELECT 2",
		"SELECT catboostEvaluate('/etc/passwd', 1)", "SELECT getServerSetting('max_server_memory_usage')", "SELECT * APPLY file FROM (SELECT '/etc/passwd')", "SELECT COLUMNS('x') APPLY(file) FROM (SELECT '/etc/passwd' AS x)",
		"SELECT addressToLine(1)", "BEGIN TRANSACTION", "WATCH customer_orders", "SELECT * FROM input('a Int8')", "SELECT * FROM generateRandom('a Int8')", "SELECT * FROM null('a Int8'), orders",
		"", "   ", "-- nothing", ";", "SELECT", "\x00", "SELECT '", "SELECT $$", "/*",
	} {
		attack = strings.ReplaceAll(attack, "/tmp/oneid-out", out)
		if status, body := s.ask(t, s.bi, attack, nil); status == http.StatusOK {
			t.Errorf("%q was let through: %.200s", attack, body)
		}
	}
	for name, c := range map[string]struct{ query, parameter, value string }{
		"a table by parameter":    {"SELECT * FROM {t:Identifier}", "param_t", "orders"},
		"a database by parameter": {"SELECT * FROM {t:Identifier}.processes", "param_t", "system"},
		"another database":        {"SELECT * FROM processes", "database", "system"},
		"the file system":         {"SELECT * FROM `/etc/passwd`", "database", "default"},
		"readonly off":            {"SELECT * FROM orders", "readonly", "0"},
		"role by parameter":       {"SELECT * FROM orders", "role", "app"},
		"session kept open":       {"SELECT * FROM orders", "session_id", "mine"},
		"session and settings":    {"SET ROLE app", "session_id", "mine"},
	} {
		if status, body := s.ask(t, s.bi, c.query, url.Values{c.parameter: {c.value}}); status == http.StatusOK {
			t.Errorf("%s: %q was let through: %.200s", name, c.query, body)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("an attack wrote a file")
	}
	if _, got := s.ask(t, s.app, "SELECT count() FROM orders", nil); got != "2\n" {
		t.Errorf("after the attacks there are %q orders, want 2", got)
	}
}

func TestPasswords(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		at     *httptest.Server
		set    func(*http.Request)
		status int
	}{
		"none":  {s.app, func(*http.Request) {}, 401},
		"basic": {s.app, func(r *http.Request) { r.SetBasicAuth("oneid", "app-password") }, 200},
		"headers": {s.app, func(r *http.Request) {
			r.Header.Set("X-ClickHouse-User", "oneid")
			r.Header.Set("X-ClickHouse-Key", "app-password")
		}, 200},
		"parameters":                {s.app, func(r *http.Request) { r.URL.RawQuery += "&user=oneid&password=app-password" }, 200},
		"wrong":                     {s.app, func(r *http.Request) { r.SetBasicAuth("oneid", "app-passwor") }, 401},
		"the engine's own user":     {s.app, func(r *http.Request) { r.SetBasicAuth("default", "") }, 401},
		"BI at the application's":   {s.app, func(r *http.Request) { r.SetBasicAuth("bi", "bi-password") }, 401},
		"the application at BI's":   {s.bi, func(r *http.Request) { r.SetBasicAuth("oneid", "app-password") }, 401},
		"BI":                        {s.bi, func(r *http.Request) { r.SetBasicAuth("bi", "bi-password") }, 200},
		"BI with an empty password": {s.bi, func(r *http.Request) { r.SetBasicAuth("bi", "") }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.at.URL+"/?query=SELECT+1", nil)
			if err != nil {
				t.Fatal(err)
			}
			c.set(request)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			code := response.Header.Get("X-ClickHouse-Exception-Code")
			if response.StatusCode != c.status || c.status == 401 && code != "516" {
				t.Errorf("status %d code %q, want %d", response.StatusCode, code, c.status)
			}
		})
	}
}

// The faces of HTTP that drivers other than clickhouse-go use.
func TestHTTP(t *testing.T) {
	s := newSite(t)
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(w, `{"id":5,"customer":5}`)
	_ = w.Close()
	for name, c := range map[string]struct {
		method, path, body string
		header             [2]string
		status             int
		want               string
		wantHeader         [2]string
	}{
		"ping":                       {"GET", "/ping", "", [2]string{}, 200, "Ok.\n", [2]string{}},
		"root":                       {"GET", "/", "", [2]string{}, 200, "Ok.\n", [2]string{}},
		"replicas":                   {"GET", "/replicas_status", "", [2]string{}, 200, "Ok.\n", [2]string{}},
		"no such path":               {"GET", "/metrics", "", [2]string{}, 404, "404", [2]string{}},
		"other method":               {"PUT", "/", "x", [2]string{}, 405, "", [2]string{"Allow", "GET, HEAD, POST"}},
		"query in the body":          {"POST", "/", "SELECT 1", [2]string{}, 200, "1\n", [2]string{"X-ClickHouse-Format", "TabSeparated"}},
		"query as parameter":         {"POST", "/?query=SELECT+2", "", [2]string{}, 200, "2\n", [2]string{}},
		"GET reads only":             {"GET", "/?query=CREATE+TABLE+g(a+Int8)ENGINE=Memory", "", [2]string{}, 403, "READONLY", [2]string{"X-ClickHouse-Exception-Code", "164"}},
		"format in the text":         {"POST", "/", "SELECT 1 AS a FORMAT JSONEachRow", [2]string{}, 200, "{\"a\":1}\n", [2]string{"Content-Type", "application/x-ndjson; charset=UTF-8"}},
		"format by header":           {"POST", "/", "SELECT 1 AS a", [2]string{"X-ClickHouse-Format", "CSVWithNames"}, 200, "\"a\"\n1\n", [2]string{}},
		"format by parameter":        {"POST", "/?default_format=JSONCompactEachRow", "SELECT 1 AS a", [2]string{}, 200, "[1]\n", [2]string{}},
		"a setting":                  {"POST", "/?max_threads=3", "SELECT getSetting('max_threads')", [2]string{}, 200, "3\n", [2]string{}},
		"an unknown setting":         {"POST", "/?max_thread=3", "SELECT 1", [2]string{}, 404, "UNKNOWN_SETTING", [2]string{"X-ClickHouse-Exception-Code", "115"}},
		"a setting with a quote":     {"POST", "/?max_threads=3'", "SELECT 1", [2]string{}, 400, "Code:", [2]string{}},
		"a parameter":                {"POST", "/?param_p=it's", "SELECT {p:String}", [2]string{}, 200, "it\\'s\n", [2]string{}},
		"an unknown database":        {"POST", "/?database=nowhere", "SELECT 1", [2]string{}, 404, "UNKNOWN_DATABASE", [2]string{}},
		"insert with data in body":   {"POST", "/?query=INSERT+INTO+orders+FORMAT+CSV", "3,3\n4,4\n", [2]string{}, 200, "", [2]string{}},
		"insert all in the body":     {"POST", "/", "INSERT INTO orders FORMAT JSONEachRow\n{\"id\":3,\"customer\":1}", [2]string{}, 200, "", [2]string{}},
		"insert gzip":                {"POST", "/?query=INSERT+INTO+orders+FORMAT+JSONEachRow", zipped.String(), [2]string{"Content-Encoding", "gzip"}, 200, "", [2]string{}},
		"insert br":                  {"POST", "/?query=INSERT+INTO+orders+FORMAT+JSONEachRow", "x", [2]string{"Content-Encoding", "br"}, 501, "NOT_IMPLEMENTED", [2]string{}},
		"insert of values":           {"POST", "/", "INSERT INTO orders (id, customer) VALUES (9, 9), (10, 10)", [2]string{}, 200, "", [2]string{}},
		"insert of values, two ways": {"POST", "/?query=INSERT+INTO+orders+VALUES", "(11,11)", [2]string{}, 200, "", [2]string{}},
		"insert of what is no CSV":   {"POST", "/?query=INSERT+INTO+orders+FORMAT+CSV", "a,b\n", [2]string{}, 400, "Code:", [2]string{}},
		"insert nothing":             {"POST", "/?query=INSERT+INTO+orders+FORMAT+JSONEachRow", "", [2]string{}, 200, "", [2]string{}},
		"external table":             {"POST", "/?query=SELECT+1", "--x\r\n\r\n", [2]string{"Content-Type", "multipart/form-data; boundary=x"}, 501, "NOT_IMPLEMENTED", [2]string{}},
		"a whole answer":             {"POST", "/?wait_end_of_query=1&default_format=JSONEachRow", "SELECT 1 AS a", [2]string{}, 200, "{\"a\":1}\n", [2]string{}},
		"two statements":             {"POST", "/", "SELECT 1; SELECT 2", [2]string{}, 400, "SYNTAX_ERROR", [2]string{}},
		"nothing":                    {"POST", "/", "", [2]string{}, 400, "Empty query", [2]string{}},
		"kill by id":                 {"POST", "/", "KILL QUERY WHERE query_id = 'nobody' SYNC", [2]string{}, 200, "", [2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, s.app.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth("oneid", "app-password")
			if c.header[0] != "" {
				request.Header.Set(c.header[0], c.header[1])
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != c.status || c.status == 200 && string(body) != c.want || !strings.Contains(string(body), c.want) {
				t.Errorf("%d %q, want %d %q", response.StatusCode, body, c.status, c.want)
			}
			if c.wantHeader[0] != "" && response.Header.Get(c.wantHeader[0]) != c.wantHeader[1] {
				t.Errorf("header %s = %q, want %q", c.wantHeader[0], response.Header.Get(c.wantHeader[0]), c.wantHeader[1])
			}
		})
	}
}

func TestEncodedAnswers(t *testing.T) {
	s := newSite(t)
	for _, encoding := range encodings {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.app.URL+"/?enable_http_compression=1", strings.NewReader("SELECT number FROM numbers(100000)"))
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth("oneid", "app-password")
		request.Header.Set("Accept-Encoding", encoding)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := newDecoder(response.Header.Get("Content-Encoding"), response.Body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(decoded)
		_ = response.Body.Close()
		if err != nil || response.Header.Get("Content-Encoding") != encoding || bytes.Count(body, []byte("\n")) != 100000 {
			t.Errorf("%s: %d lines in %q, %v", encoding, bytes.Count(body, []byte("\n")), response.Header.Get("Content-Encoding"), err)
		}
	}
}

func TestSessionsKeepWhatTheyWereTold(t *testing.T) {
	s := newSite(t)
	mine := url.Values{"session_id": {"mine"}}
	for _, statement := range []string{"CREATE TEMPORARY TABLE kept (a Int8)", "INSERT INTO kept VALUES (1)", "SET max_threads = 5"} {
		if status, body := s.ask(t, s.app, statement, mine); status != 200 {
			t.Fatalf("%s: %d %s", statement, status, body)
		}
	}
	if _, got := s.ask(t, s.app, "SELECT a, getSetting('max_threads') FROM kept", mine); got != "1\t5\n" {
		t.Errorf("the session has %q, want what it was told", got)
	}
	if status, _ := s.ask(t, s.app, "SELECT a FROM kept", nil); status != 404 {
		t.Errorf("without the session the table is there: %d", status)
	}
	if status, body := s.ask(t, s.app, "SELECT 1", url.Values{"session_id": {"never"}, "session_check": {"1"}}); status != 400 {
		t.Errorf("an unknown session: %d %s", status, body)
	}
	if status, body := s.ask(t, s.bi, "SELECT 1", url.Values{"session_id": {"mine"}}); status != 200 {
		t.Errorf("BI's session of the same name: %d %s", status, body)
	}
	var group sync.WaitGroup
	for i := range 8 { // in turn
		group.Go(func() {
			if _, got := s.ask(t, s.app, fmt.Sprintf("SELECT %d + a FROM kept", i), mine); got != fmt.Sprintln(i+1) {
				t.Errorf("request %d of one session = %q", i, got)
			}
		})
	}
	group.Wait()
}
