package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/rules"
)

func (c *command) check() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check FILES...",
		Short: "validate rules files",
		Long: `Check compiles rules files and directories together, in the order given, as run does
with -r, and prints every error and warning with its place. It needs no privileges and
watches nothing. The exit code is 1 if there are errors, and 2 if a file cannot be read.`,
		Example: `  windhover check my-rules.yaml
  windhover check --format json /etc/windhover/rules.d`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			files, err := rules.LoadPaths(args)
			if err != nil {
				return usage(err)
			}
			set, rep := rules.Compile(files, rules.Options{})
			if format == "json" {
				err = rep.WriteJSON(c.stdout)
			} else {
				err = rep.WriteText(c.stdout)
			}
			if err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			if !rep.OK() {
				return errReported
			}
			if format == "text" {
				_, err = fmt.Fprintf(c.stdout, "no errors; rules: %d, files: %d\n", len(set.Rules()), len(files))
			}
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, or json in the shape of Falco's validator")
	return cmd
}
