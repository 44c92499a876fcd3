package install

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// shop is an invented registry: a package, and the folder that is the whole PATH.
type shop struct {
	t       *testing.T
	path    string // the PATH
	tarball string
	calls   string // a line for each call of a client
	cache   string
	pack    pack
	wheel   wheel
}

func newShop(t *testing.T) *shop {
	t.Helper()
	folder := t.TempDir()
	s := &shop{t: t, path: filepath.Join(folder, "bin"), tarball: filepath.Join(folder, "lib.tgz"), calls: filepath.Join(folder, "calls"), cache: filepath.Join(folder, "cache")}
	if err := os.Mkdir(s.path, 0o755); err != nil {
		t.Fatal(err)
	}
	library := bytes.Repeat([]byte("library "), 50_000)
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	for name, content := range map[string][]byte{"package/package.json": []byte("{}"), "package/libchdb.so": library} {
		if err := errors.Join(archive.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}), second(archive.Write(content))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close(), os.WriteFile(s.tarball, packed.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	s.pack = pack{
		Name: "@example/lib", Version: "1.2.3", File: "lib.tgz", Bytes: int64(packed.Len()), SHA512: hash(packed.Bytes()),
		Member: "package/libchdb.so", Library: "libchdb.so", LibraryBytes: int64(len(library)), LibrarySHA512: hash(library), NeedsAVX2: true,
	}
	t.Setenv("PATH", s.path)
	return s
}

func second(_ int, err error) error { return err }

func hash(b []byte) string {
	sum := sha512.Sum512(b)
	return hex.EncodeToString(sum[:])
}

// client puts a script on the PATH.
func (s *shop) client(name, script string) {
	s.t.Helper()
	text := "#!/bin/sh\necho " + name + " \"$@\" >>" + s.calls + "\n" + script
	if err := os.WriteFile(filepath.Join(s.path, name), []byte(text), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

// packScript is what npm pack does: $3 is the folder.
func (s *shop) packScript() string {
	return "[ \"$1\" = pack ] && [ \"$2\" = --pack-destination ] || exit 9\n/bin/cp " + s.tarball + " \"$3\"/x.tgz\n"
}

func (s *shop) installer() installer {
	return installer{Options: Options{Cache: s.cache}, platform: "test/cpu", pack: s.pack, wheel: s.wheel, hasAVX2: true}
}

func (s *shop) called() int {
	text, _ := os.ReadFile(s.calls)
	return bytes.Count(text, []byte("\n"))
}

// wantClean fails if an install left anything that is not a whole library.
func (s *shop) wantClean() {
	s.t.Helper()
	if stale, _ := filepath.Glob(filepath.Join(s.cache, "fetch-*")); len(stale) > 0 {
		s.t.Errorf("left behind: %v", stale)
	}
}

func wantCode(t *testing.T, err error, code string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code() != code || e.Hint() == "" {
		t.Fatalf("error = %v, want code %s and a hint", err, code)
	}
	return e
}

func TestInstallOnceForAll(t *testing.T) {
	s := newShop(t)
	s.client("npm", s.packScript())
	t.Setenv("npm_config_prefix", "/nonexistent")
	var last, total int64
	i := s.installer()
	i.Progress = func(d, all int64) { last, total = d, all }
	for range 3 {
		path, err := i.install(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || hash(got) != s.pack.LibrarySHA512 {
			t.Fatalf("the library at %s is not the published one: %v", path, err)
		}
	}
	if s.called() != 1 || last != s.pack.Bytes || total != s.pack.Bytes {
		t.Errorf("npm was called %d times, progress ended at %d of %d; want one call, all of it", s.called(), last, total)
	}
	s.wantClean()
}

func TestTwoAtOnceFetchOnce(t *testing.T) {
	s := newShop(t)
	s.client("npm", "/bin/sleep 0.3\n"+s.packScript())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := s.installer().install(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if s.called() != 1 {
		t.Errorf("npm was called %d times, want once", s.called())
	}
	s.wantClean()
}

func TestCancelledInstallLeavesNothing(t *testing.T) {
	s := newShop(t)
	started := filepath.Join(t.TempDir(), "started")
	s.client("npm", "echo half >half; : >"+started+"; /bin/sleep 600 & wait\n")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(started); err == nil {
				cancel()
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	begin := time.Now()
	if _, err := s.installer().install(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want that it was cancelled", err)
	}
	if took := time.Since(begin); took > 5*time.Minute { // of ten that the client would take
		t.Errorf("the cancel took %s", took)
	}
	s.wantClean()
	s.client("npm", s.packScript())
	if _, err := s.installer().install(t.Context()); err != nil {
		t.Errorf("the next install: %v", err)
	}
}

func TestKilledInstallIsSweptUp(t *testing.T) {
	s := newShop(t)
	stale := filepath.Join(s.cache, "fetch-stale", "cache", "locked")
	if err := os.MkdirAll(stale, 0o755); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(s.cache, "1.2.3-test-cpu") // a folder without its note
	if err := errors.Join(os.MkdirAll(half, 0o755), os.WriteFile(filepath.Join(half, "libchdb.so"), []byte("half"), 0o644)); err != nil {
		t.Fatal(err)
	}
	// The client of the killed install lives on and makes its folder anew.
	s.client("npm", "/bin/mkdir -p "+stale+"\n"+s.packScript())
	if _, err := s.installer().install(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantClean()
}

func TestDamagedDownload(t *testing.T) {
	s := newShop(t)
	s.client("npm", "echo not-it >\"$3\"/x.tgz\n")
	_, err := s.installer().install(t.Context())
	e := wantCode(t, err, Damaged)
	if !strings.Contains(e.Error(), "deleted") {
		t.Errorf("%v does not say that the file was deleted", e)
	}
	s.wantClean()
	if _, err := os.Stat(filepath.Join(s.cache, "1.2.3-test-cpu")); err == nil {
		t.Error("a damaged file was installed")
	}
}

func TestDamagedLibrary(t *testing.T) {
	s := newShop(t)
	s.client("npm", s.packScript())
	path, err := s.installer().install(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	library, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	library[17]++ // the same size
	if err := os.WriteFile(path, library, 0o755); err != nil {
		t.Fatal(err)
	}
	i := s.installer()
	i.Verify = true
	_, err = i.install(t.Context())
	wantCode(t, err, Damaged)
	if _, err := os.Stat(path); err == nil {
		t.Error("the damaged library is still there")
	}
	if _, err := i.install(t.Context()); err != nil {
		t.Errorf("installed again: %v", err)
	}
	if err := os.Truncate(path, 5); err != nil { // seen without Verify
		t.Fatal(err)
	}
	if _, err := s.installer().install(t.Context()); err != nil || s.called() != 3 {
		t.Errorf("a shortened library: %v, %d calls; want it fetched again", err, s.called())
	}
}

func TestNoClient(t *testing.T) {
	s := newShop(t)
	s.wheel = wheel{Name: "node", Version: "1"}
	_, err := s.installer().install(t.Context())
	wantCode(t, err, NoClient)
	s.wantClean()
}

func TestNoAVX2(t *testing.T) {
	i := newShop(t).installer()
	i.hasAVX2 = false
	_, err := i.install(t.Context())
	wantCode(t, err, NoAVX2)
}

func TestUnsupportedPlatform(t *testing.T) {
	wantCode(t, unsupported("plan9/mips"), Unsupported)
}

func TestOfflineSaysWhatTheClientSaid(t *testing.T) {
	s := newShop(t)
	s.client("npm", `echo "npm error code ENOTFOUND" >&2
echo "npm error request to https://someone:pass@registry.example.test/@example%2flib failed, reason: getaddrinfo ENOTFOUND" >&2
echo "npm error //registry.example.test/:_authToken=abc123secret" >&2
echo "npm error A complete log of this run can be found in: /home/someone/x.log" >&2
exit 1
`)
	_, err := s.installer().install(t.Context())
	e := wantCode(t, err, Fetch)
	for _, no := range []string{"registry.example", "pass", "abc123secret", "/home/someone"} {
		if strings.Contains(e.Error(), no) {
			t.Errorf("the error tells %q: %v", no, e)
		}
	}
	if !strings.Contains(e.Error(), "ENOTFOUND") {
		t.Errorf("the error does not tell why: %v", e)
	}
	s.wantClean()
}

// What npm says of a registry that refuses: the cause comes first, and more
// than five lines after it.
func TestTheCauseIsTold(t *testing.T) {
	for text, want := range map[string]string{
		"npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error errno ECONNREFUSED\nnpm error address 127.0.0.1\nnpm error port 9\nnpm error FetchError: request to http://127.0.0.1:9/x failed, reason: connect ECONNREFUSED 127.0.0.1:9\nnpm error     at ClientRequest.<anonymous> (/home/someone/index.js:130:14)\nnpm error\nnpm error If you are behind a proxy, please make sure that the\nnpm error 'proxy' config is set properly.  See: 'npm help config'\nnpm error A complete log of this run can be found in: /home/someone/x.log\n": "npm error code ECONNREFUSED; npm error errno ECONNREFUSED; npm error FetchError: request to (address) failed, reason: connect ECONNREFUSED 127.0.0.1:9; npm error If you are behind a proxy, please make sure that the; npm error 'proxy' config is set properly.  See: 'npm help config'",
		"npm ERR! code E404\nnpm ERR! a\nnpm ERR! b\nnpm ERR! c\nnpm ERR! d\nnpm ERR! e\n": "npm ERR! code E404; npm ERR! b; npm ERR! c; npm ERR! d; npm ERR! e",
		"npm error code SELF_SIGNED_CERT_IN_CHAIN\n":                                       "npm error code SELF_SIGNED_CERT_IN_CHAIN",
		"npm error code EAI_AGAIN\n1\n2\n3\n4\n5\n":                                        "npm error code EAI_AGAIN; 2; 3; 4; 5",
		"1\n2\n3\nERROR: 4\n5\n6\n":                                                        "2; 3; ERROR: 4; 5; 6",
		"\n  \n":                                                                           "it said nothing",
	} {
		if got := lastWords(text); got != want {
			t.Errorf("of %q is told\n%q, want\n%q", text, got, want)
		}
	}
}

// Without npm, pip brings one: here a node that is a script.
func TestThroughPip(t *testing.T) {
	s := newShop(t)
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	for name, text := range map[string]string{"n/bin/node": "#!/bin/sh\nshift\n" + s.packScript(), "n/npm-cli.js": "//"} {
		w, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "node-1-py3-none-any.whl")
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	s.wheel = wheel{Name: "node", Version: "1", Bytes: int64(packed.Len()), SHA512: hash(packed.Bytes()), Node: "n/bin/node", NPM: "n/npm-cli.js"}
	s.client("pip", fmt.Sprintf("while [ \"$1\" != --dest ]; do shift; done\n[ \"$3\" = node==1 ] || exit 8\n/bin/cp %s \"$2\"\n", file))
	if _, err := s.installer().install(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantClean()

	other := newShop(t)
	other.wheel = s.wheel
	other.wheel.SHA512 = strings.Repeat("0", 128)
	other.client("pip3", fmt.Sprintf("while [ \"$1\" != --dest ]; do shift; done\n/bin/cp %s \"$2\"\n", file))
	_, err := other.installer().install(t.Context())
	wantCode(t, err, Damaged)

	offline := newShop(t)
	offline.wheel = s.wheel
	offline.client("pip", "echo 'ERROR: No matching distribution found' >&2; exit 1\n")
	_, err = offline.installer().install(t.Context())
	if e := wantCode(t, err, Fetch); !strings.Contains(e.Error(), "pip") {
		t.Errorf("%v does not name pip", e)
	}
}

// What every platform has fixed is whole.
func TestPacksAreComplete(t *testing.T) {
	for platform, p := range packs {
		if len(p.SHA512) != 128 || len(p.LibrarySHA512) != 128 || p.Bytes == 0 || p.LibraryBytes == 0 || p.Version != Version {
			t.Errorf("%s: %+v", platform, p)
		}
		if w := wheels[platform]; len(w.SHA512) != 128 || w.Bytes == 0 {
			t.Errorf("%s: %+v", platform, w)
		}
	}
}
