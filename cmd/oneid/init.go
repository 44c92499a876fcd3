package main

import (
	"fmt"
	"os"

	"oneid/schemas/config"
)

// initCmd makes a data folder.
type initCmd struct{}

// Help shows below the usage.
func (initCmd) Help() string {
	return "Writes oneid.yaml, with every key and its default, into the folder of --dir, and changes nothing that is already there. Name your shops in it, put their secrets into files, check with `oneid doctor`, then start with `oneid up`."
}

// Run makes the folder.
func (initCmd) Run(f folder) error {
	if _, err := os.Stat(f.path(settingsFile)); err == nil {
		fmt.Printf("%s is there already; nothing was changed\n", f.path(settingsFile))
		return nil
	}
	if err := f.make(config.Sample); err != nil {
		return err
	}
	fmt.Printf("made %s\nnext: name your shops in it, then run `oneid doctor --dir %s` and `oneid up --dir %s`\n", f.path(settingsFile), f, f)
	return nil
}
