package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
)

func TestLeaders(t *testing.T) {
	t.Parallel()
	type looks []string // each "name=rank name=rank …"
	for _, tt := range []struct {
		name     string
		overtake bool
		looks    looks
		want     string // chosen and the rest, after the last look
	}{
		{"who counts nothing is not chosen", false, looks{"a=0 b=0 c=1"}, "c other=0"},
		{"the largest are chosen", false, looks{"a=1 b=3 c=2"}, "b c other=1"},
		{"of equals the first by name", false, looks{"c=1 b=1 a=1"}, "a b other=1"},
		{"who was chosen stays", false, looks{"a=1 b=1", "a=1 b=1 c=9"}, "a b other=9"},
		{"the rest grows by what is new", false, looks{"a=1 b=1 c=1", "a=1 b=1 c=5 d=2"}, "a b other=7"},
		{"a counter that began anew counts whole", false, looks{"a=9 b=9 c=5", "a=9 b=9 c=2"}, "a b other=7"},
		{"twice as much as the smallest takes its place", true, looks{"a=4 b=9", "a=4 b=9 c=9"}, "b c other=0"},
		{"less than that does not", true, looks{"a=4 b=9", "a=4 b=9 c=8"}, "a b other=8"},
		{"who lost its place adds what comes after", true, looks{"a=4 b=9", "a=4 b=9 c=9", "a=6 b=9 c=9"}, "b c other=2"},
		{"several take places at once", true, looks{"a=1 b=1", "a=1 b=1 c=9 d=8 e=7"}, "c d other=7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLeaders(2, tt.overtake)
			var all []named
			for _, look := range tt.looks {
				all = all[:0]
				for f := range strings.FieldsSeq(look) {
					name, n, _ := strings.Cut(f, "=")
					a := named{name: name}
					if _, err := fmt.Sscan(n, &a.rank); err != nil {
						t.Fatal(err)
					}
					a.also = 10 * a.rank
					all = append(all, a)
				}
				l.look(all)
			}
			var got []string
			for _, name := range []string{"a", "b", "c", "d", "e"} {
				if l.chosen[name] {
					got = append(got, name)
				}
			}
			if s := fmt.Sprintf("%s other=%d", strings.Join(got, " "), l.other.rank); s != tt.want {
				t.Errorf("after %q: %s, want %s", tt.looks, s, tt.want)
			}
			if l.other.also != 10*l.other.rank {
				t.Errorf("the other counter of the rest is %d, want %d", l.other.also, 10*l.other.rank)
			}
		})
	}
}

func TestLossesByContainer(t *testing.T) {
	t.Parallel()
	var k fakeKernel
	s := NewSource("windhover_syscall", KernelSource)
	if err := s.SetKernelReader(k.read); err != nil {
		t.Fatal(err)
	}
	lose := func(container string, n uint64) {
		k.drop(event.OpenAt, event.LaneBulk, DropRingFull, n)
		k.counters.Losers = append(k.counters.Losers, ContainerCount{container, n})
	}
	lose(Other, 3)
	lose(Host, 5)
	lose("a", 50)
	lose("a", 50) // two cgroups
	for i := range 2 * maxContainers {
		lose(fmt.Sprintf("c%02d", i), uint64(1+i))
	}
	var got Snapshot
	for range 3 {
		s.Snapshot(&got)
	}
	if n := len(got.Containers); n != maxContainers+2 {
		t.Errorf("%d containers are named, want %d besides host and other", n-2, maxContainers)
	}
	var sum, all uint64
	of := map[string]uint64{}
	for _, c := range got.Containers {
		sum += c.Count
		of[c.Container] = c.Count
	}
	for _, c := range got.Losers {
		all += c.Count
	}
	if total := got.DroppedAll(event.OpenAt); sum != total || all != total {
		t.Errorf("by container %d are lost, of all containers %d, want %d", sum, all, total)
	}
	if of[Host] != 5 || of["a"] != 100 || of["c39"] != 40 || of["c00"] != 0 {
		t.Errorf("losses by container: %v", of)
	}
}

func TestAnEpisodeNamesTheContainersThatLostMost(t *testing.T) {
	t.Parallel()
	var k fakeKernel
	s := NewSource("windhover_syscall", KernelSource)
	if err := s.SetKernelReader(k.read); err != nil {
		t.Fatal(err)
	}
	var got *Episode
	d := NewDropWatcher(s, DefaultDropConfig(), DropActions{Log: func(*Episode) {}, Alert: func(e *Episode) { got = e }})
	now := time.Unix(1000, 0)
	k.counters.Losers = []ContainerCount{{"before", 1000}}
	k.drop(event.OpenAt, event.LaneBulk, DropRingFull, 1000)
	d.Look(now)
	for i := range 7 {
		k.counters.Losers = append(k.counters.Losers, ContainerCount{string(rune('a' + i)), uint64(10 * (i + 1))})
	}
	k.counters.Losers = append(k.counters.Losers, ContainerCount{Host, 35})
	k.drop(event.OpenAt, event.LaneBulk, DropRingFull, 315)
	d.Look(now.Add(time.Second))
	if got == nil {
		t.Fatal("no episode was reported")
	}
	want := []ContainerCount{{"g", 70}, {"f", 60}, {"e", 50}, {"d", 40}, {Host, 35}}
	if diff := cmp.Diff(want, got.ByContainer); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	if text := got.String(); !strings.Contains(text, "; by container g=70 f=60 e=50 d=40 host=35") {
		t.Errorf("the episode reads %q", text)
	}
}

func TestCostsOfRules(t *testing.T) {
	t.Parallel()
	s := NewSource("test", "json")
	w := s.Worker()
	const rules = maxCostly + 10
	keys := make([]RuleKey, rules)
	for i := range keys {
		keys[i] = RuleKey{fmt.Sprint("rule ", i), "Notice"}
	}
	w.SetRules(keys)
	for i := range keys {
		w.Cost(i, time.Duration(i+1)*time.Microsecond, 1000)
	}
	// The same rule after a reload.
	w.SetRules([]RuleKey{{"rule 59", "Error"}})
	w.Cost(0, time.Second, 7)
	w.Close()
	var got Snapshot
	s.Snapshot(&got)
	s.Snapshot(&got)
	if n := len(got.Costs); n != maxCostly+1 {
		t.Errorf("%d rules are named, want %d", n-1, maxCostly)
	}
	of := map[string]RuleCost{}
	for _, c := range got.Costs {
		of[c.Name] = c
	}
	if want := (RuleCost{"rule 59", time.Second + 60*time.Microsecond, 1007}); of["rule 59"] != want {
		t.Errorf("rule 59 cost %v, want %v", of["rule 59"], want)
	}
	if want := (RuleCost{Other, 55 * time.Microsecond, 10_000}); of[Other] != want {
		t.Errorf("the others cost %v, want %v", of[Other], want)
	}
}

func TestFilteredCallsNeverShrink(t *testing.T) {
	t.Parallel()
	var k fakeKernel
	s := NewSource("windhover_syscall", KernelSource)
	if err := s.SetKernelReader(k.read); err != nil {
		t.Fatal(err)
	}
	look := func(calls, opens uint64, want uint64) {
		t.Helper()
		k.counters.Syscalls = []Syscall{{Name: "openat", Count: calls}}
		k.counters.Produced = [event.MaxTypes]uint64{event.OpenAt: opens, event.Proc: 50, event.ProcExit: 50}
		var got Snapshot
		s.Snapshot(&got)
		if got.Filtered != want {
			t.Errorf("%d calls and %d events: %d filtered, want %d", calls, opens, got.Filtered, want)
		}
	}
	look(100, 40, 60)
	look(101, 42, 60) // what was under way
	look(110, 42, 68)
	look(0, 5, 68)
}
