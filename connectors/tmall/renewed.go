package tmall

import "oneid/connectors"

var _ connectors.Renewer = (*Connector)(nil)

// OnRenewed implements connectors.Renewer: a refreshed session, and with it
// perhaps another refresh token. It is called before the first call.
func (c *Connector) OnRenewed(tell func(settings map[string]string)) {
	c.client.tokens.Renewed = func(t connectors.Token) {
		tell(map[string]string{"session": t.Access, "refresh_token": t.Refresh})
	}
}
