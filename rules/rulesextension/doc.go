// Package rulesextension holds one rule set for every receiver and processor of a
// collector. It reads the rules again when their files change; a set with errors
// leaves the one before in use, which is visible in the log, the status and metrics.
//
// Components find it through Host.GetExtensions as a rules.Provider. Start with
// extension.go.
package rulesextension

//go:generate mdatagen metadata.yaml
