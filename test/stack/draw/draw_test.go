package draw

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"
	"time"
)

func TestQuantity(t *testing.T) {
	t.Parallel()
	whole := 0
	for _, tt := range []struct {
		name     string
		value    float64
		unit     string
		decimals *int
		want     string
	}{
		{"a share is in percent", 0.243, "percentunit", nil, "24.3%"},
		{"a small share is not zero", 0.00001, "percentunit", nil, "<0.01%"},
		{"bytes are powers of 1024", 3 << 19, "bytes", nil, "1.5 MiB"},
		{"nanoseconds", 161e-9, "s", nil, "161 ns"},
		{"microseconds", 11.2e-6, "s", nil, "11.2 µs"},
		{"thousands of events", 84000, "eps", nil, "84K evt/s"},
		{"a whole number stays one", 250, "short", &whole, "250"},
		{"thousands have a fraction even then", 5790, "short", &whole, "5.79K"},
		{"a suffix is written", 0.125, "suffix: cores", nil, "0.12 cores"},
		{"no number is a dash", math.NaN(), "short", nil, "–"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := quantity(tt.value, tt.unit, tt.decimals); got != tt.want {
				t.Errorf("quantity(%v, %q) = %q, want %q", tt.value, tt.unit, got, tt.want)
			}
		})
	}
}

func TestPageShowsWhatQueriesReturn(t *testing.T) {
	t.Parallel()
	d, err := Read([]byte(`{"title": "Page <1>", "panels": [
{"id": 1, "type": "row", "title": "Row", "gridPos": {"h": 1, "w": 24, "x": 0, "y": 0}},
{"id": 2, "type": "stat", "title": "Ledger", "gridPos": {"h": 4, "w": 4, "x": 0, "y": 1}, "targets": [{"refId": "A"}],
 "fieldConfig": {"defaults": {"mappings": [{"options": {"0": {"text": "balances", "color": "green"}}}]}}},
{"id": 3, "type": "timeseries", "title": "Lines", "gridPos": {"h": 8, "w": 12, "x": 0, "y": 5}, "targets": [{"refId": "A", "legendFormat": "{{source}} {{lane}}"}]},
{"id": 4, "type": "logs", "title": "Records", "gridPos": {"h": 8, "w": 12, "x": 12, "y": 5}, "targets": [{"refId": "A"}]},
{"id": 5, "type": "bargauge", "title": "Nothing", "gridPos": {"h": 8, "w": 12, "x": 0, "y": 13}, "targets": [{"refId": "A"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	points := []Point{{start, 1}, {start.Add(time.Second), math.NaN()}, {start.Add(2 * time.Second), 3}}
	var b bytes.Buffer
	err = Page(&b, d, map[int]Result{
		2: {Series: []Series{{Points: []Point{{start, 0}}}}},
		3: {Series: []Series{{Labels: map[string]string{"source": "a&b", "lane": "bulk"}, Points: points}}},
		4: {Records: []Record{{Time: start, Severity: "Critical", Body: "<script>"}}},
	}, start, start.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{"Page &lt;1&gt;", ">Row<", ">balances<", "a&amp;b bulk", "&lt;script&gt;", "03:04:05.000", "No data"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "NaN") || strings.Contains(page, "%!") {
		t.Errorf("the page has a number that is none:\n%s", page)
	}
}

func TestShrinkKeepsFlatColors(t *testing.T) {
	t.Parallel()
	from := image.NewRGBA(image.Rect(0, 0, 300, 300))
	for y := range 300 {
		for x := range 300 {
			c := color.RGBA{255, 255, 255, 255}
			if x > y {
				c = color.RGBA{uint8(x), uint8(y), 200, 255}
			}
			if y > 200 {
				c = color.RGBA{203, 48, 60, 255}
			}
			from.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, from); err != nil {
		t.Fatal(err)
	}
	small, err := Shrink(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	to, err := png.Decode(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := to.(*image.Paletted); !ok || len(p.Palette) > 256 {
		t.Errorf("the picture is a %T, want one with a palette", to)
	}
	for _, at := range []image.Point{{0, 100}, {10, 250}} {
		want, got := color.RGBAModel.Convert(from.At(at.X, at.Y)), color.RGBAModel.Convert(to.At(at.X, at.Y))
		if got != want {
			t.Errorf("color at %v = %v, want %v", at, got, want)
		}
	}
}
