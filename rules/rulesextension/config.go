package rulesextension

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"

	"github.com/windhover/windhover/rules"
)

// Config is what a user sets for the rule set.
type Config struct {
	// Files are rules files, and directories of files that end in .yaml or .yml, in the
	// order in which they are read. None: the rules that Windhover ships.
	Files []string `mapstructure:"files"`
	// Watch has the rules read again when a file changes.
	Watch bool `mapstructure:"watch"`
	// RuleMatching is "all": every rule that an event satisfies makes an alert, or
	// "first": the first of them in the order of the files.
	RuleMatching string `mapstructure:"rule_matching"`
	// Priority leaves out rules that matter less than this, such as "notice"; "debug"
	// leaves out none.
	Priority string `mapstructure:"priority"`
	// Select turns rules on and off after loading, one entry after the other.
	Select []SelectConfig `mapstructure:"select"`
}

// SelectConfig turns on or off the rules of a name or a tag.
type SelectConfig struct {
	Enable  MatchConfig `mapstructure:"enable"`
	Disable MatchConfig `mapstructure:"disable"`
}

// MatchConfig names rules: by name, in which * stands for any text, or by tag.
type MatchConfig struct {
	Rule string `mapstructure:"rule"`
	Tag  string `mapstructure:"tag"`
}

func createDefaultConfig() component.Config {
	return &Config{Watch: true, RuleMatching: string(rules.MatchAll), Priority: "debug"}
}

// Validate reports every problem with c, not just the first.
func (c *Config) Validate() error {
	var errs []error
	for i, f := range c.Files {
		if f == "" {
			errs = append(errs, fmt.Errorf("files[%d]: it is empty", i))
		}
	}
	switch rules.Matching(c.RuleMatching) {
	case rules.MatchAll, rules.MatchFirst:
	default:
		errs = append(errs, fmt.Errorf("rule_matching: no mode %q; there are all and first", c.RuleMatching))
	}
	if _, ok := rules.ParsePriority(c.Priority); !ok {
		errs = append(errs, fmt.Errorf("priority: no priority %q; there are emergency, alert, critical, error, warning, notice, informational and debug", c.Priority))
	}
	for i, s := range c.Select {
		n := 0
		for _, set := range []bool{s.Enable.Rule != "", s.Enable.Tag != "", s.Disable.Rule != "", s.Disable.Tag != ""} {
			if set {
				n++
			}
		}
		if n != 1 {
			errs = append(errs, fmt.Errorf("select[%d]: wants exactly one of enable and disable, with exactly one of rule and tag", i))
		}
	}
	return errors.Join(errs...)
}

// options is what a valid c says to the compiler.
func (c *Config) options() rules.Options {
	o := rules.Options{Matching: rules.Matching(c.RuleMatching)}
	if p, ok := rules.ParsePriority(c.Priority); ok {
		o.MinPriority = &p
	}
	for _, s := range c.Select {
		m, enable := s.Disable, false
		if s.Enable != (MatchConfig{}) {
			m, enable = s.Enable, true
		}
		o.Select = append(o.Select, rules.Selector{Enable: enable, Rule: m.Rule, Tag: m.Tag})
	}
	return o
}
