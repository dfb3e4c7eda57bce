package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/config"
)

func (c *command) config() *cobra.Command {
	var (
		l         layers
		reference bool
	)
	cmd := &cobra.Command{
		Use:   "config [-c CONFIG]... [--set KEY=VALUE]...",
		Short: "print the merged configuration, with where each value was set",
		Long: `Config merges the configuration as run does and prints it with the defaults of every
component. Behind each value stands where it was set: a file with its line and column, a
variable, a flag, or "default". Secrets are left out. What it prints is a configuration
file.`,
		Example: `  windhover config -c windhover.yaml
  windhover config --reference > windhover.yaml   every key, with what it does`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if reference {
				_, err := fmt.Fprint(c.stdout, config.Reference)
				return err
			}
			loaded, blocks, err := l.load(c.env, factories())
			if err != nil {
				return err
			}
			tree, err := blocks.Effective()
			if err != nil {
				return err
			}
			return config.Write(c.stdout, tree, loaded.Origins())
		},
	}
	l.register(cmd)
	cmd.Flags().BoolVar(&reference, "reference", false, "print the commented reference file instead")
	return cmd
}
