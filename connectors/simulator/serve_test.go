package simulator

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder without a world: %v", err)
	}
	for _, want := range []Config{{People: 5, Seed: 1 << 63, Until: testUntil}, testWorld(t, 7, 2).Config()} {
		if err := want.Save(dir); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir)
		if err != nil || got.People != want.People || got.Seed != want.Seed || !got.From.Equal(want.From) || !got.Until.Equal(want.Until) {
			t.Errorf("saved %+v, loaded %+v, %v", want, got, err)
		}
	}
	if files, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(files) != 1 {
		t.Errorf("files %v, %v", files, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "simulator.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("half a file was loaded")
	}
	if err := (Config{}).Save(filepath.Join(dir, "none")); err == nil {
		t.Error("saved into a folder that is not there")
	}
}

// fetched is the body of a 200.
func fetched(t *testing.T, address string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v, %s", address, answer.StatusCode, err, body)
	}
	return body
}

// Three faces answer beside each other with the credentials that ready got,
// and are gone after the context.
func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	type started struct {
		world *World
		ends  Endpoints
	}
	ready, ended := make(chan started, 1), make(chan error, 1)
	go func() {
		ended <- Serve(ctx, Config{People: 20, Seed: 1, Until: time.Now()}, Listen{}, func(w *World, e Endpoints) { ready <- started{w, e} })
	}()
	var s started
	select {
	case s = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	root := strings.TrimSuffix(s.ends.Tmall.URL, "/router/rest")
	if c := TmallCredentialsOf(s.world); s.ends.Tmall.AppKey != c.AppKey || s.ends.Tmall.Session != c.Session || s.ends.Tmall.Shop != c.Shop {
		t.Errorf("Tmall's credentials: %+v", s.ends.Tmall)
	}
	for _, address := range []string{root, s.ends.Douyin.URL, s.ends.Weidian.URL} {
		var counts map[string]Counts
		if err := json.Unmarshal(fetched(t, address+"/_simulator/counts"), &counts); err != nil || counts[PlatformWeidian].Users == 0 {
			t.Errorf("%s: %v, %v", address, counts, err)
		}
	}
	if got := fetched(t, s.ends.Tmall.URL+"?method=taobao.time.get"); !bytes.Contains(got, []byte("<error_response>")) {
		t.Errorf("Tmall's own address: %s", got)
	}
	taken := strings.TrimPrefix(root, "http://")
	if err := Serve(t.Context(), Config{People: 1, Until: testUntil}, Listen{Weidian: taken}, func(*World, Endpoints) {}); err == nil {
		t.Error("two served on one address")
	}
	if err := Serve(t.Context(), Config{}, Listen{}, func(*World, Endpoints) {}); err == nil {
		t.Error("a world of nobody was served")
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
	if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", taken); err == nil {
		_ = conn.Close()
		t.Error("the face is still there")
	}
}

func TestControl(t *testing.T) {
	w := testWorld(t, 200, 3)
	face := WithControl(w, http.NotFoundHandler())
	change := func(body string) (int, map[string]any) {
		rec := httptest.NewRecorder()
		face.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/_simulator/change", strings.NewReader(body)))
		var answer map[string]any
		_ = json.Unmarshal(rec.Body.Bytes(), &answer) // a refusal is plain text
		return rec.Code, answer
	}
	code, first := change(`{"platform":"tmall"}`)
	number, _ := first["order"].(string)
	o, ok := w.OrderByNumber(PlatformTmall, number)
	if code != http.StatusOK || !ok || first["status"] != o.Status || first["shop"] != o.Shop || first["modified"] != o.Modified.Format(time.RFC3339) {
		t.Fatalf("change: %d %v, the order %+v", code, first, o)
	}
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"that order":       {`{"platform":"tmall","shop":"` + o.Shop + `","order":"` + number + `"}`, map[bool]int{true: 404, false: 200}[o.Status == OrderFinished]},
		"another shop":     {`{"platform":"tmall","shop":"1"}`, 404},
		"no such order":    {`{"platform":"tmall","order":"1"}`, 404},
		"no such platform": {`{"platform":"none"}`, 404},
		"not JSON":         {`platform=tmall`, 400},
		"too long":         {`{"platform":"` + strings.Repeat("x", 1<<17) + `"}`, 400},
	} {
		if got, _ := change(c.body); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	for path, want := range map[string]int{"/_simulator/none": 404, "/_simulator/members-tmall-1.csv": 404, "/other": 404} {
		rec := httptest.NewRecorder()
		face.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != want {
			t.Errorf("GET %s: %d, want %d", path, rec.Code, want)
		}
	}
	for _, platform := range Platforms {
		rec := httptest.NewRecorder()
		face.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/_simulator/members-"+platform+"-"+w.Shop(platform).ID+".csv", nil))
		rows, err := csv.NewReader(rec.Body).ReadAll()
		if err != nil || len(rows) < 2 || strings.Join(rows[0], ",") != "account,phone,unionid,omid,member_card,joined_at" {
			t.Fatalf("%s: %v, %v", platform, rows, err)
		}
		members := 0
		for a := range w.Accounts(platform) {
			if a.Member {
				members++
			}
		}
		if len(rows)-1 != members {
			t.Errorf("%s: %d rows, %d members", platform, len(rows)-1, members)
		}
		for _, row := range rows[1:] {
			a, ok := w.AccountByID(platform, row[0])
			joined, err := time.Parse(time.RFC3339, row[5])
			unionID := map[bool]string{true: a.UnionID}[platform == PlatformWeidian] // WeChat's alone
			if !ok || err != nil || !a.Member || row[1] != a.Phone || len(row[1]) != 11 || row[2] != unionID || row[3] != a.OMID || row[4] == "" || !joined.Equal(a.Joined) {
				t.Errorf("%s: row %d fields of account %d, %v", platform, len(row), a.Index, err)
			}
		}
	}
}
