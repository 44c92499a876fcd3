package main

import (
	"context"
	"net/http"
	"time"

	"oneid/connectors"
	"oneid/identity"
	"oneid/identity/extract"
	"oneid/internal/customer/profile"
	"oneid/pipelines"
	"oneid/pipelines/membership"
)

// answerMemberships answers the calls of platforms about members at
// /spi/PLATFORM/SHOP, and, where the console wants an address for each call, at
// /spi/PLATFORM/SHOP/CALL.
func (n *node) answerMemberships(mux *http.ServeMux, shops []shop) error {
	points, err := n.points()
	if err != nil {
		return err
	}
	mixKey, err := n.settings.Identity.MixKey.Load(string(n.folder))
	if err != nil {
		return err
	}
	kinds := []string{string(membership.Unknown)}
	for _, kind := range connectors.MembershipKinds {
		kinds = append(kinds, string(kind))
	}
	var outcomes []string
	for _, outcome := range connectors.MembershipOutcomes {
		outcomes = append(outcomes, string(outcome))
	}
	register, count := n.metrics.Memberships(kinds, outcomes)
	service := &membership.Service{
		Known:     knownMembers{n, &profile.State{Engine: n.engine, Values: n.store}, profile.NewStored(n.clickhouse)},
		Publisher: n.publisher, Topics: n.topics, Keys: n.keys, Points: points, Log: n.log,
		Extract: &extract.Extractor{Rules: n.rules, MixMobileKey: mixKey, Hash: func(kind identity.IdentifierType, scope, value string) identity.Hash {
			return n.keys.Hash(string(kind), scope, value)
		}},
		Count: func(platform, shop string, kind connectors.MembershipKind, outcome connectors.MembershipOutcome, took time.Duration) {
			count(platform, shop, string(kind), string(outcome), took)
		},
	}
	handlers := make(map[string]http.Handler)
	for _, s := range shops {
		if spi, ok := s.connector.(membership.SPI); ok {
			register(s.platform, s.name)
			handlers[s.platform+"/"+s.name] = service.Shop(s.platform, s.name, spi)
		}
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		handler, ok := handlers[r.PathValue("platform")+"/"+r.PathValue("shop")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}
	mux.HandleFunc("/spi/{platform}/{shop}", answer)
	mux.HandleFunc("/spi/{platform}/{shop}/{call}", answer)
	return nil
}

// points are what the settings say of points and levels.
func (i *instance) points() (membership.Points, error) {
	m := i.settings.Membership
	if m.Source == "" {
		return membership.Constant(membership.Standing{Points: int64(m.Points), Level: m.Level}), nil
	}
	secret, err := m.Secret.Load(string(i.folder))
	if err != nil {
		return nil, err
	}
	points, err := membership.Source(membership.SourceConfig{URL: m.Source, Secret: secret, Timeout: time.Duration(m.Timeout)})
	if err != nil {
		return nil, hinted{err, "mend membership in " + settingsFile}
	}
	return points, nil
}

// knownMembers is the state while the resolver of this process keeps it up to
// date, as the active one or as a standby, and ClickHouse else.
type knownMembers struct {
	node   *node
	state  *profile.State
	stored *profile.Stored
}

func (k knownMembers) source() profile.Identity {
	if state, _, _ := k.node.resolver.Health(); state == pipelines.Working || state == pipelines.Standby {
		return k.state
	}
	return k.stored
}

// FindIdentifier implements membership.Known.
func (k knownMembers) FindIdentifier(ctx context.Context, id identity.Identifier) ([]identity.Account, error) {
	return k.source().FindIdentifier(ctx, id)
}

// CustomerOf implements membership.Known.
func (k knownMembers) CustomerOf(ctx context.Context, account identity.Account) (identity.CustomerID, bool, error) {
	return k.source().CustomerOf(ctx, account)
}

// Evidence implements membership.Known.
func (k knownMembers) Evidence(ctx context.Context, accounts []identity.Account) ([]identity.Evidence, error) {
	return k.source().Evidence(ctx, accounts)
}
