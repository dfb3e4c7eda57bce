//go:build linux

package deploy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const imageArchive = repository + "/bin/windhover-image.tar"

// bundleEnv names the directory of a container that is about to be created.
const bundleEnv = "WINDHOVER_DEPLOY_BUNDLE"

func TestMain(m *testing.M) {
	if bundle := os.Getenv(bundleEnv); bundle != "" {
		if err := takeCapabilities(filepath.Join(bundle, "config.json")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// takeCapabilities leaves a user other than root the bounding set alone. Podman gives such
// a user the capabilities of a container as ambient ones, which no runtime of Kubernetes
// does; some give none at all before the program's file does.
func takeCapabilities(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec map[string]any
	if err := json.Unmarshal(text, &spec); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	process, _ := spec["process"].(map[string]any)
	user, _ := process["user"].(map[string]any)
	if user["uid"] == float64(0) {
		return nil
	}
	capabilities, _ := process["capabilities"].(map[string]any)
	for _, set := range []string{"ambient", "inheritable", "permitted", "effective"} {
		delete(capabilities, set)
	}
	if text, err = json.Marshal(spec); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// TestContainersOfTheChart runs the container of each pod in podman with what its spec
// says: user, capabilities, escalation, file system, volumes, variables. Podman is not a
// kubelet: the network is that of this machine, and the default seccomp profile of
// containerd, which lets a container with the capability BPF load programs, is stood in
// for by deploy/container/seccomp.json.
func TestContainersOfTheChart(t *testing.T) {
	switch _, err := os.Stat(imageArchive); {
	case os.Geteuid() != 0:
		t.Skip("run containers with capabilities: needs root")
	case err != nil:
		t.Skipf("find the image: %v; make image builds it", err)
	}
	for _, program := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	podman(t)
	id := strings.TrimSpace(run(t, "podman", "pull", "--quiet", "oci-archive:"+imageArchive))

	onNode := t.TempDir() // as the kubelet makes it: of root, for others to read
	if err := os.Chmod(onNode, 0o755); err != nil {
		t.Fatal(err)
	}
	const own = `rules.custom={"shop.yaml": "- rule: Sensitive file read by an unexpected program\n  output: a rule of our own\n  override: {output: append}"}`
	for _, tt := range []struct {
		name   string
		values []string
		output string // what that of the alert ends with
	}{
		{"host as nonroot", nil, ")"},
		{"host as root", []string{"--set", "host.privileges=root"}, ")"},
		{"host as privileged", []string{"--set", "host.privileges=privileged"}, ")"},
		{"host with a queue and rules of its own", []string{"--set", "otlp.endpoint=127.0.0.1:1", "--set", "host.queue.volume=emptyDir", "--set-json", own}, "a rule of our own"},
		{"host as root with a queue on the node", []string{"--set", "otlp.endpoint=127.0.0.1:1", "--set", "host.privileges=root", "--set", "host.queue.volume=hostPath", "--set", "host.queue.hostPath=" + onNode}, ")"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := template(t, "default", tt.values...)
			if err != nil {
				t.Fatal(err)
			}
			c := runContainer(t, id, decode(t, text))
			c.await(t, "watches", func() bool { return strings.Contains(c.log(), "watching system calls") })
			run(t, "cat", "/etc/shadow")
			c.await(t, "alerts", func() bool {
				for line := range strings.Lines(c.alerts()) {
					var alert struct {
						Hostname string         `json:"hostname"`
						Output   string         `json:"output"`
						Fields   map[string]any `json:"output_fields"`
					}
					if err := json.Unmarshal([]byte(line), &alert); err != nil || alert.Fields["fd.name"] != "/etc/shadow" || alert.Fields["proc.exepath"] != "/usr/bin/cat" {
						continue
					}
					// The name of the user comes from the node, that of the host from the pod's spec.
					if alert.Fields["user.name"] != "root" || alert.Hostname != "node-1" {
						t.Errorf("alert of host %q by user %v, want node-1 and root", alert.Hostname, alert.Fields["user.name"])
					}
					if !strings.HasSuffix(alert.Output, tt.output) {
						t.Errorf("output = %q, want one that ends with %q", alert.Output, tt.output)
					}
					return true
				}
				return false
			})
			// What ran before is known: the node's procfs is mounted.
			if strings.Contains(c.log(), "source is degraded") {
				t.Errorf("the source is degraded:\n%s", c.log())
			}
		})
	}
	if files, err := os.ReadDir(onNode); err != nil || len(files) == 0 {
		t.Errorf("queue on the node: %d files, %v; want those of the queue", len(files), err)
	}
	t.Run("audit", func(t *testing.T) {
		text, err := template(t, "audit-only")
		if err != nil {
			t.Fatal(err)
		}
		c := runContainer(t, id, decode(t, text), "--set", "receivers::windhover_k8saudit::endpoint=127.0.0.1:0")
		c.await(t, "is ready", func() bool {
			address := c.address("server listens")
			if address == "" || c.address("webhook listens") == "" {
				return false
			}
			resp, err := http.Get("http://" + address + "/readyz")
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	})
}

// podman gives podman storage of its own, and limits that a machine without the right to
// raise them can set.
func podman(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runtime := filepath.Join(dir, "runtime")
	for name, text := range map[string]string{
		"runtime": fmt.Sprintf(`#!/bin/sh
before=
for argument in "$@"; do
	if [ "$before" = --bundle ]; then %s=$argument %q || exit 1; fi
	before=$argument
done
exec runc "$@"
`, bundleEnv, self),
		"containers.conf": fmt.Sprintf(`[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
runtime = %q
cgroup_manager = "cgroupfs"
events_logger = "none"
`, runtime),
		"storage.conf": fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "storage"), filepath.Join(dir, "run")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(runtime, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CONTAINERS_CONF", filepath.Join(dir, "containers.conf"))
	t.Setenv("CONTAINERS_STORAGE_CONF", filepath.Join(dir, "storage.conf"))
}

// run runs a program that has to succeed and returns its output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run %s %s: %v\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// container is a running one.
type container struct {
	mu             sync.Mutex
	stdout, stderr strings.Builder
	ended          chan struct{}
}

func (c *container) alerts() string { c.mu.Lock(); defer c.mu.Unlock(); return c.stdout.String() }
func (c *container) log() string    { c.mu.Lock(); defer c.mu.Unlock(); return c.stderr.String() }

// address returns the address in a line of the log.
func (c *container) address(message string) string {
	for text := range strings.Lines(c.log()) {
		var line struct {
			Message string `json:"msg"`
			Address string `json:"address"`
		}
		if err := json.Unmarshal([]byte(text), &line); err == nil && line.Message == message {
			return line.Address
		}
	}
	return ""
}

// await waits until ok.
func (c *container) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-c.ended:
			t.Fatalf("the container has ended before it %s:\n%s", what, c.log())
		case <-deadline:
			t.Fatalf("the container %s not within a minute:\n%s\n%s", what, c.alerts(), c.log())
		}
	}
}

// runContainer starts the container of the manifest's only workload.
func runContainer(t *testing.T, image string, m *manifest, more ...string) *container {
	t.Helper()
	w := m.workloads()[0]
	spec := w.container()
	security := spec.SecurityContext
	user, group := runsAs(w)
	args := []string{
		"run", "--rm", "--pull=never", "--network=host", "--read-only", "--read-only-tmpfs=false",
		fmt.Sprintf("--user=%d:%d", user, group),
	}
	switch {
	case security.Privileged != nil && *security.Privileged:
		args = append(args, "--privileged")
	default:
		profile, err := filepath.Abs(repository + "/deploy/container/seccomp.json")
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--cap-drop=ALL", "--security-opt=seccomp="+profile)
		for _, name := range security.Capabilities.Add {
			args = append(args, "--cap-add="+string(name))
		}
		if !*security.AllowPrivilegeEscalation {
			args = append(args, "--security-opt=no-new-privileges")
		}
	}
	// The kubelet gives files of ConfigMaps and Secrets to the group of the pod; their
	// paths in the container are those of the spec.
	dir := t.TempDir()
	open(t, dir, group)
	for _, mount := range spec.VolumeMounts {
		i := slices.IndexFunc(w.template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		volume := w.template.Spec.Volumes[i]
		source := filepath.Join(dir, mount.Name)
		switch {
		case volume.HostPath != nil:
			source = volume.HostPath.Path
		case volume.ConfigMap != nil:
			writePlain(t, source, configMap(m, volume.ConfigMap.Name), group)
		case volume.Secret != nil:
			files := secret(t, m, volume.Secret.SecretName)
			maps.DeleteFunc(files, func(key, _ string) bool {
				return !slices.ContainsFunc(volume.Secret.Items, func(k corev1.KeyToPath) bool { return k.Key == key })
			})
			writePlain(t, source, files, group)
		case volume.EmptyDir != nil:
			writePlain(t, source, nil, group)
			if err := os.Chmod(source, 0o777|os.ModeSetgid); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("volume %s: of a kind that this test does not know", mount.Name)
		}
		mode := "rw"
		if mount.ReadOnly {
			mode = "ro"
		}
		args = append(args, "--volume="+source+":"+mount.MountPath+":"+mode)
	}
	command := podCommand(t, w, "")
	for _, variable := range command.Env {
		if !strings.HasPrefix(variable, "PATH=") {
			args = append(args, "--env="+variable)
		}
	}
	args = append(append(append(args, image), spec.Args...), "--set", "server::address=127.0.0.1:0")
	args = append(args, more...)

	c := &container{ended: make(chan struct{})}
	cmd := exec.Command("podman", args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { c.collect(stdout, &c.stdout) })
	reading.Go(func() { c.collect(stderr, &c.stderr) })
	go func() { reading.Wait(); close(c.ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.ended:
		case <-time.After(30 * time.Second):
			t.Error("the container does not end on SIGTERM")
			_ = cmd.Process.Kill()
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("podman run: %v\n%s", err, c.log())
		}
	})
	return c
}

func (c *container) collect(r io.Reader, to *strings.Builder) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		c.mu.Lock()
		to.WriteString(lines.Text() + "\n")
		c.mu.Unlock()
	}
}

// runsAs returns the user and group of the container: its own or those of the pod.
func runsAs(w *workload) (uid, gid int64) {
	pod, own := w.template.Spec.SecurityContext, w.container().SecurityContext
	for _, u := range []*int64{pod.RunAsUser, own.RunAsUser} {
		if u != nil {
			uid = *u
		}
	}
	for _, g := range []*int64{pod.RunAsGroup, own.RunAsGroup} {
		if g != nil {
			gid = *g
		}
	}
	return uid, gid
}

// writePlain writes files that a group may read.
func writePlain(t *testing.T, dir string, files map[string]string, group int64) {
	t.Helper()
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	open(t, dir, group)
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
		open(t, file, group)
	}
}

// open gives a file to a group.
func open(t *testing.T, name string, group int64) {
	t.Helper()
	if err := os.Chown(name, -1, int(group)); err != nil {
		t.Fatal(err)
	}
}
