package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"oneid/connectors"
	"oneid/internal/config"
	"oneid/pipelines/schedule"
)

// pipelinesFolder holds the pipelines of an instance, a file each.
const pipelinesFolder = "pipelines"

// The tasks of pipelines.
const (
	taskPull      = "pull"
	taskReconcile = "reconcile"
	taskSquash    = "squash"
	taskBackup    = "backup"
	taskReplay    = "replay"
	taskImport    = "import"
)

// PipelineSettings is what a file of pipelines/ holds; schemas/config has the
// commented sample and the JSON Schema of it.
type PipelineSettings struct {
	Task     string          `yaml:"task" doc:"pull, reconcile, squash, backup, replay or import."`
	Schedule string          `yaml:"schedule" doc:"When it runs: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly."`
	Every    config.Duration `yaml:"every" doc:"Runs again that long after it began, in place of schedule."`
	Timezone string          `yaml:"timezone" doc:"IANA zone of schedule; empty means that of oneid.yaml."`
	CatchUp  bool            `yaml:"catch_up" doc:"Runs once, as soon as it can, when its time passed while nobody ran."`
	Paused   bool            `yaml:"paused" doc:"Runs by hand alone (oneid run)."`

	Shops    []string        `yaml:"shops" doc:"PLATFORM/SHOP of pull, reconcile and replay; none means all."`
	Streams  []string        `yaml:"streams" doc:"Streams of pull and replay; none means all."`
	Days     int             `yaml:"days" doc:"How many days reconcile looks at, today among them."`
	Repair   bool            `yaml:"repair" doc:"reconcile reads again what differs, and publishes it."`
	Window   config.Duration `yaml:"window" doc:"replay takes what changed at the platforms in that time before now."`
	To       string          `yaml:"to" doc:"Folder that backup writes into."`
	WithKeys bool            `yaml:"with_keys" doc:"backup puts the keys into it too: whoever has it can read all personal data."`
	Keep     int             `yaml:"keep" doc:"How many backups backup keeps, the newest; 0 keeps all."`
	Folder   string          `yaml:"folder" doc:"Folder of which import loads each file once, and moves it to done/ or failed/ in it."`
	Shop     string          `yaml:"shop" doc:"PLATFORM/SHOP of what import loads, if no mapping says so."`
	NewShop  bool            `yaml:"new_shop" doc:"The shop of import is none of those that oneid.yaml names of its platform, and is meant."`
	Mapping  string          `yaml:"mapping" doc:"Mapping of what import loads; none means what the platform's back-office exports."`
}

func defaultPipeline() PipelineSettings {
	return PipelineSettings{CatchUp: true, Days: reconcileDays, Window: config.Duration(24 * time.Hour)}
}

// pipeline is something that is done at times, as a whole.
type pipeline struct {
	Name string
	// File is where it stands; empty for what runs with no file.
	File string
	PipelineSettings
	schedule schedule.Schedule
	// folderLine and folderColumn are the place of folder in the file.
	folderLine, folderColumn int
}

// pulls says whether the pipeline pulls a stream.
func (p pipeline) pulls(shop, stream string) bool {
	return p.Task == taskPull && p.names(shop, stream)
}

// names says whether a shop's stream is among those that the pipeline is about.
func (p pipeline) names(shop, stream string) bool {
	return (len(p.Shops) == 0 || slices.Contains(p.Shops, shop)) && (len(p.Streams) == 0 || slices.Contains(p.Streams, stream))
}

var pipelineName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,60}$`)

// loadPipelines reads the pipelines of a folder, by name, and adds what runs
// with no file: pull, which pulls each stream that no file pulls, reconcile and
// squash where no file is about them. Every fault of every file comes back at
// once, with its place.
func (f folder) loadPipelines(settings Settings, shops []shop) ([]pipeline, error) {
	names, err := filepath.Glob(f.path(pipelinesFolder, "*.y*ml"))
	if err != nil {
		return nil, err
	}
	// What else the pattern takes (pull.yaml.toml) is no pipeline.
	names = slices.DeleteFunc(names, func(name string) bool { return !slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(name)) })
	slices.Sort(names)
	var list []pipeline
	var faults []error
	for _, name := range names {
		if bare, short := strings.CutSuffix(name, ".yml"); short {
			faults = append(faults, pipelineFault(fmt.Errorf("%s would be read by nobody: a pipeline's file ends in .yaml; call it %s.yaml", name, filepath.Base(bare))))
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read a pipeline: %w", err)
		}
		p, err := parsePipeline(name, data, settings.Timezone, shops)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		list = append(list, p)
	}
	faults = append(faults, f.watchedTwice(list)...)
	for task, every := range map[string]config.Duration{taskPull: settings.Pull.Every, taskReconcile: settings.Reconcile.Every, taskSquash: settings.Resolve.SquashEvery} {
		if task != taskPull && slices.ContainsFunc(list, func(p pipeline) bool { return p.Task == task }) {
			continue
		}
		p := pipeline{Name: task, PipelineSettings: defaultPipeline(), schedule: schedule.Every(time.Duration(every))}
		p.Task, p.Every = task, every
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b pipeline) int { return strings.Compare(a.Name, b.Name) })
	return list, errors.Join(faults...)
}

// watchedTwice names the pipelines that would load files which another loads, or
// has loaded: each would count twice, and one of them in another shop.
func (f folder) watchedTwice(list []pipeline) (faults []error) {
	watched := make(map[string]string)
	for _, p := range list {
		if p.Task == taskImport {
			if dir := realPath(f.resolve(p.Folder)); watched[dir] == "" {
				watched[dir] = p.Name
			}
		}
	}
	for _, p := range list {
		if p.Task != taskImport {
			continue
		}
		dir, message := realPath(f.resolve(p.Folder)), ""
		if other := watched[dir]; other != p.Name {
			message = fmt.Sprintf("is watched by %s.yaml, too: a file would be loaded by both; keep one of them", other)
		} else if name := filepath.Base(dir); name == inboxDone || name == inboxFailed {
			if other := watched[filepath.Dir(dir)]; other != "" {
				message = fmt.Sprintf("is where %s.yaml moves what it has taken: name another", other)
			}
		}
		if message != "" {
			problem := &config.Problem{File: p.File, Line: p.folderLine, Column: p.folderColumn, Message: "folder " + message}
			faults = append(faults, pipelineFault(problem))
		}
	}
	return faults
}

// realPath is where a path leads, by way of links; what does not exist yet leads
// where its folder does.
func realPath(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	if end, err := filepath.EvalSymlinks(path); err == nil {
		return end
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(realPath(dir), filepath.Base(path))
	}
	return path
}

// parsePipeline reads one file.
func parsePipeline(file string, data []byte, zone string, shops []shop) (pipeline, error) {
	p := pipeline{Name: strings.TrimSuffix(filepath.Base(file), ".yaml"), File: file, PipelineSettings: defaultPipeline()}
	if err := config.Decode(file, data, &p.PipelineSettings, "ONEID_NO_SUCH_", nil); err != nil {
		return p, pipelineFault(err)
	}
	var faults []error
	fault := func(key, format string, args ...any) {
		problem := &config.Problem{File: file, Message: key + " " + fmt.Sprintf(format, args...)}
		problem.Line, problem.Column = config.Locate(data, key)
		faults = append(faults, pipelineFault(problem))
	}
	if !pipelineName.MatchString(p.Name) {
		fault("task", "stands in a file whose name is not of small letters, digits, '-' and '_': the pipeline is called by it")
	}
	if slices.Contains([]string{taskPull, taskReconcile, taskSquash}, p.Name) {
		fault("task", "stands in a file that is called as what runs with no file: choose another name, such as nightly-%s.yaml", p.Name)
	}
	p.folderLine, p.folderColumn = config.Locate(data, "folder")
	p.checkTask(fault)
	p.checkSchedule(zone, fault)
	for key, given := range map[string]bool{"shops": len(p.Shops) > 0, "streams": len(p.Streams) > 0, "repair": p.Repair, "to": p.To != "", "with_keys": p.WithKeys, "keep": p.Keep != 0, "folder": p.Folder != "", "shop": p.Shop != "", "new_shop": p.NewShop, "mapping": p.Mapping != ""} {
		if of := keysOfTasks[key]; given && !slices.Contains(of, p.Task) {
			fault(key, "is of %s, and the task is %s", strings.Join(of, ", "), p.Task)
		}
	}
	if p.Task == taskImport && p.Shop != "" {
		if err := p.checkShop(shops); err != nil {
			fault("shop", "is %s: %v", p.Shop, err)
		}
	}
	for i, name := range p.Shops {
		if !slices.ContainsFunc(shops, func(s shop) bool { return s.platform+"/"+s.name == name }) {
			fault(fmt.Sprintf("shops[%d]", i), "is %s, which oneid.yaml does not have under shops", name)
		}
	}
	for i, stream := range p.Streams {
		if !slices.ContainsFunc(shops, func(s shop) bool { return s.has(stream) }) {
			fault(fmt.Sprintf("streams[%d]", i), "is %s, which no shop has", stream)
		}
	}
	var err error
	if p.schedule, err = p.times(zone); err != nil && len(faults) == 0 {
		fault("schedule", "is wrong: %v", err)
	}
	return p, errors.Join(faults...)
}

// keysOfTasks are the keys that are of some tasks alone.
var keysOfTasks = map[string][]string{
	"shops": {taskPull, taskReconcile, taskReplay}, "streams": {taskPull, taskReplay}, "repair": {taskReconcile},
	"to": {taskBackup}, "with_keys": {taskBackup}, "keep": {taskBackup}, "folder": {taskImport}, "shop": {taskImport}, "new_shop": {taskImport}, "mapping": {taskImport},
}

// checkShop says whether the shop of an import can be meant.
func (p pipeline) checkShop(shops []shop) error {
	_, shop, _ := strings.Cut(p.Shop, "/")
	if err := connectors.CheckShop(shop); err != nil || p.NewShop {
		return err
	}
	named := make([]string, len(shops))
	for i, s := range shops {
		named[i] = s.platform + "/" + s.name
	}
	return checkNamed(p.Shop, named)
}

// checkTask names the faults of what is to be done.
func (p pipeline) checkTask(fault func(key, format string, args ...any)) {
	switch p.Task {
	case taskPull, taskSquash:
	case taskReconcile:
		if p.Days < 1 {
			fault("days", "must be at least 1")
		}
	case taskReplay:
		if p.Window <= 0 {
			fault("window", "must be longer than nothing")
		}
	case taskBackup:
		if p.To == "" {
			fault("to", "is missing: name the folder of the backups")
		}
		if p.Keep < 0 {
			fault("keep", "must be 0, for all, or more")
		}
	case taskImport:
		if p.Folder == "" {
			fault("folder", "is missing: name the folder to watch")
		}
		if p.Mapping == "" && p.Shop == "" {
			fault("shop", "is missing: name the PLATFORM/SHOP that exported the files, or a mapping")
		}
	case "":
		fault("task", "is missing: pull, reconcile, squash, backup, replay or import")
	default:
		fault("task", "must be pull, reconcile, squash, backup, replay or import")
	}
}

// checkSchedule names the faults of when it is to be done.
func (p pipeline) checkSchedule(zone string, fault func(key, format string, args ...any)) {
	switch {
	case p.Schedule != "" && p.Every != 0:
		fault("every", "stands beside schedule: write one of them")
	case p.Every < 0 || p.Every != 0 && time.Duration(p.Every) < time.Second:
		fault("every", "must be at least 1s")
	case p.Schedule == "" && p.Every == 0 && !p.Paused:
		fault("schedule", "is missing: write schedule, every, or paused: true for a pipeline that runs by hand alone")
	}
	if _, err := time.LoadLocation(p.Timezone); err != nil {
		fault("timezone", "is not known: %v; write an IANA name such as Asia/Shanghai", err)
	} else if _, err := p.times(zone); err != nil {
		fault("schedule", "is wrong: %v", err)
	}
}

// times is the schedule; that of a pipeline by hand alone never comes.
func (p pipeline) times(zone string) (schedule.Schedule, error) {
	switch {
	case p.Every > 0:
		return schedule.Every(time.Duration(p.Every)), nil
	case p.Schedule == "":
		return schedule.Schedule{}, nil
	}
	if p.Timezone != "" {
		zone = p.Timezone
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return schedule.Schedule{}, err
	}
	return schedule.Cron(p.Schedule, location)
}

// pipelineFault adds where to read about pipelines.
func pipelineFault(err error) error {
	return hinted{err, "`oneid run --sample` prints a file with every key"}
}

// has says whether the shop's connector has a stream.
func (s shop) has(stream string) bool {
	for _, one := range s.connector.Spec().Streams {
		if one.Name == stream {
			return true
		}
	}
	return false
}
