//go:build linux

package packages

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// section returns the commands of a section of docs/install.md, one block after the
// other.
func section(t *testing.T, heading string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(repository, "docs/install.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/install.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var blocks []string
	for _, block := range strings.Split(text, "\n```sh\n")[1:] {
		commands, _, _ := strings.Cut(block, "\n```\n")
		blocks = append(blocks, commands)
	}
	if len(blocks) == 0 {
		t.Fatalf("section %q of docs/install.md has no commands", heading)
	}
	return blocks
}

// asRoot lets commands say sudo, which takes no package where everything is root.
const asRoot = "set -eu; sudo() { \"$@\"; }\n"

func TestInstallPageOnDebian(t *testing.T) {
	needs(t)
	c := debian(t)
	run := func(heading string) string {
		t.Helper()
		var out strings.Builder
		for _, block := range section(t, heading) {
			out.WriteString(c.must(asRoot + "cd /packages\n" + block))
		}
		return out.String()
	}
	if got := run("Debian and Ubuntu"); !strings.Contains(got, "windhover_syscall ok") || !strings.Contains(got, "watching system calls") {
		t.Errorf("the page shows no running service:\n%s", got)
	}
	run("The service")
	c.must("cat /etc/shadow > /dev/null; touch /etc/ld.so.preload; echo x > /etc/ld.so.preload; rm /etc/ld.so.preload")
	c.journal("/etc/ld.so.preload")
	if got, _, _ := strings.Cut(c.must("journalctl -u windhover -o cat --no-pager | tac"), "Started windhover"); strings.Contains(got, `"rule":"Sensitive file read by an unexpected program"`) {
		t.Errorf("the rule that the page switches off still alerts:\n%s", got)
	}
	// The unit without capabilities, for a configuration that needs none.
	c.must(`mkdir -p /etc/systemd/system/windhover.service.d
printf '[Service]\nCapabilityBoundingSet=\nAmbientCapabilities=\n' > /etc/systemd/system/windhover.service.d/override.conf
printf 'receivers: {windhover_k8saudit: {endpoint: "127.0.0.1:9765"}}\n' > /etc/windhover/windhover.yaml
systemctl daemon-reload
systemctl restart windhover`)
	if got := c.must("awk '/^Cap/ && $2 !~ /^0+$/' /proc/$(systemctl show -p MainPID --value windhover)/status"); got != "" {
		t.Errorf("the service has capabilities:\n%s", got)
	}
	run("Remove")
	if got := c.try("windhover version"); got.code == 0 {
		t.Errorf("windhover is still there: %v", got)
	}
}

func TestInstallPageInContainers(t *testing.T) {
	needs(t)
	dir := t.TempDir()
	for name, source := range map[string]string{
		"windhover-image-0.tar": "bin/windhover-image.tar", "seccomp.json": "deploy/container/seccomp.json",
	} {
		if err := os.Symlink(artifact(t, source), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { must(t, "podman", "rm", "--force", "--ignore", "--time=5", "windhover", "windhover-audit") })
	for _, block := range section(t, "Container") {
		must(t, "sh", "-c", asRoot+"cd '"+dir+"'\n"+block)
	}
	eventually(t, "the first container watches", func() (bool, string) {
		r := try(t, "podman", "logs", "windhover")
		return strings.Contains(r.stderr, "watching system calls"), r.String()
	})
	must(t, "cat", "/etc/shadow")
	eventually(t, "it alerts, with the name of the user", func() (bool, string) {
		r := try(t, "podman", "logs", "windhover")
		return strings.Contains(r.stdout, `"proc.cmdline":"cat /etc/shadow"`) && strings.Contains(r.stdout, "user=root"), r.String()
	})
	eventually(t, "the second container is ready", func() (bool, string) {
		resp, err := http.Get("http://127.0.0.1:9465/readyz")
		if err != nil {
			return false, err.Error() + try(t, "podman", "logs", "windhover-audit").String()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
}
