package consoleexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/windhover/windhover/exporter/consoleexporter/internal/metadata"
)

// NewFactory returns the factory of the console exporter.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		func() component.Config { return newDefaultConfig() },
		exporter.WithLogs(createLogs, metadata.LogsStability),
	)
}

func createLogs(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Logs, error) {
	c := newConsole(cfg.(*Config), set)
	logs, err := exporterhelper.NewLogs(ctx, set, cfg, c.consume,
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		// How long a reader may take is up to its user: see console.consume.
		exporterhelper.WithTimeout(exporterhelper.TimeoutConfig{Timeout: 0}),
		exporterhelper.WithQueue(c.config.SendingQueue),
		exporterhelper.WithStart(c.start),
		exporterhelper.WithShutdown(c.close),
	)
	if err != nil {
		return nil, err
	}
	return &stopper{Logs: logs, console: c}, nil
}

// stopper tells the console that the end is near before exporterhelper waits for the
// queue to drain: nobody may be reading.
type stopper struct {
	exporter.Logs
	console *console
}

// Shutdown writes what is queued and closes the output.
func (s *stopper) Shutdown(ctx context.Context) error {
	s.console.hurry()
	return s.Logs.Shutdown(ctx)
}
