//go:build linux

package packages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRPM installs the package below a directory with a minimal system, as an installer
// of images does, and removes it again.
func TestRPM(t *testing.T) {
	needs(t)
	rpm := artifact(t, "bin/packages/windhover-*.x86_64.rpm")
	root := t.TempDir()
	must(t, "tar", "-xf", artifact(t, ".cache/debian.tar"), "-C", root)
	// The database knows nothing of Debian's packages, which provide the shell.
	run := func(args ...string) result {
		t.Helper()
		return try(t, "rpm", append([]string{"--root", root, "--nodeps"}, args...)...)
	}
	if r := run("--install", rpm); r.code != 0 || strings.Contains(r.stderr, "scriptlet failed") {
		t.Fatalf("rpm --install: %v", r)
	}
	if r := run("--verify", "windhover"); r.code != 0 {
		t.Errorf("files differ from the package: %v", r)
	}
	in := func(name string) string { return filepath.Join(root, name) }
	passwd, err := os.ReadFile(in("etc/passwd"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(passwd), "\nwindhover:") {
		t.Error("the package made no user windhover")
	}
	if got := must(t, "chroot", root, "windhover", "version"); !strings.HasPrefix(got, "windhover ") {
		t.Errorf("windhover version = %q", got)
	}
	must(t, "chroot", root, "windhover", "config", "-c", "/etc/windhover/windhover.yaml")

	edited, err := os.OpenFile(in("etc/windhover/windhover.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := edited.WriteString("# edited\n"); err != nil {
		t.Fatal(err)
	}
	if err := edited.Close(); err != nil {
		t.Fatal(err)
	}
	if r := run("--upgrade", "--replacepkgs", rpm); r.code != 0 || strings.Contains(r.stderr, "scriptlet failed") {
		t.Errorf("rpm --upgrade: %v", r)
	}
	if got := must(t, "tail", "-n", "1", in("etc/windhover/windhover.yaml")); got != "# edited\n" {
		t.Errorf("the upgrade replaced the configuration: it ends in %q", got)
	}
	if r := run("--erase", "windhover"); r.code != 0 || strings.Contains(r.stderr, "scriptlet failed") {
		t.Errorf("rpm --erase: %v", r)
	}
	for name, want := range map[string]bool{
		"usr/bin/windhover": false, "usr/lib/systemd/system/windhover.service": false, "usr/share/windhover": false,
		"etc/windhover/windhover.yaml": false, "etc/windhover/windhover.yaml.rpmsave": true,
	} {
		if _, err := os.Stat(in(name)); (err == nil) != want {
			t.Errorf("after the removal /%s exists = %t, want %t", name, err == nil, want)
		}
	}
}

// The packages for arm64 cannot be run here: they have to have the same files.
func TestPackagesForArm64HaveTheSameFiles(t *testing.T) {
	for _, tt := range []struct{ name, amd64, arm64 string }{
		{"deb", "bin/packages/*_amd64.deb", "bin/packages/*_arm64.deb"},
		{"rpm", "bin/packages/*.x86_64.rpm", "bin/packages/*.aarch64.rpm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := func(pattern string) string {
				if tt.name == "rpm" {
					return must(t, "rpm", "--query", "--package", "--list", artifact(t, pattern))
				}
				return must(t, "sh", "-c", "dpkg-deb --fsys-tarfile "+artifact(t, pattern)+" | tar -t")
			}
			if amd64, arm64 := list(tt.amd64), list(tt.arm64); amd64 != arm64 || !strings.Contains(arm64, "/usr/bin/windhover\n") {
				t.Errorf("files for amd64:\n%s\nfor arm64:\n%s", amd64, arm64)
			}
		})
	}
}
