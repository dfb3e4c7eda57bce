{{/*
Parts of both kinds of pod. Each takes root (the top context) and part (host or audit).
*/}}
{{- define "windhover.podMetadata" -}}
{{- $v := index .root.Values .part -}}
labels:
  {{- include "windhover.selector" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .part }}
  {{- with $v.podLabels }}{{ toYaml . | nindent 2 }}{{ end }}
annotations:
  kubectl.kubernetes.io/default-container: windhover
  checksum/config: {{ include (printf "windhover.%sConfig" .part) .root | sha256sum }}
  {{- with $v.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}

{{- define "windhover.podSpec" -}}
{{- $v := index .root.Values .part -}}
serviceAccountName: {{ include "windhover.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
terminationGracePeriodSeconds: 30
{{- with $v.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "windhover.container" -}}
{{- $v := index .root.Values .part -}}
name: windhover
image: {{ include "windhover.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [run, -c, /etc/windhover/config/windhover.yaml]
{{- end -}}

{{- define "windhover.env" -}}
{{- with .root.Values.clusterName }}
- {name: CLUSTER_NAME, value: {{ . | quote }}}
{{- end }}
{{- range $name, $from := .root.Values.secretEnv }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $from.name }}, key: {{ $from.key }}}}
{{- end }}
{{- with .root.Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "windhover.probes" -}}
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end -}}

{{- define "windhover.volumeMounts" -}}
{{- $v := index .root.Values .part -}}
- {name: config, mountPath: /etc/windhover/config, readOnly: true}
{{- if include "windhover.ownRules" .root }}
{{- if .root.Values.rules.custom }}
- {name: rules-custom, mountPath: /etc/windhover/rules/custom, readOnly: true}
{{- end }}
{{- range $i, $name := .root.Values.rules.configMaps }}
- {name: rules-{{ $i }}, mountPath: /etc/windhover/rules/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}
{{- if and .root.Values.otlp.endpoint .root.Values.otlp.tls.secretName }}
- {name: otlp-tls, mountPath: /etc/windhover/otlp, readOnly: true}
{{- end }}
{{- if ne $v.queue.volume "none" }}
- {name: queue, mountPath: /var/lib/windhover}
{{- end }}
{{- with $v.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "windhover.volumes" -}}
{{- $v := index .root.Values .part -}}
{{- $name := include "windhover.fullname" .root -}}
- name: config
  configMap: {name: {{ $name }}-{{ .part }}}
{{- if include "windhover.ownRules" .root }}
{{- if .root.Values.rules.custom }}
- name: rules-custom
  configMap: {name: {{ $name }}-rules}
{{- end }}
{{- range $i, $map := .root.Values.rules.configMaps }}
- name: rules-{{ $i }}
  configMap: {name: {{ $map }}}
{{- end }}
{{- end }}
{{- if and .root.Values.otlp.endpoint .root.Values.otlp.tls.secretName }}
- name: otlp-tls
  secret: {secretName: {{ .root.Values.otlp.tls.secretName }}, defaultMode: 0440}
{{- end }}
{{- if eq $v.queue.volume "emptyDir" }}
- name: queue
  emptyDir: {sizeLimit: {{ $v.queue.sizeLimit }}}
{{- else if eq $v.queue.volume "hostPath" }}
- name: queue
  hostPath:
    path: {{ $v.queue.hostPath }}
    type: {{ eq $v.privileges "nonroot" | ternary "Directory" "DirectoryOrCreate" }}
{{- end }}
{{- with $v.volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
