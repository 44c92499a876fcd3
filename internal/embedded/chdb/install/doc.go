// Package install fetches libchdb, the engine's shared library, once for all
// folders of a user.
//
// The library comes through the npm client; where there is none, pip fetches
// one first. Version and SHA-512 of all that is fetched are fixed in
// package.go. It is kept outside of any data folder:
//
//	CACHE/VERSION-OS-CPU/libchdb.so   the library
//	CACHE/VERSION-OS-CPU/sha512       what it was verified to be
//	CACHE/lock                        held while one installs
//	CACHE/fetch-*                     an install at work; swept by the next
//
// CACHE is $ONEID_ENGINE_CACHE, or oneid/engine in the user's cache folder. A
// library appears under its name by one rename, when it is whole and verified.
package install
