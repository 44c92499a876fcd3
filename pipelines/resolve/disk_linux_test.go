package resolve

import (
	"fmt"
	"syscall"
)

// mountSmall mounts a disk in memory.
func mountSmall(dir string, mib int) error {
	return syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
}

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
