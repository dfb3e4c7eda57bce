//go:build linux

package kernel

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/test/require"
)

// patience is how long a sample may take to arrive. It is reached only by a test that
// fails.
const patience = 10 * time.Second

// Offsets in struct sample of bpf/include/event.h.
const sampleSize = 48

// Tags of sections; 0 to 5 are strings.
const (
	tagBase       = 8
	tagBase2      = 9
	tagFile       = 10
	tagPath       = 11
	tagSock       = 12
	tagLocalPath  = 13
	tagRemotePath = 14
	tagAddr       = 15
	tagProc       = 32
	tagExe        = 33
	tagArgs       = 34
	tagEnv        = 35
	tagCWD        = 36
	tagCgroup     = 37
	tagCgroupV1   = 38
	tagLineage    = 39
)

// sample is one sample, copied and taken apart.
type sample struct {
	Lane       event.Lane
	Time       uint64
	Start      uint64
	Ret        int64
	PID, TID   int32
	UID, GID   uint32
	Type       event.Type
	Flags      event.Flags
	CPU        uint16
	Args       []uint64
	Sections   map[uint8][]byte
	Order      int
	RingLength int
}

// str returns the string of argument i.
func (s *sample) str(i int) string { return string(s.Sections[uint8(i)]) }

func (s *sample) text(tag uint8) string { return string(s.Sections[tag]) }

func (s *sample) u16(tag uint8, at int) uint16 {
	return binary.NativeEndian.Uint16(s.Sections[tag][at:])
}

func (s *sample) u32(tag uint8, at int) uint32 {
	return binary.NativeEndian.Uint32(s.Sections[tag][at:])
}

func (s *sample) u64(tag uint8, at int) uint64 {
	return binary.NativeEndian.Uint64(s.Sections[tag][at:])
}

func (s *sample) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s pid=%d tid=%d ret=%d flags=%#x args=%x", s.Type, s.PID, s.TID, s.Ret, s.Flags, s.Args)
	for tag := range uint8(64) {
		if v, ok := s.Sections[tag]; ok {
			fmt.Fprintf(&b, " %d:%.80q", tag, v)
		}
	}
	return b.String()
}

// parse takes a sample apart and fails on whatever event.h does not allow.
func parse(lane event.Lane, b []byte) (*sample, error) {
	if len(b) < sampleSize {
		return nil, fmt.Errorf("sample of %d bytes is shorter than its header", len(b))
	}
	n := binary.NativeEndian
	s := &sample{
		Lane: lane, RingLength: len(b),
		Time: n.Uint64(b), Start: n.Uint64(b[8:]), Ret: int64(n.Uint64(b[16:])),
		PID: int32(n.Uint32(b[24:])), TID: int32(n.Uint32(b[28:])), UID: n.Uint32(b[32:]), GID: n.Uint32(b[36:]),
		Type: event.Type(n.Uint16(b[40:])), Flags: event.Flags(n.Uint16(b[42:])), CPU: n.Uint16(b[44:]),
		Sections: map[uint8][]byte{},
	}
	nargs := int(b[46])
	b = b[sampleSize:]
	if nargs > 6 || len(b) < 8*nargs {
		return nil, fmt.Errorf("%s: %d arguments in %d bytes", s.Type, nargs, len(b))
	}
	for ; nargs > 0; nargs-- {
		s.Args = append(s.Args, n.Uint64(b))
		b = b[8:]
	}
	for len(b) > 0 {
		if len(b) < 4 || len(b)-4 < int(n.Uint16(b[2:])) {
			return nil, fmt.Errorf("%s: section is cut off: %x", s.Type, b)
		}
		tag, size := b[0], int(n.Uint16(b[2:]))
		if _, ok := s.Sections[tag]; ok {
			return nil, fmt.Errorf("%s: section %d comes twice", s.Type, tag)
		}
		s.Sections[tag] = bytes.Clone(b[4 : 4+size])
		b = b[4+size:]
	}
	return s, nil
}

// probe is a loaded probe whose samples are collected.
type probe struct {
	*bpf.Probe
	tb testing.TB

	mu      sync.Mutex
	samples []*sample
	errs    []error
	changed chan struct{}

	stop func() // detaches, drains; idempotent
}

// start loads and attaches a probe that reports types. Unless c says otherwise, it
// reports what the test itself does.
func start(tb testing.TB, c bpf.Config, types ...event.Type) *probe {
	tb.Helper()
	require.Kernel(tb)
	p, err := bpf.Load(c)
	if err != nil {
		tb.Fatal(err)
	}
	if err := p.SetWanted(event.TypesOf(types...)); err != nil {
		tb.Fatal(err)
	}
	r := &probe{Probe: p, tb: tb, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	var wg sync.WaitGroup
	if err := p.Attach(); err != nil {
		tb.Fatal(err)
	}
	for i := range p.NumShards() {
		wg.Go(func() {
			if err := p.Shard(i).Run(ctx, r.take, func() {}); err != nil {
				tb.Errorf("run shard %d: %v", i, err)
			}
		})
	}
	r.stop = sync.OnceFunc(func() {
		if err := p.Detach(); err != nil {
			tb.Error(err)
		}
		cancel()
		wg.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, err := range r.errs {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() {
		r.stop()
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// self is the configuration under which a test watches itself, with rings that fit
// into a small machine.
var self = bpf.Config{ObserveSelf: true, Shards: 2, BulkSize: 1 << 20, ReservedSize: 1 << 20, PollInterval: time.Millisecond}

func (p *probe) take(lane event.Lane, b []byte) {
	s, err := parse(lane, b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.errs = append(p.errs, err)
		return
	}
	s.Order = len(p.samples)
	p.samples = append(p.samples, s)
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// await returns the first sample that match accepts, which may have come already.
func (p *probe) await(what string, match func(*sample) bool) *sample {
	p.tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for seen := 0; ; {
		p.mu.Lock()
		fresh := p.samples[seen:]
		seen = len(p.samples)
		p.mu.Unlock()
		for _, s := range fresh {
			if match(s) {
				return s
			}
		}
		select {
		case <-p.changed:
		case <-deadline.C:
			for _, s := range p.all() {
				if s.PID == int32(os.Getpid()) {
					p.tb.Log(s)
				}
			}
			p.tb.Fatalf("no sample in %v: %s", patience, what)
		}
	}
}

// awaitOwn returns the first sample of typ that this process caused and match accepts.
func (p *probe) awaitOwn(typ event.Type, match func(*sample) bool) *sample {
	p.tb.Helper()
	pid := int32(os.Getpid())
	return p.await(typ.String(), func(s *sample) bool { return s.Type == typ && s.PID == pid && match(s) })
}

func (p *probe) all() []*sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*sample(nil), p.samples...)
}
