package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors"
	"oneid/connectors/simulator"
	"oneid/identity"
	"oneid/identity/engine"
	"oneid/identity/extract"
	"oneid/internal/clickhouse"
	"oneid/internal/customer/profile"
	"oneid/internal/embedded/chdb"
	"oneid/internal/httpclient"
	"oneid/internal/kafka"
	"oneid/internal/state"
	"oneid/internal/telemetry"
	"oneid/pipelines"
	"oneid/pipelines/alert"
	"oneid/pipelines/deadletter"
	"oneid/pipelines/keys"
	"oneid/pipelines/pull"
	"oneid/pipelines/resolve"
	"oneid/pipelines/runs"
	"oneid/pipelines/tokens"
	"oneid/schemas/tables"
)

// node is an instance that moves data: it can publish, and, when it owns its
// folder, resolve.
type node struct {
	*instance
	publisher *kafka.Publisher
	cursors   *pull.Cursors
	drifts    *pull.Drifts
	shops     sync.Map // platform/shop → *pull.Shop
	limits    *httpclient.Limits
	tokens    tokens.Keeping

	// With a resolver in this process; nil beside an owner.
	store    *state.Store
	engine   *engine.Engine
	resolver *resolve.Resolver
	rules    *identity.Rules
	buyers   *profile.Buyers // nil without look-ups
	metrics  *telemetry.Metrics
	pulls    *telemetry.Pulls
	// differ notes how many entities of a stream differ from what its platform lists.
	differ func(platform, shop, stream string, entities uint64)
	// memory is what the state takes, against resolve.memory_mib.
	memory stateMemory

	// alerts tells people what needs them; nil but in `up` and `sync`.
	alerts *alert.Alerts
	// failing is since when a stream fails: platform/shop/stream → time.Time.
	failing sync.Map
	// lacked holds the streams, platform/shop/stream, whose last reading here lacked something.
	lacked sync.Map
	// locks and history are those of the pipelines' jobs.
	locks   locks
	history *runs.Recorder
	// comparing is read-locked while a pipeline of this process reconciles.
	comparing sync.RWMutex
	// finished, if set, is told of each run that has ended.
	finished func(tables.Run)

	// simulated is the world of the folder's simulators; nil without them.
	simulated *simulator.World

	// letters keeps the view of dead letters; nil beside an owner.
	letters *deadletter.Recorder
}

// openNode opens an instance with Kafka and ClickHouse and what moves data
// between them. Tables and views are brought up to date.
func openNode(ctx context.Context, f folder, n need, show *progress) (_ *node, err error) {
	node, err := openMover(ctx, f, n, show)
	if err != nil {
		return nil, err
	}
	if node.owner {
		err := node.openResolver(n.lookups)
		if err == nil {
			err = node.tellRules(ctx)
		}
		if err == nil {
			node.letters = node.recorder()
			node.letters.Seen = node.metrics.Letters([]string{deadletter.StateOpen, deadletter.StateReplayed, deadletter.StateDropped})
		}
		if err != nil {
			return nil, errors.Join(err, node.close())
		}
	}
	return node, nil
}

// openMover is openNode without the resolver.
func openMover(ctx context.Context, f folder, n need, show *progress) (_ *node, err error) {
	n.kafka, n.clickhouse = true, true
	i, err := open(ctx, f, n, show)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, i.close())
		}
	}()
	if i.owner {
		if err := f.cleanBackups(); err != nil {
			return nil, err
		}
		if _, err := i.clickhouse.Migrate(ctx); err != nil {
			return nil, err
		}
	}
	node := &node{instance: i, publisher: i.kafka.Publisher(), metrics: telemetry.NewMetrics(version())}
	node.pulls, node.differ = node.metrics.Pulls(), node.metrics.Reconciled()
	i.closers = append(i.closers, node.publisher.Close, node.closeLocks)
	if err := keys.Claim(ctx, i.kafka, node.publisher, i.topics.Cursors, i.keys.Marks()); err != nil {
		return nil, err
	}
	if node.cursors, err = pull.OpenCursors(ctx, i.kafka, node.publisher, i.topics.Cursors); err != nil {
		return nil, err
	}
	if node.drifts, err = pull.OpenDrifts(ctx, i.kafka, node.publisher, i.topics.Cursors); err != nil {
		return nil, err
	}
	if err := node.openLimits(ctx); err != nil {
		return nil, err
	}
	if node.tokens, err = i.tokenKeeping(ctx, node.publisher); err != nil {
		return nil, err
	}
	if node.rules, err = i.identityRules(); err != nil {
		return nil, err
	}
	return node, nil
}

// identityRules are the rules of the settings, or those that ship. It reads the
// models that rules may use, too.
func (i *instance) identityRules() (*identity.Rules, error) {
	var err error
	if i.scorers, err = modelsOf(i.folder, i.settings); err != nil {
		return nil, err
	}
	source := identity.DefaultRulesYAML()
	if path := i.settings.Identity.RulesFile; path != "" {
		data, err := os.ReadFile(i.folder.resolve(path))
		if err != nil {
			return nil, fmt.Errorf("read the identity rules: %w", err)
		}
		source = data
	}
	rules, err := identity.ParseRules(source)
	if err != nil {
		return nil, fmt.Errorf("the identity rules: %w", err)
	}
	if _, err := i.scorers.Of(rules); err != nil {
		return nil, fmt.Errorf("the identity rules: %w", err)
	}
	return rules, nil
}

// tellRules tells, by a decision, the rules of a state that began with others than
// the settings or this version name now, where none were adopted. Nobody else knows
// them: a plan, a rebuild or a report would take those of the settings for them. An
// adoption that this state has not taken yet goes before them.
func (n *node) tellRules(ctx context.Context) error {
	given, inForce := n.engine.Rules()
	if n.rules.Alike(given) || given != inForce {
		return nil
	}
	_, _, err := n.decisions().Began(ctx, given, "oneid", "the rules that this instance began with; its settings or its version name others now")
	return err
}

func (n *node) openResolver(lookups bool) error {
	mixKey, err := n.settings.Identity.MixKey.Load(n.folder.start(n.settings.Identity.MixKey.File))
	if err != nil {
		return err
	}
	if err := n.folder.finishRebuild(); err != nil {
		return err
	}
	if n.store, err = state.Open(n.folder.path("state")); err != nil {
		return err
	}
	n.closers = append(n.closers, n.closeState)
	if n.engine, err = engine.New(n.store, n.rules, engine.Models(n.scorers)); err != nil {
		return err
	}
	if given, inForce := n.engine.Rules(); !n.rules.Alike(given) && !n.rules.Alike(inForce) {
		n.log.Warn("the rules of identity in the settings are not in force: an instance that has begun keeps its own until others are adopted; see `oneid identity plan --help`", "identity.rules_file", n.settings.Identity.RulesFile)
	}
	hash := func(kind identity.IdentifierType, scope, value string) identity.Hash {
		return n.keys.Hash(string(kind), scope, value)
	}
	tracing, err := telemetry.NewTracing(context.Background(), version(), n.log) // it lives as long as the node
	if err != nil {
		return hinted{err, "mend the variable, or unset OTEL_EXPORTER_OTLP_ENDPOINT: then nothing is traced"}
	}
	n.closers = append(n.closers, func() error {
		ending, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return tracing.Close(ending)
	})
	blocks := resolve.NewBlocks(n.clickhouse, clickhouse.IsUnavailable)
	blocks.Restored = func(table string, rows int) {
		n.log.Warn("ClickHouse had lost rows of an insert in which it was killed; they are there again", "table", table, "rows", rows)
	}
	resolved := &resolve.Identity{Engine: n.engine, Values: n.store, Keys: n.keys, Extract: &extract.Extractor{Hash: hash, Rules: n.rules, MixMobileKey: mixKey}}
	resolved.Inert = func(identifiers, bridges, keys int) {
		if identifiers > 0 {
			n.log.Warn("identifiers join nobody any more: they bear more accounts than their type may, or made a customer larger than largest_customer; what they joined has come apart; `oneid identity report` lists those with most accounts and counts the others with the conflicts", "identifiers", identifiers)
		}
		if bridges > 0 {
			n.log.Warn("accounts bear more values of a type than one may, as who orders for others: none of these joins them to anybody any more; `oneid identity report` lists those with most", "accounts", bridges)
		}
		if keys > 0 {
			n.log.Warn("too many accounts have receivers that look alike: what these joined has come apart; see model.block in the rules of identity", "keys", keys)
		}
	}
	if lookups {
		n.buyers = profile.NewBuyers(n.engine, int64(n.settings.Resolve.MemoryMiB)<<20/8)
		resolved.Seen = n.buyers.See
	}
	n.resolver = &resolve.Resolver{
		Tracer: tracing.Tracer(resolve.TracerName),
		Brand:  n.settings.Brand, Kafka: n.kafka, Publisher: n.publisher, Topics: n.topics, Keys: n.keys, Log: n.log,
		Work: &resolve.Instance{
			Identity: resolved,
			Tables:   blocks,
		},
		BatchEvents: n.settings.Resolve.BatchEvents, BatchWait: time.Duration(n.settings.Resolve.BatchWait), Counters: resolve.Counters(n.metrics.Flow(resolve.Stages)),
		Memory: int64(n.settings.Resolve.MemoryMiB) << 20 * 3 / 8,
	}
	n.measure()
	return nil
}

// closeState lets the state go, once.
func (n *node) closeState() error {
	if n.store == nil {
		return nil
	}
	store := n.store
	n.store = nil
	return store.Close()
}

// measure exports what the resolver counts, and how it is.
func (n *node) measure() {
	states := []pipelines.State{pipelines.Working, pipelines.Waiting, pipelines.Standby}
	names := make([]string, len(states))
	for i, state := range states {
		names[i] = string(state)
	}
	n.metrics.WatchResolver(names, func() telemetry.Resolver {
		state, _, _ := n.resolver.Health()
		size := n.engine.Size()
		return telemetry.Resolver{
			State: string(state), HeldBytes: n.resolver.Held(), OverBudget: n.memory.over.Load(),
			Accounts: size.Accounts, Identifiers: size.Identifiers, Sightings: size.Sightings, Decisions: size.Decisions,
			StateMemoryBytes: n.memory.bytes.Load(), StateDiskBytes: n.store.DiskBytes(),
		}
	}, func(ctx context.Context) ([]telemetry.Lag, error) {
		lags, err := n.resolver.Lag(ctx)
		out := make([]telemetry.Lag, len(lags))
		for i, l := range lags {
			out[i] = telemetry.Lag(l)
		}
		return out, err
	})
	if n.engineServer != nil {
		n.metrics.Engine(func() bool { return n.engineServer.State() == chdb.Ready })
	}
}

// puller pulls one stream.
func (n *node) puller(c connectors.Connector, platform, shop, stream string) *pull.Puller {
	of, ended := n.pulls.Of(platform, shop, stream), n.ended(platform, shop, stream)
	n.share(c, platform, shop)
	shared, _ := n.shops.LoadOrStore(platform+"/"+shop, n.sharedShop(platform, shop))
	return &pull.Puller{
		Connector: c, Platform: platform, Shop: shop, Stream: stream, SharedShop: shared.(*pull.Shop),
		Publisher: n.publisher, Topics: n.topics, Keys: n.keys, Cursors: n.cursors, Drifts: n.drifts, Log: n.log,
		Count: func(sum pull.Summary) {
			of.Pages(sum.Pages)
			of.Records(sum.Records)
			of.Events(sum.Events)
			of.DeadLetters(sum.DeadLetters)
			of.Drift(sum.Drift)
		},
		Ended: func(err error) {
			n.alertStream(c, platform, shop, stream, err)
			n.alertMissing(c, platform, shop, stream)
			ended(err)
		},
	}
}

// ended notes what a reading of a stream, live or of the past, has seen and how it
// ended. It raises no alert of the stream: how a backfill ends says nothing of the
// live reading.
func (n *node) ended(platform, shop, stream string) func(error) {
	of := n.pulls.Of(platform, shop, stream)
	return func(err error) {
		differ := n.drifts.Open(platform + "/" + shop + "/" + stream)
		of.Differ(len(differ))
		n.alertDrift(platform, shop, stream, differ)
		if err != nil {
			of.Errors(1)
			return
		}
		of.Succeeded()
	}
}

// settle waits until all that was published by now is in ClickHouse and in
// the views: resolved here, or by whoever resolves. It ends with errNoResolver where
// nobody does.
func (n *node) settle(ctx context.Context) error {
	if n.resolver != nil {
		return errors.Join(n.resolver.CaughtUp(ctx), n.settleLetters(ctx))
	}
	topics := n.topics.Resolved()
	want := make(kafka.Position)
	for _, topic := range topics {
		_, next, err := n.kafka.Ends(ctx, topic)
		if err != nil {
			return err
		}
		want[topic] = next
	}
	err := untilTaken(ctx, n.log, want, func() (kafka.Position, error) {
		return n.kafka.Committed(ctx, pipelines.ResolverGroup(n.settings.Brand), topics)
	})
	if err != nil {
		return err
	}
	return errors.Join(n.clickhouse.RefreshViews(ctx), n.settleLetters(ctx))
}

// leaveResolving keeps the resolver of this process from taking over where
// servers are configured: another process resolves there.
func (n *node) leaveResolving() {
	if len(n.settings.Kafka.Brokers) > 0 {
		n.resolver, n.letters = nil, nil
	}
}

// settleLetters waits until all dead letters of by now are in their view:
// recorded here, or by whoever does.
func (n *node) settleLetters(ctx context.Context) error {
	if n.letters != nil {
		return n.letters.CaughtUp(ctx)
	}
	topic := n.topics.DeadLetter
	_, next, err := n.kafka.Ends(ctx, topic)
	if err != nil {
		return err
	}
	return untilTaken(ctx, n.log, kafka.Position{topic: next}, func() (kafka.Position, error) {
		return n.kafka.Committed(ctx, pipelines.LettersGroup(n.settings.Brand), []string{topic})
	})
}

func reached(have, want kafka.Position) bool {
	for topic, offsets := range want {
		for partition, offset := range offsets {
			if have[topic][partition] < offset {
				return false
			}
		}
	}
	return true
}

// keepPace lets customer_360 rest for as long as suits what making it costs.
// While ClickHouse is away the rest stays as it is.
func (n *node) keepPace(ctx context.Context) {
	for ctx.Err() == nil {
		if err := n.clickhouse.KeepPace(ctx, n.resolver.Active, n.resolver.Behind); err != nil && ctx.Err() == nil {
			n.log.Debug("the pace of customer_360 could not be set; it is tried again", "error", err)
			_ = pipelines.Sleep(ctx, time.Minute) // cut short by the end alone
		}
	}
}

// timeMerges lets merges wait while events do.
func (n *node) timeMerges(ctx context.Context) {
	for ctx.Err() == nil {
		if err := n.clickhouse.TimeMerges(ctx, n.resolver.Active, n.resolver.Behind); err != nil {
			n.log.Debug("when tables are merged could not be set; it is tried again", "error", err)
			_ = pipelines.Sleep(ctx, time.Minute) // cut short by the end alone
		}
	}
}

// resolving runs the resolver and the recorder of dead letters, as far as they
// are in this process, while work runs, and stops them then.
func (n *node) resolving(ctx context.Context, work func(ctx context.Context) error) error {
	if n.resolver == nil && n.letters == nil {
		return work(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopped := make(chan error, 1)
	resolving, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watching sync.WaitGroup
	if n.resolver != nil {
		watching.Go(func() { n.watchMemory(resolving) })
		watching.Go(func() { n.keepPace(resolving) })
		watching.Go(func() { n.timeMerges(resolving) })
	}
	defer watching.Wait()
	defer stop()
	go func() {
		group, resolving := errgroup.WithContext(resolving)
		if n.resolver != nil {
			group.Go(func() error { return n.resolver.Run(resolving) })
		}
		if n.letters != nil {
			group.Go(func() error { return n.letters.Run(resolving) })
		}
		err := group.Wait()
		if err != nil {
			cancel(err)
		}
		stopped <- err
	}()
	err := work(ctx)
	stop()
	if failed := <-stopped; failed != nil {
		return failed
	}
	return err
}
