package falcojsonexporter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Config is what a user sets for the exporter. It has one output; for several there are
// several exporters, so that a retry at one is no duplicate at another.
type Config struct {
	// IncludeOutput, IncludeMessage, IncludeOutputFields and IncludeTags choose members of
	// the object, as Falco's json_include keys do.
	IncludeOutput       bool `mapstructure:"include_output"`
	IncludeMessage      bool `mapstructure:"include_message"`
	IncludeOutputFields bool `mapstructure:"include_output_fields"`
	IncludeTags         bool `mapstructure:"include_tags"`
	// TimeFormatISO8601 begins the output with the date and the time in UTC instead of the
	// local time of day.
	TimeFormatISO8601 bool `mapstructure:"time_format_iso_8601"`

	// File is a file that lines are appended to.
	File configoptional.Optional[FileConfig] `mapstructure:"file"`
	// HTTP is a server that gets a POST request for each alert.
	HTTP configoptional.Optional[confighttp.ClientConfig] `mapstructure:"http"`
	// Program is a program that reads lines from its standard input.
	Program configoptional.Optional[ProgramConfig] `mapstructure:"program"`
	// Syslog is a syslog server.
	Syslog configoptional.Optional[SyslogConfig] `mapstructure:"syslog"`

	// Timeout bounds one attempt to send a batch.
	Timeout exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// SendingQueue holds what is not sent yet; its storage makes it outlive a restart.
	SendingQueue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// Retry says how often what fails is tried again.
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}

// FileConfig describes a file.
type FileConfig struct {
	// Path is the file; it is made with mode 0600. It is opened again on SIGUSR1 and when
	// another is in its place.
	Path string `mapstructure:"path"`
	// MaxBytes is the size from which on the file is renamed and another begun; 0: never.
	MaxBytes int64 `mapstructure:"max_bytes"`
	// Backups is how many renamed files are kept: path.1 is the youngest.
	Backups int `mapstructure:"backups"`
}

// ProgramConfig describes a program.
type ProgramConfig struct {
	// Command is the program and its arguments; no shell reads them. It is started again
	// when it ends and on SIGUSR1.
	Command []string `mapstructure:"command"`
	// Env are its environment variables, beside PATH.
	Env map[string]string `mapstructure:"env"`
}

// SyslogConfig describes a syslog server.
type SyslogConfig struct {
	// Network is unixgram, unix, udp or tcp.
	Network string `mapstructure:"network"`
	// Address is a path or host:port.
	Address string `mapstructure:"address"`
	// Format is rfc3164 or rfc5424.
	Format string `mapstructure:"format"`
	// Facility is the number of the syslog facility: 1 is user.
	Facility int `mapstructure:"facility"`
	// AppName is how messages name who sent them.
	AppName string `mapstructure:"app_name"`
	// TLS encrypts a TCP connection.
	TLS configoptional.Optional[configtls.ClientConfig] `mapstructure:"tls"`
}

const (
	networkUnixgram = "unixgram"
	networkUnix     = "unix"
	networkUDP      = "udp"
	networkTCP      = "tcp"

	formatRFC3164 = "rfc3164"
	formatRFC5424 = "rfc5424"
)

// queueBytes bounds the memory of the queue by default.
const queueBytes = 16 << 20

func newDefaultConfig() *Config {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Sizer = exporterhelper.RequestSizerTypeBytes
	queue.QueueSize = queueBytes
	queue.NumConsumers = 1 // more would mix up the order of the alerts
	return &Config{
		IncludeOutput:       true,
		IncludeOutputFields: true,
		IncludeTags:         true,
		File:                configoptional.Default(FileConfig{Backups: 5}),
		HTTP:                configoptional.Default(confighttp.NewDefaultClientConfig()),
		Program:             configoptional.Default(ProgramConfig{}),
		Syslog: configoptional.Default(SyslogConfig{
			Network: networkUnixgram, Address: "/dev/log", Format: formatRFC3164, Facility: 1, AppName: "windhover",
		}),
		Timeout:      exporterhelper.NewDefaultTimeoutConfig(),
		SendingQueue: configoptional.Some(queue),
		Retry:        configretry.NewDefaultBackOffConfig(),
	}
}

// Validate reports every problem with c but those of its blocks, which report for
// themselves.
func (c *Config) Validate() error {
	n := 0
	for _, has := range []bool{c.File.HasValue(), c.HTTP.HasValue(), c.Program.HasValue(), c.Syslog.HasValue()} {
		if has {
			n++
		}
	}
	var errs []error
	if n != 1 {
		errs = append(errs, fmt.Errorf("there are %d outputs; set one of file, http, program and syslog", n))
	}
	if c.HTTP.HasValue() {
		switch endpoint := c.HTTP.Get().Endpoint; {
		case endpoint == "":
			errs = append(errs, errors.New("http::endpoint: it is empty"))
		case !strings.HasPrefix(endpoint, "http://") && !strings.HasPrefix(endpoint, "https://"):
			errs = append(errs, fmt.Errorf("http::endpoint: %q is no URL; did you mean \"http://%[1]s\"?", endpoint))
		}
	}
	if !c.IncludeOutput && !c.IncludeMessage && !c.IncludeOutputFields {
		errs = append(errs, errors.New("include_output: with neither output, message nor fields an alert tells nothing"))
	}
	return errors.Join(errs...)
}

// maxBackups bounds how many files a rotation renames.
const maxBackups = 1000

// Validate reports every problem with c.
func (c *FileConfig) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: it is empty"))
	}
	if c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("max_bytes: %d is negative", c.MaxBytes))
	}
	if c.Backups < 1 || c.Backups > maxBackups {
		errs = append(errs, fmt.Errorf("backups: %d is not between 1 and %d", c.Backups, maxBackups))
	}
	return errors.Join(errs...)
}

// Validate reports every problem with c.
func (c *ProgramConfig) Validate() error {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return errors.New("command: it is empty; set the program and its arguments as a list")
	}
	return nil
}

// Validate reports every problem with c.
func (c *SyslogConfig) Validate() error {
	var errs []error
	if !slices.Contains([]string{networkUnixgram, networkUnix, networkUDP, networkTCP}, c.Network) {
		errs = append(errs, fmt.Errorf("network: no network %q; there are unixgram, unix, udp and tcp", c.Network))
	}
	switch path := strings.HasPrefix(c.Address, "/"); {
	case c.Address == "":
		errs = append(errs, errors.New("address: it is empty"))
	case path && (c.Network == networkUDP || c.Network == networkTCP):
		errs = append(errs, fmt.Errorf("address: %s is a path; the network %s needs host:port", c.Address, c.Network))
	}
	if c.Format != formatRFC3164 && c.Format != formatRFC5424 {
		errs = append(errs, fmt.Errorf("format: no format %q; there are rfc3164 and rfc5424", c.Format))
	}
	if c.Facility < 0 || c.Facility > 23 {
		errs = append(errs, fmt.Errorf("facility: %d is not between 0 and 23", c.Facility))
	}
	if !isName(c.AppName) {
		errs = append(errs, fmt.Errorf("app_name: %q is not 1 to 32 letters, digits, dots, dashes and underscores", c.AppName))
	}
	if c.TLS.HasValue() && c.Network != networkTCP {
		errs = append(errs, fmt.Errorf("tls: it needs the network tcp, not %s", c.Network))
	}
	return errors.Join(errs...)
}

func isName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// grace is how long a program gets to end by itself.
const grace = 3 * time.Second
