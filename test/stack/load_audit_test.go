//go:build linux

package stack

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/test/stack/peer"
)

// loadTime is how long loads last: WINDHOVER_LOAD_TIME, such as 60s, or 10 seconds.
func loadTime(tb testing.TB) time.Duration {
	tb.Helper()
	text := os.Getenv("WINDHOVER_LOAD_TIME")
	if text == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

type object = map[string]any

// auditTemplate is an audit event of which the parts that differ each time have a fixed
// place and length.
type auditTemplate struct {
	text     []byte
	id       int // of the 36 bytes of the auditID
	received int // of the time with microseconds …
	stage    int // … and of the other
}

const (
	idMark   = "00000000-0000-4000-8000-000000000000"
	timeMark = "2000-01-01T00:00:00.000000Z"
)

func newTemplate(tb testing.TB, change object) auditTemplate {
	tb.Helper()
	ev := object{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": idMark, "stage": "ResponseComplete",
		"sourceIPs": []string{"10.20.30.40"}, "userAgent": "kube-controller-manager/v1.31.2 (linux/amd64) kubernetes/5864a46/leader-election",
		"responseStatus":           object{"metadata": object{}, "code": 200},
		"requestReceivedTimestamp": timeMark, "stageTimestamp": timeMark,
		"annotations": object{"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": `RBAC: allowed by ClusterRoleBinding "system:kube-controller-manager" of ClusterRole "system:kube-controller-manager" to User "system:kube-controller-manager"`},
	}
	maps.Copy(ev, change)
	text, err := json.Marshal(ev)
	if err != nil {
		tb.Fatal(err)
	}
	return auditTemplate{
		text, bytes.Index(text, []byte(idMark)),
		bytes.Index(text, []byte(`"requestReceivedTimestamp":"`)) + len(`"requestReceivedTimestamp":"`),
		bytes.Index(text, []byte(`"stageTimestamp":"`)) + len(`"stageTimestamp":"`),
	}
}

// appendEvent appends the event with the number n at the time that at writes.
func (a *auditTemplate) appendEvent(dst []byte, n uint64, at []byte) []byte {
	from := len(dst)
	dst = append(dst, a.text...)
	ev := dst[from:]
	id := ev[a.id+24 : a.id+36]
	for i := range id {
		id[len(id)-1-i] = "0123456789abcdef"[n&15]
		n >>= 4
	}
	copy(ev[a.received:], at)
	copy(ev[a.stage:], at)
	return dst
}

// pod is the object that a request about a pod carries.
func loadPod(name string) object {
	return object{
		"kind": "Pod", "apiVersion": "v1",
		"metadata": object{
			"name": name, "namespace": "shop", "uid": "9b1f1c0e-1c8b-4b61-a7a5-6d7f3f0f7a11", "resourceVersion": "81234567",
			"labels":          object{"app": "checkout", "pod-template-hash": "6d4cf56db6", "team": "payments"},
			"ownerReferences": []object{{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "checkout-6d4cf56db6", "uid": "1c6a36d0-8d7e-4d35-8f0e-9e7bca1a7a52", "controller": true}},
		},
		"spec": object{
			"containers": []object{{
				"name": "checkout", "image": "registry.example/shop/checkout:v1.42.0", "args": []string{"--port=8080", "--log=json"},
				"env":             []object{{"name": "DB_HOST", "value": "db.shop.svc"}, {"name": "GOMEMLIMIT", "value": "200MiB"}},
				"resources":       object{"limits": object{"cpu": "500m", "memory": "256Mi"}, "requests": object{"cpu": "100m", "memory": "128Mi"}},
				"volumeMounts":    []object{{"name": "kube-api-access-abcde", "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}},
				"securityContext": object{"runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
			}},
			"volumes":            []object{{"name": "kube-api-access-abcde", "projected": object{"defaultMode": 420}}},
			"serviceAccountName": "checkout", "nodeName": "node-17", "restartPolicy": "Always",
		},
	}
}

// loadTemplates are requests as a cluster makes them, about 2 KB each on average; the
// last is the one that the rule of the test matches.
func loadTemplates(tb testing.TB) []auditTemplate {
	tb.Helper()
	node := object{"username": "system:node:node-17", "groups": []string{"system:nodes", "system:authenticated"}}
	controller := object{"username": "system:kube-controller-manager", "groups": []string{"system:authenticated"}}
	account := object{
		"username": "system:serviceaccount:kube-system:deployment-controller", "uid": "7b0c7d1e-3c57-4f1e-9d4e-50c4f8d0a9b1",
		"groups": []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
	}
	fields := object{"f:metadata": object{"f:ownerReferences": object{".": object{}, `k:{"uid":"0f6b"}`: object{}}}, "f:spec": object{"f:holderIdentity": object{}, "f:leaseDurationSeconds": object{}, "f:renewTime": object{}}}
	lease := object{
		"kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
		"metadata": object{
			"name": "node-17", "namespace": "kube-node-lease", "uid": "bd0a6c29-29aa-4d0f-a3a0-6d4e15a3b8a5", "resourceVersion": "81234568",
			"ownerReferences": []object{{"apiVersion": "v1", "kind": "Node", "name": "node-17", "uid": "0f6b1c0e-1c8b-4b61-a7a5-6d7f3f0f7a11"}},
			"managedFields":   []object{{"manager": "kubelet", "operation": "Update", "apiVersion": "coordination.k8s.io/v1", "fieldsType": "FieldsV1", "fieldsV1": fields}},
		},
		"spec": object{"holderIdentity": "node-17", "leaseDurationSeconds": 40, "renewTime": timeMark},
	}
	ref := func(resource, namespace, name string, more ...string) object {
		o := object{"resource": resource, "namespace": namespace, "name": name, "apiVersion": "v1"}
		if len(more) > 0 {
			o["subresource"] = more[0]
		}
		return o
	}
	var all []auditTemplate
	for _, change := range []object{
		{"verb": "update", "user": node, "requestURI": "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-17?timeout=10s", "objectRef": ref("leases", "kube-node-lease", "node-17"), "requestObject": lease, "responseObject": lease},
		{"verb": "list", "user": controller, "requestURI": "/api/v1/pods?limit=500&resourceVersion=0", "objectRef": ref("pods", "", "")},
		{"verb": "patch", "user": node, "requestURI": "/api/v1/namespaces/shop/pods/checkout-6d4cf56db6-x2x9z/status", "objectRef": ref("pods", "shop", "checkout-6d4cf56db6-x2x9z", "status"), "requestObject": object{"status": object{"conditions": []object{{"type": "Ready", "status": "True"}}}}, "responseObject": loadPod("checkout-6d4cf56db6-x2x9z")},
		{"verb": "create", "user": account, "requestURI": "/api/v1/namespaces/shop/pods", "objectRef": ref("pods", "shop", ""), "requestObject": loadPod("checkout-6d4cf56db6-q4q4q"), "responseObject": loadPod("checkout-6d4cf56db6-q4q4q"), "responseStatus": object{"code": 201}},
		{"verb": "get", "user": account, "requestURI": "/api/v1/namespaces/shop/configmaps/checkout", "objectRef": ref("configmaps", "shop", "checkout"), "responseObject": object{"kind": "ConfigMap", "apiVersion": "v1", "data": object{"checkout.yaml": strings.Repeat("key: value\n", 60)}}},
		{"verb": "create", "user": object{"username": "eve@example.com", "groups": []string{"developers", "system:authenticated"}}, "requestURI": "/api/v1/namespaces/shop/pods/checkout-6d4cf56db6-x2x9z/portforward?ports=8080", "objectRef": ref("pods", "shop", "checkout-6d4cf56db6-x2x9z", "portforward"), "responseStatus": object{"code": 101}, "responseObject": loadPod("checkout")},
	} {
		all = append(all, newTemplate(tb, change))
	}
	return all
}

// loadRules returns n rules of the kinds that people write about audit events. Only the
// first matches an event of the load.
func loadRules(n int) string {
	var b strings.Builder
	b.WriteString(`
- rule: Port forwarded
  desc: Somebody forwards a port of a pod.
  condition: ka.verb = create and ka.target.resource = pods and ka.target.subresource = portforward and not ka.user.name startswith "system:"
  output: port of %ka.target.name forwarded by %ka.user.name (id=%ka.auditid)
  priority: WARNING
  source: k8s_audit
`)
	conditions := []string{
		`ka.verb in (create, update, patch) and ka.target.resource = resource%d and ka.response.code startswith 2`,
		`ka.user.name = "user%d@example.com" and ka.verb in (get, list) and ka.target.resource = secrets`,
		`ka.uri startswith "/apis/example%d.com/" and not ka.user.name startswith "system:"`,
		`ka.target.namespace = "team-%d" and ka.verb = delete and ka.target.resource in (pods, deployments, services)`,
		`ka.verb = create and ka.target.resource = pods and not ka.target.subresource exists and ka.req.pod.containers.image intersects ("registry.example/forbidden%d")`,
		`ka.useragent contains "scanner/%d" and ka.response.code in (401, 403)`,
		`ka.user.groups intersects ("contractors-%d") and ka.target.subresource in (exec, attach)`,
		`ka.verb in (create, patch) and ka.target.resource = clusterrolebindings and ka.req.binding.role = "role-%d"`,
	}
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "- rule: Rule %d\n  desc: One of many.\n  condition: %s\n  output: rule %d by %%ka.user.name\n  priority: NOTICE\n  source: k8s_audit\n",
			i, fmt.Sprintf(conditions[i%len(conditions)], i), i)
	}
	return b.String()
}

// latencies are how long answers took.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.mu.Lock()
	l.all = append(l.all, d)
	l.mu.Unlock()
}

// quantile returns what a share of the answers did not take longer than.
func (l *latencies) quantile(share float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.all)
	if len(l.all) == 0 {
		return 0
	}
	return l.all[min(int(share*float64(len(l.all))), len(l.all)-1)]
}

func loadClient(tb testing.TB, ca *authority) *http.Client {
	tb.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	tb.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// TestLoadOfAuditEvents is what API servers of a large cluster send: batches of 400
// events over HTTPS, at a steady pace that does not wait for answers.
func TestLoadOfAuditEvents(t *testing.T) {
	const (
		perSecond = 20_000
		perBatch  = 400  // the API server's default
		servers   = 3    // each with one connection, as client-go has
		every     = 1000 // events for one that a rule matches
		ruleCount = 100
	)
	lasts := loadTime(t)
	ca := newAuthority(t)
	ca.leaf("webhook", x509.ExtKeyUsageServerAuth)
	address, alerts := peer.Free(t), filepath.Join(t.TempDir(), "alerts.json")
	w := peer.Windhover(t, "-r", peer.WriteFile(t, "rules.yaml", loadRules(ruleCount)), "-c", peer.WriteFile(t, "windhover.yaml", fmt.Sprintf(`
receivers:
  windhover_k8saudit:
    endpoint: %q
    tls: {cert_file: %q, key_file: %q}
    fold: {enabled: false}
exporters:
  windhover_falco_json: {file: {path: %q}}
`, address, ca.file("webhook.crt"), ca.file("webhook.key"), alerts)))

	templates := loadTemplates(t)
	ordinary, matching := templates[:len(templates)-1], &templates[len(templates)-1]
	clients := make([]*http.Client, servers)
	for i := range clients {
		clients[i] = loadClient(t, ca)
	}
	var (
		answers latencies
		pool    = sync.Pool{New: func() any { return new([]byte) }}
		refused atomic.Int64
		sent    atomic.Int64
		flying  sync.WaitGroup
	)
	post := func(client *http.Client, body *[]byte) {
		defer pool.Put(body)
		start := time.Now()
		status, err := postOnce(t.Context(), client, "https://"+address+"/k8s-audit", *body)
		answers.add(time.Since(start))
		if err != nil || status != http.StatusOK {
			refused.Add(1)
			t.Errorf("a batch of %d events is answered %d, %v", perBatch, status, err)
			return
		}
		sent.Add(perBatch)
	}

	batches := int(lasts.Seconds() * perSecond / perBatch)
	rss := map[int]int64{}
	ready := 10 * perSecond / perBatch // batches after which memory has its size
	cpu, own := w.CPU(), ownCPU(t)
	begin := time.Now()
	ticker := time.NewTicker(time.Second * perBatch / perSecond)
	defer ticker.Stop()
	var n, bodies uint64
	for b := range batches {
		<-ticker.C
		body := pool.Get().(*[]byte)
		text := append((*body)[:0], `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[`...)
		at := time.Now().UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000Z")
		for i := range perBatch {
			if i > 0 {
				text = append(text, ',')
			}
			template := &ordinary[n%uint64(len(ordinary))]
			if n++; n%every == 0 {
				template = matching
			}
			text = template.appendEvent(text, n, at)
		}
		*body = append(text, `]}`...)
		bodies += uint64(len(*body))
		flying.Go(func() { post(clients[b%servers], body) })
		if b+1 == ready/2 || b+1 == ready || b+1 == batches {
			rss[b+1] = w.RSS()
		}
	}
	pace := time.Since(begin)
	flying.Wait()
	cpu, own = w.CPU()-cpu, ownCPU(t)-own

	matched := int(n / every)
	peer.Eventually(t, 30*time.Second, "every match is an alert in the file", func() (bool, string) {
		got := countLines(t, alerts)
		return got == matched, fmt.Sprintf("%d of %d", got, matched)
	})
	events := w.Metric("windhover_source_events_total", "k8saudit")
	dropped := w.Metric("windhover_source_dropped_total", "k8saudit")
	imbalance := w.Metric("windhover_source_imbalance")
	if refused.Load() != 0 || uint64(events) != n || uint64(sent.Load()) != n || dropped != 0 || imbalance != 0 {
		t.Errorf("of %d events %d are answered, %v are counted and %v dropped; %d batches are refused, %v accounts out of balance", n, sent.Load(), events, dropped, refused.Load(), imbalance)
	}
	early, after := rss[ready], 10.0
	if batches <= ready {
		early, after = rss[ready/2], 5
	}
	if grown := rss[batches] - early; grown > 32<<20 {
		t.Errorf("memory grew by %.1f MB from %.0f s on", mb(grown), after)
	}
	peer.Claim(t, "audit load over HTTPS: %d events of %d bytes in %.1f s (%.0f/s), batches of %d, %d connections, %d rules: %.0f handled, %.0f dropped, %d of %d alerts in the file, %.0f accounts out of balance",
		n, bodies/n, pace.Seconds(), float64(n)/pace.Seconds(), perBatch, servers, ruleCount, events, dropped, countLines(t, alerts), matched, imbalance)
	peer.Claim(t, "audit load over HTTPS: answers p50 %v, p99 %v, at most %v; RSS %.1f MB after %.0f s and %.1f MB at the end",
		answers.quantile(0.5).Round(100*time.Microsecond), answers.quantile(0.99).Round(100*time.Microsecond), answers.quantile(1).Round(100*time.Microsecond),
		mb(early), after, mb(rss[batches]))
	peer.Claim(t, "audit load over HTTPS: %.2f of a core (%.1f µs an event); the senders %.2f", cpu.Seconds()/pace.Seconds(), cpu.Seconds()*1e6/float64(n), own.Seconds()/pace.Seconds())
}

func mb(n int64) float64 { return float64(n) / (1 << 20) }

func postOnce(ctx context.Context, client *http.Client, url string, body []byte) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// ownCPU is what this process took.
func ownCPU(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func countLines(tb testing.TB, path string) int {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return bytes.Count(b, []byte{'\n'})
}
