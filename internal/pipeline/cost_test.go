package pipeline_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/pipeline"
	"github.com/windhover/windhover/rules"
)

// fakeClock is read in 5 ns and, once step is set, goes on by step from one reading to
// the next.
type fakeClock struct {
	now  time.Duration
	step func() time.Duration
}

func (c *fakeClock) read() time.Duration {
	c.now += 5
	if c.step != nil {
		c.now += c.step()
	}
	return c.now
}

// costs handles events and returns what the rules cost.
func costs(t *testing.T, text string, events int, step func() time.Duration) map[string]ledger.RuleCost {
	t.Helper()
	c := &fakeClock{}
	account := ledger.NewSource("test", "syscall")
	w := pipeline.NewWorker(pipeline.Settings{
		Source: &event.Source{Name: "test", Type: "syscall"}, Rules: rules.NewLive(compile(t, text)), Ledger: account,
		Alerts: alert.NewQueue(alert.DefaultQueueConfig()), Clock: c.read,
	})
	c.step = step
	opened, executed := &event.Event{Type: event.OpenAt}, execve("ls")
	for range events / 2 {
		w.Handle(opened)
		w.Handle(executed)
	}
	w.Close()
	var s ledger.Snapshot
	account.Snapshot(&s)
	of := map[string]ledger.RuleCost{}
	for _, r := range s.Costs {
		of[r.Name] = r
	}
	return of
}

func rule(name, condition string) string {
	return fmt.Sprintf("- {rule: %s, desc: d, condition: \"%s\", output: o, priority: NOTICE}\n", name, condition)
}

// about reports whether got is within a tenth of want.
func about(got, want float64) bool { return math.Abs(got-want) <= want/10 }

func TestCostOfRulesIsEstimated(t *testing.T) {
	t.Parallel()
	const events = 2_000_000
	text := rule("execution", "evt.type = execve and proc.name = sh") + rule("either", "evt.type in (execve, openat) and proc.name = cat") +
		rule("neither", "evt.type = connect and proc.name = cat")
	of := costs(t, text, events, func() time.Duration { return 20 })
	for _, tt := range []struct {
		name        string
		evaluations float64
	}{{"execution", events / 2}, {"either", events}} {
		got := of[tt.name]
		if !about(float64(got.Evaluations), tt.evaluations) {
			t.Errorf("%s: %d evaluations, want about %.0f", tt.name, got.Evaluations, tt.evaluations)
		}
		// 20 ns each; what reading the clock takes is not counted.
		if want := time.Duration(20 * got.Evaluations); got.Time != want {
			t.Errorf("%s: %v, want %v", tt.name, got.Time, want)
		}
	}
	if got, ok := of["neither"]; ok {
		t.Errorf("a rule about events that did not come cost %v", got)
	}
}

func TestCostOfManyRulesIsEstimatedFromSome(t *testing.T) {
	t.Parallel()
	const events, many = 4_000_000, 40
	var text strings.Builder
	for i := range many {
		text.WriteString(rule(fmt.Sprint("rule", i), fmt.Sprintf("evt.type = execve and proc.name = p%d", i)))
	}
	reads := 0
	of := costs(t, text.String(), events, func() time.Duration { reads++; return 20 })
	var sum float64
	for i := range many {
		n := float64(of[fmt.Sprint("rule", i)].Evaluations)
		sum += n
		if math.Abs(n-events/2) > events/4 {
			t.Errorf("rule%d: %.0f evaluations, want about %d", i, n, events/2)
		}
	}
	if !about(sum, many*events/2) {
		t.Errorf("%.0f evaluations, want about %d", sum, many*events/2)
	}
	if most := 9 * events / 2 / 1024 * 11 / 10; reads > most {
		t.Errorf("the clock was read %d times, want at most %d", reads, most)
	}
}

// A thread that is interrupted while it measures says nothing about the rule.
func TestAnInterruptionIsNotCharged(t *testing.T) {
	t.Parallel()
	n := 0
	of := costs(t, rule("execution", "evt.type = execve and proc.name = sh"), 400_000, func() time.Duration {
		if n++; n%10 == 0 {
			return 30 * time.Millisecond
		}
		return 20
	})
	if got := of["execution"]; got.Evaluations == 0 || got.Time != time.Duration(20*got.Evaluations) {
		t.Errorf("the rule cost %v in %d evaluations, want 20 ns each", got.Time, got.Evaluations)
	}
}

func TestMeasuringAllocatesNothing(t *testing.T) {
	l := newLine(t, rule("execution", "evt.type = execve and proc.name = sh"), alert.DefaultQueueConfig())
	ev := execve("ls")
	if n := testing.AllocsPerRun(10, func() {
		for range 10_000 {
			l.Handle(ev)
		}
		l.Idle()
	}); n != 0 {
		t.Errorf("10,000 events allocate %v times", n)
	}
}
