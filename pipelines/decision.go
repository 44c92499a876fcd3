package pipelines

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"oneid/identity"
	"oneid/schemas/events"
)

// DecodeDecision reads a decision and refuses one that nothing can be done
// with. Its error repeats no value.
func DecodeDecision(value []byte, d *events.Decision) error {
	if err := proto.Unmarshal(value, d); err != nil {
		return fmt.Errorf("decode a decision: %w", err)
	}
	return checkDecision(d)
}

// checkDecision refuses a decision that nothing can be done with.
func checkDecision(d *events.Decision) error {
	want := 1
	switch d.GetKind() {
	case events.DecisionKind_DECISION_KIND_UNSPECIFIED:
		return errors.New("decision: the decision has no kind")
	case events.DecisionKind_DECISION_KIND_SAME, events.DecisionKind_DECISION_KIND_DIFFERENT:
		want = 2
	case events.DecisionKind_DECISION_KIND_UNDO:
		want = 0
		if d.GetUndoes() == "" {
			return errors.New("decision: the undo does not say what it takes back")
		}
	case events.DecisionKind_DECISION_KIND_ADOPT:
		want = 0
		if _, err := identity.ParseRules(d.GetRules()); err != nil {
			return fmt.Errorf("decision: the rules to adopt cannot be read: %w", err)
		}
	default: // erase and consent are of one account
	}
	if d.GetDecisionId() == "" {
		return errors.New("decision: the decision has no id")
	}
	if len(d.GetAccounts()) < want {
		return fmt.Errorf("decision: the decision names %d accounts, want %d", len(d.GetAccounts()), want)
	}
	for _, account := range d.GetAccounts() {
		if _, err := identity.ParseAccount(account); err != nil {
			return errors.New("decision: the decision names an account that is not written platform/shop/id")
		}
	}
	return nil
}
