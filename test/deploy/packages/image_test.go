//go:build linux

package packages

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// image loads the built image and returns its ID.
func image(t *testing.T) string {
	t.Helper()
	archive := artifact(t, "bin/windhover-image.tar")
	return strings.TrimSpace(must(t, "podman", "pull", "--quiet", "oci-archive:"+archive))
}

// rights are what a container gets that watches system calls: a user who is not root, the
// four capabilities, and no way to write.
func rights(t *testing.T) []string {
	t.Helper()
	profile, err := filepath.Abs(filepath.Join(repository, "deploy/container/seccomp.json"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"--cap-drop=ALL", "--cap-add=BPF,PERFMON,SYS_PTRACE,DAC_READ_SEARCH",
		"--security-opt=seccomp=" + profile, "--read-only", "--read-only-tmpfs=false", "--pid=host",
	}
}

func TestImageIsForBothArchitectures(t *testing.T) {
	dir := t.TempDir()
	must(t, "tar", "-xf", artifact(t, "bin/windhover-image.tar"), "-C", dir)
	blob := func(digest string, v any) {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, "blobs", strings.Replace(digest, ":", "/", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(content, v); err != nil {
			t.Fatal(err)
		}
	}
	type descriptor struct {
		Digest   string
		Platform struct{ OS, Architecture string }
	}
	var index, images struct{ Manifests []descriptor }
	content, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 {
		t.Fatalf("the archive has %d images, want 1", len(index.Manifests))
	}
	blob(index.Manifests[0].Digest, &images)
	var got []string
	for _, m := range images.Manifests {
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		var config struct {
			OS, Architecture string
			Config           struct {
				User   string
				Labels map[string]string
			}
		}
		blob(m.Digest, &manifest)
		blob(manifest.Config.Digest, &config)
		if config.OS != m.Platform.OS || config.Architecture != m.Platform.Architecture {
			t.Errorf("the index says %v of an image for %s/%s", m.Platform, config.OS, config.Architecture)
		}
		for _, label := range []string{"title", "description", "licenses", "version", "revision"} {
			if config.Config.Labels["org.opencontainers.image."+label] == "" {
				t.Errorf("%s/%s has no label %s", config.OS, config.Architecture, label)
			}
		}
		got = append(got, fmt.Sprintf("%s/%s as %s, %d layer", config.OS, config.Architecture, config.Config.User, len(manifest.Layers)))
	}
	want := []string{"linux/amd64 as 65532:65532, 1 layer", "linux/arm64 as 65532:65532, 1 layer"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestImageWatchesAsAUserWithFourCapabilities(t *testing.T) {
	needs(t)
	id := image(t)
	r := try(t, "podman", append(append([]string{"run", "--rm", "--pull=never", "--network=none"}, rights(t)...), id, "preflight")...)
	if r.code != 0 || strings.Contains(r.stdout, " no ") {
		t.Fatalf("preflight: %v", r)
	}

	c := start(t, append(append([]string{"--network=none"}, rights(t)...), id)...)
	eventually(t, "the container watches", func() (bool, string) {
		_, stderr := c.output()
		return strings.Contains(stderr, "watching system calls"), stderr
	})
	if _, err := os.ReadFile("/etc/shadow"); err != nil {
		t.Fatal(err)
	}
	must(t, "cat", "/etc/shadow")
	eventually(t, "it alerts", func() (bool, string) {
		stdout, stderr := c.output()
		for line := range strings.Lines(stdout) {
			var alert struct {
				Rule         string
				OutputFields map[string]any `json:"output_fields"`
			}
			if err := json.Unmarshal([]byte(line), &alert); err != nil {
				t.Fatalf("alert is no JSON line: %v: %q", err, line)
			}
			if alert.OutputFields["fd.name"] == "/etc/shadow" && alert.OutputFields["proc.exepath"] == "/usr/bin/cat" {
				return true, ""
			}
		}
		return false, stdout + stderr
	})

	for key, want := range map[string]string{
		"Uid": "65532\t65532\t65532\t65532", "Seccomp": "2",
		"CapEff": "000000c000080004", "CapBnd": "000000c000080004", // DAC_READ_SEARCH, SYS_PTRACE, PERFMON, BPF
	} {
		if got := c.status(key); got != want {
			t.Errorf("%s of the process = %q, want %q", key, got, want)
		}
	}
	must(t, "podman", "stop", "--time=20", c.id)
	if code := strings.TrimSpace(must(t, "podman", "inspect", "--format={{.State.ExitCode}}", c.id)); code != "0" {
		t.Errorf("exit code after SIGTERM = %s, want 0", code)
	}
}

// An image that only takes audit events needs nothing: with the effective bit on its
// program file it could not even be executed here.
func TestImageTakesAuditEventsWithoutAnyRight(t *testing.T) {
	needs(t)
	id := image(t)
	config := filepath.Join(t.TempDir(), "windhover.yaml")
	webhook, server := free(t), free(t)
	content := fmt.Sprintf("receivers: {windhover_k8saudit: {endpoint: %q}}\nexporters: {windhover_console: {format: json}}\nserver: {address: %q}\n", webhook, server)
	if err := os.WriteFile(config, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(config), 0o755); err != nil {
		t.Fatal(err)
	}
	c := start(t, "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only", "--read-only-tmpfs=false",
		"--network=host", "--volume="+config+":/etc/windhover/windhover.yaml:ro", id)
	eventually(t, "/readyz says so", func() (bool, string) {
		resp, err := http.Get("http://" + server + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && resp.StatusCode == http.StatusOK, string(body)
	})
	event := `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"kind":"Event","apiVersion":"audit.k8s.io/v1",
		"level":"RequestResponse","auditID":"0d2f0f2e-5c4a-4b4f-8f57-2f3f6d1c9a11","stage":"ResponseComplete",
		"requestURI":"/api/v1/namespaces/default/pods/web/exec?command=sh","verb":"create","user":{"username":"eve"},
		"objectRef":{"resource":"pods","namespace":"default","name":"web","subresource":"exec","apiVersion":"v1"},
		"responseStatus":{"code":101},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.000000Z"}]}`
	resp, err := http.Post("http://"+webhook+"/k8s-audit", "application/json", strings.NewReader(event))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the webhook answers %s", resp.Status)
	}
	eventually(t, "it alerts", func() (bool, string) {
		stdout, stderr := c.output()
		return strings.Contains(stdout, `"source":"k8s_audit"`) && strings.Contains(stdout, "eve"), stdout + stderr
	})
	for key, want := range map[string]string{"CapEff": "0000000000000000", "CapPrm": "0000000000000000", "NoNewPrivs": "1"} {
		if got := c.status(key); got != want {
			t.Errorf("%s of the process = %q, want %q", key, got, want)
		}
	}
	if r := try(t, "podman", "run", "--rm", "--pull=never", "--cap-drop=ALL", "--network=none", id, "preflight"); r.code != 3 {
		t.Errorf("preflight without capabilities: %v\nwant exit code 3", r)
	}
}

// The certificates in the image are there for exporters; Go reads them where they are.
func TestImageHasCertificatesAndNoShell(t *testing.T) {
	needs(t)
	id := image(t)
	created := strings.TrimSpace(must(t, "podman", "create", "--pull=never", id))
	t.Cleanup(func() { must(t, "podman", "rm", created) })
	files := filepath.Join(t.TempDir(), "files.tar")
	must(t, "podman", "export", "--output", files, created)
	list := must(t, "tar", "-tf", files)
	for _, want := range []string{"usr/bin/windhover", "etc/ssl/certs/ca-certificates.crt", "usr/share/doc/windhover/NOTICES", "usr/share/windhover/rules/linux.yaml"} {
		if !strings.Contains(list, want+"\n") {
			t.Errorf("the image has no %s", want)
		}
	}
	if n := strings.Count(list, "bin/"); n != 2 { // usr/bin/ and usr/bin/windhover
		t.Errorf("the image has programs beside windhover:\n%s", list)
	}
	certificates := must(t, "tar", "-xOf", files, "etc/ssl/certs/ca-certificates.crt")
	if n := strings.Count(certificates, "BEGIN CERTIFICATE"); n < 50 {
		t.Errorf("the image has %d certificates, want at least 50", n)
	}
}

// free returns a loopback address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
