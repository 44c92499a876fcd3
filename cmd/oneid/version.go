package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"oneid/internal/embedded/chdb/install"
)

// versionCmd prints what this is.
type versionCmd struct{}

// Run prints the version of the program, of Go and of the embedded engine.
func (versionCmd) Run() error {
	fmt.Printf("oneid %s %s %s/%s, engine %s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, install.Version)
	return nil
}

// version is what this program was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
