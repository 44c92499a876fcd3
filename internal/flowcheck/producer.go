package flowcheck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"oneid/schemas/events"
)

// Producer publishes a load.
type Producer struct {
	Load   *Load
	Topics events.Topics
	Keys   events.Sealer
	// Publish returns once all messages are acknowledged by all replicas.
	Publish func(context.Context, []Message) error
	// Log gets a line before and after each call of Publish.
	Log io.Writer
	// Pause between two calls: the load's rate.
	Pause time.Duration
}

// line of a producer's log.
type line struct {
	// Sent are about to be published; Acked is the N of the last that was
	// acknowledged.
	Sent  []Fact `json:"sent,omitempty"`
	Acked int64  `json:"acked,omitempty"`
}

// most facts in one call of Publish.
const mostFacts = 40

// Run publishes until ctx ends. What is not acknowledged is published again
// and again, also after ctx has ended, for a minute: then every fact of the
// log was acknowledged.
func (p *Producer) Run(ctx context.Context) error {
	sizes := rand.New(rand.NewPCG(p.Load.rand.Uint64(), 1))
	out := json.NewEncoder(p.Log)
	for ctx.Err() == nil {
		var facts []Fact
		var messages []Message
		for range 1 + sizes.IntN(mostFacts) {
			f := p.Load.Next()
			m, err := Encode(f, p.Topics, p.Keys)
			if err != nil {
				return err
			}
			facts, messages = append(facts, f), append(messages, m)
		}
		if err := out.Encode(line{Sent: facts}); err != nil {
			return fmt.Errorf("flowcheck: write the log: %w", err)
		}
		if err := p.insist(ctx, messages); err != nil {
			return err
		}
		if err := out.Encode(line{Acked: facts[len(facts)-1].N}); err != nil {
			return fmt.Errorf("flowcheck: write the log: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(p.Pause):
		}
	}
	return nil
}

// insist publishes until it is acknowledged.
func (p *Producer) insist(ctx context.Context, messages []Message) error {
	going, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(time.Minute, giveUp) })
	defer stop()
	for {
		err := p.Publish(going, messages)
		if err == nil || going.Err() != nil {
			return err
		}
		select {
		case <-going.Done():
		case <-time.After(50 * time.Millisecond): // the broker is away: it is killed now and then
		}
	}
}

// Acked is the N of the last fact that a producer's log says was
// acknowledged; 0 for none. It reads the end of the log alone.
func Acked(path string) (int64, error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	size, err := in.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	const enough = 64 << 10 // several calls of Publish
	text, err := io.ReadAll(io.NewSectionReader(in, max(0, size-enough), enough))
	if err != nil {
		return 0, err
	}
	lines := bytes.Split(text, []byte("\n"))
	for _, text := range slices.Backward(lines[:len(lines)-1]) { // the last is not ended yet
		var l line
		if json.Unmarshal(text, &l) == nil && l.Acked > 0 { // the first may be cut
			return l.Acked, nil
		}
	}
	return 0, nil
}

// readLog reads all facts that were acknowledged.
func readLog(path string) (facts []Fact, acked int64, err error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer in.Close()
	var sent []Fact
	for r := bufio.NewReader(in); ; {
		text, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // what follows the last end of line is being written
			return facts, acked, nil
		}
		if err != nil {
			return nil, 0, err
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, fmt.Errorf("flowcheck: %s is damaged: %w", path, err)
		}
		if l.Sent != nil {
			sent = l.Sent
			continue
		}
		facts, acked = append(facts, sent...), l.Acked
	}
}
