package syscallreceiver

import (
	"runtime"
	"sync/atomic"
	"time"
)

// How long a shard waits for another one, and for how long it waits for none after it
// waited in vain: a shard that lags far behind holds up the others by a twentieth of
// their time at most.
const (
	maxWait   = 20 * time.Millisecond
	noWaitFor = 20 * maxWait
)

// progress is how far a shard has come, for other shards to see.
type progress struct {
	// reached is the time, in nanoseconds since boot, of a sample before which the shard
	// has handled every one.
	reached atomic.Int64
	_       [56]byte // a cache line of its own: it is written often
}

// peers are the shards of a source, which wait for each other where a process and its
// parent belong to two of them: what a child inherits must have been handled before.
type peers struct {
	all []progress // by shard
	// pending reports whether the reserved lane of a shard holds samples that were not
	// handled. It is nil where samples are replayed, which one shard does.
	pending func(shard int) bool
}

// await waits until shard has handled what happened before t, for maxWait at most. It
// reports false if it gave up.
func (p *peers) await(shard int, t int64) bool {
	// The other shard is awake, as its reserved lane wakes it, and mostly done at once.
	for range 32 {
		if p.caughtUp(shard, t) {
			return true
		}
		runtime.Gosched()
	}
	look, giveUp := time.NewTicker(maxWait/100), time.NewTimer(maxWait)
	defer look.Stop()
	defer giveUp.Stop()
	for !p.caughtUp(shard, t) {
		select {
		case <-look.C:
		case <-giveUp.C:
			return false
		}
	}
	return true
}

func (p *peers) caughtUp(shard int, t int64) bool {
	return p.all[shard].reached.Load() >= t || !p.pending(shard)
}

// awaitParent waits until the shard of the parent of the process that the sample
// describes has come as far as this one: the image of the parent, which the child
// shares and rules ask for, may be on its way there.
func (s *shard) awaitParent(now int64) {
	if s.peers.pending == nil {
		return
	}
	of := shardOf(s.snap.Image.PPID, s.shards)
	if of == s.index || now < s.waitAgain {
		return
	}
	if !s.peers.await(of, now) {
		s.waitAgain = now + int64(noWaitFor)
	}
}
