package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oneid/identity"
	"oneid/identity/match/receivers"
)

// folderWith is a data folder with settings and files in it.
func folderWith(t *testing.T, settings string, files map[string]string) folder {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, settingsFile), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder(dir)
}

// The settings' models are there beside the one that ships, by the names that
// they have; what is wrong with one is said, with all others at once.
func TestModelsOfSettings(t *testing.T) {
	own := string(receivers.LearnedJSON())
	settings := "brand: b\nidentity:\n  models: [own.json, missing.json, newer.json, cut.json]\n"
	f := folderWith(t, settings, map[string]string{"own.json": own, "newer.json": strings.Replace(own, `"version": 1`, `"version": 9`, 1), "cut.json": own[:len(own)/2]})
	read, err := loadSettings(string(f))
	if err != nil {
		t.Fatal(err)
	}
	_, err = modelsOf(f, read)
	for _, want := range []string{"missing.json", "it is of version 9; this oneid reads up to version 1", "cut.json line"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("modelsOf = %v, want %q in it", err, want)
		}
	}
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || hint.Hint() == "" {
		t.Error("it does not say what to do")
	}
	read.Identity.Models = []string{"own.json"}
	all, err := modelsOf(f, read)
	if err != nil {
		t.Fatal(err)
	}
	if names := ownModels(all); len(all) != 2 || all[receivers.Name] == nil || len(names) != 1 || all[names[0]] == nil {
		t.Errorf("models = %v, own %q", all, names)
	}
}

// Rules with a model are adopted only where each resolver will find it.
func TestAdoptable(t *testing.T) {
	name, _, _, err := receivers.ReadOwn("own.json", receivers.LearnedJSON())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := identity.DefaultRules().WithModel(name, receivers.RulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := identity.DefaultRules().WithModel(receivers.Name, receivers.RulesYAML())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"own.json": string(receivers.LearnedJSON())}
	without := folderWith(t, "brand: b\n", files)
	with := folderWith(t, "brand: b\nidentity: {models: [own.json]}\n", files)
	owned := folderWith(t, "brand: b\nidentity: {models: [own.json]}\n", files)
	release, err := owned.own()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	tell := func(models ...string) {
		if err := owned.writeEndpoints(Endpoints{Models: models}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(f folder, rules *identity.Rules, want string) {
		t.Helper()
		err := f.adoptable(rules)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("adoptable = %v, want %q", err, want)
		}
	}
	check(without, identity.DefaultRules(), "")
	check(without, shipped, "")
	check(without, rules, "is not among identity.models")
	check(with, rules, "")
	tell()
	check(owned, rules, "does not know the model")
	check(owned, shipped, "")
	tell(name)
	check(owned, rules, "")
}

func TestTrainSaysWhatItTakes(t *testing.T) {
	for name, c := range map[string]struct {
		cmd  identityTrainCmd
		want string
	}{
		"tables and receivers": {identityTrainCmd{Receivers: true, Input: []string{"a.csv"}}, "no tables"},
		"no model":             {identityTrainCmd{Input: []string{"a.csv"}}, "no model"},
		"no table":             {identityTrainCmd{Model: "m.yaml"}, "no table"},
		"no instance":          {identityTrainCmd{Receivers: true}, "there is no instance"},
	} {
		if err := c.cmd.Run(t.Context(), folder(t.TempDir())); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A backup of a folder holds what its settings name in it, and nothing from
// elsewhere.
func TestNamedFiles(t *testing.T) {
	f := folder(t.TempDir())
	var s Settings
	s.Identity.RulesFile = "rules.yaml"
	s.Identity.Models = []string{"models/own.json", filepath.Join(string(f), "other.json"), "../beside.json", "/elsewhere.json", "rules.yaml"}
	want := []string{"rules.yaml", "models/own.json", "other.json"}
	if got := f.named(s); !slices.Equal(got, want) {
		t.Errorf("named = %q, want %q", got, want)
	}
	if got := f.named(Settings{}); len(got) != 0 {
		t.Errorf("without settings %q are named", got)
	}
}
