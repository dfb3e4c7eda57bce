//go:build linux && (amd64 || arm64)

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/internal/event"
)

// The layouts that Go mirrors are those of the object.
func TestLayoutsMatchTheObject(t *testing.T) {
	t.Parallel()
	spec, err := loadProbe()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		"counters":   counterWords * 8,
		"descriptor": int(unsafe.Sizeof(descriptor{})),
		"mark":       16,
		"loser":      loserSize,
	} {
		var s *btf.Struct
		if err := spec.Types.TypeByName(name, &s); err != nil {
			t.Errorf("find struct %s: %v", name, err)
			continue
		}
		if int(s.Size) != want {
			t.Errorf("struct %s has %d bytes, want %d", name, s.Size, want)
		}
		for _, m := range s.Members {
			at := m.Offset.Bytes()
			if want, ok := map[string]int{
				"counters.produced": producedAt * 8, "counters.dropped": droppedAt * 8, "counters.own": ownAt * 8,
				"counters.unattributed": unattributedAt * 8, "loser.len": loserLenAt, "loser.sections": loserSectionsAt,
				"descriptor.nargs":   int(unsafe.Offsetof(descriptor{}.NArgs)),
				"descriptor.lane":    int(unsafe.Offsetof(descriptor{}.Lane)),
				"descriptor.strings": int(unsafe.Offsetof(descriptor{}.Strings)),
				"descriptor.object":  int(unsafe.Offsetof(descriptor{}.Object)),
				"descriptor.addr":    int(unsafe.Offsetof(descriptor{}.Addr)),
				"descriptor.path":    int(unsafe.Offsetof(descriptor{}.Path)),
				"descriptor.dir":     int(unsafe.Offsetof(descriptor{}.Dir)),
				"descriptor.traits":  int(unsafe.Offsetof(descriptor{}.Traits)),
				"mark.own":           12,
			}[name+"."+m.Name]; ok && int(at) != want {
				t.Errorf("%s.%s is at %d, want %d", name, m.Name, at, want)
			}
		}
	}
	for name, want := range map[string]uint32{
		probeVarSlots: NumSlots * 2, probeVarDescriptors: uint32(unsafe.Sizeof(descriptors())), probeVarSocketcalls: 64,
	} {
		if got := spec.Variables[name].Size(); got != want {
			t.Errorf("variable %s has %d bytes, want %d", name, got, want)
		}
	}
}

// memoryRing is a ring without a kernel.
func memoryRing(size int) *ring {
	return &ring{data: make([]byte, size), size: uint64(size), consumer: new(uint64), producer: new(uint64)}
}

// put writes a record as the kernel does.
func (r *ring) put(sample []byte, state uint32) {
	at := *r.producer
	header := make([]byte, recordHeader)
	binary.NativeEndian.PutUint32(header, uint32(len(sample))|state)
	for i, b := range append(header, sample...) {
		r.data[(at+uint64(i))&(r.size-1)] = b
	}
	*r.producer += uint64(recordHeader+len(sample)+7) &^ 7
}

func TestRingGivesWhatWasPut(t *testing.T) {
	t.Parallel()
	r := memoryRing(256)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 1000 {
		want := make([]byte, rng.IntN(120))
		for j := range want {
			want[j] = byte(i + j)
		}
		if i%7 == 0 {
			r.put(want, recordDiscard)
		}
		r.put(want, 0)
		got, state := r.peek(*r.producer)
		if state != ready || !bytes.Equal(got, want) {
			t.Fatalf("peek of record %d = %x, %d, want %x", i, got, state, want)
		}
		r.skip(got)
		if _, state := r.peek(*r.producer); state != empty {
			t.Fatalf("the ring is not empty after record %d", i)
		}
		r.release()
		if *r.consumer != *r.producer {
			t.Fatalf("consumer is at %d, producer at %d after record %d", *r.consumer, *r.producer, i)
		}
	}
}

// stamped is a sample with a time and a name.
func stamped(time uint64, name string) []byte {
	return append(binary.NativeEndian.AppendUint64(nil, time), name...)
}

func TestRoundMergesLanes(t *testing.T) {
	t.Parallel()
	type record struct {
		lane  byte // 'b' or 'r'
		time  uint64
		state uint32
	}
	for _, tt := range []struct {
		name    string
		records []record
		want    string // times, by lane
		waiting bool
	}{
		{"in the order of time", []record{{'b', 2, 0}, {'r', 1, 0}, {'r', 3, 0}, {'b', 4, 0}}, "r1 b2 r3 b4", false},
		{"an announcement of the same time comes first", []record{{'b', 5, 0}, {'r', 5, 0}}, "r5 b5", false},
		{"one lane alone", []record{{'r', 1, 0}, {'r', 2, 0}}, "r1 r2", false},
		{"a bulk sample waits for what may be its announcement", []record{{'r', 1, recordBusy}, {'b', 2, 0}}, "", true},
		{"a bulk sample that is being written holds up the bulk lane only", []record{{'b', 1, recordBusy}, {'b', 2, 0}, {'r', 3, 0}}, "r3", true},
		{"a sample that was given up is passed over", []record{{'r', 1, recordDiscard}, {'b', 2, 0}}, "b2", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &Shard{bulk: *memoryRing(1024), reserved: *memoryRing(1024)}
			for _, rec := range tt.records {
				r := &s.bulk
				if rec.lane == 'r' {
					r = &s.reserved
				}
				r.put(stamped(rec.time, ""), rec.state)
			}
			var got []string
			n, waiting := s.round(func(lane event.Lane, b []byte) {
				got = append(got, fmt.Sprintf("%c%d", "br"[lane], binary.NativeEndian.Uint64(b)))
			})
			if strings.Join(got, " ") != tt.want || n != len(got) || waiting != tt.waiting {
				t.Errorf("round handled %q (n=%d) and waits: %t, want %q and %t", got, n, waiting, tt.want, tt.waiting)
			}
		})
	}
}

func TestRoundAllocatesNothing(t *testing.T) {
	s := &Shard{bulk: *memoryRing(4096), reserved: *memoryRing(4096)}
	b, r := stamped(2, "bulk"), stamped(1, "reserved")
	n := 0
	count := func(event.Lane, []byte) { n++ }
	got := testing.AllocsPerRun(1000, func() {
		s.bulk.put(b, 0)
		s.reserved.put(r, 0)
		s.round(count)
	})
	if got > 2 { // by put
		t.Errorf("a round allocates %v times", got-2)
	}
	if n == 0 {
		t.Error("no sample was handled")
	}
}

func BenchmarkRound(b *testing.B) {
	s := &Shard{bulk: *memoryRing(1 << 20), reserved: *memoryRing(4096)}
	sample := stamped(1, strings.Repeat("x", 140))
	for *s.bulk.producer+256 < 1<<20 {
		s.bulk.put(sample, 0)
	}
	end, n := *s.bulk.producer, 0
	var sum uint64
	for b.Loop() {
		s.bulk.at, *s.bulk.consumer, *s.bulk.producer = 0, 0, end
		k, _ := s.round(func(_ event.Lane, x []byte) { sum += uint64(len(x)) })
		n += k
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/sample")
	if sum == 0 {
		b.Fatal("no sample was handled")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults(2)
	var noMemory *NoMemoryError
	if err := explain("ring", fmt.Errorf("map create: %w", unix.ENOMEM), c); !errors.As(err, &noMemory) || noMemory.Bytes != 24<<20 {
		t.Errorf("explain(ENOMEM) = %v, want a *NoMemoryError of both shards", err)
	}
	var notSupported *NotSupportedError
	if err := explain("programs", fmt.Errorf("program dispatch: %w", ebpf.ErrNotSupported), c); !errors.As(err, &notSupported) || notSupported.Feature != "program dispatch" {
		t.Errorf("explain(ErrNotSupported) = %v, want a *NotSupportedError", err)
	}
	if err := explain("programs", unix.EPERM, c); !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "lockdown") {
		t.Errorf("explain(EPERM) = %v, want what forbids it", err)
	}
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	got := Config{}.withDefaults(128)
	if got.Shards != 16 || got.WakeBytes > got.BulkSize/4 || got.Validate() != nil {
		t.Errorf("defaults on 128 CPUs = %+v: %v", got, got.Validate())
	}
	if got := (Config{BulkSize: 64 << 10}).withDefaults(1); got.WakeBytes != 16<<10 {
		t.Errorf("WakeBytes of a small ring = %d, want a quarter of it", got.WakeBytes)
	}
}
