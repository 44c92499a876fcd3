package install

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// download fetches the package into work through npm, or through the npm that
// pip brings, and returns its path.
func (i installer) download(ctx context.Context, work string) (string, error) {
	npm, err := i.npm(ctx, work)
	if err != nil {
		return "", err
	}
	target := filepath.Join(work, "npm")
	if err := os.Mkdir(target, 0o755); err != nil {
		return "", fmt.Errorf("install engine: make a folder: %w", err)
	}
	arguments := append(npm[1:], "pack", "--pack-destination", target, "--ignore-scripts", i.pack.Name+"@"+i.pack.Version)
	if err := i.run(ctx, work, "npm", npm[0], arguments); err != nil {
		return "", err
	}
	return onlyFile(target, "*.tgz", "npm")
}

// npm returns the command line of an npm client.
func (i installer) npm(ctx context.Context, work string) ([]string, error) {
	if path, err := exec.LookPath("npm"); err == nil {
		return []string{path}, nil
	}
	pip := pipCommand(ctx)
	if pip == nil || i.wheel.Name == "" {
		return nil, noClient()
	}
	i.Log.Info("npm is not there: fetching one through pip", "package", i.wheel.Name, "version", i.wheel.Version, "megabytes", i.wheel.Bytes/1e6)
	target := filepath.Join(work, "pip")
	if err := os.Mkdir(target, 0o755); err != nil {
		return nil, fmt.Errorf("install engine: make a folder: %w", err)
	}
	arguments := append(pip[1:], "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--disable-pip-version-check", "--dest", target, i.wheel.Name+"=="+i.wheel.Version)
	if err := i.run(ctx, work, "pip", pip[0], arguments); err != nil {
		return nil, err
	}
	file, err := onlyFile(target, "*.whl", "pip")
	if err != nil {
		return nil, err
	}
	got, err := sum(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("install engine: read %s: %w", i.wheel.Name, err)
	}
	if got != i.wheel.SHA512 {
		return nil, damaged(filepath.Base(file), i.wheel.SHA512, got)
	}
	node := filepath.Join(work, "node")
	if err := unzip(file, node); err != nil {
		return nil, err
	}
	return []string{filepath.Join(node, filepath.FromSlash(i.wheel.Node)), filepath.Join(node, filepath.FromSlash(i.wheel.NPM))}, nil
}

// pipCommand finds pip under the names that it goes by.
func pipCommand(ctx context.Context) []string {
	for _, name := range []string{"pip3", "pip"} {
		if path, err := exec.LookPath(name); err == nil {
			return []string{path}
		}
	}
	for _, name := range []string{"python3", "python"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(ctx, path, "-m", "pip", "--version").Run() == nil {
			return []string{path, "-m", "pip"}
		}
	}
	return nil
}

func onlyFile(folder, pattern, client string) (string, error) {
	files, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		return "", fmt.Errorf("install engine: %w", err)
	}
	if len(files) != 1 {
		return "", fetchFailed(client, "", errors.New("it ended well and left no file"))
	}
	return files[0], nil
}

// run runs a client in a process group of its own, which a cancelled ctx ends
// as a whole, and the kernel if we are killed (Linux); and it tells Progress how far the largest file has grown: npm writes
// the package to its cache first and then copies it.
func (i installer) run(ctx context.Context, work, name, program string, arguments []string) error {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir = work
	command.Env = i.environment(work)
	var stderr bytes.Buffer
	command.Stdout, command.Stderr = nil, &stderr
	command.SysProcAttr = ownGroup()
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 5 * time.Second

	watched := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-ended:
				return
			case <-time.After(200 * time.Millisecond):
				if name == "npm" {
					i.Progress(min(max(largest(filepath.Join(work, "cache")), largest(filepath.Join(work, "npm"))), i.pack.Bytes), i.pack.Bytes)
				}
			}
		}
	}()
	runtime.LockOSThread() // the child dies with the thread that started it
	err := command.Run()
	runtime.UnlockOSThread()
	close(ended)
	<-watched
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fetchFailed(name, stderr.String(), err)
	}
	return nil
}

// environment is the caller's, so that its proxy and registry are used, with
// npm's cache and prefix inside the temporary folder: nothing of the user's npm
// needs to be writable, and nothing stays behind.
func (i installer) environment(work string) []string {
	var out []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(strings.ToLower(entry), "=")
		switch name {
		case "npm_config_prefix", "npm_config_cache", "npm_config_dry_run", "npm_config_json", "npm_config_workspace", "npm_config_workspaces", "npm_config_global", "npm_config_loglevel":
		default:
			out = append(out, entry)
		}
	}
	return append(out,
		"npm_config_cache="+filepath.Join(work, "cache"), "npm_config_prefix="+filepath.Join(work, "prefix"),
		"npm_config_update_notifier=false", "npm_config_loglevel=error", "npm_config_progress=false")
}

// largest returns the size of the largest file below a folder.
func largest(folder string) (size int64) {
	_ = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil // it has just been renamed
		}
		if stat, err := entry.Info(); err == nil {
			size = max(size, stat.Size())
		}
		return nil
	})
	return size
}

// unzip unpacks a verified wheel.
func unzip(file, to string) error {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("install engine: open %s: %w", filepath.Base(file), err)
	}
	defer archive.Close()
	if err := os.CopyFS(to, archive); err != nil {
		return fmt.Errorf("install engine: unpack %s: %w", filepath.Base(file), err)
	}
	return filepath.WalkDir(filepath.Join(to), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "node" || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o755)
	})
}
