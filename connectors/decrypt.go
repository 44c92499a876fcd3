package connectors

import (
	"context"
	"errors"
)

// A Decrypter is a connector whose platform gives personal fields encrypted and
// opens them call by call, by a quota.
type Decrypter interface {
	Connector
	// Decrypts says what the settings ask for, in the order in which the day's
	// budget is spent; none means that nothing is decrypted.
	Decrypts() []Decryption
	// Decrypt asks the platform, in one call, to open the fields of stored records
	// of one stream, and gives for each what came of it, in their order. Its error
	// is of the whole call; ErrDecryptQuota says that the day's quota is used up.
	Decrypt(ctx context.Context, records []Record) ([]Opened, error)
}

// Decryption is what is to be decrypted of the records of one stream.
type Decryption struct {
	// Stream is that of the orders, or MembershipStream: the calls by which the
	// platform told of members whose phone it gave encrypted.
	Stream string
	// Fields are those that are asked for, at least one.
	Fields []string
	// PerDay is the most fields in a day of GMT+8, of all streams of the shop
	// together.
	PerDay int
	// PerCall is how many records one call may open.
	PerCall int
}

// Opened is what came of one record.
type Opened struct {
	// Record is the one that was given, with the fields in clear; its Raw is nil where none was
	// opened.
	Record Record
	// Outcome is one word for the audit: OpenedAll, OpenedPart, or why not.
	Outcome string
}

// The outcomes for the audit.
const (
	OpenedAll  = "opened"
	OpenedPart = "partly"
	// OpenedVirtual: the platform gave a number that expires and is nobody's.
	OpenedVirtual = "virtual"
	// OpenedNothing: the record holds no ciphertext of those fields, or the platform
	// shows them no more.
	OpenedNothing = "nothing"
	OpenedFailed  = "failed"
)

// ErrDecryptQuota says that the platform decrypts no more today.
var ErrDecryptQuota = errors.New("the platform's quota of decryptions is used up")
