package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shared returns a directory of the data that is shared between projects.
func shared(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv("WINDHOVER_SHARED")
	if dir == "" {
		dir = "../../shared"
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("no shared data: set WINDHOVER_SHARED: %v", err)
	}
	return path
}

// loaderCase is what Falco 0.44.1 says about rules files that are loaded one after the
// other.
type loaderCase struct {
	Files   []string       `json:"files"`
	Exit    int            `json:"exit"`
	Results []loaderResult `json:"results"`
	Text    string         `json:"text"`
}

type loaderResult struct {
	Successful bool            `json:"successful"`
	Errors     []loaderProblem `json:"errors"`
	Warnings   []loaderProblem `json:"warnings"`
}

type loaderProblem struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Item    [][4]any `json:"item"`
}

// different are the cases in which Windhover answers otherwise on purpose; the reasons
// are in docs/compatibility.md.
var different = map[string]string{
	"na check":        "k8s_audit is a source that Windhover has",
	"cond: k8s":       "the fields of Falco's container plugin are built in",
	"cond: aname neg": "a negative index is a mistake",
}

func TestLoaderAgreesWithFalco(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(shared(t, "conformance/loader-cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]loaderCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	agree := 0
	for name, tt := range cases {
		var files []File
		for i, f := range tt.Files {
			files = append(files, File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(f)})
		}
		set, r := Compile(files, Options{})
		got, want := verdict(r), wantVerdict(tt)
		if tt.Results == nil {
			got, _, _ = strings.Cut(got, " rules content") // the validator stopped before it wrote results
			got += "\n"
		}
		if (set != nil) != (tt.Exit == 0) && different[name] == "" {
			t.Errorf("%s: a set is made: %v, want %v", name, set != nil, tt.Exit == 0)
		}
		if got != want {
			if different[name] == "" {
				t.Errorf("%s:\n--- got\n%s--- want\n%s--- of\n%s", name, got, want, strings.Join(tt.Files, "---\n"))
			}
			continue
		}
		agree++
		if different[name] != "" {
			t.Errorf("%s is listed as different, but is not", name)
		}
	}
	t.Logf("%d of %d cases agree, %d differ on purpose", agree, len(cases), len(different))
}

// verdict writes what a report says in the terms of the cases.
func verdict(r *Report) string {
	var b strings.Builder
	for _, f := range r.Files {
		fmt.Fprintf(&b, "%v\n", len(f.Errors) == 0)
		for _, p := range f.Errors {
			fmt.Fprintf(&b, "  %s", p.Code)
			for _, l := range p.Locations {
				fmt.Fprintf(&b, " %s:%s:%d:%d", l.ItemType, itemName(l.ItemType, l.ItemName), l.Position.Line, l.Position.Column)
			}
			b.WriteByte('\n')
		}
		codes := []string{}
		for _, p := range f.Warnings {
			if p.Code != WarnExtension {
				codes = append(codes, string(p.Code))
			}
		}
		slices.Sort(codes)
		for _, c := range codes {
			fmt.Fprintf(&b, "  %s\n", c)
		}
	}
	return b.String()
}

// itemName leaves out the excerpts of conditions, which the cases do not have.
func itemName(kind, name string) string {
	if kind == itemCondition {
		return ""
	}
	return name
}

func wantVerdict(c loaderCase) string {
	results := c.Results
	if results == nil {
		results = []loaderResult{{Errors: []loaderProblem{{Code: string(ErrValidate)}}}}
	}
	var b strings.Builder
	for _, r := range results {
		fmt.Fprintf(&b, "%v\n", r.Successful)
		for _, p := range r.Errors {
			fmt.Fprintf(&b, "  %s", p.Code)
			for _, l := range p.Item {
				fmt.Fprintf(&b, " %v:%v:%v:%v", l[0], l[1], l[2], l[3])
			}
			b.WriteByte('\n')
		}
		codes := []string{}
		for _, p := range r.Warnings {
			codes = append(codes, p.Code)
		}
		slices.Sort(codes)
		for _, c := range codes {
			fmt.Fprintf(&b, "  %s\n", c)
		}
	}
	return b.String()
}
