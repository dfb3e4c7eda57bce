package container

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/windhover/windhover/internal/event"
)

// script is an engine that answers as it is told: one answer a question, the last for
// all that follow.
type script struct {
	mu      sync.Mutex
	answers []func(ctx context.Context) (*event.Container, error)
	asked   int
}

func (s *script) describe(ctx context.Context, _ string) (*event.Container, error) {
	s.mu.Lock()
	answer := s.answers[min(s.asked, len(s.answers)-1)]
	s.asked++
	s.mu.Unlock()
	return answer(ctx)
}

func (s *script) close() {}

func unknown(context.Context) (*event.Container, error) { return nil, errUnknown }
func broken(context.Context) (*event.Container, error)  { return nil, errors.New("connection refused") }

func web(context.Context) (*event.Container, error) {
	return &event.Container{Name: []byte("web")}, nil
}

func hung(ctx context.Context) (*event.Container, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// resolverOf returns a running resolver for engines, whose sockets exist.
func resolverOf(t *testing.T, log *zap.Logger, engines ...engine) *Resolver {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := New(Sockets{}, "/", log)
	for _, e := range engines {
		r.workers = append(r.workers, &worker{path: socket, engine: e, requests: make(chan attempt, maxRequests)})
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

type answers = []func(context.Context) (*event.Container, error)

func TestResolver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		engines []answers
		want    event.ContainerStatus
		within  time.Duration
	}{
		{"an engine that knows it", []answers{{web}}, event.ContainerKnown, 0},
		{"an engine that knows it a moment later", []answers{{unknown, unknown, web}}, event.ContainerKnown, 100 * time.Millisecond},
		{"the second of two engines", []answers{{unknown}, {web}}, event.ContainerKnown, 0},
		{"an engine beside one that hangs", []answers{{hung}, {web}}, event.ContainerKnown, 0},
		{"an engine that comes back", []answers{{broken, broken, web}}, event.ContainerKnown, 100 * time.Millisecond},
		{"nobody knows it", []answers{{unknown}, {unknown}}, event.ContainerUnknown, 2 * time.Second},
		{"all are broken", []answers{{broken}}, event.ContainerUnknown, 2 * time.Second},
		{"there are no engines", nil, event.ContainerUnknown, 0},
		{"nobody has answered yet", []answers{{hung}}, event.ContainerPending, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var engines []engine
				for _, a := range tt.engines {
					engines = append(engines, &script{answers: a})
				}
				r := resolverOf(t, zap.NewNop(), engines...)
				ref := r.Ref([]byte("3ad7b26ded6d"))
				<-time.After(tt.within)
				synctest.Wait()
				if got := ref.Status(); got != tt.want {
					t.Errorf("status %d, want %d", got, tt.want)
				}
				if c := ref.Load(); (c != nil) != (tt.want == event.ContainerKnown) || c != nil && string(c.Name) != "web" {
					t.Errorf("Load() = %+v", c)
				}
			})
		})
	}
}

func TestResolverAsksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &script{answers: answers{unknown, unknown, unknown, unknown, unknown, unknown, web}}
		r := resolverOf(t, zap.NewNop(), e)
		ref := r.Ref([]byte("x"))
		<-time.After(5 * time.Second)
		synctest.Wait()
		if ref.Status() != event.ContainerUnknown {
			t.Fatalf("status %d after %d questions", ref.Status(), e.asked)
		}
		if again := r.Ref([]byte("x")); again != ref || ref.Status() != event.ContainerUnknown {
			t.Errorf("it is asked for at once again")
		}
		<-time.After(retryAfter)
		if again := r.Ref([]byte("x")); again != ref {
			t.Errorf("another reference for the same container")
		}
		synctest.Wait()
		if ref.Status() != event.ContainerKnown {
			t.Errorf("status %d after %d questions", ref.Status(), e.asked)
		}
	})
}

func TestResolverIsBounded(t *testing.T) {
	t.Parallel()
	r := New(Sockets{CRI: []string{"/nowhere"}}, "/", zap.NewNop()) // not running: nothing is answered
	first := r.Ref([]byte("first"))
	for i := range 2 * maxRefs {
		r.Ref([]byte(strings.Repeat("x", i%100) + string(rune(i))))
	}
	if len(r.refs) > maxRefs || len(r.order) > maxRefs {
		t.Errorf("%d containers are kept, %d in order", len(r.refs), len(r.order))
	}
	if r.Ref([]byte("first")) == first {
		t.Errorf("the oldest was not forgotten")
	}
	if r.refused.Load() == 0 {
		t.Errorf("no question was refused")
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("x"), 50<<20)
	c := &event.Container{Name: long, Labels: []event.Label{{Key: []byte("b")}, {Key: []byte("a"), Value: long}, {Key: []byte("0")}}}
	for range 1000 {
		c.Mounts = append(c.Mounts, event.ContainerMount{Source: long})
		c.PodLabels = append(c.PodLabels, event.Label{Key: []byte("k")})
	}
	bounded(c)
	if len(c.Name) != maxText || len(c.Mounts) != maxMounts || len(c.Mounts[0].Source) != maxText || len(c.PodLabels) != maxLabels {
		t.Errorf("a name of %d bytes, %d mounts, one of %d bytes, %d labels", len(c.Name), len(c.Mounts), len(c.Mounts[0].Source), len(c.PodLabels))
	}
	if cap(c.Name) > 2*maxText || cap(c.Mounts) > 2*maxMounts || cap(c.Mounts[0].Source) > 2*maxText || cap(c.PodLabels) > 2*maxLabels {
		t.Errorf("what was cut keeps the memory of a name of %d bytes, %d mounts, %d labels", cap(c.Name), cap(c.Mounts), cap(c.PodLabels))
	}
	if len(c.Labels) != 2 || string(c.Labels[0].Key) != "0" {
		t.Errorf("labels %q", c.Labels)
	}
}

func TestResolverSaysOnceThatAnEngineIsBroken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		denied := func(context.Context) (*event.Container, error) { return nil, errors.New("connect: permission denied") }
		r := resolverOf(t, zap.New(core), &script{answers: answers{denied, denied, denied, unknown, web}})
		r.Ref([]byte("a"))
		<-time.After(400 * time.Millisecond)
		synctest.Wait()
		if n := logs.FilterMessage("container engine answers again").Len(); n != 1 {
			t.Errorf("that it does not know a container is no answer: %d lines", n)
		}
		<-time.After(5 * time.Second)
		synctest.Wait()
		var got []string
		for _, e := range logs.All() {
			got = append(got, e.Message)
		}
		if len(got) != 2 || !strings.Contains(logs.All()[0].ContextMap()["error"].(string), "group that owns the socket") || got[1] != "container engine answers again" {
			t.Errorf("logged %q", got)
		}
	})
}

func TestSplitImage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ image, repository, tag string }{
		{"nginx", "nginx", ""},
		{"nginx:1.27", "nginx", "1.27"},
		{"registry:5000/team/app", "registry:5000/team/app", ""},
		{"registry:5000/team/app:v1", "registry:5000/team/app", "v1"},
		{"app:v1@sha256:0123", "app", "v1"},
		{"app@sha256:0123", "app", ""},
		{"", "", ""},
	} {
		if repository, tag := splitImage(tt.image); repository != tt.repository || tag != tt.tag {
			t.Errorf("splitImage(%q) = %q, %q, want %q, %q", tt.image, repository, tag, tt.repository, tt.tag)
		}
	}
}
