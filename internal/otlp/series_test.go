package otlp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/ledger"
)

// alertSeries returns the series of windhover.alerts that the reader shows now.
func alertSeries(tb testing.TB, r *MetricReader) []string {
	tb.Helper()
	m, err := r.Collect(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, l := range lines(m) {
		if strings.HasPrefix(l, "windhover.alerts ") {
			out = append(out, l)
		}
	}
	return out
}

func TestSeriesOfRulesAreBounded(t *testing.T) {
	t.Parallel()
	var (
		b    ledger.Book
		keys []ledger.RuleKey
	)
	rule := func(i int) ledger.RuleKey {
		return ledger.RuleKey{Name: fmt.Sprintf("rule %04d", i), Priority: []string{"Warning", "Notice"}[i%2]}
	}
	for i := range 1200 {
		keys = append(keys, rule(i))
	}
	// One source has the first rules, the other comes when there is little room left.
	for i, rules := range [][]ledger.RuleKey{keys[:900], keys} {
		s := ledger.NewSource(fmt.Sprintf("source/%d", i), "k8s_audit")
		w := s.Worker()
		w.SetRules(rules)
		for r := range rules {
			w.Alerted(r)
		}
		w.Publish()
		b.Add(s)
	}
	reader := newReader(t, &b)
	got := alertSeries(t, reader)
	if want := 1000 + 2; len(got) != want {
		t.Fatalf("%d series, want %d: 1,000 rules, and other for each priority", len(got), want)
	}
	for _, want := range []string{
		"windhover.alerts priority=Notice security_rule.name=rule 0899 source=source/0 1",
		"windhover.alerts priority=Notice security_rule.name=rule 0099 source=source/1 1",
		"windhover.alerts priority=Notice security_rule.name=other source=source/1 550",
		"windhover.alerts priority=Warning security_rule.name=other source=source/1 550",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no series %q", want)
		}
	}

	// Other rules after a reload take nobody's series away.
	w := b.Sources()[0].Worker()
	w.SetRules([]ledger.RuleKey{{Name: "later", Priority: "Notice"}})
	w.Alerted(0)
	w.Publish()
	after := alertSeries(t, reader)
	if want := "windhover.alerts priority=Notice security_rule.name=other source=source/0 1"; !slices.Contains(after, want) {
		t.Errorf("no series %q", want)
	}
	for _, s := range got {
		if !slices.Contains(after, s) {
			t.Errorf("series %q is gone", s)
		}
	}
}
