package consoleexporter

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/exporter/consoleexporter/internal/metadata"
)

var update = flag.Bool("update", false, "write golden files")

// deadline bounds every wait.
const deadline = 10 * time.Second

// alertLogs returns one alert as Windhover sends it, with an output chosen by the test.
func alertLogs(output string) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("host.name", "node-1")
	r := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.SetEventName("windhover.alert")
	r.SetTimestamp(pcommon.Timestamp(1_767_323_045_000_000_007))
	r.SetSeverityNumber(plog.SeverityNumberError2)
	r.SetSeverityText("Critical")
	r.Body().SetStr(output)
	a := r.Attributes()
	a.PutStr("security_rule.name", "Shell in a server")
	a.PutStr("windhover.source.type", "syscall")
	tags := a.PutEmptySlice("windhover.rule.tags")
	tags.AppendEmpty().SetStr("host")
	tags.AppendEmpty().SetStr("T1059.004")
	fields := a.PutEmptyMap("falco.output_fields")
	fields.PutStr("proc.name", "sh")
	fields.PutInt("proc.pid", 4711)
	fields.PutBool("proc.is_exe_writable", false)
	fields.PutInt("evt.time", 1_767_323_045_000_000_007)
	fields.PutDouble("evt.odd", math.NaN())
	fields.PutEmpty("container.name")
	fields.PutEmptySlice("proc.args").AppendEmpty().SetStr("<-i>")
	return ld
}

func TestText(t *testing.T) {
	t.Parallel()
	const start = "03:04:05.000000007 "
	for _, tt := range []struct{ name, output, want string }{
		{"a line has time, priority, rule and output", "sh was started by nginx", "Critical Shell in a server: sh was started by nginx"},
		{"a rule is not named twice", "Shell in a server (pid=4711)", "Critical Shell in a server (pid=4711)"},
		{"text of any language stays", "Datei „straße“ 文件 🙂", "Critical Shell in a server: Datei „straße“ 文件 🙂"},
		{"a line feed does not end the line", "a\nb\r\n", `Critical Shell in a server: a\nb\r\n`},
		{"a terminal gets no commands", "a\x1b[2Jb\x9b1mc", `Critical Shell in a server: a\x1b[2Jb\x9b1mc`},
		{"C1 control characters are escaped", "a\u009b31mb", `Critical Shell in a server: a\u009b31mb`},
		{"reading does not turn around", "gpj.\u202eexe", `Critical Shell in a server: gpj.\u202eexe`},
		{"nor is it isolated", "a\u2066b\u2069", `Critical Shell in a server: a\u2066b\u2069`},
		{"line separators of Unicode are escaped", "a\u2028b\u2029c\u0085d", `Critical Shell in a server: a\u2028b\u2029c\u0085d`},
		{"nothing is invisible", "a\u200bb\ufeffc\x00d\x7f", `Critical Shell in a server: a\u200bb\ufeffc\x00d\x7f`},
		{"bytes that are no text are shown", "a\xffb\xc3", `Critical Shell in a server: a\xffb\xc3`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := string(textFormat{location: time.UTC}.append(nil, alertLogs(tt.output)))
			if diff := cmp.Diff(start+tt.want+"\n", got); diff != "" {
				t.Errorf("append(%q) (-want +got):\n%s", tt.output, diff)
			}
		})
	}
}

func TestColourMarksThePriorityOnly(t *testing.T) {
	t.Parallel()
	got := string(textFormat{colour: true, location: time.UTC}.append(nil, alertLogs("x")))
	want := "03:04:05.000000007 \x1b[1;31mCritical\x1b[0m Shell in a server: x\n"
	if got != want {
		t.Errorf("append = %q, want %q", got, want)
	}
}

func FuzzTextIsOneLineWithoutCommands(f *testing.F) {
	for _, s := range []string{"", "a\nb", "\x1b]0;t\a", "\u202e", "\xff\xfe", "é\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := textFormat{location: time.UTC}.append(nil, alertLogs(s))
		if n := bytes.IndexByte(got, '\n'); n != len(got)-1 {
			t.Errorf("append(%q) ends its line at %d of %d: %q", s, n, len(got), got)
		}
		for _, r := range string(got[:len(got)-1]) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == '\uFFFD' && !strings.ContainsRune(s, r) {
				t.Errorf("append(%q) lets %U through: %q", s, r, got)
			}
		}
	})
}

func TestJSONHasTheKeysOfFalco(t *testing.T) {
	t.Parallel()
	ld := alertLogs("sh <was> started\nby nginx")
	other := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().AppendEmpty()
	other.SetEventName("windhover.events_dropped")
	other.SetObservedTimestamp(pcommon.Timestamp(1_767_323_046_000_000_000))
	other.SetSeverityText("Critical")
	other.Body().SetStr("windhover_syscall is losing events")
	got := appendJSON(nil, ld)

	name := filepath.Join("testdata", "alerts.jsonl")
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("appendJSON (-want +got):\n%s", diff)
	}
	for line := range bytes.Lines(got) {
		if !json.Valid(line) {
			t.Errorf("no JSON object: %s", line)
		}
	}
}

func TestJSONEndsWhereNestingDoes(t *testing.T) {
	t.Parallel()
	ld := alertLogs("x")
	v, _ := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().Get("falco.output_fields")
	for range 10_000 {
		v = v.Map().PutEmpty("a")
		v.SetEmptyMap()
	}
	if got := appendJSON(nil, ld); len(got) > 1000 || !json.Valid(got) {
		t.Errorf("appendJSON of a deep value = %d bytes, valid: %v", len(got), json.Valid(got))
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := newDefaultConfig()
	file.Format, file.Path = FormatJSON, "/var/log/alerts.jsonl"
	noQueue := newDefaultConfig()
	noQueue.SendingQueue = configoptional.None[exporterhelper.QueueBatchConfig]()
	for _, tt := range []struct {
		name, id string
		want     *Config
		wantErr  string
	}{
		{name: "everything has a default", id: "windhover_console", want: newDefaultConfig()},
		{name: "a file gets JSON", id: "windhover_console/file", want: file},
		{name: "there are two formats", id: "windhover_console/xml", wantErr: `format: no format "xml"; there are text and json`},
		{name: "a queue holds something", id: "windhover_console/full", wantErr: "sending_queue: `queue_size` must be positive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub, err := conf.Sub(tt.id)
			if err != nil {
				t.Fatal(err)
			}
			got := NewFactory().CreateDefaultConfig()
			if err := sub.Unmarshal(got); err != nil {
				t.Fatal(err)
			}
			err = confmap.Validate(got)
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Fatalf("Validate = %v, want %s", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text(t, tt.want), text(t, got.(*Config))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.id, diff)
			}
		})
	}
}

// text returns c as a user would write it.
func text(tb testing.TB, c *Config) string {
	tb.Helper()
	conf := confmap.New()
	if err := conf.Marshal(c); err != nil {
		tb.Fatal(err)
	}
	b, err := json.MarshalIndent(conf.ToStringMap(), "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func TestEveryAlertIsOneLineInTheFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "alerts.jsonl")
	cfg := newDefaultConfig()
	cfg.Format, cfg.Path = FormatJSON, name
	e, err := NewFactory().CreateLogs(t.Context(), exportertest.NewNopSettings(metadata.Type), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	const n = 500
	for range n {
		if err := e.ConsumeLogs(t.Context(), alertLogs("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(b, []byte("\n")); got != n {
		t.Errorf("the file has %d lines, want %d", got, n)
	}
}

// host records what the exporter reports.
type host struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *host) Report(e *componentstatus.Event) {
	h.mu.Lock()
	h.events = append(h.events, e)
	h.mu.Unlock()
}

// piped returns a started console that writes to a pipe, and the end to read from.
func piped(t *testing.T) (*console, *host, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h := &host{Host: componenttest.NewNopHost()}
	c := newConsole(newDefaultConfig(), exportertest.NewNopSettings(metadata.Type))
	c.host = h
	c.begin(w, "pipe", false)
	t.Cleanup(func() {
		_ = r.Close() // unblocks a write that hangs
		c.hurry()
		if err := c.close(t.Context()); err != nil {
			t.Error(err)
		}
		<-c.ended
	})
	return c, h, r
}

func TestAReaderThatIsGoneIsReportedOnce(t *testing.T) {
	t.Parallel()
	c, h, r := piped(t)
	if err := c.consume(t.Context(), alertLogs("first")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || !strings.HasSuffix(line, "first\n") {
		t.Fatalf("read %q, %v", line, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		err := c.consume(t.Context(), alertLogs("x"))
		if !errors.Is(err, syscall.EPIPE) || !consumererror.IsPermanent(err) {
			t.Errorf("consume = %v, want a permanent broken pipe", err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.events) != 1 || h.events[0].Status() != componentstatus.StatusPermanentError {
		t.Errorf("reported %v, want one permanent error", h.events)
	}
}

func TestShutdownDoesNotWaitForAReaderThatDoesNotRead(t *testing.T) {
	t.Parallel()
	c, _, _ := piped(t)
	result := make(chan error, 1)
	go func() { result <- c.consume(t.Context(), alertLogs(strings.Repeat("x", 1<<20))) }()
	c.hurry()
	select {
	case err := <-result:
		if err == nil || !strings.Contains(err.Error(), "nobody read it") {
			t.Errorf("consume = %v, want that nobody read it", err)
		}
	case <-time.After(deadline):
		t.Fatal("a write that hangs holds up the shutdown")
	}
}

func TestStandardOutputIsACopy(t *testing.T) {
	t.Parallel()
	out, err := openStdout()
	if err != nil {
		t.Fatal(err)
	}
	if out.Fd() == os.Stdout.Fd() {
		t.Errorf("standard output is descriptor %d itself: the runtime would end the process on a broken pipe", out.Fd())
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.Stat(); err != nil {
		t.Errorf("standard output after its copy was closed: %v", err)
	}
}

func BenchmarkFormats(b *testing.B) {
	ld := plog.NewLogs()
	for range 100 {
		alertLogs("sh was started by nginx (pid=4711 cmdline=sh -i)").ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
	}
	for _, bb := range []struct {
		name   string
		encode func([]byte, plog.Logs) []byte
	}{{"text", textFormat{location: time.UTC}.append}, {"json", appendJSON}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = bb.encode(buf[:0], ld)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/alert")
		})
	}
}
