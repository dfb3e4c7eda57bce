package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The manual page says what --help says.
func TestManualPageIsMadeOfTheCommands(t *testing.T) {
	t.Parallel()
	c := &command{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}
	var b strings.Builder
	b.WriteString(`.\" Written by "make golden" from the commands.` + "\n")
	b.WriteString(".TH WINDHOVER 1 \"\" Windhover \"User Commands\"\n")
	root := c.root()
	fmt.Fprintf(&b, ".SH NAME\nwindhover \\- %s\n", roff(root.Short))
	b.WriteString(".SH SYNOPSIS\n.B windhover\n.I command\n[\n.I flags\n]\n")
	b.WriteString(".SH DESCRIPTION\n" + paragraphs(root.Long))
	b.WriteString(".SH COMMANDS\n")
	for _, cmd := range root.Commands() {
		manual(&b, cmd)
	}
	b.WriteString(".SH EXAMPLES\n" + verbatim(root.Example))
	b.WriteString(`.SH FILES
.TP
.I /etc/windhover/windhover.yaml
The configuration of the service windhover.service.
.TP
.I /etc/windhover/rules
Rules of this host, read after those that the package ships in
.IR /usr/share/windhover/rules .
.TP
.I /etc/windhover/windhover.env
Variables of the service, such as tokens of exporters.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1),
.BR capabilities (7)
`)
	golden(t, "../../deploy/packages/windhover.1", b.String())
}

// manual describes a command and those below it.
func manual(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.IsAvailableCommand() {
		return
	}
	fmt.Fprintf(b, ".SS %s\n", roff(strings.TrimSuffix(cmd.UseLine(), " [flags]")))
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	b.WriteString(paragraphs(text))
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		long := "--" + f.Name
		if f.Shorthand != "" {
			long = "-" + f.Shorthand + ", " + long
		}
		fmt.Fprintf(b, ".TP\n.B %s\n", roff(long))
		if name != "" {
			fmt.Fprintf(b, ".I %s\n.br\n", roff(name))
		}
		b.WriteString(roff(usage) + "\n")
	})
	if cmd.Example != "" {
		b.WriteString(".PP\n" + verbatim(cmd.Example))
	}
	for _, sub := range cmd.Commands() {
		manual(b, sub)
	}
}

// paragraphs sets text; lines that are indented stay as they are.
func paragraphs(text string) string {
	var b strings.Builder
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(block, " ") {
			b.WriteString(verbatim(block))
			continue
		}
		b.WriteString(".PP\n" + roff(block) + "\n")
	}
	return b.String()
}

func verbatim(text string) string { return ".nf\n" + roff(text) + "\n.fi\n" }

// roff escapes what the formatter would take for its own.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
