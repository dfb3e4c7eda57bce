package ledger

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
)

func TestTablesAreComplete(t *testing.T) {
	t.Parallel()
	for _, table := range []struct {
		name string
		rows []Reason
	}{
		{"drop reasons", DropReasons[:]},
		{"lost reasons", LostReasons[:]},
		{"skip reasons", SkipReasons[:]},
		{"fail reasons", FailReasons[:]},
		{"states", States[:]},
	} {
		seen := map[string]bool{}
		for i, r := range table.rows {
			if r.Name == "" || r.Doc == "" || seen[r.Name] {
				t.Errorf("%s: row %d, %q, has no name, no doc, or the name of another", table.name, i, r.Name)
			}
			seen[r.Name] = true
		}
	}
}

// fakeKernel is the kernel side of a source in tests.
type fakeKernel struct {
	mu       sync.Mutex
	counters KernelCounters
	err      error
}

func (k *fakeKernel) produce(t event.Type, n uint64) {
	k.mu.Lock()
	k.counters.Produced[t] += n
	k.mu.Unlock()
}

func (k *fakeKernel) drop(t event.Type, l event.Lane, r DropReason, n uint64) {
	k.mu.Lock()
	k.counters.Produced[t] += n
	k.counters.Dropped[t][l][r] += n
	k.mu.Unlock()
}

func (k *fakeKernel) read(c *KernelCounters) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	*c = k.counters
	return k.err
}

// TestTheAccountBalancesAtAnyTime has several workers handle events while somebody
// reads the account all the time. It is worth most under the race detector.
func TestTheAccountBalancesAtAnyTime(t *testing.T) {
	t.Parallel()
	const workers, each = 4, 20_000
	var k fakeKernel
	s := NewSource("windhover_syscall", KernelSource)
	if err := s.SetKernelReader(k.read); err != nil {
		t.Fatal(err)
	}
	var book Book
	defer book.Add(s)()

	rules := []RuleKey{{"a", "Notice"}, {"b", "Error"}}
	var wg sync.WaitGroup
	for n := range workers {
		w := s.Worker()
		wg.Go(func() {
			defer w.Close()
			w.SetRules(rules)
			for i := range each {
				typ := event.Type(i * (n + 1) % event.NumTypes())
				if i%5 == 0 {
					k.drop(typ, event.LaneBulk, DropRingFull, 1)
					continue
				}
				k.produce(typ, 1)
				switch {
				case i%7 == 0:
					w.Dropped(typ, event.LaneReserved, DropMalformed)
				case i%11 == 0:
					w.Delivered(typ)
					w.Skipped(typ, SkipInternal)
				default:
					w.Delivered(typ)
					w.Evaluated(typ)
					if i%13 == 0 {
						w.Alerted(i % 2)
					} else if i%17 == 0 {
						w.Lost(i%2, LostQueueItems)
					}
				}
				if i%64 == 0 {
					w.Publish()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	var snapshots []*Snapshot
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		snapshots = book.Snapshot(snapshots)
		if err := snapshots[0].Balance(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetKernelReader(nil); err != nil {
		t.Fatal(err)
	}
	var got Snapshot
	s.Snapshot(&got)
	if err := got.AtRest(); err != nil {
		t.Error(err)
	}
	var produced, delivered, dropped uint64
	for typ := range got.Produced {
		produced += got.Produced[typ]
		delivered += got.Delivered[typ]
		dropped += got.DroppedAll(event.Type(typ))
	}
	if produced != workers*each || delivered+dropped != produced {
		t.Errorf("produced %d, delivered %d, dropped %d of %d events", produced, delivered, dropped, workers*each)
	}
	if got.DroppedBy(event.LaneBulk, DropRingFull) != workers*each/5 {
		t.Errorf("dropped %d in the kernel, want %d", got.DroppedBy(event.LaneBulk, DropRingFull), workers*each/5)
	}
}

func TestBalanceSaysWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	open := event.Open
	for _, tt := range []struct {
		name  string
		count func(s *Source, w *Worker)
		want  string // of Balance
		rest  string // of AtRest alone
	}{
		{"an event that is delivered was produced", func(_ *Source, w *Worker) {
			w.Delivered(open)
			w.Evaluated(open)
		}, "balance x: open: dropped 0 and delivered 1 are more than produced 0", ""},
		{"an event that is delivered is evaluated or skipped", func(_ *Source, w *Worker) {
			w.Produced(open, 1)
			w.Delivered(open)
		}, "balance x: open: evaluated 0 and skipped 0 are not delivered 1", ""},
		{"an event is skipped once", func(_ *Source, w *Worker) {
			w.Produced(open, 1)
			w.Delivered(open)
			w.Evaluated(open)
			w.Skipped(open, SkipSelf)
		}, "balance x: open: evaluated 1 and skipped 1 are not delivered 1", ""},
		{"an event under way is in flight", func(_ *Source, w *Worker) {
			w.Produced(open, 3)
			w.Dropped(open, event.LaneBulk, DropOversize)
		}, "", "balance x: 2 events are in flight"},
		{"the queue accepted every alert", func(s *Source, w *Worker) {
			s.SetQueue(func() QueueStats { return QueueStats{} })
			w.Alerted(0)
		}, "balance x: alerts 1 and notices 0 are more than the queue accepted, 0", ""},
		{"a queue loses nothing", func(s *Source, _ *Worker) {
			s.SetQueue(func() QueueStats { return QueueStats{Accepted: 2, Taken: 1} })
			s.Noticed()
			s.Noticed()
			s.Acknowledged(1)
		}, "balance x: queued 0 and taken 1 are not accepted 2", ""},
		{"nothing is answered that was not taken", func(s *Source, _ *Worker) {
			s.SetQueue(func() QueueStats { return QueueStats{Accepted: 1, Taken: 1} })
			s.Noticed()
			s.Acknowledged(1)
			s.Failed(FailRefused, 1)
		}, "balance x: acknowledged and failed 2 are more than taken 1", ""},
		{"an alert without an answer is under way", func(s *Source, w *Worker) {
			s.SetQueue(func() QueueStats { return QueueStats{Accepted: 1, Taken: 1} })
			w.Alerted(0)
		}, "", "balance x: 1 alerts are not answered"},
		{"what is folded is known to the folding", func(s *Source, w *Worker) {
			s.SetFold(func() FoldStats { return FoldStats{Open: 1} })
			w.Folded(0)
			w.Folded(0)
		}, "balance x: folded 2 are more than what is reported, open or unreported, 1", ""},
		{"what is folded is reported in the end", func(s *Source, w *Worker) {
			s.SetFold(func() FoldStats { return FoldStats{Open: 1, Reported: 1} })
			w.Folded(0)
			w.Folded(0)
		}, "", "balance x: folded 2 are not what is reported or unreported, 2, with 1 open"},
		{"a record of repeats is a notice", func(s *Source, w *Worker) {
			s.SetFold(func() FoldStats { return FoldStats{Records: 1, Reported: 1, Unreported: [NumLostReasons]uint64{1}} })
			s.SetQueue(func() QueueStats { return QueueStats{Accepted: 1, Taken: 1} })
			w.Folded(0)
			w.Folded(0)
			s.Acknowledged(1)
		}, "", ""},
		{"all is well", func(s *Source, w *Worker) {
			s.SetQueue(func() QueueStats { return QueueStats{Accepted: 2, Taken: 2} })
			w.Produced(open, 2)
			w.Delivered(open)
			w.Evaluated(open)
			w.Alerted(0)
			w.Lost(0, LostQueueBytes)
			s.Dropped(open, event.LaneBulk, DropMalformed, 1)
			s.Noticed()
			s.NoticeLost(LostQueueBytes)
			s.Acknowledged(1)
			s.Failed(FailPermanent, 1)
		}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := NewSource("x", "k8s_audit")
			w := s.Worker()
			w.SetRules([]RuleKey{{"a", "Notice"}})
			tt.count(s, w)
			w.Publish()
			var snapshot Snapshot
			s.Snapshot(&snapshot)
			check(t, "Balance", snapshot.Balance(), tt.want)
			if tt.want == "" {
				check(t, "AtRest", snapshot.AtRest(), tt.rest)
			}
		})
	}
}

func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("%s = %q, want %q", what, got, want)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	s := NewSource("x", KernelSource)
	w := s.Worker()
	w.SetRules([]RuleKey{{"a", "Notice"}})
	var snapshot Snapshot
	s.Snapshot(&snapshot)
	for name, f := range map[string]func(){
		"an event": func() {
			w.Delivered(event.Open)
			w.Evaluated(event.Open)
		},
		"a match": func() { w.Alerted(0) },
		"publishing": func() {
			w.Delivered(event.Open)
			w.Alerted(0)
			w.Publish()
		},
		"a snapshot": func() { s.Snapshot(&snapshot) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestRulesKeepTheirCountsThroughReloads(t *testing.T) {
	t.Parallel()
	s := NewSource("x", "k8s_audit")
	a, b := s.Worker(), s.Worker()
	a.SetRules([]RuleKey{{"one", "Notice"}, {"two", "Error"}})
	b.SetRules([]RuleKey{{"one", "Notice"}, {"two", "Error"}})
	a.Alerted(1)
	b.Alerted(1)
	a.SetRules([]RuleKey{{"two", "Error"}, {}, {"three", "Debug"}})
	a.Alerted(0)
	a.Lost(2, LostQueueItems)
	a.Close()
	b.Publish()
	var snapshot Snapshot
	s.Snapshot(&snapshot)
	want := []RuleCount{
		{RuleKey{"one", "Notice"}, 0, 0},
		{RuleKey{"two", "Error"}, 3, 3},
		{RuleKey{"three", "Debug"}, 1, 0},
	}
	if diff := cmp.Diff(want, snapshot.Rules); diff != "" {
		t.Errorf("Rules (-want +got):\n%s", diff)
	}
}

func TestRuleNamesAreBounded(t *testing.T) {
	t.Parallel()
	s := NewSource("x", "k8s_audit")
	w := s.Worker()
	for n := range 3 {
		keys := make([]RuleKey, maxRules/2+1)
		for i := range keys {
			keys[i] = RuleKey{Name: strings.Repeat("x", n) + string(rune(0x4e00+i)), Priority: "Debug"}
		}
		w.SetRules(keys)
		w.Alerted(len(keys) - 1)
	}
	w.Publish()
	var snapshot Snapshot
	s.Snapshot(&snapshot)
	if got := len(snapshot.Rules); got != maxRules+1 {
		t.Errorf("%d rules are counted, want %d", got, maxRules+1)
	}
	if got, want := snapshot.Rules[maxRules], (RuleCount{RuleKey{overflowRule, "Debug"}, 2, 2}); got != want {
		t.Errorf("the others are counted as %v, want %v", got, want)
	}
}

func TestTheLastReadingOfTheKernelIsKept(t *testing.T) {
	t.Parallel()
	var k fakeKernel
	k.counters.Syscalls = []Syscall{{"x86_64", "getpid", 7}}
	s := NewSource("x", KernelSource)
	if err := s.SetKernelReader(k.read); err != nil {
		t.Fatal(err)
	}
	k.produce(event.Open, 5)
	if err := s.SetKernelReader(nil); err != nil {
		t.Fatal(err)
	}
	k.produce(event.Open, 5) // nobody asks any more
	var snapshot Snapshot
	s.Snapshot(&snapshot)
	if got := snapshot.Produced[event.Open]; got != 5 {
		t.Errorf("produced %d, want 5", got)
	}
	if diff := cmp.Diff([]Syscall{{"x86_64", "getpid", 7}}, snapshot.Syscalls); diff != "" {
		t.Errorf("Syscalls (-want +got):\n%s", diff)
	}
}

func TestAKernelThatCannotBeReadIsSaid(t *testing.T) {
	t.Parallel()
	k := fakeKernel{err: errors.New("no such map")}
	s := NewSource("x", KernelSource)
	if err := s.SetKernelReader(k.read); err != nil {
		t.Fatal(err)
	}
	var snapshot Snapshot
	s.Snapshot(&snapshot)
	check(t, "KernelErr", snapshot.KernelErr, "no such map")
	check(t, "SetKernelReader", s.SetKernelReader(nil), "no such map")
}

func TestState(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		do     func(s *Source)
		want   State
		reason string
	}{
		{"a source starts", func(*Source) {}, StateStarting, ""},
		{"a source that loses events is lossy", func(s *Source) {
			s.SetState(StateOK, "")
			s.SetLossy("dropped 1")
		}, StateLossy, "dropped 1"},
		{"two troubles are both said", func(s *Source) {
			s.SetState(StateDegraded, "cannot export")
			s.SetLossy("dropped 1")
		}, StateLossy, "dropped 1; cannot export"},
		{"what was lossy goes back to what it was", func(s *Source) {
			s.SetState(StateDegraded, "cannot export")
			s.SetLossy("dropped 1")
			s.SetLossy("")
		}, StateDegraded, "cannot export"},
		{"a source that failed stays failed", func(s *Source) {
			s.SetState(StateFailed, "no map")
			s.SetLossy("dropped 1")
		}, StateFailed, "no map"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := NewSource("x", KernelSource)
			tt.do(s)
			if got, reason, _ := s.State(); got != tt.want || reason != tt.reason {
				t.Errorf("State = %v, %q, want %v, %q", got, reason, tt.want, tt.reason)
			}
		})
	}
}

func TestOnlyAChangeOfStateIsNews(t *testing.T) {
	t.Parallel()
	s := NewSource("x", KernelSource)
	var got []bool
	for _, st := range []State{StateStarting, StateOK, StateOK, StateDegraded} {
		got = append(got, s.SetState(st, ""))
	}
	if diff := cmp.Diff([]bool{false, true, false, true}, got); diff != "" {
		t.Errorf("SetState (-want +got):\n%s", diff)
	}
}

func BenchmarkEvent(b *testing.B) {
	w := NewSource("x", KernelSource).Worker()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		t := event.Type(i & 63)
		w.Delivered(t)
		w.Evaluated(t)
	}
}

func BenchmarkPublish(b *testing.B) {
	w := NewSource("x", KernelSource).Worker()
	b.ReportAllocs()
	for b.Loop() {
		for t := range event.Type(8) {
			w.Delivered(t)
			w.Evaluated(t)
		}
		w.Publish()
	}
}
