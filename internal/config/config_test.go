package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type settings struct {
	Brand string   `yaml:"brand" doc:"topic prefix"`
	Every Duration `yaml:"every"`
	Kafka struct {
		Brokers  []string `yaml:"brokers"`
		Password Secret   `yaml:"password_file"`
	} `yaml:"kafka"`
	Shops []struct {
		Platform string `yaml:"platform"`
		Settings Raw    `yaml:"settings"`
	} `yaml:"shops"`
}

const sample = `brand: oneid
every: 2s
kafka:
  brokers: [a:1, b:2]
  password_file: secrets/kafka
shops:
  - platform: tmall
    settings:
      app_key: "123"
      app_secret_file: secrets/tmall
`

func TestDecodeReadsFileAndEnvironment(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"kafka": "k1\n", "tmall": "t1"} {
		if err := os.WriteFile(filepath.Join(folder, "secrets", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		environ                         []string
		brokers, kafkaSecret, shopAsked string
	}{
		"file alone":               {nil, "a:1 b:2", "k1", `{"app_key":"123","app_secret":"t1"}`},
		"environment wins":         {[]string{"ONEID_KAFKA_BROKERS=c:3, d:4", "ONEID_KAFKA_PASSWORD=k2"}, "c:3 d:4", "k2", `{"app_key":"123","app_secret":"t1"}`},
		"secret of a shop":         {[]string{"ONEID_SHOPS_0_SETTINGS_APP_SECRET=007"}, "a:1 b:2", "k1", `{"app_key":"123","app_secret":"007"}`},
		"other variables are left": {[]string{"KAFKA_BROKERS=z:9"}, "a:1 b:2", "k1", `{"app_key":"123","app_secret":"t1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			var s settings
			if err := Decode("oneid.yaml", []byte(sample), &s, "ONEID_", c.environ); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(s.Kafka.Brokers, " "); got != c.brokers {
				t.Errorf("brokers = %q, want %q", got, c.brokers)
			}
			if got, err := s.Kafka.Password.Load(folder); err != nil || got != c.kafkaSecret {
				t.Errorf("password = %q (%v), want %q", got, err, c.kafkaSecret)
			}
			got, err := s.Shops[0].Settings.JSON("oneid.yaml", folder, map[string]bool{"app_secret": true})
			if err != nil || string(got) != c.shopAsked {
				t.Errorf("shop settings = %s (%v), want %s", got, err, c.shopAsked)
			}
			if s.Every != Duration(2*time.Second) {
				t.Errorf("every = %v, want 2s", s.Every)
			}
		})
	}
}

func TestDecodeNamesLineAndColumn(t *testing.T) {
	for name, c := range map[string]struct {
		text         string
		environ      []string
		line, column int
		says         string
	}{
		"unknown key":      {"brand: a\nkafak: {}\n", nil, 2, 1, "kafak"},
		"unknown below":    {"kafka:\n  broker: [a]\n", nil, 2, 3, "broker"},
		"wrong type":       {"kafka:\n  brokers: 7\n", nil, 2, 12, ""},
		"key twice":        {"brand: a\nbrand: b\n", nil, 2, 1, "brand"},
		"not YAML":         {"brand: [a\n", nil, 1, 8, ""},
		"bad duration":     {"every: soon\n", nil, 1, 8, ""},
		"bad environment":  {"brand: a\n", []string{"ONEID_EVERY=soon"}, 0, 0, "ONEID_EVERY"},
		"a shop is a list": {"shops:\n  platform: x\n", nil, 2, 11, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var s settings
			err := Decode("oneid.yaml", []byte(c.text), &s, "ONEID_", c.environ)
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatalf("Decode(%q) = %v, want a Problem", c.text, err)
			}
			if p.Line != c.line || p.Column != c.column || !strings.Contains(p.Message, c.says) {
				t.Errorf("Decode(%q) = %v, want line %d column %d and %q", c.text, p, c.line, c.column, c.says)
			}
		})
	}
}

func TestSecretsStayOutOfTheFile(t *testing.T) {
	text := "shops:\n  - platform: tmall\n    settings:\n      app_secret: hidden\n"
	var s settings
	if err := Decode("oneid.yaml", []byte(text), &s, "ONEID_", nil); err != nil {
		t.Fatal(err)
	}
	_, err := s.Shops[0].Settings.JSON("oneid.yaml", t.TempDir(), map[string]bool{"app_secret": true})
	if err == nil || !strings.Contains(err.Error(), "oneid.yaml:4:7") || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a literal secret gave %v, want an error at 4:7 that does not repeat it", err)
	}
	_, err = (Secret{File: "absent"}).Load(t.TempDir())
	if err == nil {
		t.Error("a missing secret's file gave no error")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("shops:\n  - settings: 3\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s settings
		_ = Decode("oneid.yaml", data, &s, "ONEID_", nil)
	})
}
