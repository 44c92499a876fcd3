package pull

import (
	"context"
	"fmt"

	"oneid/connectors"
)

// Page maps, seals and publishes one page that came by another way than Read,
// such as what a platform told of by itself: the same events, dead letters and
// counts come of it, and what differs of its payloads is noted and told with the
// stream's next round. The cursor stays where it is. It returns once Kafka has
// all of it. Once and Page are not called at the same time.
func (p *Puller) Page(ctx context.Context, page connectors.Page) (Summary, error) {
	var sum Summary
	if p.looker == nil {
		p.looker = p.Drifts.pushed(p)
	}
	messages, err := p.seal(page, &sum)
	if err == nil {
		err = p.send(ctx, messages)
	}
	if err != nil {
		return Summary{}, fmt.Errorf("pull: a page of %s/%s/%s: %w", p.Platform, p.Shop, p.Stream, err)
	}
	if p.Count != nil {
		p.Count(sum)
	}
	p.keepDrifts(ctx)
	return sum, nil
}
