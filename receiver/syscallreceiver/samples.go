package syscallreceiver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/windhover/windhover/internal/event"
)

// A file of samples is a header (the magic, the number 1 in the byte order of the
// machine that recorded, the offset of its clocks) and then records: the length of the
// sample, its lane, the sample.
const (
	samplesMagic  = "windhover samples 1\n"
	samplesHeader = len(samplesMagic) + 4 + 8
	recordHeader  = 4 + 1
	// maxSample is more than the kernel side can send.
	maxSample = 256 << 10
)

// SampleWriter records samples as the kernel side sent them. Such a file is what
// replay_samples reads.
type SampleWriter struct{ w *bufio.Writer }

// NewSampleWriter writes the header to w. Offset is what to add to the time of a sample
// to have nanoseconds since the Unix epoch. The caller ends with Flush.
func NewSampleWriter(w io.Writer, offset int64) (*SampleWriter, error) {
	b := binary.NativeEndian.AppendUint32([]byte(samplesMagic), 1)
	b = binary.NativeEndian.AppendUint64(b, uint64(offset))
	bw := bufio.NewWriter(w)
	if _, err := bw.Write(b); err != nil {
		return nil, fmt.Errorf("write samples: %w", err)
	}
	return &SampleWriter{bw}, nil
}

// Write appends one sample.
func (s *SampleWriter) Write(lane event.Lane, sample []byte) error {
	var h [recordHeader]byte
	binary.NativeEndian.PutUint32(h[:], uint32(len(sample)))
	h[4] = byte(lane)
	if _, err := s.w.Write(h[:]); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	if _, err := s.w.Write(sample); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}

// Flush writes what is buffered.
func (s *SampleWriter) Flush() error {
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}

// SampleReader reads what a SampleWriter wrote.
type SampleReader struct {
	r      *bufio.Reader
	offset int64
	buf    []byte
}

// NewSampleReader reads the header from r.
func NewSampleReader(r io.Reader) (*SampleReader, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	var h [samplesHeader]byte
	if _, err := io.ReadFull(br, h[:]); err != nil || string(h[:len(samplesMagic)]) != samplesMagic {
		return nil, errors.New("read samples: this is no file of samples")
	}
	if binary.NativeEndian.Uint32(h[len(samplesMagic):]) != 1 {
		return nil, errors.New("read samples: they were recorded on a machine with another byte order")
	}
	return &SampleReader{r: br, offset: int64(binary.NativeEndian.Uint64(h[len(samplesMagic)+4:]))}, nil
}

// Offset returns what to add to the time of a sample to have nanoseconds since the Unix
// epoch.
func (s *SampleReader) Offset() int64 { return s.offset }

// Next returns the next sample, valid until the next call, or io.EOF.
func (s *SampleReader) Next() (event.Lane, []byte, error) {
	var h [recordHeader]byte
	if _, err := io.ReadFull(s.r, h[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return 0, nil, io.EOF
		}
		return 0, nil, fmt.Errorf("read samples: %w", err)
	}
	n, lane := binary.NativeEndian.Uint32(h[:]), event.Lane(h[4])
	if n > maxSample || lane >= event.NumLanes {
		return 0, nil, fmt.Errorf("read samples: record of %d bytes in lane %d", n, lane)
	}
	if int(n) > cap(s.buf) {
		s.buf = make([]byte, n)
	}
	s.buf = s.buf[:n]
	if _, err := io.ReadFull(s.r, s.buf); err != nil {
		return 0, nil, fmt.Errorf("read samples: %w", io.ErrUnexpectedEOF)
	}
	return lane, s.buf, nil
}
