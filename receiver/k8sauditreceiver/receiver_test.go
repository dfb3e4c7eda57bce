package k8sauditreceiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap/zaptest"

	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// everyEvent matches every audit event and says which it was.
const everyEvent = `
- rule: Every Event
  desc: Tells which event it was.
  condition: ka.auditid exists
  output: "%ka.auditid"
  priority: NOTICE
  source: k8s_audit
`

// audit returns an event with that ID.
func audit(id string) string {
	return `{"kind":"Event","auditID":"` + id + `","stageTimestamp":"2024-05-13T13:13:49.999999Z"}`
}

// place is a host with rules, a book and the alerts that come out.
type place struct {
	tb    testing.TB
	live  *rules.Live
	book  ledger.Book
	ready chan struct{} // gets a token when something changed

	mu       sync.Mutex
	more     map[component.ID]component.Component
	outputs  []string
	statuses []string
	refuse   error  // what the next consumer answers
	before   func() // called before it does; set before the start
}

func newPlace(tb testing.TB, text string) *place {
	tb.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, rules.Options{})
	if set == nil {
		tb.Fatalf("compile rules: %v", report)
	}
	return &place{tb: tb, live: rules.NewLive(set), ready: make(chan struct{}, 1), more: map[component.ID]component.Component{}}
}

// Live makes place an extension that holds rules.
func (p *place) Live() *rules.Live                           { return p.live }
func (p *place) Start(context.Context, component.Host) error { return nil }
func (p *place) Shutdown(context.Context) error              { return nil }

// Book makes place a host that keeps one.
func (p *place) Book() *ledger.Book { return &p.book }

func (p *place) GetExtensions() map[component.ID]component.Component {
	p.mu.Lock()
	defer p.mu.Unlock()
	exts := map[component.ID]component.Component{component.MustNewID("windhover_rules"): p}
	maps.Copy(exts, p.more)
	return exts
}

// Report takes the status of components.
func (p *place) Report(ev *componentstatus.Event) {
	p.mu.Lock()
	s := ev.Status().String()
	if err := ev.Err(); err != nil {
		s += ": " + err.Error()
	}
	p.statuses = append(p.statuses, s)
	p.mu.Unlock()
	p.changed()
}

func (p *place) changed() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

func (p *place) consume(_ context.Context, ld plog.Logs) error {
	if p.before != nil {
		p.before()
	}
	p.mu.Lock()
	defer p.changed()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				p.outputs = append(p.outputs, lr.Body().Str())
			}
		}
	}
	return nil
}

func (p *place) alerts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.outputs...)
}

// await waits until ok, looking again when something changed and now and then.
func (p *place) await(what string, ok func() bool) {
	p.tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-p.ready:
		case <-tick.C:
		case <-late:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.tb.Fatalf("waiting for %s: alerts %q, statuses %q", what, p.outputs, p.statuses)
		}
	}
}

func (p *place) awaitAlerts(want ...string) {
	p.tb.Helper()
	p.await(fmt.Sprintf("alerts %q", want), func() bool { return len(p.alerts()) >= len(want) })
	got := p.alerts()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		p.tb.Fatalf("alerts %q, want %q", got, want)
	}
}

// account returns what the ledger says of a source.
func (p *place) account(name string) *ledger.Snapshot {
	p.tb.Helper()
	for _, s := range p.book.Sources() {
		if s.Name() == name {
			var snap ledger.Snapshot
			s.Snapshot(&snap)
			return &snap
		}
	}
	p.tb.Fatalf("no account of %s", name)
	return nil
}

var receiverType = component.MustNewType("windhover_k8saudit")

// settings are those of an instance that logs into the test.
func (p *place) settings(name string) receiver.Settings {
	s := receivertest.NewNopSettings(receiverType)
	s.ID = component.NewIDWithName(receiverType, name)
	s.Logger = zaptest.NewLogger(p.tb)
	return s
}

// start starts a receiver and shuts it down with the test. Then its account balances.
func (p *place) start(name string, change func(*Config)) (receiver.Logs, *Config) {
	p.tb.Helper()
	r, c, err := p.tryStart(name, change)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.tb.Cleanup(func() { p.shutdown(r) })
	return r, c
}

func (p *place) shutdown(r component.Component) {
	p.tb.Helper()
	accounts := p.book.Sources()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		p.tb.Errorf("shut down: %v", err)
	}
	left := map[*ledger.Source]bool{}
	for _, s := range p.book.Sources() {
		left[s] = true
	}
	for _, s := range accounts {
		if left[s] {
			continue
		}
		var snap ledger.Snapshot
		s.Snapshot(&snap)
		if err := snap.AtRest(); err != nil {
			p.tb.Errorf("account of %s: %v", s.Name(), err)
		}
	}
}

func (p *place) tryStart(name string, change func(*Config)) (receiver.Logs, *Config, error) {
	p.tb.Helper()
	c := createDefaultConfig().(*Config)
	c.Instance.Fold.Enabled = false // the tests count alert by alert
	change(c)
	if err := errors.Join(c.Validate(), c.Instance.Validate(), c.Webhook.Validate(), c.Files.Validate()); err != nil {
		p.tb.Fatal(err)
	}
	next, err := consumer.NewLogs(p.consume)
	if err != nil {
		p.tb.Fatal(err)
	}
	r, err := NewFactory().CreateLogs(p.tb.Context(), p.settings(name), c, next)
	if err != nil {
		p.tb.Fatal(err)
	}
	return r, c, r.Start(p.tb.Context(), p)
}
