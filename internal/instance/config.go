package instance

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/fold"
	"github.com/windhover/windhover/internal/redact"
)

// What happens when the source fails.
const (
	Stop     = "stop"
	Continue = "continue"
	Restart  = "restart"
)

// Config is what a user sets for every source, whatever it reads.
type Config struct {
	// Rules is the ID of the windhover_rules extension whose rules are shown the
	// events. Without one, events are counted and match nothing.
	Rules string `mapstructure:"rules"`
	// Queue bounds the alerts that wait for the next consumer.
	Queue alert.QueueConfig `mapstructure:"queue"`
	// Fold says how repeats of an alert are reported.
	Fold fold.Config `mapstructure:"fold"`
	// Redact says which secrets are replaced in alerts.
	Redact redact.Config `mapstructure:"redact"`
	// MetricsInterval is how often metrics are sent down a metrics pipeline.
	MetricsInterval time.Duration `mapstructure:"metrics_interval"`
	// OnError is what happens when the source fails: stop the process, continue
	// without it, or restart it.
	OnError string `mapstructure:"on_error"`
}

// NewDefaultConfig returns what applies unless the user sets something else.
func NewDefaultConfig() Config {
	return Config{
		Rules:           "windhover_rules",
		Queue:           alert.DefaultQueueConfig(),
		Fold:            fold.DefaultConfig(),
		Redact:          redact.DefaultConfig(),
		MetricsInterval: 10 * time.Second,
		OnError:         Stop,
	}
}

// ValidateFields reports every field in c that a source of a type does not have.
func (c *Config) ValidateFields(sourceType string) error {
	var errs []error
	for _, name := range c.Fold.Fields {
		if _, err := field.Lookup(name, sourceType); err != nil {
			errs = append(errs, fmt.Errorf("fold::fields: %w", err))
		}
	}
	if c.Redact.Validate() == nil { // else that is reported
		if _, err := redact.New(c.Redact, sourceType); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Validate reports every problem with c. Blocks with a Validate of their own report for
// themselves.
func (c *Config) Validate() error {
	var errs []error
	if c.Rules != "" {
		var id component.ID
		if err := id.UnmarshalText([]byte(c.Rules)); err != nil {
			errs = append(errs, fmt.Errorf("rules: %q is not the ID of an extension: %w", c.Rules, err))
		}
	}
	if c.MetricsInterval < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("metrics_interval: %v is shorter than 100ms", c.MetricsInterval))
	}
	switch c.OnError {
	case Stop, Continue, Restart:
	default:
		errs = append(errs, fmt.Errorf("on_error: no action %q; there are stop, continue, restart", c.OnError))
	}
	return errors.Join(errs...)
}
