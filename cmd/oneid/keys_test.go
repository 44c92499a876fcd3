package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/keyring"
	"oneid/pipelines"
	"oneid/pipelines/keys"
	"oneid/pipelines/tokens"
)

// With another key ring than the brand's, nothing is read, sealed or called a
// dead letter: the command ends and says what to do. A ring that was rotated, with
// the old key still in it, goes on.
func TestAnotherKeyRing(t *testing.T) {
	t.Parallel()
	dir := begunFolder(t)
	importPeople(t, dir, 0, 10)
	path := filepath.Join(dir, "keys", "keyring.json")
	own, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if _, err := keyring.Create(other); err != nil {
		t.Fatal(err)
	}
	strange, err := os.ReadFile(filepath.Join(other, "keys", "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(ring []byte) {
		t.Helper()
		if err := os.WriteFile(path, ring, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(strange)
	for _, command := range []string{"status", "up", "resolve", "sync"} {
		wantRefused(t, oneid(t, command, "--dir", dir), 1, "not that of this brand", "hash, seal-1", "hint: put keys/keyring.json there")
		if t.Failed() {
			t.FailNow() // the next one would go on for ever
		}
	}
	var ring struct {
		Hash []byte            `json:"hash"`
		Seal map[uint32][]byte `json:"seal"`
	}
	if err := json.Unmarshal(own, &ring); err != nil {
		t.Fatal(err)
	}
	ring.Seal[2] = bytes.Repeat([]byte{7}, 32)
	rotated, err := json.Marshal(ring)
	if err != nil {
		t.Fatal(err)
	}
	put(rotated)
	importPeople(t, dir, 5, 15)
	if got := one(t, dir, "SELECT (SELECT count(DISTINCT customer_id) FROM identity_map_current), (SELECT count() FROM dead_letters)"); got != "15 0" {
		t.Errorf("after a rotation: %s customers and dead letters, want 15 0", got)
	}
	put(own)
	wantRefused(t, oneid(t, "status", "--dir", dir), 1, "not that of this brand", "seal-2")
}

// Nor does who only keeps a token, as `oneid connect` beside the others' Kafka: it would
// take the place of one that all can open.
func TestNoTokenUnderAnotherKeyRing(t *testing.T) {
	t.Parallel()
	settings := Settings{Brand: brokertest.Brand()}
	settings.Kafka.Brokers = brokertest.Brokers(t)
	client, err := kafka.New(kafka.Config{Brokers: settings.Kafka.Brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	cursors := topicsOf(settings).Cursors
	for _, topic := range pipelines.Topics(settings.Brand, 1) {
		if topic.Name != cursors {
			continue
		}
		if err := client.EnsureTopics(t.Context(), []kafka.Topic{{Name: cursors, Partitions: 1, Replication: 1, Config: topic.Config}}); err != nil {
			t.Fatal(err)
		}
	}
	publisher := client.Publisher()
	t.Cleanup(func() { _ = publisher.Close() })
	own, strange := folder(t.TempDir()), folder(t.TempDir())
	ring, err := keyring.Create(string(own))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Create(string(strange)); err != nil {
		t.Fatal(err)
	}
	if err := keys.Claim(t.Context(), client, publisher, cursors, ring.Marks()); err != nil {
		t.Fatal(err)
	}
	for _, f := range []folder{own, strange} {
		reached := false
		err := f.withTokens(t.Context(), settings, func(tokens.Keeping) error { reached = true; return nil })
		var other *keys.OtherError
		if refused := f == strange; reached == refused || errors.As(err, &other) != refused || !refused && err != nil {
			t.Errorf("with the brand's keys %t: %v, and tokens are reached: %t", !refused, err, reached)
		}
	}
}
