package main

import (
	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/receiver"

	"github.com/windhover/windhover/cmd/windhover/host"
	"github.com/windhover/windhover/exporter/consoleexporter"
	"github.com/windhover/windhover/exporter/falcojsonexporter"
	"github.com/windhover/windhover/receiver/jsonreceiver"
	"github.com/windhover/windhover/receiver/k8sauditreceiver"
	"github.com/windhover/windhover/receiver/syscallreceiver"
	"github.com/windhover/windhover/rules/rulesextension"
)

// factories lists every component that a configuration can contain.
func factories() host.Factories {
	return host.Factories{
		Receivers: []receiver.Factory{
			syscallreceiver.NewFactory(),
			k8sauditreceiver.NewFactory(),
			jsonreceiver.NewFactory(),
		},
		Exporters: []exporter.Factory{
			consoleexporter.NewFactory(),
			falcojsonexporter.NewFactory(),
			otlpexporter.NewFactory(),
			otlphttpexporter.NewFactory(),
		},
		Extensions: []extension.Factory{
			rulesextension.NewFactory(),
			filestorage.NewFactory(),
		},
	}
}
