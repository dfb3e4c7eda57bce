// Package container asks container engines what the containers of this host are: their
// names, images and labels, and the pods they belong to.
//
// A Resolver answers at once with a reference, and fills it when an engine has told. It
// asks over the sockets of the engines: CRI (containerd, CRI-O) and the HTTP interface of
// Docker and Podman. Everything they answer is bounded.
package container

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/event"
)

const (
	// maxRefs bounds the containers that are known at the same time. The kubelet runs 110
	// pods on a node unless told otherwise.
	maxRefs = 4096
	// maxRequests bounds the questions that wait for one engine.
	maxRequests = maxRefs
	// timeout bounds one question.
	timeout = 2 * time.Second
	// retryAfter is when a container that nobody knew is asked for again.
	retryAfter = 30 * time.Second

	maxText   = 1024
	maxLabels = 128
	maxMounts = 128
)

// tries are the pauses before an engine that does not know a container is asked again: a
// runtime starts the first process of a sandbox before it tells of it.
var tries = []time.Duration{30 * time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond, time.Second}

// Sockets are where engines listen. A path that nothing listens at is passed over.
type Sockets struct {
	CRI    []string
	Docker []string
}

// DefaultSockets are those of containerd, CRI-O, k3s, Docker and Podman.
func DefaultSockets() Sockets {
	return Sockets{
		CRI:    []string{"/run/containerd/containerd.sock", "/run/crio/crio.sock", "/run/k3s/containerd/containerd.sock"},
		Docker: []string{"/run/docker.sock", "/run/podman/podman.sock"},
	}
}

// errUnknown says that an engine does not know a container.
var errUnknown = errors.New("no such container")

// engine is one that can be asked. Only its own goroutine does.
type engine interface {
	// describe returns what the engine tells of a container, or errUnknown.
	describe(ctx context.Context, id string) (*event.Container, error)
	close()
}

// Resolver knows containers. Any goroutine may call Ref.
type Resolver struct {
	log     *zap.Logger
	workers []*worker

	mu    sync.Mutex
	refs  map[string]*request
	order []string // of refs, the oldest first

	refused atomic.Uint64
}

// request is a container that engines are asked for.
type request struct {
	id    string
	ref   event.ContainerRef
	open  atomic.Int32 // engines that have not answered
	asked atomic.Int64 // when, in nanoseconds
}

// worker asks one engine.
type worker struct {
	path     string // of the socket
	engine   engine
	requests chan attempt
	failing  bool
}

type attempt struct {
	r *request
	n int // how often it was tried
}

// New returns a Resolver for engines whose sockets are below hostRoot.
func New(s Sockets, hostRoot string, log *zap.Logger) *Resolver {
	r := &Resolver{log: log, refs: make(map[string]*request)}
	add := func(path string, open func(socket string) engine) {
		path = filepath.Join(hostRoot, path)
		r.workers = append(r.workers, &worker{path: path, engine: open(path), requests: make(chan attempt, maxRequests)})
	}
	for _, path := range s.CRI {
		add(path, newCRI)
	}
	for _, path := range s.Docker {
		add(path, newDocker)
	}
	return r
}

// Ref returns what is known, or will be, of the container with an ID.
func (r *Resolver) Ref(id []byte) *event.ContainerRef {
	r.mu.Lock()
	q := r.refs[string(id)]
	isNew := q == nil
	if isNew {
		q = &request{id: string(id)}
		if len(r.order) >= maxRefs {
			delete(r.refs, r.order[0])
			r.order = r.order[1:]
		}
		r.refs[q.id] = q
		r.order = append(r.order, q.id)
	}
	r.mu.Unlock()
	now := time.Now().UnixNano()
	switch last := q.asked.Load(); {
	case isNew:
		q.asked.Store(now)
		r.ask(q)
	case q.ref.Status() == event.ContainerUnknown && now-last > int64(retryAfter) && q.asked.CompareAndSwap(last, now):
		q.ref.Retry()
		r.ask(q)
	}
	return &q.ref
}

// ask puts q before every engine.
func (r *Resolver) ask(q *request) {
	q.open.Store(int32(len(r.workers)))
	for _, w := range r.workers {
		r.send(w, attempt{r: q})
	}
	if len(r.workers) == 0 {
		q.ref.Store(nil)
	}
}

// send hands a to w, or gives up where too many wait already.
func (r *Resolver) send(w *worker, a attempt) {
	select {
	case w.requests <- a:
	default:
		if r.refused.Add(1) == 1 {
			r.log.Warn("more containers than can be asked for at once: alerts lack names, images and pods of some", zap.Int("waiting", len(w.requests)))
		}
		a.r.unknown()
	}
}

// unknown notes that one engine more does not know the container.
func (q *request) unknown() {
	if q.open.Add(-1) <= 0 {
		q.ref.Store(nil)
	}
}

// Run asks engines until ctx is done.
func (r *Resolver) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, w := range r.workers {
		wg.Go(func() {
			defer w.engine.close()
			for {
				select {
				case a := <-w.requests:
					r.answer(ctx, w, a)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Wait()
}

// answer asks w once.
func (r *Resolver) answer(ctx context.Context, w *worker, a attempt) {
	if a.r.ref.Status() == event.ContainerKnown {
		return // another engine was faster
	}
	if _, err := os.Stat(w.path); err != nil {
		a.r.unknown() // there is no such engine here
		return
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	c, err := w.engine.describe(asking, a.r.id)
	cancel()
	answered := err == nil || errors.Is(err, errUnknown)
	switch {
	case ctx.Err() != nil:
		return
	case answered && w.failing:
		w.failing = false
		r.log.Info("container engine answers again", zap.String("socket", w.path))
	case !answered && !w.failing:
		w.failing = true
		r.log.Warn("container engine does not answer: alerts lack names, images and pods of its containers", zap.String("socket", w.path), zap.Error(remedy(err)))
	}
	if err == nil {
		a.r.ref.Store(bounded(c))
		return
	}
	if a.n >= len(tries) {
		a.r.unknown()
		return
	}
	pause := tries[a.n]
	a.n++
	time.AfterFunc(pause, func() { r.send(w, a) })
}

// remedy adds what to do to an error.
func remedy(err error) error {
	if strings.Contains(err.Error(), "permission denied") {
		return errors.Join(err, errors.New("give Windhover the group that owns the socket, or root"))
	}
	return err
}

// bounded cuts what an engine told to what is kept.
func bounded(c *event.Container) *event.Container {
	for _, t := range []*[]byte{
		&c.Name, &c.Type, &c.Image, &c.Digest, &c.Repository, &c.Tag, &c.ImageID, &c.IP,
		&c.PodName, &c.Namespace, &c.PodUID, &c.SandboxID,
	} {
		*t = cut(*t, maxText)
	}
	c.Labels, c.PodLabels = boundedLabels(c.Labels), boundedLabels(c.PodLabels)
	c.Mounts = cut(c.Mounts, maxMounts)
	for i := range c.Mounts {
		m := &c.Mounts[i]
		for _, t := range []*[]byte{&m.Source, &m.Dest, &m.Mode, &m.Propagation} {
			*t = cut(*t, maxText)
		}
	}
	return c
}

// cut returns the first n of s, and keeps no memory for the rest.
func cut[E any](s []E, n int) []E {
	if len(s) <= n {
		return s
	}
	return slices.Clone(s[:n])
}

// boundedLabels leaves out labels that are too long, and all beyond the first maxLabels.
func boundedLabels(ls []event.Label) []event.Label {
	ls = slices.DeleteFunc(ls, func(l event.Label) bool { return len(l.Key)+len(l.Value) > maxText })
	slices.SortFunc(ls, func(a, b event.Label) int { return cmp.Compare(string(a.Key), string(b.Key)) })
	return cut(ls, maxLabels)
}

func labelsOf(m map[string]string) []event.Label {
	ls := make([]event.Label, 0, len(m))
	for k, v := range m {
		ls = append(ls, event.Label{Key: []byte(k), Value: []byte(v)})
	}
	return ls
}

// splitImage cuts an image at the colon before its tag; one that ends in a digest has no
// tag.
func splitImage(image string) (repository, tag string) {
	repository, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		return repository[:i], repository[i+1:]
	}
	return repository, ""
}

// digestOf returns the digest in a reference such as repository@sha256:…, or nothing.
func digestOf(reference string) string {
	_, digest, _ := strings.Cut(reference, "@")
	return digest
}
