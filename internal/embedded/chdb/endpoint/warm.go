package endpoint

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"

	"oneid/internal/embedded/chdb/libchdb"
)

// warm keeps connections on which nothing but SELECTs have run, with their
// settings and database, for the next SELECT that wants the same: opening one,
// USE and SET cost as much as a short statement. A SELECT leaves nothing behind
// on its connection; whatever else may, gets a fresh one.
type warm struct {
	mu     sync.Mutex
	idle   []warmConn // the one used last at the end
	closed bool
}

// warmConn is a connection that is ready to run what has its key.
type warmConn struct {
	conn *libchdb.Conn
	key  string
	mark string // its log_comment, by which what runs on it is killed
}

// maxWarm bounds the memory of connections that are not used; the one that has
// waited longest goes first.
const maxWarm = 16

func (w *warm) take(key string) (warmConn, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.idle) - 1; i >= 0; i-- {
		if c := w.idle[i]; c.key == key {
			w.idle = append(w.idle[:i], w.idle[i+1:]...)
			return c, true
		}
	}
	return warmConn{}, false
}

func (w *warm) give(c warmConn) {
	w.mu.Lock()
	w.idle = append(w.idle, c)
	var out []warmConn
	if n := len(w.idle) - maxWarm; n > 0 || w.closed {
		if w.closed {
			n = len(w.idle)
		}
		out = append(out, w.idle[:n]...)
		w.idle = append(w.idle[:0], w.idle[n:]...)
	}
	w.mu.Unlock()
	for _, c := range out {
		c.conn.Close()
	}
}

func (w *warm) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, c := range w.idle {
		c.conn.Close()
	}
	w.idle = nil
}

// warmKey names what a connection for the request is set to.
func (s *Server) warmKey(q *request) string {
	var b strings.Builder
	b.WriteString(quoteText(cmpOr(q.database, s.config.Database)))
	for _, one := range q.settings {
		b.WriteString("," + one.name + "=" + quoteText(one.value))
	}
	if q.readOnly {
		b.WriteString(",readonly")
	}
	return b.String()
}

// runSelect runs a SELECT outside of a session.
func (s *Server) runSelect(ctx context.Context, q *request, a *answer) error {
	key := s.warmKey(q)
	c, ok := s.warm.take(key)
	if !ok {
		var err error
		if c, err = s.heat(q, key); err != nil {
			return err
		}
	}
	err := s.runOn(ctx, c, q, a)
	if err != nil {
		c.conn.Close() // what it was left in is not known
		return err
	}
	s.warm.give(c)
	return nil
}

func (s *Server) runOn(ctx context.Context, c warmConn, q *request, a *answer) error {
	defer s.start(ctx, &run{user: s.config.User, queryID: q.queryID, mark: c.mark})()
	return s.execute(ctx, c.conn, q, a)
}

// heat opens a connection and sets it.
func (s *Server) heat(q *request, key string) (warmConn, error) {
	conn, err := s.connect()
	if err != nil {
		return warmConn{}, err
	}
	c := warmConn{conn: conn, key: key, mark: "oneid " + rand.Text()}
	if database := cmpOr(q.database, s.config.Database); database != "" {
		err = use(conn, database)
	}
	if err == nil {
		err = apply(conn, q, c.mark)
	}
	if err != nil {
		conn.Close()
	}
	return c, err
}
