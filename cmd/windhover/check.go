package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/lint"
)

func (c *command) check() *cobra.Command {
	var (
		format string
		strict bool
	)
	cmd := &cobra.Command{
		Use:   "check FILES...",
		Short: "validate rules files",
		Long: `Check compiles rules files and directories together, in the order given, as run does
with -r, and prints every error and warning with its place. Codes that begin with LOAD_
are those of Falco's validator; those that begin with LINT_ point at conditions that are
right and probably not meant. docs/rules.md explains them. It needs no privileges and
watches nothing.

A file that cannot be read is an error, and the others are checked. The exit code is 1 if
there are errors.`,
		Example: `  windhover check my-rules.yaml
  windhover check falco_rules.yaml my-rules.yaml         a file that builds on another
  windhover check --strict rules.d                       warnings fail too
  windhover check --format sarif rules.d > rules.sarif   for code scanning`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("format", format, "text", "json", "sarif"); err != nil {
				return err
			}
			files := rules.LoadEach(args)
			in, rep := rules.Inspect(files, rules.Options{})
			rep.AddLints(lint.Check(in))
			if err := writeReport(c.stdout, rep, format); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			if !rep.OK() || strict && len(rep.All()) > 0 {
				return errReported
			}
			if format != "text" {
				return nil
			}
			_, err := fmt.Fprintf(c.stdout, "no errors; rules: %d, files: %d\n", len(in.Rules), len(files))
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, json in the shape of Falco's validator, or sarif")
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 if there are warnings")
	return cmd
}

func writeReport(w io.Writer, rep *rules.Report, format string) error {
	switch format {
	case "json":
		return rep.WriteJSON(w)
	case "sarif":
		return writeSARIF(w, rep)
	}
	return rep.WriteText(w)
}
