package jsonreceiver

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/instance"
)

// Config is what a user sets for the JSON receiver.
type Config struct {
	Instance instance.Config `mapstructure:",squash"`
	// Source is the type of the events: what rules name in "source:".
	Source string `mapstructure:"source"`
	// Time says where documents of source json have their time.
	Time TimeConfig `mapstructure:"time"`
	// Envelope is the key of the list that documents of source json come in, such as
	// Records or data.events; empty: they come by themselves or in arrays.
	Envelope string `mapstructure:"envelope"`
	// Batch is line or document: whether files, socket and stdin have whole documents on
	// every line, or documents of many lines.
	Batch string `mapstructure:"batch"`
	// MaxEventBytes bounds one event.
	MaxEventBytes int `mapstructure:"max_event_bytes"`
	// MaxBatchBytes bounds a line, or a document with all the events in it.
	MaxBatchBytes int `mapstructure:"max_batch_bytes"`
	// Webhook takes requests.
	Webhook feed.WebhookConfig `mapstructure:",squash"`
	// Secret, if set, is what the signature of every request is made with, as GitHub does
	// it: an HMAC with SHA-256 in the header X-Hub-Signature-256. With source okta it is
	// what the header Authorization says.
	Secret configopaque.String `mapstructure:"secret"`
	// PubSub: requests are those of a Google Cloud Pub/Sub push subscription. With source
	// gcp_auditlog they are known without it.
	PubSub bool `mapstructure:"pubsub"`
	// Socket is a unix socket that is written to.
	Socket SocketConfig `mapstructure:"socket"`
	// Stdin reads standard input.
	Stdin bool `mapstructure:"stdin"`
	// Files are files of documents, compressed by gzip or not.
	Files feed.FilesConfig `mapstructure:"files"`
}

// TimeConfig says where a document has its time.
type TimeConfig struct {
	// Path leads to the time, such as event.created; empty: the time is that of arrival.
	// It also is for documents that have none there.
	Path string `mapstructure:"path"`
	// Format is rfc3339, unix, unix_ms, unix_us or unix_ns.
	Format string `mapstructure:"format"`
}

// SocketConfig describes a unix socket.
type SocketConfig struct {
	// Path is that of the socket; empty: there is none.
	Path string `mapstructure:"path"`
	// Mode are the permissions of the socket, in octal.
	Mode string `mapstructure:"mode"`
}

// Where a batch ends.
const (
	batchLine     = "line"
	batchDocument = "document"
)

// maxLimit bounds what max_event_bytes and max_batch_bytes can be set to; a worker may
// keep as much.
const maxLimit = 256 << 20

func createDefaultConfig() component.Config {
	return &Config{
		Instance:      instance.NewDefaultConfig(),
		Source:        field.JSON,
		Time:          TimeConfig{Format: "rfc3339"},
		Batch:         batchLine,
		MaxEventBytes: 2 << 20,
		MaxBatchBytes: 32 << 20,
		Webhook:       feed.NewDefaultWebhookConfig("/events"),
		Socket:        SocketConfig{Mode: "0660"},
		Files:         feed.NewDefaultFilesConfig(),
	}
}

// Validate reports every problem with c, not just the first. Blocks with a Validate of
// their own report for themselves.
func (c *Config) Validate() error {
	var errs []error
	if !c.Webhook.Enabled() && len(c.Files.Include) == 0 && c.Socket.Path == "" && !c.Stdin {
		errs = append(errs, errors.New("nothing to read: set endpoint, files::include, socket::path or stdin"))
	}
	if types := feed.SourceTypes(); !slices.Contains(types, c.Source) {
		errs = append(errs, fmt.Errorf("source: no type %q; there are %s", c.Source, strings.Join(types, ", ")))
	} else if err := c.Instance.ValidateFields(c.Source); err != nil {
		errs = append(errs, err)
	}
	if c.Source != field.JSON {
		if c.Time.Path != "" {
			errs = append(errs, fmt.Errorf("time: source %s has its own; remove it, or set source to json", c.Source))
		}
		if c.Envelope != "" {
			errs = append(errs, fmt.Errorf("envelope: source %s has its own; remove it, or set source to json", c.Source))
		}
	}
	if c.Batch != batchLine && c.Batch != batchDocument {
		errs = append(errs, fmt.Errorf("batch: no end %q; there are line and document", c.Batch))
	}
	if c.MaxEventBytes < 1024 || c.MaxEventBytes > maxLimit {
		errs = append(errs, fmt.Errorf("max_event_bytes: %d is not between 1024 and %d", c.MaxEventBytes, maxLimit))
	}
	if c.MaxBatchBytes < c.MaxEventBytes || c.MaxBatchBytes > maxLimit {
		errs = append(errs, fmt.Errorf("max_batch_bytes: %d is not between max_event_bytes, %d, and %d", c.MaxBatchBytes, c.MaxEventBytes, maxLimit))
	}
	if c.Secret != "" && !c.Webhook.Enabled() {
		errs = append(errs, errors.New("secret: there are no requests to check; set endpoint, or remove it"))
	}
	if c.PubSub && !c.Webhook.Enabled() {
		errs = append(errs, errors.New("pubsub: there are no requests; set endpoint, or remove it"))
	}
	if strings.Count(c.Envelope, ".") > 1 {
		errs = append(errs, fmt.Errorf("envelope: %q is more than two keys", c.Envelope))
	}
	return errors.Join(errs...)
}

// Validate reports every problem with c.
func (c *TimeConfig) Validate() error {
	_, err := feed.NewClock(c.Path, c.Format)
	return err
}

// Validate reports every problem with c.
func (c *SocketConfig) Validate() error {
	_, err := c.mode()
	return err
}

func (c *SocketConfig) mode() (fs.FileMode, error) {
	mode, err := strconv.ParseUint(c.Mode, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, fmt.Errorf("mode: %q is not a number such as 0660", c.Mode)
	}
	return fs.FileMode(mode), nil
}

// format returns what the events of a valid c look like.
func (c *Config) format() (feed.Format, error) {
	f := feed.FormatOf(c.Source)
	if c.Envelope != "" {
		f.Envelope = document.Envelope{List: c.Envelope}
		if in, list, ok := strings.Cut(c.Envelope, "."); ok {
			f.Envelope = document.Envelope{In: in, List: list}
		}
	}
	if c.Time.Path != "" {
		clock, err := feed.NewClock(c.Time.Path, c.Time.Format)
		if err != nil {
			return feed.Format{}, err
		}
		f.Time = feed.TimeOr(clock)
	}
	return f, nil
}
