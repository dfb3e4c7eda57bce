package kernel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/windhover/windhover/internal/event"
)

func TestOpen(t *testing.T) {
	p := start(t, self, event.OpenAt)
	name := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := p.awaitOwn(event.OpenAt, func(s *sample) bool { return s.str(1) == name })
	t.Log(s)
	for _, s := range p.all() {
		t.Log(s)
	}
}
