package fromfalco

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Key is one key of falco.yaml.
type Key struct {
	// Name is its path, with dots between the levels. What follows the name of a list or
	// a free map belongs to its value.
	Name string
	// Becomes are the keys of Windhover that do what it does; without any there is none.
	Becomes []string
	// Note says how the value changes, or why there is no such key. Markdown.
	Note string

	carry  func(*carrier, any)
	absent func(*carrier) // what a file says by leaving the key out, if that differs
}

const (
	syscallReceiver = "receivers::windhover_syscall"
	auditReceiver   = "receivers::windhover_k8saudit"
	jsonReceiver    = "receivers::windhover_json"
	console         = "exporters::windhover_console"
	falcoJSON       = "exporters::windhover_falco_json"
	ruleSet         = "extensions::windhover_rules"
)

// Keys returns the table: every key that Falco 0.44 knows.
func Keys() []Key {
	return []Key{
		{Name: "config_files", Note: "Name each file with `-c`: `windhover run -c a.yaml -c b.yaml`; later ones win. Convert each."},
		{Name: "watch_config_files", Becomes: []string{ruleSet + "::watch"}, Note: "Rules are read again when their files change or on SIGHUP, without a restart. For another configuration Windhover is started anew.", carry: same(ruleSet + "::watch")},
		{Name: "rules_files", Becomes: []string{ruleSet + "::files"}, Note: "Without it Windhover uses its own rules.", carry: same(ruleSet + "::files")},
		{Name: "rules_file", Becomes: []string{ruleSet + "::files"}, Note: "The old name of `rules_files`.", carry: func(c *carrier, v any) { c.set(ruleSet+"::files", list(v)) }},
		{Name: "rules", Becomes: []string{ruleSet + "::select"}, Note: "The same entries (`enable` and `disable` with `rule` or `tag`), in the same order.", carry: same(ruleSet + "::select")},

		{Name: "engine.kind", Becomes: []string{syscallReceiver}, Note: "There is one engine, like `modern_ebpf`. `nodriver`: leave the receiver out. `replay`: `windhover replay`.", carry: carryEngine, absent: func(c *carrier) { c.set(syscallReceiver, map[string]any{}) }},
		{Name: "engine.kmod.buf_size_preset", Note: "There is no kernel module. `receivers::windhover_syscall::rings` sizes the ring buffers."},
		{Name: "engine.kmod.drop_failed_exit", Note: "There is no kernel module, and rules may ask for failed calls."},
		{Name: "engine.modern_ebpf.cpus_for_each_buffer", Becomes: []string{syscallReceiver + "::shards"}, Note: "The other way round: `shards` says how many buffers there are, each with a goroutine that reads it. 0, the default, is one per CPU, at most 16.", carry: noted("set receivers::windhover_syscall::shards to the number of CPUs divided by %v, or leave it: one shard per CPU, at most 16")},
		{Name: "engine.modern_ebpf.buf_size_preset", Becomes: []string{syscallReceiver + "::rings::bulk"}, Note: "In bytes, a power of two: 4, the default, is 8388608, as here.", carry: carryPreset},
		{Name: "engine.modern_ebpf.drop_failed_exit", Note: "Not there: rules ask with `evt.failed`, and types that no rule names are not captured at all."},
		{Name: "engine.modern_ebpf.disable_iterators", Note: "Not needed: processes that run at the start are read from procfs."},
		{Name: "engine.replay.capture_file", Note: "`windhover replay` reads recorded audit documents. It does not read system calls from .scap files yet."},

		{Name: "capture.enabled", Note: "Not there: Windhover records no .scap files."},
		{Name: "capture.path_prefix", Note: "Not there, as `capture.enabled`."},
		{Name: "capture.mode", Note: "Not there, as `capture.enabled`."},
		{Name: "capture.default_duration", Note: "Not there, as `capture.enabled`."},
		{Name: "capture.max_file_size_mb", Note: "Not there, as `capture.enabled`."},

		{Name: "load_plugins", Becomes: []string{auditReceiver, jsonReceiver}, Note: "There are no plugins to load: a source runs if it has a receiver, and all sources run in one process. `k8saudit` is `windhover_k8saudit`; `cloudtrail`, `okta`, `github` and `gcpaudit` are `windhover_json` with a `source`. The fields of `json` are there for every source whose events are documents.", carry: elsewhere},
		{Name: "plugins", Becomes: []string{auditReceiver + "::endpoint", auditReceiver + "::tls", auditReceiver + "::files::include", auditReceiver + "::max_event_bytes", jsonReceiver + "::source", jsonReceiver + "::endpoint", jsonReceiver + "::files::include"}, Note: "`open_params`: an address becomes `endpoint` and `path`, a file `files::include`. `init_config`: `maxEventSize` becomes `max_event_bytes`, `sslCertificate` becomes `tls`. Okta, GitHub and Google Cloud post to an `endpoint`. `library_path` is not needed.", carry: carryPlugins},
		{Name: "plugins_hostinfo", Note: "Not needed: there are no plugins."},

		{Name: "priority", Becomes: []string{ruleSet + "::priority"}, Note: "", carry: same(ruleSet + "::priority")},
		{Name: "rule_matching", Becomes: []string{ruleSet + "::rule_matching"}, Note: "The default differs: `all`; Falco's is `first`.", carry: same(ruleSet + "::rule_matching"), absent: func(c *carrier) { c.set(ruleSet+"::rule_matching", "first") }},
		{Name: "append_output", Becomes: []string{ruleSet + "::append_output"}, Note: "The same entries.", carry: same(ruleSet + "::append_output")},
		{Name: "static_fields", Becomes: []string{"telemetry::resource"}, Note: "Attributes of the resource of every alert and metric.", carry: same("telemetry::resource")},

		{Name: "json_output", Becomes: []string{console + "::format"}, Note: "`json` or `text`. OTLP and `windhover_falco_json` carry every field anyway.", carry: elsewhere},
		{Name: "json_include_output_property", Becomes: []string{falcoJSON + "::include_output"}, Note: "A key of each exporter.", carry: elsewhere},
		{Name: "json_include_message_property", Becomes: []string{falcoJSON + "::include_message"}, Note: "A key of each exporter.", carry: elsewhere},
		{Name: "json_include_output_fields_property", Becomes: []string{falcoJSON + "::include_output_fields"}, Note: "A key of each exporter.", carry: elsewhere},
		{Name: "json_include_tags_property", Becomes: []string{falcoJSON + "::include_tags"}, Note: "A key of each exporter.", carry: elsewhere},
		{Name: "time_format_iso_8601", Becomes: []string{falcoJSON + "::time_format_iso_8601"}, Note: "A key of each exporter.", carry: elsewhere},
		{Name: "buffer_format_base64", Note: "Not there: buffers are shown as text, with dots for what cannot be printed."},
		{Name: "buffered_outputs", Note: "Not needed: outputs never wait for the disk or the network while events are matched; exporters have a `sending_queue`."},
		{Name: "outputs_queue.capacity", Becomes: []string{syscallReceiver + "::queue::items"}, Note: "Never unbounded: 10,000 alerts and 16 MiB unless set, and what does not fit is counted.", carry: carryCapacity},
		{Name: "output_timeout", Becomes: []string{falcoJSON + "::timeout"}, Note: "For each exporter, with a unit: `2000` becomes `2s`. An output that blocks stalls no other.", carry: carryTimeout},

		{Name: "stdout_output.enabled", Becomes: []string{console}, Note: "On if the exporter has a block.", carry: func(c *carrier, v any) {
			if v == true {
				c.set(console+"::format", c.format())
			}
		}},
		{Name: "syslog_output.enabled", Becomes: []string{falcoJSON + "::syslog"}, Note: "As JSON; `network` and `address` also reach a remote server.", carry: func(c *carrier, v any) {
			if v == true {
				c.exporter("syslog", "syslog", map[string]any{})
			}
		}},
		{Name: "file_output.enabled", Becomes: []string{falcoJSON + "::file", console + "::path"}, Note: "`windhover_falco_json` for JSON, `windhover_console` for text.", carry: carryFile},
		{Name: "file_output.keep_alive", Note: "Not needed: the file stays open, and is opened again on SIGUSR1 or when it was renamed."},
		{Name: "file_output.filename", Becomes: []string{falcoJSON + "::file::path", console + "::path"}, Note: "", carry: elsewhere},
		{Name: "http_output.enabled", Becomes: []string{falcoJSON + "::http"}, Note: "Always as JSON, with queue and retries.", carry: carryHTTP},
		{Name: "http_output.url", Becomes: []string{falcoJSON + "::http::endpoint"}, Note: "", carry: elsewhere},
		{Name: "http_output.user_agent", Becomes: []string{falcoJSON + "::http::headers"}, Note: "A header as any: `headers: {User-Agent: …}`.", carry: elsewhere},
		{Name: "http_output.insecure", Becomes: []string{falcoJSON + "::http::tls::insecure_skip_verify"}, Note: "", carry: elsewhere},
		{Name: "http_output.ca_cert", Becomes: []string{falcoJSON + "::http::tls::ca_file"}, Note: "", carry: elsewhere},
		{Name: "http_output.ca_bundle", Becomes: []string{falcoJSON + "::http::tls::ca_file"}, Note: "", carry: elsewhere},
		{Name: "http_output.ca_path", Note: "Not there: the certificates of the system are used, or `tls::ca_file`."},
		{Name: "http_output.mtls", Becomes: []string{falcoJSON + "::http::tls::cert_file"}, Note: "On if there is a certificate.", carry: elsewhere},
		{Name: "http_output.client_cert", Becomes: []string{falcoJSON + "::http::tls::cert_file"}, Note: "", carry: elsewhere},
		{Name: "http_output.client_key", Becomes: []string{falcoJSON + "::http::tls::key_file"}, Note: "", carry: elsewhere},
		{Name: "http_output.echo", Note: "Not there: failures are logged and counted."},
		{Name: "http_output.compress_uploads", Becomes: []string{falcoJSON + "::http::compression"}, Note: "`gzip`.", carry: elsewhere},
		{Name: "http_output.keep_alive", Note: "Not needed: connections are kept; `disable_keep_alives` turns that off."},
		{Name: "http_output.max_consecutive_timeouts", Becomes: []string{falcoJSON + "::retry_on_failure"}, Note: "By time instead: `max_elapsed_time`.", carry: noted("retry_on_failure of the exporter bounds retries by time; %v timeouts in a row are no reason to give up")},
		{Name: "program_output.enabled", Becomes: []string{falcoJSON + "::program"}, Note: "No shell reads the command.", carry: carryProgram},
		{Name: "program_output.keep_alive", Note: "Not needed: the program runs all the time and is started again when it ends."},
		{Name: "program_output.program", Becomes: []string{falcoJSON + "::program::command"}, Note: "A list: the program and its arguments. A pipeline needs a script of its own.", carry: elsewhere},

		{Name: "webserver.enabled", Becomes: []string{"server::address"}, Note: "Empty: no server.", carry: carryServer},
		{Name: "webserver.threadiness", Note: "Not needed: there is no pool of threads."},
		{Name: "webserver.listen_port", Becomes: []string{"server::address"}, Note: "`host:port` in one.", carry: elsewhere},
		{Name: "webserver.listen_address", Becomes: []string{"server::address"}, Note: "The default is 127.0.0.1, not all addresses.", carry: elsewhere},
		{Name: "webserver.k8s_healthz_endpoint", Note: "Always `/healthz`; `/readyz` tells of every source, its state and why."},
		{Name: "webserver.ssl_enabled", Note: "Not there: the server shows metrics and states, listens on the loopback address unless told otherwise, and takes nothing in. Webhooks have TLS: `receivers::windhover_k8saudit::tls`."},
		{Name: "webserver.ssl_certificate", Note: "Not there, as `webserver.ssl_enabled`."},
		{Name: "webserver.prometheus_metrics_enabled", Becomes: []string{"server::address"}, Note: "`/metrics` is always there, for every source.", carry: elsewhere},

		{Name: "log_stderr", Becomes: []string{"telemetry::logs"}, Note: "Windhover's own log always goes to stderr.", carry: elsewhere},
		{Name: "log_syslog", Note: "Not there: systemd and container runtimes keep what a service writes to stderr."},
		{Name: "log_level", Becomes: []string{"telemetry::logs::level"}, Note: "`debug`, `info`, `warn` or `error`.", carry: carryLevel},
		{Name: "libs_logger.enabled", Note: "Not needed: there is one log."},
		{Name: "libs_logger.severity", Note: "Not needed: there is one log, see `log_level`."},

		{Name: "syscall_event_timeouts.max_consecutives", Note: "Not needed: `windhover.source.state` and `windhover.source.lag` show a source that stands still; `deploy/prometheus` alerts on them."},
		{Name: "syscall_event_drops.threshold", Becomes: []string{syscallReceiver + "::drops::threshold"}, Note: "In percent: `.1` becomes `10`. The default is 0: every loss is told.", carry: scaled(syscallReceiver+"::drops::threshold", 100)},
		{Name: "syscall_event_drops.actions", Becomes: []string{syscallReceiver + "::drops::actions"}, Note: "The same words. The default is `[log, alert]`.", carry: carryActions},
		{Name: "syscall_event_drops.rate", Becomes: []string{syscallReceiver + "::drops::interval"}, Note: "Its inverse: `.03333` a second becomes `30s`. Notices are about episodes, with begin and end.", carry: carryRate},
		{Name: "syscall_event_drops.max_burst", Becomes: []string{syscallReceiver + "::drops::burst"}, Note: "", carry: same(syscallReceiver + "::drops::burst")},
		{Name: "syscall_event_drops.simulate_drops", Becomes: []string{syscallReceiver + "::drops::simulate_drops"}, Note: "", carry: same(syscallReceiver + "::drops::simulate_drops")},

		{Name: "metrics.enabled", Becomes: []string{"telemetry::metrics"}, Note: "Always on: `/metrics`, and every exporter that takes metrics.", carry: elsewhere},
		{Name: "metrics.interval", Becomes: []string{"telemetry::metrics::interval"}, Note: "Of what is sent over OTLP; carried over if `metrics.enabled`. Milliseconds need a unit.", carry: carryInterval},
		{Name: "metrics.output_rule", Note: "Not there: metrics are metrics, no alerts."},
		{Name: "metrics.output_file", Note: "Not there: scrape `/metrics`, or send OTLP."},
		{Name: "metrics.rules_counters_enabled", Note: "Always there: `windhover.alerts` by rule."},
		{Name: "metrics.resource_utilization_enabled", Note: "Always there: `windhover.memory.usage` and `windhover.process.cpu`."},
		{Name: "metrics.state_counters_enabled", Note: "Always there: `windhover.process.table` and `windhover.source.state`."},
		{Name: "metrics.kernel_event_counters_enabled", Note: "Always there: `windhover.syscall.calls`, `windhover.source.events` and `windhover.source.dropped`."},
		{Name: "metrics.libbpf_stats_enabled", Note: "`windhover.program.time` is there while the kernel's statistics are on (`sysctl kernel.bpf_stats_enabled=1`)."},
		{Name: "metrics.plugins_metrics_enabled", Note: "Always there: every source has the same metrics."},
		{Name: "metrics.kernel_iter_event_counters_enabled", Note: "Not there: processes that run at the start are in `windhover.process.table`."},
		{Name: "metrics.kernel_event_counters_per_cpu_enabled", Note: "Not there: `windhover.ring.usage` is by shard and lane."},
		{Name: "metrics.jemalloc_stats_enabled", Note: "Not there: memory is Go's; `/metrics` has its figures."},
		{Name: "metrics.convert_memory_to_mb", Note: "Not there: units are those of OpenTelemetry, bytes."},
		{Name: "metrics.include_empty_values", Note: "Not needed: series of every source are there from the start."},

		{Name: "base_syscalls.custom_set", Note: "Not there: what is captured follows from the rules; what the process table needs comes with it."},
		{Name: "base_syscalls.repair", Note: "Not needed: a process that was not announced announces itself."},
		{Name: "base_syscalls.all", Note: "Not needed: a rule without `evt.type` makes every system call an event."},
		{Name: "falco_libs.thread_table_size", Becomes: []string{syscallReceiver + "::processes::items"}, Note: "Processes, not threads, and `processes::bytes` bounds their memory: 32,768 and 32 MiB unless set.", carry: same(syscallReceiver + "::processes::items")},
		{Name: "falco_libs.thread_table_auto_purging_interval_s", Note: "Not needed: an exit is never dropped for a flood, and what is looked at no more makes room."},
		{Name: "falco_libs.thread_table_auto_purging_thread_timeout_s", Note: "Not needed, as `falco_libs.thread_table_auto_purging_interval_s`."},
		{Name: "falco_libs.snaplen", Note: "Not there: contents of read and write are not captured."},
	}
}

func same(path string) func(*carrier, any) {
	return func(c *carrier, v any) {
		if v != nil {
			c.set(path, v)
		}
	}
}

func scaled(path string, by float64) func(*carrier, any) {
	return func(c *carrier, v any) {
		if n, ok := number(v); ok {
			c.set(path, n*by)
			return
		}
		c.note("%v is no number", v)
	}
}

func noted(format string) func(*carrier, any) {
	return func(c *carrier, v any) { c.note(format, v) }
}

func carryEngine(c *carrier, v any) {
	switch v {
	case "nodriver":
	case "replay":
		c.note("use windhover replay for recorded audit documents; .scap files are not read yet")
	default:
		c.set(syscallReceiver, map[string]any{})
	}
}

// carryPreset turns the number of a size into the size: 1 is 1 MiB, each more doubles it.
func carryPreset(c *carrier, v any) {
	n, ok := v.(int)
	if !ok || n < 1 || n > 10 {
		c.note("%v is no preset from 1 to 10", v)
		return
	}
	c.set(syscallReceiver+"::rings::bulk", 1<<20<<(n-1))
}

func carryCapacity(c *carrier, v any) {
	n, ok := v.(int)
	switch {
	case !ok || n < 0:
		c.note("%v is no number of alerts", v)
	case n == 0:
		c.note("no queue is unbounded here: 10,000 alerts and 16 MiB, set receivers::…::queue for more")
	default:
		c.set(syscallReceiver+"::queue::items", n)
	}
}

func carryActions(c *carrier, v any) {
	var actions []any
	for _, a := range list(v) {
		if a == "log" || a == "alert" || a == "exit" || a == "ignore" {
			actions = append(actions, a)
			continue
		}
		c.note("there is no action %v", a)
	}
	if actions != nil {
		c.set(syscallReceiver+"::drops::actions", actions)
	}
}

func carryRate(c *carrier, v any) {
	rate, ok := number(v)
	if !ok || rate <= 0 || rate > 1000 || rate < 1e-6 {
		c.note("%v is no rate; receivers::windhover_syscall::drops::interval keeps its default of 30s", v)
		return
	}
	interval := time.Duration(float64(time.Second) / rate)
	c.set(syscallReceiver+"::drops::interval", round(interval).String())
}

// round hides that .03333 is not quite one thirtieth.
func round(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Microsecond)
}

// milliseconds returns v as a time, if it is one that an exporter can wait.
func milliseconds(v any) (time.Duration, bool) {
	n, ok := number(v)
	return time.Duration(n) * time.Millisecond, ok && n > 0 && n < 1e9
}

// carryTimeout refuses what is no time; exporter carries it over with each exporter.
func carryTimeout(c *carrier, v any) {
	if _, ok := milliseconds(v); !ok {
		c.note("%v is no number of milliseconds", v)
	}
}

func carryInterval(c *carrier, v any) {
	if !c.truth("metrics.enabled") {
		return // it is in every falco.yaml, and asks for nothing
	}
	text := fmt.Sprint(v)
	if n, ok := number(v); ok {
		text = (time.Duration(n) * time.Millisecond).String()
	}
	if d, err := time.ParseDuration(text); err != nil || d <= 0 {
		c.note("%v is no time; telemetry::metrics::interval keeps its default of 30s", v)
		return
	}
	c.set("telemetry::metrics::interval", text)
}

func carryLevel(c *carrier, v any) {
	level := map[any]string{
		"emergency": "error", "alert": "error", "critical": "error", "error": "error",
		"warning": "warn", "notice": "info", "info": "info", "debug": "debug",
	}[v]
	if level == "" {
		c.note("%v is no level", v)
		return
	}
	c.set("telemetry::logs::level", level)
}

func carryServer(c *carrier, v any) {
	if v != true {
		c.set("server::address", "")
		return
	}
	c.set("server::address", net.JoinHostPort(c.text("webserver.listen_address", "0.0.0.0"), c.text("webserver.listen_port", "8765")))
}

// format is how Falco writes alerts.
func (c *carrier) format() string {
	if c.truth("json_output") {
		return "json"
	}
	return "text"
}

// exporter adds one with an output.
func (c *carrier) exporter(name, output string, block map[string]any) {
	path := falcoJSON + "/" + name
	c.set(path+"::"+output, block)
	for falco, ours := range map[string]string{
		"json_include_output_property": "include_output", "json_include_message_property": "include_message",
		"json_include_output_fields_property": "include_output_fields", "json_include_tags_property": "include_tags",
		"time_format_iso_8601": "time_format_iso_8601",
	} {
		if v, ok := c.values[falco].(bool); ok {
			(&carrier{c.conversion, falco}).set(path+"::"+ours, v)
		}
	}
	if timeout, ok := milliseconds(c.values["output_timeout"]); ok {
		(&carrier{c.conversion, "output_timeout"}).set(path+"::timeout", timeout.String())
	}
}

// elsewhere is for keys whose values another key's carry reads, and for those that always
// hold.
func elsewhere(*carrier, any) {}

func carryFile(c *carrier, v any) {
	if v != true {
		return
	}
	path := c.text("file_output.filename", "")
	switch {
	case path == "":
		c.note("there is no file_output.filename")
	case c.format() == "json":
		c.exporter("file", "file", map[string]any{"path": path})
	default:
		c.set(console+"/file", map[string]any{"path": path, "format": "text"})
	}
}

func carryHTTP(c *carrier, v any) {
	if v != true {
		return
	}
	block := map[string]any{"endpoint": c.text("http_output.url", "")}
	if agent := c.text("http_output.user_agent", ""); agent != "" {
		block["headers"] = map[string]any{"User-Agent": agent}
	}
	if c.truth("http_output.compress_uploads") {
		block["compression"] = "gzip"
	}
	tls := map[string]any{}
	if c.truth("http_output.insecure") {
		tls["insecure_skip_verify"] = true
	}
	for _, key := range []string{"http_output.ca_cert", "http_output.ca_bundle"} {
		if file := c.text(key, ""); file != "" {
			tls["ca_file"] = file
		}
	}
	if c.truth("http_output.mtls") {
		tls["cert_file"] = c.text("http_output.client_cert", "/etc/ssl/certs/client.crt")
		tls["key_file"] = c.text("http_output.client_key", "/etc/ssl/certs/client.key")
	}
	if len(tls) > 0 {
		block["tls"] = tls
	}
	c.exporter("http", "http", block)
	if c.format() != "json" {
		c.note("alerts go out as JSON, whatever json_output says")
	}
}

func carryProgram(c *carrier, v any) {
	if v != true {
		return
	}
	program := c.text("program_output.program", "")
	command := make([]any, 0, 4)
	for word := range strings.FieldsSeq(program) {
		command = append(command, word)
	}
	c.exporter("program", "program", map[string]any{"command": command})
	if strings.ContainsAny(program, "|&;<>()$`\\\"'*?") {
		c.note("no shell reads the command: put %q into a script and name that", program)
	}
}

// posted are the sources whose plugins ask a service, or have it post, by the names of the
// plugins. Here it posts.
var posted = map[string]string{"okta": "okta", "github": "github", "gcpaudit": "gcp_auditlog"}

func carryPlugins(c *carrier, v any) {
	loaded := list(c.values["load_plugins"])
	_, chosen := c.values["load_plugins"]
	for _, item := range list(v) {
		plugin, ok := item.(map[string]any)
		name := fmt.Sprint(plugin["name"])
		if !ok || chosen && !contains(loaded, name) {
			continue
		}
		parameters, _ := plugin["open_params"].(string)
		settings, _ := plugin["init_config"].(map[string]any)
		switch {
		case name == "k8saudit":
			c.source(name, auditReceiver, strings.TrimSpace(parameters), settings)
		case strings.HasPrefix(name, "k8saudit"):
			c.note("%s reads the log service of a cloud: have it delivered to the webhook or to the files of a windhover_k8saudit", name)
		case name == "cloudtrail":
			receiver := jsonReceiver + "/" + name
			if c.source(name, receiver, strings.TrimSpace(parameters), settings) {
				c.set(receiver+"::source", "aws_cloudtrail")
			}
		case posted[name] != "":
			c.note("%s: have the service post to a windhover_json with source: %s and an endpoint, as its README says", name, posted[name])
		case name == "json": // it only has fields, and rules have them
		case name == "container", name == "k8smeta":
			c.note("%s is built in as far as there is data: windhover fields %s", name, name)
		default:
			c.note("nothing stands for the plugin %s", name)
		}
	}
}

// source says where a receiver gets its events from, or notes why it gets none.
func (c *carrier) source(plugin, receiver, parameters string, settings map[string]any) bool {
	scheme, rest, hasScheme := strings.Cut(parameters, "://")
	switch {
	case hasScheme && (scheme == "http" || scheme == "https"):
		address, path, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(address, ":") {
			address = "0.0.0.0" + address
		}
		c.set(receiver+"::endpoint", address)
		if path != "" {
			c.set(receiver+"::path", "/"+path)
		}
		if certificate, ok := settings["sslCertificate"].(string); ok && scheme == "https" {
			c.set(receiver+"::tls", map[string]any{"cert_file": certificate, "key_file": certificate})
		}
	case hasScheme:
		c.note("%s is read by a receiver of a collector: see docs/collector.md", scheme)
		return false
	case parameters != "":
		c.set(receiver+"::files::include", []any{parameters})
		c.set(receiver+"::files::start_at", "beginning")
	default:
		c.note("%s has no open_params: give %s an endpoint, or files", plugin, receiver)
		return false
	}
	if n, ok := settings["maxEventSize"].(int); ok {
		c.set(receiver+"::max_event_bytes", n)
	}
	return true
}

func contains(items []any, name string) bool {
	for _, item := range items {
		if item == name {
			return true
		}
	}
	return false
}
