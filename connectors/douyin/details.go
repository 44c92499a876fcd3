package douyin

import (
	"context"
	"encoding/json"
	"errors"

	"oneid/connectors"
)

// detail is a method that says more of a row than its list does.
type detail struct {
	method string
	// without is the log message of a shop whose app may not call it.
	without string
	// ask are the parameters for the row of a number.
	ask func(id string) map[string]any
	// kept is what a record takes of an answer: times and kinds, and no words,
	// pictures or names of people.
	kept func(answer json.RawMessage) json.RawMessage
}

// aftersaleDetail tells what was negotiated: {"record_logs_list":[{"time","action",
// "role"}]}.
var aftersaleDetail = detail{
	method: "afterSale.Detail", without: "after-sales come without their first answer: the app may not read one alone",
	ask: func(id string) map[string]any {
		return map[string]any{"after_sale_id": id, "need_operation_record": true}
	},
	kept: func(answer json.RawMessage) json.RawMessage {
		const name = "record_logs_list"
		logs := connectors.Find(connectors.Find(answer, "process_info")[0], name)[0]
		if logs == nil {
			return connectors.Object()
		}
		rows := []json.RawMessage{}
		for _, row := range connectors.Elements(logs) {
			rows = append(rows, connectors.Pick(row, "time", "action", "role"))
		}
		list, err := json.Marshal(rows)
		if err != nil {
			return connectors.Object()
		}
		return connectors.Object(connectors.Member{Name: name, Value: list})
	},
}

// serviceDetail tells when a service ticket was first answered and when it was
// closed, which the list gives as the last reply and the last change.
var serviceDetail = detail{
	method: "order.serviceDetail", without: "service tickets come as their list shows them: the app may not read one alone",
	ask: func(id string) map[string]any { return map[string]any{"service_id": json.Number(id)} },
	kept: func(answer json.RawMessage) json.RawMessage {
		return connectors.Pick(connectors.Find(answer, "detail")[0],
			"first_reply_time", "close_time", "is_reject", "reject_time", "evidence_required", "expiration_time")
	},
}

// version is one state of a row.
type version struct{ method, id, updated string }

// detailsKept is how many rows' details are remembered: the overlap of a window
// shows a row again that was read a moment ago.
const detailsKept = 10_000

// detailOf is what a listing's detail says of a row; nil where the platform does
// not give it, so that the row is all there is.
func (c *Connector) detailOf(ctx context.Context, l listing, row listed, anew bool) (json.RawMessage, error) {
	of := version{l.detail.method, number(row.id), string(row.updated)}
	if of.id == "" {
		return nil, nil // Map says what is wrong
	}
	if known, ok := c.details.Get(of); ok && !anew {
		return known, nil
	}
	var answer entity
	had, err := c.extras[l.stream].Call(func() error {
		err := c.client.call(ctx, l.detail.method, l.detail.ask(of.id), &answer)
		if ofThisRow(err) {
			return connectors.ErrMissing
		}
		return err
	})
	if !had || err != nil || !connectors.Valid(answer) {
		return nil, err
	}
	kept := l.detail.kept(json.RawMessage(answer))
	c.details.Put(of, kept)
	return kept, nil
}

// ofThisRow says of a refusal that it is about the one row: of afterSale.Detail 11000
// means its number and 10002 that nothing is there to be given (documented), while
// of the lists they mean a wrong parameter or time. order.serviceDetail takes no
// parameter but the ticket's number, so a wrong one is that.
func ofThisRow(err error) bool {
	var refused *connectors.Error
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Op {
	case aftersaleDetail.method:
		return refused.SubCode == "isv.parameter-invalid:11000" || refused.SubCode == "isv.business-failed:10002"
	case serviceDetail.method:
		return refused.SystemCode == "40004"
	}
	return false
}
