package pubsub_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"oneid/internal/embedded/broker/brokertest"
	"oneid/internal/kafka"
	"oneid/internal/pubsub"
)

// making is a Subscriber that makes the topics that the suite asks for; ours
// are made before anything starts.
type making struct {
	*pubsub.Subscriber
	t          *testing.T
	client     *kafka.Client
	partitions int
}

func (m making) SubscribeInitialize(topic string) error {
	return m.client.EnsureTopics(m.t.Context(), []kafka.Topic{{Name: topic, Partitions: m.partitions, Replication: 1}})
}

// suite runs Watermill's acceptance suite: short against the embedded broker,
// in full against a real Kafka.
func suite(t *testing.T, partitions, inFlight int, features tests.Features) {
	brokers := brokertest.Brokers(t)
	features.ConsumerGroups = true
	features.Persistent = true
	features.ForceShort = !brokertest.Real()
	// With a command that restarts it, a real one is restarted under the suite,
	// which takes minutes; TestBrokerRestarts does it to an embedded one.
	if features.RestartServiceCommand = strings.Fields(os.Getenv("ONEID_TEST_KAFKA_RESTART")); features.RestartServiceCommand == nil {
		t.Parallel()
	}
	constructor := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		client, err := kafka.New(kafka.Config{Brokers: brokers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return pubsub.NewPublisher(client), making{pubsub.NewSubscriber(client, group, inFlight, slog.New(slog.DiscardHandler)), t, client, partitions}
	}
	tests.TestPubSub(t, features,
		func(t *testing.T) (message.Publisher, message.Subscriber) { return constructor(t, t.Name()) },
		constructor)
}

func TestWatermillSuite(t *testing.T) {
	suite(t, 3, 0, tests.Features{})
}

// One message in flight and one partition are in order.
func TestWatermillSuiteInOrder(t *testing.T) {
	suite(t, 1, 1, tests.Features{GuaranteedOrder: true, GuaranteedOrderWithSingleSubscriber: true})
}
