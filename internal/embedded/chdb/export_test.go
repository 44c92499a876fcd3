package chdb

// WithoutLandlock makes Start believe that the system has none.
func WithoutLandlock() (restore func()) {
	canConfine = func() (files, network bool) { return false, false }
	return func() { canConfine = CanConfine }
}
