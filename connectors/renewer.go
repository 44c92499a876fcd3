package connectors

// A Renewer is a connector whose settings change while it reads: the platform
// gives a new token, and takes the old one no more, or gives only so many.
type Renewer interface {
	// OnRenewed has tell called with the settings that have new values, by
	// name, each time there are such, and before they are used. They are
	// secrets. Call it before the first reading.
	OnRenewed(tell func(settings map[string]string))
}
