package connectors

import (
	"context"
	"errors"
	"net/http"
)

// A Push is a request by which a platform tells of changes, as it came.
type Push struct {
	Header http.Header
	Body   []byte
	// Key is what the address ended with, behind the shop; may be empty.
	Key string
}

// A Message is one thing that a platform tells by itself: an entity has
// changed. It is a hint and no more: what changed is read from the platform.
type Message struct {
	// Shop is the one that it is about; that need not be the one whose address
	// it came to, since an app has one address for all its shops. Empty if the
	// message does not say.
	Shop string
	// Type is the platform's own name of what happened.
	Type string
	// Stream and ID name the entity to be read; both are empty when the
	// message is about nothing that OneID reads.
	Stream, ID string
	// Raw is the message as the platform wrote it.
	Raw []byte
	// Err says why the message cannot be understood, without a value of it;
	// nil for one that can.
	Err error
}

// An Answer is what a platform wants to be told about its push.
type Answer struct {
	Status int
	// Body is JSON.
	Body string
}

// ErrRefused says that a push is not signed as the platform signs, or not at all.
var ErrRefused = errors.New("the push is not signed by the platform")

// A Fetcher reads one entity by its number, as Read gives it: Map makes the
// same events of it. The page is empty when the platform does not show the
// entity (yet), and reading the stream brings it.
type Fetcher interface {
	Connector
	Fetch(ctx context.Context, stream, id string) (Page, error)
}

// Pushed is a connector whose platform posts messages to an address. Open and
// Answer touch nothing.
type Pushed interface {
	Fetcher
	// Open checks who a push is from (ErrRefused) and reads its messages.
	Open(p Push) ([]Message, error)
	// Answer is what the platform is to be told: nil when its messages are
	// safe, ErrRefused when they are not its own, and any other error when it
	// is to send them again.
	Answer(err error) Answer
}

// Aging is a connector whose platform tells of entities that it does not list
// any more.
type Aging interface {
	Fetcher
	// StillListed says whether Read is sure to bring the entity of a stream that a
	// message of a type is about, as soon as the stream can be read. What is not
	// sure to come is kept while it cannot be fetched, or nothing of it is shown.
	StillListed(stream, messageType string) bool
}

// Listening is a connector whose platform sends messages over a connection
// that the connector opens. Listen takes them until ctx ends, and returns nil
// then, or with the first error that no repetition cures; a message is
// confirmed to the platform only when take returned nil.
type Listening interface {
	Fetcher
	// Listens says whether the settings ask for it.
	Listens() bool
	Listen(ctx context.Context, take func(context.Context, []Message) error) error
}
