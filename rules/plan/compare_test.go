package plan

import (
	"strings"
	"testing"
)

func TestTextSet(t *testing.T) {
	t.Parallel()
	long, longer := strings.Repeat("x", 63), strings.Repeat("x", 200)
	test := newTextSet([]string{"cat", "/etc/passwd", "\xff\x00", long, longer}).test()
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"a member", "cat", true},
		{"a member with other bytes than letters", "\xff\x00", true},
		{"a member of 63 bytes", long, true},
		{"a longer member", longer, true},
		{"another text of that length and last byte", "bat", false},
		{"another last byte", "can", false},
		{"a last byte with the same lower bits", "ca4", false},
		{"another length", "at", false},
		{"a long text that is no member", strings.Repeat("x", 100), false},
		{"the empty text", "", false},
	} {
		if got := test([]byte(tt.text)); got != tt.want {
			t.Errorf("%s: the set has %q: %v, want %v", tt.name, tt.text, got, tt.want)
		}
	}
	if void := newTextSet([]string{"", "a"}).test(); !void(nil) || !void([]byte("a")) || void([]byte("b")) {
		t.Error("a set with the empty text has other members than it and a")
	}
}
