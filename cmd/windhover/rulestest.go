package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/rules/ruletest"
)

func (c *command) rulesTest() *cobra.Command {
	var (
		paths   []string
		junit   string
		verbose bool
	)
	cmd := &cobra.Command{
		Use:   "test CASES... [-r RULES]...",
		Short: "run test cases of rules",
		Long: `Test shows made-up events to rules and compares the alerts with those that the cases
expect. CASES are files, or directories of them. It needs no privileges.

A .yaml file is a list of cases; an event is fields by name, any of "windhover fields":

  rules: [my-rules.yaml]          # beside the file; absent: -r, or the default rules
  every_event: {evt.type: openat, fd.num: 3, evt.is_open_read: true}
  cases:
    - case: cat reads the password hashes
      event: {fd.name: /etc/shadow, proc.name: cat}
      alerts: [Sensitive file read by an unexpected program]
    - case: passwd reads them
      rule: Sensitive file read by an unexpected program
      event: {fd.name: /etc/shadow, proc.name: passwd}
      alert: false

A .txtar file holds one case with its rules: parts rules.yaml, events.jsonl, alerts.jsonl.

The summary lists the branches of conditions that no case has shown to work: alternatives
by way of which no case matches, and requirements because of which no case just misses.
The exit code is 1 if a case fails, and 2 if one cannot be read.`,
		Example: `  windhover rules test my-cases.yaml -r my-rules.yaml
  windhover rules test cases/ -r my-rules.yaml --junit report.xml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return c.testRules(args, paths, junit, verbose)
		},
	}
	rulesFlag(cmd, &paths)
	cmd.Flags().StringVar(&junit, "junit", "", "write the results to a `file` in the format of JUnit")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print every case, and every branch without one")
	return cmd
}

// caseFile is a file of cases.
type caseFile struct {
	name  string
	data  []byte
	suite *ruletest.Suite // nil: a txtar file
	one   *ruletest.Case
}

// caseResult is what came of one case.
type caseResult struct {
	file, name string
	line       int
	wrong      []string
}

func (c *command) testRules(args, paths []string, junit string, verbose bool) error {
	files, err := readCases(args)
	if err != nil {
		return usage(err)
	}
	runners := map[string]*ruletest.Runner{}
	var order []*ruletest.Runner
	var results []caseResult
	for _, f := range files {
		if f.one != nil {
			wrong, err := runOne(f.one)
			if err != nil {
				return usage(fmt.Errorf("%s: %w", f.name, err))
			}
			results = append(results, caseResult{f.name, strings.TrimSuffix(filepath.Base(f.name), ".txtar"), 1, wrong})
			continue
		}
		use := paths
		if f.suite.Rules != nil {
			use = f.suite.Rules
		}
		key := strings.Join(use, "\x00")
		if runners[key] == nil {
			r, err := c.newRunner(use)
			if err != nil {
				return err
			}
			runners[key] = r
			order = append(order, r)
		}
		for i := range f.suite.Tests {
			t := &f.suite.Tests[i]
			results = append(results, caseResult{f.name, t.Name, t.Line, runners[key].Run(t)})
		}
	}
	if junit != "" {
		if err := writeJUnit(junit, results); err != nil {
			return err
		}
	}
	failed, err := writeResults(c.stdout, results, order, verbose)
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if failed > 0 {
		return errReported
	}
	return nil
}

func (c *command) newRunner(paths []string) (*ruletest.Runner, error) {
	files, err := ruleFiles(paths)
	if err != nil {
		return nil, err
	}
	r, rep := ruletest.NewRunner(files)
	if r == nil {
		if err := rep.WriteText(c.stderr); err != nil {
			return nil, fmt.Errorf("write report: %w", err)
		}
		return nil, &codedError{exitUsage, errReported}
	}
	return r, nil
}

// runOne runs a txtar case.
func runOne(o *ruletest.Case) ([]string, error) {
	alerts, report, err := o.Run()
	if err != nil {
		return nil, err
	}
	var wrong []string
	if alerts != o.Alerts {
		wrong = append(wrong, differ("alerts", o.Alerts, alerts))
	}
	if report != o.Report {
		wrong = append(wrong, differ("report", o.Report, report))
	}
	return wrong, nil
}

// differ lists the lines that only one of two texts has.
func differ(what, want, got string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "the %s differ", what)
	w, g := strings.Split(strings.TrimSuffix(want, "\n"), "\n"), strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for _, line := range w {
		if !slices.Contains(g, line) {
			fmt.Fprintf(&b, "\n  missing: %s", line)
		}
	}
	for _, line := range g {
		if !slices.Contains(w, line) {
			fmt.Fprintf(&b, "\n  unexpected: %s", line)
		}
	}
	return b.String()
}

// readCases reads files of cases, and those in directories, sorted by name.
func readCases(args []string) ([]caseFile, error) {
	var names []string
	var errs []error
	for _, arg := range args {
		info, err := os.Stat(arg)
		if err != nil {
			errs = append(errs, readError(arg, err))
			continue
		}
		if !info.IsDir() {
			names = append(names, arg)
			continue
		}
		found := 0
		err = filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && isCases(path) {
				names = append(names, path)
				found++
			}
			return err
		})
		if err == nil && found == 0 {
			err = fmt.Errorf("no file of cases in %s: they end in .yaml, .yml or .txtar", arg)
		}
		errs = append(errs, err)
	}
	var files []caseFile
	for _, name := range names {
		f := caseFile{name: name}
		var err error
		if f.data, err = readCaseFile(name); err == nil {
			if filepath.Ext(name) == ".txtar" {
				if f.one, err = ruletest.Parse(f.data); err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
			} else {
				f.suite, err = ruletest.ParseSuite(name, f.data)
			}
		}
		errs = append(errs, err)
		files = append(files, f)
	}
	return files, errors.Join(errs...)
}

func isCases(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".txtar":
		return true
	}
	return false
}

func readCaseFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, readError(name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, ruletest.MaxSuiteSize+1))
	if err != nil {
		return nil, readError(name, err)
	}
	if len(b) > ruletest.MaxSuiteSize {
		return nil, fmt.Errorf("read %s: larger than %d MiB", name, ruletest.MaxSuiteSize>>20)
	}
	return b, nil
}

// maxOpenLines bounds how many branches without a case the summary lists.
const maxOpenLines = 40

func writeResults(w io.Writer, results []caseResult, runners []*ruletest.Runner, verbose bool) (failed int, err error) {
	var b bytes.Buffer
	for _, r := range results {
		switch {
		case len(r.wrong) > 0:
			failed++
			fmt.Fprintf(&b, "FAIL %s:%d: %s\n", r.file, r.line, r.name)
			for _, s := range r.wrong {
				fmt.Fprintf(&b, "     %s\n", strings.ReplaceAll(s, "\n", "\n     "))
			}
		case verbose:
			fmt.Fprintf(&b, "ok   %s:%d: %s\n", r.file, r.line, r.name)
		}
	}
	if failed > 0 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "cases: %d, failed: %d\n", len(results), failed)
	for _, r := range runners {
		c := r.Coverage()
		fmt.Fprintf(&b, "rules that a case matches: %d of %d; branches covered: %d of %d\n", c.RulesMatched, c.Rules, c.BranchesCovered, c.Branches)
		if len(c.Open) > 0 {
			b.WriteString("not covered:\n")
		}
		for i, o := range c.Open {
			if i == maxOpenLines && !verbose {
				fmt.Fprintf(&b, "  and %d more; --verbose prints them\n", len(c.Open)-i)
				break
			}
			fmt.Fprintf(&b, "  %s\n", o)
		}
	}
	_, err = w.Write(b.Bytes())
	return failed, err
}

// The parts of JUnit's format that its readers agree on.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func writeJUnit(name string, results []caseResult) error {
	var out junitSuites
	for _, r := range results {
		if n := len(out.Suites); n == 0 || out.Suites[n-1].Name != r.file {
			out.Suites = append(out.Suites, junitSuite{Name: r.file})
		}
		s := &out.Suites[len(out.Suites)-1]
		x := junitCase{Name: r.name, Class: strings.TrimSuffix(filepath.Base(r.file), filepath.Ext(r.file)), File: r.file, Line: r.line}
		if len(r.wrong) > 0 {
			first, _, _ := strings.Cut(r.wrong[0], "\n")
			x.Failure = &junitFailure{Message: first, Text: strings.Join(r.wrong, "\n")}
			s.Failures++
		}
		s.Tests++
		s.Cases = append(s.Cases, x)
	}
	b, err := xml.MarshalIndent(&out, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	b = append([]byte(xml.Header), append(b, '\n')...)
	if err := os.WriteFile(name, b, 0o644); err != nil {
		return fmt.Errorf("write %w", err)
	}
	return nil
}
