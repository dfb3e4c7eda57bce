package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/ledger"
)

const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute
	// healthy is how long a source must have run for its next failure to count as the
	// first one again.
	healthy = 5 * time.Minute
	// poll is how often states are read that nobody reports.
	poll = time.Second
)

// source is a receiver under supervision.
type source struct {
	Source
	h *Host

	mu       sync.Mutex
	receiver receiver.Logs
	status   *status
	phase    phase
	err      error  // why it failed
	ended    string // why it ended
	since    time.Time
	begun    time.Time
	backoff  time.Duration
	restart  <-chan time.Time
	restarts int
}

// phase is where a source is in its life, as its supervisor sees it.
type phase uint8

const (
	phaseStarting phase = iota
	phaseRunning
	phaseWaiting // for its restart
	phaseFailed
	phaseEnded
)

func (h *Host) newSource(s Source) *source {
	return &source{Source: s, h: h, since: time.Now()}
}

// supervise starts the sources and waits until there is a reason to stop.
func (h *Host) supervise(ctx context.Context) error {
	for _, s := range h.sources {
		s.start(ctx)
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if done, err := h.check(ctx); done {
			return err
		}
		if h.Looked != nil {
			h.Looked(h.outlook())
		}
		select {
		case <-ctx.Done():
			h.Logger.Info("stopping")
			return nil
		case err := <-h.failed:
			return err
		case <-h.Reload:
			h.reload(ctx)
		case <-h.changed:
		case <-tick.C:
		}
	}
}

// check acts on what sources have become, and says whether to stop.
func (h *Host) check(ctx context.Context) (done bool, err error) {
	select {
	case err := <-h.failed:
		return true, err
	default:
	}
	alive := false
	for _, s := range h.sources {
		s.observe(ctx)
		switch s.currentPhase() {
		case phaseFailed:
			if s.OnError == Stop {
				return true, fmt.Errorf("source %s: %w", s.ID, s.err)
			}
		case phaseEnded:
		default:
			alive = true
		}
	}
	if alive {
		return false, nil
	}
	var errs []error
	for _, s := range h.sources {
		if s.err != nil {
			errs = append(errs, fmt.Errorf("source %s: %w", s.ID, s.err))
		}
	}
	if len(errs) == 0 {
		h.Logger.Info("every source has reached its end")
	}
	return true, errors.Join(errs...)
}

func (s *source) currentPhase() phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase
}

// start makes the receiver and starts it. What goes wrong is the source's failure.
func (s *source) start(ctx context.Context) {
	st := s.h.newStatus("receiver", s.ID)
	s.mu.Lock()
	s.status, s.phase, s.begun, s.since = st, phaseStarting, time.Now(), time.Now()
	s.mu.Unlock()

	r, err := s.Factory.CreateLogs(ctx, receiver.Settings{
		ID: s.ID, TelemetrySettings: s.h.settings("receiver", s.ID), BuildInfo: s.h.Build,
	}, s.Config, &s.h.alerts)
	if err != nil {
		s.fail(ctx, fmt.Errorf("create: %w", err))
		return
	}
	s.mu.Lock()
	s.receiver = r
	s.mu.Unlock()
	if err := r.Start(ctx, &componentHost{s.h, st}); err != nil {
		s.fail(ctx, fmt.Errorf("start: %w", err))
		return
	}
	st.settle()
	s.mu.Lock()
	s.phase, s.since, s.err = phaseRunning, time.Now(), nil
	s.mu.Unlock()
}

// observe reads what the receiver and its account say, and moves to the next phase.
func (s *source) observe(ctx context.Context) {
	switch s.currentPhase() {
	case phaseWaiting:
		select {
		case <-s.restart:
			s.mu.Lock()
			s.restarts++
			s.mu.Unlock()
			s.h.Logger.Info("source starts again", zap.Stringer("receiver", s.ID), zap.Int("restarts", s.restarts))
			s.start(ctx)
		default:
		}
	case phaseRunning:
		switch last := s.status.read(); last.status {
		case componentstatus.StatusPermanentError, componentstatus.StatusFatalError:
			s.fail(ctx, last.err)
			return
		case componentstatus.StatusStopped:
			s.end("it stopped")
			return
		default:
		}
		account := s.account()
		if account == nil {
			return
		}
		switch state, reason, _ := account.State(); state {
		case ledger.StateFailed:
			s.fail(ctx, errors.New(reason))
		case ledger.StateEnded:
			s.end(reason)
		default:
		}
	default:
	}
}

func (s *source) setPhase(p phase) {
	s.mu.Lock()
	s.phase, s.since = p, time.Now()
	s.mu.Unlock()
}

// end takes note of the end of a source. Its receiver stays, with what it still has to
// deliver, until all is shut down.
func (s *source) end(reason string) {
	s.mu.Lock()
	s.phase, s.since, s.ended = phaseEnded, time.Now(), reason
	s.mu.Unlock()
}

// fail ends the receiver and does what on_error says.
func (s *source) fail(ctx context.Context, err error) {
	if err == nil {
		err = errNoReason
	}
	s.mu.Lock()
	r := s.receiver
	s.receiver = nil
	s.err, s.since = err, time.Now()
	s.mu.Unlock()
	// Only that which failed may be lost with it: what it reported before is delivered.
	if r != nil {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.h.Blocks.Config.ShutdownTimeout/2)
		defer cancel()
		if err := within(bounded, r.Shutdown); err != nil {
			s.h.Logger.Warn("source that failed did not shut down", zap.Stringer("receiver", s.ID), zap.Error(err))
		}
	}
	if s.OnError != Restart {
		s.setPhase(phaseFailed)
		if s.OnError == Continue {
			s.h.Logger.Error("source failed; the others go on", zap.Stringer("receiver", s.ID), zap.Error(err))
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backoff == 0 || time.Since(s.begun) > healthy {
		s.backoff = firstBackoff
	} else {
		s.backoff = min(2*s.backoff, lastBackoff)
	}
	s.phase, s.restart = phaseWaiting, time.After(s.backoff)
	s.h.Logger.Error("source failed and will start again", zap.Stringer("receiver", s.ID), zap.Error(err), zap.Duration("in", s.backoff))
}

// outlook describes the sources to whoever started the process.
func (h *Host) outlook() Outlook {
	o := Outlook{Settled: true}
	texts := make([]string, len(h.sources))
	for i, s := range h.sources {
		r := s.report()
		if r.State == ledger.StateStarting.String() && s.currentPhase() != phaseWaiting && r.Restarts == 0 {
			o.Settled = false
		}
		texts[i] = r.Name + " " + r.State
		if r.Reason != "" {
			texts[i] += ": " + r.Reason
		}
	}
	o.Text = strings.Join(texts, "; ")
	return o
}

// account returns what the receiver keeps in the ledger, if it does.
func (s *source) account() *ledger.Source {
	name := s.ID.String()
	for _, a := range s.h.book.Sources() {
		if a.Name() == name {
			return a
		}
	}
	return nil
}

// report describes a source on /readyz.
type report struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since"`
	OnError  OnError   `json:"on_error"`
	Restarts int       `json:"restarts,omitempty"`

	state ledger.State
}

func (s *source) report() report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := report{Name: s.ID.String(), OnError: s.OnError, Restarts: s.restarts, Since: s.since}
	state := ledger.StateStarting
	switch s.phase {
	case phaseStarting:
	case phaseWaiting:
		r.Reason = fmt.Sprintf("starts again in at most %v, after: %v", s.backoff, s.err)
	case phaseFailed:
		state, r.Reason = ledger.StateFailed, s.err.Error()
	case phaseEnded:
		state, r.Reason = ledger.StateEnded, s.ended
	case phaseRunning:
		state = ledger.StateOK
		if last := s.status.read(); last.status == componentstatus.StatusRecoverableError {
			state, r.Since = ledger.StateDegraded, last.since
			if last.err != nil {
				r.Reason = last.err.Error()
			}
		}
		if account := s.account(); account != nil {
			state, r.Reason, r.Since = account.State()
		}
	}
	r.state, r.State = state, state.String()
	return r
}

// shutdownSources ends all sources at the same time.
func (h *Host) shutdownSources(ctx context.Context, step func(context.Context, string, func(context.Context) error)) {
	var wg sync.WaitGroup
	for _, s := range h.sources {
		s.mu.Lock()
		r := s.receiver
		s.receiver = nil
		s.mu.Unlock()
		if r != nil {
			wg.Go(func() { step(ctx, "shut down source "+s.ID.String(), r.Shutdown) })
		}
	}
	wg.Wait()
}
