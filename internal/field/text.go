package field

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/windhover/windhover/internal/event"
)

// tail returns what was appended to the event's scratch memory since it was start
// bytes long. Later appends do not touch it.
func tail(ev *event.Event, start int) []byte {
	return ev.Scratch[start:len(ev.Scratch):len(ev.Scratch)]
}

// known returns b as the value of a text accessor: nil is not known.
func known(b []byte) ([]byte, bool) { return b, b != nil }

func number(ok bool, n int64) (int64, bool) {
	if !ok {
		return 0, false
	}
	return n, true
}

func truth(b bool) (int64, bool) {
	if b {
		return 1, true
	}
	return 0, true
}

// notAvailable is the text that the rule language has for a name that is not known.
var notAvailable = []byte("<NA>")

// appendPath appends the path that name is below base, without ".", ".." and double
// slashes, or name alone if it is absolute. It goes by the letters: links are not
// followed.
func appendPath(dst, base, name []byte) []byte {
	start := len(dst)
	if len(name) == 0 || name[0] != '/' {
		dst = appendClean(dst, start, base)
	}
	dst = appendClean(dst, start, name)
	if len(dst) == start {
		dst = append(dst, '/')
	}
	return dst
}

// appendClean appends the components of p to the path that begins at start.
func appendClean(dst []byte, start int, p []byte) []byte {
	for len(p) > 0 {
		var c []byte
		if i := bytes.IndexByte(p, '/'); i >= 0 {
			c, p = p[:i], p[i+1:]
		} else {
			c, p = p, nil
		}
		switch {
		case len(c) == 0 || len(c) == 1 && c[0] == '.':
		case len(c) == 2 && c[0] == '.' && c[1] == '.':
			if i := bytes.LastIndexByte(dst[start:], '/'); i >= 0 {
				dst = dst[:start+i]
			}
		default:
			dst = append(dst, '/')
			dst = append(dst, c...)
		}
	}
	return dst
}

// appendPrintable appends b with a dot for every byte that does not print.
func appendPrintable(dst, b []byte) []byte {
	for _, c := range b {
		if c < ' ' || c > '~' {
			c = '.'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendVector appends strings, each followed by a dot, as a buffer of strings with
// terminators looks when it is printed.
func appendVector(dst []byte, v [][]byte) []byte {
	for _, s := range v {
		dst = appendPrintable(dst, s)
		dst = append(dst, '.')
	}
	return dst
}

// appendNumber appends n as p says.
func appendNumber(dst []byte, n int64, p Print) []byte {
	switch p {
	case PrintHex:
		start := len(dst)
		dst = strconv.AppendUint(dst, uint64(n), 16)
		for i := start; i < len(dst); i++ {
			if dst[i] >= 'a' {
				dst[i] -= 'a' - 'A'
			}
		}
		return dst
	case PrintOct:
		if n != 0 {
			dst = append(dst, '0')
		}
		return strconv.AppendUint(dst, uint64(n), 8)
	case PrintPad9:
		var digits [20]byte
		d := strconv.AppendUint(digits[:0], uint64(n), 10)
		for i := len(d); i < 9; i++ {
			dst = append(dst, '0')
		}
		return append(dst, d...)
	default:
		return strconv.AppendInt(dst, n, 10)
	}
}

// appendAddrPort appends address:port, IPv6 addresses without brackets.
func appendAddrPort(dst []byte, ip netip.Addr, port uint16) []byte {
	dst = ip.AppendTo(dst)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, uint64(port), 10)
}

// appendErrno appends the name of error number n, or nothing.
func appendErrno(dst []byte, n int64) []byte {
	if n > 0 && n < int64(len(errnoNames)) {
		return append(dst, errnoNames[n]...)
	}
	return dst
}

// errnoNames holds include/uapi/asm-generic/errno.h, which is the same on every
// architecture that Windhover runs on.
var errnoNames = [...]string{
	1: "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD",
	11: "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR",
	21: "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS",
	31: "EMLINK", "EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP",
	42: "ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC", "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT",
	52: "EBADE", "EBADR", "EXFULL", "ENOANO", "EBADRQC", "EBADSLT",
	59: "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE", "ENOLINK", "EADV",
	69: "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ", "EBADFD", "EREMCHG",
	79: "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK",
	89: "EDESTADDRREQ", "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP", "EPFNOSUPPORT", "EAFNOSUPPORT", "EADDRINUSE",
	99: "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN", "ENOTCONN", "ESHUTDOWN",
	109: "ETOOMANYREFS", "ETIMEDOUT", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS", "ESTALE", "EUCLEAN", "ENOTNAM",
	119: "ENAVAIL", "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED", "ENOKEY", "EKEYEXPIRED", "EKEYREVOKED",
	129: "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
	// What a call returns inside the kernel when a signal interrupts it: include/linux/errno.h.
	512: "ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ENOIOCTLCMD", "ERESTART_RESTARTBLOCK",
}

// appendSignal appends the name of signal n, or nothing.
func appendSignal(dst []byte, n int64) []byte {
	if n > 0 && n < int64(len(signalNames)) {
		return append(dst, signalNames[n]...)
	}
	return dst
}

// signalNames holds include/uapi/asm-generic/signal.h.
var signalNames = [...]string{
	1: "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
	11: "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",
	21: "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
	31: "SIGSYS",
}
