package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
)

func TestDropConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(c *DropConfig)
		want   string
	}{
		{"the defaults are valid", func(*DropConfig) {}, ""},
		{"actions combine", func(c *DropConfig) { c.Actions = []string{"log", "alert", "exit"} }, ""},
		{"ignore alone is fine", func(c *DropConfig) { c.Actions = []string{"ignore"} }, ""},
		{"ignore excludes the others", func(c *DropConfig) { c.Actions = []string{"ignore", "log"} }, "actions: ignore excludes every other action"},
		{"an action must exist", func(c *DropConfig) { c.Actions = []string{"mail"} }, `actions: no action "mail"; there are ignore, log, alert, exit`},
		{"doing nothing must be said", func(c *DropConfig) { c.Actions = nil }, "actions: none given; use [ignore] to do nothing"},
		{"everything wrong is said", func(c *DropConfig) { c.Threshold, c.Interval, c.Burst = 101, 0, 0 }, "threshold: 101 is not a percentage between 0 and 100\ninterval: 0s is not positive\nburst: 0 is less than 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := DefaultDropConfig()
			tt.change(&c)
			check(t, "Validate", c.Validate(), tt.want)
		})
	}
}

// watched is a watcher whose seconds the test makes.
type watched struct {
	kernel  fakeKernel
	source  *Source
	watcher *DropWatcher
	now     time.Time
	said    []string // what the actions did, with the second
	start   time.Time
}

func watch(t *testing.T, c DropConfig) *watched {
	t.Helper()
	w := &watched{source: NewSource("windhover_syscall", KernelSource), start: time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}
	w.now = w.start
	w.source.SetState(StateOK, "")
	if err := w.source.SetKernelReader(w.kernel.read); err != nil {
		t.Fatal(err)
	}
	say := func(what string) func(*Episode) {
		return func(e *Episode) {
			state := "opens"
			if !e.End.IsZero() {
				state = fmt.Sprintf("closes after %v", e.End.Sub(e.Start))
			}
			w.said = append(w.said, fmt.Sprintf("%d %s %s: %d of %d, peak %d, suppressed %d", w.second(), what, state, e.Dropped, e.Produced, e.Peak, e.Suppressed))
		}
	}
	w.watcher = NewDropWatcher(w.source, c, DropActions{
		Log: say("log"), Alert: say("alert"),
		Exit: func(err error) { w.said = append(w.said, fmt.Sprintf("%d exit: %v", w.second(), err)) },
	})
	w.watcher.Look(w.now)
	return w
}

func (w *watched) second() int { return int(w.now.Sub(w.start) / time.Second) }

// pass lets seconds pass, each with so many events of which so many are dropped.
func (w *watched) pass(seconds int, produced, dropped uint64) {
	for range seconds {
		w.kernel.produce(event.OpenAt, produced-dropped)
		w.kernel.drop(event.OpenAt, event.LaneBulk, DropRingFull, dropped)
		w.now = w.now.Add(time.Second)
		w.watcher.Look(w.now)
	}
}

func TestDropWatcher(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(c *DropConfig)
		pass   func(w *watched)
		want   []string
	}{
		{"nothing is said where nothing is lost", nil, func(w *watched) { w.pass(100, 1000, 0) }, nil},
		{
			"an episode opens once and closes once", nil,
			func(w *watched) { w.pass(10, 1000, 0); w.pass(3, 1000, 10); w.pass(1, 1000, 40); w.pass(20, 1000, 0) },
			[]string{
				"11 log opens: 10 of 1000, peak 10, suppressed 0", "11 alert opens: 10 of 1000, peak 10, suppressed 0",
				"19 log closes after 4s: 70 of 9000, peak 40, suppressed 0", "19 alert closes after 4s: 70 of 9000, peak 40, suppressed 0",
			},
		},
		{
			"a pause shorter than 5 seconds does not end an episode",
			func(c *DropConfig) { c.Actions = []string{"log"} },
			func(w *watched) { w.pass(1, 100, 1); w.pass(4, 100, 0); w.pass(1, 100, 1); w.pass(5, 100, 0) },
			[]string{"1 log opens: 1 of 100, peak 1, suppressed 0", "11 log closes after 6s: 2 of 1100, peak 1, suppressed 0"},
		},
		{
			"losses below the threshold are not said",
			func(c *DropConfig) { c.Threshold = 10; c.Actions = []string{"log"} },
			func(w *watched) { w.pass(10, 100, 9); w.pass(1, 100, 10); w.pass(5, 100, 0) },
			[]string{"11 log opens: 10 of 100, peak 10, suppressed 0", "16 log closes after 1s: 10 of 600, peak 10, suppressed 0"},
		},
		{
			"ignore does nothing",
			func(c *DropConfig) { c.Actions = []string{"ignore"} },
			func(w *watched) { w.pass(3, 100, 10); w.pass(10, 100, 0) }, nil,
		},
		{
			"exit happens once",
			func(c *DropConfig) { c.Actions = []string{"exit"} },
			func(w *watched) { w.pass(3, 100, 10); w.pass(10, 100, 0); w.pass(1, 100, 10) },
			[]string{"1 exit: watch windhover_syscall: windhover_syscall is losing events: dropped 10 of 100 (10.00 %), at most 10 a second, since 2026-01-02T03:04:00Z; by lane bulk=10; by reason ring_full=10"},
		},
		{
			"too many episodes are not said, but counted",
			func(c *DropConfig) { c.Actions = []string{"log"}; c.Burst = 2; c.Interval = time.Minute },
			func(w *watched) {
				for range 8 {
					w.pass(1, 100, 1)
					w.pass(9, 100, 0)
				}
			},
			[]string{
				"1 log opens: 1 of 100, peak 1, suppressed 0", "6 log closes after 1s: 1 of 600, peak 1, suppressed 0",
				"11 log opens: 1 of 100, peak 1, suppressed 0", "16 log closes after 1s: 1 of 600, peak 1, suppressed 0",
				"61 log opens: 1 of 100, peak 1, suppressed 4", "66 log closes after 1s: 1 of 600, peak 1, suppressed 0",
			},
		},
		{
			"losses can be rehearsed",
			func(c *DropConfig) { c.Actions = []string{"log"}; c.SimulateDrops = true },
			func(w *watched) { w.pass(65, 100, 0) },
			[]string{
				"0 log opens: 100 of 10000, peak 100, suppressed 0", "9 log closes after 5s: 500 of 50900, peak 100, suppressed 0",
				"60 log opens: 100 of 10100, peak 100, suppressed 0",
			},
		},
		{
			"counters that start again from zero are no losses", nil,
			func(w *watched) {
				w.pass(1, 100, 0)
				w.kernel.mu.Lock()
				w.kernel.counters = KernelCounters{}
				w.kernel.mu.Unlock()
				w.pass(3, 100, 0)
			}, nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := DefaultDropConfig()
			if tt.change != nil {
				tt.change(&c)
			}
			w := watch(t, c)
			tt.pass(w)
			if diff := cmp.Diff(tt.want, w.said); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestASourceIsLossyWhileAnEpisodeLasts(t *testing.T) {
	t.Parallel()
	c := DefaultDropConfig()
	c.Actions = []string{ActionIgnore}
	w := watch(t, c)
	state := func() State {
		s, _, _ := w.source.State()
		return s
	}
	w.pass(2, 100, 1)
	if got := state(); got != StateLossy {
		t.Errorf("while events are lost the source is %v", got)
	}
	w.pass(4, 100, 0)
	if got := state(); got != StateLossy {
		t.Errorf("until the episode ends the source is %v", got)
	}
	w.pass(1, 100, 0)
	if got := state(); got != StateOK {
		t.Errorf("after the episode the source is %v", got)
	}
}

func TestTheWatcherClosesWhatIsOpen(t *testing.T) {
	t.Parallel()
	w := watch(t, DefaultDropConfig())
	w.pass(2, 100, 1)
	w.watcher.Close(w.now)
	want := "2 alert closes after 2s: 2 of 200, peak 1, suppressed 0"
	if got := w.said[len(w.said)-1]; got != want {
		t.Errorf("Close said %q, want %q", got, want)
	}
}

func TestAnEpisodeNamesTheLargestLosses(t *testing.T) {
	t.Parallel()
	var got *Episode
	s := NewSource("windhover_syscall", KernelSource)
	var k fakeKernel
	if err := s.SetKernelReader(k.read); err != nil {
		t.Fatal(err)
	}
	c := DefaultDropConfig()
	c.Actions = []string{ActionAlert}
	d := NewDropWatcher(s, c, DropActions{Alert: func(e *Episode) { got = e }})
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	d.Look(now)
	for i, typ := range []event.Type{event.Open, event.OpenAt, event.Connect, event.Unlink, event.Rename, event.Mkdir} {
		k.drop(typ, event.LaneBulk, DropRingFull, uint64(10*(i+1)))
	}
	k.drop(event.Execve, event.LaneReserved, DropNoScratch, 1)
	k.produce(event.Open, 789)
	d.Look(now.Add(time.Second))
	d.Look(now.Add(2 * time.Second))
	d.Close(now.Add(3 * time.Second))
	want := "windhover_syscall lost events for 1s: dropped 211 of 1000 (21.10 %), at most 211 a second, since 2026-01-02T03:04:05Z; " +
		"by type mkdir=60 rename=50 unlink=40 connect=30 openat=20; by lane bulk=210 reserved=1; by reason ring_full=210 no_scratch=1"
	if got == nil || got.String() != want {
		t.Errorf("episode\n got %v\nwant %s", got, want)
	}
	if n := strings.Count(got.String(), "\n"); n != 0 {
		t.Errorf("an episode takes %d lines", n+1)
	}
}
