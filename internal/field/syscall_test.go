package field

import (
	"encoding/csv"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
)

// The events of these tests happen on one host: systemd starts sshd, sshd a login
// shell, the shell a program.

var testSource = &event.Source{Name: "live", Type: Syscall, Host: "lab", Start: 1_700_000_000_000_000_000}

const (
	testTime  = 1_700_000_065_000_000_007
	cloneTime = 1_700_000_060_000_000_007
)

func bytesOf(s ...string) [][]byte {
	list := make([][]byte, len(s))
	for i := range s {
		list[i] = []byte(s[i])
	}
	return list
}

func testNames() *event.Names {
	n := &event.Names{}
	n.Set([]event.User{
		{ID: 0, Name: []byte("root"), Home: []byte("/root"), Shell: []byte("/bin/bash")},
		{ID: 1000, Name: []byte("alice"), Home: []byte("/home/alice"), Shell: []byte("/bin/zsh")},
	}, []event.Group{{ID: 1000, Name: []byte("staff")}})
	return n
}

// testImage returns the image of a program that is called name and has these arguments.
func testImage(name, path string, args ...string) *event.Image {
	line := strings.Join(args, " ")
	i := &event.Image{
		Name: []byte(name), Exe: []byte(name), ExePath: []byte(path), Args: bytesOf(args...),
		ArgLine: []byte(line), Cmdline: []byte(strings.TrimSpace(name + " " + line)), Env: [][]byte{}, CWD: []byte("/"),
		LoginUID: -1, CloneTime: cloneTime, Names: testNames(), Cgroup: []byte("/system.slice"), ContainerID: []byte{},
	}
	return i
}

// testProcess returns the process that runs cat, with its ancestors.
func testProcess() *event.Process {
	systemd := &event.Process{PID: 1}
	init := testImage("systemd", "/usr/lib/systemd/systemd")
	init.SID, init.PGID, init.VPID, init.VSID, init.VPGID, init.VTID = 1, 1, 1, 1, 1, 1
	systemd.SetImage(init)

	sshd := &event.Process{PID: 100}
	sshd.SetParent(systemd)
	daemon := testImage("sshd", "/usr/sbin/sshd", "-D")
	daemon.PPID, daemon.SID, daemon.PGID, daemon.VPID, daemon.VSID, daemon.VPGID = 1, 100, 100, 100, 100, 100
	daemon.Env = bytesOf("LANG=C", "ONLY_SSHD=yes")
	sshd.SetImage(daemon)

	bash := &event.Process{PID: 200}
	bash.SetParent(sshd)
	shell := testImage("bash", "/usr/bin/bash", "--login")
	shell.PPID, shell.SID, shell.PGID, shell.VPID, shell.VSID, shell.VPGID = 100, 200, 200, 200, 200, 200
	bash.SetImage(shell)

	cat := &event.Process{PID: 300}
	cat.SetParent(bash)
	i := testImage("cat", "/usr/bin/cat", "-n", "/etc/shadow")
	i.Exe = []byte("/bin/cat")
	i.Env = bytesOf("HOME=/home/alice", "EMPTY=", "HOMER=x")
	i.PPID, i.SID, i.PGID, i.VPID, i.VSID, i.VPGID, i.VTID = 200, 200, 300, 300, 200, 300, 300
	i.CWD = []byte("/home/alice/")
	i.LoginUID, i.TTY = 1000, 34816
	i.CapEffective, i.CapPermitted = 1<<0|1<<21, 1<<40
	i.ExeIno, i.ExeDev, i.ExeCtime, i.ExeMtime = 1351, 254<<20, cloneTime-5e9, cloneTime-9e9
	i.PIDNSInit = cloneTime - 7e9
	i.ExeFlags, i.ExeWritable = event.FileUpper, true
	cat.SetImage(i)
	return cat
}

// call returns a system call of cat.
func call(t event.Type, ret int64, change ...func(*event.Event)) *event.Event {
	ev := &event.Event{
		Type: t, Source: testSource, Time: testTime, Num: 42, TID: 300, CPU: 1, Ret: ret, UID: 1000, GID: 1000, Proc: testProcess(),
	}
	for _, c := range change {
		c(ev)
	}
	return ev
}

func args(a ...uint64) func(*event.Event) {
	return func(ev *event.Event) { copy(ev.Args[:], a) }
}

func str(i int, s string) func(*event.Event) {
	return func(ev *event.Event) { ev.Str[i] = []byte(s) }
}

func below(dirs ...string) func(*event.Event) {
	return func(ev *event.Event) {
		ev.Base = []byte(dirs[0])
		if len(dirs) > 1 {
			ev.Base2 = []byte(dirs[1])
		}
	}
}

func onFile(path string, flags event.FileFlags) func(*event.Event) {
	return func(ev *event.Event) {
		ev.Has |= event.HasFile
		ev.File = event.File{Path: []byte(path), Dev: 254<<20 | 0x123, Ino: 8603, Mode: 0o100644, Flags: flags}
	}
}

func onMode(mode uint32) func(*event.Event) {
	return func(ev *event.Event) { ev.File.Mode = mode }
}

func onTCP(role event.Role, local, remote string) func(*event.Event) {
	return func(ev *event.Event) {
		ev.Has |= event.HasSock
		l, r := netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
		ev.Sock = event.Socket{Family: familyInet, Type: socketStream, Proto: protoTCP, Role: role, LocalPort: l.Port(), RemotePort: r.Port(), State: tcpEstablished, Ino: 77}
		if l.Addr().Is6() {
			ev.Sock.Family = familyInet6
		}
		copy(ev.Sock.LocalIP[:], l.Addr().AsSlice())
		copy(ev.Sock.RemoteIP[:], r.Addr().AsSlice())
	}
}

func onSocket(change func(*event.Socket)) func(*event.Event) {
	return func(ev *event.Event) {
		ev.Has |= event.HasSock
		change(&ev.Sock)
	}
}

const cwd = 0xffffffffffffff9c // AT_FDCWD

func openShadow() *event.Event {
	return call(event.OpenAt, 3, args(cwd, 0, 0o2000000), str(1, "../../etc/shadow"), below("/home/alice"), onFile("/etc/shadow", 0))
}

func createFile() *event.Event {
	return call(event.OpenAt, 4, args(5, 0, 0o101, 0o755), str(1, "new"), below("/srv"), onFile("/srv/new", event.FileCreated|event.FileUpper))
}

func failedOpen() *event.Event {
	return call(event.OpenAt, -2, args(cwd, 0, 2), str(1, "none"), below("/tmp/"))
}

func connectV4() *event.Event {
	return call(event.Connect, 0, args(3), onTCP(event.RoleClient, "10.0.0.5:40000", "192.0.2.1:443"))
}

func acceptV6() *event.Event {
	return call(event.Accept4, 7, args(3, 0, 0, 0x80000), onTCP(event.RoleServer, "[2001:db8::1]:22", "[2001:db8::2]:50000"))
}

func bindV4() *event.Event {
	return call(event.Bind, 0, args(3), onTCP(event.RoleServer, "0.0.0.0:8080", "0.0.0.0:0"))
}

func connectUnix() *event.Event {
	return call(event.Connect, 0, args(3), onSocket(func(s *event.Socket) {
		s.Family, s.Type, s.RemotePath = familyUnix, socketStream, []byte("/run/docker.sock")
	}))
}

func exit(status int64) *event.Event { return call(event.ProcExit, status) }

// missing is what valueOf says of a field without a value.
const missing = "(missing)"

func valueOf(tb testing.TB, name string, ev *event.Event) string {
	tb.Helper()
	f, err := Lookup(name, Syscall)
	if err != nil {
		tb.Fatalf("Lookup(%q): %v", name, err)
	}
	b, ok := AppendValueText(nil, f, ev)
	if !ok {
		return missing
	}
	return string(b)
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		ev    *event.Event
		field string
		want  string
	}{
		{"an event has a number", openShadow(), "evt.num", "42"},
		{"the time in UTC", openShadow(), "evt.time.iso8601", "2023-11-14T22:14:25.000000007+0000"},
		{"the raw time", openShadow(), "evt.rawtime", "1700000065000000007"},
		{"the seconds of the raw time", openShadow(), "evt.rawtime.s", "1700000065"},
		{"the nanoseconds of the raw time have nine digits", openShadow(), "evt.rawtime.ns", "000000007"},
		{"time counts from the start of the source", openShadow(), "evt.reltime", "65000000007"},
		{"seconds count from the start of the source", openShadow(), "evt.reltime.s", "65"},
		{"the source has a type", openShadow(), "evt.source", "syscall"},
		{"the source has a host", openShadow(), "evt.hostname", "lab"},
		{"no event is asynchronous", openShadow(), "evt.is_async", "false"},
		{"an event has a type", openShadow(), "evt.type", "openat"},
		{"a system call has a type", openShadow(), "syscall.type", "openat"},
		{"an exit is no system call", exit(0), "syscall.type", missing},
		{"an event is of its type", openShadow(), "evt.type.is.openat", "1"},
		{"an event is not of another type", openShadow(), "evt.type.is[open]", "0"},
		{"every event is an exit event", openShadow(), "evt.dir", "<"},
		{"an event has a category", openShadow(), "evt.category", "file"},
		{"an event has a CPU", openShadow(), "evt.cpu", "1"},
		{"a call that worked is a success", openShadow(), "evt.res", "SUCCESS"},
		{"a call that failed names the error", failedOpen(), "evt.res", "ENOENT"},
		{"an error without a name is a number", call(event.Kill, -4000), "evt.res", "-4000"},
		{"an exit has no result", exit(0), "evt.res", missing},
		{"the result is a number", failedOpen(), "evt.rawres", "-2"},
		{"an exit has no raw result", exit(256), "evt.rawres", missing},
		{"a call that failed has failed", failedOpen(), "evt.failed", "true"},
		{"a call that worked has not failed", openShadow(), "evt.failed", "false"},
		{"a failed open is an error on files", failedOpen(), "evt.count.error.file", "1"},
		{"a failed open is no error on sockets", failedOpen(), "evt.count.error.net", missing},
		{"a connect that worked is no error on sockets", connectV4(), "evt.count.error.net", "0"},
		{"reading opens for reading", openShadow(), "evt.is_open_read", "true"},
		{"reading does not open for writing", openShadow(), "evt.is_open_write", "false"},
		{"reading and writing does both", failedOpen(), "evt.is_open_write", "true"},
		{"a connect opens nothing", connectV4(), "evt.is_open_read", "false"},
		{"a new file with an execute bit may be executed", createFile(), "evt.is_open_exec", "true"},
		{"an old file is not made executable", openShadow(), "evt.is_open_exec", "false"},
		{"a call that made the file created it", createFile(), "evt.is_open_create", "true"},
		{"a call that found the file did not", openShadow(), "evt.is_open_create", "false"},
		{"read(2) reads", call(mustType("read"), 17), "evt.is_io_read", "true"},
		{"read(2) has a direction", call(mustType("read"), 17), "evt.io_dir", "read"},
		{"sendto(2) writes", call(mustType("sendto"), 17), "evt.io_dir", "write"},
		{"openat(2) has no direction", openShadow(), "evt.io_dir", missing},
		{"read(2) moved as much as it returned", call(mustType("read"), 17), "evt.buflen", "17"},
		{"poll(2) waits", call(mustType("poll"), 0), "evt.is_wait", "true"},
		{"the absolute path is joined from the arguments", openShadow(), "evt.abspath", "/etc/shadow"},

		{"a descriptor as an argument shows what it refers to", openShadow(), "evt.arg.fd", "<f>/etc/shadow"},
		{"a descriptor that was not made shows the error", failedOpen(), "evt.arg.fd", "ENOENT"},
		{"arguments have numbers", openShadow(), "evt.arg[0]", "<f>/etc/shadow"},
		{"arguments past the last are missing", openShadow(), "evt.arg[99]", missing},
		{"the working directory as a descriptor has a name", openShadow(), "evt.arg.dirfd", "AT_FDCWD"},
		{"a directory as a descriptor shows its path", createFile(), "evt.arg.dirfd", "<d>/srv"},
		{"a path as an argument is absolute", openShadow(), "evt.arg.name", "/etc/shadow"},
		{"a raw path is as it was passed", openShadow(), "evt.rawarg.name", "../../etc/shadow"},
		{"flags show their names", openShadow(), "evt.arg.flags", "O_RDONLY|O_CLOEXEC"},
		{"flags tell what came of the call", createFile(), "evt.arg.flags", "O_CREAT|O_WRONLY|O_F_CREATED|FD_UPPER_LAYER"},
		{"raw flags are hexadecimal", createFile(), "evt.rawarg.flags", "C006"},
		{"a mode is octal", createFile(), "evt.arg.mode", "0755"},
		{"the mode of a call that creates nothing is zero", call(event.OpenAt, 3, args(cwd, 0, 0, 0o777)), "evt.arg.mode", "0"},
		{"a device is hexadecimal", createFile(), "evt.arg.dev", "10FE23"},
		{"an inode is decimal", createFile(), "evt.arg.ino", "8603"},
		{"a parameter of other events is missing", openShadow(), "evt.arg.uid", missing},
		{"a parameter that no event of ours has is missing", openShadow(), "evt.arg.fdlimit", missing},
		{"permissions show their names", call(event.Chmod, 0, args(0, 0o600), str(0, "/f")), "evt.arg.mode", "S_IWUSR|S_IRUSR"},
		{"an error as an argument has its name", call(event.Unlink, -13, str(0, "/f")), "evt.arg.res", "EACCES"},
		{"zero as an error is zero", call(event.Unlink, 0, str(0, "/f")), "evt.arg.res", "0"},
		{"a raw error is a number", call(event.Unlink, -13, str(0, "/f")), "evt.rawarg.res", "-13"},
		{"a user as an argument has a name", call(event.SetUID, 0, args(0)), "evt.arg.uid", "root"},
		{"a user without a name is a number", call(event.SetUID, 0, args(4711)), "evt.arg.uid", "4711"},
		{"no user is -1", call(event.Fchown, 0, args(3, 0xffffffff, 0)), "evt.arg.uid", "-1"},
		{"a group as an argument has a name", call(event.SetGID, 0, args(1000)), "evt.arg.gid", "staff"},
		{"a signal has a name", call(event.Kill, 0, args(7, 9)), "evt.arg.sig", "SIGKILL"},
		{"a signal without a name is a number", call(event.Kill, 0, args(7, 37)), "evt.arg.sig", "37"},
		{"a process group as the target of a signal is negative", call(event.Kill, 0, args(0xffffffff, 9)), "evt.arg.pid", "-1"},
		{"the own process has a name", call(event.Kill, 0, args(300, 9)), "evt.arg.pid", "cat"},
		{"a request of ptrace has a name", call(event.Ptrace, 0, args(16, 5, 0xabc)), "evt.arg.request", "PTRACE_ATTACH"},
		{"an argument that is a text is no number", call(event.Prctl, 0, args(15, 0x7fff), str(1, "x")), "evt.arg.arg2_int", "0"},
		{"an argument that is a number is one", call(event.Prctl, 0, args(23, 40)), "evt.arg.arg2_int", "40"},
		{"an address is hexadecimal", call(event.Ptrace, 0, args(16, 5, 0xabc)), "evt.arg.addr", "ABC"},
		{"the exit status has parts", exit(2 << 8), "evt.arg.ret", "2"},
		{"the exit status has a signal", exit(15), "evt.arg.sig", "SIGTERM"},
		{"a killed process has no exit code", exit(15), "evt.arg.ret", "0"},
		{"a core was dumped", exit(128 | 11), "evt.arg.core", "1"},
		{"the arguments of an exec are a buffer", call(event.Execve, 0), "evt.arg.args", "-n./etc/shadow."},
		{"the executable of an exec is resolved", call(event.Execve, 0), "evt.arg.trusted_exepath", "/usr/bin/cat"},
		{"what is executed has flags", call(event.Execve, 0), "evt.arg.flags", "EXE_WRITABLE|EXE_UPPER_LAYER"},
		{"the parent of an exec has a name", call(event.Execve, 0), "evt.arg.ptid", "bash"},
		{"the tuple of a connection", connectV4(), "evt.arg.tuple", "10.0.0.5:40000->192.0.2.1:443"},
		{"the address of a connect", connectV4(), "evt.arg.addr", "192.0.2.1:443"},
		{"the address of a bind", bindV4(), "evt.arg.addr", "0.0.0.0:8080"},
		{"a connection as a descriptor", connectV4(), "evt.arg.fd", "<4t>10.0.0.5:40000->192.0.2.1:443"},
		{"all arguments", openShadow(), "evt.args", "fd=3(<f>/etc/shadow) dirfd=-100(AT_FDCWD) name=../../etc/shadow(/etc/shadow) flags=4097(O_RDONLY|O_CLOEXEC) mode=0 dev=10FE23 ino=8603"},
		{"all arguments of a failure", failedOpen(), "evt.info", "fd=-2(ENOENT) dirfd=-100(AT_FDCWD) name=none(/tmp/none) flags=3(O_RDWR) mode=0 dev=0 ino=0"},
		{"all arguments of a connect", connectV4(), "evt.args", "res=0 tuple=10.0.0.5:40000->192.0.2.1:443 fd=3(<4t>10.0.0.5:40000->192.0.2.1:443) addr=192.0.2.1:443"},
		{"all arguments of a failed connect", call(event.Connect, -2, args(3), onSocket(func(s *event.Socket) { s.Family, s.RemotePath = familyUnix, []byte("/run/x") })), "evt.args", "res=-2(ENOENT) tuple=/run/x fd=3(<u>/run/x) addr=/run/x"},
		{"all arguments of a directory", createFile(), "evt.args", "fd=4(<f>/srv/new) dirfd=5(<d>/srv) name=new(/srv/new) flags=49158(O_CREAT|O_WRONLY|O_F_CREATED|FD_UPPER_LAYER) mode=0755 dev=10FE23 ino=8603"},
		{"arguments that are not known", call(event.Mount, -1, args(0, 0, 0, 0x1001), str(1, "/mnt")), "evt.args", "res=-1(EPERM) dev=<NA> dir=/mnt type=<NA> flags=4097(RDONLY|BIND)"},

		{"the name of a process", openShadow(), "proc.name", "cat"},
		{"the name of the parent", openShadow(), "proc.pname", "bash"},
		{"ancestor zero is the process", openShadow(), "proc.aname[0]", "cat"},
		{"ancestor two is the grandparent", openShadow(), "proc.aname[2]", "sshd"},
		{"an ancestor past the first is missing", openShadow(), "proc.aname[4]", missing},
		{"a huge ancestor is missing", openShadow(), "proc.aname[2147483647]", missing},
		{"all ancestors", openShadow(), "proc.aname", "bash sshd systemd"},
		{"the first argument", openShadow(), "proc.exe", "/bin/cat"},
		{"the first argument of the parent", openShadow(), "proc.pexe", "bash"},
		{"the executable", openShadow(), "proc.exepath", "/usr/bin/cat"},
		{"the executable of an ancestor", openShadow(), "proc.aexepath[2]", "/usr/sbin/sshd"},
		{"the arguments", openShadow(), "proc.args", "-n /etc/shadow"},
		{"one argument", openShadow(), "proc.args[1]", "/etc/shadow"},
		{"an argument past the last is empty", openShadow(), "proc.args[9]", ""},
		{"the arguments of an ancestor", openShadow(), "proc.aargs[2]", "-D"},
		{"the arguments of all ancestors", openShadow(), "proc.aargs", "--login -D "},
		{"the command line", openShadow(), "proc.cmdline", "cat -n /etc/shadow"},
		{"the command line of an ancestor", openShadow(), "proc.acmdline[1]", "bash --login"},
		{"the whole command line", openShadow(), "proc.exeline", "/bin/cat -n /etc/shadow"},
		{"the number of arguments", openShadow(), "proc.cmdnargs", "2"},
		{"the length of the arguments", openShadow(), "proc.cmdlenargs", "13"},
		{"the environment", openShadow(), "proc.env", "HOME=/home/alice EMPTY= HOMER=x"},
		{"a variable", openShadow(), "proc.env[HOME]", "/home/alice"},
		{"a variable that is not set is empty", openShadow(), "proc.env[NOPE]", ""},
		{"a variable of an ancestor", openShadow(), "proc.aenv[ONLY_SSHD]", "yes"},
		{"the environment of an ancestor", openShadow(), "proc.aenv[2]", "LANG=C ONLY_SSHD=yes"},
		{"the working directory", openShadow(), "proc.cwd", "/home/alice/"},
		{"the login shell", openShadow(), "proc.loginshellid", "200"},
		{"the terminal", openShadow(), "proc.tty", "34816"},
		{"the process ID", openShadow(), "proc.pid", "300"},
		{"the parent's process ID", openShadow(), "proc.ppid", "200"},
		{"an ancestor's process ID", openShadow(), "proc.apid[2]", "100"},
		{"the process IDs of all ancestors", openShadow(), "proc.apid", "200 100 1"},
		{"the session", openShadow(), "proc.sid", "200"},
		{"the session leader", openShadow(), "proc.sname", "bash"},
		{"the path of the session leader", openShadow(), "proc.sid.exepath", "/usr/bin/bash"},
		{"the process group leader", openShadow(), "proc.pgid.name", "cat"},
		{"the process group leader in the namespace", openShadow(), "proc.vpgid.exe", "/bin/cat"},
		{"leads no session", openShadow(), "proc.is_sid_leader", "false"},
		{"leads its process group", openShadow(), "proc.is_pgid_leader", "true"},
		{"leads its process group in the namespace", openShadow(), "proc.is_vpgid_leader", "true"},
		{"the age of the process", openShadow(), "proc.duration", "5000000000"},
		{"the start of the process", openShadow(), "proc.pid.ts", "1700000060000000007"},
		{"the executable is writable", openShadow(), "proc.is_exe_writable", "true"},
		{"the executable is not part of the image", openShadow(), "proc.is_exe_upper_layer", "true"},
		{"the executable is not in memory", openShadow(), "proc.is_exe_from_memfd", "false"},
		{"the inode of the executable", openShadow(), "proc.exe_ino", "1351"},
		{"the change of the executable", openShadow(), "proc.exe_ino.ctime", "1700000055000000007"},
		{"from the change of the executable to the start", openShadow(), "proc.exe_ino.ctime_duration_proc_start", "5000000000"},
		{"from the start of the namespace to the change of the executable", openShadow(), "proc.exe_ino.ctime_duration_pidns_start", "2000000000"},
		{"capabilities have names", openShadow(), "thread.cap_effective", "CAP_CHOWN CAP_SYS_ADMIN"},
		{"the last capability has a name", openShadow(), "thread.cap_permitted", "CAP_CHECKPOINT_RESTORE"},
		{"no capabilities are an empty text", openShadow(), "thread.cap_inheritable", ""},
		{"the thread", openShadow(), "thread.tid", "300"},
		{"the first thread", openShadow(), "thread.ismain", "true"},
		{"the control group of a controller", openShadow(), "thread.cgroup.memory", "/system.slice"},
		{"no controller of that name", openShadow(), "thread.cgroup.nope", missing},
		{"a process that is not known has no name", call(event.OpenAt, 3, noProcess), "proc.name", missing},
		{"a process that was not announced has no name", call(event.OpenAt, 3, unannounced), "proc.name", missing},
		{"a process that was not announced has an ID", call(event.OpenAt, 3, unannounced), "proc.pid", "9"},

		{"the user", openShadow(), "user.uid", "1000"},
		{"the user's name", openShadow(), "user.name", "alice"},
		{"the user's home", openShadow(), "user.homedir", "/home/alice"},
		{"the user's shell", openShadow(), "user.shell", "/bin/zsh"},
		{"a user that is not known", call(event.OpenAt, 3, func(ev *event.Event) { ev.UID = 4711 }), "user.name", "<NA>"},
		{"root has a name even so", call(event.OpenAt, 3, noProcess, func(ev *event.Event) { ev.UID = 0 }), "user.name", "root"},
		{"who logged in", openShadow(), "user.loginname", "alice"},
		{"the number of who logged in", openShadow(), "user.loginuid", "1000"},
		{"the group's name", openShadow(), "group.name", "staff"},
		{"a group that is not known", call(event.OpenAt, 3, func(ev *event.Event) { ev.GID = 4711 }), "group.name", "<NA>"},

		{"no container is the host", openShadow(), "container.id", "host"},
		{"the host has a name", openShadow(), "container.name", "host"},
		{"a container has an ID", call(event.OpenAt, 3, inContainer), "container.id", "0123456789ab"},
		{"a container has no name", call(event.OpenAt, 3, inContainer), "container.name", missing},

		{"the number of a new descriptor", openShadow(), "fd.num", "3"},
		{"no new descriptor is -1", failedOpen(), "fd.num", "-1"},
		{"the number of a descriptor that was passed", connectV4(), "fd.num", "3"},
		{"a call without a descriptor has none", call(event.Unlink, 0), "fd.num", missing},
		{"a file is a file", openShadow(), "fd.type", "file"},
		{"a file is an f", openShadow(), "fd.typechar", "f"},
		{"a directory is a directory", call(event.OpenAt, 3, onFile("/etc", 0), onMode(0o40755)), "fd.type", "directory"},
		{"a pipe is a pipe", call(event.OpenAt, 3, onFile("/run/p", 0), onMode(0o10644)), "fd.typechar", "p"},
		{"an anonymous file is known by its name", call(event.Fchmod, 0, onFile("anon_inode:[eventfd]", 0), onMode(0)), "fd.type", "event"},
		{"a BPF object is one", call(event.BPF, 5), "fd.type", "bpf"},
		{"memory is memory", call(event.MemfdCreate, 5, str(0, "x")), "fd.typechar", "m"},
		{"memory has the name it was given", call(event.MemfdCreate, 5, str(0, "x"), onFile("/memfd:x", event.FileMemfd)), "fd.name", "x"},
		{"a failed open has the type of a file", failedOpen(), "fd.typechar", "f"},
		{"a failed open has no type as a word", failedOpen(), "fd.type", missing},
		{"a descriptor that is not known is an o", call(event.Fchmod, -9, args(99)), "fd.typechar", "o"},
		{"a descriptor that is not known has an empty name", call(event.Fchmod, -9, args(99)), "fd.name", ""},
		{"a file has the resolved path", openShadow(), "fd.name", "/etc/shadow"},
		{"a failed open has the path asked for", failedOpen(), "fd.name", "/tmp/none"},
		{"a file has a directory", openShadow(), "fd.directory", "/etc"},
		{"a file in the root has the root", call(event.OpenAt, 3, onFile("/x", 0)), "fd.directory", "/"},
		{"a failed open has a directory", failedOpen(), "fd.directory", "/tmp"},
		{"a file has a name in the directory", openShadow(), "fd.filename", "shadow"},
		{"a failed open has none", failedOpen(), "fd.filename", missing},
		{"a connection has no directory", connectV4(), "fd.directory", missing},
		{"a raw name is as it was passed", openShadow(), "fd.nameraw", "../../etc/shadow"},
		{"a device is hexadecimal", openShadow(), "fd.dev", "10FE23"},
		{"a device has a major number", openShadow(), "fd.dev.major", "254"},
		{"a device has a minor number", openShadow(), "fd.dev.minor", "291"},
		{"a file has an inode", openShadow(), "fd.ino", "8603"},
		{"a socket has an inode", connectV4(), "fd.ino", "77"},
		{"a new file is in the upper layer", createFile(), "fd.is_upper_layer", "true"},
		{"an open gives the descriptor a name", openShadow(), "fd.name_changed", "true"},
		{"a file is no server", openShadow(), "fd.is_server", "false"},
		{"a file has no protocol", openShadow(), "fd.l4proto", "<NA>"},
		{"a file is not connected", openShadow(), "fd.connected", "false"},
		{"a container and a name", call(event.OpenAt, 3, inContainer, onFile("/x", 0)), "fd.containername", "0123456789ab:/x"},
		{"a thread and a descriptor", openShadow(), "fd.uid", "3003"},

		{"a connection names the client first", connectV4(), "fd.name", "10.0.0.5:40000->192.0.2.1:443"},
		{"an accepted connection names the client first", acceptV6(), "fd.name", "2001:db8::2:50000->2001:db8::1:22"},
		{"a listening socket has one address", bindV4(), "fd.name", "0.0.0.0:8080"},
		{"a unix socket has a path", connectUnix(), "fd.name", "/run/docker.sock"},
		{"an abstract socket begins with @", call(event.Connect, 0, onSocket(func(s *event.Socket) { s.Family, s.RemotePath = familyUnix, []byte("\x00dbus") })), "fd.name", "@dbus"},
		{"IPv4 is ipv4", connectV4(), "fd.type", "ipv4"},
		{"IPv6 is ipv6", acceptV6(), "fd.type", "ipv6"},
		{"a unix socket is unix", connectUnix(), "fd.type", "unix"},
		{"who connects is the client", connectV4(), "fd.cip", "10.0.0.5"},
		{"who is connected to is the server", connectV4(), "fd.sip", "192.0.2.1"},
		{"who connects has the client's port", connectV4(), "fd.cport", "40000"},
		{"a connect without a role is the client's", call(event.Connect, -115, onTCP(event.RoleNone, "10.0.0.5:40000", "192.0.2.1:443")), "fd.sport", "443"},
		{"the own address", connectV4(), "fd.lip", "10.0.0.5"},
		{"the other address", connectV4(), "fd.rip", "192.0.2.1"},
		{"who accepts is the server", acceptV6(), "fd.sip", "2001:db8::1"},
		{"who accepts has the server's port", acceptV6(), "fd.sport", "22"},
		{"the port as text", acceptV6(), "fd.rproto", "50000"},
		{"a listening socket has no client", bindV4(), "fd.cip", missing},
		{"a listening socket is the server", bindV4(), "fd.sport", "8080"},
		{"a listening socket has no other end", bindV4(), "fd.rip", missing},
		{"who accepts is a server", acceptV6(), "fd.is_server", "true"},
		{"who connects is none", connectV4(), "fd.is_server", "false"},
		{"TCP is tcp", connectV4(), "fd.l4proto", "tcp"},
		{"a connected socket is connected", connectV4(), "fd.connected", "true"},
		{"a listening socket is not", call(event.Listen, 0, onTCP(event.RoleServer, "0.0.0.0:80", "0.0.0.0:0"), onSocket(func(s *event.Socket) { s.State = 10 })), "fd.connected", "false"},
		{"addresses are of family ip", connectV4(), "fd.sockfamily", "ip"},
		{"paths are of family unix", connectUnix(), "fd.sockfamily", "unix"},
		{"a unix socket has no address", connectUnix(), "fd.sip", missing},
		{"either end", connectV4(), "fd.ip", "(10.0.0.5,192.0.2.1)"},
		{"either port", connectV4(), "fd.port", "(40000,443)"},
		{"only the own end of a listening socket", bindV4(), "fd.net", "(0.0.0.0)"},

		{"the path of an opened file is the resolved one", openShadow(), "fs.path.name", "/etc/shadow"},
		{"the raw path of an opened file", openShadow(), "fs.path.nameraw", "../../etc/shadow"},
		{"a failed open has the path asked for as well", failedOpen(), "fs.path.name", "/tmp/none"},
		{"a removed file is below its directory", call(event.UnlinkAt, 0, args(5), str(1, "a/./b//c"), below("/srv/")), "fs.path.name", "/srv/a/b/c"},
		{"a file that was not removed has no path", call(event.UnlinkAt, -2, args(5), str(1, "x"), below("/srv/")), "fs.path.name", missing},
		{"a path without its directory is missing", call(event.UnlinkAt, 0, args(5), str(1, "x")), "fs.path.name", missing},
		{"a changed descriptor has the path of the file", call(event.Fchmod, 0, args(3, 0o600), onFile("/etc/x", 0)), "fs.path.name", "/etc/x"},
		{"a rename has a source", call(event.RenameAt2, 0, str(1, "old"), str(3, "new"), below("/a", "/b")), "fs.path.source", "/a/old"},
		{"a rename has a target", call(event.RenameAt2, 0, str(1, "old"), str(3, "new"), below("/a", "/b")), "fs.path.target", "/b/new"},
		{"a rename has no name", call(event.RenameAt2, 0, str(1, "old"), str(3, "new"), below("/a", "/b")), "fs.path.name", missing},
		{"a rename has a raw target", call(event.RenameAt2, 0, str(1, "old"), str(3, "new"), below("/a", "/b")), "fs.path.targetraw", "new"},
		{"the source of a link is its new name", call(event.Link, 0, str(0, "/etc/shadow"), str(1, "/tmp/x")), "fs.path.source", "/tmp/x"},
		{"the target of a link is what it leads to", call(event.Link, 0, str(0, "/etc/shadow"), str(1, "/tmp/x")), "fs.path.target", "/etc/shadow"},
		{"a symbolic link leads on from its directory", call(event.SymlinkAt, 0, str(0, "../etc/shadow"), str(2, "x"), below("/tmp")), "fs.path.target", "/etc/shadow"},
		{"the raw target of a symbolic link", call(event.SymlinkAt, 0, str(0, "../etc/shadow"), str(2, "x"), below("/tmp")), "fs.path.targetraw", "../etc/shadow"},
		{"the source of a mount may be no path", call(event.Mount, 0, str(0, "tmpfs"), str(1, "/mnt")), "fs.path.source", "tmpfs"},
		{"the target of a mount is its directory", call(event.Mount, 0, str(0, "tmpfs"), str(1, "/mnt/")), "fs.path.target", "/mnt"},
		{"a path cannot leave the root", call(event.Unlink, 0, str(0, "/../../x")), "fs.path.name", "/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := valueOf(t, tt.field, tt.ev); got != tt.want {
				t.Errorf("%s of %s = %q, want %q", tt.field, tt.ev.Type, got, tt.want)
			}
		})
	}
}

func mustType(name string) event.Type {
	t, ok := event.TypeByName(name)
	if !ok {
		panic("BUG: field: no type " + name)
	}
	return t
}

func noProcess(ev *event.Event)   { ev.Proc = nil }
func unannounced(ev *event.Event) { ev.Proc = &event.Process{PID: 9} }

func inContainer(ev *event.Event) {
	i := *ev.Proc.Image()
	i.ContainerID = []byte("0123456789ab")
	ev.Proc.SetImage(&i)
}

func TestALoopOfAncestorsEnds(t *testing.T) {
	t.Parallel()
	ev := openShadow()
	a, b := &event.Process{PID: 1}, &event.Process{PID: 2}
	a.SetImage(testImage("a", "/a"))
	b.SetImage(testImage("b", "/b"))
	a.SetParent(b)
	b.SetParent(a)
	ev.Proc = a
	for _, name := range []string{"proc.aname", "proc.apid", "proc.aargs", "proc.sname", "proc.loginshellid", "proc.aenv[X]", "proc.aname[2000000000]"} {
		valueOf(t, name, ev)
	}
	if got, want := len(strings.Fields(valueOf(t, "proc.aname", ev))), maxAncestors; got != want {
		t.Errorf("%d ancestors, want %d", got, want)
	}
}

// boundExamples are fields with arguments, for tests of every accessor.
var boundExamples = []string{
	"evt.arg.flags", "evt.arg[0]", "evt.arg.addr", "evt.rawarg.flags", "evt.rawarg.name", "evt.rawarg.addr", "evt.rawarg.args", "evt.rawarg.tuple",
	"evt.type.is.openat", "evt.abspath.src", "evt.abspath.dst", "proc.aname[2]", "proc.aexe[1]", "proc.aexepath[1]", "proc.acmdline[1]",
	"proc.args[1]", "proc.aargs[1]", "proc.env[HOME]", "proc.aenv[ONLY_SSHD]", "proc.aenv[1]", "proc.apid[2]", "thread.cgroup.memory",
}

// everyField returns every field of system calls, and some with arguments.
func everyField(tb testing.TB) []*Field {
	tb.Helper()
	var fields []*Field
	for _, f := range Table() {
		if f.In(Syscall) && f.Arg != ArgRequired {
			fields = append(fields, f)
		}
	}
	for _, name := range boundExamples {
		f, err := Lookup(name, Syscall)
		if err != nil {
			tb.Fatal(err)
		}
		fields = append(fields, f)
	}
	return fields
}

func everyEvent() []*event.Event {
	return []*event.Event{
		openShadow(), createFile(), failedOpen(), connectV4(), acceptV6(), bindV4(), connectUnix(), exit(15),
		call(event.Execve, 0, str(0, "./cat"), below("/bin")), call(event.Clone, 77, args(17)), call(event.Kill, 0, args(300, 9)),
		call(event.SymlinkAt, 0, str(0, "../etc/shadow"), str(2, "x"), below("/tmp")),
		call(event.Mount, -1, str(1, "/mnt")), call(mustType("read"), 3), call(event.SetUID, 0, args(1000)),
		{Type: event.OpenAt},
	}
}

func TestAccessorsDoNotAllocate(t *testing.T) {
	var (
		texts = make([][]byte, 0, 2*maxAncestors)
		ints  = make([]int64, 0, 2*maxAncestors)
		addrs = make([]netip.Addr, 0, 8)
	)
	events := everyEvent()
	for _, f := range everyField(t) {
		run := func() {
			for _, ev := range events {
				ev.Scratch, ev.ScratchList = ev.Scratch[:0], ev.ScratchList[:0]
				switch {
				case f.Text != nil:
					f.Text(ev)
				case f.Int != nil:
					f.Int(ev)
				case f.IP != nil:
					f.IP(ev)
				case f.AppendText != nil:
					texts = f.AppendText(ev, texts[:0])
				case f.AppendInt != nil:
					ints = f.AppendInt(ev, ints[:0])
				case f.AppendIP != nil:
					addrs = f.AppendIP(ev, addrs[:0])
				default:
					t.Fatalf("%s has no accessor", f)
				}
			}
		}
		run()
		if n := testing.AllocsPerRun(20, run); n != 0 {
			t.Errorf("%s allocates %v times", f, n)
		}
	}
}

func TestAccessorsLeaveOtherTextsAlone(t *testing.T) {
	t.Parallel()
	for _, ev := range everyEvent() {
		type value struct {
			f    *Field
			b    []byte
			text string
		}
		var values []value
		for _, f := range everyField(t) {
			if f.Text == nil {
				continue
			}
			if b, ok := f.Text(ev); ok {
				values = append(values, value{f, b, string(b)})
			}
		}
		for _, v := range values {
			if string(v.b) != v.text {
				t.Errorf("%s of %s was %q and became %q", v.f, ev.Type, v.text, v.b)
			}
		}
	}
}

func TestExactlyOneAccessorIsSet(t *testing.T) {
	t.Parallel()
	for _, f := range slices.Concat(Table(), everyField(t)) {
		if f.Arg == ArgRequired && !f.Bound && !f.Missing {
			continue
		}
		var got []string
		for name, set := range map[string]bool{
			"Text": f.Text != nil, "Int": f.Int != nil, "IP": f.IP != nil,
			"AppendText": f.AppendText != nil, "AppendInt": f.AppendInt != nil, "AppendIP": f.AppendIP != nil,
		} {
			if set {
				got = append(got, name)
			}
		}
		want := "Int"
		switch {
		case f.Kind.isText():
			want = "Text"
		case f.Kind.isIP():
			want = "IP"
		}
		if f.Match != MatchOne {
			want = "Append" + want
		}
		if diff := cmp.Diff([]string{want}, got); diff != "" {
			t.Errorf("accessors of %s (-want +got):\n%s", f, diff)
		}
		if (f.Arg != ArgNone) != (f.Bind != nil) {
			t.Errorf("%s: Bind is set: %t, want the opposite", f, f.Bind != nil)
		}
		if !strings.HasSuffix(f.Doc, ".") && !strings.HasSuffix(f.Doc, "…") {
			t.Errorf("%s: documentation %q is no sentence", f, f.Doc)
		}
	}
}

func TestTypesHoldEveryValue(t *testing.T) {
	t.Parallel()
	for _, f := range everyField(t) {
		if f.Types == (event.TypeSet{}) {
			continue
		}
		for _, ev := range everyEvent() {
			if _, ok := AppendValueText(nil, f, ev); ok && !f.Types.Has(ev.Type) {
				t.Errorf("%s has a value on %s, which is not in its Types", f, ev.Type)
			}
		}
	}
}

func TestValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, field string
		ev          *event.Event
		want        Value
	}{
		{"a text", "proc.name", openShadow(), Value{Kind: KindText, Text: "cat", Valid: true}},
		{"a number", "proc.pid", openShadow(), Value{Kind: KindInt, Int: 300, Valid: true}},
		{"a port", "fd.sport", connectV4(), Value{Kind: KindPort, Int: 443, Valid: true}},
		{"a bool", "evt.failed", failedOpen(), Value{Kind: KindBool, Int: 1, Valid: true}},
		{"an address", "fd.sip", connectV4(), Value{Kind: KindIP, IP: netip.MustParseAddr("192.0.2.1"), Valid: true}},
		{"a missing value keeps its kind", "fd.sip", openShadow(), Value{Kind: KindIP}},
		{"a reading of the clock is the time", "evt.time", openShadow(), Value{Kind: KindTime, Int: testTime, Valid: true}},
		{"a hexadecimal number is a text", "fd.dev", openShadow(), Value{Kind: KindText, Text: "10FE23", Valid: true}},
		{"all ancestors are one text", "proc.aname", openShadow(), Value{Kind: KindText, Text: "bash sshd systemd", Valid: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := Lookup(tt.field, Syscall)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, f.Value(tt.ev), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.field, diff)
			}
		})
	}
}

func TestTableAgreesWithTheReference(t *testing.T) {
	t.Parallel()
	rows, err := csv.NewReader(strings.NewReader(string(shared(t, "reference/fields.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]Kind{
		"UINT64": KindUint, "UINT32": KindUint, "uint64": KindUint, "INT64": KindInt, "INT32": KindInt, "INT16": KindInt,
		"CHARBUF": KindText, "string": KindText, "DYN": KindText, "BOOL": KindBool, "bool": KindBool, "BYTEBUF": KindBytes, "DOUBLE": KindFloat,
		"ABSTIME": KindTime, "abstime": KindTime, "RELTIME": KindDuration, "reltime": KindDuration,
		"PORT": KindPort, "IPADDR": KindIP, "ipaddr": KindIP, "IPNET": KindNet,
	}
	type facts struct {
		Kind                                 Kind
		List                                 bool
		Arg                                  ArgForm
		Filter, Deprecated, NoComp, NoTransf bool
	}
	table := make(map[string]*Field)
	for _, f := range Table() {
		table[f.Name] = f
	}
	for _, r := range rows[1:] {
		name := strings.TrimSuffix(r[1], ".<key>")
		f := table[name]
		if f == nil {
			t.Errorf("no field %s", name)
			continue
		}
		delete(table, name)
		flags := r[7]
		want := facts{
			Kind: kinds[r[2]], List: r[3] == "yes",
			Filter: strings.Contains(flags, "FILTER_ONLY"), Deprecated: strings.Contains(strings.ToUpper(flags), "DEPRECATED") || strings.HasPrefix(r[5], "(deprecated)"),
			NoComp: strings.Contains(flags, "NO_RHS"), NoTransf: strings.Contains(flags, "NO_TRANSFORMER"),
		}
		switch {
		case strings.HasPrefix(r[4], "optional"), name == "evt.abspath":
			want.Arg = ArgOptional
		case strings.HasPrefix(r[4], "required"), name == "static":
			want.Arg = ArgRequired
		}
		got := facts{f.Kind, f.Match == MatchList, f.Arg, f.FilterOnly, f.Deprecated, f.NoCompare, f.NoTransform}
		if got.Kind == KindPath && want.Kind == KindText {
			got.Kind = KindText
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, f := range table {
		if f.Class != "log" { // log records are a source of Windhover's own
			t.Errorf("field %s is not in the reference", name)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, source, want string }{
		{"a field", "proc.name", Syscall, "proc.name"},
		{"a field of every source", "evt.time", "okta", "evt.time"},
		{"an index", "proc.aname[2]", Syscall, "proc.aname[2]"},
		{"a field that takes an index, without one", "proc.aname", Syscall, "proc.aname"},
		{"a name after a dot", "evt.arg.flags", Syscall, "evt.arg.flags"},
		{"a name in brackets", "evt.arg[flags]", Syscall, "evt.arg.flags"},
		{"a number in brackets stays there", "evt.arg[1]", Syscall, "evt.arg[1]"},
		{"a quoted key", `proc.env["A B"]`, Syscall, `proc.env["A B"]`},
		{"a key that needs quotes", "proc.env[A B]", Syscall, `proc.env["A B"]`},
		{"the longest name", "evt.time.iso8601", Syscall, "evt.time.iso8601"},
		{"a static field", "static.team", Syscall, "static.team"},
		{"a parameter of foreign events", "evt.rawarg.fdlimit", Syscall, "evt.rawarg.fdlimit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := Lookup(tt.text, tt.source)
			if err != nil {
				t.Fatalf("Lookup(%q, %s): %v", tt.text, tt.source, err)
			}
			if got := f.String(); got != tt.want {
				t.Errorf("Lookup(%q, %s) = %s, want %s", tt.text, tt.source, got, tt.want)
			}
		})
	}
}

func TestLookupRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, source, want string }{
		{"a misspelt field", "proc.nmae", Syscall, `no field "proc.nmae"; did you mean "proc.name"?`},
		{"a field with something after it", "proc.namex", Syscall, `no field "proc.namex"; did you mean "proc.name"?`},
		{"nothing like a field", "frobnicate.the.widget", Syscall, `no field "frobnicate.the.widget"`},
		{"a huge name", strings.Repeat("a", 1000) + ".b", Syscall, fmt.Sprintf("no field %q", strings.Repeat("a", 1000)+".b")},
		{"an argument of a field without", "proc.name[1]", Syscall, "field proc.name takes no argument"},
		{"no argument of a field with", "evt.arg", Syscall, "field evt.arg needs an argument; write evt.arg.NAME or evt.arg[NUMBER]"},
		{"an empty argument", "proc.env[]", Syscall, `no field "proc.env[]"; did you mean "proc.env"?`},
		{"an index that is none", "proc.aname[x]", Syscall, `argument "x" of field proc.aname: not a number; write proc.aname[NUMBER]`},
		{"a negative index", "proc.aname[-2]", Syscall, `argument "-2" of field proc.aname: not a number; write proc.aname[NUMBER]`},
		{"a parameter that no event has", "evt.arg.flgs", Syscall, `no event has a parameter "flgs"; did you mean "flags"?`},
		{"a type that is none", "evt.type.is.openta", Syscall, `no event type "openta"`},
		{"a field of another source", "proc.name", "k8s_audit", `source k8s_audit has no field "proc.name"; it belongs to source syscall`},
		{"nothing", "", Syscall, `no field ""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Lookup(tt.text, tt.source)
			if err == nil {
				t.Fatalf("Lookup(%q, %s) found a field", tt.text, tt.source)
			}
			if err.Error() != tt.want {
				t.Errorf("Lookup(%q, %s)\n got %s\nwant %s", tt.text, tt.source, err, tt.want)
			}
		})
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		most int
		want int
	}{
		{"proc.name", "proc.name", 9, 0},
		{"proc.nmae", "proc.name", 9, 1},
		{"proc.nam", "proc.name", 9, 1},
		{"prc.name", "proc.name", 9, 1},
		{"fd.name", "proc.name", 9, 4},
		{"fd.name", "proc.name", 2, 2},
		{"", "abc", 9, 3},
	} {
		if got := distance(tt.a, tt.b, tt.most); got != tt.want {
			t.Errorf("distance(%q, %q, %d) = %d, want %d", tt.a, tt.b, tt.most, got, tt.want)
		}
	}
}

func TestTransformers(t *testing.T) {
	t.Parallel()
	if got, ok := AppendBase64Decoded([]byte("x"), []byte("aGk=")); !ok || string(got) != "xhi" {
		t.Errorf("AppendBase64Decoded = %q, %t", got, ok)
	}
	if got, ok := AppendBase64Decoded([]byte("x"), []byte("a\nGk")); ok || string(got) != "x" {
		t.Errorf("AppendBase64Decoded of a text with a line end = %q, %t", got, ok)
	}
	for _, tt := range []struct {
		name    string
		args    []string
		letters string
		want    string
	}{
		{"options in one word", []string{"-abc"}, "abc", "a|b|c"},
		{"a value after its option", []string{"-o", "out", "-v"}, "o:v", "o|out|v"},
		{"a value in the same word", []string{"-oout", "-v"}, "o:v", "o|out|v"},
		{"a cluster ends with a value", []string{"-vofile"}, "o:v", "v|o|file"},
		{"a value that is missing is empty", []string{"-o"}, "o:", "o|"},
		{"an unknown option is a question mark", []string{"-x"}, "a", "?"},
		{"a colon is no option", []string{"-:"}, "a:", "?"},
		{"options end at two dashes", []string{"-a", "--", "-b"}, "ab", "a"},
		{"options end at one dash", []string{"-a", "-", "-b"}, "ab", "a"},
		{"options end at the first other word", []string{"-a", "x", "-b"}, "ab", "a"},
		{"long options are skipped", []string{"--all", "-b"}, "ab", "b"},
		{"no arguments", nil, "ab", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, b := range AppendOptions(nil, bytesOf(tt.args...), []byte(tt.letters)) {
				got = append(got, string(b))
			}
			if s := strings.Join(got, "|"); s != tt.want {
				t.Errorf("AppendOptions(%q, %q) = %s, want %s", tt.args, tt.letters, s, tt.want)
			}
		})
	}
	if got, ok := Option(bytesOf("-c", "one", "-c", "two"), []byte("c:"), 'c'); !ok || string(got) != "two" {
		t.Errorf("Option takes %q, %t; want the last value", got, ok)
	}
	if got, ok := Option(bytesOf("-v"), []byte("v"), 'v'); !ok || string(got) != "v" {
		t.Errorf("Option = %q, %t; want the letter of an option without a value", got, ok)
	}
	if _, ok := Option(bytesOf("-v"), []byte("vx"), 'x'); ok {
		t.Error("Option has a value of an option that is not there")
	}
}

// FuzzGetopt reads arguments, writes what was found one option at a time, with the value
// in a word of its own and in the same word, and reads that: it must be the same. The value of one option is the last that the list has.
func FuzzGetopt(f *testing.F) {
	f.Add("-abc\x00-o\x00out\x00-v", "abco:v")
	f.Add("-vofile\x00--all\x00-o\x00-v\x00-\x00-a", "o:va")
	f.Add("-x:\x00-c\x00one\x00-ctwo\x00-c", "c::x")
	f.Add("-o\x00\x00--\x00-o", "o:o")
	f.Fuzz(func(t *testing.T, text, letters string) {
		if strings.Contains(letters, "?") {
			return // an option of this name reads like one that is not known
		}
		list := AppendOptions(nil, bytesOf(strings.Split(text, "\x00")...), []byte(letters))
		var words, joined []string
		last := map[byte]string{}
		for i := 0; i < len(list); i++ {
			if len(list[i]) != 1 {
				t.Fatalf("AppendOptions(%q, %q) = %q: item %d is no option", text, letters, list, i)
			}
			letter := list[i][0]
			words, joined = append(words, "-"+string(list[i])), append(joined, "-"+string(list[i]))
			_, after, known := strings.Cut(letters, string(list[i]))
			switch {
			case letter == '?':
				continue
			case !known || letter == ':':
				t.Fatalf("AppendOptions(%q, %q) = %q: %q is not among the letters", text, letters, list, letter)
			case !strings.HasPrefix(after, ":"):
				last[letter] = string(list[i])
				continue
			}
			if i++; i == len(list) {
				t.Fatalf("AppendOptions(%q, %q) = %q: the last option has no value", text, letters, list)
			}
			words = append(words, string(list[i]))
			if len(list[i]) > 0 {
				joined[len(joined)-1] += string(list[i])
			} else {
				joined = append(joined, "")
			}
			last[letter] = string(list[i])
		}
		for _, again := range [][]string{words, joined} {
			if diff := cmp.Diff(list, AppendOptions(nil, bytesOf(again...), []byte(letters))); diff != "" {
				t.Fatalf("AppendOptions(%q, %q), and of %q (-first +second):\n%s", text, letters, again, diff)
			}
		}
		args := bytesOf(strings.Split(text, "\x00")...)
		for letter := range 256 {
			want, there := last[byte(letter)]
			got, ok := Option(args, []byte(letters), byte(letter))
			if letter != '?' && (ok != there || string(got) != want) {
				t.Fatalf("Option(%q, %q, %q) = %q, %t; want %q, %t", text, letters, rune(letter), got, ok, want, there)
			}
		}
	})
}

func FuzzLookup(f *testing.F) {
	for _, name := range boundExamples {
		f.Add(name, Syscall)
	}
	f.Add("ka.req.pod.containers.image[0]", "k8s_audit")
	f.Add("json.value[/a/b]", "k8s_audit")
	ev := openShadow()
	f.Fuzz(func(t *testing.T, text, source string) {
		found, err := Lookup(text, source)
		if err != nil {
			return
		}
		again, err := Lookup(found.String(), source)
		if err != nil {
			t.Fatalf("Lookup(%q) = %s, which is no field: %v", text, found, err)
		}
		if again.Name != found.Name || again.Key != found.Key || again.String() != found.String() {
			t.Fatalf("Lookup(%q) = %s, and of that %s", text, found, again)
		}
		if found.In(Syscall) {
			ev.Scratch, ev.ScratchList = ev.Scratch[:0], ev.ScratchList[:0]
			AppendValueText(nil, found, ev)
		}
	})
}

func BenchmarkAccessors(b *testing.B) {
	ev := openShadow()
	for _, name := range []string{"proc.name", "proc.aname[2]", "fd.name", "evt.arg.flags", "evt.rawarg.flags", "evt.args", "user.name", "fd.directory", "evt.time"} {
		f, err := Lookup(name, Syscall)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ev.Scratch = ev.Scratch[:0]
				if f.Text != nil {
					f.Text(ev)
				} else {
					f.Int(ev)
				}
			}
		})
	}
}

func TestFieldsOfDescriptorsAreOfEventsAboutOne(t *testing.T) {
	t.Parallel()
	full := connectV4()
	full.Has |= event.HasFile | event.HasSock | event.HasAddr
	full.File = event.File{Path: []byte("/etc/x"), Dev: 1, Ino: 2, Mode: 0o100644, Flags: event.FileUpper | event.FileLower | event.FileCreated}
	for n := range event.NumTypes() {
		typ := event.Type(n)
		for _, f := range fdFields {
			ev := *full
			ev.Type = typ
			has := f.Text != nil && first(f.Text(&ev)) || f.Int != nil && first(f.Int(&ev)) || f.IP != nil && first(f.IP(&ev)) ||
				f.AppendIP != nil && len(f.AppendIP(&ev, nil)) > 0 || f.AppendInt != nil && len(f.AppendInt(&ev, nil)) > 0
			if has && !f.Types.Has(typ) {
				t.Errorf("%s has a value on %s, which it is not said to be of", f.Name, typ)
			}
		}
	}
	if !objectTypes.Has(event.OpenAt) || !objectTypes.Has(event.Connect) || objectTypes.Has(event.Execve) {
		t.Error("openat and connect are about a descriptor, execve is not")
	}
}

func first[T any](_ T, ok bool) bool { return ok }
