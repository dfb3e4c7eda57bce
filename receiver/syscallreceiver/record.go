package syscallreceiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/windhover/windhover/internal/event"
)

// recorder is a capture that writes every sample of another one to a file. Its shards
// share a lock: recording is for finding faults and for measuring, not for every day.
type recorder struct {
	capture
	mu  sync.Mutex
	f   *os.File
	w   *SampleWriter
	err error // the first
}

// record makes a file that only its owner can read: samples hold whatever processes
// were told in arguments and environments.
func record(c capture, name string, offset int64) (*recorder, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("record samples: %w", err)
	}
	w, err := NewSampleWriter(f, offset)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &recorder{capture: c, f: f, w: w}, nil
}

func (r *recorder) run(ctx context.Context, shard int, f func(event.Lane, []byte), idle func()) error {
	return r.capture.run(ctx, shard, func(lane event.Lane, sample []byte) {
		r.mu.Lock()
		if r.err == nil {
			r.err = r.w.Write(lane, sample)
		}
		r.mu.Unlock()
		f(lane, sample)
	}, idle)
}

func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = r.w.Flush()
	}
	return errors.Join(r.err, r.f.Close())
}
