package rulesprocessor

import (
	"encoding/json"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/windhover/windhover/internal/document"
)

// FuzzBodyThatIsAMap checks that a text reads as itself after it was written as JSON, as
// a key and as a value.
func FuzzBodyThatIsAMap(f *testing.F) {
	for _, seed := range []string{"", "a", "\"\\\n\x00\x1f\x7f", "ü€😀", "\xff\xc3", "\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v := pcommon.NewValueMap()
		v.Map().PutStr(text, text)
		got := appendJSON(nil, v, 0)
		var d document.Document
		if err := d.Parse(got, document.Limits{}); err != nil {
			t.Fatalf("map with %q is %s: %v", text, got, err)
		}
		want := strings.ToValidUTF8(text, "\uFFFD")
		for m := d.Root().Members(); m.Next(); {
			// Each wrong byte is one U+FFFD for the parser, a run of them is one for strings.
			if got := collapse(string(m.Key())); got != collapse(want) {
				t.Fatalf("key %q reads %q", text, got)
			}
			if got := collapse(string(m.Value().Text())); got != collapse(want) {
				t.Fatalf("value %q reads %q", text, got)
			}
		}
	})
}

func collapse(s string) string {
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return s
}

func TestDeepValuesEndInNull(t *testing.T) {
	t.Parallel()
	v := pcommon.NewValueSlice()
	inner := v
	for range 10_000 {
		next := inner.Slice().AppendEmpty()
		next.SetEmptySlice()
		inner = next
	}
	got := appendJSON(nil, v, 0)
	if !json.Valid(got) || len(got) > 3*maxDepth || !strings.Contains(string(got), "null") {
		t.Errorf("10,000 lists inside each other are %d bytes of JSON: %.200s", len(got), got)
	}
}
