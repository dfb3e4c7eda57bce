package feed

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
)

// maxInflated bounds what one compressed file may hold: it takes time, whatever is done
// with it.
const maxInflated = 1 << 30

var errInflated = fmt.Errorf("it holds more than %d bytes", maxInflated)

// gzipMagic is how compressed text begins, and no JSON.
var gzipMagic = []byte{0x1f, 0x8b}

func isCompressed(head []byte) bool { return bytes.HasPrefix(head, gzipMagic) }

// inflater reads a compressed file at offsets of what is compressed in it. Offsets only
// grow.
type inflater struct {
	from   io.ReaderAt
	z      *gzip.Reader // nil: not begun, or to begin again
	window []byte       // what was read and not asked past …
	at     int64        // … and its offset
	over   bool         // nothing more is to come of the file
	waits  int64        // its size when it ended too early, else 0
}

func (f *file) inflater() *inflater {
	z, _ := f.text.(*inflater)
	return z
}

// wait leaves the file until it has another size.
func (z *inflater) wait(size int64) {
	z.z, z.window, z.at, z.waits = nil, nil, 0, size
}

// ReadAt implements io.ReaderAt.
func (z *inflater) ReadAt(p []byte, off int64) (int, error) {
	if z.z == nil {
		r, err := gzip.NewReader(io.NewSectionReader(z.from, 0, math.MaxInt64))
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		z.z = r
	}
	for z.at < off {
		if len(z.window) == 0 {
			if err := z.fill(len(p)); err != nil {
				return 0, err
			}
		}
		n := min(int64(len(z.window)), off-z.at)
		z.window = z.window[:copy(z.window, z.window[n:])]
		z.at += n
	}
	for len(z.window) < len(p) {
		if err := z.fill(len(p)); err != nil {
			return copy(p, z.window), err
		}
	}
	return copy(p, z.window), nil
}

// fill reads on until the window holds up to n bytes.
func (z *inflater) fill(n int) error {
	have := len(z.window)
	if z.at+int64(have) > maxInflated {
		return errInflated
	}
	if cap(z.window) < n {
		z.window = append(make([]byte, 0, n), z.window...)
	}
	got, err := z.z.Read(z.window[have:n])
	z.window = z.window[:have+got]
	if got > 0 {
		return nil
	}
	return err
}
