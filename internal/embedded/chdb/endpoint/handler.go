package endpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"

	"oneid/internal/embedded/chdb/libchdb"
)

// Handler serves the application.
func (s *Server) Handler() http.Handler {
	return s.routes(s.config.User, s.config.Password, s.serveApp)
}

// BIHandler serves BI, inside the fence.
func (s *Server) BIHandler() http.Handler {
	return s.routes(s.config.BIUser, s.config.BIPassword, s.serveBI)
}

func (s *Server) routes(user, password string, serve func(http.ResponseWriter, *http.Request)) http.Handler {
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "Ok.\n") }
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", ok)
	mux.HandleFunc("/replicas_status", ok)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && r.URL.Path != "/query" {
			http.NotFound(w, r)
			return
		}
		if r.Method == http.MethodGet && !r.URL.Query().Has("query") {
			ok(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodPost && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD, POST")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		name, secret, given := credentials(r)
		nameOK, secretOK := sameSecret(name, user), sameSecret(secret, password)
		if !given || !nameOK || !secretOK || password == "" {
			a := s.newAnswer(w, &request{queryID: r.URL.Query().Get("query_id")})
			a.fail(fail(516, "AUTHENTICATION_FAILED", "Authentication failed: password is incorrect, or there is no user with such name"), s.version)
			return
		}
		serve(w, r)
	})
	return mux
}

// serveApp runs one request of the application.
func (s *Server) serveApp(w http.ResponseWriter, r *http.Request) {
	q, err := readRequest(r, textSize)
	if q == nil {
		q = &request{}
	}
	a := s.newAnswer(w, q)
	if err == nil {
		err = s.runApp(r.Context(), q, a)
	}
	finish(a, err, s.version)
}

// finish ends the answer; a client that has gone is told nothing.
func finish(a *answer, err error, version string) {
	switch {
	case err == nil:
		a.end()
	case errors.Is(err, errGone), errors.Is(err, context.Canceled):
	default:
		a.fail(err, version)
	}
}

func (s *Server) runApp(ctx context.Context, q *request, a *answer) error {
	switch {
	case strings.TrimSpace(q.statement.text) == "":
		return fail(62, "SYNTAX_ERROR", "Empty query")
	case q.statement.stopsServer():
		return fail(497, "ACCESS_DENIED", "SYSTEM SHUTDOWN and SYSTEM KILL are refused: the process that started the engine stops it")
	case q.statement.several():
		return fail(62, "SYNTAX_ERROR", "Multi-statements are not allowed")
	case q.statement.writesFile():
		return fail(358, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed: read the result and write it")
	case q.statement.kind == kills:
		id, ok := q.statement.killed()
		if !ok {
			return fail(497, "ACCESS_DENIED", "KILL QUERY is taken in one form, KILL QUERY WHERE query_id = '…', because every statement of the engine has the same user")
		}
		s.killByID(s.config.User, id)
		s.killInEngine(id)
		return nil
	}
	turn := s.queries
	if q.statement.kind == inserts || q.statement.kind == valuesIn {
		turn = s.writes
	}
	if err := turn.enter(ctx); err != nil {
		return err
	}
	defer turn.leave()

	if q.statement.kind == selects && q.session == "" {
		return s.runSelect(ctx, q, a)
	}
	conn, release, err := s.appConn(ctx, q)
	if err != nil {
		return err
	}
	defer release()
	one := &run{user: s.config.User, queryID: q.queryID, mark: "oneid " + rand.Text()}
	if err := apply(conn, q, one.mark); err != nil {
		return err
	}
	if q.session != "" {
		defer reset(conn, q)
	}
	defer s.start(ctx, one)()
	return s.execute(ctx, conn, q, a)
}

// appConn returns a fresh connection, or that of the session, with the current
// database of the request.
func (s *Server) appConn(ctx context.Context, q *request) (conn *libchdb.Conn, release func(), err error) {
	database := q.database
	switch {
	case q.session != "":
		conn, release, err = s.sessions.take(ctx, s.config.User+"/"+q.session, q.sessionTimeout, q.sessionCheck, func() (*libchdb.Conn, error) {
			database = cmpOr(database, s.config.Database)
			return s.connect()
		})
	default:
		database = cmpOr(database, s.config.Database)
		if conn, err = s.connect(); err == nil {
			release = conn.Close
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if database != "" {
		if err := use(conn, database); err != nil {
			release()
			return nil, nil, err
		}
	}
	return conn, release, nil
}

func use(conn *libchdb.Conn, database string) error {
	_, _, err := conn.Query("USE "+quoteName(database), "Null", nil)
	return err
}

// reset gives a session the settings back that held for one request.
func reset(conn *libchdb.Conn, q *request) {
	names := []string{"log_comment"}
	for _, one := range q.settings {
		names = append(names, one.name)
	}
	if q.readOnly {
		names = append(names, "readonly")
	}
	_, _, _ = conn.Query("SET "+strings.Join(names, " = DEFAULT, ")+" = DEFAULT", "Null", nil) // the next request sets its own
}

// execute runs the statement on a connection that is ready for it.
func (s *Server) execute(ctx context.Context, conn *libchdb.Conn, q *request, a *answer) error {
	a.format = cmpOr(q.statement.format, q.format)
	switch {
	case q.statement.kind == inserts:
		a.format = q.format
		return insert(ctx, conn, q, a)
	case q.statement.kind == selects && !q.whole && (a.format == "Native" || a.format == "JSONEachRow"):
		return stream(ctx, conn, q, a)
	}
	body, stats, err := conn.Query(q.statement.text, a.format, q.params)
	if err != nil {
		return goneOr(ctx, err)
	}
	a.stats = stats
	return write(ctx, q, a, body)
}

// write sends one document of the result.
func write(ctx context.Context, q *request, a *answer, body []byte) error {
	var err error
	if a.format == "Native" {
		err = recode(body, q.protocol, a)
	} else if len(body) > 0 {
		_, err = a.Write(body)
	}
	return goneOr(ctx, err)
}

// goneOr says that the client has gone, when that is why.
func goneOr(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errGone
	}
	return err
}

// stream sends the result piece by piece: memory does not grow with it. Each
// piece is a whole document, which only Native and JSONEachRow can be joined from.
func stream(ctx context.Context, conn *libchdb.Conn, q *request, a *answer) error {
	pieces, err := conn.Stream(q.statement.text, a.format, q.params)
	if err != nil {
		return goneOr(ctx, err)
	}
	defer pieces.Close()
	for {
		piece, stats, err := pieces.Next()
		if err != nil {
			return goneOr(ctx, err)
		}
		if len(piece) == 0 {
			break
		}
		if !a.started {
			a.stats = stats
		}
		if err := write(ctx, q, a, piece); err != nil {
			return err
		}
		a.flush()
	}
	if a.started || a.format != "Native" {
		return nil
	}
	// A stream without rows gives no bytes at all, but drivers read the columns
	// from a first block.
	pieces.Close()
	columns, _, err := conn.Query("DESCRIBE TABLE ("+q.statement.text+"\n)", "JSONCompactEachRow", q.params)
	if err != nil {
		return goneOr(ctx, err)
	}
	header, err := emptyBlock(columns, q.protocol)
	if err != nil {
		return err
	}
	_, err = a.Write(header)
	return goneOr(ctx, err)
}

// chunk is how much of an INSERT's data goes to the library at a time.
const chunk = 256 << 10

// insert appends the data to an open INSERT. Rows are committed at the end, so
// a body that breaks off leaves nothing.
func insert(ctx context.Context, conn *libchdb.Conn, q *request, a *answer) error {
	rows, err := conn.Insert(q.statement.text, q.statement.format, q.params)
	if err != nil {
		drain(q.data)
		return err
	}
	defer rows.Close()
	buffer := make([]byte, chunk)
	for {
		n, readErr := fill(q.data, buffer)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return fail(33, "CANNOT_READ_ALL_DATA", "the body broke off, no row was inserted")
		}
		if _, err := rows.Write(buffer[:n]); err != nil {
			drain(q.data)
			return goneOr(ctx, err)
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
	}
	stats, err := rows.Done()
	if err != nil {
		return goneOr(ctx, err)
	}
	a.stats = stats
	return nil
}

// drain reads on after an error: a client that still sends would see a broken
// connection instead of it.
func drain(body io.Reader) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 256<<20))
}

// fill reads until the buffer is full (nil), the body ends (io.EOF) or breaks off.
func fill(body io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var m int
		m, err = body.Read(buffer[n:])
		n += m
	}
	return n, err
}
