//go:build !linux

package chdb

import "syscall"

// ownGroup keeps signals for the engine's group from ours. The engine learns of
// our end by the end of a pipe.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
