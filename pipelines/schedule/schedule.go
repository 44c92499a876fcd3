// Package schedule says when something is due, and does it then: by one of all
// the processes of a brand, never beside itself, and once for all times that
// were missed while nobody ran.
//
// What is due follows from three things alone: the schedule, the time up to
// which it was done, and now. That time lies in a Store which all processes
// share; whoever has the Lock looks there once more before it begins, so that
// two processes which wake up at the same moment do it once.
//
// Times of a cron schedule are those of a clock on the wall of its zone. Where
// that clock is put forward, a time that it skips counts as much later as it
// was put forward (02:30 becomes 03:30); where it is put back, a time that
// comes twice counts the first time only.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule says at which times something is due. The zero value never is.
type Schedule struct {
	text  string
	every time.Duration
	cron  cron.Schedule
	zone  *time.Location
}

// Every is due again that long after it was begun.
func Every(d time.Duration) Schedule { return Schedule{text: "every " + d.String(), every: d} }

// fields are the five of crontab(5), or one of @hourly, @daily, @weekly,
// @monthly, @yearly.
var fields = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Cron reads five fields (minute, hour, day of the month, month, day of the
// week), whose times are those of a zone.
func Cron(text string, zone *time.Location) (Schedule, error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case strings.Contains(trimmed, "TZ="):
		return Schedule{}, errors.New("the zone does not stand in the schedule: write timezone")
	case strings.HasPrefix(trimmed, "@every"):
		return Schedule{}, errors.New("write every: 10m in place of @every")
	}
	parsed, err := fields.Parse(trimmed)
	if err != nil {
		return Schedule{}, fmt.Errorf("%q is no schedule (%w): write five fields, minute hour day month weekday, such as 30 3 * * *", text, err)
	}
	s := Schedule{text: trimmed, cron: parsed, zone: zone}
	if s.After(time.Now()).IsZero() {
		return Schedule{}, fmt.Errorf("%q never comes", text)
	}
	return s, nil
}

// String is the schedule as it was written.
func (s Schedule) String() string {
	if s.cron == nil {
		return s.text
	}
	return s.text + " " + s.zone.String()
}

// Interval is the time between two runs of Every; 0 for cron.
func (s Schedule) Interval() time.Duration { return s.every }

// After is the first time after t; zero for never.
func (s Schedule) After(t time.Time) time.Time {
	switch {
	case s.every > 0:
		return t.Add(s.every)
	case s.cron == nil:
		return time.Time{}
	}
	// The library counts on a clock without jumps: the wall's, called UTC.
	wall := wallOf(t.In(s.zone))
	if _, now := t.In(s.zone).Zone(); offset(t.Add(-jump), s.zone) != now {
		wall = wall.Add(-jump) // what the clock has just skipped may be still to come
	}
	var best time.Time
	for {
		wall = s.cron.Next(wall)
		if wall.IsZero() || !best.IsZero() && !wall.Before(wallOf(best)) {
			return best
		}
		if moment := onWall(wall, s.zone); moment.After(t) && (best.IsZero() || moment.Before(best)) {
			best = moment
		}
	}
}

// jump is more than any clock is put at once.
const jump = 3 * time.Hour

// wallOf is what the clock shows, as a time of UTC.
func wallOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

func offset(t time.Time, zone *time.Location) int {
	_, seconds := t.In(zone).Zone()
	return seconds
}

// onWall is when the clock of a zone shows a time for the first time; for one
// that it skips, when it would have shown it had it not been put forward.
func onWall(wall time.Time, zone *time.Location) time.Time {
	at := func(seconds int) time.Time { return wall.Add(-time.Duration(seconds) * time.Second).In(zone) }
	// No clock is put on two days running.
	before := offset(wall.Add(-26*time.Hour), zone)
	first := at(before)
	after := offset(first, zone)
	if second := at(after); after != before && offset(second, zone) == after {
		return second
	}
	return first
}

// Due is a time at which something is to be done.
type Due struct {
	// At is when to begin; not after now if it is due already.
	At time.Time
	// For is the time of the schedule that this does, together with all before
	// it.
	For time.Time
	// Missed says that the time has long passed: nobody ran then.
	Missed bool
}

// late is how long after its time a run still counts as on time.
const late = time.Minute

// Due says when it is to be done next. done is the time of the schedule up to
// which it was done. Of several times that were missed the last is done, once;
// without catchUp none of them is.
func (s Schedule) Due(done, now time.Time, catchUp bool) Due {
	if done.After(now) {
		done = now // by another machine's clock
	}
	next := s.After(done)
	if next.IsZero() || next.After(now) {
		return Due{At: next, For: next}
	}
	if s.every > 0 {
		return Due{At: next, For: now, Missed: now.Sub(next) > max(late, s.every)}
	}
	last := next
	// Past a thousand missed times it is enough that there were some.
	for range 1000 {
		following := s.After(last)
		if following.IsZero() || following.After(now) {
			break
		}
		last = following
	}
	if now.Sub(last) <= late {
		return Due{At: last, For: last}
	}
	if !catchUp {
		following := s.After(now)
		return Due{At: following, For: following}
	}
	// Not the last one found: after a thousand, later ones may have been missed.
	return Due{At: last, For: now, Missed: true}
}
