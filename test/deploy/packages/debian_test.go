//go:build linux

package packages

import (
	"strconv"
	"strings"
	"testing"
)

// debian starts a container with a minimal Debian in which systemd is the first process,
// and the built packages in /packages.
func debian(t *testing.T) *container {
	t.Helper()
	must(t, "podman", "import", "--quiet", artifact(t, ".cache/debian.tar"), "localhost/debian:test")
	c := start(t, "--network=none", "--systemd=always", "--privileged",
		"--volume="+artifact(t, "bin/packages")+":/packages:ro", "localhost/debian:test", "/sbin/init")
	eventually(t, "systemd is up", func() (bool, string) {
		r := try(t, "podman", "exec", c.id, "systemctl", "is-system-running")
		return r.stdout == "running\n", r.String()
	})
	return c
}

// try runs a shell line in the container.
func (c *container) try(line string) result {
	c.t.Helper()
	return try(c.t, "podman", "exec", c.id, "sh", "-c", line)
}

// must runs a shell line in the container that has to succeed.
func (c *container) must(line string) string {
	c.t.Helper()
	r := c.try(line)
	if r.code != 0 {
		c.t.Fatalf("%s: %v\n%s", line, r, tail(c.try("journalctl -u windhover -o cat --no-pager").stdout, 4000))
	}
	return r.stdout
}

// journal waits until the journal of the service has a text.
func (c *container) journal(text string) {
	c.t.Helper()
	eventually(c.t, "the journal has "+text, func() (bool, string) {
		got := c.must("journalctl -u windhover -o cat --no-pager")
		return strings.Contains(got, text), tail(got, 4000)
	})
}

func (c *container) mainPID() int {
	c.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(c.must("systemctl show -p MainPID --value windhover")))
	if err != nil {
		c.t.Fatal(err)
	}
	return pid
}

// TestDebianPackage lives through what an administrator does with the package, in order.
func TestDebianPackage(t *testing.T) {
	needs(t)
	c := debian(t)

	c.must("dpkg --install /packages/*_amd64.deb")
	if got := c.try("systemctl is-enabled windhover; systemctl is-active windhover").stdout; got != "disabled\ninactive\n" {
		t.Errorf("after the installation the service is %q, want it disabled and inactive", got)
	}
	if got := c.must("getent passwd windhover | cut -d: -f1,5-7"); got != "windhover:Windhover:/var/lib/windhover:/usr/sbin/nologin\n" {
		t.Errorf("the user of the service is %q", got)
	}
	if got := c.must("dpkg --verify windhover"); strings.Contains(got, "5") {
		t.Errorf("files differ from the package:\n%s", got)
	}
	if got := c.must("windhover version"); !strings.HasPrefix(got, "windhover ") || strings.Contains(got, "unknown") {
		t.Errorf("windhover version = %q", got)
	}
	c.must("windhover config -c /etc/windhover/windhover.yaml > /dev/null")
	c.must("bash -n /usr/share/bash-completion/completions/windhover")

	// The unit, as systemd sees it.
	if r := c.try("systemd-analyze verify --recursive-errors=no --man=no windhover.service"); r.code != 0 || r.stderr != "" {
		t.Errorf("systemd-analyze verify: %v", r)
	}
	if r := c.try("systemd-analyze security --offline=true --threshold=30 windhover.service"); r.code != 0 {
		t.Errorf("exposed more than 3.0: %v", r)
	}

	// Started by hand: start returns when the sources watch.
	c.must("systemctl start windhover")
	if got := c.must("systemctl show -p StatusText --value windhover"); got != "windhover_syscall ok\n" {
		t.Errorf("the status of the service is %q", got)
	}
	if got := c.must("ps -o user= -p $(systemctl show -p MainPID --value windhover) 2>/dev/null || stat -c %U /proc/$(systemctl show -p MainPID --value windhover)/task"); strings.TrimSpace(got) != "windhover" {
		t.Errorf("the service runs as %q", got)
	}
	c.must("cat /etc/shadow > /dev/null")
	c.journal(`"fd.name":"/etc/shadow","proc.cmdline":"cat /etc/shadow"`)

	// A rule of this host is used as soon as it is there, and after a reload.
	c.must(`cat > /etc/windhover/rules/local.yaml <<'END'
- rule: File of this host read
  desc: A file that the test names was opened.
  condition: evt.type in (open, openat, openat2) and fd.name = /opt/named-by-the-test
  output: the file of this host was opened (%proc.cmdline)
  priority: NOTICE
END
touch /opt/named-by-the-test`)
	c.must("systemctl reload windhover")
	c.journal(`"generation": 2`)
	c.must("cat /opt/named-by-the-test")
	c.journal("the file of this host was opened (cat /opt/named-by-the-test)")

	// A daemon that hangs is ended and started again.
	c.must("mkdir -p /run/systemd/system/windhover.service.d && printf '[Service]\\nWatchdogSec=3\\nRestartSec=0\\n' > /run/systemd/system/windhover.service.d/test.conf && systemctl daemon-reload && systemctl restart windhover")
	hung := c.mainPID()
	c.must("kill -STOP " + strconv.Itoa(hung))
	eventually(t, "another process runs", func() (bool, string) {
		state := c.must("systemctl show -p MainPID -p NRestarts -p ActiveState windhover")
		return strings.Contains(state, "NRestarts=1\n") && strings.Contains(state, "ActiveState=active\n"), state
	})

	// An upgrade restarts what runs, and leaves the configuration as it was edited.
	c.must("echo '# edited' >> /etc/windhover/windhover.yaml")
	before := c.mainPID()
	c.must("dpkg --install /packages/*_amd64.deb < /dev/null")
	if after := c.mainPID(); after == before || after == 0 {
		t.Errorf("process of the service before the upgrade: %d; after: %d", before, after)
	}
	if got := c.must("tail -n 1 /etc/windhover/windhover.yaml"); got != "# edited\n" {
		t.Errorf("the upgrade replaced the configuration: it ends in %q", got)
	}

	// A wrong configuration is said, and not tried again and again.
	c.must("cp /etc/windhover/windhover.yaml /root/ && echo 'serverr: {}' >> /etc/windhover/windhover.yaml")
	if r := c.try("systemctl restart windhover"); r.code == 0 {
		t.Error("the service starts with a wrong configuration")
	}
	c.journal(`did you mean "server"?`)
	if got := c.must("systemctl show -p ActiveState -p ExecMainStatus windhover"); got != "ExecMainStatus=2\nActiveState=failed\n" {
		t.Errorf("after a wrong configuration: %q", got)
	}
	c.must("cp /root/windhover.yaml /etc/windhover/ && systemctl restart windhover")

	// Removed: it is stopped, its program is gone, what was edited stays.
	c.must("systemctl enable windhover")
	c.must("dpkg --remove windhover")
	if got := c.must("ls /usr/bin/windhover /usr/lib/systemd/system/windhover.service /etc/systemd/system/multi-user.target.wants/windhover.service /etc/windhover/windhover.yaml 2>/dev/null || true"); got != "/etc/windhover/windhover.yaml\n" {
		t.Errorf("after the removal there is:\n%s", got)
	}
	if got := c.must("systemctl list-units --no-legend --plain 'windhover*'"); strings.Contains(got, "running") {
		t.Errorf("after the removal: %s", got)
	}
	// Purged: nothing is left but the rules that are not the package's.
	c.must("dpkg --purge windhover")
	if got := c.must("find / -xdev -path /proc -prune -o -path /packages -prune -o -path '*windhover*' -print | grep -v -e ^/var/log/journal -e ^/var/lib/dpkg -e ^/root/ -e ^/run/ || true"); got != "/etc/windhover\n/etc/windhover/rules\n/etc/windhover/rules/local.yaml\n" {
		t.Errorf("after the purge there is:\n%s", got)
	}
}
