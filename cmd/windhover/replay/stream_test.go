package replay

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/document"
)

var (
	records   = document.Envelope{List: "Records"}
	eventList = document.Envelope{List: "items", Tag: "kind", Name: "EventList"}
)

// items returns what is in r, a line each: the offset, and the document or what is wrong.
func items(tb testing.TB, r io.Reader, env document.Envelope, limit int) []string {
	tb.Helper()
	s, err := NewStream(r, env)
	if err != nil {
		tb.Fatal(err)
	}
	if limit > 0 {
		s.max = limit
	}
	var out []string
	for {
		item, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return out
		case err != nil:
			return append(out, err.Error())
		case item.Err != nil:
			out = append(out, fmt.Sprintf("%d: %v", item.Offset, item.Err))
		default:
			out = append(out, fmt.Sprintf("%d %s", item.Offset, item.Text))
		}
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		env        document.Envelope
		want       []string
	}{
		{"nothing", "", records, nil},
		{"blanks", " \n\t\r\n", records, nil},
		{"one document", `{"a":1}`, records, []string{`0 {"a":1}`}},
		{"lines", "{\"a\":1}\n{\"a\":2}\n", records, []string{`0 {"a":1}`, `8 {"a":2}`}},
		{"documents without space between them", `{"a":1}{"a":2}`, records, []string{`0 {"a":1}`, `7 {"a":2}`}},
		{"documents of several lines", "{\n \"a\": 1\n}\n{\n \"a\": {\n  \"b\": 2}\n}", records, []string{"0 {\n \"a\": 1\n}", "12 {\n \"a\": {\n  \"b\": 2}\n}"}},
		{"an array", `[{"a":1},{"a":2}]`, records, []string{`1 {"a":1}`, `9 {"a":2}`}},
		{"an envelope", `{"Records":[{"a":1},{"a":2}],"more":{}}`, records, []string{`12 {"a":1}`, `20 {"a":2}`}},
		{"an envelope of another source", `{"Records":[{"a":1}]}`, eventList, []string{`0 {"Records":[{"a":1}]}`}},
		{"an envelope with a tag", `{"kind":"EventList","items":[{"a":1}]}`, eventList, []string{`29 {"a":1}`}},
		{"everything after each other", "{\"a\":1}\n[{\"a\":2}]{\"Records\":[{\"a\":3}]}\n", records, []string{`0 {"a":1}`, `9 {"a":2}`, `29 {"a":3}`}},
		{"brackets and quotes in texts", `{"a":"}{[\"\\"}{"b":"]"}`, records, []string{`0 {"a":"}{[\"\\"}`, `15 {"b":"]"}`}},
		{"a byte order mark", "\xef\xbb\xbf{\"a\":1}", records, []string{`3 {"a":1}`}},

		{"a line that is no JSON", "{\"a\":1}\nhello {}\n{\"a\":2}", records, []string{`0 {"a":1}`, "8: a document is an object: it starts with {", `17 {"a":2}`}},
		{"a line without its end", "{\"a\":1}\n{\"a\":{\"b\":2}\n{\"a\":3}\n", records, []string{`0 {"a":1}`, `8: '{' cannot stand after '}'`, `21 {"a":3}`}},
		{"a line that ends in a text", "{\"a\":\"x\n{\"a\":3}\n", records, []string{"0: a string does not end on its line", `8 {"a":3}`}},
		{"a line that ends in a word", "{\"a\":tr\n{\"a\":3}\n", records, []string{`0: '{' cannot stand after 'r'`, `8 {"a":3}`}},
		{"a line with a bracket too many", "{\"a\":1}}\n{\"a\":3}\n", records, []string{`0 {"a":1}`, "7: a document is an object: it starts with {", `9 {"a":3}`}},
		{"a line with the wrong bracket", "{\"a\":[1}\n{\"a\":3}\n", records, []string{`0: '}' closes '['`, `9 {"a":3}`}},
		{"the end is missing", "{\"a\":1}\n{\"a\":", records, []string{`0 {"a":1}`, "8: the text ends inside a document"}},
		{"an array without its end", `[{"a":1},{"a":2}`, records, []string{`1 {"a":1}`, `9 {"a":2}`, "16: the text ends inside a document"}},
		{"an array that ends inside a document", `[{"a":1},{"a":`, records, []string{`1 {"a":1}`, "9: the text ends inside a document"}},
		{"an envelope that ends inside a document", `{"Records":[{"a":1},{"a":`, records, []string{`12 {"a":1}`, "20: the text ends inside a document"}},
		{"a wrong document in an array", `[{"a":1},{"a":[2},{"a":3}]`, records, []string{`1 {"a":1}`, `9: '}' closes '['`, `18 {"a":3}`}},
		{"a wrong document in an array of lines", "[\n {\"a\":1},\n {\"a\":\"2},\n {\"a\":3}\n]\n", records, []string{`3 {"a":1}`, "13: a string does not end on its line", `24 {"a":3}`}},
		{"a wrong document in an envelope", `{"Records":[{"a":1},{"a":{"b":2},{"a":3}]}`, records, []string{`12 {"a":1}`, `20: '{' cannot stand after ','`, `33 {"a":3}`}},
		{"a comma is missing in an array", `[{"a":1} {"a":2}]`, records, []string{`1 {"a":1}`, `9 {"a":2}`}},
		{"something else in an array", "[{\"a\":1},2 3]\n{\"a\":4}", records, []string{`1 {"a":1}`, "9 2", "11: unexpected '3', want ',' or ']'", `14 {"a":4}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, items(t, strings.NewReader(tt.text), tt.env, 0)); diff != "" {
				t.Errorf("Next(%s) (-want +got):\n%s", tt.text, diff)
			}
			if diff := cmp.Diff(tt.want, items(t, iotest.OneByteReader(strings.NewReader(tt.text)), tt.env, 0)); diff != "" {
				t.Errorf("Next(%s) byte by byte (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestStreamReadsLongListsInParts(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for _, tt := range []struct{ name, head, tail string }{
		{"an array", "[", "]"},
		{"an envelope", `{"Records":[`, `],"more":1}`},
		{"an envelope with more in it", `{"Records":[`, `], "a": {"b": [1]}, "c": "\\\"}", "d" : [ 1 ] }`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			b.WriteString(tt.head)
			for i := range n {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, `{"number":%d}`, i)
			}
			b.WriteString(tt.tail)
			s, err := NewStream(strings.NewReader(b.String()), records)
			if err != nil {
				t.Fatal(err)
			}
			s.max = 300 << 10
			for i := range n {
				item, err := s.Next()
				if err != nil || item.Err != nil {
					t.Fatalf("document %d: %v %v", i, err, item.Err)
				}
				if want := fmt.Sprintf(`{"number":%d}`, i); string(item.Text) != want {
					t.Fatalf("document %d is %s, want %s", i, item.Text, want)
				}
			}
			if item, err := s.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("Next after the last document = %s %v %v, want the end", item.Text, item.Err, err)
			}
			if cap(s.buf) > 4*s.max {
				t.Errorf("the buffer has %d bytes, want few more than %d", cap(s.buf), s.max)
			}
		})
	}
}

func TestStreamUnpacks(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("{\"a\":1}\n{\"a\":2}\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{`0 {"a":1}`, `8 {"a":2}`}, items(t, bytes.NewReader(b.Bytes()), records, 0)); diff != "" {
		t.Errorf("Next (-want +got):\n%s", diff)
	}
	cut := b.Bytes()[:b.Len()-6]
	if got := items(t, bytes.NewReader(cut), records, 0); len(got) == 0 || got[len(got)-1] != "unexpected EOF" {
		t.Errorf("Next of a packed file without its end = %q, want an error at last", got)
	}
}

func TestStreamReportsWhyReadingFails(t *testing.T) {
	t.Parallel()
	r := io.MultiReader(strings.NewReader("{\"a\":1}\n"), iotest.ErrReader(errors.New("disk on fire")))
	if diff := cmp.Diff([]string{`0 {"a":1}`, "disk on fire"}, items(t, r, records, 0)); diff != "" {
		t.Errorf("Next (-want +got):\n%s", diff)
	}
}

// FuzzStreamLosesNoNeighbour puts any text on a line between two documents: both come out.
func FuzzStreamLosesNoNeighbour(f *testing.F) {
	for _, s := range []string{"", "{", `{"a":`, `{"a":"`, "}", "]", "[", `[{"a":1},`, `{"Records":[`, `{"a":{"b":1}`, "\\", `"`, ",", "tru", `{"a":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\n") || strings.HasPrefix(s, "\x1f\x8b") {
			t.Skip("not one line of text: several, or gzip")
		}
		first, last := `{"id":"first"}`, `{"id":"last"}`
		text := first + "\n" + s + "\n" + last + "\n"
		st, err := NewStream(strings.NewReader(text), records)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]int{}
		for {
			item, err := st.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("Next(%q): %v", text, err)
			}
			if item.Err == nil {
				if got := text[item.Offset : item.Offset+int64(len(item.Text))]; got != string(item.Text) {
					t.Fatalf("Next(%q): text %q, but %q at its offset", text, item.Text, got)
				}
				found[string(item.Text)]++
			}
		}
		if found[first] == 0 {
			t.Errorf("Next(%q) loses the first document", text)
		}
		// What does not end on its line may go on with the next one, if that makes JSON.
		whole := json.Valid([]byte(strings.TrimSpace(strings.TrimPrefix(text, first))))
		if found[last] == 0 && !whole && !opensValue(s) {
			t.Errorf("Next(%q) loses the last document", text)
		}
	})
}

// opensValue reports whether a document after s may be a part of the one in s.
func opensValue(s string) bool {
	s = strings.TrimRight(s, " \t\r")
	return strings.HasSuffix(s, ":") || strings.HasSuffix(s, "[") || strings.HasSuffix(s, ",") || strings.HasSuffix(s, "\\")
}
