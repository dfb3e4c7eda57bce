// Package config is the configuration of the daemon: what a user can set, the defaults,
// and the layers it is merged from.
//
// Load merges defaults, files, WINDHOVER_ variables and flags, and remembers where each
// value came from. The blocks of receivers, exporters and extensions stay raw here; whoever
// knows a component's configuration struct has it filled by Loaded.Decode. Start with
// Config.
package config

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Reference is config/windhover.yaml: every key with its default and what it does.
//
//go:embed windhover.yaml
var Reference string

// Config is what a user sets for the daemon.
type Config struct {
	// Receivers are the event sources, by component ID. Files that have this key replace
	// the default; variables and flags add to it.
	Receivers map[string]map[string]any `mapstructure:"receivers"`
	// Exporters are where alerts and metrics go, by component ID. Files that have this key
	// replace the default; variables and flags add to it.
	Exporters map[string]map[string]any `mapstructure:"exporters"`
	// Extensions are shared by receivers and exporters, by component ID: the rules, storage
	// for persistent queues. Files add to the default.
	Extensions map[string]map[string]any `mapstructure:"extensions"`
	// Alerts says which exporters get alerts.
	Alerts AlertsConfig `mapstructure:"alerts"`
	// Telemetry is what Windhover tells about itself.
	Telemetry TelemetryConfig `mapstructure:"telemetry"`
	// Server serves /metrics, /healthz and /readyz.
	Server ServerConfig `mapstructure:"server"`
	// MemoryLimit is the soft limit of the Go runtime, in bytes; less where the control
	// group allows less. 0 sets none. GOMEMLIMIT in the environment wins.
	MemoryLimit int64 `mapstructure:"memory_limit"`
	// ShutdownTimeout bounds how long the end takes: draining sources and delivering what
	// is queued.
	ShutdownTimeout time.Duration `mapstructure:"shutdown_timeout"`
}

// AlertsConfig says where alerts go.
type AlertsConfig struct {
	// Exporters are those that get the alerts; null: every exporter that takes logs.
	Exporters []string `mapstructure:"exporters"`
	// Queue bounds what waits for one exporter that blocks. It comes before the exporter's
	// own sending_queue and is empty while that one takes what it is given.
	Queue QueueConfig `mapstructure:"queue"`
}

// QueueConfig bounds a queue.
type QueueConfig struct {
	// Items is how many alerts may wait.
	Items int `mapstructure:"items"`
	// Bytes is how large they may be together, encoded.
	Bytes int64 `mapstructure:"bytes"`
}

// TelemetryConfig is what Windhover tells about itself.
type TelemetryConfig struct {
	// Resource are resource attributes of metrics and alerts, beside what is detected.
	Resource map[string]string `mapstructure:"resource"`
	// Logs is the daemon's own log, on stderr.
	Logs LogsConfig `mapstructure:"logs"`
	// Metrics are sent as OTLP; /metrics has the same, whatever is set here.
	Metrics MetricsConfig `mapstructure:"metrics"`
}

// LogsConfig is the daemon's own log.
type LogsConfig struct {
	// Level is the least that is logged: debug, info, warn or error.
	Level string `mapstructure:"level"`
	// Format is text or json.
	Format string `mapstructure:"format"`
}

// MetricsConfig says where metrics go.
type MetricsConfig struct {
	// Interval is the time between two exports.
	Interval time.Duration `mapstructure:"interval"`
	// Exporters are those that get the metrics; null: every exporter that takes metrics.
	Exporters []string `mapstructure:"exporters"`
}

// ServerConfig is the HTTP server.
type ServerConfig struct {
	// Address is host:port to listen on; empty: no server.
	Address string `mapstructure:"address"`
}

// Default returns the configuration without any file, variable or flag.
func Default() *Config {
	return &Config{
		Receivers:  map[string]map[string]any{"windhover_syscall": {}},
		Exporters:  map[string]map[string]any{"windhover_console": {}},
		Extensions: map[string]map[string]any{"windhover_rules": {}},
		Alerts:     AlertsConfig{Queue: QueueConfig{Items: 2_000, Bytes: 4 << 20}},
		Telemetry: TelemetryConfig{
			Resource: map[string]string{},
			Logs:     LogsConfig{Level: "info", Format: "text"},
			Metrics:  MetricsConfig{Interval: 30 * time.Second},
		},
		Server:          ServerConfig{Address: "127.0.0.1:9464"},
		MemoryLimit:     64 << 20,
		ShutdownTimeout: 10 * time.Second,
	}
}

// Validate reports every problem with c that needs no component's help.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Receivers) == 0 {
		errs = append(errs, errors.New("receivers: there is none, so there is nothing to watch"))
	}
	if len(c.Exporters) == 0 {
		errs = append(errs, errors.New("exporters: there is none, so alerts would go nowhere"))
	}
	errs = append(errs,
		c.validateNames("alerts::exporters", c.Alerts.Exporters),
		c.validateNames("telemetry::metrics::exporters", c.Telemetry.Metrics.Exporters))
	if c.MemoryLimit < 0 {
		errs = append(errs, fmt.Errorf("memory_limit: %d is negative", c.MemoryLimit))
	}
	if c.ShutdownTimeout <= 0 {
		errs = append(errs, fmt.Errorf("shutdown_timeout: %v is not positive", c.ShutdownTimeout))
	}
	return errors.Join(errs...)
}

// validateNames checks that each name is a configured exporter.
func (c *Config) validateNames(key string, names []string) error {
	var errs []error
	for _, name := range names {
		if _, ok := c.Exporters[name]; !ok {
			errs = append(errs, fmt.Errorf("%s: no exporter %q%s", key, name, didYouMean(name, sortedKeys(c.Exporters))))
		}
	}
	return errors.Join(errs...)
}

// Validate reports every problem with c.
func (c *QueueConfig) Validate() error {
	var errs []error
	if c.Items <= 0 {
		errs = append(errs, fmt.Errorf("items: %d is not positive", c.Items))
	}
	if c.Bytes <= 0 {
		errs = append(errs, fmt.Errorf("bytes: %d is not positive", c.Bytes))
	}
	return errors.Join(errs...)
}

// Validate reports every problem with c.
func (c *LogsConfig) Validate() error {
	return errors.Join(
		oneOf("level", c.Level, "debug", "info", "warn", "error"),
		oneOf("format", c.Format, "text", "json"))
}

// Validate reports every problem with c.
func (c *MetricsConfig) Validate() error {
	if c.Interval < time.Second {
		return fmt.Errorf("interval: %v is less than 1s", c.Interval)
	}
	return nil
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is none of %v%s", key, value, allowed, didYouMean(value, allowed))
}
