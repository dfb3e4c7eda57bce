package falcojsonexporter

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/falcojson"
)

// outgoing is one record as it is sent.
type outgoing struct {
	line     []byte // a JSON object without a line feed
	time     time.Time
	severity int // of syslog
	host     string
}

// output is where alerts go. One goroutine at a time calls it.
type output interface {
	// send sends alerts in their order and returns how many were taken. Those after them
	// were not, as far as can be known; an error says why.
	send(ctx context.Context, alerts []outgoing) (int, error)
	// reopen begins anew, as after a rotation of logs.
	reopen() error
	close() error
}

// sender turns records into alerts and sends them to the output.
type sender struct {
	config   *Config
	settings exporter.Settings
	shape    falcojson.Settings

	mu  sync.Mutex
	out output

	stopSignals func()
}

func newSender(c *Config, set exporter.Settings) *sender {
	return &sender{config: c, settings: set, shape: falcojson.Settings{
		Line: true, ISO8601: c.TimeFormatISO8601, Message: c.IncludeMessage,
		NoOutput: !c.IncludeOutput, NoFields: !c.IncludeOutputFields, NoTags: !c.IncludeTags,
	}}
}

func (s *sender) start(ctx context.Context, host component.Host) error {
	// Falco's variable, for those who set it.
	if s.shape.Hostname = os.Getenv("FALCO_HOSTNAME"); s.shape.Hostname == "" {
		s.shape.Hostname, _ = os.Hostname()
	}
	var err error
	switch c := s.config; {
	case c.File.HasValue():
		s.out, err = openFile(c.File.Get())
	case c.HTTP.HasValue():
		s.out, err = openHTTP(ctx, c.HTTP.Get(), host, s.settings.TelemetrySettings)
	case c.Program.HasValue():
		s.out, err = startProgram(c.Program.Get(), s.settings.Logger)
	case c.Syslog.HasValue():
		s.out, err = openSyslog(ctx, c.Syslog.Get())
	}
	if err != nil {
		s.out = nil
		return err
	}
	s.stopSignals = onSignal(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.out.reopen(); err != nil {
			s.settings.Logger.Warn("output cannot be opened again", zap.Error(err))
		}
	})
	return nil
}

func (s *sender) shutdown(context.Context) error {
	if s.stopSignals != nil {
		s.stopSignals()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return nil
	}
	return s.out.close()
}

// consume sends every record. What was not taken is in the error, so that only that is
// tried again.
func (s *sender) consume(ctx context.Context, ld plog.Logs) error {
	alerts := s.alerts(ld)
	s.mu.Lock()
	n, err := s.out.send(ctx, alerts)
	s.mu.Unlock()
	if err == nil {
		return nil
	}
	if n == 0 || consumererror.IsPermanent(err) {
		return err
	}
	return consumererror.NewLogs(err, after(ld, n))
}

// alerts returns the records of ld in their order.
func (s *sender) alerts(ld plog.Logs) []outgoing {
	out := make([]outgoing, 0, ld.LogRecordCount())
	text := falcojson.Append(make([]byte, 0, 1024*ld.LogRecordCount()), ld, &s.shape)
	for _, rl := range ld.ResourceLogs().All() {
		host := s.shape.Hostname
		if v, ok := rl.Resource().Attributes().Get("host.name"); ok {
			host = v.AsString()
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				var line []byte
				line, text, _ = bytes.Cut(text, []byte("\n"))
				out = append(out, outgoing{line: line, time: falcojson.TimeOf(r), severity: severityOf(r), host: host})
			}
		}
	}
	return out
}

// after returns a copy of ld without its first n records.
func after(ld plog.Logs, n int) plog.Logs {
	rest := plog.NewLogs()
	ld.CopyTo(rest)
	gone := func(plog.LogRecord) bool {
		n--
		return n >= 0
	}
	rest.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			sl.LogRecords().RemoveIf(gone)
			return sl.LogRecords().Len() == 0
		})
		return rl.ScopeLogs().Len() == 0
	})
	return rest
}

// severityOf returns the severity of syslog: the number of the priority.
func severityOf(r plog.LogRecord) int {
	for i, name := range [...]string{"Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"} {
		if r.SeverityText() == name {
			return i
		}
	}
	switch n := r.SeverityNumber(); {
	case n >= plog.SeverityNumberFatal:
		return 2
	case n >= plog.SeverityNumberError:
		return 3
	case n >= plog.SeverityNumberWarn:
		return 4
	case n > 0 && n < plog.SeverityNumberInfo:
		return 7
	}
	return 6
}

// lines joins alerts, one a line.
func lines(alerts []outgoing) []byte {
	n := 0
	for i := range alerts {
		n += len(alerts[i].line) + 1
	}
	b := make([]byte, 0, n)
	for i := range alerts {
		b = append(append(b, alerts[i].line...), '\n')
	}
	return b
}

// whole returns how many alerts n bytes of their lines contain.
func whole(alerts []outgoing, n int) int {
	for i := range alerts {
		if n -= len(alerts[i].line) + 1; n < 0 {
			return i
		}
	}
	return len(alerts)
}

func errClosed(what string) error { return fmt.Errorf("send to %s: %w", what, os.ErrClosed) }
