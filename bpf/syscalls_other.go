//go:build !amd64 && !arm64

package bpf

// tables is empty: the programs are not built for this architecture.
var tables [NumABIs][]string
