package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oneid/identity"
)

// Other rules are planned, adopted beside a running owner, and taken back.
func adoptAndTakeBack(t *testing.T, dir string) {
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	customers := func() string {
		t.Helper()
		return one(t, dir, "SELECT uniqExact(customer_id) FROM identity_map_current")
	}
	write("largest_customer: none\n")
	wantRefused(t, oneid(t, "identity", "plan", "--dir", dir, "--rules", rules), 1, "rules.yaml", "1:19", "want a value of type int")
	write("largest_customer: 100\ntypes:\n  email: {priority: 1, join: {member: 90}}\n")
	plan := must(t, "identity", "plan", "--dir", dir, "--rules", rules, "--samples", "2").stdout
	for _, part := range []string{"10 customers with 20 accounts would be 20", "10 customers would come apart, as 20", "1 → 2  ", "values of email, phone would never join"} {
		if !strings.Contains(plan, part) {
			t.Errorf("the plan lacks %q:\n%s", part, plan)
		}
	}
	for _, engine := range []string{"go", "clickhouse"} {
		if out := must(t, "identity", "resolve", "--dir", dir, "--engine", engine).stdout; !strings.Contains(out, "20 accounts are 10 customers; 0 accounts") {
			t.Errorf("resolved anew by %s:\n%s", engine, out)
		}
		if out := must(t, "identity", "resolve", "--dir", dir, "--engine", engine, "--rules", rules).stdout; !strings.Contains(out, "20 accounts are 20 customers; 10 accounts") {
			t.Errorf("by other rules and %s:\n%s", engine, out)
		}
	}
	wantRefused(t, oneid(t, "identity", "resolve", "--dir", dir, "--write"), 1, "--engine clickhouse")
	written := must(t, "identity", "resolve", "--dir", dir, "--engine", "clickhouse", "--rules", rules, "--write").stdout
	if !strings.Contains(written, "0 customers come together, as 0; 10 come apart, as 20; 0 have another customer_id\n") || !strings.Contains(written, "FROM oneid.identity_resolved\n") || customers() != "10" {
		t.Errorf("kept, and %s customers live:\n%s", customers(), written)
	}
	wantRefused(t, oneid(t, "identity", "apply", "--dir", dir, "--rules", rules, "--reason", "x"), 1, "not adopted", "--yes")
	adopted := decode[decided](t, must(t, "identity", "apply", "--dir", dir, "--rules", rules, "--reason", "strangers", "--yes", "--json").stdout)
	if out := must(t, "identity", "review", "--dir", dir).stdout; !strings.Contains(out, "nothing to look at") {
		t.Errorf("without a conflict the queue says\n%s", out)
	}
	if got := customers(); adopted.Kind != "adopt" || !adopted.Resolved || got != "20" {
		t.Errorf("adopting says %+v, and leaves %s customers", adopted, got)
	}
	if out := must(t, "identity", "apply", "--dir", dir, "--rules", rules, "--reason", "x", "--yes").stdout; !strings.Contains(out, "already") || !strings.Contains(out, "strangers") {
		t.Errorf("adopted again it says\n%s", out)
	}
	if list := must(t, "decide", "list", "--dir", dir).stdout; !strings.Contains(list, adopted.ID) || !strings.Contains(list, "adopt") {
		t.Errorf("the list lacks it:\n%s", list)
	}
	must(t, "decide", "undo", "--dir", dir, "--reason", "it was worse", adopted.ID)
	if got := customers(); got != "10" {
		t.Errorf("taken back, there are %s customers", got)
	}
}

// An instance keeps the rules that it began with, whatever its settings or a later
// version name, and everybody knows them: a plan shows what the others would change,
// a resolution finds no difference, a rebuild makes the same state.
func TestTheRulesThatAnInstanceBeganWith(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	settings := filepath.Join(dir, "oneid.yaml")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "began.yaml"), "largest_customer: 100\ntypes:\n  email: {priority: 1, join: {member: 90}}\n")
	writeText(t, settings, string(text)+"\nidentity:\n  rules_file: began.yaml\n")
	importPeople(t, dir, 0, 3)
	writeText(t, settings, string(text)) // as if those that ship had been others
	importPeople(t, dir, 3, 4)
	if list := must(t, "decide", "list", "--dir", dir).stdout; strings.Count(list, "adopt") != 1 || !strings.Contains(list, "began with") {
		t.Errorf("the list of decisions:\n%s", list)
	}
	if plan := must(t, "identity", "plan", "--dir", dir).stdout; !strings.Contains(plan, "8 customers with 8 accounts would be 4") {
		t.Errorf("the rules that ship would change\n%s", plan)
	}
	if out := must(t, "identity", "resolve", "--dir", dir).stdout; !strings.Contains(out, "8 accounts are 8 customers; 0 accounts") {
		t.Errorf("resolved anew:\n%s", out)
	}
	must(t, "rebuild", "--check", "--dir", dir)
}

// A rebuild that is the first to see other settings makes the state by the rules that
// the instance began with.
func TestRebuildByTheRulesThatAnInstanceBeganWith(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	settings := filepath.Join(dir, "oneid.yaml")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "began.yaml"), "largest_customer: 100\ntypes:\n  email: {priority: 1, join: {member: 90}}\n")
	writeText(t, settings, string(text)+"\nidentity:\n  rules_file: began.yaml\n")
	importPeople(t, dir, 0, 3)
	writeText(t, settings, string(text))
	if out := must(t, "rebuild", "--dir", dir).stdout; !strings.Contains(out, "6 accounts") || !strings.Contains(out, "is equal") {
		t.Errorf("rebuilt:\n%s", out)
	}
	importPeople(t, dir, 3, 4)
	if got := one(t, dir, "SELECT uniqExact(customer_id) FROM identity_map_current"); got != "8" {
		t.Errorf("%s customers, want 8: these rules join by no phone", got)
	}
}

// Rules that a person has adopted and no batch has taken yet stay in force where an
// instance comes up whose settings name others than it began with.
func TestAdoptedRulesGoBeforeThoseThatAnInstanceBeganWith(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	settings := filepath.Join(dir, "oneid.yaml")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	writeText(t, filepath.Join(dir, "began.yaml"), "largest_customer: 100\ntypes:\n  email: {priority: 1, join: {member: 90}}\n")
	writeText(t, settings, string(text)+"\nidentity:\n  rules_file: began.yaml\n")
	importPeople(t, dir, 0, 3)
	writeText(t, settings, string(text))
	n, err := openMover(t.Context(), folder(dir), need{quiet: true}, newProgress(true)) // resolves nothing
	if err != nil {
		t.Fatal(err)
	}
	adopted := *identity.DefaultRules()
	adopted.LargestCustomer = 99
	_, _, err = n.decisions().Adopt(t.Context(), &adopted, "Ada", "phones join")
	if err := errors.Join(err, n.close()); err != nil {
		t.Fatal(err)
	}
	importPeople(t, dir, 3, 4)
	if list := must(t, "decide", "list", "--dir", dir).stdout; strings.Count(list, "adopt") != 1 || !strings.Contains(list, "Ada") || strings.Contains(list, "began with") {
		t.Errorf("the list of decisions:\n%s", list)
	}
	if got := one(t, dir, "SELECT uniqExact(customer_id) FROM identity_map_current"); got != "4" {
		t.Errorf("%s customers, want the 4 of Ada's rules", got)
	}
}

// A folder that has been nothing but begun has a report, and each list of it is one.
func TestIdentityReportOfAFolderThatWasNeverUp(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", dir)
	report := must(t, "identity", "report", "--dir", dir, "--json").stdout
	if !strings.Contains(report, `"customers": 0`) || !strings.Contains(report, `"bridges": []`) || strings.Contains(report, "null") {
		t.Errorf("the report:\n%s", report)
	}
}

// The report and the past, beside `oneid up` and without it.
func TestIdentityReportAndHistory(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	importPeople(t, dir, 0, 10)
	running, _ := up(t, dir)
	text := must(t, "identity", "report", "--dir", dir).stdout
	for _, part := range []string{"10 customers with 20 accounts", "10 of 10 accounts  100.0 %", "phone  10    10      0      0"} {
		if !strings.Contains(text, part) {
			t.Errorf("the report lacks %q:\n%s", part, text)
		}
	}
	if strings.Contains(text, "13800131") {
		t.Errorf("the report tells a phone:\n%s", text)
	}
	page := filepath.Join(t.TempDir(), "report.html")
	must(t, "identity", "report", "--dir", dir, "--html", page)
	if html, err := os.ReadFile(page); err != nil || !strings.Contains(string(html), "10 customers with 20 accounts") {
		t.Errorf("the page: %v\n%s", err, html)
	}
	wantRefused(t, oneid(t, "identity", "report", "--dir", dir, "--html", filepath.Join(t.TempDir(), "no", "folder.html")), 1, "folder.html")
	adoptAndTakeBack(t, dir)
	history := decode[struct {
		Moves []struct {
			Customer string `json:"customer_id"`
			Why      string `json:"why"`
		} `json:"moves"`
	}](t, must(t, "identity", "history", "--dir", dir, "--account", "tmall/a/tm3", "--json").stdout)
	if len(history.Moves) == 0 {
		t.Fatal("the account has no past")
	}
	lives := must(t, "identity", "history", "--dir", dir, "--customer", history.Moves[0].Customer).stdout
	if !strings.Contains(lives, "lives, with 2 accounts") || !strings.Contains(lives, "douyin/b/do3") {
		t.Errorf("the customer's past: %s", lives)
	}
	if on := must(t, "identity", "history", "--dir", dir, "--account", "tmall/a/tm3", "--on", "2999-01-01").stdout; !strings.Contains(on, history.Moves[0].Customer) {
		t.Errorf("on a later day: %s", on)
	}
	for _, wrong := range []struct{ args, says []string }{
		{[]string{"--account", "tmall/a/tm3", "--on", "2001-01-01"}, []string{"not known yet", "first seen"}},
		{[]string{"--account", "tmall/a/tm3", "--on", "yesterday"}, []string{"--on"}},
		{[]string{"--account", "tmall/a/nobody"}, []string{"never seen"}},
		{[]string{"--account", "nobody"}, []string{"platform/shop/id"}},
		{[]string{"--customer", "00000000-0000-0000-0000-000000000001"}, []string{"never handed out"}},
		{[]string{"--customer", "x"}, []string{"UUID"}},
		{[]string{"--customer", history.Moves[0].Customer, "--on", "2026-01-01"}, []string{"--account"}},
	} {
		wantRefused(t, oneid(t, append([]string{"identity", "history", "--dir", dir}, wrong.args...)...), 1, wrong.says...)
	}
	down(t, dir, running)
	if rests := must(t, "identity", "history", "--dir", dir, "--customer", history.Moves[0].Customer).stdout; rests != lives {
		t.Errorf("at rest the customer's past is %s", rests)
	}
}
