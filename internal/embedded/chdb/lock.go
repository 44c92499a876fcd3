package chdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// LockedError says that another process has the folder.
type LockedError struct{ Folder string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("chdb: lock %s: another process uses it", e.Folder)
}

// Code is stable, for programs.
func (e *LockedError) Code() string { return "engine_folder_locked" }

// Hint says what a person can do.
func (e *LockedError) Hint() string {
	return "stop the other oneid that runs on this folder, or give this one another --dir"
}

// lockFolder takes the folder's lock, and waits for it: an engine whose parent
// was killed needs a moment to end. The lock belongs to the open file, which
// the child shares, and ends with the last process that has it.
func lockFolder(ctx context.Context, folder string, wait time.Duration) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("chdb: lock the data folder: %w", err)
	}
	limit := time.Now().Add(wait)
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return file, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			_ = file.Close()
			return nil, fmt.Errorf("chdb: lock %s: %w", folder, err)
		case time.Now().After(limit):
			_ = file.Close()
			return nil, &LockedError{folder}
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
