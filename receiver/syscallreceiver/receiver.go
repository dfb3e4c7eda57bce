package syscallreceiver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/container"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/state"
	"github.com/windhover/windhover/rules"
)

const (
	// scanTime bounds how long open waits for the snapshot of what runs.
	scanTime = 500 * time.Millisecond
	// backgroundTime bounds how long close waits for work that no event depends on: a
	// process can hold up who reads its memory through procfs, for ever.
	backgroundTime = 3 * time.Second
)

// Parts of the source that can be wrong without ending it.
const (
	partRules = "rules"
	partScan  = "scan"
)

// reading is the receiver's own part of a source: from the kernel, or from a file, to
// the workers of the instance. What it starts ends in close, in the order of the way
// of an event.
type reading struct {
	*instance.Instance
	config  *Config
	capture capture
	probe   *probe // nil: samples are replayed
	clock   *clock
	table   *state.Table
	// attached is closed when the kernel side is.
	attached chan struct{}

	stopCapture    context.CancelFunc
	capturing      sync.WaitGroup
	stopBackground context.CancelFunc
	engines        *container.Resolver // nil: not asked
	background     sync.WaitGroup
	undo           []func() // in reverse order
}

// open begins to read. The kernel side is loaded before it returns, which takes a
// fraction of a second, so that an error says what is missing.
func open(c *Config, in *instance.Instance) (_ *reading, err error) {
	r := &reading{Instance: in, config: c, attached: make(chan struct{})}
	defer func() {
		if err != nil {
			r.unwind()
		}
	}()
	if err := r.openCapture(); err != nil {
		return nil, err
	}
	proc := filepath.Join(c.HostRoot, "proc")
	names := state.NewNameReader(proc, c.HostRoot)
	settings := state.Settings{
		Shards:       r.capture.numShards(),
		MaxProcesses: c.Processes.Items,
		MaxBytes:     c.Processes.Bytes,
		Names:        names,
	}
	if c.Containers.Enabled && r.probe != nil {
		r.engines = container.New(container.Sockets{CRI: c.Containers.CRI, Docker: c.Containers.Docker}, c.HostRoot, in.Receiver.Logger)
		settings.Containers = r.engines
	}
	r.table = state.NewTable(settings)
	in.Account.SetProcesses(func() int { return r.table.Stats().Processes })
	r.startBackground(proc, names)
	r.startCapture()
	if r.probe != nil {
		if err := r.probe.Attach(); err != nil {
			return nil, errors.Join(err, r.stopReading())
		}
		close(r.attached)
		r.undo = append(r.undo, in.Rules().OnSwap(r.useRules))
		r.useRules(in.Rules().Set()) // there may have been a swap since openCapture
	}
	in.Receiver.Logger.Info("watching system calls",
		zap.Int("shards", r.capture.numShards()),
		zap.Int("rules", len(in.Rules().Set().Rules())),
		zap.Bool("replay", r.probe == nil))
	return r, nil
}

// openCapture loads the kernel side, or opens the file to replay.
func (r *reading) openCapture() error {
	if r.config.ReplaySamples != "" {
		p, err := openReplay(r.config.ReplaySamples)
		if err != nil {
			return err
		}
		r.undo = append(r.undo, func() { _ = p.close() })
		r.capture = p
		r.clock = newClock(p.r.Offset)
	} else {
		p, err := loadProbe(r.config)
		if err != nil {
			return err
		}
		r.undo = append(r.undo, func() { _ = p.Close() })
		r.capture, r.probe = p, p
		r.clock = newClock(bootOffset)
		if err := p.SetWanted(r.Rules().Set().Types(sourceType)); err != nil {
			return err
		}
		if err := r.Account.SetKernelReader(p.readKernel); err != nil {
			return err
		}
	}
	if r.config.RecordSamples == "" {
		return nil
	}
	rec, err := record(r.capture, r.config.RecordSamples, r.clock.Offset())
	if err != nil {
		return err
	}
	r.undo = append(r.undo, func() {
		if err := rec.close(); err != nil {
			r.Receiver.Logger.Error("recording is incomplete", zap.Error(err))
		}
	})
	r.capture = rec
	return nil
}

// startCapture starts one goroutine for each shard.
func (r *reading) startCapture() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stopCapture = cancel
	var left sync.WaitGroup
	shards := r.capture.numShards()
	peers := &peers{all: make([]progress, shards)}
	if r.probe != nil {
		peers.pending = r.probe.pending
	}
	for i := range shards {
		sh := &shard{
			decoder:   decoder{offset: r.clock.Offset(), source: r.Origin()},
			worker:    r.Worker(),
			table:     r.table,
			procs:     r.table.Shard(i),
			index:     i,
			shards:    shards,
			peers:     peers,
			clock:     r.clock,
			countRead: r.probe == nil,
		}
		left.Add(1)
		r.capturing.Go(func() {
			defer left.Done()
			defer sh.close()
			if err := r.capture.run(ctx, i, sh.handle, sh.idle); err != nil {
				r.Fail(fmt.Errorf("read shard %d: %w", i, err))
			}
		})
	}
	if r.probe == nil {
		r.capturing.Go(func() {
			left.Wait()
			if ctx.Err() == nil {
				r.End("every sample was replayed")
			}
		})
	}
}

// startBackground starts the work beside the way of an event: the snapshot of what
// runs, the names of users, the watch for losses. It returns when there is a snapshot,
// or when it is taking too long.
func (r *reading) startBackground(proc string, names *state.NameReader) {
	ctx, cancel := context.WithCancel(context.Background())
	r.stopBackground = cancel
	if r.probe != nil {
		scanned := make(chan struct{})
		r.background.Go(func() {
			names.ReadHost()
			names.Run(ctx)
		})
		if r.engines != nil {
			r.background.Go(func() { r.engines.Run(ctx) })
		}
		r.background.Go(func() { r.scan(ctx, proc, scanned) })
		t := traces{follow: r.probe.FollowTraces, log: r.Receiver.Logger}
		t.look()
		r.background.Go(func() { t.run(ctx) })
		select {
		case <-scanned:
		case <-time.After(scanTime):
		}
	}
	watcher := ledger.NewDropWatcher(r.Account, r.config.Drops, ledger.DropActions{
		Log:   r.logDrops,
		Alert: r.NoticeDrops,
		Exit:  r.Exit,
	})
	r.background.Go(func() { watcher.Run(ctx) })
}

// scan reads what runs before the kernel side is attached, and says so; then after, for
// what changed in between: whatever starts from then on announces itself.
func (r *reading) scan(ctx context.Context, proc string, scanned chan<- struct{}) {
	scanner := state.NewScanner(r.table, proc, r.clock.Offset)
	err := scanner.Scan(ctx)
	close(scanned)
	select {
	case <-r.attached:
	case <-ctx.Done():
		return
	}
	if err == nil {
		err = scanner.Scan(ctx)
	}
	if err != nil {
		r.SetPart(partScan, "processes that ran before are known by name only: "+err.Error())
		return
	}
	if failed := r.table.Stats().ScanFailed; failed > 0 {
		r.SetPart(partScan, fmt.Sprintf("%d processes that ran before could not be read from %s: give CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH", failed, proc))
	}
	scanner.Run(ctx)
}

// useRules makes the kernel side report what set needs.
func (r *reading) useRules(set *rules.Set) {
	if err := r.probe.SetWanted(set.Types(sourceType)); err != nil {
		r.SetPart(partRules, "the system calls of the rules could not be chosen: "+err.Error())
		return
	}
	r.SetPart(partRules, "")
}

func (r *reading) logDrops(e *ledger.Episode) {
	if e.End.IsZero() {
		r.Receiver.Logger.Error("events are lost", zap.String("priority", "CRITICAL"), zap.Stringer("episode", e))
		return
	}
	r.Receiver.Logger.Warn("events are no longer lost", zap.Stringer("episode", e))
}

// close ends everything in the order of the way of an event, so that nothing that was
// captured is lost on it.
func (r *reading) close(context.Context) error {
	var errs []error
	if r.probe != nil {
		errs = append(errs, r.probe.Detach())
	}
	errs = append(errs, r.stopReading())
	if r.probe != nil {
		errs = append(errs, r.Account.SetKernelReader(nil))
	}
	r.unwind()
	return errors.Join(errs...)
}

// stopReading ends what startCapture and startBackground started.
func (r *reading) stopReading() error {
	// Handling an event never blocks, so this takes as long as what is in the rings.
	// The memory of the rings must not go before the readers have ended.
	r.stopCapture()
	r.capturing.Wait()
	r.stopBackground()
	ctx, cancel := context.WithTimeout(context.Background(), backgroundTime)
	defer cancel()
	return within(ctx, "end background work", &r.background)
}

func (r *reading) unwind() {
	for _, undo := range slices.Backward(r.undo) {
		undo()
	}
	r.undo = nil
}

// within waits for wg until ctx is done.
func within(ctx context.Context, what string, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
}
