package state

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// Bounds of what is read of the user and group files of a container: they are under
// the control of whoever runs in it.
const (
	maxNameFile    = 1 << 20
	maxNameEntries = 1 << 16
	maxNameSets    = 1024
	maxCandidates  = 8
	minRecheck     = 10 * time.Millisecond
	hostRecheck    = time.Second
	refreshEvery   = 30 * time.Second
)

// NameReader reads the users and groups of each mount namespace, in the background.
type NameReader struct {
	proc     string // where procfs is mounted
	hostRoot string // where the host's files are
	host     *nameSet
	// hostAsked is when the files of the host were last asked for, in nanoseconds since
	// the Unix epoch.
	hostAsked atomic.Int64

	mu   sync.Mutex
	sets map[uint32]*nameSet // by inode of the mount namespace

	asked  chan *nameSet
	failed atomic.Uint64
}

// nameSet is the names of one mount namespace.
type nameSet struct {
	names event.Names
	ns    uint32

	// Guarded by NameReader.mu. Most processes of a container are gone when their names
	// are read: several are tried, and one that lives is kept.
	candidates []int32
	found      bool      // one of them was in the namespace when last looked for
	made       time.Time // when the namespace was first met
	asked      time.Time // when its files were last asked for

	// The rest belongs to Run.
	pid    int32 // through which the files were read
	stamp  [2]fileStamp
	misses int
}

// fileStamp changes when a file does.
type fileStamp struct {
	size int64
	mod  time.Time
}

// NewNameReader returns a reader of the names of the host whose procfs is mounted at
// proc and whose files are below hostRoot: "/proc" and "/" but in a container.
func NewNameReader(proc, hostRoot string) *NameReader {
	r := &NameReader{
		proc: proc, hostRoot: hostRoot,
		sets:  make(map[uint32]*nameSet),
		asked: make(chan *nameSet, 64),
		host:  &nameSet{},
	}
	if ns, err := namespace(proc+"/1", "mnt"); err == nil {
		r.host.ns = ns
	} else if ns, err := namespace(proc+"/self", "mnt"); err == nil {
		r.host.ns = ns
	}
	return r
}

// Of returns the names of the mount namespace that pid, a child of ppid, is in. They are
// empty until Run has read them. It never blocks on a file.
//
// It has the files looked at again, those of the host once in a second, those of another
// namespace the more often the younger it is: one of a container shows the files of the
// host until its own are mounted.
func (r *NameReader) Of(mntNS uint32, pid, ppid int32) *event.Names {
	now := time.Now()
	if mntNS == 0 || mntNS == r.host.ns {
		last := r.hostAsked.Load()
		if t := now.UnixNano(); t-last > int64(hostRecheck) && r.hostAsked.CompareAndSwap(last, t) {
			r.ask(r.host)
		}
		return &r.host.names
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.sets[mntNS]
	if !ok {
		if len(r.sets) >= maxNameSets {
			for ns := range r.sets {
				delete(r.sets, ns)
				break
			}
		}
		s = &nameSet{ns: mntNS, made: now}
		r.sets[mntNS] = s
	}
	for _, p := range [2]int32{pid, ppid} {
		if s.found || slices.Contains(s.candidates, p) {
			continue
		}
		if len(s.candidates) == maxCandidates {
			s.candidates = slices.Delete(s.candidates, 0, 1)
		}
		s.candidates = append(s.candidates, p)
	}
	if now.Sub(s.asked) < max(minRecheck, s.asked.Sub(s.made)/4) {
		return &s.names
	}
	if r.ask(s) {
		s.asked = now
	}
	return &s.names
}

// ask has the files of s looked at, unless too much is asked for: then the next refresh
// does it.
func (r *NameReader) ask(s *nameSet) bool {
	select {
	case r.asked <- s:
		return true
	default:
		return false
	}
}

// ReadHost reads the names of the host now.
func (r *NameReader) ReadHost() { r.refresh(r.host) }

// Run reads what is asked for, and again what has changed, until ctx is done.
func (r *NameReader) Run(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-r.asked:
			r.refresh(s)
		case <-ticker.C:
			r.refreshAll()
		}
	}
}

func (r *NameReader) refreshAll() {
	r.refresh(r.host)
	r.mu.Lock()
	sets := make([]*nameSet, 0, len(r.sets))
	for _, s := range r.sets {
		sets = append(sets, s)
	}
	r.mu.Unlock()
	for _, s := range sets {
		if r.refresh(s) {
			s.misses = 0
			continue
		}
		// The processes that were known may be gone while others of the namespace live
		// on: they make themselves known when they announce themselves.
		if s.misses++; s.misses >= 3 {
			r.mu.Lock()
			if r.sets[s.ns] == s {
				delete(r.sets, s.ns)
			}
			r.mu.Unlock()
		}
	}
}

// refresh reads the files of s if they changed. It reports false if the namespace
// cannot be reached.
func (r *NameReader) refresh(s *nameSet) bool {
	dir := r.hostRoot
	if s != r.host {
		pid := r.inside(s)
		if pid == 0 {
			return false
		}
		dir = r.task(pid) + "/root"
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		r.failed.Add(1)
		return false
	}
	defer root.Close()
	if s != r.host && remote(root) {
		return false
	}
	passwd, passwdStamp, err1 := r.read(root, "etc/passwd", s.stamp[0])
	group, groupStamp, err2 := r.read(root, "etc/group", s.stamp[1])
	if passwdStamp == s.stamp[0] && groupStamp == s.stamp[1] {
		return true
	}
	// One file changed: both are needed, since names are swapped as a whole.
	if passwd == nil && err1 == nil {
		passwd, passwdStamp, err1 = r.read(root, "etc/passwd", fileStamp{})
	}
	if group == nil && err2 == nil {
		group, groupStamp, err2 = r.read(root, "etc/group", fileStamp{})
	}
	if err1 != nil || err2 != nil {
		r.failed.Add(1)
	}
	s.stamp = [2]fileStamp{passwdStamp, groupStamp}
	s.names.Set(parsePasswd(passwd), parseGroup(group))
	return true
}

// inside returns a process that is in the namespace of s, or 0.
func (r *NameReader) inside(s *nameSet) int32 {
	r.mu.Lock()
	candidates := slices.Clone(s.candidates)
	r.mu.Unlock()
	found := int32(0)
	for _, pid := range append([]int32{s.pid}, candidates...) {
		if pid == 0 {
			continue
		}
		// The PID may be another process by now.
		if ns, err := namespace(r.task(pid), "mnt"); err == nil && ns == s.ns {
			found = pid
			break
		}
	}
	r.mu.Lock()
	s.found = found != 0
	if s.found {
		s.candidates = nil
	}
	r.mu.Unlock()
	s.pid = found
	return found
}

func (r *NameReader) task(pid int32) string { return r.proc + "/" + strconv.Itoa(int(pid)) }

// read returns the contents of a regular file below root, or nil if its stamp is old
// or there is no such file. Symbolic links are followed inside root only, and a named
// pipe is not waited for.
func (r *NameReader) read(root *os.Root, name string, old fileStamp) ([]byte, fileStamp, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|nonblock, 0)
	if os.IsNotExist(err) {
		return nil, fileStamp{}, nil
	}
	if err != nil {
		return nil, fileStamp{}, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fileStamp{}, fmt.Errorf("stat %s: %w", name, err)
	}
	if !fi.Mode().IsRegular() {
		return nil, fileStamp{}, fmt.Errorf("read %s: it is no regular file", name)
	}
	stamp := fileStamp{size: fi.Size(), mod: fi.ModTime()}
	if stamp == old {
		return nil, stamp, nil
	}
	b, err := io.ReadAll(io.LimitReader(f, maxNameFile))
	if err != nil {
		return nil, fileStamp{}, fmt.Errorf("read %s: %w", name, err)
	}
	return b, stamp, nil
}

// parsePasswd reads passwd(5). Lines that are no entry, and those of NIS (+ and -),
// are skipped.
func parsePasswd(b []byte) []event.User {
	var users []event.User
	for line := range bytes.Lines(b) {
		f := bytes.Split(bytes.TrimRight(line, "\r\n"), []byte{':'})
		if len(f) != 7 {
			continue
		}
		id, ok := entryID(f)
		if !ok {
			continue
		}
		users = append(users, event.User{ID: id, Name: f[0], Home: f[5], Shell: f[6]})
		if len(users) == maxNameEntries {
			break
		}
	}
	return users
}

// parseGroup reads group(5) like parsePasswd.
func parseGroup(b []byte) []event.Group {
	var groups []event.Group
	for line := range bytes.Lines(b) {
		f := bytes.SplitN(bytes.TrimRight(line, "\r\n"), []byte{':'}, 4)
		if len(f) != 4 {
			continue
		}
		id, ok := entryID(f)
		if !ok {
			continue
		}
		groups = append(groups, event.Group{ID: id, Name: f[0]})
		if len(groups) == maxNameEntries {
			break
		}
	}
	return groups
}

func entryID(f [][]byte) (uint32, bool) {
	if len(f[0]) == 0 || len(f[0]) > 256 || f[0][0] == '+' || f[0][0] == '-' {
		return 0, false
	}
	id, err := strconv.ParseUint(string(f[2]), 10, 32)
	return uint32(id), err == nil
}
