package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/check"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/syntax"
)

func (c *command) rules() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "list, show and test rules",
		Long: `Rules says what rules mean once macros, lists, exceptions and overrides are in their
place, and runs test cases against them.`,
		Example: `  windhover rules list
  windhover rules show "Log file cleared"
  windhover rules test my-cases.yaml -r my-rules.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.rulesList(), c.rulesShow(), c.rulesTest())
	return cmd
}

// inspect compiles the rules at paths, or the default rules if there are none.
func (c *command) inspect(paths []string) (*rules.Inspection, error) {
	files, err := ruleFiles(paths)
	if err != nil {
		return nil, err
	}
	in, rep := rules.Inspect(files, rules.Options{})
	if !rep.OK() {
		if err := rep.WriteText(c.stderr); err != nil {
			return nil, fmt.Errorf("write report: %w", err)
		}
		return nil, &codedError{exitUsage, errReported}
	}
	return in, nil
}

// rulesFlag registers -r.
func rulesFlag(cmd *cobra.Command, paths *[]string) {
	cmd.Flags().StringArrayVarP(paths, "rules", "r", nil, "rules `file` or directory, instead of the default rules, which builtin: stands for; may be repeated")
}

func (c *command) rulesList() *cobra.Command {
	var (
		paths               []string
		source, tag, format string
	)
	cmd := &cobra.Command{
		Use:   "list [-r RULES]...",
		Short: "list rules with their priority and source",
		Long: `List prints the rules in the order in which they are matched. With --format json it
prints everything there is to know of them, and of their macros and lists, with the keys
of Falco's description of rules.`,
		Example: `  windhover rules list
  windhover rules list --source k8s_audit
  windhover rules list --tag T1611 -r my-rules.yaml
  windhover rules list --format json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := errors.Join(oneOf("format", format, "text", "json"), checkSource(source)); err != nil {
				return err
			}
			in, err := c.inspect(paths)
			if err != nil {
				return err
			}
			in.Rules = slices.DeleteFunc(in.Rules, func(r *rules.RuleView) bool {
				return source != "" && r.Source != source || tag != "" && !slices.Contains(r.Tags, tag)
			})
			if format == "json" {
				return c.writeJSON(describe(in))
			}
			w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
			for _, r := range in.Rules {
				name := r.Name
				if !r.Enabled {
					name += " (disabled)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Source, r.Priority, name, strings.Join(r.Tags, ", "))
			}
			return w.Flush()
		},
	}
	rulesFlag(cmd, &paths)
	cmd.Flags().StringVar(&source, "source", "", "only rules of one `source`, such as syscall or k8s_audit")
	cmd.Flags().StringVar(&tag, "tag", "", "only rules with a `tag`")
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func (c *command) rulesShow() *cobra.Command {
	var (
		paths  []string
		format string
	)
	cmd := &cobra.Command{
		Use:   "show RULE [-r RULES]...",
		Short: "show a rule with macros and lists in their place",
		Long: `Show prints what a rule means: its condition with every macro and list written out and
its exceptions in place, the types of events it can match, and the fields it asks for.`,
		Example: `  windhover rules show "Log file cleared"
  windhover rules show "Log file cleared" --format json
  windhover rules show my_rule -r falco_rules.yaml -r my-rules.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("format", format, "text", "json"); err != nil {
				return err
			}
			in, err := c.inspect(paths)
			if err != nil {
				return err
			}
			r, err := findRule(in, args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				return c.writeJSON(describeRule(r))
			}
			return showRule(c.stdout, in, r)
		},
	}
	rulesFlag(cmd, &paths)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// findRule returns the rule of that name, in whatever case.
func findRule(in *rules.Inspection, name string) (*rules.RuleView, error) {
	names := make([]string, len(in.Rules))
	for i, r := range in.Rules {
		if r.Name == name {
			return r, nil
		}
		names[i] = r.Name
	}
	for _, r := range in.Rules {
		if strings.EqualFold(r.Name, name) {
			return r, nil
		}
	}
	text := fmt.Sprintf("no rule %q", name)
	if near := check.Nearest(name, names); near != "" {
		return nil, usage(fmt.Errorf("%s; did you mean %q?", text, near))
	}
	return nil, usage(errors.New(text + "; see windhover rules list"))
}

// textWidth is how wide texts are printed.
const textWidth = 100

func showRule(w io.Writer, in *rules.Inspection, r *rules.RuleView) error {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", key, strings.TrimLeft(wrapText(value, textWidth, strings.Repeat(" ", 13)), " "))
		}
	}
	line("rule", r.Name)
	line("description", strings.Join(strings.Fields(r.Desc), " "))
	line("source", r.Source)
	line("priority", r.Priority.String())
	line("tags", strings.Join(r.Tags, ", "))
	line("enabled", strconv.FormatBool(r.Enabled))
	line("defined", fmt.Sprintf("%s:%d", r.File, r.Line))
	line("output", strings.Join(strings.Fields(r.Output.String()), " "))
	line("condition", strings.Join(strings.Fields(r.Condition), " "))
	if r.Threshold != nil {
		line("threshold", r.Threshold.String())
	}
	if r.Sequence != nil {
		line("sequence", r.Sequence.String())
	}
	var sequences []string
	for _, s := range r.Steps {
		if !slices.Contains(sequences, s.Rule.Name) {
			sequences = append(sequences, s.Rule.Name)
		}
	}
	line("step of", strings.Join(sequences, ", "))
	for _, e := range r.Exceptions {
		var parts []string
		for i, f := range e.Fields {
			parts = append(parts, f+" "+e.Comps[i])
		}
		line("exception", fmt.Sprintf("%s: %s (values: %d)", e.Name, strings.Join(parts, ", "), e.Values))
	}
	line("macros", strings.Join(r.Macros, ", "))
	var lists []string
	for _, name := range r.Lists {
		for _, l := range in.Lists {
			if l.Name == name {
				lists = append(lists, fmt.Sprintf("%s (%d)", name, len(l.Items)))
			}
		}
	}
	line("lists", strings.Join(lists, ", "))
	line("event types", strings.Join(ruleEvents(r), ", "))
	line("fields", strings.Join(conditionFields(r), ", "))
	line("in output", strings.Join(outputFields(r), ", "))
	b.WriteString("\nwith macros and lists in their place:\n")
	b.WriteString(indented(r.Root.Resolved(), 1))
	_, err := io.WriteString(w, b.String())
	return err
}

// wrapText breaks text into lines of at most width, each with the prefix.
func wrapText(text string, width int, prefix string) string {
	var b strings.Builder
	n := 0
	for word := range strings.FieldsSeq(text) {
		if n > 0 && n+1+len(word) > width-len(prefix) {
			b.WriteByte('\n')
			n = 0
		}
		if n == 0 {
			b.WriteString(prefix)
		} else {
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += len(word)
	}
	return b.String()
}

// indented returns a condition with one comparison a line.
func indented(x syntax.Expr, depth int) string {
	pad := strings.Repeat("  ", depth)
	var b strings.Builder
	word, operands := "", []syntax.Expr{x}
	switch y := x.(type) {
	case *syntax.And:
		word, operands = "and ", flat(y.X, true)
	case *syntax.Or:
		word, operands = "or ", flat(y.X, false)
	}
	blank := strings.Repeat(" ", len(word))
	for i, x := range operands {
		lead := word
		if i == 0 {
			lead = blank
		}
		if not, ok := x.(*syntax.Not); ok {
			if _, leaf := not.X.(*syntax.Check); !leaf {
				lead += "not "
				x = not.X
			}
		}
		switch x.(type) {
		case *syntax.And, *syntax.Or:
			fmt.Fprintf(&b, "%s%s(\n%s%s%s)\n", pad, lead, indented(x, depth+4), pad, blank)
		default:
			text := wrapText(syntax.Text(x), textWidth, pad+blank+"  ")
			fmt.Fprintf(&b, "%s%s%s\n", pad, lead, strings.TrimLeft(text, " "))
		}
	}
	return b.String()
}

// flat returns operands with those of chains of the same kind in their place.
func flat(xs []syntax.Expr, and bool) []syntax.Expr {
	var out []syntax.Expr
	for _, x := range xs {
		switch y := x.(type) {
		case *syntax.And:
			if and {
				out = append(out, flat(y.X, and)...)
				continue
			}
		case *syntax.Or:
			if !and {
				out = append(out, flat(y.X, and)...)
				continue
			}
		}
		out = append(out, x)
	}
	return out
}

// ruleEvents returns the names of the event types that the rule can match.
func ruleEvents(r *rules.RuleView) []string {
	if r.Source != field.Syscall {
		return []string{event.PluginEvent.String()}
	}
	var names []string
	for t := range event.NumTypes() {
		if r.Types.Has(event.Type(t)) {
			names = append(names, event.Type(t).String())
		}
	}
	if len(names) > 0 && len(names) == event.NumTypes()-3 {
		return []string{"all"}
	}
	return names
}

// conditionFields returns the fields that the condition asks for, sorted.
func conditionFields(r *rules.RuleView) []string {
	var names []string
	ir.Fields(r.Root.Expr, func(f *field.Field) { names = append(names, f.String()) })
	eachCheck(r.Root.Resolved(), func(x *syntax.Check) {
		if f, ok := x.Left.(*syntax.Field); ok {
			names = append(names, f.Name+bracket(f))
		}
	})
	slices.Sort(names)
	return slices.Compact(names)
}

func bracket(f *syntax.Field) string {
	if !f.HasArg {
		return ""
	}
	return "[" + f.Arg + "]"
}

func outputFields(r *rules.RuleView) []string {
	var names []string
	for _, f := range r.Output.Fields() {
		names = append(names, f.String())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// eachCheck calls f for every comparison of x.
func eachCheck(x syntax.Expr, f func(*syntax.Check)) {
	switch x := x.(type) {
	case *syntax.And:
		for _, x := range x.X {
			eachCheck(x, f)
		}
	case *syntax.Or:
		for _, x := range x.X {
			eachCheck(x, f)
		}
	case *syntax.Not:
		eachCheck(x.X, f)
	case *syntax.Check:
		f(x)
	}
}
