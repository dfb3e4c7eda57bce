package k8sauditreceiver

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/receiver/k8sauditreceiver/internal/metadata"
)

// sourceType is what rules name in "source:".
const sourceType = "k8s_audit"

// NewFactory returns the factory of windhover_k8saudit receivers.
func NewFactory() receiver.Factory {
	var rs instance.Receivers
	of := func(settings receiver.Settings, c component.Config) *instance.Receiver {
		config := c.(*Config)
		return rs.Of(c, instance.Settings{
			Receiver: settings, Type: sourceType, Config: config.Instance,
			Open: func(ctx context.Context, in *instance.Instance) (func(context.Context) error, error) {
				return open(ctx, config, in)
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

// open begins to read all that a configuration names.
func open(ctx context.Context, c *Config, in *instance.Instance) (func(context.Context) error, error) {
	var closers []func(context.Context) error
	closeAll := func(ctx context.Context) error {
		var errs []error
		for _, closer := range closers {
			errs = append(errs, closer(ctx))
		}
		return errors.Join(errs...)
	}
	s := feed.Settings{Instance: in, Format: feed.FormatOf(sourceType), MaxEventBytes: c.MaxEventBytes}
	if c.Webhook.Enabled() {
		closer, err := feed.OpenWebhook(ctx, feed.WebhookSettings{Settings: s, Config: c.Webhook, ContentTypes: []string{"application/json"}})
		if err != nil {
			return nil, err
		}
		closers = append(closers, closer)
	}
	if len(c.Files.Include) > 0 {
		closer, err := feed.OpenFiles(ctx, feed.FilesSettings{
			Settings: s, Config: c.Files, MaxBatchBytes: c.MaxEventBytes,
			Ended: func(reason string) {
				if !c.Webhook.Enabled() {
					in.End(reason)
				}
			},
		})
		if err != nil {
			return nil, errors.Join(err, closeAll(ctx))
		}
		closers = append(closers, closer)
	}
	return closeAll, nil
}
