// Package library holds the rules that Windhover ships. Each file stands alone; the
// lists at its top are what users replace.
package library

import "embed"

// FS holds the files.
//
//go:embed *.yaml
var FS embed.FS
