package k8sauditreceiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/ledger"
)

// write appends text to a file.
func write(tb testing.TB, path, text string) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

func rename(tb testing.TB, from, to string) {
	tb.Helper()
	if err := os.Rename(from, to); err != nil {
		tb.Fatal(err)
	}
}

// follow starts a receiver that follows the files of a pattern.
func (p *place) follow(name, pattern string, change func(*Config)) component.Component {
	p.tb.Helper()
	r, _ := p.start(name, func(c *Config) {
		c.Files.Include = []string{pattern}
		c.Files.PollInterval = 10 * time.Millisecond
		c.Files.StartAt = feed.StartAtBeginning
		if change != nil {
			change(c)
		}
	})
	return r
}

func TestFilesAreFollowed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps func(p *place, path string)
	}{
		{"as they grow", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n")
			p.awaitAlerts("a")
			write(p.tb, path, audit("b")+"\r\n\n"+audit("c")+"\n")
			p.awaitAlerts("a", "b", "c")
		}},
		{"with a line that is written by halves", func(p *place, path string) {
			line := audit("b") + "\n"
			write(p.tb, path, audit("a")+"\n"+line[:20])
			p.awaitAlerts("a")
			write(p.tb, path, line[20:40])
			write(p.tb, path, line[40:])
			p.awaitAlerts("a", "b")
		}},
		{"with a byte order mark and lists", func(p *place, path string) {
			write(p.tb, path, "\uFEFF["+audit("a")+","+audit("b")+"]\n")
			p.awaitAlerts("a", "b")
		}},
		{"when they are renamed and a new one takes their place", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n")
			p.awaitAlerts("a")
			rename(p.tb, path, path+".1")
			write(p.tb, path+".1", audit("b")+"\n") // by who has it open still
			write(p.tb, path, audit("c")+"\n")
			p.awaitAlerts("a", "b", "c")
		}},
		{"with a last line that never ends in a file that was renamed", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n"+audit("b"))
			p.awaitAlerts("a")
			rename(p.tb, path, path+".1")
			p.awaitAlerts("a", "b")
		}},
		{"when they are copied and cut short", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n"+audit("b")+"\n")
			p.awaitAlerts("a", "b")
			if err := os.Truncate(path, 0); err != nil {
				p.tb.Fatal(err)
			}
			write(p.tb, path, audit("c")+"\n")
			p.awaitAlerts("a", "b", "c")
		}},
		{"when they are written anew and are larger than before", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n")
			p.awaitAlerts("a")
			if err := os.WriteFile(path, []byte(audit("b")+"\n"+audit("c")+"\n"), 0o600); err != nil {
				p.tb.Fatal(err)
			}
			p.awaitAlerts("a", "b", "c")
		}},
		{"when they are removed and come back", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n")
			p.awaitAlerts("a")
			if err := os.Remove(path); err != nil {
				p.tb.Fatal(err)
			}
			write(p.tb, path, audit("b")+"\n")
			p.awaitAlerts("a", "b")
		}},
		{"when there are more of them", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n")
			p.awaitAlerts("a")
			write(p.tb, filepath.Join(filepath.Dir(path), "audit-2.log"), audit("b")+"\n")
			p.awaitAlerts("a", "b")
		}},
		{"with a malformed line", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n{\"kind\":\"Event\"\n"+audit("b")+"\n")
			p.awaitAlerts("a", "b")
			p.await("the count", func() bool {
				return p.account("windhover_k8saudit/f").DroppedBy(event.LaneBulk, ledger.DropMalformed) == 1
			})
		}},
		{"with a line that is too long", func(p *place, path string) {
			write(p.tb, path, audit("a")+"\n"+strings.Repeat("x", 600_000))
			p.awaitAlerts("a")
			write(p.tb, path, strings.Repeat("x", 600_000)+"\n"+audit("b")+"\n")
			p.awaitAlerts("a", "b")
			p.await("the count", func() bool {
				s := p.account("windhover_k8saudit/f")
				return s.DroppedBy(event.LaneBulk, ledger.DropOversize) == 1 && s.Produced[event.PluginEvent] == 3
			})
		}},
		{"with a line longer than what is read at a time", func(p *place, path string) {
			long := strings.Replace(audit("b"), `"kind"`, `"x":"`+strings.Repeat("x", 400_000)+`","kind"`, 1)
			write(p.tb, path, audit("a")+"\n"+long+"\n"+audit("c")+"\n")
			p.awaitAlerts("a", "b", "c")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, everyEvent)
			dir := t.TempDir()
			p.follow("f", filepath.Join(dir, "audit*.log"), func(c *Config) { c.MaxEventBytes = 500_000 })
			p.await("the start", func() bool { return p.account("windhover_k8saudit/f").State == ledger.StateOK })
			tt.steps(p, filepath.Join(dir, "audit.log"))
		})
	}
}

func TestFilesStartWhereTheyAreToldTo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		startAt string
		want    []string
	}{
		{feed.StartAtBeginning, []string{"a", "b", "c", "d"}},
		{feed.StartAtEnd, []string{"c", "d"}}, // c is not whole when it is looked at first
	} {
		t.Run(tt.startAt, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, everyEvent)
			path := filepath.Join(t.TempDir(), "audit.log")
			c := audit("c") + "\n"
			write(t, path, strings.Repeat(audit("a")+"\n", 1)+audit("b")+"\n"+c[:10])
			p.follow("f", path, func(c *Config) { c.Files.StartAt = tt.startAt })
			p.await("the first look", func() bool { return p.account("windhover_k8saudit/f").State == ledger.StateOK })
			write(t, path, c[10:]+audit("d")+"\n")
			p.awaitAlerts(tt.want...)
		})
	}
}

func TestFilesThatAreReadOnceEndTheSource(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "2.log"), audit("b")+"\n"+audit("c")) // no end of line
	write(t, filepath.Join(dir, "1.log"), audit("a")+"\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "1.log"), old, old); err != nil {
		t.Fatal(err)
	}
	p.follow("f", filepath.Join(dir, "*.log"), func(c *Config) { c.Files.Follow = false })
	p.awaitAlerts("a", "b", "c")
	p.await("the end", func() bool { return p.account("windhover_k8saudit/f").State == ledger.StateEnded })
}

func TestFilesThatCannotBeReadOnceFailTheSource(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	path := filepath.Join(t.TempDir(), "none.log")
	p.follow("f", path, func(c *Config) { c.Files.Follow = false })
	p.await("the failure", func() bool { return p.account("windhover_k8saudit/f").State == ledger.StateFailed })
	if got, want := p.account("windhover_k8saudit/f").Reason, "look for "+path+": there is no such file"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
}

func TestFileThatIsNoneDegradesTheSourceAndNoOther(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.log")
	if err := os.Mkdir(bad, 0o700); err != nil {
		t.Fatal(err)
	}
	p.follow("f", filepath.Join(dir, "*.log"), nil)
	write(t, filepath.Join(dir, "good.log"), audit("a")+"\n")
	p.awaitAlerts("a")
	p.await("the state", func() bool { return p.account("windhover_k8saudit/f").State == ledger.StateDegraded })
	if got, want := p.account("windhover_k8saudit/f").Reason, "open "+bad+": it is not a regular file"; got != want {
		t.Errorf("reason %q, want %q", got, want)
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	p.await("the state", func() bool { return p.account("windhover_k8saudit/f").State == ledger.StateOK })
}

func TestReadingWaitsWhileTheAlertQueueIsFull(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	path := filepath.Join(t.TempDir(), "audit.log")
	const n = 500
	var lines strings.Builder
	for i := range n {
		fmt.Fprintln(&lines, audit(strconv.Itoa(i)))
	}
	write(t, path, lines.String())
	p.follow("f", path, func(c *Config) { c.Instance.Queue.Items = 3 })
	p.await("every alert", func() bool { return len(p.alerts()) == n })
	s := p.account("windhover_k8saudit/f")
	if matched, alerts := s.Matched(); matched != alerts {
		t.Errorf("%d of %d matches became alerts, want all", alerts, matched)
	}
}

// memory is a storage extension.
type memory struct {
	nopComponent
	mu   sync.Mutex
	data map[string][]byte
	open int
}

func (m *memory) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open++
	return m, nil
}

func (m *memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[key], nil
}

func (m *memory) Set(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[key] = value
	return nil
}

func (m *memory) Delete(context.Context, string) error { return errors.ErrUnsupported }

func (m *memory) Batch(context.Context, ...*storage.Operation) error { return errors.ErrUnsupported }

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open--
	return nil
}

func TestOffsetsSurviveARestart(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	m := &memory{data: map[string][]byte{}}
	id := component.MustNewID("memory")
	p.more[id] = m
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	start := func() component.Component {
		r, _, err := p.tryStart("f", func(c *Config) {
			c.Files.Include = []string{filepath.Join(dir, "*.log")}
			c.Files.PollInterval = 10 * time.Millisecond
			c.Files.StartAt = feed.StartAtBeginning
			c.Files.Storage = &id
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	write(t, path, audit("a")+"\n"+audit("b")[:30])
	r := start()
	p.awaitAlerts("a")
	p.shutdown(r)

	// The file is renamed while nobody looks, and goes on under its new name.
	rename(t, path, filepath.Join(dir, "audit-1.log"))
	write(t, filepath.Join(dir, "audit-1.log"), audit("b")[30:]+"\n")
	write(t, path, audit("c")+"\n")
	r = start()
	p.awaitAlerts("a", "b", "c")
	p.shutdown(r)
	if m.open != 0 {
		t.Errorf("%d clients of the storage are open", m.open)
	}
}

func TestOffsetIsNotKeptBeforeAlertsAreAnswered(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	m := &memory{data: map[string][]byte{}}
	id := component.MustNewID("memory")
	p.more[id] = m
	path := filepath.Join(t.TempDir(), "audit.log")
	line := audit("a") + "\n"
	stored := func() string {
		m.mu.Lock()
		defer m.mu.Unlock()
		return string(m.data["offsets"])
	}
	p.before = func() {
		// Two alerts are asked about: at the second the first one is answered.
		if got := stored(); strings.Contains(got, fmt.Sprintf(`"offset":%d`, len(line)*(len(p.alerts())+1))) {
			t.Errorf("stored %s before the alert was answered", got)
		}
	}
	p.follow("f", path, func(c *Config) { c.Files.Storage = &id })
	for i, want := range [][]string{{"a"}, {"a", "a"}} {
		write(t, path, line)
		p.awaitAlerts(want...)
		p.await("the offset", func() bool { return strings.Contains(stored(), fmt.Sprintf(`"offset":%d`, len(line)*(i+1))) })
	}
}

func TestMissingStorageIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	p.more[component.MustNewID("other")] = nopComponent{}
	for _, tt := range []struct{ id, want string }{
		{"file_storage", "find extension file_storage: there is none; add it to extensions, in a collector also to service::extensions, or remove files::storage"},
		{"other", "use extension other: it stores nothing; use one such as file_storage"},
	} {
		id := component.MustNewID(tt.id)
		r, _, err := p.tryStart("f", func(c *Config) {
			c.Files.Include = []string{"none"}
			c.Files.Storage = &id
		})
		if err == nil || err.Error() != tt.want {
			t.Errorf("Start with storage %s = %v, want %s", tt.id, err, tt.want)
		}
		p.shutdown(r)
	}
}

func TestPipeInPlaceOfAFileHoldsUpNothing(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	dir := t.TempDir()
	makePipe(t, filepath.Join(dir, "a.log"))
	p.follow("f", filepath.Join(dir, "*.log"), nil)
	write(t, filepath.Join(dir, "b.log"), audit("a")+"\n")
	p.awaitAlerts("a")
}
