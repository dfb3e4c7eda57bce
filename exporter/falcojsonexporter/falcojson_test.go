package falcojsonexporter

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/exporter/falcojsonexporter/internal/metadata"
	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/rules"
)

// deadline bounds what a test waits for; no test depends on how long anything takes.
const deadline = 20 * time.Second

const began = 1_767_323_045_000_000_007 // 2026-01-02T03:04:05Z

// alerts returns the records of n alerts, as Windhover sends them.
func alerts(outputs ...string) plog.Logs {
	list := make([]*alert.Alert, len(outputs))
	for i, text := range outputs {
		list[i] = &alert.Alert{
			Time: began + int64(i), Output: text, Type: event.Execve,
			Source: &event.Source{Name: "windhover_syscall", Type: "syscall"},
			Rule:   &rules.Rule{Name: "Shell", Priority: rules.Notice, Tags: []string{"shell", "container"}},
			Fields: []alert.Field{
				{Name: "proc.pid", Value: field.Value{Kind: field.KindInt, Int: 4711, Valid: true}},
				{Name: "proc.name", Value: field.Value{Text: "sh", Valid: true}},
				{Name: "proc.tty", Value: field.Value{Kind: field.KindInt}},
			},
		}
	}
	return otlp.EncodeAlerts(list, otlp.Resource{HostName: "node-1"})
}

// object is an alert as a program that knows Falco reads it.
type object struct {
	Hostname     string         `json:"hostname"`
	Message      string         `json:"message"`
	Output       string         `json:"output"`
	OutputFields map[string]any `json:"output_fields"`
	Priority     string         `json:"priority"`
	Rule         string         `json:"rule"`
	Source       string         `json:"source"`
	Tags         []string       `json:"tags"`
	Time         string         `json:"time"`
}

// read parses an object strictly: it has no other members.
func read(tb testing.TB, line []byte) object {
	tb.Helper()
	var o object
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		tb.Fatalf("read %s: %v", line, err)
	}
	return o
}

// wanted is what alerts are with time_format_iso_8601.
func wanted(i int, text string) object {
	return object{
		Hostname: "node-1",
		Output:   fmt.Sprintf("2026-01-02T03:04:05.00000000%d+0000: Notice %s", 7+i, text),
		OutputFields: map[string]any{
			"evt.time.iso8601": json.Number(strconv.Itoa(began + i)),
			"proc.pid":         json.Number("4711"), "proc.name": "sh", "proc.tty": nil,
		},
		Priority: "Notice", Rule: "Shell", Source: "syscall", Tags: []string{"container", "shell"},
		Time: fmt.Sprintf("2026-01-02T03:04:05.00000000%dZ", 7+i),
	}
}

func check(tb testing.TB, got [][]byte, outputs ...string) {
	tb.Helper()
	var have, want []object
	for _, line := range got {
		have = append(have, read(tb, line))
	}
	for i, text := range outputs {
		want = append(want, wanted(i, text))
	}
	if diff := cmp.Diff(want, have); diff != "" {
		tb.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// start starts an exporter without a queue, so that ConsumeLogs answers for the output.
func start(tb testing.TB, change func(*Config)) exporter.Logs {
	tb.Helper()
	c := newDefaultConfig()
	c.TimeFormatISO8601 = true
	c.SendingQueue = configoptional.None[exporterhelper.QueueBatchConfig]()
	c.Retry.InitialInterval, c.Retry.MaxInterval, c.Retry.MaxElapsedTime = time.Millisecond, time.Second, deadline
	change(c)
	if err := confmap.Validate(c); err != nil {
		tb.Fatal(err)
	}
	e, err := NewFactory().CreateLogs(tb.Context(), exportertest.NewNopSettings(metadata.Type), c)
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Start(tb.Context(), componenttest.NewNopHost()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Shutdown(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return e
}

func send(tb testing.TB, e exporter.Logs, outputs ...string) {
	tb.Helper()
	if err := e.ConsumeLogs(tb.Context(), alerts(outputs...)); err != nil {
		tb.Fatal(err)
	}
}

func until(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	timeout := time.After(deadline)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-timeout:
			tb.Fatalf("not %s in %v", what, deadline)
		}
	}
}

func linesOf(tb testing.TB, path string) [][]byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	if len(b) == 0 {
		return nil
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}

func TestShape(t *testing.T) {
	t.Parallel()
	local := time.Unix(0, began).Format("15:04:05.000000000")
	notice := otlp.EncodeAlerts([]*alert.Alert{{
		Time: began, Source: &event.Source{Name: "windhover_syscall", Type: "syscall"}, Output: "events are lost",
		Drop: &ledger.Episode{Start: time.Unix(0, began), Dropped: 5, Produced: 10},
	}}, otlp.Resource{HostName: "node-1"})
	for _, tt := range []struct {
		name   string
		change func(*Config)
		ld     plog.Logs
		want   string
	}{
		{
			"as Falco's defaults", func(*Config) {}, alerts("sh <runs>"),
			`{"hostname":"node-1","output":"` + local + `: Notice sh <runs>","output_fields":{"evt.time":1767323045000000007,"proc.name":"sh","proc.pid":4711,"proc.tty":null},"priority":"Notice","rule":"Shell","source":"syscall","tags":["container","shell"],"time":"2026-01-02T03:04:05.000000007Z"}`,
		},
		{
			"with the time in UTC and the message", func(c *Config) { c.TimeFormatISO8601, c.IncludeMessage = true, true }, alerts("x"),
			`{"hostname":"node-1","message":"x","output":"2026-01-02T03:04:05.000000007+0000: Notice x","output_fields":{"evt.time.iso8601":1767323045000000007,"proc.name":"sh","proc.pid":4711,"proc.tty":null},"priority":"Notice","rule":"Shell","source":"syscall","tags":["container","shell"],"time":"2026-01-02T03:04:05.000000007Z"}`,
		},
		{
			"with as little as can be", func(c *Config) {
				c.IncludeMessage, c.IncludeOutput, c.IncludeOutputFields, c.IncludeTags = true, false, false, false
			}, alerts("x"),
			`{"hostname":"node-1","message":"x","priority":"Notice","rule":"Shell","source":"syscall","time":"2026-01-02T03:04:05.000000007Z"}`,
		},
		{
			"of a message about itself", func(*Config) {}, notice,
			`{"hostname":"node-1","output":"events are lost","output_fields":{"windhover.drop.containers":{},"windhover.drop.dropped":5,"windhover.drop.event_types":{},"windhover.drop.lanes":{},"windhover.drop.peak_per_second":0,"windhover.drop.percent":50,"windhover.drop.phase":"open","windhover.drop.produced":10,"windhover.drop.reasons":{},"windhover.drop.simulated":false,"windhover.drop.start":"2026-01-02T03:04:05.000000007Z","windhover.drop.suppressed_episodes":0},"priority":"Critical","rule":"windhover.events_dropped","source":"internal","time":"2026-01-02T03:04:05.000000007Z"}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newDefaultConfig()
			tt.change(c)
			got := newSender(c, exportertest.NewNopSettings(metadata.Type)).alerts(tt.ld)
			if len(got) != 1 {
				t.Fatalf("%d alerts, want 1", len(got))
			}
			if diff := cmp.Diff(tt.want, string(got[0].line)); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRestIsWhatWasNotTaken(t *testing.T) {
	t.Parallel()
	ld := alerts("a", "b")
	alerts("c").ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
	for n, want := range []string{"abc", "bc", "c", ""} {
		got := ""
		rest := after(ld, n)
		for _, rl := range rest.ResourceLogs().All() {
			for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
				got += r.Body().Str()
			}
		}
		if got != want {
			t.Errorf("after %d there is %q, want %q", n, got, want)
		}
	}
	if ld.LogRecordCount() != 3 {
		t.Error("the records that others hold were changed")
	}
}

func TestAlertsReachAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "alerts.json")
	e := start(t, func(c *Config) { c.File.GetOrInsertDefault().Path = path })
	send(t, e, "a", "b")
	check(t, linesOf(t, path), "a", "b")
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", fi.Mode(), err)
	}
	// Another program rotates without telling.
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	send(t, e, "c")
	check(t, linesOf(t, path), "c")
}

func TestAFileIsRotatedBySize(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "alerts.json")
	one := int64(len(newSender(newDefaultConfig(), exportertest.NewNopSettings(metadata.Type)).alerts(alerts("a0"))[0].line))
	e := start(t, func(c *Config) {
		f := c.File.GetOrInsertDefault()
		f.Path, f.MaxBytes, f.Backups = path, 3*one, 2
	})
	var sent []string
	for i := range 10 {
		sent = append(sent, "a"+strconv.Itoa(i))
	}
	send(t, e, sent...)
	var kept []string
	for _, p := range []string{path + ".2", path + ".1", path} {
		all := linesOf(t, p)
		if len(all) == 0 || len(all) > 3 {
			t.Errorf("%s has %d lines", p, len(all))
		}
		for _, line := range all {
			o := read(t, line)
			kept = append(kept, o.Output[strings.LastIndexByte(o.Output, ' ')+1:])
		}
	}
	if want := sent[len(sent)-len(kept):]; !slices.Equal(kept, want) || len(kept) < 4 {
		t.Errorf("the files have %q, want the last of what was sent, %q", kept, want)
	}
	if _, err := os.Stat(path + ".3"); !os.IsNotExist(err) {
		t.Errorf("there are more files than asked for: %v", err)
	}
}

// inbox is an HTTP server that keeps what it gets.
type inbox struct {
	mu     sync.Mutex
	bodies [][]byte
	types  []string
	answer func(n int) int // status for request n
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.bodies = append(i.bodies, b)
	i.types = append(i.types, r.Method+" "+r.Header.Get("Content-Type")+" "+r.Header.Get("X-Team"))
	if i.answer != nil {
		w.WriteHeader(i.answer(len(i.bodies)))
	}
}

func (i *inbox) got() [][]byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.bodies)
}

func TestAlertsReachAnHTTPServer(t *testing.T) {
	t.Parallel()
	var in inbox
	server := httptest.NewServer(&in)
	t.Cleanup(server.Close)
	c := loadConfig(t, "windhover_falco_json/http")
	c.HTTP.Get().Endpoint = server.URL
	e := start(t, func(to *Config) { to.HTTP = c.HTTP })
	send(t, e, "a", "b")
	check(t, in.got(), "a", "b")
	if want := []string{"POST application/json blue", "POST application/json blue"}; !slices.Equal(in.types, want) {
		t.Errorf("requests %q, want %q", in.types, want)
	}
}

func TestWhatAServerRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(n int) int
		want   string // the alerts in the order of requests
		fails  bool
	}{
		{"for the moment is sent again, but not what came before", func(n int) int {
			if n == 2 {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}, "abbc", false},
		{"for good is not sent again, and what follows is", func(n int) int {
			if n == 2 {
				return http.StatusBadRequest
			}
			return http.StatusOK
		}, "abc", true},
		{"because there was too much is sent again", func(n int) int {
			if n == 1 {
				return http.StatusTooManyRequests
			}
			return http.StatusNoContent
		}, "aabc", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := inbox{answer: tt.answer}
			server := httptest.NewServer(&in)
			t.Cleanup(server.Close)
			e := start(t, func(c *Config) { c.HTTP.GetOrInsertDefault().Endpoint = server.URL })
			if err := e.ConsumeLogs(t.Context(), alerts("a", "b", "c")); (err != nil) != tt.fails {
				t.Errorf("ConsumeLogs = %v", err)
			}
			got := ""
			for _, b := range in.got() {
				o := read(t, b)
				got += o.Output[len(o.Output)-1:]
			}
			if got != tt.want {
				t.Errorf("requests %s, want %s", got, tt.want)
			}
		})
	}
}

// certificate makes a self-signed certificate and returns its files.
func certificate(tb testing.TB, name string) (certFile, keyFile string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestAClientShowsItsCertificate(t *testing.T) {
	t.Parallel()
	serverCert, serverKey := certificate(t, "server")
	clientCert, clientKey := certificate(t, "client")
	trusted, err := os.ReadFile(clientCert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(trusted)
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	var in inbox
	server := httptest.NewUnstartedServer(&in)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = nil
	server.StartTLS()
	t.Cleanup(server.Close)
	e := start(t, func(c *Config) {
		h := c.HTTP.GetOrInsertDefault()
		h.Endpoint = server.URL
		h.TLS.CAFile, h.TLS.CertFile, h.TLS.KeyFile = serverCert, clientCert, clientKey
	})
	send(t, e, "a")
	check(t, in.got(), "a")

	stranger := start(t, func(c *Config) {
		h := c.HTTP.GetOrInsertDefault()
		h.Endpoint, h.TLS.CAFile = server.URL, serverCert
		c.Retry.Enabled = false
	})
	if err := stranger.ConsumeLogs(t.Context(), alerts("b")); err == nil {
		t.Error("a client without a certificate was served")
	}
}

// syslogMessage reads a message and checks all but its object.
func syslogMessage(tb testing.TB, header, message string) []byte {
	tb.Helper()
	m := regexp.MustCompile(`^` + header + `(\{.*\})$`).FindStringSubmatch(message)
	if m == nil {
		tb.Fatalf("message %q does not begin with %s", message, header)
	}
	return []byte(m[1])
}

func TestAlertsReachSyslog(t *testing.T) {
	t.Parallel()
	rfc3164 := regexp.QuoteMeta("<13>" + time.Unix(0, began).Format("Jan _2 15:04:05") + " ")
	pid := strconv.Itoa(os.Getpid())
	for _, tt := range []struct{ network, format, header string }{
		{"unixgram", "rfc3164", rfc3164 + `windhover\[` + pid + `\]: `},
		{"udp", "rfc3164", rfc3164 + `node-1 windhover\[` + pid + `\]: `},
		{"udp", "rfc5424", `<13>1 2026-01-02T03:04:05\.000000Z node-1 windhover ` + pid + ` alert - `},
	} {
		t.Run(tt.network+" "+tt.format, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:0"
			if tt.network == "unixgram" {
				address = filepath.Join(t.TempDir(), "log")
			}
			conn, err := net.ListenPacket(tt.network, address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			e := start(t, func(c *Config) {
				s := c.Syslog.GetOrInsertDefault()
				s.Network, s.Format, s.Address = tt.network, tt.format, conn.LocalAddr().String()
			})
			send(t, e, "a", "b")
			var got [][]byte
			buf := make([]byte, 64<<10)
			for range 2 {
				if err := conn.SetReadDeadline(time.Now().Add(deadline)); err != nil {
					t.Fatal(err)
				}
				n, _, err := conn.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, syslogMessage(t, tt.header, string(buf[:n])))
			}
			check(t, got, "a", "b")
		})
	}
}

// frame reads one message from a stream.
func frame(r *bufio.Reader, format string) (string, error) {
	if format == formatRFC3164 {
		line, err := r.ReadString('\n')
		return strings.TrimSuffix(line, "\n"), err
	}
	length, err := r.ReadString(' ')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, " "))
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// TestASyslogConnectionIsMadeAgain has a server that ends the connection after the
// first alert.
func TestASyslogConnectionIsMadeAgain(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(os.Getpid())
	for _, tt := range []struct{ network, format, header string }{
		{"tcp", "rfc5424", `<13>1 \S+ node-1 windhover ` + pid + ` alert - `},
		{"tcp", "rfc3164", `<13>... .. \S+ node-1 windhover\[` + pid + `\]: `},
		{"unix", "rfc3164", `<13>... .. \S+ windhover\[` + pid + `\]: `},
	} {
		t.Run(tt.network+" "+tt.format, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:0"
			if tt.network == "unix" {
				address = filepath.Join(t.TempDir(), "log")
			}
			l, err := net.Listen(tt.network, address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			c := newDefaultConfig()
			s := c.Syslog.GetOrInsertDefault()
			s.Network, s.Format, s.Address = tt.network, tt.format, l.Addr().String()
			out, err := openSyslog(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = out.close() })
			c.TimeFormatISO8601 = true
			for _, text := range []string{"a", "b"} {
				list := newSender(c, exportertest.NewNopSettings(metadata.Type)).alerts(alerts(text))
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				n, err := out.send(ctx, list)
				cancel()
				if n != 1 || err != nil {
					t.Fatalf("send = %d, %v", n, err)
				}
				conn, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				message, err := frame(bufio.NewReader(conn), tt.format)
				if err != nil {
					t.Fatal(err)
				}
				check(t, [][]byte{syslogMessage(t, tt.header, message)}, text)
				conn.Close()
				select {
				case <-out.(*syslog).gone:
				case <-time.After(deadline):
					t.Fatal("nobody saw that the connection ended")
				}
			}
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"windhover_falco_json":              "there are 0 outputs; set one of file, http, program and syslog",
		"windhover_falco_json/file":         "",
		"windhover_falco_json/http":         "",
		"windhover_falco_json/program":      "",
		"windhover_falco_json/syslog":       "",
		"windhover_falco_json/two":          "there are 2 outputs; set one of file, http, program and syslog",
		"windhover_falco_json/empty_file":   "file: path: it is empty",
		"windhover_falco_json/no_command":   "program: command: it is empty; set the program and its arguments as a list",
		"windhover_falco_json/no_endpoint":  "http::endpoint: it is empty",
		"windhover_falco_json/no_url":       `http::endpoint: "sidekick:2801" is no URL; did you mean "http://sidekick:2801"?`,
		"windhover_falco_json/wrong_syslog": "syslog: network: no network \"sctp\"; there are unixgram, unix, udp and tcp\nformat: no format \"gelf\"; there are rfc3164 and rfc5424\nfacility: 24 is not between 0 and 23\napp_name: \"a b\" is not 1 to 32 letters, digits, dots, dashes and underscores",
		"windhover_falco_json/no_server":    "syslog: address: /dev/log is a path; the network tcp needs host:port",
		"windhover_falco_json/says_nothing": "include_output: with neither output, message nor fields an alert tells nothing",
	} {
		err := confmap.Validate(loadConfig(t, id))
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("%s: Validate\n got %v\nwant %s", id, err, want)
		}
	}
}

func loadConfig(tb testing.TB, id string) *Config {
	tb.Helper()
	cm, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	sub, err := cm.Sub(id)
	if err != nil {
		tb.Fatal(err)
	}
	c := newDefaultConfig()
	if err := sub.Unmarshal(c); err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestWholeLinesAreCounted has writes that end at any byte.
func TestWholeLinesAreCounted(t *testing.T) {
	t.Parallel()
	list := newSender(newDefaultConfig(), exportertest.NewNopSettings(metadata.Type)).alerts(alerts("a", "b", "c"))
	for n, want := range map[int]int{
		0: 0, len(list[0].line): 0, len(list[0].line) + 1: 1, len(list[0].line) + 2: 1, len(lines(list)): 3,
	} {
		if got := whole(list, n); got != want {
			t.Errorf("%d bytes are %d alerts, want %d", n, got, want)
		}
	}
}
