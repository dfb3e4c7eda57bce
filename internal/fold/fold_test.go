package fold

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/output"
)

func rule(tb testing.TB, name, text string, p rules.Priority) *rules.Rule {
	tb.Helper()
	tmpl, problems := output.Parse(text, "syscall")
	if len(problems) > 0 {
		tb.Fatalf("parse output %q: %v", text, problems)
	}
	return &rules.Rule{Name: name, Source: "syscall", Priority: p, Output: tmpl}
}

const began = 1_767_323_045_000_000_000 // 2026-01-02T03:04:05Z

// bench is a Folder with a clock that a test sets.
type bench struct {
	*Folder
	queue *alert.Queue
	mu    sync.Mutex
	now   time.Time
}

func newBench(tb testing.TB, c Config, q alert.QueueConfig) *bench {
	tb.Helper()
	b := &bench{queue: alert.NewQueue(q), now: time.Unix(0, began)}
	f, err := New(Settings{Config: c, Type: "syscall", Queue: b.queue, Now: func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now
	}})
	if err != nil {
		tb.Fatal(err)
	}
	b.Folder = f
	return b
}

func (b *bench) wait(d time.Duration) {
	b.mu.Lock()
	b.now = b.now.Add(d)
	b.mu.Unlock()
}

// ran returns the event that a process ran a command now.
func (b *bench) ran(name string, pid int32, container string) *event.Event {
	p := &event.Process{PID: pid}
	p.SetImage(&event.Image{Name: []byte(name), Cmdline: []byte(name), ContainerID: []byte(container)})
	return &event.Event{
		Type: event.Execve, Time: b.now.UnixNano(), TID: pid, Proc: p,
		Source: &event.Source{Name: "test", Type: "syscall"},
	}
}

// match does what a pipeline does, and reports whether ev was folded.
func (b *bench) match(w *Worker, ev *event.Event, r *rules.Rule) bool {
	if w.Repeats(ev, r) {
		return true
	}
	a := alert.New(ev, r, 1)
	if _, ok := b.queue.Push(a); !ok {
		a = nil
	}
	w.Opened(a)
	return false
}

func (b *bench) taken(tb testing.TB) []*alert.Alert {
	tb.Helper()
	if b.queue.Stats().Items == 0 {
		return nil
	}
	return append([]*alert.Alert(nil), b.queue.Take(tb.Context(), nil, 10_000, 0)...)
}

func (b *bench) outputs(tb testing.TB) []string {
	tb.Helper()
	var out []string
	for _, a := range b.taken(tb) {
		out = append(out, a.Output)
	}
	return out
}

func TestAHundredThousandMatchesAreTwoRecords(t *testing.T) {
	t.Parallel()
	const matches = 100_000
	b := newBench(t, DefaultConfig(), alert.DefaultQueueConfig())
	r := rule(t, "Shell", "shell %proc.name (pid=%proc.pid)", rules.Warning)
	w := b.Worker()
	folded := uint64(0)
	for i := range matches {
		if b.match(w, b.ran("sh", int32(i+1), ""), r) {
			folded++
		}
		b.wait(10 * time.Second / matches)
		b.Sweep()
	}
	if s := b.Stats(); s.Open != matches-1 || s.Keys != 1 {
		t.Errorf("before the end of the window: %+v", s)
	}
	b.wait(time.Minute)
	b.Sweep()
	got := b.taken(t)
	if len(got) != 2 {
		t.Fatalf("%d records, want 2", len(got))
	}
	first, last := got[0], got[1]
	if first.Fold != nil || last.Fold == nil {
		t.Fatalf("the records are %+v and %+v", first, last)
	}
	if n := 1 + last.Fold.Count; n != matches || folded != matches-1 {
		t.Errorf("the records stand for %d matches, %d were folded; want %d in all", n, folded, matches)
	}
	want := &alert.Fold{
		UID: first.UID, Count: matches - 1, Reason: "window",
		First: began + 100_000, Last: began + (matches-1)*100_000,
		Values: []alert.FoldValues{{Name: "proc.pid", Texts: []string{"2", "3", "4", "5", "6"}}},
	}
	for i := range maxEventIDs {
		want.EventIDs = append(want.EventIDs, fmt.Sprintf("%d/%d", began+(i+1)*100_000, i+2))
	}
	if diff := cmp.Diff(want, last.Fold); diff != "" {
		t.Errorf("Fold (-want +got):\n%s", diff)
	}
	if last.Output != "shell sh (pid=1) (repeated 99999 times from 2026-01-02T03:04:05Z to 2026-01-02T03:04:14Z)" {
		t.Errorf("Output = %q", last.Output)
	}
	if last.UID == first.UID || last.Time != want.Last || last.Rule != r {
		t.Errorf("the record is %+v", last)
	}
	if diff := cmp.Diff(ledger.FoldStats{KeyLimit: 2048, Records: 1, Reported: matches - 1}, b.Stats()); diff != "" {
		t.Errorf("Stats (-want +got):\n%s", diff)
	}
}

func TestWhatIsFolded(t *testing.T) {
	t.Parallel()
	config := func(change func(*Config)) Config {
		c := DefaultConfig()
		change(&c)
		return c
	}
	const text = "%proc.name (pid=%proc.pid time=%evt.time)"
	for _, tt := range []struct {
		name     string
		config   Config
		text     string
		priority rules.Priority
		second   func(b *bench) *event.Event
		want     bool
	}{
		{"another process that does the same", DefaultConfig(), text, rules.Notice, func(b *bench) *event.Event { return b.ran("sh", 2, "") }, true},
		{"not another name", DefaultConfig(), text, rules.Notice, func(b *bench) *event.Event { return b.ran("bash", 1, "") }, false},
		{"not another container that the output does not name", DefaultConfig(), text, rules.Notice, func(b *bench) *event.Event { return b.ran("sh", 1, "abc") }, false},
		{"an error", DefaultConfig(), text, rules.Error, func(b *bench) *event.Event { return b.ran("sh", 2, "") }, true},
		{"nothing critical", DefaultConfig(), text, rules.Critical, func(b *bench) *event.Event { return b.ran("sh", 2, "") }, false},
		{"what is critical if asked for", config(func(c *Config) { c.Priority = "critical" }), text, rules.Critical, func(b *bench) *event.Event { return b.ran("sh", 2, "") }, true},
		{"not after the window", DefaultConfig(), text, rules.Notice, func(b *bench) *event.Event {
			b.wait(time.Minute)
			return b.ran("sh", 2, "")
		}, false},
		{"another name with a key of its own", config(func(c *Config) { c.Fields = []string{"proc.pid"} }), text, rules.Notice, func(b *bench) *event.Event { return b.ran("bash", 1, "") }, true},
		{"not another value of the configured key", config(func(c *Config) { c.Fields = []string{"proc.cmdline"} }), "x", rules.Notice, func(b *bench) *event.Event { return b.ran("bash", 1, "") }, false},
		{"not a value where there was none", config(func(c *Config) { c.Fields = []string{"proc.cwd"} }), text, rules.Notice, func(b *bench) *event.Event {
			ev := b.ran("sh", 1, "")
			ev.Proc.SetImage(&event.Image{Name: []byte("sh"), CWD: []byte{}})
			return ev
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.config, alert.DefaultQueueConfig())
			r := rule(t, "Shell", tt.text, tt.priority)
			w := b.Worker()
			if b.match(w, b.ran("sh", 1, ""), r) {
				t.Fatal("the first alert was folded")
			}
			if got := b.match(w, tt.second(b), r); got != tt.want {
				t.Errorf("folded: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRulesAreNotFoldedTogether(t *testing.T) {
	t.Parallel()
	b := newBench(t, DefaultConfig(), alert.DefaultQueueConfig())
	w := b.Worker()
	before, after := rule(t, "a", "x", rules.Notice), rule(t, "a", "x", rules.Notice)
	before.Hash, after.Hash = "1", "2"
	for _, r := range []*rules.Rule{before, rule(t, "b", "x", rules.Notice), after} {
		if b.match(w, b.ran("sh", 1, ""), r) {
			t.Errorf("rule %s was folded with another", r.Name)
		}
	}
}

func TestAnAlertThatWasNotRepeatedLeavesNoRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t, DefaultConfig(), alert.DefaultQueueConfig())
	b.match(b.Worker(), b.ran("sh", 1, ""), rule(t, "a", "x", rules.Notice))
	b.wait(time.Hour)
	b.Sweep()
	if got := b.outputs(t); len(got) != 1 {
		t.Errorf("records %q, want the alert alone", got)
	}
	if s := b.Stats(); s.Keys != 0 || b.bytes != 0 {
		t.Errorf("%d keys and %d bytes are left", s.Keys, b.bytes)
	}
}

func TestTheOldestMakesRoom(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Keys = 2
	b := newBench(t, c, alert.DefaultQueueConfig())
	r := rule(t, "a", "%proc.name", rules.Notice)
	w := b.Worker()
	for _, name := range []string{"a", "a", "a", "b", "c"} {
		b.match(w, b.ran(name, 1, ""), r)
	}
	got := b.taken(t)
	if len(got) != 4 || got[2].Fold == nil || got[2].Fold.Count != 2 || got[2].Fold.Reason != "evicted" {
		t.Fatalf("the records are %+v", got)
	}
	if s := b.Stats(); s.Evicted != 1 || s.Keys != 2 || s.Reported != 2 || s.Open != 0 {
		t.Errorf("Stats = %+v", s)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Bytes = 1 << 20
	b := newBench(t, c, alert.QueueConfig{Items: 100_000, Bytes: 1 << 40})
	r := rule(t, "a", "%proc.cmdline %proc.pid", rules.Notice)
	w := b.Worker()
	for i := range 4000 {
		ev := b.ran("sh", int32(i), "")
		ev.Proc.SetImage(&event.Image{Name: []byte("sh"), Cmdline: []byte(strings.Repeat("x", 1000) + fmt.Sprint(i/2))})
		b.match(w, ev, r)
		if b.bytes > c.Bytes+sizeOfEntry+4096 {
			t.Fatalf("after %d matches %d bytes are held, of %d", i, b.bytes, c.Bytes)
		}
	}
	s := b.Stats()
	if s.Evicted == 0 || s.Keys == 0 || s.Reported+s.Open != 2000 {
		t.Errorf("Stats = %+v", s)
	}
	b.Close()
	if b.bytes != 0 || b.first != nil || b.last != nil {
		t.Errorf("after the end %d bytes are left", b.bytes)
	}
}

// TestAFullQueueLosesNothing has a queue of one alert.
func TestAFullQueueLosesNothing(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	c.Keys = 1
	b := newBench(t, c, alert.QueueConfig{Items: 1, Bytes: 1 << 20})
	r := rule(t, "a", "%proc.name", rules.Notice)
	w := b.Worker()
	b.match(w, b.ran("a", 1, ""), r) // fills the queue
	b.match(w, b.ran("a", 1, ""), r)
	if b.match(w, b.ran("b", 1, ""), r) {
		t.Error("the first alert was folded")
	}
	b.wait(time.Hour)
	b.Sweep()
	if !b.match(w, b.ran("a", 1, ""), r) {
		t.Error("counting ended though nobody took the record")
	}
	if s := b.Stats(); s.Open != 2 || s.Records != 0 || s.Evicted != 0 {
		t.Errorf("while the queue is full: %+v", s)
	}
	b.outputs(t)
	b.Sweep()
	if got := b.taken(t); len(got) != 1 || got[0].Fold.Count != 2 {
		t.Errorf("once there was room the records are %+v", got)
	}

	b.match(w, b.ran("a", 1, ""), r)
	b.match(w, b.ran("a", 1, ""), r)
	b.Close()
	if s := b.Stats(); s.Unreported[ledger.LostQueueItems] != 1 || s.Open != 0 {
		t.Errorf("at the end with a full queue: %+v", s)
	}
}

func TestAnAlertThatWasRefusedHasNoRepeats(t *testing.T) {
	t.Parallel()
	b := newBench(t, DefaultConfig(), alert.QueueConfig{Items: 1, Bytes: 1 << 20})
	r := rule(t, "a", "%proc.name", rules.Notice)
	w := b.Worker()
	b.match(w, b.ran("a", 1, ""), r)
	b.match(w, b.ran("b", 1, ""), r) // refused
	b.outputs(t)
	if b.match(w, b.ran("b", 1, ""), r) {
		t.Error("it was folded with an alert that nobody got")
	}
	if got := b.outputs(t); len(got) != 1 {
		t.Errorf("records %q, want one", got)
	}
}

func TestCloseReportsWhatIsOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t, DefaultConfig(), alert.DefaultQueueConfig())
	r := rule(t, "a", "%proc.name", rules.Notice)
	w := b.Worker()
	for range 3 {
		b.match(w, b.ran("a", 1, ""), r)
	}
	b.Close()
	if got := b.taken(t); len(got) != 2 || got[1].Fold.Count != 2 || got[1].Fold.Reason != "shutdown" {
		t.Errorf("the records are %+v", got)
	}
	if b.match(w, b.ran("a", 1, ""), r) {
		t.Error("it folds after the end")
	}
}

// TestEveryMatchIsSentOrFolded has several goroutines, windows that end, keys that are
// evicted and a queue that is full at times.
func TestEveryMatchIsSentOrFolded(t *testing.T) {
	t.Parallel()
	const workers, each = 4, 5000
	c := DefaultConfig()
	c.Keys, c.Window = 8, 100*time.Millisecond
	b := newBench(t, c, alert.QueueConfig{Items: 64, Bytes: 1 << 20})
	r := rule(t, "a", "%proc.name %proc.pid", rules.Notice)
	account := ledger.NewSource("test", "syscall")
	account.SetQueue(b.queue.Stats)
	account.SetFold(b.Stats)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			l, w := account.Worker(), b.Worker()
			defer l.Close()
			l.SetRules([]ledger.RuleKey{{Name: "a"}})
			for i := range each {
				b.mu.Lock()
				ev := b.ran(fmt.Sprint("x", i%12), int32(i), "")
				b.mu.Unlock()
				l.Produced(ev.Type, 1)
				l.Delivered(ev.Type)
				l.Evaluated(ev.Type)
				if w.Repeats(ev, r) {
					l.Folded(0)
				} else if a := alert.New(ev, r, 1); true {
					if reason, ok := b.queue.Push(a); ok {
						l.Alerted(0)
					} else {
						l.Lost(0, reason)
						a = nil
					}
					w.Opened(a)
				}
				if i%64 == 0 {
					b.wait(time.Millisecond)
					l.Publish()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		b.Close()
		b.queue.Close()
		close(done)
	}()
	var told uint64
	var s ledger.Snapshot
	for {
		batch := b.queue.Take(t.Context(), nil, 16, 0)
		if batch == nil {
			break
		}
		for _, a := range batch {
			if told++; a.Fold != nil {
				told += a.Fold.Count - 1
			}
		}
		account.Acknowledged(len(batch))
		b.Sweep()
		account.Snapshot(&s)
		if err := s.Balance(); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		t.Error(err)
	}
	for _, refused := range [][ledger.NumLostReasons]uint64{s.Lost, s.Fold.Unreported} {
		for _, n := range refused {
			told += n
		}
	}
	if told != workers*each || s.Folded == 0 || s.Fold.Evicted == 0 {
		t.Errorf("the records tell of %d matches, want %d; folded %d, evicted %d", told, workers*each, s.Folded, s.Fold.Evicted)
	}
}

// TestWorkersShareTheFirstAlert has several goroutines meet a key at the same moment, over
// and over: one of them makes the alert.
func TestWorkersShareTheFirstAlert(t *testing.T) {
	t.Parallel()
	const workers, keys = 4, 2000
	b := newBench(t, DefaultConfig(), alert.DefaultQueueConfig())
	r := rule(t, "a", "%proc.name", rules.Notice)
	arrive := make(chan struct{}, workers)
	leave := make([]chan struct{}, workers)
	var folded atomic.Uint64
	var wg sync.WaitGroup
	for i := range workers {
		leave[i] = make(chan struct{})
		wg.Go(func() {
			w := b.Worker()
			for k := range keys {
				ev := b.ran(fmt.Sprint("x", k), 1, "")
				arrive <- struct{}{}
				<-leave[i]
				if b.match(w, ev, r) {
					folded.Add(1)
				}
			}
		})
	}
	for range keys {
		for range workers {
			<-arrive
		}
		for _, l := range leave {
			l <- struct{}{}
		}
	}
	wg.Wait()
	if got := len(b.taken(t)); got != keys || folded.Load() != (workers-1)*keys {
		t.Errorf("%d alerts went out and %d were folded, want %d and %d", got, folded.Load(), keys, (workers-1)*keys)
	}
}

func TestEveryVolatileFieldExists(t *testing.T) {
	t.Parallel()
	sources := map[string]string{"ka": "k8s_audit", "ct": "aws_cloudtrail", "gcp": "gcp_auditlog", "okta": "okta", "log": "log"}
	for name := range volatile {
		class, _, _ := strings.Cut(name, ".")
		source := sources[class]
		if source == "" {
			source = "syscall"
		}
		if _, err := field.Lookup(name, source); err != nil {
			t.Errorf("look up %s: %v", name, err)
		}
	}
}

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Errorf("the default: %v", err)
	}
	c = Config{Window: time.Millisecond, Priority: "loud", Fields: make([]string, 33)}
	want := `window: 1ms is not between 100ms and 24h0m0s
priority: no priority "loud"
fields: 33 are more than 32
keys: 0 is not between 1 and 1000000
bytes: 0 is less than 65536`
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate\n got %v\nwant %s", err, want)
	}
	c = DefaultConfig()
	c.Fields = []string{"proc.nmae"}
	if _, err := New(Settings{Config: c, Type: "syscall"}); err == nil || !strings.Contains(err.Error(), "proc.name") {
		t.Errorf("New with an unknown field: %v", err)
	}
}

func BenchmarkRepeats(b *testing.B) {
	f := newBench(b, DefaultConfig(), alert.DefaultQueueConfig())
	r := rule(b, "Shell", "shell %proc.name (pid=%proc.pid cmdline=%proc.cmdline)", rules.Warning)
	w := f.Worker()
	ev := f.ran("sh", 1, "")
	f.match(w, ev, r)
	for range maxEventIDs {
		w.Repeats(ev, r)
	}
	b.ReportAllocs()
	for b.Loop() {
		ev.Scratch = ev.Scratch[:0]
		w.Repeats(ev, r)
	}
}
