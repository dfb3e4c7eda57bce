package correlate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules"
)

func compile(tb testing.TB, text string, o rules.Options) *rules.Set {
	tb.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, o)
	if set == nil {
		tb.Fatalf("compile: %v", report.Errors())
	}
	return set
}

const threshold = `
- rule: Often
  desc: d
  condition: evt.type = execve
  threshold: {count: 3, within: 10s, by: [proc.name]}
  output: often %proc.name
  priority: WARNING
`

var origin = &event.Source{Name: "test", Type: "syscall"}

// happen returns the event that a process did something at a time in seconds.
func happen(t event.Type, name string, seconds float64) *event.Event {
	p := &event.Process{PID: 1, Start: 1}
	p.SetImage(&event.Image{Name: []byte(name)})
	return &event.Event{Type: t, Proc: p, Source: origin, Time: int64(seconds * 1e9)}
}

// watch shows events to rules.
type watch struct {
	*correlate.Worker
	counter *correlate.Counter
	set     *rules.Set
}

func newWatch(set *rules.Set, c correlate.Config) *watch {
	counter := correlate.New(c)
	return &watch{counter.Worker(), counter, set}
}

func (w *watch) show(ev *event.Event) []correlate.Outcome {
	return w.AppendOutcomes(nil, w.set, ev, w.set.AppendMatches(nil, ev))
}

// alerts returns the alerts among outcomes as text.
func alerts(outcomes []correlate.Outcome) string {
	var out []string
	for _, o := range outcomes {
		if !o.Below {
			out = append(out, o.Rule.Name)
		}
	}
	return strings.Join(out, " ")
}

func TestAnOutcomeTellsWhatWasCounted(t *testing.T) {
	t.Parallel()
	w := newWatch(compile(t, threshold, rules.Options{}), correlate.DefaultConfig())
	var got []correlate.Outcome
	for i := range 3 {
		got = append(got, w.show(happen(event.Execve, "sh", float64(10+i)))...)
	}
	r := w.set.Rules()[0]
	want := []correlate.Outcome{
		{Rule: r, Below: true}, {Rule: r, Below: true}, {Rule: r, Count: 3, First: 10e9, Last: 12e9},
	}
	if !slices.Equal(got, want) {
		t.Errorf("outcomes = %+v, want %+v", got, want)
	}
}

func TestARuleThatIsTooUnimportantIsStillAStep(t *testing.T) {
	t.Parallel()
	least := rules.Warning
	w := newWatch(compile(t, `
- {rule: Step, desc: d, condition: evt.type = connect, output: step, priority: DEBUG}
- {rule: Last, desc: d, condition: evt.type = execve, output: last, priority: DEBUG}
- {rule: Both, desc: d, sequence: {of: [Step, Last], within: 10s}, output: both, priority: ERROR}
`, rules.Options{MinPriority: &least}), correlate.DefaultConfig())
	if n := len(w.set.Rules()); n != 1 {
		t.Errorf("%d rules are left, want 1", n)
	}
	if got := alerts(w.show(happen(event.Connect, "a", 1))); got != "" {
		t.Errorf("alerts of the first step = %q, want none", got)
	}
	if got := alerts(w.show(happen(event.Execve, "a", 2))); got != "Both" {
		t.Errorf("alerts of the last step = %q, want Both", got)
	}
}

func TestWhatDoesNotFitIsForgottenAndCounted(t *testing.T) {
	t.Parallel()
	set := compile(t, threshold, rules.Options{})
	t.Run("by keys", func(t *testing.T) {
		t.Parallel()
		w := newWatch(set, correlate.Config{Keys: 2, Bytes: 1 << 20})
		for _, name := range []string{"a", "a", "b", "c", "a"} { // c takes the place of a
			if got := alerts(w.show(happen(event.Execve, name, 1))); got != "" {
				t.Errorf("alerts = %q, want none", got)
			}
		}
		want := "{Keys:2 KeyLimit:2 Evicted:2}"
		if got := fmt.Sprintf("%+v", w.counter.Stats()); got != want {
			t.Errorf("stats = %s, want %s", got, want)
		}
	})
	t.Run("by memory", func(t *testing.T) {
		t.Parallel()
		w := newWatch(set, correlate.Config{Keys: 1000, Bytes: 2000})
		for i := range 100 {
			w.show(happen(event.Execve, fmt.Sprint(i), 1))
		}
		s := w.counter.Stats()
		if s.Keys == 0 || s.Keys > 8 || s.Evicted != uint64(100-s.Keys) {
			t.Errorf("stats = %+v, want a few keys and the others evicted", s)
		}
	})
	t.Run("not what is over", func(t *testing.T) {
		t.Parallel()
		w := newWatch(set, correlate.Config{Keys: 2, Bytes: 1 << 20})
		for i := range 100 {
			w.show(happen(event.Execve, fmt.Sprint(i), float64(i)*21))
		}
		if s := w.counter.Stats(); s.Evicted != 0 || s.Keys > 2 {
			t.Errorf("stats = %+v, want nothing evicted", s)
		}
	})
}

func TestTimesThatAreFarApartAreInNoWindow(t *testing.T) {
	t.Parallel()
	w := newWatch(compile(t, threshold, rules.Options{}), correlate.DefaultConfig())
	for i, at := range []int64{math.MinInt64, math.MaxInt64, 0, math.MinInt64 + 1, math.MaxInt64 - 1} {
		ev := happen(event.Execve, "a", 0)
		ev.Time = at
		if got := alerts(w.show(ev)); got != "" {
			t.Errorf("event %d at %d: alerts = %q, want none", i, at, got)
		}
	}
}

func TestLaterStepsDoNotPushOutBegunSequences(t *testing.T) {
	t.Parallel()
	w := newWatch(compile(t, `
- {rule: Step, desc: d, condition: evt.type = connect, output: step, priority: DEBUG, enabled: false}
- {rule: Last, desc: d, condition: evt.type = execve, output: last, priority: DEBUG, enabled: false}
- rule: Both
  desc: d
  sequence: {of: [Step, Last], within: 10s, by: [proc.name]}
  output: both
  priority: ERROR
`, rules.Options{}), correlate.Config{Keys: 10, Bytes: 1 << 20})
	w.show(happen(event.Connect, "victim", 1))
	for i := range 1000 {
		w.show(happen(event.Execve, fmt.Sprint(i), 2))
	}
	for i := range 9 { // in the places of the others
		w.show(happen(event.Connect, fmt.Sprint("begun", i), 2))
	}
	for i := range 1000 {
		w.show(happen(event.Execve, fmt.Sprint(i), 2))
	}
	if s := w.counter.Stats(); s.Keys != 10 || s.Evicted != 0 {
		t.Errorf("stats = %+v, want 10 keys and no begun one evicted", s)
	}
	if got := alerts(w.show(happen(event.Execve, "victim", 3))); got != "Both" {
		t.Errorf("alerts = %q, want Both", got)
	}
}

// TestThresholdsAgreeWithTheDefinition compares with an evaluator that remembers
// everything since the last alert.
func TestThresholdsAgreeWithTheDefinition(t *testing.T) {
	t.Parallel()
	set := compile(t, threshold, rules.Options{})
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := newWatch(set, correlate.DefaultConfig())
		seen := map[string][]float64{}
		now := 0.0
		for i := range 200 {
			now += rng.Float64() * 4
			at := now
			if seed%2 == 1 {
				at -= rng.Float64() * 5 // out of order
			}
			name := []string{"a", "b"}[rng.IntN(2)]
			times := append(seen[name], at)
			slices.Sort(times)
			want := ""
			for j := 2; j < len(times); j++ {
				if times[j]-times[j-2] <= 10 {
					want = "Often"
				}
			}
			if seen[name] = times; want != "" {
				seen[name] = nil
			}
			if got := alerts(w.show(happen(event.Execve, name, at))); got != want {
				t.Fatalf("seed %d, event %d: alerts = %q, want %q", seed, i, got, want)
			}
		}
	}
}

// TestSequencesAgreeWithTheDefinition compares with a search for every chain among the
// events since the last alert.
func TestSequencesAgreeWithTheDefinition(t *testing.T) {
	t.Parallel()
	set := compile(t, `
- {rule: One, desc: d, condition: evt.type = connect, output: o, priority: DEBUG, enabled: false}
- {rule: Two, desc: d, condition: 'evt.type in (openat, connect)', output: o, priority: DEBUG, enabled: false}
- {rule: Three, desc: d, condition: evt.type = execve, output: o, priority: DEBUG, enabled: false}
- {rule: All, desc: d, sequence: {of: [One, Two, Three], within: 10s}, output: o, priority: ERROR}
`, rules.Options{})
	steps := [][]event.Type{{event.Connect}, {event.OpenAt, event.Connect}, {event.Execve}}
	type occurrence struct {
		typ event.Type
		at  float64
	}
	alarms := 0
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := newWatch(set, correlate.DefaultConfig())
		var seen []occurrence
		now := 0.0
		for i := range 200 {
			now += rng.Float64() * 5
			seen = append(seen, occurrence{[]event.Type{event.Connect, event.OpenAt, event.Execve}[rng.IntN(3)], now})
			last := seen[len(seen)-1]
			want := ""
			for a := range seen {
				for b := a + 1; b < len(seen)-1; b++ {
					if slices.Contains(steps[0], seen[a].typ) && slices.Contains(steps[1], seen[b].typ) &&
						slices.Contains(steps[2], last.typ) && last.at-seen[a].at <= 10 {
						want = "All"
					}
				}
			}
			if want != "" {
				seen = nil
				alarms++
			}
			if got := alerts(w.show(happen(last.typ, "a", last.at))); got != want {
				t.Fatalf("seed %d, event %d: alerts = %q, want %q", seed, i, got, want)
			}
		}
	}
	if alarms < 1000 {
		t.Errorf("%d alerts, want many: the test shows nothing otherwise", alarms)
	}
}

func TestWorkersCountTogether(t *testing.T) {
	t.Parallel()
	set := compile(t, threshold, rules.Options{})
	counter := correlate.New(correlate.DefaultConfig())
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := map[bool]int{}
	for range 4 {
		wg.Go(func() {
			w := &watch{counter.Worker(), counter, set}
			ev := happen(event.Execve, "a", 1)
			for range 300 {
				for _, o := range w.show(ev) {
					mu.Lock()
					total[o.Below]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	want := map[bool]int{true: 800, false: 400}
	if diff := cmp.Diff(want, total); diff != "" {
		t.Errorf("outcomes by below (-want +got):\n%s", diff)
	}
}

func TestAMatchThatCountsNothingNewAllocatesNothing(t *testing.T) {
	w := newWatch(compile(t, threshold+`
- {rule: Plain, desc: d, condition: evt.type = openat, output: o, priority: DEBUG}
`, rules.Options{}), correlate.DefaultConfig())
	ev := happen(event.OpenAt, "a", 1)
	matches := w.set.AppendMatches(nil, ev)
	var dst []correlate.Outcome
	if n := testing.AllocsPerRun(1000, func() {
		dst = w.AppendOutcomes(dst[:0], w.set, ev, matches)
	}); n != 0 {
		t.Errorf("AppendOutcomes allocates %v times for a rule that speaks of one event", n)
	}
}

func BenchmarkAppendOutcomes(b *testing.B) {
	set := compile(b, strings.ReplaceAll(threshold, "count: 3", "count: 1000"), rules.Options{})
	w := newWatch(set, correlate.DefaultConfig())
	ev := happen(event.Execve, "a", 1)
	matches := set.AppendMatches(nil, ev)
	var dst []correlate.Outcome
	b.ReportAllocs()
	for b.Loop() {
		ev.Time += int64(time.Millisecond)
		dst = w.AppendOutcomes(dst[:0], set, ev, matches)
	}
}
