//go:build linux

package stack

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// host does what rules look for, and more of it than small rings can take.
type host struct {
	tb     testing.TB
	groups []*os.File // control groups named like containers
	audit  string     // webhook for Kubernetes audit events
	trail  string     // webhook for CloudTrail events
	turn   int
	floods []*exec.Cmd
}

func newHost(tb testing.TB, audit, trail string) *host {
	tb.Helper()
	h := &host{tb: tb, audit: audit, trail: trail}
	root := cgroupRoot(tb)
	for _, id := range []string{"3f9c2a71", "b07e55d4", "9d1184ce"} {
		dir := filepath.Join(root, "docker-"+strings.Repeat(id, 8)+".scope")
		if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { removeGroup(tb, dir) })
		f, err := os.Open(dir)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { f.Close() })
		h.groups = append(h.groups, f)
	}
	tb.Cleanup(h.calm)
	return h
}

// removeGroup removes a control group once the last of its processes has ended.
func removeGroup(tb testing.TB, dir string) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := os.Remove(dir)
		if err == nil || os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			tb.Error(err)
			return
		}
		time.Sleep(20 * time.Millisecond) // poll: rmdir(2) has no notification
	}
}

// cgroupRoot returns where the unified hierarchy is mounted.
func cgroupRoot(tb testing.TB) string {
	tb.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	dir := tb.TempDir()
	if err := unix.Mount("none", dir, "cgroup2", 0, ""); err != nil {
		tb.Skipf("mount the unified control groups: %v", err)
	}
	tb.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// command returns a command that runs in a container, or outside of all (-1).
func (h *host) command(container int, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if container >= 0 {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(h.groups[container].Fd())
	}
	return cmd
}

func (h *host) run(container int, name string, args ...string) {
	h.tb.Helper()
	if out, err := h.command(container, name, args...).CombinedOutput(); err != nil {
		h.tb.Fatalf("run %s %v: %v\n%s", name, args, err, out)
	}
}

// work makes alerts until the time is over: of the host, of containers, of a cluster
// and of a cloud account.
func (h *host) work(during time.Duration) {
	h.tb.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(during); ; {
		h.step()
		select {
		case <-tick.C:
		case <-end:
			return
		}
	}
}

func (h *host) step() {
	h.tb.Helper()
	n := h.turn
	h.turn++
	h.run(n%3-1, "/bin/sh", "-c", "cat /etc/shadow >/dev/null; true --password=correct-horse")
	if n%4 == 0 {
		link := filepath.Join(os.TempDir(), fmt.Sprintf("notes-%d", os.Getpid()))
		h.run(-1, "/bin/sh", "-c", "ln -s /etc/shadow "+link+"; true")
		h.run(-1, "rm", link)
	}
	if n%7 == 0 {
		program := fmt.Sprintf("/dev/shm/update-%d", os.Getpid())
		h.run(-1, "cp", "/bin/true", program)
		h.run(1, "/bin/sh", "-c", program+"; true")
		h.run(-1, "rm", program)
	}
	if n%5 == 0 {
		hidden := filepath.Join(os.TempDir(), fmt.Sprintf(".cache-%d", os.Getpid()))
		h.run(-1, "cp", "/bin/true", hidden)
		h.run(0, "/bin/sh", "-c", hidden+"; true")
		h.run(-1, "rm", hidden)
	}
	namespaces := []string{"shop", "shop", "shop", "billing", "billing", "kube-system"}
	namespace := namespaces[n%len(namespaces)]
	postAudit(h.tb, h.audit,
		podExec(namespace, fmt.Sprint("web-", n%3)),
		auditRequest(n, "list", "secrets", namespaces[(n+3)%len(namespaces)], ""),
		auditRequest(n, "get", "configmaps", namespace, ""),
		auditRequest(n, "create", "pods", namespace, `{"spec":{"containers":[{"name":"a","image":"a:1","securityContext":{"privileged":true}}]}}`),
	)
	user := []string{"alice", "bob", "ci"}[n%3]
	records := []string{trailEvent(n, user, "ListBuckets", `"errorCode":"AccessDenied"`), trailEvent(n, user, "GetObject", `"readOnly":true`)}
	if n%6 == 0 {
		records = append(records, trailEvent(n, user, "ConsoleLogin", `"additionalEventData":{"MFAUsed":"No"}`))
	}
	if n%19 == 0 {
		records = append(records, trailEvent(n, user, "StopLogging", `"readOnly":false`))
	}
	resp, err := http.Post(h.trail, "application/json", strings.NewReader(`{"Records":[`+strings.Join(records, ",")+`]}`))
	if err != nil {
		h.tb.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		h.tb.Fatalf("the source of CloudTrail events answers %d", resp.StatusCode)
	}
}

// auditRequest is a request to an API server.
func auditRequest(n int, verb, resource, namespace, object string) string {
	if object == "" {
		object = "null"
	}
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse",
"auditID":"%[1]s-%[2]s-%[3]d","stage":"ResponseComplete","verb":%[1]q,"requestURI":"/api/v1/namespaces/%[4]s/%[2]s",
"user":{"username":"mallory","groups":["system:authenticated"]},"sourceIPs":["192.0.2.7"],"userAgent":"kubectl",
"objectRef":{"resource":%[2]q,"namespace":%[4]q,"name":"n%[3]d","apiVersion":"v1"},"requestObject":%[5]s,
"responseStatus":{"code":200},"requestReceivedTimestamp":%[6]q,"stageTimestamp":%[6]q}`,
		verb, resource, n, namespace, object, time.Now().UTC().Format(time.RFC3339Nano))
}

// trailEvent is a call to a cloud's API.
func trailEvent(n int, user, name, more string) string {
	return fmt.Sprintf(`{"eventVersion":"1.09","eventID":"%s-%d","eventTime":%q,"eventSource":"s3.amazonaws.com","eventName":%q,
"awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.9","userIdentity":{"type":"IAMUser","userName":%q,"accountId":"111122223333"},%s}`,
		name, n, time.Now().UTC().Format(time.RFC3339Nano), name, user, more)
}

// flood makes more alerts at once than a small queue takes, and starts more openat and
// execve than small rings take, in containers and beside them, until calm.
func (h *host) flood() {
	h.tb.Helper()
	h.run(-1, "/bin/sh", "-c", "i=0; while [ $i -lt 600 ]; do : </etc/shadow; i=$((i+1)); done")
	const opens = `while :; do : </proc/self/status; done`
	const execs = `while :; do /bin/true; done`
	for _, f := range []struct {
		container int
		script    string
	}{{0, opens}, {0, opens}, {1, opens}, {-1, opens}, {2, execs}, {2, execs}, {2, execs}, {-1, execs}} {
		cmd := h.command(f.container, "/bin/sh", "-c", f.script)
		if err := cmd.Start(); err != nil {
			h.tb.Fatal(err)
		}
		h.floods = append(h.floods, cmd)
	}
}

// calm ends the flood.
func (h *host) calm() {
	for _, cmd := range h.floods {
		_ = cmd.Process.Kill()
	}
	for _, cmd := range h.floods {
		_ = cmd.Wait() // it was killed
	}
	h.floods = nil
}
