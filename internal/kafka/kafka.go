// Package kafka is OneID's way to Kafka, over kafka-go: make topics, publish
// with all replicas' acknowledgement, read partitions by offset, keep
// offsets, be a member of a group. It is the only package that imports kafka-go.
//
// Reading is by partition and offset on kafka-go's low-level connection: that
// costs half of what its Reader does, and the resolver decides itself which
// ranges it takes.
package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Config says where Kafka is and who we are to it.
type Config struct {
	// Brokers are host:port; one that answers is enough to find the others.
	Brokers []string
	// TLS encrypts the connections. The brokers' certificates are checked
	// with those of CA, PEM, or with the machine's when there is none.
	TLS bool
	CA  []byte
	// Mechanism is plain, scram-sha-256 or scram-sha-512; empty means no SASL.
	Mechanism, User, Password string
}

// Topic is a topic to make.
type Topic struct {
	Name                    string
	Partitions, Replication int
	// Config are Kafka's own settings, such as cleanup.policy.
	Config map[string]string
}

// Client talks to one Kafka cluster. It may be used concurrently.
type Client struct {
	config Config
	dialer *kafka.Dialer
	admin  *kafka.Client
}

// New checks the configuration; it connects to nothing.
func New(c Config) (*Client, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("kafka: no brokers are configured")
	}
	mechanism, err := c.mechanism()
	if err != nil {
		return nil, err
	}
	client := &Client{config: c, dialer: &kafka.Dialer{ClientID: "oneid", Timeout: 10 * time.Second, DualStack: true, SASLMechanism: mechanism}}
	if c.TLS {
		client.dialer.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if len(c.CA) > 0 {
			client.dialer.TLS.RootCAs = x509.NewCertPool()
			if !client.dialer.TLS.RootCAs.AppendCertsFromPEM(c.CA) {
				return nil, errors.New("kafka: the CA file holds no certificate in PEM form")
			}
		}
	}
	client.admin = &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: 10 * time.Second, Transport: client.transport()}
	return client, nil
}

func (c Config) mechanism() (sasl.Mechanism, error) {
	switch c.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return plain.Mechanism{Username: c.User, Password: c.Password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, c.User, c.Password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, c.User, c.Password)
	}
	return nil, fmt.Errorf("kafka: SASL mechanism %q: want plain, scram-sha-256 or scram-sha-512", c.Mechanism)
}

// transport is a fresh one for each user: on a shared one, what is written
// right after a topic was made fails, since the metadata is shared too.
func (c *Client) transport() *kafka.Transport {
	return &kafka.Transport{ClientID: "oneid", DialTimeout: 10 * time.Second, MetadataTTL: 10 * time.Second, TLS: c.dialer.TLS, SASL: c.dialer.SASLMechanism}
}

// Close lets idle connections go.
func (c *Client) Close() {
	if t, ok := c.admin.Transport.(*kafka.Transport); ok {
		t.CloseIdleConnections()
	}
}

// Ping connects to a broker and asks what it understands.
func (c *Client) Ping(ctx context.Context) error {
	var faults []error
	for _, broker := range c.config.Brokers {
		conn, err := c.dialer.DialContext(ctx, "tcp", broker)
		if err == nil {
			if deadline, ok := ctx.Deadline(); ok {
				_ = conn.SetDeadline(deadline)
			}
			_, err = conn.ApiVersions()
			_ = conn.Close()
		}
		if err == nil {
			return nil
		}
		faults = append(faults, err)
	}
	return fmt.Errorf("kafka: reach the brokers: %w", errors.Join(faults...))
}

// EnsureTopics makes the topics that are not there yet, and waits until each
// partition has a leader that answers: that of a topic made a moment ago may
// not know yet that it is. What is there stays as it is.
func (c *Client) EnsureTopics(ctx context.Context, topics []Topic) error {
	if err := c.createTopics(ctx, topics, false); err != nil {
		return err
	}
	for _, t := range topics {
		for {
			first, _, err := c.Ends(ctx, t.Name)
			if err == nil && len(first) > 0 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("kafka: wait for topic %s: %w", t.Name, errors.Join(err, ctx.Err()))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// CheckTopics asks whether EnsureTopics may make the topics that are not there
// yet; nothing is made.
func (c *Client) CheckTopics(ctx context.Context, topics []Topic) error {
	return c.createTopics(ctx, topics, true)
}

// createTopics makes the topics that are not there, or only has the brokers
// say whether they would.
func (c *Client) createTopics(ctx context.Context, topics []Topic, validateOnly bool) error {
	configs := make([]kafka.TopicConfig, len(topics))
	for i, t := range topics {
		configs[i] = kafka.TopicConfig{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replication}
		for name, value := range t.Config {
			configs[i].ConfigEntries = append(configs[i].ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
		}
	}
	made, err := c.admin.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: configs, ValidateOnly: validateOnly})
	if err != nil {
		return fmt.Errorf("kafka: make topics: %w", err)
	}
	for name, err := range made.Errors {
		if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return fmt.Errorf("kafka: make topic %s: %w", name, err)
		}
	}
	return nil
}

// DeleteTopics takes topics away, with all that they hold; one that is not
// there is no error.
func (c *Client) DeleteTopics(ctx context.Context, names []string) error {
	deleted, err := c.admin.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: names})
	if err != nil {
		return fmt.Errorf("kafka: delete topics: %w", err)
	}
	for name, err := range deleted.Errors {
		if err != nil && !errors.Is(err, kafka.UnknownTopicOrPartition) {
			return fmt.Errorf("kafka: delete topic %s: %w", name, err)
		}
	}
	return nil
}

// Partitions is how many partitions a topic has.
func (c *Client) Partitions(ctx context.Context, topic string) (int, error) {
	metadata, err := c.admin.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return 0, fmt.Errorf("kafka: ask for topic %s: %w", topic, err)
	}
	for _, t := range metadata.Topics {
		if t.Name == topic {
			return len(t.Partitions), t.Error
		}
	}
	return 0, fmt.Errorf("kafka: there is no topic %s", topic)
}

// leader connects to the leader of a partition.
func (c *Client) leader(ctx context.Context, topic string, partition int) (*kafka.Conn, error) {
	var faults []error
	for _, broker := range c.config.Brokers {
		conn, err := c.dialer.DialLeader(ctx, "tcp", broker, topic, partition)
		if err == nil {
			return conn, nil
		}
		faults = append(faults, err)
	}
	return nil, fmt.Errorf("kafka: connect to the leader of %s/%d: %w", topic, partition, errors.Join(faults...))
}

// Ends are the first offset that is still there and the one that the next
// message will get, by partition.
func (c *Client) Ends(ctx context.Context, topic string) (first, next []int64, err error) {
	n, err := c.Partitions(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	requests := make([]kafka.OffsetRequest, 0, 2*n)
	for p := range n {
		requests = append(requests, kafka.FirstOffsetOf(p), kafka.LastOffsetOf(p))
	}
	response, err := c.admin.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: requests}})
	if err != nil {
		return nil, nil, fmt.Errorf("kafka: ask for the offsets of %s: %w", topic, err)
	}
	first, next = make([]int64, n), make([]int64, n)
	for _, p := range response.Topics[topic] {
		if p.Error != nil {
			return nil, nil, fmt.Errorf("kafka: ask for the offsets of %s/%d: %w", topic, p.Partition, p.Error)
		}
		first[p.Partition], next[p.Partition] = p.FirstOffset, p.LastOffset
	}
	return first, next, nil
}

// Position is the next offset of each partition, by topic.
type Position map[string][]int64

// Commit keeps the position of a group that has no members, for whoever reads
// on. A partition whose offset is negative stays where it is.
func (c *Client) Commit(ctx context.Context, group string, position Position) error {
	return c.commit(ctx, &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1}, position)
}

// commit keeps a group's position.
func (c *Client) commit(ctx context.Context, request *kafka.OffsetCommitRequest, position Position) error {
	request.Topics = make(map[string][]kafka.OffsetCommit)
	for topic, offsets := range position {
		for partition, offset := range offsets {
			if offset < 0 {
				continue
			}
			request.Topics[topic] = append(request.Topics[topic], kafka.OffsetCommit{Partition: partition, Offset: offset})
		}
	}
	response, err := c.admin.OffsetCommit(ctx, request)
	if err != nil {
		return fmt.Errorf("kafka: commit the offsets of %s: %w", request.GroupID, fenced(err))
	}
	for topic, partitions := range response.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return fmt.Errorf("kafka: commit the offset of %s in %s/%d: %w", request.GroupID, topic, p.Partition, fenced(p.Error))
			}
		}
	}
	return nil
}

// Committed is a group's position on topics; a partition that was never
// committed has 0.
func (c *Client) Committed(ctx context.Context, group string, topics []string) (Position, error) {
	request := &kafka.OffsetFetchRequest{GroupID: group, Topics: make(map[string][]int)}
	position := make(Position)
	for _, topic := range topics {
		n, err := c.Partitions(ctx, topic)
		if err != nil {
			return nil, err
		}
		position[topic] = make([]int64, n)
		for p := range n {
			request.Topics[topic] = append(request.Topics[topic], p)
		}
	}
	response, err := c.admin.OffsetFetch(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("kafka: ask for the offsets of %s: %w", group, err)
	}
	// Of the group as a whole: its coordinator is on the way. One that never committed may be unknown.
	if response.Error != nil && !errors.Is(response.Error, kafka.GroupIdNotFound) {
		return nil, fmt.Errorf("kafka: ask for the offsets of %s: %w", group, response.Error)
	}
	for topic, partitions := range response.Topics {
		for _, p := range partitions {
			if p.Error != nil {
				return nil, fmt.Errorf("kafka: ask for the offset of %s in %s/%d: %w", group, topic, p.Partition, p.Error)
			}
			position[topic][p.Partition] = max(p.CommittedOffset, 0)
		}
	}
	return position, nil
}

// IsAway says whether an error means that Kafka cannot be reached or serve
// for now, so that the same call may work later.
func IsAway(err error) bool {
	var network net.Error
	var code kafka.Error
	switch {
	case err == nil:
		return false
	case errors.As(err, &code): // first: a code is a net.Error too, whatever it says
		return code.Temporary() || code.Timeout() || slices.Contains([]kafka.Error{kafka.Unknown, kafka.BrokerNotAvailable, kafka.RebalanceInProgress}, code)
	case errors.As(err, &network) || errors.As(err, new(quotaError)):
		return true
	}
	// With no progress kafka-go says that a connection gave the answer to another
	// request: the next one begins anew.
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrNoProgress) || isClosed(err)
}

func partitionName(topic string, partition int) string {
	return topic + "/" + strconv.Itoa(partition)
}
