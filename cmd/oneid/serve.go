package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/internal/api"
	"oneid/internal/customer/insight"
	"oneid/internal/customer/profile"
	"oneid/internal/telemetry"
	"oneid/pipelines"
)

// serveCmd serves the look-up API alone.
type serveCmd struct{}

// Help shows below the usage.
func (serveCmd) Help() string {
	return "Serves the look-up API (api.listen) from ClickHouse, with no resolver beside it: the same answers as `oneid up`, a little slower. It takes decisions too where it knows a Kafka to publish them to: one under kafka.brokers, or that of the folder's owner. The resolver follows them, wherever it runs. Make keys with `oneid apikey create NAME`; the OpenAPI document is at /openapi.json."
}

// Run serves until ctx ends.
func (serveCmd) Run(ctx context.Context, f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	i, err := open(ctx, f, need{clickhouse: true, bi: true, decisions: true}, newProgress(false))
	if err != nil {
		return err
	}
	profiles, err := i.storedProfiles()
	if err != nil {
		return errors.Join(err, i.close())
	}
	ready := func(ctx context.Context) error { return i.clickhouse.Ping(ctx) }
	var decisions api.Decisions
	if i.kafka != nil {
		decisions = decisionsAPI{i.decisions(), &insight.Reporter{ClickHouse: i.clickhouse, Rules: profiles.Rules}}
	}
	server, err := i.listen(ctx, profiles, nil, decisions, ready, func() string { return "" }, telemetry.NewMetrics(version()))
	if err != nil {
		return errors.Join(err, i.close())
	}
	// Beside the folder's owner, endpoints.json and the views are the owner's.
	if i.owner {
		if err := i.clickhouse.StartViews(ctx); err != nil {
			i.log.Warn("customer_360 stays as it is; `oneid migrate` makes what is missing", "error", err)
		}
		err = i.tellEndpoints(server.url, "")
	}
	if err == nil {
		fmt.Fprintf(os.Stderr, "serving %s; Ctrl-C stops\n", server.url)
		err = server.serve(ctx)
	}
	if i.owner {
		err = errors.Join(err, f.removeEndpoints())
	}
	return errors.Join(err, i.close())
}

// storedProfiles reads both halves of a profile from ClickHouse.
func (i *instance) storedProfiles() (*profile.Profiles, error) {
	rules, err := i.identityRules()
	if err != nil {
		return nil, err
	}
	source := profile.NewStored(i.clickhouse)
	return &profile.Profiles{Source: source, History: profile.NewHistory(i.clickhouse, source), Keys: i.keys, Rules: rules, Models: i.scorers}, nil
}

// apiServer is the look-up API on a listener.
type apiServer struct {
	url      string
	listener net.Listener
	server   *http.Server
}

// listenAPI makes the API over this process's resolver.
func (n *node) listenAPI(ctx context.Context) (*apiServer, error) {
	source := &profile.State{Engine: n.engine, Values: n.store}
	profiles := &profile.Profiles{Source: source, History: profile.NewHistory(n.clickhouse, source), Buyers: n.buyers, Keys: n.keys, Rules: n.rules, Models: n.scorers}
	reporter := &insight.Reporter{ClickHouse: n.clickhouse, Rules: n.rules}
	return n.listen(ctx, profiles, n.showLetter, decisionsAPI{n.decisions(), reporter}, n.ready, n.note, n.metrics)
}

// loadBuyers reads whose the orders are, until that has worked or ctx ends.
// Look-ups by order ask ClickHouse meanwhile.
func (n *node) loadBuyers(ctx context.Context) {
	for n.buyers != nil {
		err := n.buyers.Load(ctx, n.clickhouse)
		if err == nil {
			return
		}
		n.log.Warn("look-ups by order are slow: the orders cannot be read, and will be tried again", "error", err)
		if pipelines.Sleep(ctx, 10*time.Second) != nil {
			return
		}
	}
}

// ready says what of this process is not ready, nil if all is.
func (n *node) ready(ctx context.Context) error {
	switch state, cause, since := n.resolver.Health(); {
	case state == pipelines.Working || state == pipelines.Standby:
		return n.clickhouse.Ping(ctx)
	case cause == nil:
		return fmt.Errorf("the resolver is %s", state)
	default:
		return fmt.Errorf("the resolver is %s since %s: %w", state, since.Format(time.RFC3339), cause)
	}
}

// note is what /readyz says of a process that is ready.
func (n *node) note() string {
	state, _, since := n.resolver.Health()
	text := fmt.Sprintf("the resolver is %s since %s", state, since.Format(time.RFC3339))
	if n.memory.over.Load() {
		text += "\n" + n.memoryNote()
	}
	if waits := n.limitsNote(); waits != "" {
		text += "\n" + waits
	}
	return text
}

// observed answers /healthz, /readyz and /metrics at metrics.listen, if it is
// set, while work runs.
func (n *node) observed(ctx context.Context, ready func(context.Context) error, note func() string, work func(context.Context) error) error {
	address := n.settings.Metrics.Listen
	if address == "" {
		return work(ctx)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return hinted{fmt.Errorf("listen for metrics: %w", err), "another program has that address; change metrics.listen"}
	}
	server := n.server(listener, api.Probes(api.Config{
		Keys: n.folder.apiKeys(), Ready: ready, Note: note, Metrics: n.metrics.Handler(), Timeout: time.Duration(n.settings.API.Timeout), Log: n.log,
	}))
	n.log.Info("metrics are served", "url", server.url+"/metrics")
	group, ctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(ctx)
	group.Go(func() error { return server.serve(serving) })
	group.Go(func() error {
		defer stop()
		return work(ctx)
	})
	return group.Wait()
}

// listen makes the API over profiles.
func (i *instance) listen(ctx context.Context, profiles *profile.Profiles, showLetter func(ctx context.Context, id, who string) (api.Letter, error), decisions api.Decisions, ready func(context.Context) error, note func() string, metrics *telemetry.Metrics) (*apiServer, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", i.settings.API.Listen)
	if err != nil {
		return nil, hinted{fmt.Errorf("listen for the look-up API: %w", err), "another program has that address; change api.listen, or leave its port 0"}
	}
	handler := api.Handler(api.Config{
		Customers: profiles, Keys: i.folder.apiKeys(), ShowLetter: showLetter, Decisions: decisions, Ready: ready, Note: note,
		History:      historyAPI{i.clickhouse, i.settings.Timezone},
		Metrics:      metrics.Handler(),
		MaxBodyBytes: int64(i.settings.API.MaxBodyBytes), Timeout: time.Duration(i.settings.API.Timeout), Log: i.log,
	})
	return i.server(listener, handler), nil
}

// server is an HTTP server with bounds.
func (i *instance) server(listener net.Listener, handler http.Handler) *apiServer {
	return &apiServer{
		url: "http://" + listener.Addr().String(), listener: listener,
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10, IdleTimeout: 2 * time.Minute, ErrorLog: slog.NewLogLogger(i.log.Handler(), slog.LevelWarn)},
	}
}

// serve answers until ctx ends, and lets what is under way end.
func (a *apiServer) serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- a.server.Serve(a.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve the look-up API: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := a.server.Shutdown(stopping)
	if ended := <-ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	return err
}

var _ api.Customers = (*profile.Profiles)(nil)
