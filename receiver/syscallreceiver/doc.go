// Package syscallreceiver reports what happens on a Linux host: it reads the samples
// of the kernel side, knows the processes behind them, shows every event to the rules
// and hands alerts to the next consumer as logs, and losses and rates as metrics.
//
// The way of an event: capture.go reads a sample on the goroutine of its shard,
// decode.go turns it into an event in place, internal/state adds the process,
// internal/pipeline matches. internal/instance delivers the alerts. Start with
// receiver.go.
package syscallreceiver

//go:generate mdatagen metadata.yaml
