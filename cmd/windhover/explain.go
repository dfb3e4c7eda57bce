package main

import (
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
	"github.com/windhover/windhover/rules/ir"
)

func (c *command) explain() *cobra.Command {
	var (
		paths  []string
		format string
	)
	cmd := &cobra.Command{
		Use:   "explain RULE [-r RULES]...",
		Short: "say what a rule costs: what it makes the kernel report, what is decided where",
		Long: `Explain says which events a rule needs, and which of them no other rule needs; what the
kernel discards already; how many comparisons an event of each type takes at least and at
most; and about how long the most takes. The times come from a benchmark of single
comparisons and are for comparing rules, not for planning machines.`,
		Example: `  windhover explain "Log file cleared"
  windhover explain my_rule -r falco_rules.yaml -r my-rules.yaml
  windhover explain my_rule -r my-rules.yaml --format json`,
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
			x := explainRule(in, r)
			if format == "json" {
				return c.writeJSON(x)
			}
			return x.write(c.stdout)
		},
	}
	rulesFlag(cmd, &paths)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// explanation is what explain says.
type explanation struct {
	Rule    string `json:"rule"`
	Source  string `json:"source"`
	Enabled bool   `json:"enabled"`
	// Events are the types of events that the rule needs.
	Events []eventCost `json:"events"`
	// Types is how many types of events rules for the source can ask for.
	Types int `json:"event_types_of_source"`
	// Kernel lists what the kernel decides, UserSpace what is decided of every event
	// that it reports.
	Kernel    []string `json:"decided_in_kernel"`
	UserSpace []string `json:"decided_in_user_space"`
}

// eventCost is what one event of a type costs.
type eventCost struct {
	Event string `json:"event"`
	// OtherRules is how many other enabled rules need it too.
	OtherRules int `json:"other_rules"`
	// Least and Most are how many comparisons decide an event.
	Least int `json:"comparisons_least"`
	Most  int `json:"comparisons_most"`
	MaxNS int `json:"estimated_ns_at_most"`
}

func explainRule(in *rules.Inspection, r *rules.RuleView) *explanation {
	x := &explanation{Rule: r.Name, Source: r.Source, Enabled: r.Enabled, Events: []eventCost{}, Kernel: []string{}, UserSpace: []string{}}
	for t := range event.NumTypes() {
		typ := event.Type(t)
		if of := r.Source == field.Syscall; of == (typ == event.PluginEvent) || typ == event.Unknown || typ == event.Proc {
			continue
		}
		x.Types++
		if !r.Types.Has(typ) {
			continue
		}
		e := eventCost{Event: typ.String()}
		for _, o := range in.Rules {
			if o != r && (o.Enabled || len(o.Steps) > 0) && o.Source == r.Source && o.Types.Has(typ) {
				e.OtherRules++
			}
		}
		s := spendOn(r.Root, typ)
		e.Least, e.Most, e.MaxNS = s.least, s.most, int(s.ns)
		x.Events = append(x.Events, e)
	}
	seen := map[string]bool{}
	x.decided(r.Root, r.Source == field.Syscall, seen)
	return x
}

// decided lists every comparison where it is decided.
func (x *explanation) decided(n *rules.Node, kernel bool, seen map[string]bool) {
	if len(n.X) > 0 {
		for _, op := range n.X {
			x.decided(op, kernel, seen)
		}
		return
	}
	n.Use = ""
	text := n.String()
	if seen[text] {
		return
	}
	seen[text] = true
	switch n.Expr.(type) {
	case *ir.Const:
	case *ir.Types:
		if kernel {
			x.Kernel = append(x.Kernel, text)
			return
		}
		x.UserSpace = append(x.UserSpace, text)
	default:
		x.UserSpace = append(x.UserSpace, text)
	}
}

// spending is what deciding a condition takes, and what it comes to where that is known
// of the type of the event alone.
type spending struct {
	least, most int
	ns          float64
	known       bool
	holds       bool
}

// spendOn returns what n costs on an event of type t.
func spendOn(n *rules.Node, t event.Type) spending {
	switch x := n.Expr.(type) {
	case *ir.Const:
		return spending{known: true, holds: x.Value}
	case *ir.Types:
		return spending{known: true, holds: x.Set.Has(t)}
	case *ir.Not:
		s := spendOn(n.X[0], t)
		s.holds = !s.holds
		return s
	case *ir.And:
		return spendOnChain(n, t, false)
	case *ir.Or:
		return spendOnChain(n, t, true)
	case *ir.Exists:
		if without(x.Term, t) {
			return spending{known: true}
		}
		return spending{least: 1, most: 1, ns: costExists}
	case *ir.Compare:
		if without(x.Term, t) {
			return spending{known: true}
		}
		return spending{least: 1, most: 1, ns: costOf(x)}
	}
	panic(fmt.Sprintf("BUG: explain: condition %T", n.Expr))
}

// spendOnChain adds up the operands that the type of the event does not decide.
func spendOnChain(n *rules.Node, t event.Type, or bool) spending {
	total := spending{known: true, holds: !or}
	for _, x := range n.X {
		s := spendOn(x, t)
		if s.known {
			if s.holds == or {
				return spending{known: true, holds: or}
			}
			continue
		}
		if total.known {
			total = spending{least: s.least}
		}
		total.least = min(total.least, s.least)
		total.most += s.most
		total.ns += s.ns
	}
	return total
}

// without reports whether a term has no value on events of type t.
func without(term *ir.Term, t event.Type) bool {
	f := term.Field
	return f != nil && (f.Missing || f.Types != (event.TypeSet{}) && !f.Types.Has(t))
}

// Costs of one comparison in nanoseconds, by kind: the least of three runs of
// BenchmarkComparisons on a virtual machine with 2 CPUs (AMD EPYC), less the 20 ns that
// every event takes.
const (
	costExists    = 5
	costNumber    = 14
	costText      = 4
	costSet       = 16
	costAffix     = 12
	costContains  = 23
	costGlob      = 16
	costPaths     = 31
	costRegexp    = 50
	costAddress   = 14 // as a number
	costAncestors = 54 // of five ancestors
	costTransform = 15
)

func costOf(x *ir.Compare) float64 {
	ns := float64(costNumber)
	switch x.Op {
	case ir.Glob, ir.IGlob:
		ns = costGlob
	case ir.Contains, ir.IContains:
		ns = costContains
	case ir.StartsWith, ir.EndsWith:
		ns = costAffix
	case ir.Regexp:
		ns = costRegexp
	case ir.PMatch:
		ns = costPaths
	default:
		switch {
		case x.Addrs != nil, x.Nets != nil:
			ns = costAddress
		case x.Texts != nil && len(x.Texts.Values) > 1:
			ns = costSet
		case x.Texts != nil:
			ns = costText
		}
	}
	if x.Term.Match == field.MatchAny || x.Term.Match == field.MatchList {
		ns += costAncestors
	}
	if x.Term.Field == nil {
		ns += costTransform
	}
	if x.Right != nil {
		ns += costText
	}
	return ns
}

func (x *explanation) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, for source %s", x.Rule, x.Source)
	if !x.Enabled {
		b.WriteString(", disabled")
	}
	b.WriteString("\n\n")
	switch {
	case len(x.Events) == 0:
		b.WriteString("No event can match it: it costs nothing.\n")
		_, err := io.WriteString(w, b.String())
		return err
	case x.Source != field.Syscall:
		fmt.Fprintf(&b, "It looks at every document of source %s and makes the kernel report nothing.\n", x.Source)
	case len(x.Events) == x.Types:
		fmt.Fprintf(&b, "It makes the kernel report every event (types: %d): start the condition with evt.type.\n", x.Types)
	default:
		fmt.Fprintf(&b, "It makes the kernel report %d of %d types of events; the others are discarded there.\n", len(x.Events), x.Types)
	}
	b.WriteString("\n")
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "event\talso needed by\tcomparisons\tat most about\n")
	const most = 20
	for i, e := range x.Events {
		if i == most {
			fmt.Fprintf(tw, "and %d more\n", len(x.Events)-most)
			break
		}
		also := fmt.Sprintf("%d rules", e.OtherRules)
		if e.OtherRules == 0 {
			also = "no other rule"
		} else if e.OtherRules == 1 {
			also = "1 rule"
		}
		n := fmt.Sprintf("%d to %d", e.Least, e.Most)
		if e.Least == e.Most {
			n = strconv.Itoa(e.Most)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d ns\n", e.Event, also, n, e.MaxNS)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	part := func(title string, list []string) {
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", title)
		for _, s := range list {
			b.WriteString(wrapText(s, textWidth, "  ") + "\n")
		}
	}
	part("decided in the kernel, by the type of the event", x.Kernel)
	part("decided of every event that is reported", slices.Clone(x.UserSpace))
	_, err := io.WriteString(w, b.String())
	return err
}
