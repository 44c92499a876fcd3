package endpoint

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"oneid/internal/embedded/chdb/libchdb"
)

// Config of a Server.
type Config struct {
	Library *libchdb.Library
	// Folder of the engine's data and configuration, absolute.
	Folder string
	// Database is created, is the current one of each request that names none,
	// and is the only one that BI sees.
	Database string

	User, Password     string
	BIUser, BIPassword string

	// PublicViews are the names of the views of Database that BI may read; they
	// need not exist yet.
	PublicViews []string

	// MemoryBytes caps the engine; it must be given. NoSync leaves new parts to
	// the operating system's cache.
	MemoryBytes uint64
	NoSync      bool

	// Limits of one BI statement. Zero: 60 s, 1 GiB, half of the cores.
	BITime    time.Duration
	BIMemory  uint64
	BIThreads int
}

// Server answers HTTP requests with one engine. Its methods may be called from
// many goroutines.
type Server struct {
	config  Config
	version string
	zone    string
	file    string        // of the engine's configuration
	keeper  *libchdb.Conn // holds the engine open; used by nothing else
	fence   *fence

	queries, writes, bi lane
	sessions            *sessions
	warm                warm

	mu      sync.Mutex
	running map[*run]struct{}
}

// run is a statement at work.
type run struct {
	user, queryID string
	mark          string // its log_comment, by which alone it can be killed
}

// lane bounds how many statements of a kind run at once, so that inserts and BI
// cannot take the place of look-ups.
type lane chan struct{}

func (l lane) enter(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	default:
	}
	wait := time.NewTimer(laneWait)
	defer wait.Stop()
	select {
	case l <- struct{}{}:
		return nil
	case <-wait.C:
		return fail(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "%d statements of this kind are running: wait, or send fewer at once", cap(l))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l lane) leave() { <-l }

// laneWait is how long a statement waits for its turn.
const laneWait = 30 * time.Second

// New returns a Server that Open starts.
func New(config Config) *Server {
	cores := runtime.GOMAXPROCS(0)
	if config.BITime == 0 {
		config.BITime = time.Minute
	}
	if config.BIMemory == 0 {
		config.BIMemory = 1 << 30
	}
	if config.BIThreads == 0 {
		config.BIThreads = max(1, cores/2)
	}
	return &Server{
		config:   config,
		queries:  make(lane, max(16, 4*cores)),
		writes:   make(lane, max(4, 2*cores)),
		bi:       make(lane, max(2, cores)),
		sessions: newSessions(),
		running:  map[*run]struct{}{},
	}
}

// Open boots the engine and makes the database.
func (s *Server) Open() error {
	var err error
	if s.file, err = writeFiles(s.config); err != nil {
		return err
	}
	keeper, err := s.config.Library.Connect(s.arguments())
	if err != nil {
		return fmt.Errorf("endpoint: open %s: %w", s.config.Folder, err)
	}
	s.keeper = keeper
	if _, _, err := keeper.Query("CREATE DATABASE IF NOT EXISTS "+quoteName(s.config.Database)+" ENGINE = Atomic", "Null", nil); err != nil {
		s.Close()
		return fmt.Errorf("endpoint: create database %s: %w", s.config.Database, err)
	}
	about, _, err := keeper.Query("SELECT version(), timezone()", "TabSeparated", nil)
	if err != nil {
		s.Close()
		return fmt.Errorf("endpoint: ask the engine's version: %w", err)
	}
	s.version, s.zone, _ = strings.Cut(strings.TrimSpace(string(about)), "\t")
	if s.fence, err = newFence(keeper, s.config.Database); err != nil {
		s.Close()
		return err
	}
	return nil
}

// Version of the engine, for instance "26.7.2.1".
func (s *Server) Version() string { return s.version }

// Close ends the sessions and the engine. No request may be running.
func (s *Server) Close() {
	s.sessions.close()
	s.warm.close()
	if s.keeper != nil {
		s.keeper.Close()
		s.keeper = nil
	}
}

func (s *Server) arguments(more ...string) []string {
	return append([]string{"--path=" + filepath.Join(s.config.Folder, "store"), "--config-file=" + s.file}, more...)
}

// connect opens a connection of the application.
func (s *Server) connect() (*libchdb.Conn, error) {
	return s.config.Library.Connect(s.arguments())
}

// start writes down that a statement runs; the returned function ends that. If
// ctx ends before, the statement is killed, again and again until it has gone:
// the first time it may not have begun yet.
func (s *Server) start(ctx context.Context, r *run) (done func()) {
	s.mu.Lock()
	s.running[r] = struct{}{}
	s.mu.Unlock()
	ended, killed := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		for {
			s.kill(r.mark)
			select {
			case <-ended:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return func() {
		close(ended)
		if !stop() {
			<-killed
		}
		s.mu.Lock()
		delete(s.running, r)
		s.mu.Unlock()
	}
}

// kill asks the engine to end the statement that bears the mark, and no other.
func (s *Server) kill(mark string) {
	conn, err := s.connect()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _, _ = conn.Query("KILL QUERY WHERE Settings['log_comment'] = "+quoteText(mark)+" ASYNC", "Null", nil) // tried again
}

// killByID ends the user's statements of that query id.
func (s *Server) killByID(user, id string) {
	s.mu.Lock()
	var marks []string
	for r := range s.running {
		if r.user == user && r.queryID == id {
			marks = append(marks, r.mark)
		}
	}
	s.mu.Unlock()
	for _, mark := range marks {
		s.kill(mark)
	}
}

// killInEngine ends what runs under an id of the engine's own, as a BACKUP whose
// statement has long been answered does. Nobody can guess one: they are in system
// tables, which the application alone may read.
func (s *Server) killInEngine(id string) {
	conn, err := s.connect()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _, _ = conn.Query("KILL QUERY WHERE query_id = "+quoteText(id)+" ASYNC", "Null", nil) // whoever asked looks whether it has gone
}

// apply sets what the request asks for on a connection of the application.
func apply(conn *libchdb.Conn, q *request, mark string) error {
	var set strings.Builder
	set.WriteString("SET log_comment = " + quoteText(mark))
	for _, one := range q.settings {
		set.WriteString(", " + one.name + " = " + quoteText(one.value))
	}
	if q.readOnly {
		set.WriteString(", readonly = 2")
	}
	_, _, err := conn.Query(set.String(), "Null", nil)
	return err
}

func quoteText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func quoteName(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

var errGone = errors.New("endpoint: the client has gone")
