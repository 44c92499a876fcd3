package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/pipelines"
	"oneid/pipelines/alert"
	"oneid/pipelines/pull"
	"oneid/schemas/events"
)

// lackingConnector lacks what a test says.
type lackingConnector struct {
	connectors.Connector
	says string
}

func (l *lackingConnector) Lacks(string, connectors.Cursor) (string, connectors.Window) {
	return l.says, connectors.Window{}
}

// A process that runs hears with its next reading of what another one has accepted or
// taken back meanwhile. Once nothing is missing the acceptance is over, also one that it
// had not heard of until then.
func TestAnotherProcessAcceptsWhatIsMissing(t *testing.T) {
	t.Parallel()
	brand := brokertest.Brand()
	client, err := kafka.New(kafka.Config{Brokers: brokertest.Brokers(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var topics []kafka.Topic
	for _, topic := range pipelines.Topics(brand, 1) {
		topics = append(topics, kafka.Topic{Name: topic.Name, Partitions: topic.Partitions, Replication: 1, Config: topic.Config})
	}
	if err := client.EnsureTopics(t.Context(), topics); err != nil {
		t.Fatal(err)
	}
	process := func() *node {
		n := &node{instance: &instance{kafka: client, topics: events.TopicsOf(brand), log: slog.New(slog.DiscardHandler)}, publisher: client.Publisher()}
		n.closers = append(n.closers, n.publisher.Close)
		n.startAlerts()
		t.Cleanup(func() {
			if err := n.close(); err != nil {
				t.Error(err)
			}
		})
		if n.cursors, err = pull.OpenCursors(t.Context(), client, n.publisher, n.topics.Cursors); err != nil {
			t.Fatal(err)
		}
		return n
	}
	running, other := process(), process()
	c := new(lackingConnector)
	lacks := func(n *node) lack { return n.lacks(c, "tmall", "s", "orders") }
	decide := func(command missingCmd) func() error {
		return func() error {
			if err := other.cursors.Refresh(t.Context()); err != nil { // as one that was just started
				return err
			}
			_, err := command.decide(t.Context(), other, lacks(other))
			return err
		}
	}
	nothing := func() error { return nil }
	const missing = "3 orders of long ago are missing"
	for _, step := range []struct {
		name  string
		first func() error
		lacks string
		alert bool
	}{
		{"nothing is missing", nothing, "", false},
		{"some is missing", nothing, missing, true},
		{"the other accepts it", decide(missingCmd{Accept: true}), missing, false},
		{"more of the same", nothing, strings.Replace(missing, "3", "5", 1), false},
		{"the other takes that back", decide(missingCmd{TakeBack: true}), missing, true},
		{"and accepts it again", decide(missingCmd{Accept: true}), missing, false},
		{"another cause", nothing, "a right was lost", true},
		{"all is there", nothing, "", false},
		{"the same again", nothing, missing, true},
		{"it is accepted just before all is there", decide(missingCmd{Accept: true}), "", false},
		{"and once more", nothing, missing, true},
	} {
		if err := step.first(); err != nil {
			t.Fatal(err)
		}
		c.says = step.lacks
		// A reading that does not reach Kafka in time leaves all as it was for the next one.
		eventually(t, 10*time.Second, step.name, func() (bool, string) {
			err := running.telling(t.Context(), func(context.Context) error {
				running.alertMissing(c, "tmall", "s", "orders")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			standing, err := alert.Standing(t.Context(), client, running.topics.Alerts)
			if err != nil {
				t.Fatal(err)
			}
			return (len(standing) > 0) == step.alert, fmt.Sprintf("the alerts are %v, want one: %v", standing, step.alert)
		})
	}
}
