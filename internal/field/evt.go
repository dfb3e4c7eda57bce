package field

import (
	"strconv"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// clock returns the accessor of the event's time, written as layout says.
func clock(layout string, utc bool) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		t := time.Unix(0, ev.Time)
		if utc {
			t = t.UTC()
		}
		start := len(ev.Scratch)
		ev.Scratch = t.AppendFormat(ev.Scratch, layout)
		return tail(ev, start), true
	}
}

func constant(n int64) func(*event.Event) (int64, bool) {
	return func(*event.Event) (int64, bool) { return n, true }
}

// sinceStart returns how long after the start of its source the event happened.
func sinceStart(ev *event.Event) (int64, bool) {
	if ev.Source == nil || ev.Source.Start == 0 {
		return 0, false
	}
	return max(ev.Time-ev.Source.Start, 0), true
}

// sourceText returns the accessor of a text of the event's source. The texts of a
// source are few, and copied so that no accessor has to.
func sourceText(of func(*event.Source) string) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		if ev.Source == nil {
			return nil, false
		}
		s := of(ev.Source)
		if s == "" {
			return nil, false
		}
		start := len(ev.Scratch)
		ev.Scratch = append(ev.Scratch, s...)
		return tail(ev, start), true
	}
}

// genericFields are the fields of every event of every source.
var genericFields = []*Field{
	{Name: "evt.num", Kind: KindUint, Doc: "Number of the event; each source counts its own.", Int: func(ev *event.Event) (int64, bool) { return int64(ev.Num), true }},
	{Name: "evt.time", Kind: KindText, Clock: true, Doc: "Time of day, local, with nanoseconds.", Text: clock("15:04:05.000000000", false)},
	{Name: "evt.time.s", Kind: KindText, Clock: true, Doc: "Time of day, local, in whole seconds.", Text: clock("15:04:05", false)},
	{Name: "evt.time.iso8601", Kind: KindText, Clock: true, Doc: "Date and time in UTC, with nanoseconds.", Text: clock("2006-01-02T15:04:05.000000000+0000", true)},
	{Name: "evt.datetime", Kind: KindText, Clock: true, Doc: "Date and time, local, with nanoseconds.", Text: clock("2006-01-02 15:04:05.000000000", false)},
	{Name: "evt.datetime.s", Kind: KindText, Clock: true, Doc: "Date and time, local, in whole seconds.", Text: clock("2006-01-02 15:04:05", false)},
	{Name: "evt.rawtime", Kind: KindTime, Doc: "Time in nanoseconds since the Unix epoch.", Int: func(ev *event.Event) (int64, bool) { return ev.Time, true }},
	{Name: "evt.rawtime.s", Kind: KindTime, Doc: "Time in whole seconds since the Unix epoch.", Int: func(ev *event.Event) (int64, bool) { return ev.Time / 1e9, true }},
	{Name: "evt.rawtime.ns", Kind: KindTime, Print: PrintPad9, Doc: "The nanoseconds in the time's last second.", Int: func(ev *event.Event) (int64, bool) { return ev.Time % 1e9, true }},
	{Name: "evt.reltime", Kind: KindDuration, Doc: "Time since the source began to report.", Int: sinceStart},
	{
		Name: "evt.reltime.s", Kind: KindDuration, Doc: "Whole seconds since the source began to report.",
		Int: func(ev *event.Event) (int64, bool) {
			d, ok := sinceStart(ev)
			return d / 1e9, ok
		},
	},
	{
		Name: "evt.reltime.ns", Kind: KindDuration, Print: PrintPad9, Doc: "The nanoseconds in the last second since the source began to report.",
		Int: func(ev *event.Event) (int64, bool) {
			d, ok := sinceStart(ev)
			return d % 1e9, ok
		},
	},
	{Name: "evt.source", Kind: KindText, Doc: "Type of the source, such as syscall or k8s_audit.", Text: sourceText(func(s *event.Source) string { return s.Type })},
	{Name: "evt.is_async", Kind: KindBool, Doc: "The event was made by Windhover itself: it is not so for any event that rules see.", Int: constant(0)},
	{Name: "evt.hostname", Kind: KindText, Doc: "Name of the host that is watched.", Text: sourceText(func(s *event.Source) string { return s.Host })},
}

// typeNames holds the name of every type as a text that accessors return.
var typeNames, categoryNames = func() (names, categories [][]byte) {
	for _, s := range event.Specs() {
		names = append(names, []byte(s.Name))
		categories = append(categories, []byte(s.Category))
	}
	return names, categories
}()

func typeName(ev *event.Event) ([]byte, bool) {
	if int(ev.Type) >= len(typeNames) {
		return typeNames[event.Unknown], true
	}
	return typeNames[ev.Type], true
}

// typesNamed returns the set of types with these names. Names that this version does
// not know are left out.
func typesNamed(names ...string) event.TypeSet {
	var s event.TypeSet
	for _, n := range names {
		if t, ok := event.TypeByName(n); ok {
			s.Add(t)
		}
	}
	return s
}

var (
	readTypes = typesNamed("read", "readv", "pread64", "preadv", "preadv2", "recv", "recvfrom", "recvmsg", "recvmmsg")

	writeTypes = typesNamed("write", "writev", "pwrite64", "pwritev", "pwritev2", "send", "sendto", "sendmsg", "sendmmsg")

	waitTypes = typesNamed("select", "_newselect", "pselect6", "pselect6_time64", "poll", "ppoll", "ppoll_time64",
		"epoll_wait", "epoll_pwait", "epoll_pwait2", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64",
		"futex", "futex_time64", "flock", "semop", "semtimedop", "pause")
)

func isOfType(set event.TypeSet) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) { return truth(set.Has(ev.Type)) }
}

// moved returns the accessor of how many bytes a call of one of these types moved.
func moved(set event.TypeSet) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) { return ev.Ret, ev.Ret >= 0 && set.Has(ev.Type) }
}

// returned reports whether ev is a call that returned, and not a step in the life of a
// process.
func returned(ev *event.Event) bool {
	switch ev.Type {
	case event.ProcExit, event.Proc, event.PluginEvent, event.Unknown:
		return false
	}
	return true
}

// openFlags returns the flags of an open as rules see them, without those that tell
// what came of it.
func openFlags(ev *event.Event) (uint32, bool) {
	switch ev.Type {
	case event.Open:
		return event.FileFlagTable.Value(ev.Args[1]), true
	case event.OpenAt, event.OpenAt2:
		return event.FileFlagTable.Value(ev.Args[2]), true
	case event.Creat:
		return flagCreat | flagWrite, true
	}
	return 0, false
}

// opensFor returns the accessor of an access that a call asked for. Calls that open
// nothing did not ask, and creat(2) has no flags.
func opensFor(access uint64) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) {
		var native uint64
		switch ev.Type {
		case event.Open:
			native = ev.Args[1]
		case event.OpenAt, event.OpenAt2:
			native = ev.Args[2]
		default:
			return 0, true
		}
		// O_RDONLY is 0, O_WRONLY 1, O_RDWR 2: one more is one bit for each access.
		return truth((native&3+1)&3&access != 0)
	}
}

func openMode(ev *event.Event) uint64 {
	switch ev.Type {
	case event.Open:
		return ev.Args[2]
	case event.OpenAt, event.OpenAt2:
		return ev.Args[3]
	case event.Creat:
		return ev.Args[1]
	}
	return 0
}

func failed(ev *event.Event) (int64, bool) {
	if !returned(ev) {
		return 0, false
	}
	return truth(ev.Ret < 0)
}

// failedAs returns the accessor of evt.count.error.*: whether the call failed, if it is
// one of its kind.
func failedAs(kind errorKind) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) {
		if !returned(ev) || errorKindOf(ev) != kind {
			return 0, false
		}
		return truth(ev.Ret < 0)
	}
}

type errorKind uint8

const (
	errorOther errorKind = iota
	errorFile
	errorNet
	errorMemory
)

func errorKindOf(ev *event.Event) errorKind {
	if _, ok := socket(ev); ok {
		return errorNet
	}
	if _, ok := file(ev); ok || isOpen(ev.Type) {
		return errorFile
	}
	switch ev.Type.Spec().Category {
	case "file":
		return errorFile
	case "net":
		return errorNet
	case "memory":
		return errorMemory
	}
	return errorOther
}

func result(ev *event.Event) ([]byte, bool) {
	if !returned(ev) {
		return nil, false
	}
	if ev.Ret >= 0 {
		return success, true
	}
	start := len(ev.Scratch)
	ev.Scratch = appendErrno(ev.Scratch, -ev.Ret)
	if len(ev.Scratch) == start {
		ev.Scratch = strconv.AppendInt(ev.Scratch, ev.Ret, 10)
	}
	return tail(ev, start), true
}

var success = []byte("SUCCESS")

func arguments(ev *event.Event) ([]byte, bool) {
	start := len(ev.Scratch)
	ev.Scratch = appendArgs(ev.Scratch, ev)
	return tail(ev, start), true
}

// absolutePathArg returns the accessor of the i-th path argument of a call, made
// absolute. A call with one path has only that.
func absolutePathArg(i int) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		paths := ev.Type.Spec().Paths
		if len(paths) == 0 {
			return nil, false
		}
		start := len(ev.Scratch)
		var ok bool
		ev.Scratch, ok = appendAbsolute(ev.Scratch, ev, paths[min(i, len(paths)-1)].Arg)
		return tail(ev, start), ok
	}
}

// evtFields are the fields of system calls as such.
var evtFields = []*Field{
	{Name: "evt.latency", Kind: KindDuration, Deprecated: true, Doc: "Always 0: a system call is one event.", Int: constant(0)},
	{Name: "evt.latency.s", Kind: KindDuration, Deprecated: true, Doc: "Always 0: a system call is one event.", Int: constant(0)},
	{Name: "evt.latency.ns", Kind: KindDuration, Deprecated: true, Doc: "Always 0: a system call is one event.", Int: constant(0)},
	{Name: "evt.latency.quantized", Kind: KindUint, Deprecated: true, Hidden: true, Doc: "Always 0: a system call is one event.", Int: constant(0)},
	{
		Name: "evt.latency.human", Kind: KindText, Deprecated: true, Doc: "Always 0ns: a system call is one event.",
		Text: func(*event.Event) ([]byte, bool) { return zeroNS, true },
	},
	{
		Name: "evt.dir", Kind: KindText, Deprecated: true, Doc: "Always <: an event is reported when the call returns.",
		Text: func(*event.Event) ([]byte, bool) { return exitDir, true },
	},
	{Name: "evt.type", Kind: KindText, Doc: "Name of the system call or event.", Text: typeName},
	bindable(&Field{
		Name: "evt.type.is", Kind: KindUint, Arg: ArgRequired, Dotted: true, argLen: typeLen,
		Doc: "1 if the event has that type, else 0: evt.type.is.execve.",
	}, bindTypeIs),
	{
		Name: "syscall.type", Kind: KindText, Doc: "Name of the system call; no value for events that are none.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if !returned(ev) {
				return nil, false
			}
			return typeName(ev)
		},
	},
	{
		Name: "evt.category", Kind: KindText, Doc: "Category of the event: file, net, process, user, memory, signal, other.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if int(ev.Type) >= len(categoryNames) {
				return categoryNames[event.Unknown], true
			}
			return categoryNames[ev.Type], true
		},
	},
	{Name: "evt.cpu", Kind: KindInt, Doc: "Number of the CPU on which the event happened.", Int: func(ev *event.Event) (int64, bool) { return int64(ev.CPU), true }},
	{Name: "evt.args", Kind: KindText, Doc: "Every parameter as name=value, separated by spaces; in parentheses what the value stands for.", Text: arguments},
	bindable(&Field{
		Name: "evt.arg", Kind: KindText, Arg: ArgRequired, Dotted: true, argLen: paramLen,
		Doc: "One parameter as text, by name or number: evt.arg.flags, evt.arg[0]. Flags, errors and users show their names, descriptors what they refer to, paths are absolute.",
	}, bindArg),
	bindable(&Field{
		Name: "evt.rawarg", Kind: KindText, Arg: ArgRequired, Dotted: true, argLen: paramLen, NoCompare: true, NoTransform: true,
		Doc: "One parameter as it is, by name: evt.rawarg.flags. It has the type of the parameter.",
	}, bindRawArg),
	{Name: "evt.info", Kind: KindText, Doc: "The same as evt.args.", Text: arguments},
	{Name: "evt.res", Kind: KindText, Doc: "SUCCESS, or the name of the error that the call returned.", Text: result},
	{
		Name: "evt.rawres", Kind: KindInt, Doc: "Return value of the call: negative for an error.",
		Int: func(ev *event.Event) (int64, bool) { return ev.Ret, returned(ev) },
	},
	{Name: "evt.failed", Kind: KindBool, Doc: "The call returned an error.", Int: failed},
	{Name: "evt.buflen", Kind: KindUint, Types: readTypes.Union(writeTypes), Doc: "Number of bytes that a call read or wrote.", Int: moved(readTypes.Union(writeTypes))},
	{Name: "evt.buflen.in", Kind: KindUint, Hidden: true, Types: readTypes, Doc: "Number of bytes that a call read.", Int: moved(readTypes)},
	{Name: "evt.buflen.out", Kind: KindUint, Hidden: true, Types: writeTypes, Doc: "Number of bytes that a call wrote.", Int: moved(writeTypes)},
	{Name: "evt.is_io", Kind: KindBool, Doc: "The call reads or writes a descriptor.", Int: isOfType(readTypes.Union(writeTypes))},
	{Name: "evt.is_io_read", Kind: KindBool, Doc: "The call reads a descriptor.", Int: isOfType(readTypes)},
	{Name: "evt.outputtime", Kind: KindText, Clock: true, Doc: "The same as evt.time.", Text: clock("15:04:05.000000000", false)},
	{Name: "evt.is_io_write", Kind: KindBool, Doc: "The call writes a descriptor.", Int: isOfType(writeTypes)},
	{
		Name: "evt.io_dir", Kind: KindText, Doc: "read or write, for a call that does.",
		Types: readTypes.Union(writeTypes),
		Text: func(ev *event.Event) ([]byte, bool) {
			switch {
			case readTypes.Has(ev.Type):
				return directions[0], true
			case writeTypes.Has(ev.Type):
				return directions[1], true
			}
			return nil, false
		},
	},
	{Name: "evt.is_wait", Kind: KindBool, Doc: "The call may wait, such as select(2) and nanosleep(2).", Int: isOfType(waitTypes)},
	{Name: "evt.count", Kind: KindUint, Doc: "Always 1.", Int: constant(1)},
	{Name: "evt.count.error", Kind: KindUint, Doc: "1 if the call returned an error, else 0.", Int: failed},
	{Name: "evt.count.error.file", Kind: KindUint, Doc: "1 if a call on files returned an error, else 0.", Int: failedAs(errorFile)},
	{Name: "evt.count.error.net", Kind: KindUint, Doc: "1 if a call on sockets returned an error, else 0.", Int: failedAs(errorNet)},
	{Name: "evt.count.error.memory", Kind: KindUint, Doc: "1 if a call on memory returned an error, else 0.", Int: failedAs(errorMemory)},
	{Name: "evt.count.error.other", Kind: KindUint, Doc: "1 if any other call returned an error, else 0.", Int: failedAs(errorOther)},
	{Name: "evt.count.exit", Kind: KindUint, Doc: "Always 1: an event is reported when the call returns.", Int: constant(1)},
	bindable(&Field{
		Name: "evt.abspath", Kind: KindText, Arg: ArgOptional, Dotted: true, argLen: sideLen, Text: absolutePathArg(0),
		Doc: "Absolute path made from the path argument of the call and the directory it is relative to. With .src or .dst, of its first or second path.",
	}, func(b *Field, arg string) error {
		switch arg {
		case "src":
			b.Text = absolutePathArg(0)
		case "dst":
			b.Text = absolutePathArg(1)
		default:
			return errPathSide
		}
		return nil
	}),
	{Name: "evt.is_open_read", Kind: KindBool, Doc: "The call opens a file for reading.", Int: opensFor(flagRead)},
	{Name: "evt.is_open_write", Kind: KindBool, Doc: "The call opens a file for writing.", Int: opensFor(flagWrite)},
	{
		Name: "evt.is_open_exec", Kind: KindBool, Doc: "The call makes a file that may be executed.",
		Int: func(ev *event.Event) (int64, bool) {
			flags, ok := openFlags(ev)
			return truth(ok && flags&(flagCreat|flagTmpfile) != 0 && openMode(ev)&0o111 != 0)
		},
	},
	{
		Name: "evt.is_open_create", Kind: KindBool, Doc: "The call made the file.",
		Int: func(ev *event.Event) (int64, bool) {
			flags, ok := openFlags(ev)
			if !ok || ev.Ret < 0 {
				return 0, true
			}
			return truth(flags&flagTmpfile != 0 || ev.Has&event.HasFile != 0 && ev.File.Flags&event.FileCreated != 0)
		},
	},
}

var (
	zeroNS     = []byte("0ns")
	exitDir    = []byte("<")
	directions = [2][]byte{[]byte("read"), []byte("write")}
)
