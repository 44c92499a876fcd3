package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"oneid/identity"
	"oneid/identity/match"
	"oneid/identity/match/receivers"
)

// modelsOf are the models that rules may use under model.use: the one that ships, and
// those of the settings. Under one name a model never changes, since a state
// holds what it has joined: a better one gets another name, and is adopted.
func modelsOf(f folder, settings Settings) (identity.Scorers, error) {
	shipped, err := receivers.Scorer()
	if err != nil {
		panic(fmt.Sprintf("the model %s that ships with this program: %v", receivers.Name, err)) // its test reads it
	}
	all := identity.Scorers{receivers.Name: shipped}
	var faults []error
	for _, path := range settings.Identity.Models {
		name, scorer, _, err := readModel(f.resolve(path))
		if err != nil {
			faults = append(faults, fmt.Errorf("identity.models: %w", err))
			continue
		}
		all[name] = scorer
	}
	return all, errors.Join(faults...)
}

// readModel reads a model that `identity train --receivers` has written.
func readModel(path string) (string, identity.Scorer, *match.Learned, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil, hinted{fmt.Errorf("read the model: %w", err), "`oneid identity train --receivers` writes one; a path under identity.models in oneid.yaml is seen from the data folder. One that was adopted must stay there"}
	}
	if err != nil {
		return "", nil, nil, fmt.Errorf("read the model: %w", err)
	}
	return receivers.ReadOwn(path, text)
}

// ownModels are the names of the models that the settings give.
func ownModels(all identity.Scorers) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool { return name == receivers.Name })
}

// modelAwayError says that a resolver would not find the model of rules.
type modelAwayError struct {
	name  string
	owner bool // the folder's owner does not have it; else the settings do not
}

func (e *modelAwayError) Error() string {
	if e.owner {
		return fmt.Sprintf("the process that has the folder does not know the model %s: it would stop at these rules", e.name)
	}
	return fmt.Sprintf("the model %s is not among identity.models in oneid.yaml: no resolver would find it", e.name)
}

// Code names the kind of error.
func (e *modelAwayError) Code() string { return "model_unknown" }

// Hint says what to do.
func (e *modelAwayError) Hint() string {
	if e.owner {
		return "start it anew: it reads identity.models when it starts"
	}
	return "name its file under identity.models, beside those adopted before, where `oneid up` and every other process of the instance runs; start these anew; then apply"
}

// adoptable says whether whoever resolves for this folder will find the model
// of rules.
func (f folder) adoptable(rules *identity.Rules) error {
	if rules.Model == nil || rules.Model.Use == receivers.Name {
		return nil
	}
	settings, err := loadSettings(string(f))
	if err != nil {
		return err
	}
	all, err := modelsOf(f, settings)
	if err != nil {
		return err
	}
	if all[rules.Model.Use] == nil {
		return &modelAwayError{name: rules.Model.Use}
	}
	owned, err := f.isOwned()
	if err != nil || !owned {
		return err
	}
	if e, err := f.endpoints(); err != nil || slices.Contains(e.Models, rules.Model.Use) {
		return err
	}
	return &modelAwayError{rules.Model.Use, true}
}
