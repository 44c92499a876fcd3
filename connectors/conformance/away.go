package conformance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"oneid/connectors"
	"oneid/schemas/events"
)

// longAway is longer than some platforms list what changed.
const longAway = 150 * 24 * time.Hour

// A stream that stood still for long brings all that changed meanwhile, or its connector
// says that something lacks; and a backfill brings all since the moment from which it
// says that it reads.
func testLongAway(t *testing.T, s Subject) {
	b := open(t, s, nil)
	seeker, ok := b.Connector.(connectors.Seeker)
	if !ok {
		return
	}
	stood, _ := seeker.Since(time.Now().Add(-4 * 24 * time.Hour))
	began := time.Now().Add(-5 * 24 * time.Hour)
	time.Sleep(longAway)
	truth := b.Truth()

	came, excused := make(map[string]int64), []events.Kind(nil)
	for _, stream := range b.Spec().Streams {
		r := whole(t, b, stream.Name, stood)
		merge(came, r.newest)
		if lacking, can := b.Connector.(connectors.Lacking); can {
			if says, _ := lacking.Lacks(stream.Name, r.next); says != "" {
				excused = append(excused, stream.Kinds...)
			}
		}
	}
	for key := range truth {
		if slices.Contains(excused, kindOf(key)) {
			delete(truth, key)
			delete(came, key)
		}
	}
	complete(t, truth, came)

	past, ok := b.Connector.(connectors.Backfiller)
	if !ok {
		return
	}
	until := past.Until(time.Now())
	clear(came)
	truth = b.Truth()
	for _, stream := range b.Spec().Streams {
		from, begins := until.(connectors.Seeker).Since(began)
		if c, can := until.(connectors.StreamSeeker); can {
			from, begins = c.SinceOf(stream.Name, began)
		}
		merge(came, whole(t, until, stream.Name, from).newest)
		for key, version := range truth {
			if slices.Contains(stream.Kinds, kindOf(key)) && begins.After(time.UnixMilli(max(version, began.UnixMilli()))) {
				delete(truth, key) // it says that it reads from later on
			}
		}
	}
	for key := range came {
		if _, is := truth[key]; !is {
			delete(came, key) // another stream of that kind reaches further back
		}
	}
	complete(t, truth, came)
}

// merge adds the newest versions of one reading to those of others.
func merge(all, more map[string]int64) {
	for key, version := range more {
		all[key] = max(all[key], version)
	}
}

// kindOf is the kind of what a truth names "kind id".
func kindOf(key string) events.Kind {
	kind, _, _ := strings.Cut(key, " ")
	return events.Kind(kind)
}
