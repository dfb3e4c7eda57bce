package grafana

// lossNotices are the records that tell of an episode of losses.
var lossNotices = map[store]string{
	victoriaLogs: `"service.name":=windhover event_name:=windhover.events_dropped`,
	loki:         `{service_name="windhover"} | windhover_drop_phase != ""`,
}

// runbookOf names the section of docs/runbooks.md that a panel leads to, by its title.
var runbookOf = map[string]string{
	"Events lost":               "WindhoverEventsLost",
	"Share lost":                "WindhoverLossHigh",
	"Lost in the reserved lane": "WindhoverReservedLaneDrops",
	"Ledger":                    "WindhoverLedgerOutOfBalance",
	"Sources not ok":            "WindhoverSourceUnhealthy",
	"State of each source":      "WindhoverSourceFailed",
	"Restarts of sources":       "WindhoverSourceFailed",
	"Undelivered alerts":        "WindhoverAlertsLost",
	"Alert queue":               "WindhoverAlertQueueFilling",
	"Alerts lost or refused":    "WindhoverExportsFailing",
	"Exporters":                 "WindhoverDestinationFailing",
	"Rules out of date":         "WindhoverRulesReloadFailed",
	"Reloads that failed":       "WindhoverRulesReloadFailed",
}

// states are what a source can be in, by the number that stateOfSource gives them.
var states = []state{
	{"1", "ok", "green"},
	{"2", "starting", "blue"},
	{"3", "ended", "gray"},
	{"4", "degraded", "yellow"},
	{"5", "lossy", "orange"},
	{"6", "failed", "red"},
}

const stateOfSource = `max by (instance, source) (
  windhover_source_state{*,state="ok"}
  or 2 * windhover_source_state{*,state="starting"}
  or 3 * windhover_source_state{*,state="ended"}
  or 4 * windhover_source_state{*,state="degraded"}
  or 5 * windhover_source_state{*,state="lossy"}
  or 6 * windhover_source_state{*,state="failed"}
)`

// losses answers whether anything is being missed.
func losses(s store) dashboard {
	return dashboard{
		uid: "windhover-losses" + s.suffix(), title: "Windhover / Losses" + s.title(),
		doc:  "Is anything being missed, where, and how close is the next loss?",
		logs: s, sources: true, episodes: lossNotices[s],
		rows: []row{
			{"Is anything being missed?", []panel{
				{
					"Events lost", "Events that a rule wanted and none was shown, in the time shown. Anything but 0 means that rules were blind for a while: the graphs below say where and when, the runbook what to do.",
					at{0, 0, 4, 3},
					number{unit: count, levels: noneIsGood},
					[]query{{promql: `sum(` + grown(`windhover_source_dropped_total{*}`) + `)`, now: true}},
				},
				{
					"Share lost", "Lost events of all that were produced, in the time shown.",
					at{4, 0, 4, 3},
					number{unit: share, levels: noneIsGood},
					[]query{{promql: `sum(` + grown(`windhover_source_dropped_total{*}`) + `)
/ (sum(` + grown(`windhover_source_events_total{*}`) + `) + sum(` + grown(`windhover_source_dropped_total{*}`) + `))`, now: true}},
				},
				{
					"Lost in the reserved lane", "Executions, exits, changes of privileges, modules, mounts. They have rings of their own: a flood of other events cannot push them out. If they are lost, enlarge rings::reserved at once.",
					at{8, 0, 4, 3},
					number{unit: count, levels: noneIsGood},
					[]query{{promql: `sum(` + grown(`windhover_source_dropped_total{*,lane="reserved"}`) + `)`, now: true}},
				},
				{
					"Ledger", "Whether everything that came in is accounted for. If not, Windhover has a defect: numbers on this page cannot be trusted, please report it.",
					at{12, 0, 4, 3},
					number{unit: count, levels: noneIsGood, zero: "balances"},
					[]query{{promql: `sum(max_over_time(windhover_source_imbalance{*}[$__range]))`, now: true}},
				},
				{
					"Sources not ok", "Sources that are starting, degraded, lossy or failed now. /readyz of the instance says why. One that is starting for minutes is started again and again: see Restarts of sources.",
					at{16, 0, 4, 3},
					number{unit: count, levels: noneIsGood, zero: "none"},
					[]query{{promql: `sum(windhover_source_state{*,state=~"starting|degraded|lossy|failed"})`, now: true}},
				},
				{
					"Undelivered alerts", "Alerts that the queue had no room for, and those that an exporter refused or failed to send, once for each exporter. In a collector: those that the next component did not take.",
					at{20, 0, 4, 3},
					number{unit: count, levels: noneIsGood},
					[]query{{promql: `sum(` + grown(`windhover_alert_lost_total{*}`) + `)
+ sum(` + grown(`windhover_notice_lost_total{*}`) + `)
+ sum(` + grown(`windhover_fold_unreported_total{*}`) + `)
+ sum(
  sum by (instance) (` + grown(`windhover_outlet_items_total{@,signal="logs",outcome!="taken"}`) + `)
  or sum by (instance) (` + grown(`windhover_export_failed_total{*}`) + `)
)`, now: true}},
				},
			}},
			{"Where and when", []panel{
				{
					"Loss by source and lane", "Which source loses, and in which lane: bulk takes most events, reserved what must not be lost.",
					at{0, 0, 12, 8},
					lines{unit: perSecond},
					[]query{{promql: `sum by (source, lane) (rate(windhover_source_dropped_total{*}[$__rate_interval]))`, legend: "{{source}} {{lane}}"}},
				},
				{
					"Loss by reason", "ring_full: the reader is too slow or the ring too small. too_large, no_scratch: the kernel side could not build the sample. malformed, oversize: a document of an audit source was refused. aborted: it was lost at the end of the source.",
					at{12, 0, 12, 8},
					lines{unit: perSecond},
					[]query{{promql: `sum by (reason) (rate(windhover_source_dropped_total{*}[$__rate_interval]))`, legend: "{{reason}}"}},
				},
				{
					"Episodes of loss", "When each source and lane lost events: green is none.",
					at{0, 8, 12, 7},
					timeline{unit: perSecond, levels: []level{{0, "green"}, {1e-9, "yellow"}, {100, "orange"}, {10000, "red"}}},
					[]query{{promql: `sum by (source, lane) (rate(windhover_source_dropped_total{*}[$__rate_interval]))`, legend: "{{source}} {{lane}}"}},
				},
				{
					"State of each source", "ok: it reports every event. lossy: it is losing some. degraded: something that it should do does not work. failed: it stopped. A gap: the instance was not seen.",
					at{12, 8, 12, 7},
					timeline{levels: plain, states: states},
					[]query{{promql: stateOfSource, legend: "{{source}} {{instance}}"}},
				},
			}},
			{"What is lost, and who causes it", []panel{
				{
					"Event types that lost most", "If rules do not need a type, disable them: nobody wants it then. If they do, enlarge the ring.",
					at{0, 0, 8, 8},
					bars{unit: count, levels: noneIsGood},
					[]query{{promql: `topk(10, sum by (event_type) (` + grown(`windhover_source_type_dropped_total{*}`) + `) > 0)`, legend: "{{event_type}}", now: true}},
				},
				{
					"Containers that lost most", "Whose events were lost: host is what runs outside containers, other all containers beyond the twenty that lost most.",
					at{8, 0, 8, 8},
					bars{unit: count, levels: noneIsGood},
					[]query{{promql: `topk(10, sum by (container) (label_replace(` + grown(`windhover_container_dropped_total{*}`) + `, "container", "$1", "container_id", "(.{1,12}).*")) > 0)`, legend: "{{container}}", now: true}},
				},
				{
					"Episodes as they were reported", "One record opens an episode, one closes it, with what was lost, at most how much a second, and where.",
					at{16, 0, 8, 8},
					records{},
					[]query{{logsql: lossNotices[victoriaLogs], loki: lossNotices[loki]}},
				},
			}},
			{"The ledger: everything that came in is accounted for", []panel{
				{
					"Events", "Since the start of each instance. Unaccounted is events less evaluated less skipped: always 0.",
					at{0, 0, 24, 6},
					table{unit: count, labels: []string{"instance", "source"}, gap: "unaccounted"},
					[]query{
						perSourceNow("dropped", `windhover_source_dropped_total{*}`),
						perSourceNow("in flight", `windhover_source_in_flight{*}`),
						perSourceNow("events", `windhover_source_events_total{*}`),
						perSourceNow("evaluated", `windhover_source_evaluated_total{*}`),
						perSourceNow("skipped", `windhover_source_skipped_total{*}`),
						{column: "unaccounted", now: true, promql: `sum by (instance, source) (windhover_source_events_total{*})
- sum by (instance, source) (windhover_source_evaluated_total{*})
- sum by (instance, source) (windhover_source_skipped_total{*})`},
					},
				},
				{
					"Matches", "Since the start of each instance. Unaccounted is matches less all that became of them.",
					at{0, 6, 24, 6},
					table{unit: count, labels: []string{"instance", "source"}, gap: "unaccounted"},
					[]query{
						perSourceNow("matches", `windhover_matches_total{*}`),
						perSourceNow("alerts", `windhover_alerts_total{*}`),
						perSourceNow("folded", `windhover_alert_folded_total{*}`),
						perSourceNow("below threshold", `windhover_alert_below_threshold_total{*}`),
						perSourceNow("delivered", `windhover_export_acknowledged_total{*}`),
						perSourceNow("queued", `windhover_queue_usage{*}`),
						perSourceNow("failed", `windhover_export_failed_total{*}`),
						perSourceNow("lost", `windhover_alert_lost_total{*}`),
						{column: "unaccounted", now: true, promql: `sum by (instance, source) (windhover_matches_total{*})
- sum by (instance, source) (windhover_alerts_total{*})
- sum by (instance, source) (windhover_alert_folded_total{*})
- sum by (instance, source) (windhover_alert_below_threshold_total{*})
- sum by (instance, source) (windhover_alert_lost_total{*})`},
					},
				},
			}},
			{"How close is the next loss?", []panel{
				{
					"Ring use", "How full the fullest ring of each lane was when it was looked at. A bulk ring that is often over half full loses events in the next burst: enlarge rings::bulk, add shards, or narrow the rules.",
					at{0, 0, 8, 8},
					lines{unit: share, levels: fills},
					[]query{{promql: `max by (source, lane) (windhover_ring_usage_bytes{*} / windhover_ring_limit_bytes{*})`, legend: "{{source}} {{lane}}"}},
				},
				{
					"Lag", "How old an event is when rules see it. What grows without end ends in losses: the instance lacks CPU.",
					at{8, 0, 8, 8},
					lines{unit: seconds},
					[]query{{promql: `max by (source) (windhover_source_lag_seconds{*})`, legend: "{{source}}"}},
				},
				{
					"Alert queue", "How full the queue of alerts is, in items and in bytes, the larger of both. Over 80 %: the next component takes alerts too slowly.",
					at{16, 0, 8, 8},
					lines{unit: share, levels: fills},
					[]query{{promql: `max by (source) (
  windhover_queue_usage{*} / windhover_queue_limit{*}
  > windhover_queue_memory_usage_bytes{*} / windhover_queue_memory_limit_bytes{*}
  or windhover_queue_memory_usage_bytes{*} / windhover_queue_memory_limit_bytes{*}
)`, legend: "{{source}}"}},
				},
				{
					"Alerts lost or refused", "lost: the queue of the source had no room. failed: the next component, or one of the exporters of the daemon, did not take it.",
					at{0, 8, 8, 8},
					lines{unit: perMinute},
					[]query{
						{promql: `60 * sum by (reason) (rate(windhover_alert_lost_total{*}[$__rate_interval]))`, legend: "lost: {{reason}}"},
						{promql: `60 * sum by (reason) (rate(windhover_notice_lost_total{*}[$__rate_interval]))`, legend: "notice lost: {{reason}}"},
						{promql: `60 * sum by (reason) (rate(windhover_export_failed_total{*}[$__rate_interval]))`, legend: "failed: {{reason}}"},
					},
				},
				{
					"Exporters", "What became of alerts at each exporter of the daemon: taken, failed, or refused because too much waited for it. In a collector look at otelcol_exporter_sent_log_records and otelcol_exporter_send_failed_log_records instead.",
					at{8, 8, 8, 8},
					lines{unit: perMinute},
					[]query{{promql: `60 * sum by (exporter, outcome) (rate(windhover_outlet_items_total{@,signal="logs"}[$__rate_interval]))`, legend: "{{exporter}} {{outcome}}"}},
				},
				{
					"Restarts of sources", "How often the daemon started a source again after it failed, with on_error: restart. What happens in between is missed.",
					at{16, 8, 8, 8},
					lines{unit: count},
					[]query{{promql: `sum by (source) (windhover_source_restarts_total{*})`, legend: "{{source}}"}},
				},
			}},
		},
	}
}

// grown returns an expression for how much counters grew in the time shown. Those that
// appeared in it, with their instance or their first count, began at zero: increase
// does not know that.
func grown(selector string) string {
	return "(" + selector + " unless " + selector + " offset $__range) or increase(" + selector + "[$__range])"
}

// perSourceNow returns a column with the sum of a metric for each source.
func perSourceNow(column, selector string) query {
	return query{column: column, now: true, promql: "sum by (instance, source) (" + selector + ")"}
}

func (s store) suffix() string {
	if s == loki {
		return "-loki"
	}
	return ""
}

func (s store) title() string {
	if s == loki {
		return " (Loki)"
	}
	return ""
}
