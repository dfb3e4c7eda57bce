//go:generate mdatagen metadata.yaml

// Package falcojsonexporter sends alerts in the shape of Falco's JSON output to what
// reads that: a file, an HTTP server, the standard input of a program, or syslog.
//
// It reads log records only, so it works in any collector. Start with factory.go; an
// output is a file of its own, and internal/falcojson has the shape.
package falcojsonexporter
