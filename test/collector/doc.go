// Package collector runs an OpenTelemetry Collector built with Windhover's components
// (deploy/ocb/manifest.yaml) against the live kernel. Its tests take the build tag
// collector and the binary: make test-collector.
package collector
