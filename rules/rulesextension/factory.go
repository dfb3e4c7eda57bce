package rulesextension

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"

	"github.com/windhover/windhover/rules/rulesextension/internal/metadata"
)

// NewFactory returns the factory of the windhover_rules extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(metadata.Type, createDefaultConfig, create, metadata.ExtensionStability)
}

func create(_ context.Context, settings extension.Settings, config component.Config) (extension.Extension, error) {
	return newExtension(settings, config.(*Config)), nil
}
