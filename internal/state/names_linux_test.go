package state

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windhover/windhover/internal/event"
)

func userName(n *event.Names, uid uint32) string {
	u := n.User(uid)
	if u == nil {
		return "<NA>"
	}
	return string(u.Name)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// twoRoots makes a host and a container with process 50 in mount namespace 9.
func twoRoots(t *testing.T) (r *NameReader, host, inside string) {
	t.Helper()
	host, inside = t.TempDir(), t.TempDir()
	proc := procfs(t)
	fakeProcess{pid: 1, name: "init", links: map[string]string{"ns/mnt": "mnt:[8]"}}.write(t, proc)
	fakeProcess{pid: 50, name: "x", links: map[string]string{"ns/mnt": "mnt:[9]", "root": inside}}.write(t, proc)
	write(t, host+"/etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000:,,,:/home/ann:/bin/zsh\n")
	write(t, host+"/etc/group", "root:x:0:\nstaff:x:50:ann,bob\n")
	write(t, inside+"/etc/passwd", "toor:x:0:0::/:/bin/ash\napp:x:1000:1000::/app:/bin/ash\n")
	return NewNameReader(proc, host), host, inside
}

func TestNamesBelongToTheirMountNamespace(t *testing.T) {
	t.Parallel()
	r, _, _ := twoRoots(t)
	r.ReadHost()
	host, container := r.Of(8, 1, 0), r.Of(9, 50, 1)
	if got := userName(container, 1000); got != "<NA>" {
		t.Errorf("before the files are read the container has user %q", got)
	}
	r.refreshAll()
	for _, tt := range []struct {
		name  string
		names *event.Names
		uid   uint32
		want  string
	}{
		{"a user of the host", host, 1000, "ann"},
		{"the same ID in a container", container, 1000, "app"},
		{"0 is root", host, 0, "root"},
		{"0 is root in a container, whatever its files say", container, 0, "root"},
		{"nobody", host, 4711, "<NA>"},
		{"0 is root where nothing is known", nil, 0, "root"},
	} {
		if got := userName(tt.names, tt.uid); got != tt.want {
			t.Errorf("%s: user %d = %q, want %q", tt.name, tt.uid, got, tt.want)
		}
	}
	if u := host.User(1000); string(u.Home) != "/home/ann" || string(u.Shell) != "/bin/zsh" {
		t.Errorf("home %q, shell %q", u.Home, u.Shell)
	}
	if g := host.Group(50); g == nil || string(g.Name) != "staff" {
		t.Errorf("group 50 = %v, want staff", g)
	}
}

func TestNamesAreReadThroughAnyProcessThatLives(t *testing.T) {
	t.Parallel()
	r, _, _ := twoRoots(t)
	names := r.Of(9, 51, 50) // 51 is gone, its parent lives
	for pid := int32(60); pid < 70; pid++ {
		r.Of(9, pid, 50)
	}
	r.refreshAll()
	if got := userName(names, 1000); got != "app" {
		t.Errorf("user 1000 = %q, want app", got)
	}
	if n := len(r.asked); n > 5 {
		t.Errorf("asked %d times at once for one namespace", n)
	}
}

func TestNamesFollowTheFile(t *testing.T) {
	t.Parallel()
	r, host, _ := twoRoots(t)
	r.ReadHost()
	names := r.Of(8, 1, 0)
	write(t, host+"/etc/passwd", "eve:x:1000:1000::/:/bin/sh\n")
	if err := os.Chtimes(host+"/etc/passwd", time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	r.refreshAll()
	if got := userName(names, 1000); got != "eve" {
		t.Errorf("user 1000 = %q, want eve", got)
	}
	if g := names.Group(50); g == nil || string(g.Name) != "staff" {
		t.Errorf("the group file did not change, and group 50 = %v", g)
	}
}

func TestNamesOfAHostileContainer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		make func(t *testing.T, passwd string)
	}{
		{"a link out of the container", func(t *testing.T, passwd string) {
			outside := filepath.Join(t.TempDir(), "passwd")
			write(t, outside, "stolen:x:1000:1000::/:/bin/sh\n")
			if err := os.Symlink(outside, passwd); err != nil {
				t.Fatal(err)
			}
		}},
		{"a named pipe", func(t *testing.T, passwd string) {
			if err := syscall.Mkfifo(passwd, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
		{"a directory", func(t *testing.T, passwd string) {
			if err := os.Mkdir(passwd, 0o755); err != nil {
				t.Fatal(err)
			}
		}},
		{"a file without an end", func(t *testing.T, passwd string) {
			write(t, passwd, strings.Repeat("x", maxNameFile)+"\nlate:x:1000:1000::/:/bin/sh\n")
		}},
		{"lines that are no entries", func(t *testing.T, passwd string) {
			write(t, passwd, "\n:::\na:b:c\n+nis:x:1000:1::/:/\n-nis:x:1000:1::/:/\nx:x:-1:0::/:/\nx:x:99999999999:0::/:/\n:x:1000:1::/:/\n")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, _, inside := twoRoots(t)
			if err := os.Remove(inside + "/etc/passwd"); err != nil {
				t.Fatal(err)
			}
			tt.make(t, inside+"/etc/passwd")
			names := r.Of(9, 50, 1)
			r.refreshAll()
			if got := userName(names, 1000); got != "<NA>" {
				t.Errorf("user 1000 = %q, want none", got)
			}
		})
	}
}

func TestNameSetsAreBounded(t *testing.T) {
	t.Parallel()
	r, _, _ := twoRoots(t)
	for ns := range uint32(2 * maxNameSets) {
		r.Of(100+ns, 50, 1)
	}
	if n := len(r.sets); n > maxNameSets {
		t.Errorf("%d sets of names, want at most %d", n, maxNameSets)
	}
	for range 4 { // the process is in none of them
		r.refreshAll()
	}
	if n := len(r.sets); n != 0 {
		t.Errorf("%d sets of namespaces that are gone", n)
	}
}
