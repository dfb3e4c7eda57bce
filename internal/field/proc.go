package field

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/windhover/windhover/internal/event"
)

// maxAncestors bounds every walk up the tree of processes.
const maxAncestors = 64

// imageOf returns the image of the process that caused ev.
func imageOf(ev *event.Event) (*event.Image, bool) {
	if ev.Proc == nil {
		return nil, false
	}
	img := ev.Proc.Image()
	return img, img.Known()
}

// ancestor returns the n-th ancestor of the process that caused ev: 0 is the process
// itself, 1 its parent.
func ancestor(ev *event.Event, n int) *event.Process {
	p := ev.Proc
	for range n {
		if p == nil {
			return nil
		}
		p = p.Parent()
	}
	return p
}

// ancestorImage returns the image of the n-th ancestor.
func ancestorImage(ev *event.Event, n int) (*event.Image, bool) {
	p := ancestor(ev, n)
	if p == nil {
		return nil, false
	}
	img := p.Image()
	return img, img.Known()
}

// imageText is the accessor of a text of one image. Text that has to be built goes to
// the event's scratch memory.
type imageText func(*event.Event, *event.Image) ([]byte, bool)

func nameText(_ *event.Event, i *event.Image) ([]byte, bool)    { return known(i.Name) }
func exeText(_ *event.Event, i *event.Image) ([]byte, bool)     { return known(i.Exe) }
func exePathText(_ *event.Event, i *event.Image) ([]byte, bool) { return known(i.ExePath) }
func cmdlineText(_ *event.Event, i *event.Image) ([]byte, bool) { return known(i.Cmdline) }
func argsText(_ *event.Event, i *event.Image) ([]byte, bool)    { return known(i.ArgLine) }

func envText(ev *event.Event, i *event.Image) ([]byte, bool) {
	if i.Env == nil {
		return nil, false
	}
	start := len(ev.Scratch)
	for n, v := range i.Env {
		if n > 0 {
			ev.Scratch = append(ev.Scratch, ' ')
		}
		ev.Scratch = append(ev.Scratch, v...)
	}
	return tail(ev, start), true
}

// text returns the accessor of t on the n-th ancestor.
func (t imageText) text(n int) func(*event.Event) ([]byte, bool) {
	if n == 0 {
		return func(ev *event.Event) ([]byte, bool) {
			img, ok := imageOf(ev)
			if !ok {
				return nil, false
			}
			return t(ev, img)
		}
	}
	return func(ev *event.Event) ([]byte, bool) {
		img, ok := ancestorImage(ev, n)
		if !ok {
			return nil, false
		}
		return t(ev, img)
	}
}

// appendAncestors returns the accessor of t on every ancestor, the parent first.
func (t imageText) appendAncestors() func(*event.Event, [][]byte) [][]byte {
	return func(ev *event.Event, dst [][]byte) [][]byte {
		if ev.Proc == nil {
			return dst
		}
		p := ev.Proc.Parent()
		for range maxAncestors {
			if p == nil {
				break
			}
			if img := p.Image(); img.Known() {
				if b, ok := t(ev, img); ok {
					dst = append(dst, b)
				}
			}
			p = p.Parent()
		}
		return dst
	}
}

// ofAncestor returns a field that takes the number of an ancestor, and without one
// stands for all of them.
func ofAncestor(name, doc string, t imageText) *Field {
	f := &Field{
		Name: name, Kind: KindText, Match: MatchAny, Arg: ArgOptional, NoCompare: true, NoTransform: true,
		Doc: doc, AppendText: t.appendAncestors(),
	}
	return bindable(f, func(b *Field, arg string) error {
		n, err := ancestorIndex(arg)
		if err != nil {
			return err
		}
		b.one()
		b.Text = t.text(n)
		return nil
	})
}

// one makes a field with several values one with a single value; the caller sets its
// accessor.
func (f *Field) one() {
	f.Match, f.AppendText, f.AppendInt, f.AppendIP = MatchOne, nil, nil, nil
	f.NoCompare, f.NoTransform = false, false
}

func ancestorIndex(arg string) (int, error) {
	n, err := strconv.ParseUint(arg, 10, 31)
	if err != nil {
		return 0, errIndex
	}
	return int(min(n, maxAncestors)), nil
}

// imageInt is the accessor of a number of one image.
type imageInt func(*event.Image) (int64, bool)

func (t imageInt) int(n int) func(*event.Event) (int64, bool) {
	if n == 0 {
		return func(ev *event.Event) (int64, bool) {
			img, ok := imageOf(ev)
			if !ok {
				return 0, false
			}
			return t(img)
		}
	}
	return func(ev *event.Event) (int64, bool) {
		img, ok := ancestorImage(ev, n)
		if !ok {
			return 0, false
		}
		return t(img)
	}
}

func notZero(n int64) (int64, bool) { return n, n != 0 }

// leader returns the process that leads what id says of an image: the ancestor whose
// own number is the id, or the oldest one in a row with the same id.
func leader(ev *event.Event, id, own func(*event.Process, *event.Image) int32) *event.Process {
	p := ev.Proc
	if p == nil {
		return nil
	}
	img := p.Image()
	if !img.Known() {
		return nil
	}
	want := id(p, img)
	for range maxAncestors {
		if own(p, img) == want {
			return p
		}
		parent := p.Parent()
		if parent == nil {
			return p
		}
		above := parent.Image()
		if !above.Known() || id(parent, above) != want {
			return p
		}
		p, img = parent, above
	}
	return p
}

func sessionLeader(ev *event.Event) *event.Process {
	return leader(ev,
		func(_ *event.Process, i *event.Image) int32 { return i.VSID },
		func(_ *event.Process, i *event.Image) int32 { return i.VPID })
}

func groupLeader(ev *event.Event) *event.Process {
	return leader(ev,
		func(_ *event.Process, i *event.Image) int32 { return i.PGID },
		func(p *event.Process, _ *event.Image) int32 { return p.PID })
}

func namespaceGroupLeader(ev *event.Event) *event.Process {
	return leader(ev,
		func(_ *event.Process, i *event.Image) int32 { return i.VPGID },
		func(_ *event.Process, i *event.Image) int32 { return i.VPID })
}

// ofLeader returns the accessor of t on the process that find returns.
func (t imageText) ofLeader(find func(*event.Event) *event.Process) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		p := find(ev)
		if p == nil {
			return nil, false
		}
		return t(ev, p.Image())
	}
}

// loginShell returns the process ID of the oldest shell among the process and its
// ancestors.
func loginShell(ev *event.Event) (int64, bool) {
	var pid int64
	p := ev.Proc
	for range maxAncestors {
		if p == nil {
			break
		}
		if bytes.HasSuffix(p.Image().Name, []byte("sh")) {
			pid = int64(p.PID)
		}
		p = p.Parent()
	}
	return pid, pid != 0
}

// variable returns the value of an environment variable. One that is not set is an
// empty text, as in the rule language.
func variable(img *event.Image, name []byte) ([]byte, bool) {
	if img.Env == nil {
		return nil, false
	}
	for _, v := range img.Env {
		if len(v) > len(name) && v[len(name)] == '=' && bytes.Equal(v[:len(name)], name) {
			return v[len(name)+1:], true
		}
	}
	return empty, true
}

var empty = []byte{}

func appendAncestorPIDs(ev *event.Event, dst []int64) []int64 {
	if ev.Proc == nil {
		return dst
	}
	p := ev.Proc.Parent()
	for range maxAncestors {
		if p == nil {
			break
		}
		dst = append(dst, int64(p.PID))
		p = p.Parent()
	}
	return dst
}

// joinAncestors returns t of every ancestor, joined by spaces.
func joinAncestors(ev *event.Event, t imageText) []byte {
	start := len(ev.Scratch)
	p := ev.Proc.Parent()
	for range maxAncestors {
		if p == nil {
			break
		}
		if img := p.Image(); img.Known() {
			if b, ok := t(ev, img); ok {
				if len(ev.Scratch) > start {
					ev.Scratch = append(ev.Scratch, ' ')
				}
				ev.Scratch = append(ev.Scratch, b...)
			}
		}
		p = p.Parent()
	}
	return tail(ev, start)
}

// procFields are the fields of processes and threads.
var procFields = []*Field{
	{Name: "proc.exe", Kind: KindText, Doc: "First argument of the command line.", Text: imageText(exeText).text(0)},
	{Name: "proc.pexe", Kind: KindText, Doc: "First argument of the parent's command line.", Text: imageText(exeText).text(1)},
	ofAncestor("proc.aexe", "First argument of an ancestor's command line: proc.aexe[1] is the parent's. Without a number, of any ancestor.", exeText),
	{Name: "proc.exepath", Kind: KindText, Doc: "Path of the executable, as the kernel resolved it.", Text: imageText(exePathText).text(0)},
	{Name: "proc.pexepath", Kind: KindText, Doc: "Path of the parent's executable.", Text: imageText(exePathText).text(1)},
	ofAncestor("proc.aexepath", "Path of an ancestor's executable: proc.aexepath[1] is the parent's. Without a number, of any ancestor.", exePathText),
	{Name: "proc.name", Kind: KindText, Doc: "Name of the process, without its path: at most 15 bytes.", Text: imageText(nameText).text(0)},
	{Name: "proc.pname", Kind: KindText, Doc: "Name of the parent.", Text: imageText(nameText).text(1)},
	ofAncestor("proc.aname", "Name of an ancestor: proc.aname[0] is the process, [1] its parent, [2] the grandparent. Without a number, of any ancestor.", nameText),
	bindable(&Field{
		Name: "proc.args", Kind: KindText, Arg: ArgOptional, Text: imageText(argsText).text(0),
		Doc: "Arguments without the first, joined by spaces. With a number, one of them: proc.args[0] is what follows the program.",
	}, func(b *Field, arg string) error {
		n, err := strconv.ParseUint(arg, 10, 31)
		if err != nil {
			return errIndex
		}
		b.Text = func(ev *event.Event) ([]byte, bool) {
			img, ok := imageOf(ev)
			if !ok || img.Args == nil {
				return nil, false
			}
			if n >= uint64(len(img.Args)) {
				return empty, true
			}
			return img.Args[n], true
		}
		return nil
	}),
	bindable(&Field{
		Name: "proc.aargs", Kind: KindText, Arg: ArgOptional,
		Doc: "Arguments of an ancestor. Without a number, those of every ancestor, joined by spaces.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if ev.Proc == nil || ev.Proc.Parent() == nil {
				return nil, false
			}
			return joinAncestors(ev, argsText), true
		},
	}, func(b *Field, arg string) error {
		n, err := ancestorIndex(arg)
		b.Text = imageText(argsText).text(n)
		return err
	}),
	{Name: "proc.cmdline", Kind: KindText, Doc: "Name of the process and its arguments.", Text: imageText(cmdlineText).text(0)},
	{Name: "proc.pcmdline", Kind: KindText, Doc: "Name of the parent and its arguments.", Text: imageText(cmdlineText).text(1)},
	ofAncestor("proc.acmdline", "Name of an ancestor and its arguments: proc.acmdline[1] is the parent's. Without a number, of any ancestor.", cmdlineText),
	{
		Name: "proc.cmdnargs", Kind: KindUint, Doc: "Number of arguments, without the first.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return number(i.Args != nil, int64(len(i.Args))) }).int(0),
	},
	{
		Name: "proc.cmdlenargs", Kind: KindUint, Doc: "Length of all arguments without the first, spaces between them not counted.",
		Int: imageInt(func(i *event.Image) (int64, bool) {
			n := 0
			for _, a := range i.Args {
				n += len(a)
			}
			return number(i.Args != nil, int64(n))
		}).int(0),
	},
	{
		Name: "proc.exeline", Kind: KindText, Doc: "The whole command line, first argument included.",
		Text: func(ev *event.Event) ([]byte, bool) {
			img, ok := imageOf(ev)
			if !ok || img.Exe == nil {
				return nil, false
			}
			start := len(ev.Scratch)
			ev.Scratch = append(ev.Scratch, img.Exe...)
			ev.Scratch = append(ev.Scratch, ' ')
			ev.Scratch = append(ev.Scratch, img.ArgLine...)
			return tail(ev, start), true
		},
	},
	bindable(&Field{
		Name: "proc.env", Kind: KindText, Arg: ArgOptional, Text: imageText(envText).text(0),
		Doc: "Environment, joined by spaces. With a name, the value of that variable; empty if it is not set.",
	}, func(b *Field, arg string) error {
		name := []byte(arg)
		b.Text = func(ev *event.Event) ([]byte, bool) {
			img, ok := imageOf(ev)
			if !ok {
				return nil, false
			}
			return variable(img, name)
		}
		return nil
	}),
	bindable(&Field{
		Name: "proc.aenv", Kind: KindText, Match: MatchAny, Arg: ArgOptional, NoCompare: true, NoTransform: true,
		Doc:        "Environment of an ancestor. With a number, of that ancestor; with a name, the value of that variable in the nearest ancestor that has it.",
		AppendText: imageText(envText).appendAncestors(),
	}, func(b *Field, arg string) error {
		b.one()
		if n, err := ancestorIndex(arg); err == nil {
			b.Text = imageText(envText).text(n)
			return nil
		}
		name := []byte(arg)
		b.Text = func(ev *event.Event) ([]byte, bool) { return ancestorVariable(ev, name) }
		return nil
	}),
	{Name: "proc.cwd", Kind: KindText, Doc: "Working directory, with a slash at its end.", Text: imageText(cwdText).text(0)},
	{Name: "proc.loginshellid", Kind: KindInt, Doc: "Process ID of the oldest shell among the process and its ancestors.", Int: loginShell},
	{
		Name: "proc.tty", Kind: KindUint, Doc: "Number of the controlling terminal; 0 if there is none.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return int64(i.TTY), true }).int(0),
	},
	{Name: "proc.pid", Kind: KindInt, Doc: "Process ID.", Int: ancestorPID(0)},
	{
		Name: "proc.ppid", Kind: KindInt, Doc: "Process ID of the parent.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return int64(i.PPID), true }).int(0),
	},
	bindable(&Field{
		Name: "proc.apid", Kind: KindInt, Match: MatchAny, Arg: ArgOptional, NoCompare: true, NoTransform: true,
		Doc: "Process ID of an ancestor: proc.apid[1] is the parent's. Without a number, of any ancestor.", AppendInt: appendAncestorPIDs,
	}, func(b *Field, arg string) error {
		n, err := ancestorIndex(arg)
		b.one()
		b.Int = ancestorPID(n)
		return err
	}),
	{
		Name: "proc.vpid", Kind: KindInt, Doc: "Process ID in the process's own PID namespace.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notUnset(i.VPID) }).int(0),
	},
	{
		Name: "proc.pvpid", Kind: KindInt, Doc: "Process ID of the parent in the parent's own PID namespace.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notUnset(i.VPID) }).int(1),
	},
	{
		Name: "proc.sid", Kind: KindInt, Doc: "Session ID in the process's own PID namespace.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return int64(i.VSID), true }).int(0),
	},
	{Name: "proc.sname", Kind: KindText, Doc: "Name of the session leader.", Text: imageText(nameText).ofLeader(sessionLeader)},
	{Name: "proc.sid.exe", Kind: KindText, Doc: "First argument of the session leader's command line.", Text: imageText(exeText).ofLeader(sessionLeader)},
	{Name: "proc.sid.exepath", Kind: KindText, Doc: "Path of the session leader's executable.", Text: imageText(exePathText).ofLeader(sessionLeader)},
	{
		Name: "proc.vpgid", Kind: KindInt, Doc: "Process group ID in the process's own PID namespace.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return int64(i.VPGID), true }).int(0),
	},
	{Name: "proc.vpgid.name", Kind: KindText, Doc: "Name of the leader of that process group.", Text: imageText(nameText).ofLeader(namespaceGroupLeader)},
	{Name: "proc.vpgid.exe", Kind: KindText, Doc: "First argument of that leader's command line.", Text: imageText(exeText).ofLeader(namespaceGroupLeader)},
	{Name: "proc.vpgid.exepath", Kind: KindText, Doc: "Path of that leader's executable.", Text: imageText(exePathText).ofLeader(namespaceGroupLeader)},
	{
		Name: "proc.pgid", Kind: KindInt, Doc: "Process group ID, as the host sees it.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return int64(i.PGID), true }).int(0),
	},
	{Name: "proc.pgid.name", Kind: KindText, Doc: "Name of the leader of the process group.", Text: imageText(nameText).ofLeader(groupLeader)},
	{Name: "proc.pgid.exe", Kind: KindText, Doc: "First argument of that leader's command line.", Text: imageText(exeText).ofLeader(groupLeader)},
	{Name: "proc.pgid.exepath", Kind: KindText, Doc: "Path of that leader's executable.", Text: imageText(exePathText).ofLeader(groupLeader)},
	{Name: "proc.duration", Kind: KindDuration, Doc: "Age of the process when the event happened.", Int: ageOf(0)},
	{Name: "proc.ppid.duration", Kind: KindDuration, Doc: "Age of the parent when the event happened.", Int: ageOf(1)},
	{
		Name: "proc.pid.ts", Kind: KindDuration, Doc: "Start of the process, in nanoseconds since the Unix epoch.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notZero(i.CloneTime) }).int(0),
	},
	{
		Name: "proc.ppid.ts", Kind: KindDuration, Doc: "Start of the parent, in nanoseconds since the Unix epoch.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notZero(i.CloneTime) }).int(1),
	},
	{
		Name: "proc.is_exe_writable", Kind: KindBool, Doc: "The process may write to its own executable.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return truth(i.ExeWritable) }).int(0),
	},
	{
		Name: "proc.is_exe_upper_layer", Kind: KindBool, Doc: "The executable is in the upper layer of an overlay file system: it is not part of the image.",
		Int: hasExeFlag(event.FileUpper),
	},
	{Name: "proc.is_exe_lower_layer", Kind: KindBool, Doc: "The executable is in a lower layer of an overlay file system.", Int: hasExeFlag(event.FileLower)},
	{Name: "proc.is_exe_from_memfd", Kind: KindBool, Doc: "The executable is an anonymous file in memory.", Int: hasExeFlag(event.FileMemfd)},
	{
		Name: "proc.is_sid_leader", Kind: KindBool, Doc: "The process leads its session.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return truth(i.VSID == i.VPID) }).int(0),
	},
	{
		Name: "proc.is_vpgid_leader", Kind: KindBool, Doc: "The process leads its process group, in its own PID namespace.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return truth(i.VPGID == i.VPID) }).int(0),
	},
	{
		Name: "proc.is_pgid_leader", Kind: KindBool, Doc: "The process leads its process group, as the host sees it.",
		Int: func(ev *event.Event) (int64, bool) {
			img, ok := imageOf(ev)
			if !ok {
				return 0, false
			}
			return truth(img.PGID == ev.Proc.PID)
		},
	},
	{
		Name: "proc.exe_ino", Kind: KindInt, Doc: "Inode number of the executable.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notZero(int64(i.ExeIno)) }).int(0),
	},
	{
		Name: "proc.exe_ino.ctime", Kind: KindTime, Doc: "Last change of the executable's inode.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notZero(i.ExeCtime) }).int(0),
	},
	{
		Name: "proc.exe_ino.mtime", Kind: KindTime, Doc: "Last modification of the executable.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notZero(i.ExeMtime) }).int(0),
	},
	{
		Name: "proc.exe_ino.ctime_duration_proc_start", Kind: KindTime, Doc: "Time from the last change of the executable's inode to the start of the process.",
		Int: imageInt(func(i *event.Image) (int64, bool) {
			if i.ExeCtime == 0 || i.CloneTime == 0 {
				return 0, false
			}
			return notZero(i.CloneTime - i.ExeCtime)
		}).int(0),
	},
	{
		Name: "proc.exe_ino.ctime_duration_pidns_start", Kind: KindTime, Doc: "Time from the start of the PID namespace to the last change of the executable's inode, if that came later.",
		Int: imageInt(func(i *event.Image) (int64, bool) {
			d := i.ExeCtime - i.PIDNSInit
			return d, i.ExeCtime != 0 && i.PIDNSInit != 0 && d > 0
		}).int(0),
	},
	{
		Name: "proc.pidns_init_start_ts", Kind: KindUint, Doc: "Start of the init process of the PID namespace, in nanoseconds since the Unix epoch.",
		Int: imageInt(func(i *event.Image) (int64, bool) { return notZero(i.PIDNSInit) }).int(0),
	},
	{
		Name: "thread.cap_permitted", Kind: KindText, Doc: "Permitted capabilities, separated by spaces.",
		Text: imageText(func(ev *event.Event, i *event.Image) ([]byte, bool) { return capabilities(ev, i.CapPermitted), true }).text(0),
	},
	{
		Name: "thread.cap_inheritable", Kind: KindText, Doc: "Inheritable capabilities, separated by spaces.",
		Text: imageText(func(ev *event.Event, i *event.Image) ([]byte, bool) { return capabilities(ev, i.CapInheritable), true }).text(0),
	},
	{
		Name: "thread.cap_effective", Kind: KindText, Doc: "Effective capabilities, separated by spaces.",
		Text: imageText(func(ev *event.Event, i *event.Image) ([]byte, bool) { return capabilities(ev, i.CapEffective), true }).text(0),
	},
	{
		Name: "thread.tid", Kind: KindInt, Doc: "Thread ID.",
		Int: func(ev *event.Event) (int64, bool) { return int64(ev.TID), true },
	},
	{
		Name: "thread.ismain", Kind: KindBool, Doc: "The thread is the first of its process.",
		Int: func(ev *event.Event) (int64, bool) {
			if ev.Proc == nil {
				return 0, false
			}
			return truth(ev.TID == ev.Proc.PID)
		},
	},
	{
		Name: "thread.vtid", Kind: KindInt, Doc: "Thread ID in the process's own PID namespace. Known for the first thread of a process.",
		Int: func(ev *event.Event) (int64, bool) {
			img, ok := imageOf(ev)
			if !ok || ev.TID != ev.Proc.PID {
				return 0, false
			}
			return notUnset(img.VTID)
		},
	},
	{
		Name: "thread.nametid", Kind: KindText, Hidden: true, Doc: "Name of the process and thread ID, one after the other.",
		Text: imageText(func(ev *event.Event, i *event.Image) ([]byte, bool) {
			start := len(ev.Scratch)
			ev.Scratch = append(ev.Scratch, i.Name...)
			ev.Scratch = strconv.AppendInt(ev.Scratch, int64(ev.TID), 10)
			return tail(ev, start), true
		}).text(0),
	},
	{
		Name: "thread.cgroups", Kind: KindText, Doc: "Control groups as controller=path, separated by spaces.",
		Text: imageText(func(ev *event.Event, i *event.Image) ([]byte, bool) {
			if i.Cgroup == nil {
				return nil, false
			}
			start := len(ev.Scratch)
			for n, c := range cgroupControllers {
				if n > 0 {
					ev.Scratch = append(ev.Scratch, ' ')
				}
				ev.Scratch = append(ev.Scratch, c...)
				ev.Scratch = append(ev.Scratch, '=')
				ev.Scratch = append(ev.Scratch, i.Cgroup...)
			}
			return tail(ev, start), true
		}).text(0),
	},
	bindable(&Field{
		Name: "thread.cgroup", Kind: KindText, Arg: ArgRequired, Dotted: true, argLen: wordLen,
		Doc: "Path of the process in the hierarchy of one controller, such as thread.cgroup.memory.",
	}, func(b *Field, arg string) error {
		has := slices.Contains(cgroupControllers, arg)
		b.Text = imageText(func(_ *event.Event, i *event.Image) ([]byte, bool) {
			return i.Cgroup, has && i.Cgroup != nil
		}).text(0)
		return nil
	}),
}

// cgroupControllers share one hierarchy and one path in cgroup v2.
var cgroupControllers = []string{"cpuset", "cpu", "cpuacct", "io", "memory"}

func cwdText(_ *event.Event, i *event.Image) ([]byte, bool) { return known(i.CWD) }

// notUnset returns an ID; the kernel's snapshot has -1 where there is none.
func notUnset(id int32) (int64, bool) { return int64(id), id >= 0 }

func ancestorPID(n int) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) {
		p := ancestor(ev, n)
		if p == nil {
			return 0, false
		}
		return int64(p.PID), true
	}
}

func ageOf(n int) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) {
		img, ok := ancestorImage(ev, n)
		if !ok || img.CloneTime == 0 {
			return 0, false
		}
		return max(ev.Time-img.CloneTime, 0), true
	}
}

func hasExeFlag(flag event.FileFlags) func(*event.Event) (int64, bool) {
	return imageInt(func(i *event.Image) (int64, bool) { return truth(i.ExeFlags&flag != 0) }).int(0)
}

// ancestorVariable returns a variable of the nearest ancestor that has it. It is empty
// if none has.
func ancestorVariable(ev *event.Event, name []byte) ([]byte, bool) {
	if ev.Proc == nil {
		return nil, false
	}
	p := ev.Proc.Parent()
	if p == nil {
		return nil, false
	}
	for range maxAncestors {
		if p == nil {
			break
		}
		if v, ok := variable(p.Image(), name); ok && len(v) > 0 {
			return v, true
		}
		p = p.Parent()
	}
	return empty, true
}

// capabilities returns the names of a set of capabilities.
func capabilities(ev *event.Event, set uint64) []byte {
	start := len(ev.Scratch)
	for i, name := range capabilityNames {
		if set>>i&1 == 0 {
			continue
		}
		if len(ev.Scratch) > start {
			ev.Scratch = append(ev.Scratch, ' ')
		}
		ev.Scratch = append(ev.Scratch, name...)
	}
	return tail(ev, start)
}

// capabilityNames holds include/uapi/linux/capability.h, by number.
var capabilityNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
	"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER",
	"CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
	"CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}
