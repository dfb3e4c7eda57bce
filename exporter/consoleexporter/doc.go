//go:generate mdatagen metadata.yaml

// Package consoleexporter writes alerts to standard output or a file: as lines for
// people, or as JSON objects for programs, one a line.
//
// It reads log records only, so it works in any collector. Start with factory.go;
// text.go and json.go are the two formats.
package consoleexporter
