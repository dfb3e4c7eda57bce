package syscallreceiver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// testHost keeps a book, holds rules and remembers what components report.
type testHost struct {
	book ledger.Book
	live *rules.Live

	mu     sync.Mutex
	status []componentstatus.Status
	told   chan struct{}
}

func newTestHost(set *rules.Set) *testHost {
	return &testHost{live: rules.NewLive(set), told: make(chan struct{}, 100)}
}

// extension is a windhover_rules extension.
type extension struct {
	component.StartFunc
	component.ShutdownFunc
	live *rules.Live
}

func (e extension) Live() *rules.Live { return e.live }

func (h *testHost) Book() *ledger.Book { return &h.book }

func (h *testHost) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{
		component.MustNewID("windhover_rules"): extension{live: h.live},
		component.MustNewID("other"):           struct{ component.Component }{},
	}
}

func (h *testHost) Report(ev *componentstatus.Event) {
	h.mu.Lock()
	h.status = append(h.status, ev.Status())
	h.mu.Unlock()
	h.told <- struct{}{}
}

func (h *testHost) reported(s componentstatus.Status) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.status, s)
}

// await waits until a status was reported.
func (h *testHost) await(t *testing.T, s componentstatus.Status) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for !h.reported(s) {
		select {
		case <-h.told:
		case <-deadline:
			t.Fatalf("status %v was not reported", s)
		}
	}
}

// awaitState waits until the source says that it is in a state.
func (h *testHost) awaitState(t *testing.T, want ledger.State) *ledger.Source {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if s := h.book.Sources(); len(s) == 1 {
			if got, _, _ := s[0].State(); got == want {
				return s[0]
			}
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the source did not become %v", want)
		}
	}
}

func compile(tb testing.TB, text string) *rules.Set {
	tb.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, rules.Options{})
	if set == nil {
		tb.Fatal(report.Errors())
	}
	return set
}

const execRule = `- {rule: exec, desc: d, condition: evt.type = execve, output: "%proc.cmdline", priority: INFO}`

// replayConfig names a file with rounds of the made mix.
func replayConfig(t *testing.T, rounds int) *Config {
	t.Helper()
	c := createDefaultConfig().(*Config)
	c.Instance.Fold.Enabled = false // the tests count alert by alert
	c.ReplaySamples = filepath.Join(t.TempDir(), "samples.bin")
	if err := os.WriteFile(c.ReplaySamples, recorded(t, mixed(rounds)...), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func bodies(logs []plog.Logs) []string {
	var out []string
	for _, l := range logs {
		for _, rl := range l.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					out = append(out, r.Body().AsString())
				}
			}
		}
	}
	return out
}

func TestReplayedSamplesBecomeLogRecords(t *testing.T) {
	t.Parallel()
	h := newTestHost(compile(t, execRule))
	c := replayConfig(t, 300)
	var sink consumertest.LogsSink
	r, err := NewFactory().CreateLogs(t.Context(), receivertest.NewNopSettings(NewFactory().Type()), c, &sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	account := h.awaitState(t, ledger.StateEnded)
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := bodies(sink.AllLogs())
	if len(got) != 300 || got[0] != "curl -s https://example.org" {
		t.Errorf("%d records, the first %.40q; want 300 of curl", len(got), got[:min(1, len(got))])
	}
	var s ledger.Snapshot
	account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		t.Error(err)
	}
	if s.Acknowledged != 300 {
		t.Errorf("%d alerts acknowledged, want 300", s.Acknowledged)
	}
}

func TestLogsAndMetricsShareOneSource(t *testing.T) {
	t.Parallel()
	h := newTestHost(compile(t, execRule))
	c := replayConfig(t, 10)
	f := NewFactory()
	set := receivertest.NewNopSettings(f.Type())
	var logs consumertest.LogsSink
	var metrics consumertest.MetricsSink
	l, err := f.CreateLogs(t.Context(), set, c, &logs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := f.CreateMetrics(t.Context(), set, c, &metrics)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []component.Component{l, m} {
		if err := r.Start(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	h.awaitState(t, ledger.StateEnded)
	if n := len(h.book.Sources()); n != 1 {
		t.Errorf("%d sources, want 1", n)
	}
	for _, r := range []component.Component{l, m} {
		if err := r.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := logs.LogRecordCount(); n != 10 {
		t.Errorf("%d log records, want 10", n)
	}
	names := map[string]bool{}
	for _, md := range metrics.AllMetrics() {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					names[m.Name()] = true
				}
			}
		}
	}
	if !names["windhover.source.events"] || !names["windhover.source.dropped"] {
		t.Errorf("metrics %v lack events and drops", names)
	}
}

func TestARefusingConsumerIsCounted(t *testing.T) {
	t.Parallel()
	h := newTestHost(compile(t, execRule))
	r, err := NewFactory().CreateLogs(t.Context(), receivertest.NewNopSettings(NewFactory().Type()), replayConfig(t, 10), consumertest.NewErr(errors.New("full")))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	account := h.awaitState(t, ledger.StateEnded)
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var s ledger.Snapshot
	account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		t.Error(err)
	}
	if s.Acknowledged != 0 || s.Failed[ledger.FailRefused] != 10 {
		t.Errorf("acknowledged %d, refused %d; want 0, 10", s.Acknowledged, s.Failed[ledger.FailRefused])
	}
}

func TestAHangingConsumerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	h := newTestHost(compile(t, execRule))
	called := make(chan struct{}, 10)
	hang, err := consumer.NewLogs(func(ctx context.Context, _ plog.Logs) error {
		called <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewFactory().CreateLogs(t.Context(), receivertest.NewNopSettings(NewFactory().Type()), replayConfig(t, 500), hang)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	account := h.awaitState(t, ledger.StateEnded)
	<-called
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown: %v, want that the context ended", err)
	}
	var s ledger.Snapshot
	account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		t.Error(err)
	}
	if s.Failed[ledger.FailShutdown] != 500 {
		t.Errorf("%d alerts failed because of the shutdown, want 500", s.Failed[ledger.FailShutdown])
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("not samples"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		set  func(*Config)
		want string
	}{
		{"no such extension", func(c *Config) { c.Instance.Rules = "windhover_rules/x" }, "find extension windhover_rules/x: there is none; add it to extensions, in a collector also to service::extensions, or set rules to another"},
		{"an extension without rules", func(c *Config) { c.Instance.Rules = "other" }, "use extension other: it holds no rules; use one of type windhover_rules"},
		{"no file to replay", func(c *Config) { c.ReplaySamples = "/nowhere" }, "replay samples: open /nowhere"},
		{"a file that holds no samples", func(c *Config) { c.ReplaySamples = garbage }, "this is no file of samples"},
		{"no place to record", func(c *Config) { c.RecordSamples = "/nowhere/x" }, "record samples: open /nowhere/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newTestHost(compile(t, execRule))
			c := replayConfig(t, 1)
			tt.set(c)
			f := NewFactory()
			r, err := f.CreateLogs(t.Context(), receivertest.NewNopSettings(f.Type()), c, consumertest.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			err = r.Start(t.Context(), h)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Start: %v\nwant %s", err, tt.want)
			}
			if err := r.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if n := len(h.book.Sources()); n != 0 {
				t.Errorf("%d sources are left in the book", n)
			}

			c.Instance.OnError = "continue"
			r, err = f.CreateLogs(t.Context(), receivertest.NewNopSettings(f.Type()), c, consumertest.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Start(t.Context(), h); err != nil {
				t.Errorf("Start with on_error continue: %v", err)
			}
			if !h.reported(componentstatus.StatusPermanentError) {
				t.Error("on_error continue: the error was not reported")
			}
			if err := r.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABrokenRecordingFailsTheSource(t *testing.T) {
	t.Parallel()
	c := replayConfig(t, 3)
	b, err := os.ReadFile(c.ReplaySamples)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.ReplaySamples, b[:len(b)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	h := newTestHost(compile(t, execRule))
	var sink consumertest.LogsSink
	f := NewFactory()
	r, err := f.CreateLogs(t.Context(), receivertest.NewNopSettings(f.Type()), c, &sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	h.await(t, componentstatus.StatusFatalError)
	account := h.awaitState(t, ledger.StateFailed)
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if state, reason, _ := account.State(); state != ledger.StateFailed || !strings.Contains(reason, "read shard 0: read samples: unexpected EOF") {
		t.Errorf("state %v, %q; want failed, unexpected EOF", state, reason)
	}
	if n := sink.LogRecordCount(); n != 3 {
		t.Errorf("%d records of what was read before, want 3", n)
	}
}

func TestARecordingCanBeReplayed(t *testing.T) {
	t.Parallel()
	c := replayConfig(t, 5)
	c.RecordSamples = filepath.Join(t.TempDir(), "again.bin")
	h := newTestHost(compile(t, execRule))
	f := NewFactory()
	r, err := f.CreateLogs(t.Context(), receivertest.NewNopSettings(f.Type()), c, consumertest.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	h.awaitState(t, ledger.StateEnded)
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(c.ReplaySamples)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(c.RecordSamples)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the recording has %d bytes and is not what was replayed, %d bytes", len(got), len(want))
	}
	if fi, err := os.Stat(c.RecordSamples); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("others may read the recording: %v, %v", fi.Mode(), err)
	}
}
