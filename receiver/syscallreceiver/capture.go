package syscallreceiver

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/pipeline"
	"github.com/windhover/windhover/internal/state"
)

// capture is where samples come from: the kernel, or a file of recorded ones.
type capture interface {
	numShards() int
	// run passes every sample of a shard to f, and calls idle when there is none and
	// from time to time when there are many, until ctx is done and what waits is
	// drained, or the capture ends. It does so on the calling goroutine; samples are
	// valid until f returns.
	run(ctx context.Context, shard int, f func(lane event.Lane, sample []byte), idle func()) error
}

// progressEvery is after how many samples of the bulk lane a shard shows how far it has
// come; in the reserved lane it does so for each.
const progressEvery = 64

// busySamples is how many samples without a pause say that more of them wait: captures
// do not call idle more often than that while they have any.
const busySamples = 4096

// shard handles the samples of one shard, on one goroutine.
type shard struct {
	decoder
	worker *pipeline.Worker
	table  *state.Table
	procs  *state.Shard // of table, this shard's
	index  int
	shards int
	peers  *peers
	// waitAgain is when the next wait for another shard is allowed, nanoseconds since
	// boot.
	waitAgain int64

	clock *clock
	// countRead: nobody else counts what was produced.
	countRead bool

	refreshed int64 // when the offset was read, nanoseconds since the Unix epoch
	last      int64 // time of the last event
	handled   int   // samples since idle
}

// handle takes one sample all the way: to the process table, the rules and the alert
// queue.
func (s *shard) handle(lane event.Lane, sample []byte) {
	s.handled++
	if s.countRead {
		s.worker.Produced(typeOf(sample), 1)
	}
	if err := s.decode(sample); err != nil {
		s.worker.Drop(typeOf(sample), lane, ledger.DropMalformed)
		return
	}
	e := &s.ev
	s.last = e.Time
	if lane == event.LaneReserved || s.handled%progressEvery == 0 {
		s.peers.all[s.index].reached.Store(e.Time - s.offset)
	}
	if s.hasSnap {
		s.awaitParent(e.Time - s.offset)
	}
	switch {
	case s.hasSnap && (e.Type == event.Execve || e.Type == event.ExecveAt):
		s.snap.Image.ExecTime = e.Time
		e.Proc, e.Exec = s.procs.Announce(&s.snap)
	case s.hasSnap && s.ours(s.snap.PID):
		s.procs.Announce(&s.snap)
	case s.hasSnap:
		s.procs.AnnounceOther(&s.snap)
	}
	if e.Type == event.Proc {
		s.worker.Skip(e.Type, ledger.SkipInternal)
		return
	}
	switch {
	case e.Proc != nil:
	case e.Type < event.Clone || e.Type > event.Vfork || s.ours(s.pid):
		e.Proc = s.procs.Lookup(s.pid, s.start)
	default: // a fork may come in the shard of the child
		e.Proc = s.table.Find(s.pid, s.start)
	}
	if e.Type == event.ProcExit {
		s.procs.Exit(s.pid, s.start, e.Time-s.offset)
	}
	s.worker.Handle(e)
}

// ours reports whether the events of a process arrive in this shard.
func (s *shard) ours(pid int32) bool { return shardOf(pid, s.shards) == s.index }

// shardOf returns the shard in which the events of a process arrive: what sample__send
// in bpf/lib/sample.h computes.
func shardOf(pid int32, shards int) int {
	return int(uint64(uint32(pid)*2654435761) * uint64(shards) >> 32)
}

// typeOf returns the type that a sample names, even if nothing else of it is right.
func typeOf(sample []byte) event.Type {
	if len(sample) < sizeofSample {
		return event.Unknown
	}
	t := event.Type(binary.NativeEndian.Uint16(sample[40:]))
	if int(t) >= event.NumTypes() {
		return event.Unknown
	}
	return t
}

// idle does what is due between samples.
func (s *shard) idle() {
	now := time.Now().UnixNano()
	if now-s.refreshed > int64(time.Second) || now < s.refreshed {
		s.refreshed = now
		s.clock.refresh()
		s.offset = s.clock.Offset()
	}
	lag := time.Duration(0)
	if s.handled >= busySamples {
		lag = max(0, time.Duration(now-s.last))
	}
	s.handled = 0
	s.worker.SetLag(lag)
	s.procs.Idle()
	s.worker.Idle()
}

// close makes the last counts visible.
func (s *shard) close() { s.worker.Close() }
