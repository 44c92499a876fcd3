// Package conformance is the suite that every connector passes: Run reads a
// simulated shop through the connector and holds what comes against what the
// shop has.
//
// It promises of a connector that passes: each stream is read whole, also while
// rows move or show themselves late, while the network fails, and when it is broken
// off after any page; a wrong secret reads nothing; limits are kept and used, by
// several processes together, which share a token too; each code of the
// table of codes does what the table says; a row that cannot be read costs
// itself alone; Map is pure, tolerates what it does not know, and never
// panics; what the platform changes in its payloads is told; a push is taken from
// the platform alone, and brings what a reading brings; no error repeats a secret
// or a value. It leaves to a connector's own
// tests what is the platform's alone: signatures against published vectors,
// and golden files of documented examples.
//
// Time is testing/synctest's: hours of waiting cost nothing.
package conformance

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"oneid/connectors"
)

// Subject is a connector and the simulated platform that it reads.
type Subject struct {
	// Platform is the connector's name.
	Platform string
	// Serve makes a shop with what the suite asks for; it starts nothing that
	// outlives the test.
	Serve func(t *testing.T, ask Ask) Shop
	// Call says what a request is about.
	Call func(r *http.Request, body []byte) Call
	// Codes is the connector's table of codes, as connectors.ParseCodes reads it.
	Codes []byte
	// Refusal is an answer of the platform's with a code of the table, which asks
	// for a wait, of whole seconds; 0 says nothing of one. Its text for people, where
	// it has one, is Words.
	Refusal func(code connectors.Code, wait time.Duration) (status int, body string)
	// Waits: the platform can say how long a refusal for rate lasts.
	Waits bool
	// Shapes is the file of what is known of the payloads' form, shape.json: the
	// suite adds what its shop shows when it is run with -update. "" where another
	// test keeps it.
	Shapes string
	// Rows are the names under which the rows of lists stand in the platform's
	// answers.
	Rows []string

	// Details: what a list names is asked for one by one. Gone is an answer to
	// that which gives nothing, and has no code; nil where the table has a code
	// that skips a record.
	Details bool
	Gone    func() (status int, body string)
	// Unsigned: the platform takes requests without a signature.
	Unsigned bool
	// OwnClock: a refusal because of the clock is final. Otherwise the call is
	// tried once more, by the platform's clock.
	OwnClock bool
	// Halves, if set, says that a code is answered with shorter windows: how
	// often the list is asked for then is the connector's own matter.
	Halves func(code connectors.Code) bool
}

// Words are the text for people in the refusals of a Subject. Nothing may
// repeat it: platforms put values of the call there.
const Words = "words that stay here"

// Ask is what the suite wants of a shop.
type Ask struct {
	// Seed chooses the shop's data.
	Seed uint64
	// Orders is about how many orders it has, in the last three days; of a
	// help-desk, tickets.
	Orders int
	// Now is the platform's clock.
	Now func() time.Time
	// PerSecond is how many calls of a method the platform takes in a second; 0
	// is no limit.
	PerSecond int
}

// Shop is a simulated shop.
type Shop struct {
	// Face answers as the platform does.
	Face http.Handler
	// Open makes a connector of the shop.
	Open func(o Options) (connectors.Connector, error)
	// Truth is what the shop has now: for each entity, written "kind id", its
	// version (milliseconds of its last change), or 0 where the platform gives
	// none.
	Truth func() map[string]int64
	// Refunded is what has gone back by each refund, in the minor unit: 0 where nothing
	// has. Nil where the shop has no refunds.
	Refunded func() map[string]int64
	// Change lets one entity change, at Ask.Now; which, h chooses.
	Change func(h uint64)
	// Push is what the platform posts when an entity of a stream has changed; ok is
	// false where it tells of none there. Nil where it pushes nothing, or the
	// connector's own tests show it.
	Push func(stream, id string) (push connectors.Push, ok bool)
	// Secrets must stand in no error.
	Secrets []string
}

// Options are what the suite sets of a connector's settings. It keeps no more
// than five days back, settles at least a second before the present and looks
// back by ten seconds.
type Options struct {
	Transport http.RoundTripper
	// WrongSecret: the app's secret is not the right one.
	WrongSecret bool
	// PerSecond bounds the calls of each method, or of all; 0 is no bound.
	PerSecond float64
	// PerDay is the quota of calls a day; 0 is none.
	PerDay int
	// Serial: one call follows the other, where the connector can make several
	// at the same time.
	Serial bool
}

// Call is what a request is about.
type Call struct {
	// Stream whose rows it lists page by page; empty for any other call, one
	// that only counts among them.
	Stream string
	// Detail: it asks for one entity, or a part of one, that a list named.
	Detail bool
	// Token: it asks for a token.
	Token bool
	// Method is the platform's name of what is called.
	Method string
	// Signature of the request; empty where there is none.
	Signature string
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	for name, test := range map[string]func(*testing.T, Subject){
		"Spec":            testSpec,
		"Check":           testCheck,
		"Everything":      testEverything,
		"UnknownCursor":   testUnknownCursor,
		"LongAway":        testLongAway,
		"Resume":          testResume,
		"Moving":          testMoving,
		"Clock":           testClock,
		"Late":            testLate,
		"Outage":          testOutage,
		"Signature":       testSignature,
		"Rate":            testRate,
		"SharedRate":      testSharedRate,
		"Quota":           testQuota,
		"Network":         testNetwork,
		"TokenEnds":       testTokenEnds,
		"TokenEndsAgain":  testTokenEndsAgain,
		"SharedToken":     testSharedToken,
		"Throttled":       testThrottled,
		"OneStreamStops":  testOneStreamStops,
		"StrayStatus":     testStrayStatus,
		"MissingEntity":   testMissingEntity,
		"BrokenRow":       testBrokenRow,
		"BrokenOnce":      testBrokenOnce,
		"Drift":           testDrift,
		"Push":            testPush,
		"MapIsPure":       testMapIsPure,
		"MapTolerates":    testMapTolerates,
		"Money":           testMoney,
		"MapNeverPanics":  testMapNeverPanics,
		"SameInEachRound": testSameInEachRound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, s) })
		})
	}
	t.Run("Codes", func(t *testing.T) {
		t.Parallel()
		testCodes(t, s)
	})
}
