package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"oneid/internal/api"
)

// apikeyCmd manages the keys of the look-up API.
type apikeyCmd struct {
	Create apikeyCreateCmd `cmd:"" help:"Make a key and print it, once."`
	List   apikeyListCmd   `cmd:"" help:"List the keys: ids, names, scopes; never the keys themselves."`
	Revoke apikeyRevokeCmd `cmd:"" help:"End a key, within a second."`
}

func (f folder) apiKeys() *api.Keys { return api.NewKeys(f.path("keys", "api-keys.json")) }

type apikeyCreateCmd struct {
	Name  string   `arg:"" help:"What the key is for, such as the service desk's name."`
	Scope []string `help:"What the key may do." default:"customers:read" enum:"customers:read,customers:explain,customers:decide,rules:adopt,metrics:read,deadletter:show"`
}

// Run makes a key.
func (c apikeyCreateCmd) Run(f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	scopes := make([]api.Scope, len(c.Scope))
	for i, scope := range c.Scope {
		scopes[i] = api.Scope(scope)
	}
	key, made, err := f.apiKeys().Create(c.Name, scopes, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "key %s for %s; it is shown only now:\n", made.ID, made.Name)
	fmt.Println(key)
	return nil
}

type apikeyListCmd struct{}

// Run lists the keys.
func (apikeyListCmd) Run(f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	keys, err := f.apiKeys().List()
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSCOPES\tCREATED")
	for _, key := range keys {
		scopes := make([]string, len(key.Scopes))
		for i, scope := range key.Scopes {
			scopes[i] = string(scope)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", key.ID, key.Name, strings.Join(scopes, ","), key.Created.Format(time.RFC3339))
	}
	return w.Flush()
}

type apikeyRevokeCmd struct {
	ID string `arg:"" help:"The key's id, as oneid apikey list shows it."`
}

// Run ends a key.
func (c apikeyRevokeCmd) Run(f folder) error {
	if err := f.mustExist(); err != nil {
		return err
	}
	return f.apiKeys().Revoke(c.ID)
}

const localKeyFile = "secrets/api-key"

// localAPIKey is the key that commands of this machine use, made at first and
// kept in secrets/api-key (mode 0600).
func (f folder) localAPIKey() (path string, err error) {
	path = localKeyFile
	if _, err := os.Stat(f.path(path)); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(f.path("secrets"), 0o700); err != nil {
		return "", err
	}
	// What opens sealed bytes is given to nobody by itself.
	scopes := []api.Scope{api.ScopeRead, api.ScopeExplain, api.ScopeMetrics}
	key, _, err := f.apiKeys().Create("commands on this machine", scopes, time.Now())
	if err != nil {
		return "", err
	}
	return path, f.writeFile(path, []byte(key), 0o600)
}
