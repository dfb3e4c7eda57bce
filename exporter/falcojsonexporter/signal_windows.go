package falcojsonexporter

// onSignal does nothing: Windows has no SIGUSR1.
func onSignal(func()) (stop func()) { return func() {} }
