//go:build linux

// Command loadgen makes system calls as fast as possible, or at a rate, and prints how
// long each took.
//
//	loadgen MODE THREADS OPERATIONS [RATE]
//
// Modes and the system calls of one operation:
//
//	getpid   getpid
//	open     openat to read, close
//	openw    openat to write, close
//	connect  socket, connect to a closed port, close
//	mix      8 open, 4 getpid, 1 openw, 1 connect: 25 calls
//	exec     fork, execve of itself, exit
//
// RATE is operations per second over all threads; 0 or none: no limit. Each thread does
// OPERATIONS operations. The result is one JSON object.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

type generator struct {
	path []byte // NUL-terminated
	addr unix.RawSockaddrInet4
}

func (g *generator) getpid() { unix.RawSyscall(unix.SYS_GETPID, 0, 0, 0) }

func (g *generator) open(flags uintptr) {
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, ^uintptr(99), uintptr(unsafe.Pointer(&g.path[0])), flags, 0o600, 0, 0)
	if errno != 0 {
		fail("open", errno)
	}
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
}

func (g *generator) connect() {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_STREAM, 0)
	if errno != 0 {
		fail("socket", errno)
	}
	if _, _, errno = unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&g.addr)), unsafe.Sizeof(g.addr)); errno == 0 {
		fail("connect", errors.New("port 1 is open"))
	}
	unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
}

func (g *generator) exec() {
	if err := exec.Command("/proc/self/exe", "true").Run(); err != nil {
		fail("exec", err)
	}
}

type mode struct {
	calls int // per operation
	do    func(*generator)
}

var modes = map[string]mode{
	"getpid":  {1, (*generator).getpid},
	"open":    {2, func(g *generator) { g.open(unix.O_RDONLY) }},
	"openw":   {2, func(g *generator) { g.open(unix.O_WRONLY) }},
	"connect": {3, (*generator).connect},
	"mix": {25, func(g *generator) {
		for range 8 {
			g.open(unix.O_RDONLY)
		}
		for range 4 {
			g.getpid()
		}
		g.open(unix.O_WRONLY)
		g.connect()
	}},
	"exec": {1, (*generator).exec},
}

// Result is what loadgen prints.
type Result struct {
	Mode         string  `json:"mode"`
	Threads      int     `json:"threads"`
	Syscalls     int     `json:"syscalls"`
	Wall         float64 `json:"wall"`     // seconds from the first start to the last end
	ThreadS      float64 `json:"thread_s"` // seconds, summed over threads
	CPUS         float64 `json:"cpu_s"`
	NSPerSyscall float64 `json:"ns_per_syscall_wall"`
	NSPerCPU     float64 `json:"ns_per_syscall_cpu"`
	PerSecond    float64 `json:"per_s"`
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "true" {
		return
	}
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: loadgen MODE THREADS OPERATIONS [RATE]")
		os.Exit(2)
	}
	m, ok := modes[os.Args[1]]
	threads, err1 := strconv.Atoi(os.Args[2])
	ops, err2 := strconv.Atoi(os.Args[3])
	if !ok || err1 != nil || err2 != nil || threads < 1 || ops < 1 {
		fmt.Fprintf(os.Stderr, "loadgen: cannot use %v\n", os.Args[1:])
		os.Exit(2)
	}
	rate := 0.0
	if len(os.Args) > 4 {
		rate, err1 = strconv.ParseFloat(os.Args[4], 64)
		if err1 != nil {
			fmt.Fprintf(os.Stderr, "loadgen: rate %q is not a number\n", os.Args[4])
			os.Exit(2)
		}
	}
	file, err := os.CreateTemp("", "loadgen.")
	if err != nil {
		fail("make file", err)
	}
	file.Close()
	defer os.Remove(file.Name())

	r := run(m, threads, ops, rate, append([]byte(file.Name()), 0))
	r.Mode = os.Args[1]
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		fail("print", err)
	}
}

func run(m mode, threads, ops int, rate float64, path []byte) Result {
	var per time.Duration
	if rate > 0 {
		per = time.Duration(float64(threads) / rate * float64(time.Second))
	}
	starts, ends := make([]time.Time, threads), make([]time.Time, threads)
	var ready, done sync.WaitGroup
	ready.Add(threads)
	for i := range threads {
		done.Go(func() {
			runtime.LockOSThread()
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
			g := &generator{path: path, addr: unix.RawSockaddrInet4{Family: unix.AF_INET, Port: 1 << 8, Addr: [4]byte{127, 0, 0, 1}}}
			ready.Done()
			ready.Wait()
			starts[i] = time.Now()
			for op := range ops {
				m.do(g)
				if per > 0 && op%16 == 15 {
					ahead := time.Until(starts[i].Add(time.Duration(op+1) * per))
					if ahead > 30*time.Microsecond {
						ts := unix.NsecToTimespec(int64(ahead))
						_ = unix.Nanosleep(&ts, nil)
					}
				}
			}
			ends[i] = time.Now()
		})
	}
	done.Wait()

	r := Result{Threads: threads, Syscalls: ops * threads * m.calls}
	first, last := starts[0], ends[0]
	for i := range threads {
		if starts[i].Before(first) {
			first = starts[i]
		}
		if ends[i].After(last) {
			last = ends[i]
		}
		r.ThreadS += ends[i].Sub(starts[i]).Seconds()
	}
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	r.Wall = last.Sub(first).Seconds()
	r.CPUS = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	r.NSPerSyscall = r.ThreadS / float64(r.Syscalls) * 1e9
	r.NSPerCPU = r.CPUS / float64(r.Syscalls) * 1e9
	r.PerSecond = float64(r.Syscalls) / r.Wall
	return r
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "loadgen: %s: %v\n", what, err)
	os.Exit(1)
}
