package chdb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says where the engine's data are and how to start it. Zero values are
// the defaults, except of Library and Folder, which must be given.
type Config struct {
	// Library is the path of libchdb, from install.Install.
	Library string
	// Folder of the data, made if it is not there. One process at a time has it.
	Folder string
	// Secrets is the folder of the passwords, made at the first start with mode
	// 0700, its files with 0600. Default: "secrets" beside Folder.
	Secrets string
	// Database that is made and is the current one. Default "oneid".
	Database string
	// Address of the application's listener; default "127.0.0.1:0", any free port.
	Address string
	// BI opens a second listener, at BIAddress, for the user who reads
	// PublicViews of Database and nothing else. Where the system cannot keep the
	// engine to its folder (no Landlock: macOS, old kernels) there is none, unless
	// BIUnconfined says that the other layers of the fence are enough.
	BI           bool
	BIUnconfined bool
	BIAddress    string
	PublicViews  []string
	// Limits of one BI statement; default 60 s, 1 GiB, half of the cores.
	BITime        time.Duration
	BIMemoryBytes uint64
	BIThreads     int
	// MemoryBytes caps the engine; default: half of the machine's memory.
	MemoryBytes uint64
	// NoSync: see ServeConfig. For tests and throw-away data.
	NoSync bool
	// Command starts the child; default: this program with "engine", "serve".
	// Environment is added to the child's, which is empty but for the time zone and
	// the folder of temporary files.
	Command     []string
	Environment []string
	// Log gets each change of state once; OnState too, if it is set, in order.
	Log     *slog.Logger
	OnState func(State)
}

// State of the engine.
type State string

// The states, in the order in which a server goes through them.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Died     State = "died" // and is started again: Starting follows
	Closed   State = "closed"
)

// Server is a running engine. Its methods may be called from many goroutines.
type Server struct {
	config                Config
	app, bi               *os.File // listeners, which stay open when a child dies
	appAddress, biAddress string
	password, biPassword  string
	lock                  *os.File
	stop                  context.CancelFunc
	done                  chan struct{}
	client                *http.Client
	messages              tail // of the child's stderr

	mu    sync.Mutex
	state State
	pid   int
}

// Users of the two listeners.
const (
	AppUser = "oneid"
	BIUser  = "bi"
)

// Times of a start: for the lock of a folder that its last owner is leaving,
// and for the first answer (with much data under load 1.6 s were measured).
const (
	lockWait  = 10 * time.Second
	readyWait = 90 * time.Second
	closeWait = drain + 5*time.Second
)

// Start starts the engine and returns when it answers. The Server lives until
// Close; ctx bounds the start alone. If it fails, nothing is left running.
func Start(ctx context.Context, config Config) (_ *Server, err error) {
	s := &Server{config: config, done: make(chan struct{})}
	if err := s.defaults(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && s.stop == nil {
			s.closeFiles()
		}
	}()
	if err := os.MkdirAll(s.config.Folder, 0o700); err != nil {
		return nil, fmt.Errorf("chdb: make the data folder: %w", err)
	}
	if s.lock, err = lockFolder(ctx, s.config.Folder, lockWait); err != nil {
		return nil, err
	}
	if s.password, err = secret(s.SecretFile()); err != nil {
		return nil, err
	}
	if s.app, s.appAddress, err = listen(ctx, s.config.Address); err != nil {
		return nil, err
	}
	s.mayOpenBI()
	if s.config.BI {
		if s.biPassword, err = secret(s.BISecretFile()); err != nil {
			return nil, err
		}
		if s.bi, s.biAddress, err = listen(ctx, s.config.BIAddress); err != nil {
			return nil, err
		}
	}
	s.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var living context.Context
	living, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	first := make(chan error, 1)
	go s.supervise(living, first)
	select {
	case err = <-first:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// canConfine is CanConfine but in tests.
var canConfine = CanConfine

// mayOpenBI takes the listener of BI back where the system has no fence for it.
func (s *Server) mayOpenBI() {
	files, network := canConfine()
	switch log := s.config.Log; {
	case !s.config.BI:
	case !files && !s.config.BIUnconfined:
		s.config.BI = false
		log.Warn("embedded clickhouse: no listener for bi, because this system cannot keep the engine to its folder (no Landlock); clickhouse.bi.unconfined: true opens it all the same")
	case !files:
		log.Warn("embedded clickhouse: the listener for bi is open without the operating system's fence, as clickhouse.bi.unconfined says")
	case !network:
		log.Warn("embedded clickhouse: this kernel cannot keep the engine from opening connections (Linux 6.7 can); its own layers do")
	}
}

func (s *Server) defaults() error {
	c := &s.config
	if c.Library == "" || c.Folder == "" {
		return errors.New("chdb: start: Library and Folder must be given")
	}
	var err error
	if c.Library, err = filepath.Abs(c.Library); err != nil {
		return fmt.Errorf("chdb: start: %w", err)
	}
	if c.Folder, err = filepath.Abs(c.Folder); err != nil {
		return fmt.Errorf("chdb: start: %w", err)
	}
	if c.Secrets == "" {
		c.Secrets = filepath.Join(filepath.Dir(c.Folder), "secrets")
	}
	if c.Database == "" {
		c.Database = "oneid"
	}
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	if c.BIAddress == "" {
		c.BIAddress = "127.0.0.1:0"
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if len(c.Command) == 0 {
		program, err := os.Executable()
		if err != nil {
			return fmt.Errorf("chdb: find this program, to start the engine with: %w", err)
		}
		c.Command = []string{program, "engine", "serve"}
	}
	return nil
}

// listen opens a listener and keeps only its descriptor: the child accepts.
func listen(ctx context.Context, address string) (*os.File, string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, "", fmt.Errorf("chdb: listen on %s: %w (choose another address in the configuration)", address, err)
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return nil, "", fmt.Errorf("chdb: listen on %s: %w", address, err)
	}
	return file, listener.Addr().String(), nil
}

// URL of the application's endpoint, without credentials.
func (s *Server) URL() string { return "http://" + s.appAddress }

// BIURL is that of BI, or "" if it has none.
func (s *Server) BIURL() string {
	if s.biAddress == "" {
		return ""
	}
	return "http://" + s.biAddress
}

// User is the application's.
func (s *Server) User() string { return AppUser }

// Password is the application's, made at the first start.
func (s *Server) Password() string { return s.password }

// BIUser is the user for BI, who may only read.
func (s *Server) BIUser() string { return BIUser }

// BIPassword is the password of BIUser.
func (s *Server) BIPassword() string { return s.biPassword }

// Database is the current one of both users.
func (s *Server) Database() string { return s.config.Database }

// SecretFile holds the application's password and a line end; BISecretFile BI's.
func (s *Server) SecretFile() string { return filepath.Join(s.config.Secrets, "clickhouse.password") }

// BISecretFile holds the password of BI.
func (s *Server) BISecretFile() string {
	return filepath.Join(s.config.Secrets, "clickhouse-bi.password")
}

// State of the engine now.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// PID of the child that runs now, or 0.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// Close ends the engine: SIGTERM, then after 10 s SIGKILL. It returns when the
// child has gone. It may be called more than once.
func (s *Server) Close() error {
	s.stop()
	<-s.done
	return nil
}

func (s *Server) closeFiles() {
	for _, file := range []*os.File{s.app, s.bi, s.lock} {
		if file != nil {
			_ = file.Close()
		}
	}
}

func (s *Server) enter(state State, attributes ...any) {
	s.mu.Lock()
	changed := s.state != state
	s.state = state
	s.mu.Unlock()
	if !changed {
		return
	}
	level := slog.LevelInfo
	if state == Died {
		level = slog.LevelWarn
	}
	s.config.Log.Log(context.Background(), level, "embedded clickhouse", append([]any{"state", string(state)}, attributes...)...)
	if s.config.OnState != nil {
		s.config.OnState(state)
	}
}

// supervise starts the child again and again until ctx ends. It says on first
// how the first start went; if that failed it gives up.
//
// It keeps its OS thread: Linux sends the child's death signal when the thread
// that started it ends, not when the process does.
func (s *Server) supervise(ctx context.Context, first chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	defer s.closeFiles()
	defer s.enter(Closed)
	pause := 100 * time.Millisecond
	for {
		s.enter(Starting)
		child, err := s.spawn()
		if err == nil {
			err = s.awaitReady(ctx, child)
			if err == nil {
				s.enter(Ready, "url", s.URL(), "pid", child.pid)
				if first != nil {
					first <- nil
					first = nil
				}
				pause = 100 * time.Millisecond
				select {
				case <-child.ended:
				case <-ctx.Done():
				}
			}
			child.end()
		}
		s.setPID(0)
		if first != nil {
			first <- err
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.enter(Died, "reason", s.messages.last(err))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, 5*time.Second)
	}
}

func (s *Server) setPID(pid int) {
	s.mu.Lock()
	s.pid = pid
	s.mu.Unlock()
}

// child is one run of the engine's process.
type child struct {
	pid      int
	process  *os.Process
	lifetime *os.File      // its end tells the child that we have gone
	ended    chan struct{} // closed when the process has been waited for
	err      error         // of the wait; read after ended
}

// spawn starts a child and hands it its settings.
func (s *Server) spawn() (*child, error) {
	settingsRead, settingsWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("chdb: start the engine: %w", err)
	}
	defer settingsRead.Close()
	defer settingsWrite.Close()
	lifetimeRead, lifetimeWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("chdb: start the engine: %w", err)
	}
	defer lifetimeRead.Close()
	settings, err := json.Marshal(s.serveConfig())
	if err != nil {
		return nil, fmt.Errorf("chdb: start the engine: %w", err)
	}
	bi := s.bi
	if bi == nil {
		bi = lifetimeRead // keeps the numbers of the descriptors
	}
	//nolint:noctx // the child outlives any one context: stop asks it to end before it kills
	command := exec.Command(s.config.Command[0], s.config.Command[1:]...)
	command.Dir = s.config.Folder
	command.Env = append([]string{"TZ=UTC", "LC_ALL=C.UTF-8", "TMPDIR=" + filepath.Join(s.config.Folder, "tmp")}, s.config.Environment...)
	command.Stderr = &s.messages
	command.ExtraFiles = []*os.File{settingsRead, lifetimeRead, s.app, bi, s.lock}
	command.SysProcAttr = ownGroup()
	if err := command.Start(); err != nil {
		_ = lifetimeWrite.Close()
		return nil, fmt.Errorf("chdb: start the engine with %s: %w", s.config.Command[0], err)
	}
	c := &child{pid: command.Process.Pid, process: command.Process, lifetime: lifetimeWrite, ended: make(chan struct{})}
	s.setPID(c.pid)
	go func() {
		c.err = command.Wait()
		close(c.ended)
	}()
	_ = settingsRead.Close()
	if _, err := settingsWrite.Write(settings); err != nil { // it has died: awaitReady says why
		s.config.Log.Debug("embedded clickhouse took no settings", "error", err)
	}
	return c, nil
}

func (s *Server) serveConfig() ServeConfig {
	c := s.config
	config := ServeConfig{
		Library: c.Library, Folder: c.Folder, Database: c.Database, User: AppUser, Password: s.password, PublicViews: c.PublicViews,
		BITime: c.BITime, BIMemoryBytes: c.BIMemoryBytes, BIThreads: c.BIThreads, MemoryBytes: c.MemoryBytes, NoSync: c.NoSync,
	}
	if s.bi != nil {
		config.BIUser, config.BIPassword = BIUser, s.biPassword
	}
	return config
}

// end stops the child and returns when it has gone.
func (c *child) end() {
	defer c.lifetime.Close()
	select {
	case <-c.ended:
		return
	default:
	}
	_ = c.process.Signal(syscall.SIGTERM) // it may have ended just now
	select {
	case <-c.ended:
	case <-time.After(closeWait):
		_ = c.process.Kill()
		<-c.ended
	}
}

// awaitReady returns when the child answers /ping and SELECT 1.
func (s *Server) awaitReady(ctx context.Context, c *child) error {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // an engine that dies does not answer: ask no longer
		select {
		case <-c.ended:
			stop()
		case <-asking.Done():
		}
	}()
	limit := time.NewTimer(readyWait)
	defer limit.Stop()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err := s.Ping(asking)
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return fmt.Errorf("chdb: the engine ended while it started: %s", s.messages.last(c.err))
		case <-limit.C:
			return fmt.Errorf("chdb: the engine did not answer within %s: %w", readyWait, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// Ping asks /ping and SELECT 1, each within a second.
func (s *Server) Ping(ctx context.Context) error {
	for path, want := range map[string]string{"/ping": "Ok.\n", "/?query=SELECT+1": "1\n"} {
		if err := s.ask(ctx, path, want); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) ask(ctx context.Context, path, want string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+path, nil)
	if err != nil {
		return fmt.Errorf("chdb: ping: %w", err)
	}
	request.SetBasicAuth(AppUser, s.password)
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("chdb: ping: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err != nil {
		return fmt.Errorf("chdb: ping: %w", err)
	}
	if string(body) != want {
		return fmt.Errorf("chdb: ping: answered %d %q", response.StatusCode, strings.TrimSpace(string(body)))
	}
	return nil
}

// tail keeps the last lines that the child wrote to stderr, the only place
// where the library says why it could not open a folder.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	return len(p), nil
}

// last returns the last lines, or the error if there are none.
func (t *tail) last(err error) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.text), []byte("\n"))
	text := string(bytes.Join(lines[max(0, len(lines)-4):], []byte("; ")))
	switch {
	case text == "" && err == nil:
		return "it ended without a word"
	case text == "":
		return err.Error()
	case err != nil:
		return text + " (" + err.Error() + ")"
	}
	return text
}
