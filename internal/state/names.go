package state

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
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
	refreshEvery   = 30 * time.Second
)

// NameReader reads the users and groups of each mount namespace, in the background.
type NameReader struct {
	proc     string // where procfs is mounted
	hostRoot string // where the host's files are
	host     *nameSet

	mu   sync.Mutex
	sets map[uint32]*nameSet // by inode of the mount namespace

	asked  chan *nameSet
	failed atomic.Uint64
}

// nameSet is the names of one mount namespace.
type nameSet struct {
	names event.Names
	pid   atomic.Int32 // a process in the namespace
	ns    uint32

	// The rest belongs to Run.
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

// Of returns the names of the mount namespace that pid is in. They are empty until Run
// has read them. It never blocks on a file.
func (r *NameReader) Of(mntNS uint32, pid int32) *event.Names {
	if mntNS == 0 || mntNS == r.host.ns {
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
		s = &nameSet{ns: mntNS}
		r.sets[mntNS] = s
	}
	s.pid.Store(pid)
	if !ok {
		select {
		case r.asked <- s:
		default: // the next refresh reads it
		}
	}
	return &s.names
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
			continue
		}
		// The process may have gone while others of its namespace live on: they
		// bring a new PID when they announce themselves.
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
		pid := s.pid.Load()
		task := r.proc + "/" + strconv.Itoa(int(pid))
		if ns, err := namespace(task, "mnt"); err != nil || ns != s.ns {
			return false // the PID is another process by now
		}
		dir = task + "/root"
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
