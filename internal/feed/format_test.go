package feed

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windhover/windhover/internal/document"
)

func TestClockReads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, format, in string
		want             int64
		ok               bool
	}{
		{"RFC 3339", "rfc3339", `"2024-05-13T13:13:49.5Z"`, 1715606029_500000000, true},
		{"RFC 3339 with a zone", "rfc3339", `"2024-05-13T15:13:49+02:00"`, 1715606029_000000000, true},
		{"seconds", "unix", `1715606029`, 1715606029_000000000, true},
		{"seconds with every digit of their fraction", "unix", `1715606029.123456789`, 1715606029_123456789, true},
		{"seconds with more digits than there are nanoseconds", "unix", `1715606029.1234567899`, 1715606029_123456789, true},
		{"seconds in quotes", "unix", `"1715606029.5"`, 1715606029_500000000, true},
		{"seconds before the epoch", "unix", `-1.5`, -1_500000000, true},
		{"milliseconds", "unix_ms", `1715606029123`, 1715606029_123000000, true},
		{"microseconds", "unix_us", `1715606029123456`, 1715606029_123456000, true},
		{"nanoseconds", "unix_ns", `1715606029123456789`, 1715606029_123456789, true},
		{"the epoch", "unix", `0`, 0, true},
		{"no exponent", "unix", `1e9`, 0, false},
		{"no seconds beyond 64 bits", "unix", `99999999999`, 0, false},
		{"no nanoseconds beyond 64 bits", "unix_ns", `9999999999999999999`, 0, false},
		{"no words", "unix", `"yesterday"`, 0, false},
		{"no empty text", "unix", `""`, 0, false},
		{"no sign alone", "unix", `"-"`, 0, false},
		{"no number as RFC 3339", "rfc3339", `1715606029`, 0, false},
		{"no null", "rfc3339", `null`, 0, false},
		{"no list", "unix", `[1]`, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := NewClock("at", tt.format)
			if err != nil {
				t.Fatal(err)
			}
			var d document.Document
			if err := d.Parse([]byte(`{"at":`+tt.in+`}`), document.Limits{}); err != nil {
				t.Fatal(err)
			}
			if got, ok := c.Read(&d); got != tt.want || ok != tt.ok {
				t.Errorf("Read(%s) as %s = %d, %v, want %d, %v", tt.in, tt.format, got, ok, tt.want, tt.ok)
			}
		})
	}
}

// FuzzDecimal checks numbers against those that strconv reads.
func FuzzDecimal(f *testing.F) {
	for _, seed := range []string{"0", "1715606029.25", "-3", "9223372036", "9223372037", "1e3", "1.", ".5", "00012", "-0.000000001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := decimal([]byte(text), time.Second)
		if !ok {
			return
		}
		want, err := strconv.ParseFloat(strings.TrimSuffix(text, "."), 64)
		if err != nil {
			t.Fatalf("decimal(%q) = %d, but it is no number", text, got)
		}
		// A float64 has 53 bits.
		if diff := float64(got)/1e9 - want; diff > 1e-5 || diff < -1e-5 {
			t.Fatalf("decimal(%q) = %d, want %v seconds", text, got, want)
		}
	})
}
