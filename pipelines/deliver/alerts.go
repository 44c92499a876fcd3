package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"oneid/internal/httpclient"
	"oneid/internal/pubsub"
	"oneid/schemas/events"
)

const (
	// alertsPerSecond bounds what reaches people's telephones.
	alertsPerSecond = 5
	// rememberAlerts is how long an alert that comes twice is told once.
	rememberAlerts = time.Hour
	// staleAlert is how old an alert may be to be told: a new webhook, or one
	// that was away for days, is not told of days gone by.
	staleAlert = 24 * time.Hour
)

// alertGroup is the consumer group of a webhook of alerts.
func alertGroup(brand, webhook string) string { return brand + ".alert." + webhook }

// change tells a webhook of an alert that comes from the topic, if it changes
// anything.
func (d *Deliverer) change(h *hook, m *message.Message) error {
	origin, ok := pubsub.OriginOf(m.Context())
	if !ok {
		return errors.New("deliver: the message has no origin")
	}
	alert := new(events.Alert)
	if err := proto.Unmarshal(m.Payload, alert); err != nil {
		return errors.New("deliver: the message is no alert")
	}
	if news, err := h.news.news(m.Context(), origin, alert); err != nil || !news {
		return err
	}
	if h.robot != nil && fresh(alert) {
		return h.together.tell(m.Context(), alert)
	}
	return d.alert(m.Context(), h, alert)
}

// fresh says whether an alert is young enough to be told.
func fresh(alert *events.Alert) bool {
	return time.Since(time.UnixMilli(alert.GetChangedMs())) <= staleAlert
}

// alert tells a webhook of an alert.
func (d *Deliverer) alert(ctx context.Context, h *hook, alert *events.Alert) error {
	if !fresh(alert) {
		return nil
	}
	if h.robot != nil {
		return d.say(ctx, h, h.robot.text(d.config.Brand, alert))
	}
	body, err := alertEvent(d.config.Brand, alert)
	if err != nil {
		return err
	}
	return d.post(ctx, h, alert.GetAlertId(), body)
}

// say says a text to a robot, once.
func (d *Deliverer) say(ctx context.Context, h *hook, text string) error {
	_, err := h.client.Do(ctx, "robot",
		func(int) (httpclient.Request, error) { return h.robot.request(text, time.Now()) },
		func(r httpclient.Response) error { return h.robot.check(h.client, r) })
	d.note(h, err)
	if err != nil {
		return fmt.Errorf("deliver: tell robot %s: %w", h.Name, err)
	}
	return nil
}
