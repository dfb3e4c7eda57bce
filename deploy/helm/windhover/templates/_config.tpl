{{/*
What the configurations of all pods share, as YAML. Takes root (the top context) and queue
(the values of the pods' queue).
*/}}
{{- define "windhover.sharedConfig" -}}
{{- $v := .root.Values -}}
{{- $persistent := ne .queue.volume "none" -}}
server: {address: {{ printf ":%d" (int $v.metrics.port) | quote }}}
telemetry:
  logs: {format: json}
  {{- if and $v.otlp.endpoint (not $v.otlp.metrics) }}
  metrics: {exporters: []}
  {{- end }}
exporters:
  {{- if $v.console.enabled }}
  windhover_console: {format: {{ $v.console.format }}}
  {{- end }}
  {{- with $v.otlp }}
  {{- if .endpoint }}
  otlp_{{ .protocol }}:
    endpoint: {{ .endpoint | quote }}
    {{- if or .tls.insecure .tls.secretName .tls.serverName }}
    tls:
      {{- if .tls.insecure }}
      insecure: true
      {{- end }}
      {{- if .tls.secretName }}
      ca_file: /etc/windhover/otlp/ca.crt
      {{- if .tls.clientCertificate }}
      cert_file: /etc/windhover/otlp/tls.crt
      key_file: /etc/windhover/otlp/tls.key
      {{- end }}
      reload_interval: 10m
      {{- end }}
      {{- with .tls.serverName }}
      server_name_override: {{ . | quote }}
      {{- end }}
    {{- end }}
    {{- with .headers }}
    headers: {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if $persistent }}
    sending_queue: {storage: file_storage}
    retry_on_failure: {max_elapsed_time: 0}
    {{- end }}
  {{- end }}
  {{- end }}
extensions:
  {{- if $persistent }}
  file_storage: {directory: /var/lib/windhover}
  {{- end }}
  windhover_rules: {{- include "windhover.rulesConfig" .root | nindent 4 }}
{{- end -}}

{{- define "windhover.rulesConfig" -}}
{{- $files := list -}}
{{- if include "windhover.ownRules" . -}}
{{- if .Values.rules.builtin -}}{{- $files = append $files "/usr/share/windhover/rules" -}}{{- end -}}
{{- if .Values.rules.custom -}}{{- $files = append $files "/etc/windhover/rules/custom" -}}{{- end -}}
{{- range .Values.rules.configMaps -}}{{- $files = append $files (printf "/etc/windhover/rules/%s" .) -}}{{- end -}}
{{- end -}}
{{- $settings := deepCopy .Values.rules.settings -}}
{{- if $files -}}{{- $_ := set $settings "files" $files -}}{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Not empty if there are other rules than those in the image. */}}
{{- define "windhover.ownRules" -}}
{{- if or .Values.rules.custom .Values.rules.configMaps -}}true
{{- else if not .Values.rules.builtin -}}
{{- fail "rules: builtin is false and there are no others: set rules.custom or rules.configMaps" -}}
{{- end -}}
{{- end -}}

{{/* Takes the finished configuration as a map. */}}
{{- define "windhover.checkedConfig" -}}
{{- if not .exporters -}}
{{- fail "alerts go nowhere: enable console, or set otlp.endpoint or an exporter in config" -}}
{{- end -}}
{{- toYaml . -}}
{{- end -}}

{{- define "windhover.hostConfig" -}}
{{- $config := include "windhover.sharedConfig" (dict "root" . "queue" .Values.host.queue) | fromYaml -}}
{{- $_ := set $config "receivers" (dict "windhover_syscall" (dict "host_root" "/host")) -}}
{{- $_ := set $config.telemetry "resource" (dict "host.name" "${env:NODE_NAME}" "service.instance.id" "${env:NODE_NAME}") -}}
{{- include "windhover.checkedConfig" (mergeOverwrite $config (deepCopy .Values.host.config)) -}}
{{- end -}}

{{- define "windhover.auditConfig" -}}
{{- $config := include "windhover.sharedConfig" (dict "root" . "queue" .Values.audit.queue) | fromYaml -}}
{{- $receiver := dict "endpoint" (printf ":%d" (int .Values.audit.port)) "path" .Values.audit.path -}}
{{- if ne .Values.audit.tls.mode "none" -}}
{{- $tls := dict "cert_file" "/etc/windhover/tls/tls.crt" "key_file" "/etc/windhover/tls/tls.key" "reload_interval" "10m" -}}
{{- if eq .Values.audit.tls.mode "generated" -}}
{{- $_ := set $tls "client_ca_file" "/etc/windhover/tls/ca.crt" -}}
{{- else if .Values.audit.tls.clientCA.secretName -}}
{{- $_ := set $tls "client_ca_file" "/etc/windhover/client-ca/ca.crt" -}}
{{- $_ := set $tls "client_ca_file_reload" true -}}
{{- end -}}
{{- $_ := set $receiver "tls" $tls -}}
{{- end -}}
{{- $_ := set $config "receivers" (dict "windhover_k8saudit" $receiver) -}}
{{- include "windhover.checkedConfig" (mergeOverwrite $config (deepCopy .Values.audit.config)) -}}
{{- end -}}
