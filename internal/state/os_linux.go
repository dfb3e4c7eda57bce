package state

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/windhover/windhover/internal/event"
)

const nonblock = syscall.O_NONBLOCK | syscall.O_NOCTTY

// File systems whose answers come from another process or machine, which may never
// give them (linux/magic.h).
const (
	fuseMagic = 0x65735546
	nfsMagic  = 0x6969
	cifsMagic = 0xFF534D42
	smb2Magic = 0xFE534D42
	v9fsMagic = 0x01021997
	cephMagic = 0x00C36400
)

// remote reports whether root is on a file system that may block for ever.
func remote(root *os.Root) bool {
	f, err := root.Open(".")
	if err != nil {
		return true
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil {
		return true
	}
	switch uint32(st.Type) {
	case fuseMagic, nfsMagic, cifsMagic, smb2Magic, v9fsMagic, cephMagic:
		return true
	}
	return false
}

// namespace returns the inode number of a namespace of the process whose directory in
// procfs is task.
func namespace(task, kind string) (uint32, error) {
	link, err := os.Readlink(task + "/ns/" + kind)
	if err != nil {
		return 0, err
	}
	num, ok := strings.CutPrefix(link, kind+":[")
	if !ok {
		return 0, fmt.Errorf("parse namespace %q: no inode number", link)
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(num, "]"), 10, 32)
	return uint32(n), err
}

// setExe sets what is known of the file that runs.
func setExe(i *event.Image, path string) {
	fi, err := os.Stat(path)
	if err != nil {
		return
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return
	}
	i.ExeIno = st.Ino
	dev := st.Dev
	major, minor := (dev>>8)&0xfff|(dev>>32)&^uint64(0xfff), dev&0xff|(dev>>12)&^uint64(0xff)
	i.ExeDev = uint32(major<<20 | minor)
	i.ExeMtime = st.Mtim.Nano()
	i.ExeCtime = st.Ctim.Nano()
	if st.Nlink == 0 {
		i.ExeFlags |= event.FileDeleted
	}
}
