// Package chdb runs an embedded ClickHouse: libchdb in a child process of its
// own, served over HTTP on loopback.
//
// Start opens the listeners, starts the child and keeps it running: when it
// dies, whatever of, it is started again on the same addresses, and requests
// wait in the listener's queue meanwhile. ServeMain is the child's whole program.
//
//	parent                          child (same binary, other arguments)
//	Start ── listeners ───────────► fd 5, 6    HTTP: application, BI
//	      ── settings, secrets ───► fd 3       one JSON document, then closed
//	      ── nothing, ever ───────► fd 4       its end is the parent's end
//	      ── the folder's lock ───► fd 7       held as long as either lives
//
// The child has its own process group and a null stdin, and ends with its
// parent. On Linux it is confined by Landlock before it loads the library: it
// writes to its folder only, reads little else, and opens no TCP connection.
//
// What the engine can't do here: users, row policies, ON CLUSTER, transactions.
// A role has grants on the public views, which therefore are written with
// DEFINER = CURRENT_USER SQL SECURITY DEFINER.
package chdb
