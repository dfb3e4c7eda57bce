package syscallreceiver

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// tracesInterval is how often it is looked whether the map of traces is there: how long
// alerts may lack a trace after the instrumentation started.
const tracesInterval = 10 * time.Second

// traces follows the map in which OpenTelemetry eBPF instrumentation says which trace a
// thread works for. The kernel side looks it up when an event happens; later it would
// be the trace of another request.
type traces struct {
	// follow uses the map that is there now; see bpf.Probe.FollowTraces.
	follow func() (changed, found bool, err error)
	log    *zap.Logger
	wrong  string // what was wrong at the last look
}

func (t *traces) run(ctx context.Context) {
	ticker := time.NewTicker(tracesInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.look()
		case <-ctx.Done():
			return
		}
	}
}

// look says what is news, once: a map that cannot be used is no fault of the source.
func (t *traces) look() {
	changed, found, err := t.follow()
	wrong := ""
	if err != nil {
		wrong = err.Error()
	}
	switch {
	case err != nil && wrong != t.wrong:
		t.log.Warn("alerts carry no trace", zap.Error(err))
	case err == nil && changed && found:
		t.log.Info("alerts carry the trace of the process")
	case err == nil && changed:
		t.log.Info("alerts carry no trace any more: the map of traces is gone")
	}
	t.wrong = wrong
}
