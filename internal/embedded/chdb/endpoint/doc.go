// Package endpoint serves libchdb behind the HTTP interface of ClickHouse, as
// far as clickhouse-go, clickhouse-connect, SQLAlchemy, JDBC, Node and plain
// curl use it, for two users: the application, who may do everything but stop
// the process, and BI, who reads the granted views and nothing else.
//
// The engine itself has one user. So passwords, limits and the BI fence are kept
// here: see fence.go for its layers.
//
// Each request gets a fresh connection, so settings, roles, the current
// database and temporary tables cannot leak into another; a session_id keeps
// one. A request whose client goes away is killed.
package endpoint
