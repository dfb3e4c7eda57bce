package deploy

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit"
	auditpolicy "k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/util/webhook"
	auditwebhook "k8s.io/apiserver/plugin/pkg/audit/webhook"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"
)

// request is one to an API server.
type request struct {
	name, rule string // of the built-in rule that it satisfies
	user       user.DefaultInfo
	verb, path string
	group      string
	resource   string // with its subresource
	object     string // that was sent, as JSON
	stage      auditinternal.Stage
	code       int32
	level      auditinternal.Level // that the policy shall report it at
}

var (
	ana      = user.DefaultInfo{Name: "ana", Groups: []string{"system:authenticated"}}
	nobody   = user.DefaultInfo{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}
	kubelet  = user.DefaultInfo{Name: "system:node:n1", Groups: []string{"system:nodes", "system:authenticated"}}
	manager  = user.DefaultInfo{Name: "system:kube-controller-manager", Groups: []string{"system:authenticated"}}
	operator = user.DefaultInfo{Name: "system:serviceaccount:shop:operator", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"}}
	gc       = user.DefaultInfo{Name: "system:serviceaccount:kube-system:generic-garbage-collector", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}}
)

const rbac = "rbac.authorization.k8s.io"

// requests are those that the built-in rules are about, each with the least that they
// need to know, and those that make up most of what an API server does.
var requests = []request{
	{
		name: "exec into a pod", rule: "Shell or program started in a pod", user: ana, verb: "create",
		path: "/api/v1/namespaces/shop/pods/web/exec?command=sh", resource: "pods/exec",
		stage: auditinternal.StageResponseStarted, code: 101, level: auditinternal.LevelMetadata,
	},
	{
		name: "attach to a pod", rule: "Shell or program started in a pod", user: operator, verb: "get",
		path: "/api/v1/namespaces/shop/pods/web/attach", resource: "pods/attach",
		stage: auditinternal.StageResponseStarted, code: 101, level: auditinternal.LevelMetadata,
	},
	{
		name: "kubectl debug", rule: "Ephemeral container added to a pod", user: ana, verb: "patch", resource: "pods/ephemeralcontainers",
		object: `{"spec":{"ephemeralContainers":[{"name":"debug","image":"busybox"}]}}`, level: auditinternal.LevelRequest,
	},
	{
		name: "a privileged pod", rule: "Privileged pod created", user: ana, verb: "create", resource: "pods",
		object: `{"spec":{"containers":[{"name":"a","image":"a:1","securityContext":{"privileged":true}}]}}`, level: auditinternal.LevelRequest,
	},
	{
		name: "a pod of a controller", rule: "Pod created in the namespaces of its node", user: gc, verb: "create", resource: "pods",
		object: `{"spec":{"hostNetwork":true,"containers":[{"name":"a","image":"a:1"}]}}`, level: auditinternal.LevelRequest,
	},
	{
		name: "a pod that mounts /etc", rule: "Pod created with a sensitive host path", user: ana, verb: "create", resource: "pods",
		object: `{"spec":{"containers":[{"name":"a","image":"a:1"}],"volumes":[{"name":"v","hostPath":{"path":"/etc"}}]}}`, level: auditinternal.LevelRequest,
	},
	{name: "secrets listed", rule: "Secrets read by a user", user: ana, verb: "list", resource: "secrets", level: auditinternal.LevelMetadata},
	{name: "a secret read by an account of the shop", rule: "Secrets read by a user", user: operator, verb: "get", resource: "secrets", level: auditinternal.LevelMetadata},
	{name: "nodes listed without a name", rule: "Anonymous request allowed", user: nobody, verb: "list", resource: "nodes", level: auditinternal.LevelMetadata},
	{
		name: "the schema of the API read without a name", rule: "Anonymous request allowed", user: nobody, verb: "get", path: "/openapi/v3",
		level: auditinternal.LevelMetadata,
	},
	{
		name: "a cluster administrator made", rule: "Cluster administrator binding created", user: ana, verb: "create", group: rbac, resource: "clusterrolebindings",
		object: `{"roleRef":{"name":"cluster-admin"},"subjects":[{"kind":"User","name":"eve"}]}`, level: auditinternal.LevelRequest,
	},
	{
		name: "a role that may do anything", rule: "Role with wildcard rights written", user: ana, verb: "update", group: rbac, resource: "roles",
		object: `{"rules":[{"apiGroups":[""],"resources":["*"],"verbs":["get"]}]}`, level: auditinternal.LevelRequest,
	},
	{
		name: "a token asked for", rule: "Service account token requested by a user", user: ana, verb: "create", resource: "serviceaccounts/token",
		level: auditinternal.LevelMetadata,
	},

	{name: "a health page", user: nobody, verb: "get", path: "/readyz?verbose", level: auditinternal.LevelNone},
	{name: "the version", user: nobody, verb: "get", path: "/version", level: auditinternal.LevelNone},
	{name: "the state of a node", user: kubelet, verb: "patch", resource: "nodes/status", level: auditinternal.LevelNone},
	{name: "a lease", user: kubelet, verb: "update", group: "coordination.k8s.io", resource: "leases", level: auditinternal.LevelNone},
	{name: "an event", user: kubelet, verb: "create", resource: "events", level: auditinternal.LevelNone},
	{name: "the state of a pod", user: kubelet, verb: "patch", resource: "pods/status", level: auditinternal.LevelNone},
	{name: "pods watched", user: manager, verb: "watch", resource: "pods", level: auditinternal.LevelNone},
	{name: "a secret for a pod", user: kubelet, verb: "get", resource: "secrets", level: auditinternal.LevelNone},
	{name: "a token for a pod", user: kubelet, verb: "create", resource: "serviceaccounts/token", level: auditinternal.LevelNone},
	{name: "secrets watched by the control plane", user: manager, verb: "watch", resource: "secrets", level: auditinternal.LevelNone},
	{name: "secrets watched by the garbage collector", user: gc, verb: "list", resource: "secrets", level: auditinternal.LevelNone},
	{name: "a secret written", user: ana, verb: "create", resource: "secrets", object: `{"data":{"a":"Yg=="}}`, level: auditinternal.LevelNone},
	{name: "a deployment read", user: ana, verb: "get", group: "apps", resource: "deployments", level: auditinternal.LevelNone},
	{name: "the log of a pod", user: ana, verb: "get", resource: "pods/log", level: auditinternal.LevelNone},
}

func (r *request) attributes() authorizer.AttributesRecord {
	resource, subresource, _ := strings.Cut(r.resource, "/")
	a := authorizer.AttributesRecord{User: &r.user, Verb: r.verb, Path: r.path, APIGroup: r.group, Resource: resource, Subresource: subresource, ResourceRequest: r.resource != ""}
	a.Path, _, _ = strings.Cut(r.path, "?")
	if a.ResourceRequest {
		a.Namespace, a.Name, a.APIVersion = "shop", "web", "v1"
	}
	return a
}

// event returns what an API server reports of r at a level.
func (r *request) event(level auditinternal.Level, number int) *auditinternal.Event {
	now := metav1.NewMicroTime(time.Now())
	e := &auditinternal.Event{
		Level: level, AuditID: types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", number)),
		Stage: r.stage, RequestURI: r.path, Verb: r.verb, UserAgent: "kubectl/v1.37.2",
		User:                     authenticationv1.UserInfo{Username: r.user.Name, Groups: r.user.Groups},
		ResponseStatus:           &metav1.Status{Code: r.code},
		RequestReceivedTimestamp: now, StageTimestamp: now,
		Annotations: map[string]string{"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
	}
	if e.Stage == "" {
		e.Stage, e.ResponseStatus.Code = auditinternal.StageResponseComplete, 200
	}
	if a := r.attributes(); a.ResourceRequest {
		e.ObjectRef = &auditinternal.ObjectReference{Resource: a.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name, APIGroup: r.group, APIVersion: a.APIVersion}
		if e.RequestURI == "" {
			e.RequestURI = "/api/v1/namespaces/shop/" + r.resource
		}
	}
	if r.object != "" && level.GreaterOrEqual(auditinternal.LevelRequest) {
		e.RequestObject = &runtime.Unknown{Raw: []byte(r.object), ContentType: runtime.ContentTypeJSON}
	}
	return e
}

const policyFile = repository + "/deploy/kubernetes/audit-policy.yaml"

func evaluator(tb testing.TB) audit.PolicyRuleEvaluator {
	tb.Helper()
	policy, err := auditpolicy.LoadPolicyFromFile(policyFile)
	if err != nil {
		tb.Fatalf("load audit policy: %v", err)
	}
	return auditpolicy.NewPolicyRuleEvaluator(policy)
}

func TestAuditPolicyReportsWhatRulesNeedAndNoMore(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(policyFile)
	if err != nil {
		t.Fatal(err)
	}
	// The API server reads a policy with keys that it does not know; we do not write one.
	if err := yaml.UnmarshalStrict(text, &auditv1.Policy{}); err != nil {
		t.Errorf("audit policy: %v", err)
	}
	policy := evaluator(t)
	for _, r := range requests {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			got := policy.EvaluatePolicyRule(r.attributes())
			if got.Level != r.level {
				t.Errorf("level of %s %s by %s = %s, want %s", r.verb, r.resource, r.user.Name, got.Level, r.level)
			}
			if r.level != auditinternal.LevelNone && slices.Contains(got.OmitStages, auditinternal.StageResponseStarted) {
				t.Errorf("stage ResponseStarted of %s %s is left out", r.verb, r.resource)
			}
			if strings.HasPrefix(r.resource, "secrets") && got.Level.GreaterOrEqual(auditinternal.LevelRequest) {
				t.Error("the policy sends secrets")
			}
		})
	}
}

func TestEveryAuditRuleHasARequest(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(repository + "/rules/library/kubernetes-audit.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var items []struct {
		Rule string `json:"rule"`
	}
	if err := yaml.Unmarshal(text, &items); err != nil {
		t.Fatal(err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	for _, i := range items {
		if i.Rule != "" {
			want[i.Rule] = true
		}
	}
	for _, r := range requests {
		if r.rule != "" {
			got[r.rule] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules that the requests of this test satisfy (-want +got):\n%s", diff)
	}
}

func TestWebhookKubeconfigFitsTheChart(t *testing.T) {
	t.Parallel()
	file := repository + "/deploy/kubernetes/audit-webhook.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &clientcmdv1.Config{}); err != nil {
		t.Errorf("audit-webhook.yaml: %v", err)
	}
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatalf("load audit-webhook.yaml: %v", err)
	}
	cluster := config.Clusters[config.Contexts[config.CurrentContext].Cluster]
	out, err := output(t, tool(t, "helm"), "template", "windhover", chart, "-n", "windhover", "-f", "testdata/values/audit-only.yaml")
	if err != nil {
		t.Fatal(err)
	}
	made := decode(t, out)
	secret := find[*corev1.Secret](t, made, "windhover-audit-tls")
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Leaf.VerifyHostname(cluster.TLSServerName); err != nil {
		t.Errorf("the certificate of the chart is not for tls-server-name: %v", err)
	}
	// The kubeconfig that the chart makes is the same, with the certificates in it.
	generated, err := clientcmd.Load(secret.Data["kubeconfig"])
	if err != nil {
		t.Fatalf("load the kubeconfig of the chart: %v", err)
	}
	ours := generated.Clusters[generated.Contexts[generated.CurrentContext].Cluster]
	if got, want := ours.TLSServerName, cluster.TLSServerName; got != want {
		t.Errorf("tls-server-name of the chart = %q, want %q", got, want)
	}
	path := regexp.MustCompile(`^https://[^/]+`)
	if got, want := path.ReplaceAllString(ours.Server, ""), path.ReplaceAllString(cluster.Server, ""); got != want {
		t.Errorf("path of the chart = %q, want %q", got, want)
	}
	if err := yaml.UnmarshalStrict(secret.Data["kubeconfig"], &clientcmdv1.Config{}); err != nil {
		t.Errorf("kubeconfig of the chart: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(secret.Data["ca.crt"])
	for _, want := range []struct {
		cert string
		use  x509.ExtKeyUsage
	}{{"tls.crt", x509.ExtKeyUsageServerAuth}, {"client.crt", x509.ExtKeyUsageClientAuth}} {
		key := strings.Replace(want.cert, ".crt", ".key", 1)
		pair, err := tls.X509KeyPair(secret.Data[want.cert], secret.Data[key])
		if err != nil {
			t.Errorf("%s and %s: %v", want.cert, key, err)
			continue
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{want.use}}); err != nil {
			t.Errorf("verify %s: %v", want.cert, err)
		}
	}
}

// TestAPIServerPostsToTheChart: the API server's own audit backend, with the kubeconfig
// that the chart makes, posts what the policy lets through to the daemon with the
// configuration that the chart makes.
func TestAPIServerPostsToTheChart(t *testing.T) {
	t.Parallel()
	p := startAuditPod(t)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, p.secret.Data["kubeconfig"], 0o600); err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.webhook)
	}
	backend, err := auditwebhook.NewBackend(kubeconfig, auditv1.SchemeGroupVersion, webhook.DefaultRetryBackoffWithInitialDelay(time.Second), dial)
	if err != nil {
		t.Fatalf("make the audit backend of an API server: %v", err)
	}
	policy := evaluator(t)
	var want []string
	for i := range requests {
		r := &requests[i]
		level := policy.EvaluatePolicyRule(r.attributes()).Level
		if level == auditinternal.LevelNone {
			continue
		}
		if r.rule != "" {
			want = append(want, r.rule)
		}
		if !backend.ProcessEvents(r.event(level, i)) {
			t.Errorf("%s: the event was not taken", r.name)
		}
	}
	got := p.await(t, len(want))
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules of the alerts (-want +got):\n%s", diff)
	}

	// Without the client's certificate nobody posts anything.
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.secret.Data["ca.crt"])
	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "wh-windhover-audit.security.svc"}}}
	resp, err := stranger.Post("https://"+p.webhook+"/k8s-audit", "application/json", strings.NewReader("{}"))
	if err == nil {
		resp.Body.Close()
		t.Errorf("a request without a client certificate is answered with %s, want none", resp.Status)
	}
}

// TestRulesOfAConfigMapAreReadAgain: the kubelet replaces the files of a ConfigMap in one
// step; the rules in use follow, and a mistake leaves them.
func TestRulesOfAConfigMapAreReadAgain(t *testing.T) {
	t.Parallel()
	p := startAuditPod(t, "--set-json", `rules.custom={"shop.yaml": "- list: shop\n  items: []"}`)
	rules := filepath.Join(p.dir, "etc/windhover/rules/custom")
	before := p.generation(t)
	writeVolume(t, rules, map[string]string{"shop.yaml": `
- rule: Anything in the shop
  desc: Every request.
  condition: ka.target.namespace = shop
  output: Request (verb=%ka.verb)
  priority: NOTICE
  source: k8s_audit
`})
	p.until(t, "the rules are read again", func(r readiness) bool { return r.Rules.Generation > before })
	good := p.generation(t)
	writeVolume(t, rules, map[string]string{"shop.yaml": "- rule: half"})
	p.until(t, "a mistake is seen", func(r readiness) bool { return r.Rules.ReloadFailures > 0 })
	if got := p.generation(t); got != good {
		t.Errorf("generation after a mistake = %d, want %d, that of the rules before", got, good)
	}
}

// auditPod is a running daemon of the chart's audit Deployment.
type auditPod struct {
	dir     string
	secret  *corev1.Secret
	webhook string
	server  string

	alerts chan string // names of rules
	log    bytes.Buffer
}

// readiness is what /readyz says.
type readiness struct {
	Rules struct {
		Generation     uint64 `json:"generation"`
		ReloadFailures uint64 `json:"reload_failures"`
	} `json:"rules"`
}

// startAuditPod runs what the chart renders for audit events.
func startAuditPod(tb testing.TB, args ...string) *auditPod {
	tb.Helper()
	text, err := template(tb, "audit-only", args...)
	if err != nil {
		tb.Fatal(err)
	}
	m := decode(tb, text)
	p := &auditPod{secret: find[*corev1.Secret](tb, m, "wh-windhover-audit-tls"), alerts: make(chan string, 1000)}
	w := m.workloads()[0]
	p.dir = mountVolumes(tb, m, w)
	cmd := podCommand(tb, w, p.dir)
	// Every pod has an address of its own; here the kernel chooses ports.
	cmd.Args = append(cmd.Args, "--set", "server::address=127.0.0.1:0", "--set", "receivers::windhover_k8saudit::endpoint=127.0.0.1:0",
		"--set", "receivers::windhover_k8saudit::fold::enabled=false")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	listening := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { p.readLog(stderr, listening) })
	reading.Go(func() { p.readAlerts(stdout) })
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 0 || tb.Failed() {
			tb.Logf("windhover ends with %d; its log:\n%s", code, p.log.String())
		}
	})
	select {
	case <-listening:
	case <-time.After(30 * time.Second): // or it has ended: its log says why
		tb.Fatal("windhover does not listen")
	}
	return p
}

// readLog reads the daemon's log until its end, and tells when both servers listen.
func (p *auditPod) readLog(r io.Reader, listening chan<- struct{}) {
	for lines := bufio.NewScanner(io.TeeReader(r, &p.log)); lines.Scan(); {
		var line struct {
			Message string `json:"msg"`
			Address string `json:"address"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || listening == nil {
			continue
		}
		switch line.Message {
		case "server listens":
			p.server = line.Address
		case "webhook listens":
			p.webhook = line.Address
		}
		if p.server != "" && p.webhook != "" {
			close(listening)
			listening = nil
		}
	}
}

func (p *auditPod) readAlerts(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var line struct {
			Rule string `json:"rule"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Rule != "" {
			p.alerts <- line.Rule
		}
	}
}

// await returns the rules of the next n alerts.
func (p *auditPod) await(tb testing.TB, n int) []string {
	tb.Helper()
	deadline := time.After(30 * time.Second)
	var got []string
	for len(got) < n {
		select {
		case rule := <-p.alerts:
			got = append(got, rule)
		case <-deadline:
			tb.Fatalf("%d alerts of %d: %q", len(got), n, got)
		}
	}
	return got
}

// ready asks /readyz.
func (p *auditPod) ready(tb testing.TB) readiness {
	tb.Helper()
	resp, err := http.Get("http://" + p.server + "/readyz")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	var r readiness
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		tb.Fatalf("read /readyz: %v", err)
	}
	return r
}

// until waits until ok says so of /readyz.
func (p *auditPod) until(tb testing.TB, what string, ok func(readiness) bool) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !ok(p.ready(tb)) {
		if time.Now().After(deadline) {
			tb.Fatalf("waited for 30 s until %s", what)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-tb.Context().Done():
			tb.Fatal(tb.Context().Err())
		}
	}
}

func (p *auditPod) generation(tb testing.TB) uint64 {
	tb.Helper()
	return p.ready(tb).Rules.Generation
}
