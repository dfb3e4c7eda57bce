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
  windhover fields --source k8s_audit    those of one kind of source`,
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
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// listedField is one line of fields --format json.
type listedField struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Sources []string `json:"sources,omitempty"`
	Missing bool     `json:"missing,omitempty"`
	Doc     string   `json:"doc"`
}

func (c *command) listFields(prefix, source, format string) error {
	if err := checkFormat(format); err != nil {
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
		list = append(list, listedField{name, f.Kind.String(), f.Sources, f.Missing, f.Doc})
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
	if format == "json" {
		return c.writeJSON(list)
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

// has reports whether a field is of a source; a field without sources is of all.
func has(sources []string, source string) bool {
	return sources == nil || slices.Contains(sources, source)
}

func (c *command) events() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "events [PREFIX]",
		Short: "list the events that rules can name in evt.type",
		Example: `  windhover events
  windhover events open`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			return c.listEvents(prefix, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// listedEvent is one line of events --format json.
type listedEvent struct {
	Name   string   `json:"name"`
	Params []string `json:"params"`
}

func (c *command) listEvents(prefix, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	var list []listedEvent
	for _, spec := range event.Specs() {
		if !strings.HasPrefix(spec.Name, prefix) {
			continue
		}
		e := listedEvent{Name: spec.Name, Params: []string{}}
		for _, p := range spec.Params {
			e.Params = append(e.Params, p.Name)
		}
		list = append(list, e)
	}
	if len(list) == 0 {
		return usage(fmt.Errorf("no event starts with %q", prefix))
	}
	if format == "json" {
		return c.writeJSON(list)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, e := range list {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", e.Name, strings.Join(e.Params, ", ")); err != nil {
			return err
		}
	}
	return w.Flush()
}

func checkFormat(format string) error {
	if format != "text" && format != "json" {
		return usage(fmt.Errorf("format %q is neither text nor json", format))
	}
	return nil
}

func (c *command) writeJSON(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
