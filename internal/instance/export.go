package instance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
)

// A batch of alerts waits until there are maxBatch of them, but no longer than
// batchTime: a persistent queue costs as much for a batch as for one alert, and an
// alert should not be late.
const (
	maxBatch  = 128
	batchTime = 2 * time.Millisecond
)

const (
	// settleTime is how long no delivery must have failed for a working one to be taken
	// as a sign of health.
	settleTime = 5 * time.Second
	// graceTime is how long a consumer gets to return after its context has ended.
	graceTime = time.Second
)

const (
	partDelivery = "delivery"
	partMetrics  = "metrics"
)

// exporting is the end of the way of an event: it is not on the goroutine that reads.
type exporting struct {
	failed   time.Time // the last time that alerts were not taken
	answered atomic.Uint64

	cancelAlerts, cancelMetrics context.CancelFunc
	alerts, metrics             sync.WaitGroup // of goroutines
}

func (x *exporting) start(in *Instance) {
	var alerts, metrics context.Context
	alerts, x.cancelAlerts = context.WithCancel(context.Background())
	x.alerts.Go(func() { in.sendAlerts(alerts) })
	metrics, x.cancelMetrics = context.WithCancel(context.Background())
	if in.metrics != nil {
		x.metrics.Go(func() { in.sendMetrics(metrics) })
	}
	if in.fold != nil {
		x.metrics.Go(func() { in.fold.Run(metrics) })
	}
}

// stop waits until the alerts of the closed queue are handed over, or ctx is done:
// then what is left is counted as failed.
func (x *exporting) stop(ctx context.Context) error {
	err := within(ctx, "hand over alerts", &x.alerts)
	x.cancelAlerts()
	x.cancelMetrics()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceTime)
	defer cancel()
	return errors.Join(err,
		within(grace, "end the export of alerts", &x.alerts),
		within(grace, "end the export of metrics", &x.metrics))
}

// within waits for wg until ctx is done.
func within(ctx context.Context, what string, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}

// sendAlerts hands alerts to the next consumer until the queue is closed and empty.
func (in *Instance) sendAlerts(ctx context.Context) {
	resource := otlp.HostResource(in.Receiver.BuildInfo.Version)
	batch := make([]*alert.Alert, 0, maxBatch)
	for {
		batch = in.Alerts.Take(context.Background(), batch, maxBatch, batchTime)
		if len(batch) == 0 {
			return
		}
		in.deliver(ctx, batch, resource)
		in.export.answered.Add(uint64(len(batch)))
		clear(batch)
	}
}

func (in *Instance) deliver(ctx context.Context, batch []*alert.Alert, resource otlp.Resource) {
	if in.logs == nil {
		in.Account.Acknowledged(len(batch)) // alerts were not asked for
		return
	}
	if ctx.Err() != nil {
		in.Account.Failed(ledger.FailShutdown, len(batch))
		return
	}
	err := in.logs.ConsumeLogs(ctx, otlp.EncodeAlerts(batch, resource))
	switch {
	case err == nil:
		in.Account.Acknowledged(len(batch))
		if !in.export.failed.IsZero() && time.Since(in.export.failed) > settleTime {
			in.export.failed = time.Time{}
			in.SetPart(partDelivery, "")
		}
		return
	case ctx.Err() != nil:
		in.Account.Failed(ledger.FailShutdown, len(batch))
	case consumererror.IsPermanent(err):
		in.Account.Failed(ledger.FailPermanent, len(batch))
	default:
		in.Account.Failed(ledger.FailRefused, len(batch))
	}
	in.export.failed = time.Now()
	in.SetPart(partDelivery, fmt.Sprintf("alerts could not be handed over: %v", err))
}

// sendMetrics hands the metrics of the source to the next consumer at every interval,
// and once more when ctx is done.
func (in *Instance) sendMetrics(ctx context.Context) {
	var book ledger.Book
	book.Add(in.Account)
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	unregister, err := otlp.Instrument(provider, &book)
	if err != nil {
		in.SetPart(partMetrics, "metrics cannot be made: "+err.Error())
		return
	}
	defer func() { _ = unregister() }()

	ticker := time.NewTicker(in.Config.MetricsInterval)
	defer ticker.Stop()
	var data metricdata.ResourceMetrics
	for {
		last := false
		select {
		case <-ticker.C:
		case <-ctx.Done():
			last = true
		}
		if err := in.sendMetricsOnce(reader, &data); err != nil {
			in.SetPart(partMetrics, "metrics could not be handed over: "+err.Error())
		} else {
			in.SetPart(partMetrics, "")
		}
		if last {
			return
		}
	}
}

func (in *Instance) sendMetricsOnce(reader *metric.ManualReader, data *metricdata.ResourceMetrics) error {
	ctx, cancel := context.WithTimeout(context.Background(), in.Config.MetricsInterval)
	defer cancel()
	if err := reader.Collect(ctx, data); err != nil {
		in.Receiver.Logger.Warn("metrics are incomplete", zap.Error(err))
	}
	return in.metrics.ConsumeMetrics(ctx, otlp.ToPMetric(data, in.live.Generation()))
}
