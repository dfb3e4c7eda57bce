package deploy

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

func TestChartLints(t *testing.T) {
	t.Parallel()
	for _, set := range valueSets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			out, err := output(t, tool(t, "helm"), "lint", "--strict", chart, "-n", "security", "-f", "testdata/values/"+set+".yaml")
			if err != nil || strings.Contains(out, "WARNING") || strings.Contains(out, "ERROR") {
				t.Errorf("helm lint --strict with %s: %v\n%s", set, err, out)
			}
		})
	}
}

func TestChartRenders(t *testing.T) {
	t.Parallel()
	for _, set := range valueSets(t) {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			text, err := template(t, set)
			if err != nil {
				t.Fatalf("helm template with %s: %v", set, err)
			}
			golden(t, "testdata/helm/"+set+".yaml", abridge(t, text))
			m := decode(t, text)
			checkReferences(t, m)
			checkSecurity(t, m)
			for _, w := range m.workloads() {
				checkConfiguration(t, m, w)
			}
		})
	}
}

var madeAnew = regexp.MustCompile(`(?m)^  (ca\.crt|tls\.crt|tls\.key|client\.crt|client\.key|kubeconfig): [A-Za-z0-9+/=]+$`)

// abridge leaves out of a golden file what is made anew each time, and the contents of
// files that stand elsewhere in the repository.
func abridge(tb testing.TB, text string) string {
	tb.Helper()
	text = madeAnew.ReplaceAllString(text, "  $1: (made anew)")
	files, err := filepath.Glob(chart + "/files/*/*")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			continue // a directory
		}
		name := strings.TrimPrefix(name, chart+"/")
		text = strings.ReplaceAll(text, indent(string(content)), "    ("+name+")\n")
	}
	groups := regexp.MustCompile(`(?s)(\nkind: PrometheusRule\n.*?\n  groups:\n).*?(\n---|$)`)
	return groups.ReplaceAllString(text, "$1    (files/prometheus)$2")
}

// indent indents by four columns all lines but empty ones, as nindent does, which indents
// those as well.
func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n    \n"
}

// checkReferences checks that what objects say of each other is true: selectors, ports,
// volumes, names.
func checkReferences(tb testing.TB, m *manifest) {
	tb.Helper()
	ws := m.workloads()
	selected := func(selector map[string]string, what string) []*workload {
		var out []*workload
		for _, w := range ws {
			if labels.SelectorFromSet(selector).Matches(labels.Set(w.template.Labels)) {
				out = append(out, w)
			}
		}
		if len(out) == 0 {
			tb.Errorf("%s selects no pods: %v", what, selector)
		}
		return out
	}
	there := map[string]bool{}
	for _, o := range m.objects {
		there[o.kind+" "+o.name] = true
		switch v := o.value.(type) {
		case *corev1.Service:
			for _, w := range selected(v.Spec.Selector, "Service "+o.name) {
				for _, p := range v.Spec.Ports {
					if !slices.ContainsFunc(w.container().Ports, func(c corev1.ContainerPort) bool { return c.Name == p.TargetPort.StrVal }) {
						tb.Errorf("Service %s: %s %s has no port %s", o.name, w.kind, w.name, p.TargetPort.StrVal)
					}
				}
			}
		case *policyv1.PodDisruptionBudget:
			selected(v.Spec.Selector.MatchLabels, "PodDisruptionBudget "+o.name)
		case *serviceMonitor:
			n := 0
			for _, s := range m.objects {
				if s, ok := s.value.(*corev1.Service); ok && labels.SelectorFromSet(v.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) {
					n++
					if s.Spec.Ports[0].Name != v.Spec.Endpoints[0].Port {
						tb.Errorf("ServiceMonitor %s: Service %s has no port %s", o.name, s.Name, v.Spec.Endpoints[0].Port)
					}
				}
			}
			if n != 1 {
				tb.Errorf("ServiceMonitor %s selects %d Services, want 1", o.name, n)
			}
		}
		if meta, ok := o.value.(metav1.Object); ok && o.kind != "SecurityContextConstraints" && meta.GetNamespace() != "security" {
			tb.Errorf("%s %s: namespace = %q, want that of the release", o.kind, o.name, meta.GetNamespace())
		}
	}
	// What users bring is named in their values: it begins with no name of the release.
	ours := func(name string) bool { return strings.HasPrefix(name, "wh-") || strings.HasPrefix(name, "falconry") }
	for _, w := range ws {
		if !labels.SelectorFromSet(w.selector.MatchLabels).Matches(labels.Set(w.template.Labels)) {
			tb.Errorf("%s %s does not select its own pods", w.kind, w.name)
		}
		volumes := map[string]bool{}
		for _, c := range w.claims {
			volumes[c.Name] = true
		}
		for _, v := range w.template.Spec.Volumes {
			volumes[v.Name] = true
			switch {
			case v.ConfigMap != nil && ours(v.ConfigMap.Name) && !there["ConfigMap "+v.ConfigMap.Name]:
				tb.Errorf("%s %s: there is no ConfigMap %s", w.kind, w.name, v.ConfigMap.Name)
			case v.Secret != nil && ours(v.Secret.SecretName) && !there["Secret "+v.Secret.SecretName] && !certified(m, v.Secret.SecretName):
				tb.Errorf("%s %s: there is no Secret %s", w.kind, w.name, v.Secret.SecretName)
			}
		}
		for _, mount := range w.container().VolumeMounts {
			if !volumes[mount.Name] {
				tb.Errorf("%s %s: there is no volume %s", w.kind, w.name, mount.Name)
			}
			delete(volumes, mount.Name)
		}
		if len(volumes) > 0 {
			tb.Errorf("%s %s: volumes that nobody mounts: %v", w.kind, w.name, slices.Sorted(maps.Keys(volumes)))
		}
		for _, probe := range []*corev1.Probe{w.container().LivenessProbe, w.container().ReadinessProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.StrVal != "metrics" {
				tb.Errorf("%s %s: a probe does not ask the server of the metrics", w.kind, w.name)
			}
		}
		if account := w.template.Spec.ServiceAccountName; ours(account) && !there["ServiceAccount "+account] {
			tb.Errorf("%s %s: there is no ServiceAccount %s", w.kind, w.name, account)
		}
	}
}

// certified reports whether cert-manager writes a Secret.
func certified(m *manifest, secret string) bool {
	return slices.ContainsFunc(m.objects, func(o object) bool {
		c, ok := o.value.(*certificate)
		return ok && c.Spec.SecretName == secret
	})
}

// checkSecurity checks what each pod may do: nothing at the API server; on its node what
// the values say; and those that only take audit events nothing at all.
func checkSecurity(tb testing.TB, m *manifest) {
	tb.Helper()
	for _, o := range m.objects {
		switch v := o.value.(type) {
		case *rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding:
			tb.Errorf("%s %s: there is no need for rights in the cluster", o.kind, o.name)
		case *rbacv1.Role:
			for _, r := range v.Rules {
				if len(r.ResourceNames) != 1 || !slices.Equal(r.Verbs, []string{"use"}) {
					tb.Errorf("Role %s: %v is more than the use of one SecurityContextConstraints", o.name, r)
				}
			}
		case *corev1.ServiceAccount:
			if v.AutomountServiceAccountToken == nil || *v.AutomountServiceAccountToken {
				tb.Errorf("ServiceAccount %s mounts its token", o.name)
			}
		}
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, w := range m.workloads() {
		spec, c := &w.template.Spec, w.container()
		if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
			tb.Errorf("%s %s mounts the token of its account", w.kind, w.name)
		}
		if len(spec.Containers) != 1 || len(spec.InitContainers) != 0 {
			tb.Errorf("%s %s: has %d and %d containers, want one", w.kind, w.name, len(spec.Containers), len(spec.InitContainers))
		}
		if c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			tb.Errorf("%s %s: its file system can be written", w.kind, w.name)
		}
		if w.kind != "DaemonSet" {
			result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &w.template.ObjectMeta, spec))
			if !result.Allowed {
				tb.Errorf("%s %s is not what the Pod Security Standard %q allows: %s", w.kind, w.name, restricted.Level, result.ForbiddenDetail())
			}
			continue
		}
		if spec.HostPID || spec.HostNetwork || spec.HostIPC {
			tb.Errorf("%s %s: is in a namespace of its node; none is needed", w.kind, w.name)
		}
		s := c.SecurityContext
		if s.Privileged != nil && *s.Privileged {
			continue
		}
		want := &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH"}}
		if diff := cmp.Diff(want, s.Capabilities); diff != "" {
			tb.Errorf("%s %s: capabilities (-want +got):\n%s", w.kind, w.name, diff)
		}
		// Under no_new_privs a file gives no capability that a process does not have, and
		// not every runtime gives a user other than root any.
		if root := *s.RunAsUser == 0; root == *s.AllowPrivilegeEscalation {
			tb.Errorf("%s %s: user %d with allowPrivilegeEscalation %v", w.kind, w.name, *s.RunAsUser, *s.AllowPrivilegeEscalation)
		}
	}
}

// checkConfiguration has the real daemon read the configuration of a workload, with the
// variables and the files that its pods have.
func checkConfiguration(tb testing.TB, m *manifest, w *workload) {
	tb.Helper()
	dir := mountVolumes(tb, m, w)
	command := podCommand(tb, w, dir)
	command.Args[1] = "config"
	if out, err := command.CombinedOutput(); err != nil {
		tb.Errorf("%s %s: windhover %s: %v\n%s", w.kind, w.name, strings.Join(command.Args[1:], " "), err, out)
	}
	for _, mount := range w.container().VolumeMounts {
		if !strings.HasPrefix(mount.MountPath, "/etc/windhover/rules/") {
			continue
		}
		if out, err := output(tb, windhover(tb), "check", filepath.Join(dir, mount.MountPath)); err != nil {
			tb.Errorf("%s %s: windhover check %s: %v\n%s", w.kind, w.name, mount.MountPath, err, out)
		}
	}
}

func TestChartRefusesWrongValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, set, want string }{
		{"a value that there is not", "hosts.enabled=true", "hosts"},
		{"a value that there is not, further down", "audit.tls.modus=none", "modus"},
		{"a word that is none of those", "host.privileges=admin", "/host/privileges"},
		{"a port out of range", "metrics.port=70000", "/metrics/port"},
		{"a text where a number is wanted", "audit.replicas=two", "/audit/replicas"},
		{"a digest that is none", "image.digest=latest", "/image/digest"},
		{"a URL for gRPC", "otlp.endpoint=https://collector:4317", "/otlp/endpoint"},
		{"no URL for HTTP", "otlp.protocol=http,otlp.endpoint=collector:4318", "/otlp/endpoint"},
		{"a claim for a DaemonSet", "host.queue.volume=persistentVolumeClaim", "/host/queue/volume"},
		{"rules in a file that is not read", "rules.custom.shop\\.txt=x", "shop.txt"},
		{"a ConfigMap of a name that the chart uses", "rules.configMaps={custom}", "/rules/configMaps/0"},
		{"a key that Windhover does not have", "host.config.sources.x=1", "sources"},
		{"no rules at all", "rules.builtin=false", "rules: builtin is false and there are no others"},
		{"nothing to run", "host.enabled=false", "nothing to run: enable host, audit or both"},
		{"nowhere for alerts to go", "console.enabled=false", "alerts go nowhere"},
		{"the socket of an engine for a user that may not use it", "host.engineSocketDir=/run/containerd", "host.engineSocketDir: only root"},
		{"a certificate without an issuer", "audit.enabled=true,audit.tls.mode=certManager", "audit.tls.issuerRef.name"},
		{"a certificate without a Secret", "audit.enabled=true,audit.tls.mode=secret", "audit.tls.secretName"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, err := template(t, "default", "--set", tt.set)
			if err == nil {
				t.Fatalf("helm template --set %s renders, want an error that names %q:\n%s", tt.set, tt.want, out)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("helm template --set %s: %v, want an error that names %q", tt.set, err, tt.want)
			}
		})
	}
}

func TestChartCarriesTheFilesOfTheRepository(t *testing.T) {
	t.Parallel()
	text, err := template(t, "everything")
	if err != nil {
		t.Fatal(err)
	}
	m := decode(t, text)
	dashboards := map[string]string{}
	for _, o := range m.objects {
		if v, ok := o.value.(*corev1.ConfigMap); ok && strings.Contains(o.name, "-dashboard-") {
			maps.Copy(dashboards, v.Data)
			if v.Labels["grafana_dashboard"] != "1" {
				t.Errorf("ConfigMap %s: labels = %v, want the one that the sidecar of Grafana looks for", o.name, v.Labels)
			}
		}
	}
	want := contents(t, repository+"/deploy/grafana/dashboards/*.json")
	if len(want) == 0 {
		t.Error("there are no dashboards in deploy/grafana/dashboards")
	}
	if diff := cmp.Diff(want, dashboards); diff != "" {
		t.Errorf("dashboards of the chart (-want +got):\n%s", diff)
	}
	var rules ruleGroups
	for _, name := range slices.Sorted(maps.Keys(contents(t, repository+"/deploy/prometheus/windhover.*.yaml"))) {
		rules.Groups = append(rules.Groups, groupsOf(t, repository+"/deploy/prometheus/"+name)...)
	}
	if len(rules.Groups) == 0 {
		t.Error("there are no rules in deploy/prometheus")
	}
	if diff := cmp.Diff(rules, find[*prometheusRule](t, m, "wh-windhover").Spec); diff != "" {
		t.Errorf("Prometheus rules of the chart (-want +got):\n%s", diff)
	}
}

// contents returns the files that match a pattern.
func contents(tb testing.TB, pattern string) map[string]string {
	tb.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		tb.Fatal(err)
	}
	out := make(map[string]string, len(files))
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		out[filepath.Base(name)] = string(text)
	}
	return out
}

// TestPackageIsTheChart: what helm package makes holds the files that the chart links to.
func TestPackageIsTheChart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := output(t, tool(t, "helm"), "package", chart, "--destination", dir); err != nil {
		t.Fatalf("helm package: %v\n%s", err, out)
	}
	packages, err := filepath.Glob(dir + "/windhover-*.tgz")
	if err != nil || len(packages) != 1 {
		t.Fatalf("helm package made %q, %v; want one file", packages, err)
	}
	want, err := template(t, "everything")
	if err != nil {
		t.Fatal(err)
	}
	got, err := output(t, tool(t, "helm"), "template", "wh", packages[0], "-n", "security", "-f", "testdata/values/everything.yaml")
	if err != nil {
		t.Fatalf("helm template %s: %v", packages[0], err)
	}
	if diff := cmp.Diff(madeAnew.ReplaceAllString(want, ""), madeAnew.ReplaceAllString(got, "")); diff != "" {
		t.Errorf("manifest of the package (-chart +package):\n%s", diff)
	}
}

func TestPrometheusReadsTheRulesOfTheChart(t *testing.T) {
	t.Parallel()
	text, err := template(t, "everything")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	writeYAML(t, file, find[*prometheusRule](t, decode(t, text), "wh-windhover").Spec)
	if out, err := output(t, tool(t, "promtool"), "check", "rules", file); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

func TestPodsRestartForConfigurationAndNotForRules(t *testing.T) {
	t.Parallel()
	sum := func(args ...string) string {
		text, err := template(t, "own-rules", args...)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(decode(t, text).workloads()[0].template.Annotations["checksum/config"])
	}
	before := sum()
	if got := sum("--set", "rules.custom.shop\\.yaml=- list: x"); got != before {
		t.Error("other rules change the pods; Windhover reads them again by itself")
	}
	if got := sum("--set", "host.config.memory_limit=1048576"); got == before {
		t.Error("another configuration leaves the pods; Windhover does not read it again")
	}
}
