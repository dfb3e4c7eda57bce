package k8sauditreceiver

import (
	"bytes"
	"context"
	"encoding/json"
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
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"

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

// tail reads files line by line and follows them as they grow, are renamed, cut short
// or replaced. It belongs to one goroutine. A line is handled once it ends; an offset
// is always that of the start of a line.
type tail struct {
	config FilesConfig
	limit  int // longest line
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
	info   fs.FileInfo
	offset int64  // start of the first line that was not handled
	head   []byte // how the file begins
	skip   bool   // offset is inside a line that is too long
	gone   bool   // its path leads to another file, or to none
	quiet  int    // looks without anything new since it is gone
	done   bool   // nothing more is to come of it
}

// openFiles begins to read files, until the returned function is called or, without
// follow, every file was read.
func openFiles(ctx context.Context, c *Config, in *instance.Instance) (func(context.Context) error, error) {
	t := &tail{
		config: c.Files, limit: c.MaxEventBytes, worker: newWorker(in, c), in: in, first: true,
		log: complaints{logger: in.Receiver.Logger},
	}
	if c.Files.Storage != nil {
		var err error
		if t.store, err = openOffsets(ctx, *c.Files.Storage, in); err != nil {
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
		case running.Err() == nil && !c.webhook():
			in.End("every file was read")
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
	f := &file{path: path, f: h}
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
	switch {
	case t.store != nil && t.store.restore(f):
	case t.first && t.config.Follow && t.config.StartAt == startAtEnd:
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
	before := f.offset
	for ctx.Err() == nil && !t.waits {
		if len(t.buf) == 0 {
			t.buf = make([]byte, min(readBuffer, t.limit+1))
		}
		n, err := f.f.ReadAt(t.buf, f.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		atEnd := errors.Is(err, io.EOF)
		used := t.lines(f, t.buf[:n])
		f.offset += int64(used)
		switch {
		case t.waits:
		case used > 0:
			if len(t.buf) > readBuffer {
				t.buf = nil
			}
		case n > 0 && (f.skip || n > t.limit):
			if !f.skip {
				t.oversize(f, n)
			}
			f.skip = true
			f.offset += int64(n)
		case atEnd:
			t.end(f, t.buf[:n], f.offset > before)
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
	if f.info.Size() < f.offset || !bytes.HasPrefix(head, f.head) {
		f.offset, f.skip = 0, false
	}
	f.head = head
	return nil
}

// lines handles the lines that end in b, as long as there is room for alerts, and
// returns how many bytes they are.
func (t *tail) lines(f *file, b []byte) int {
	used := 0
	for !t.full() {
		end := bytes.IndexByte(b[used:], '\n')
		if end < 0 {
			break
		}
		if f.skip {
			f.skip = false
		} else {
			t.line(f, b[used:used+end], f.offset+int64(used))
		}
		used += end + 1
	}
	if used > 0 {
		if last := t.worker.ev.Time; last != 0 {
			t.worker.pipeline.SetLag(max(0, time.Since(time.Unix(0, last))))
		}
		t.worker.pipeline.Idle()
	}
	return used
}

// full reports whether reading waits for the alert queue: a file does not go away.
func (t *tail) full() bool {
	q := t.in.Alerts.Stats()
	t.waits = q.Items >= q.ItemLimit || q.Bytes >= q.ByteLimit
	return t.waits
}

func (t *tail) line(f *file, line []byte, offset int64) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	if len(line) > t.limit {
		t.oversize(f, len(line))
		return
	}
	if o := t.worker.batch(line); o.refused > 0 {
		o.first.offset += int(offset)
		t.log.about(f.path, o)
	}
}

// oversize counts a line that is longer than an event may be. It is not read whole.
func (t *tail) oversize(f *file, size int) {
	t.worker.refuse(ledger.DropOversize)
	err := fmt.Errorf("the line has more than max_event_bytes, %d bytes", t.limit)
	t.log.about(f.path, outcome{refused: 1, first: refusal{int(f.offset), size, err}})
}

// offsets keeps how far files were read, in a storage extension. An offset is written
// once the alerts of all events before it left the queue: after a crash an event can be
// seen twice, but not be missed.
type offsets struct {
	client  storage.Client
	known   []kept
	waiting []byte // not written yet …
	alerts  uint64 // … until so many alerts are answered
	written []byte
}

// kept is how far one file was read. A file is known by how it begins.
type kept struct {
	Path   string `json:"path"`
	Head   []byte `json:"head"`
	Offset int64  `json:"offset"`
}

const offsetsKey = "offsets"

func openOffsets(ctx context.Context, id component.ID, in *instance.Instance) (*offsets, error) {
	ext, ok := in.Host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("find extension %s: there is none; add it to extensions, or remove files::storage", id)
	}
	st, ok := ext.(storage.Extension)
	if !ok {
		return nil, fmt.Errorf("use extension %s: it stores nothing; use one such as file_storage", id)
	}
	client, err := st.GetClient(ctx, component.KindReceiver, in.Receiver.ID, "files")
	if err != nil {
		return nil, fmt.Errorf("open storage %s: %w", id, err)
	}
	o := &offsets{client: client}
	text, err := client.Get(ctx, offsetsKey)
	if err == nil && text != nil {
		err = json.Unmarshal(text, &o.known)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read storage %s: %w", id, err), client.Close(ctx))
	}
	return o, nil
}

// restore sets the offset of a file that was read before.
func (o *offsets) restore(f *file) bool {
	for _, k := range o.known {
		if len(k.Head) > 0 && bytes.HasPrefix(f.head, k.Head) && k.Offset <= f.info.Size() {
			f.offset = k.Offset
			return true
		}
	}
	return false
}

// keep writes the offsets of files, as soon as that may be.
func (o *offsets) keep(open []*file, in *instance.Instance) error {
	if o.waiting == nil {
		text, err := encode(open)
		if err != nil || bytes.Equal(text, o.written) {
			return err
		}
		o.waiting, o.alerts = text, in.Alerts.Stats().Accepted
	}
	if in.Answered() < o.alerts {
		return nil
	}
	if err := o.client.Set(context.Background(), offsetsKey, o.waiting); err != nil {
		return err
	}
	o.written, o.waiting = o.waiting, nil
	return nil
}

// settleTime bounds how long close waits for alerts to be answered.
const settleTime = time.Second

// close writes the last offsets, if the alerts before them are answered in time.
func (o *offsets) close(open []*file, in *instance.Instance) error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	last, err := encode(open)
	for err == nil && !bytes.Equal(o.written, last) {
		if err = o.keep(open, in); err != nil || bytes.Equal(o.written, last) {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			err = fmt.Errorf("wait for alerts: %w", ctx.Err())
		}
	}
	return errors.Join(err, o.client.Close(context.Background()))
}

func encode(open []*file) ([]byte, error) {
	list := make([]kept, 0, len(open))
	for _, f := range open {
		list = append(list, kept{f.path, f.head, f.offset})
	}
	return json.Marshal(list)
}
