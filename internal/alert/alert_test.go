package alert

import (
	"bytes"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/output"
)

func rule(tb testing.TB, text string) *rules.Rule {
	tb.Helper()
	tmpl, problems := output.Parse(text, "syscall")
	if len(problems) > 0 {
		tb.Fatalf("parse output %q: %v", text, problems)
	}
	return &rules.Rule{Name: "opened", Desc: "A file was opened.", Source: "syscall", Priority: rules.Warning, Output: tmpl}
}

// opened returns an event whose every byte slice is in memory that the test may
// overwrite.
func opened() (*event.Event, []byte) {
	ring := []byte("/etc/shadow/run/a.sock")
	p := &event.Process{PID: 4711, Start: 12}
	p.SetImage(&event.Image{Name: []byte("cat"), ExePath: []byte("/usr/bin/cat"), Cmdline: []byte("cat /etc/shadow")})
	return &event.Event{
		Type: event.OpenAt, Source: &event.Source{Name: "windhover_syscall", Type: "syscall"},
		Time: 1_767_323_045_000_000_007, TID: 4712, UID: 1000, GID: 100, Proc: p,
		Has:  event.HasFile | event.HasSock,
		File: event.File{Path: ring[:11], Ino: 9},
		Sock: event.Socket{Family: 1, RemotePath: ring[11:]},
	}, ring
}

func TestAnAlertOwnsWhatItKeeps(t *testing.T) {
	t.Parallel()
	ev, ring := opened()
	r := rule(t, "opened (file=%fd.name pid=%proc.pid)")
	a := New(ev, r, 3)
	image := ev.Proc.Image()
	for i := range ring {
		ring[i] = 'x'
	}
	clear(ev.Scratch[:cap(ev.Scratch)])
	ev.Proc.SetImage(&event.Image{Name: []byte("later")})
	ev.Reset()

	if a.Output != "opened (file=/etc/shadow pid=4711)" {
		t.Errorf("Output = %q", a.Output)
	}
	if string(a.File.Path) != "/etc/shadow" || string(a.Sock.RemotePath) != "/run/a.sock" {
		t.Errorf("the file is %q and the socket %q", a.File.Path, a.Sock.RemotePath)
	}
	if a.Image != image || a.Proc.PID != 4711 || a.TID != 4712 || a.UserID != 1000 || a.GroupID != 100 {
		t.Errorf("the process is %+v", a)
	}
	want := []Field{
		{"fd.name", field.Value{Text: "/etc/shadow", Valid: true}},
		{"proc.pid", field.Value{Int: 4711, Valid: true}},
	}
	if diff := cmp.Diff(want, a.Fields, cmp.Comparer(func(x, y field.Value) bool {
		return x.Valid == y.Valid && x.Text == y.Text && x.Int == y.Int
	})); diff != "" {
		t.Errorf("Fields (-want +got):\n%s", diff)
	}
	if a.Rule != r || a.Generation != 3 || a.Time != 1_767_323_045_000_000_007 || a.Observed < a.Time || a.Type != event.OpenAt {
		t.Errorf("the match is %+v", a)
	}
}

func TestAnEventWithoutAProcessMakesAnAlert(t *testing.T) {
	t.Parallel()
	ev, _ := opened()
	ev.Proc = nil
	if a := New(ev, rule(t, "by %proc.name"), 1); a.Output != "by <NA>" || a.Proc != nil || a.Fields[0].Value.Valid {
		t.Errorf("New = %+v", a)
	}
}

func TestSizeFollowsWhatIsHeld(t *testing.T) {
	t.Parallel()
	ev, _ := opened()
	small := New(ev, rule(t, "x"), 1).Size()
	long := bytes.Repeat([]byte("x"), 100_000)
	for _, tt := range []struct {
		name   string
		change func(ev *event.Event) *rules.Rule
	}{
		{"a long path", func(ev *event.Event) *rules.Rule {
			ev.File.Path = long
			return rule(t, "x")
		}},
		{"a long output", func(*event.Event) *rules.Rule { return rule(t, string(long)) }},
		{"a long command line", func(ev *event.Event) *rules.Rule {
			ev.Proc.SetImage(&event.Image{Cmdline: long})
			return rule(t, "x")
		}},
		{"many arguments", func(ev *event.Event) *rules.Rule {
			ev.Proc.SetImage(&event.Image{Args: slices.Repeat([][]byte{[]byte("x")}, 5000)})
			return rule(t, "x")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ev, _ := opened()
			a := New(ev, tt.change(ev), 1)
			if a.Size() < small+90_000 {
				t.Errorf("Size = %d, an alert without it has %d", a.Size(), small)
			}
		})
	}
}

func TestUIDsAreVersion7AndSortByTime(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[UID]bool{}
	var last string
	for i := range int64(10_000) {
		u := newUID(1_767_323_045_000_000_000 + i*int64(time.Millisecond))
		if s := u.String(); !form.MatchString(s) || s <= last || seen[u] {
			t.Fatalf("UID %d = %s after %s", i, s, last)
		}
		seen[u], last = true, u.String()
	}
	u := newUID(0x0123456789ab * int64(time.Millisecond))
	if got := hex.EncodeToString(u[:6]); got != "0123456789ab" {
		t.Errorf("the time of a UID is %s, want 0123456789ab", got)
	}
}

func TestADropNoticeTellsTheEpisode(t *testing.T) {
	t.Parallel()
	source := &event.Source{Name: "windhover_syscall", Type: "syscall"}
	start := time.Unix(1_767_323_045, 0)
	e := &ledger.Episode{Source: source.Name, Start: start, Dropped: 5, Produced: 10}
	a := NewDropNotice(source, e, 2)
	if a.Drop != e || a.Rule != nil || a.Time != start.UnixNano() || !strings.HasPrefix(a.Output, "windhover_syscall is losing events: dropped 5 of 10") || a.Size() == 0 {
		t.Errorf("NewDropNotice = %+v", a)
	}
	closed := *e
	closed.End = start.Add(time.Minute)
	if a := NewDropNotice(source, &closed, 2); a.Time != closed.End.UnixNano() {
		t.Errorf("a notice of the end has time %d", a.Time)
	}
}

func TestEveryFactIsAField(t *testing.T) {
	t.Parallel()
	for source, names := range factNames {
		for _, name := range names {
			f, err := field.Lookup(name, source)
			if err != nil {
				t.Errorf("look up %s of %s: %v", name, source, err)
				continue
			}
			if f.String() != name {
				t.Errorf("the fact %s calls itself %s", name, f)
			}
		}
	}
}

func BenchmarkNew(b *testing.B) {
	ev, _ := opened()
	r := rule(b, "opened (file=%fd.name pid=%proc.pid name=%proc.name cmdline=%proc.cmdline)")
	b.ReportAllocs()
	for b.Loop() {
		ev.Scratch = ev.Scratch[:0]
		New(ev, r, 1)
	}
}
