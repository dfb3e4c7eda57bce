package falcojsonexporter

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/windhover/windhover/exporter/falcojsonexporter/internal/metadata"
)

// shelf is a storage extension in memory, and the host that has it.
type shelf struct {
	mu    sync.Mutex
	items map[string][]byte
}

func (s *shelf) Start(context.Context, component.Host) error { return nil }
func (s *shelf) Shutdown(context.Context) error              { return nil }
func (s *shelf) Close(context.Context) error                 { return nil }

func (s *shelf) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("shelf"): s}
}

func (s *shelf) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, nil
}

func (s *shelf) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := s.Batch(ctx, op)
	return op.Value, err
}

func (s *shelf) Set(ctx context.Context, key string, value []byte) error {
	return s.Batch(ctx, storage.SetOperation(key, value))
}

func (s *shelf) Delete(ctx context.Context, key string) error {
	return s.Batch(ctx, storage.DeleteOperation(key))
}

func (s *shelf) Batch(_ context.Context, ops ...*storage.Operation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, op := range ops {
		switch op.Type {
		case storage.Get:
			op.Value = s.items[op.Key]
		case storage.Set:
			s.items[op.Key] = op.Value
		case storage.Delete:
			delete(s.items, op.Key)
		}
	}
	return nil
}

// TestAlertsOutliveARestart has a server that takes nothing until the exporter was
// started again.
func TestAlertsOutliveARestart(t *testing.T) {
	t.Parallel()
	var (
		mu   sync.Mutex
		well bool
	)
	in := inbox{answer: func(int) int {
		mu.Lock()
		defer mu.Unlock()
		if well {
			return http.StatusOK
		}
		return http.StatusInternalServerError
	}}
	server := httptest.NewServer(&in)
	t.Cleanup(server.Close)
	host := &shelf{items: map[string][]byte{}}
	id := component.MustNewID("shelf")
	c := newDefaultConfig()
	c.TimeFormatISO8601 = true
	c.HTTP.GetOrInsertDefault().Endpoint = server.URL
	c.SendingQueue.Get().StorageID = &id
	c.Retry.InitialInterval = time.Millisecond
	begin := func() exporter.Logs {
		e, err := NewFactory().CreateLogs(t.Context(), exportertest.NewNopSettings(metadata.Type), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context(), host); err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := begin()
	for _, text := range []string{"a", "b"} {
		if err := e.ConsumeLogs(t.Context(), alerts(text)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "tried", func() bool { return len(in.got()) > 0 })
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	well = true
	mu.Unlock()
	before := len(in.got())
	e = begin()
	until(t, "delivered", func() bool { return len(in.got()) >= before+2 })
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := in.got()[before:]
	if len(got) != 2 {
		t.Fatalf("%d alerts came after the restart, want 2", len(got))
	}
	first, second := read(t, got[0]), read(t, got[1])
	outputs := map[byte]bool{first.Output[len(first.Output)-1]: true, second.Output[len(second.Output)-1]: true}
	if !outputs['a'] || !outputs['b'] {
		t.Errorf("after the restart came %q and %q", first.Output, second.Output)
	}
}
