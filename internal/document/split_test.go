package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	events  = Envelope{List: "items", Tag: "kind", Name: "EventList"}
	records = Envelope{List: "Records"}
	hook    = Envelope{In: "data", List: "events"}
)

// split returns every document, and what ended the batch early.
func split(b []byte, env Envelope) (docs []string, end string) {
	var s Splitter
	s.Reset(b, env)
	for {
		text, _, ok, err := s.Next()
		if err != nil {
			return docs, err.Error()
		}
		if !ok {
			return docs, ""
		}
		docs = append(docs, string(text))
	}
}

func TestSplitterCuts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		env      Envelope
		want     []string
		end      string
	}{
		{"nothing", " \r\n", events, nil, ""},
		{"one document", `{"a":1}`, events, []string{`{"a":1}`}, ""},
		{"lines", "{\"a\":1}\r\n\r\n{\"b\":2}\n", events, []string{`{"a":1}`, `{"b":2}`}, ""},
		{"documents without space between", `{"a":1}{"b":[2]}[3]`, events, []string{`{"a":1}`, `{"b":[2]}`, `3`}, ""},
		{"a byte order mark", "\uFEFF{}", events, []string{`{}`}, ""},
		{"an array", `[ {"a":1}, {"b":"]"} ]`, events, []string{`{"a":1}`, `{"b":"]"}`}, ""},
		{"arrays in arrays", `[[{"a":1}],[],[[2]]]`, events, []string{`{"a":1}`, `2`}, ""},
		{"a list", `{"kind":"EventList","items":[{"a":1},{"b":2}],"x":{"y":[]}} {"c":3}`, events, []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}, ""},
		{"a list whose kind comes last", `{"items":[{"a":1}], "kind": "EventList"}`, events, []string{`{"a":1}`}, ""},
		{"a list in an array", `[{"kind":"EventList","items":[{"a":1}]},{"b":2}]`, events, []string{`{"a":1}`, `{"b":2}`}, ""},
		{"an empty list", `{"kind":"EventList","items":[]}`, events, nil, ""},
		{"a list without items is a document", `{"kind":"EventList"}`, events, []string{`{"kind":"EventList"}`}, ""},
		{"items that are no list", `{"kind":"EventList","items":7}`, events, []string{`{"kind":"EventList","items":7}`}, ""},
		{"items of another kind", `{"items":[1],"kind":"Pod"}`, events, []string{`{"items":[1],"kind":"Pod"}`}, ""},
		{"items without a kind", `{"items":[1]}`, events, []string{`{"items":[1]}`}, ""},
		{"a kind that is no text", `{"kind":7,"items":[1]}`, events, []string{`{"kind":7,"items":[1]}`}, ""},
		{"a list without a tag", `{"digest":{"Records":[0]},"Records":[{"a":1}]}`, records, []string{`{"a":1}`}, ""},
		{"no envelope at all", `{"items":[1]}`, Envelope{}, []string{`{"items":[1]}`}, ""},
		{"a list in an inner object", `{"a":{"events":[0]},"data":{"b":[1],"events":[{"a":1},{"b":2}],"c":{}},"d":[2]}{"c":3}`, hook, []string{`{"a":1}`, `{"b":2}`, `{"c":3}`}, ""},
		{"an empty list in an inner object", `{"data":{"events":[]}} 7`, hook, []string{`7`}, ""},
		{"an inner object without the list", `{"data":{"b":1},"events":[1]}`, hook, []string{`{"data":{"b":1},"events":[1]}`}, ""},
		{"an inner value that is no object", `{"data":["events",[1]]}`, hook, []string{`{"data":["events",[1]]}`}, ""},
		{"an inner object that is malformed", `{"data":{"b":1,,"events":[1]}}{"c":3}`, hook, []string{`{"data":{"b":1,,"events":[1]}}`, `{"c":3}`}, ""},
		{"an inner object that ends early", `{"data":{"events":[{"a":1}]}`, hook, []string{`{"a":1}`}, "read document: offset 28: the document ends too early"},
		{"an inner object that ends before its list", `{"data":{"eve`, hook, nil, "read document: offset 13: the document ends too early"},
		{"a malformed neighbour", `[{"a":1},{"b":tru,,},{"c":3}]`, events, []string{`{"a":1}`, `{"b":tru,,}`, `{"c":3}`}, ""},
		{"a neighbour without quotes", `{"kind":"EventList","items":[{a:1},{"c":3}]}`, events, []string{`{a:1}`, `{"c":3}`}, ""},
		{"brackets in strings", `{"a":"}]\"}"} {"b":2}`, events, []string{`{"a":"}]\"}"}`, `{"b":2}`}, ""},
		{"a batch that ends early", `{"kind":"EventList","items":[{"a":1},{"b":2`, events, []string{`{"a":1}`}, "read document: offset 43: the document ends too early"},
		{"a batch that ends between documents", `[{"a":1},`, events, []string{`{"a":1}`}, "read document: offset 9: the document ends too early"},
		{"a list whose object does not end", `{"kind":"EventList","items":[{"a":1}]`, events, []string{`{"a":1}`}, "read document: offset 37: the document ends too early"},
		{"a missing comma", `[{"a":1} {"b":2}]`, events, []string{`{"a":1}`}, `read document: offset 9: unexpected '{', want ',' or ']'`},
		{"a comma too much", `[{"a":1},]`, events, []string{`{"a":1}`}, `read document: offset 9: unexpected ']', want a value`},
		{"a comma too early", `[,{"a":1}]`, events, nil, `read document: offset 1: unexpected ',', want a value`},
		{"a bracket too much", `{"a":1}]`, events, []string{`{"a":1}`}, `read document: offset 7: unexpected ']', want a value`},
		{"too many lists", strings.Repeat("[", 9), events, nil, "read document: offset 8: more than 8 lists inside each other"},
		{"an open key", `{"kin`, events, nil, "read document: offset 5: the document ends too early"},
		{"an escape at the end", `{"a":"\`, events, nil, "read document: offset 7: the document ends too early"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			docs, end := split([]byte(tt.in), tt.env)
			if diff := cmp.Diff(tt.want, docs); diff != "" {
				t.Errorf("split %q (-want +got):\n%s", tt.in, diff)
			}
			if end != tt.end {
				t.Errorf("split %q ended with %q, want %q", tt.in, end, tt.end)
			}
		})
	}
}

// TestSingleAgreesWithTheSplitter: what is read at once is what the splitter cuts.
func TestSingleAgreesWithTheSplitter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		env      Envelope
		want     bool
	}{
		{"one document", ` {"a":1} ` + "\n", events, true},
		{"one document without an envelope", `{"items":[1]}`, Envelope{}, true},
		{"items of another kind", `{"a":"` + strings.Repeat("x", startOf) + `","items":[1],"kind":"Pod"}`, events, true},
		{"a document with the name of the list in front", `{"a":"items"}`, events, false},
		{"a list", `{"kind":"EventList","items":[1]}`, events, false},
		{"a list that shows late", `{"a":"` + strings.Repeat("x", startOf) + `","kind":"EventList","items":[1]}`, events, false},
		{"a list in an inner object that shows late", `{"a":"` + strings.Repeat("x", startOf) + `","data":{"events":[1]}}`, hook, false},
		{"two documents", `{"a":1}{"b":2}`, events, false},
		{"an array", `[{"a":1}]`, events, false},
		{"a text", `"a"`, events, false},
		{"nothing", ` `, events, false},
		{"no JSON", `{a}`, events, false},
		{"a document beyond the limit", `{"a":"` + strings.Repeat("x", maxSingle) + `"}`, events, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d Document
			if got := tt.env.Single(&d, []byte(tt.in), Limits{}); got != tt.want {
				t.Errorf("Single(%.80q) = %v, want %v", tt.in, got, tt.want)
			}
			docs, end := split([]byte(tt.in), tt.env)
			if tt.want && (len(docs) != 1 || end != "" || docs[0] != strings.TrimSpace(tt.in) || string(d.Root().Raw()) != docs[0]) {
				t.Errorf("the splitter cuts %.80q into %.80q, %q", tt.in, docs, end)
			}
		})
	}
}

func TestSplitterDoesNotAllocate(t *testing.T) {
	batch := []byte(`{"kind":"EventList","items":[` + sample + `,` + sample + `]}`)
	var s Splitter
	got := testing.AllocsPerRun(100, func() {
		s.Reset(batch, events)
		n := 0
		for {
			_, _, ok, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			n++
		}
		if n != 2 {
			t.Fatal("documents not found")
		}
	})
	if got != 0 {
		t.Errorf("Next: %v allocations, want 0", got)
	}
}

// FuzzSplitter checks on any text that documents lie in order inside it, and on valid
// JSON that none is lost, made up or cut in the wrong place.
func FuzzSplitter(f *testing.F) {
	for _, seed := range []string{
		`{"kind":"EventList","items":[{"a":1},{"b":[2]}]}`, `[[1],{"items":[3]},"x"]`, "1\n2\n", `{"items":[1],"kind":"EventList"}`,
		`[{"a":"\\\""},[]]`, `{"kind":"EventList","items":[`, `}`, `[1,]`, `{"kind" "EventList"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s Splitter
		s.Reset(text, events)
		after := 0
		var got []string
		for {
			doc, offset, ok, err := s.Next()
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || e.Offset > len(text) {
					t.Fatalf("split %q: %#v", text, err)
				}
				if json.Valid(text) && e.Reason != TooDeep {
					t.Fatalf("split %q: %v, but it is valid", text, err)
				}
				return
			}
			if !ok {
				break
			}
			if len(doc) == 0 || offset < after || !bytes.Equal(text[offset:offset+len(doc)], doc) {
				t.Fatalf("split %q: %q at offset %d after %d", text, doc, offset, after)
			}
			after = offset + len(doc)
			got = append(got, string(doc))
		}
		if !json.Valid(text) {
			return
		}
		want := flatten(t, text)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("split %q (-want +got):\n%s", text, diff)
		}
	})
}

// flatten does with encoding/json what a Splitter does, on text that is valid.
func flatten(t *testing.T, text []byte) []string {
	t.Helper()
	text = bytes.Trim(text, " \r\n\t")
	var docs []string
	switch text[0] {
	case '[':
		var list []json.RawMessage
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		for _, doc := range list {
			docs = append(docs, flatten(t, doc)...)
		}
		return docs
	case '{':
		// encoding/json matches keys of structs in any case: a map does not.
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			t.Fatal(err)
		}
		items := bytes.TrimSpace(object["items"])
		if string(object["kind"]) == `"EventList"` && bytes.HasPrefix(items, []byte("[")) && once(text, "items") && once(text, "kind") {
			return flatten(t, items)
		}
		if !once(text, "items") || !once(text, "kind") {
			t.Skip("which of several members counts differs")
		}
	}
	return []string{string(text)}
}

func once(text []byte, word string) bool {
	return bytes.Count(text, []byte(word)) <= 1 && !bytes.Contains(text, []byte(`\u`))
}

func TestEndIsAfterTheFirstDocument(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     string // what End leaves in front
	}{
		{"one that is followed by another", `{"a":1}{"b":2}`, `{"a":1}`},
		{"one of many lines", "\n{\n\"a\":[\n1]\n}\n{}", "\n{\n\"a\":[\n1]\n}"},
		{"a bracket in a string", `{"a":"}\""}x`, `{"a":"}\""}`},
		{"after a byte order mark", "\uFEFF[1] ", "\uFEFF[1]"},
		{"one that is not whole", `{"a":[1}`, ""},
		{"one that ends in a string", `{"a":"`, ""},
		{"a word ends with its line", "hello {\n{}", "hello {\n"},
		{"a word without an end", "hello", ""},
		{"space only", " \n ", ""},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.in[:End([]byte(tt.in))]; got != tt.want {
				t.Errorf("End(%q) is after %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}
