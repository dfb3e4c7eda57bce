package main

import (
	"slices"
	"strings"

	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/syntax"
)

// The keys of Falco's description of rules.
type (
	description struct {
		EngineVersion string             `json:"required_engine_version"`
		Rules         []ruleDescription  `json:"rules"`
		Macros        []macroDescription `json:"macros"`
		Lists         []listDescription  `json:"lists"`
	}
	ruleDescription struct {
		Info struct {
			Name        string   `json:"name"`
			Condition   string   `json:"condition"`
			Priority    string   `json:"priority"`
			Output      string   `json:"output"`
			Description string   `json:"description"`
			Enabled     bool     `json:"enabled"`
			Source      string   `json:"source"`
			Tags        []string `json:"tags"`
			File        string   `json:"file"`
			Line        int      `json:"line"`
		} `json:"info"`
		Details struct {
			Macros             []string `json:"macros"`
			Lists              []string `json:"lists"`
			ConditionOperators []string `json:"condition_operators"`
			ConditionFields    []string `json:"condition_fields"`
			OutputFields       []string `json:"output_fields"`
			ExceptionNames     []string `json:"exception_names"`
			ExceptionFields    []string `json:"exception_fields"`
			ExceptionOperators []string `json:"exception_operators"`
			Events             []string `json:"events"`
			ConditionCompiled  string   `json:"condition_compiled"`
			OutputCompiled     string   `json:"output_compiled"`
			Plugins            []string `json:"plugins"`
		} `json:"details"`
	}
	macroDescription struct {
		Info struct {
			Name      string `json:"name"`
			Condition string `json:"condition"`
			File      string `json:"file"`
			Line      int    `json:"line"`
		} `json:"info"`
		Details struct {
			Used              bool     `json:"used"`
			Macros            []string `json:"macros"`
			Lists             []string `json:"lists"`
			ConditionCompiled string   `json:"condition_compiled"`
			Plugins           []string `json:"plugins"`
		} `json:"details"`
	}
	listDescription struct {
		Info struct {
			Name  string   `json:"name"`
			Items []string `json:"items"`
			File  string   `json:"file"`
			Line  int      `json:"line"`
		} `json:"info"`
		Details struct {
			Used    bool     `json:"used"`
			Lists   []string `json:"lists"`
			Items   []string `json:"items_compiled"`
			Plugins []string `json:"plugins"`
		} `json:"details"`
	}
)

func describe(in *rules.Inspection) description {
	d := description{EngineVersion: in.EngineVersion, Rules: []ruleDescription{}, Macros: []macroDescription{}, Lists: []listDescription{}}
	for _, r := range in.Rules {
		d.Rules = append(d.Rules, describeRule(r))
	}
	for _, m := range in.Macros {
		var x macroDescription
		x.Info.Name, x.Info.Condition, x.Info.File, x.Info.Line = m.Name, m.Condition, m.File, m.Line
		x.Details.Used, x.Details.Macros, x.Details.Lists = m.Used, some(m.Macros), some(m.Lists)
		x.Details.ConditionCompiled, x.Details.Plugins = syntax.Text(m.Expr), []string{}
		d.Macros = append(d.Macros, x)
	}
	for _, l := range in.Lists {
		var x listDescription
		x.Info.Name, x.Info.Items, x.Info.File, x.Info.Line = l.Name, l.Items, l.File, l.Line
		x.Details.Used, x.Details.Lists, x.Details.Items, x.Details.Plugins = l.Used, some(l.Lists), l.Items, []string{}
		d.Lists = append(d.Lists, x)
	}
	return d
}

func describeRule(r *rules.RuleView) ruleDescription {
	var d ruleDescription
	i := &d.Info
	i.Name, i.Condition, i.Priority, i.Output = r.Name, strings.TrimSpace(r.Condition), r.Priority.String(), r.Output.String()
	i.Description, i.Enabled, i.Source, i.Tags = strings.TrimSpace(r.Desc), r.Enabled, r.Source, some(r.Tags)
	i.File, i.Line = r.File, r.Line
	t := &d.Details
	t.Macros, t.Lists, t.Events = some(r.Macros), some(r.Lists), some(ruleEvents(r))
	t.ConditionFields, t.OutputFields = some(conditionFields(r)), some(outputFields(r))
	x := r.Root.Resolved()
	t.ConditionOperators = some(checkOperators(x))
	t.ConditionCompiled, t.OutputCompiled, t.Plugins = syntax.Text(x), r.Output.String(), []string{}
	for _, e := range r.Exceptions {
		t.ExceptionNames = append(t.ExceptionNames, e.Name)
		t.ExceptionFields = append(t.ExceptionFields, e.Fields...)
		t.ExceptionOperators = append(t.ExceptionOperators, e.Comps...)
	}
	t.ExceptionNames, t.ExceptionFields, t.ExceptionOperators = sorted(t.ExceptionNames), sorted(t.ExceptionFields), sorted(t.ExceptionOperators)
	return d
}

// checkOperators returns the operators of the comparisons in x, sorted.
func checkOperators(x syntax.Expr) []string {
	var ops []string
	eachCheck(x, func(c *syntax.Check) {
		op := c.Op.String()
		if c.Modifier != syntax.None {
			op += " " + c.Modifier.String()
		}
		ops = append(ops, op)
	})
	return sorted(ops)
}

func sorted(s []string) []string {
	slices.Sort(s)
	return some(slices.Compact(s))
}

// some returns s, or a list without elements instead of none.
func some(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
