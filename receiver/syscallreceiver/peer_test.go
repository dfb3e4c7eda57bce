package syscallreceiver

import (
	"sync/atomic"
	"testing"
)

func TestAShardWaitsForThatOfTheParent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		reached int64
		pending bool
		want    bool
	}{
		{"that has come as far", 100, true, true},
		{"that has nothing to handle", 0, false, true},
		{"that lags, for a while only", 99, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &peers{all: make([]progress, 2), pending: func(int) bool { return tt.pending }}
			p.all[1].reached.Store(tt.reached)
			if got := p.await(1, 100); got != tt.want {
				t.Errorf("await(1, 100) = %v, want %v: reached %d, pending %v", got, tt.want, tt.reached, tt.pending)
			}
		})
	}
}

func TestAShardGoesOnOnceThatOfTheParentHas(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	p := &peers{all: make([]progress, 2)}
	p.pending = func(int) bool {
		if asked.Add(1) == 3 {
			p.all[1].reached.Store(100)
		}
		return true
	}
	if !p.await(1, 100) {
		t.Error("await(1, 100) gave up on a shard that came as far")
	}
}

func TestAShardThatWaitedInVainDoesNotWaitAgainSoon(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	s := &shard{shards: 2, peers: &peers{all: make([]progress, 2), pending: func(int) bool { asked.Add(1); return true }}}
	for shardOf(s.snap.Image.PPID, 2) != 1 {
		s.snap.Image.PPID++
	}
	s.awaitParent(1)
	before := asked.Load()
	s.awaitParent(2)
	if before == 0 || asked.Load() != before {
		t.Errorf("the other shard was asked %d times, then %d times more; want some, then none", before, asked.Load()-before)
	}
	s.awaitParent(1 + int64(noWaitFor))
	if asked.Load() == before {
		t.Error("the other shard is never asked again")
	}
}
