// Package tokens keeps the platforms' tokens, sealed, for all processes of a
// brand: in the data folder, or, where several machines share a configured
// Kafka, in the topic of the cursors.
//
// Of all processes one at a time renews a shop's token, and what the platform
// gave is kept before anybody uses it. A process that is killed in between
// leaves the old token; whether the platform takes it a second time is the
// platform's to say, and if it does not, the shop wants a new consent.
package tokens

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oneid/connectors"
	"oneid/internal/fault"
)

// Keys seal and open what is kept.
type Keys interface {
	Seal(to, plain, context []byte) []byte
	Open(to, sealed, context []byte) ([]byte, error)
}

// A Keeping holds the tokens of a brand's shops.
type Keeping interface {
	// Of is where a shop's token is kept.
	Of(platform, shop string) connectors.TokenStore
}

// The points at which a renewal can be killed: before the platform is asked,
// when it has answered and nothing is kept, and when the token is kept.
var (
	claimed = fault.New("tokens/claimed")
	granted = fault.New("tokens/granted")
	kept    = fault.New("tokens/kept")
)

// keepTakes bounds how long it is tried to keep a token that a platform gave,
// and keepPause is the pause between two tries.
const (
	keepTakes = 30 * time.Second
	keepPause = 200 * time.Millisecond
)

// renew asks for a token in place of newest and keeps it with write if it is
// another one. What was given is kept although the caller gives up.
func renew(ctx context.Context, newest connectors.Token, ask func(context.Context, connectors.Token) (connectors.Token, error), write func(context.Context, connectors.Token) error) (connectors.Token, error) {
	if err := claimed.Hit(); err != nil {
		return newest, err
	}
	next, err := ask(ctx, newest)
	if err != nil {
		return next, err
	}
	if next.Access == newest.Access && next.Refresh == newest.Refresh && next.Obtained.Equal(newest.Obtained) && next.Settings == newest.Settings {
		return next, nil
	}
	if err := granted.Hit(); err != nil {
		return newest, err
	}
	keeping, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTakes)
	defer cancel()
	for {
		if err = write(keeping, next); err == nil {
			return next, kept.Hit()
		}
		select {
		case <-keeping.Done():
			return newest, fmt.Errorf("tokens: keep a new token: %w", err)
		case <-time.After(keepPause):
		}
	}
}

// seal is a token as it is kept.
func seal(keys Keys, platform, shop string, token connectors.Token) ([]byte, error) {
	plain, err := json.Marshal(token)
	if err != nil {
		return nil, err
	}
	return keys.Seal(nil, plain, about(platform, shop)), nil
}

// open is the inverse of seal.
func open(keys Keys, platform, shop string, sealed []byte) (connectors.Token, error) {
	var token connectors.Token
	plain, err := keys.Open(nil, sealed, about(platform, shop))
	if err == nil && json.Unmarshal(plain, &token) != nil {
		err = errors.New("it holds no token")
	}
	if err != nil {
		return connectors.Token{}, &DamagedError{platform, shop, err}
	}
	return token, nil
}

// about binds a sealed token to its shop.
func about(platform, shop string) []byte { return []byte("token|" + platform + "/" + shop) }

// DamagedError says that a token is kept and cannot be opened.
type DamagedError struct {
	Platform, Shop string
	Err            error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("tokens: open the token of %s/%s: %v", e.Platform, e.Shop, e.Err)
}

// Unwrap gives the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Code names the kind of error.
func (e *DamagedError) Code() string { return "token_damaged" }

// Hint says what to do.
func (e *DamagedError) Hint() string {
	return fmt.Sprintf("put the key ring back that sealed it, or get a new token: `oneid connect %s --shop %s`", e.Platform, e.Shop)
}
