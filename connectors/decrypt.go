package connectors

import (
	"context"
	"errors"
)

// A Decrypter is a connector whose platform gives personal fields encrypted and
// opens them call by call, by a quota.
type Decrypter interface {
	Connector
	// Decrypts says what the settings ask for.
	Decrypts() Decryption
	// Decrypt asks the platform, in one call, to open the fields of stored orders,
	// and gives for each record what came of it, in their order. Its error is of
	// the whole call; ErrDecryptQuota says that the day's quota is used up.
	Decrypt(ctx context.Context, orders []Record) ([]Opened, error)
}

// Decryption is what is to be decrypted of a shop's orders.
type Decryption struct {
	// Stream of the orders.
	Stream string
	// Fields are those that are asked for; none means that nothing is decrypted.
	Fields []string
	// PerDay is the most fields in a day of GMT+8; 0 means that nothing is
	// decrypted.
	PerDay int
	// PerCall is how many orders one call may open.
	PerCall int
}

// Opened is what came of one order.
type Opened struct {
	// Record is the order with the fields in clear; its Raw is nil where none was
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
	// OpenedNothing: the order holds no ciphertext of those fields.
	OpenedNothing = "nothing"
	OpenedFailed  = "failed"
)

// ErrDecryptQuota says that the platform decrypts no more today.
var ErrDecryptQuota = errors.New("the platform's quota of decryptions is used up")
