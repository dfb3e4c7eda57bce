package feed

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/internal/ledger"
)

const (
	// maxPeers bounds the connections to a socket.
	maxPeers = 64
	// fullTime is how often a stream that waits for the alert queue looks again.
	fullTime = 10 * time.Millisecond

	partInput = "input"
)

// StreamSettings say how a stream is read.
type StreamSettings struct {
	Settings
	// MaxBatchBytes bounds a line, or a document with all the events in it.
	MaxBatchBytes int
	// Documents: a batch ends with its last bracket, not with its line.
	Documents bool
}

// stream reads batches one after the other. It belongs to one goroutine.
type stream struct {
	settings StreamSettings
	worker   *worker
	from     string
	log      *complaints
	waiting  func(bool) // told when reading waits for the alert queue, and when no longer

	buf    []byte
	offset int // of buf in the stream
	skip   bool
}

// run handles what r brings until it ends or ctx is done. A stream that begins as gzip
// does is read as such.
func (s *stream) run(ctx context.Context, r io.Reader) error {
	s.buf = make([]byte, 0, min(readBuffer, s.settings.MaxBatchBytes+1))
	for ctx.Err() == nil {
		n, err := r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if s.offset == 0 && len(s.buf) == 1 && s.buf[0] == gzipMagic[0] && err == nil {
			continue // the second byte tells
		}
		if s.offset == 0 && isCompressed(s.buf) {
			z, zerr := gzip.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(s.buf)), r))
			if zerr != nil {
				s.worker.refuse(ledger.DropMalformed)
				return zerr
			}
			s.buf, r = s.buf[:0], z
			continue
		}
		s.batches(ctx)
		switch {
		case err != nil:
			if len(s.buf) > 0 && !s.skip && ctx.Err() == nil {
				s.batch(s.buf) // nothing follows: it is the last line
			}
			s.worker.pipeline.Idle()
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case len(s.buf) < cap(s.buf):
		case cap(s.buf) > s.settings.MaxBatchBytes:
			if !s.skip {
				s.oversize()
			}
			s.skip = true
			s.offset += len(s.buf)
			s.buf = s.buf[:0]
		default:
			s.buf = append(make([]byte, 0, min(2*cap(s.buf), s.settings.MaxBatchBytes+1)), s.buf...)
		}
	}
	return nil
}

// batches handles the batches that end in what was read.
func (s *stream) batches(ctx context.Context) {
	used := 0
	for {
		end := batchEnd(s.buf[used:], s.settings.Documents, s.skip)
		if end == 0 {
			break
		}
		switch {
		case s.skip:
		case !s.room(ctx):
			s.worker.refuse(ledger.DropAborted)
		default:
			s.batch(s.buf[used : used+end])
		}
		s.skip = false
		s.offset += end
		used += end
	}
	s.buf = s.buf[:copy(s.buf, s.buf[used:])]
	if len(s.buf) == 0 && cap(s.buf) > readBuffer {
		s.buf = make([]byte, 0, readBuffer)
	}
	s.worker.pipeline.Idle()
}

func (s *stream) batch(b []byte) {
	if len(bytes.TrimSpace(b)) == 0 {
		return
	}
	if o := s.worker.Batch(b); o.Refused > 0 {
		o.First.Offset += s.offset
		s.log.about(s.from, o)
	}
}

func (s *stream) oversize() {
	s.worker.refuse(ledger.DropOversize)
	err := fmt.Errorf("it has more than %d bytes", s.settings.MaxBatchBytes)
	s.log.about(s.from, Outcome{Refused: 1, First: Refusal{s.offset, len(s.buf), err}})
}

// room waits while the alert queue is full: who writes to a stream waits too. It
// reports false if ctx ends that.
func (s *stream) room(ctx context.Context) bool {
	if !full(s.settings.Instance.Alerts) {
		return true
	}
	s.waiting(true)
	defer s.waiting(false)
	ticker := time.NewTicker(fullTime)
	defer ticker.Stop()
	for full(s.settings.Instance.Alerts) {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

// waits counts the streams that wait for the alert queue and tells the instance.
type waits struct {
	in *instance.Instance
	mu sync.Mutex
	n  int
}

func (w *waits) set(waiting bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if waiting {
		w.n++
	} else {
		w.n--
	}
	reason := ""
	if w.n > 0 {
		reason = "reading waits: the alert queue is full"
	}
	w.in.SetPart(partInput, reason)
}

// Input is a reader that may block for ever, such as standard input. It is read by one
// goroutine from the first Open on, whoever has it open then: what was read and not
// handled is there for the next one.
type Input struct {
	from  io.Reader
	name  string
	begin sync.Once
	got   chan chunk
	open  atomic.Bool

	// What is left of a chunk belongs to who has it open.
	rest []byte
	err  error
}

type chunk struct {
	b   []byte
	err error
}

// NewInput returns the input that r brings.
func NewInput(r io.Reader, name string) *Input {
	return &Input{from: r, name: name, got: make(chan chunk)}
}

// Open begins to read the input, until it ends or the returned function is called.
func (i *Input) Open(s StreamSettings, ended func(reason string)) (func(context.Context) error, error) {
	if !i.open.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("open %s: another source reads it", i.name)
	}
	i.begin.Do(func() { go i.run() })
	in := s.Instance
	w := waits{in: in}
	st := &stream{settings: s, worker: newWorker(s.Settings), from: i.name, log: &complaints{logger: in.Receiver.Logger}, waiting: w.set}
	running, cancel := context.WithCancel(context.Background())
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		err := st.run(running, inputReader{i, running.Done()})
		st.worker.pipeline.Close()
		i.open.Store(false)
		switch {
		case running.Err() != nil:
		case err != nil:
			in.Fail(fmt.Errorf("read %s: %w", i.name, err))
		default:
			ended(i.name + " ended")
		}
	}()
	return func(ctx context.Context) error {
		cancel()
		select {
		case <-finished:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("close %s: %w", i.name, ctx.Err())
		}
	}, nil
}

func (i *Input) run() {
	for {
		b := make([]byte, 64<<10)
		n, err := i.from.Read(b)
		i.got <- chunk{b[:n], err}
		if err != nil {
			return
		}
	}
}

// inputReader reads an input until done.
type inputReader struct {
	*Input
	done <-chan struct{}
}

// Read implements io.Reader.
func (r inputReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		select {
		case c := <-r.got:
			r.rest, r.err = c.b, c.err
		case <-r.done:
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// OpenSocket listens on the unix socket at path and reads what its peers write, until
// the returned function is called. A socket that nobody listens on any more is replaced.
func OpenSocket(ctx context.Context, s StreamSettings, path string, mode fs.FileMode) (func(context.Context) error, error) {
	in := s.Instance
	l, err := listenUnix(ctx, path, mode)
	if err != nil {
		return nil, err
	}
	w := &waits{in: in}
	running, cancel := context.WithCancel(context.Background())
	p := &peers{settings: s, listener: l, log: &complaints{logger: in.Receiver.Logger}, waits: w, conns: map[net.Conn]bool{}}
	p.all.Go(func() {
		if err := p.accept(running); err != nil {
			in.Fail(fmt.Errorf("listen on %s: %w", path, err))
		}
	})
	in.Receiver.Logger.Info("socket listens", zap.String("path", path))
	return func(ctx context.Context) error {
		cancel()
		err := l.Close()
		p.hangUp()
		done := make(chan struct{})
		go func() {
			p.all.Wait()
			close(done)
		}()
		select {
		case <-done:
			return err
		case <-ctx.Done():
			return errors.Join(err, fmt.Errorf("close socket %s: %w", path, ctx.Err()))
		}
	}, nil
}

func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
		if err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("open socket %s: somebody listens on it", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("open socket: %w", err)
		}
	}
	l, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(ctx), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("open socket: %w", err), l.Close())
	}
	return l, nil
}

// peers are the connections to a socket.
type peers struct {
	settings StreamSettings
	listener net.Listener
	log      *complaints
	waits    *waits
	all      sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	over  bool
}

func (p *peers) accept(ctx context.Context) error {
	for {
		conn, err := p.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		if !p.add(conn) {
			_ = conn.Close()
			continue
		}
		p.all.Go(func() {
			defer p.remove(conn)
			st := &stream{settings: p.settings, worker: newWorker(p.settings.Settings), from: p.listener.Addr().String(), log: p.log, waiting: p.waits.set}
			defer st.worker.pipeline.Close()
			if err := st.run(ctx, conn); err != nil && ctx.Err() == nil {
				p.settings.Instance.Receiver.Logger.Debug("connection broke", zap.Error(err))
			}
		})
	}
}

func (p *peers) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || len(p.conns) >= maxPeers {
		return false
	}
	p.conns[c] = true
	return true
}

func (p *peers) remove(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

// hangUp ends the reading of every connection.
func (p *peers) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for c := range p.conns {
		_ = c.SetReadDeadline(time.Now())
	}
}
