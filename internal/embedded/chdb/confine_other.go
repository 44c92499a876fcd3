//go:build !linux

package chdb

// confine does nothing here: this system has no fence that a process can put
// around itself. The other layers remain, and Start opens no BI listener
// unless BIUnconfined is set.
func confine(ServeConfig) error { return nil }

// CanConfine reports whether the operating system can keep the engine to its
// folder, and from opening connections.
func CanConfine() (files, network bool) { return false, false }
