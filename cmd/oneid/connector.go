package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"oneid/connectors"
	"oneid/connectors/all"
	"oneid/pipelines/tap"
)

// connectorCmd lets another scheduler run a connector.
type connectorCmd struct {
	Spec     connectorSpecCmd     `cmd:"" help:"Print the settings that a connector has (Airbyte)."`
	Check    connectorCheckCmd    `cmd:"" help:"Try a shop's settings (Airbyte)."`
	Discover connectorDiscoverCmd `cmd:"" help:"Print the streams and their schemas (Airbyte; Singer with --singer)."`
	Read     connectorReadCmd     `cmd:"" help:"Print what changed since a state (Airbyte; Singer with --singer)."`
}

// Help shows below the usage.
func (connectorCmd) Help() string {
	return "For a brand whose schedules are somebody else's: Airbyte, Meltano, anything that starts a program and reads its lines. Standard output holds nothing but the protocol's lines; everything for people goes to standard error. No data folder, no Kafka and no ClickHouse are needed: only the settings in a JSON file, {\"shop\": \"…\", and the connector's settings}, secrets among them. Names, phones, addresses and identifiers leave masked unless \"personal\" is true.\n\nAn Airbyte image calls `oneid connector` with the platform in ONEID_PLATFORM; a Singer tap is a script of one line: exec oneid connector read PLATFORM --singer \"$@\""
}

// connectorArg is the platform.
type connectorArg struct {
	Platform string `arg:"" optional:"" env:"ONEID_PLATFORM" help:"tmall, douyin, weidian or sobot (default: ONEID_PLATFORM)."`
}

func (c connectorArg) spec() (connectors.Spec, error) {
	spec, err := all.Spec(c.Platform)
	if err != nil {
		return spec, hinted{&tap.SettingsError{Err: err}, "name one of them after the command, or in ONEID_PLATFORM"}
	}
	return spec, nil
}

// failed tells the scheduler too, in its words, why a command ends before it has
// said anything.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, tap.NewAirbyte(os.Stdout).Failed(err))
}

// connectorSpecCmd prints the settings.
type connectorSpecCmd struct{ connectorArg }

// Run prints SPEC.
func (c connectorSpecCmd) Run() error {
	spec, err := c.spec()
	if err != nil {
		return failed(err)
	}
	return tap.NewAirbyte(os.Stdout).Spec(spec)
}

// connectorCheckCmd tries the settings.
type connectorCheckCmd struct {
	connectorArg
	Config string `required:"" help:"JSON file with the shop's settings." placeholder:"FILE"`
}

// Help shows below the usage.
func (connectorCheckCmd) Help() string {
	return "Tries address, keys, rights and clock of a shop, and prints CONNECTION_STATUS. A shop that cannot be read is an answer, FAILED with the reason, and exit code 0; 1 means that there is no answer. A token that the platform renews meanwhile comes before it as CONTROL, with all settings: keep them in place of the file's."
}

// Run prints CONNECTION_STATUS.
func (c connectorCheckCmd) Run(ctx context.Context) error {
	spec, err := c.spec()
	if err != nil {
		return failed(err)
	}
	out := tap.NewAirbyte(os.Stdout)
	settings, err := readTapSettings(spec, c.Config)
	if err == nil {
		err = settings.check(ctx, out.Renewed)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return out.Check(err)
}

// connectorDiscoverCmd prints the streams.
type connectorDiscoverCmd struct {
	connectorArg
	Config   string `help:"JSON file with the shop's settings." placeholder:"FILE"`
	Personal bool   `help:"With the fields that --personal of read adds."`
	Singer   bool   `help:"Print a Singer catalogue."`
}

// Run prints CATALOG.
func (c connectorDiscoverCmd) Run() error {
	spec, err := c.spec()
	if err == nil {
		err = discover(spec, c.Config, c.Personal, c.Singer)
	}
	if c.Singer {
		return err
	}
	return failed(err)
}

func discover(spec connectors.Spec, config string, personal, singer bool) error {
	if config != "" {
		settings, err := readTapSettings(spec, config)
		if err != nil {
			return err
		}
		personal = personal || settings.personal
	}
	if singer {
		return tap.NewSinger(os.Stdout, slog.Default(), nil).Catalog(tap.StreamsOf(spec), personal)
	}
	return tap.NewAirbyte(os.Stdout).Catalog(tap.StreamsOf(spec), personal)
}

// connectorReadCmd prints records.
type connectorReadCmd struct {
	connectorArg
	Config     string `required:"" help:"JSON file with the shop's settings. With --singer, tokens that the platform renews are written back into it." placeholder:"FILE"`
	Catalog    string `help:"The streams to read: Airbyte's configured catalogue, or with --singer a Singer catalogue (without one: all streams)." placeholder:"FILE"`
	Properties string `help:"The older name of --catalog with --singer." placeholder:"FILE"`
	State      string `help:"How far the streams were read, as STATE said it." placeholder:"FILE"`
	Personal   bool   `help:"Names, phones, addresses and identifiers in clear, and each record with the platform's payload; also \"personal\": true in the settings."`
	Singer     bool   `help:"Print the lines of a Singer tap: SCHEMA, RECORD, STATE."`
	Discover   bool   `help:"With --singer: print the catalogue and end."`
}

// Help shows below the usage.
func (connectorReadCmd) Help() string {
	return "Prints the records that changed since the state, and after them the state that stands for them. Cut anywhere (Ctrl-C, a crash, a full pipe) and started again with the last state that arrived, it leaves out nothing; some records come twice. While the platform allows no calls it waits, and says until when. A record that cannot be read is told, and left out.\n\nExit code: 0 when all streams were read to their ends; 1 when one was not, 130 after Ctrl-C."
}

// Run prints the streams.
func (c connectorReadCmd) Run(ctx context.Context) error {
	spec, err := c.spec()
	switch {
	case c.Singer && err != nil:
		return err
	case c.Singer && c.Discover:
		return discover(spec, c.Config, c.Personal, true)
	case c.Singer:
		return c.singer(ctx, spec)
	case err == nil && c.Discover:
		err = hinted{&tap.SettingsError{Err: errors.New("--discover is a flag of Singer taps")}, "add --singer, or call `oneid connector discover`"}
	}
	if err != nil {
		return failed(err)
	}
	out := tap.NewAirbyte(os.Stdout)
	cfg, err := c.airbyte(spec, out)
	if err != nil {
		return failed(err)
	}
	if err = tap.Read(ctx, cfg, out); errors.As(err, new(*tap.SettingsError)) {
		return failed(err) // what ended a reading that had begun, it said itself
	}
	return err
}

// airbyte is what the scheduler's files ask for.
func (c connectorReadCmd) airbyte(spec connectors.Spec, out *tap.Airbyte) (tap.Config, error) {
	settings, err := readTapSettings(spec, c.Config)
	if err != nil {
		return tap.Config{}, err
	}
	if c.Catalog == "" {
		return tap.Config{}, &tap.SettingsError{Err: errors.New("--catalog is missing: the file that says which streams to read")}
	}
	text, err := readGiven(c.Catalog)
	if err != nil {
		return tap.Config{}, err
	}
	streams, err := tap.AirbyteStreams(text)
	if err != nil {
		return tap.Config{}, err
	}
	if text, err = readGiven(c.State); err != nil {
		return tap.Config{}, err
	}
	from, err := tap.AirbyteState(text)
	if err != nil {
		return tap.Config{}, err
	}
	connector, err := settings.open(out.Renewed)
	return tap.Config{Connector: connector, Streams: streams, From: from, Personal: c.Personal || settings.personal}, err
}

func (c connectorReadCmd) singer(ctx context.Context, spec connectors.Spec) error {
	settings, err := readTapSettings(spec, c.Config)
	if err != nil {
		return err
	}
	var streams []string
	if file := c.Catalog + c.Properties; file != "" {
		text, err := readGiven(file)
		if err != nil {
			return err
		}
		if streams, err = tap.SingerStreams(text); err != nil {
			return err
		}
	} else {
		for _, s := range tap.StreamsOf(spec) {
			streams = append(streams, s.Name)
		}
	}
	text, err := readGiven(c.State)
	if err != nil {
		return err
	}
	from, err := tap.SingerState(text)
	if err != nil {
		return err
	}
	connector, err := settings.open(func(all map[string]any) error { return writeBack(c.Config, all) })
	if err != nil {
		return err
	}
	out := tap.NewSinger(os.Stdout, slog.Default(), from)
	return tap.Read(ctx, tap.Config{Connector: connector, Streams: streams, From: from, Personal: c.Personal || settings.personal}, out)
}

// readGiven reads a file that may not have been named.
func readGiven(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &tap.SettingsError{Err: err}
	}
	return text, nil
}

// writeBack puts settings in place of a file's, whole or not at all.
func writeBack(file string, settings map[string]any) error {
	text, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	// One that a command which was killed has left may be open to more people.
	next := file + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(next, append(text, '\n'), mode); err != nil {
		return err
	}
	return os.Rename(next, file)
}

// tapSettings are what a settings file says.
type tapSettings struct {
	platform, shop string
	personal       bool
	// all is the file as it stands; connectors is what of it the connector knows.
	all       map[string]any
	connector json.RawMessage
}

// readTapSettings reads a settings file. A key that nobody knows is told and
// left out: schedulers add their own. Errors repeat no value.
func readTapSettings(spec connectors.Spec, file string) (*tapSettings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &tap.SettingsError{Err: err}
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	s := &tapSettings{platform: spec.Platform}
	if err := d.Decode(&s.all); err != nil || s.all == nil {
		return nil, &tap.SettingsError{Err: fmt.Errorf("%s: the settings are no JSON object", file)}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, &tap.SettingsError{Err: fmt.Errorf("%s: there is more than one JSON object", file)}
	}
	var known settingsSchema
	if err := json.Unmarshal(spec.Settings, &known); err != nil {
		return nil, fmt.Errorf("the settings' schema of %s: %w", spec.Platform, err)
	}
	own := make(map[string]any)
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(s.all)) {
		value := s.all[name]
		_, ok := known.Properties[name]
		good := true
		switch {
		case value == nil:
		case name == tap.SettingShop:
			s.shop, good = value.(string)
		case name == tap.SettingPersonal:
			s.personal, good = value.(bool)
		case ok:
			own[name] = value
		default:
			fmt.Fprintf(os.Stderr, "oneid: the connector of %s knows no setting %q; it is left out\n", spec.Platform, name)
		}
		if !good {
			faults = append(faults, fmt.Errorf("%s: setting %s is of another type", file, name))
		}
	}
	if s.shop == "" && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("%s: setting %s is missing: the shop's number or name", file, tap.SettingShop))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, &tap.SettingsError{Err: err}
	}
	s.connector, err = json.Marshal(own)
	return s, err
}

// open makes the connector; renewed is told all settings when one of them has
// changed.
func (s *tapSettings) open(renewed func(settings map[string]any) error) (connectors.Connector, error) {
	c, err := all.Open(s.platform, s.shop, s.connector)
	if err != nil {
		return nil, &tap.SettingsError{Err: err}
	}
	if r, ok := c.(connectors.Renewer); ok {
		r.OnRenewed(func(changed map[string]string) {
			for name, value := range changed {
				s.all[name] = value
			}
			if err := renewed(s.all); err != nil {
				// The reading goes on with the new token; the next one will miss it.
				slog.Error("a renewed token could not be told: put it into the settings by authorising again", "platform", s.platform, "shop", s.shop, "error", err)
			}
		})
	}
	return c, nil
}

// check tries the settings. A token that is renewed meanwhile is told, as in a
// reading: the platform takes the one of the settings no more.
func (s *tapSettings) check(ctx context.Context, renewed func(settings map[string]any) error) error {
	c, err := s.open(renewed)
	if err != nil {
		return err
	}
	return tap.Check(ctx, c)
}
