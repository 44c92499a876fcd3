package deliver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"oneid/schemas/events"
)

// event is what a webhook gets: CloudEvents 1.0 in JSON, structured mode.
type event struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Type            string `json:"type"`
	Source          string `json:"source"`
	Subject         string `json:"subject"`
	Time            string `json:"time"`
	DataContentType string `json:"datacontenttype"`
	Data            any    `json:"data"`
}

type changeData struct {
	Account    string `json:"account"`
	CustomerID string `json:"customer_id"`
	// PreviousCustomerID is absent at an account's birth.
	PreviousCustomerID string `json:"previous_customer_id,omitempty"`
	// Version orders the changes of one account. It is text: not every
	// reader of JSON keeps 64 bits.
	Version string `json:"version"`
	Reason  string `json:"reason"`
}

// eventID names a change: the same one has the same id however often it is
// sent.
func eventID(c *events.IdentityChange) string {
	return c.GetAccount() + "|" + strconv.FormatUint(c.GetVersion(), 10)
}

func changeEvent(brand string, c *events.IdentityChange) ([]byte, error) {
	return json.Marshal(event{
		SpecVersion: "1.0", ID: eventID(c), Type: "oneid.identity.changed.v1", Source: "/" + brand + "/identity", Subject: c.GetAccount(),
		Time: time.UnixMilli(c.GetChangedMs()).UTC().Format(time.RFC3339Nano), DataContentType: "application/json",
		Data: changeData{
			Account: c.GetAccount(), CustomerID: c.GetCustomerId(), PreviousCustomerID: c.GetPreviousCustomerId(),
			Version: strconv.FormatUint(c.GetVersion(), 10), Reason: c.GetReason(),
		},
	})
}

type alertData struct {
	// Kind is resolver, connector or reconciliation.
	Kind string `json:"kind"`
	// Subject is which one: platform/shop/stream, or a machine.
	Subject string `json:"subject"`
	// State is raised or cleared.
	State string `json:"state"`
	// Detail says what happened and what to do; absent when it is cleared.
	Detail string `json:"detail,omitempty"`
}

func alertEvent(brand string, a *events.Alert) ([]byte, error) {
	state := "raised"
	if a.GetState() == events.AlertState_ALERT_STATE_CLEARED {
		state = "cleared"
	}
	return json.Marshal(event{
		SpecVersion: "1.0", ID: a.GetAlertId(), Type: "oneid.alert." + state + ".v1", Source: "/" + brand + "/alerts",
		Subject: a.GetKind() + "/" + a.GetSubject(), Time: time.UnixMilli(a.GetChangedMs()).UTC().Format(time.RFC3339Nano),
		DataContentType: "application/json", Data: alertData{a.GetKind(), a.GetSubject(), state, a.GetDetail()},
	})
}

// signed are the headers of a body, in the words of Standard Webhooks 1.0,
// for which most languages have a library: the id, the time of this attempt
// in seconds, and "v1," with the base64 of the HMAC-SHA-256, under the
// secret's bytes, of id.time.body. An id may hold any character, so that in
// the header it is the hash of the event's.
func signed(id string, at time.Time, body []byte, secret string) http.Header {
	sum := sha256.Sum256([]byte(id))
	name, stamp := base64.RawURLEncoding.EncodeToString(sum[:16]), strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(name + "." + stamp + "."))
	mac.Write(body)
	return http.Header{
		"Content-Type":      {"application/cloudevents+json; charset=utf-8"},
		"Webhook-Id":        {name},
		"Webhook-Timestamp": {stamp},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
}
