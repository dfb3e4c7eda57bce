package consoleexporter

import (
	"fmt"

	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// The formats of Config.Format.
const (
	FormatText = "text"
	FormatJSON = "json"
)

// Config is what a user sets for the console exporter.
type Config struct {
	// Format is text, one line an alert for people, or json, one object a line.
	Format string `mapstructure:"format"`
	// Path is the file that lines are appended to; empty: standard output.
	Path string `mapstructure:"path"`
	// SendingQueue holds what is not written yet, so that a slow reader of the output
	// stalls nobody else.
	SendingQueue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
}

// queueBytes bounds the memory of the queue by default.
const queueBytes = 16 << 20

func newDefaultConfig() *Config {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = queueBytes
	queue.NumConsumers = 1 // more would mix up the order of the lines
	return &Config{Format: FormatText, SendingQueue: configoptional.Some(queue)}
}

// Validate reports every problem with c.
func (c *Config) Validate() error {
	if c.Format != FormatText && c.Format != FormatJSON {
		return fmt.Errorf("format: no format %q; there are text and json", c.Format)
	}
	return nil
}
