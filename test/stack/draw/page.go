package draw

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// The measures of a page, in pixels: as in Grafana a line is 30 high and 8 apart.
const (
	// Width is how wide a page is.
	Width  = 1400
	margin = 16
	gap    = 8
	line   = 30
	top    = 64
)

var (
	palette = []string{"#2f6fb7", "#e08a1e", "#3a9d5d", "#c23b4b", "#7d5bb5", "#1c9aa0", "#b3609d", "#8a7a2d", "#5c6b7a", "#d9a400", "#4b8f9e", "#9c4a1f"}
	colors  = map[string]string{"green": "#3a9d5d", "yellow": "#d9a400", "orange": "#e08a1e", "red": "#c9303e", "blue": "#2f6fb7", "gray": "#8b95a1"}
)

// Height returns how high the page of d is.
func Height(d *Dashboard) int {
	bottom := 0
	for i := range d.Panels {
		g := d.Panels[i].GridPos
		bottom = max(bottom, g.Y+g.H)
	}
	return top + bottom*(line+gap) + margin
}

// Page writes d with the results of its panels, by their ID, for the time from start
// to end.
func Page(w io.Writer, d *Dashboard, results map[int]Result, start, end time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>%s</title><style>
body{margin:0;background:#f3f4f6;font:13px/1.35 "DejaVu Sans",sans-serif;color:#23272e;width:%dpx;height:%dpx;position:relative;overflow:hidden}
h1{font-size:19px;margin:0;position:absolute;left:%dpx;top:12px}
.about{position:absolute;left:%dpx;top:38px;color:#5d6673}
.when{position:absolute;right:%dpx;top:16px;color:#5d6673;font-size:12px}
.row,.panel{position:absolute;box-sizing:border-box}
.row{font-weight:bold;padding:7px 2px;font-size:14px}
.panel{background:#fff;border:1px solid #dde1e6;border-radius:3px;overflow:hidden}
.panel h2{font-size:12.5px;margin:0;padding:6px 9px 0;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.none{text-align:center;color:#8b95a1;padding-top:12%%}
.number{text-align:center;font-weight:bold;font-size:28px;padding-top:14px}
.bars{padding:5px 9px}.bar{display:flex;align-items:center;height:22px}
.bar span{flex:0 0 42%%;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;font-size:12px}
.bar i{display:block;height:13px;border-radius:1px}.bar b{font-size:12px;padding-left:6px;white-space:nowrap}
.legend{padding:0 9px;font-size:11px;line-height:16px;color:#444b55;overflow:hidden}.legend span{white-space:nowrap;display:inline-block}
.legend i{display:inline-block;width:11px;height:4px;border-radius:2px;margin:0 4px 2px 0}.legend span{margin-right:11px}
table{border-collapse:collapse;width:100%%;font-size:12px;margin-top:4px}th,td{text-align:right;padding:4px 9px;border-top:1px solid #eceef1;white-space:nowrap}
th{color:#2f6fb7;border:0}th.l,td.l{text-align:left}
.records{padding:3px 9px;font:11px/1.45 "DejaVu Sans Mono",monospace}.records div{padding:2px 0 2px 7px;border-left:4px solid;margin-bottom:2px;overflow-wrap:anywhere}
.records time{color:#5d6673;margin-right:7px}
svg text{font-size:10.5px;fill:#5d6673}
</style></head><body><h1>%[1]s</h1><div class="about">%[7]s</div><div class="when">%[8]s to %[9]s</div>`,
		html.EscapeString(d.Title), Width, Height(d), margin, margin, margin,
		html.EscapeString(d.Description), start.UTC().Format("2006-01-02 15:04:05"), end.UTC().Format("15:04:05 UTC"))
	cell := float64(Width-2*margin+gap) / 24
	for i := range d.Panels {
		p := &d.Panels[i]
		g := p.GridPos
		width, height := int(float64(g.W)*cell)-gap, g.H*(line+gap)-gap
		class := "panel"
		if p.Type == "row" {
			class = "row"
		}
		fmt.Fprintf(&b, `<div class="%s" style="left:%dpx;top:%dpx;width:%dpx;height:%dpx">`, class, margin+int(float64(g.X)*cell), top+g.Y*(line+gap), width, height)
		if p.Type == "row" {
			b.WriteString(html.EscapeString(p.Title))
		} else {
			fmt.Fprintf(&b, "<h2>%s</h2>", html.EscapeString(p.Title))
			c := canvas{Builder: &b, width: width, height: height - 26, start: start, end: end}
			c.panel(p, results[p.ID])
		}
		b.WriteString("</div>\n")
	}
	b.WriteString("</body></html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// canvas is where one panel is drawn, below its title.
type canvas struct {
	*strings.Builder
	width, height int
	start, end    time.Time
}

func (c *canvas) panel(p *Panel, r Result) {
	slices.SortStableFunc(r.Series, func(a, b Series) int {
		if p.Type == "bargauge" {
			return cmp.Compare(b.last(), a.last())
		}
		return cmp.Or(cmp.Compare(a.Target, b.Target), strings.Compare(p.name(a), p.name(b)))
	})
	switch {
	case len(r.Series)+len(r.Records) == 0:
		c.WriteString(`<div class="none">No data</div>`)
	case p.Type == "timeseries":
		c.lines(p, r.Series)
	case p.Type == "state-timeline":
		c.timeline(p, r.Series)
	case p.Type == "stat":
		v := r.Series[0].last()
		text, color := c.value(p, v)
		fmt.Fprintf(c, `<div class="number" style="color:%s">%s</div>`, color, html.EscapeString(text))
	case p.Type == "bargauge":
		c.bars(p, r.Series)
	case p.Type == "table":
		c.table(p, r.Series)
	case p.Type == "logs":
		c.records(r.Records)
	default:
		panic("BUG: draw: panel of type " + p.Type)
	}
}

// value returns how a number is written and its color.
func (c *canvas) value(p *Panel, v float64) (text, color string) {
	f := &p.FieldConfig.Defaults
	for _, m := range f.Mappings {
		if r, ok := m.Options[fmt.Sprint(v)]; ok {
			return r.Text, colors[r.Color]
		}
	}
	return quantity(v, f.Unit, f.Decimals), level(f.Thresholds.Steps, v)
}

func level(steps []Step, v float64) string {
	color := colors["blue"]
	for _, s := range steps {
		if s.Value == nil || v >= *s.Value {
			color = colors[s.Color]
		}
	}
	return color
}

func (c *canvas) bars(p *Panel, series []Series) {
	largest := 0.0
	for _, s := range series {
		largest = max(largest, s.last())
	}
	room := (c.height - 10) / 22
	c.WriteString(`<div class="bars">`)
	for _, s := range series[:min(len(series), room)] {
		text, color := c.value(p, s.last())
		width := 1.0
		if largest > 0 {
			width = max(1, s.last()/largest*float64(c.width)*0.38)
		}
		fmt.Fprintf(c, `<div class="bar"><span>%s</span><i style="width:%.0fpx;background:%s"></i><b>%s</b></div>`,
			html.EscapeString(p.name(s)), width, color, html.EscapeString(text))
	}
	c.WriteString("</div>")
}

func (c *canvas) records(records []Record) {
	c.WriteString(`<div class="records">`)
	for _, r := range records[:min(len(records), 60)] {
		color := colors["blue"]
		switch r.Severity {
		case "Warning", "Error":
			color = colors["orange"]
		case "Critical", "Alert", "Emergency":
			color = colors["red"]
		}
		body := r.Body
		if runes := []rune(body); len(runes) > 240 {
			body = string(runes[:240]) + "…"
		}
		fmt.Fprintf(c, `<div style="border-color:%s"><time>%s</time>%s</div>`, color, r.Time.UTC().Format("15:04:05.000"), html.EscapeString(body))
	}
	c.WriteString("</div>")
}

func (c *canvas) table(p *Panel, series []Series) {
	var order map[string]int
	var names map[string]string
	for _, t := range p.Transformations {
		if t.ID == "organize" {
			order, names = t.Options.IndexByName, t.Options.RenameByName
		}
	}
	columns := slices.SortedFunc(maps.Keys(order), func(a, b string) int { return cmp.Compare(order[a], order[b]) })
	var labels []string // the columns that are no value
	for _, column := range columns {
		if names[column] == "" {
			labels = append(labels, column)
		}
	}
	rows := map[string]map[string]float64{}
	cells := map[string][]string{}
	for _, s := range series {
		var row []string
		for _, l := range labels {
			row = append(row, s.Labels[l])
		}
		key := strings.Join(row, "\x00")
		if rows[key] == nil {
			rows[key], cells[key] = map[string]float64{}, row
		}
		rows[key]["Value #"+p.Targets[s.Target].RefID] = s.last()
	}
	c.WriteString("<table><tr>")
	for _, l := range labels {
		fmt.Fprintf(c, `<th class="l">%s</th>`, html.EscapeString(l))
	}
	for _, column := range columns[len(labels):] {
		fmt.Fprintf(c, "<th>%s</th>", html.EscapeString(names[column]))
	}
	c.WriteString("</tr>")
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		c.WriteString("<tr>")
		for _, cell := range cells[key] {
			fmt.Fprintf(c, `<td class="l">%s</td>`, html.EscapeString(cell))
		}
		for _, column := range columns[len(labels):] {
			style, text := "", ""
			if v, ok := rows[key][column]; ok {
				text = quantity(v, p.FieldConfig.Defaults.Unit, nil)
				if names[column] == "unaccounted" {
					style = ` style="color:` + colors["green"] + `"`
					if v > 0 {
						style = ` style="color:` + colors["red"] + `"`
					}
				}
			}
			fmt.Fprintf(c, "<td%s>%s</td>", style, text)
		}
		c.WriteString("</tr>")
	}
	c.WriteString("</table>")
}

// legendHeight returns how high the legend becomes: at most three lines.
func (c *canvas) legendHeight(names []string) int {
	lines, x := 1, 0
	for _, n := range names {
		w := 30 + 13*len([]rune(n))/2
		if x += w; x > c.width-18 {
			lines, x = lines+1, w
		}
	}
	return 16*min(lines, 3) + 4
}

// legend writes the names of series with their colors, as many as fit.
func (c *canvas) legend(names []string, color func(i int) string) {
	fmt.Fprintf(c, `<div class="legend" style="max-height:%dpx">`, c.legendHeight(names)-4)
	for i, n := range names {
		fmt.Fprintf(c, `<span><i style="background:%s"></i>%s</span>`, color(i), html.EscapeString(n))
	}
	c.WriteString("</div>")
}

func colorOf(i int) string { return palette[i%len(palette)] }

// plot is the area of a graph inside its axes.
type plot struct{ left, top, width, height float64 }

func (c *canvas) x(a plot, t time.Time) float64 {
	return a.left + a.width*float64(t.Sub(c.start))/float64(c.end.Sub(c.start))
}

// times writes the axis of time.
func (c *canvas) times(a plot) {
	span := c.end.Sub(c.start)
	step := time.Second
	for _, step = range []time.Duration{5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
		if float64(span/step)*70 < a.width {
			break
		}
	}
	for t := c.start.UTC().Truncate(step).Add(step); !t.After(c.end); t = t.Add(step) {
		x := c.x(a, t)
		fmt.Fprintf(c, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#eceef1"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`,
			x, x, a.top, a.top+a.height, x, a.top+a.height+14, t.Format("15:04:05"))
	}
}

func (c *canvas) lines(p *Panel, series []Series) {
	f := &p.FieldConfig.Defaults
	stacked := f.Custom.Stacking.Mode == "normal"
	highest := 0.0
	sums := map[int64]float64{}
	for _, s := range series {
		for _, q := range s.Points {
			if math.IsNaN(q.Value) || math.IsInf(q.Value, 0) {
				continue
			}
			v := q.Value
			if stacked {
				sums[q.Time.UnixMilli()] += v
				v = sums[q.Time.UnixMilli()]
			}
			highest = max(highest, v)
		}
	}
	names := make([]string, len(series))
	for i, s := range series {
		names[i] = p.name(s)
	}
	limit := ceiling(highest * 1.02)
	if f.Unit == "bytes" {
		unit := math.Pow(1024, max(0, math.Floor(math.Log2(max(1, highest))/10)))
		limit = ceiling(highest*1.02/unit) * unit
	}
	if f.Max != nil {
		limit = *f.Max
	}
	a := plot{left: 66, top: 8, width: float64(c.width) - 66 - 12, height: float64(c.height-c.legendHeight(names)) - 8 - 24}
	y := func(v float64) float64 { return a.top + a.height*(1-min(v, limit)/limit) }
	fmt.Fprintf(c, `<svg width="%d" height="%d" style="display:block">`, c.width, c.height-c.legendHeight(names)-4)
	c.times(a)
	for i := range 5 {
		v := limit * float64(i) / 4
		fmt.Fprintf(c, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#e3e6ea"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`,
			a.left, a.left+a.width, y(v), y(v), a.left-5, y(v)+3.5, html.EscapeString(quantity(v, f.Unit, nil)))
	}
	if f.Custom.ThresholdsStyle.Mode == "dashed" {
		for _, s := range f.Thresholds.Steps {
			if s.Value != nil {
				fmt.Fprintf(c, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="%s" stroke-dasharray="6 4"/>`, a.left, a.left+a.width, y(*s.Value), y(*s.Value), colors[s.Color])
			}
		}
	}
	if stacked {
		c.stack(a, y, series)
	} else {
		for i, s := range series {
			c.curve(a, y, s, colorOf(i))
		}
	}
	c.WriteString("</svg>")
	c.legend(names, colorOf)
}

// curve draws one line, with gaps where points are missing.
func (c *canvas) curve(a plot, y func(float64) float64, s Series, color string) {
	step := shortest(s.Points)
	var path strings.Builder
	var run []Point
	flush := func() {
		if len(run) == 1 {
			fmt.Fprintf(c, `<circle cx="%.1f" cy="%.1f" r="1.5" fill="%s"/>`, c.x(a, run[0].Time), y(run[0].Value), color)
		} else if len(run) > 1 {
			path.Reset()
			for i, q := range run {
				op := "L"
				if i == 0 {
					op = "M"
				}
				fmt.Fprintf(&path, "%s%.1f %.1f", op, c.x(a, q.Time), y(q.Value))
			}
			fmt.Fprintf(c, `<path d="%sL%.1f %.1fL%.1f %.1fZ" fill="%s" opacity=".09"/><path d="%s" fill="none" stroke="%s" stroke-width="1.4"/>`,
				path.String(), c.x(a, run[len(run)-1].Time), a.top+a.height, c.x(a, run[0].Time), a.top+a.height, color, path.String(), color)
		}
		run = run[:0]
	}
	for _, q := range s.Points {
		if math.IsNaN(q.Value) || math.IsInf(q.Value, 0) {
			flush()
			continue
		}
		if len(run) > 0 && q.Time.Sub(run[len(run)-1].Time) > step*3/2 {
			flush()
		}
		run = append(run, q)
	}
	flush()
}

// stack draws bars that add up.
func (c *canvas) stack(a plot, y func(float64) float64, series []Series) {
	step := time.Duration(math.MaxInt64)
	for _, s := range series {
		step = min(step, shortest(s.Points))
	}
	width := max(1, a.width*float64(step)/float64(c.end.Sub(c.start))*0.85)
	sums := map[int64]float64{}
	for i, s := range series {
		for _, q := range s.Points {
			if math.IsNaN(q.Value) || q.Value == 0 {
				continue
			}
			low := sums[q.Time.UnixMilli()]
			sums[q.Time.UnixMilli()] = low + q.Value
			left := max(a.left, c.x(a, q.Time)-width/2)
			right := min(a.left+a.width, c.x(a, q.Time)+width/2)
			fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, left, y(low+q.Value), max(0, right-left), y(low)-y(low+q.Value), colorOf(i))
		}
	}
}

// shortest returns the least time between two points.
func shortest(points []Point) time.Duration {
	step := time.Hour
	for i := 1; i < len(points); i++ {
		step = min(step, points[i].Time.Sub(points[i-1].Time))
	}
	return step
}

func (c *canvas) timeline(p *Panel, series []Series) {
	legend := len(p.FieldConfig.Defaults.Mappings) > 0
	foot := 24.0
	if legend {
		foot = 44
	}
	a := plot{left: 190, top: 6, width: float64(c.width) - 190 - 12, height: float64(c.height) - 6 - foot}
	fmt.Fprintf(c, `<svg width="%d" height="%.0f">`, c.width, float64(c.height)-foot+22)
	c.times(a)
	each := min(34, a.height/float64(len(series)))
	for i, s := range series {
		top := a.top + each*float64(i)
		name := p.name(s)
		if runes := []rune(name); len(runes) > 30 {
			name = string(runes[:29]) + "…"
		}
		fmt.Fprintf(c, `<text x="%.1f" y="%.1f" text-anchor="end">%s</text>`, a.left-6, top+each/2+3.5, html.EscapeString(name))
		step := shortest(s.Points)
		for j := 0; j < len(s.Points); {
			_, color := c.value(p, s.Points[j].Value)
			k := j + 1
			for ; k < len(s.Points) && s.Points[k].Time.Sub(s.Points[k-1].Time) <= step*3/2; k++ {
				if _, other := c.value(p, s.Points[k].Value); other != color {
					break
				}
			}
			from, to := c.x(a, s.Points[j].Time), min(a.left+a.width, c.x(a, s.Points[k-1].Time.Add(step)))
			fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, from, top+each*0.12, max(0, to-from), each*0.76, color)
			j = k
		}
	}
	c.WriteString("</svg>")
	if !legend {
		return
	}
	options := p.FieldConfig.Defaults.Mappings[0].Options
	keys := slices.SortedFunc(maps.Keys(options), func(a, b string) int { return cmp.Compare(options[a].Index, options[b].Index) })
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = options[k].Text
	}
	c.legend(names, func(i int) string { return colors[options[keys[i]].Color] })
}
