package redact

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/windhover/windhover/internal/field"
)

// Config is what a user sets about secrets in alerts.
type Config struct {
	// Enabled replaces what looks like a password, a token or a key before an alert is
	// queued.
	Enabled bool `mapstructure:"enabled"`
	// Patterns are looked for beside the built-in ones.
	Patterns []PatternConfig `mapstructure:"patterns"`
}

// PatternConfig is a pattern of the user's.
type PatternConfig struct {
	// Pattern is a regular expression of RE2. What its groups match is replaced; without
	// groups, all that it matches.
	Pattern string `mapstructure:"pattern"`
	// Fields are the fields it is looked for in, such as proc.cmdline; without any: in
	// every text of an alert.
	Fields []string `mapstructure:"fields"`
}

const (
	maxPatterns     = 256
	maxPatternBytes = 4096
)

// DefaultConfig returns what applies unless the user sets something else.
func DefaultConfig() Config { return Config{Enabled: true} }

// Validate reports every problem with c.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Patterns) > maxPatterns {
		errs = append(errs, fmt.Errorf("patterns: %d are more than %d", len(c.Patterns), maxPatterns))
	}
	for i, p := range c.Patterns {
		_, err := p.compile()
		if err != nil {
			errs = append(errs, fmt.Errorf("patterns::%d: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

func (p *PatternConfig) compile() (*regexp.Regexp, error) {
	if p.Pattern == "" || len(p.Pattern) > maxPatternBytes {
		return nil, fmt.Errorf("pattern: it has %d bytes; 1 to %d are allowed", len(p.Pattern), maxPatternBytes)
	}
	re, err := regexp.Compile(p.Pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	if re.MatchString("") {
		return nil, fmt.Errorf("pattern: %q matches the empty text", p.Pattern)
	}
	return re, nil
}

// lookUpFields returns the names of the fields of p as alerts write them.
func (p *PatternConfig) lookUpFields(sourceType string) (map[string]bool, error) {
	if len(p.Fields) == 0 {
		return nil, nil
	}
	names := make(map[string]bool, len(p.Fields))
	for _, name := range p.Fields {
		f, err := field.Lookup(name, sourceType)
		if err != nil {
			return nil, err
		}
		names[f.String()] = true
	}
	return names, nil
}
