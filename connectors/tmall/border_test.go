package tmall

import (
	"context"
	"fmt"
	"testing"
	"time"

	"oneid/connectors"
)

// Where the border of the two lists passed a window while the call for its edge
// waited, the history is read once more: it ended before the window's end when it
// was read.
func TestTheBorderPassesWhileACallWaits(t *testing.T) {
	t.Parallel()
	a, c := newAnswers(t, Config{Parallel: 1})
	from := time.Now().Add(-91 * day).Truncate(time.Second)
	at := from.Add(time.Hour).In(zone).Format(timeLayout)
	order := func(tid int) string {
		return fmt.Sprintf(`{"tid":%d,"status":"TRADE_FINISHED","created":%q,"modified":%q,"ouid":"o1"}`, tid, at, at)
	}
	a.say[createdList] = func(int, map[string]string) string {
		return `!{"error_response":{"code":41,"sub_code":"isv.invalid-parameter:start_created"}}`
	}
	a.say[historyList] = func(n int, _ map[string]string) string {
		if n == 1 { // the border lies within the window
			return `{"has_next":false,"trades":{"trade":[` + order(1) + `]}}`
		}
		return `{"has_next":false,"trades":{"trade":[` + order(1) + `,` + order(2) + `]}}`
	}
	came := make(map[string]bool)
	past := c.past(func(page connectors.Page) error {
		for _, record := range page.Records {
			list, err := c.Map(record)
			if err != nil {
				return err
			}
			came[list[0].GetHeader().GetEntityId()] = true
		}
		return nil
	})
	if cut, err := past.both(t.Context(), connectors.Window{From: from, To: from.Add(day)}); cut || err != nil || len(came) != 2 {
		t.Errorf("cut: %t, %v; %d of 2 orders came", cut, err, len(came))
	}
}

// What a refusal of a window, and of the history, is taken for.
func TestRefusalsOfTheHistory(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code, op         string
		kind             error
		refused, missing bool
	}{
		"a bound":                 {code: "isv.invalid-parameter:start_created", refused: true},
		"a bound that is missing": {code: "isv.missing-parameter:end_created", refused: true},
		"no name":                 {code: "isv.invalid-parameter", refused: true},
		"another parameter":       {code: "isv.missing-parameter:fields"},
		"no right":                {op: historyList, kind: connectors.ErrForbidden, missing: true},
		"out of service":          {op: historyList, kind: connectors.ErrGone, missing: true},
		"no right to another":     {op: createdList, kind: connectors.ErrForbidden},
	} {
		err := fmt.Errorf("a day: %w", &connectors.Error{Class: connectors.StopStream, Op: c.op, SubCode: c.code, Kind: c.kind})
		if refused(err) != c.refused || isMissing(err) != c.missing {
			t.Errorf("%s: refused: %t, missing: %t", name, refused(err), isMissing(err))
		}
	}
	if refused(context.Canceled) || isMissing(context.Canceled) {
		t.Error("an end by the caller is none")
	}
}
