package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/config"
	"github.com/windhover/windhover/config/fromfalco"
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
  windhover config --reference > windhover.yaml   every key, with what it does
  windhover config from-falco /etc/falco/falco.yaml > windhover.yaml`,
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
	cmd.AddCommand(c.configFromFalco())
	cmd.Flags().BoolVar(&reference, "reference", false, "print the commented reference file instead")
	return cmd
}

func (c *command) configFromFalco() *cobra.Command {
	return &cobra.Command{
		Use:   "from-falco FILE",
		Short: "translate a configuration file of Falco",
		Long: `From-falco prints the configuration that does what a falco.yaml asks for; behind each
value stands the key it comes from. What cannot be carried over, or not as it was, is
told on standard error with its line. - is standard input.

docs/falco.md says of every key what becomes of it.`,
		Example: `  windhover config from-falco /etc/falco/falco.yaml > windhover.yaml
  windhover config from-falco /etc/falco/falco.yaml | windhover config -c /dev/stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			in := c.stdin
			if name != "-" {
				f, err := os.Open(name)
				if err != nil {
					return usage(fmt.Errorf("read configuration of Falco: %w", err))
				}
				defer func() { _ = f.Close() }() // opened for reading: nothing is lost
				in = f
			}
			result, err := fromfalco.Convert(in)
			if err != nil {
				return usage(fmt.Errorf("%s: %w", name, err))
			}
			for _, n := range result.Notes {
				if _, err := fmt.Fprintf(c.stderr, "%s:%s\n", name, n); err != nil {
					return err
				}
			}
			return config.Write(c.stdout, result.Config, func(path []string) (above, behind string) {
				return "", result.From[strings.Join(path, fromfalco.Delimiter)]
			})
		},
	}
}
