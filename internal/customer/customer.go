// Package customer holds what the service desk sees of a customer, the
// profile, as plain values. internal/customer/profile reads it; the look-up
// API and the command line show it.
package customer

import (
	"errors"
	"time"
)

// Profile is a customer in two halves: who it is, and what happened.
type Profile struct {
	Who
	History
}

// Who says who a customer is.
type Who struct {
	CustomerID string `json:"customer_id" doc:"The stable id of the customer."`
	// RedirectedFrom is the id that was asked for, if that customer has been
	// merged into this one since.
	RedirectedFrom string `json:"redirected_from,omitempty" doc:"The id that was asked for, when it was merged into this customer."`
	// Others are further customers that were seen with the key that was asked
	// for, as with a family's phone.
	Others      []string     `json:"others,omitempty" doc:"Other customers that were seen with the same key."`
	Identified  bool         `json:"identified" doc:"False for a customer made only of orders whose buyer the source does not name."`
	Accounts    []Account    `json:"accounts" doc:"The accounts of the customer, on all platforms."`
	Identifiers []Identifier `json:"identifiers" doc:"The identifiers seen with those accounts, masked."`
	Memberships []string     `json:"memberships" doc:"Shops (platform/shop) whose member the customer is."`
	Reasons     []Reason     `json:"reasons" doc:"Why the accounts are one customer."`
}

// Account is one account of a customer.
type Account struct {
	Account  string `json:"account" doc:"platform/shop/id."`
	Platform string `json:"platform"`
	Shop     string `json:"shop"`
}

// Identifier is an identifier as the service desk may see it.
type Identifier struct {
	Type     string   `json:"type"`
	Masked   string   `json:"masked" doc:"The value with its middle hidden."`
	Roles    []string `json:"roles" doc:"How it was seen: member, buyer, receiver, agent."`
	Accounts []string `json:"accounts" doc:"The customer's accounts that were seen with it."`
}

// Reason is a link between two accounts: they share an identifier, the model
// finds them alike, or a person said that they are the same.
type Reason struct {
	From   string `json:"from" doc:"Account."`
	To     string `json:"to" doc:"Account."`
	Rule   string `json:"rule" doc:"The identifier's type, model, or decision."`
	Masked string `json:"masked,omitempty" doc:"The shared identifier, with its middle hidden."`
	// Bits are above 0 for a link of the model.
	Bits  float64 `json:"bits,omitempty" doc:"How much speaks for one person where the model finds them alike, in bits."`
	Parts string  `json:"parts,omitempty" doc:"What does, part by part; no value is in it."`
}

// History says what happened: totals, last orders, open tickets.
type History struct {
	Totals      []Totals `json:"totals" doc:"One entry for each currency."`
	LastOrders  []Order  `json:"last_orders" doc:"The last ten orders, newest first."`
	OpenTickets []Ticket `json:"open_tickets" doc:"Tickets that are open or pending, newest first."`
	// Tickets counts all tickets, closed ones too.
	Tickets uint64 `json:"tickets"`
}

// Totals of one currency. Amounts are decimal texts in the major unit.
type Totals struct {
	Currency       string     `json:"currency"`
	Orders         uint64     `json:"orders" doc:"Orders that were paid."`
	PaidAmount     string     `json:"paid_amount" example:"108.00"`
	RefundedAmount string     `json:"refunded_amount" example:"0.00"`
	NetAmount      string     `json:"net_amount" example:"108.00"`
	FirstOrderAt   *time.Time `json:"first_order_at,omitempty"`
	LastOrderAt    *time.Time `json:"last_order_at,omitempty"`
}

// Order is one order of a customer.
type Order struct {
	Account        string     `json:"account"`
	OrderID        string     `json:"order_id"`
	Status         string     `json:"status"`
	PlatformStatus string     `json:"platform_status"`
	CreatedAt      time.Time  `json:"created_at"`
	PaidAt         *time.Time `json:"paid_at,omitempty"`
	PaidAmount     string     `json:"paid_amount" example:"108.00"`
	RefundedAmount string     `json:"refunded_amount" example:"0.00"`
	Currency       string     `json:"currency"`
}

// Ticket is one service ticket of a customer.
type Ticket struct {
	Account   string    `json:"account"`
	TicketID  string    `json:"ticket_id"`
	Kind      string    `json:"kind"`
	Status    string    `json:"status"`
	Subject   string    `json:"subject"`
	OrderID   string    `json:"order_id,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// The fields below are there as far as the ticket's source says them.
	Channel       string     `json:"channel,omitempty" doc:"The way on which it came, such as call, wechat or refund."`
	Priority      string     `json:"priority,omitempty" doc:"In the source's words."`
	FirstAnswerAt *time.Time `json:"first_answer_at,omitempty" doc:"When staff first answered."`
	SolvedAt      *time.Time `json:"solved_at,omitempty"`
	Agent         string     `json:"agent,omitempty" doc:"Who of the staff handles it."`
	Satisfaction  int        `json:"satisfaction,omitempty" doc:"Rating by the buyer from 1 (worst) to 5."`
}

// Key is what a customer is looked up by: exactly one field is set.
type Key struct {
	Phone      string `json:"phone,omitempty" doc:"A phone number, in any usual writing."`
	UnionID    string `json:"unionid,omitempty" doc:"WeChat unionid."`
	MemberCard string `json:"member_card,omitempty" doc:"The brand's member number."`
	Order      string `json:"order,omitempty" doc:"platform/shop/number of an order."`
	Account    string `json:"account,omitempty" doc:"platform/shop/id of an account."`
	Customer   string `json:"customer,omitempty" doc:"customer_id; one that was merged away leads to the living one."`
}

// The errors of finding a customer.
var (
	ErrNotFound    = errors.New("no such customer")
	ErrBadKey      = errors.New("the key cannot be understood")
	ErrUnavailable = errors.New("a store is away")
)

// Seen is what accounts were seen with, masked, for somebody who judges whether
// they and others are one person. It names some of it: what others were seen with
// too comes first, then what most of the accounts were seen with.
type Seen struct {
	Identifiers []SeenIdentifier `json:"identifiers"`
	Receivers   []SeenReceiver   `json:"receivers"`
}

// SeenIdentifier is an identifier with the middle of its value hidden.
type SeenIdentifier struct {
	Type   string `json:"type"`
	Masked string `json:"masked"`
	// Roles in which it was seen: member, buyer, receiver, agent.
	Roles []string `json:"roles"`
	// Shared says that the very same value, not only its mask, was seen on
	// another side.
	Shared bool `json:"shared,omitempty"`
}

// SeenReceiver is who parcels went to, as much of it as is kept: masked at least
// as platforms mask it.
type SeenReceiver struct {
	Name   string `json:"name,omitempty"`
	Phone  string `json:"phone,omitempty"`
	Region string `json:"region,omitempty"` // province, city, district, town
	Detail string `json:"detail,omitempty"`
	// Shared says that another side shows the very same.
	Shared bool `json:"shared,omitempty"`
}
