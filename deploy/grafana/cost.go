package grafana

// cost shows what Windhover takes from the host, and which rules and programs take it.
func cost() dashboard {
	return dashboard{
		uid: "windhover-cost", title: "Windhover / Cost",
		doc:     "What Windhover takes from its hosts: CPU and memory, time per rule and per kernel program, and what the filters keep away.",
		sources: true,
		rows: []row{
			{"How much", []panel{
				{
					"CPU", "Of all instances together. 1 is one core. What kernel programs take is not in it: see CPU in the kernel.",
					at{0, 0, 4, 3},
					number{unit: cores, levels: plain},
					[]query{{promql: `sum(rate(windhover_process_cpu_seconds_total{@}[$__rate_interval]))`, now: true}},
				},
				{
					"Memory", "Resident, of the instance that has most. Ring buffers are not part of it.",
					at{4, 0, 4, 3},
					number{unit: bytesUsed, levels: plain},
					[]query{{promql: `max(windhover_memory_usage_bytes{@})`, now: true}},
				},
				{
					"Events", "That rules were shown.",
					at{8, 0, 4, 3},
					number{unit: perSecond, levels: plain},
					[]query{{promql: `sum(rate(windhover_source_evaluated_total{*}[$__rate_interval]))`, now: true}},
				},
				{
					"CPU per event", "All that Windhover does in user space, for each event that it read.",
					at{12, 0, 4, 3},
					number{unit: seconds, levels: plain},
					[]query{{promql: `sum(rate(windhover_process_cpu_seconds_total{@}[$__rate_interval])) / sum(rate(windhover_source_events_total{@}[$__rate_interval]))`, now: true}},
				},
				{
					"Calls filtered", "System calls that never became an event, because no rule wants them or the kernel filter proved that none can match.",
					at{16, 0, 4, 3},
					number{unit: share, levels: []level{{0, "red"}, {0.5, "yellow"}, {0.9, "green"}}},
					[]query{{promql: `sum(rate(windhover_syscall_filtered_total{*}[$__rate_interval])) / sum(rate(windhover_syscall_calls_total{*}[$__rate_interval]))`, now: true}},
				},
				{
					"CPU in the kernel", "CPU that Windhover's programs in the kernel take, on account of whoever makes the system calls. Empty without the kernel's statistics: sysctl kernel.bpf_stats_enabled=1.",
					at{20, 0, 4, 3},
					number{unit: cores, levels: plain},
					[]query{{promql: `sum(rate(windhover_program_time_seconds_total{*}[$__rate_interval]))`, now: true}},
				},
			}},
			{"Instances", []panel{
				{
					"CPU by instance", "Kernel programs are not in it.",
					at{0, 0, 8, 8},
					lines{unit: cores},
					[]query{{promql: `rate(windhover_process_cpu_seconds_total{@}[$__rate_interval])`, legend: "{{instance}}"}},
				},
				{
					"Memory by instance", "Resident. It is bounded: a line that keeps growing is a defect, please report it.",
					at{8, 0, 8, 8},
					lines{unit: bytesUsed},
					[]query{{promql: `windhover_memory_usage_bytes{@}`, legend: "{{instance}}"}},
				},
				{
					"Events by source", "Events that each source reported.",
					at{16, 0, 8, 8},
					lines{unit: perSecond},
					[]query{{promql: `sum by (source) (rate(windhover_source_events_total{*}[$__rate_interval]))`, legend: "{{source}}"}},
				},
			}},
			{"Rules", []panel{
				{
					"CPU by rule", "Rules whose conditions take most, each by itself, estimated from about one event in 1,024. other is all rules beyond the fifty that cost most.",
					at{0, 0, 12, 9},
					bars{unit: cores, levels: plain},
					[]query{{promql: `topk(12, sum by (security_rule_name) (` + grown(`windhover_rule_time_seconds_total{*}`) + `) / $__range_s > 0)`, legend: "{{security_rule_name}}", now: true}},
				},
				{
					"Time per evaluation", "Rules whose condition takes longest. Ask first what is cheap and seldom true: an event type, a name, then paths and patterns.",
					at{12, 0, 12, 9},
					bars{unit: seconds, levels: plain},
					[]query{{promql: `topk(12, sum by (security_rule_name) (` + grown(`windhover_rule_time_seconds_total{*}`) + `)
/ sum by (security_rule_name) (` + grown(`windhover_rule_evaluations_total{*}`) + `) > 0)`, legend: "{{security_rule_name}}", now: true}},
				},
				{
					"Evaluations by rule", "Which rules are asked most. A rule is asked only for the event types that its condition names.",
					at{0, 9, 12, 8},
					lines{unit: "ops"},
					[]query{{promql: `topk(10, sum by (security_rule_name) (rate(windhover_rule_evaluations_total{*}[$__rate_interval])))`, legend: "{{security_rule_name}}"}},
				},
				{
					"Events by type", "What rules have Windhover look at. A type with many events and no alerts costs without use.",
					at{12, 9, 12, 8},
					lines{unit: perSecond},
					[]query{{promql: `topk(10, sum by (event_type) (rate(windhover_source_events_total{*}[$__rate_interval])))`, legend: "{{event_type}}"}},
				},
			}},
			{"Kernel", []panel{
				{
					"What becomes of system calls", "All calls of the host, those that were filtered, and the events that were produced, in user space or lost. Filtered calls cost tens of nanoseconds each.",
					at{0, 0, 12, 8},
					lines{unit: "ops"},
					[]query{
						{promql: `sum(rate(windhover_syscall_calls_total{*}[$__rate_interval]))`, legend: "calls"},
						{promql: `sum(rate(windhover_syscall_filtered_total{*}[$__rate_interval]))`, legend: "filtered"},
						{promql: `sum(rate(windhover_source_events_total{*,source_type="syscall"}[$__rate_interval]))`, legend: "events"},
					},
				},
				{
					"Busiest system calls", "Captured or not: what the host does.",
					at{12, 0, 12, 8},
					lines{unit: "ops"},
					[]query{{promql: `topk(10, sum by (syscall) (rate(windhover_syscall_calls_total{*}[$__rate_interval])))`, legend: "{{syscall}}"}},
				},
				{
					"Kernel programs", "CPU that Windhover's programs take in the kernel, on account of the processes that call it. Needs the kernel's statistics: sysctl kernel.bpf_stats_enabled=1, which itself costs some.",
					at{0, 8, 12, 8},
					lines{unit: cores},
					[]query{{promql: `topk(10, sum by (program) (rate(windhover_program_time_seconds_total{*}[$__rate_interval])))`, legend: "{{program}}"}},
				},
				{
					"Time per run of a kernel program", "What one call pays, by the program that handles it.",
					at{12, 8, 12, 8},
					bars{unit: seconds, levels: plain},
					[]query{{promql: `topk(12, sum by (program) (` + grown(`windhover_program_time_seconds_total{*}`) + `)
/ sum by (program) (` + grown(`windhover_program_runs_total{*}`) + `) > 0)`, legend: "{{program}}", now: true}},
				},
			}},
			{"What is held in memory", []panel{
				{
					"Process table", "Processes that Windhover knows. It is bounded by processes::items and processes::bytes.",
					at{0, 0, 8, 8},
					lines{unit: count},
					[]query{{promql: `sum by (instance, source) (windhover_process_table{*})`, legend: "{{source}} {{instance}}"}},
				},
				{
					"Counts of thresholds and sequences", "Combinations of a rule and values that are counted, of the most that may be.",
					at{8, 0, 8, 8},
					lines{unit: share, levels: fills},
					[]query{{promql: `max by (source) (windhover_count_usage{*} / windhover_count_limit{*})`, legend: "{{source}}"}},
				},
				{
					"Waiting alerts", "Memory of alerts in the queues of the sources, and of those that wait for an exporter.",
					at{16, 0, 8, 8},
					lines{unit: bytesUsed},
					[]query{
						{promql: `sum by (source) (windhover_queue_memory_usage_bytes{*})`, legend: "queue of {{source}}"},
						{promql: `sum by (exporter) (windhover_outlet_memory_usage_bytes{@,signal="logs"})`, legend: "for {{exporter}}"},
					},
				},
			}},
		},
	}
}
