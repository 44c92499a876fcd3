package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"oneid/internal/clickhouse"
	"oneid/internal/kafka"
)

// clickhouseAway is what ClickHouse's client says where nobody listens.
func clickhouseAway(t *testing.T) error {
	t.Helper()
	_, err := clickhouse.Open(t.Context(), clickhouse.Config{URL: "http://127.0.0.1:1"})
	if err == nil {
		t.Fatal("ClickHouse listens at port 1")
	}
	return err
}

// A store that is away is no fault of the files.
func TestPasses(t *testing.T) {
	t.Parallel()
	away := clickhouseAway(t)
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"clickhouse is away": {fmt.Errorf("file: look for what was imported before: %w", away), true},
		"no resolver":        {hinted{errNoResolver, "start one"}, true},
		"no workbook":        {fmt.Errorf("read a.xlsx: %w", zip.ErrFormat), false},
		"stopped":            {context.Canceled, false},
		"nothing":            {nil, false},
	} {
		if got := passes(c.err); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// An import waits for a ClickHouse that is away, with one word, and for no other fault.
func TestUntilThere(t *testing.T) {
	t.Parallel()
	away, fault := clickhouseAway(t), errors.New("a fault")
	for name, c := range map[string]struct {
		said []error
		want error
		told int
	}{
		"there":       {said: []error{nil}},
		"away thrice": {said: []error{away, away, away, nil}, told: 1},
		"at fault":    {said: []error{away, fault}, want: fault, told: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			asked := 0
			err := untilThere(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), func() error {
				asked++
				return c.said[asked-1]
			})
			if !errors.Is(err, c.want) || asked != len(c.said) || strings.Count(out.String(), "clickhouse is away; waiting") != c.told {
				t.Errorf("%s: %v after %d of %d, told %q", name, err, asked, len(c.said), &out)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := untilThere(ctx, slog.New(slog.DiscardHandler), func() error { return away }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// What waits for a resolver waits as long as it takes something, says so, and ends
// when nobody does.
func TestUntilTaken(t *testing.T) {
	t.Parallel()
	want := kafka.Position{"orders": {9, 9}}
	for name, c := range map[string]struct {
		every time.Duration // takes one message
		told  int
		fails bool
	}{
		"quick":           {every: 100 * time.Millisecond},
		"slow":            {every: time.Minute, told: 1},
		"none is running": {every: 1000 * time.Hour, told: 1, fails: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			began := time.Now()
			err := untilTaken(t.Context(), slog.New(slog.NewTextHandler(&out, nil)), want, func() (kafka.Position, error) {
				return kafka.Position{"orders": {int64(time.Since(began) / c.every), 9}}, nil
			})
			if errors.Is(err, errNoResolver) != c.fails || err != nil && !c.fails {
				t.Errorf("%s: it ended with %v", name, err)
			}
			if got := strings.Count(out.String(), "waiting for the resolver"); got != c.told {
				t.Errorf("%s: told %d times, want %d", name, got, c.told)
			}
		})
	}
}
