package connectors

import "fmt"

// Class says what to do about a platform's refusal.
type Class int

// The classes of errors, from the mildest to the gravest.
const (
	// Retry: the platform's own fault, or the network's; the same call again.
	Retry Class = iota
	// Throttle: called too often; wait Error.Wait, then the same call again.
	Throttle
	// Refresh: the token has expired; renew it once, then the same call again.
	Refresh
	// SkipRecord: this one record cannot be had; go on without it.
	SkipRecord
	// StopStream: the call is wrong or not permitted; this stream cannot go on.
	StopStream
	// StopShop: nothing of this shop can be read until a person acts.
	StopShop
)

var classNames = [...]string{"retry", "throttle", "refresh", "skip record", "stop stream", "stop shop"}

func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("Class(%d)", int(c))
	}
	return classNames[c]
}
