package rulesextension

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"

	"github.com/windhover/windhover/rules"
)

// Config is what a user sets for the rule set.
type Config struct {
	// Files are rules files, and directories of files that end in .yaml or .yml, in the
	// order in which they are read. None: the rules that Windhover ships, which builtin:
	// stands for among others.
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
	// AppendOutput adds to the outputs and to the fields of alerts, one entry after the
	// other.
	AppendOutput []AppendOutputConfig `mapstructure:"append_output"`
}

// AppendOutputConfig adds to what alerts of some rules say.
type AppendOutputConfig struct {
	// Match says which rules; without anything in it, all.
	Match AppendMatchConfig `mapstructure:"match"`
	// ExtraOutput is text for the end of the output, in the format of outputs.
	ExtraOutput string `mapstructure:"extra_output"`
	// ExtraFields are further output fields. An entry is the name of a field, which keeps
	// its type, or a key with a text in the format of outputs.
	ExtraFields []any `mapstructure:"extra_fields"`
	// SuggestedOutput adds to the output the fields that are worth having in every alert
	// of a source, such as container_id=%container.id.
	SuggestedOutput bool `mapstructure:"suggested_output"`
}

// AppendMatchConfig names rules: those that all of it is true for.
type AppendMatchConfig struct {
	// Source is the source of the rule.
	Source string `mapstructure:"source"`
	// Tags are tags, all of which the rule has.
	Tags []string `mapstructure:"tags"`
	// Rule is the name of the rule.
	Rule string `mapstructure:"rule"`
}

const (
	maxAppend = 1000
	maxExtra  = 64 // fields of an entry
)

// fields returns the extra fields.
func (c *AppendOutputConfig) fields() ([]rules.ExtraField, error) {
	var out []rules.ExtraField
	var errs []error
	for i, entry := range c.ExtraFields {
		switch v := entry.(type) {
		case string:
			if v != "" {
				out = append(out, rules.ExtraField{Field: strings.TrimPrefix(v, "%")})
				continue
			}
		case map[string]any:
			n := len(out)
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if format, ok := v[key].(string); ok && key != "" {
					out = append(out, rules.ExtraField{Key: key, Format: format})
				}
			}
			if len(out)-n == len(v) && len(v) > 0 {
				continue
			}
		}
		errs = append(errs, fmt.Errorf("extra_fields[%d]: wants the name of a field, or a key with a text", i))
	}
	return out, errors.Join(errs...)
}

func (c *AppendOutputConfig) validate() error {
	fields, err := c.fields()
	errs := []error{err}
	if len(fields) > maxExtra {
		errs = append(errs, fmt.Errorf("extra_fields: %d are more than %d", len(fields), maxExtra))
	}
	if c.ExtraOutput == "" && len(c.ExtraFields) == 0 && !c.SuggestedOutput {
		errs = append(errs, errors.New("wants extra_output, extra_fields or suggested_output"))
	}
	return errors.Join(errs...)
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
	if len(c.AppendOutput) > maxAppend {
		errs = append(errs, fmt.Errorf("append_output: %d entries are more than %d", len(c.AppendOutput), maxAppend))
	}
	for i := range c.AppendOutput {
		if err := c.AppendOutput[i].validate(); err != nil {
			errs = append(errs, fmt.Errorf("append_output[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// Options returns what a valid c says to the compiler.
func (c *Config) Options() rules.Options {
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
	for i := range c.AppendOutput {
		a := &c.AppendOutput[i]
		fields, _ := a.fields() // valid
		o.Append = append(o.Append, rules.AppendOutput{
			Source: a.Match.Source, Rule: a.Match.Rule, Tags: a.Match.Tags,
			Output: a.ExtraOutput, Suggested: a.SuggestedOutput, Fields: fields,
		})
	}
	return o
}
