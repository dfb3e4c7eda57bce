package deploy

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"
)

// TestUpgradeKeepsTheCertificates: what the chart made once, it reads from the cluster:
// the API server's kubeconfig stays good, and follows another address.
func TestUpgradeKeepsTheCertificates(t *testing.T) {
	t.Parallel()
	const set = "audit-only"
	text, err := template(t, set)
	if err != nil {
		t.Fatal(err)
	}
	before := find[*corev1.Secret](t, decode(t, text), "wh-windhover-audit-tls")

	kubeconfig := clusterWith(t, before)
	text, err = template(t, set, "--kubeconfig", kubeconfig, "--dry-run=server", "--disable-openapi-validation", "--set", "audit.service.clusterIP=10.96.0.7")
	if err != nil {
		t.Fatal(err)
	}
	after := find[*corev1.Secret](t, decode(t, text), before.Name)
	for key := range before.Data {
		if key == "kubeconfig" {
			continue
		}
		if diff := cmp.Diff(string(before.Data[key]), string(after.Data[key])); diff != "" {
			t.Errorf("%s after an upgrade (-before +after):\n%s", key, diff)
		}
	}
	var config clientcmdv1.Config
	if err := yaml.UnmarshalStrict(after.Data["kubeconfig"], &config); err != nil {
		t.Fatalf("kubeconfig after an upgrade: %v", err)
	}
	if got, want := config.Clusters[0].Cluster.Server, "https://10.96.0.7:443/k8s-audit"; got != want {
		t.Errorf("server after an upgrade = %q, want %q", got, want)
	}
	if diff := cmp.Diff(string(before.Data["client.crt"]), string(config.AuthInfos[0].AuthInfo.ClientCertificateData)); diff != "" {
		t.Errorf("client certificate after an upgrade (-before +after):\n%s", diff)
	}

	delete(before.Data, "client.key")
	_, err = template(t, set, "--kubeconfig", clusterWith(t, before), "--dry-run=server", "--disable-openapi-validation")
	if want := "it has no client.key; delete it to have it made again"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("upgrade with a Secret without the client's key: %v, want an error that says %q", err, want)
	}
}

// clusterWith returns a kubeconfig for as much of an API server as helm's lookup takes,
// with one Secret in it.
func clusterWith(tb testing.TB, secret *corev1.Secret) string {
	tb.Helper()
	secret = secret.DeepCopy()
	// So helm knows what it installed.
	secret.Annotations = map[string]string{"meta.helm.sh/release-name": "wh", "meta.helm.sh/release-namespace": secret.Namespace}
	mux := http.NewServeMux()
	answer := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v) // a client that is gone has no use for an error
		})
	}
	answer("/version", version.Info{Major: "1", Minor: "37", GitVersion: "v1.37.2"})
	answer("/api", metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	for path, resources := range map[string][]metav1.APIResource{
		"/api/v1": {
			{Name: "secrets", Namespaced: true, Kind: "Secret"},
			{Name: "configmaps", Namespaced: true, Kind: "ConfigMap"},
			{Name: "services", Namespaced: true, Kind: "Service"},
			{Name: "serviceaccounts", Namespaced: true, Kind: "ServiceAccount"},
		},
		"/apis/apps/v1":   {{Name: "deployments", Namespaced: true, Kind: "Deployment"}},
		"/apis/policy/v1": {{Name: "poddisruptionbudgets", Namespaced: true, Kind: "PodDisruptionBudget"}},
	} {
		group, named := strings.CutPrefix(path, "/apis/")
		if !named {
			group = "v1"
		} else {
			v := metav1.GroupVersionForDiscovery{GroupVersion: group, Version: "v1"}
			groups.Groups = append(groups.Groups, metav1.APIGroup{Name: strings.TrimSuffix(group, "/v1"), Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v})
		}
		answer(path, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: group, APIResources: resources})
	}
	answer("/apis", groups)
	answer("/api/v1/namespaces/"+secret.Namespace+"/secrets/"+secret.Name, secret)
	server := httptest.NewServer(mux)
	tb.Cleanup(server.Close)

	file := filepath.Join(tb.TempDir(), "kubeconfig")
	text, err := yaml.Marshal(clientcmdv1.Config{
		APIVersion: "v1", Kind: "Config", CurrentContext: "c",
		Clusters: []clientcmdv1.NamedCluster{{Name: "c", Cluster: clientcmdv1.Cluster{Server: server.URL}}},
		Contexts: []clientcmdv1.NamedContext{{Name: "c", Context: clientcmdv1.Context{Cluster: "c"}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}
