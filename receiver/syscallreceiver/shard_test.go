package syscallreceiver

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/pipeline"
	"github.com/windhover/windhover/internal/state"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/library"
)

// defaultRules returns the rules that Windhover ships.
func defaultRules(tb testing.TB) *rules.Set {
	tb.Helper()
	entries, err := library.FS.ReadDir(".")
	if err != nil {
		tb.Fatal(err)
	}
	var files []rules.File
	for _, e := range entries {
		b, err := library.FS.ReadFile(e.Name())
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, rules.File{Name: e.Name(), Data: b})
	}
	set, report := rules.Compile(files, rules.Options{})
	if set == nil {
		tb.Fatalf("compile the default rules: %v", report.Errors())
	}
	return set
}

// newTestShard returns a shard that matches set, with its account.
func newTestShard(tb testing.TB, set *rules.Set) (*shard, *ledger.Source, *alert.Queue) {
	tb.Helper()
	account := ledger.NewSource("test", sourceType)
	queue := alert.NewQueue(alert.DefaultQueueConfig())
	account.SetQueue(queue.Stats)
	origin := &event.Source{Name: "test", Type: sourceType}
	table := state.NewTable(state.Settings{Shards: 1})
	s := &shard{
		decoder: decoder{source: origin},
		worker: pipeline.NewWorker(pipeline.Settings{
			Source: origin, Rules: rules.NewLive(set), Ledger: account, Alerts: queue,
		}),
		table: table, procs: table.Shard(0), shards: 1, peers: &peers{all: make([]progress, 1)},
		clock:     newClock(func() int64 { return 0 }),
		countRead: true,
	}
	return s, account, queue
}

func TestShardKnowsTheProcessOfAnEvent(t *testing.T) {
	t.Parallel()
	set, report := rules.Compile([]rules.File{{Name: "x.yaml", Data: []byte(`
- {rule: exec, desc: d, condition: evt.type = execve, output: "%proc.name of %proc.pname ran %proc.cmdline", priority: INFO}
- {rule: exit, desc: d, condition: evt.type = procexit, output: "%proc.name ended", priority: INFO}
- {rule: fork, desc: d, condition: evt.type = clone, output: "%proc.name forked", priority: INFO}
- {rule: write, desc: d, condition: evt.type = openat and evt.is_open_write = true, output: "%proc.name wrote %fd.name", priority: INFO}
`)}}, rules.Options{})
	if set == nil {
		t.Fatal(report.Errors())
	}
	s, account, queue := newTestShard(t, set)
	for _, b := range mixed(1) {
		s.handle(event.LaneBulk, b)
	}
	s.close()
	queue.Close()
	want := []string{"bash forked", "curl of bash ran curl -s https://example.org", "curl wrote /tmp/out", "curl ended"}
	for i, a := range queue.Take(t.Context(), nil, 100, 0) {
		if i >= len(want) || a.Output != want[i] {
			t.Errorf("alert %d = %q, want %q", i, a.Output, want[min(i, len(want)-1)])
		}
	}
	var snap ledger.Snapshot
	account.Snapshot(&snap)
	if err := snap.Balance(); err != nil || snap.InFlight() != 0 {
		t.Errorf("balance: %v, %d in flight", err, snap.InFlight())
	}
	if snap.Queue.Accepted != uint64(len(want)) {
		t.Errorf("%d alerts, want %d", snap.Queue.Accepted, len(want))
	}
}

func TestMalformedSamplesAreCountedByType(t *testing.T) {
	t.Parallel()
	s, account, _ := newTestShard(t, defaultRules(t))
	whole := mixed(1)
	s.handle(event.LaneReserved, whole[0])
	for _, b := range whole[1:] {
		s.handle(event.LaneBulk, b[:len(b)-1])
		s.handle(event.LaneBulk, b[:3])
	}
	s.close()
	var snap ledger.Snapshot
	account.Snapshot(&snap)
	if err := snap.Balance(); err != nil || snap.InFlight() != 0 {
		t.Errorf("balance: %v, %d in flight", err, snap.InFlight())
	}
	// An exit is a header and nothing else: cut, it has no type either.
	if got, want := snap.DroppedAll(event.Unknown), uint64(len(whole)); got != want {
		t.Errorf("%d samples without a type were dropped, want %d", got, want)
	}
	if got := snap.Dropped[event.Execve][event.LaneBulk][ledger.DropMalformed]; got != 1 {
		t.Errorf("%d cut execve samples were dropped, want 1", got)
	}
}

// quiet returns the samples of mixed that neither change the process table nor match
// a default rule, after s has handled the others.
func quiet(tb testing.TB, s *shard, queue *alert.Queue) [][]byte {
	tb.Helper()
	var calls [][]byte
	for _, b := range mixed(50) {
		before := queue.Stats()
		s.handle(event.LaneBulk, b)
		after := queue.Stats()
		switch typeOf(b) {
		case event.OpenAt, event.Connect, event.Unlink:
			if before == after {
				calls = append(calls, b)
			}
		}
	}
	if len(calls) < 500 {
		tb.Fatalf("%d quiet samples, want most of 600", len(calls))
	}
	return calls
}

func TestAnEventThatMatchesNothingAllocatesNothing(t *testing.T) {
	s, _, queue := newTestShard(t, defaultRules(t))
	calls := quiet(t, s, queue)
	if n := testing.AllocsPerRun(10, func() {
		for _, b := range calls {
			s.handle(event.LaneBulk, b)
		}
		s.idle()
	}); n != 0 {
		t.Errorf("%d events allocate %v times", len(calls), n)
	}
}

// BenchmarkHandle is user space: from the sample in memory to the rules that do not
// match. WINDHOVER_SAMPLES names a recorded file to use instead of made samples.
func BenchmarkHandle(b *testing.B) {
	b.Run("made samples that match nothing", func(b *testing.B) {
		s, _, queue := newTestShard(b, defaultRules(b))
		calls := quiet(b, s, queue)
		benchmark(b, s, calls)
	})
	b.Run("recorded samples", func(b *testing.B) {
		name := os.Getenv("WINDHOVER_SAMPLES")
		if name == "" {
			b.Skip("WINDHOVER_SAMPLES is not set: record a file with record_samples")
		}
		s, _, queue := newTestShard(b, defaultRules(b))
		queue.Close()
		benchmark(b, s, load(b, name))
	})
}

func benchmark(b *testing.B, s *shard, samples [][]byte) {
	b.Helper()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		s.handle(event.LaneBulk, samples[i])
		if i++; i == len(samples) {
			i = 0
			s.idle()
		}
	}
}

// load reads a file of samples into memory.
func load(tb testing.TB, name string) [][]byte {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r, err := NewSampleReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var samples [][]byte
	for {
		_, b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return samples
		}
		if err != nil {
			tb.Fatal(err)
		}
		samples = append(samples, append([]byte(nil), b...))
	}
}
