// Package telemetry makes what OneID is seen by from outside: its log.
// Metrics are counted where things happen, on a Prometheus registry that the
// program hands round.
package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger writes records of level (debug, info, warn or error) and above to
// w, as format: text or json.
func NewLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("telemetry: log level %q: want debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: least}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("telemetry: log format %q: want text or json", format)
}
