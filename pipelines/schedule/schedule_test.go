package schedule

import (
	"testing"
	"time"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func cronOf(t *testing.T, text, in string) Schedule {
	t.Helper()
	s, err := Cron(text, zone(t, in))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// What comes after a moment, in the zone's own time: also where its clock jumps.
func TestAfter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ cron, zone, from, want string }{
		"the brand's night is UTC's evening":   {"30 3 * * *", "Asia/Shanghai", "2026-11-11T00:00:00Z", "2026-11-11T19:30:00Z"},
		"strictly after":                       {"30 3 * * *", "Asia/Shanghai", "2026-11-11T19:30:00Z", "2026-11-12T19:30:00Z"},
		"day of the week":                      {"0 9 * * 1", "Asia/Shanghai", "2026-11-11T00:00:00Z", "2026-11-16T01:00:00Z"},
		"a name":                               {"@daily", "Asia/Shanghai", "2026-11-11T00:00:00Z", "2026-11-11T16:00:00Z"},
		"skipped: an hour later":               {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		"after what was skipped: as always":    {"30 2 * * *", "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"},
		"skipped ones fall on others":          {"*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
		"twice: the first time":                {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		"twice: not again":                     {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		"half an hour's jump (Lord Howe)":      {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", "2026-10-03T15:45:00Z"},
		"the evening after the clock was put":  {"0 20 * * *", "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-29T18:00:00Z"},
		"the morning before the clock is put":  {"0 1 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T00:00:00Z"},
		"the evening after it was put back":    {"0 20 * * *", "Europe/Berlin", "2026-10-25T02:00:00Z", "2026-10-25T19:00:00Z"},
		"leap day":                             {"0 0 29 2 *", "UTC", "2026-11-11T00:00:00Z", "2028-02-29T00:00:00Z"},
		"the last minute of a year, elsewhere": {"59 23 31 12 *", "America/New_York", "2026-11-11T00:00:00Z", "2027-01-01T04:59:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cronOf(t, c.cron, c.zone).After(at(t, c.from)); !got.Equal(at(t, c.want)) {
				t.Errorf("%s in %s after %s: %s, want %s", c.cron, c.zone, c.from, got.UTC().Format(time.RFC3339), c.want)
			}
		})
	}
}

// Whatever the zone and the moment: the next time is later, and the one after
// it later still; none lies between.
func TestAfterGrows(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"} {
		for _, text := range []string{"*/7 * * * *", "30 2 * * *", "0 */3 * * *"} {
			s := cronOf(t, text, name)
			from := at(t, "2026-03-01T00:00:00Z")
			next := s.After(from)
			for moment := from; moment.Before(at(t, "2026-11-30T00:00:00Z")); moment = moment.Add(53 * time.Minute) {
				if !moment.Before(next) {
					next = s.After(moment)
				}
				if got := s.After(moment); !got.Equal(next) || !got.After(moment) {
					t.Fatalf("%s in %s after %s: %s, want %s", text, name, moment, got.UTC(), next.UTC())
				}
			}
		}
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	nightly := cronOf(t, "30 3 * * *", "Asia/Shanghai") // 19:30 UTC
	const yesterday = "2026-11-10T19:30:00Z"
	for name, c := range map[string]struct {
		s         Schedule
		done, now string
		catchUp   bool
		at, for_  string
		missed    bool
	}{
		"not yet":                             {nightly, yesterday, "2026-11-11T19:00:00Z", true, "2026-11-11T19:30:00Z", "2026-11-11T19:30:00Z", false},
		"now":                                 {nightly, yesterday, "2026-11-11T19:30:00Z", true, "2026-11-11T19:30:00Z", "2026-11-11T19:30:00Z", false},
		"a little late is not missed":         {nightly, yesterday, "2026-11-11T19:30:59Z", false, "2026-11-11T19:30:00Z", "2026-11-11T19:30:00Z", false},
		"a minute late is not missed":         {nightly, yesterday, "2026-11-11T19:31:00Z", false, "2026-11-11T19:30:00Z", "2026-11-11T19:30:00Z", false},
		"more than a minute late is missed":   {nightly, yesterday, "2026-11-11T19:31:01Z", true, "2026-11-11T19:30:00Z", "2026-11-11T19:31:01Z", true},
		"and let go, without catching up":     {nightly, yesterday, "2026-11-11T19:31:01Z", false, "2026-11-12T19:30:00Z", "2026-11-12T19:30:00Z", false},
		"every half minute, a minute late":    {Every(30 * time.Second), yesterday, "2026-11-10T19:31:30Z", true, "2026-11-10T19:30:30Z", "2026-11-10T19:31:30Z", false},
		"every half minute, and more":         {Every(30 * time.Second), yesterday, "2026-11-10T19:31:31Z", true, "2026-11-10T19:30:30Z", "2026-11-10T19:31:31Z", true},
		"an outage of three days, once":       {nightly, yesterday, "2026-11-14T08:00:00Z", true, "2026-11-13T19:30:00Z", "2026-11-14T08:00:00Z", true},
		"an outage, without catching up":      {nightly, yesterday, "2026-11-14T08:00:00Z", false, "2026-11-14T19:30:00Z", "2026-11-14T19:30:00Z", false},
		"an outage that ends on time":         {nightly, "2026-11-01T19:30:00Z", "2026-11-11T19:30:10Z", true, "2026-11-11T19:30:00Z", "2026-11-11T19:30:00Z", false},
		"a clock that was a year ahead":       {nightly, "2027-11-11T19:30:00Z", "2026-11-11T19:00:00Z", true, "2026-11-11T19:30:00Z", "2026-11-11T19:30:00Z", false},
		"every: that long after the last":     {Every(time.Hour), yesterday, "2026-11-10T19:40:00Z", true, "2026-11-10T20:30:00Z", "2026-11-10T20:30:00Z", false},
		"every: missed":                       {Every(time.Hour), yesterday, "2026-11-11T19:40:00Z", true, "2026-11-10T20:30:00Z", "2026-11-11T19:40:00Z", true},
		"years of minutes missed end somehow": {cronOf(t, "* * * * *", "UTC"), "2016-01-01T00:00:00Z", "2026-11-11T19:40:30Z", true, "2016-01-01T16:41:00Z", "2026-11-11T19:40:30Z", true},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.s.Due(at(t, c.done), at(t, c.now), c.catchUp)
			if !got.At.Equal(at(t, c.at)) || !got.For.Equal(at(t, c.for_)) || got.Missed != c.missed {
				t.Errorf("done %s, now %s: due %s for %s, missed %v; want %s for %s, %v", c.done, c.now,
					got.At.UTC().Format(time.RFC3339), got.For.UTC().Format(time.RFC3339), got.Missed, c.at, c.for_, c.missed)
			}
			// What was done is not due again.
			if again := c.s.Due(got.For, at(t, c.now), c.catchUp); !got.At.After(at(t, c.now)) && !again.At.After(at(t, c.now)) {
				t.Errorf("it is due again at %s", again.At.UTC())
			}
		})
	}
}

func TestCronRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "x", "* * * *", "61 * * * *", "0 0 30 2 *", "@every 1m", "TZ=UTC 0 0 * * *", "CRON_TZ=UTC 0 0 * * *", "0 0 0 * * *"} {
		if s, err := Cron(text, time.UTC); err == nil {
			t.Errorf("%q was taken as %s", text, s)
		}
	}
}

func FuzzCron(f *testing.F) {
	f.Add("30 3 * * *", int64(1762889400))
	f.Add("@daily", int64(0))
	f.Add("TZ=Mars 0 0 1-5/2 * MON-FRI", int64(-1))
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		s, err := Cron(text, berlin)
		if err != nil {
			return
		}
		from := time.Unix(unix%4e9, 0)
		if next := s.After(from); !next.IsZero() && !next.After(from) {
			t.Errorf("%q after %s: %s", text, from, next)
		}
	})
}
