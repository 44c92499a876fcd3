// Package brokertest gives tests a Kafka: a real one where the environment
// names it, as `make test-kafka` does, and the embedded broker otherwise. No
// test is left out for the want of a real one.
package brokertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"oneid/internal/embedded/broker"
)

// Variable is the environment variable that names a real Kafka's brokers.
const Variable = "ONEID_TEST_KAFKA"

// Real says whether the tests run against a real Kafka.
func Real() bool { return os.Getenv(Variable) != "" }

// Brokers are the addresses of a broker that lasts as long as the test. A
// real one is shared by all tests: names of topics and groups begin with a
// Brand.
func Brokers(t testing.TB) []string {
	t.Helper()
	if brokers := os.Getenv(Variable); brokers != "" {
		return strings.Split(brokers, ",")
	}
	b, err := broker.Start(t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b.Addresses()
}

// Secured are brokers that ask who is there, by PLAIN, SCRAM-SHA-256 or
// SCRAM-SHA-512.
type Secured struct {
	// SASL are reached without encryption, TLS with it.
	SASL, TLS []string
	// CA is what TLS's certificate is checked with, PEM.
	CA             []byte
	User, Password string
}

// Secure gives brokers that ask who is there: those of the real Kafka, or
// embedded ones.
func Secure(t testing.TB) Secured {
	t.Helper()
	s := Secured{User: "oneid", Password: "oneid-secret"}
	if Real() {
		s.SASL, s.TLS = strings.Split(os.Getenv(Variable+"_SASL"), ","), strings.Split(os.Getenv(Variable+"_TLS"), ",")
		var err error
		if s.CA, err = os.ReadFile(os.Getenv(Variable + "_CA")); err != nil {
			t.Fatalf("%s names a real Kafka; its others come from `deploy/kafka/kafka env`: %v", Variable, err)
		}
		return s
	}
	certificate, ca := selfSigned(t)
	s.CA = ca
	start := func(options ...kfake.Opt) []string {
		options = append(options, kfake.NumBrokers(1), kfake.EnableSASL())
		for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
			options = append(options, kfake.Superuser(mechanism, s.User, s.Password))
		}
		cluster, err := kfake.NewCluster(options...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		return cluster.ListenAddrs()
	}
	s.SASL = start()
	s.TLS = start(kfake.TLS(&tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}))
	return s
}

// selfSigned makes a certificate for loopback, and its PEM.
func selfSigned(t testing.TB) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Brand is a prefix for topics and groups that no other test has.
func Brand() string { return "t" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12] }
