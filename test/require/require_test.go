package require

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLacking(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, status string
		noBTF        bool
		want         string
	}{
		{name: "root has all", status: "Name:\tx\nCapEff:\t000001ffffffffff\n"},
		{name: "bpf and perfmon are enough", status: "CapEff:\t000000c000000000\n"},
		{name: "bpf without perfmon is not", status: "CapEff:\t0000008000000000\n", want: "needs CAP_BPF and CAP_PERFMON"},
		{name: "nobody has none", status: "CapEff:\t0000000000000000\n", want: "needs CAP_BPF and CAP_PERFMON"},
		{name: "the kernel has no types", status: "CapEff:\t000001ffffffffff\n", noBTF: true, want: "find kernel types"},
		{name: "the set is no number", status: "CapEff:\tall\n", want: "read capabilities"},
		{name: "there is no set", status: "Name:\tx\n", want: "no CapEff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			btf, status := filepath.Join(dir, "btf"), filepath.Join(dir, "status")
			if !tt.noBTF {
				write(t, btf, "")
			}
			write(t, status, tt.status)
			err := lacking(btf, status)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("lacking(%q) = %v, want nil", tt.status, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("lacking(%q) = %v, want an error with %q", tt.status, err, tt.want)
			}
		})
	}
}

func write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
