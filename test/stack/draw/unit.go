package draw

import (
	"math"
	"strconv"
	"strings"
)

// quantity writes v as Grafana does in that unit, near enough.
func quantity(v float64, unit string, decimals *int) string {
	if math.IsNaN(v) {
		return "–"
	}
	text := func(v float64, suffix string) string {
		n := 0
		if a := math.Abs(v); decimals != nil {
			n = *decimals
		} else if v != math.Trunc(v) && a < 100 {
			n = 2
			if a >= 10 {
				n = 1
			}
		}
		s := strconv.FormatFloat(v, 'f', n, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s + suffix
	}
	scale := func(v, step float64, names ...string) string {
		for _, n := range names[:len(names)-1] {
			if math.Abs(v) < step {
				return text(v, n)
			}
			v /= step
			decimals = nil
		}
		return text(v, names[len(names)-1])
	}
	switch unit {
	case "percentunit":
		if v != 0 && math.Abs(v) < 0.0001 {
			return "<0.01%"
		}
		return text(v*100, "%")
	case "bytes":
		return scale(v, 1024, " B", " KiB", " MiB", " GiB")
	case "s":
		switch a := math.Abs(v); {
		case a == 0:
			return "0 s"
		case a < 1e-6:
			return text(v*1e9, " ns")
		case a < 1e-3:
			return text(v*1e6, " µs")
		case a < 1:
			return text(v*1e3, " ms")
		}
		return text(v, " s")
	case "eps":
		return scale(v, 1000, " evt/s", "K evt/s", "M evt/s")
	case "cpm":
		return scale(v, 1000, " /min", "K /min", "M /min")
	case "ops":
		return scale(v, 1000, " /s", "K /s", "M /s")
	}
	if suffix, ok := strings.CutPrefix(unit, "suffix:"); ok {
		if v != 0 && math.Abs(v) < 0.01 {
			return strconv.FormatFloat(v, 'g', 2, 64) + suffix
		}
		return text(v, suffix)
	}
	return scale(v, 1000, "", "K", "M", "G")
}

// ceiling returns a round number that is not below v.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 4, 5, 8, 10} {
		if v <= m*unit*(1+1e-9) {
			return m * unit
		}
	}
	return 10 * unit
}
