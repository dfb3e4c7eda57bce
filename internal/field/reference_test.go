package field

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func TestReferencePages(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]func() string{"fields.md": FieldsReference, "events.md": EventsReference} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, got := filepath.Join("..", "..", "docs", name), page()
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s differs, run make golden (-want +got):\n%s", file, diff)
			}
		})
	}
}
