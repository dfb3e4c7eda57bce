package state

import (
	"bytes"
	"strings"
	"testing"
)

func TestContainer(t *testing.T) {
	t.Parallel()
	const id = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e"
	for _, tt := range []struct{ name, path, want string }{
		{"the root is the host", "/", ""},
		{"nothing is the host", "", ""},
		{"init's scope is the host", "/init.scope", ""},
		{"a service is the host", "/system.slice/docker.service", ""},
		{"a cgroup below a service is the host", "/system.slice/systemd-udevd.service/udev", ""},
		{"a session is the host", "/user.slice/user-1000.slice/session-3.scope", ""},
		{"a user's service is the host", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-shell-1.scope", ""},

		{"docker with cgroupfs", "/docker/" + id, "3ad7b26ded6d"},
		{"docker with systemd", "/system.slice/docker-" + id + ".scope", "3ad7b26ded6d"},
		{"docker with an init that made a cgroup below", "/system.slice/docker-" + id + ".scope/init.scope", "3ad7b26ded6d"},
		{"docker in docker counts the inner container", "/docker/" + strings.Repeat("0", 64) + "/docker/" + id, "3ad7b26ded6d"},
		{"a digit less is no ID", "/docker/" + id[1:], ""},
		{"a digit less in a scope is the host", "/system.slice/docker-" + id[1:] + ".scope", ""},
		{"a digit more in a scope is the host", "/system.slice/docker-" + id + "0.scope", ""},
		{"64 characters that are no digits are a name", "/system.slice/docker-" + strings.Repeat("x", 64) + ".scope", ""},

		{"podman", "/machine.slice/libpod-" + id + ".scope", "3ad7b26ded6d"},
		{"podman's container cgroup", "/machine.slice/libpod-" + id + ".scope/container", "3ad7b26ded6d"},
		{"podman without systemd", "/libpod_parent/libpod-" + id, "3ad7b26ded6d"},
		{"podman's payload", "/machine.slice/libpod-payload-" + id, "3ad7b26ded6d"},
		{"podman's monitor runs on the host", "/machine.slice/libpod-conmon-" + id + ".scope", ""},
		{"rootless podman", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope/container", "3ad7b26ded6d"},

		{"kubernetes with cgroupfs", "/kubepods/besteffort/podaac2d1d3/" + id, "3ad7b26ded6d"},
		{"the pod itself is no container", "/kubepods/pod7b9ba1a2-6a8f-4b8e-9c0e-0d7bb3c6a111", ""},
		{"kubernetes with containerd and systemd", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-" + id + ".scope", "3ad7b26ded6d"},
		{"containerd's CRI in a unit's name", "/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" + id, "3ad7b26ded6d"},
		{"CRI-O with systemd", "/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope", "3ad7b26ded6d"},
		{"CRI-O with cgroupfs", "/kubepods/pod1/crio-" + id, "3ad7b26ded6d"},
		{"CRI-O's monitor runs on the host", "/kubepods.slice/crio-conmon-" + id + ".scope", ""},
		{"nerdctl", "/system.slice/nerdctl-" + id + ".scope", "3ad7b26ded6d"},

		{"containerd takes any name", "/default/web", "web"},
		{"containerd keeps 12 characters", "/k8s.io/a-rather-long-name", "a-rather-lon"},
		{"containerd's name is no unit", "/default/web.service", ""},
		{"containerd's namespace is no unit", "/system.slice/web", ""},
		{"containerd's namespace is needed", "/web", ""},
		{"any directory is no namespace", "/jobs/ec9d630f74019fac38a4adf6e9479db0", ""},
		{"a name that begins like a namespace", "/defaults/web", ""},
		{"a name below a container's", "/default/web/sub", ""},

		{"LXC", "/lxc/web01", "web01"},
		{"LXC with a payload directory", "/lxc.payload/web01/system.slice/cron.service", "web01"},
		{"LXC with a payload name", "/lxc.payload.web01/init.scope", "web01"},
		{"LXC's monitor runs on the host", "/lxc.monitor.web01", ""},
		{"libvirt of old", "/machine/web01.libvirt-lxc", "web01"},
		{"libvirt with systemd", `/machine.slice/machine-lxc\x2d4321\x2dweb01.scope`, `4321\x2dweb01`},
		{"libvirt's own cgroup below", `/machine.slice/machine-lxc\x2d4321\x2dweb01.scope/libvirt`, `4321\x2dweb01`},
		{"libvirt's directory", "/libvirt/lxc/web01", "web01"},
		{"BPM", "/system.slice/bpm-nats-server_1.scope", "nats-server_1"},
		{"BPM's letters are few", "/system.slice/bpm-nats:server.scope", ""},
		{"a name that ends like BPM's", "/system.slice/rpbpm-x.scope", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			full, short := Container([]byte(tt.path))
			if got := string(short); got != tt.want {
				t.Errorf("Container(%q) = %q, want %q", tt.path, got, tt.want)
			}
			if !bytes.HasPrefix(full, short) || bytes.Contains(full, []byte{'/'}) || len(full) > 0 != (len(short) > 0) {
				t.Errorf("Container(%q) has the whole ID %q", tt.path, full)
			}
		})
	}
}

func TestPodUID(t *testing.T) {
	t.Parallel()
	const (
		uid = "7b9ba1a2-6a8f-4b8e-9c0e-0d7bb3c6a111"
		id  = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e"
	)
	for _, tt := range []struct{ name, path, want string }{
		{"cgroupfs", "/kubepods/burstable/pod" + uid + "/" + id, uid},
		{"cgroupfs, guaranteed", "/kubepods/pod" + uid + "/" + id, uid},
		{"systemd", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod7b9ba1a2_6a8f_4b8e_9c0e_0d7bb3c6a111.slice/cri-containerd-" + id + ".scope", uid},
		{"systemd, guaranteed", "/kubepods.slice/kubepods-pod7b9ba1a2_6a8f_4b8e_9c0e_0d7bb3c6a111.slice/crio-" + id + ".scope", uid},
		{"a cluster in a container", "/docker/" + id + "/kubelet/kubepods/pod" + uid + "/" + id, uid},
		{"a pod of a file", "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" + id, "0123456789abcdef0123456789abcdef"},
		{"no kubelet", "/docker/" + id, ""},
		{"what only looks like one", "/user.slice/pod" + uid + "/" + id, ""},
		{"a UID with other characters", "/kubepods/pod7b9ba1a2-6a8f-4b8e-9c0e-0d7bb3c6a11g/" + id, ""},
		{"a short UID", "/kubepods/pod7b9ba1a2/" + id, ""},
	} {
		if got := string(PodUID([]byte(tt.path))); got != tt.want {
			t.Errorf("%s: PodUID(%q) = %q, want %q", tt.name, tt.path, got, tt.want)
		}
	}
}
