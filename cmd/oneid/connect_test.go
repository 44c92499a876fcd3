package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oneid/connectors/simulator"
	"oneid/internal/crashtest"
)

var addressPattern = regexp.MustCompile(`https?://\S+/authorize\?\S+`)

// consentAt opens a consent's address, as the shop's owner does, and gives where
// the browser is sent then.
func consentAt(t *testing.T, address string) string {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Location") == "" {
		t.Fatalf("%s leads nowhere: %s", address, answer.Status)
	}
	return answer.Header.Get("Location")
}

// connect runs `oneid connect`, and consents at the address that it prints.
func connect(t *testing.T, dir, platform, shop string) {
	t.Helper()
	asked := start(t, "connect", "--dir", dir, platform, "--shop", shop)
	asked.wait(t) // nobody types: it ends with the address printed
	back, err := url.Parse(consentAt(t, addressPattern.FindString(asked.stdout.String())))
	if err != nil {
		t.Fatal(err)
	}
	out := must(t, "connect", "--dir", dir, platform, "--shop", shop, "--code", back.Query().Get("code")).stdout
	for _, want := range []string{platform + "/" + shop + " is connected", "rights: R1, R2, W1, W2", "ends:   2"} {
		if !strings.Contains(out, want) {
			t.Errorf("connect says %q, want %q in it", out, want)
		}
	}
}

// A browser that comes back to this machine brings the code; somebody else's
// consent does not, and neither page nor error holds a code.
func TestTheBrowserComesBack(t *testing.T) {
	t.Parallel()
	redirect := fmt.Sprintf("http://%s/back", crashtest.Address(t))
	back, err := listenBack(t.Context(), redirect, "mine")
	if err != nil || back == nil {
		t.Fatal(err)
	}
	defer back.close()
	get := func(query string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, redirect+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, string(text)
	}
	if code, text := get("?code=sesame&state=another"); code != http.StatusBadRequest || strings.Contains(text, "sesame") {
		t.Errorf("another's consent: %d %s", code, text)
	}
	if code, _ := get("/elsewhere?code=sesame&state=mine"); code != http.StatusNotFound {
		t.Errorf("another path: %d", code)
	}
	if code, text := get("?code=sesame&state=mine"); code != http.StatusOK || strings.Contains(text, "sesame") {
		t.Errorf("the consent: %d %s", code, text)
	}
	if got := <-back.codes; got.code != "sesame" || got.err != nil {
		t.Errorf("got %q, %v", got.code, got.err)
	}
	for _, elsewhere := range []string{"", "https://127.0.0.1:1/back", "http://brand.example:80/back", "http://10.0.0.1:80/", "http://localhost/"} {
		if l, err := listenBack(t.Context(), elsewhere, "mine"); l != nil || err != nil {
			t.Errorf("it listens at %q, %v", elsewhere, err)
		}
	}
}

func TestWhatIsPasted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ line, code, fault string }{
		"a code":                 {" sesame \n", "sesame", ""},
		"an address":             {"https://brand.example/back?code=sesame&state=mine\n", "sesame", ""},
		"another's address":      {"https://brand.example/back?code=sesame&state=another\n", "", "its state is another"},
		"a refusal":              {"https://brand.example/back?code=&state=mine\n", "", "the consent was refused"},
		"nothing":                {"\n", "", "no code"},
		"the end":                {"", "", "EOF"},
		"what is no address":     {"http://[::sesame?code=1\n", "", "neither a code nor an address"},
		"the end without a line": {"sesame", "sesame", ""},
	} {
		got := readCode(strings.NewReader(c.line), "mine")
		if got.code != c.code || (got.err != nil) != (c.fault != "") || got.err != nil && (!strings.Contains(got.err.Error(), c.fault) || strings.Contains(got.err.Error(), "sesame")) {
			t.Errorf("%s: %q, %v", name, got.code, got.err)
		}
	}
}

// Each platform is connected beside nobody, by the way that it has; what is kept
// is sealed, and doctor sees it.
func TestConnect(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", dir)
	world, err := simulator.New(simulator.Config{People: 500, Seed: 1, Until: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	const redirect, threads = "https://brand.example/back", "taobao.refund.messages.get"
	serve := func(face http.Handler) string {
		server := httptest.NewServer(face)
		t.Cleanup(server.Close)
		return server.URL
	}
	e := simulator.EndpointsOf(world, serve(simulator.Tmall(world, simulator.TmallOptions{SessionLife: 240 * time.Hour, Denied: []string{threads}})),
		serve(simulator.Douyin(world, simulator.DouyinOptions{})), serve(simulator.Weidian(world, simulator.WeidianOptions{})))
	for name, secret := range map[string]string{"t": e.Tmall.AppSecret, "d": e.Douyin.AppSecret, "w": e.Weidian.AppSecret} {
		writeText(t, filepath.Join(dir, "secrets", name), secret)
	}
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf(
		"shops:\n  - platform: tmall\n    shop: mine\n    settings: {url: %q, app_key: %q, app_secret_file: secrets/t, authorize_url: %q, redirect_uri: %s}\n"+
			"  - platform: douyin\n    shop: %q\n    settings: {url: %q, app_key: %q, app_secret_file: secrets/d}\n"+
			"  - platform: weidian\n    shop: %q\n    settings: {url: %q, app_key: %q, app_secret_file: secrets/w, redirect_uri: %s}\n",
		e.Tmall.URL, e.Tmall.AppKey, strings.Replace(e.Tmall.URL, "/router/rest", "/authorize", 1), redirect,
		e.Douyin.Shop, e.Douyin.URL, e.Douyin.AppKey, e.Weidian.Shop, e.Weidian.URL, e.Weidian.AppKey, redirect))
	settings, err := loadSettings(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := folder(dir)
	for platform, c := range map[string]connectCmd{"tmall": {Platform: "tmall"}, "weidian": {Platform: "weidian", Shop: e.Weidian.Shop}} {
		s, err := c.shop(f, settings)
		if err != nil {
			t.Fatal(err)
		}
		before := s.connector.Check(t.Context())
		var coded interface{ Code() string }
		if !errors.As(before, &coded) || coded.Code() != platform+".re-authorise" {
			t.Errorf("%s without a token: %v", platform, before)
		}
		if said := fmt.Sprint(before); !strings.Contains(said, "it is not connected") || !strings.Contains(said, "oneid connect "+platform+" --shop ") || strings.Contains(said, "refused") {
			t.Errorf("%s without a token: %s; want that it is not connected, and of no call", platform, said)
		}
	}
	connect(t, dir, "tmall", "mine")
	if out := must(t, "connect", "--dir", dir, "douyin").stdout; !strings.Contains(out, "it is renewed by itself") || !strings.Contains(out, e.Douyin.Shop) {
		t.Errorf("douyin: %s", out)
	}
	asked := start(t, "connect", "--dir", dir, "weidian")
	asked.wait(t)
	back, err := url.Parse(consentAt(t, addressPattern.FindString(asked.stdout.String())))
	if err != nil {
		t.Fatal(err)
	}
	out := must(t, "connect", "--dir", dir, "weidian", "--code", back.Query().Get("code")).stdout
	if !strings.Contains(out, "next:   a new consent before ") {
		t.Errorf("weidian: %s", out)
	}
	kept, err := os.ReadDir(filepath.Join(dir, "tokens"))
	if err != nil || len(kept) != 6 { // each with its lock
		t.Errorf("kept are %v, %v", kept, err)
	}
	d := &doctor{folder: f}
	d.shops(context.Background(), settings, false)
	for _, check := range d.checks {
		if want := map[bool]doctorStatus{true: doctorWarn, false: doctorOK}[strings.Contains(check.Name, "tmall")]; check.Status != want {
			t.Errorf("%s is %s: %s", check.Name, check.Status, check.Detail)
		}
	}
	// A right that only adds to a stream hides no consent that is needed soon.
	if len(d.checks) != 5 || d.checks[0].Name != "pipelines" || !strings.Contains(d.checks[1].Detail, threads) || !strings.Contains(d.checks[2].Hint, "oneid connect tmall --shop mine") {
		t.Errorf("doctor says %+v", d.checks)
	}
}

// The consent of another seller takes no shop's place: nothing of it is kept
// unless that was asked for, and the seller of another shop is not this one's.
func TestAConsentOfAnotherSeller(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", dir)
	world, err := simulator.New(simulator.Config{People: 20, Seed: 1, Until: time.Now().Add(-time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	const redirect, other = "https://brand.example/back", "2200000009"
	first := world.Shop(simulator.PlatformTmall).ID
	var consents atomic.Value // the seller who does
	consents.Store(first)
	face := simulator.Tmall(world, simulator.TmallOptions{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		face.ServeHTTP(answer, r)
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = io.WriteString(w, strings.ReplaceAll(answer.Body.String(), first, consents.Load().(string)))
	}))
	t.Cleanup(server.Close)
	e := simulator.EndpointsOf(world, server.URL, "", "").Tmall
	writeText(t, filepath.Join(dir, "secrets", "t"), e.AppSecret)
	shop := "  - {platform: tmall, shop: %s, settings: {url: %q, app_key: %q, app_secret_file: secrets/t, authorize_url: %q, redirect_uri: %s}}\n"
	text := "shops:\n"
	for _, name := range []string{"mine", "second"} {
		text += fmt.Sprintf(shop, name, e.URL, e.AppKey, server.URL+"/authorize", redirect)
	}
	writeText(t, filepath.Join(dir, settingsFile), text)
	kept := func() string {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "tokens", "tmall-????????????????"))
		if err != nil {
			t.Fatal(err)
		}
		var all string
		for _, file := range files {
			sealed, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all += file + string(sealed)
		}
		return all
	}
	consent := func(shop string, more ...string) answer {
		t.Helper()
		asked := start(t, "connect", "--dir", dir, "tmall", "--shop", shop)
		asked.wait(t)
		back, err := url.Parse(consentAt(t, addressPattern.FindString(asked.stdout.String())))
		if err != nil {
			t.Fatal(err)
		}
		return oneid(t, append([]string{"connect", "--dir", dir, "tmall", "--shop", shop, "--code", back.Query().Get("code")}, more...)...)
	}
	for i, c := range []struct {
		shop, seller string
		more         []string
		refused      []string // none: it is kept
	}{
		{shop: "mine", seller: first},
		{shop: "mine", seller: other, refused: []string{"seller " + other, "until now the token was of seller " + first, "nothing was kept", "--another-seller"}},
		{shop: "second", seller: first, refused: []string{"which is the shop mine", "nothing was kept", "--shop mine"}},
		{shop: "mine", seller: first},
		{shop: "mine", seller: other, more: []string{"--another-seller"}},
		{shop: "second", seller: first},
	} {
		consents.Store(c.seller)
		before := kept()
		a := consent(c.shop, c.more...)
		if after := kept(); (after == before) != (c.refused != nil) {
			t.Errorf("%d: a consent of %s for %s: what is kept changed: %v", i, c.seller, c.shop, after != before)
		}
		if c.refused != nil {
			wantRefused(t, a, 1, c.refused...)
		} else if a.code != 0 {
			t.Errorf("%d: %s%s", i, a.stdout, a.stderr)
		}
	}
}
