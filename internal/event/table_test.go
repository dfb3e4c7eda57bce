package event

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Rules number parameters, so their order is that of the reference. What the reference
// does not have comes after.
func TestParametersAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	type row struct {
		params   []string
		category string
	}
	reference := make(map[string]row)
	for _, r := range readReference(t, "events.csv") {
		if r["dir"] != "exit" && r["name"] != "procexit" || slices.Contains(strings.Split(r["flags"], "|"), "OLD_VERSION") {
			continue
		}
		var params []string
		for p := range strings.SplitSeq(r["params(name:type:format[:value-table])"], ";") {
			if name, _, ok := strings.Cut(strings.TrimSpace(p), ":"); ok {
				params = append(params, name)
			}
		}
		reference[r["name"]] = row{params, r["category"]}
	}
	for i := range named {
		s := &named[i]
		want, ok := reference[s.Name]
		if !ok || s.Category == "internal" || Type(i) == PluginEvent {
			continue
		}
		var got []string
		for _, p := range s.Params {
			got = append(got, p.Name)
		}
		if diff := cmp.Diff(want.params, got[:min(len(got), len(want.params))]); diff != "" {
			t.Errorf("parameters of %s (-want +got):\n%s", s.Name, diff)
		}
		if s.Category != want.category {
			t.Errorf("category of %s is %s, want %s", s.Name, s.Category, want.category)
		}
	}
}
