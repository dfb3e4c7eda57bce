package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func parsed(tb testing.TB, text string) *Document {
	tb.Helper()
	var d Document
	if err := d.Parse([]byte(text), Limits{}); err != nil {
		tb.Fatalf("Parse(%q): %v", text, err)
	}
	return &d
}

func TestParseReports(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		limits   Limits
		want     *Error // nil: accepted
	}{
		{"an object", `{"a": [1, {"b": null}], "c": true}`, Limits{}, nil},
		{"a single value", ` 17 `, Limits{}, nil},
		{"a byte order mark", "\uFEFF{}", Limits{}, nil},
		{"line ends of any kind", "{\r\n\"a\":\t1\r}\n", Limits{}, nil},
		{"a number beyond every type", `[1e400, 18446744073709551616, -0.0E-0]`, Limits{}, nil},
		{"nothing", "", Limits{}, &Error{Incomplete, 0, "the document ends too early"}},
		{"only space", "  ", Limits{}, &Error{Incomplete, 2, "the document ends too early"}},
		{"an open object", `{"a":1`, Limits{}, &Error{Incomplete, 6, "the document ends too early"}},
		{"an open string", `{"a`, Limits{}, &Error{Incomplete, 3, "the document ends too early"}},
		{"an open escape", `"\`, Limits{}, &Error{Incomplete, 2, "the document ends too early"}},
		{"an open word", `tru`, Limits{}, &Error{Incomplete, 3, "the document ends too early"}},
		{"a number without digits", `-`, Limits{}, &Error{Incomplete, 1, "the document ends too early"}},
		{"a second value", `{} {}`, Limits{}, &Error{Malformed, 3, `unexpected '{', want the end`}},
		{"a missing comma", `[1 2]`, Limits{}, &Error{Malformed, 3, `unexpected '2', want ',' or ']'`}},
		{"a missing colon", `{"a" 1}`, Limits{}, &Error{Malformed, 5, `unexpected '1', want ':'`}},
		{"a comma too much in an array", `[1,]`, Limits{}, &Error{Malformed, 3, `unexpected ']', want a value`}},
		{"a comma too much in an object", `{"a":1,}`, Limits{}, &Error{Malformed, 7, `unexpected '}', want a key in quotes`}},
		{"a key without quotes", `{a:1}`, Limits{}, &Error{Malformed, 1, `unexpected 'a', want a key in quotes`}},
		{"the wrong bracket", `[1}`, Limits{}, &Error{Malformed, 2, `unexpected '}', want ',' or ']'`}},
		{"NaN", `[NaN]`, Limits{}, &Error{Malformed, 1, `unexpected 'N', want a value`}},
		{"a leading zero", `01`, Limits{}, &Error{Malformed, 1, `unexpected '1', want the end`}},
		{"a fraction without digits", `[1.]`, Limits{}, &Error{Malformed, 3, `unexpected ']', want a digit`}},
		{"an exponent without digits", `1e+x`, Limits{}, &Error{Malformed, 3, `unexpected 'x', want a digit`}},
		{"an unknown escape", `"\x"`, Limits{}, &Error{Malformed, 2, `unexpected 'x', want an escape`}},
		{"a broken code point", `"\u12g4"`, Limits{}, &Error{Malformed, 5, `unexpected 'g', want a hexadecimal digit`}},
		{"a line break in a string", "\"a\nb\"", Limits{}, &Error{Malformed, 2, `unexpected '\n', want no control character in a string`}},
		{"a misspelt word", `nuXl`, Limits{}, &Error{Malformed, 2, `unexpected 'X', want null`}},
		{"a document over the size", `[1,2,3]`, Limits{Bytes: 6}, &Error{TooLarge, 6, "document of 7 bytes, limit is 6"}},
		{"a document of the size", `[1,2,3]`, Limits{Bytes: 7}, nil},
		{"too many levels", `[[[]]]`, Limits{Depth: 2}, &Error{TooDeep, 2, "more than 2 containers inside each other"}},
		{"all levels", `[[[]]]`, Limits{Depth: 3}, nil},
		{"too many values", `[1,2,3]`, Limits{Nodes: 3}, &Error{TooMany, 5, "more than 3 values"}},
		{"all values", `[1,2,3]`, Limits{Nodes: 4}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d Document
			err := d.Parse([]byte(tt.in), tt.limits)
			var got *Error
			if err != nil && !errors.As(err, &got) {
				t.Fatalf("Parse(%q): %T, want *Error", tt.in, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", tt.in, diff)
			}
			if err != nil && d.Root().Kind() != Absent {
				t.Errorf("Parse(%q): a refused document has a root of kind %v", tt.in, d.Root().Kind())
			}
		})
	}
}

func TestDeepDocumentTakesNoStack(t *testing.T) {
	t.Parallel()
	const depth = 100_000
	text := strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth)
	var d Document
	if err := d.Parse([]byte(text), Limits{Depth: depth}); err != nil {
		t.Fatal(err)
	}
	v, levels := d.Root(), 0
	for ; v.Kind() == Array; levels++ {
		v = v.Index(0)
	}
	if levels != depth {
		t.Errorf("walked down %d levels, want %d", levels, depth)
	}
	if got := d.Root().JSON(); string(got) != text {
		t.Errorf("JSON of %d levels differs from its text", depth)
	}
	var e *Error
	if err := d.Parse([]byte(text), Limits{}); !errors.As(err, &e) || e.Reason != TooDeep {
		t.Errorf("Parse with the default limits = %v, want too deep", err)
	}
}

func TestStringsRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain", `"abc"`, "abc"},
		{"empty", `""`, ""},
		{"every escape", `"\"\\\/\b\f\n\r\t"`, "\"\\/\b\f\n\r\t"},
		{"a code point", `"\u20AC\u00e4"`, "€ä"},
		{"a surrogate pair", `"\ud83d\ude00!"`, "😀!"},
		{"the first half alone", `"\ud83d!"`, "\uFFFD!"},
		{"the second half alone", `"\ude00"`, "\uFFFD"},
		{"halves in the wrong order", `"\ude00\ud83d"`, "\uFFFD\uFFFD"},
		{"a half before another escape", `"\ud83d\n"`, "\uFFFD\n"},
		{"a half before an ordinary code point", `"\ud83d\u0041"`, "\uFFFDA"},
		{"a NUL", `"a\u0000b"`, "a\x00b"},
		{"invalid UTF-8", "\"a\xffb\xc3\"", "a\uFFFDb\uFFFD"},
		{"valid UTF-8", `"grüße"`, "grüße"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := parsed(t, tt.in).Root()
			for range 2 { // decoded, then remembered
				if got := string(v.Text()); got != tt.want {
					t.Errorf("Text of %q = %q, want %q", tt.in, got, tt.want)
				}
			}
			if got := v.JSON(); !utf8.Valid(got) {
				t.Errorf("JSON of %q = %q is not valid UTF-8", tt.in, got)
			}
		})
	}
}

func TestNumbersRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		signs string // i: has an Int, u: has a Uint
		i     int64
		u     uint64
	}{
		{"0", "iu", 0, 0},
		{"-0", "i", 0, 0},
		{"9223372036854775807", "iu", 1<<63 - 1, 1<<63 - 1},
		{"9223372036854775808", "u", 0, 1 << 63},
		{"-9223372036854775808", "i", -1 << 63, 0},
		{"-9223372036854775809", "", 0, 0},
		{"18446744073709551615", "u", 0, 1<<64 - 1},
		{"18446744073709551616", "", 0, 0},
		{"99999999999999999999", "", 0, 0},
		{"100000000000000000000", "", 0, 0},
		{"1.0", "", 0, 0},
		{"1e3", "", 0, 0},
	} {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			v := parsed(t, tt.in).Root()
			i, isInt := v.Int()
			u, isUint := v.Uint()
			if isInt != strings.Contains(tt.signs, "i") || i != tt.i {
				t.Errorf("Int of %s = %d, %v", tt.in, i, isInt)
			}
			if isUint != strings.Contains(tt.signs, "u") || u != tt.u {
				t.Errorf("Uint of %s = %d, %v", tt.in, u, isUint)
			}
			if got := string(v.Raw()); got != tt.in {
				t.Errorf("Raw of %s = %s", tt.in, got)
			}
		})
	}
	if f, ok := parsed(t, "1e400").Root().Float(); ok {
		t.Errorf("Float of 1e400 = %g, want none", f)
	}
	if f, ok := parsed(t, "-2.5e1").Root().Float(); !ok || f != -25 {
		t.Errorf("Float of -2.5e1 = %g, %v", f, ok)
	}
}

func TestLastOfSeveralMembersCounts(t *testing.T) {
	t.Parallel()
	v := parsed(t, `{"a": 1, "b": {"a": 2}, "\u0061": 3}`).Root()
	if got := string(v.Get("a").Raw()); got != "3" {
		t.Errorf(`Get("a") = %s, want 3`, got)
	}
	if got := v.Len(); got != 3 {
		t.Errorf("Len = %d, want 3", got)
	}
}

func TestJSONLosesOnlySpace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want, indented string }{
		{`{ "a" : [ 1 , " x " , { } , [ ] ] }`, `{"a":[1," x ",{},[]]}`, "{\n  \"a\": [\n    1,\n    \" x \",\n    {},\n    []\n  ]\n}"},
		{`{"a":"\u003c\" "}`, `{"a":"\u003c\" "}`, "{\n  \"a\": \"\\u003c\\\" \"\n}"},
		{"[\"\xff\"]", "[\"\uFFFD\"]", "[\n  \"\uFFFD\"\n]"},
		{` [1e400] `, `[1e400]`, "[\n  1e400\n]"},
		{`true`, `true`, `true`},
	} {
		v := parsed(t, tt.in).Root()
		for range 2 {
			if got := string(v.JSON()); got != tt.want {
				t.Errorf("JSON of %q = %q, want %q", tt.in, got, tt.want)
			}
		}
		if got := string(v.AppendIndented(nil)); got != tt.indented {
			t.Errorf("AppendIndented of %q = %q, want %q", tt.in, got, tt.indented)
		}
	}
}

func TestInnerValueStaysAfterCompaction(t *testing.T) {
	t.Parallel()
	d := parsed(t, `{"a": {"b": [1, 2, "x\n"]}}`)
	outer, inner := d.Root(), d.Root().Get("a").Get("b")
	for _, tt := range []struct{ got, want string }{
		{string(inner.JSON()), `[1,2,"x\n"]`},
		{string(outer.JSON()), `{"a":{"b":[1,2,"x\n"]}}`},
		{string(inner.Index(2).Text()), "x\n"},
		{string(inner.JSON()), `[1,2,"x\n"]`},
		{string(inner.Index(1).Raw()), `2`},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestAbsentValueHasNothing(t *testing.T) {
	t.Parallel()
	var v Value
	if v.Kind() != Absent || v.Len() != 0 || v.Text() != nil || v.JSON() != nil || v.Raw() != nil {
		t.Errorf("the zero Value is not empty: kind %v", v.Kind())
	}
	if w := v.Get("a").Index(0); w.Kind() != Absent {
		t.Errorf("a value inside nothing has kind %v", w.Kind())
	}
	if w := parsed(t, `[1]`).Root().Index(1); w.Kind() != Absent {
		t.Errorf("the element after the last has kind %v", w.Kind())
	}
	if w := parsed(t, `{"0":1}`).Root().Index(0); w.Kind() != Absent {
		t.Errorf("an element of an object has kind %v", w.Kind())
	}
}

// sample is shaped like an audit event of a pod, with what costs most: escapes, space.
const sample = `{"kind": "Event", "auditID": "1", "verb": "create", "user": {"username": "a\u003cb", "groups": ["x", "y"]},
 "requestObject": {"spec": {"containers": [{"image": "nginx", "args": ["a", "b"]}, {"image": "redis:7", "ports": [{"hostPort": 80}]}]}},
 "annotations": {"authorization.k8s.io/decision": "allow", "reason": "caf\u00e9 \ud83d\ude00"}}`

func TestReuseDoesNotAllocate(t *testing.T) {
	var (
		d     Document
		text  = []byte(sample)
		image = mustPath(t, `requestObject.spec.containers[].image`)
		name  = mustPath(t, `user.username`)
		spec  = mustPath(t, `requestObject.spec`)
	)
	got := testing.AllocsPerRun(100, func() {
		if err := d.Parse(text, Limits{}); err != nil {
			t.Fatal(err)
		}
		if all := d.FindAll(image); len(all) != 2 || string(all[1].Text()) != "redis:7" {
			t.Fatal("images not found")
		}
		if v := d.Find(name); string(v.Text()) != "a<b" {
			t.Fatal("user not found")
		}
		if len(d.Find(spec).JSON()) == 0 {
			t.Fatal("spec not found")
		}
	})
	if got != 0 {
		t.Errorf("Parse and Find on reused memory: %v allocations, want 0", got)
	}
}

func BenchmarkParse(b *testing.B) {
	var d Document
	text := []byte(sample)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Parse(text, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// reference rebuilds v the way encoding/json represents values.
func reference(v Value) any {
	switch v.Kind() {
	case Null:
		return nil
	case True, False:
		b, _ := v.Bool()
		return b
	case Number:
		return json.Number(v.Raw())
	case String:
		return string(v.Text())
	case Array:
		a := []any{}
		for e := v.Elements(); e.Next(); {
			a = append(a, reference(e.Value()))
		}
		return a
	case Object:
		o := map[string]any{}
		for m := v.Members(); m.Next(); {
			o[string(m.Key())] = reference(m.Value())
		}
		return o
	}
	panic("BUG: document: value of kind " + v.Kind().String())
}

// FuzzParse holds Parse against encoding/json: the same texts are accepted, and their
// values are the same, read as a tree, through Get and Index, and from JSON.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		sample, ``, `{}`, `[]`, `"\ud83d\ude00\ud83d"`, "\"\xff\xc3\"", `{"a":1,"a":{"b":[null,true,false]}}`,
		`[1e400,-0,0.5E+10]`, `01`, `[1,]`, `{"a"}`, "\t[ ]\r\n", `{"\u0061":1,"a":2}`, `{"":{"":[[]]}}`, "[\"\\u00\xff0\"]",
		"\x00", "\uFEFF1",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.HasPrefix(text, []byte("\uFEFF")) {
			return // encoding/json refuses the byte order mark
		}
		var d Document
		err := d.Parse(text, Limits{})
		if got, want := err == nil, json.Valid(text); got != want {
			t.Fatalf("Parse(%q): %v, json.Valid says %v", text, err, want)
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Offset > len(text) {
				t.Fatalf("Parse(%q): %#v", text, err)
			}
			return
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("decode %q: %v", text, err)
		}
		if got := reference(d.Root()); !reflect.DeepEqual(got, want) {
			t.Fatalf("Parse(%q) (-want +got):\n%s", text, cmp.Diff(want, got))
		}
		if v := find(d.Root(), want); v != "" {
			t.Fatalf("Parse(%q): %s", text, v)
		}
		var again Document
		if err := again.Parse(bytes.Clone(d.Root().JSON()), Limits{}); err != nil {
			t.Fatalf("JSON of %q: %v", text, err)
		}
		if got := reference(again.Root()); !reflect.DeepEqual(got, want) {
			t.Fatalf("JSON of %q (-want +got):\n%s", text, cmp.Diff(want, got))
		}
	})
}

// find looks up every part of want below v and says what is not there.
func find(v Value, want any) string {
	switch want := want.(type) {
	case []any:
		for i, w := range want {
			if s := find(v.Index(i), w); s != "" {
				return fmt.Sprintf("[%d]%s", i, s)
			}
		}
	case map[string]any:
		for k, w := range want {
			if s := find(v.Get(k), w); s != "" {
				return fmt.Sprintf("[%q]%s", k, s)
			}
		}
	default:
		if got := reference(v); !reflect.DeepEqual(got, want) {
			return cmp.Diff(want, got)
		}
	}
	return ""
}

func TestParseLaterReadsWhenAValueIsAskedFor(t *testing.T) {
	t.Parallel()
	var d Document
	if err := d.Parse([]byte(`{"a":0}`), Limits{}); err != nil {
		t.Fatal(err)
	}
	a := CompilePointer("/a")
	for _, tt := range []struct {
		name string
		text []byte
		want string
	}{
		{"a document", []byte(`{"a":1}`), "1"},
		{"one without the value", []byte(`{"b":1}`), ""},
		{"no JSON", []byte(`{"a":1`), ""},
		{"nothing", nil, ""},
		{"a document beyond the limit", []byte(`{"a":"` + strings.Repeat("x", 100) + `"}`), ""},
	} {
		reads := 0
		d.ParseLater(func() []byte { reads++; return tt.text }, Limits{Bytes: 50})
		if reads != 0 {
			t.Errorf("%s: it was read before a value was asked for", tt.name)
		}
		for range 2 {
			if got := string(d.Find(a).Text()); got != tt.want {
				t.Errorf("%s: Find(/a) = %q, want %q", tt.name, got, tt.want)
			}
		}
		if reads != 1 {
			t.Errorf("%s: it was read %d times, want once", tt.name, reads)
		}
	}
	d.ParseLater(func() []byte { t.Error("it was read after Reset"); return nil }, Limits{})
	d.Reset()
	if got := d.Root().Kind(); got != Absent {
		t.Errorf("after Reset: Root is %v, want absent", got)
	}
}
