package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/windhover/windhover/cmd/windhover/host"
	"github.com/windhover/windhover/config"
)

// layers are the flags that set configuration.
type layers struct {
	files  []string
	rules  []string
	output string
	set    []string
}

func (l *layers) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVarP(&l.files, "config", "c", nil, "configuration `file`; may be repeated, later ones win")
	f.StringArrayVarP(&l.rules, "rules", "r", nil, "rules `file or directory`, in place of the built-in rules, which builtin: stands for; may be repeated")
	f.StringVar(&l.output, "output", "", "how alerts are written on stdout: `text or json`")
	f.StringArrayVar(&l.set, "set", nil, "set one `key=value`, such as server::address=127.0.0.1:9000; may be repeated")
}

// load merges the layers and completes every component's configuration.
func (l *layers) load(env []string, f host.Factories) (*config.Loaded, *host.Blocks, error) {
	flags := make([]config.Setting, 0, len(l.set)+2)
	if len(l.rules) > 0 {
		files := make([]any, len(l.rules))
		for i, name := range l.rules {
			files[i] = name
		}
		flags = append(flags, config.Setting{
			Path: "extensions::windhover_rules::files", Value: files,
			Origin: config.Origin{Layer: config.Flags, Name: "--rules"},
		})
	}
	if l.output != "" {
		flags = append(flags, config.Setting{
			Path: "exporters::windhover_console::format", Value: l.output,
			Origin: config.Origin{Layer: config.Flags, Name: "--output"},
		})
	}
	for _, s := range l.set {
		setting, err := config.ParseSetting(s)
		if err != nil {
			return nil, nil, usage(err)
		}
		flags = append(flags, setting)
	}
	loaded, err := config.Load(config.Settings{Files: l.files, Env: env, Flags: flags, Types: f.Types()})
	if err != nil {
		return nil, nil, usage(err)
	}
	blocks, err := host.Configure(loaded, f)
	if err != nil {
		return nil, nil, usage(err)
	}
	return loaded, blocks, nil
}

func (c *command) run() *cobra.Command {
	var l layers
	cmd := &cobra.Command{
		Use:   "run [-c CONFIG]... [-r RULES]... [--output text|json] [--set KEY=VALUE]...",
		Short: "watch, and send alerts",
		Long: `Run watches what the configuration says until SIGINT or SIGTERM, or until every source
has ended. Without any configuration it watches the system calls of this host with the
built-in rules, writes alerts to stdout and its own log to stderr, and serves /metrics,
/healthz and /readyz on 127.0.0.1:9464.

Every key can be set in a file (-c), as a variable and with --set; later ones win:

  server: {address: 127.0.0.1:9000}                  a file
  WINDHOVER_SERVER__ADDRESS=127.0.0.1:9000           levels separated by two underscores
  --set server::address=127.0.0.1:9000

SIGHUP has the rules read again; a file with errors leaves the old rules in place.
A second SIGINT or SIGTERM ends the process at once.

Watching system calls takes the capabilities BPF, PERFMON, SYS_PTRACE and
DAC_READ_SEARCH, or root. A configuration that only reads documents, such as Kubernetes
audit events, takes none. Capabilities that are permitted and not effective, as a program
file can give them, are made effective.

A service manager that set NOTIFY_SOCKET is told when every source watches and what each
does; with WATCHDOG_USEC it gets signs of life.`,
		Example: `  windhover run -r my-rules.yaml
  windhover run -c windhover.yaml --set telemetry.logs.level=debug
  windhover run --set exporters.otlp_grpc.endpoint=collector:4317
  WINDHOVER_EXPORTERS__OTLP_HTTP__ENDPOINT=https://otlp.example.com windhover run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, blocks, err := l.load(c.env, factories())
			if err != nil {
				return err
			}
			return c.watch(cmd.Context(), blocks)
		},
	}
	l.register(cmd)
	return cmd
}

// watch runs the components until a signal says to stop.
func (c *command) watch(ctx context.Context, blocks *host.Blocks) error {
	logger := newLogger(c.stderr, blocks.Config.Telemetry.Logs)
	defer func() { _ = logger.Sync() }() // stderr is not buffered
	limitMemory(blocks.Config.MemoryLimit, logger)
	if err := raiseCapabilities(); err != nil {
		return err
	}
	manager, err := newNotifier(c.env, os.Getpid())
	if err != nil {
		return err
	}
	defer manager.close()

	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the first signal on, the next one ends the process as if it were not caught.
	context.AfterFunc(ctx, stop)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	reload := make(chan struct{}, 1)
	forwarded := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(forwarded)
		for {
			select {
			case <-hangup:
				select {
				case reload <- struct{}{}:
				default: // one is asked for already
				}
			case <-done:
				return
			}
		}
	}()
	defer func() { close(done); <-forwarded }()

	err = host.Run(ctx, host.Settings{
		Blocks: blocks,
		Build:  component.BuildInfo{Command: "windhover", Description: "Windhover", Version: version},
		Logger: logger,
		Reload: reload,
		Looked: func(o host.Outlook) {
			if err := manager.tell(o, time.Now()); err != nil {
				logger.Warn("the service manager does not hear", zap.Error(err))
			}
		},
	})
	return explain(err)
}

// explain adds to an error of the host what the user can do about it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*host.StartError](err); ok {
		return usage(err)
	}
	if needsHost(err) {
		return &codedError{exitHost, fmt.Errorf("%w\n%s", err, withoutCapabilities)}
	}
	return err
}

const withoutCapabilities = `What works here without it: windhover check, fields, events and config; and windhover run
with a configuration whose receivers are not windhover_syscall, such as
  receivers: {windhover_k8saudit: {endpoint: 127.0.0.1:9765}}
windhover preflight lists what is missing.`

// limitMemory sets the soft limit of the runtime, unless the environment has one. Where
// the control group allows less, the limit leaves a tenth of that to what the runtime
// does not count.
func limitMemory(limit int64, logger *zap.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" || limit == 0 {
		return
	}
	if group, ok := groupLimit("/"); ok && group-group/10 < limit {
		limit = group - group/10
		logger.Info("memory limit follows the control group", zap.Int64("bytes", limit))
	}
	debug.SetMemoryLimit(limit)
}

// groupLimit returns the least memory limit of the control group (v2) of this process
// and those above it, as files below root tell it. Elsewhere than on Linux there are
// none.
func groupLimit(root string) (int64, bool) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		least, found := int64(math.MaxInt64), false
		for ; ; path = path[:max(0, strings.LastIndexByte(path, '/'))] {
			text, err := os.ReadFile(filepath.Join(root, "sys/fs/cgroup", path, "memory.max"))
			if err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n < least {
					least, found = n, true
				}
			}
			switch {
			case path != "":
			case found:
				return least, true
			default:
				return 0, false
			}
		}
	}
	return 0, false
}
