package fold

import (
	"errors"
	"fmt"
	"time"

	"github.com/windhover/windhover/rules"
)

// Config is what a user sets about repeats of alerts.
type Config struct {
	// Enabled folds repeats: the first alert goes out at once, one record at the end of
	// the window stands for those that follow.
	Enabled bool `mapstructure:"enabled"`
	// Window is how long repeats of an alert are counted before they are reported.
	Window time.Duration `mapstructure:"window"`
	// Priority is the most severe priority that is folded.
	Priority string `mapstructure:"priority"`
	// Fields are the fields whose values make two alerts of a rule equal. Without any:
	// those of the rule's output, but for times, identifiers of processes and the like.
	Fields []string `mapstructure:"fields"`
	// Keys is how many different alerts are watched for repeats at the same time.
	Keys int `mapstructure:"keys"`
	// Bytes is how much memory that may take.
	Bytes int64 `mapstructure:"bytes"`
}

const (
	maxKeys   = 1_000_000
	maxFields = 32
	minBytes  = 64 << 10
	maxWindow = 24 * time.Hour
)

// DefaultConfig returns what applies unless the user sets something else.
func DefaultConfig() Config {
	return Config{Enabled: true, Window: time.Minute, Priority: rules.Error.String(), Keys: 2048, Bytes: 8 << 20}
}

// Validate reports every problem with c.
func (c *Config) Validate() error {
	var errs []error
	if c.Window < 100*time.Millisecond || c.Window > maxWindow {
		errs = append(errs, fmt.Errorf("window: %v is not between 100ms and %v", c.Window, maxWindow))
	}
	if _, ok := rules.ParsePriority(c.Priority); !ok {
		errs = append(errs, fmt.Errorf("priority: no priority %q", c.Priority))
	}
	if len(c.Fields) > maxFields {
		errs = append(errs, fmt.Errorf("fields: %d are more than %d", len(c.Fields), maxFields))
	}
	if c.Keys < 1 || c.Keys > maxKeys {
		errs = append(errs, fmt.Errorf("keys: %d is not between 1 and %d", c.Keys, maxKeys))
	}
	if c.Bytes < minBytes {
		errs = append(errs, fmt.Errorf("bytes: %d is less than %d", c.Bytes, minBytes))
	}
	return errors.Join(errs...)
}
