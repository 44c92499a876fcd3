package chdb

import "syscall"

// ownGroup keeps signals for the engine's group from ours, and has the kernel
// kill the engine when the thread that started it ends.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
