package syscallreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/receiver/syscallreceiver/internal/metadata"
)

// sourceType is what rules name in "source:".
const sourceType = "syscall"

// NewFactory returns the factory of windhover_syscall receivers.
func NewFactory() receiver.Factory {
	var rs instance.Receivers
	of := func(settings receiver.Settings, c component.Config) *instance.Receiver {
		config := c.(*Config)
		return rs.Of(c, instance.Settings{
			Receiver: settings, Type: sourceType, Config: config.Instance,
			Open: func(_ context.Context, in *instance.Instance) (func(context.Context) error, error) {
				r, err := open(config, in)
				if err != nil {
					return nil, err
				}
				return r.close, nil
			},
		})
	}
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithLogs(func(_ context.Context, settings receiver.Settings, c component.Config, next consumer.Logs) (receiver.Logs, error) {
			r := of(settings, c)
			r.Logs = next
			return r, nil
		}, metadata.LogsStability),
		receiver.WithMetrics(func(_ context.Context, settings receiver.Settings, c component.Config, next consumer.Metrics) (receiver.Metrics, error) {
			r := of(settings, c)
			r.Metrics = next
			return r, nil
		}, metadata.MetricsStability),
	)
}
