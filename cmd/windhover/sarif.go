package main

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/windhover/windhover/rules"
)

// The parts of SARIF 2.1.0 that a report of rules has.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool     `json:"tool"`
		ColumnKind string        `json:"columnKind"`
		Results    []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string      `json:"id"`
		ShortDescription sarifText   `json:"shortDescription"`
		Default          sarifConfig `json:"defaultConfiguration"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int        `json:"startLine"`
		StartColumn int        `json:"startColumn"`
		EndColumn   int        `json:"endColumn"`
		Snippet     *sarifText `json:"snippet,omitempty"`
	}
	sarifLogical struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	}
)

// writeSARIF writes the report for tools that show the results of static analysis.
func writeSARIF(w io.Writer, rep *rules.Report) error {
	problems := rep.All()
	var codes []string
	for _, p := range problems {
		codes = append(codes, string(p.Code))
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: "windhover", InformationURI: "https://github.com/windhover/windhover", Rules: []sarifRule{}}},
		ColumnKind: "unicodeCodePoints",
		Results:    []sarifResult{},
	}
	for _, c := range codes {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c, sarifText{rules.Code(c).Text()}, sarifConfig{level(rules.Code(c))}})
	}
	for i := range problems {
		index, _ := slices.BinarySearch(codes, string(problems[i].Code))
		run.Results = append(run.Results, sarifOf(&problems[i], index))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// maxSnippet is the longest line, in bytes, that is shown with each problem in it.
const maxSnippet = 1000

func sarifOf(p *rules.Problem, index int) sarifResult {
	text := p.Msg
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	loc := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{fileURI(p.File)}}}
	if p.Line > 0 {
		loc.Physical.Region = &sarifRegion{StartLine: p.Line, StartColumn: p.Column, EndColumn: p.Column + max(p.Width, 1)}
		if p.Excerpt != "" && len(p.Excerpt) <= maxSnippet {
			loc.Physical.Region.Snippet = &sarifText{p.Excerpt}
		}
	}
	if p.Name != "" {
		loc.Logical = []sarifLogical{{p.Name, p.Item}}
	}
	return sarifResult{string(p.Code), index, level(p.Code), sarifText{text}, []sarifLocation{loc}}
}

func level(c rules.Code) string {
	if c.Warning() {
		return "warning"
	}
	return "error"
}

// fileURI returns the name of a file as a reference: relative stays relative.
func fileURI(name string) string {
	u := url.URL{Path: filepath.ToSlash(name)}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
		if !strings.HasPrefix(u.Path, "/") {
			u.Path = "/" + u.Path // a drive of Windows
		}
	}
	return u.String()
}
