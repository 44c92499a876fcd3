package resolve

import "syscall"

// mountSmall mounts a disk in memory.
func mountSmall(dir string) error { return syscall.Mount("none", dir, "tmpfs", 0, "size=48m") }

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_DETACH) }
