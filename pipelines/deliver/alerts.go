package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"oneid/internal/httpclient"
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

// alert tells a webhook of an alert.
func (d *Deliverer) alert(ctx context.Context, h *hook, value []byte) error {
	alert := new(events.Alert)
	if err := proto.Unmarshal(value, alert); err != nil {
		return errors.New("deliver: the message is no alert")
	}
	if time.Since(time.UnixMilli(alert.GetChangedMs())) > staleAlert {
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
