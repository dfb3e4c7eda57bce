// Package alert turns a match into an Alert and holds alerts in a bounded queue until
// they are exported.
//
// Everything before an Alert is borrowed; an Alert is owned. It is the only thing that
// crosses from the goroutine that handles events to the one that exports.
package alert

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// Alert is a rule that matched an event, or a notice of Windhover about itself. It
// owns everything it points to, or shares it with others who never change it. It is
// immutable once it is in a Queue.
type Alert struct {
	UID        UID
	RecordID   string       // identifies the document or log record; empty for system calls
	Origin     event.Origin // what the log record is about; nil: it was none, or is not kept
	Time       int64        // when it happened, nanoseconds since the Unix epoch
	Observed   int64        // when it was noticed, nanoseconds since the Unix epoch
	Source     *event.Source
	Generation uint64 // of the rule set
	Output     string // rendered

	// Rule is nil for a notice.
	Rule   *rules.Rule
	Type   event.Type
	Fields []Field // of the output, in order of first use, and those that are added to it

	// What follows up to Trace is set for system calls only.

	Proc    *event.Process
	Image   *event.Image // what Proc ran when the event happened
	Parent  *event.Image // what its parent ran then; nil: not known
	TID     int32
	UserID  uint32 // effective
	GroupID uint32 // effective
	Has     event.Objects
	File    event.File
	Sock    event.Socket
	Trace   event.Trace // what the thread worked for; zero: not known

	// Facts are values that alerts of this source type carry whether the output names
	// them or not.
	Facts []Field

	// Drop is set for a notice that a source lost events.
	Drop *ledger.Episode
	// Fold is set for a notice that stands for repeats of an alert.
	Fold *Fold

	size int64
}

// Field is the value of one field.
type Field struct {
	Name  string
	Value field.Value
}

// UID identifies an alert. That of a document or log record is a UUID of version 8, the
// same each time the rule matches the record; any other is one of version 7, which sorts
// by time.
type UID [16]byte

func (u UID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// newUID makes a UID for time t, in nanoseconds since the Unix epoch. The random part
// comes from a generator that the runtime seeds from the kernel.
func newUID(t int64) UID {
	var u UID
	binary.BigEndian.PutUint64(u[0:], uint64(t/int64(time.Millisecond))<<16|rand.Uint64()&0xffff)
	binary.BigEndian.PutUint64(u[8:], rand.Uint64())
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u
}

// New returns the alert that r matched ev. It copies what it keeps of ev.
func New(ev *event.Event, r *rules.Rule, generation uint64) *Alert {
	now := time.Now().UnixNano()
	a := &Alert{
		UID:        newUID(now),
		Time:       ev.Time,
		Observed:   now,
		Source:     ev.Source,
		Generation: generation,
		Rule:       r,
		Type:       ev.Type,
		Has:        ev.Has,
	}
	var buf [512]byte
	a.Output = string(r.Output.AppendText(buf[:0], ev))
	if fields := r.Output.Fields(); len(fields) > 0 {
		a.Fields = make([]Field, len(fields))
		for i, f := range fields {
			a.Fields[i] = Field{f.String(), f.Value(ev)}
		}
	}
	for i := range r.Extra {
		x := &r.Extra[i]
		v := field.Value{Kind: field.KindText, Valid: true}
		if x.Field != nil {
			v = x.Field.Value(ev)
		} else {
			v.Text = string(x.Template.AppendText(buf[:0], ev))
		}
		a.set(x.Key, v)
	}
	a.Facts = facts(ev)
	if ev.Doc == nil {
		a.keepSyscall(ev)
	} else {
		a.RecordID = string(AppendRecordID(buf[:0], ev))
		a.UID = recordUID(ev.Source.Type, a.RecordID, r.Name)
		if ev.Log != nil {
			a.Origin = ev.Log.Origin()
		}
	}
	a.Measure()
	return a
}

func (a *Alert) keepSyscall(ev *event.Event) {
	a.TID, a.UserID, a.GroupID = ev.TID, ev.UID, ev.GID
	a.Trace = ev.Trace
	if ev.Proc != nil {
		a.Proc = ev.Proc
		a.Image = ev.Proc.Image()
		if parent := ev.Proc.Parent(); parent != nil && parent.Image().Known() {
			a.Parent = parent.Image()
		}
	}
	if a.Has&event.HasFile != 0 {
		a.File = ev.File
		a.File.Path = clone(ev.File.Path)
	}
	if a.Has&(event.HasSock|event.HasAddr) != 0 {
		a.Sock = ev.Sock
		a.Sock.LocalPath = clone(ev.Sock.LocalPath)
		a.Sock.RemotePath = clone(ev.Sock.RemotePath)
	}
}

// NewDropNotice returns the notice that the source loses or lost events.
func NewDropNotice(source *event.Source, e *ledger.Episode, generation uint64) *Alert {
	now := time.Now().UnixNano()
	a := &Alert{
		UID:        newUID(now),
		Time:       e.Start.UnixNano(),
		Observed:   now,
		Source:     source,
		Generation: generation,
		Output:     e.String(),
		Drop:       e,
	}
	if !e.End.IsZero() {
		a.Time = e.End.UnixNano()
	}
	a.Measure()
	return a
}

func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// Sizes of what an alert is made of, for accounting; the exact overhead of the
// allocator does not matter.
const (
	sizeOfAlert = 640
	sizeOfField = 112
	sizeOfImage = 512
	sizeOfEntry = 24
)

// measure returns how many bytes of memory the alert keeps alive. An image counts in
// full: the alert may be the last one that holds it.
func (a *Alert) measure() int64 {
	n := sizeOfAlert + len(a.RecordID) + len(a.Output) + len(a.File.Path) + len(a.Sock.LocalPath) + len(a.Sock.RemotePath)
	for _, fields := range [2][]Field{a.Fields, a.Facts} {
		for i := range fields {
			n += sizeOfField + len(fields[i].Value.Text)
			for _, s := range fields[i].Value.List {
				n += sizeOfEntry + len(s)
			}
		}
	}
	for _, i := range [2]*event.Image{a.Image, a.Parent} {
		if i == nil {
			continue
		}
		n += sizeOfImage + len(i.Name) + len(i.Exe) + len(i.ExePath) + len(i.Cmdline) + len(i.ArgLine) + len(i.CWD) + len(i.Cgroup)
		for _, list := range [2][][]byte{i.Args, i.Env} {
			for _, s := range list {
				n += sizeOfEntry + len(s)
			}
		}
	}
	if a.Fold != nil {
		n += a.Fold.size()
	}
	if a.Origin != nil {
		n += int(a.Origin.Size())
	}
	return int64(n)
}

// Measure takes the size of the alert again: whoever changes one before it is in a
// queue calls it.
func (a *Alert) Measure() { a.size = a.measure() }

// Size returns about how many bytes of memory the alert holds.
func (a *Alert) Size() int64 { return a.size }
