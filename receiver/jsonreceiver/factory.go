package jsonreceiver

import (
	"context"
	"errors"
	"os"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/receiver/jsonreceiver/internal/metadata"
)

// NewFactory returns the factory of windhover_json receivers.
func NewFactory() receiver.Factory { return newFactory(feed.NewInput(os.Stdin, "standard input")) }

func newFactory(stdin *feed.Input) receiver.Factory {
	var rs instance.Receivers
	of := func(settings receiver.Settings, c component.Config) *instance.Receiver {
		config := c.(*Config)
		return rs.Of(c, instance.Settings{
			Receiver: settings, Type: config.Source, Config: config.Instance,
			Open: func(ctx context.Context, in *instance.Instance) (func(context.Context) error, error) {
				return open(ctx, config, in, stdin)
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

// open begins to read all that a configuration names. The source ends when all of it
// has ended, which requests, the socket and files that are followed never do.
func open(ctx context.Context, c *Config, in *instance.Instance, stdin *feed.Input) (func(context.Context) error, error) {
	format, err := c.format()
	if err != nil {
		return nil, err
	}
	s := feed.Settings{Instance: in, Format: format, MaxEventBytes: c.MaxEventBytes}
	stream := feed.StreamSettings{Settings: s, MaxBatchBytes: c.MaxBatchBytes, Documents: c.Batch == batchDocument}

	var open atomic.Int32
	ended := func(reason string) {
		if open.Add(-1) == 0 {
			in.End(reason)
		}
	}
	var opens []func() (func(context.Context) error, error)
	if c.Webhook.Enabled() {
		opens = append(opens, func() (func(context.Context) error, error) {
			w := feed.WebhookSettings{Settings: s, Config: c.Webhook, ContentTypes: c.contentTypes(), Admit: c.admit()}
			if c.Source == field.Okta {
				w.Challenge = challenge
			}
			return feed.OpenWebhook(ctx, w)
		})
	}
	if c.Socket.Path != "" {
		opens = append(opens, func() (func(context.Context) error, error) {
			mode, err := c.Socket.mode()
			if err != nil {
				return nil, err
			}
			return feed.OpenSocket(ctx, stream, c.Socket.Path, mode)
		})
	}
	if len(c.Files.Include) > 0 {
		opens = append(opens, func() (func(context.Context) error, error) {
			return feed.OpenFiles(ctx, feed.FilesSettings{
				Settings: s, Config: c.Files, MaxBatchBytes: c.MaxBatchBytes, Documents: stream.Documents, Ended: ended,
			})
		})
	}
	if c.Stdin {
		opens = append(opens, func() (func(context.Context) error, error) { return stdin.Open(stream, ended) })
	}

	var closers []func(context.Context) error
	closeAll := func(ctx context.Context) error {
		var errs []error
		for _, closer := range closers {
			errs = append(errs, closer(ctx))
		}
		return errors.Join(errs...)
	}
	open.Store(int32(len(opens)))
	for _, o := range opens {
		closer, err := o()
		if err != nil {
			return nil, errors.Join(err, closeAll(ctx))
		}
		closers = append(closers, closer)
	}
	return closeAll, nil
}
