// Package grafana holds Windhover's dashboards for Grafana. losses.go, alerts.go and
// cost.go say what is on them, look.go how it looks; the test writes the files in
// dashboards/ that users install, with -update.
package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Dashboards returns the files to install by their path.
func Dashboards() map[string][]byte {
	files := map[string][]byte{}
	for path, d := range map[string]dashboard{
		"losses.json":      losses(victoriaLogs),
		"alerts.json":      alerts(victoriaLogs),
		"cost.json":        cost(),
		"loki/losses.json": losses(loki),
		"loki/alerts.json": alerts(loki),
	} {
		files[path] = d.render()
	}
	return files
}

// store is a kind of log store: the type of its data source in Grafana.
type store string

const (
	victoriaLogs store = "victoriametrics-logs-datasource"
	loki         store = "loki"
)

// dashboard is one page.
type dashboard struct {
	uid, title, doc string
	logs            store  // where its records are; empty: it shows none
	sources         bool   // it can be narrowed to some sources
	episodes        string // query of the records that are marked in graphs; empty: none
	rows            []row
}

// row is a part of a page with a heading.
type row struct {
	title  string
	panels []panel
}

// panel is one graph, number, table or list of records.
type panel struct {
	title string
	doc   string // what it says and what to do about it
	at    at
	look  look
	ask   []query
}

// at is the place of a panel in its row, in cells: a page is 24 wide.
type at struct{ x, y, w, h int }

// query is one question to a data source. Of the three texts one is set.
//
// In promql {*} stands for the sources and instances that were chosen, {@} for the
// instances, {*, and {@, begin such a selector.
type query struct {
	promql string
	logsql string
	loki   string

	legend string
	now    bool   // one value for each series at the end of the time shown, not a line
	column string // heading in a table
}

var selectors = strings.NewReplacer(
	"{*}", `{instance=~"$instance",source=~"$source"}`,
	"{*,", `{instance=~"$instance",source=~"$source",`,
	"{@}", `{instance=~"$instance"}`,
	"{@,", `{instance=~"$instance",`,
)

// What follows are the parts of Grafana's dashboard model that Windhover uses, under
// the names of that model. Its version is that of schemaVersion.

const schemaVersion = 42

type dashboardModel struct {
	UID           string           `json:"uid"`
	Title         string           `json:"title"`
	Description   string           `json:"description"`
	Tags          []string         `json:"tags"`
	SchemaVersion int              `json:"schemaVersion"`
	Editable      bool             `json:"editable"`
	GraphTooltip  int              `json:"graphTooltip"`
	Refresh       string           `json:"refresh"`
	Time          timeModel        `json:"time"`
	Links         []linkModel      `json:"links"`
	Templating    templatingModel  `json:"templating"`
	Annotations   annotationsModel `json:"annotations"`
	Panels        []any            `json:"panels"`
}

type timeModel struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type linkModel struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	URL         string   `json:"url,omitempty"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
}

type templatingModel struct {
	List []variableModel `json:"list"`
}

type variableModel struct {
	Name       string          `json:"name"`
	Label      string          `json:"label"`
	Type       string          `json:"type"`
	Datasource *datasourceRef  `json:"datasource,omitempty"`
	Query      any             `json:"query,omitempty"`
	Refresh    int             `json:"refresh,omitempty"`
	Sort       int             `json:"sort,omitempty"`
	Multi      bool            `json:"multi,omitempty"`
	IncludeAll bool            `json:"includeAll,omitempty"`
	AllValue   string          `json:"allValue,omitempty"`
	Current    *variableOption `json:"current,omitempty"`
}

type variableOption struct {
	Text  []string `json:"text"`
	Value []string `json:"value"`
}

type variableQuery struct {
	Query string `json:"query"`
	RefID string `json:"refId"`
}

type datasourceRef struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type annotationsModel struct {
	List []annotationModel `json:"list"`
}

type annotationModel struct {
	Name       string        `json:"name"`
	Datasource datasourceRef `json:"datasource"`
	Enable     bool          `json:"enable"`
	IconColor  string        `json:"iconColor"`
	Target     targetModel   `json:"target"`
}

type rowModel struct {
	ID        int      `json:"id"`
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Collapsed bool     `json:"collapsed"`
	GridPos   gridPos  `json:"gridPos"`
	Panels    []string `json:"panels"`
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type panelModel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description"`
	Datasource      datasourceRef    `json:"datasource"`
	GridPos         gridPos          `json:"gridPos"`
	Targets         []targetModel    `json:"targets"`
	FieldConfig     fieldConfigModel `json:"fieldConfig"`
	Options         any              `json:"options"`
	Transformations []transformation `json:"transformations,omitempty"`
	Links           []linkModel      `json:"links,omitempty"`
}

type targetModel struct {
	RefID        string         `json:"refId"`
	Datasource   *datasourceRef `json:"datasource,omitempty"`
	EditorMode   string         `json:"editorMode"`
	Expr         string         `json:"expr"`
	LegendFormat string         `json:"legendFormat,omitempty"`
	QueryType    string         `json:"queryType,omitempty"`
	Instant      bool           `json:"instant,omitempty"`
	Range        bool           `json:"range,omitempty"`
	Format       string         `json:"format,omitempty"`
	MaxLines     int            `json:"maxLines,omitempty"`
}

type transformation struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

var prometheusRef = datasourceRef{Type: "prometheus", UID: "${prometheus}"}

func (s store) ref() datasourceRef { return datasourceRef{Type: string(s), UID: "${logs}"} }

// render returns the file of d.
func (d dashboard) render() []byte {
	m := dashboardModel{
		UID: d.uid, Title: d.title, Description: d.doc,
		Tags:          []string{"windhover"},
		SchemaVersion: schemaVersion, Editable: true, GraphTooltip: 1,
		Refresh: "30s", Time: timeModel{From: "now-1h", To: "now"},
		Links: []linkModel{
			{Title: "Windhover", Type: "dashboards", Icon: "dashboard", Tooltip: "The other dashboards of Windhover", Tags: []string{"windhover"}, KeepTime: true, IncludeVars: true},
			{Title: "Runbooks", Type: "link", Icon: "doc", Tooltip: "What to do when something is lost", URL: runbooks, Tags: []string{}, TargetBlank: true},
		},
		Templating:  templatingModel{List: d.variables()},
		Annotations: annotationsModel{List: []annotationModel{}},
		Panels:      []any{},
	}
	if d.episodes != "" {
		m.Annotations.List = append(m.Annotations.List, annotationModel{
			Name: "Losses that were reported", Datasource: d.logs.ref(), Enable: true, IconColor: "red",
			Target: d.target(panel{look: records{}}, query{logsql: d.episodes, loki: d.episodes}, 0),
		})
	}
	id, top := 0, 0
	next := func() int { id++; return id }
	for _, r := range d.rows {
		m.Panels = append(m.Panels, rowModel{ID: next(), Type: "row", Title: r.title, GridPos: gridPos{H: 1, W: 24, Y: top}, Panels: []string{}})
		top++
		bottom := top
		for _, p := range r.panels {
			m.Panels = append(m.Panels, d.panel(p, next(), top))
			bottom = max(bottom, top+p.at.y+p.at.h)
		}
		top = bottom
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		panic(fmt.Sprintf("BUG: grafana: encode %s: %v", d.uid, err))
	}
	return b.Bytes()
}

// panel returns the model of p, in a row whose panels begin at line top.
func (d dashboard) panel(p panel, id, top int) panelModel {
	m := panelModel{
		ID: id, Type: p.look.kind(), Title: p.title, Description: p.doc,
		Datasource: prometheusRef,
		GridPos:    gridPos{H: p.at.h, W: p.at.w, X: p.at.x, Y: top + p.at.y},
	}
	if p.ask[0].promql == "" {
		m.Datasource = d.logs.ref()
	}
	for i, q := range p.ask {
		m.Targets = append(m.Targets, d.target(p, q, i))
	}
	if section := runbookOf[p.title]; section != "" {
		m.Links = []linkModel{{Title: "What to do", Type: "link", URL: runbooks + "#" + strings.ToLower(section), Tags: []string{}, TargetBlank: true}}
	}
	m.FieldConfig, m.Options, m.Transformations = p.look.settings(p.ask)
	return m
}

// target returns the model of the i-th query of p.
func (d dashboard) target(p panel, q query, i int) targetModel {
	m := targetModel{RefID: string(rune('A' + i)), EditorMode: "code", LegendFormat: q.legend}
	ref := prometheusRef
	_, wantsRecords := p.look.(records)
	switch {
	case q.promql != "":
		m.Expr = selectors.Replace(q.promql)
		m.Instant, m.Range = q.now, !q.now
		if q.column != "" {
			m.Format = "table"
		}
	case d.logs == loki:
		ref = loki.ref()
		m.Expr, m.QueryType, m.MaxLines = q.loki, "range", recordLimit
	default:
		ref = victoriaLogs.ref()
		m.Expr = q.logsql
		switch {
		case wantsRecords:
			m.QueryType, m.MaxLines = "instant", recordLimit
		case q.now:
			m.QueryType = "stats"
		default:
			m.QueryType = "statsRange"
		}
	}
	m.Datasource = &ref
	return m
}

// recordLimit is how many records a list of them shows.
const recordLimit = 200

// variables returns what a page lets its reader choose.
func (d dashboard) variables() []variableModel {
	all := &variableOption{Text: []string{"All"}, Value: []string{"$__all"}}
	choice := func(name, label, q string) variableModel {
		return variableModel{
			Name: name, Label: label, Type: "query", Datasource: &prometheusRef,
			Query: variableQuery{Query: q, RefID: name}, Refresh: 2, Sort: 1,
			Multi: true, IncludeAll: true, AllValue: ".*", Current: all,
		}
	}
	vs := []variableModel{{Name: "prometheus", Label: "Prometheus", Type: "datasource", Query: "prometheus", Refresh: 1}}
	if d.logs != "" {
		vs = append(vs, variableModel{Name: "logs", Label: "Logs", Type: "datasource", Query: string(d.logs), Refresh: 1})
	}
	vs = append(vs, choice("instance", "Instance", "label_values(windhover_memory_usage_bytes, instance)"))
	if d.sources {
		vs = append(vs, choice("source", "Source", `label_values(windhover_source_in_flight{instance=~"$instance"}, source)`))
	}
	if d.logs == victoriaLogs {
		ref := victoriaLogs.ref()
		vs = append(vs, variableModel{Name: "filters", Label: "Records with", Type: "adhoc", Datasource: &ref})
	}
	return vs
}
