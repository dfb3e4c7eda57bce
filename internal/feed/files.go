package feed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/internal/ledger"
)

const (
	// readBuffer is how much is read of a file at a time, unless a line is longer.
	readBuffer = 256 << 10
	// maxFiles bounds the files that are open at the same time.
	maxFiles = 512
	// headBytes is how much of the beginning of a file tells it from another one in its
	// place.
	headBytes = 512

	// quietLooks is how often a file whose path leads elsewhere is still looked at with
	// nothing new in it: who wrote to it may go on until told of the new one.
	quietLooks = 20

	partFiles = "files"
)

// Where the first look at a file begins.
const (
	StartAtBeginning = "beginning"
	StartAtEnd       = "end"
)

// FilesConfig describes the files to read.
type FilesConfig struct {
	// Include are patterns of file names, as of a shell: * ? and [].
	Include []string `mapstructure:"include"`
	// StartAt is beginning or end: where to begin in files that are there at the start.
	// Files that appear later are read from their beginning.
	StartAt string `mapstructure:"start_at"`
	// Follow waits for more at the end of a file, and for more files. Without it the
	// source ends when every file was read once.
	Follow bool `mapstructure:"follow"`
	// PollInterval is how often files are looked at.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// Storage is the ID of a storage extension that keeps how far files were read.
	Storage *component.ID `mapstructure:"storage"`
}

// NewDefaultFilesConfig returns what applies unless the user sets something else.
func NewDefaultFilesConfig() FilesConfig {
	return FilesConfig{StartAt: StartAtEnd, Follow: true, PollInterval: 250 * time.Millisecond}
}

// Validate reports every problem with c.
func (c *FilesConfig) Validate() error {
	var errs []error
	for _, pattern := range c.Include {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			errs = append(errs, fmt.Errorf("include: %q is not a pattern of file names", pattern))
		}
	}
	if c.StartAt != StartAtBeginning && c.StartAt != StartAtEnd {
		errs = append(errs, fmt.Errorf("start_at: no place %q; there are beginning and end", c.StartAt))
	}
	if c.PollInterval < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("poll_interval: %v is shorter than 10ms", c.PollInterval))
	}
	return errors.Join(errs...)
}

// FilesSettings say how files are read.
type FilesSettings struct {
	Settings
	Config FilesConfig
	// MaxBatchBytes bounds a line, or a document with all the events in it.
	MaxBatchBytes int
	// Documents: a batch ends with its last bracket, not with its line.
	Documents bool
	// Ended is called, if nothing is followed, when every file was read.
	Ended func(reason string)
}

// tail reads files line by line and follows them as they grow, are renamed, cut short
// or replaced. It belongs to one goroutine. A line is handled once it ends; an offset
// is always that of the start of a line.
type tail struct {
	config FilesConfig
	limit  int // longest line
	docs   bool
	worker *worker
	in     *instance.Instance
	store  *offsets // nil: nothing is kept
	log    complaints

	open    []*file
	first   bool // no look was taken yet
	buf     []byte
	trouble []string // what went wrong in this look
	waits   bool     // the alert queue was full in this look
}

// file is an open file, whatever its name is by now.
type file struct {
	path   string
	f      *os.File
	text   io.ReaderAt // of f: itself, or what is compressed in it
	info   fs.FileInfo
	offset int64  // in text: start of the first line that was not handled
	head   []byte // how the file begins
	skip   bool   // offset is inside a line that is too long
	gone   bool   // its path leads to another file, or to none
	quiet  int    // looks without anything new since it is gone
	done   bool   // nothing more is to come of it
}

// OpenFiles begins to read files, until the returned function is called or, without
// follow, every file was read.
func OpenFiles(ctx context.Context, s FilesSettings) (func(context.Context) error, error) {
	in := s.Instance
	t := &tail{
		config: s.Config, limit: s.MaxBatchBytes, docs: s.Documents, worker: newWorker(s.Settings), in: in, first: true,
		log: complaints{logger: in.Receiver.Logger},
	}
	if s.Config.Storage != nil {
		var err error
		if t.store, err = openOffsets(ctx, *s.Config.Storage, in); err != nil {
			t.worker.pipeline.Close()
			return nil, err
		}
	}
	// Before Start returns, so that what is written after it is read.
	t.find()
	t.first = false
	running, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := t.run(running)
		t.close()
		switch {
		case err != nil:
			in.Fail(err)
		case running.Err() == nil:
			s.Ended("every file was read")
		}
	}()
	return func(ctx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("close files: %w", ctx.Err())
		}
	}, nil
}

func (t *tail) close() {
	for _, f := range t.open {
		_ = f.f.Close()
	}
	t.worker.pipeline.Close()
	if t.store != nil {
		if err := t.store.close(t.open, t.in); err != nil {
			t.in.Receiver.Logger.Warn("offsets were not kept; events will be read again", zap.Error(err))
		}
	}
}

// run looks at the files at every interval until ctx is done, or only once.
func (t *tail) run(ctx context.Context) error {
	ticker := time.NewTicker(t.config.PollInterval)
	defer ticker.Stop()
	for {
		t.look(ctx)
		if !t.config.Follow && !t.waits {
			if len(t.trouble) > 0 {
				return errors.New(t.trouble[0])
			}
			return nil
		}
		reason := ""
		switch {
		case len(t.trouble) > 0:
			reason = t.trouble[0]
		case t.waits:
			reason = "reading waits: the alert queue is full"
		}
		t.in.SetPart(partFiles, reason)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look finds files, reads what is new in each and forgets those that are gone.
func (t *tail) look(ctx context.Context) {
	t.trouble, t.waits = t.trouble[:0], false
	t.find()
	for _, f := range t.open {
		if err := t.read(ctx, f); err != nil {
			// To open it anew would begin at its first line again.
			f.done = f.gone
			t.fail("read %s: %v", f.path, err)
		}
	}
	kept := t.open[:0]
	for _, f := range t.open {
		if f.done && t.config.Follow {
			_ = f.f.Close()
			continue
		}
		kept = append(kept, f)
	}
	clear(t.open[len(kept):])
	t.open = kept
	if !t.waits {
		t.worker.pipeline.SetLag(0)
	}
	t.worker.pipeline.Idle()
	if t.store != nil {
		if err := t.store.keep(t.open, t.in); err != nil {
			t.fail("keep offsets: %v", err)
		}
	}
}

func (t *tail) fail(format string, args ...any) {
	t.trouble = append(t.trouble, fmt.Sprintf(format, args...))
}

// find opens files that are not open yet and marks those whose path is another's now.
func (t *tail) find() {
	var paths []string
	for _, pattern := range t.config.Include {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.fail("look for %s: %v", pattern, err)
			continue
		}
		if len(found) == 0 && !t.config.Follow {
			t.fail("look for %s: there is no such file", pattern)
		}
		paths = append(paths, found...)
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)

	for _, f := range t.open {
		f.gone = true
	}
	type found struct {
		path string
		info fs.FileInfo
	}
	var fresh []found
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) { // it went since it was listed
				t.fail("open %v", err)
			}
			continue
		}
		if f := t.known(info); f != nil {
			f.path, f.gone = path, false
			continue
		}
		if !info.Mode().IsRegular() {
			t.fail("open %s: it is not a regular file", path)
			continue
		}
		fresh = append(fresh, found{path, info})
	}
	// Files without storage of their order are read in the order they were written.
	slices.SortStableFunc(fresh, func(a, b found) int { return a.info.ModTime().Compare(b.info.ModTime()) })
	for _, n := range fresh {
		if len(t.open) >= maxFiles {
			t.fail("open %s: more than %d files; name fewer", n.path, maxFiles)
			return
		}
		if err := t.add(n.path); err != nil {
			t.fail("open %v", err)
		}
	}
}

// known returns the open file that info describes.
func (t *tail) known(info fs.FileInfo) *file {
	for _, f := range t.open {
		if os.SameFile(f.info, info) {
			return f
		}
	}
	return nil
}

// add opens the file at path and decides where to begin.
func (t *tail) add(path string) error {
	// A pipe in place of the file must not hold up the others.
	h, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f := &file{path: path, f: h, text: h}
	if f.info, err = h.Stat(); err == nil && !f.info.Mode().IsRegular() {
		err = fmt.Errorf("%s: it is not a regular file", path)
	}
	if err == nil {
		f.head, err = readHead(h)
	}
	if err != nil {
		_ = h.Close()
		return err
	}
	if isCompressed(f.head) {
		f.text = &inflater{from: h}
	}
	switch {
	case t.store != nil && t.store.restore(f):
	case t.first && t.config.Follow && t.config.StartAt == StartAtEnd:
		if z := f.inflater(); z != nil {
			z.over = true
			break
		}
		if f.offset, err = lastLine(h, f.info.Size()); err != nil {
			_ = h.Close()
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	t.open = append(t.open, f)
	return nil
}

func readHead(f io.ReaderAt) ([]byte, error) {
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head[:n], nil
}

// lastLine returns where the line begins that the file ends in.
func lastLine(f io.ReaderAt, size int64) (int64, error) {
	var buf [4096]byte
	for end := size; end > 0; {
		start := max(0, end-int64(len(buf)))
		n, err := f.ReadAt(buf[:end-start], start)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// read handles the lines of f that ended since it was last read.
func (t *tail) read(ctx context.Context, f *file) error {
	info, err := f.f.Stat()
	if err != nil {
		return err
	}
	f.info = info
	if err := f.rewind(); err != nil {
		return err
	}
	if z := f.inflater(); z != nil {
		if z.over {
			t.end(f, nil, false)
			return nil
		}
		if z.waits == info.Size() && !f.gone {
			return nil
		}
		z.waits = 0
	}
	before := f.offset
	for ctx.Err() == nil && !t.waits {
		if len(t.buf) == 0 {
			t.buf = make([]byte, min(readBuffer, t.limit+1))
		}
		n, err := f.text.ReadAt(t.buf, f.offset)
		atEnd := errors.Is(err, io.EOF)
		z := f.inflater()
		if err != nil && !atEnd && z == nil {
			return err
		}
		used := t.lines(f, t.buf[:n])
		f.offset += int64(used)
		switch {
		case t.waits:
		case used > 0:
			if len(t.buf) > readBuffer {
				t.buf = nil
			}
		case err != nil && !atEnd:
			t.broken(f, z, err)
			return nil
		case n > 0 && (f.skip || n > t.limit):
			if !f.skip {
				t.oversize(f, n)
			}
			f.skip = true
			f.offset += int64(n)
		case atEnd:
			t.end(f, t.buf[:n], f.offset > before)
			if z != nil && !f.done {
				// A compressed file says where it ends: what there is, is the last line.
				t.line(f, t.buf[:n], f.offset)
				f.offset += int64(n)
				z.over = true
			}
			return nil
		case n == len(t.buf):
			t.buf = make([]byte, min(2*len(t.buf), t.limit+1))
		}
	}
	return nil
}

// end decides what to do at the end of a file, with what comes after its last line.
func (t *tail) end(f *file, rest []byte, grew bool) {
	switch {
	case !f.gone || grew:
		f.quiet = 0
	default:
		f.quiet++
	}
	if f.quiet < quietLooks && t.config.Follow {
		return
	}
	// Nobody writes here any more: what there is, is the last line.
	if len(rest) > 0 {
		t.line(f, rest, f.offset)
		f.offset += int64(len(rest))
	}
	f.done = true
}

// rewind goes back to the beginning of a file that was cut short or written anew.
func (f *file) rewind() error {
	head, err := readHead(f.f)
	if err != nil {
		return err
	}
	z := f.inflater()
	if z == nil && f.info.Size() < f.offset || !bytes.HasPrefix(head, f.head) {
		f.offset, f.skip = 0, false
		f.text, z = f.f, nil
	}
	if z == nil && f.offset == 0 && isCompressed(head) {
		f.text = &inflater{from: f.f}
	}
	f.head = head
	return nil
}

// lines handles the lines that end in b, as long as there is room for alerts, and
// returns how many bytes they are.
func (t *tail) lines(f *file, b []byte) int {
	used := 0
	for !t.full() {
		end := batchEnd(b[used:], t.docs, f.skip)
		if end == 0 {
			break
		}
		if f.skip {
			f.skip = false
		} else {
			t.line(f, b[used:used+end], f.offset+int64(used))
		}
		used += end
	}
	if used > 0 {
		if last := t.worker.ev.Time; last != 0 {
			t.worker.pipeline.SetLag(max(0, time.Since(time.Unix(0, last))))
		}
		t.worker.pipeline.Idle()
	}
	return used
}

// batchEnd returns the index after the first batch of b, 0 if it does not end there: of
// a line, or of a document if docs is set. If skip is set, b begins in the middle of one
// that was too long.
func batchEnd(b []byte, docs, skip bool) int {
	if docs && !skip {
		return document.End(b)
	}
	for i := 0; ; {
		end := bytes.IndexByte(b[i:], '\n')
		if end < 0 {
			return 0
		}
		i += end + 1
		// A document begins where its line does; what is inside one is indented.
		if !docs || i < len(b) && (b[i] == '{' || b[i] == '[') {
			return i
		}
	}
}

// full reports whether reading waits for the alert queue: a file does not go away.
func (t *tail) full() bool {
	t.waits = full(t.in.Alerts)
	return t.waits
}

func (t *tail) line(f *file, line []byte, offset int64) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	if len(line) > t.limit+1 { // its end counts
		t.oversize(f, len(line))
		return
	}
	if o := t.worker.Batch(line); o.Refused > 0 {
		o.First.Offset += int(offset)
		t.log.about(f.path, o)
	}
}

// broken decides what to do with a compressed file that cannot be read on.
func (t *tail) broken(f *file, z *inflater, err error) {
	if errors.Is(err, io.ErrUnexpectedEOF) && t.config.Follow && !f.gone {
		z.wait(f.info.Size()) // it is still being written
		return
	}
	z.over = true
	t.worker.refuse(ledger.DropMalformed)
	t.log.about(f.path, Outcome{Refused: 1, First: Refusal{int(f.offset), int(f.info.Size()), err}})
}

// oversize counts a line that is longer than an event may be. It is not read whole.
func (t *tail) oversize(f *file, size int) {
	t.worker.refuse(ledger.DropOversize)
	err := fmt.Errorf("the line has more than %d bytes", t.limit)
	t.log.about(f.path, Outcome{Refused: 1, First: Refusal{int(f.offset), size, err}})
}
