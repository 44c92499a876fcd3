package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if out := must(t, "init", "--dir", dir).stdout; !strings.Contains(out, "oneid.yaml") || !strings.Contains(out, "oneid up --dir "+dir) {
		t.Errorf("init does not say how to go on: %s", out)
	}
	file := filepath.Join(dir, settingsFile)
	for path, mode := range map[string]os.FileMode{dir: 0o700, file: 0o600, filepath.Join(dir, "keys"): 0o700, filepath.Join(dir, "secrets"): 0o700} {
		stat, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if stat.Mode().Perm() != mode {
			t.Errorf("%s has mode %s, want %s", path, stat.Mode().Perm(), mode)
		}
	}
	if got := one(t, dir, "SELECT 1"); got != "1" {
		t.Errorf("a query in a new folder answers %s", got)
	}
	writeText(t, file, "brand: other\n")
	must(t, "init", "--dir", dir)
	if text, err := os.ReadFile(file); err != nil || string(text) != "brand: other\n" {
		t.Errorf("init again changed oneid.yaml to %q (%v)", text, err)
	}
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	must(t, "init", "--dir", dir)
	made := must(t, "apikey", "create", "--dir", dir, "service desk")
	key := strings.TrimSpace(made.stdout)
	if len(key) < 20 || strings.ContainsAny(key, " \n") {
		t.Errorf("the key is %q; it should stand on standard output alone", key)
	}
	if strings.Contains(made.stderr, key) {
		t.Error("the key stands on standard error too, where logs come from")
	}
	list := must(t, "apikey", "list", "--dir", dir).stdout
	if !strings.Contains(list, "service desk") || !strings.Contains(list, "customers:read") || strings.Contains(list, key) {
		t.Errorf("the list is\n%s", list)
	}
	stored, err := os.ReadFile(filepath.Join(dir, "keys", "api-keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	// oneid_ID_SECRET; the secret may hold a _ itself.
	if parts := strings.SplitN(key, "_", 3); len(parts) != 3 || strings.Contains(string(stored), parts[2]) {
		t.Error("the key is stored in clear")
	}
	lines := strings.Split(list, "\n")
	if len(lines) < 2 {
		t.Fatal("the list is empty")
	}
	id := strings.Fields(lines[1] + " -")[0]
	must(t, "apikey", "revoke", "--dir", dir, id)
	if list := must(t, "apikey", "list", "--dir", dir).stdout; strings.Contains(list, id) {
		t.Errorf("after revoking %s the list is\n%s", id, list)
	}
	wantRefused(t, oneid(t, "apikey", "revoke", "--dir", dir, id), 1, id)
	wantRefused(t, oneid(t, "apikey", "create", "--dir", dir, "--scope", "all", "x"), 2, "--scope", "customers:read")
}

// Each command that works on a folder says what is missing, and how to get it.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "none")
	for _, args := range [][]string{
		{"serve"},
		{"sync", "--once"},
		{"resolve", "--once"},
		{"migrate"},
		{"lookup", "--phone", "13800001111"},
		{"explain", "--customer", "00000000-0000-0000-0000-000000000001"},
		{"query", "SELECT 1"},
		{"apikey", "create", "x"},
		{"apikey", "list"},
		{"apikey", "revoke", "x"},
		{"rebuild"},
		{"replay", "--from", "2026-01-01"},
		{"backup", filepath.Join(t.TempDir(), "backups")},
		{"reconcile"},
		{"missing"},
		{"deadletter", "list"},
		{"deadletter", "show", "x"},
		{"deadletter", "replay", "--all"},
		{"deadletter", "drop", "x"},
	} {
		wantRefused(t, oneid(t, append(args, "--dir", dir)...), 1, "there is no instance in "+dir, "hint: ", "oneid init")
		if _, err := os.Stat(dir); err == nil {
			t.Fatalf("%v made the folder", args)
		}
	}
}

// A fault of the settings is named with its place before anything starts, and
// never with a secret's value.
func TestUpNamesFaultsOfSettings(t *testing.T) {
	t.Parallel()
	shop := func(lines string) string {
		return "shops:\n  - platform: tmall\n    shop: flagship\n    settings:\n" + lines
	}
	const secret = "an-invented-secret"
	for name, c := range map[string]struct {
		yaml  string
		env   []string
		texts []string
	}{
		"unknown key":              {"brand: x\nclickhouse:\n  pasword: y\n", nil, []string{"oneid.yaml:3:3", "pasword"}},
		"wrong type":               {"kafka:\n  partitions: many\n", nil, []string{"oneid.yaml:2:15", "int"}},
		"no YAML":                  {"brand: [\n", nil, []string{"oneid.yaml:1"}},
		"a wrong value":            {"log:\n  level: loud\n", nil, []string{"log.level", "debug, info, warn or error"}},
		"a wrong zone":             {"timezone: Mars/Base\n", nil, []string{"timezone", "Asia/Shanghai"}},
		"a wrong value by setting": {"", []string{"ONEID_KAFKA_PARTITIONS=many"}, []string{"ONEID_KAFKA_PARTITIONS"}},
		"secret in YAML":           {"clickhouse:\n  password: " + secret + "\n", nil, []string{"oneid.yaml:2:3", "password"}},
		"secret of a shop in YAML": {shop("      app_key: \"1\"\n      app_secret: " + secret + "\n"), nil, []string{"oneid.yaml:6:", "app_secret", "app_secret_file"}},
		"missing secret file":      {shop("      app_key: \"1\"\n      app_secret_file: secrets/none\n"), nil, []string{"oneid.yaml:6:", "secrets/none"}},
		"missing password file":    {"clickhouse:\n  url: http://127.0.0.1:1\n  password_file: secrets/none\n", nil, []string{"secrets/none"}},
		"unknown platform":         {"shops:\n  - platform: amazon\n    shop: x\n", nil, []string{"amazon", "tmall"}},
		"unknown setting of shop":  {shop("      app_kee: \"1\"\n"), nil, []string{"tmall/flagship", "oneid.yaml:", "knows no setting app_kee"}},
		"missing setting of shop":  {shop("      app_key: \"1\"\n"), nil, []string{"tmall/flagship", "oneid.yaml:", "missing"}},
		"number of a shop too big": {shop("      app_key: \"1\"\n      backfill_days: 100000000\n"), nil, []string{"tmall/flagship", "oneid.yaml:6:"}},
		"a shop twice":             {"shops:\n  - {platform: file, shop: a}\n  - {platform: file, shop: a}\n", nil, []string{"shops[1]", "twice"}},
		"a shop without a name":    {"shops:\n  - platform: tmall\n", nil, []string{"shops[0]", "platform and shop"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeText(t, filepath.Join(dir, settingsFile), c.yaml)
			a := startWith(t, "", c.env, "up", "--dir", dir).wait(t)
			wantRefused(t, a, 1, c.texts...)
			if strings.Contains(a.stdout+a.stderr, secret) {
				t.Errorf("a secret is printed:\n%s", a.stderr)
			}
		})
	}
}

// Help is of use: it says what the command does, and each flag has a word.
func TestHelp(t *testing.T) {
	t.Parallel()
	front := must(t, "--help").stdout
	for _, command := range []string{
		"init", "demo", "up", "simulate", "sync", "connector spec", "connector check", "connector discover", "connector read", "resolve", "serve", "migrate", "import", "lookup", "explain", "query",
		"rebuild", "replay", "backup", "restore", "doctor", "deadletter list", "deadletter show", "deadletter replay", "deadletter drop", "reconcile",
		"engine install", "decide same", "decide different", "decide undo", "decide list", "apikey create", "apikey list", "apikey revoke", "bench", "version",
	} {
		if !strings.Contains(front, "\n  "+command+" ") {
			t.Errorf("oneid --help does not list %s:\n%s", command, front)
		}
		out := must(t, append(strings.Fields(command), "--help")...).stdout
		lines := strings.SplitN(out, "\n", 4)
		if len(lines) < 4 || !strings.HasPrefix(lines[0], "Usage: oneid "+command) || len(lines[2]) < 12 {
			t.Errorf("oneid %s --help begins with\n%s", command, out)
		}
		for line := range strings.SplitSeq(out, "\n") {
			if name := strings.TrimSpace(line); strings.HasPrefix(name, "--") && len(strings.Fields(name)) == 1 && len(line) < 30 {
				t.Errorf("oneid %s --help: the flag %s has no help", command, name)
			}
		}
	}
	for name, c := range map[string]struct {
		args  []string
		texts []string
	}{
		"no command":          {nil, []string{"see: oneid --help"}},
		"unknown command":     {[]string{"launch"}, []string{"launch", "see: oneid --help"}},
		"unknown flag":        {[]string{"demo", "--sheep"}, []string{"--sheep", "see: oneid demo --help"}},
		"a flag of two words": {[]string{"demo", "--people", "many"}, []string{"--people", "see: oneid demo --help"}},
		"no key":              {[]string{"lookup"}, []string{"--phone", "see: oneid lookup --help"}},
		"two keys":            {[]string{"lookup", "--phone", "1", "--order", "2"}, []string{"--phone", "--order", "see: oneid lookup --help"}},
	} {
		t.Run(name, func(t *testing.T) { wantRefused(t, oneid(t, c.args...), 2, c.texts...) })
	}
	if out := must(t, "version").stdout; !strings.HasPrefix(out, "oneid ") || !strings.Contains(out, "engine ") {
		t.Errorf("version says %q", out)
	}
}

// A customer is found by each kind of key; what is not found, or no key at
// all, is said as such, and the value looked for is never repeated.
func TestLookup(t *testing.T) {
	t.Parallel()
	dir := demoFolder(t)
	p, _ := up(t, dir)
	order := rows(t, dir, "SELECT platform, shop, order_id, account, customer_id FROM customer_orders WHERE platform = 'tmall' ORDER BY order_id LIMIT 1")[0]
	for flag, value := range map[string]string{"--order": strings.Join(order[:3], "/"), "--account": order[3], "--customer": order[4]} {
		if out := must(t, "lookup", "--dir", dir, flag, value, "--json").stdout; decode[struct {
			ID string `json:"customer_id"`
		}](t, out).ID != order[4] {
			t.Errorf("lookup %s finds another than %s:\n%s", flag, order[4], out)
		}
	}
	if a := startWith(t, order[3]+"\n", nil, "lookup", "--dir", dir, "--account", "-").wait(t); a.code != 0 || !strings.Contains(a.stdout, order[4]) {
		t.Errorf("from standard input: exit code %d\n%s%s", a.code, a.stdout, a.stderr)
	}
	// An invented member, whose phone, unionid and card are known in clear.
	file := filepath.Join(t.TempDir(), "members.csv")
	writeText(t, file, "account,phone,unionid,omid,member_card,joined_at\nQ-1,13800001111,oTESTunionid00001,,VIP-TEST-0001,2026-01-02 03:04:05\n")
	must(t, "import", "--dir", dir, "--shop", "weidian/1", "--kind", "users", file)
	for flag, value := range map[string]string{"--phone": "+86 138-0000-1111", "--unionid": "oTESTunionid00001", "--member-card": "VIP-TEST-0001"} {
		for _, format := range []string{"--json", ""} {
			args := []string{"lookup", "--dir", dir, flag, value}
			if format != "" {
				args = append(args, format)
			}
			out := must(t, args...).stdout
			if !strings.Contains(out, "weidian/1/Q-1") || strings.Contains(out, value) || strings.Contains(out, "13800001111") {
				t.Errorf("%s finds or shows the wrong thing:\n%s", flag, out)
			}
		}
	}
	for name, c := range map[string]struct {
		args []string
		text string
	}{
		"unknown phone":    {[]string{"--phone", "13900002222"}, "no customer is known"},
		"unknown account":  {[]string{"--account", "tmall/1/nobody"}, "no customer is known"},
		"unknown customer": {[]string{"--customer", "00000000-0000-0000-0000-000000000009"}, "no customer is known"},
		"no phone":         {[]string{"--phone", "12"}, ""},
		"no account":       {[]string{"--account", "tmall"}, ""},
		"no order":         {[]string{"--order", "x/y"}, ""},
		"no customer":      {[]string{"--customer", "x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, command := range []string{"lookup", "explain"} {
				a := oneid(t, append([]string{command, "--dir", dir}, c.args...)...)
				wantRefused(t, a, 1, c.text)
				if strings.Contains(a.stderr, "13900002222") {
					t.Errorf("the phone is repeated: %s", a.stderr)
				}
			}
		})
	}
	down(t, dir, p)
}
