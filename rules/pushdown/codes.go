package pushdown

import (
	"math/bits"
	"slices"
	"strings"
	"sync"

	"github.com/windhover/windhover/rules/ir"
)

// Codes returns how many event codes of Falco x restricts itself to by naming types, as
// Falco's loader counts them: a type has a code for the start and one for the end of a
// call, more if its parameters once were others, and all types without parameters of
// their own share two. Every other comparison holds for every code, negated or not.
func Codes(x ir.Expr) int {
	w := codeWalk{done: map[ir.Expr]codeVerdict{}}
	return w.expr(x).holds.count()
}

// ownCodes are the names that have codes of their own, by how many.
var ownCodes = map[int]string{
	1: `
		asyncevent close_range cpu_hotplug groupadded groupdeleted infra k8s keyctl mesos notification
		page_fault pluginevent procinfo scapevent signaldeliver task task_file_anon_inode
		task_file_directory task_file_memfd task_file_pipe task_file_regular task_file_socket_inet
		task_file_socket_inet6 task_file_socket_netlink task_file_socket_unix tracer useradded
		userdeleted
	`,
	2: `
		accept4 access bind capset chdir chmod chown chroot clone3 close connect copy_file_range creat
		delete_module drop dup2 dup3 epoll_create epoll_create1 epoll_wait eventfd eventfd2 execveat
		fchdir fchmod fchmodat fchown fchownat fcntl finit_module flock fsconfig fstat fstat64 futex
		getcwd getdents getdents64 getegid geteuid getgid getpeername getresgid getresuid getrlimit
		getsockname getsockopt getuid init_module inotify_init inotify_init1 io_uring_enter
		io_uring_register io_uring_setup kill lchown listen llseek lseek lstat lstat64 memfd_create
		mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mount mprotect munlock munlockall munmap
		nanosleep newfstatat open open_by_handle_at openat2 pidfd_getfd pidfd_open pipe pipe2 poll ppoll
		prctl pread preadv prlimit process_vm_readv process_vm_writev procexit ptrace pwrite pwritev
		quotactl read readv recv recvfrom recvmmsg recvmsg rename renameat renameat2 seccomp semctl
		semget semop send sendfile sendmmsg sendmsg sendto setgid setns setpgid setregid setresgid
		setresuid setreuid setrlimit setsid setsockopt setuid shutdown signalfd signalfd4 socket
		socketpair splice stat stat64 switch symlink symlinkat tgkill timerfd_create tkill umount2
		unshare userfaultfd write writev
	`,
	3: `
		container
	`,
	4: `
		bpf brk dup ioctl link linkat mkdir openat rmdir select umount unlink unlinkat
	`,
	6: `
		fork vfork
	`,
	8: `
		accept clone
	`,
	16: `
		execve
	`,
	35: `
		NA
	`,
}

// codeNames are the names of ownCodes, in order, and the last stands for all others.
var codeNames = sync.OnceValue(func() (t struct {
	index  map[string]int
	counts []int
},
) {
	var counts []int
	for n := range ownCodes {
		counts = append(counts, n)
	}
	slices.Sort(counts)
	t.index = map[string]int{}
	for _, n := range counts {
		for name := range strings.FieldsSeq(ownCodes[n]) {
			t.index[name] = len(t.counts)
			t.counts = append(t.counts, n)
		}
	}
	t.counts = append(t.counts, 2)
	return t
})

// codeSet holds indexes of codeNames.
type codeSet [4]uint64

func (s codeSet) count() int {
	n := 0
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			n += codeNames().counts[64*i+bits.TrailingZeros64(w)]
		}
	}
	return n
}

func (s codeSet) combine(t codeSet, f func(a, b uint64) uint64) codeSet {
	for i := range s {
		s[i] = f(s[i], t[i])
	}
	return s
}

func both(a, b uint64) uint64   { return a & b }
func either(a, b uint64) uint64 { return a | b }

// allCodes has every index.
func allCodes() (s codeSet) {
	for i := range codeNames().counts {
		s[i/64] |= 1 << (i % 64)
	}
	return s
}

// codeVerdict is a verdict in codes.
type codeVerdict struct{ holds, fails codeSet }

type codeWalk struct{ done map[ir.Expr]codeVerdict }

func (w *codeWalk) expr(x ir.Expr) codeVerdict {
	switch x := x.(type) {
	case *ir.And:
		return w.join(x, x.X, both, either, codeVerdict{holds: allCodes()})
	case *ir.Or:
		return w.join(x, x.X, either, both, codeVerdict{fails: allCodes()})
	case *ir.Not:
		v := w.expr(x.X)
		return codeVerdict{v.fails, v.holds}
	case *ir.Types:
		if x.Named {
			return namedCodes(x)
		}
	}
	return codeVerdict{allCodes(), allCodes()}
}

func (w *codeWalk) join(x ir.Expr, xs []ir.Expr, holds, fails func(a, b uint64) uint64, v codeVerdict) codeVerdict {
	if done, ok := w.done[x]; ok {
		return done
	}
	for _, op := range xs {
		o := w.expr(op)
		v = codeVerdict{v.holds.combine(o.holds, holds), v.fails.combine(o.fails, fails)}
	}
	w.done[x] = v
	return v
}

func namedCodes(x *ir.Types) codeVerdict {
	t, set := codeNames(), codeSet{}
	for _, name := range x.Names {
		i, ok := t.index[name]
		if !ok {
			i = len(t.counts) - 1
		}
		set[i/64] |= 1 << (i % 64)
	}
	not := allCodes().combine(set, func(a, b uint64) uint64 { return a &^ b })
	if x.Except {
		return codeVerdict{not, set}
	}
	return codeVerdict{set, not}
}
