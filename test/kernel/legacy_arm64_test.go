//go:build linux

package kernel

import "testing"

// legacyOpenCases are the calls that this architecture does not have: none.
func legacyOpenCases(*testing.T, func(string) string) []openCase { return nil }

func legacyGenericCases(func(string) string) []genericCase { return nil }
