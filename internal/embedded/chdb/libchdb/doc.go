// Package libchdb calls the C interface of libchdb, ClickHouse as a shared
// library, through purego and so without cgo.
//
// It is a thin layer: each exported method is one or two calls of the
// library, buffers that go in are pinned for the length of the call, and
// results are copied out before the library frees them. What the library
// needs of its process (signal handlers off, null stdin, own process group)
// is the business of the process that loads it; only the signal handlers are
// switched off here, because that must happen before the first connection.
//
// A fault inside the library ends the process: nothing here can turn a
// segmentation fault into an error. So it is loaded in a process of its own.
package libchdb
