// Windhover watches a host and its audit streams, matches Falco-language rules, and hands
// alerts and counters to an observability stack.
//
// This package is the command line. Every command is a function that takes its streams
// and returns an error; main alone ends the process. components.go lists what a
// configuration can contain, host runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/config"
)

// version is set by the linker.
var version = "unknown"

// Exit codes. They are part of what --help promises.
const (
	exitOK     = 0
	exitFailed = 1 // it ran and failed; for check: the rules have errors
	exitUsage  = 2 // the command line, the configuration or the rules are wrong: nothing was watched
	exitHost   = 3 // this host lacks what the configuration needs
)

// command is what a command may touch of the process.
type command struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            []string
}

// codedError is an error with its exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// usage marks an error as a mistake of the user's.
func usage(err error) error { return &codedError{exitUsage, err} }

func main() {
	c := &command{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Environ()}
	os.Exit(c.execute(context.Background(), os.Args[1:]))
}

// execute runs the command line and returns the exit code.
func (c *command) execute(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if !errors.Is(err, errReported) {
		report(c.stderr, err)
	}
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	return exitFailed
}

// errReported is returned by a command that has said what is wrong already.
var errReported = errors.New("reported")

func report(w io.Writer, err error) {
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, p := range problems {
			_, _ = fmt.Fprintln(w, p) // there is no other place to say it
		}
		return
	}
	_, _ = fmt.Fprintf(w, "windhover: %v\n", err)
}

func (c *command) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "windhover",
		Short: "watch a host and its audit streams with Falco-language rules",
		Long: `Windhover watches the system calls of a host, Kubernetes audit events, and events that
are JSON documents, such as those of CloudTrail, Okta, GitHub and Google Cloud. It matches
them with rules in Falco's language, and sends alerts as OTLP logs and counters as OTLP
metrics and Prometheus series.

Exit codes: 0 ended as asked; 1 failed while running (check: the rules have errors);
2 the command line, the configuration or the rules it names are wrong, and nothing was
watched; 3 this host lacks what the configuration needs, such as a capability.`,
		Example: `  windhover run                                  watch this host, alerts on stdout
  windhover run -r my-rules.yaml --output json   with other rules, for a pipe
  windhover check my-rules.yaml                  is the file right?
  windhover rules show "Log file cleared"        what does the rule mean?
  windhover replay --source k8s_audit audit.log  what would it have alerted on?
  windhover fields proc.                         what can a rule ask of a process?
  windhover config -c windhover.yaml             what is set, and where?`,
		Args:                       cobra.NoArgs,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		CompletionOptions:          cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	root.AddCommand(c.run(), c.check(), c.rules(), c.explain(), c.replay(), c.config(), c.fields(), c.events(), c.preflight(), c.version())
	for _, sub := range root.Commands() {
		markUsage(sub)
	}
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		remedy := "see windhover --help"
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			remedy = fmt.Sprintf("did you mean %q?", near[0])
		}
		return usage(fmt.Errorf("no command %q; %s", args[0], remedy))
	}
	return root
}

// markUsage makes cobra's own checks of arguments mistakes of the user's, too.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		markUsage(sub)
	}
}

func (c *command) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.stdout, "windhover", version)
			return err
		},
	}
}
