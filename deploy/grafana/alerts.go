package grafana

// alertRecords are alerts, with the records that tell of their repeats.
var alertRecords = map[store]string{
	victoriaLogs: `"service.name":=windhover event_name:in(windhover.alert, windhover.alerts_folded)`,
	loki:         `{service_name="windhover"} | security_rule_name != ""`,
}

// matchesBy counts alerts and their repeats by an attribute that records have. Where
// pick is set, it makes one value of each.
func matchesBy(attribute, pick string) string {
	return alertRecords[victoriaLogs] + ` "` + attribute + `":*` + pick +
		` | stats by ("` + attribute + `") count() if (event_name:=windhover.alert) sent, sum("windhover.fold.count") repeats` +
		` | math sent + (repeats default 0) as matches | fields "` + attribute + `", matches | sort by (matches) desc | limit 15`
}

// alerts shows what rules found.
func alerts(s store) dashboard {
	d := dashboard{
		uid: "windhover-alerts" + s.suffix(), title: "Windhover / Alerts" + s.title(),
		doc:  "What rules found: by rule, priority, tactic and namespace, what was sent and what was folded, and the records themselves.",
		logs: s, sources: true, episodes: lossNotices[s],
		rows: []row{
			{"How much", []panel{
				{
					"Matches", "How often an event satisfied a rule, in the time shown. Each became an alert, a repeat that is folded, a count below a threshold, or was lost.",
					at{0, 0, 4, 3},
					number{unit: count, levels: plain},
					[]query{{promql: `sum(` + grown(`windhover_matches_total{*}`) + `)`, now: true}},
				},
				{
					"Alerts sent", "In the time shown.",
					at{4, 0, 4, 3},
					number{unit: count, levels: plain},
					[]query{{promql: `sum(` + grown(`windhover_alerts_total{*}`) + `)`, now: true}},
				},
				{
					"Critical and above", "Alerts of the priorities Critical, Alert and Emergency. They are never folded, unless asked for.",
					at{8, 0, 4, 3},
					number{unit: count, levels: noneIsGood},
					[]query{{promql: `sum(` + grown(`windhover_alerts_total{*,priority=~"Critical|Alert|Emergency"}`) + `) or vector(0)`, now: true}},
				},
				{
					"Folded", "Repeats of an alert that were counted instead of sent; a record at the end of the window tells how many.",
					at{12, 0, 3, 3},
					number{unit: count, levels: plain},
					[]query{{promql: `sum(` + grown(`windhover_alert_folded_total{*}`) + `)`, now: true}},
				},
				{
					"Rules", "Rules in use, of the instance that has fewest.",
					at{15, 0, 3, 3},
					number{unit: count, levels: []level{{0, "red"}, {1, "blue"}}},
					[]query{{promql: `min(windhover_rules_loaded{@})`, now: true}},
				},
				{
					"Rules out of date", "Instances whose last reload failed: they go on with the rules from before.",
					at{18, 0, 3, 3},
					number{unit: count, levels: noneIsGood, zero: "none"},
					[]query{{promql: `sum(windhover_rules_stale{@})`, now: true}},
				},
				{
					"Reloads that failed", "In the time shown. The rules from before stay in use; the log and /readyz of the instance say what is wrong.",
					at{21, 0, 3, 3},
					number{unit: count, levels: noneIsGood, zero: "none"},
					[]query{{promql: `sum(` + grown(`windhover_rules_reload_failures_total{@}`) + `)`, now: true}},
				},
			}},
			{"Which", []panel{
				{
					"Alerts by priority", "Alerts that were sent, as rules rank them.",
					at{0, 0, 12, 8},
					lines{unit: perMinute, stacked: true},
					[]query{{promql: `60 * sum by (priority) (rate(windhover_alerts_total{*}[$__rate_interval])) > 0`, legend: "{{priority}}"}},
				},
				{
					"Sent and folded", "What became of matches. Much folded and little sent: a rule matches the same thing again and again, give it an exception.",
					at{12, 0, 12, 8},
					lines{unit: perMinute},
					[]query{
						{promql: `60 * sum(rate(windhover_alerts_total{*}[$__rate_interval]))`, legend: "sent"},
						{promql: `60 * sum(rate(windhover_alert_folded_total{*}[$__rate_interval]))`, legend: "folded"},
						{promql: `60 * sum(rate(windhover_fold_records_total{*}[$__rate_interval]))`, legend: "records of folds"},
						{promql: `60 * sum(rate(windhover_alert_below_threshold_total{*}[$__rate_interval]))`, legend: "below threshold"},
						{promql: `60 * sum(rate(windhover_alert_lost_total{*}[$__rate_interval]))`, legend: "lost"},
					},
				},
				{
					"Alerts by rule", "The rules that sent most alerts in the time shown.",
					at{0, 8, 12, 9},
					bars{unit: count, levels: plain},
					[]query{{promql: `topk(12, sum by (security_rule_name) (` + grown(`windhover_alerts_total{*}`) + `) > 0)`, legend: "{{security_rule_name}}", now: true}},
				},
				{
					"Matches by source", "The sources whose events matched.",
					at{12, 8, 12, 9},
					lines{unit: perMinute, stacked: true},
					[]query{{promql: `60 * sum by (source) (rate(windhover_matches_total{*}[$__rate_interval]))`, legend: "{{source}}"}},
				},
			}},
		},
	}
	list := panel{
		"Alerts", "The records. Open one for the rule, the process, the file, the container or the request that it is about.",
		at{12, 0, 12, 22},
		records{},
		[]query{{logsql: alertRecords[victoriaLogs], loki: alertRecords[loki]}},
	}
	if s == loki {
		list.at = at{0, 0, 24, 16}
		severe := panel{
			"Critical and above", "The records that should not wait.",
			at{0, 16, 12, 10},
			records{},
			[]query{{loki: `{service_name="windhover"} | security_rule_name != "" | severity_number >= 18`}},
		}
		pods := panel{
			"In Kubernetes", "The records about a pod or a request in a namespace.",
			at{12, 16, 12, 10},
			records{},
			[]query{{loki: `{service_name="windhover", k8s_namespace_name=~".+"} | security_rule_name != ""`}},
		}
		d.rows = append(d.rows, row{"Records", []panel{list, severe, pods}})
	} else {
		d.rows = append(d.rows, row{"What, where, and the records", []panel{
			{
				"Matches by ATT&CK tactic", "Alerts and their repeats, by the tactics that their rules are tagged with. A rule with two tactics counts for both.",
				at{0, 0, 12, 8},
				bars{unit: count, levels: plain},
				[]query{{logsql: matchesBy("threat.tactic.name", ` | unroll by ("threat.tactic.name")`), legend: "{{threat.tactic.name}}", now: true}},
			},
			{
				"Matches by Kubernetes namespace", "Alerts and their repeats about something in a namespace: a pod's process, or a request to the API server.",
				at{0, 8, 12, 5},
				bars{unit: count, levels: plain},
				[]query{{logsql: matchesBy("k8s.namespace.name", ""), legend: "{{k8s.namespace.name}}", now: true}},
			},
			{
				"Alerts by tactic over time", "Alerts that were sent, by tactic.",
				at{0, 13, 12, 9},
				lines{unit: count, stacked: true},
				[]query{{logsql: `"service.name":=windhover event_name:=windhover.alert "threat.tactic.name":* | unroll by ("threat.tactic.name") | stats by ("threat.tactic.name") count() alerts`, legend: "{{threat.tactic.name}}"}},
			},
			list,
		}})
	}
	d.rows = append(d.rows, row{"Rules and folding", []panel{
		{
			"Generation of the rules", "Grows with each reload that succeeds. Instances that differ after a roll-out have not reloaded.",
			at{0, 0, 6, 8},
			lines{unit: count},
			[]query{{promql: `windhover_rules_generation{@}`, legend: "{{instance}}"}},
		},
		{
			"Alerts that are watched for repeats", "Of the most that may be. At 100 % the oldest makes room, and its record is sent early.",
			at{6, 0, 6, 8},
			lines{unit: share, levels: fills},
			[]query{{promql: `max by (source) (windhover_fold_usage{*} / windhover_fold_limit{*})`, legend: "{{source}}"}},
		},
		{
			"Windows that ended early", "Alerts and counts that were forgotten before the end of their window, to make room. A fold's record is sent then; a threshold counts anew.",
			at{12, 0, 6, 8},
			lines{unit: perMinute},
			[]query{
				{promql: `60 * sum by (source) (rate(windhover_fold_evicted_total{*}[$__rate_interval]))`, legend: "{{source}}: repeats"},
				{promql: `60 * sum by (source) (rate(windhover_count_evicted_total{*}[$__rate_interval]))`, legend: "{{source}}: thresholds"},
			},
		},
		{
			"Alerts with a secret replaced", "Alerts in which something looked like a password, a token or a key.",
			at{18, 0, 6, 8},
			lines{unit: perMinute},
			[]query{{promql: `60 * sum by (source) (rate(windhover_alert_redacted_total{*}[$__rate_interval]))`, legend: "{{source}}"}},
		},
	}})
	return d
}
