package crashtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Address is host:port on loopback for what ends in the middle of a test and
// comes back where it was. Its port lies below those that systems hand out by
// themselves, to outgoing connections and to listeners on port 0: while nothing
// listens there, no other test of the machine is given it.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(12000+rand.IntN(18000)))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			continue // somebody's
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return address
	}
	t.Fatal("no port of a hundred between 12000 and 30000 is free")
	return ""
}
