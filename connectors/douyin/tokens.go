package douyin

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"oneid/connectors"
)

// TokenStore keeps a shop's tokens beyond the process. What it is given is
// secret: seal it. Both methods may be called concurrently for different
// shops, never for one.
type TokenStore interface {
	// Load gives what Save was last given for the shop; nil when there is
	// nothing.
	Load(ctx context.Context, shop string) ([]byte, error)
	Save(ctx context.Context, shop string, tokens []byte) error
}

// renewBefore is how long before its end a token is refreshed. It lies within
// the last hour, in which a refresh gives a new pair while the old one goes on
// working for an hour; before that hour a refresh changes nothing.
const renewBefore = 40 * time.Minute

// pair is an access token and what renews it.
type pair struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Expires time.Time `json:"expires"`
}

// tokens holds a shop's token and renews it, one renewal at a time.
type tokens struct {
	// grant calls token.create or token.refresh.
	grant func(ctx context.Context, method string, params any) (pair, error)
	now   func() time.Time
	shop  string
	store TokenStore

	// renewing holds one element while somebody renews: a lock that a
	// context can give up on.
	renewing chan struct{}
	// loaded says that the store was asked; guarded by renewing.
	loaded bool

	mu      sync.Mutex
	current pair // guarded by mu
}

// access is the present token, which may have expired; "" before the first.
func (t *tokens) access() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current.Access
}

// fresh gives the present token if it need not be renewed yet.
func (t *tokens) fresh(margin time.Duration) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.current.Access, t.current.Access != "" && t.now().Add(margin).Before(t.current.Expires)
}

// valid gives a token that is good for a while, creating or refreshing it
// when needed.
func (t *tokens) valid(ctx context.Context) (string, error) {
	if access, ok := t.fresh(renewBefore); ok {
		return access, nil
	}
	if err := t.lock(ctx); err != nil {
		return "", err
	}
	defer t.unlock()
	if !t.loaded {
		if err := t.load(ctx); err != nil {
			return "", err
		}
	}
	if access, ok := t.fresh(renewBefore); ok {
		return access, nil
	}
	err := t.renewLocked(ctx)
	if err == nil {
		return t.access(), nil
	}
	if access, ok := t.fresh(0); ok && ctx.Err() == nil {
		// It could not be refreshed ahead of time, but it still works.
		return access, nil
	}
	return "", err
}

// replace renews the token that a call used and found refused; when somebody
// else has renewed it since, there is nothing to do.
func (t *tokens) replace(ctx context.Context, used string) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer t.unlock()
	if t.access() != used {
		return nil
	}
	return t.renewLocked(ctx)
}

func (t *tokens) lock(ctx context.Context) error {
	select {
	case t.renewing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (t *tokens) unlock() { <-t.renewing }

// renewLocked refreshes the pair, or creates one where there is none or the
// platform no longer takes its refresh token. The caller holds the lock.
func (t *tokens) renewLocked(ctx context.Context) error {
	t.mu.Lock()
	old := t.current
	t.mu.Unlock()
	var next pair
	var err error
	refreshed := false
	if old.Refresh != "" {
		next, err = t.grant(ctx, "token.refresh", map[string]any{"grant_type": "refresh_token", "refresh_token": old.Refresh})
		if err != nil && (ctx.Err() != nil || connectors.ClassOf(err) < connectors.Refresh) {
			return err
		}
		refreshed = err == nil
	}
	if !refreshed {
		next, err = t.grant(ctx, "token.create", map[string]any{"code": "", "grant_type": "authorization_self", "shop_id": t.shop})
		if err != nil {
			return err
		}
	}
	if next.Access == "" {
		return errors.New("the platform answered with no access token")
	}
	if next.Refresh == "" {
		next.Refresh = old.Refresh
	}
	t.mu.Lock()
	t.current = next
	t.mu.Unlock()
	return t.save(ctx, next)
}

// load takes what was kept by an earlier process. What cannot be read is as
// good as nothing: the platform gives the same tokens again.
func (t *tokens) load(ctx context.Context) error {
	t.loaded = true
	if t.store == nil {
		return nil
	}
	kept, err := t.store.Load(ctx, t.shop)
	if err != nil {
		t.loaded = false
		return err
	}
	var p pair
	if json.Unmarshal(kept, &p) != nil || p.Access == "" {
		return nil
	}
	t.mu.Lock()
	t.current = p
	t.mu.Unlock()
	return nil
}

func (t *tokens) save(ctx context.Context, p pair) error {
	if t.store == nil {
		return nil
	}
	kept, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return t.store.Save(ctx, t.shop, kept)
}

// grantAnswer is the data of token.create and token.refresh.
type grantAnswer struct {
	AccessToken  text  `json:"access_token"`
	RefreshToken text  `json:"refresh_token"`
	ExpiresIn    whole `json:"expires_in"`
}

// pair reads the answer at the platform's present. expires_in is seconds left,
// though one page calls it a timestamp: what is large enough is taken for one.
func (a grantAnswer) pair(now time.Time) pair {
	const instant = 1_000_000_000
	expires := now.Add(time.Duration(min(int64(a.ExpiresIn), instant)) * time.Second)
	if a.ExpiresIn >= instant {
		expires = time.Unix(int64(a.ExpiresIn), 0)
	}
	return pair{Access: string(a.AccessToken), Refresh: string(a.RefreshToken), Expires: expires.UTC()}
}
