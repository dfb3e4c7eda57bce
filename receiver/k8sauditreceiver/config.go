package k8sauditreceiver

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"

	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/instance"
)

// Config is what a user sets for the Kubernetes audit receiver.
type Config struct {
	Instance instance.Config `mapstructure:",squash"`
	// Webhook takes the batches of API servers.
	Webhook feed.WebhookConfig `mapstructure:",squash"`
	// MaxEventBytes bounds one audit event, in a request or in a file.
	MaxEventBytes int `mapstructure:"max_event_bytes"`
	// Files are files of audit events, one a line.
	Files feed.FilesConfig `mapstructure:"files"`
}

// maxEventLimit bounds what max_event_bytes can be set to; a worker may keep as much.
const maxEventLimit = 64 << 20

func createDefaultConfig() component.Config {
	return &Config{
		Instance:      instance.NewDefaultConfig(),
		Webhook:       feed.NewDefaultWebhookConfig("/k8s-audit"),
		MaxEventBytes: 2 << 20,
		Files:         feed.NewDefaultFilesConfig(),
	}
}

// Validate reports every problem with c, not just the first. Blocks with a Validate of
// their own report for themselves.
func (c *Config) Validate() error {
	var errs []error
	if !c.Webhook.Enabled() && len(c.Files.Include) == 0 {
		errs = append(errs, errors.New("nothing to read: set endpoint for a webhook, or files::include"))
	}
	if c.MaxEventBytes < 1024 || c.MaxEventBytes > maxEventLimit {
		errs = append(errs, fmt.Errorf("max_event_bytes: %d is not between 1024 and %d", c.MaxEventBytes, maxEventLimit))
	}
	return errors.Join(append(errs, c.Instance.ValidateFields(sourceType))...)
}
