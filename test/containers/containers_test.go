//go:build linux

// Package containers runs containers in real engines, containerd over CRI and Podman, and
// looks at what Windhover says of them.
package containers

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/windhover/windhover/internal/container"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/test/require"
)

// limit bounds what is waited for.
const limit = time.Minute

const (
	image  = "localhost/windhover-app:v1"
	podUID = "7b9ba1a2-6a8f-4b8e-9c0e-0d7bb3c6a111"
)

// archive writes an image of busybox in the form of docker save, and returns its path.
func archive(t *testing.T) string {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("the image needs a static busybox: %v", err)
	}
	tarOf := func(files map[string][]byte, order ...string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range order {
			h := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}
			if strings.HasSuffix(name, "/") {
				h.Typeflag, h.Size = tar.TypeDir, 0
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(files[name]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	layer := tarOf(map[string][]byte{"bin/busybox": busybox}, "bin/", "bin/busybox", "etc/", "proc/", "sys/", "dev/", "tmp/")
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/busybox","sleep","600"]},"rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sha256.Sum256(layer))
	manifest := fmt.Appendf(nil, `[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, image)
	path := filepath.Join(t.TempDir(), "image.tar")
	all := tarOf(map[string][]byte{"config.json": config, "layer.tar": layer, "manifest.json": manifest}, "config.json", "layer.tar", "manifest.json")
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs a program until the test ends.
func start(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is ended by a signal
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-done:
		case <-time.After(limit):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s says:\n%s", name, tail(out.String()))
		}
	})
	return cmd
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// eventually waits until f says nothing any more.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		problem := f()
		if problem == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %v: %s", limit, problem)
		}
	}
}

// node is a containerd with one pod, as the kubelet would have made it.
type node struct {
	socket  string
	client  cri.RuntimeServiceClient
	pod     *cri.PodSandboxConfig
	sandbox string
}

func newNode(t *testing.T) *node {
	t.Helper()
	dir := t.TempDir()
	n := &node{socket: filepath.Join(dir, "containerd.sock")}
	config := fmt.Sprintf(`version = 2
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
address = %[2]q
[plugins."io.containerd.grpc.v1.cri"]
restrict_oom_score_adj = true
sandbox_image = %[3]q
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
`, dir, n.socket, image)
	file := filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, nil, "containerd", "-c", file)
	conn, err := grpc.NewClient("unix://"+n.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	n.client = cri.NewRuntimeServiceClient(conn)
	eventually(t, func() string {
		if _, err := n.client.Version(t.Context(), &cri.VersionRequest{}); err != nil {
			return err.Error()
		}
		return ""
	})
	run(t, nil, "ctr", "-a", n.socket, "-n", "k8s.io", "images", "import", archive(t))

	// The network of the host takes no plugins.
	n.pod = &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "web-0", Uid: podUID, Namespace: "shop"},
		LogDirectory: dir, Labels: map[string]string{"app": "web"},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    "/kubepods/burstable/pod" + podUID,
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}},
		},
	}
	pod, err := n.client.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: n.pod})
	if err != nil {
		t.Fatal(err)
	}
	n.sandbox = pod.GetPodSandboxId()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if _, err := n.client.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: n.sandbox}); err != nil {
			t.Error(err)
		}
		if _, err := n.client.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: n.sandbox}); err != nil {
			t.Error(err)
		}
	})
	return n
}

// container starts one in the pod and returns its ID.
func (n *node) container(t *testing.T, name string, command ...string) string {
	t.Helper()
	created, err := n.client.CreateContainer(t.Context(), &cri.CreateContainerRequest{
		PodSandboxId: n.sandbox, SandboxConfig: n.pod,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: name}, Image: &cri.ImageSpec{Image: image}, Command: command,
			Labels: map[string]string{"tier": "front"},
			Mounts: []*cri.Mount{{HostPath: "/tmp", ContainerPath: "/data", Readonly: true}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.client.StartContainer(t.Context(), &cri.StartContainerRequest{ContainerId: created.GetContainerId()}); err != nil {
		t.Fatal(err)
	}
	return created.GetContainerId()
}

// described asks a resolver.
func described(t *testing.T, s container.Sockets, id string) *event.Container {
	t.Helper()
	r := container.New(s, "/", zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(done)
	}()
	defer func() {
		cancel()
		<-done
	}()
	ref := r.Ref([]byte(id))
	eventually(t, func() string {
		if ref.Load() == nil {
			return fmt.Sprintf("the status of %s is %d", id, ref.Status())
		}
		return ""
	})
	return ref.Load()
}

// texts writes what is known of a container, one fact a line.
func texts(c *event.Container) string {
	var b strings.Builder
	line := func(name string, v []byte) {
		if len(v) > 0 {
			fmt.Fprintf(&b, "%s %s\n", name, v)
		}
	}
	line("name", c.Name)
	line("type", c.Type)
	line("image", c.Image)
	line("repository", c.Repository)
	line("tag", c.Tag)
	line("namespace", c.Namespace)
	line("pod", c.PodName)
	line("uid", c.PodUID)
	for _, l := range c.Labels {
		if !strings.HasPrefix(string(l.Key), "io.") {
			fmt.Fprintf(&b, "label %s=%s\n", l.Key, l.Value)
		}
	}
	for _, l := range c.PodLabels {
		fmt.Fprintf(&b, "pod label %s=%s\n", l.Key, l.Value)
	}
	for _, m := range c.Mounts {
		fmt.Fprintf(&b, "mount %s %s writable=%v\n", m.Source, m.Dest, m.Writable)
	}
	fmt.Fprintf(&b, "privileged=%d pid=%d network=%d ipc=%d\n", c.Privileged, c.HostPID, c.HostNetwork, c.HostIPC)
	return b.String()
}

func TestContainerd(t *testing.T) {
	require.Kernel(t)
	require.Programs(t, "containerd", "ctr", "busybox")
	n := newNode(t)
	id := n.container(t, "app", "/bin/busybox", "sleep", "600")
	sockets := container.Sockets{CRI: []string{"/nowhere.sock", n.socket}}
	got := described(t, sockets, id)
	want := `name app
type containerd
image localhost/windhover-app:v1
repository localhost/windhover-app
tag v1
namespace shop
pod web-0
uid ` + podUID + `
label tier=front
pod label app=web
mount /tmp /data writable=false
privileged=1 pid=1 network=2 ipc=1
`
	if diff := cmp.Diff(want, texts(got)); diff != "" {
		t.Errorf("the container (-want +got)\n%s", diff)
	}
	if string(got.SandboxID) != n.sandbox || len(got.ImageID)+len(got.Digest) == 0 {
		t.Errorf("sandbox %s, image %q, digest %q; want sandbox %s", got.SandboxID, got.ImageID, got.Digest, n.sandbox)
	}
	want = `name web-0
type containerd
namespace shop
pod web-0
uid ` + podUID + `
label app=web
pod label app=web
privileged=1 pid=1 network=2 ipc=1
`
	if diff := cmp.Diff(want, texts(described(t, sockets, n.sandbox))); diff != "" {
		t.Errorf("the sandbox (-want +got)\n%s", diff)
	}
}

func TestPodman(t *testing.T) {
	require.Kernel(t)
	require.Programs(t, "podman", "busybox")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	env := []string{
		"CONTAINERS_CONF=" + write("containers.conf", "[containers]\ndefault_ulimits=[\"nofile=1024:4096\",\"nproc=1024:4096\"]\n[engine]\nruntime=\"runc\"\nno_pivot_root=false\n"),
		"CONTAINERS_STORAGE_CONF=" + write("storage.conf", fmt.Sprintf("[storage]\ndriver=\"vfs\"\ngraphroot=%q\nrunroot=%q\n", dir+"/root", dir+"/run")),
	}
	run(t, env, "podman", "load", "-q", "-i", archive(t))
	id := strings.TrimSpace(run(t, env, "podman", "run", "--pull=never", "-d", "--name=frontend", "--label=tier=front", "--network=host", "-v=/tmp:/data:ro", image))
	t.Cleanup(func() { run(t, env, "podman", "rm", "-f", "-t0", id) })
	socket := filepath.Join(dir, "podman.sock")
	start(t, env, "podman", "system", "service", "--time=0", "unix://"+socket)
	eventually(t, func() string {
		if _, err := os.Stat(socket); err != nil {
			return err.Error()
		}
		return ""
	})

	got := described(t, container.Sockets{Docker: []string{socket}}, id)
	want := `name frontend
type podman
image localhost/windhover-app:v1
repository localhost/windhover-app
tag v1
label tier=front
mount /tmp /data writable=false
privileged=1 pid=1 network=2 ipc=1
`
	if diff := cmp.Diff(want, texts(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestAlert runs the daemon: an alert on a program in a pod names the pod.
func TestAlert(t *testing.T) {
	require.Kernel(t)
	require.Programs(t, "containerd", "ctr", "busybox")
	n := newNode(t)
	id := n.container(t, "app", "/bin/busybox", "sleep", "600")

	dir := t.TempDir()
	binary, rules := filepath.Join(dir, "windhover"), filepath.Join(dir, "rules.yaml")
	run(t, []string{"CGO_ENABLED=0"}, "go", "build", "-o", binary, "github.com/windhover/windhover/cmd/windhover")
	if err := os.WriteFile(rules, []byte(`
- rule: Program in a pod
  desc: A program is started in a pod of the namespace shop.
  condition: evt.type = execve and evt.failed = false and k8s.ns.name = shop and proc.args = "echo found"
  output: "%k8s.ns.name %k8s.pod.name %k8s.pod.uid %container.name %container.image.repository %container.image.tag %k8s.pod.label[app]"
  priority: NOTICE
`), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(binary, "run", "-r", rules, "--output", "json",
		"--set", "receivers::windhover_syscall::containers::cri=["+n.socket+"]",
		"--set", "server::address=127.0.0.1:0")
	stdout, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Wait() }() // its end was asked for
	defer func() { _ = daemon.Process.Signal(syscall.SIGTERM) }()
	kill := time.AfterFunc(2*limit, func() { _ = daemon.Process.Kill() }) // so that no read below waits for ever
	defer kill.Stop()
	log := bufio.NewScanner(stderr)
	for log.Scan() && !strings.Contains(log.Text(), "watching system calls") {
	}
	if log.Err() != nil {
		t.Fatal(log.Err())
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // it must not block

	// The first questions may still be open: the program runs until an alert comes.
	lines := bufio.NewScanner(stdout)
	got := make(chan string)
	go func() {
		defer close(got)
		for lines.Scan() {
			got <- lines.Text()
		}
	}()
	for i := 0; ; i++ {
		run(t, nil, "ctr", "-a", n.socket, "-n", "k8s.io", "tasks", "exec", "--exec-id", fmt.Sprintf("e%d", i), id, "/bin/busybox", "echo", "found")
		select {
		case line, ok := <-got:
			if !ok {
				t.Fatal("the daemon ended")
			}
			var alert struct {
				Fields map[string]any `json:"output_fields"`
			}
			if err := json.Unmarshal([]byte(line), &alert); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"k8s.ns.name": "shop", "k8s.pod.name": "web-0", "k8s.pod.uid": podUID, "container.name": "app",
				"container.image.repository": "localhost/windhover-app", "container.image.tag": "v1", "k8s.pod.label[app]": "web",
			}
			for key, v := range want {
				if alert.Fields[key] != v {
					t.Errorf("%s is %v, want %v", key, alert.Fields[key], v)
				}
			}
			return
		case <-time.After(time.Second):
			if i > 30 {
				t.Fatal("no alert")
			}
		}
	}
}
