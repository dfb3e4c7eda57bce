package syscallreceiver

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/event"
)

// recorded returns a file of samples.
func recorded(t testing.TB, samples ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewSampleWriter(&b, 77)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range samples {
		if err := w.Write(event.Lane(i%2), s); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSamplesAreReadAsWritten(t *testing.T) {
	t.Parallel()
	in := [][]byte{[]byte("one"), nil, bytes.Repeat([]byte("x"), 100_000)}
	r, err := NewSampleReader(bytes.NewReader(recorded(t, in...)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Offset() != 77 {
		t.Errorf("offset = %d, want 77", r.Offset())
	}
	for i, want := range in {
		lane, got, err := r.Next()
		if err != nil || lane != event.Lane(i%2) || !bytes.Equal(got, want) {
			t.Errorf("sample %d = lane %v, %d bytes, %v; want lane %d, %d bytes", i, lane, len(got), err, i%2, len(want))
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last sample: %v, want EOF", err)
	}
}

func TestSampleFilesThatAreNone(t *testing.T) {
	t.Parallel()
	whole := string(recorded(t, []byte("one")))
	header := whole[:samplesHeader]
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "no file of samples"},
		{"something else", strings.Repeat("x", 100), "no file of samples"},
		{"a cut header", header[:samplesHeader-1], "no file of samples"},
		{"another byte order", samplesMagic + "\x00\x00\x00\x01" + whole[len(samplesMagic)+4:], "another byte order"},
		{"a cut sample", whole[:len(whole)-1], "unexpected EOF"},
		{"a cut record header", header + "\x01\x00", "unexpected EOF"},
		{"a sample larger than any", header + "\xff\xff\xff\xff\x00", "record of 4294967295 bytes"},
		{"a lane that is none", header + "\x00\x00\x00\x00\x09", "lane 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := NewSampleReader(strings.NewReader(tt.in))
			if err == nil {
				_, _, err = r.Next()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want %s", err, tt.want)
			}
		})
	}
}
