// Package profile reads a customer's profile: who it is, by an Identity, and
// what happened, by a History over ClickHouse.
//
// The first half has two sources: the resolver's state, where a resolver runs
// beside the reader, and Stored, which finds the same answers in ClickHouse.
// The second half always comes from ClickHouse, by tables sorted by account.
package profile
