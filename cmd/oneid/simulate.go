package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"oneid/connectors/simulator"
)

// simulateCmd runs the simulators of the platforms alone.
type simulateCmd struct {
	People  int       `help:"How many people to invent." default:"1000"`
	Seed    uint64    `help:"Which people: the same seed invents the same." default:"1"`
	Until   time.Time `help:"Where the data end (RFC 3339); default: now, or what the folder recorded. As on the platforms, windows are counted from now: Tmall lists orders of the last three months (older ones in its history), Douyin of the last 90 days, and the data reach back 80 days from their end; a stream is read from 90 days ago on. So an end more than 10 days ago hides some, and one of three months ago all." format:"2006-01-02T15:04:05Z07:00"`
	Tmall   string    `help:"Address of Tmall's face." default:"127.0.0.1:0"`
	Douyin  string    `help:"Address of Douyin's face." default:"127.0.0.1:0"`
	Weidian string    `help:"Address of Weidian's face." default:"127.0.0.1:0"`
	Sobot   string    `help:"Address of the help-desk Sobot's face." default:"127.0.0.1:0"`
	JSON    bool      `help:"Print nothing but the line with the addresses."`

	PushDouyin  string `help:"Address to which Douyin pushes what changes, such as http://127.0.0.1:8443/push/douyin/4463798; default: nowhere." placeholder:"URL"`
	PushWeidian string `help:"Address to which Weidian pushes what changes; default: nowhere." placeholder:"URL"`
	PushSign    string `help:"How Douyin signs pushes: md5 or hmac-sha256; default: both by turns." placeholder:"METHOD"`

	Faults faultFlags `embed:"" prefix:"fault-" group:"Faults: how the platforms misbehave; the same calls meet the same faults again"`
}

// faultFlags are how the platforms are to misbehave.
type faultFlags struct {
	Rate      float64           `help:"Share of the calls that go wrong, 0 to 1, in a mixture of the kinds."`
	Kinds     []simulator.Fault `help:"Which faults there are; default all: bad_gateway, html, truncated, cut, slow, duplicate, expired_token, throttled, busy."`
	Seed      uint64            `help:"Which calls go wrong, and how." default:"1"`
	Changes   float64           `help:"Share of the list calls before which an order changes, 0 to 1."`
	Skew      time.Duration     `help:"How far the platforms' clocks are ahead of this machine's."`
	Late      time.Duration     `help:"How late the platforms' lists show what changed."`
	PerSecond int               `help:"Calls a second that each method may get; 0 is no limit."`
	PerDay    int               `help:"Calls a day that Tmall's app may make; 0 is no limit."`
}

// faults are those of the flags.
func (f faultFlags) faults() simulator.Faults {
	return simulator.Faults{
		Seed: f.Seed, Rate: f.Rate, Kinds: f.Kinds, Changes: f.Changes, SkewSeconds: int(f.Skew / time.Second), LateSeconds: int(f.Late / time.Second),
		PerSecond: f.PerSecond, PerDay: f.PerDay,
	}
}

// given says that any of the flags asks for a fault.
func (f faultFlags) given() bool {
	return f.Rate != 0 || f.Changes != 0 || f.Skew != 0 || f.Late != 0 || f.PerSecond != 0 || f.PerDay != 0
}

// Help shows below the usage.
func (simulateCmd) Help() string {
	return "First prints one line of JSON: where each platform's face answers, and the keys for it. Any client of a platform that is pointed there is served as by the platform, and refused as by the platform. Runs until Ctrl-C. With --dir the folder records where the data end, and the same world comes back from it. An order can be made to change: POST /_simulator/change on any face. With the --fault flags, or faults in the folder's simulator.json, the platforms misbehave as real ones do on a bad day; off by default. Served is what reads and whose answer's shape the platforms publish. Limits: methods that write, and those of which no shape is published (such as Tmall's traderates.get, Douyin's order.searchByReceiver; the whole list is `go doc oneid/connectors/simulator`), answer as methods that do not exist. Douyin and Weidian push what changes to the addresses of --push-douyin and --push-weidian, some of it twice and out of order, and again until it is answered as the platform wants; Tmall's message service is connected to at its face (ws://…)."
}

// Run serves the faces.
func (c simulateCmd) Run(ctx context.Context, f folder, given dirGiven) error {
	world := simulator.Config{People: c.People, Seed: c.Seed, Until: c.Until}
	if c.Faults.given() {
		world.Faults = c.Faults.faults()
	}
	if given {
		var err error
		if world, err = f.world(world); err != nil {
			return err
		}
	} else if world.Until.IsZero() {
		world.Until = time.Now().UTC().Truncate(time.Second)
	}
	if c.Faults.given() {
		world.Faults = c.Faults.faults() // in place of those that the folder recorded
	}
	group, ctx := errgroup.WithContext(ctx)
	push := func(world *simulator.World, platform, url string) {
		if url == "" {
			return
		}
		pusher := &simulator.Pusher{World: world, Platform: platform, URL: url, Seed: world.Config().Seed, Repeat: 0.1, Spread: 200 * time.Millisecond, SignMethod: c.PushSign}
		group.Go(func() error { return pusher.Run(ctx) })
	}
	group.Go(func() error { return c.serve(ctx, world, push) })
	return group.Wait()
}

// serve serves the faces of a world until ctx ends, and has pushed what changes.
func (c simulateCmd) serve(ctx context.Context, world simulator.Config, push func(world *simulator.World, platform, url string)) error {
	return simulator.Serve(ctx, world, simulator.Listen{Tmall: c.Tmall, Douyin: c.Douyin, Weidian: c.Weidian, Sobot: c.Sobot}, func(w *simulator.World, e simulator.Endpoints) {
		push(w, simulator.PlatformDouyin, c.PushDouyin)
		push(w, simulator.PlatformWeidian, c.PushWeidian)
		line, err := json.Marshal(e)
		if err != nil {
			panic(err) // texts and times always have a JSON form
		}
		fmt.Println(string(line))
		if !c.JSON {
			fmt.Fprintf(os.Stderr, "%d people, seed %d, from %s to %s; Ctrl-C ends\n", world.People, world.Seed, e.From.Format(time.RFC3339), e.Until.Format(time.RFC3339))
		}
	})
}

// world is the world of the folder: the one that its simulator.json records,
// or else the wanted one, recorded there. It refuses another seed or size
// than the recorded, and a folder that somebody made for shops of their own.
func (f folder) world(want simulator.Config) (simulator.Config, error) {
	recorded, err := simulator.Load(string(f))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(f.path(settingsFile)); err == nil {
			return want, hinted{
				fmt.Errorf("%s is an instance of its own, and no invented people are put into it", f),
				"take another --dir: a folder that the demo makes, or one that does not exist",
			}
		}
		if want.Until.After(time.Now().Add(time.Minute)) {
			return want, hinted{errors.New("--until lies in the future"), "leave it out, or name a moment that has been: the platforms answer for what has happened"}
		}
		if want.Until.IsZero() {
			want.Until = time.Now().UTC().Truncate(time.Second)
		}
		if err := os.MkdirAll(string(f), 0o700); err != nil {
			return want, fmt.Errorf("make the data folder: %w", err)
		}
		return want, want.Save(string(f))
	case err != nil:
		return want, err
	case recorded.People != want.People || recorded.Seed != want.Seed:
		return want, hinted{
			fmt.Errorf("%s holds a world of %d people with seed %d, not of %d with seed %d", f, recorded.People, recorded.Seed, want.People, want.Seed),
			fmt.Sprintf("ask for --people %d --seed %d, or take another --dir", recorded.People, recorded.Seed),
		}
	case !want.Until.IsZero() && !want.Until.Equal(recorded.Until):
		return want, hinted{
			fmt.Errorf("the data of %s end at %s, not at %s", f, recorded.Until.Format(time.RFC3339), want.Until.Format(time.RFC3339)),
			"leave --until out, or take another --dir",
		}
	}
	return recorded, nil
}
