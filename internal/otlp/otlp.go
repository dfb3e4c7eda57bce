// Package otlp turns alerts into OpenTelemetry log records and the ledger into
// OpenTelemetry metrics.
//
// It is the only place that names attributes, severities and metrics. EncodeAlerts
// makes log records; Instrument registers the metrics of the table in metric.go, and
// ToPMetric makes what a metrics receiver sends.
package otlp
