package rulesprocessor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/fold"
	"github.com/windhover/windhover/internal/redact"
	"github.com/windhover/windhover/rules"
)

// What becomes of records and alerts.
const (
	modeAppend     = "append"
	modeAlertsOnly = "alerts_only"
	modeAnnotate   = "annotate"
)

// none is the source of records that no rule sees.
const none = "none"

// Config is what a user sets for the rules processor.
type Config struct {
	// Rules is the ID of the windhover_rules extension whose rules are shown the records.
	// Without one, records are counted and match nothing.
	Rules string `mapstructure:"rules"`
	// Mode is append, alerts_only or annotate: alerts are added to the records, take
	// their place, or are noted on those that match.
	Mode string `mapstructure:"mode"`
	// Source is the type of the source that records are from, if nothing else says so:
	// log, one whose events are documents, or none.
	Source string `mapstructure:"source"`
	// SourceAttribute is the key of an attribute, of the record or else of its resource,
	// whose value is the type of the source.
	SourceAttribute string `mapstructure:"source_attribute"`
	// Sources tell the type of the source by conditions; the first that holds counts.
	Sources []SourceConfig `mapstructure:"sources"`
	// Document leads to the event in a body that wraps it, such as message; empty: the
	// body is the event.
	Document string `mapstructure:"document"`
	// MaxEventBytes bounds one document.
	MaxEventBytes int `mapstructure:"max_event_bytes"`
	// Fold says how repeats of an alert are reported. Nothing is folded in mode annotate,
	// in which a record that matches stays as it is but for the note.
	Fold fold.Config `mapstructure:"fold"`
	// Redact says which secrets are replaced in alerts.
	Redact redact.Config `mapstructure:"redact"`
}

// SourceConfig says which records are from a source.
type SourceConfig struct {
	// Source is the type of the source.
	Source string `mapstructure:"source"`
	// Condition is one of the rule language, on the fields that source log has.
	Condition string `mapstructure:"condition"`
}

// maxEventLimit bounds what max_event_bytes can be set to; a worker may keep as much.
const maxEventLimit = 64 << 20

func createDefaultConfig() component.Config {
	return &Config{
		Rules: "windhover_rules", Mode: modeAppend, Source: field.Log, MaxEventBytes: 2 << 20,
		Fold: fold.DefaultConfig(), Redact: redact.DefaultConfig(),
	}
}

// sourceTypes are those that records can be from.
func sourceTypes() []string { return append([]string{field.Log}, feed.SourceTypes()...) }

// Validate reports every problem with c, not just the first.
func (c *Config) Validate() error {
	var errs []error
	if c.Rules != "" {
		var id component.ID
		if err := id.UnmarshalText([]byte(c.Rules)); err != nil {
			errs = append(errs, fmt.Errorf("rules: %q is not the ID of an extension: %w", c.Rules, err))
		}
	}
	if modes := []string{modeAppend, modeAlertsOnly, modeAnnotate}; !slices.Contains(modes, c.Mode) {
		errs = append(errs, fmt.Errorf("mode: no mode %q; there are %s", c.Mode, strings.Join(modes, ", ")))
	}
	types := append(sourceTypes(), none)
	for i, s := range append([]SourceConfig{{Source: c.Source}}, c.Sources...) {
		key := "source"
		if i > 0 {
			key = fmt.Sprintf("sources::%d::source", i-1)
		}
		if !slices.Contains(types, s.Source) {
			errs = append(errs, fmt.Errorf("%s: no type %q; there are %s", key, s.Source, strings.Join(types, ", ")))
		}
	}
	if _, err := compile(c.Sources); err != nil {
		errs = append(errs, err)
	}
	if _, err := document.CompilePath(c.Document); err != nil {
		errs = append(errs, fmt.Errorf("document: %w", err))
	}
	if c.MaxEventBytes < 1024 || c.MaxEventBytes > maxEventLimit {
		errs = append(errs, fmt.Errorf("max_event_bytes: %d is not between 1024 and %d", c.MaxEventBytes, maxEventLimit))
	}
	return errors.Join(errs...)
}

// compile returns a set of one rule for each of the conditions, in their order.
func compile(sources []SourceConfig) (*rules.Set, error) {
	type rule struct {
		Rule      string `json:"rule"`
		Desc      string `json:"desc"`
		Condition string `json:"condition"`
		Output    string `json:"output"`
		Priority  string `json:"priority"`
		Source    string `json:"source"`
	}
	list := make([]rule, len(sources))
	for i, s := range sources {
		list[i] = rule{fmt.Sprintf("sources::%d", i), "Tells a source.", s.Condition, "-", "debug", field.Log}
	}
	text, err := json.Marshal(list) // YAML reads it too
	if err != nil {
		return nil, err
	}
	set, report := rules.Compile([]rules.File{{Name: "sources", Data: text}}, rules.Options{})
	if set == nil {
		return nil, fmt.Errorf("sources: %w", report.Err())
	}
	return set, nil
}
