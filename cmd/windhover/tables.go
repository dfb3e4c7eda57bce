package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

func (c *command) fields() *cobra.Command {
	var source, format string
	cmd := &cobra.Command{
		Use:   "fields [PREFIX]",
		Short: "list what rules can ask of an event",
		Long: `Fields lists the fields of rules: name, type and meaning. An argument in brackets is
shown as [ARG], or as [ARG]? where it may be left out. Fields marked * load in rules, but
no source delivers their value yet.`,
		Example: `  windhover fields                       all
  windhover fields fd.                   those whose name starts with fd.
  windhover fields --source k8s_audit    those of one kind of source
  windhover fields --format markdown     as tables for a page`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			return c.listFields(prefix, source, format)
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only fields of one `source`, such as syscall or k8s_audit")
	cmd.Flags().StringVar(&format, "format", "text", "text, json or markdown")
	return cmd
}

// listedField is one line of fields --format json.
type listedField struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Class      string   `json:"class"`
	List       bool     `json:"list,omitempty"`
	Sources    []string `json:"sources,omitempty"`
	Missing    bool     `json:"missing,omitempty"`
	Deprecated bool     `json:"deprecated,omitempty"`
	Doc        string   `json:"doc"`
}

// checkSource complains about a source that no field belongs to.
func checkSource(source string) error {
	if source == "" {
		return nil
	}
	known := []string{field.Syscall}
	for _, f := range field.Table() {
		known = append(known, f.Sources...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	if slices.Contains(known, source) {
		return nil
	}
	return usage(fmt.Errorf("no source %q; there are %s", source, strings.Join(known, ", ")))
}

func (c *command) listFields(prefix, source, format string) error {
	if err := errors.Join(oneOf("format", format, "text", "json", "markdown"), checkSource(source)); err != nil {
		return err
	}
	var list []listedField
	for _, f := range field.Table() {
		if f.Hidden || !strings.HasPrefix(f.Name, prefix) || source != "" && !has(f.Sources, source) {
			continue
		}
		name := f.Name
		switch f.Arg {
		case field.ArgOptional:
			name += "[ARG]?"
		case field.ArgRequired:
			name += "[ARG]"
		case field.ArgNone:
		}
		list = append(list, listedField{name, f.Kind.String(), f.Class, f.Match == field.MatchList, f.Sources, f.Missing, f.Deprecated, f.Doc})
	}
	if len(list) == 0 {
		text := fmt.Sprintf("no field starts with %q", prefix)
		if source == "" {
			source = field.Syscall
		}
		if near := field.Nearest(prefix, source); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return usage(errors.New(text))
	}
	switch format {
	case "json":
		return c.writeJSON(list)
	case "markdown":
		return c.writeFields(list)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, f := range list {
		mark := ""
		if f.Missing {
			mark = "*"
		}
		if _, err := fmt.Fprintf(w, "%s%s\t%s\t%s\n", f.Name, mark, f.Type, f.Doc); err != nil {
			return err
		}
	}
	return w.Flush()
}

// writeFields writes a table for each class of fields.
func (c *command) writeFields(list []listedField) error {
	var b strings.Builder
	for i, f := range list {
		if i == 0 || list[i-1].Class != f.Class || !slices.Equal(list[i-1].Sources, f.Sources) {
			sources := "every source"
			if f.Sources != nil {
				sources = strings.Join(f.Sources, ", ")
			}
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "## %s (%s)\n\n| field | type | meaning |\n|---|---|---|\n", f.Class, sources)
		}
		typ, doc := f.Type, f.Doc
		if f.List {
			typ += ", list"
		}
		if f.Missing {
			doc += " No source delivers it yet."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, typ, cell(doc))
	}
	_, err := fmt.Fprint(c.stdout, b.String())
	return err
}

// cell returns text as it may stand in a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;", "\n", " ").Replace(text)
}

// has reports whether a field is of a source; a field without sources is of all.
func has(sources []string, source string) bool {
	return sources == nil || slices.Contains(sources, source)
}

func (c *command) events() *cobra.Command {
	var source, format string
	cmd := &cobra.Command{
		Use:   "events [PREFIX]",
		Short: "list the events that rules can name in evt.type",
		Long: `Events lists the types of events with their parameters, which rules read as
evt.arg.NAME. Events of the sources that report documents are all of type pluginevent:
their rules ask for fields such as ka.verb instead.`,
		Example: `  windhover events                      all
  windhover events open                 those whose name starts with open
  windhover events --source k8s_audit   those of one kind of source`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			return c.listEvents(prefix, source, format)
		},
	}
	cmd.Flags().StringVar(&source, "source", "", "only events of one `source`, such as syscall or k8s_audit")
	cmd.Flags().StringVar(&format, "format", "text", "text, json or markdown")
	return cmd
}

// listedEvent is one line of events --format json.
type listedEvent struct {
	Name   string   `json:"name"`
	Params []string `json:"params"`
	Doc    string   `json:"doc"`
}

func (c *command) listEvents(prefix, source, format string) error {
	if err := errors.Join(oneOf("format", format, "text", "json", "markdown"), checkSource(source)); err != nil {
		return err
	}
	var list []listedEvent
	for _, spec := range event.Specs() {
		if !strings.HasPrefix(spec.Name, prefix) || spec.Type == event.Unknown || spec.Type == event.Proc ||
			source != "" && (source == field.Syscall) == (spec.Type == event.PluginEvent) {
			continue
		}
		e := listedEvent{Name: spec.Name, Params: []string{}, Doc: spec.Doc}
		for _, p := range spec.Params {
			e.Params = append(e.Params, p.Name)
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return usage(fmt.Errorf("no event starts with %q", prefix))
	}
	switch format {
	case "json":
		return c.writeJSON(list)
	case "markdown":
		var b strings.Builder
		b.WriteString("| event | meaning | parameters |\n|---|---|---|\n")
		for _, e := range list {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Name, cell(e.Doc), strings.Join(e.Params, ", "))
		}
		_, err := fmt.Fprint(c.stdout, b.String())
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, e := range list {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", e.Name, strings.Join(e.Params, ", ")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// oneOf complains about the value of a flag that is none of choices.
func oneOf(flag, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	last := len(choices) - 1
	return usage(fmt.Errorf("--%s: no %q; there are %s and %s", flag, value, strings.Join(choices[:last], ", "), choices[last]))
}

func (c *command) writeJSON(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
