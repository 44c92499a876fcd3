package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"oneid/pipelines/receive"
)

// listenCallbacks listens for what the platforms call by themselves: nil where
// callbacks.listen is empty. It is a listener of its own, since it is the one
// that the internet reaches: the look-up API is not on it.
func (n *node) listenCallbacks(ctx context.Context, shops []shop, pushes *receive.Receiver) (*apiServer, error) {
	address := n.settings.Callbacks.Listen
	if address == "" {
		return nil, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, hinted{fmt.Errorf("listen for the platforms' calls: %w", err), "another program has that address; change callbacks.listen"}
	}
	mux := http.NewServeMux()
	if err := n.answerMemberships(mux, shops); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	mountPushes(mux, pushes)
	n.log.Info("the platforms' calls are answered", "address", listener.Addr().String(), "shops", len(shops))
	return n.server(listener, mux), nil
}
