// Package ruletest runs tests of rules: files that hold rules, synthetic events and the
// alerts that are expected of them. Start with Parse.
//
// A case is a text of several files in the txtar format: a line "-- NAME --" starts a
// file, what comes before the first is a comment. The files are
//
//	*.yaml         rules, in the order of the text
//	events.jsonl   events, one JSON object a line, with fields as keys
//	alerts.jsonl   the alerts of each event
//	report.txt     what compiling the rules reports, without the excerpts
package ruletest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/synthetic"
)

// Case is one test.
type Case struct {
	Comment string
	Rules   []rules.File
	Events  [][]byte
	Options rules.Options
	// Alerts and Report are what is expected, as Run writes it.
	Alerts, Report string
}

// alert is a line of alerts.jsonl.
type alert struct {
	Event  int    `json:"event"` // the line of the event
	Rule   string `json:"rule"`
	Output string `json:"output"`
}

// Parse reads a case.
func Parse(data []byte) (*Case, error) {
	c := &Case{}
	names, texts, comment := split(data)
	c.Comment = comment
	for i, name := range names {
		text := texts[i]
		switch {
		case strings.HasSuffix(name, ".yaml"):
			c.Rules = append(c.Rules, rules.File{Name: name, Data: text})
		case name == "events.jsonl":
			for line := range bytes.Lines(text) {
				if line = bytes.TrimSpace(line); len(line) > 0 {
					c.Events = append(c.Events, line)
				}
			}
		case name == "alerts.jsonl":
			c.Alerts = string(text)
		case name == "report.txt":
			c.Report = string(text)
		case name == "first":
			c.Options.Matching = rules.MatchFirst
		default:
			return nil, fmt.Errorf("read case: %q is not the name of a part of a case", name)
		}
	}
	if len(c.Rules) == 0 {
		return nil, errors.New("read case: there is no file of rules")
	}
	return c, nil
}

// Run compiles the rules, matches the events and returns what came of it.
func (c *Case) Run() (alerts, report string, err error) {
	var events synthetic.Events
	o := c.Options
	o.Lookup = events.Lookup
	set, r := rules.Compile(c.Rules, o)
	var b strings.Builder
	for _, p := range append(r.Errors(), r.Warnings()...) {
		fmt.Fprintf(&b, "%s [%s]\n", p.String(), p.Code)
	}
	report = b.String()
	if set == nil {
		return "", report, nil
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	count := correlate.New(correlate.DefaultConfig()).Worker()
	for i, line := range c.Events {
		ev, err := events.Parse(line)
		if err != nil {
			return "", report, fmt.Errorf("event %d: %w", i+1, err)
		}
		for _, o := range count.AppendOutcomes(nil, set, ev, set.AppendMatches(nil, ev)) {
			m := o.Rule
			if o.Below {
				continue
			}
			if err := enc.Encode(alert{i + 1, m.Name, string(m.Output.AppendText(nil, ev))}); err != nil {
				return "", report, fmt.Errorf("write alert: %w", err)
			}
		}
	}
	return out.String(), report, nil
}

// Update returns data with its last two parts as Run returned them.
func Update(data []byte, alerts, report string) []byte {
	names, texts, comment := split(data)
	var b bytes.Buffer
	b.WriteString(comment)
	hasReport := report != ""
	write := func(name, text string) { fmt.Fprintf(&b, "-- %s --\n%s", name, text) }
	for i, name := range names {
		if name != "alerts.jsonl" && name != "report.txt" {
			write(name, string(texts[i]))
		}
	}
	if alerts != "" || !hasReport {
		write("alerts.jsonl", alerts)
	}
	if hasReport {
		write("report.txt", report)
	}
	return b.Bytes()
}

// split returns the files of a text.
func split(data []byte) (names []string, texts [][]byte, comment string) {
	var current *[]byte
	var head []byte
	current = &head
	for line := range bytes.Lines(data) {
		if name, ok := header(line); ok {
			names = append(names, name)
			texts = append(texts, nil)
			current = &texts[len(texts)-1]
			continue
		}
		*current = append(*current, line...)
	}
	return names, texts, string(head)
}

func header(line []byte) (string, bool) {
	s := strings.TrimRight(string(line), "\r\n")
	if !strings.HasPrefix(s, "-- ") || !strings.HasSuffix(s, " --") || len(s) < len("-- x --") {
		return "", false
	}
	return strings.TrimSpace(s[3 : len(s)-3]), true
}
