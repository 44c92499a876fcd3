// Package keys keeps by what the keys of a brand are known again, so that a
// process whose key ring is another one ends before it seals or hashes
// anything, or calls what it cannot open a dead letter.
package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/schemas/events"
)

// prefix begins the keys of the messages in the topic of the cursors, which are
// keyring/NAME/MARK: no platform is called so. The mark is in the key so that
// nothing replaces the first message of a name, which is the one that counts.
const prefix = "keyring/"

// OtherError says that a process has not all keys that are in use.
type OtherError struct {
	// Names of the keys that it lacks, or has another one of.
	Names []string
}

func (e *OtherError) Error() string {
	return "keys: the key ring in keys/ is not that of this brand: its " + strings.Join(e.Names, ", ") + " is missing or another key"
}

// Code names the kind of error.
func (e *OtherError) Code() string { return "keys_other" }

// Hint says what to do.
func (e *OtherError) Hint() string {
	return "put keys/keyring.json there from the folder where the brand began, or from its backup; with the keys of here nothing in Kafka or ClickHouse can be opened, and no identifier meets its like. If those keys are lost, begin anew under another brand (brand in oneid.yaml)"
}

// Claim compares the marks of a process's keys, by their names, with those that
// are in use. What is not in use yet, as in a new brand or a ring with one key
// more, is from then on. A key that is in use and not among the marks is an
// OtherError, and then nothing of the ring is noted. Of two that bring other keys to
// a new brand at once, one gets it.
func Claim(ctx context.Context, client *kafka.Client, publisher *kafka.Publisher, topic string, marks map[string]string) (err error) {
	fresh, err := unused(ctx, client, topic, marks)
	if err != nil || len(fresh) == 0 {
		return err
	}
	// One at a time looks and notes: of two rings that are half noted none is right,
	// and of a mark that is noted twice compaction keeps the later message.
	lock, err := client.Lock(topic+".keyring", topic, true)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // its session ends it else, and what was noted is
	for {
		err := lock.Try(ctx, func(ctx context.Context, _ bool) error {
			fresh, err := unused(ctx, client, topic, marks)
			if err != nil || len(fresh) == 0 {
				return err
			}
			return note(ctx, publisher, topic, fresh)
		})
		if !errors.Is(err, kafka.ErrHeld) && !errors.Is(err, kafka.ErrFenced) {
			return err
		}
		if err := pipelines.Sleep(ctx, time.Second/10); err != nil {
			return err
		}
	}
}

// Check is Claim that notes nothing: for who moves nothing, and is no process of a
// new brand.
func Check(ctx context.Context, client *kafka.Client, topic string, marks map[string]string) error {
	_, err := unused(ctx, client, topic, marks)
	return err
}

// unused are those of the marks that are not in use yet. It fails with an OtherError
// if others are.
func unused(ctx context.Context, client *kafka.Client, topic string, marks map[string]string) (map[string]string, error) {
	used, err := inUse(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	if err := differ(used, marks); err != nil {
		return nil, err
	}
	fresh := maps.Clone(marks)
	maps.DeleteFunc(fresh, func(name, _ string) bool { return used[name] != "" })
	return fresh, nil
}

// note writes marks down; those count of whose names there are none yet.
func note(ctx context.Context, publisher *kafka.Publisher, topic string, marks map[string]string) error {
	var messages []kafka.Message
	for _, name := range slices.Sorted(maps.Keys(marks)) {
		key := prefix + name + "/" + marks[name]
		written := &events.Cursor{WrittenMs: time.Now().UnixMilli()}
		value, err := proto.Marshal(written)
		if err != nil {
			return fmt.Errorf("keys: note the keys in use: %w", err)
		}
		messages = append(messages, kafka.Message{Topic: topic, Key: []byte(key), Value: value, Headers: kafka.Headers(events.DescribeCursor(key, written).Headers())})
	}
	if err := publisher.Publish(ctx, messages); err != nil {
		return fmt.Errorf("keys: note the keys in use: %w", err)
	}
	return nil
}

func differ(used, marks map[string]string) error {
	var other []string
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if marks[name] != used[name] {
			other = append(other, name)
		}
	}
	if len(other) > 0 {
		return &OtherError{other}
	}
	return nil
}

// inUse are the marks of the keys in use, by their names: of each the first.
func inUse(ctx context.Context, client *kafka.Client, topic string) (map[string]string, error) {
	used := make(map[string]string)
	err := client.ReadAll(ctx, topic, func(_ int, m kafka.Fetched) error {
		of, ours := strings.CutPrefix(string(m.Key), prefix)
		name, mark, _ := strings.Cut(of, "/")
		switch {
		case !ours:
		case len(m.Value) == 0: // a person has taken it back
			if used[name] == mark {
				delete(used, name)
			}
		case used[name] == "":
			used[name] = mark
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("keys: read which keys are in use: %w", err)
	}
	return used, nil
}
