package rulesextension

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/rules"
)

// rulesExtension is a rules.Provider.
type rulesExtension struct {
	settings extension.Settings
	config   *Config
	live     *rules.Live

	loading  sync.Mutex        // one load at a time
	started  bool              // under loading
	tried    [sha256.Size]byte // what was loaded last, or could not be; under loading
	host     component.Host
	reloads  atomic.Uint64
	failures atomic.Uint64
	stale    atomic.Bool // the last load failed

	unregister func() error
	stopWatch  func()
}

var (
	_ extension.Extension = (*rulesExtension)(nil)
	_ rules.Provider      = (*rulesExtension)(nil)
)

func newExtension(settings extension.Settings, config *Config) *rulesExtension {
	none, _ := rules.Compile(nil, rules.Options{})
	return &rulesExtension{settings: settings, config: config, live: rules.NewLive(none)}
}

// Live returns the rule set, which is empty until the extension has started.
func (e *rulesExtension) Live() *rules.Live { return e.live }

// Start loads the rules; it fails if they have errors.
func (e *rulesExtension) Start(_ context.Context, host component.Host) error {
	e.host = host
	if err := e.load(); err != nil {
		return err
	}
	if err := e.register(); err != nil {
		return err
	}
	if !e.config.Watch || len(e.config.Files) == 0 {
		return nil
	}
	stop, err := watch(e.config.Files, e.changed, func(err error) {
		e.settings.Logger.Warn("rules files are not watched well: send SIGHUP after a change", zap.Error(err))
	})
	if err != nil {
		// Rules in use are worth more than noticing changes.
		e.settings.Logger.Warn("rules files cannot be watched: send SIGHUP after a change", zap.Error(err))
		return nil
	}
	e.stopWatch = stop
	return nil
}

// register makes the state of the rules a metric: in the book of the process if the
// host keeps one, else in one of the extension's own.
func (e *rulesExtension) register() error {
	if k, ok := e.host.(ledger.Keeper); ok {
		k.Book().SetRules(e.stats)
		return nil
	}
	book := &ledger.Book{}
	book.SetRules(e.stats)
	unregister, err := otlp.Instrument(e.settings.MeterProvider, book)
	e.unregister = unregister
	return err
}

func (e *rulesExtension) stats() ledger.RuleStats {
	return ledger.RuleStats{
		Loaded:         len(e.live.Set().Rules()),
		Generation:     e.live.Generation(),
		Reloads:        e.reloads.Load(),
		ReloadFailures: e.failures.Load(),
		Stale:          e.stale.Load(),
	}
}

// Shutdown stops watching the files. The rules stay in use by whoever still has them.
func (e *rulesExtension) Shutdown(context.Context) error {
	if e.stopWatch != nil {
		e.stopWatch()
		e.stopWatch = nil
	}
	if e.unregister != nil {
		err := e.unregister()
		e.unregister = nil
		return err
	}
	return nil
}

// Reload reads the rules again. If they have errors, the set before stays in use, and
// the error says what is wrong. It is safe for concurrent use.
func (e *rulesExtension) Reload(context.Context) error {
	err := e.load()
	if err != nil {
		e.failures.Add(1)
		e.settings.Logger.Error("rules not reloaded: the set before stays in use", zap.Uint64("generation", e.live.Generation()), zap.Error(err))
		componentstatus.ReportStatus(e.host, componentstatus.NewRecoverableErrorEvent(err))
		return err
	}
	e.reloads.Add(1)
	componentstatus.ReportStatus(e.host, componentstatus.NewEvent(componentstatus.StatusOK))
	return nil
}

// changed reads the rules again if they are others than the last time. Where they lie
// other files may change too: our own log, if somebody keeps it there.
func (e *rulesExtension) changed() {
	e.loading.Lock()
	same := digest(e.read()) == e.tried
	e.loading.Unlock()
	if !same {
		_ = e.Reload(context.Background())
	}
}

// digest is different for different files, and for different reasons to have none.
func digest(files []rules.File, err error) [sha256.Size]byte {
	h := sha256.New()
	for _, f := range files {
		_, _ = fmt.Fprintf(h, "%d %s %d ", len(f.Name), f.Name, len(f.Data))
		_, _ = h.Write(f.Data)
	}
	if err != nil {
		_, _ = fmt.Fprint(h, err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// read returns what the files say now.
func (e *rulesExtension) read() ([]rules.File, error) {
	if len(e.config.Files) == 0 {
		return rules.Library(), nil
	}
	return rules.LoadPaths(e.config.Files)
}

// load puts what the files say now into use.
func (e *rulesExtension) load() (err error) {
	e.loading.Lock()
	defer e.loading.Unlock()
	defer func() { e.stale.Store(err != nil) }()
	files, err := e.read()
	e.tried = digest(files, err)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no rules in %s: a directory is read for files that end in .yaml or .yml", strings.Join(e.config.Files, ", "))
	}
	set, report := rules.Compile(files, e.config.Options())
	if set == nil {
		return errors.Join(errors.New("rules have errors"), report.Err())
	}
	for _, w := range report.Warnings() {
		e.settings.Logger.Warn("rules warning", zap.String("file", w.File), zap.Int("line", w.Line), zap.String("code", string(w.Code)), zap.String("message", w.Msg))
	}
	if e.started && set.Fingerprint() == e.live.Set().Fingerprint() {
		return nil
	}
	e.live.Swap(set)
	e.started = true
	e.settings.Logger.Info("rules loaded", zap.Int("rules", len(set.Rules())), zap.Int("files", len(files)),
		zap.Uint64("generation", e.live.Generation()), zap.String("sha256", set.Fingerprint()))
	return nil
}
