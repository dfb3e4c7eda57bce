package deploy

import (
	"cmp"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestKustomizationsRenderWhatTheChartDoes: each overlay comes to the objects that the
// chart makes of the values in the file of the same name.
func TestKustomizationsRenderWhatTheChartDoes(t *testing.T) {
	t.Parallel()
	overlays, err := filepath.Glob(repository + "/deploy/kustomize/overlays/*")
	if err != nil || len(overlays) == 0 {
		t.Fatalf("list overlays: %d, %v", len(overlays), err)
	}
	for _, overlay := range overlays {
		name := filepath.Base(overlay)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := output(t, tool(t, "kustomize"), "build", overlay)
			if err != nil {
				t.Fatalf("kustomize build %s: %v", overlay, err)
			}
			m := decode(t, text)
			checkSecurity(t, m)
			for _, w := range m.workloads() {
				checkConfiguration(t, m, w)
			}
			chartText, err := output(t, tool(t, "helm"), "template", "windhover", chart, "-n", "windhover", "-f", "testdata/kustomize/"+name+".yaml")
			if err != nil {
				t.Fatalf("helm template: %v", err)
			}
			if diff := gocmp.Diff(plainObjects(t, decode(t, chartText)), plainObjects(t, m)); diff != "" {
				t.Errorf("objects of overlay %s (-chart +kustomize):\n%s", name, diff)
			}
		})
	}
}

var nameHash = regexp.MustCompile(`^(windhover-(?:host|audit))-[a-z0-9]{10}$`)

// plainObjects returns the objects as maps in the order of their names, without what the two
// tools add by themselves: labels that name the tool, how a change of the configuration
// restarts pods, and namespaces, which the chart leaves to helm.
func plainObjects(tb testing.TB, m *manifest) []map[string]any {
	tb.Helper()
	var out []map[string]any
	for _, o := range m.objects {
		if o.kind == "Namespace" {
			continue
		}
		if c, ok := o.value.(*corev1.ConfigMap); ok {
			// One has comments, the other an order of its own.
			for key, text := range c.Data {
				var tree any
				if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
					tb.Fatalf("ConfigMap %s: %s: %v", o.name, key, err)
				}
				normal, err := yaml.Marshal(tree)
				if err != nil {
					tb.Fatal(err)
				}
				c.Data[key] = string(normal)
			}
		}
		text, err := yaml.Marshal(o.value)
		if err != nil {
			tb.Fatal(err)
		}
		tree := map[string]any{}
		if err := yaml.Unmarshal(text, &tree); err != nil {
			tb.Fatal(err)
		}
		plain, _ := strip(tree).(map[string]any)
		out = append(out, plain)
	}
	slices.SortFunc(out, func(a, b map[string]any) int { return cmp.Compare(identity(a), identity(b)) })
	return out
}

func identity(object map[string]any) string {
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	kind, _ := object["kind"].(string)
	return kind + " " + name
}

// strip leaves out what only one of the tools writes.
func strip(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch key {
			case "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart", "checksum/config", "creationTimestamp", "status":
				delete(v, key)
			default:
				v[key] = strip(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = strip(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return cmp.Compare(nameOf(a), nameOf(b)) })
	case string:
		if found := nameHash.FindStringSubmatch(v); found != nil {
			return found[1]
		}
	}
	return v
}

// nameOf returns what orders elements of a list: variables and volumes stand in any order.
func nameOf(v any) string {
	m, _ := v.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

func TestNamespacesOfOverlaysAllowTheirPods(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ overlay, level string }{
		{"host", "privileged"},
		{"audit-only", "restricted"},
		{"production", "privileged"},
		{"openshift", "privileged"},
	} {
		t.Run(tt.overlay, func(t *testing.T) {
			t.Parallel()
			text, err := output(t, tool(t, "kustomize"), "build", repository+"/deploy/kustomize/overlays/"+tt.overlay)
			if err != nil {
				t.Fatal(err)
			}
			m := decode(t, text)
			got := find[*corev1.Namespace](t, m, "windhover").Labels["pod-security.kubernetes.io/enforce"]
			if got != tt.level {
				t.Errorf("level of the namespace = %q, want %q", got, tt.level)
			}
			// The kinds of pod that there are decide which level that is.
			hosts := slices.ContainsFunc(m.workloads(), func(w *workload) bool { return strings.HasSuffix(w.name, "-host") })
			if hosts != (got == "privileged") {
				t.Errorf("the namespace is %s; watches hosts: %v", got, hosts)
			}
		})
	}
}
