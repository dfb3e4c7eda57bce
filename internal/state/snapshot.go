package state

import "github.com/windhover/windhover/internal/event"

// MaxLineage is how many ancestors a Snapshot can hold.
const MaxLineage = 8

// Snapshot is what the kernel, or /proc, says about a process at one moment. Its byte
// slices are borrowed: the table copies what it keeps.
type Snapshot struct {
	PID         int32
	Start       int64 // nanoseconds since boot
	ParentStart int64 // nanoseconds since boot; 0: not known

	// Image holds what needs no memory of its own: the numbers. Its slices are nil.
	Image event.Image

	Name     []byte // comm
	ExePath  []byte
	Args     []byte // argv[0] first, separated by NUL
	Env      []byte // separated by NUL
	CWD      []byte
	Cgroup   []byte // unified hierarchy
	CgroupV1 []byte // first v1 hierarchy

	lineage    [MaxLineage]Ancestor
	numLineage int
}

// Ancestor identifies a process above the one that a Snapshot describes.
type Ancestor struct {
	PID   int32
	Start int64 // nanoseconds since boot
	Name  []byte
}

// AddAncestor appends a to the lineage, the parent first. It reports false, and does
// nothing, if the lineage is full.
func (s *Snapshot) AddAncestor(a Ancestor) bool {
	if s.numLineage == len(s.lineage) {
		return false
	}
	s.lineage[s.numLineage] = a
	s.numLineage++
	return true
}

// Lineage returns the ancestors, the parent first.
func (s *Snapshot) Lineage() []Ancestor { return s.lineage[:s.numLineage] }

// Reset clears s for reuse.
func (s *Snapshot) Reset() { *s = Snapshot{} }
