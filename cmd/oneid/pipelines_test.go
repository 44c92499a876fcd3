package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"oneid/connectors/all"
	"oneid/internal/config"
	schema "oneid/schemas/config"
)

// someShops are two shops that nobody calls.
func someShops(t *testing.T) []shop {
	t.Helper()
	var shops []shop
	for _, platform := range []string{"tmall", "weidian"} {
		connector, err := all.Open(platform, "s", json.RawMessage(`{"app_key":"1","app_secret":"x","session":"x","access_token":"x"}`))
		if err != nil {
			var again error
			connector, again = all.Open(platform, "s", json.RawMessage(`{"app_key":"1","app_secret":"x","access_token":"x"}`))
			if again != nil {
				if connector, again = all.Open(platform, "s", json.RawMessage(`{"app_key":"1","app_secret":"x","session":"x"}`)); again != nil {
					t.Fatal(err)
				}
			}
		}
		shops = append(shops, shop{platform, "s", connector})
	}
	return shops
}

// The sample names every key of a pipeline with its default; the schema is what
// the program reads, takes the sample and the files that ship, and refuses
// what is none.
func TestPipelineSampleAndSchema(t *testing.T) {
	want, err := config.Schema("A pipeline of OneID", PipelineSettings{})
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("../../schemas/config/pipeline.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(schema.PipelineSchema, want) {
		t.Fatal("schemas/config/pipeline.schema.json is not what the pipelines' settings say; run with -update")
	}
	var lines []string
	body := false
	for line := range strings.Lines(string(schema.PipelineSample)) {
		body = body || line == "\n"
		if bare, commented := strings.CutPrefix(line, "# "); body && commented {
			line = bare
		}
		if body {
			lines = append(lines, line)
		}
	}
	full := strings.Join(lines, "")
	var got PipelineSettings // a zero value must be overwritten by the sample's
	if err := config.Decode("sample", []byte(full), &got, "NONE_", nil); err != nil {
		t.Fatal(err)
	}
	defaults := defaultPipeline()
	defaults.Task, defaults.Schedule = got.Task, got.Schedule
	if g, w := asJSON(t, got), asJSON(t, defaults); g != w {
		t.Errorf("the sample's values are not the defaults:\n got %s\nwant %s", g, w)
	}
	for _, key := range config.Keys(PipelineSettings{}) {
		if !strings.Contains(full, "\n"+key+": ") {
			t.Errorf("the sample lacks %s", key)
		}
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema.PipelineSchema))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("pipeline.schema.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("pipeline.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	valid := func(text []byte) error {
		var tree any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		return compiled.Validate(instance)
	}
	files, err := filepath.Glob("../../pipelines/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("there are %d files of pipelines (%v)", len(files), err)
	}
	shops := someShops(t)
	shops = append(shops, shop{"tmall", "my-flagship", shops[0].connector})
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(data); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if _, err := parsePipeline(file, data, "Asia/Shanghai", shops); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if err := valid([]byte(full)); err != nil {
		t.Errorf("the sample: %v", err)
	}
	if err := valid([]byte("task: pull\nunknown: 1\n")); err == nil {
		t.Error("the schema takes an unknown key")
	}
}

// A wrong file is named with the place of each fault, and what to do.
func TestPipelineFaults(t *testing.T) {
	t.Parallel()
	shops := someShops(t)
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"unknown key":        {"a.yaml", "task: pull\nevery: 1m\nshop_list: []\n", []string{"a.yaml:3:1"}},
		"no YAML":            {"a.yaml", "task: [\n", []string{"a.yaml:"}},
		"no task":            {"a.yaml", "every: 1m\n", []string{"task is missing"}},
		"another task":       {"a.yaml", "every: 1m\ntask: dance\n", []string{"a.yaml:2:1: task must be"}},
		"wrong cron":         {"a.yaml", "task: squash\nschedule: 61 * * * *\n", []string{"a.yaml:2:1: schedule is wrong", "minute hour day month weekday"}},
		"never":              {"a.yaml", "task: squash\nschedule: 0 0 30 2 *\n", []string{"a.yaml:2:1", "never comes"}},
		"two schedules":      {"a.yaml", "task: squash\nschedule: 0 0 * * *\nevery: 1h\n", []string{"a.yaml:3:1: every stands beside schedule"}},
		"no schedule":        {"a.yaml", "task: squash\n", []string{"schedule is missing"}},
		"a zone of Mars":     {"a.yaml", "task: squash\nschedule: 0 0 * * *\ntimezone: Mars/Olympus\n", []string{"a.yaml:3:1: timezone is not known"}},
		"a wrong duration":   {"a.yaml", "task: squash\nevery: soon\n", []string{"a.yaml:2:8"}},
		"several at once":    {"a.yaml", "task: reconcile\nevery: 1h\nshops: [tmall/s, tmall/other]\ndays: 0\n", []string{"a.yaml:3:", "shops[1] is tmall/other", "a.yaml:4:1: days must be"}},
		"a stream of nobody": {"a.yaml", "task: pull\nevery: 1h\nstreams: [orders, dreams]\n", []string{"a.yaml:3:", "streams[1] is dreams"}},
		"a key of others":    {"a.yaml", "task: pull\nevery: 1h\nto: backups\n", []string{"a.yaml:3:1: to is of backup"}},
		"backup to nowhere":  {"a.yaml", "task: backup\nevery: 1h\n", []string{"to is missing"}},
		"import of nothing":  {"a.yaml", "task: import\nevery: 1h\n", []string{"folder is missing", "shop is missing"}},
		"a shop with a typo": {"a.yaml", "task: import\nevery: 1h\nfolder: in\nshop: tmall/z\n", []string{"a.yaml:4:1: shop is tmall/z: oneid.yaml does not name a shop tmall/z, but tmall/s"}},
		"a shop of a space":  {"a.yaml", "task: import\nevery: 1h\nfolder: in\nshop: 'tmall/ '\nnew_shop: true\n", []string{"a.yaml:4:1: shop is", "empty"}},
		"a taken name":       {"pull.yaml", "task: pull\nevery: 1h\n", []string{"choose another name"}},
		"a strange name":     {"Nightly Run.yaml", "task: pull\nevery: 1h\n", []string{"whose name is not of small letters"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parsePipeline(c.file, []byte(c.text), "Asia/Shanghai", shops)
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

// What a file pulls, no default pulls; a stream has one lock, whoever pulls it.
func TestJobsOfPipelines(t *testing.T) {
	t.Parallel()
	f, shops := folder(t.TempDir()), someShops(t)
	if err := os.MkdirAll(f.path(pipelinesFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	writeText(t, f.path(pipelinesFolder, "hourly.yaml"), "task: pull\nschedule: 7 * * * *\nshops: [tmall/s]\nstreams: [users]\n")
	writeText(t, f.path(pipelinesFolder, "night.yaml"), "task: pull\nschedule: 7 2 * * *\nshops: [tmall/s]\nstreams: [users]\n")
	writeText(t, f.path(pipelinesFolder, "asleep.yaml"), "task: pull\npaused: true\nshops: [weidian/s]\n")
	writeText(t, f.path(pipelinesFolder, "compare.yaml"), "task: reconcile\nschedule: 40 3 * * *\n")
	pipelines, err := f.loadPipelines(defaultSettings(), shops)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range pipelines {
		for _, j := range jobsOf(p, pipelines, shops) {
			got = append(got, p.Name+" "+j.key)
		}
	}
	want := []string{
		"asleep pull/weidian/s/orders", "asleep pull/weidian/s/users", "asleep pull/weidian/s/tickets",
		"compare reconcile", "hourly pull/tmall/s/users", "night pull/tmall/s/users",
		"pull pull/tmall/s/orders", "pull pull/tmall/s/tickets", "pull pull/weidian/s/orders", "pull pull/weidian/s/users", "pull pull/weidian/s/tickets",
		"squash squash",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("the jobs are\n%s\nwant\n%s", g, w)
	}
}

// Two pipelines that watch one folder would load each of its files twice, one into
// the shop of the other; a file that nobody reads would be missed at its time.
func TestPipelinesOfOneFolder(t *testing.T) {
	t.Parallel()
	shops := someShops(t)
	watch := func(dir string) string {
		return "task: import\nevery: 1m\nshop: tmall/s\nfolder: " + dir + "\n"
	}
	for name, c := range map[string]struct {
		files map[string]string
		links map[string]string
		want  []string // nothing: they are taken
	}{
		"two folders":              {map[string]string{"a.yaml": watch("in"), "b.yaml": watch("in2")}, nil, nil},
		"one within another":       {map[string]string{"a.yaml": watch("in"), "b.yaml": watch("in/tmall")}, nil, nil},
		"the same":                 {map[string]string{"a.yaml": watch("in"), "b.yaml": watch("in")}, nil, []string{"b.yaml:4:1: folder is watched by a.yaml, too"}},
		"the same, otherwise put":  {map[string]string{"a.yaml": watch("in"), "b.yaml": watch("./x/../in/")}, nil, []string{"b.yaml:4:1", "a.yaml"}},
		"one asleep":               {map[string]string{"a.yaml": watch("in"), "b.yaml": watch("in") + "paused: true\n"}, nil, []string{"b.yaml:4:1"}},
		"a link to it":             {map[string]string{"a.yaml": watch("in"), "b.yaml": watch("link")}, map[string]string{"link": "in"}, []string{"b.yaml:4:1", "a.yaml"}},
		"below a link":             {map[string]string{"a.yaml": watch("in/new"), "b.yaml": watch("link/new")}, map[string]string{"link": "in"}, []string{"b.yaml:4:1", "a.yaml"}},
		"what the other loaded":    {map[string]string{"a.yaml": watch("in/done"), "b.yaml": watch("in")}, nil, []string{"a.yaml:4:1: folder is where b.yaml"}},
		"what the other could not": {map[string]string{"a.yaml": watch("in"), "b.yaml": watch("in/failed")}, nil, []string{"b.yaml:4:1: folder is where a.yaml"}},
		"other files":              {map[string]string{"a.yaml": watch("in"), "a.yaml.toml": "<ml", "b.yxml": "<ml"}, nil, nil},
		"the other ending":         {map[string]string{"nightly.yml": "task: squash\nevery: 1h\n"}, nil, []string{"nightly.yml", "nightly.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder(t.TempDir())
			for _, dir := range []string{f.path(pipelinesFolder), f.path("in")} {
				if err := os.MkdirAll(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for link, to := range c.links {
				if err := os.Symlink(f.path(to), f.path(link)); err != nil {
					t.Fatal(err)
				}
			}
			for file, text := range c.files {
				writeText(t, f.path(pipelinesFolder, file), text)
			}
			_, err := f.loadPipelines(defaultSettings(), shops)
			if c.want == nil {
				if err != nil {
					t.Errorf("they are refused: %v", err)
				}
				return
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}
