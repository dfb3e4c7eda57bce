package field

import (
	"bytes"
	"strconv"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// atFDCWD is the descriptor that stands for the working directory.
const atFDCWD = -100

// paramNumber returns parameter p of ev as the number that rules compare with.
func paramNumber(ev *event.Event, p *event.Param) (int64, bool) {
	if i, ok := p.From.ArgIndex(); ok {
		return argNumber(ev, p, ev.Args[i]), true
	}
	switch p.From {
	case event.Ret:
		return ev.Ret, true
	case event.FileDev:
		return encodeDev(ev.File.Dev), true
	case event.FileIno:
		return int64(ev.File.Ino), true
	case event.Computed:
		return computedNumber(ev, p)
	}
	return 0, false
}

// argNumber gives raw argument a its type: registers are wider than most.
func argNumber(ev *event.Event, p *event.Param, a uint64) int64 {
	switch p.Kind {
	case event.KindFD, event.KindPID:
		return int64(int32(a))
	case event.KindInt:
		if ev.Type == event.Prctl && ev.Str[1] != nil {
			return 0 // the argument is a text
		}
		// Callers fill the upper half of the register of an int as they like.
		if h := a >> 32; h == 0 || h == 1<<32-1 {
			return int64(int32(a))
		}
		return int64(a)
	case event.KindUID, event.KindGID:
		return int64(uint32(a))
	case event.KindSignal:
		return int64(uint8(a))
	case event.KindOct:
		// A mode means something only to a call that may create a file.
		if flags, ok := openFlags(ev); ok && ev.Type != event.Creat && flags&(flagCreat|flagTmpfile) == 0 {
			return 0
		}
		return int64(uint32(a))
	case event.KindFlags, event.KindEnum:
		n := int64(p.Flags.Value(a))
		if p.Flags == event.FileFlagTable {
			n |= fileFlags(ev)
		}
		return n
	}
	return int64(a)
}

// Values of event.FileFlagTable that fields ask for.
const (
	flagRead      = 0x1
	flagWrite     = 0x2
	flagCreat     = 0x4
	flagTmpfile   = 0x2000
	flagCreated   = 0x4000
	flagUpper     = 0x8000
	flagLower     = 0x10000
	creatUpper    = 0x1
	creatLower    = 0x2
	exeWritable   = 0x1
	exeUpperLayer = 0x2
	exeFromMemfd  = 0x4
	exeLowerLayer = 0x8
)

// fileFlags returns the flags of an open that tell what came of it.
func fileFlags(ev *event.Event) int64 {
	var n int64
	if ev.Has&event.HasFile == 0 {
		return 0
	}
	if ev.File.Flags&event.FileCreated != 0 {
		n |= flagCreated
	}
	if ev.File.Flags&event.FileUpper != 0 {
		n |= flagUpper
	}
	if ev.File.Flags&event.FileLower != 0 {
		n |= flagLower
	}
	return n
}

// encodeDev converts a device number of the kernel, major<<20|minor, to the form that
// stat(2) and rules use.
func encodeDev(dev uint32) int64 {
	major, minor := dev>>20, dev&(1<<20-1)
	return int64(minor&0xff | major<<8 | minor&^0xff<<12)
}

func computedNumber(ev *event.Event, p *event.Param) (int64, bool) {
	if ev.Type == event.ProcExit {
		// The status is that of wait(2).
		status := ev.Ret
		switch p.Name {
		case "ret":
			if status&0x7f != 0 {
				return 0, true
			}
			return status >> 8 & 0xff, true
		case "sig":
			return status & 0x7f, true
		case "core":
			return status >> 7 & 1, true
		}
		return 0, false
	}
	switch p.Name {
	case "tid":
		return int64(ev.TID), true
	case "uid":
		return int64(ev.UID), true
	case "gid":
		return int64(ev.GID), true
	case "creat_flags":
		var n int64
		if ev.File.Flags&event.FileUpper != 0 {
			n |= creatUpper
		}
		if ev.File.Flags&event.FileLower != 0 {
			n |= creatLower
		}
		return n, ev.Has&event.HasFile != 0
	}
	img, ok := imageOf(ev)
	if !ok {
		return 0, false
	}
	switch p.Name {
	case "pid":
		return int64(ev.Proc.PID), true
	case "ptid":
		return int64(img.PPID), true
	case "tty":
		return int64(img.TTY), true
	case "loginuid":
		return int64(img.LoginUID), true
	case "pgid":
		return int64(img.PGID), true
	case "vpgid":
		return int64(img.VPGID), true
	case "vpid":
		return int64(img.VPID), true
	case "vtid":
		return int64(img.VTID), ev.TID == ev.Proc.PID
	case "flags":
		return exeFlags(img), true
	case "cap_inheritable":
		return int64(img.CapInheritable), true
	case "cap_permitted":
		return int64(img.CapPermitted), true
	case "cap_effective":
		return int64(img.CapEffective), true
	case "exe_ino":
		return int64(img.ExeIno), true
	case "exe_ino_ctime":
		return img.ExeCtime, true
	case "exe_ino_mtime":
		return img.ExeMtime, true
	case "pidns_init_start_ts":
		return img.PIDNSInit, true
	}
	return 0, false
}

func exeFlags(img *event.Image) int64 {
	var n int64
	if img.ExeWritable {
		n |= exeWritable
	}
	if img.ExeFlags&event.FileUpper != 0 {
		n |= exeUpperLayer
	}
	if img.ExeFlags&event.FileMemfd != 0 {
		n |= exeFromMemfd
	}
	if img.ExeFlags&event.FileLower != 0 {
		n |= exeLowerLayer
	}
	return n
}

// paramBytes returns a text parameter as it is, without copying it where possible.
func paramBytes(ev *event.Event, p *event.Param) ([]byte, bool) {
	if i, ok := p.From.StrIndex(); ok {
		return known(ev.Str[i])
	}
	start := len(ev.Scratch)
	switch p.From {
	case event.FilePath:
		return ev.File.Path, ev.Has&event.HasFile != 0
	case event.SockTuple, event.SockAddr:
		var ok bool
		if ev.Scratch, ok = appendParam(ev.Scratch, ev, p); !ok {
			return nil, false
		}
		return tail(ev, start), true
	case event.Computed:
		img, ok := imageOf(ev)
		if !ok {
			return nil, false
		}
		switch p.Name {
		case "exe":
			return known(img.Exe)
		case "comm":
			return known(img.Name)
		case "cwd":
			return known(img.CWD)
		case "trusted_exepath":
			return known(img.ExePath)
		case "cgroups":
			return known(img.Cgroup)
		case "args", "env":
			v := img.Args
			if p.Name == "env" {
				v = img.Env
			}
			if v == nil {
				return nil, false
			}
			for _, s := range v {
				ev.Scratch = append(ev.Scratch, s...)
				ev.Scratch = append(ev.Scratch, 0)
			}
			return tail(ev, start), true
		}
	}
	return nil, false
}

// appendParam appends parameter p as a text, unresolved: numbers for IDs, descriptors
// and flags, paths as they were passed.
func appendParam(dst []byte, ev *event.Event, p *event.Param) ([]byte, bool) {
	switch p.Kind {
	case event.KindText, event.KindPath, event.KindRelPath:
		b, ok := paramBytes(ev, p)
		return append(dst, b...), ok
	case event.KindBytes:
		return appendBytesParam(dst, ev, p)
	case event.KindTuple:
		return appendTuple(dst, ev)
	case event.KindAddr:
		return appendSockAddr(dst, ev)
	}
	n, ok := paramNumber(ev, p)
	if !ok {
		return dst, false
	}
	switch p.Kind {
	case event.KindHex:
		return appendNumber(dst, n, PrintHex), true
	case event.KindOct:
		return appendNumber(dst, n, PrintOct), true
	case event.KindFlags:
		if p.Flags == event.ChmodModeTable {
			return appendNumber(dst, n, PrintOct), true
		}
	case event.KindUID, event.KindGID:
		if n == 1<<32-1 {
			n = -1
		}
	case event.KindUint:
		return strconv.AppendUint(dst, uint64(n), 10), true
	case event.KindTime:
		return time.Unix(0, n).AppendFormat(dst, "2006-01-02 15:04:05.000000000"), true
	}
	return strconv.AppendInt(dst, n, 10), true
}

func appendBytesParam(dst []byte, ev *event.Event, p *event.Param) ([]byte, bool) {
	img, ok := imageOf(ev)
	if !ok || p.From != event.Computed {
		return dst, false
	}
	switch p.Name {
	case "args":
		return appendVector(dst, img.Args), img.Args != nil
	case "env":
		return appendVector(dst, img.Env), img.Env != nil
	case "cgroups":
		return appendPrintable(dst, img.Cgroup), img.Cgroup != nil
	}
	return dst, false
}

// appendResolved appends what parameter p stands for (the name of an error, a user or
// a flag, what a descriptor refers to, an absolute path), or nothing if it stands for
// nothing else.
func appendResolved(dst []byte, ev *event.Event, p *event.Param) []byte {
	switch p.Kind {
	case event.KindPath, event.KindRelPath:
		return appendResolvedPath(dst, ev, p)
	case event.KindText, event.KindBytes, event.KindTuple, event.KindAddr:
		return dst
	}
	n, ok := paramNumber(ev, p)
	if !ok {
		return dst
	}
	switch p.Kind {
	case event.KindErrno, event.KindInt:
		if p.From == event.Ret || p.Kind == event.KindErrno {
			return appendErrno(dst, -n)
		}
	case event.KindFD:
		return appendDescriptor(dst, ev, p, n)
	case event.KindPID:
		if n < 0 && p.From == event.Ret {
			return appendErrno(dst, -n)
		}
		return appendPIDName(dst, ev, p, n)
	case event.KindUID:
		if p.Name == "loginuid" && n == -1 {
			return append(dst, "<NONE>"...)
		}
		if u := namesOf(ev).User(uint32(n)); u != nil {
			return append(dst, u.Name...)
		}
	case event.KindGID:
		if g := namesOf(ev).Group(uint32(n)); g != nil {
			return append(dst, g.Name...)
		}
	case event.KindSignal:
		return appendSignal(dst, n)
	case event.KindFlags, event.KindEnum:
		return p.Flags.AppendNames(dst, uint32(n))
	}
	return dst
}

func appendResolvedPath(dst []byte, ev *event.Event, p *event.Param) []byte {
	i, ok := p.From.StrIndex()
	if !ok {
		return dst // the kernel resolved it
	}
	start := len(dst)
	dst, ok = appendAbsolute(dst, ev, i)
	if !ok || bytes.Equal(dst[start:], ev.Str[i]) {
		return dst[:start]
	}
	return dst
}

func appendDescriptor(dst []byte, ev *event.Event, p *event.Param, n int64) []byte {
	spec := ev.Type.Spec()
	switch {
	case n == atFDCWD:
		return append(dst, "AT_FDCWD"...)
	case n < 0 && p.From == event.Ret:
		return appendErrno(dst, -n)
	case n < 0:
		return dst
	case p.From == spec.Object:
		return appendObject(dst, ev)
	}
	arg, _ := p.From.ArgIndex()
	for i, path := range spec.Paths {
		dir := baseOf(ev, i)
		if path.Dir == arg && len(dir) > 0 {
			dst = append(dst, "<d>"...)
			return appendPath(dst, dir, nil)
		}
	}
	return dst
}

func appendPIDName(dst []byte, ev *event.Event, p *event.Param, n int64) []byte {
	img, ok := imageOf(ev)
	if !ok || n < 0 {
		return dst
	}
	switch {
	case n == int64(ev.Proc.PID) || n == int64(ev.TID):
		return append(dst, img.Name...)
	case p.Name == "ptid" && ev.Proc.Parent() != nil:
		return append(dst, ev.Proc.Parent().Image().Name...)
	}
	return dst
}

// appendArg appends parameter p as evt.arg shows it: resolved if it stands for
// something.
func appendArg(dst []byte, ev *event.Event, p *event.Param) ([]byte, bool) {
	start := len(dst)
	if dst = appendResolved(dst, ev, p); len(dst) > start {
		return dst, true
	}
	return appendParam(dst, ev, p)
}

// appendArgs appends every parameter of ev: name=value, and in parentheses what the
// value stands for.
func appendArgs(dst []byte, ev *event.Event) []byte {
	spec := ev.Type.Spec()
	for i := range spec.Params {
		p := &spec.Params[i]
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, p.Name...)
		dst = append(dst, '=')
		start := len(dst)
		var ok bool
		dst, ok = appendParam(dst, ev, p)
		switch {
		case !ok:
			dst = append(dst[:start], notAvailable...)
			continue
		case len(dst) == start && p.Kind == event.KindBytes:
			dst = append(dst, "NULL"...)
		}
		open := len(dst)
		dst = append(dst, '(')
		dst = appendResolved(dst, ev, p)
		if len(dst) == open+1 {
			dst = dst[:open]
			continue
		}
		dst = append(dst, ')')
	}
	return dst
}

// positions maps every type to the place of one parameter among its own, or -1.
type positions [event.MaxTypes]int8

// positionsOf returns where parameter name is, on which types, and the parameter
// itself as some of them have it: a number if any does. Parameters that no event
// delivers do not count.
func positionsOf(name string) (at *positions, types event.TypeSet, like *event.Param) {
	at = new(positions)
	for i := range at {
		at[i] = -1
	}
	specs := event.Specs()
	for t := range specs {
		for i := range specs[t].Params {
			p := &specs[t].Params[i]
			if p.Name != name || p.From == event.None {
				continue
			}
			at[t] = int8(i)
			types.Add(event.Type(t))
			if like == nil || !isNumeric(like.Kind) && isNumeric(p.Kind) {
				like = p
			}
			break
		}
	}
	return at, types, like
}

// of returns the parameter of ev, or nil if its type has none.
func (at *positions) of(ev *event.Event) *event.Param {
	if i := at[ev.Type%event.MaxTypes]; i >= 0 {
		return &ev.Type.Spec().Params[i]
	}
	return nil
}

func isNumeric(k event.ParamKind) bool {
	switch k {
	case event.KindText, event.KindPath, event.KindRelPath, event.KindBytes, event.KindTuple, event.KindAddr:
		return false
	}
	return true
}
