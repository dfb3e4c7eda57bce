package k8sauditreceiver

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/windhover/windhover/internal/instance"
)

// Where the first look at a file begins.
const (
	startAtBeginning = "beginning"
	startAtEnd       = "end"
)

// Config is what a user sets for the Kubernetes audit receiver.
type Config struct {
	Instance instance.Config `mapstructure:",squash"`
	// HTTP is the server of the webhook: endpoint, tls, auth, timeouts,
	// max_request_body_size. Without an endpoint there is no webhook.
	HTTP confighttp.ServerConfig `mapstructure:",squash"`
	// Path is where the API server posts its batches.
	Path string `mapstructure:"path"`
	// MaxConcurrentRequests bounds the requests that are answered at the same time.
	MaxConcurrentRequests int `mapstructure:"max_concurrent_requests"`
	// MaxInflightBytes bounds the memory of the bodies of all requests together.
	MaxInflightBytes int64 `mapstructure:"max_inflight_bytes"`
	// MaxEventBytes bounds one audit event, in a request or in a file.
	MaxEventBytes int `mapstructure:"max_event_bytes"`
	// Files are files of audit events, one a line.
	Files FilesConfig `mapstructure:"files"`
}

// FilesConfig describes the files to read.
type FilesConfig struct {
	// Include are patterns of file names, as of a shell: * ? and [].
	Include []string `mapstructure:"include"`
	// StartAt is beginning or end: where to begin in files that are there at the start.
	// Files that appear later are read from their beginning.
	StartAt string `mapstructure:"start_at"`
	// Follow waits for more at the end of a file, and for more files. Without it the
	// source ends when every file was read once.
	Follow bool `mapstructure:"follow"`
	// PollInterval is how often files are looked at.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// Storage is the ID of a storage extension that keeps how far files were read.
	Storage *component.ID `mapstructure:"storage"`
}

// maxEventLimit bounds what max_event_bytes can be set to; a worker may keep as much.
const maxEventLimit = 64 << 20

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.MaxRequestBodySize = 12 << 20
	server.ReadHeaderTimeout = 10 * time.Second
	server.ReadTimeout = 30 * time.Second
	server.CompressionAlgorithms = []string{"", "gzip"}
	return &Config{
		Instance:              instance.NewDefaultConfig(),
		HTTP:                  server,
		Path:                  "/k8s-audit",
		MaxConcurrentRequests: 256,
		MaxInflightBytes:      64 << 20,
		MaxEventBytes:         2 << 20,
		Files:                 FilesConfig{StartAt: startAtEnd, Follow: true, PollInterval: 250 * time.Millisecond},
	}
}

// maxConnections bounds open connections: every request may have one, and some clients
// keep one without a request.
func (c *Config) maxConnections() int { return 4 * c.MaxConcurrentRequests }

// webhook reports whether there is a webhook.
func (c *Config) webhook() bool { return c.HTTP.NetAddr.Endpoint != "" }

// Validate reports every problem with c, not just the first. Blocks with a Validate of
// their own report for themselves.
func (c *Config) Validate() error {
	var errs []error
	if !c.webhook() && len(c.Files.Include) == 0 {
		errs = append(errs, errors.New("nothing to read: set endpoint for a webhook, or files::include"))
	}
	if c.MaxEventBytes < 1024 || c.MaxEventBytes > maxEventLimit {
		errs = append(errs, fmt.Errorf("max_event_bytes: %d is not between 1024 and %d", c.MaxEventBytes, maxEventLimit))
	}
	if !c.webhook() {
		return errors.Join(errs...)
	}
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "{} ?#") {
		errs = append(errs, fmt.Errorf("path: %q is not a path such as /k8s-audit", c.Path))
	}
	if c.MaxConcurrentRequests < 1 {
		errs = append(errs, fmt.Errorf("max_concurrent_requests: %d is less than 1", c.MaxConcurrentRequests))
	}
	if c.HTTP.MaxRequestBodySize < 1024 {
		errs = append(errs, fmt.Errorf("max_request_body_size: %d is less than 1024", c.HTTP.MaxRequestBodySize))
	}
	// While a buffer grows there are two of them.
	if c.MaxInflightBytes < 2*c.HTTP.MaxRequestBodySize {
		errs = append(errs, fmt.Errorf("max_inflight_bytes: %d is less than twice what one request may have, max_request_body_size: %d", c.MaxInflightBytes, c.HTTP.MaxRequestBodySize))
	}
	for _, t := range []struct {
		key  string
		time time.Duration
	}{{"read_timeout", c.HTTP.ReadTimeout}, {"read_header_timeout", c.HTTP.ReadHeaderTimeout}} {
		if t.time <= 0 {
			errs = append(errs, fmt.Errorf("%s: %v lets a slow client hold a connection for ever; set a time", t.key, t.time))
		}
	}
	return errors.Join(errs...)
}

// Validate reports every problem with c.
func (c *FilesConfig) Validate() error {
	var errs []error
	for _, pattern := range c.Include {
		if _, err := filepath.Match(pattern, ""); err != nil || pattern == "" {
			errs = append(errs, fmt.Errorf("include: %q is not a pattern of file names", pattern))
		}
	}
	if c.StartAt != startAtBeginning && c.StartAt != startAtEnd {
		errs = append(errs, fmt.Errorf("start_at: no place %q; there are beginning and end", c.StartAt))
	}
	if c.PollInterval < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("poll_interval: %v is shorter than 10ms", c.PollInterval))
	}
	return errors.Join(errs...)
}
