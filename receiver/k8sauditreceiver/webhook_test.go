package k8sauditreceiver

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
)

// freeAddress returns an address that nobody listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// hook starts a receiver with a webhook and returns its URL.
func (p *place) hook(name string, change func(*Config)) string {
	p.tb.Helper()
	address := freeAddress(p.tb)
	_, c := p.start(name, func(c *Config) {
		c.Webhook.HTTP.NetAddr.Endpoint = address
		if change != nil {
			change(c)
		}
	})
	return "http://" + address + c.Webhook.Path
}

// answer is what a webhook said.
type answer struct {
	Status     int
	Body       string
	RetryAfter string
}

// send posts a body and returns the answer.
func send(tb testing.TB, client *http.Client, url string, body io.Reader, headers ...string) answer {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return do(tb, client, r)
}

func do(tb testing.TB, client *http.Client, r *http.Request) answer {
	tb.Helper()
	res, err := client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer{res.StatusCode, strings.TrimSpace(string(body)), res.Header.Get("Retry-After")}
}

// newClient returns a client whose connections end with the test.
func newClient(tb testing.TB) *http.Client {
	tb.Helper()
	t := &http.Transport{ExpectContinueTimeout: time.Minute}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 30 * time.Second}
}

// hold begins a request and returns when the server receives it, with what ends it.
func hold(tb testing.TB, client *http.Client, url string) (finish func(body string) answer) {
	tb.Helper()
	body, write := io.Pipe()
	// The server asks for the body when it begins to read it.
	asked := make(chan struct{})
	ctx := httptrace.WithClientTrace(tb.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(asked) }})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Expect", "100-continue")
	got := make(chan answer, 1)
	go func() { got <- do(tb, client, r) }()
	<-asked
	return func(text string) answer {
		if _, err := io.WriteString(write, text); err != nil {
			tb.Error(err)
		}
		_ = write.Close()
		return <-got
	}
}

func zipped(tb testing.TB, b []byte) io.Reader {
	tb.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return &buf
}

func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	list := `{"kind":"EventList","items":[` + audit("a") + `,` + audit("b") + `]}`
	for _, tt := range []struct {
		name    string
		body    string
		zip     bool
		headers []string
		want    answer
		alerts  []string
	}{
		{"200 to a list", list, false, nil, answer{200, "", ""}, []string{"a", "b"}},
		{"200 to a compressed list", list, true, []string{"Content-Encoding", "gzip"}, answer{200, "", ""}, []string{"a", "b"}},
		{"200 to a list with a malformed neighbour", `[` + audit("a") + `,{"x":nul},` + audit("b") + `]`, false, nil, answer{200, "", ""}, []string{"a", "b"}},
		{"200 to an empty list", `{"kind":"EventList","items":[]}`, false, nil, answer{200, "", ""}, nil},
		{"200 to a content type with parameters", audit("a"), false, []string{"Content-Type", "application/json; charset=utf-8"}, answer{200, "", ""}, []string{"a"}},
		{"400 to a body that ends early", list[:len(list)-10], false, nil, answer{400, "handled 1 events, refused 1, the first at offset 0, 176 bytes: read document: offset 176: the document ends too early", ""}, []string{"a"}},
		{"400 to what is no JSON", "hello", false, nil, answer{400, "handled 0 events, refused 1, the first at offset 0, 5 bytes: read document: offset 0: unexpected 'h', want a value", ""}, nil},
		{"400 to what is no event", `{"kind":7}`, false, nil, answer{400, "handled 0 events, refused 1, the first at offset 0, 10 bytes: its kind is not Event", ""}, nil},
		{"400 to an empty body", "", false, nil, answer{400, "the body is empty", ""}, nil},
		{"400 to broken compression", list, false, []string{"Content-Encoding", "gzip"}, answer{400, "gzip: invalid header", ""}, nil},
		{"400 to an encoding that is not spoken", list, false, []string{"Content-Encoding", "br"}, answer{400, "unsupported Content-Encoding: br", ""}, nil},
		{"413 to a large body", strings.Repeat(" ", 8193), false, nil, answer{413, "the body is larger than 8192 bytes", ""}, nil},
		{"413 to a body that is large when it is unpacked", strings.Repeat(" ", 8<<20), true, []string{"Content-Encoding", "gzip"}, answer{413, "the body is larger than 8192 bytes", ""}, nil},
		{"415 to another content type", list, false, []string{"Content-Type", "text/plain"}, answer{415, "Content-Type: want application/json", ""}, nil},
		{"415 to no content type", list, false, []string{"Content-Type", ""}, answer{415, "Content-Type: want application/json", ""}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, everyEvent)
			url := p.hook("a", func(c *Config) { c.Webhook.HTTP.MaxRequestBodySize = 8192 })
			body := io.Reader(strings.NewReader(tt.body))
			if tt.zip {
				body = zipped(t, []byte(tt.body))
			}
			if diff := cmp.Diff(tt.want, send(t, newClient(t), url, body, tt.headers...)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			p.awaitAlerts(tt.alerts...)
		})
	}
}

func TestWebhookTakesPostOnly(t *testing.T) {
	t.Parallel()
	url := newPlace(t, everyEvent).hook("a", nil)
	for _, tt := range []struct {
		method, url string
		want        answer
	}{
		{http.MethodGet, url, answer{405, "use POST", ""}},
		{http.MethodPut, url, answer{405, "use POST", ""}},
		{http.MethodPost, url + "/x", answer{404, "404 page not found", ""}},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, do(t, newClient(t), r)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", tt.method, tt.url, diff)
		}
	}
}

func TestWebhookCountsWhatItRefuses(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	url := p.hook("a", func(c *Config) { c.MaxEventBytes = 1024 })
	send(t, newClient(t), url, strings.NewReader(`[`+audit("a")+`,{"kind":7},{"x":"`+strings.Repeat("x", 2000)+`"},nul]`))
	p.awaitAlerts("a")
	p.await("the counts", func() bool { return p.account("windhover_k8saudit/a").Produced[event.PluginEvent] == 4 })
	s := p.account("windhover_k8saudit/a")
	if got := s.DroppedBy(event.LaneBulk, ledger.DropMalformed); got != 2 {
		t.Errorf("malformed: %d, want 2", got)
	}
	if got := s.DroppedBy(event.LaneBulk, ledger.DropOversize); got != 1 {
		t.Errorf("oversize: %d, want 1", got)
	}
	if s.State != ledger.StateOK {
		t.Errorf("state %v (%s), want ok", s.State, s.Reason)
	}
}

func TestWebhookPutsOffWhatItHasNoRoomFor(t *testing.T) {
	t.Parallel()
	t.Run("more requests than max_concurrent_requests", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t, everyEvent)
		url := p.hook("a", func(c *Config) { c.Webhook.MaxConcurrentRequests = 1 })
		client := newClient(t)
		finish := hold(t, client, url)
		want := answer{429, "too many requests at the same time", "1"}
		if diff := cmp.Diff(want, send(t, client, url, strings.NewReader(audit("b")))); diff != "" {
			t.Errorf("the second request (-want +got):\n%s", diff)
		}
		if got := finish(audit("a")); got.Status != 200 {
			t.Errorf("the first request: %v, want 200", got)
		}
	})
	t.Run("more bytes than max_inflight_bytes", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t, everyEvent)
		url := p.hook("a", func(c *Config) {
			c.Webhook.HTTP.MaxRequestBodySize = 256 << 10
			c.Webhook.MaxInflightBytes = 512 << 10
		})
		client := newClient(t)
		var finish []func(string) answer
		for range 7 { // each takes 64 KiB
			finish = append(finish, hold(t, client, url))
		}
		// It takes 64 KiB, and twice as many beside them.
		want := answer{503, "too much is being received at the same time", "1"}
		large := strings.Repeat(" ", 100<<10) + audit("b")
		if diff := cmp.Diff(want, send(t, client, url, strings.NewReader(large))); diff != "" {
			t.Errorf("a request of 100 KiB (-want +got):\n%s", diff)
		}
		for _, f := range finish {
			if got := f(audit("a")); got.Status != 200 {
				t.Errorf("a request that was being received: %v, want 200", got)
			}
		}
		// The memory is given back.
		if got := send(t, client, url, strings.NewReader(large)); got.Status != 200 {
			t.Errorf("a request after that: %v, want 200", got)
		}
	})
	t.Run("while the alert queue is full", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t, everyEvent)
		goOn := make(chan struct{})
		next, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
			<-goOn
			return p.consume(ctx, ld)
		})
		if err != nil {
			t.Fatal(err)
		}
		address := freeAddress(t)
		c := createDefaultConfig().(*Config)
		c.Instance.Fold.Enabled = false
		c.Webhook.HTTP.NetAddr.Endpoint = address
		c.Instance.Queue.Items = 2
		r, err := NewFactory().CreateLogs(t.Context(), p.settings("a"), c, next)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		url, client := "http://"+address+c.Webhook.Path, newClient(t)
		taken := 0
		p.await("the queue to fill", func() bool {
			got := send(t, client, url, strings.NewReader(audit("a")))
			if got.Status == 200 {
				taken++
			}
			return got == answer{503, "the alert queue is full", "1"}
		})
		close(goOn)
		p.await("the alerts", func() bool { return len(p.alerts()) == taken })
		if got := send(t, client, url, strings.NewReader(audit("b"))); got.Status != 200 {
			t.Errorf("a request after that: %v, want 200", got)
		}
		p.shutdown(r)
	})
}

// A slow client gets its time and no more; meanwhile others are served.
func TestWebhookGivesSlowClientsTheirTime(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	url := p.hook("a", func(c *Config) {
		c.Webhook.HTTP.ReadTimeout = 300 * time.Millisecond
		c.Webhook.HTTP.ReadHeaderTimeout = 300 * time.Millisecond
	})
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/k8s-audit")
	for _, tt := range []struct{ name, sent, want string }{
		{"in its headers", "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nX-Slow: ", ""},
		{"in its body", "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n[", "HTTP/1.1 408 Request Timeout"},
		{"before its first byte", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, tt.sent); err != nil {
				t.Fatal(err)
			}
			if got := send(t, newClient(t), url, strings.NewReader(audit("a"))); got.Status != 200 {
				t.Errorf("another client meanwhile: %v, want 200", got)
			}
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			reply, err := io.ReadAll(conn) // ends when the server hangs up
			if err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
				t.Fatalf("the server did not hang up: %v", err)
			}
			if got, _, _ := strings.Cut(string(reply), "\r\n"); got != tt.want {
				t.Errorf("reply %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWebhookBoundsConnections(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	url := p.hook("a", func(c *Config) { c.Webhook.MaxConcurrentRequests = 1 }) // and four connections
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/k8s-audit")
	var idle []net.Conn
	defer func() {
		for _, c := range idle {
			_ = c.Close()
		}
	}()
	p.await("a connection that is not taken", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
		if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err = conn.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	})
	if len(idle) != 5 {
		t.Errorf("connection %d was not taken, want 5", len(idle))
	}
	for _, c := range idle {
		_ = c.Close()
	}
	client := newClient(t)
	p.await("room for another", func() bool {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(audit("a")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		res, err := client.Do(r)
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// tinyEvents returns a batch of about n bytes of the smallest events there are.
func tinyEvents(n int) (batch []byte, events int) {
	batch = append(batch, `{"kind":"EventList","items":[`...)
	for len(batch) < n {
		if events > 0 {
			batch = append(batch, ',')
		}
		batch = append(batch, `{"stageTimestamp":"2024-05-13T13:13:49Z"}`...)
		events++
	}
	return append(batch, "]}"...), events
}

// The memory of a large batch of tiny events is that of its text.
func TestLargeBatchOfTinyEventsTakesNoMoreMemoryThanItsText(t *testing.T) {
	// Not parallel: it reads how much memory the process has.
	p := newPlace(t, `
- rule: Nothing
  desc: Matches nothing.
  condition: ka.verb = nothing
  output: x
  priority: NOTICE
  source: k8s_audit
`)
	url := p.hook("a", nil)
	batch, events := tinyEvents(12<<20 - 100)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	if got := send(t, newClient(t), url, bytes.NewReader(batch)); got.Status != 200 {
		t.Fatalf("a batch of %d events: %v, want 200", events, got)
	}
	runtime.ReadMemStats(&after)
	// Every buffer on the way to 12 MiB together is less than 32 MiB.
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 40<<20 {
		t.Errorf("allocated %d MiB for a batch of 12 MiB", grew>>20)
	}
	p.await("the counts", func() bool {
		return p.account("windhover_k8saudit/a").Evaluated[event.PluginEvent] == uint64(events)
	})
}

func TestTwoInstancesStandSideBySide(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	a, b := p.hook("a", nil), p.hook("b", func(c *Config) { c.Webhook.Path = "/other" })
	client := newClient(t)
	send(t, client, a, strings.NewReader(audit("1")))
	p.awaitAlerts("1")
	send(t, client, b, strings.NewReader(audit("2")))
	p.awaitAlerts("1", "2")
	for _, name := range []string{"windhover_k8saudit/a", "windhover_k8saudit/b"} {
		p.await("the count of "+name, func() bool { return p.account(name).Produced[event.PluginEvent] == 1 })
	}
}

func TestSecondInstanceOnOnePortNamesTheAddress(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	url := p.hook("a", nil)
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/k8s-audit")
	r, _, err := p.tryStart("b", func(c *Config) { c.Webhook.HTTP.NetAddr.Endpoint = address })
	if err == nil || !strings.HasPrefix(err.Error(), "open webhook: listen on "+address+": ") || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("Start = %v, want an error that names %s", err, address)
	}
	p.shutdown(r)
	if n := len(p.book.Sources()); n != 1 {
		t.Errorf("%d accounts, want that of the first only", n)
	}
	t.Run("with on_error continue it is reported", func(t *testing.T) {
		r, _, err := p.tryStart("b", func(c *Config) {
			c.Webhook.HTTP.NetAddr.Endpoint = address
			c.Instance.OnError = "continue"
		})
		if err != nil {
			t.Errorf("Start = %v, want none", err)
		}
		p.await("the status", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return strings.Contains(fmt.Sprint(p.statuses), "StatusPermanentError: open webhook: listen on "+address)
		})
		p.shutdown(r)
	})
}

func TestWebhookStartsStopsAndStartsAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	address := freeAddress(t)
	for _, id := range []string{"1", "2"} {
		r, c, err := p.tryStart("a", func(c *Config) { c.Webhook.HTTP.NetAddr.Endpoint = address })
		if err != nil {
			t.Fatal(err)
		}
		if got := send(t, newClient(t), "http://"+address+c.Webhook.Path, strings.NewReader(audit(id))); got.Status != 200 {
			t.Errorf("answer %v, want 200", got)
		}
		p.shutdown(r)
	}
	p.awaitAlerts("1", "2")
}

func TestDeliveryThatFailsDegradesTheSource(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		reason ledger.FailReason
	}{
		{"refused for now", errors.New("queue is full"), ledger.FailRefused},
		{"refused for ever", consumererror.NewPermanent(errors.New("bad data")), ledger.FailPermanent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, everyEvent)
			p.refuse = tt.err
			url := p.hook("a", nil)
			if got := send(t, newClient(t), url, strings.NewReader(audit("a"))); got.Status != 200 {
				t.Errorf("answer %v, want 200", got)
			}
			p.await("the source to be degraded", func() bool { return p.account("windhover_k8saudit/a").State == ledger.StateDegraded })
			s := p.account("windhover_k8saudit/a")
			if s.Failed[tt.reason] != 1 || !strings.Contains(s.Reason, tt.err.Error()) {
				t.Errorf("failed %v with reason %q, want 1 %v with %q", s.Failed, s.Reason, tt.reason, tt.err)
			}
		})
	}
}

func TestMissingExtensionIsNamed(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	p.more[component.MustNewID("other")] = nopComponent{}
	for _, tt := range []struct{ rules, want string }{
		{"windhover_rules/x", "find extension windhover_rules/x: there is none; add it to extensions, in a collector also to service::extensions, or set rules to another"},
		{"other", "use extension other: it holds no rules; use one of type windhover_rules"},
	} {
		r, _, err := p.tryStart("a", func(c *Config) {
			c.Webhook.HTTP.NetAddr.Endpoint = "127.0.0.1:0"
			c.Instance.Rules = tt.rules
		})
		if err == nil || err.Error() != tt.want {
			t.Errorf("Start with rules %s = %v, want %s", tt.rules, err, tt.want)
		}
		p.shutdown(r)
	}
}

type nopComponent struct{}

func (nopComponent) Start(context.Context, component.Host) error { return nil }
func (nopComponent) Shutdown(context.Context) error              { return nil }

// certificate writes a certificate of 127.0.0.1, signed by itself, and its key.
func certificate(tb testing.TB) (certFile, keyFile string, pool *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	certFile, keyFile = filepath.Join(tb.TempDir(), "cert.pem"), filepath.Join(tb.TempDir(), "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return certFile, keyFile, pool
}

func TestWebhookSpeaksTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certificate(t)
	p := newPlace(t, everyEvent)
	url := p.hook("a", func(c *Config) {
		c.Webhook.HTTP.TLS = configoptional.Some(configtls.ServerConfig{
			Config:       configtls.Config{CertFile: certFile, KeyFile: keyFile},
			ClientCAFile: certFile,
		})
	})
	url = strings.Replace(url, "http:", "https:", 1)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}}}
	t.Cleanup(transport.CloseIdleConnections)
	if got := send(t, &http.Client{Transport: transport}, url, strings.NewReader(audit("a"))); got.Status != 200 {
		t.Errorf("with a certificate: %v, want 200", got)
	}
	p.awaitAlerts("a")

	anonymous := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(anonymous.CloseIdleConnections)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(audit("b")))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := (&http.Client{Transport: anonymous}).Do(r); err == nil {
		_ = res.Body.Close()
		t.Errorf("without a certificate: %d, want no connection", res.StatusCode)
	}
}

func TestBadTLSLeavesNoPortTaken(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent)
	address := freeAddress(t)
	r, _, err := p.tryStart("a", func(c *Config) {
		c.Webhook.HTTP.NetAddr.Endpoint = address
		c.Webhook.HTTP.TLS = configoptional.Some(configtls.ServerConfig{Config: configtls.Config{CertFile: "no/such/file", KeyFile: "no/such/file"}})
	})
	if err == nil || !strings.HasPrefix(err.Error(), "open webhook: set up TLS: ") {
		t.Errorf("Start = %v, want an error about TLS", err)
	}
	p.shutdown(r)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	_ = l.Close()
}
