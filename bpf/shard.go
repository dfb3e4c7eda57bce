//go:build linux && (amd64 || arm64)

package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/internal/event"
)

// Shard is one reader of the probe: a ring per lane. A process is always in the same
// shard.
type Shard struct {
	bulk, reserved ring
	poll, wake     int // epoll instance; eventfd that ends a wait
	interval       time.Duration
	asleep, unseen *uint64 // shared with the programs; see struct reader in include/maps.h
	p              *Probe
}

// How often a reader looks in vain before it asks to be woken by the next sample, and
// for how long it waits then.
const (
	patience  = 3
	longSleep = time.Second
)

// publishEvery is how many samples are handled between two calls of idle.
const publishEvery = 4096

func newShard(p *Probe, i int, c Config) (_ *Shard, err error) {
	s := &Shard{p: p, poll: -1, wake: -1, interval: c.PollInterval}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	s.asleep = (*uint64)(unsafe.Pointer(&p.readers[readerSize*i]))
	s.unseen = (*uint64)(unsafe.Pointer(&p.readers[readerSize*i+8]))
	if s.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	if err = unix.EpollCtl(s.poll, unix.EPOLL_CTL_ADD, s.wake, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return nil, fmt.Errorf("watch eventfd: %w", err)
	}
	for lane, r := range map[event.Lane]struct {
		*ring
		size int
	}{event.LaneBulk: {&s.bulk, c.BulkSize}, event.LaneReserved: {&s.reserved, c.ReservedSize}} {
		if err = r.open(r.size); err != nil {
			return nil, err
		}
		if err = p.coll.Maps[probeMapRings].Put(uint32(i*int(event.NumLanes)+int(lane)), r.m); err != nil {
			return nil, fmt.Errorf("set ring: %w", err)
		}
		// Edge-triggered: the programs say when to wake, not what is in the ring.
		err = unix.EpollCtl(s.poll, unix.EPOLL_CTL_ADD, r.m.FD(), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET})
		if err != nil {
			return nil, fmt.Errorf("watch ring: %w", err)
		}
	}
	return s, nil
}

func (s *Shard) close() error {
	errs := []error{s.bulk.close(), s.reserved.close()}
	for _, fd := range []int{s.wake, s.poll} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}

// Usage returns how many bytes of the ring of a lane are in use, and its size.
func (s *Shard) Usage(lane event.Lane) (used, size int) {
	r := &s.bulk
	if lane == event.LaneReserved {
		r = &s.reserved
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.closed {
		return 0, 0
	}
	return int(atomic.LoadUint64(r.producer) - atomic.LoadUint64(r.consumer)), int(r.size)
}

// Run passes every sample of the shard to f, both lanes merged by time, on the calling
// goroutine. It returns when ctx is done and everything is handled that was in the
// rings then. A sample is memory of the ring: it is valid until f returns. idle is
// called before each wait and every few thousand samples.
//
// Only one call of Run may be active at a time.
func (s *Shard) Run(ctx context.Context, f func(lane event.Lane, sample []byte), idle func()) error {
	defer context.AfterFunc(ctx, s.interrupt)()
	defer atomic.StoreUint64(s.asleep, 0)

	vain, published := 0, 0
	for ctx.Err() == nil {
		n, waiting := s.round(f)
		if published += n; published >= publishEvery || n == 0 {
			idle()
			published = 0
		}
		switch {
		case n > 0:
			if vain > patience {
				atomic.StoreUint64(s.asleep, 0)
			}
			vain = 0
			atomic.StoreUint64(s.unseen, 0)
			continue
		case waiting: // a program is writing a sample
			runtime.Gosched()
			continue
		}
		vain++
		timeout := s.interval
		switch {
		case vain == patience+1:
			// From here on the next sample wakes; one that did not see this yet is found
			// after one more interval.
			atomic.StoreUint64(s.asleep, 1)
			continue
		case vain > patience+2:
			timeout = max(longSleep, s.interval)
		}
		if err := s.wait(timeout); err != nil {
			return err
		}
	}
	return s.drain(f, idle)
}

// drain handles what is in the rings now.
func (s *Shard) drain(f func(event.Lane, []byte), idle func()) error {
	bulk, reserved := atomic.LoadUint64(s.bulk.producer), atomic.LoadUint64(s.reserved.producer)
	deadline := time.Now().Add(time.Second)
	for s.bulk.at < bulk || s.reserved.at < reserved {
		if n, _ := s.round(f); n == 0 {
			if time.Now().After(deadline) {
				return errors.New("drain rings: a sample was begun but never finished")
			}
			runtime.Gosched()
		}
	}
	idle()
	return nil
}

// interrupt ends a wait.
func (s *Shard) interrupt() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.closed {
		return
	}
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, _ = unix.Write(s.wake, one) // full: the wait ends already
}

func (s *Shard) wait(timeout time.Duration) error {
	var events [4]unix.EpollEvent
	_, err := unix.EpollWait(s.poll, events[:], int(timeout.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for samples: %w", err)
	}
	return nil
}

// round passes what is in the rings to f, in the order of time, and returns how many
// samples that were. waiting: it stopped before a sample that is not finished yet.
//
// The order in which the producers' positions are read makes sure that no event sees a
// process image of its future, or comes before the announcement of its process: an
// announcement is in the reserved ring before its event is in the bulk ring.
func (s *Shard) round(f func(event.Lane, []byte)) (n int, waiting bool) {
	reserved1 := atomic.LoadUint64(s.reserved.producer)
	bulk := atomic.LoadUint64(s.bulk.producer)
	reserved2 := atomic.LoadUint64(s.reserved.producer)

	b, bulkState := s.bulk.peek(bulk)
	r, reservedState := s.reserved.peek(reserved2)
	for bulkState == ready {
		if reservedState == busy {
			// It may be what the bulk sample needs.
			waiting = true
			break
		}
		if reservedState == ready && sampleTime(r) <= sampleTime(b) {
			f(event.LaneReserved, r)
			s.reserved.skip(r)
			r, reservedState = s.reserved.peek(reserved2)
		} else {
			f(event.LaneBulk, b)
			s.bulk.skip(b)
			b, bulkState = s.bulk.peek(bulk)
		}
		n++
	}
	// What came later may be later than a bulk sample that is still to come.
	for !waiting && reservedState == ready && s.reserved.at < reserved1 {
		f(event.LaneReserved, r)
		s.reserved.skip(r)
		r, reservedState = s.reserved.peek(reserved2)
		n++
	}
	s.bulk.release()
	s.reserved.release()
	waiting = waiting || bulkState != empty || reservedState != empty
	return n, waiting
}

func sampleTime(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(b)
}

// ring is a BPF ring buffer that this process reads.
//
// The data pages are mapped once, not twice in a row as they might be: a record that
// wraps around is copied, and a ring counts once in the memory of the process.
type ring struct {
	m                  *ebpf.Map
	consumer, producer *uint64 // shared with the kernel
	data               []byte
	size               uint64
	at                 uint64 // consumer position, ahead of *consumer
	control, pages     []byte // mappings
	wrapped            []byte // copy of the record that wraps around
}

// A record has a header of 8 bytes: its length, with two bits for its state.
const (
	recordHeader  = 8
	recordBusy    = 1 << 31
	recordDiscard = 1 << 30
)

type recordState uint8

const (
	empty recordState = iota
	busy
	ready
)

func (r *ring) open(size int) (err error) {
	if r.m, err = ebpf.NewMap(&ebpf.MapSpec{Name: "ring", Type: ebpf.RingBuf, MaxEntries: uint32(size)}); err != nil {
		return fmt.Errorf("create ring of %d KiB: %w", size>>10, err)
	}
	page := os.Getpagesize()
	r.size = uint64(size)
	if r.control, err = unix.Mmap(r.m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map ring control page: %w", err)
	}
	if r.pages, err = unix.Mmap(r.m.FD(), int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map ring of %d KiB: %w", size>>10, err)
	}
	r.consumer = (*uint64)(unsafe.Pointer(&r.control[0]))
	r.producer = (*uint64)(unsafe.Pointer(&r.pages[0]))
	r.data = r.pages[page:]
	r.at = atomic.LoadUint64(r.consumer)
	return nil
}

func (r *ring) close() error {
	var errs []error
	for _, b := range [][]byte{r.control, r.pages} {
		if b != nil {
			errs = append(errs, unix.Munmap(b))
		}
	}
	r.control, r.pages, r.data = nil, nil, nil
	if r.m != nil {
		errs = append(errs, r.m.Close())
	}
	return errors.Join(errs...)
}

// peek returns the next record before position end.
func (r *ring) peek(end uint64) ([]byte, recordState) {
	for r.at < end {
		start := r.at & (r.size - 1)
		// The atomic load orders the reads of the record after it.
		header := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[start])))
		n := uint64(header &^ (recordBusy | recordDiscard))
		switch {
		case header&recordBusy != 0:
			return nil, busy
		case n > r.size:
			panic("BUG: bpf: record is longer than its ring")
		case header&recordDiscard != 0:
			r.at += (recordHeader + n + 7) &^ 7
			continue
		}
		start = (start + recordHeader) & (r.size - 1)
		if start+n <= r.size {
			return r.data[start : start+n : start+n], ready
		}
		head := r.size - start
		r.wrapped = append(append(r.wrapped[:0], r.data[start:]...), r.data[:n-head]...)
		return r.wrapped, ready
	}
	return nil, empty
}

// skip goes on to the record after b, which peek returned.
func (r *ring) skip(b []byte) {
	r.at += (recordHeader + uint64(len(b)) + 7) &^ 7
	// Give room back now and then: the programs read the position for every sample.
	if r.at-*r.consumer > r.size/8 {
		r.release()
	}
}

// release gives the records that were skipped back to the programs.
func (r *ring) release() {
	if r.at != *r.consumer {
		atomic.StoreUint64(r.consumer, r.at)
	}
}
