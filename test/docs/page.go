//go:build linux

// Package docs runs what the documentation says: every command of README.md and of the
// pages in docs, in the order of the page.
//
// A block marked as sh is a piece of shell, run in a directory that belongs to the page;
// where the page has a block marked as text next, its lines must appear in the output, in
// their order, with … for anything. Words in the paragraph before a block change that:
//
//   - "Run on", as in "Run on in another terminal": the block keeps running while the
//     blocks behind it do, until the page ends;
//   - "In the repository": it runs there;
//   - "Needs a cluster" and the other reasons in notRun: it does not run, and readers see
//     why they may not be able to, either.
package docs

import (
	"regexp"
	"strings"
)

// block is one fenced block of a page.
type block struct {
	line     int // of its first line, from 1
	language string
	before   string // the paragraph before it
	text     string
}

// blocks returns the fenced blocks of a page.
func blocks(page string) []block {
	var (
		out    []block
		fence  *block
		before []string
	)
	n := 0
	for line := range strings.Lines(page) {
		n++
		line = strings.TrimRight(line, "\n")
		switch {
		case fence != nil && strings.HasPrefix(line, "```"):
			out = append(out, *fence)
			fence, before = nil, nil
		case fence != nil:
			fence.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			fence = &block{line: n + 1, language: strings.TrimPrefix(line, "```"), before: strings.Join(before, " ")}
		case strings.HasPrefix(line, "#"):
			before = nil
		case line != "":
			if len(before) > 0 && before[len(before)-1] == "" {
				before = nil // a paragraph ended
			}
			before = append(before, line)
		case len(before) > 0:
			before = append(before, "")
		}
	}
	return out
}

// notRun are the words that keep a block from running.
var notRun = []string{
	"Needs a cluster", "Needs helm", "Needs kustomize",
	"Needs a host that runs systemd", "Needs podman", "Needs the files of a release", "Needs the package repository", "Needs a cloud account", "Takes minutes", "Not executed",
}

// reason says why a block does not run, or nothing.
func (b block) reason() string {
	for _, words := range notRun {
		if strings.Contains(b.before, words) {
			return words
		}
	}
	return ""
}

func (b block) isShell() bool {
	return b.language == "sh" || b.language == "bash" || b.language == "console" || b.language == "shell"
}

// runsOn says whether blocks behind it run beside it.
func (b block) runsOn() bool { return strings.Contains(b.before, "Run on") }

// inRepository says whether it runs there.
func (b block) inRepository() bool { return strings.Contains(b.before, "In the repository") }

// lacks returns the first line of want that does not appear in got behind those before
// it, or nothing. In a line of want … stands for anything, and what is around it may
// stand anywhere in a line of got; a line that is … alone is passed over.
func lacks(got, want string) string {
	lines := strings.Split(got, "\n")
	for line := range strings.Lines(want) {
		line = strings.TrimSpace(line)
		if line == "" || line == "…" || line == "..." {
			continue
		}
		pattern := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
		i := 0
		for i < len(lines) && !pattern.MatchString(lines[i]) {
			i++
		}
		if i == len(lines) {
			return line
		}
		lines = lines[i+1:]
	}
	return ""
}

var (
	links   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code    = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	anchor  = regexp.MustCompile(`<a (?:id|name)="([^"]+)">`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

// targets returns what the links of a page lead to.
func targets(page string) []string {
	var out []string
	for _, m := range links.FindAllStringSubmatch(code.ReplaceAllString(page, ""), -1) {
		out = append(out, m[1])
	}
	return out
}

// anchors returns the fragments that a page can be entered at, as GitHub forms them of
// headings.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, ""), -1) {
		slug := dropped.ReplaceAllString(strings.ToLower(strings.ReplaceAll(m[1], "`", "")), "")
		out[strings.ReplaceAll(slug, " ", "-")] = true
	}
	for _, m := range anchor.FindAllStringSubmatch(page, -1) {
		out[m[1]] = true
	}
	return out
}
