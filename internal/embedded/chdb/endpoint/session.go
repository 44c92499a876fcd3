package endpoint

import (
	"context"
	"sync"
	"time"

	"oneid/internal/embedded/chdb/libchdb"
)

// sessions keep connections between requests, by user and session_id: temporary
// tables, SET and USE live there. One request at a time uses a session.
type sessions struct {
	mu     sync.Mutex
	byName map[string]*session
	closed bool
}

type session struct {
	turn    chan struct{} // one place: the right to use conn
	conn    *libchdb.Conn
	timer   *time.Timer
	waiting int // guarded by sessions.mu; a session in use is not closed
}

// maxSessions bounds the memory that forgotten sessions hold.
const maxSessions = 256

func newSessions() *sessions { return &sessions{byName: map[string]*session{}} }

// take returns the connection of a session, made by open if there is none, and
// the function that gives it back.
func (s *sessions) take(ctx context.Context, name string, timeout time.Duration, check bool, open func() (*libchdb.Conn, error)) (conn *libchdb.Conn, release func(), err error) {
	s.mu.Lock()
	one := s.byName[name]
	if one == nil {
		if check || s.closed {
			s.mu.Unlock()
			return nil, nil, fail(372, "SESSION_NOT_FOUND", "there is no such session: it has ended, or never was")
		}
		if len(s.byName) >= maxSessions {
			s.mu.Unlock()
			return nil, nil, fail(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "%d sessions are open: use fewer session ids, or a shorter session_timeout", maxSessions)
		}
		one = &session{turn: make(chan struct{}, 1)}
		s.byName[name] = one
	}
	one.waiting++
	if one.timer != nil {
		one.timer.Stop()
	}
	s.mu.Unlock()

	select {
	case one.turn <- struct{}{}:
	case <-ctx.Done():
		s.leave(name, one, timeout)
		return nil, nil, context.Cause(ctx)
	}
	if one.conn == nil {
		if one.conn, err = open(); err != nil {
			<-one.turn
			s.leave(name, one, 0)
			return nil, nil, err
		}
	}
	return one.conn, func() {
		<-one.turn
		s.leave(name, one, timeout)
	}, nil
}

// leave starts the session's clock when its last user has gone.
func (s *sessions) leave(name string, one *session, timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one.waiting--
	if one.waiting > 0 {
		return
	}
	if s.closed {
		s.end(name, one)
		return
	}
	one.timer = time.AfterFunc(timeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if one.waiting == 0 {
			s.end(name, one)
		}
	})
}

func (s *sessions) end(name string, one *session) {
	if s.byName[name] == one {
		delete(s.byName, name)
	}
	if one.conn != nil {
		one.conn.Close()
		one.conn = nil
	}
}

func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for name, one := range s.byName {
		if one.timer != nil {
			one.timer.Stop()
		}
		if one.waiting == 0 {
			s.end(name, one)
		}
	}
}
