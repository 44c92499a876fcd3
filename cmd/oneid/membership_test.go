package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"oneid/connectors/simulator"
)

var callbacksAt = regexp.MustCompile(`platforms' calls are answered.*address=(\S+)`)

// tellMembers lets the simulators of a running `up` call it about some members,
// as the platforms do, and wants every call to be taken.
func tellMembers(t *testing.T, dir string, p *process) {
	t.Helper()
	at := callbacksAt.FindStringSubmatch(p.stderr.String())
	if at == nil {
		t.Fatalf("up does not say where it answers the platforms' calls:\n%s", p.stderr.String())
	}
	var e simulator.Endpoints
	if err := readJSON(folder(dir).path(simulatorsFile), &e); err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct{ platform, shop, url string }{
		{"tmall", e.Tmall.Shop, strings.TrimSuffix(e.Tmall.URL, "/router/rest")}, {"douyin", e.Douyin.Shop, e.Douyin.URL},
	} {
		ask, err := json.Marshal(simulator.MemberCalls{Platform: s.platform, URL: "http://" + at[1] + "/spi/" + s.platform + "/" + s.shop, Seed: 1, Members: 10, Repeats: 3})
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.Post(s.url+"/_simulator/spi", "application/json", bytes.NewReader(ask))
		if err != nil {
			t.Fatal(err)
		}
		var report simulator.MemberReport
		err = json.NewDecoder(response.Body).Decode(&report)
		_ = response.Body.Close()
		if err != nil || report.Members == 0 || report.Done+report.Left != report.Calls || len(report.Faults) > 0 {
			t.Errorf("%s calls about members: %+v (%v)", s.platform, report, err)
		}
	}
}
