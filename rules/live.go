package rules

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Live holds the Set in use. Whoever matches events reads it once per event or batch;
// a swap takes effect with the next read. It is safe for concurrent use.
type Live struct {
	set        atomic.Pointer[Set]
	generation atomic.Uint64

	mu     sync.Mutex // orders swaps and their listeners
	listen []*func(*Set)
}

// Provider is what holds a Live for others, such as the extension of a collector.
type Provider interface {
	Live() *Live
}

// NewLive returns a Live that holds s as generation 1, or as generation 0 if it has no
// rules: it stands for a set that is still to be loaded.
func NewLive(s *Set) *Live {
	l := &Live{}
	l.set.Store(s)
	if len(s.Rules()) > 0 {
		l.generation.Store(1)
	}
	return l
}

// Set returns the Set in use.
func (l *Live) Set() *Set { return l.set.Load() }

// Generation returns the number of the Set in use, which grows with every Swap.
func (l *Live) Generation() uint64 { return l.generation.Load() }

// Swap puts s in the place of the Set in use. Those who asked by OnSwap are told, one
// after the other, before Swap returns.
func (l *Live) Swap(s *Set) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set.Store(s)
	l.generation.Add(1)
	for _, f := range l.listen {
		(*f)(s)
	}
}

// OnSwap makes every following Swap call f with the new Set. f must not call Swap.
func (l *Live) OnSwap(f func(*Set)) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listen = append(l.listen, &f)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.listen = slices.DeleteFunc(l.listen, func(g *func(*Set)) bool { return g == &f })
	}
}
