package syscallreceiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/windhover/windhover/internal/event"
)

// replay reads recorded samples from a file, in one shard.
type replay struct {
	f *os.File
	r *SampleReader
}

func openReplay(name string) (*replay, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("replay samples: %w", err)
	}
	r, err := NewSampleReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("replay %s: %w", name, err)
	}
	return &replay{f, r}, nil
}

func (*replay) numShards() int { return 1 }

func (p *replay) run(ctx context.Context, _ int, f func(event.Lane, []byte), idle func()) error {
	for n := 1; ctx.Err() == nil; n++ {
		lane, sample, err := p.r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		f(lane, sample)
		if n%busySamples == 0 {
			idle()
		}
	}
	idle()
	return nil
}

func (p *replay) close() error { return p.f.Close() }
