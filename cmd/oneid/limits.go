package main

import (
	"context"
	"strings"

	"oneid/connectors"
	"oneid/internal/httpclient"
	"oneid/pipelines/pull"
)

// openLimits makes the limits on calls that all shops share, here and in the
// brand's other processes.
func (n *node) openLimits(ctx context.Context) error {
	quotas, err := pull.OpenQuotas(ctx, n.kafka, n.publisher, n.topics.Cursors)
	if err != nil {
		return err
	}
	n.limits = httpclient.NewLimits(quotas)
	hearing, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		quotas.Run(hearing)
	}()
	n.closers = append(n.closers, func() error {
		stop()
		<-ended
		return nil
	})
	return nil
}

// share lets a connector share the brand's limits and its shop's token, if it
// calls a platform.
func (n *node) share(c connectors.Connector, platform, shop string) {
	if limited, ok := c.(interface{ Share(l *httpclient.Limits) }); ok {
		limited.Share(n.limits)
	}
	if user, ok := c.(connectors.TokenUser); ok {
		user.UseTokens(n.tokens.Of(platform, shop))
	}
}

// limitsNote says which limits of platforms are waited for, and until when;
// empty if none is.
func (n *node) limitsNote() string {
	if n.limits == nil {
		return ""
	}
	var lines []string
	for _, wait := range n.limits.Waits() {
		lines = append(lines, "pulling waits for "+wait.String())
	}
	return strings.Join(lines, "\n")
}
