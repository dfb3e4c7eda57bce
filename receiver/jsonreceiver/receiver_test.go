package jsonreceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap/zaptest"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// everyEvent returns rules that match every event of a source and print a field of it.
func everyEvent(source, output string) string {
	return `
- rule: Every Event of ` + source + `
  desc: Tells which event it was.
  condition: json.obj exists
  output: "` + output + `"
  priority: NOTICE
  source: ` + source + "\n"
}

// place is a host with rules, a book and the alerts that come out.
type place struct {
	tb    testing.TB
	live  *rules.Live
	book  ledger.Book
	stdin *feed.Input

	mu      sync.Mutex
	outputs []string
	times   []int64
}

func newPlace(tb testing.TB, text string) *place {
	tb.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, rules.Options{})
	if set == nil || len(set.Rules()) == 0 {
		tb.Fatalf("compile rules: %v", report)
	}
	return &place{tb: tb, live: rules.NewLive(set), stdin: feed.NewInput(strings.NewReader(""), "standard input")}
}

func (p *place) Live() *rules.Live                           { return p.live }
func (p *place) Start(context.Context, component.Host) error { return nil }
func (p *place) Shutdown(context.Context) error              { return nil }
func (p *place) Book() *ledger.Book                          { return &p.book }

func (p *place) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("windhover_rules"): p}
}

func (p *place) consume(_ context.Context, ld plog.Logs) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				p.outputs = append(p.outputs, lr.Body().Str())
				p.times = append(p.times, int64(lr.Timestamp()))
			}
		}
	}
	return nil
}

func (p *place) alerts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.outputs)
}

func (p *place) await(what string, ok func() bool) {
	p.tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			p.tb.Fatalf("waiting for %s: alerts %q", what, p.alerts())
		}
	}
}

func (p *place) awaitAlerts(want ...string) {
	p.tb.Helper()
	p.await(fmt.Sprintf("alerts %q", want), func() bool { return len(p.alerts()) >= len(want) })
	if got := p.alerts(); fmt.Sprint(got) != fmt.Sprint(want) {
		p.tb.Fatalf("alerts %q, want %q", got, want)
	}
}

func (p *place) account(name string) *ledger.Snapshot {
	p.tb.Helper()
	for _, s := range p.book.Sources() {
		if s.Name() == "windhover_json/"+name {
			var snap ledger.Snapshot
			s.Snapshot(&snap)
			return &snap
		}
	}
	p.tb.Fatalf("no account of %s", name)
	return nil
}

func (p *place) try(name string, change func(*Config)) (receiver.Logs, error) {
	p.tb.Helper()
	c := createDefaultConfig().(*Config)
	c.Files.PollInterval = 10 * time.Millisecond
	c.Files.StartAt = feed.StartAtBeginning
	change(c)
	if err := confmap.Validate(c); err != nil {
		p.tb.Fatal(err)
	}
	next, err := consumer.NewLogs(p.consume)
	if err != nil {
		p.tb.Fatal(err)
	}
	s := receivertest.NewNopSettings(component.MustNewType("windhover_json"))
	s.ID = component.NewIDWithName(s.ID.Type(), name)
	s.Logger = zaptest.NewLogger(p.tb)
	r, err := newFactory(p.stdin).CreateLogs(p.tb.Context(), s, c, next)
	if err != nil {
		p.tb.Fatal(err)
	}
	return r, r.Start(p.tb.Context(), p)
}

// start starts a receiver and shuts it down with the test. Then its account balances.
func (p *place) start(name string, change func(*Config)) (stop func()) {
	p.tb.Helper()
	r, err := p.try(name, change)
	if err != nil {
		p.tb.Fatal(err)
	}
	account := p.book.Sources()[len(p.book.Sources())-1]
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			p.tb.Errorf("shut down %s: %v", name, err)
		}
		var snap ledger.Snapshot
		account.Snapshot(&snap)
		if err := snap.AtRest(); err != nil {
			p.tb.Errorf("account of %s: %v", name, err)
		}
	})
	p.tb.Cleanup(stop)
	return stop
}

func write(tb testing.TB, path string, content []byte) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

func zipped(tb testing.TB, text string) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func TestSourcesHaveTheirFormats(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 13, 13, 13, 49, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		output string
		text   string
		change func(*Config)
		want   []string
		arrive bool // the time is that of arrival
	}{
		{
			"CloudTrail in its envelope", "%ct.name",
			`{"Records":[{"eventTime":"2024-05-13T13:13:49Z","eventName":"PutObject"},{"eventTime":"2024-05-13T13:13:49Z","eventName":"GetObject"}]}`,
			func(c *Config) { c.Source = field.CloudTrail },
			[]string{"PutObject", "GetObject"},
			false,
		},
		{
			"CloudTrail line by line", "%ct.name",
			`{"eventTime":"2024-05-13T13:13:49Z","eventName":"a"}` + "\n" + `{"eventTime":"2024-05-13T13:13:49Z","eventName":"b"}`,
			func(c *Config) { c.Source = field.CloudTrail },
			[]string{"a", "b"},
			false,
		},
		{
			"Okta in an array", "%okta.evt.type",
			`[{"published":"2024-05-13T13:13:49.000Z","eventType":"user.session.start"}]`,
			func(c *Config) { c.Source = field.Okta },
			[]string{"user.session.start"},
			false,
		},
		{
			"Google Cloud", "%gcp.methodName",
			`{"timestamp":"2024-05-13T13:13:49Z","protoPayload":{"methodName":"storage.setIamPermissions"}}`,
			func(c *Config) { c.Source = field.GCPAudit },
			[]string{"storage.setIamPermissions"},
			false,
		},
		{
			"Kubernetes audit", "%ka.verb",
			`{"kind":"EventList","items":[{"kind":"Event","auditID":"a","verb":"delete","stageTimestamp":"2024-05-13T13:13:49Z"}]}`,
			func(c *Config) { c.Source = field.K8sAudit },
			[]string{"delete"},
			false,
		},
		{
			"GitHub, whose events have no time", "%github.type %github.repo.name",
			`{"webhook_type":"push","repository":{"html_url":"https://github.com/a/b"}}`,
			func(c *Config) { c.Source = field.GitHub },
			[]string{"push a/b"},
			true,
		},
		{
			"any document with a time in milliseconds", "%json.value[/id]",
			`{"id":"a","at":{"ms":1715606029000}}`,
			func(c *Config) { c.Time = TimeConfig{"at.ms", "unix_ms"} },
			[]string{"a"},
			false,
		},
		{
			"any document with a time in seconds, as a text", "%json.value[/id]",
			`{"id":"a","at":"1715606029.0"}`,
			func(c *Config) { c.Time = TimeConfig{"at", "unix"} },
			[]string{"a"},
			false,
		},
		{
			"any document without the time it should have", "%json.value[/id]",
			`{"id":"a"}`,
			func(c *Config) { c.Time = TimeConfig{"at", "rfc3339"} },
			[]string{"a"},
			true,
		},
		{
			"Okta in the envelope of its event hooks", "%okta.evt.type",
			`{"eventType":"com.okta.event_hook","source":"https://example.okta.com/api/v1/eventHooks/who1","data":{"x":[1],"events":[{"published":"2024-05-13T13:13:49.000Z","eventType":"a"},{"published":"2024-05-13T13:13:49.000Z","eventType":"b"}]},"eventTime":"2024-05-13T13:13:50Z"}`,
			func(c *Config) { c.Source = field.Okta },
			[]string{"a", "b"},
			false,
		},
		{
			"any document in an envelope of two objects", "%json.value[/id]",
			`{"in":{"events":[{"id":"a"},{"id":"b"}]}}`,
			func(c *Config) { c.Envelope = "in.events" },
			[]string{"a", "b"},
			true,
		},
		{
			"any document in an envelope", "%json.value[/id]",
			`{"more":true,"events":[{"id":"a"},{"id":"b"}]}`,
			func(c *Config) { c.Envelope = "events" },
			[]string{"a", "b"},
			true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := createDefaultConfig().(*Config)
			tt.change(c)
			p := newPlace(t, everyEvent(c.Source, tt.output))
			p.stdin = feed.NewInput(strings.NewReader(tt.text), "standard input")
			before := time.Now().UnixNano()
			p.start("a", func(c *Config) {
				tt.change(c)
				c.Stdin = true
			})
			p.awaitAlerts(tt.want...)
			for _, got := range p.times {
				if !tt.arrive && got != at.UnixNano() || tt.arrive && got < before {
					t.Errorf("time %v, want %v", time.Unix(0, got).UTC(), at)
				}
			}
			p.await("the end", func() bool { return p.account("a").State == ledger.StateEnded })
		})
	}
}

func TestBatchesEndWhereTheyAreToldTo(t *testing.T) {
	t.Parallel()
	pretty := "{\n  \"id\": \"a\",\n  \"x\": [\n    {}\n  ]\n}\n{\n  \"id\": \"b}\"\n}\n"
	for _, tt := range []struct {
		name, batch, text string
		want              []string
		malformed         uint64
	}{
		{"lines", batchLine, "{\"id\":\"a\"}\r\n\n{\"id\":\"b\"}", []string{"a", "b"}, 0},
		{"lines with several documents", batchLine, `{"id":"a"}{"id":"b"} [{"id":"c"}]`, []string{"a", "b", "c"}, 0},
		{"a broken line costs no neighbour", batchLine, "{\"id\":\n{\"id\":\"b\"}\n", []string{"b"}, 1},
		{"documents of many lines", batchDocument, pretty, []string{"a", "b}"}, 0},
		{"documents after each other", batchDocument, `{"id":"a"}{"id":"b"}` + "\n", []string{"a", "b"}, 0},
		{"an array of many lines", batchDocument, "[\n{\"id\":\"a\"},\n{\"id\":\"b\"}\n]", []string{"a", "b"}, 0},
		{"a word between documents", batchDocument, "{\"id\":\"a\"}\nhello\n{\"id\":\"b\"}", []string{"a", "b"}, 1},
		{"a document that never ends", batchDocument, "{\"id\":\"a\"}\n{\"id\":", []string{"a"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, way := range []string{"stdin", "file", "compressed file", "compressed stdin"} {
				p := newPlace(t, everyEvent("json", "%json.value[/id]"))
				path := filepath.Join(t.TempDir(), "a.json")
				text := []byte(tt.text)
				if strings.HasPrefix(way, "compressed") {
					text = zipped(t, tt.text)
				}
				write(t, path, text)
				if strings.HasSuffix(way, "stdin") {
					p.stdin = feed.NewInput(bytes.NewReader(text), "standard input")
				}
				stop := p.start("a", func(c *Config) {
					c.Batch = tt.batch
					if strings.HasSuffix(way, "stdin") {
						c.Stdin = true
						return
					}
					c.Files.Include, c.Files.Follow = []string{path}, false
				})
				p.await("the end by "+way, func() bool { return p.account("a").State == ledger.StateEnded })
				p.awaitAlerts(tt.want...)
				if got := p.account("a").DroppedBy(event.LaneBulk, ledger.DropMalformed); got != tt.malformed {
					t.Errorf("by %s: %d malformed, want %d", way, got, tt.malformed)
				}
				stop()
			}
		})
	}
}

func TestCompressedFilesAreFollowed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("json", "%json.value[/id]"))
	dir := t.TempDir()
	p.start("a", func(c *Config) { c.Files.Include = []string{filepath.Join(dir, "*.gz")} })

	whole := zipped(t, "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n")
	path := filepath.Join(dir, "1.gz")
	write(t, path, whole[:len(whole)-12]) // it is being copied
	write(t, filepath.Join(dir, "2.gz"), zipped(t, `{"id":"b"}`))
	p.await("the second file", func() bool { return slices.Contains(p.alerts(), "b") })
	write(t, path, whole[len(whole)-12:])
	p.await("every line once", func() bool { return len(p.alerts()) == 4 })

	// The same file under another name is not read again.
	if err := os.Rename(path, filepath.Join(dir, "3.gz")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "4.gz"), zipped(t, `{"id":"c"}`))
	p.await("the last file", func() bool { return slices.Contains(p.alerts(), "c") })
	if got := len(p.alerts()); got != 5 {
		t.Errorf("%d alerts, want 5: %q", got, p.alerts())
	}
}

func TestLongLinesInCompressedFilesTakeNoMemory(t *testing.T) {
	p := newPlace(t, everyEvent("json", "%json.value[/id]"))
	path := filepath.Join(t.TempDir(), "bomb.gz")
	write(t, path, zipped(t, strings.Repeat("[", 64<<20)+"\n{\"id\":\"a\"}\n"))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p.start("a", func(c *Config) {
		c.Files.Include, c.Files.Follow = []string{path}, false
		c.MaxEventBytes, c.MaxBatchBytes = 1<<20, 1<<20
	})
	p.awaitAlerts("a")
	runtime.ReadMemStats(&after)
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 16<<20 {
		t.Errorf("allocated %d MiB for a line of 64 MiB", grew>>20)
	}
	p.await("the count", func() bool { return p.account("a").DroppedBy(event.LaneBulk, ledger.DropOversize) == 1 })
}

func TestInputIsThereForTheNextReceiver(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("json", "%json.value[/id]"))
	r, w := io.Pipe()
	p.stdin = feed.NewInput(r, "standard input")
	stop := p.start("a", func(c *Config) { c.Stdin = true })
	if _, err := p.try("b", func(c *Config) { c.Stdin = true }); err == nil || err.Error() != "open standard input: another source reads it" {
		t.Errorf("a second one on standard input: %v, want an error", err)
	}
	if _, err := io.WriteString(w, "{\"id\":\"a\"}\n"); err != nil {
		t.Fatal(err)
	}
	p.awaitAlerts("a")
	stop()
	if _, err := io.WriteString(w, "{\"id\":\"b\"}\n"); err != nil {
		t.Fatal(err)
	}
	stop = p.start("c", func(c *Config) { c.Stdin = true })
	p.awaitAlerts("a", "b")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p.await("the end", func() bool { return p.account("c").State == ledger.StateEnded })
	stop()
}

func TestSocketTakesWhatPeersWrite(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("json", "%json.value[/id]"))
	path := filepath.Join(t.TempDir(), "s")
	// A socket that nobody listens on any more.
	old, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	stop := p.start("a", func(c *Config) { c.Socket = SocketConfig{path, "0600"} })
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the socket: %v, %v, want 0600", info.Mode(), err)
	}
	if _, err := p.try("b", func(c *Config) { c.Socket.Path = path }); err == nil || err.Error() != "open socket "+path+": somebody listens on it" {
		t.Errorf("a second one on the socket: %v, want an error", err)
	}
	dial := func() net.Conn {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	send := func(c net.Conn, b []byte) {
		if _, err := c.Write(b); err != nil {
			t.Error(err)
		}
	}
	a, b := dial(), dial()
	send(a, []byte("{\"id\":\"a\"}\n{\"id\":"))
	p.awaitAlerts("a")
	send(b, zipped(t, `{"id":"b"}`))
	_ = b.Close()
	p.awaitAlerts("a", "b")
	send(a, []byte("\"c\"}"))
	_ = a.Close()
	p.awaitAlerts("a", "b", "c")

	c := dial()
	send(c, []byte("{\"id\":\"d\"}\n"))
	p.awaitAlerts("a", "b", "c", "d")
	stop() // hangs up
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still there")
	}
	_ = c.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is still there")
	}
}

func TestSocketWaitsWhileTheAlertQueueIsFull(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("json", "%json.value[/id]"))
	path := filepath.Join(t.TempDir(), "s")
	p.start("a", func(c *Config) {
		c.Socket.Path = path
		c.Instance.Queue.Items = 2
	})
	c, err := (&net.Dialer{}).DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	for i := range n {
		if _, err := fmt.Fprintf(c, "{\"id\":%d}\n", i); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	p.await("every alert", func() bool { return len(p.alerts()) == n })
	if matched, alerts := p.account("a").Matched(); matched != alerts {
		t.Errorf("%d of %d matches became alerts, want all", alerts, matched)
	}
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestSeveralStandSideBySide(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("json", "json %json.value[/id]")+everyEvent("okta", "okta %okta.evt.type"))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), []byte("{\"id\":\"1\"}\n"))
	p.start("a", func(c *Config) { c.Files.Include = []string{filepath.Join(dir, "a")} })
	p.awaitAlerts("json 1")
	write(t, filepath.Join(dir, "b"), []byte("{\"published\":\"2024-05-13T13:13:49Z\",\"eventType\":\"x\"}\n"))
	p.start("b", func(c *Config) {
		c.Source = field.Okta
		c.Files.Include = []string{filepath.Join(dir, "b")}
	})
	p.awaitAlerts("json 1", "okta x")
	for _, name := range []string{"a", "b"} {
		p.await("the count of "+name, func() bool { return p.account(name).Produced[event.PluginEvent] == 1 })
	}
}
