//go:build linux

package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/test/stack/peer"
)

// needKernel skips the test, with the reason, where BPF programs cannot be loaded.
func needKernel(tb testing.TB) {
	tb.Helper()
	why := ""
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		why = err.Error()
	} else if os.Geteuid() != 0 {
		why = "load BPF: needs root"
	}
	if why != "" && os.Getenv("WINDHOVER_REQUIRE_KERNEL") == "1" {
		tb.Fatal(why)
	}
	if why != "" {
		tb.Skip(why)
	}
}

func TestRecipePersistentQueue(t *testing.T) {
	t.Parallel()
	const n = 600
	store := peer.VictoriaLogs(t)
	dir := t.TempDir()
	env := map[string]string{"LOGS_URL": "http://" + peer.Free(t) + "/v1/logs", "STATE": filepath.Join(dir, "state")} // nobody there
	otlp := listen(t, env)
	collector := cook(t, "persistent-queue", env)

	// The agent keeps nothing: what it counts as acknowledged, the collector has.
	address := peer.Free(t)
	agent := peer.Windhover(t, "-c", peer.WriteFile(t, "windhover.yaml", fmt.Sprintf(`
receivers: {windhover_k8saudit: {endpoint: %q, fold: {enabled: false}}}
exporters: {otlp_grpc: {endpoint: %q, tls: {insecure: true}, sending_queue: {enabled: false}}}
telemetry: {metrics: {exporters: []}}
`, address, otlp)))
	for i := range n / 100 {
		var events []string
		for j := range 100 {
			events = append(events, secretRead("shop", strconv.Itoa(i*100+j)))
		}
		postAudit(t, "http://"+address+"/k8s-audit", events...)
	}
	peer.Eventually(t, 30*time.Second, "the collector has taken every alert", func() (bool, string) {
		got := agent.Metric("windhover_export_acknowledged_total")
		return got == n, fmt.Sprint(got)
	})
	collector.Kill()
	agent.Kill()
	size := diskUse(t, env["STATE"])

	env["LOGS_URL"] = store.OTLPEndpoint()
	cook(t, "persistent-queue", env)
	rows := store.AwaitRecords(t, n, "* | limit 10000")
	uids := make(map[any]bool)
	for _, r := range rows {
		uids[r["log.record.uid"]] = true
	}
	if len(uids) != n {
		t.Errorf("%d different alerts arrived, want %d", len(uids), n)
	}
	peer.Claim(t, "persistent-queue: %d alerts wait in %d KiB on disk while the log store is away; the collector is killed and started again: %d different alerts arrive, %d copies",
		n, size>>10, len(uids), len(rows)-len(uids))
}

// diskUse returns the size of the files in a directory.
func diskUse(tb testing.TB, dir string) (sum int64) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return sum
}

// authority is a certificate authority for a test.
type authority struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(tb testing.TB) *authority {
	tb.Helper()
	a := &authority{tb: tb, dir: tb.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority of the test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// file returns the path of a file of the authority, such as agent.key.
func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// leaf makes name.crt and name.key for a server or a client on the loopback addresses.
func (a *authority) leaf(name string, use x509.ExtKeyUsage) {
	a.tb.Helper()
	a.issue(name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	})
}

func (a *authority) issue(name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.tb.Helper()
	fail := func(err error) {
		if err != nil {
			a.tb.Fatalf("issue certificate of %s: %v", name, err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fail(err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	fail(err)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	fail(err)
	cert, err := x509.ParseCertificate(der)
	fail(err)
	private, err := x509.MarshalECPrivateKey(key)
	fail(err)
	fail(os.WriteFile(a.file(name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	fail(os.WriteFile(a.file(name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600))
	return cert, key
}

// marked is a rule about the file that a test opens.
const marked = `
- rule: Marked file opened
  desc: The file of the test was opened.
  condition: evt.type in (open, openat, openat2) and fd.name startswith %q
  output: marked file opened %%fd.name
  priority: WARNING
`

func TestRecipesAgentAndGateway(t *testing.T) {
	needKernel(t)
	store := peer.VictoriaLogs(t)
	prometheus := peer.Prometheus(t, peer.PrometheusOptions{OTLP: true})
	ca, strangers := newAuthority(t), newAuthority(t)
	ca.leaf("gateway", x509.ExtKeyUsageServerAuth)
	ca.leaf("agent", x509.ExtKeyUsageClientAuth)
	strangers.leaf("agent", x509.ExtKeyUsageClientAuth)
	dir := t.TempDir()
	prefix := filepath.Join(dir, "marked-")
	rules := peer.WriteFile(t, "rules.yaml", fmt.Sprintf(marked, prefix))
	address := peer.Free(t)
	gatewayEnv := map[string]string{
		"LISTEN": address, "CERT_FILE": ca.file("gateway.crt"), "KEY_FILE": ca.file("gateway.key"), "CLIENT_CA_FILE": ca.file("ca.crt"),
		"LOGS_URL": store.OTLPEndpoint(), "PROMETHEUS_URL": prometheus.OTLPEndpoint(), "STATE": filepath.Join(dir, "gateway"),
		"HEALTH": peer.Free(t),
	}
	gateway := cook(t, "gateway", gatewayEnv)
	gateway.URL = "http://" + gatewayEnv["HEALTH"]
	if health := gateway.Page("/"); !strings.Contains(health, "Server available") {
		t.Errorf("the gateway says of its health: %s", health)
	}
	cook(t, "agent", map[string]string{
		"GATEWAY": address, "CA_FILE": ca.file("ca.crt"), "CERT_FILE": ca.file("agent.crt"), "KEY_FILE": ca.file("agent.key"),
		"RULES": "[" + rules + "]", "INTERVAL": "1s",
	})

	// Opened until an alert comes: the probe attaches some time after the start.
	open := func(name string) bool {
		_, err := os.ReadFile(prefix + name)
		if !os.IsNotExist(err) {
			t.Fatalf("read %s: %v, want that it is not there", prefix+name, err)
		}
		return len(store.Query(t, fmt.Sprintf("file.path:=%q", prefix+name))) > 0
	}
	peer.Eventually(t, 60*time.Second, "an alert comes through both tiers", func() (bool, string) { return open("first"), "none" })
	peer.Eventually(t, 60*time.Second, "metrics come through both tiers", func() (bool, string) {
		got := prometheus.Query(t, `sum(windhover_source_evaluated_total{source="windhover_syscall"})`)
		return len(got) == 1 && got[0].Value > 0, fmt.Sprint(got)
	})

	// The gateway goes away, and the agent keeps the alert.
	gateway.Kill()
	open("second")
	cook(t, "gateway", gatewayEnv)
	peer.Eventually(t, 60*time.Second, "the alert of meanwhile arrives", func() (bool, string) {
		return len(store.Query(t, fmt.Sprintf("file.path:=%q", prefix+"second"))) > 0, "none"
	})

	// Whom another authority knows is not heard.
	for name, certificates := range map[string][]tls.Certificate{"no certificate": nil, "a stranger's certificate": {pair(t, strangers, "agent")}} {
		if err := handshake(t, address, ca, certificates); err == nil {
			t.Errorf("the gateway takes a connection with %s", name)
		}
	}
	if err := handshake(t, address, ca, []tls.Certificate{pair(t, ca, "agent")}); err != nil {
		t.Errorf("the gateway refuses the agent's certificate: %v", err)
	}
	peer.Claim(t, "agent and gateway: alerts and metrics of the live kernel arrive over mutual TLS, also the alert of a time without a gateway; a client of another authority is refused")
}

func pair(tb testing.TB, a *authority, name string) tls.Certificate {
	tb.Helper()
	c, err := tls.LoadX509KeyPair(a.file(name+".crt"), a.file(name+".key"))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// handshake connects to a TLS server and says whether it takes the certificates: with TLS
// 1.3 a client hears of a refusal when it reads.
func handshake(tb testing.TB, address string, ca *authority, certificates []tls.Certificate) error {
	tb.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certificates, NextProtos: []string{"h2"}})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	if _, err := conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 64)) // the settings of the server
	return err
}

func TestRecipeDropAlerts(t *testing.T) {
	needKernel(t)
	store, hook := peer.VictoriaLogs(t), peer.Webhook(t)
	routes, err := os.ReadFile(filepath.Join(peer.Root(), "deploy", "prometheus", "alertmanager.yml"))
	if err != nil {
		t.Fatal(err)
	}
	alertmanager := peer.Alertmanager(t, strings.NewReplacer("http://127.0.0.1:8080", hook.URL, "group_wait: 30s", "group_wait: 0s").Replace(string(routes)))
	prometheus := peer.Prometheus(t, peer.PrometheusOptions{
		OTLP: true, Alertmanager: alertmanager.URL,
		RuleFiles: []string{filepath.Join(peer.Root(), "deploy", "prometheus", "windhover.alerts.yaml")},
	})
	prefix := filepath.Join(t.TempDir(), "no-such-file-")
	rules := peer.WriteFile(t, "rules.yaml", fmt.Sprintf(marked, prefix))
	// Rings that a loop overflows.
	small := peer.WriteFile(t, "small.yaml", "receivers: {windhover_syscall: {shards: 1, rings: {bulk: 65536, wake_bytes: 32768}}}\n")
	peer.Collector(t, []string{recipe("drop-alerts"), small, peer.WriteFile(t, "quiet.yaml", quiet)}, map[string]string{
		"RULES": "[" + rules + "]", "INTERVAL": "1s", "PROMETHEUS_URL": prometheus.OTLPEndpoint(), "LOGS_URL": store.OTLPEndpoint(), "STATE": filepath.Join(t.TempDir(), "state"),
	})
	peer.Eventually(t, 60*time.Second, "Prometheus knows the source", func() (bool, string) {
		got := prometheus.Query(t, `windhover_source_dropped_total{source="windhover_syscall"}`)
		return len(got) > 0, fmt.Sprint(got)
	})

	var flood sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		flood.Go(func() {
			name := prefix + strconv.Itoa(i)
			for {
				select {
				case <-done:
					return
				default:
				}
				for range 1000 {
					if fd, err := unix.Open(name, unix.O_RDONLY, 0); err == nil {
						_ = unix.Close(fd)
					}
				}
			}
		})
	}
	stop := sync.OnceFunc(func() { close(done); flood.Wait() })
	t.Cleanup(stop)
	dropped := 0.0
	peer.Eventually(t, 60*time.Second, "Prometheus sees that events are lost", func() (bool, string) {
		got := prometheus.Query(t, `sum(windhover_source_dropped_total{source="windhover_syscall"})`)
		if len(got) == 1 {
			dropped = got[0].Value
		}
		return dropped > 0, fmt.Sprint(got)
	})
	post := hook.Await(t, 60*time.Second, "Alertmanager calls the webhook", func(p peer.Post) bool {
		return strings.Contains(string(p.Body), `"alertname":"WindhoverEventsLost"`)
	})
	stop()
	if !strings.Contains(string(post.Body), "runbooks.md#windhovereventslost") {
		t.Errorf("the alert has no link to its runbook: %s", post.Body)
	}
	notices := store.AwaitRecords(t, 1, `event_name:="windhover.events_dropped"`)
	peer.Claim(t, "drop-alerts: %.0f events are lost in small rings; WindhoverEventsLost goes from Prometheus to Alertmanager to its webhook at %s, and a notice to the log store: %v",
		dropped, post.Path, notices[0]["windhover.drop.phase"])
}
