//go:build linux

package packages

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRelease looks at what `make release` wrote, in the directory that WINDHOVER_RELEASE
// names; `make release-check` sets it.
func TestRelease(t *testing.T) {
	dir := os.Getenv("WINDHOVER_RELEASE")
	if dir == "" {
		t.Skip("WINDHOVER_RELEASE names no release")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	version := ""
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, "windhover-image-"); ok {
			version = strings.TrimSuffix(rest, ".tar")
		}
	}
	tilde := strings.Replace(version, "-", "~", 1)
	want := []string{
		"SHA256SUMS",
		"windhover-" + tilde + "-1.aarch64.rpm", "windhover-" + tilde + "-1.x86_64.rpm",
		"windhover-chart-" + version + ".tgz", "windhover-image-" + version + ".tar",
		"windhover_" + tilde + "-1_amd64.deb", "windhover_" + tilde + "-1_arm64.deb",
	}
	for _, platform := range []string{"darwin-arm64", "linux-amd64", "linux-arm64", "windows-amd64"} {
		want = append(want, "windhover-"+version+"-"+platform+".cdx.json", "windhover-"+version+"-"+platform+".tar.gz")
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatalf("files of the release (-want +got):\n%s", diff)
	}

	sums := must(t, "sh", "-c", "cd '"+dir+"' && sha256sum --check --strict SHA256SUMS")
	if n := strings.Count(sums, ": OK\n"); n != len(names)-1 {
		t.Errorf("SHA256SUMS has %d of %d files:\n%s", n, len(names)-1, sums)
	}

	for _, platform := range []string{"linux-amd64", "linux-arm64", "darwin-arm64", "windows-amd64"} {
		t.Run(platform, func(t *testing.T) {
			name := "windhover-" + version + "-" + platform
			out := t.TempDir()
			must(t, "tar", "-xzf", filepath.Join(dir, name+".tar.gz"), "-C", out)
			program := filepath.Join(out, name, "windhover")
			if platform == "windows-amd64" {
				program += ".exe"
			}
			if diff := cmp.Diff(linked(t, program), listed(t, filepath.Join(dir, name+".cdx.json"))); diff != "" {
				t.Errorf("modules that the SBOM does not have right (-linked +listed):\n%s", diff)
			}
			if platform != "linux-amd64" {
				return
			}
			if got := must(t, program, "version"); got != "windhover "+version+"\n" {
				t.Errorf("windhover version = %q, want that of the release, %s", got, version)
			}
			must(t, program, "check", filepath.Join(out, name, "rules"))
		})
	}
}

// The commands of docs/install.md that work on the files of a release.
func TestInstallPageOfAnArchive(t *testing.T) {
	dir := os.Getenv("WINDHOVER_RELEASE")
	if dir == "" {
		t.Skip("WINDHOVER_RELEASE names no release")
	}
	needs(t)
	copied := t.TempDir()
	must(t, "cp", "-a", dir+"/.", copied)
	for _, heading := range []string{"Check what you have", "Archive"} {
		for _, block := range section(t, heading) {
			got := must(t, "sh", "-c", asRoot+"cd '"+copied+"'\n"+block)
			switch {
			case strings.Contains(block, "preflight") && !strings.Contains(got, "windhover run can watch system calls"),
				strings.Contains(block, "sha256sum") && !strings.Contains(got, `"version": "v`):
				t.Errorf("%s\nprinted\n%s", block, got)
			}
		}
	}
}

// linked returns the modules that a program is linked from, as name@version.
func linked(t *testing.T, program string) []string {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	modules := []string{"std@" + info.GoVersion}
	for _, m := range info.Deps {
		modules = append(modules, m.Path+"@"+m.Version)
	}
	slices.Sort(modules)
	return modules
}

// listed returns the components of an SBOM, as name@version.
func listed(t *testing.T, name string) []string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		BOMFormat  string
		Components []struct{ Name, Version string }
	}
	if err := json.Unmarshal(content, &sbom); err != nil {
		t.Fatal(err)
	}
	if sbom.BOMFormat != "CycloneDX" {
		t.Errorf("bomFormat = %q, want CycloneDX", sbom.BOMFormat)
	}
	var modules []string
	for _, c := range sbom.Components {
		modules = append(modules, c.Name+"@"+c.Version)
	}
	slices.Sort(modules)
	return modules
}
