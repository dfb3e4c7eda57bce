package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"

	"github.com/windhover/windhover/config"
)

// configure loads a configuration text with a scripted receiver and the OTLP exporter.
func configure(tb testing.TB, text string) (*Blocks, error) {
	tb.Helper()
	f := Factories{
		Receivers: scripted(map[string]func(*script) error{"test_a": nil}),
		Exporters: []exporter.Factory{otlpexporter.NewFactory(), otlphttpexporter.NewFactory()},
	}
	types := f.Types()
	types[config.Extensions] = []string{"windhover_rules"}
	name := filepath.Join(tb.TempDir(), "c.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	f.Extensions = append(f.Extensions, fakeRulesFactory())
	loaded, err := config.Load(config.Settings{Files: []string{name}, Types: types})
	if err != nil {
		tb.Fatal(err)
	}
	return Configure(loaded, f)
}

func TestQueueOfAnExporterIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, block string
		sizer       string
		size        int64
	}{
		{"unless the user says otherwise", "{endpoint: 'x:1'}", "bytes", queueBytes},
		{"also when other keys of the queue are set", "{endpoint: 'x:1', sending_queue: {num_consumers: 2}}", "bytes", queueBytes},
		{"but not with a size in requests", "{endpoint: 'x:1', sending_queue: {queue_size: 500}}", "requests", 500},
		{"but not with another sizer", "{endpoint: 'x:1', sending_queue: {sizer: items, queue_size: 500}}", "items", 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := configure(t, "receivers: {test_a: }\nexporters: {otlp_grpc: "+tt.block+"}")
			if err != nil {
				t.Fatal(err)
			}
			q := b.Exporters[0].Config.(*otlpexporter.Config).QueueConfig.Get()
			if q.Sizer.String() != tt.sizer || q.QueueSize != tt.size {
				t.Errorf("queue of %s is bounded to %d %s, want %d %s", tt.block, q.QueueSize, q.Sizer.String(), tt.size, tt.sizer)
			}
		})
	}
}

func TestMistakesInBlocksAreReportedAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := configure(t, "receivers: {test_a: {on_error: explode}}\nexporters:\n  otlp_grpc:\n    endpiont: x:1\n  otlp_grpc/b: {sending_queue: {queue_siez: 1}}\n"+
		"  otlp_grpc/c: {endpoint: 'x:1', sending_queue: {storage: file_storage}}\n  otlp_http: {endpoint: 'x:1'}\n  otlp_http/b: {endpoint: 'https://x:1'}\n")
	want := []string{
		`:1:22: receivers::test_a::on_error: "explode" is none of stop, continue, restart`,
		`:4:5: exporters::otlp_grpc::endpiont: unknown key; did you mean "endpoint"?`,
		`:5:33: exporters::otlp_grpc/b::sending_queue::queue_siez: unknown key; did you mean "queue_size"?`,
		`:6:50: exporters::otlp_grpc/c::sending_queue::storage: no extension "file_storage"; set extensions::file_storage`,
		`:7:15: exporters::otlp_http::endpoint: "x:1" is no URL; did you mean "http://x:1"?`,
	}
	var got []string
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			_, rest, _ := strings.Cut(line, "c.yaml")
			got = append(got, rest)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestBlockMayHaveTheTypeThatItsComponentHadBefore(t *testing.T) {
	t.Parallel()
	b, err := configure(t, "receivers: {test_a: }\nexporters: {otlp/a: {endpoint: 'x:1'}}")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Exporters[0].Config.(*otlpexporter.Config).ClientConfig.Endpoint; got != "x:1" {
		t.Errorf("endpoint = %q, want x:1", got)
	}
}

func TestEffectiveShowsDefaultsAndHidesSecrets(t *testing.T) {
	t.Parallel()
	b, err := configure(t, "receivers: {test_a: }\nexporters: {otlp_grpc: {endpoint: 'x:1', headers: {authorization: secret}}}")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := b.Effective()
	if err != nil {
		t.Fatal(err)
	}
	var w strings.Builder
	if err := config.Write(&w, tree, func([]string) (string, string) { return "", "" }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"on_error: stop", "timeout: 5s", "value: '[REDACTED]'", "sizer: bytes", "address: 127.0.0.1:9464"} {
		if !strings.Contains(w.String(), want) {
			t.Errorf("configuration lacks %q:\n%s", want, w.String())
		}
	}
	if strings.Contains(w.String(), "secret") {
		t.Errorf("configuration shows a secret:\n%s", w.String())
	}
}
