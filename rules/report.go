package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Report is everything that compiling rules files found, file by file.
type Report struct {
	Files []FileReport
}

// FileReport is what was found in one file, or in what it and the files before it
// mean together.
type FileReport struct {
	Name     string
	Errors   []Problem
	Warnings []Problem
	// Lints are what package lint adds: warnings that Falco does not have.
	Lints []Problem
}

// Problem is one error or warning.
type Problem struct {
	Code Code
	Msg  string
	Hint string // what to do, or nothing

	// File, Line and Column are where the problem is; lines and columns count from 1,
	// columns in characters.
	File         string
	Line, Column int
	// Excerpt is the line; the Width characters from Column on are meant.
	Excerpt string
	Width   int

	// Item is the kind of what has the problem (rule, macro, list), and Name its name;
	// both are empty for a whole file.
	Item, Name string
	// Field is the field that the problem is about, if it is about one.
	Field string
	// Locations lead from the file to the place, as Falco's validator gives them.
	Locations []Location
}

// maxProblems is how many errors, and how many warnings, are kept of a file. Hostile
// files could have one for every few bytes.
const maxProblems = 1000

// problems are those of one file.
type problems []Problem

// add adds p, or a last problem that says there are more.
func (ps *problems) add(p Problem) {
	if len(*ps) == maxProblems {
		p.Msg, p.Hint = fmt.Sprintf("there are more than %d problems like this in the file: the others are left out", maxProblems), ""
	}
	if !ps.full() {
		*ps = append(*ps, p)
	}
}

// full reports whether nothing more is kept.
func (ps *problems) full() bool { return len(*ps) > maxProblems }

// Location is one step of the way to the place of a problem. Lines and columns count
// from 0.
type Location struct {
	ItemType string   `json:"item_type"`
	ItemName string   `json:"item_name"`
	Position Position `json:"position"`
}

// Position is a place in a file.
type Position struct {
	Name   string `json:"name"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Offset int    `json:"offset"`
}

// OK reports whether there are no errors.
func (r *Report) OK() bool {
	return !slices.ContainsFunc(r.Files, func(f FileReport) bool { return len(f.Errors) > 0 })
}

// Errors returns the errors of all files, each once.
func (r *Report) Errors() []Problem {
	return r.collect(func(f FileReport) []Problem { return f.Errors })
}

// Warnings returns the warnings that still hold when all files are loaded, each once.
func (r *Report) Warnings() []Problem {
	var still map[string]bool // warnings about the use of items that a later file may take back
	if n := len(r.Files); n > 0 {
		still = map[string]bool{}
		for _, p := range r.Files[n-1].Warnings {
			still[p.key()] = true
		}
	}
	ps := r.collect(func(f FileReport) []Problem { return f.Warnings })
	return slices.DeleteFunc(ps, func(p Problem) bool {
		return (p.Code == WarnUnusedList || p.Code == WarnUnusedMacro) && !still[p.key()]
	})
}

// Lints returns what package lint found, each once.
func (r *Report) Lints() []Problem {
	return r.collect(func(f FileReport) []Problem { return f.Lints })
}

// AddLints adds lints to the reports of the files that they are in.
func (r *Report) AddLints(ps []Problem) {
	for _, p := range ps {
		for i := range r.Files {
			if r.Files[i].Name == p.File {
				r.Files[i].Lints = append(r.Files[i].Lints, p)
				break
			}
		}
	}
}

// All returns everything that was found, each once, in the order of the files.
func (r *Report) All() []Problem {
	ps := slices.Concat(r.Errors(), r.Warnings(), r.Lints())
	order := map[string]int{}
	for i, f := range r.Files {
		order[f.Name] = i
	}
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return ps
}

func (r *Report) collect(of func(FileReport) []Problem) []Problem {
	var out []Problem
	seen := map[string]bool{}
	for _, f := range r.Files {
		for _, p := range of(f) {
			if k := p.key(); !seen[k] {
				seen[k] = true
				out = append(out, p)
			}
		}
	}
	return out
}

func (p *Problem) key() string {
	return fmt.Sprintf("%s\x00%s\x00%d\x00%d\x00%s\x00%s", p.Code, p.File, p.Line, p.Column, p.Msg, p.Name)
}

// String returns the problem on one line: file:line:column: message; hint.
func (p *Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Code.Warning() {
		b.WriteString("warning: ")
	}
	b.WriteString(p.Msg)
	if p.Hint != "" {
		b.WriteString("; ")
		b.WriteString(p.Hint)
	}
	return b.String()
}

// Error is returned for a Report with errors.
type reportError struct{ r *Report }

func (e reportError) Error() string {
	var b strings.Builder
	for i, p := range e.r.Errors() {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Err returns the errors as one error, a line each, or nil if there are none.
func (r *Report) Err() error {
	if r.OK() {
		return nil
	}
	return reportError{r}
}

// WriteText writes every problem for people, in the order of the files: the place, what
// is wrong, what to do, and the line with a mark under what is meant.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.All() {
		fmt.Fprintf(&b, "%s [%s]\n", p.String(), p.Code)
		if line, mark := p.mark(); line != "" {
			fmt.Fprintf(&b, "   %s\n   %s\n", line, mark)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// maxMark is the longest mark under an excerpt.
const maxMark = 1000

// mark returns the excerpt, cut to what fits a screen, and the mark under it.
func (p *Problem) mark() (line, mark string) {
	const side = 80
	excerpt, at := p.Excerpt, p.Column-1
	cut := at > 2*side // lines may be as long as a file
	if cut {
		for range at - side - 1 {
			if excerpt == "" {
				return "", ""
			}
			_, n := utf8.DecodeRuneInString(excerpt)
			excerpt = excerpt[n:]
		}
		at = side + 1
	}
	end := 0
	for n := 0; n <= at+max(min(p.Width, maxMark), 1)+side && end < len(excerpt); n++ {
		_, size := utf8.DecodeRuneInString(excerpt[end:])
		end += size
	}
	runes := []rune(excerpt[:end])
	if len(runes) == 0 || at < 0 || at > len(runes) {
		return "", ""
	}
	indent := 0
	for indent < len(runes) && indent < at && (runes[indent] == ' ' || runes[indent] == '\t') {
		indent++
	}
	from, to := max(indent, at-side), min(len(runes), at+max(min(p.Width, maxMark), 1)+side)
	width := max(min(p.Width, to-at), 1)
	var l, m strings.Builder
	if from > indent || cut {
		l.WriteString("...")
		m.WriteString("   ")
	}
	for _, r := range runes[from:to] {
		if r == '\t' || r < ' ' || r == utf8.RuneError {
			r = ' '
		}
		l.WriteRune(r)
	}
	m.WriteString(strings.Repeat(" ", at-from))
	m.WriteString(strings.Repeat("^", width))
	if to < len(runes) || end < len(excerpt) {
		l.WriteString("...")
	}
	return l.String(), m.String()
}

type jsonReport struct {
	Results []jsonFile `json:"falco_load_results"`
}

type jsonFile struct {
	Name       string        `json:"name"`
	Successful bool          `json:"successful"`
	Errors     []jsonProblem `json:"errors"`
	Warnings   []jsonProblem `json:"warnings"`
	Lints      []jsonProblem `json:"lints,omitempty"`
}

type jsonProblem struct {
	Code            Code        `json:"code"`
	CodeDesc        string      `json:"codedesc"`
	Message         string      `json:"message"`
	Hint            string      `json:"hint,omitempty"`
	Context         jsonContext `json:"context"`
	Place           *jsonPlace  `json:"place,omitempty"`
	DeprecatedField string      `json:"deprecated_field,omitempty"`
}

type jsonContext struct {
	Locations []Location `json:"locations"`
	Snippet   string     `json:"snippet"`
}

// jsonPlace is the exact place, which counts from 1.
type jsonPlace struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// WriteJSON writes the report in the shape of the JSON of Falco's validator, with what
// Windhover knows besides.
func (r *Report) WriteJSON(w io.Writer) error {
	out := jsonReport{Results: []jsonFile{}}
	for _, f := range r.Files {
		out.Results = append(out.Results, jsonFile{
			Name: f.Name, Successful: len(f.Errors) == 0,
			Errors: jsonProblems(f.Errors), Warnings: jsonProblems(f.Warnings), Lints: jsonProblems(f.Lints),
		})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func jsonProblems(ps []Problem) []jsonProblem {
	out := []jsonProblem{}
	for _, p := range ps {
		j := jsonProblem{
			Code: p.Code, CodeDesc: p.Code.Text(), Message: p.Msg, Hint: p.Hint,
			Context: jsonContext{Locations: p.Locations},
		}
		if j.Context.Locations == nil {
			j.Context.Locations = []Location{}
		}
		if line, mark := p.mark(); line != "" {
			j.Context.Snippet = line + "\n" + mark + "\n"
		}
		if p.Line > 0 {
			j.Place = &jsonPlace{p.File, p.Line, p.Column}
		}
		if p.Code == WarnDeprecated {
			j.DeprecatedField = p.Field
		}
		out = append(out, j)
	}
	return out
}
