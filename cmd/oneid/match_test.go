package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"oneid/identity/match"
)

// invented writes n people with one to three rows each, with slips, and says
// how many rows they are.
func inventedPeople(t *testing.T, path string, seed uint64, n int) int {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	word := func(syllables int) string {
		s := ""
		for range syllables {
			s += string("bdfgklmnprst"[r.IntN(12)]) + string("aeiou"[r.IntN(5)])
		}
		return s
	}
	var b strings.Builder
	b.WriteString("id,person,first_name,surname,born,phone\n")
	rows := 0
	for person := range n {
		first, last, born, phone := word(2), word(3), fmt.Sprintf("%d-%02d-%02d", 1940+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28)), fmt.Sprintf("07%09d", r.IntN(1e9))
		for copies := range 1 + r.IntN(3) {
			name := last
			if copies > 0 && r.IntN(3) == 0 {
				name = last[:2] + "x" + last[3:]
			}
			if copies > 0 && r.IntN(4) == 0 {
				phone = ""
			}
			fmt.Fprintf(&b, "r%d,p%d,%s,%s,%s,%s\n", rows, person, first, name, born, phone)
			rows++
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return rows
}

func readTable(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestMatchFindsPeople(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.csv"), filepath.Join(dir, "clusters.csv")
	rows := inventedPeople(t, in, 1, 300)
	got := must(t, "match", in, "--out", out, "--pairs", filepath.Join(dir, "pairs.csv"), "--truth", "person", "--json")
	var report matchReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	if report.Records != rows || report.Truth == nil || report.Truth.Pairwise.F1 < 0.97 || report.Truth.BCubed.F1 < 0.97 {
		t.Errorf("report %+v, truth %+v", report, report.Truth)
	}
	if picture, err := os.ReadFile(report.Curve); err != nil || xml.Unmarshal(picture, new(struct{})) != nil || strings.Count(string(picture), "<polyline") != 3 {
		t.Errorf("the curve's picture is no SVG with three lines (%v):\n%s", err, picture)
	}
	clusters := readTable(t, out)
	if len(clusters) != rows+1 || strings.Join(clusters[0], ",") != "id,cluster" {
		t.Errorf("%d rows in the clusters, header %q; want %d records", len(clusters), clusters[0], rows)
	}
	distinct := map[string]bool{}
	for i, row := range clusters[1:] {
		if row[0] != fmt.Sprint("r", i) {
			t.Fatalf("row %d is of %q", i, row[0])
		}
		distinct[row[1]] = true
	}
	if len(distinct) != report.Clusters {
		t.Errorf("%d clusters in the file, %d reported", len(distinct), report.Clusters)
	}
	if pairs := readTable(t, filepath.Join(dir, "pairs.csv")); len(pairs) != report.Links+1 || strings.Join(pairs[0], ",") != "id_l,id_r,probability,weight" {
		t.Errorf("%d pairs, header %q, want %d", len(pairs)-1, pairs[0], report.Links)
	}
	// The model that was chosen, given back, chooses the same.
	again := filepath.Join(dir, "again.csv")
	must(t, "match", in, "--out", again, "--id", "id", "--truth", "person", "--model", filepath.Join(dir, "clusters.model.yaml"))
	first, _ := os.ReadFile(out)
	second, err := os.ReadFile(again)
	if err != nil || string(first) != string(second) {
		t.Errorf("the model that was written makes other clusters (%v)", err)
	}
	must(t, "match", in, "--out", again, "--truth", "person", "--model", filepath.Join(dir, "clusters.model.yaml"), "--learned", filepath.Join(dir, "clusters.learned.json"))
	if third, err := os.ReadFile(again); err != nil || string(first) != string(third) {
		t.Errorf("what was learned makes other clusters (%v)", err)
	}
}

// What a constraint of the model keeps apart is counted, listed and explained with
// its reason.
func TestMatchTellsWhatItDidNotFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	inventedPeople(t, at("in.csv"), 1, 200)
	must(t, "match", at("in.csv"), "--out", at("free.csv"), "--truth", "person")
	model, err := os.ReadFile(at("free.model.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("model.yaml"), append(model, "largest: 2\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	with := []string{at("in.csv"), "--model", at("model.yaml"), "--learned", at("free.learned.json")}
	got := must(t, append([]string{"identity", "link", "--out", at("clusters.csv"), "--refused", at("refused.csv"), "--truth", "person", "--json"}, with...)...)
	var report matchReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatalf("%v: %s", err, got.stdout)
	}
	cluster := map[string]string{}
	for _, row := range readTable(t, at("clusters.csv"))[1:] {
		cluster[row[0]] = row[1]
	}
	refused := readTable(t, at("refused.csv"))
	if strings.Join(refused[0], ",") != "id_l,id_r,probability,weight,reason" || len(refused)-1 != report.Refused || report.RefusedBy[match.Largest] < 20 || report.Largest != 2 {
		t.Fatalf("%d refused links under %q, the report says %+v", len(refused)-1, refused[0], report)
	}
	for _, row := range refused[1:] {
		if cluster[row[0]] == cluster[row[1]] {
			t.Fatalf("%s and %s are refused, and in one cluster", row[0], row[1])
		}
	}
	if got := must(t, append([]string{"match", "--out", at("again.csv"), "--truth", "person"}, with...)...); !strings.Contains(got.stdout, fmt.Sprintf("not followed, largest: %d, because", report.RefusedBy[match.Largest])) {
		t.Errorf("the summary does not say what was not followed:\n%s", got.stdout)
	}
	// Without --truth person is a column that the model does not name: it changes nothing.
	got = must(t, append([]string{"identity", "explain", "--pair", refused[1][0], refused[1][1]}, with...)...)
	if !strings.Contains(got.stdout, refusedBecause[match.Reason(refused[1][4])]) {
		t.Errorf("explain does not say why the pair was refused for %s:\n%s", refused[1][4], got.stdout)
	}
}

// TestMatchReportsWhatTheFilesSay counts everything of the report again, from
// the files that were written.
func TestMatchReportsWhatTheFilesSay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out, pairs := filepath.Join(dir, "in.csv"), filepath.Join(dir, "clusters.csv"), filepath.Join(dir, "pairs.csv")
	inventedPeople(t, in, 7, 150)
	args := []string{"match", in, "--out", out, "--pairs", pairs, "--truth", "person"}
	got := must(t, append(args, "--json")...)
	var report matchReport
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || decoder.More() {
		t.Fatalf("not one JSON object (%v):\n%s", err, got.stdout)
	}
	truth, cluster := map[string]string{}, map[string]string{}
	for _, row := range readTable(t, in)[1:] {
		truth[row[0]] = row[1]
	}
	for _, row := range readTable(t, out)[1:] {
		cluster[row[0]] = row[1]
	}
	var found, actual, both float64
	var precision, recall float64 // B-cubed, summed up
	sizes := map[string]int{}
	for a := range truth {
		sizes[cluster[a]]++
		mine, theirs, shared := 0.0, 0.0, 0.0
		for b := range truth {
			together, same := cluster[a] == cluster[b], truth[a] == truth[b]
			if together {
				mine++
			}
			if same {
				theirs++
			}
			if together && same {
				shared++
			}
		}
		precision, recall = precision+shared/mine, recall+shared/theirs
		found, actual, both = found+mine-1, actual+theirs-1, both+shared-1
	}
	n := float64(len(truth))
	for name, c := range map[string][2]quality{
		"pairwise": {measured(both/found, both/actual), report.Truth.Pairwise},
		"B-cubed":  {measured(precision/n, recall/n), report.Truth.BCubed},
	} {
		if d := cmp.Diff(c[0], c[1], cmpopts.EquateApprox(0, 1e-9)); d != "" {
			t.Errorf("%s (-counted +reported):\n%s", name, d)
		}
	}
	if report.Records != len(truth) || report.Clusters != len(sizes) || report.Largest != slices.Max(slices.Collect(maps.Values(sizes))) {
		t.Errorf("%d records, %d clusters, the largest of %d; counted %d and %d", report.Records, report.Clusters, report.Largest, len(truth), len(sizes))
	}
	// A point of the curve is the pairs from its probability up.
	linked, right := 0.0, 0.0
	for _, row := range readTable(t, pairs)[1:] {
		if p, err := strconv.ParseFloat(row[2], 64); err != nil || p < report.Threshold-1e-6 {
			t.Fatalf("pair with probability %s below the threshold %v (%v)", row[2], report.Threshold, err)
		} else if p < 0.99 {
			continue
		}
		linked++
		if truth[row[0]] == truth[row[1]] {
			right++
		}
	}
	at := slices.IndexFunc(report.Truth.Curve, func(p curvePoint) bool { return p.Probability == 0.99 })
	if d := cmp.Diff(measured(right/linked, right/(actual/2)), report.Truth.Curve[at].quality, cmpopts.EquateApprox(0, 1e-9)); d != "" {
		t.Errorf("the curve at 0.99 (-counted +reported):\n%s", d)
	}
	// What was not learned well is in both reports.
	if len(report.Warnings) == 0 {
		t.Fatal("no warnings: the test shows less than it should")
	}
	text := must(t, args...).stdout
	// 150 people are few enough to compare all pairs.
	if recall := report.Truth.BlockingRecall; recall == nil || *recall != 1 || !strings.Contains(text, "blocking  recall 1.0000") {
		t.Errorf("the recall of blocking is %v where all pairs are compared:\n%s", recall, text)
	}
	for _, warning := range report.Warnings {
		if !strings.Contains(text, "note: "+warning) {
			t.Errorf("the text does not have %q:\n%s", warning, text)
		}
	}
}

func TestMatchLinksFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.csv")
	inventedPeople(t, whole, 2, 200)
	rows := readTable(t, whole)
	// Every other row in each of two files, under the same ids.
	var files [2]strings.Builder
	var truth strings.Builder
	truth.WriteString("id,cluster\n")
	for i := range files {
		files[i].WriteString("id,first_name,surname,born,phone\n")
	}
	for i, row := range rows[1:] {
		id := fmt.Sprint(i / 2)
		files[i%2].WriteString(id + "," + strings.Join(row[2:], ",") + "\n")
		truth.WriteString([]string{"a.csv/", "b.csv/"}[i%2] + id + "," + row[1] + "\n")
	}
	for name, text := range map[string]string{"a.csv": files[0].String(), "b.csv": files[1].String(), "truth.csv": truth.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(dir, "out.csv")
	got := must(t, "match", filepath.Join(dir, "a.csv"), filepath.Join(dir, "b.csv"), "--link", "--out", out, "--truth", filepath.Join(dir, "truth.csv"), "--json")
	var report matchReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.Truth == nil || report.Truth.Pairwise.F1 < 0.97 {
		t.Errorf("truth %+v", report.Truth)
	}
	if row := readTable(t, out)[1]; row[0] != "a.csv/0" {
		t.Errorf("the first record is called %q", row[0])
	}
}

// Files that call things otherwise, each with an id of its own name, are linked by
// what they have in common, and what is left out is said; renamed they are as files of
// the same names.
func TestMatchLinksFilesOfOtherColumns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.csv")
	inventedPeople(t, whole, 3, 200)
	crm, shop := filepath.Join(dir, "crm.csv"), filepath.Join(dir, "shop.csv")
	texts := [2]string{"id,person,first_name,surname,born,phone\n", "geburtstag,record_id,person,surname,first_name,tel\n"}
	for i, row := range readTable(t, whole)[1:] {
		if i%2 == 1 {
			row = []string{row[4], row[0], row[1], row[3], row[2], row[5]}
		}
		texts[i%2] += strings.Join(row, ",") + "\n"
	}
	for i, path := range []string{crm, shop} {
		if err := os.WriteFile(path, []byte(texts[i]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(more ...string) (report matchReport, first string) {
		out := filepath.Join(t.TempDir(), "out.csv")
		got := must(t, append([]string{"match", crm, shop, "--link", "--out", out, "--truth", "person", "--json"}, more...)...)
		if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
			t.Fatal(err)
		}
		return report, readTable(t, out)[1][0]
	}
	plain, first := link()
	if !slices.ContainsFunc(plain.Warnings, func(w string) bool {
		return strings.Contains(w, "crm.csv: born, phone; shop.csv: geburtstag, tel") && strings.Contains(w, "--rename")
	}) || first != "r0" {
		t.Errorf("the first record is called %q, and told is %q", first, plain.Warnings)
	}
	renamed, _ := link("--rename", "geburtstag=born", "--rename", "tel=phone")
	if renamed.Truth.Pairwise.F1 < 0.97 || renamed.Truth.Pairwise.F1 <= plain.Truth.Pairwise.F1 {
		t.Errorf("F1 %.3f, and without the renamed columns %.3f", renamed.Truth.Pairwise.F1, plain.Truth.Pairwise.F1)
	}
	if slices.ContainsFunc(renamed.Warnings, func(w string) bool { return strings.Contains(w, "left out") }) {
		t.Errorf("told is %q", renamed.Warnings)
	}
}

func TestMatchExplainsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	long := "id,name\n" // more than are put into the table at once
	for i := range batchRecords + 10 {
		long += fmt.Sprintf("%d,anna\n", i)
	}
	good := write("good.csv", "id,name,town\n1,anna,ulm\n2,anne,ulm\n3,otto,bonn\n")
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"no file":            {[]string{filepath.Join(dir, "none.csv")}, []string{"none.csv"}},
		"empty":              {[]string{write("empty.csv", "")}, []string{"empty.csv", "first line"}},
		"one record":         {[]string{write("one.csv", "id,name\n1,anna\n")}, []string{"nothing to compare"}},
		"short row":          {[]string{write("short.csv", "id,name\n1,anna\n2\n")}, []string{"short.csv line 3", "1 fields"}},
		"double id":          {[]string{write("double.csv", "id,name\n1,anna\n1,otto\n"), "--id", "id"}, []string{"double.csv", `records 1 and 2 share one`, "--id"}},
		"double id, far":     {[]string{write("far.csv", long+"5,otto\n"), "--id", "id"}, []string{"far.csv", fmt.Sprintf("records 6 and %d share one", batchRecords+11), "--id"}},
		"short row, far":     {[]string{write("late.csv", long+"x\n")}, []string{fmt.Sprintf("late.csv line %d", batchRecords+12), "1 fields"}},
		"no such id":         {[]string{good, "--id", "nr"}, []string{`no column "nr"`, "id, name, town"}},
		"no such truth":      {[]string{good, "--truth", "who"}, []string{"neither a column nor a file", "id, name, town"}},
		"link one":           {[]string{good, "--link"}, []string{"--source"}},
		"source, no link":    {[]string{good, "--source", "town"}, []string{"--link"}},
		"other columns":      {[]string{good, write("other.csv", "id,title\n7,x\n")}, []string{"other.csv", "no column in common", "good.csv: name, town; other.csv: title", "--rename"}},
		"no such id in one":  {[]string{good, write("nr.csv", "nr,name\n7,x\n"), "--id", "id"}, []string{"nr.csv", `no column "id"`, "nr, name", "--rename COLUMN=id"}},
		"renamed to nothing": {[]string{good, "--rename", "city=town"}, []string{`no file has a column "city"`, "id, name, town"}},
		"renamed to another": {[]string{good, "--rename", "name=town"}, []string{`a column "town" already`}},
		"truth in one":       {[]string{good, write("n.csv", "id,name\n7,x\n"), "--truth", "town"}, []string{"n.csv", `no column "town"`, "--truth"}},
		"wrong model":        {[]string{good, "--model", write("m.yaml", "comparisons: [{columns: [surname], kind: name}]")}, []string{"surname"}},
		"learned of another": {[]string{good, "--learned", write("l.json", `{"format":"oneid learned","version":1,"prior":0.1,"near":[],"fields":[{"name":"x","kind":"category","levels":["equal","else"],"m":[0.5,0.5],"u":[0.5,0.5],"n":[]}]}`)}, []string{"about 1 comparisons, and the model has 2", "train anew"}},
		"learned is no JSON": {[]string{good, "--learned", write("l2.json", `{`)}, []string{"l2.json"}},
		"explodes":           {[]string{good, "--max-pairs", "1", "--model", write("all.yaml", "comparisons: [{columns: [name], kind: name}]\nblocking: [{on: []}]")}, []string{"3 pairs", "--max-pairs"}},
		"nothing to compare": {[]string{write("ids.csv", "id,code\n1,111\n2,112\n3,113\n")}, []string{"no column can be compared", "--model"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := oneid(t, append([]string{"match", "--out", filepath.Join(t.TempDir(), "out.csv")}, c.args...)...)
			wantRefused(t, got, 1, c.want...)
		})
	}
}

// A column that was found by its name, and does not name each record, is said, and
// the rows are numbered.
func TestMatchNumbersRowsWhereAnIDIsNoRecordsAlone(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]string{"two records share one": "2", "a record has none": ""} {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in.csv"), filepath.Join(dir, "clusters.csv")
		text := "id,name,town\n1,anna,ulm\n2,anne,ulm\n" + last + ",otto,bonn\n"
		if err := os.WriteFile(in, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := must(t, "match", in, "--out", out)
		rows := readTable(t, out)
		if len(rows) != 4 || rows[1][0] != "1" || rows[3][0] != "3" || !strings.Contains(got.stdout, "the rows are numbered, from 1") {
			t.Errorf("%s: %q\n%s", name, rows, got.stdout)
		}
	}
}

// TestMatchReadsWhatOtherProgramsWrite has one table with semicolons, with tabs,
// and with the nameless column of row numbers that pandas writes: the clusters
// are those of the plain file, and what is left out is said.
func TestMatchReadsWhatOtherProgramsWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.csv")
	inventedPeople(t, plain, 9, 200) // more than 256 rows: as many values in a column of numbers
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	var numbered strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i > 0 {
			fmt.Fprint(&numbered, i-1)
		}
		numbered.WriteString("," + line + "\n")
	}
	var want string
	for _, c := range []struct{ name, text string }{
		{"plain", string(text)},
		{"semicolons", strings.ReplaceAll(string(text), ",", ";")},
		{"tabs", strings.ReplaceAll(string(text), ",", "\t")},
		{"numbered", numbered.String()},
	} {
		in, out := filepath.Join(dir, c.name+".in.csv"), filepath.Join(dir, c.name+".csv")
		if err := os.WriteFile(in, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := must(t, "match", in, "--truth", "person", "--out", out)
		clusters, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(clusters)
		}
		if string(clusters) != want {
			t.Errorf("%s: other clusters than those of the plain file", c.name)
		}
		if said := strings.Contains(got.stdout, "columns without a name in the first line: 1"); said != (c.name == "numbered") {
			t.Errorf("%s: a nameless column is said to be there: %v\n%s", c.name, said, got.stdout)
		}
	}
}

// TestMatchTellsHowItReadWhatIsNotUTF8 has tables in three encodings: ids and
// names are read as they were written, and of what had to be guessed it says so.
func TestMatchTellsHowItReadWhatIsNotUTF8(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		encoding encoding.Encoding
		names    []string
		said     string
	}{
		"UTF-8":   {unicode.UTF8, []string{"Muñoz", "Größe", "Núñez", "Lefèvre"}, ""},
		"Latin-1": {charmap.ISO8859_1, []string{"Muñoz", "Größe", "Núñez", "Lefèvre"}, "it was read as Windows-1252 (Latin-1)"},
		"GBK":     {simplifiedchinese.GBK, []string{"欧阳修文", "司马相如", "诸葛孔明", "上官婉儿"}, "it was read as GBK"},
	} {
		var table strings.Builder
		table.WriteString("id,name,born\n")
		for i := range 40 {
			fmt.Fprintf(&table, "é%d,%s,19%02d-03-1%d\n", i, c.names[i%4], 40+i/2, i%4/2)
		}
		text := table.String()
		if name == "GBK" {
			text = strings.ReplaceAll(text, "é", "号")
		}
		in, out := filepath.Join(dir, name+".csv"), filepath.Join(dir, name+".out.csv")
		written, err := c.encoding.NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in, []byte(written), 0o600); err != nil {
			t.Fatal(err)
		}
		got := must(t, "match", in, "--out", out)
		if said := strings.Contains(got.stdout, "it was read as"); said != (c.said != "") || !strings.Contains(got.stdout, c.said) {
			t.Errorf("%s: want %q said, and nothing of UTF-8:\n%s", name, c.said, got.stdout)
		}
		clusters, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			if id := strings.Split(text, "\n")[i+1]; !strings.Contains(string(clusters), "\n"+id[:strings.IndexByte(id, ',')]+",") {
				t.Fatalf("%s: the clusters lack record %d as it is written:\n%s", name, i, clusters)
			}
		}
	}
}

// TestMatchWritesOverNothingThatItReads names inputs as outputs, and one output
// twice: nothing is written.
func TestMatchWritesOverNothingThatItReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	in := file("in.csv")
	inventedPeople(t, in, 3, 20)
	must(t, "match", in, "--out", file("first.csv"))
	model, learned := file("first.model.yaml"), file("first.learned.json")
	if err := os.Symlink(in, file("other.csv")); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	for _, path := range []string{in, model, learned, file("first.csv")} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before[path] = string(text)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"clusters over the table":           {[]string{"match", in, "--out", in}, "is read"},
		"pairs over the table":              {[]string{"match", in, "--out", file("x.csv"), "--pairs", in}, "is read"},
		"over the table by another name":    {[]string{"match", in, "--out", file("other.csv")}, "is read"},
		"pairs over the clusters":           {[]string{"match", in, "--out", file("new.csv"), "--pairs", file("new.csv")}, "written twice"},
		"clusters over the model":           {[]string{"match", in, "--model", model, "--out", model}, "is read"},
		"what is learned over the table":    {[]string{"identity", "train", in, "--model", model, "--out", in}, "is read"},
		"clusters over what was learned":    {[]string{"identity", "link", in, "--model", model, "--learned", learned, "--out", learned}, "is read"},
		"a folder that is not there":        {[]string{"match", file("not there.csv"), "--out", file("nodir/x.csv")}, "nodir/x.csv cannot be written"}, // before anything is read
		"no ordinary file":                  {[]string{"match", in, "--out", os.DevNull}, "it is no ordinary file"},
		"pairs as a folder":                 {[]string{"match", in, "--out", file("new.csv"), "--pairs", filepath.Dir(in)}, "it is a folder"},
		"a picture nowhere":                 {[]string{"identity", "evaluate", "--clusters", in, "--truth", in, "--picture", file("nodir/p.svg")}, "cannot be written"},
		"clusters over the truth in a file": {[]string{"match", in, "--truth", file("first.csv"), "--out", file("first.csv")}, "is read"},
	} {
		wantRefused(t, oneid(t, c.args...), 1, c.want)
		if left, err := filepath.Glob(file("*.part")); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind is %q (%v)", name, left, err)
		}
		for path, text := range before {
			if now, err := os.ReadFile(path); err != nil || string(now) != text {
				t.Errorf("%s: %s is no longer what it was (%v)", name, path, err)
			}
		}
	}
}
