//go:build collector && linux

package collector

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

const logRules = `
- rule: root signed in
  desc: The root account signed in to the console.
  condition: ct.name = ConsoleLogin and ct.user.identitytype = Root
  output: root signed in (address=%ct.srcip)
  priority: CRITICAL
  source: aws_cloudtrail

- rule: login failed
  desc: Somebody tried a password.
  condition: log.body startswith "Failed password" and resource.attribute[service.name] = sshd
  output: login failed (service=%resource.attribute[service.name] user=%log.attribute[user.name])
  priority: WARNING
  source: log
`

const logConfig = `
extensions:
  windhover_rules:
    files: [%[1]q]
receivers:
  windhover_json:
    source: aws_cloudtrail
    files: {include: [%[2]q], start_at: beginning}
  otlp:
    protocols: {http: {endpoint: %[3]s}}
processors:
  windhover_rules:
    mode: alerts_only
exporters:
  otlp_grpc:
    endpoint: %[4]s
    tls: {insecure: true}
service:
  extensions: [windhover_rules]
  telemetry:
    metrics: {level: none}
  pipelines:
    logs/files:
      receivers: [windhover_json]
      exporters: [otlp_grpc]
    logs/records:
      receivers: [otlp]
      processors: [windhover_rules]
      exporters: [otlp_grpc]
`

func TestAlertsOnFilesAndRecordsArriveAtOTLP(t *testing.T) {
	t.Parallel()
	sink := startSink(t)
	dir := t.TempDir()
	var trail bytes.Buffer
	z := gzip.NewWriter(&trail)
	if _, err := z.Write([]byte(`{"Records":[{"eventTime":"2026-01-02T03:04:05Z","eventName":"ConsoleLogin","sourceIPAddress":"192.0.2.7","userIdentity":{"type":"Root"}}]}`)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	trailFile, rulesFile, configFile := filepath.Join(dir, "trail.json.gz"), filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "collector.yaml")
	write(t, trailFile, trail.String())
	write(t, rulesFile, logRules)
	endpoint := freeAddress(t)
	write(t, configFile, fmt.Sprintf(logConfig, rulesFile, trailFile, endpoint, sink.address))
	collector := start(t, "--config", configFile)

	signedIn := waitFor(t, collector, sink, "root signed in", func() {})
	if got, want := signedIn.Timestamp().AsTime(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !got.Equal(want) {
		t.Errorf("time of the event in the file = %v, want %v", got, want)
	}

	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "sshd")
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.Body().SetStr("Failed password for eve")
	lr.Attributes().PutStr("user.name", "eve")
	trace := pcommon.TraceID{1, 15: 2}
	lr.SetTraceID(trace)
	body, err := plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	if err != nil {
		t.Fatal(err)
	}
	failed := waitFor(t, collector, sink, "login failed", func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+endpoint+"/v1/logs", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-protobuf")
		// The receiver may not listen yet.
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
		}
	})
	if got, want := failed.Body().Str(), "login failed (service=sshd user=eve)"; got != want {
		t.Errorf("body = %q, want %q", got, want)
	}
	if got := failed.TraceID(); got != trace {
		t.Errorf("trace = %s, want that of the record, %s", got, hex.EncodeToString(trace[:]))
	}
}
