package rules

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/event"
)

// machine is a process with two ancestors, as events of a busy host have it.
func machine(name, exe, cmdline string) *event.Process {
	image := func(name, exe, cmdline string) *event.Image {
		return &event.Image{
			Name: []byte(name), Exe: []byte(exe), ExePath: []byte(exe), Cmdline: []byte(cmdline), CWD: []byte("/root/"),
			Args: [][]byte{[]byte("-c"), []byte("x")}, ArgLine: []byte("-c x"), PPID: 100, SID: 100,
		}
	}
	shell := &event.Process{PID: 100, Start: 1}
	shell.SetImage(image("bash", "/usr/bin/bash", "bash -l"))
	daemon := &event.Process{PID: 1}
	daemon.SetImage(image("systemd", "/usr/lib/systemd/systemd", "/sbin/init"))
	shell.SetParent(daemon)
	p := &event.Process{PID: 4242, Start: 2}
	p.SetImage(image(name, exe, cmdline))
	p.SetParent(shell)
	return p
}

var syscallSource = &event.Source{Name: "windhover_syscall", Type: "syscall"}

// mix is what a build host does: mostly opening files, now and then a program, a
// connection, a removed file.
func mix() []*event.Event {
	cc := machine("cc1", "/usr/lib/gcc/cc1", "cc1 -O2 x.c")
	sh := machine("sh", "/bin/sh", "sh -c make")
	curl := machine("curl", "/usr/bin/curl", "curl https://example.org")
	open := func(p *event.Process, typ event.Type, path string, flags uint64) *event.Event {
		ev := &event.Event{
			Type: typ, Source: syscallSource, Time: 1, Num: 7, TID: p.PID, Ret: 5, Proc: p, Has: event.HasFile,
			File: event.File{Path: []byte(path), Ino: 42, Mode: 0o100644},
		}
		at, name := 1, 2
		if typ == event.Open {
			at, name = 0, 1
		}
		ev.Args[name], ev.Str[at] = flags, []byte(path)
		return ev
	}
	var evs []*event.Event
	for i, path := range []string{
		"/usr/include/stdio.h", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/home/u/src/x.c", "/tmp/ccXYZ.s", "/etc/ld.so.cache",
		"/proc/self/maps", "/usr/include/sys/types.h", "/home/u/src/a.h", "/home/u/src/b.h", "/dev/null",
	} {
		evs = append(evs, open(cc, event.OpenAt, path, uint64(i%2*0o101)))
	}
	evs = append(evs,
		open(sh, event.Open, "/etc/passwd", 0),
		&event.Event{Type: event.Execve, Source: syscallSource, Time: 2, Proc: sh, Str: [6][]byte{[]byte("/bin/sh")}},
		&event.Event{Type: event.Clone, Source: syscallSource, Time: 3, Ret: 4243, Proc: sh},
		&event.Event{Type: event.ProcExit, Source: syscallSource, Time: 4, Proc: cc},
		&event.Event{Type: event.Unlink, Source: syscallSource, Time: 5, Proc: sh, Str: [6][]byte{[]byte("/tmp/ccXYZ.s")}},
		&event.Event{
			Type: event.Connect, Source: syscallSource, Time: 6, Proc: curl, Has: event.HasSock,
			Sock: event.Socket{Family: 2, Type: 1, Proto: 6, Role: event.RoleClient, LocalIP: [16]byte{10, 0, 0, 1}, RemoteIP: [16]byte{93, 184, 216, 34}, LocalPort: 50000, RemotePort: 443},
		},
	)
	return evs
}

func mustCompile(tb testing.TB, files ...File) *Set {
	tb.Helper()
	set, r := Compile(files, Options{})
	if set == nil {
		tb.Fatalf("Compile: %v", r.Err())
	}
	return set
}

func ruleText(name, condition string) string {
	return fmt.Sprintf("- rule: %s\n  desc: d\n  condition: %q\n  output: .\n  priority: INFO\n", name, condition)
}

// manyRules are n rules as a large organisation has them: by program, by path, by
// command line, by ancestor, by user, each with exceptions.
func manyRules(n int) File {
	var b strings.Builder
	b.WriteString(`
- macro: open_write
  condition: (evt.type in (open, openat, openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0)
- macro: open_read
  condition: (evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.typechar='f' and fd.num>=0)
- macro: spawned_process
  condition: (evt.type in (execve, execveat))
- macro: outbound
  condition: (evt.type = connect and fd.typechar = 4 and fd.l4proto = tcp)
- list: shells
  items: [ash, bash, csh, ksh, sh, tcsh, zsh, dash]
`)
	for i := range n {
		var c string
		switch i % 10 {
		case 0, 1:
			c = fmt.Sprintf("open_write and fd.name startswith /srv/app%d/ and not proc.name in (shells, app%d)", i, i)
		case 2, 3:
			c = fmt.Sprintf("open_read and fd.name in (/etc/secret%d, /root/key%d) and not proc.name = daemon%d", i, i, i)
		case 4, 5, 6:
			c = fmt.Sprintf("spawned_process and proc.name = tool%d and proc.cmdline contains \"--flag%d\"", i, i)
		case 7:
			c = fmt.Sprintf("spawned_process and proc.pname in (server%d, shells) and proc.exepath endswith /bin/x%d", i, i)
		case 8:
			c = fmt.Sprintf("outbound and fd.snet = 10.%d.0.0/16 and proc.name in (shells)", i%250)
		case 9:
			c = fmt.Sprintf("open_read and proc.aname = agent%d and fd.name glob \"/var/lib/%d/*.db\"", i, i)
		}
		b.WriteString(ruleText(fmt.Sprintf("Rule %d", i), c))
	}
	return File{Name: "many.yaml", Data: []byte(b.String())}
}

func falcoRules(tb testing.TB) File {
	tb.Helper()
	path := shared(tb, "peer-rules/falco_rules.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return File{Name: "falco_rules.yaml", Data: data}
}

func benchmark(b *testing.B, set *Set, evs []*event.Event) {
	b.Helper()
	var dst []*Rule
	for _, ev := range evs { // scratch memory grows once
		dst = set.AppendMatches(dst[:0], ev)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		dst = set.AppendMatches(dst[:0], evs[i])
		if i++; i == len(evs) {
			i = 0
		}
	}
}

func BenchmarkAppendMatches(b *testing.B) {
	list := func(n int) string {
		items := make([]string, n)
		for i := range items {
			items[i] = fmt.Sprintf("/srv/data/%d", i)
		}
		return "- list: l\n  items: [" + strings.Join(items, ", ") + "]\n"
	}
	evs := mix()
	opens := evs[:10]
	one := func(text string) *Set { return mustCompile(b, File{Name: "r.yaml", Data: []byte(text)}) }
	for _, bb := range []struct {
		name string
		set  func() *Set
		evs  []*event.Event
	}{
		{"library-mix", func() *Set { return mustCompile(b, Library()...) }, evs},
		{"falco_rules-mix", func() *Set { return mustCompile(b, falcoRules(b)) }, evs},
		{"1000-rules-mix", func() *Set { return mustCompile(b, manyRules(1000)) }, evs},
		{"no-rule-matches", func() *Set { return one(ruleText("r", "evt.type in (open, openat) and fd.name = /nowhere")) }, opens},
		{"one-rule-matches", func() *Set { return one(ruleText("r", "evt.type in (open, openat) and fd.name startswith /")) }, opens},
		{"10000-item-list", func() *Set { return one(list(10000) + ruleText("r", "evt.type = openat and fd.name in (l)")) }, opens},
		{"hot-regex", func() *Set {
			return one(ruleText("r", `evt.type = openat and fd.name regex "/home/[^/]+/src/[a-z]*[0-9]+.*"`))
		}, opens},
	} {
		b.Run(bb.name, func(b *testing.B) { benchmark(b, bb.set(), bb.evs) })
	}
}

func BenchmarkCompile(b *testing.B) {
	items := make([]string, 10000)
	for i := range items {
		items[i] = fmt.Sprintf("item-%d", i)
	}
	lists := ""
	for i := range 10 {
		lists += fmt.Sprintf("- list: big%d\n  items: [%s]\n", i, strings.Join(items, ", "))
	}
	rules := ""
	for i := range 1000 {
		rules += ruleText(fmt.Sprintf("Big %d", i), fmt.Sprintf("evt.type in (open, openat) and proc.name = n%d and fd.name in (big%d) and not proc.cmdline in (big%d, x)", i, i%10, (i+1)%10))
	}
	for _, bb := range []struct {
		name string
		file func() File
	}{
		{"falco_rules", func() File { return falcoRules(b) }},
		{"1000-rules", func() File { return manyRules(1000) }},
		{"1000-rules-with-10000-item-lists", func() File { return File{Name: "big.yaml", Data: []byte(lists + rules)} }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			f := bb.file()
			b.ReportAllocs()
			for b.Loop() {
				mustCompile(b, f)
			}
		})
	}
}

func TestAppendMatchesDoesNotAllocate(t *testing.T) {
	evs := mix()
	for name, set := range map[string]*Set{
		"library": mustCompile(t, Library()...),
		"many":    mustCompile(t, manyRules(200)),
	} {
		dst := make([]*Rule, 0, 64)
		for _, ev := range evs {
			dst = set.AppendMatches(dst[:0], ev)
		}
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			dst = set.AppendMatches(dst[:0], evs[i%len(evs)])
			i++
		}); n != 0 {
			t.Errorf("AppendMatches with %s: %v allocations per event, want 0", name, n)
		}
	}
}
