// Package draw makes pictures of dashboards without Grafana: it reads the panels of a
// dashboard file and lays them out with the results of their queries, as a page for a
// browser. It knows the kinds of panel that Windhover's dashboards have.
package draw

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Dashboard is what a file says, as far as it is drawn or asked.
type Dashboard struct {
	UID         string  `json:"uid"`
	Title       string  `json:"title"`
	Description string  `json:"description"`
	Panels      []Panel `json:"panels"`
	Annotations struct {
		List []struct {
			Name   string `json:"name"`
			Target Target `json:"target"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name  string `json:"name"`
			Query any    `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

// Panel is one place of a dashboard.
type Panel struct {
	ID          int    `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	Description string `json:"description"`
	GridPos     struct {
		H, W, X, Y int
	} `json:"gridPos"`
	Targets     []Target `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit       string   `json:"unit"`
			Decimals   *int     `json:"decimals"`
			Max        *float64 `json:"max"`
			NoValue    string   `json:"noValue"`
			Thresholds struct {
				Steps []Step `json:"steps"`
			} `json:"thresholds"`
			Mappings []struct {
				Options map[string]struct {
					Text  string `json:"text"`
					Color string `json:"color"`
					Index int    `json:"index"`
				} `json:"options"`
			} `json:"mappings"`
			Custom struct {
				Stacking        struct{ Mode string } `json:"stacking"`
				ThresholdsStyle struct{ Mode string } `json:"thresholdsStyle"`
			} `json:"custom"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Transformations []struct {
		ID      string `json:"id"`
		Options struct {
			RenameByName map[string]string `json:"renameByName"`
			IndexByName  map[string]int    `json:"indexByName"`
		} `json:"options"`
	} `json:"transformations"`
}

// Step is the value from which on a color holds.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// Target is a query.
type Target struct {
	RefID      string `json:"refId"`
	Datasource struct {
		Type string `json:"type"`
	} `json:"datasource"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
	QueryType    string `json:"queryType"`
	Instant      bool   `json:"instant"`
	MaxLines     int    `json:"maxLines"`
}

// Read decodes a dashboard file.
func Read(text []byte) (*Dashboard, error) {
	var d Dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read dashboard: %w", err)
	}
	return &d, nil
}

// Result is what the queries of a panel returned.
type Result struct {
	Series  []Series
	Records []Record
}

// Series is one line of a graph, or one value.
type Series struct {
	Target int // index of the query
	Labels map[string]string
	Points []Point
}

// Point is the value of a series at a time.
type Point struct {
	Time  time.Time
	Value float64
}

// Record is a log record.
type Record struct {
	Time     time.Time
	Severity string
	Body     string
}

// last returns the newest value.
func (s Series) last() float64 { return s.Points[len(s.Points)-1].Value }

var legendLabel = regexp.MustCompile(`\{\{\s*([^}]+?)\s*\}\}`)

// name returns what the legend says of a series.
func (p *Panel) name(s Series) string {
	format := p.Targets[s.Target].LegendFormat
	return strings.TrimSpace(legendLabel.ReplaceAllStringFunc(format, func(m string) string {
		return s.Labels[legendLabel.FindStringSubmatch(m)[1]]
	}))
}
