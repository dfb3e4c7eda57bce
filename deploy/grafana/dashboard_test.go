package grafana

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the dashboards")

func TestFilesAreWhatTheTablesSay(t *testing.T) {
	t.Parallel()
	want := Dashboards()
	for name, text := range want {
		path := filepath.Join("dashboards", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, text) {
			t.Errorf("%s differs: run make golden", path)
		}
	}
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("dashboards/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if files = append(files, more...); len(files) != len(want) {
		t.Errorf("%d files, want %d: %v", len(files), len(want), files)
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	t.Parallel()
	for _, d := range []dashboard{losses(victoriaLogs), losses(loki), alerts(victoriaLogs), alerts(loki), cost()} {
		for _, r := range d.rows {
			taken := map[[2]int]string{}
			for _, p := range r.panels {
				if p.at.x+p.at.w > 24 {
					t.Errorf("%s: %s ends at column %d, a page has 24", d.title, p.title, p.at.x+p.at.w)
				}
				for x := p.at.x; x < p.at.x+p.at.w; x++ {
					for y := p.at.y; y < p.at.y+p.at.h; y++ {
						if other, ok := taken[[2]int{x, y}]; ok {
							t.Fatalf("%s: %s and %s overlap", d.title, p.title, other)
						}
						taken[[2]int{x, y}] = p.title
					}
				}
			}
		}
	}
}
