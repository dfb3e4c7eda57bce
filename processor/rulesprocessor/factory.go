package rulesprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/windhover/windhover/processor/rulesprocessor/internal/metadata"
)

// NewFactory returns the factory of windhover_rules processors.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithLogs(func(ctx context.Context, settings processor.Settings, c component.Config, next consumer.Logs) (processor.Logs, error) {
			return newProcessor(ctx, settings, c.(*Config), next)
		}, metadata.LogsStability))
}
