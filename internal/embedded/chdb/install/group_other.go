//go:build !linux

package install

import "syscall"

// ownGroup makes a client end as a whole. Here it may outlive a killed install.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
