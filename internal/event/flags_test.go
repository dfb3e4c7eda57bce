package event

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlagTableValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		table  *FlagTable
		native uint64
		value  uint32
		text   string
	}{
		{"no access mode bit means reading", FileFlagTable, 0, 0x1, "O_RDONLY"},
		{"reading and writing is one name", FileFlagTable, 0o2, 0x3, "O_RDWR"},
		{"names come in the order of the table", FileFlagTable, 0o2 | 0o100 | 0o2000000, 0x1007, "O_CREAT|O_RDWR|O_CLOEXEC"},
		{"synchronous writing includes the data", FileFlagTable, 0o4010001, 0x92, "O_SYNC|O_DSYNC|O_WRONLY"},
		{"data alone is not synchronous", FileFlagTable, 0o10001, 0x12, "O_DSYNC|O_WRONLY"},
		{"a bit without a name is lost", FileFlagTable, 1 << 30, 0x1, "O_RDONLY"},
		{"access mode three has no name", FileFlagTable, 3, 0, "O_NONE"},
		{"clone flags change places", CloneFlagTable, 0x10000000 | 17, 0x100000, "CLONE_NEWUSER"},
		{"a set without bits has no name", CloneFlagTable, 17, 0, ""},
		{"a mode is its bits", ChmodModeTable, 0o4755, 0o4755, "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID"},
		{"the magic number of mount is not flags", MountFlagTable, 0xc0ed0001, 1, "RDONLY"},
		{"unmount flags", UmountFlagTable, 3, 3, "FORCE|DETACH"},
		{"a request of ptrace", PtraceRequestTable, 16, 0xb, "PTRACE_ATTACH"},
		{"request zero of ptrace is one", PtraceRequestTable, 0, 1, "PTRACE_TRACEME"},
		{"a request of ptrace that nobody knows", PtraceRequestTable, 0x9999, 0, "PTRACE_UNKNOWN"},
		{"a command of bpf", BPFCommandTable, 5, 5, "BPF_PROG_LOAD"},
		{"a command of bpf that nobody knows keeps its number", BPFCommandTable, 99, 99, ""},
		{"of two names for one command the first counts", BPFCommandTable, 10, 10, "BPF_PROG_TEST_RUN"},
		{"an option of prctl", PrctlOptionTable, 15, 15, "PR_SET_NAME"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tt.table.Value(tt.native)
			if got != tt.value {
				t.Errorf("%s.Value(%#x) = %#x, want %#x", tt.table.Name, tt.native, got, tt.value)
			}
			if text := string(tt.table.AppendNames([]byte("x"), got)); text != "x"+tt.text {
				t.Errorf("%s.AppendNames(x, %#x) = %q, want %q", tt.table.Name, got, text, "x"+tt.text)
			}
		})
	}
}

func TestFlagTablesAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	tables := make(map[string]map[string]uint32)
	for _, row := range readReference(t, "flags.csv") {
		value, err := strconv.ParseUint(row["value_dec"], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		if tables[row["table"]] == nil {
			tables[row["table"]] = make(map[string]uint32)
		}
		tables[row["table"]][row["name"]] = uint32(value)
	}
	for i := range table {
		for _, p := range table[i].Params {
			if p.Flags == nil {
				continue
			}
			got := make(map[string]uint32)
			for _, v := range p.Flags.Values {
				got[v.Name] = v.Value
			}
			if diff := cmp.Diff(tables[p.Flags.Name], got); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", p.Flags.Name, table[i].Name, diff)
			}
		}
	}
}

// readReference returns the rows of a table of the shared reference.
func readReference(t *testing.T, name string) []map[string]string {
	t.Helper()
	dir := os.Getenv("WINDHOVER_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	b, err := os.ReadFile(filepath.Join(dir, "reference", name))
	if os.IsNotExist(err) {
		t.Skip("no shared reference: set WINDHOVER_SHARED to its directory")
	}
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var table []map[string]string
	for _, r := range rows[1:] {
		m := make(map[string]string)
		for i, column := range rows[0] {
			m[column] = r[i]
		}
		table = append(table, m)
	}
	return table
}
