package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/fold"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/pipeline"
	"github.com/windhover/windhover/internal/redact"
	"github.com/windhover/windhover/rules"
)

const shellRules = `
- rule: Shell
  desc: a shell
  condition: evt.type = execve and proc.name = sh
  output: shell %proc.name
  priority: WARNING
- rule: Any execution
  desc: anything
  condition: evt.type = execve and evt.num > 0
  output: execution %evt.num
  priority: NOTICE
`

func compile(tb testing.TB, text string) *rules.Set {
	tb.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, rules.Options{})
	if set == nil {
		tb.Fatalf("compile: %v", report.Errors())
	}
	return set
}

// line is a worker with all it needs.
type line struct {
	*pipeline.Worker
	live    *rules.Live
	account *ledger.Source
	alerts  *alert.Queue
}

func newLine(tb testing.TB, text string, q alert.QueueConfig) *line {
	tb.Helper()
	l := &line{live: rules.NewLive(compile(tb, text)), account: ledger.NewSource("test", "syscall"), alerts: alert.NewQueue(q)}
	l.account.SetQueue(l.alerts.Stats)
	l.Worker = pipeline.NewWorker(pipeline.Settings{
		Source: &event.Source{Name: "test", Type: "syscall"},
		Rules:  l.live, Ledger: l.account, Alerts: l.alerts,
	})
	return l
}

// execve returns the event that name was executed.
func execve(name string) *event.Event {
	p := &event.Process{PID: 1, Start: 1}
	p.SetImage(&event.Image{Name: []byte(name)})
	return &event.Event{Type: event.Execve, Proc: p, Time: 1}
}

func (l *line) outputs(tb testing.TB) []string {
	tb.Helper()
	l.alerts.Close()
	var out []string
	for _, a := range l.alerts.Take(tb.Context(), nil, 1000, 0) {
		out = append(out, a.Output)
	}
	return out
}

func TestMatchesBecomeAlerts(t *testing.T) {
	t.Parallel()
	l := newLine(t, shellRules, alert.DefaultQueueConfig())
	l.Produced(event.Execve, 2)
	l.Handle(execve("sh"))
	l.Handle(execve("ls"))
	l.Close()
	got := l.outputs(t)
	want := []string{"shell sh", "execution 1", "execution 2"}
	if len(got) != len(want) {
		t.Fatalf("alerts = %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("alert %d = %q, want %q", i, got[i], want[i])
		}
	}
	var s ledger.Snapshot
	l.account.Snapshot(&s)
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if s.Delivered[event.Execve] != 2 || s.Evaluated[event.Execve] != 2 || s.InFlight() != 0 {
		t.Errorf("delivered %d, evaluated %d, in flight %d; want 2, 2, 0", s.Delivered[event.Execve], s.Evaluated[event.Execve], s.InFlight())
	}
}

func TestEveryWayOutIsCounted(t *testing.T) {
	t.Parallel()
	l := newLine(t, shellRules, alert.QueueConfig{Items: 1, Bytes: 64 << 10})
	l.Produced(event.Execve, 3)
	l.Produced(event.Proc, 1)
	l.Handle(execve("sh")) // two matches, room for one
	l.Handle(execve("ls"))
	l.Drop(event.Execve, event.LaneReserved, ledger.DropMalformed)
	l.Skip(event.Proc, ledger.SkipInternal)
	l.SetLag(time.Second)
	l.Idle()

	var s ledger.Snapshot
	l.account.Snapshot(&s)
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if n := s.InFlight(); n != 0 {
		t.Errorf("%d events are in flight, want none", n)
	}
	matched, alerts := s.Matched()
	if matched != 3 || alerts != 1 || s.Lost[ledger.LostQueueItems] != 2 {
		t.Errorf("matched %d, alerts %d, lost %d; want 3, 1, 2", matched, alerts, s.Lost[ledger.LostQueueItems])
	}
	if s.Lag != time.Second || s.Skipped[event.Proc][ledger.SkipInternal] != 1 || s.DroppedAll(event.Execve) != 1 {
		t.Errorf("lag %v, skipped %d, dropped %d; want 1s, 1, 1", s.Lag, s.Skipped[event.Proc][ledger.SkipInternal], s.DroppedAll(event.Execve))
	}
}

// TestRepeatsAreOneRecord has a rule whose output is the same each time.
func TestRepeatsAreOneRecord(t *testing.T) {
	t.Parallel()
	live := rules.NewLive(compile(t, `
- rule: Shell
  desc: a shell
  condition: evt.type = execve
  output: shell --password %proc.name
  priority: WARNING
`))
	account, alerts := ledger.NewSource("test", "syscall"), alert.NewQueue(alert.DefaultQueueConfig())
	account.SetQueue(alerts.Stats)
	secrets, err := redact.New(redact.DefaultConfig(), "syscall")
	if err != nil {
		t.Fatal(err)
	}
	folder, err := fold.New(fold.Settings{Config: fold.DefaultConfig(), Type: "syscall", Queue: alerts, Redact: secrets.Alert})
	if err != nil {
		t.Fatal(err)
	}
	account.SetFold(folder.Stats)
	w := pipeline.NewWorker(pipeline.Settings{
		Source: &event.Source{Name: "test", Type: "syscall"},
		Rules:  live, Ledger: account, Alerts: alerts, Fold: folder, Redact: secrets,
	})
	w.Produced(event.Execve, 3)
	for range 3 {
		w.Handle(execve("sesame"))
	}
	w.Close()
	folder.Close()
	alerts.Close()
	got := alerts.Take(t.Context(), nil, 10, 0)
	if len(got) != 2 || got[0].Output != "shell --password [redacted]" || got[1].Fold == nil || got[1].Fold.Count != 2 {
		t.Fatalf("alerts = %+v", got)
	}
	account.Acknowledged(len(got))
	var s ledger.Snapshot
	account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		t.Error(err)
	}
	if matched, sent := s.Matched(); matched != 3 || sent != 1 || s.Folded != 2 {
		t.Errorf("matched %d, alerts %d, folded %d; want 3, 1, 2", matched, sent, s.Folded)
	}
}

// TestWhatIsBelowAThresholdIsCounted has repeats of an alert that takes three matches.
func TestWhatIsBelowAThresholdIsCounted(t *testing.T) {
	t.Parallel()
	live := rules.NewLive(compile(t, `
- rule: Often
  desc: a shell
  condition: evt.type = execve
  threshold: {count: 3, within: 1m, by: [proc.pid]}
  output: shell %proc.name
  priority: WARNING
- {rule: Any, desc: a shell, condition: evt.type = execve, output: any, priority: ALERT, enabled: false}
- {rule: Twice, desc: two, sequence: {of: [Any, Any], within: 1m}, output: twice, priority: ALERT}
`))
	account, alerts := ledger.NewSource("test", "syscall"), alert.NewQueue(alert.DefaultQueueConfig())
	account.SetQueue(alerts.Stats)
	folder, err := fold.New(fold.Settings{Config: fold.DefaultConfig(), Type: "syscall", Queue: alerts})
	if err != nil {
		t.Fatal(err)
	}
	account.SetFold(folder.Stats)
	w := pipeline.NewWorker(pipeline.Settings{
		Source: &event.Source{Name: "test", Type: "syscall"},
		Rules:  live, Ledger: account, Alerts: alerts, Fold: folder,
	})
	const events = 7
	w.Produced(event.Execve, 2*events)
	for range events {
		w.Handle(execve("sh"))
		other := execve("sh")
		other.Proc.PID = 2
		w.Handle(other)
	}
	w.Close()
	folder.Close()
	alerts.Close()
	var got []string
	taken := alerts.Take(t.Context(), nil, 100, 0)
	for _, a := range taken {
		line := a.Output
		for _, f := range a.Fields {
			line += fmt.Sprintf(" %s=%s%d", f.Name, f.Value.Text, f.Value.Int)
		}
		got = append(got, line)
	}
	sequence := "twice sequence.length=2 sequence.first=1 sequence.last=1"
	first := "shell sh proc.name=sh0 proc.pid=%d threshold.count=3 threshold.first=1 threshold.last=1"
	want := []string{
		sequence, sequence, fmt.Sprintf(first, 1), fmt.Sprintf(first, 2), sequence, sequence, sequence, sequence, sequence,
		strings.Replace(fmt.Sprintf(first, 1), "shell sh", "shell sh (repeated 1 time from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z)", 1),
		strings.Replace(fmt.Sprintf(first, 2), "shell sh", "shell sh (repeated 1 time from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z)", 1),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	account.Acknowledged(len(taken))
	var s ledger.Snapshot
	account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		t.Error(err)
	}
	if s.Below != 10 || s.Folded != 2 {
		t.Errorf("below %d, folded %d; want 10 of 14 matches, 2", s.Below, s.Folded)
	}
}

func TestASwapTakesEffectWithTheNextEvent(t *testing.T) {
	t.Parallel()
	l := newLine(t, shellRules, alert.DefaultQueueConfig())
	l.Produced(event.Execve, 2)
	l.Handle(execve("sh"))
	l.live.Swap(compile(t, "- {rule: Other, desc: d, condition: evt.type = execve, output: other, priority: INFO}"))
	l.Handle(execve("sh"))
	l.Close()
	got := l.outputs(t)
	if len(got) != 3 || got[2] != "other" {
		t.Errorf("alerts = %q, want two of the rules before and one of those after", got)
	}
	var s ledger.Snapshot
	l.account.Snapshot(&s)
	if err := s.Balance(); err != nil {
		t.Error(err)
	}
	if len(s.Rules) != 3 {
		t.Errorf("%d rules are counted, want those before and those after, 3", len(s.Rules))
	}
}

func TestAnEventThatMatchesNothingAllocatesNothing(t *testing.T) {
	l := newLine(t, `
- rule: Shell
  desc: a shell
  condition: evt.type = execve and proc.name = sh and proc.cmdline contains x
  output: shell %proc.name
  priority: WARNING
`, alert.DefaultQueueConfig())
	ev := execve("ls")
	if n := testing.AllocsPerRun(1000, func() {
		l.Handle(ev)
		l.Idle()
	}); n != 0 {
		t.Errorf("Handle allocates %v times", n)
	}
}
