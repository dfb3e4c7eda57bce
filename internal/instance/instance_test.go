package instance

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/goleak"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/redact"
	"github.com/windhover/windhover/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const everyEvent = `
- rule: Every Event
  desc: Tells which event it was.
  condition: json.value[/id] exists
  output: "%json.value[/id]"
  priority: NOTICE
  source: k8s_audit
`

// home is a host with rules that remembers what components report.
type home struct {
	live *rules.Live
	book ledger.Book

	mu       sync.Mutex
	statuses []string
}

func newHome(tb testing.TB) *home {
	tb.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(everyEvent)}}, rules.Options{})
	if set == nil {
		tb.Fatalf("compile rules: %v", report)
	}
	return &home{live: rules.NewLive(set)}
}

func (h *home) Live() *rules.Live                           { return h.live }
func (h *home) Start(context.Context, component.Host) error { return nil }
func (h *home) Shutdown(context.Context) error              { return nil }
func (h *home) Book() *ledger.Book                          { return &h.book }

func (h *home) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("windhover_rules"): h}
}

func (h *home) Report(ev *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := ev.Status().String()
	if err := ev.Err(); err != nil {
		s += ": " + err.Error()
	}
	h.statuses = append(h.statuses, s)
}

func (h *home) reported() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.statuses)
}

var sourceType = component.MustNewType("test")

func settings(c Config, open func(context.Context, *Instance) (func(context.Context) error, error)) Settings {
	return Settings{Receiver: receivertest.NewNopSettings(sourceType), Type: "k8s_audit", Config: c, Open: open}
}

// opened keeps the instance that Open got, and closes nothing.
func opened(in **Instance) func(context.Context, *Instance) (func(context.Context) error, error) {
	return func(_ context.Context, i *Instance) (func(context.Context) error, error) {
		*in = i
		return func(context.Context) error { return nil }, nil
	}
}

// match shows the rules an event that one of them matches.
func match(tb testing.TB, in *Instance, id string) {
	tb.Helper()
	w := in.Worker()
	defer w.Close()
	ev := event.Event{Type: event.PluginEvent, Doc: new(document.Document)}
	if err := ev.Doc.Parse([]byte(`{"id":"`+id+`"}`), document.Limits{}); err != nil {
		tb.Fatal(err)
	}
	w.Produced(event.PluginEvent, 1)
	w.Handle(&ev)
}

func logsTo(tb testing.TB, f func(context.Context, plog.Logs) error) consumer.Logs {
	tb.Helper()
	l, err := consumer.NewLogs(f)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func atRest(tb testing.TB, account *ledger.Source) *ledger.Snapshot {
	tb.Helper()
	var s ledger.Snapshot
	account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		tb.Error(err)
	}
	return &s
}

func TestReceiverOfTwoSignalsIsOneSource(t *testing.T) {
	h := newHome(t)
	var (
		rs     Receivers
		in     *Instance
		config = new(int)
		opens  = 0
	)
	s := settings(NewDefaultConfig(), func(ctx context.Context, i *Instance) (func(context.Context) error, error) {
		opens++
		return opened(&in)(ctx, i)
	})
	bodies, points := make(chan string, 1), make(chan int, 1)
	forLogs, forMetrics := rs.Of(config, s), rs.Of(config, s)
	if forLogs != forMetrics {
		t.Fatal("two receivers of one configuration")
	}
	forLogs.Logs = logsTo(t, func(_ context.Context, ld plog.Logs) error {
		bodies <- ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Str()
		return nil
	})
	var err error
	if forMetrics.Metrics, err = consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		points <- md.DataPointCount()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a collector does both for each signal
		if err := forLogs.Start(t.Context(), h); err != nil {
			t.Fatal(err)
		}
	}
	if opens != 1 || len(h.book.Sources()) != 1 {
		t.Errorf("opened %d times, %d accounts, want one", opens, len(h.book.Sources()))
	}
	match(t, in, "a")
	if got := <-bodies; got != "a" {
		t.Errorf("alert %q, want a", got)
	}
	for range 2 {
		if err := forLogs.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-points; got == 0 { // the last ones, at shutdown
		t.Error("no metrics were sent")
	}
	if s := atRest(t, in.Account); s.Acknowledged != 1 || s.State != ledger.StateEnded {
		t.Errorf("acknowledged %d in state %v, want 1 and ended", s.Acknowledged, s.State)
	}
	if len(h.book.Sources()) != 0 {
		t.Error("the account is still in the host's book")
	}
	if rs.Of(config, s) == forLogs {
		t.Error("a receiver that was shut down is used again")
	}
}

func TestShutdownBeforeStartDoesNothing(t *testing.T) {
	var rs Receivers
	if err := rs.Of(new(int), settings(NewDefaultConfig(), nil)).Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestShutdownLeavesAHangingConsumerInTime(t *testing.T) {
	h := newHome(t)
	var (
		rs Receivers
		in *Instance
	)
	r := rs.Of(new(int), settings(NewDefaultConfig(), opened(&in)))
	entered := make(chan struct{}, 1)
	r.Logs = logsTo(t, func(ctx context.Context, _ plog.Logs) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	match(t, in, "a")
	<-entered
	match(t, in, "b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v, want that there was no time", err)
	}
	if s := atRest(t, in.Account); s.Failed[ledger.FailShutdown] != 2 {
		t.Errorf("failed %v, want 2 for the shutdown", s.Failed)
	}
}

func TestAlertsNobodyAskedForAreAnswered(t *testing.T) {
	h := newHome(t)
	var (
		rs Receivers
		in *Instance
	)
	r := rs.Of(new(int), settings(NewDefaultConfig(), opened(&in))) // a metrics pipeline only
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	match(t, in, "a")
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := atRest(t, in.Account); s.Acknowledged != 1 || in.Answered() != 1 {
		t.Errorf("acknowledged %d, answered %d, want 1", s.Acknowledged, in.Answered())
	}
}

// TestRepeatsAreReportedAtTheEnd has a window that is longer than the source lives.
func TestRepeatsAreReportedAtTheEnd(t *testing.T) {
	h := newHome(t)
	var (
		rs Receivers
		in *Instance
		mu sync.Mutex
	)
	bodies := map[string]string{}
	r := rs.Of(new(int), settings(NewDefaultConfig(), opened(&in)))
	r.Logs = logsTo(t, func(_ context.Context, ld plog.Logs) error {
		mu.Lock()
		defer mu.Unlock()
		for _, rl := range ld.ResourceLogs().All() {
			for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
				count := ""
				if v, ok := r.Attributes().Get("windhover.fold.count"); ok {
					count = v.AsString()
				}
				bodies[r.EventName()] += r.Attributes().AsRaw()["security_rule.name"].(string) + " " + count + ";"
			}
		}
		return nil
	})
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		match(t, in, "a")
	}
	match(t, in, "b")
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"windhover.alert": "Every Event ;Every Event ;", "windhover.alerts_folded": "Every Event 4;"}
	if diff := cmp.Diff(want, bodies); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if s := atRest(t, in.Account); s.Folded != 4 || s.Fold.Reported != 4 || s.Acknowledged != 3 {
		t.Errorf("folded %d, reported %d, acknowledged %d; want 4, 4, 3", s.Folded, s.Fold.Reported, s.Acknowledged)
	}
}

func TestFieldsThatAreNoneAreMistakesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	c := NewDefaultConfig()
	c.Fold.Fields = []string{"ka.verb", "ka.vreb"}
	c.Redact.Patterns = []redact.PatternConfig{{Pattern: "x", Fields: []string{"ka.nmae"}}}
	err := c.ValidateFields("k8s_audit")
	for _, want := range []string{`fold::fields: no field "ka.vreb"; did you mean "ka.verb"?`, `redact by pattern 0: no field "ka.nmae"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ValidateFields = %v, want %s in it", err, want)
		}
	}
	c.Fold.Fields, c.Redact.Patterns[0].Fields = []string{"ka.verb"}, nil
	if err := c.ValidateFields("k8s_audit"); err != nil {
		t.Errorf("ValidateFields of fields that there are = %v", err)
	}
}

func TestFieldsThatAreNoneAreErrorsAtStart(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"of folding", func(c *Config) { c.Fold.Fields = []string{"ka.vreb"} }, "fold by ka.vreb: "},
		{"of redaction", func(c *Config) {
			c.Redact.Patterns = []redact.PatternConfig{{Pattern: "x", Fields: []string{"ka.vreb"}}}
		}, "redact by pattern 0: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			c := NewDefaultConfig()
			tt.change(&c)
			var (
				rs Receivers
				in *Instance
			)
			err := rs.Of(new(int), settings(c, opened(&in))).Start(t.Context(), h)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || !strings.Contains(err.Error(), "ka.verb") {
				t.Errorf("Start = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestStateIsTheSumOfTheParts(t *testing.T) {
	h := newHome(t)
	var (
		rs Receivers
		in *Instance
	)
	r := rs.Of(new(int), settings(NewDefaultConfig(), opened(&in)))
	if err := r.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		s, reason, _ := in.Account.State()
		return s.String() + " " + reason
	}
	for _, tt := range []struct{ part, reason, want string }{
		{"b", "no disk", "degraded no disk"},
		{"a", "no rules", "degraded no rules; no disk"},
		{"b", "", "degraded no rules"},
		{"a", "", "ok "},
	} {
		in.SetPart(tt.part, tt.reason)
		if got := state(); got != tt.want {
			t.Errorf("part %s is %q: state %q, want %q", tt.part, tt.reason, got, tt.want)
		}
	}
	in.Fail(errors.New("broken"))
	in.SetPart("a", "late")
	in.End("late")
	if got, want := state(), "failed broken"; got != want {
		t.Errorf("after a failure: state %q, want %q", got, want)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"StatusOK", "StatusRecoverableError: no disk", "StatusRecoverableError: no rules; no disk",
		"StatusRecoverableError: no rules", "StatusOK", "StatusFatalError: broken",
	}
	if diff := cmp.Diff(want, h.reported()); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if got, want := state(), "failed broken"; got != want {
		t.Errorf("after shutdown: state %q, want %q", got, want)
	}
}

func TestErrorAtStartIsWhatOnErrorSays(t *testing.T) {
	for _, tt := range []struct {
		onError  string
		returned bool
		statuses []string
	}{
		{Stop, true, nil},
		{Continue, false, []string{"StatusPermanentError: no port"}},
		{Restart, false, []string{"StatusPermanentError: no port"}},
	} {
		t.Run(tt.onError, func(t *testing.T) {
			h := newHome(t)
			c := NewDefaultConfig()
			c.OnError = tt.onError
			var rs Receivers
			r := rs.Of(new(int), settings(c, func(context.Context, *Instance) (func(context.Context) error, error) {
				return nil, errors.New("no port")
			}))
			if err := r.Start(t.Context(), h); (err != nil) != tt.returned {
				t.Errorf("Start = %v", err)
			}
			if diff := cmp.Diff(tt.statuses, h.reported()); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
			if n := len(h.book.Sources()); n != 0 {
				t.Errorf("%d accounts are left in the host's book", n)
			}
			if err := r.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	c := NewDefaultConfig()
	if err := c.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	c = Config{Rules: "a b", MetricsInterval: time.Millisecond, OnError: "panic"}
	want := "rules: \"a b\" is not the ID of an extension: in \"a b\" id: invalid character(s) in type \"a b\"\n" +
		"metrics_interval: 1ms is shorter than 100ms\n" +
		"on_error: no action \"panic\"; there are stop, continue, restart"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate\n got %v\nwant %s", err, want)
	}
}
