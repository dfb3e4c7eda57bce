package consoleexporter

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/rules"
)

// TestWhatWindhoverSendsIsShown goes all the way from an alert.
func TestWhatWindhoverSendsIsShown(t *testing.T) {
	t.Parallel()
	source := &event.Source{Name: "windhover_syscall", Type: "syscall"}
	start := time.Unix(1_767_323_045, 7)
	e := &ledger.Episode{Source: source.Name, Start: start, Peak: 5, Dropped: 5, Produced: 10}
	e.ByReason[ledger.DropRingFull] = 5
	ld := otlp.EncodeAlerts([]*alert.Alert{
		{
			Time: start.UnixNano(), Source: source, Output: "sh runs", Type: event.Execve,
			Rule: &rules.Rule{Name: "Shell", Priority: rules.Notice, Tags: []string{"host"}},
			Fields: []alert.Field{
				{Name: "proc.pid", Value: field.Value{Kind: field.KindInt, Int: 4711, Valid: true}},
				{Name: "proc.tty", Value: field.Value{Kind: field.KindInt}},
			},
		},
		{Time: start.UnixNano(), Source: source, Output: e.String(), Drop: e},
	}, otlp.Resource{HostName: "node-1"})

	want := `{"hostname":"node-1","output":"sh runs","output_fields":{"proc.pid":4711,"proc.tty":null},"priority":"Notice","rule":"Shell","source":"syscall","tags":["host"],"time":"2026-01-02T03:04:05.000000007Z"}
{"hostname":"node-1","output":"windhover_syscall is losing events: dropped 5 of 10 (50.00 %), at most 5 a second, since 2026-01-02T03:04:05Z; by reason ring_full=5","output_fields":{"windhover.drop.containers":{},"windhover.drop.dropped":5,"windhover.drop.event_types":{},"windhover.drop.lanes":{},"windhover.drop.peak_per_second":5,"windhover.drop.percent":50,"windhover.drop.phase":"open","windhover.drop.produced":10,"windhover.drop.reasons":{"ring_full":5},"windhover.drop.simulated":false,"windhover.drop.start":"2026-01-02T03:04:05.000000007Z","windhover.drop.suppressed_episodes":0},"priority":"Critical","rule":"windhover.events_dropped","source":"syscall","tags":[],"time":"2026-01-02T03:04:05.000000007Z"}
`
	if diff := cmp.Diff(want, string(appendJSON(nil, ld))); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	want = `03:04:05.000000007 Notice Shell: sh runs
03:04:05.000000007 Critical windhover_syscall is losing events: dropped 5 of 10 (50.00 %), at most 5 a second, since 2026-01-02T03:04:05Z; by reason ring_full=5
`
	if diff := cmp.Diff(want, string(textFormat{location: time.UTC}.append(nil, ld))); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}
