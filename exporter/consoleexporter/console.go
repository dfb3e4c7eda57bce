package consoleexporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
)

// grace is how long a shutdown waits for a reader that does not read.
const grace = 3 * time.Second

// console writes log records to its output. Writes happen on a goroutine of their own:
// a write to a pipe that nobody reads never returns and cannot be called off.
type console struct {
	config *Config
	logger *zap.Logger
	host   component.Host

	encode func(dst []byte, ld plog.Logs) []byte
	out    io.WriteCloser
	name   string
	broken atomic.Bool // the reader is gone

	work  chan write
	stop  chan struct{} // closed when no more is written
	ended chan struct{} // closed when the output is
	given chan struct{} // closed when waiting for the reader is given up

	stopOnce, hurryOnce sync.Once
	patience            *time.Timer
}

type write struct {
	b    []byte
	done chan<- error
}

func newConsole(c *Config, set exporter.Settings) *console {
	return &console{
		config: c, logger: set.Logger,
		work: make(chan write), stop: make(chan struct{}),
		ended: make(chan struct{}), given: make(chan struct{}),
	}
}

func (c *console) start(_ context.Context, host component.Host) error {
	c.host = host
	if c.config.Path == "" {
		out, err := openStdout()
		if err != nil {
			return fmt.Errorf("open standard output: %w", err)
		}
		c.begin(out, "standard output", wantsColour(out))
		return nil
	}
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if fi, err := os.Stat(c.config.Path); err == nil && fi.Mode()&os.ModeNamedPipe != 0 {
		flags |= syscall.O_NONBLOCK // or opening waits for a reader
	}
	out, err := os.OpenFile(c.config.Path, flags, 0o600)
	if err != nil {
		return err
	}
	c.begin(out, c.config.Path, false)
	return nil
}

func (c *console) begin(out io.WriteCloser, name string, colour bool) {
	c.out, c.name = out, name
	if c.config.Format == FormatJSON {
		c.encode = appendJSON
	} else {
		c.encode = textFormat{colour: colour, location: time.Local}.append
	}
	go c.run()
}

// run writes until it is stopped, then closes the output.
func (c *console) run() {
	defer close(c.ended)
	for {
		select {
		case w := <-c.work:
			_, err := c.out.Write(w.b)
			w.done <- err
		case <-c.stop:
			if err := c.out.Close(); err != nil {
				c.logger.Warn("close output", zap.String("output", c.name), zap.Error(err))
			}
			return
		}
	}
}

// wantsColour reports whether out is a terminal whose user did not ask for plain text.
func wantsColour(out *os.File) bool {
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	fi, err := out.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0
}

var errStopped = errors.New("the exporter is shut down")

// consume writes the records in one write. It waits for the reader as long as it takes:
// meanwhile the sending queue fills, and what does not fit is refused and counted.
func (c *console) consume(ctx context.Context, ld plog.Logs) error {
	if c.broken.Load() {
		return consumererror.NewPermanent(fmt.Errorf("write %s: %w", c.name, syscall.EPIPE))
	}
	done := make(chan error, 1)
	select {
	case c.work <- write{c.encode(make([]byte, 0, 512*ld.LogRecordCount()), ld), done}:
	case <-c.given:
		return c.gaveUp()
	case <-c.stop:
		return consumererror.NewPermanent(fmt.Errorf("write %s: %w", c.name, errStopped))
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return c.result(err)
	case <-c.given:
		return c.gaveUp()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *console) gaveUp() error {
	return consumererror.NewPermanent(fmt.Errorf("write %s: nobody read it for %v while shutting down", c.name, grace))
}

// result reports a reader that is gone once, as the state of the component.
func (c *console) result(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE):
		if !c.broken.Swap(true) {
			componentstatus.ReportStatus(c.host, componentstatus.NewPermanentErrorEvent(fmt.Errorf("write %s: %w", c.name, err)))
		}
	}
	return consumererror.NewPermanent(fmt.Errorf("write %s: %w", c.name, err))
}

// hurry bounds how long a write may still take.
func (c *console) hurry() {
	c.hurryOnce.Do(func() { c.patience = time.AfterFunc(grace, func() { close(c.given) }) })
}

// close ends the goroutine that writes. One that hangs in a write is left behind.
func (c *console) close(context.Context) error {
	c.stopOnce.Do(func() { close(c.stop) })
	if c.out != nil {
		select {
		case <-c.ended:
		case <-c.given:
		}
	}
	c.patience.Stop()
	return nil
}
