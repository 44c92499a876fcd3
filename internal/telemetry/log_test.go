package telemetry

import (
	"bytes"
	"strings"
	"testing"
)

func TestNewLogger(t *testing.T) {
	for name, c := range map[string]struct{ level, format, want, not string }{
		"json":          {"info", "json", `"msg":"kept","platform":"tmall"`, "dropped"},
		"text":          {"warn", "text", "", "kept"},
		"debug is more": {"debug", "text", "dropped", "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log, err := NewLogger(&out, c.level, c.format)
			if err != nil {
				t.Fatal(err)
			}
			log.Debug("dropped")
			log.Info("kept", "platform", "tmall")
			if got := out.String(); !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
				t.Errorf("log = %q, want %q in it and %q not", got, c.want, c.not)
			}
		})
	}
	for _, c := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := NewLogger(&bytes.Buffer{}, c[0], c[1]); err == nil {
			t.Errorf("NewLogger(%q, %q) gave no error", c[0], c[1])
		}
	}
}
