package chdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine replaces this process by itself, confined: Landlock holds for one
// thread and what it starts, so the rules are set on this thread and then the
// program is executed anew from it. Listeners and pipes were opened before and
// stay usable. On a kernel without Landlock the program is executed unconfined,
// with a word on stderr, and the other layers of the fence remain.
func confine(config ServeConfig) error {
	runtime.LockOSThread() // never unlocked: the thread ends in Exec, or with the error
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("chdb: find the program: %w", err)
	}
	if err := os.MkdirAll(config.Folder, 0o700); err != nil {
		return fmt.Errorf("chdb: make the engine's folder: %w", err)
	}
	switch err := restrict(config, executable); {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		fmt.Fprintln(os.Stderr, "this kernel has no Landlock: the engine runs without the operating system's fence")
	case err != nil:
		return err
	}
	settings, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("chdb: pass settings on: %w", err)
	}
	if err := passOn(settings); err != nil {
		return fmt.Errorf("chdb: pass settings on: %w", err)
	}
	err = syscall.Exec(executable, os.Args, append(os.Environ(), confined+"=1"))
	return fmt.Errorf("chdb: execute %s confined: %w", executable, err)
}

// passOn puts the settings, which were read, into a new pipe on their descriptor.
// A pipe holds 64 KiB: a few names and passwords are far below it.
func passOn(settings []byte) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	if len(settings) > 60<<10 {
		return errors.New("too many public views")
	}
	if _, err := unix.Write(pipe[1], settings); err != nil {
		return err
	}
	if err := unix.Close(pipe[1]); err != nil {
		return err
	}
	if pipe[0] == configFD {
		_, err := unix.FcntlInt(configFD, unix.F_SETFD, 0)
		return err
	}
	return unix.Dup3(pipe[0], configFD, 0)
}

// What Landlock may handle, by the version of its interface.
const (
	readRights  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_EXECUTE
	fileRights  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	rightsOf1   = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
	netRights   = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	scopeRights = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
)

// handled returns all that a version of Landlock can restrict.
func handled(version int) unix.LandlockRulesetAttr {
	rules := unix.LandlockRulesetAttr{Handled_access_fs: rightsOf1}
	if version >= 2 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 4 {
		rules.Handled_access_net = netRights
	}
	if version >= 5 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		rules.Scoped = scopeRights
	}
	return rules
}

// readable is what the loader, the library and Go read besides the data: shared
// libraries, time zones, and facts of the machine and of the process itself.
// Names that are not there are passed over. Of /proc only single files are
// named: in a process of the same user (or root) the environment, memory and
// files of others would be readable there, in spite of Landlock. Of the process
// itself /proc/self/maps is needed, from which libc learns the size of the main
// thread's stack (the engine does not start without); it tells addresses and the
// library's path, so that the layers above must stop file('/proc/self/maps').
var readable = []string{
	"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone",
	"/usr/share/zoneinfo", "/dev/urandom", "/dev/random", "/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm",
	"/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/sys/vm", "/proc/sys/kernel",
	"/proc/self/cgroup", "/proc/self/maps", "/proc/self/statm", "/proc/self/status",
}

func landlockVersion() (int, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, fmt.Errorf("chdb: ask for Landlock: %w", errno)
	}
	return int(version), nil
}

// CanConfine reports whether the operating system can keep the engine to its
// folder, and whether it can keep it from opening connections too (Linux 6.7).
func CanConfine() (files, network bool) {
	version, err := landlockVersion()
	return err == nil, err == nil && version >= 4
}

// restrict sets the rules on this thread.
func restrict(config ServeConfig, executable string) error {
	version, err := landlockVersion()
	if err != nil {
		return err
	}
	attributes := handled(version)
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes), 0)
	if errno != 0 {
		return fmt.Errorf("chdb: make Landlock rules: %w", errno)
	}
	defer unix.Close(int(fd))
	if err := allow(int(fd), config.Folder, attributes.Handled_access_fs&^unix.LANDLOCK_ACCESS_FS_EXECUTE); err != nil {
		return err
	}
	if err := allow(int(fd), "/dev/null", attributes.Handled_access_fs); err != nil {
		return err
	}
	for _, path := range append([]string{config.Library, executable, filepath.Dir(config.Library)}, readable...) {
		if err := allow(int(fd), path, readRights); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("chdb: give up new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("chdb: confine the engine: %w", errno)
	}
	return nil
}

// allow adds the rights below path; for a file, those that a file can have.
func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("chdb: allow the engine %s: %w", path, err)
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("chdb: allow the engine %s: %w", path, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("chdb: allow the engine %s: %w", path, errno)
	}
	return nil
}
