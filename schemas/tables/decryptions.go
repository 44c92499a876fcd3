package tables

import (
	"time"

	"github.com/google/uuid"
)

// Decryption is one order that a platform was asked to decrypt fields of, or, with
// no OrderID, a member whose phone it was asked for.
type Decryption struct {
	ID                      uuid.UUID
	At                      time.Time
	Who                     string
	Platform, Shop, OrderID string
	Account                 string
	// Fields are named, with commas between; Texts is how many they are.
	Fields string
	Texts  uint32
	// Outcome is "asked" before the call, Stage 0; what came of it has Stage 1.
	Outcome string
	Stage   uint8
}

// Decryptions fills the table decryptions.
type Decryptions struct {
	columns
	id                            *[]uuid.UUID
	at                            *[]time.Time
	who, platform, shop, order    *Texts
	account, fieldNames, outcomes *Texts
	texts                         *[]uint32
	stage                         *[]uint8
}

// NewDecryptions makes an empty block.
func NewDecryptions() *Decryptions {
	d := new(Decryptions)
	c := &d.columns
	d.id, d.at, d.who = slice[uuid.UUID](c, "id"), slice[time.Time](c, "at"), texts(c, "who")
	d.platform, d.shop, d.order = texts(c, "platform"), texts(c, "shop"), texts(c, "order_id")
	d.account, d.fieldNames, d.texts = texts(c, "account"), texts(c, "fields"), slice[uint32](c, "texts")
	d.outcomes, d.stage = texts(c, "outcome"), slice[uint8](c, "stage")
	return d
}

// Table implements Block.
func (*Decryptions) Table() string { return "decryptions" }

// Append adds one.
func (d *Decryptions) Append(one Decryption) {
	d.rows++
	add(d.id, one.ID)
	add(d.at, one.At.UTC())
	d.who.add(one.Who)
	d.platform.add(one.Platform)
	d.shop.add(one.Shop)
	d.order.add(one.OrderID)
	d.account.add(one.Account)
	d.fieldNames.add(one.Fields)
	add(d.texts, one.Texts)
	d.outcomes.add(one.Outcome)
	add(d.stage, one.Stage)
}
