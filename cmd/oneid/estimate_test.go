package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/pipelines/pull"
)

func TestCost(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]connectors.Estimate{
		"about 9 records in 90 calls":                                                              {Records: 9, Calls: 90},
		"about 9 records in 90 calls, at least 9s at 10 a second":                                  {Records: 9, Calls: 90, PerSecond: 10},
		"about 9 records in 90 calls, at least 9s at 10 a second, 3 days of the quota of 40 a day": {Records: 9, Calls: 90, PerSecond: 10, PerDay: 40},
	} {
		if got := cost(e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A first reading says beforehand what it will cost, a later one only when it
// is asked; asking reads nothing.
func TestSyncEstimates(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	shops := start(t, "simulate", "--people", "50", "--json")
	eventually(t, time.Minute, "the simulators answer", func() (bool, string) {
		return strings.Contains(shops.stdout.String(), "\n"), shops.stderr.String()
	})
	at := decode[simulator.Endpoints](t, shops.stdout.String()).Tmall
	writeText(t, filepath.Join(dir, "secrets", "app"), at.AppSecret)
	writeText(t, filepath.Join(dir, "secrets", "session"), at.Session)
	writeText(t, filepath.Join(dir, settingsFile), fmt.Sprintf("shops:\n  - platform: tmall\n    shop: mine\n    settings:\n"+
		"      url: %s\n      app_key: %q\n      app_secret_file: secrets/app\n      session_file: secrets/session\n      requests_per_second: 1000\n      calls_per_day: 5000\n", at.URL, at.AppKey))
	said := regexp.MustCompile(`(?m)^tmall/mine orders: about [1-9]\d* records in [1-9]\d* calls$(?s).*^tmall/mine in all: .* a second, 1 days of the quota of 5000 a day$`)
	asked := must(t, "sync", "--estimate", "--dir", dir)
	if !said.MatchString(asked.stdout) || strings.Contains(asked.stderr, "events") {
		t.Errorf("asked: %s%s", asked.stdout, asked.stderr)
	}
	if first := must(t, "sync", "--once", "--dir", dir); !said.MatchString(first.stderr) || !strings.Contains(first.stderr, "orders: ") {
		t.Errorf("the first reading: %s", first.stderr)
	}
	if second := must(t, "sync", "--once", "--dir", dir); strings.Contains(second.stderr, "about ") {
		t.Errorf("the second reading: %s", second.stderr)
	}
}

// A first reading says now and then how far it is, until it has ended well.
func TestAFirstReadingSaysHowFarItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log buffer
		n := &node{instance: &instance{log: slog.New(slog.NewTextHandler(&log, nil))}}
		p := &pull.Puller{Platform: "tmall", Shop: "mine", Stream: "orders", Ended: func(error) {}}
		n.readingFirst(p, 900)
		p.Progress(pull.Summary{Records: 100})
		time.Sleep(progressEvery)
		p.Progress(pull.Summary{Records: 300})
		p.Ended(errors.New("away"))
		time.Sleep(progressEvery)
		p.Progress(pull.Summary{Records: 500, Total: 1000})
		p.Ended(nil)
		time.Sleep(progressEvery)
		p.Progress(pull.Summary{Records: 1000})
		said := log.String()
		if strings.Count(said, "a first reading goes on") != 2 || !strings.Contains(said, "records=300 of_about=900") || !strings.Contains(said, "records=500 of_about=1000") {
			t.Errorf("it said:\n%s", said)
		}
	})
}
