package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"oneid/connectors/simulator"

	"oneid/internal/keyring"
)

// folder is the path of a data folder: what one instance keeps.
//
//	oneid.yaml      settings             lock            held by the owner
//	endpoints.json  where the owner is   keys/ secrets/  mode 0600
//	kafka/ clickhouse/ state/            the embedded parts' data
//	simulator.json truth.csv bridges.csv of a folder that `demo` made
type folder string

func (f folder) path(name ...string) string {
	return filepath.Join(append([]string{string(f)}, name...)...)
}

// hinted is an error with advice.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

// make creates the folder, and oneid.yaml in it if there is none. One that a restore
// is making, or was when it was cut off, has the data of an instance whose keys fresh
// ones would be put over.
func (f folder) make(settings []byte) error {
	_, restoring := os.Stat(f.path(restoringFolder))
	if _, err := os.Stat(f.path(settingsFile)); restoring == nil && errors.Is(err, fs.ErrNotExist) {
		return hinted{fmt.Errorf("a restore into %s has not ended", f), "wait for it; if it was cut off, empty the folder and restore again"}
	}
	for _, dir := range []string{"", "keys", "secrets"} {
		if err := os.MkdirAll(f.path(dir), 0o700); err != nil {
			return fmt.Errorf("make the data folder: %w", err)
		}
	}
	if _, err := os.Stat(f.path(settingsFile)); errors.Is(err, fs.ErrNotExist) {
		if _, err := keyring.Create(string(f)); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(f.path(settingsFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	_, err = file.Write(settings)
	return errors.Join(err, file.Close())
}

// mustExist refuses a folder that no command has made.
func (f folder) mustExist() error {
	if _, err := os.Stat(f.path(settingsFile)); err != nil {
		return hinted{fmt.Errorf("there is no instance in %s", f), "make one with `oneid init` (your shops) or `oneid demo` (invented ones), or name its folder with --dir"}
	}
	return nil
}

// errOwned says that another process has the folder.
var errOwned = errors.New("another oneid process owns the data folder")

// own takes the folder's lock. It waits up to 10 s for an owner that is just
// ending, and not at all for one that is up (its endpoints.json is there and
// answers): then errOwned.
func (f folder) own() (release func(), err error) {
	file, err := os.OpenFile(f.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the folder's lock: %w", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			// A lock that was free means that no owner is alive: what an owner
			// that was killed said of itself is stale.
			for _, stale := range []string{endpointsFile, simulatorsFile} {
				if err := os.Remove(f.path(stale)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return nil, errors.Join(fmt.Errorf("remove the dead owner's endpoints: %w", err), file.Close())
				}
			}
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the data folder: %w", err), file.Close())
		}
		if _, statErr := os.Stat(f.path(endpointsFile)); statErr == nil || time.Now().After(deadline) {
			_ = file.Close()
			return nil, errOwned
		}
	}
}

// endpointsFile says where the owner's parts answer.
const endpointsFile = "endpoints.json"

// simulatorsFile says where the simulators of a folder that `demo` made answer
// while they run: the object that `oneid simulate` prints.
const simulatorsFile = "simulator-endpoints.json"

// writeSimulators tells others where the simulators are. Their keys open
// nothing but invented shops, and yet only the owner reads them.
func (f folder) writeSimulators(e simulator.Endpoints) error {
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return f.writeFile(simulatorsFile, append(data, '\n'), 0o600)
}

// Endpoints is the content of endpoints.json.
type Endpoints struct {
	API        APIEndpoint   `json:"api"`
	ClickHouse SQLEndpoint   `json:"clickhouse"`
	BI         SQLEndpoint   `json:"bi,omitzero"` // not there where BI has no listener
	Kafka      KafkaEndpoint `json:"kafka"`
	// Callbacks is where the platforms' calls are answered, below /spi and
	// /push; not there without callbacks.listen.
	Callbacks CallbacksEndpoint `json:"callbacks,omitzero"`
	// Models are those of identity.models that the owner has read, by their names.
	Models []string `json:"models,omitempty"`
}

// CallbacksEndpoint is where the platforms' calls are answered.
type CallbacksEndpoint struct {
	URL string `json:"url"`
}

// APIEndpoint is where the look-up API answers, and the file of a key for it.
type APIEndpoint struct {
	URL     string `json:"url"`
	KeyFile string `json:"key_file"`
}

// SQLEndpoint is where one user finds ClickHouse.
type SQLEndpoint struct {
	URL        string `json:"url"`
	User       string `json:"user"`
	Database   string `json:"database"`
	SecretFile string `json:"secret_file"`
}

// KafkaEndpoint is where Kafka is.
type KafkaEndpoint struct {
	Brokers []string `json:"brokers"`
}

// writeEndpoints tells others where we are, all at once.
func (f folder) writeEndpoints(e Endpoints) error {
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	return f.writeFile(endpointsFile, append(data, '\n'), 0o644)
}

// removeEndpoints ends what writeEndpoints began.
func (f folder) removeEndpoints() error {
	if err := os.Remove(f.path(endpointsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove where we are: %w", err)
	}
	return nil
}

// endpoints reads where the owner is.
func (f folder) endpoints() (Endpoints, error) {
	var e Endpoints
	data, err := os.ReadFile(f.path(endpointsFile))
	if err != nil {
		return e, hinted{fmt.Errorf("the folder's owner does not say where it answers: %w", err), "it is still starting, or is a command that serves nobody; try again when it is up or has ended"}
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("read %s: %w", f.path(endpointsFile), err)
	}
	return e, nil
}

// writeFile writes a file of the folder by rename, so that nobody reads half.
func (f folder) writeFile(name string, data []byte, mode fs.FileMode) error {
	temporary := f.path(name + ".new")
	if err := os.WriteFile(temporary, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(temporary, f.path(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// resolve is a path of the settings: relative ones start from the folder.
func (f folder) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(f.start(path), path)
}

// start is what a relative path of the settings starts from: the folder. One that leaves
// the folder is meant as from where the folder will be, once its restore is done.
func (f folder) start(path string) string {
	if filepath.Base(string(f)) == restoringFolder && !filepath.IsLocal(path) {
		return filepath.Dir(string(f))
	}
	return string(f)
}

// readJSON reads a file that holds one JSON value.
func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
