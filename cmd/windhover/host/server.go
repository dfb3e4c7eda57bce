package host

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/ledger"
)

// server serves /metrics, /healthz and /readyz.
type server struct {
	http *http.Server
	done chan struct{}
}

func (h *Host) startServer() error {
	address := h.Blocks.Config.Server.Address
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve metrics: %w; set server::address to another one, or to nothing for no server", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.telemetry.registry, promhttp.HandlerOpts{
		Timeout:             10 * time.Second,
		MaxRequestsInFlight: 4,
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            zap.NewStdLog(h.Logger.With(zap.String("server", address))),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("alive\n")) // a client that is gone has no use for an error
	})
	mux.HandleFunc("GET /readyz", h.serveReady)
	h.server = &server{
		http: &http.Server{
			Handler:           mux,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          zap.NewStdLog(h.Logger.With(zap.String("server", address))),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(h.server.done)
		_ = h.server.http.Serve(listener) // ends with ErrServerClosed alone: the listener is ours
	}()
	if h.Listening != nil {
		h.Listening(listener.Addr().String())
	}
	h.Logger.Info("server listens", zap.Stringer("address", listener.Addr()))
	return nil
}

func (s *server) shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}

// ready is what /readyz says.
type ready struct {
	Ready      bool              `json:"ready"`
	Sources    []report          `json:"sources"`
	Rules      *rulesReport      `json:"rules,omitempty"`
	Components []componentReport `json:"components"`
}

type rulesReport struct {
	Loaded         int    `json:"loaded"`
	Generation     uint64 `json:"generation"`
	Reloads        uint64 `json:"reloads"`
	ReloadFailures uint64 `json:"reload_failures"`
}

// componentReport describes an exporter or an extension.
type componentReport struct {
	Name   string    `json:"name"`
	Kind   string    `json:"kind"`
	Signal string    `json:"signal,omitempty"`
	State  string    `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

func (h *Host) ready() ready {
	r := ready{Ready: true, Sources: []report{}, Components: []componentReport{}}
	for _, s := range h.sources {
		rep := s.report()
		if rep.State == ledger.StateStarting.String() || rep.State == ledger.StateFailed.String() {
			r.Ready = false
		}
		r.Sources = append(r.Sources, rep)
	}
	if stats, ok := h.book.Rules(); ok {
		r.Rules = &rulesReport{stats.Loaded, stats.Generation, stats.Reloads, stats.ReloadFailures}
	}
	for _, list := range [][]started{h.extensions, h.exporters} {
		for _, c := range list {
			last := c.status.read()
			rep := componentReport{Name: c.id.String(), Kind: c.kind, Signal: c.signal, State: "ok", Since: last.since}
			switch last.status {
			case componentstatus.StatusStarting:
				rep.State = "starting"
			case componentstatus.StatusRecoverableError:
				rep.State = "degraded"
			case componentstatus.StatusPermanentError, componentstatus.StatusFatalError:
				rep.State = "failed"
			default:
			}
			if last.err != nil {
				rep.Reason = last.err.Error()
			}
			if c.blocked != nil && rep.State == "ok" {
				if items, blocked := c.blocked(); blocked {
					rep.State, rep.Reason = "degraded", fmt.Sprintf("it blocks; %d items wait", items)
				}
			}
			r.Components = append(r.Components, rep)
		}
	}
	return r
}

func (h *Host) serveReady(w http.ResponseWriter, _ *http.Request) {
	r := h.ready()
	w.Header().Set("Content-Type", "application/json")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(r) // a client that is gone has no use for an error
}
