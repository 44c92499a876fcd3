package install

import "syscall"

// ownGroup makes a client end as a whole, and with us: one that outlived a
// killed install would go on writing into its folder.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
