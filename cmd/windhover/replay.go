package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/cmd/windhover/replay"
	"github.com/windhover/windhover/exporter/consoleexporter"
	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/falcojson"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/rulesextension"
)

// replaySettings are the flags of replay.
type replaySettings struct {
	source, matching, output string
	matchingGiven            bool
	rules, config, set       []string
}

func (c *command) replay() *cobra.Command {
	var s replaySettings
	cmd := &cobra.Command{
		Use:   "replay FILE... --source SOURCE [-r RULES]...",
		Short: "run recorded documents through rules",
		Long: `Replay reads files of JSON documents, shows each to the rules of the source, and prints
the alerts, in the order of the documents. A file holds single documents, one a line or
with any space between them, arrays, or the list that the source wraps events in
(EventList, Records, entries); it may be packed with gzip, and - is standard input. It
needs no privileges and loses nothing.

A document that cannot be read is reported with its file and offset, in bytes of the
unpacked text; the others are not affected. A summary goes to standard error. The time of
an alert is that of the event; documents of source json have the time of their file.

With -c or --set the rules, which of them are on, and what is appended to their outputs are
as the block windhover_rules of the configuration says; -r and --rule-matching win over it.

With --output json each line has the keys of Falco's JSON, times in UTC. With --output
otlp each line is an OTLP logs request in JSON.`,
		Example: `  windhover replay --source k8s_audit audit.log
  windhover replay --source k8s_audit -r k8s_audit_rules.yaml --output json audit.log
  windhover replay --source aws_cloudtrail -r my-rules.yaml trail-*.json.gz
  windhover replay --source k8s_audit -c windhover.yaml audit.log
  zcat audit.log.gz | windhover replay --source k8s_audit -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.matchingGiven = cmd.Flags().Changed("rule-matching")
			return c.play(cmd.Context(), s, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.source, "source", "", "`source` of the documents: "+strings.Join(replaySources(), ", "))
	f.StringArrayVarP(&s.rules, "rules", "r", nil, "rules `file` or directory, instead of the default rules, which builtin: stands for; may be repeated")
	f.StringArrayVarP(&s.config, "config", "c", nil, "configuration `file` of run; may be repeated, later ones win")
	f.StringArrayVar(&s.set, "set", nil, "set one `key=value` of the configuration; may be repeated")
	f.StringVar(&s.matching, "rule-matching", string(rules.MatchAll), "all: every rule that matches alerts; first: the first one")
	f.StringVar(&s.output, "output", "text", "text, json or otlp")
	return cmd
}

func replaySources() []string { return slices.Sorted(slices.Values(feed.SourceTypes())) }

func (c *command) play(ctx context.Context, s replaySettings, files []string) error {
	if err := errors.Join(
		oneOf("source", s.source, replaySources()...),
		oneOf("rule-matching", s.matching, string(rules.MatchAll), string(rules.MatchFirst)),
		oneOf("output", s.output, "text", "json", "otlp"),
	); err != nil {
		return usage(err)
	}
	paths, options, err := c.replayRules(s)
	if err != nil {
		return err
	}
	set, err := c.ruleSet(paths, options)
	if err != nil {
		return err
	}
	if !slices.Contains(set.Sources(), s.source) {
		return usage(fmt.Errorf("no rule is for source %s; there are rules for %s", s.source, strings.Join(set.Sources(), ", ")))
	}
	host, _ := os.Hostname() // an alert without it is still one
	out := newReplayOutput(c.stdout, s.output, host)
	format := feed.FormatOf(s.source)
	bar := newProgress(c.stderr, files)
	player := replay.NewPlayer(replay.Settings{
		Rules: set, Source: &event.Source{Name: "replay", Type: s.source, Host: host},
		Envelope: format.Envelope, Time: format.Time, Alert: out.alert, Progress: bar.show,
	})
	begin := time.Now()
	var failed []error
	for _, file := range files {
		err := c.playFile(ctx, player, file)
		bar.done(file)
		if errors.Is(err, errOutput) || ctx.Err() != nil {
			failed = append(failed, err)
			break
		}
		failed = append(failed, err)
	}
	bar.clear()
	failed = append(failed, out.flush())
	if err := writeSummary(c.stderr, player.Summary(), set, s.source, time.Since(begin)); err != nil {
		failed = append(failed, fmt.Errorf("write summary: %w", err))
	}
	return errors.Join(failed...)
}

// replayRules returns where the rules are and what is made of them.
func (c *command) replayRules(s replaySettings) (paths []string, o rules.Options, err error) {
	if len(s.config) == 0 && len(s.set) == 0 {
		return s.rules, rules.Options{Matching: rules.Matching(s.matching)}, nil
	}
	l := layers{files: s.config, set: s.set}
	_, blocks, err := l.load(c.env, factories())
	if err != nil {
		return nil, o, err
	}
	id := component.NewID(rulesextension.NewFactory().Type())
	for _, b := range blocks.Extensions {
		if config, ok := b.Config.(*rulesextension.Config); ok && b.ID == id {
			paths, o = config.Files, config.Options()
		}
	}
	if len(s.rules) > 0 {
		paths = s.rules
	}
	if s.matchingGiven {
		o.Matching = rules.Matching(s.matching)
	}
	return paths, o, nil
}

func (c *command) playFile(ctx context.Context, p *replay.Player, file string) error {
	if file == "-" {
		return p.Play(ctx, "standard input", time.Now(), c.stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return readError(file, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return readError(file, err)
	}
	return p.Play(ctx, file, info.ModTime(), f)
}

func readError(file string, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return fmt.Errorf("read %s: %w", file, err)
}

// ruleSet compiles the rules at paths, or the default rules if there are none.
func (c *command) ruleSet(paths []string, o rules.Options) (*rules.Set, error) {
	files, err := ruleFiles(paths)
	if err != nil {
		return nil, err
	}
	set, rep := rules.Compile(files, o)
	if set == nil {
		if err := rep.WriteText(c.stderr); err != nil {
			return nil, fmt.Errorf("write report: %w", err)
		}
		return nil, &codedError{exitUsage, errReported}
	}
	return set, nil
}

func ruleFiles(paths []string) ([]rules.File, error) {
	if len(paths) == 0 {
		return rules.Library(), nil
	}
	files, err := rules.LoadPaths(paths)
	if err != nil {
		return nil, usage(err)
	}
	return files, nil
}

// errOutput says that alerts cannot be written: to go on is of no use.
var errOutput = errors.New("write alerts")

// replayOutput writes alerts in one of the formats. It gathers what one write is worth.
type replayOutput struct {
	w      io.Writer
	format string
	host   string
	buf    []byte
	alerts []*alert.Alert
}

// writeAlerts is how many alerts one write is worth.
const writeAlerts = 128

func newReplayOutput(w io.Writer, format, host string) *replayOutput {
	return &replayOutput{w: w, format: format, host: host}
}

func (o *replayOutput) alert(a *alert.Alert) error {
	if o.alerts = append(o.alerts, a); len(o.alerts) < writeAlerts {
		return nil
	}
	return o.flush()
}

func (o *replayOutput) flush() error {
	if len(o.alerts) == 0 {
		return nil
	}
	logs := otlp.EncodeAlerts(o.alerts, otlp.Resource{ServiceVersion: version, HostName: o.host})
	clear(o.alerts)
	o.alerts, o.buf = o.alerts[:0], o.buf[:0]
	switch o.format {
	case "otlp":
		b, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
		if err != nil {
			return fmt.Errorf("encode alerts: %w", err)
		}
		o.buf = append(append(o.buf, b...), '\n')
	case "json":
		o.buf = falcojson.Append(o.buf, logs, &falcojson.Settings{Line: true, Location: time.UTC, Hostname: o.host})
	default:
		o.buf = consoleexporter.AppendText(o.buf, logs, textTime)
	}
	if _, err := o.w.Write(o.buf); err != nil {
		return fmt.Errorf("%w: %w", errOutput, err)
	}
	return nil
}

// textTime is how texts show when an event happened: recordings span days.
const textTime = "2006-01-02T15:04:05.000000000Z"

// maxRefusalLines bounds how many refusals the summary lists.
const maxRefusalLines = 50

func writeSummary(w io.Writer, sum *replay.Summary, set *rules.Set, source string, took time.Duration) error {
	var b strings.Builder
	for i, r := range sum.Refusals {
		if i == maxRefusalLines {
			break
		}
		fmt.Fprintf(&b, "%s\n", r)
	}
	if more := sum.Refused - uint64(min(len(sum.Refusals), maxRefusalLines)); more > 0 {
		fmt.Fprintf(&b, "and %d more\n", more)
	}
	alerts := uint64(0)
	for _, n := range sum.Alerts {
		alerts += n
	}
	rate := float64(sum.Events) / max(took.Seconds(), 1e-9)
	fmt.Fprintf(&b, "events: %d, alerts: %d, documents refused: %d, in %v (%.0f events/s)\n",
		sum.Events, alerts, sum.Refused, took.Round(time.Millisecond), rate)
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, name := range slices.SortedFunc(maps.Keys(sum.Alerts), func(a, b string) int {
		return cmp.Or(cmp.Compare(sum.Alerts[b], sum.Alerts[a]), cmp.Compare(a, b))
	}) {
		fmt.Fprintf(tw, "  %s\t%d\n", name, sum.Alerts[name])
	}
	silent := 0
	for _, r := range set.Rules() {
		if r.Source == source && r.Enabled && sum.Alerts[r.Name] == 0 {
			silent++
		}
	}
	if silent > 0 {
		fmt.Fprintf(tw, "  rules without an alert\t%d\n", silent)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(sum.Reasons) > 0 {
		b.WriteString("refused because\n")
		for _, why := range slices.SortedFunc(maps.Keys(sum.Reasons), func(a, b string) int {
			return cmp.Or(cmp.Compare(sum.Reasons[b], sum.Reasons[a]), cmp.Compare(a, b))
		}) {
			fmt.Fprintf(&b, "  %s: %d\n", why, sum.Reasons[why])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// progress shows on a terminal how far a replay is.
type progress struct {
	w     io.Writer // nil: nobody looks
	sizes map[string]int64
	total int64
	read  int64
	next  time.Time
}

// newProgress returns the bar, which shows nothing unless w is a terminal.
func newProgress(w io.Writer, files []string) *progress {
	p := &progress{sizes: map[string]int64{}}
	f, ok := w.(*os.File)
	if !ok {
		return p
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("TERM") == "dumb" {
		return p
	}
	p.w = w
	for _, name := range files {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			p.sizes[name] = info.Size()
			p.total += info.Size()
		}
	}
	return p
}

// How wide the bar is, and how often it is drawn.
const (
	barWidth = 30
	barEvery = 100 * time.Millisecond
)

func (p *progress) show(file string, offset int64) {
	if p.w == nil || time.Now().Before(p.next) {
		return
	}
	p.next = time.Now().Add(barEvery)
	// A packed file holds more than its size says.
	at := p.read + min(offset, p.sizes[file])
	if p.total == 0 {
		p.draw(fmt.Sprintf("%s: %d KiB", file, offset>>10))
		return
	}
	part := float64(at) / float64(p.total)
	full := int(part * barWidth)
	p.draw(fmt.Sprintf("[%s%s] %3.0f %%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*part))
}

func (p *progress) done(file string) { p.read += p.sizes[file] }

func (p *progress) draw(s string) { _, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", s) } // only for the eye

func (p *progress) clear() {
	if p.w != nil {
		p.draw("")
	}
}
