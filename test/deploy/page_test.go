package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCommandsOfThePage runs the commands of docs/kubernetes.md that take no cluster, in
// the order of the page.
func TestCommandsOfThePage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(repository + "/docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "deploy"), filepath.Join(dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	path := strings.Join([]string{filepath.Dir(windhover(t)), filepath.Dir(tool(t, "helm")), os.Getenv("PATH")}, ":")
	blocks := regexp.MustCompile("(?s)([^\n]*)\n\n```sh\n(.*?)```")
	ran := 0
	for _, b := range blocks.FindAllStringSubmatch(string(text), -1) {
		before, commands := b[1], b[2]
		if strings.Contains(before, "Needs a cluster") || strings.Contains(before, "Needs podman") {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+path, "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, commands, out)
		}
		ran++
	}
	if ran != 4 {
		t.Errorf("%d blocks ran, want 4", ran)
	}
}

// TestValuesOfThePage renders the chart with the values that the page shows.
func TestValuesOfThePage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(repository + "/docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	n := 0
	for _, b := range blocks {
		if strings.HasPrefix(b[1], "- --") { // flags
			continue
		}
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(b[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := template(t, "default", "-f", file)
		if err != nil {
			t.Errorf("%v\n%s", err, b[1])
			continue
		}
		m := decode(t, out)
		for _, w := range m.workloads() {
			checkConfiguration(t, m, w)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d examples of values, want 3", n)
	}
}
