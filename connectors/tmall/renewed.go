package tmall

import "oneid/connectors"

var _ connectors.Renewer = (*Connector)(nil)

// OnRenewed implements connectors.Renewer: a refreshed session, and with it
// perhaps another refresh token.
func (c *Connector) OnRenewed(tell func(settings map[string]string)) {
	before := c.client.onToken
	c.client.onToken = func(session, refreshToken string) {
		if before != nil {
			before(session, refreshToken)
		}
		tell(map[string]string{"session": session, "refresh_token": refreshToken})
	}
}
