package grafana

// look is how a panel shows what its queries return.
type look interface {
	// kind returns the type of panel in Grafana.
	kind() string
	settings(ask []query) (fieldConfigModel, any, []transformation)
}

// runbooks is where it says what to do.
const runbooks = "https://github.com/windhover/windhover/blob/main/docs/runbooks.md"

// Units, as Grafana names them.
const (
	perSecond = "eps"
	perMinute = "cpm"
	count     = "short"
	share     = "percentunit"
	bytesUsed = "bytes"
	seconds   = "s"
	cores     = "suffix: cores"
)

// level is where a value begins to matter.
type level struct {
	from  float64
	color string
}

var (
	// noneIsGood is for what must be zero.
	noneIsGood = []level{{0, "green"}, {1e-9, "red"}}
	// fills is for what can be full.
	fills = []level{{0, "green"}, {0.5, "yellow"}, {0.8, "red"}}
	// plain is for what is neither good nor bad.
	plain = []level{{0, "blue"}}
)

// The parts of Grafana's model that say how a panel looks.

type fieldConfigModel struct {
	Defaults  fieldDefaults   `json:"defaults"`
	Overrides []fieldOverride `json:"overrides"`
}

type fieldDefaults struct {
	Unit       string          `json:"unit,omitempty"`
	Decimals   *int            `json:"decimals,omitempty"`
	Min        *float64        `json:"min,omitempty"`
	Max        *float64        `json:"max,omitempty"`
	NoValue    string          `json:"noValue,omitempty"`
	Color      *colorModel     `json:"color,omitempty"`
	Thresholds *thresholdModel `json:"thresholds,omitempty"`
	Mappings   []mappingModel  `json:"mappings,omitempty"`
	Custom     any             `json:"custom,omitempty"`
}

type fieldOverride struct {
	Matcher    matcherModel    `json:"matcher"`
	Properties []propertyModel `json:"properties"`
}

type matcherModel struct {
	ID      string `json:"id"`
	Options string `json:"options"`
}

type propertyModel struct {
	ID    string `json:"id"`
	Value any    `json:"value"`
}

type colorModel struct {
	Mode string `json:"mode"`
}

type thresholdModel struct {
	Mode  string      `json:"mode"`
	Steps []stepModel `json:"steps"`
}

type stepModel struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

type mappingModel struct {
	Type    string                   `json:"type"`
	Options map[string]mappingResult `json:"options"`
}

type mappingResult struct {
	Text  string `json:"text"`
	Color string `json:"color"`
	Index int    `json:"index"`
}

func thresholds(levels []level) *thresholdModel {
	m := &thresholdModel{Mode: "absolute"}
	for i, l := range levels {
		s := stepModel{Color: l.color}
		if i > 0 {
			s.Value = &l.from
		}
		m.Steps = append(m.Steps, s)
	}
	return m
}

type object map[string]any

var (
	zero, one = 0.0, 1.0
	whole     = new(int)
)

// lines draws each series over time; stacked ones are bars that add up.
type lines struct {
	unit    string
	stacked bool
	levels  []level // drawn as lines; nil: none
}

func (lines) kind() string { return "timeseries" }

func (l lines) settings([]query) (fieldConfigModel, any, []transformation) {
	custom := object{
		"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 10,
		"showPoints": "never", "spanNulls": false, "stacking": object{"mode": "none", "group": "A"},
		"thresholdsStyle": object{"mode": "off"},
	}
	if l.stacked {
		custom["drawStyle"], custom["fillOpacity"] = "bars", 80
		custom["stacking"] = object{"mode": "normal", "group": "A"}
	}
	levels := plain
	if l.levels != nil {
		levels = l.levels
		custom["thresholdsStyle"] = object{"mode": "dashed"}
	}
	defaults := fieldDefaults{
		Unit: l.unit, Min: &zero, Color: &colorModel{"palette-classic-by-name"}, Thresholds: thresholds(levels), Custom: custom,
	}
	if l.unit == share {
		defaults.Max = &one
	}
	return fieldConfigModel{Defaults: defaults, Overrides: []fieldOverride{}}, object{
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": object{"mode": "multi", "sort": "desc"},
	}, nil
}

// lastValue says which value of a series a panel with one number for each shows.
var lastValue = object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}

// number shows one value.
type number struct {
	unit   string
	levels []level
	zero   string // what 0 means, in a word; empty: 0
}

func (number) kind() string { return "stat" }

func (n number) settings([]query) (fieldConfigModel, any, []transformation) {
	defaults := fieldDefaults{Unit: n.unit, Color: &colorModel{"thresholds"}, Thresholds: thresholds(n.levels), NoValue: "no value"}
	if n.unit == count {
		defaults.Decimals = whole
	}
	if n.zero != "" {
		defaults.Mappings = []mappingModel{{Type: "value", Options: map[string]mappingResult{"0": {Text: n.zero, Color: n.levels[0].color}}}}
	}
	return fieldConfigModel{Defaults: defaults, Overrides: []fieldOverride{}}, object{
		"reduceOptions": lastValue, "orientation": "auto", "textMode": "value", "colorMode": "value", "graphMode": "none",
		"justifyMode": "center", "wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
	}, nil
}

// bars shows one value for each series, as a bar, the largest first where the query
// sorts them so.
type bars struct {
	unit   string
	levels []level
}

func (bars) kind() string { return "bargauge" }

func (b bars) settings([]query) (fieldConfigModel, any, []transformation) {
	defaults := fieldDefaults{Unit: b.unit, Min: &zero, Color: &colorModel{"thresholds"}, Thresholds: thresholds(b.levels)}
	return fieldConfigModel{Defaults: defaults, Overrides: []fieldOverride{}}, object{
		"reduceOptions": lastValue, "orientation": "horizontal", "displayMode": "basic", "valueMode": "text", "namePlacement": "left",
		"showUnfilled": false, "sizing": "auto", "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 32,
		"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": false, "calcs": []string{}},
	}, nil
}

// timeline shows for each series when it was at which level.
type timeline struct {
	unit   string
	levels []level
	states []state // names of the values; nil: by level
}

// state is a value that stands for a word.
type state struct{ value, word, color string }

func (timeline) kind() string { return "state-timeline" }

func (l timeline) settings([]query) (fieldConfigModel, any, []transformation) {
	defaults := fieldDefaults{
		Unit: l.unit, Color: &colorModel{"thresholds"}, Thresholds: thresholds(l.levels),
		Custom: object{"fillOpacity": 80, "lineWidth": 0},
	}
	if l.states != nil {
		names := map[string]mappingResult{}
		for i, s := range l.states {
			names[s.value] = mappingResult{Text: s.word, Color: s.color, Index: i}
		}
		defaults.Mappings = []mappingModel{{Type: "value", Options: names}}
	}
	return fieldConfigModel{Defaults: defaults, Overrides: []fieldOverride{}}, object{
		"alignValue": "left", "mergeValues": true, "rowHeight": 0.8, "showValue": "never",
		"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": l.states != nil, "calcs": []string{}},
		"tooltip": object{"mode": "single", "sort": "none"},
	}, nil
}

// table has a line for each set of labels and a column for each query.
type table struct {
	unit   string
	labels []string // the labels, which become the first columns
	gap    string   // the column whose value must be zero; empty: none
}

func (table) kind() string { return "table" }

func (t table) settings(ask []query) (fieldConfigModel, any, []transformation) {
	names, places := object{}, object{}
	for i, l := range t.labels {
		places[l] = i
	}
	for i, q := range ask {
		value := "Value"
		if len(ask) > 1 {
			value = "Value #" + string(rune('A'+i))
		}
		names[value], places[value] = q.column, len(t.labels)+i
	}
	c := fieldConfigModel{
		Defaults:  fieldDefaults{Unit: t.unit, Thresholds: thresholds(plain), Custom: object{"align": "auto", "cellOptions": object{"type": "auto"}, "inspect": false}},
		Overrides: []fieldOverride{},
	}
	if t.gap != "" {
		steps := []stepModel{{"red", nil}, {"green", new(float64)}, {"red", &one}}
		c.Overrides = append(c.Overrides, fieldOverride{
			Matcher: matcherModel{ID: "byName", Options: t.gap},
			Properties: []propertyModel{
				{"color", colorModel{"thresholds"}},
				{"thresholds", thresholdModel{Mode: "absolute", Steps: steps}},
				{"custom.cellOptions", object{"type": "color-text"}},
			},
		})
	}
	return c, object{"showHeader": true, "cellHeight": "sm", "frameIndex": 0}, []transformation{
		{ID: "merge", Options: object{}},
		{ID: "organize", Options: object{"excludeByName": object{"Time": true}, "renameByName": names, "indexByName": places}},
	}
}

// records lists log records, the newest first.
type records struct{}

func (records) kind() string { return "logs" }

func (records) settings([]query) (fieldConfigModel, any, []transformation) {
	return fieldConfigModel{Overrides: []fieldOverride{}}, object{
		"showTime": true, "showLabels": false, "showCommonLabels": false, "showLogContextToggle": false, "wrapLogMessage": true,
		"prettifyLogMessage": false, "enableLogDetails": true, "dedupStrategy": "none", "sortOrder": "Descending",
	}, nil
}
