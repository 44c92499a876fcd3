package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors/simulator"
	"oneid/pipelines/deliver"
	"oneid/schemas/config"
)

// upCmd runs everything of one instance.
type upCmd struct{}

// Help shows below the usage.
func (upCmd) Help() string {
	return "Pulls from the shops of oneid.yaml, resolves, and serves the look-up API and SQL for BI tools, until Ctrl-C. Once all of it answers, endpoints.json in the data folder says where. In a folder that `oneid demo` made, the simulators of its platforms run too: simulator-endpoints.json says where, in the words of `oneid simulate`."
}

// Run runs everything until ctx ends.
func (upCmd) Run(ctx context.Context, f folder) error {
	if err := f.make(config.Sample); err != nil {
		return err
	}
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	shops, err := f.shops(settings)
	if err != nil {
		return err
	}
	n, err := openNode(ctx, f, need{bi: true, lookups: true}, newProgress(false))
	if err != nil {
		return err
	}
	if !n.owner {
		return errors.Join(hinted{errOwned, "stop that process first; `oneid lookup`, `query` and `import` work beside it"}, n.close())
	}
	n.startAlerts()
	deliverer, err := n.deliverer()
	if err != nil {
		return errors.Join(err, n.close())
	}
	if len(shops) == 0 {
		if _, err := simulator.Load(string(f)); errors.Is(err, fs.ErrNotExist) {
			n.log.Warn("no shops are configured: nothing is pulled", "file", f.path(settingsFile))
		}
	}
	err = n.resolving(ctx, func(ctx context.Context) error {
		return n.withSimulators(ctx, func(ctx context.Context, simulators *simulators) error {
			if simulators != nil {
				shops = append(shops, simulators.shops...)
			}
			// A wrong file is a fault before anything is pulled or served.
			if _, err := n.folder.loadPipelines(settings, shops); err != nil {
				return err
			}
			group, ctx := errgroup.WithContext(ctx)
			group.Go(func() error { return n.alerting(ctx) })
			if deliverer != nil {
				group.Go(func() error { return deliverer.Run(ctx) })
			}
			group.Go(func() error {
				return n.stayUp(ctx, shops, func() {
					fmt.Fprintf(os.Stderr, "up: see %s; Ctrl-C stops\n", f.path(endpointsFile))
				})
			})
			return group.Wait()
		})
	})
	return errors.Join(err, n.close())
}

// stayUp pulls from the shops and serves the API until ctx ends; it returns
// nil then. ready is called once all of it answers.
func (n *node) stayUp(ctx context.Context, shops []shop, ready func()) error {
	group, ctx := errgroup.WithContext(ctx)
	server, err := n.listenAPI(ctx)
	if err != nil {
		return err
	}
	group.Go(func() error { return server.serve(ctx) })
	pushes := n.receiver(shops)
	callbacks, err := n.listenCallbacks(ctx, shops, pushes)
	if err != nil {
		return err
	}
	group.Go(func() error { return pushes.Run(ctx) })
	callbacksURL := ""
	if callbacks != nil {
		callbacksURL = callbacks.url
		group.Go(func() error { return callbacks.serve(ctx) })
	}
	if callbacks != nil && n.simulated != nil {
		for platform, secret := range map[string]string{simulator.PlatformDouyin: "", simulator.PlatformWeidian: "/" + simulatedPushSecret} {
			group.Go(func() error { return simulatePushes(ctx, n.simulated, callbacks.url, platform, secret) })
		}
	}
	group.Go(func() error {
		n.loadBuyers(ctx)
		return nil
	})
	group.Go(func() error { return n.scheduling(ctx, shops, nil) })
	group.Go(func() error { return n.decrypting(ctx, shops) })
	group.Go(func() error {
		if err := n.settleStart(ctx); err != nil {
			return err
		}
		if err := n.tellEndpoints(server.url, callbacksURL); err != nil {
			return err
		}
		ready()
		<-ctx.Done()
		return n.folder.removeEndpoints()
	})
	return group.Wait()
}

// deliverer tells the configured webhooks of identity changes and alerts; nil
// if there are none.
func (n *node) deliverer() (*deliver.Deliverer, error) {
	if len(n.settings.Deliver.Webhooks)+len(n.settings.Deliver.Alerts) == 0 {
		return nil, nil
	}
	c := deliver.Config{
		Brand: n.settings.Brand, Kafka: n.kafka, Keys: n.keys, Log: n.log, Metrics: n.metrics.Registerer(),
		Together: time.Duration(n.settings.Deliver.Together),
	}
	for _, of := range []struct {
		settings []WebhookSettings
		to       *[]deliver.Webhook
	}{{n.settings.Deliver.Webhooks, &c.Webhooks}, {n.settings.Deliver.Alerts, &c.Alerts}} {
		for _, w := range of.settings {
			secret, err := w.Secret.Load(string(n.folder))
			if err != nil {
				return nil, err
			}
			address := w.URL
			if w.Format != "" {
				if address, err = w.Address.Load(string(n.folder)); err != nil {
					return nil, err
				}
			}
			*of.to = append(*of.to, deliver.Webhook{Name: w.Name, URL: address, Secret: secret, Format: w.Format})
		}
	}
	d, err := deliver.New(c)
	if err != nil {
		return nil, hinted{err, "mend deliver in " + settingsFile}
	}
	return d, nil
}

// settleStart waits until the resolver works, so that what answers is whole.
func (n *node) settleStart(ctx context.Context) error {
	if err := n.resolver.CaughtUp(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// simulators are the platforms of a folder that `demo` made.
type simulators struct {
	world     *simulator.World
	endpoints simulator.Endpoints
	shops     []shop
}

// withSimulators runs work beside the folder's simulators; with nil if the
// folder has none.
func (n *node) withSimulators(ctx context.Context, work func(context.Context, *simulators) error) error {
	config, err := simulator.Load(string(n.folder))
	if errors.Is(err, fs.ErrNotExist) {
		return work(ctx, nil)
	}
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	// The simulators outlive the work: what it does last may still ask them.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ready := make(chan *simulators, 1)
	group.Go(func() error {
		return simulator.Serve(serving, config, simulator.Listen{}, func(world *simulator.World, endpoints simulator.Endpoints) {
			ready <- &simulators{world: world, endpoints: endpoints}
		})
	})
	group.Go(func() error {
		defer stop()
		select {
		case s := <-ready:
			var err error
			if s.shops, err = simulated(s.endpoints, n.settings.Callbacks.Listen != ""); err != nil {
				return err
			}
			if err := n.folder.writeSimulators(s.endpoints); err != nil {
				return err
			}
			n.simulated = s.world
			err = work(groupCtx, s)
			return errors.Join(err, os.Remove(n.folder.path(simulatorsFile)))
		case <-groupCtx.Done():
			return groupCtx.Err()
		}
	})
	return group.Wait()
}
