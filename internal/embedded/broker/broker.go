// Package broker is a Kafka broker inside the process: it speaks the Kafka
// protocol on a loopback port and keeps topics and groups in a folder, each
// write synced. It is for trying OneID out, for tests and for small shops; a
// real Kafka takes its place by a change of addresses alone.
package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Broker is a running broker.
type Broker struct {
	cluster *kfake.Cluster
	// stop ends what begins the members' sessions, and done is closed then.
	stop context.CancelFunc
	done <-chan struct{}
}

// Start runs a broker on the data of dir, which it makes if need be. listen
// is its address, on loopback; port 0 takes a free one. The folder must have
// no other broker: whoever starts one holds the data folder's lock.
func Start(dir, listen string) (*Broker, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("broker: make the data folder: %w", err)
	}
	var config net.ListenConfig
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			return config.Listen(context.Background(), network, listen)
		}),
		kfake.DataDir(dir),
		kfake.SyncWrites(),
		kfake.BrokerConfigs(map[string]string{
			"group.consumer.session.timeout.ms": "6000",
			"message.max.bytes":                 "16777216",
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("broker: start on the data of %s: %w", dir, err)
	}
	ctx, stop := context.WithCancel(context.Background()) // it ends with Close
	return &Broker{cluster: cluster, stop: stop, done: beginSessions(ctx, cluster)}, nil
}

// Addresses are the brokers to name in a client's settings.
func (b *Broker) Addresses() []string { return b.cluster.ListenAddrs() }

// Close stops the broker once what was written is on disk.
func (b *Broker) Close() {
	b.stop()
	<-b.done
	b.cluster.Close()
}
