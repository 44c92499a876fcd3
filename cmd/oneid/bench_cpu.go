package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/pprof/profile"
)

// ownCPU is the CPU time that this process has used, and peakMiB the most
// memory that it held.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// peakMiB is the most memory that this process held at once. What a process
// held before it became this program does not count.
func peakMiB() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, errors.New("bench: the peak of memory is known on Linux alone")
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("bench: the system does not say the peak of memory")
}

// cpuOf is the CPU time of another process of ours; 0 where the system does
// not say it, or for none.
func cpuOf(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, used := threadTime(string(stat))
	return used
}

// engineThreads tell what the engine's threads do by how ClickHouse names them.
// What is not named is the inserts' and the queries' own work.
var engineThreads = map[string]string{
	"MergeMutate": "merge", "BgSchPool": "refresh", "ExternalLoader": "dictionary", "DictReload": "dictionary",
	"PoolDelayExec": "idle", "MemoryWorker": "idle", "BgStrmSchPool": "idle", "Fetch": "idle", "Move": "idle",
}

// threadsOf is the CPU time of another process's threads by what they do, as
// far as they still live; empty where the system does not say it.
func threadsOf(pid int) map[string]time.Duration {
	times := map[string]time.Duration{}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if pid == 0 || err != nil {
		return times
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/stat", pid, task.Name()))
		if err != nil {
			continue // it has ended
		}
		name, used := threadTime(string(stat))
		work, named := engineThreads[name]
		if !named {
			work = "insert"
		}
		times[work] += used
	}
	return times
}

// threadTime reads a line of stat: the name, in parentheses, may hold anything;
// user and system time are fields 14 and 15, in hundredths of a second.
func threadTime(stat string) (name string, used time.Duration) {
	open, shut := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || shut < open {
		return "", 0
	}
	fields := strings.Fields(stat[shut+1:])
	if len(fields) < 13 {
		return "", 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return stat[open+1 : shut], time.Duration(user+system) * 10 * time.Millisecond
}

// machineCPU is the CPU time that all processes of the machine have used; 0
// where the system does not say it.
func machineCPU() time.Duration {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	var used int64
	for i, field := range strings.Fields(line) {
		// cpu user nice system idle iowait irq softirq steal; guests are in user.
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseInt(field, 10, 64)
		used += n
	}
	return time.Duration(used) * 10 * time.Millisecond
}

// meter measures the CPU time of this process, and of the children by name.
type meter struct {
	children func() map[string]int
	began    time.Time
	at       map[string]time.Duration
}

func (m *meter) read() map[string]time.Duration {
	now := map[string]time.Duration{"oneid": ownCPU(), "machine": machineCPU()}
	for name, pid := range m.children() {
		now[name] = cpuOf(pid)
	}
	return now
}

func (m *meter) start() { m.at, m.began = m.read(), time.Now() }

// usage is what was used since start.
type usage struct {
	took time.Duration
	// by process, in seconds; others are all that are not ours.
	by     map[string]float64
	sum    float64
	others float64
}

func (m *meter) stop() usage {
	u := usage{took: time.Since(m.began), by: map[string]float64{}}
	for name, now := range m.read() {
		spent := (now - m.at[name]).Seconds()
		if name == "machine" {
			u.others = spent
			continue
		}
		u.by[name] = spent
		u.sum += spent
	}
	u.others = max(u.others-u.sum, 0)
	return u
}

// flowStages tell the stages of the flow by the functions that do them: of a
// sample's stack, the innermost function that one of them names decides.
var flowStages = []struct {
	stage string
	names []string
}{
	{"read", []string{"oneid/internal/kafka.(*Fetcher)", "kafka-go.(*Batch)", "oneid/pipelines/resolve.readAhead", "kafka-go.(*messageSetReader)", "kafka-go.(*Conn)"}},
	{"open", []string{"oneid/schemas/events.(*Slab).OpenPerson", "oneid/internal/keyring.(*Ring).Open"}},
	{"decode", []string{"oneid/pipelines/resolve.decode", "oneid/schemas/events.(*Slab)", "oneid/schemas/events.Decode", "oneid/schemas/events.Check"}},
	{"extract", []string{"oneid/identity/extract."}},
	{"seal", []string{"oneid/pipelines/resolve.(*Identity).seal"}},
	{"state", []string{"oneid/internal/state.", "cockroachdb/pebble"}},
	{"apply", []string{"oneid/identity/engine.", "oneid/pipelines/resolve.(*Identity).apply", "oneid/identity.(*Rules)"}},
	{"columns", []string{"oneid/schemas/tables.(*Orders)", "oneid/schemas/tables.(*Users)", "oneid/schemas/tables.(*Tickets)", "oneid/schemas/tables.(*RawEvents)", "oneid/pipelines/resolve.(*Blocks)"}},
	{"insert", []string{"oneid/internal/clickhouse.", "clickhouse-go", "ch-go", "net/http."}},
	{"publish", []string{"oneid/pipelines/resolve.(*Resolver).publish", "oneid/internal/kafka.(*Publisher)", "kafka-go.(*Writer)", "kafka-go.(*partitionWriter)", "kafka-go.(*Transport)", "kafka-go.(*conn)", "kafka-go.(*Client)"}},
	{"gc", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge"}},
}

// stageOf is the stage of a stack, innermost function first.
func stageOf(stack []string) string {
	for _, function := range stack {
		for _, s := range flowStages {
			for _, name := range s.names {
				if strings.Contains(function, name) {
					return s.stage
				}
			}
		}
	}
	return "other"
}

// profiled runs f under the CPU profiler, and shares out the CPU time of this
// process among the stages, in seconds.
func profiled(f func() error) (shares map[string]float64, recorded []byte, err error) {
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		return nil, nil, fmt.Errorf("bench: profile: %w", err)
	}
	err = f()
	pprof.StopCPUProfile()
	if err != nil {
		return nil, nil, err
	}
	read, err := profile.ParseData(out.Bytes())
	if err != nil {
		return nil, nil, fmt.Errorf("bench: read the profile: %w", err)
	}
	shares = map[string]float64{}
	for _, sample := range read.Sample {
		var stack []string
		for _, location := range sample.Location {
			for _, line := range location.Line {
				stack = append(stack, line.Function.Name)
			}
		}
		shares[stageOf(stack)] += float64(sample.Value[1]) / 1e9
	}
	return shares, out.Bytes(), nil
}
