package host

import (
	"context"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// logsFanout is what receivers see as the next consumer: every exporter of alerts.
type logsFanout struct {
	outlets []*outlet[plog.Logs]
	mutates []bool // this exporter changes what it gets, and so gets a copy
	// resource is set by the user and added to what receivers say.
	resource map[string]string
}

func (f *logsFanout) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// ConsumeLogs returns an error if one of the exporters refused the batch; the others
// have it nevertheless.
func (f *logsFanout) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	if len(f.resource) > 0 {
		for _, rl := range ld.ResourceLogs().All() {
			for name, value := range f.resource {
				rl.Resource().Attributes().PutStr(name, value)
			}
		}
	}
	copies := make([]plog.Logs, len(f.outlets))
	for i := range f.outlets {
		copies[i] = ld
		if f.mutates[i] {
			copies[i] = plog.NewLogs()
			ld.CopyTo(copies[i])
		}
	}
	ld.MarkReadOnly()
	return send(f.outlets, func(i int) plog.Logs { return copies[i] })
}

func measureLogs(ld plog.Logs) (items int, bytes int64) {
	return ld.LogRecordCount(), int64((&plog.ProtoMarshaler{}).LogsSize(ld))
}

func measureMetrics(md pmetric.Metrics) (items int, bytes int64) {
	return md.DataPointCount(), int64((&pmetric.ProtoMarshaler{}).MetricsSize(md))
}
