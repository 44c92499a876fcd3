package state

import (
	"bytes"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// roomProbe is how much a full disk must hold again before writing goes
	// on: a good deal more than Pebble writes at once, for what fails a second
	// time ends the process.
	roomProbe = 4 << 20
	// roomEvery is how often a full disk is looked at.
	roomEvery = 250 * time.Millisecond
)

// Full says that the state's disk is full, with Code state_full; nil if it is
// not. While it is, whoever writes waits: it goes on by itself once there is
// room. May be called at any time.
func (s *Store) Full() error {
	since := s.full.Load()
	if since == nil {
		return nil
	}
	return &Error{
		Doing: "write since " + since.UTC().Format(time.RFC3339), Folder: s.folder, Err: syscall.ENOSPC,
		code: "state_full", hint: "the disk is full: make room, and it goes on by itself; nothing is lost",
	}
}

// patient makes writers wait while the disk is full. Without it Pebble would
// end the process: it cannot go on from a log that it could not write.
func (s *Store) patient(fs vfs.FS) vfs.FS {
	return vfs.OnDiskFull(fs, func() {
		now := time.Now()
		s.full.Store(&now)
		defer s.full.Store(nil)
		for s.probe(fs) != nil {
			time.Sleep(roomEvery)
		}
	})
}

// probe tries whether there is room again.
func (s *Store) probe(fs vfs.FS) (err error) {
	name := fs.PathJoin(s.folder, "room.probe")
	file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	block := bytes.Repeat([]byte("room"), 16<<10)
	for written := 0; written < roomProbe && err == nil; {
		var n int
		n, err = file.Write(block)
		written += n
	}
	// Some file systems find out about their end only when they have to write.
	err = errors.Join(err, file.Sync(), file.Close(), fs.Remove(name))
	if err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	return nil
}
