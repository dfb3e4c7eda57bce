//go:build linux

package peer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// LogStore is a running VictoriaLogs.
type LogStore struct{ *Process }

// VictoriaLogs runs a VictoriaLogs that keeps what it gets for the time of the test.
func VictoriaLogs(tb testing.TB) *LogStore {
	tb.Helper()
	binary := tool(tb, ".cache/bin/victoria-logs", "stack-tools")
	storage := filepath.Join(tb.TempDir(), "logs")
	return &LogStore{serve(tb, binary, "/health", func(address string) []string {
		// What tests send may be years old.
		return []string{"-storageDataPath=" + storage, "-httpListenAddr=" + address, "-retentionPeriod=100y", "-inmemoryDataFlushInterval=1s"}
	})}
}

// OTLPEndpoint returns where logs are posted as protobuf: logs_endpoint of otlp_http.
// A header VL-Stream-Fields says which attributes make a stream.
func (l *LogStore) OTLPEndpoint() string { return l.URL + "/insert/opentelemetry/v1/logs" }

// Query evaluates a LogsQL query over all times and returns a row per record. Values
// are texts, whatever they were.
func (l *LogStore) Query(tb testing.TB, logsql string) []map[string]any {
	tb.Helper()
	status, body, err := fetch(tb.Context(), l.URL+"/select/logsql/query?"+url.Values{"query": {logsql}}.Encode())
	if err != nil || status != http.StatusOK {
		tb.Fatalf("ask VictoriaLogs for %s: status %d, %v: %s", logsql, status, err, tail(body, 1000))
	}
	var rows []map[string]any
	for line := range strings.Lines(body) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			tb.Fatalf("decode row of %s: %v: %s", logsql, err, line)
		}
		rows = append(rows, row)
	}
	return rows
}

// AwaitRecords waits until a query has at least n rows and returns them: what is
// written shows a second or two later.
func (l *LogStore) AwaitRecords(tb testing.TB, n int, logsql string) []map[string]any {
	tb.Helper()
	var rows []map[string]any
	Eventually(tb, startTimeout, fmt.Sprintf("%d records for %s", n, logsql), func() (bool, string) {
		rows = l.Query(tb, logsql)
		return len(rows) >= n, fmt.Sprintf("%d records", len(rows))
	})
	return rows
}
